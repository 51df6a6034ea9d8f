//! A matrix as colours.

use crate::scene::{Anchor, Frame, Scene, Stroke, TextStyle};
use crate::{Colormap, INK, Image, PlotError, TEXT};

/// A matrix, its first row at the top.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// Title above it; empty for none.
    pub title: String,
    /// Values, row by row.
    pub values: Vec<f64>,
    /// Number of rows; every row has `values.len() / rows` values.
    pub rows: usize,
    /// Number of the first row and column, for the marks.
    pub first: usize,
    /// What a row or column counts for on the marks: 10 if every tenth is given.
    pub step: f64,
    /// Values of the first and the last colour.
    pub range: (f64, f64),
    /// The colours.
    pub colormap: Colormap,
}

impl Matrix {
    pub(crate) fn check(&self) -> Result<(), PlotError> {
        if self.rows == 0 || self.values.is_empty() || !self.values.len().is_multiple_of(self.rows)
        {
            return Err(PlotError::Setting {
                name: "matrix",
                given: format!("{} values in {} rows", self.values.len(), self.rows),
                allowed: "full rows, at least one",
            });
        }
        crate::check_range(self.range)
    }

    /// At most `pixels` a side; of a larger matrix evenly spread rows and columns are
    /// shown, not averaged, so that noise keeps its size.
    fn image(&self, pixels: usize) -> Image {
        let columns = self.values.len() / self.rows;
        let (width, height) = (columns.min(pixels), self.rows.min(pixels));
        Image::from_fn(width, height, |x, y| {
            let (row, column) = (y * self.rows / height, x * columns / width);
            let value = self.values[row * columns + column];
            let t = (value - self.range.0) / (self.range.1 - self.range.0);
            (self.colormap.at(t), 255)
        })
    }

    pub(crate) fn draw(&self, scene: &mut Scene, frame: Frame, resolution: f64) {
        scene.picture(self.image((frame.width * resolution) as usize), frame);
        scene.lines(vec![frame.outline()], Stroke::solid(0.8, INK));
        let style = |anchor| TextStyle { size: TEXT, anchor, colour: INK, upright: false };
        let columns = self.values.len() / self.rows;
        let first = self.first as f64;
        let span = |n: usize| n as f64 * self.step;
        let ends = |n: usize| (first, first + span(n));
        let line = Stroke::solid(0.8, INK);
        for value in crate::scale::ticks(ends(columns), 4) {
            let x = frame.left + frame.width * (value - first) / span(columns);
            scene.lines(vec![vec![(x, frame.bottom()), (x, frame.bottom() + 4.0)]], line);
            let at = (x, frame.bottom() + 8.0 + TEXT);
            scene.text(&format!("{value}"), at, style(Anchor::Middle));
        }
        for value in crate::scale::ticks(ends(self.rows), 4) {
            let y = frame.top + frame.height * (value - first) / span(self.rows);
            scene.lines(vec![vec![(frame.left - 4.0, y), (frame.left, y)]], line);
            let at = (frame.left - 7.0, y + 0.5 * TEXT);
            scene.text(&format!("{value}"), at, style(Anchor::Right));
        }
        let middle = frame.left + 0.5 * frame.width;
        scene.text(&self.title, (middle, frame.top - 7.0), style(Anchor::Middle));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_matrices_are_thinned_and_keep_their_diagonal() {
        let n = 100;
        let values = (0..n * n).map(|i| f64::from(u8::from(i / n == i % n))).collect();
        let (title, range, colormap) = (String::new(), (0.0, 1.0), Colormap::RdBu);
        let matrix = Matrix { title, values, rows: n, first: 0, step: 1.0, range, colormap };
        let image = matrix.image(30);
        assert_eq!(image.width(), 30);
        assert!((0..30).all(|i| image.pixel(i, i) == colormap.at(1.0)));
        assert_eq!(image.pixel(4, 5), colormap.at(0.0));
        assert!(Matrix { rows: 7, ..matrix }.check().is_err());
    }
}
