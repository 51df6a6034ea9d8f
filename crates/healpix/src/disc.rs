//! Pixels whose centres lie in a disc.

use crate::pixels::Point;
use crate::{Nside, Ordering, ring, ring2nest};
use std::f64::consts::{PI, TAU};

/// Number of rings at or north of a point: 0 above the first, 4·nside−1 at most.
pub(crate) fn rings_above(nside: Nside, p: Point) -> usize {
    let n = nside.get();
    let count = if p.z.abs() <= 2.0 / 3.0 {
        (n as f64 * (2.0 - 1.5 * p.z)) as usize
    } else if p.z > 0.0 {
        p.cap_ring(nside) as usize
    } else {
        4 * n - 1 - p.cap_ring(nside) as usize
    };
    count.min(4 * n - 1)
}

/// Pixels whose centres lie within `radius_rad` of `centre`, sorted.
///
/// Only the rings in range are visited. The half width of the disc on a ring
/// comes from haversines, hav Δφ = (hav r − hav(θ−θ₀)) / (sin θ sin θ₀), which
/// loses nothing for small radii.
///
/// ```
/// use skyscat_healpix::{Nside, Ordering, query_disc};
/// let north = query_disc(Nside::new(4)?, Ordering::Ring, [0.0, 0.0, 1.0], 0.35);
/// assert_eq!(north, [0, 1, 2, 3]);
/// # Ok::<(), skyscat_healpix::HealpixError>(())
/// ```
///
/// # Panics
/// If `centre` is zero or not finite, or the radius is negative or NaN.
pub fn query_disc(
    nside: Nside,
    ordering: Ordering,
    centre: [f64; 3],
    radius_rad: f64,
) -> Vec<usize> {
    assert!(radius_rad >= 0.0, "radius {radius_rad} must be ≥ 0");
    let p = Point::from_vector(centre);
    let (theta0, radius) = (p.theta_rad(), radius_rad.min(PI));
    let hav_radius = haversine(radius);
    let edge = |theta: f64| rings_above(nside, Point::from_angles(theta.clamp(0.0, PI), 0.0));
    let first = edge(theta0 - radius).saturating_sub(1);
    let last = (edge(theta0 + radius) + 1).min(4 * nside.get() - 1);
    let mut pixels = Vec::new();
    for ring in (first..last).map(|i| ring(nside, i)) {
        let excess = hav_radius - haversine(ring.theta_rad - theta0);
        if excess < 0.0 {
            continue;
        }
        let product = ring.sin_theta * p.sin_theta;
        if excess >= product {
            pixels.extend(ring.first..ring.first + ring.n_phi);
            continue;
        }
        let half_width = 2.0 * (excess / product).sqrt().asin();
        let step = TAU / ring.n_phi as f64;
        let middle = p.phi_rad - ring.phi0_rad;
        let low = ((middle - half_width) / step).ceil() as i64;
        let high = ((middle + half_width) / step).floor() as i64;
        let n_phi = ring.n_phi as i64;
        let high = high.min(low + n_phi - 1);
        pixels.extend((low..=high).map(|k| ring.first + k.rem_euclid(n_phi) as usize));
    }
    if ordering == Ordering::Nest {
        for pix in &mut pixels {
            *pix = ring2nest(nside, *pix);
        }
    }
    pixels.sort_unstable();
    pixels
}

fn haversine(angle_rad: f64) -> f64 {
    let s = (0.5 * angle_rad).sin();
    s * s
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{angle_between, pix2vec};

    #[test]
    fn discs_agree_with_a_search_over_all_pixels() {
        let nside = Nside::new(16).unwrap();
        for ordering in [Ordering::Ring, Ordering::Nest] {
            for (theta, phi, radius) in [
                (0.0, 0.0, 0.3),
                (3.1, 1.0, 0.2),
                (1.2, 6.2, 0.7),
                (0.4, 2.0, 1.9),
                (2.0, 3.0, 4.0),
            ] {
                let v = Point::from_angles(theta, phi).vector();
                let brute: Vec<usize> = (0..nside.npix())
                    .filter(|&p| angle_between(v, pix2vec(nside, ordering, p)) <= radius)
                    .collect();
                assert_eq!(query_disc(nside, ordering, v, radius), brute);
            }
        }
    }
}
