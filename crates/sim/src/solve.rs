//! Binned map-making: M_p m_p = Σ w d (1, c, s), pixel by pixel.

use crate::SimError;
use crate::config::MapsConfig;
use crate::focal_plane::Horn;
use skyscat_healpix::{Nside, Ordering, children, nest2ring, parent};

/// Numbers of a pixel's moments: samples of a horn, then Σ w and the real and
/// imaginary parts of Σ w e^{2ia} and Σ w e^{4ia} with a = ψ + χ.
pub(crate) const MOMENTS: usize = 6;

/// The weighted moments of a horn from its Σ 1, cos 2ψ, sin 2ψ, cos 4ψ, sin 4ψ.
pub(crate) fn moments(horn: &Horn, sums: [f64; 5]) -> [f64; MOMENTS] {
    let [n, c2, s2, c4, s4] = sums;
    let [w, w2c, w2s, w4c, w4s] = horn.weights();
    [n, w * n, w2c * c2 - w2s * s2, w2c * s2 + w2s * c2, w4c * c4 - w4s * s4, w4c * s4 + w4s * c4]
}

/// M = Σ w (1, c, s)ᵀ(1, c, s) from a pixel's moments.
fn matrix([_, w, c2, s2, c4, s4]: [f64; MOMENTS]) -> [[f64; 3]; 3] {
    [[w, c2, s2], [c2, (w + c4) / 2.0, s4 / 2.0], [s2, s4 / 2.0, (w - c4) / 2.0]]
}

/// A symmetric 3×3 matrix by its upper triangle, row by row.
pub(crate) type Symmetric = [f64; 6];

/// Product with a vector.
pub(crate) fn times([a, b, c, d, e, f]: Symmetric, [x, y, z]: [f64; 3]) -> [f64; 3] {
    [a * x + b * y + c * z, b * x + d * y + e * z, c * x + e * y + f * z]
}

/// Inverse by cofactors.
fn inverse(m: [[f64; 3]; 3]) -> Symmetric {
    let cofactor = |i: usize, j: usize| {
        let (r, s) = ((i + 1) % 3, (i + 2) % 3);
        let (t, u) = ((j + 1) % 3, (j + 2) % 3);
        m[r][t] * m[s][u] - m[r][u] * m[s][t]
    };
    let determinant: f64 = (0..3).map(|j| m[0][j] * cofactor(0, j)).sum();
    [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)].map(|(i, j)| cofactor(i, j) / determinant)
}

/// Largest over smallest eigenvalue of a symmetric matrix ≥ 0; infinite if it is
/// singular to rounding. Jacobi's rotations.
fn condition_number(mut m: [[f64; 3]; 3]) -> f64 {
    for _ in 0..8 {
        for (p, q) in [(0, 1), (0, 2), (1, 2)] {
            if m[p][q] == 0.0 {
                continue;
            }
            let theta = (m[q][q] - m[p][p]) / (2.0 * m[p][q]);
            let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
            let c = 1.0 / t.hypot(1.0);
            let s = t * c;
            let rotate = |a: f64, b: f64| (c * a - s * b, s * a + c * b);
            for row in &mut m {
                (row[p], row[q]) = rotate(row[p], row[q]);
            }
            let (first, second) = (m[p], m[q]);
            for (k, (a, b)) in first.into_iter().zip(second).enumerate() {
                (m[p][k], m[q][k]) = rotate(a, b);
            }
        }
    }
    let eigenvalues = [m[0][0], m[1][1], m[2][2]];
    let largest = eigenvalues.iter().fold(0.0f64, |a, &b| a.max(b));
    let smallest = eigenvalues.iter().fold(f64::INFINITY, |a, &b| a.min(b));
    if smallest <= 4.0 * f64::EPSILON * largest { f64::INFINITY } else { largest / smallest }
}

/// What map-making could not use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Masked {
    /// Pixels without a sample.
    pub never_hit: usize,
    /// Pixels that were hit, but whose condition number is above the limit.
    pub ill_conditioned: usize,
    /// The largest condition number of a pixel that was hit.
    pub worst: Worst,
}

/// The worst pixel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Worst {
    /// RING, at the resolution of map-making.
    pub pixel: usize,
    /// Its condition number; infinite if M is singular.
    pub condition: f64,
}

/// What the scan alone determines: hits, M⁻¹ and the mask, at full resolution.
#[derive(Clone, Debug)]
pub struct Coverage {
    pub(crate) nside: Nside,
    pub(crate) nside_out: Nside,
    /// NEST: samples of horns.
    hits: Vec<u32>,
    /// NEST: condition number of M; infinite where nothing was hit.
    condition: Vec<f64>,
    /// NEST: M⁻¹, or `None` where masked.
    inverse: Vec<Option<Symmetric>>,
    /// NEST, at the resolution of the output: children that were solved for.
    solved: Vec<u32>,
    masked: Masked,
}

