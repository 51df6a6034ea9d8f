//! Masks: one weight a pixel, never empty.

use crate::{HealpixError, Nside, Ordering, pix2vec, reorder};

/// Weights ≥ 0, one a pixel: 0 leaves the pixel out, 1 takes it whole.
///
/// ```
/// use skyscat_healpix::{Mask, Nside, Ordering};
/// let mask = Mask::latitude_cut(Nside::new(16)?, Ordering::Ring, 20.0)?;
/// assert!((mask.sky_fraction() - 0.66).abs() < 0.02);
/// assert!(Mask::new(Ordering::Ring, vec![0.0; 12]).is_err());
/// # Ok::<(), skyscat_healpix::HealpixError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Mask {
    nside: Nside,
    ordering: Ordering,
    weights: Vec<f64>,
}

impl Mask {
    /// A mask from its weights, `12 nside²` of them in the ordering given.
    ///
    /// # Errors
    /// [`HealpixError::PixelCount`], [`HealpixError::MaskWeight`] for a
    /// negative or non-finite weight, [`HealpixError::EmptyMask`] if all are 0.
    pub fn new(ordering: Ordering, weights: Vec<f64>) -> Result<Self, HealpixError> {
        let nside = Nside::from_npix(weights.len())?;
        let bad = |w: f64| !(w.is_finite() && w >= 0.0);
        if let Some(pixel) = weights.iter().position(|&w| bad(w)) {
            return Err(HealpixError::MaskWeight { pixel, given: weights[pixel] });
        }
        if weights.iter().all(|&w| w == 0.0) {
            return Err(HealpixError::EmptyMask { pixels: weights.len() });
        }
        Ok(Self { nside, ordering, weights })
    }

    /// The whole sky, every weight 1.
    pub fn full(nside: Nside, ordering: Ordering) -> Self {
        Self { nside, ordering, weights: vec![1.0; nside.npix()] }
    }

    /// Pixel centres more than `cut_deg` degrees from the equator.
    ///
    /// # Errors
    /// [`HealpixError::LatitudeCut`] unless 0 ≤ cut < 90;
    /// [`HealpixError::EmptyMask`] if no pixel is left.
    pub fn latitude_cut(
        nside: Nside,
        ordering: Ordering,
        cut_deg: f64,
    ) -> Result<Self, HealpixError> {
        if !(0.0..90.0).contains(&cut_deg) {
            return Err(HealpixError::LatitudeCut { given_deg: cut_deg });
        }
        let edge = cut_deg.to_radians().sin();
        let kept = |pix| pix2vec(nside, ordering, pix)[2].abs() > edge;
        let weights = (0..nside.npix()).map(|pix| f64::from(u8::from(kept(pix))));
        Self::new(ordering, weights.collect())
    }

    /// Resolution.
    pub fn nside(&self) -> Nside {
        self.nside
    }

    /// Ordering of the weights.
    pub fn ordering(&self) -> Ordering {
        self.ordering
    }

    /// The weights, one a pixel.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Number of pixels with a weight above zero.
    pub fn pixels_kept(&self) -> usize {
        self.weights.iter().filter(|&&w| w > 0.0).count()
    }

    /// Mean weight: the part of the sky kept, for a mask of zeros and ones.
    pub fn sky_fraction(&self) -> f64 {
        self.weights.iter().sum::<f64>() / self.weights.len() as f64
    }

    /// The same mask in another ordering.
    pub fn reordered(&self, to: Ordering) -> Self {
        let weights =
            reorder(&self.weights, self.ordering, to).expect("a mask has a valid number of pixels");
        Self { weights, ordering: to, ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_mask_is_refused() {
        let ring = Ordering::Ring;
        assert_eq!(Mask::new(ring, vec![1.0; 13]), Err(HealpixError::PixelCount { given: 13 }));
        let mut weights = vec![1.0; 12];
        weights[3] = -0.5;
        assert!(matches!(Mask::new(ring, weights), Err(HealpixError::MaskWeight { pixel: 3, .. })));
        let nside = Nside::new(2).unwrap();
        assert!(Mask::latitude_cut(nside, ring, 89.9).is_err());
        let mask = Mask::latitude_cut(nside, ring, 30.0).unwrap();
        assert_eq!(mask.reordered(Ordering::Nest).reordered(ring), mask);
    }
}
