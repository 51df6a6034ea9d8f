//! The twelve base faces: index conversions between RING and NEST.
//!
//! A face is an nside × nside square with x towards the north-east and y
//! towards the north-west (Górski et al. 2005, Sect. 4.1).

use crate::{HealpixError, Nside, Ordering};

/// Ring (in units of nside) of the southern corner of each face.
pub(crate) const FACE_RING: [usize; 12] = [2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4];
/// Longitude (in units of π/4) of the centre of each face.
pub(crate) const FACE_PHI: [usize; 12] = [1, 3, 5, 7, 0, 2, 4, 6, 1, 3, 5, 7];

/// A pixel as a place on a face.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FacePixel {
    pub(crate) face: usize,
    pub(crate) x: usize,
    pub(crate) y: usize,
}

/// Spreads the low 16 bits of `v` onto the even bits.
fn spread(v: usize) -> usize {
    let mut v = v as u32 & 0xffff;
    v = (v | v << 8) & 0x00ff_00ff;
    v = (v | v << 4) & 0x0f0f_0f0f;
    v = (v | v << 2) & 0x3333_3333;
    ((v | v << 1) & 0x5555_5555) as usize
}

/// Gathers the even bits of `v`: the inverse of [`spread`].
pub(crate) fn gather(v: usize) -> usize {
    let mut v = v as u32 & 0x5555_5555;
    v = (v | v >> 1) & 0x3333_3333;
    v = (v | v >> 2) & 0x0f0f_0f0f;
    v = (v | v >> 4) & 0x00ff_00ff;
    ((v | v >> 8) & 0xffff) as usize
}

impl FacePixel {
    pub(crate) fn from_nest(nside: Nside, pix: usize) -> Self {
        check_pixel(nside, pix);
        let shift = 2 * nside.order();
        let within = pix & ((1 << shift) - 1);
        Self { face: pix >> shift, x: gather(within), y: gather(within >> 1) }
    }

    pub(crate) fn nest(self, nside: Nside) -> usize {
        (self.face << (2 * nside.order())) | spread(self.x) | (spread(self.y) << 1)
    }

    pub(crate) fn from_ring(nside: Nside, pix: usize) -> Self {
        let n = nside.get();
        let (index, k) = ring_position(nside, pix);
        let i = index + 1;
        if i < n || i > 3 * n {
            // A cap: four faces, r pixels of the ring on each.
            let r = i.min(4 * n - i);
            let (quarter, along) = (k / r, k % r);
            // x − y = 2·along + 1 − r, and x + y follows from the ring.
            return if i < n {
                Self { face: quarter, x: n - r + along, y: n - 1 - along }
            } else {
                Self { face: 8 + quarter, x: along, y: r - 1 - along }
            };
        }
        // The belt is a lattice of diagonals: with φ in units of a ring step,
        // `east` = φ + 3z/4 and `west` = φ − 3z/4 count them, shifted by half
        // a face so that all counts are positive and faces start at multiples of n.
        let staggered = (i - n) & 1;
        let phi2 = 2 * k + 1 - staggered;
        let east = (phi2 + 3 * n - i) / 2;
        let west = (phi2 + i - n) / 2;
        from_diagonals(n, east, west)
    }

    pub(crate) fn ring(self, nside: Nside) -> usize {
        let n = nside.get();
        let i = FACE_RING[self.face] * n - self.x - self.y - 1;
        let (per_face, staggered, first) = if i < n {
            (i, 0, 2 * i * (i - 1))
        } else if i <= 3 * n {
            (n, (i - n) & 1, 2 * n * (n - 1) + (i - n) * 4 * n)
        } else {
            let r = 4 * n - i;
            (r, 0, 12 * n * n - 2 * r * (r + 1))
        };
        // Twice the position; one turn is added so that nothing is negative.
        let turn = 4 * per_face;
        let twice = (FACE_PHI[self.face] * per_face + self.x + staggered + 2 * turn) - self.y - 1;
        first + (twice / 2) % turn
    }

    pub(crate) fn from_index(nside: Nside, ordering: Ordering, pix: usize) -> Self {
        match ordering {
            Ordering::Ring => Self::from_ring(nside, pix),
            Ordering::Nest => Self::from_nest(nside, pix),
        }
    }

    pub(crate) fn index(self, nside: Nside, ordering: Ordering) -> usize {
        match ordering {
            Ordering::Ring => self.ring(nside),
            Ordering::Nest => self.nest(nside),
        }
    }
}

