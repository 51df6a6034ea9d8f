//! HEALPix maps in FITS binary tables (FITS 4.0, Sects. 4 and 7.3).

mod columns;
mod header;
mod healpix;
mod table;
mod write;

pub use columns::{FitsColumn, write_fits_table};
pub use header::{HeaderCard, HeaderValue};
pub(crate) use healpix::{FitsMaps, read_fits_maps};
pub(crate) use write::write_fits_map;
pub use write::{FitsOptions, write_fits};
