//! NEST pixels of directions, many at once: no branches, no `atan2`.

use skyscat_healpix::Nside;
use std::f64::consts::{FRAC_2_PI, FRAC_PI_8};

/// tan(π/16) and tan(3π/16): the middles of the two halves of an octant.
const TAN_LOW: f64 = 0.198_912_367_379_658;
const TAN_HIGH: f64 = 0.668_178_637_919_298_9;
/// The arctangent's series in t², for |t| ≤ tan(π/16): the first term left out is 3e-18.
const SERIES: [f64; 12] = [
    1.0,
    -1.0 / 3.0,
    1.0 / 5.0,
    -1.0 / 7.0,
    1.0 / 9.0,
    -1.0 / 11.0,
    1.0 / 13.0,
    -1.0 / 15.0,
    1.0 / 17.0,
    -1.0 / 19.0,
    1.0 / 21.0,
    -1.0 / 23.0,
];

/// Longitude of (x, y) in quarter turns, in [0, 4).
///
/// The octant's point is turned by −π/16 or −3π/16, so that the arctangent of at
/// most tan(π/16) is left: t − t³/3 + t⁵/5 − …
#[inline(always)]
fn quarter_turns(x: f64, y: f64) -> f64 {
    let (ax, ay) = (x.abs(), y.abs());
    let (long, short) = (ax.max(ay), ax.min(ay));
    let high = short > long * 0.414_213_562_373_095_03;
    let (tan, middle) = if high { (TAN_HIGH, 1.5 * FRAC_PI_8) } else { (TAN_LOW, 0.5 * FRAC_PI_8) };
    let t = (short - tan * long) / (long + tan * short);
    let t2 = t * t;
    let series = SERIES.iter().rev().fold(0.0, |sum, a| a + t2 * sum);
    let octant = ((middle + t * series) * FRAC_2_PI).max(0.0);
    let quadrant = if ay > ax { 1.0 - octant } else { octant };
    let half = if x < 0.0 { 2.0 - quadrant } else { quadrant };
    let turns = if y < 0.0 { 4.0 - half } else { half };
    if turns >= 4.0 { 0.0 } else { turns }
}

/// Spreads the low 16 bits of `v` onto the even bits.
#[inline(always)]
fn spread(v: u32) -> u32 {
    let v = (v | v << 8) & 0x00ff_00ff;
    let v = (v | v << 4) & 0x0f0f_0f0f;
    let v = (v | v << 2) & 0x3333_3333;
    (v | v << 1) & 0x5555_5555
}

/// A resolution as the kernel wants it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    side: i32,
    order: u32,
}

impl Grid {
    pub(crate) fn new(nside: Nside) -> Self {
        Self { side: nside.get() as i32, order: nside.order() }
    }
}

/// The NEST pixel of a unit vector (Górski et al. 2005, Sect. 4.1).
#[inline(always)]
pub(crate) fn nest_pixel(Grid { side, order }: Grid, [x, y, z]: [f64; 3]) -> u32 {
    let scale = f64::from(side);
    let turns = quarter_turns(x, y);
    // The belt: counts of the two families of diagonals.
    let (along, across) = (scale * (0.5 + turns), scale * 0.75 * z);
    let (east, west) = ((along + across) as i32, (along - across) as i32);
    let (column_e, column_w) = (east >> order, west >> order);
    let belt_face = if column_e == column_w {
        4 + (column_e & 3)
    } else if column_e > column_w {
        column_w & 3
    } else {
        8 + (column_e & 3)
    };
    let (belt_x, belt_y) = (east & (side - 1), side - 1 - (west & (side - 1)));
    // A cap: the ring counts from the pole, the longitude runs along it.
    let quarter = turns as i32;
    let part = turns - f64::from(quarter);
    let ring = scale * (3.0 * (x * x + y * y) / (1.0 + z.abs())).sqrt();
    let from_west = ((part * ring) as i32).min(side - 1);
    let from_east = (((1.0 - part) * ring) as i32).min(side - 1);
    let north = z > 0.0;
    let cap_face = if north { quarter } else { 8 + quarter };
    let cap_x = if north { side - 1 - from_east } else { from_west };
    let cap_y = if north { side - 1 - from_west } else { from_east };
    let belt = z.abs() <= 2.0 / 3.0;
    let face = if belt { belt_face } else { cap_face } as u32;
    let column = if belt { belt_x } else { cap_x } as u32;
    let row = if belt { belt_y } else { cap_y } as u32;
    face << (2 * order) | spread(column) | spread(row) << 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use skyscat_healpix::{Ordering, pix2vec, vec2pix};
    use skyscat_num::Seed;
    use std::f64::consts::FRAC_PI_2;

    #[test]
    fn longitudes_are_those_of_atan2() {
        assert!((TAN_LOW - (FRAC_PI_8 / 2.0).tan()).abs() < 1e-16);
        assert!((TAN_HIGH - (1.5 * FRAC_PI_8).tan()).abs() < 2e-16);
        for k in 0..100_000 {
            let angle = f64::from(k) / 100_000.0 * 4.0 * FRAC_PI_2;
            let (y, x) = angle.sin_cos();
            let exact = y.atan2(x).rem_euclid(4.0 * FRAC_PI_2) / FRAC_PI_2;
            assert!((quarter_turns(x, y) - exact).abs() < 1e-15, "{angle}");
        }
        for (x, y, turns) in [(1.0, 0.0, 0.0), (0.0, 1.0, 1.0), (-1.0, 0.0, 2.0), (0.0, -1.0, 3.0)]
        {
            assert!((quarter_turns(x, y) - turns).abs() < 1e-16);
        }
        assert!(quarter_turns(1.0, -1e-300) < 4.0);
    }

    #[test]
    fn pixels_are_those_of_the_geometry_crate() {
        for side in [1, 2, 16, 128, 8192] {
            let nside = Nside::new(side).unwrap();
            let mut normals = Seed(3).stream("directions").index(0, side as u64);
            for _ in 0..200_000 {
                let v: [f64; 3] = std::array::from_fn(|_| normals.normal());
                let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
                let v = v.map(|x| x / norm);
                assert_eq!(
                    nest_pixel(Grid::new(nside), v) as usize,
                    vec2pix(nside, Ordering::Nest, v)
                );
            }
            for pix in (0..nside.npix()).step_by(1 + nside.npix() / 10_000) {
                let centre = pix2vec(nside, Ordering::Nest, pix);
                assert_eq!(nest_pixel(Grid::new(nside), centre) as usize, pix);
            }
        }
        for pole in [[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]] {
            let nside = Nside::new(64).unwrap();
            assert!((nest_pixel(Grid::new(nside), pole) as usize) < nside.npix());
        }
    }
}
