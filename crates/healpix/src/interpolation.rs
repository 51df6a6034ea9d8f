//! Four-point interpolation: two pixels on each of the two rings around a point.

use crate::disc::rings_above;
use crate::pixels::Point;
use crate::{Nside, Ordering, Ring, ring, ring2nest};
use std::f64::consts::{PI, TAU};

/// Pixels and weights that interpolate a map at (θ, φ), radians.
///
/// Linear in φ on the ring north and on the ring south of the point, then
/// linear in θ. Beyond the first (last) ring the pole takes the mean of that
/// ring's four pixels. The weights are ≥ 0 and sum to 1.
///
/// ```
/// use skyscat_healpix::{Nside, Ordering, interpolation};
/// let (_, weights) = interpolation(Nside::new(4)?, Ordering::Ring, 0.0, 0.0);
/// assert_eq!(weights, [0.25; 4]);
/// # Ok::<(), skyscat_healpix::HealpixError>(())
/// ```
///
/// # Panics
/// If θ is not in [0, π] or φ is not finite.
pub fn interpolation(
    nside: Nside,
    ordering: Ordering,
    theta_rad: f64,
    phi_rad: f64,
) -> ([usize; 4], [f64; 4]) {
    let (mut pixels, weights) = ring_interpolation(nside, theta_rad, phi_rad);
    if ordering == Ordering::Nest {
        pixels = pixels.map(|pix| ring2nest(nside, pix));
    }
    (pixels, weights)
}

fn ring_interpolation(nside: Nside, theta_rad: f64, phi_rad: f64) -> ([usize; 4], [f64; 4]) {
    let point = Point::from_angles(theta_rad, phi_rad);
    let last = 4 * nside.get() - 1;
    let above = rings_above(nside, point);
    let cap = |ring: Ring, from_pole: f64| {
        let ([p, q], [v, w]) = on_ring(&ring, phi_rad);
        let share = from_pole / ring.theta_rad.min(PI - ring.theta_rad);
        let pole = 0.25 * (1.0 - share);
        let opposite = |pix: usize| ring.first + (pix - ring.first + 2) % 4;
        ([p, q], [v * share + pole, w * share + pole], [opposite(p), opposite(q)], [pole, pole])
    };
    let (p, v, q, w) = if above == 0 {
        let (near, near_weights, far, far_weights) = cap(ring(nside, 0), theta_rad);
        (far, far_weights, near, near_weights)
    } else if above == last {
        cap(ring(nside, last - 1), PI - theta_rad)
    } else {
        let (north, south) = (ring(nside, above - 1), ring(nside, above));
        let share = (theta_rad - north.theta_rad) / (south.theta_rad - north.theta_rad);
        let (p, v) = on_ring(&north, phi_rad);
        let (q, w) = on_ring(&south, phi_rad);
        (p, v.map(|v| v * (1.0 - share)), q, w.map(|w| w * share))
    };
    ([p[0], p[1], q[0], q[1]], [v[0], v[1], w[0], w[1]])
}

/// The two pixels around φ on a ring, and their weights.
fn on_ring(ring: &Ring, phi_rad: f64) -> ([usize; 2], [f64; 2]) {
    let n_phi = ring.n_phi as f64;
    let half = if ring.phi0_rad > 0.0 { 0.5 } else { 0.0 };
    let at = phi_rad.rem_euclid(TAU) / TAU * n_phi - half;
    let west = at.floor();
    let weight = at - west;
    let west = (west as i64).rem_euclid(ring.n_phi as i64) as usize;
    let east = (west + 1) % ring.n_phi;
    ([ring.first + west, ring.first + east], [1.0 - weight, weight])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pix2ang;

    #[test]
    fn weights_sum_to_one_and_pick_the_centre() {
        let nside = Nside::new(4).unwrap();
        for pix in 0..nside.npix() {
            let (theta, phi) = pix2ang(nside, Ordering::Nest, pix);
            let (pixels, weights) = interpolation(nside, Ordering::Nest, theta, phi);
            let at: f64 =
                pixels.iter().zip(weights).filter(|&(&p, _)| p == pix).map(|(_, w)| w).sum();
            assert!((at - 1.0).abs() < 1e-12);
            assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-14);
        }
    }
}
