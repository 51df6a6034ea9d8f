//! Panels in rows, on one page.

use crate::scene::{Anchor, Frame, Scene, TextStyle};
use crate::{Axes, ColourBar, INK, Matrix, PlotError, SkyMap, TEXT};

/// One panel.
#[derive(Clone, Debug)]
pub enum Panel {
    /// Curves.
    Axes(Axes),
    /// A matrix as colours.
    Matrix(Matrix),
    /// A map.
    Sky(SkyMap),
    /// Nothing.
    Empty,
}

/// Panels side by side, of equal width.
#[derive(Clone, Debug)]
pub struct Row {
    /// Height of the axes' frames in points; maps and matrices take what they need.
    pub height: f64,
    /// The panels.
    pub panels: Vec<Panel>,
}

/// A page of rows of panels.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Title above all; empty for none.
    pub title: String,
    /// Width in points.
    pub width: f64,
    /// The rows, from the top.
    pub rows: Vec<Row>,
    /// What the colours of maps and matrices mean.
    pub bar: Option<ColourBar>,
    /// Image pixels of maps and matrices a point.
    pub resolution: f64,
}

/// Space around the page.
const MARGIN: f64 = 10.0;

/// Space around the frame of a panel: left, right, top, bottom.
struct Space {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Panel {
    fn space(&self) -> Space {
        let titled = |title: &str| if title.is_empty() { 5.0 } else { 9.0 + 2.0 * TEXT };
        match self {
            Self::Axes(axes) => Space {
                left: if axes.y.numbered { 50.0 } else { 8.0 },
                right: 12.0,
                top: titled(&axes.title),
                bottom: if axes.x.numbered { 24.0 + 2.0 * TEXT } else { 6.0 },
            },
            Self::Matrix(matrix) => {
                Space { left: 40.0, right: 10.0, top: titled(&matrix.title), bottom: 26.0 }
            }
            Self::Sky(map) => Space { left: 4.0, right: 4.0, top: titled(&map.title), bottom: 6.0 },
            Self::Empty => Space { left: 0.0, right: 0.0, top: 0.0, bottom: 0.0 },
        }
    }

    /// Height of the frame in a cell of this width, in a row of this height.
    fn height(&self, cell: f64, row: f64) -> f64 {
        let Space { left, right, .. } = self.space();
        let width = cell - left - right;
        match self {
            Self::Axes(_) => row,
            Self::Matrix(m) => width * m.rows as f64 / (m.values.len() as f64 / m.rows as f64),
            Self::Sky(map) => width * map.projection.aspect(),
            Self::Empty => 0.0,
        }
    }

    fn check(&self) -> Result<(), PlotError> {
        match self {
            Self::Matrix(matrix) => matrix.check(),
            Self::Sky(map) => map.check(),
            Self::Axes(_) | Self::Empty => Ok(()),
        }
    }
}

impl Figure {
    /// A page of this width without rows.
    pub fn new(title: &str, width: f64) -> Self {
        Self { title: title.to_owned(), width, rows: Vec::new(), bar: None, resolution: 2.0 }
    }

    /// Lays out and draws the page.
    ///
    /// # Errors
    /// [`PlotError::Setting`] for a width without room for the panels, a matrix of
    /// broken rows, a bad range or view; [`PlotError::Healpix`] for values that are
    /// no full map.
    pub fn draw(&self) -> Result<Scene, PlotError> {
        let most = self.rows.iter().map(|row| row.panels.len()).max().unwrap_or(0);
        let room = self.width - 2.0 * MARGIN;
        if most == 0 || room / (most as f64) < 80.0 {
            return Err(PlotError::Setting {
                name: "figure",
                given: format!("{most} panels in a row {} points wide", self.width),
                allowed: "at least one panel, and 80 points for each",
            });
        }
        for panel in self.rows.iter().flat_map(|row| &row.panels) {
            panel.check()?;
        }
        let top = if self.title.is_empty() { MARGIN } else { MARGIN + 3.0 * TEXT };
        let height_of = |row: &Row| {
            let cell = room / row.panels.len() as f64;
            let of = |p: &Panel| {
                let space = p.space();
                p.height(cell, row.height) + space.top + space.bottom
            };
            row.panels.iter().map(of).fold(0.0, f64::max)
        };
        let heights: Vec<f64> = self.rows.iter().map(height_of).collect();
        let bar = if self.bar.is_some() { ColourBar::HEIGHT } else { 0.0 };
        let height = top + heights.iter().sum::<f64>() + bar + MARGIN;
        let mut scene = Scene::new(self.width, height, &self.title);
        let style =
            TextStyle { size: 1.15 * TEXT, anchor: Anchor::Middle, colour: INK, upright: false };
        scene.text(&self.title, (0.5 * self.width, MARGIN + 1.3 * TEXT), style);
        let mut y = top;
        for (row, height) in self.rows.iter().zip(&heights) {
            let cell = room / row.panels.len() as f64;
            for (i, panel) in row.panels.iter().enumerate() {
                let space = panel.space();
                let frame = Frame {
                    left: MARGIN + i as f64 * cell + space.left,
                    top: y + space.top,
                    width: cell - space.left - space.right,
                    height: panel.height(cell, row.height),
                };
                match panel {
                    Panel::Axes(axes) => axes.draw(&mut scene, frame),
                    Panel::Matrix(matrix) => matrix.draw(&mut scene, frame, self.resolution),
                    Panel::Sky(map) => map.draw(&mut scene, frame, self.resolution),
                    Panel::Empty => {}
                }
            }
            y += height;
        }
        if let Some(bar) = &self.bar {
            let frame = Frame { left: MARGIN, top: y, width: room, height: ColourBar::HEIGHT };
            bar.draw(&mut scene, frame);
        }
        Ok(scene)
    }
}
