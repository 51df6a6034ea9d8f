//! Formulas written out literally, slow and short, against which the fast ones are proved.

use crate::minkowski::So3Derivatives;
use ndarray::{Array2, ArrayView2};
use num_complex::Complex64;
use std::f64::consts::PI;

/// Σ (x − x̄)(x − x̄)ᵀ/(n − 1) of maps `(n_maps, n_variables)`, entry by entry.
pub fn sample_covariance(maps: ArrayView2<'_, f64>) -> Array2<f64> {
    let (n, p) = maps.dim();
    let mean = |i: usize| maps.column(i).sum() / n as f64;
    Array2::from_shape_fn((p, p), |(i, j)| {
        let term = |map: usize| (maps[[map, i]] - mean(i)) * (maps[[map, j]] - mean(j));
        (0..n).map(term).sum::<f64>() / (n - 1) as f64
    })
}

/// ‖R − R_ref‖/‖R_ref‖ over pairs i ≠ j, R_ij = C_ij/√(C_ii C_jj).
pub fn correlation_error(c: ArrayView2<'_, f64>, reference: ArrayView2<'_, f64>) -> f64 {
    let correlation = |c: ArrayView2<'_, f64>, i, j| c[[i, j]] / (c[[i, i]] * c[[j, j]]).sqrt();
    let (mut error, mut norm) = (0.0, 0.0);
    for i in 0..c.nrows() {
        for j in (0..c.nrows()).filter(|&j| j != i) {
            let (ours, theirs) = (correlation(c, i, j), correlation(reference, i, j));
            error += (ours - theirs).powi(2);
            norm += theirs * theirs;
        }
    }
    (error / norm).sqrt()
}

/// Intensity of Ledoit & Wolf (2004): b²/d² of centred maps.
pub fn ledoit_wolf_intensity(maps: ArrayView2<'_, f64>) -> f64 {
    let (n, p) = maps.dim();
    let scale = (n - 1) as f64 / n as f64;
    let s = sample_covariance(maps).mapv(|v| scale * v);
    let mu = s.diag().sum() / p as f64;
    let square = |m: Array2<f64>| m.iter().map(|v| v * v).sum::<f64>() / p as f64;
    let d2 = square(&s - &(Array2::<f64>::eye(p) * mu));
    let mean = maps.mean_axis(ndarray::Axis(0)).expect("maps");
    let each = maps.rows().into_iter().map(|row| {
        let x = &row - &mean;
        square(Array2::from_shape_fn((p, p), |(i, j)| x[i] * x[j] - s[[i, j]]))
    });
    let b2 = each.sum::<f64>() / (n * n) as f64;
    b2.min(d2) / d2
}

/// Σ over the roots ψ of Re(P e^{−2iψ}) = u in half a turn of (|∇f|, nᵀHn − tr H,
/// nᵀ adj(H) n/|∇f|), with angles and matrices (Carrón Duque et al. 2024).
pub fn so3_roots(d: &So3Derivatives, threshold: f64) -> [f64; 3] {
    let (size, phase) = (d.p.norm(), d.p.arg());
    if threshold.abs() >= size {
        return [0.0; 3];
    }
    // |P| cos(arg P − 2ψ) = u.
    let half = (threshold / size).acos();
    let mut sums = [0.0; 3];
    for psi in [0.5 * (phase - half), 0.5 * (phase + half)] {
        let turn = Complex64::from_polar(1.0, -2.0 * psi);
        let g = d.gradient.map(|a| (a * turn).re);
        let [h11, h22, h33, h12, h13, h23] = d.hessian.map(|a| (a * turn).re);
        let h = [[h11, h12, h13], [h12, h22, h23], [h13, h23, h33]];
        let norm = g.iter().map(|v| v * v).sum::<f64>().sqrt();
        let n = g.map(|v| v / norm);
        let form = |m: &dyn Fn(usize, usize) -> f64| -> f64 {
            (0..9).map(|k| n[k / 3] * m(k / 3, k % 3) * n[k % 3]).sum()
        };
        let minor = |i: usize, j: usize| {
            let (a, b, c, e) = ((i + 1) % 3, (i + 2) % 3, (j + 1) % 3, (j + 2) % 3);
            h[a][c] * h[b][e] - h[a][e] * h[b][c]
        };
        sums[0] += norm;
        sums[1] += form(&|i, j| h[i][j]) - (h11 + h22 + h33);
        sums[2] += form(&minor) / norm;
    }
    sums
}

/// V1 to V3 of the roots: P(3, j) ⟨Σ_roots g_j⟩/π over pixels.
pub fn so3_functionals(pixels: &[So3Derivatives], threshold: f64) -> [f64; 3] {
    let mut sums = [0.0; 3];
    for d in pixels {
        sums.iter_mut().zip(so3_roots(d, threshold)).for_each(|(sum, v)| *sum += v);
    }
    let prefactors = [1.0 / 6.0, 1.0 / (6.0 * PI), 1.0 / (4.0 * PI)];
    std::array::from_fn(|j| prefactors[j] * sums[j] / (PI * pixels.len() as f64))
}