/// The face pixel of the belt lattice with these diagonal counts.
pub(crate) fn from_diagonals(n: usize, east: usize, west: usize) -> FacePixel {
    let (column_e, column_w) = (east / n, west / n);
    let face = match column_e.cmp(&column_w) {
        std::cmp::Ordering::Equal => 4 + column_e % 4,
        std::cmp::Ordering::Greater => column_w % 4,
        std::cmp::Ordering::Less => 8 + column_e % 4,
    };
    FacePixel { face, x: east % n, y: n - 1 - west % n }
}

pub(crate) fn check_pixel(nside: Nside, pix: usize) {
    let npix = nside.npix();
    assert!(pix < npix, "pixel {pix} of {npix} at nside {nside}");
}

/// Ring and place on it of a RING pixel: (ring index, position), both from 0.
///
/// # Panics
/// If `pix` is not below `nside.npix()`.
pub fn ring_position(nside: Nside, pix: usize) -> (usize, usize) {
    check_pixel(nside, pix);
    let n = nside.get();
    let cap = 2 * n * (n - 1);
    // Ring i of a cap starts at 2i(i−1) = ((2i−1)² − 1)/2.
    let cap_ring = |p: usize| (2 * p + 1).isqrt().div_ceil(2);
    if pix < cap {
        let i = cap_ring(pix);
        (i - 1, pix - 2 * i * (i - 1))
    } else if pix < nside.npix() - cap {
        let p = pix - cap;
        (n - 1 + p / (4 * n), p % (4 * n))
    } else {
        let from_end = nside.npix() - 1 - pix;
        let r = cap_ring(from_end);
        (4 * n - r - 1, 4 * r - 1 - (from_end - 2 * r * (r - 1)))
    }
}

/// NEST index of a RING pixel.
///
/// ```
/// use skyscat_healpix::{Nside, nest2ring, ring2nest};
/// let nside = Nside::new(4)?;
/// assert_eq!((ring2nest(nside, 0), nest2ring(nside, 0)), (15, 74));
/// # Ok::<(), skyscat_healpix::HealpixError>(())
/// ```
///
/// # Panics
/// If `pix` is not below `nside.npix()`.
pub fn ring2nest(nside: Nside, pix: usize) -> usize {
    FacePixel::from_ring(nside, pix).nest(nside)
}

/// RING index of a NEST pixel.
///
/// # Panics
/// If `pix` is not below `nside.npix()`.
pub fn nest2ring(nside: Nside, pix: usize) -> usize {
    FacePixel::from_nest(nside, pix).ring(nside)
}

/// The whole permutation: entry `nest` is the RING index of that NEST pixel.
pub fn nest_to_ring_table(nside: Nside) -> Vec<u32> {
    (0..nside.npix()).map(|p| nest2ring(nside, p) as u32).collect()
}

/// The whole permutation: entry `ring` is the NEST index of that RING pixel.
pub fn ring_to_nest_table(nside: Nside) -> Vec<u32> {
    let mut table = vec![0; nside.npix()];
    for (nest, &ring) in nest_to_ring_table(nside).iter().enumerate() {
        table[ring as usize] = nest as u32;
    }
    table
}

/// A full-sky map, renumbered from one ordering to another.
///
/// # Errors
/// [`HealpixError::PixelCount`] if the length belongs to no resolution.
pub fn reorder<T: Copy>(
    values: &[T],
    from: Ordering,
    to: Ordering,
) -> Result<Vec<T>, HealpixError> {
    let nside = Nside::from_npix(values.len())?;
    let table = match (from, to) {
        (Ordering::Ring, Ordering::Nest) => nest_to_ring_table(nside),
        (Ordering::Nest, Ordering::Ring) => ring_to_nest_table(nside),
        _ => return Ok(values.to_vec()),
    };
    Ok(table.iter().map(|&source| values[source as usize]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_conversions_undo_each_other() {
        for n in [1, 2, 4, 8, 64] {
            let nside = Nside::new(n).unwrap();
            for pix in 0..nside.npix() {
                assert_eq!(nest2ring(nside, ring2nest(nside, pix)), pix, "nside {n}");
            }
        }
        let largest = Nside::new(Nside::MAX).unwrap();
        for pix in (0..largest.npix()).step_by(12_345_671) {
            assert_eq!(nest2ring(largest, ring2nest(largest, pix)), pix);
        }
    }

    #[test]
    fn bits_interleave() {
        assert_eq!((spread(0b1011), gather(0b100_0101)), (0b100_0101, 0b1011));
    }
}
