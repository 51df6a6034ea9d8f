//! Single maps whose ordering is part of the type.

use crate::{HealpixError, NestOrder, Nside, PixelOrder, RingOrder, reorder};
use std::marker::PhantomData;

/// One full-sky map, `12 nside²` values, its ordering in the type.
///
/// ```
/// use skyscat_healpix::{Map, RingOrder};
/// let map = Map::<f64, RingOrder>::new(vec![0.0; 48])?;
/// let nested = map.to_nest();
/// assert_eq!(nested.nside().get(), 2);
/// # Ok::<(), skyscat_healpix::HealpixError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Map<T, O: PixelOrder> {
    nside: Nside,
    values: Vec<T>,
    order: PhantomData<O>,
}

impl<T, O: PixelOrder> Map<T, O> {
    /// A map from its pixels, in the ordering of the type.
    ///
    /// # Errors
    /// [`HealpixError::PixelCount`] if the length belongs to no resolution.
    pub fn new(values: Vec<T>) -> Result<Self, HealpixError> {
        Ok(Self { nside: Nside::from_npix(values.len())?, values, order: PhantomData })
    }

    /// Resolution.
    pub fn nside(&self) -> Nside {
        self.nside
    }

    /// The pixels.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// The pixels, taken out.
    pub fn into_values(self) -> Vec<T> {
        self.values
    }
}

impl<T: Copy, O: PixelOrder> Map<T, O> {
    /// The map in RING ordering.
    pub fn to_ring(&self) -> Map<T, RingOrder> {
        self.renumbered()
    }

    /// The map in NEST ordering.
    pub fn to_nest(&self) -> Map<T, NestOrder> {
        self.renumbered()
    }

    fn renumbered<P: PixelOrder>(&self) -> Map<T, P> {
        Map {
            nside: self.nside,
            values: reorder(&self.values, O::ORDERING, P::ORDERING)
                .expect("a map has a valid number of pixels"),
            order: PhantomData,
        }
    }
}
