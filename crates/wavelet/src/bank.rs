//! Which wavelets: size, number of orientations, and the frame they turn in.

use std::f64::consts::PI;

/// Size of the kernels on the pixel grid (Campeti et al. 2025, Appendix A.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KernelSize {
    /// 3×3: 8 to 13 pixels around the centre.
    Three,
    /// 5×5, on maps upgraded to twice their Nside.
    Five,
    /// 7×7, on maps upgraded to four times their Nside.
    Seven,
}

impl KernelSize {
    /// The size whose side is `side` pixels.
    ///
    /// # Errors
    /// [`WaveletError::KernelSize`] unless `side` is 3, 5 or 7.
    pub fn from_side(side: usize) -> Result<Self, WaveletError> {
        match side {
            3 => Ok(Self::Three),
            5 => Ok(Self::Five),
            7 => Ok(Self::Seven),
            _ => Err(WaveletError::KernelSize { given: side }),
        }
    }

    /// Side in pixels.
    pub fn side(self) -> usize {
        match self {
            Self::Three => 3,
            Self::Five => 5,
            Self::Seven => 7,
        }
    }

    /// Doublings of Nside before the first convolution.
    pub fn upgrades(self) -> u32 {
        match self {
            Self::Three => 0,
            Self::Five => 1,
            Self::Seven => 2,
        }
    }

    /// Wave number p of the oscillation, in units of π a pixel side.
    pub(crate) fn wave_number(self) -> f64 {
        match self {
            Self::Three => std::f64::consts::FRAC_1_SQRT_2,
            Self::Five | Self::Seven => 0.5,
        }
    }

    /// Width p₂ of the envelope exp(−p₂ n² chord²).
    pub(crate) fn envelope(self) -> f64 {
        match self {
            Self::Three => 1.0,
            Self::Five => 0.5,
            Self::Seven => 0.25,
        }
    }

    /// Pixels are kept where the squared envelope exceeds this.
    pub(crate) fn threshold(self) -> f64 {
        match self {
            Self::Three => 1e-3,
            Self::Five => 2e-4,
            Self::Seven => 4e-5,
        }
    }
}

/// The angle from which orientations are counted, at each pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Frame {
    /// Polar-parallel frame of the hemisphere that the centre lies in
    /// (Campeti et al. 2025, Fig. A.1); the equator counts as north.
    Centre,
    /// As HealpixML 1.0.0: the hemisphere of each neighbour, and steps of π/4
    /// whatever the number of orientations; refused unless that is 4.
    Neighbour,
    /// The local meridian.
    Meridian,
}

/// A family of oriented wavelets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FilterBank {
    /// Size of the kernels.
    pub kernel: KernelSize,
    /// Number of orientations R, in steps of π/R.
    pub orientations: usize,
    /// Where orientations are counted from.
    pub frame: Frame,
}

impl FilterBank {
    /// The paper's bank: 3×3, four orientations, polar-parallel frame.
    pub fn campeti2025() -> Self {
        Self { kernel: KernelSize::Three, orientations: 4, frame: Frame::Centre }
    }

    /// The bank of HealpixML 1.0.0.
    pub fn healpixml() -> Self {
        Self { frame: Frame::Neighbour, ..Self::campeti2025() }
    }

    /// Checks that the parts fit together.
    ///
    /// # Errors
    /// [`WaveletError::Orientations`] for no or too many orientations, or for the
    /// neighbour frame with another number than 4.
    pub fn check(&self) -> Result<(), WaveletError> {
        let given = self.orientations;
        match self.frame {
            Frame::Neighbour if given != 4 => {
                Err(WaveletError::Orientations { given, allowed: "4 with the healpixml frame" })
            }
            _ if given == 0 || given > 64 => {
                Err(WaveletError::Orientations { given, allowed: "1 to 64" })
            }
            _ => Ok(()),
        }
    }

    /// Orientation angle β of the wavelet `orientation` around a centre at height
    /// `z_centre` and longitude `phi`, seen at a neighbour at height `z_neighbour`.
    pub(crate) fn angle(
        &self,
        orientation: usize,
        phi: f64,
        z_centre: f64,
        z_neighbour: f64,
    ) -> f64 {
        let step = PI / self.orientations as f64;
        let base = orientation as f64 * step;
        match self.frame {
            Frame::Meridian => base,
            Frame::Centre if z_centre >= -EQUATOR => base - phi,
            Frame::Centre => base - (PI - phi),
            Frame::Neighbour if z_neighbour.abs() <= EQUATOR => base,
            Frame::Neighbour if z_neighbour > 0.0 => base - phi,
            Frame::Neighbour => base - (PI - phi),
        }
    }
}

/// Heights below this are on the equator.
pub(crate) const EQUATOR: f64 = 1e-15;

/// What can be wrong with a filter bank or its tables.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WaveletError {
    /// A kernel side that is not built.
    #[error("kernel size {given} is not allowed: it must be 3, 5 or 7")]
    KernelSize {
        /// The side given.
        given: usize,
    },
    /// A number of orientations that the bank cannot have.
    #[error("{given} orientations are not allowed: {allowed}")]
    Orientations {
        /// The number given.
        given: usize,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A mask without a positive weight, or with a bad one.
    #[error("mask {mask} is not usable: {reason}")]
    Mask {
        /// Index of the mask.
        mask: usize,
        /// What is wrong.
        reason: String,
    },
    /// A covariance of something that is not there.
    #[error("{given} cannot be paired: allowed are pairs of the bands and moduli that are given")]
    Pair {
        /// The pair.
        given: String,
    },
    /// A resolution outside the allowed range.
    #[error(transparent)]
    Healpix(#[from] skyscat_healpix::HealpixError),
}
