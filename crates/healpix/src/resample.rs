//! Coarser and finer maps: means over children, copies to children.

use crate::{HealpixError, Nside, Ordering, nest2ring};
use std::ops::Range;

/// The value that marks a pixel without data in HEALPix files.
pub const UNSEEN: f64 = -1.6375e30;

/// Whether a value is [`UNSEEN`], also after a trip through `f32`.
///
/// ```
/// use skyscat_healpix::{UNSEEN, is_unseen};
/// assert!(is_unseen(UNSEEN) && is_unseen(f64::from(UNSEEN as f32)));
/// assert!(!is_unseen(0.0) && !is_unseen(f64::NAN));
/// ```
pub fn is_unseen(value: f64) -> bool {
    (value - UNSEEN).abs() <= 1e-5 * UNSEEN.abs()
}

/// Whether a pixel holds data: finite and not [`UNSEEN`].
pub fn is_seen(value: f64) -> bool {
    value.is_finite() && !is_unseen(value)
}

/// NEST pixels, `levels` resolutions finer, that make up NEST pixel `pix`.
///
/// ```
/// assert_eq!(skyscat_healpix::children(5, 1), 20..24);
/// ```
pub fn children(pix: usize, levels: u32) -> Range<usize> {
    pix << (2 * levels)..(pix + 1) << (2 * levels)
}

/// NEST pixel, `levels` resolutions coarser, that holds NEST pixel `pix`.
///
/// ```
/// assert_eq!(skyscat_healpix::parent(23, 1), 5);
/// ```
pub fn parent(pix: usize, levels: u32) -> usize {
    pix >> (2 * levels)
}

/// A full-sky map at another resolution, in the same ordering.
///
/// Coarser: the mean of the seen children ([`is_seen`]), [`UNSEEN`] where there
/// are none. Finer: each value copied to the children. Equal: a copy.
///
/// ```
/// use skyscat_healpix::{Nside, Ordering, ud_grade};
/// let fine = ud_grade(&[1.0; 12], Ordering::Ring, Nside::new(4)?)?;
/// assert_eq!(fine, [1.0; 192]);
/// # Ok::<(), skyscat_healpix::HealpixError>(())
/// ```
///
/// # Errors
/// [`HealpixError::PixelCount`] if the length belongs to no resolution.
pub fn ud_grade(values: &[f64], ordering: Ordering, to: Nside) -> Result<Vec<f64>, HealpixError> {
    let from = Nside::from_npix(values.len())?;
    let place = |nside: Nside, nest: usize| match ordering {
        Ordering::Ring => nest2ring(nside, nest),
        Ordering::Nest => nest,
    };
    let mut out = vec![UNSEEN; to.npix()];
    if to <= from {
        let levels = from.order() - to.order();
        for pix in 0..to.npix() {
            let (mut sum, mut seen) = (0.0, 0usize);
            for child in children(pix, levels) {
                let value = values[place(from, child)];
                if is_seen(value) {
                    sum += value;
                    seen += 1;
                }
            }
            if seen > 0 {
                out[place(to, pix)] = sum / seen as f64;
            }
        }
    } else {
        let levels = to.order() - from.order();
        for pix in 0..to.npix() {
            out[place(to, pix)] = values[place(from, parent(pix, levels))];
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn down_after_up_is_the_identity_and_unseen_is_left_out() {
        let coarse: Vec<f64> = (0..48).map(f64::from).collect();
        let fine = Nside::new(8).unwrap();
        for ordering in [Ordering::Ring, Ordering::Nest] {
            let up = ud_grade(&coarse, ordering, fine).unwrap();
            let mut down = ud_grade(&up, ordering, Nside::new(2).unwrap()).unwrap();
            assert_eq!(down, coarse);
            down[7] = UNSEEN;
            let once = ud_grade(&down, ordering, Nside::new(1).unwrap()).unwrap();
            assert!(once.iter().all(|&v| (0.0..48.0).contains(&v)));
        }
        let dark = ud_grade(&[UNSEEN; 48], Ordering::Ring, Nside::new(1).unwrap()).unwrap();
        assert_eq!(dark, [UNSEEN; 12]);
    }
}
