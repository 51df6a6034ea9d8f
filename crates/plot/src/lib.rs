//! Mollweide pictures of HEALPix maps as PNG.
//!
//! **What it is.** One function, [`row`], that draws maps side by side with
//! titles and one colour bar, and the parts it is made of: a canvas, colour
//! maps, tick marks, and a stroke font of its own, so that pictures are the
//! same on every machine.
//!
//! **What it is not.** No general plotting library and no writer of files: it
//! gives the bytes of a PNG, and the caller writes them.
//!
//! **Who should use it.** The command line, and anyone who wants a map on a page.
//!
//! **What it may depend on.** `skyscat-healpix` for pixels, and the png encoder.
//!
//! ```
//! use skyscat_healpix::Ordering;
//! use skyscat_plot::{Colormap, Panel, RowConfig, row};
//! let values: Vec<f64> = (0..192).map(f64::from).collect();
//! let panel = Panel { values: &values, ordering: Ordering::Ring, title: "ramp".into() };
//! let config = RowConfig { width: 400, ..RowConfig::symmetric(192.0, Colormap::Planck) };
//! let png = row(&[panel], &config)?.to_png()?;
//! assert!(png.starts_with(b"\x89PNG"));
//! # Ok::<(), skyscat_plot::PlotError>(())
//! ```

mod canvas;
mod colormap;
mod font;
mod mollweide;
mod panels;
mod scale;

pub use canvas::Canvas;
pub use colormap::{Colormap, Rgb};
pub use panels::{Panel, RowConfig, row};

/// What can be wrong with a picture.
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