impl Coverage {
    /// Inverts every pixel's matrix.
    pub(crate) fn new(
        maps: &MapsConfig,
        moments: impl Iterator<Item = [f64; MOMENTS]>,
    ) -> Result<Self, SimError> {
        let (nside, nside_out) = (Nside::new(maps.nside)?, Nside::new(maps.nside_out)?);
        let allowed = maps.condition_limit;
        let mut masked =
            Masked { never_hit: 0, ill_conditioned: 0, worst: Worst { pixel: 0, condition: 0.0 } };
        let (mut hits, mut condition, mut inverses) = (Vec::new(), Vec::new(), Vec::new());
        for (pixel, moments) in moments.enumerate() {
            hits.push(moments[0] as u32);
            let m = matrix(moments);
            let number = if moments[0] == 0.0 { f64::INFINITY } else { condition_number(m) };
            condition.push(number);
            inverses.push((number <= allowed).then(|| inverse(m)));
            if moments[0] == 0.0 {
                masked.never_hit += 1;
                continue;
            }
            masked.ill_conditioned += usize::from(number > allowed);
            if number > masked.worst.condition {
                masked.worst = Worst { pixel: nest2ring(nside, pixel), condition: number };
            }
        }
        let Masked { never_hit, ill_conditioned, .. } = masked;
        if never_hit + ill_conditioned == nside.npix() {
            return Err(SimError::NoPixel { never_hit, ill_conditioned, allowed });
        }
        let levels = nside.order() - nside_out.order();
        let solved = (0..nside_out.npix())
            .map(|p| inverses[children(p, levels)].iter().flatten().count() as u32)
            .collect();
        Ok(Self { nside, nside_out, hits, condition, inverse: inverses, solved, masked })
    }

    /// Resolution of map-making.
    pub fn nside(&self) -> Nside {
        self.nside
    }

    /// Resolution of the output.
    pub fn nside_out(&self) -> Nside {
        self.nside_out
    }

    /// Samples of horns in each pixel, at the resolution of map-making, RING.
    pub fn hits(&self) -> Vec<u32> {
        self.ring(&self.hits)
    }

    /// Condition number of each pixel's M, RING; infinite where nothing was hit.
    pub fn condition(&self) -> Vec<f64> {
        self.ring(&self.condition)
    }

    /// What was masked.
    pub fn masked(&self) -> Masked {
        self.masked
    }

    fn ring<T: Copy>(&self, nest: &[T]) -> Vec<T> {
        skyscat_healpix::reorder(nest, Ordering::Nest, Ordering::Ring).expect("a full sky")
    }

    /// Output pixel (NEST) of a pixel, and M⁻¹ times its share in the mean there;
    /// `None` where masked.
    pub(crate) fn share(&self, pixel: usize) -> Option<(usize, Symmetric)> {
        let inverse = self.inverse[pixel]?;
        let coarse = parent(pixel, self.nside.order() - self.nside_out.order());
        let count = f64::from(self.solved[coarse]);
        Some((coarse, inverse.map(|x| x / count)))
    }

    /// Whether an output pixel (NEST) has a child that was solved for.
    pub(crate) fn solved(&self, coarse: usize) -> bool {
        self.solved[coarse] > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn condition_numbers_are_those_of_the_eigenvalues() {
        let diagonal = [[4.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0]];
        assert!((condition_number(diagonal) - 2.0).abs() < 1e-15);
        // Eigenvalues 1, 2 and 4 on turned axes.
        let (s, c) = 0.3f64.sin_cos();
        let turned = [
            [c * c + 4.0 * s * s, 3.0 * s * c, 0.0],
            [3.0 * s * c, s * s + 4.0 * c * c, 0.0],
            [0.0, 0.0, 2.0],
        ];
        assert!((condition_number(turned) - 4.0).abs() < 1e-14);
        // One angle only: Q and U cannot be told from T.
        assert_eq!(condition_number(matrix([3.0, 3.0, 3.0, 0.0, 3.0, 0.0])), f64::INFINITY);
    }

    #[test]
    fn the_inverse_undoes_the_matrix() {
        let m = matrix([5.0, 5.0, 0.7, -1.1, 0.4, 1.9]);
        for k in 0..3 {
            let column = times(inverse(m), [m[0][k], m[1][k], m[2][k]]);
            for (i, x) in column.into_iter().enumerate() {
                assert!((x - f64::from(u8::from(i == k))).abs() < 1e-14);
            }
        }
    }
}
