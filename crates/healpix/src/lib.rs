//! HEALPix geometry and map sets.
//!
//! **What it is.** The equal-area pixelisation of Górski et al. (2005): rings,
//! pixel centres, both numberings, discs, neighbours, four-point interpolation,
//! resampling, rotations of the sky and of Q/U, masks, and [`MapSet`], the form
//! in which skies travel between the crates of this workspace.
//!
//! **What it is not.** No harmonic transforms, no wavelets, no files: nothing
//! here reads or writes. Resolutions stop at nside 8192.
//!
//! **Who should use it.** Anyone who needs HEALPix indices that agree with
//! healpy's, or who makes tables of pixels for other layers.
//!
//! **What it may depend on.** `ndarray` and `thiserror`, nothing else.
//!
//! Angles are radians by name (`theta_rad` is the colatitude); functions of one
//! pixel panic on a pixel out of range, which is a programmer's error, while
//! everything that takes user input returns [`HealpixError`].

mod disc;
mod error;
mod faces;
mod interpolation;
mod map;
mod mapset;
mod mask;
mod neighbours;
mod nside;
mod ordering;
mod pixels;
mod resample;
mod rings;
mod rotation;

pub use disc::query_disc;
pub use error::HealpixError;
pub use faces::{
    nest_to_ring_table, nest2ring, reorder, ring_position, ring_to_nest_table, ring2nest,
};
pub use interpolation::interpolation;
pub use map::Map;
pub use mapset::MapSet;
pub use mask::Mask;
pub use neighbours::{neighbours, neighbours_of};
pub use nside::Nside;
pub use ordering::{NestOrder, Ordering, PixelOrder, RingOrder};
pub use pixels::{
    Centres, LocalFrame, ang2pix, angle_between, centre_vectors, centres, corners, local_frame,
    max_pixel_radius, pix2ang, pix2vec, vec2pix,
};
pub use resample::{UNSEEN, children, is_seen, is_unseen, parent, ud_grade};
pub use rings::{Ring, ring, rings};
pub use rotation::{Frame, Rotation, rotate_map};
