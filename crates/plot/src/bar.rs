//! The colour bar.

use crate::font;
use crate::scale::{engineering, label, ticks};
use crate::scene::{Anchor, Frame, Scene, Stroke, TextStyle};
use crate::{Colormap, INK, Image, TEXT};

/// What colours mean.
#[derive(Clone, Debug, PartialEq)]
pub struct ColourBar {
    /// Values of the first and the last colour.
    pub range: (f64, f64),
    /// The colours.
    pub colormap: Colormap,
    /// Unit of the values; one that begins with K takes prefixes.
    pub unit: String,
}

impl ColourBar {
    /// Height with its numbers.
    pub(crate) const HEIGHT: f64 = 36.0;

    /// Draws the bar into a frame of `HEIGHT`.
    pub(crate) fn draw(&self, scene: &mut Scene, frame: Frame) {
        let width = (0.5 * frame.width).clamp(120.0, 420.0).min(frame.width);
        let left = frame.left + 0.5 * (frame.width - width);
        let bar = Frame { left, top: frame.top + 4.0, width, height: 10.0 };
        let steps = 256;
        let strip = Image::from_fn(steps, 1, |x, _| {
            (self.colormap.at((x as f64 + 0.5) / steps as f64), 255)
        });
        scene.picture(strip, bar);
        scene.lines(vec![bar.outline()], Stroke::solid(0.7, INK));
        let (low, high) = self.range;
        let (factor, unit) = engineering(low.abs().max(high.abs()), Some(&self.unit));
        let (low, high) = (low * factor, high * factor);
        let marks = ticks((low, high), 5);
        let step = if marks.len() > 1 { marks[1] - marks[0] } else { high - low };
        let style = |anchor| TextStyle { size: TEXT, anchor, colour: INK, upright: false };
        let baseline = bar.bottom() + 7.0 + TEXT;
        for &mark in &marks {
            let x = left + (mark - low) / (high - low) * width;
            scene.lines(
                vec![vec![(x, bar.bottom()), (x, bar.bottom() + 3.5)]],
                Stroke::solid(0.7, INK),
            );
            // The minus sign hangs to the left, so that digits stand under the mark.
            let hang = if mark < 0.0 { 0.5 * font::width("\u{2212}", TEXT) } else { 0.0 };
            scene.text(&label(mark, step), (x - hang, baseline), style(Anchor::Middle));
        }
        let at = (bar.right() + 8.0, bar.top + 5.0 + 0.5 * TEXT);
        scene.text(&unit, at, style(Anchor::Left));
    }
}
