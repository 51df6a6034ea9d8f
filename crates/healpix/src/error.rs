//! What can be wrong with a geometry request or a map set.

use crate::Nside;

/// What can be wrong with a geometry request or a map set.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HealpixError {
    /// A resolution that is not a power of two in range.
    #[error("nside {given} is not allowed: it must be a power of two from 1 to {}", Nside::MAX)]
    Nside {
        /// The value given.
        given: usize,
    },
    /// A pixel count that belongs to no resolution.
    #[error(
        "{given} pixels are not a HEALPix map: the count must be 12·nside² with nside a power of two (12, 48, 192, 768, 3072, …)"
    )]
    PixelCount {
        /// The value given.
        given: usize,
    },
    /// A pixel ordering that is neither RING nor NEST.
    #[error("pixel ordering {given:?} is not known: allowed are \"ring\" and \"nest\"")]
    Ordering {
        /// The text given.
        given: String,
    },
    /// A coordinate system that is none of the three known.
    #[error(
        "coordinate system {given:?} is not known: allowed are \"G\" (galactic), \"E\" (ecliptic) and \"C\" (equatorial)"
    )]
    Frame {
        /// The text given.
        given: String,
    },
    /// Two things that must share a resolution do not.
    #[error("nside {given} given where nside {allowed} is needed")]
    NsideMismatch {
        /// The resolution given.
        given: Nside,
        /// The resolution needed.
        allowed: Nside,
    },
    /// A map set without maps or without channels.
    #[error(
        "a map set needs at least one map and one channel: given {n_maps} maps of {n_channels} channels"
    )]
    EmptySet {
        /// Number of maps given.
        n_maps: usize,
        /// Number of channels given.
        n_channels: usize,
    },
    /// The channel names do not match the data.
    #[error("{names} channel names for data of {planes} channels: the two must agree")]
    ChannelCount {
        /// Number of names given.
        names: usize,
        /// Number of channels in the data.
        planes: usize,
    },
    /// A channel name given twice.
    #[error("channel {name:?} is named twice: channel names must differ")]
    DuplicateChannel {
        /// The name.
        name: String,
    },
    /// A channel that the set does not have.
    #[error("there is no channel {given:?}: the set has {}", available.join(", "))]
    NoChannel {
        /// The name asked for.
        given: String,
        /// The names there are.
        available: Vec<String>,
    },
    /// Only one of the channels Q and U where a rotation mixes the two.
    #[error("channel {present} cannot be rotated without channel {missing}: the set has {}", available.join(", "))]
    LonePolarisation {
        /// The channel that is there.
        present: &'static str,
        /// The channel that is not.
        missing: &'static str,
        /// The names there are.
        available: Vec<String>,
    },
    /// A map with missing pixels where the full sky is needed.
    #[error(
        "map {map}, channel {channel}: {bad} of {total} pixels are NaN, infinite or UNSEEN, the first is pixel {pixel}: the full sky is needed"
    )]
    NotFullSky {
        /// Index of the first map with a missing pixel.
        map: usize,
        /// Name of its first channel with one.
        channel: String,
        /// The first missing pixel there, in the ordering of the set.
        pixel: usize,
        /// How many pixels of that map and channel are missing.
        bad: usize,
        /// Number of pixels of a map.
        total: usize,
    },
    /// A mask that keeps nothing.
    #[error("the mask is empty: at least one of its {pixels} weights must be above zero")]
    EmptyMask {
        /// Number of pixels of the mask.
        pixels: usize,
    },
    /// A mask weight that is negative or not finite.
    #[error("mask weight {given} at pixel {pixel} is not allowed: weights are finite and ≥ 0")]
    MaskWeight {
        /// The pixel.
        pixel: usize,
        /// The weight given.
        given: f64,
    },
    /// A galactic cut outside 0..90 degrees.
    #[error("latitude cut of {given_deg} degrees is not allowed: it must be in [0, 90)")]
    LatitudeCut {
        /// The cut given, degrees.
        given_deg: f64,
    },
    /// A matrix that is not a rotation.
    #[error(
        "the matrix is not a rotation: it departs from orthonormal right-handed by {departure:e}, allowed is 1e-9"
    )]
    NotRotation {
        /// Largest departure of R·Rᵀ from 1, or of the determinant from 1.
        departure: f64,
    },
}
