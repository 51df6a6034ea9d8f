//! Pixel centres, corners and local frames, and the pixel at a point.

use crate::faces::{FACE_PHI, FACE_RING, FacePixel, from_diagonals};
use crate::{Nside, Ordering, nest2ring, ring, ring_position};
use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, PI, TAU};

/// A point of the sphere by z, sin θ and φ: nothing is lost near the poles.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    pub(crate) z: f64,
    pub(crate) sin_theta: f64,
    pub(crate) phi_rad: f64,
}

impl Point {
    pub(crate) fn from_angles(theta_rad: f64, phi_rad: f64) -> Self {
        assert!(
            (0.0..=PI).contains(&theta_rad) && phi_rad.is_finite(),
            "colatitude {theta_rad} must be in [0, π] and longitude {phi_rad} finite"
        );
        Self { z: theta_rad.cos(), sin_theta: theta_rad.sin(), phi_rad }
    }

    pub(crate) fn from_vector(v: [f64; 3]) -> Self {
        let rho = v[0].hypot(v[1]);
        let norm = rho.hypot(v[2]);
        assert!(norm > 0.0 && norm.is_finite(), "direction {v:?} must be finite and not zero");
        Self { z: v[2] / norm, sin_theta: rho / norm, phi_rad: v[1].atan2(v[0]) }
    }

    pub(crate) fn theta_rad(self) -> f64 {
        self.sin_theta.atan2(self.z)
    }

    pub(crate) fn vector(self) -> [f64; 3] {
        let (sin, cos) = self.phi_rad.sin_cos();
        [self.sin_theta * cos, self.sin_theta * sin, self.z]
    }

    /// nside·√(3(1 − |z|)): the ring number, in a polar cap.
    pub(crate) fn cap_ring(self, nside: Nside) -> f64 {
        nside.get() as f64 * self.sin_theta * (3.0 / (1.0 + self.z.abs())).sqrt()
    }
}

/// Longitude in quarter turns, in [0, 4).
fn quarter_turns(phi_rad: f64) -> f64 {
    let turns = phi_rad.rem_euclid(TAU) / FRAC_PI_2;
    if turns >= 4.0 { 0.0 } else { turns }
}

fn centre(nside: Nside, ordering: Ordering, pix: usize) -> Point {
    let pix = match ordering {
        Ordering::Ring => pix,
        Ordering::Nest => nest2ring(nside, pix),
    };
    let (index, k) = ring_position(nside, pix);
    let ring = ring(nside, index);
    // (k + ½ or 0)·2π/n: one rounding, as exact as the ring's own φ₀.
    let half = if ring.phi0_rad > 0.0 { 0.5 } else { 0.0 };
    Point {
        z: ring.cos_theta,
        sin_theta: ring.sin_theta,
        phi_rad: (k as f64 + half) * (TAU / ring.n_phi as f64),
    }
}

/// Centre of a pixel: (θ, φ), radians, θ the colatitude.
///
/// ```
/// use skyscat_healpix::{Nside, Ordering, ang2pix, pix2ang};
/// let nside = Nside::new(8)?;
/// let (theta_rad, phi_rad) = pix2ang(nside, Ordering::Nest, 100);
/// assert_eq!(ang2pix(nside, Ordering::Nest, theta_rad, phi_rad), 100);
/// # Ok::<(), skyscat_healpix::HealpixError>(())
/// ```
///
/// # Panics
/// If `pix` is not below `nside.npix()`.
pub fn pix2ang(nside: Nside, ordering: Ordering, pix: usize) -> (f64, f64) {
    let p = centre(nside, ordering, pix);
    (p.theta_rad(), p.phi_rad)
}

/// Centre of a pixel as a unit vector.
///
/// # Panics
/// If `pix` is not below `nside.npix()`.
pub fn pix2vec(nside: Nside, ordering: Ordering, pix: usize) -> [f64; 3] {
    centre(nside, ordering, pix).vector()
}

/// Centres of all pixels, radians.
#[derive(Clone, Debug, PartialEq)]
pub struct Centres {
    /// Colatitudes, one a pixel.
    pub theta_rad: Vec<f64>,
    /// Longitudes, one a pixel.
    pub phi_rad: Vec<f64>,
}

/// Centres of all pixels, in the ordering asked for.
pub fn centres(nside: Nside, ordering: Ordering) -> Centres {
    let (theta_rad, phi_rad) = (0..nside.npix()).map(|pix| pix2ang(nside, ordering, pix)).unzip();
    Centres { theta_rad, phi_rad }
}

/// Centres of all pixels as unit vectors, in the ordering asked for.
pub fn centre_vectors(nside: Nside, ordering: Ordering) -> Vec<[f64; 3]> {
    (0..nside.npix()).map(|pix| pix2vec(nside, ordering, pix)).collect()
}

/// The right-handed unit vectors at a point: e_θ × e_φ = r.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalFrame {
    /// Towards the south.
    pub e_theta: [f64; 3],
    /// Towards the east.
    pub e_phi: [f64; 3],
    /// Outwards: the point itself.
    pub r: [f64; 3],
}

