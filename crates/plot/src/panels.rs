//! Maps in one row, with titles and one colour bar.

use crate::font::{self, Anchor};
use crate::mollweide::Sphere;
use crate::scale::{engineering, label, ticks};
use crate::{Canvas, Colormap, PlotError, Rgb};
use skyscat_healpix::{Nside, Ordering, is_seen};

const PAPER: Rgb = [255; 3];
const INK: Rgb = [30; 3];

/// One map of a row.
#[derive(Clone, Debug)]
pub struct Panel<'a> {
    /// Values, one a pixel.
    pub values: &'a [f64],
    /// Their ordering.
    pub ordering: Ordering,
    /// Title above the map.
    pub title: String,
}

/// How a row is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct RowConfig {
    /// Width of the picture in pixels; the height follows.
    pub width: usize,
    /// Values at the ends of the colour bar.
    pub range: (f64, f64),
    /// The colours.
    pub colormap: Colormap,
    /// Unit of the values.
    pub unit: Option<String>,
}

impl RowConfig {
    /// 1600 pixels wide, with colours from −`largest` to `largest`.
    pub fn symmetric(largest: f64, colormap: Colormap) -> Self {
        Self { width: 1600, range: (-largest, largest), colormap, unit: None }
    }

    fn check(&self, panels: &[Panel<'_>]) -> Result<(), PlotError> {
        let refuse =
            |name, given: String, allowed| Err(PlotError::Setting { name, given, allowed });
        if panels.is_empty() || panels.len() > 12 {
            return refuse("panels", panels.len().to_string(), "1 to 12 maps in a row");
        }
        if !(100..=16_000).contains(&self.width) {
            return refuse("width", self.width.to_string(), "100 to 16000 pixels");
        }
        let (low, high) = self.range;
        if !(low.is_finite() && high.is_finite() && low < high) {
            return refuse(
                "range",
                format!("{low}, {high}"),
                "two finite numbers, the lower first",
            );
        }
        Ok(())
    }
}

/// The range that holds 99 % of the values: symmetric about 0 if they have both
/// signs. `None` without any seen value.
pub(crate) fn natural_range(values: &[f64]) -> Option<(f64, f64)> {
    let mut seen: Vec<f64> = values.iter().copied().filter(|&v| is_seen(v)).collect();
    seen.sort_by(f64::total_cmp);
    let (&least, &most) = (seen.first()?, seen.last()?);
    if least < 0.0 && most > 0.0 {
        let mut sizes: Vec<f64> = seen.iter().map(|v| v.abs()).collect();
        sizes.sort_by(f64::total_cmp);
        let size = sizes[(0.99 * (sizes.len() - 1) as f64) as usize];
        return Some((-size, size));
    }
    let at = |f: f64| seen[(f * (seen.len() - 1) as f64) as usize];
    let (low, high) = (at(0.005), at(0.995));
    // A constant map still needs two ends.
    let margin = if high > low { 0.0 } else { high.abs().max(1.0) * 0.5 };
    Some((low - margin, high + margin))
}

impl Panel<'_> {
    /// The range that holds 99 % of the values, symmetric if they have both signs.
    pub fn natural_range(&self) -> Option<(f64, f64)> {
        natural_range(self.values)
    }
}

/// Sizes of a row, in pixels.
struct Layout {
    margin: f64,
    panel: f64,
    gap: f64,
    title: f64,
    text: f64,
    bar_top: f64,
    bar_height: f64,
    height: usize,
}

impl Layout {
    fn new(panels: &[Panel<'_>], width: f64) -> Self {
        let count = panels.len() as f64;
        let margin = 0.018 * width;
        let gap = 0.016 * width;
        let panel = (width - 2.0 * margin - (count - 1.0) * gap) / count;
        let text = (0.0105 * width).max(7.0);
        let title_text = (0.012 * width).max(8.0);
        let titled = panels.iter().any(|p| !p.title.is_empty());
        let title = if titled { margin + 1.9 * title_text } else { margin };
        let bar_top = title + 0.5 * panel + 0.016 * width;
        let bar_height = 0.0125 * width;
        let height = (bar_top + bar_height + 2.5 * text + 0.012 * width).ceil() as usize;
        Self { margin, panel, gap, title, text, bar_top, bar_height, height }
    }
}

/// Draws maps side by side, all in the same colours.
///
/// # Errors
/// [`PlotError::Setting`] for no panels, a bad range or width;
/// [`PlotError::Healpix`] for values that are no full map.
pub fn row(panels: &[Panel<'_>], config: &RowConfig) -> Result<Canvas, PlotError> {
    config.check(panels)?;
    let resolutions =
        panels.iter().map(|p| Nside::from_npix(p.values.len())).collect::<Result<Vec<_>, _>>()?;
    let layout = Layout::new(panels, config.width as f64);
    let mut canvas = Canvas::new(config.width, layout.height, PAPER);
    for (i, (panel, nside)) in panels.iter().zip(resolutions).enumerate() {
        let left = layout.margin + i as f64 * (layout.panel + layout.gap);
        let sphere = Sphere {
            values: panel.values,
            nside,
            ordering: panel.ordering,
            range: config.range,
            colormap: config.colormap,
        };
        sphere.draw(&mut canvas, (left, layout.title), layout.panel);
        let mut size = (0.012 * config.width as f64).max(8.0);
        let natural = font::width(&panel.title, size);
        size *= (layout.panel / natural.max(1.0)).min(1.0);
        let at = (left + 0.5 * layout.panel, layout.title - 0.9 * size);
        font::write(&mut canvas, &panel.title, at, size, (Anchor::Middle, INK));
    }
    colour_bar(&mut canvas, &layout, config);
    Ok(canvas)
}

fn colour_bar(canvas: &mut Canvas, layout: &Layout, config: &RowConfig) {
    let width = config.width as f64;
    let length = 0.42 * width;
    let left = 0.5 * (width - length);
    let (top, bottom) = (layout.bar_top, layout.bar_top + layout.bar_height);
    for x in 0..length as usize {
        let colour = config.colormap.at((x as f64 + 0.5) / length).map(f64::from);
        for y in top as i64..bottom as i64 {
            canvas.blend((left + x as f64) as i64, y, colour, 1.0);
        }
    }
    let (left, right) = (left.floor(), (left + length).floor());
    let (top, bottom) = (top.floor(), bottom.floor());
    let line = (width / 1400.0).max(1.0);
    let frame = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
    for side in frame.windows(2) {
        canvas.stroke(side, line, INK);
    }
    let (low, high) = config.range;
    let (factor, unit) = engineering(low.abs().max(high.abs()), config.unit.as_deref());
    let (low, high) = (low * factor, high * factor);
    let marks = ticks((low, high), 5);
    let step = if marks.len() > 1 { marks[1] - marks[0] } else { high - low };
    let baseline = bottom + 1.95 * layout.text;
    for &mark in &marks {
        let x = left + (mark - low) / (high - low) * (right - left);
        canvas.stroke(&[(x, bottom), (x, bottom + 0.45 * layout.text)], line, INK);
        let text = label(mark, step);
        // The minus sign hangs to the left, so that digits stand under the mark.
        let hang = if mark < 0.0 { font::width("\u{2212}", layout.text) * 0.5 } else { 0.0 };
        font::write(canvas, &text, (x - hang, baseline), layout.text, (Anchor::Middle, INK));
    }
    let at = (right + 1.1 * layout.text, 0.5 * (top + bottom) + 0.5 * layout.text);
    font::write(canvas, &unit, at, layout.text, (Anchor::Left, INK));
}
