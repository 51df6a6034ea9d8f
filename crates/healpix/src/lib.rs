//! HEALPix geometry: resolutions, rings, pixels, neighbours, interpolation and map sets.

mod nside;
mod rings;

pub use nside::{HealpixError, Nside};
pub use rings::{Ring, ring, rings};