/// The frame at a pixel centre, in which Q and U are given.
///
/// # Panics
/// If `pix` is not below `nside.npix()`.
pub fn local_frame(nside: Nside, ordering: Ordering, pix: usize) -> LocalFrame {
    let p = centre(nside, ordering, pix);
    let (sin, cos) = p.phi_rad.sin_cos();
    LocalFrame {
        e_theta: [p.z * cos, p.z * sin, -p.sin_theta],
        e_phi: [-sin, cos, 0.0],
        r: [p.sin_theta * cos, p.sin_theta * sin, p.z],
    }
}

/// Pixel that contains the direction (θ, φ), radians.
///
/// # Panics
/// If θ is not in [0, π] or φ is not finite.
pub fn ang2pix(nside: Nside, ordering: Ordering, theta_rad: f64, phi_rad: f64) -> usize {
    face_at(nside, Point::from_angles(theta_rad, phi_rad)).index(nside, ordering)
}

/// Pixel that contains the direction `v` (any length above zero).
///
/// # Panics
/// If `v` is zero or not finite.
pub fn vec2pix(nside: Nside, ordering: Ordering, v: [f64; 3]) -> usize {
    face_at(nside, Point::from_vector(v)).index(nside, ordering)
}

fn face_at(nside: Nside, p: Point) -> FacePixel {
    let n = nside.get();
    let turns = quarter_turns(p.phi_rad);
    if p.z.abs() <= 2.0 / 3.0 {
        // Diagonal counts of the belt, as in `FacePixel::from_ring`.
        let scale = n as f64;
        let (along, across) = (scale * (0.5 + turns), scale * 0.75 * p.z);
        return from_diagonals(n, (along + across) as usize, (along - across) as usize);
    }
    let quarter = turns as usize;
    let across = p.cap_ring(nside);
    let fraction = turns - quarter as f64;
    let west = ((fraction * across) as usize).min(n - 1);
    let east = (((1.0 - fraction) * across) as usize).min(n - 1);
    if p.z > 0.0 {
        FacePixel { face: quarter, x: n - 1 - east, y: n - 1 - west }
    } else {
        FacePixel { face: 8 + quarter, x: west, y: east }
    }
}

/// The four corners of a pixel: north, west, south, east, unit vectors.
///
/// # Panics
/// If `pix` is not below `nside.npix()`.
pub fn corners(nside: Nside, ordering: Ordering, pix: usize) -> [[f64; 3]; 4] {
    let FacePixel { face, x, y } = FacePixel::from_index(nside, ordering, pix);
    [(x + 1, y + 1), (x, y + 1), (x, y), (x + 1, y)]
        .map(|(x, y)| lattice_point(nside, face, x, y).vector())
}

/// A corner of the face's pixel lattice, x and y from 0 to nside.
fn lattice_point(nside: Nside, face: usize, x: usize, y: usize) -> Point {
    let n = nside.get();
    let i = FACE_RING[face] * n - x - y;
    let mirror = i.min(4 * n - i).min(n);
    let (z, sin_theta) = if mirror == n {
        let z = 4.0 / 3.0 - 2.0 * i as f64 / (3.0 * n as f64);
        (z, ((1.0 - z) * (1.0 + z)).sqrt())
    } else {
        let t = (mirror * mirror) as f64 / (3.0 * (n * n) as f64);
        let z = if i < n { 1.0 - t } else { t - 1.0 };
        (z, (t * (2.0 - t)).sqrt())
    };
    let offset = x as f64 - y as f64;
    let slant = if mirror == 0 { 0.0 } else { offset / mirror as f64 };
    Point { z, sin_theta, phi_rad: FRAC_PI_4 * (FACE_PHI[face] as f64 + slant) }
}

/// Largest distance from a pixel's centre to its corners, radians.
///
/// It is reached on the ring where cap and belt meet, at the edge of a face.
pub fn max_pixel_radius(nside: Nside) -> f64 {
    let pix = ring(nside, nside.get() - 1).first;
    let r = pix2vec(nside, Ordering::Ring, pix);
    corners(nside, Ordering::Ring, pix)
        .iter()
        .map(|&corner| angle_between(r, corner))
        .fold(0.0, f64::max)
}

/// Angle between two directions, radians, accurate at 0 and π.
pub fn angle_between(a: [f64; 3], b: [f64; 3]) -> f64 {
    let c = cross(a, b);
    dot(c, c).sqrt().atan2(dot(a, b))
}

pub(crate) fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(crate) fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_right_handed_and_orthonormal() {
        let nside = Nside::new(8).unwrap();
        for pix in 0..nside.npix() {
            let f = local_frame(nside, Ordering::Nest, pix);
            let out = cross(f.e_theta, f.e_phi);
            for (a, b) in out.iter().zip(f.r) {
                assert!((a - b).abs() < 4e-16);
            }
        }
    }

    #[test]
    fn centres_lie_in_their_pixels_up_to_the_largest_resolution() {
        for n in [1, 2, 16, 1024, 8192] {
            let nside = Nside::new(n).unwrap();
            for ordering in [Ordering::Ring, Ordering::Nest] {
                for pix in (0..nside.npix()).step_by(1 + nside.npix() / 5000) {
                    let (theta, phi) = pix2ang(nside, ordering, pix);
                    assert_eq!(ang2pix(nside, ordering, theta, phi), pix);
                    let v = pix2vec(nside, ordering, pix);
                    assert_eq!(vec2pix(nside, ordering, v), pix);
                }
            }
        }
    }
}
