//! A panel of curves between two axes.

use crate::axis::Axis;
use crate::scene::{Anchor, Frame, Point, Scene, Stroke, TextStyle};
use crate::{INK, PAPER, Rgb, TEXT};

/// Grey of the lines behind the data.
const FAINT: Rgb = [225; 3];

/// Something drawn between the axes. Every list of one series has one length;
/// places that are not finite are left out.
#[derive(Clone, Debug)]
pub enum Series {
    /// A line through points.
    Line {
        /// Abscissae.
        x: Vec<f64>,
        /// Ordinates.
        y: Vec<f64>,
        /// Its look.
        stroke: Stroke,
        /// Its name in the legend; empty for none.
        name: String,
    },
    /// The area between two lines.
    Band {
        /// Abscissae.
        x: Vec<f64>,
        /// Lower and upper ordinates.
        between: Vec<(f64, f64)>,
        /// Colour, drawn with opacity 0.25.
        colour: Rgb,
        /// Its name in the legend; empty for none.
        name: String,
    },
    /// Dots, with bars of ± error if there are errors.
    Dots {
        /// Abscissae.
        x: Vec<f64>,
        /// Ordinates.
        y: Vec<f64>,
        /// Half lengths of the bars; empty for none.
        error: Vec<f64>,
        /// Colour.
        colour: Rgb,
        /// Its name in the legend; empty for none.
        name: String,
    },
    /// A histogram: heights between edges, one edge more than heights.
    Steps {
        /// Edges of the bins.
        edges: Vec<f64>,
        /// Height of each bin.
        heights: Vec<f64>,
        /// Its look.
        stroke: Stroke,
        /// Its name in the legend; empty for none.
        name: String,
    },
}

impl Series {
    fn name(&self) -> &str {
        match self {
            Self::Line { name, .. }
            | Self::Band { name, .. }
            | Self::Dots { name, .. }
            | Self::Steps { name, .. } => name,
        }
    }

    fn colour(&self) -> Rgb {
        match self {
            Self::Line { stroke, .. } | Self::Steps { stroke, .. } => stroke.colour,
            Self::Band { colour, .. } | Self::Dots { colour, .. } => *colour,
        }
    }

    fn xs(&self) -> &[f64] {
        match self {
            Self::Line { x, .. } | Self::Band { x, .. } | Self::Dots { x, .. } => x,
            Self::Steps { edges, .. } => edges,
        }
    }

    fn ys(&self) -> Vec<f64> {
        match self {
            Self::Line { y, .. } | Self::Dots { y, .. } => y.clone(),
            Self::Band { between, .. } => between.iter().flat_map(|b| [b.0, b.1]).collect(),
            Self::Steps { heights, .. } => heights.clone(),
        }
    }
}

/// A panel of curves.
#[derive(Clone, Debug)]
pub struct Axes {
    /// Title above it; empty for none.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// What is drawn, the first at the bottom.
    pub series: Vec<Series>,
    /// Whether the names of the series are written.
    pub legend: bool,
}

impl Axes {
    /// An empty panel.
    pub fn new(title: &str, x: Axis, y: Axis) -> Self {
        Self { title: title.to_owned(), x, y, series: Vec::new(), legend: false }
    }

    /// Draws the panel; `frame` is the box between the axes.
    pub(crate) fn draw(&self, scene: &mut Scene, frame: Frame) {
        let xs = self.x.ends(self.series.iter().flat_map(|s| s.xs().iter().copied()));
        let ys = self.y.ends(self.series.iter().flat_map(Series::ys));
        let on_page = |x: f64, y: f64| -> Point {
            let far = |f: f64| f.clamp(-20.0, 20.0);
            (
                frame.left + frame.width * far(self.x.place(x, xs)),
                frame.bottom() - frame.height * far(self.y.place(y, ys)),
            )
        };
        self.marks(scene, frame, xs, ys);
        for series in &self.series {
            draw_series(scene, frame, series, &on_page);
        }
        scene.lines(vec![frame.outline()], Stroke::solid(0.8, INK));
        if self.legend {
            self.names(scene, frame);
        }
    }

