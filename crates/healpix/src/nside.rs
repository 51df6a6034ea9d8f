//! The resolution parameter.

use crate::HealpixError;
use std::fmt;

/// A resolution: a power of two from 1 to 8192.
///
/// The sphere has `npix = 12 nside²` pixels of equal area 4π/npix (Górski et
/// al. 2005, Eq. 5).
///
/// ```
/// use skyscat_healpix::Nside;
/// let nside = Nside::new(16)?;
/// assert_eq!((nside.npix(), nside.order()), (3072, 4));
/// assert!(Nside::new(12).is_err());
/// # Ok::<(), skyscat_healpix::HealpixError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nside(u32);

impl Nside {
    /// Largest resolution accepted (805 million pixels).
    pub const MAX: usize = 8192;

    /// A resolution from its number.
    ///
    /// # Errors
    /// [`HealpixError::Nside`] unless `nside` is a power of two in 1..=8192.
    pub fn new(nside: usize) -> Result<Self, HealpixError> {
        if nside.is_power_of_two() && nside <= Self::MAX {
            Ok(Self(nside as u32))
        } else {
            Err(HealpixError::Nside { given: nside })
        }
    }

    /// The resolution whose maps have `npix` pixels.
    ///
    /// # Errors
    /// [`HealpixError::PixelCount`] if there is none.
    pub fn from_npix(npix: usize) -> Result<Self, HealpixError> {
        let nside = ((npix / 12) as f64).sqrt().round() as usize;
        match Self::new(nside) {
            Ok(found) if found.npix() == npix => Ok(found),
            _ => Err(HealpixError::PixelCount { given: npix }),
        }
    }

    /// The number itself.
    pub fn get(self) -> usize {
        self.0 as usize
    }

    /// Number of pixels, 12 nside².
    pub fn npix(self) -> usize {
        12 * self.get() * self.get()
    }

    /// log2 of the resolution.
    pub fn order(self) -> u32 {
        self.0.trailing_zeros()
    }

    /// Half the resolution, or `None` at nside 1.
    pub fn coarser(self) -> Option<Self> {
        (self.0 > 1).then_some(Self(self.0 / 2))
    }

    /// Twice the resolution.
    ///
    /// # Errors
    /// [`HealpixError::Nside`] beyond [`Nside::MAX`].
    pub fn finer(self) -> Result<Self, HealpixError> {
        Self::new(2 * self.get())
    }
}

impl fmt::Display for Nside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
