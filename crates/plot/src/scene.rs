//! What is drawn: lines, areas, images and text, in points from the top left.

use crate::font;
use crate::{Image, Rgb};

/// A place, x to the right and y downwards, in points.
pub type Point = (f64, f64);

/// A box: left, top, width, height, in points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame {
    /// Left edge.
    pub left: f64,
    /// Upper edge.
    pub top: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

impl Frame {
    /// Right edge.
    pub fn right(&self) -> f64 {
        self.left + self.width
    }

    /// Lower edge.
    pub fn bottom(&self) -> f64 {
        self.top + self.height
    }

    /// The corners, the first again at the end.
    pub(crate) fn outline(&self) -> Vec<Point> {
        let (l, t, r, b) = (self.left, self.top, self.right(), self.bottom());
        vec![(l, t), (r, t), (r, b), (l, b), (l, t)]
    }
}

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stroke {
    /// Width in points.
    pub width: f64,
    /// Colour.
    pub colour: Rgb,
    /// Length of dashes and of the gaps between them.
    pub dash: Option<f64>,
}

impl Stroke {
    /// A solid line.
    pub fn solid(width: f64, colour: Rgb) -> Self {
        Self { width, colour, dash: None }
    }

    /// A dashed line.
    pub fn dashed(width: f64, colour: Rgb) -> Self {
        Self { width, colour, dash: Some(4.0 * width) }
    }
}

/// One thing in a picture.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    Lines { lines: Vec<Vec<Point>>, stroke: Stroke, clip: Option<Frame> },
    Area { points: Vec<Point>, colour: Rgb, opacity: f64, clip: Option<Frame> },
    Picture { image: Image, frame: Frame },
}

/// Where a text is fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// At its beginning.
    Left,
    /// In its middle.
    Middle,
    /// At its end.
    Right,
}

/// How a text looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TextStyle {
    /// Height of capitals in points.
    pub size: f64,
    /// Where it is fixed.
    pub anchor: Anchor,
    /// Colour.
    pub colour: Rgb,
    /// Whether it runs upwards.
    pub upright: bool,
}

/// A picture on white paper. Things added later lie above.
#[derive(Clone, Debug)]
pub struct Scene {
    width: f64,
    height: f64,
    title: String,
    pub(crate) items: Vec<Item>,
}

impl Scene {
    /// Empty paper; the title is for readers that cannot see the picture.
    pub fn new(width: f64, height: f64, title: &str) -> Self {
        Self { width, height, title: title.to_owned(), items: Vec::new() }
    }

    /// Width in points.
    pub fn width(&self) -> f64 {
        self.width
    }

    /// Height in points.
    pub fn height(&self) -> f64 {
        self.height
    }

    /// What the picture shows.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Lines of one look.
    pub fn lines(&mut self, lines: Vec<Vec<Point>>, stroke: Stroke) {
        self.items.push(Item::Lines { lines, stroke, clip: None });
    }

    /// Lines, and nothing of them outside a frame.
    pub fn lines_within(&mut self, frame: Frame, lines: Vec<Vec<Point>>, stroke: Stroke) {
        self.items.push(Item::Lines { lines, stroke, clip: Some(frame) });
    }

    /// A filled polygon, and nothing of it outside a frame.
    pub fn area_within(&mut self, frame: Frame, points: Vec<Point>, colour: Rgb, opacity: f64) {
        self.items.push(Item::Area { points, colour, opacity, clip: Some(frame) });
    }

    /// An image stretched over a frame, its pixels left square-edged.
    pub fn picture(&mut self, image: Image, frame: Frame) {
        self.items.push(Item::Picture { image, frame });
    }

    /// A text with its baseline at a point; `^{…}` raises, `_{…}` lowers.
    pub fn text(&mut self, text: &str, at: Point, style: TextStyle) {
        let length = font::width(text, style.size);
        let shift = match style.anchor {
            Anchor::Left => 0.0,
            Anchor::Middle => -0.5 * length,
            Anchor::Right => -length,
        };
        let place = |(x, y): Point| match style.upright {
            false => (at.0 + shift + x, at.1 + y),
            true => (at.0 + y, at.1 - shift - x),
        };
        let lines: Vec<Vec<Point>> = font::strokes(text, style.size)
            .into_iter()
            .map(|line| line.into_iter().map(place).collect())
            .collect();
        if !lines.is_empty() {
            self.lines(lines, Stroke::solid(0.115 * style.size, style.colour));
        }
    }
}
