//! The two pixel orderings, as a value and as types.

use crate::HealpixError;
use std::fmt;
use std::str::FromStr;

/// How pixels are numbered: along rings, or down a tree of faces.
///
/// ```
/// use skyscat_healpix::Ordering;
/// assert_eq!("Nested".parse::<Ordering>()?, Ordering::Nest);
/// assert!("spiral".parse::<Ordering>().is_err());
/// # Ok::<(), skyscat_healpix::HealpixError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ordering {
    /// North to south, west to east along each ring.
    Ring,
    /// Face by face; the four children of pixel p are 4p..4p+4.
    Nest,
}

impl fmt::Display for Ordering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ring => "ring",
            Self::Nest => "nest",
        })
    }
}

impl FromStr for Ordering {
    type Err = HealpixError;

    /// Accepts "ring", "nest" and FITS's "nested", in any case.
    fn from_str(text: &str) -> Result<Self, HealpixError> {
        match text.trim().to_ascii_lowercase().as_str() {
            "ring" => Ok(Self::Ring),
            "nest" | "nested" => Ok(Self::Nest),
            _ => Err(HealpixError::Ordering { given: text.to_owned() }),
        }
    }
}

/// Type-level name of RING, for [`crate::Map`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingOrder;

/// Type-level name of NEST, for [`crate::Map`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NestOrder;

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::RingOrder {}
    impl Sealed for super::NestOrder {}
}

/// A pixel ordering as a type: [`RingOrder`] or [`NestOrder`], nothing else.
pub trait PixelOrder: sealed::Sealed {
    /// The same ordering as a value.
    const ORDERING: Ordering;
}

impl PixelOrder for RingOrder {
    const ORDERING: Ordering = Ordering::Ring;
}

impl PixelOrder for NestOrder {
    const ORDERING: Ordering = Ordering::Nest;
}
