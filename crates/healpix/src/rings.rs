//! Rings of equal latitude, north to south.

use crate::Nside;
use std::f64::consts::PI;

/// One ring: pixel centres of equal colatitude, equally spaced in longitude.
///
/// Pixel `first + k` (RING ordering) lies at longitude `phi0_rad + 2πk/n_phi`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ring {
    /// RING index of the first pixel.
    pub first: usize,
    /// Number of pixels on the ring.
    pub n_phi: usize,
    /// Longitude of the first pixel, radians.
    pub phi0_rad: f64,
    /// Colatitude, radians.
    pub theta_rad: f64,
    /// cos θ.
    pub cos_theta: f64,
    /// sin θ, accurate near the poles.
    pub sin_theta: f64,
}

/// Ring `index` in 0..4·nside−1, counted from the north.
///
/// Górski et al. 2005, Eqs. 4–9.
///
/// # Panics
/// If `index` is not below 4·nside − 1.
pub fn ring(nside: Nside, index: usize) -> Ring {
    let n = nside.get();
    let i = index + 1;
    assert!(i < 4 * n, "ring {index} of {} at nside {n}", 4 * n - 1);
    let mirror = i.min(4 * n - i);
    let nf = n as f64;
    let (n_phi, phi0_rad, north) = if mirror < n {
        let r = mirror as f64;
        let n_phi = 4 * mirror;
        // t = 1 − |z| keeps sin θ accurate near the poles.
        let t = r * r / (3.0 * nf * nf);
        (n_phi, PI / n_phi as f64, (1.0 - t, (t * (2.0 - t)).sqrt()))
    } else {
        let z = 4.0 / 3.0 - 2.0 * mirror as f64 / (3.0 * nf);
        let phi0 = if (i - n).is_multiple_of(2) { PI / (4.0 * nf) } else { 0.0 };
        (4 * n, phi0, (z, ((1.0 - z) * (1.0 + z)).sqrt()))
    };
    let (cos_theta, sin_theta) = if i <= 2 * n { north } else { (-north.0, north.1) };
    let first = if i < n {
        2 * i * (i - 1)
    } else if i <= 3 * n {
        2 * n * (n - 1) + (i - n) * 4 * n
    } else {
        12 * n * n - 2 * mirror * (mirror + 1)
    };
    Ring { first, n_phi, phi0_rad, theta_rad: sin_theta.atan2(cos_theta), cos_theta, sin_theta }
}

/// All 4·nside − 1 rings, north to south.
pub fn rings(nside: Nside) -> impl ExactSizeIterator<Item = Ring> {
    (0..4 * nside.get() - 1).map(move |i| ring(nside, i))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_tile_every_pixel_once() {
        for n in [1, 2, 4, 64] {
            let nside = Nside::new(n).unwrap();
            let mut next = 0;
            for ring in rings(nside) {
                assert_eq!(ring.first, next);
                next += ring.n_phi;
            }
            assert_eq!(next, nside.npix());
        }
    }
}
