//! Figures of sky maps, spectra and matrices, as SVG and PNG.
//!
//! **What it is.** A [`Figure`] is rows of panels: curves between axes ([`Axes`]),
//! matrices as colours ([`Matrix`]), maps in Mollweide or gnomonic projection
//! ([`SkyMap`]), and one colour bar. Drawing gives a [`Scene`], which becomes SVG or
//! PNG. Letters are lines of a stroke font of its own, so that figures are the same
//! on every machine.
//!
//! **What it is not.** No general plotting library, no writer of files, and no place
//! where numbers are computed: it gives text and bytes, and the caller writes them.
//!
//! **Who should use it.** The command line, reports, and anyone who wants a map on
//! a page.
//!
//! **What it may depend on.** `skyscat-healpix` for pixels, tiny-skia for the
//! raster, and the encoders.
//!
//! ```
//! use skyscat_plot::{Axes, Axis, Figure, PALETTE, Panel, Row, Series, Stroke};
//! let mut axes = Axes::new("a parabola", Axis::linear("x"), Axis::linear("x²"));
//! let x: Vec<f64> = (0..50).map(f64::from).collect();
//! let y = x.iter().map(|x| x * x).collect();
//! axes.series.push(Series::Line { x, y, stroke: Stroke::solid(1.5, PALETTE[0]), name: "".into() });
//! let mut figure = Figure::new("", 400.0);
//! figure.rows.push(Row { height: 200.0, panels: vec![Panel::Axes(axes)] });
//! let scene = figure.draw()?;
//! assert!(scene.to_png(2.0)?.starts_with(b"\x89PNG"));
//! assert!(scene.to_svg()?.starts_with("<svg"));
//! # Ok::<(), skyscat_plot::PlotError>(())
//! ```

mod axes;
mod axis;
mod bar;
mod colormap;
mod figure;
mod font;
mod image;
mod matrix;
mod raster;
mod scale;
mod scene;
mod sky;
mod svg;

pub use axes::{Axes, Series};
pub use axis::{Axis, Scale};
pub use bar::ColourBar;
pub use colormap::{Colormap, Rgb};
pub use figure::{Figure, Panel, Row};
pub use image::Image;
pub use matrix::Matrix;
pub use scene::{Anchor, Frame, Point, Scene, Stroke, TextStyle};
pub use sky::{Projection, SkyMap, natural_range};

/// Colours of lines, told apart by most eyes: Okabe and Ito (2008).
pub const PALETTE: [Rgb; 7] = [
    [0, 114, 178],
    [213, 94, 0],
    [0, 158, 115],
    [204, 121, 167],
    [230, 159, 0],
    [86, 180, 233],
    [90, 90, 90],
];

/// Colour of the paper.
const PAPER: Rgb = [255; 3];
/// Colour of text and axes.
const INK: Rgb = [30; 3];
/// Height of capitals in points.
const TEXT: f64 = 7.2;

/// What can be wrong with a figure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlotError {
    /// A setting outside its range.
    #[error("{name} = {given} is not allowed: {allowed}")]
    Setting {
        /// Name of the setting.
        name: &'static str,
        /// The value given.
        given: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// Values that are no full map.
    #[error(transparent)]
    Healpix(#[from] skyscat_healpix::HealpixError),
    /// The encoder.
    #[error("png: {0}")]
    Png(#[from] png::EncodingError),
}

/// Refuses a range that is no range.
fn check_range((low, high): (f64, f64)) -> Result<(), PlotError> {
    if low.is_finite() && high.is_finite() && low < high {
        return Ok(());
    }
    Err(PlotError::Setting {
        name: "range",
        given: format!("{low}, {high}"),
        allowed: "two finite numbers, the lower first",
    })
}