    fn marks(&self, scene: &mut Scene, frame: Frame, xs: (f64, f64), ys: (f64, f64)) {
        let line = Stroke::solid(0.8, INK);
        let across = self.x.marks(xs, ((frame.width / 70.0) as usize).max(4));
        let up = self.y.marks(ys, (frame.height / 40.0).ceil() as usize);
        let text = |anchor| TextStyle { size: TEXT, anchor, colour: INK, upright: false };
        for (value, number) in &across.numbered {
            let x = frame.left + frame.width * self.x.place(*value, xs);
            if (frame.left - 0.1..=frame.right() + 0.1).contains(&x) {
                scene.lines(
                    vec![vec![(x, frame.top), (x, frame.bottom())]],
                    Stroke::solid(0.6, FAINT),
                );
                scene.lines(vec![vec![(x, frame.bottom()), (x, frame.bottom() + 4.0)]], line);
                if self.x.numbered {
                    scene.text(number, (x, frame.bottom() + 8.0 + TEXT), text(Anchor::Middle));
                }
            }
        }
        for (value, number) in &up.numbered {
            let y = frame.bottom() - frame.height * self.y.place(*value, ys);
            if (frame.top - 0.1..=frame.bottom() + 0.1).contains(&y) {
                scene.lines(
                    vec![vec![(frame.left, y), (frame.right(), y)]],
                    Stroke::solid(0.6, FAINT),
                );
                scene.lines(vec![vec![(frame.left - 4.0, y), (frame.left, y)]], line);
                if self.y.numbered {
                    let at = (frame.left - 7.0, y + 0.5 * TEXT);
                    scene.text(number, at, text(Anchor::Right));
                }
            }
        }
        let thin = Stroke::solid(0.5, INK);
        let short = |at: f64| vec![(at, frame.bottom()), (at, frame.bottom() + 2.2)];
        let small = across.small.iter().map(|v| frame.left + frame.width * self.x.place(*v, xs));
        scene.lines(small.map(short).collect(), thin);
        let short = |at: f64| vec![(frame.left - 2.2, at), (frame.left, at)];
        let small = up.small.iter().map(|v| frame.bottom() - frame.height * self.y.place(*v, ys));
        scene.lines(small.map(short).collect(), thin);
        let named = |own: &str, with_power: String| match with_power.is_empty() {
            true => own.to_owned(),
            false => with_power,
        };
        let middle = (frame.left + 0.5 * frame.width, frame.top + 0.5 * frame.height);
        if self.x.numbered {
            let at = (middle.0, frame.bottom() + 17.0 + 2.0 * TEXT);
            scene.text(&named(&self.x.label, across.label), at, text(Anchor::Middle));
        }
        if self.y.numbered {
            let style = TextStyle { upright: true, ..text(Anchor::Middle) };
            scene.text(&named(&self.y.label, up.label), (frame.left - 38.0, middle.1), style);
        }
        scene.text(&self.title, (middle.0, frame.top - 7.0), text(Anchor::Middle));
    }

    /// Names in the upper right corner.
    fn names(&self, scene: &mut Scene, frame: Frame) {
        let named: Vec<&Series> = self.series.iter().filter(|s| !s.name().is_empty()).collect();
        let style =
            TextStyle { size: 0.92 * TEXT, anchor: Anchor::Left, colour: INK, upright: false };
        let widest =
            named.iter().map(|s| crate::font::width(s.name(), style.size)).fold(0.0, f64::max);
        let step = 2.0 * TEXT;
        let width = widest + 34.0;
        let (left, top) = (frame.right() - width - 6.0, frame.top + 6.0);
        let back = Frame { left, top, width, height: step * named.len() as f64 + 4.0 };
        scene.area_within(frame, back.outline(), PAPER, 0.85);
        for (i, series) in named.iter().enumerate() {
            let y = top + 2.0 + step * (i as f64 + 0.5);
            let (from, to) = (left + 4.0, left + 24.0);
            match series {
                Series::Band { colour, .. } => {
                    let swatch = Frame { left: from, top: y - 4.0, width: 20.0, height: 8.0 };
                    scene.area_within(frame, swatch.outline(), *colour, 0.25);
                }
                Series::Dots { colour, .. } => dot(scene, frame, (0.5 * (from + to), y), *colour),
                Series::Line { stroke, .. } | Series::Steps { stroke, .. } => {
                    scene.lines(vec![vec![(from, y), (to, y)]], *stroke);
                }
            }
            scene.text(series.name(), (to + 6.0, y + 0.45 * TEXT), style);
        }
    }
}

fn draw_series(
    scene: &mut Scene,
    frame: Frame,
    series: &Series,
    on_page: &dyn Fn(f64, f64) -> Point,
) {
    let seen = |x: f64, y: f64| x.is_finite() && y.is_finite();
    match series {
        Series::Line { x, y, stroke, .. } => {
            let runs = x.iter().zip(y).collect::<Vec<_>>();
            let lines = runs
                .split(|(x, y)| !seen(**x, **y))
                .filter(|run| !run.is_empty())
                .map(|run| run.iter().map(|(x, y)| on_page(**x, **y)).collect())
                .collect();
            scene.lines_within(frame, lines, *stroke);
        }
        Series::Band { x, between, colour, .. } => {
            let all: Vec<(f64, (f64, f64))> = (x.iter().copied().zip(between.iter().copied()))
                .filter(|(x, (low, high))| seen(*x, *low) && high.is_finite())
                .collect();
            let lower = all.iter().map(|(x, b)| on_page(*x, b.0));
            let upper = all.iter().rev().map(|(x, b)| on_page(*x, b.1));
            scene.area_within(frame, lower.chain(upper).collect(), *colour, 0.25);
        }
        Series::Dots { x, y, error, .. } => {
            for (i, (&x, &y)) in x.iter().zip(y).enumerate().filter(|(_, (x, y))| seen(**x, **y)) {
                if let Some(e) = error.get(i).filter(|e| e.is_finite()) {
                    let bar = vec![on_page(x, y - e), on_page(x, y + e)];
                    scene.lines_within(frame, vec![bar], Stroke::solid(0.8, series.colour()));
                }
                dot(scene, frame, on_page(x, y), series.colour());
            }
        }
        Series::Steps { edges, heights, stroke, .. } => {
            let mut line = Vec::new();
            for (bin, &height) in edges.windows(2).zip(heights) {
                line.extend([on_page(bin[0], height), on_page(bin[1], height)]);
            }
            scene.lines_within(frame, vec![line], *stroke);
        }
    }
}

fn dot(scene: &mut Scene, frame: Frame, (x, y): Point, colour: Rgb) {
    let corner = |i: i32| {
        let angle = f64::from(i) * std::f64::consts::PI / 6.0;
        (x + 1.5 * angle.cos(), y + 1.5 * angle.sin())
    };
    scene.area_within(frame, (0..12).map(corner).collect(), colour, 1.0);
}
