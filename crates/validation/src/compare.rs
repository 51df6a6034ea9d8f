//! How far a sample covariance is from the reference, and how far it should be.

use crate::covariance::SampleCovariance;
use crate::error::{Result, ValidationError};
use crate::linear::{check_covariance, sum_rows};
use crate::special::{digamma, trigamma};
use ndarray::ArrayView2;
use serde::Serialize;
use skyscat_num::Par;
use std::ops::Range;

/// What covariances are compared with.
#[derive(Clone, Copy, Debug)]
pub struct ReferenceCovariance<'a> {
    /// The covariance, `(n_variables, n_variables)`.
    pub covariance: ArrayView2<'a, f64>,
    /// Maps that it was measured from; none if it is exact.
    pub n_maps: Option<usize>,
}

/// 1/ν summed over both samples, where ν = n − 1.
pub(crate) fn inverse_freedom(n_maps: usize, n_reference: Option<usize>) -> f64 {
    1.0 / (n_maps - 1) as f64 + n_reference.map_or(0.0, |n| 1.0 / (n - 1) as f64)
}

/// Distances of a covariance from the reference, with what sampling explains.
///
/// R is the correlation matrix C_ij/√(C_ii C_jj). Expectations are for Gaussian maps
/// whose covariance is the reference: a ratio of 1 means as good as independent draws.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CovarianceScores {
    /// Maps of the sample.
    pub n_maps: usize,
    /// Root mean square over variables of ln(C_ii/C_ii^ref).
    pub log_variance_rms: f64,
    /// Its expectation: √(ψ'(ν/2) + (ψ(ν/2) − ln ν/2)²), ν = n − 1.
    pub log_variance_expected: f64,
    /// Mean over variables of ln(C_ii/C_ii^ref).
    pub log_variance_mean: f64,
    /// ‖R − R_ref‖/‖R_ref‖, Frobenius norms of the parts off the diagonal.
    pub correlation_error: f64,
    /// Its expectation: (Σ (1 − R_ij²)²/ν / Σ R_ij²)^½.
    pub correlation_expected: f64,
    /// tr C/tr C_ref.
    pub trace_ratio: f64,
}

/// Compares a sample covariance with the reference.
///
/// # Errors
/// [`ValidationError::Shape`] if sizes differ, as [`check_covariance`] for either.
pub fn compare_covariances(
    sample: &SampleCovariance,
    reference: ReferenceCovariance<'_>,
    par: &Par,
) -> Result<CovarianceScores> {
    let (found, wanted) = (sample.covariance.view(), reference.covariance);
    if found.dim() != wanted.dim() {
        let (given, allowed) = (found.shape().to_vec(), wanted.shape().to_vec());
        return Err(ValidationError::Shape { what: "the sample covariance", given, allowed });
    }
    par.install(|| {
        check_covariance("the sample covariance", found)?;
        check_covariance("the reference covariance", wanted)?;
        let p = found.nrows();
        let (found, wanted) = (found.as_standard_layout(), wanted.as_standard_layout());
        let inverse =
            [&found, &wanted].map(|c| c.diag().iter().map(|v| 1.0 / v.sqrt()).collect::<Vec<_>>());
        // Below the diagonal: Σ R_ref², Σ (R − R_ref)², Σ (1 − R_ref²)².
        let [norm, error, noise] = sum_rows(p, |i| {
            let rows =
                [&found, &wanted].map(|c| &c.as_slice().expect("standard layout")[i * p..][..i]);
            let pairs = rows[0].iter().zip(rows[1]);
            let scales = inverse[0].iter().zip(&inverse[1]);
            let mut sums = [0.0; 3];
            for ((found, wanted), (own, other)) in pairs.zip(scales) {
                let r = found * (inverse[0][i] * own);
                let reference = wanted * (inverse[1][i] * other);
                let square = reference * reference;
                sums[0] += square;
                sums[1] += (r - reference) * (r - reference);
                sums[2] += (1.0 - square) * (1.0 - square);
            }
            sums
        });
        let logs: Vec<f64> = (0..p).map(|i| (found[[i, i]] / wanted[[i, i]]).ln()).collect();
        let mean = |f: &dyn Fn(&f64) -> f64| logs.iter().map(f).sum::<f64>() / p as f64;
        let inverse = inverse_freedom(sample.n_maps, reference.n_maps);
        Ok(CovarianceScores {
            n_maps: sample.n_maps,
            log_variance_rms: mean(&|v| v * v).sqrt(),
            log_variance_expected: log_variance_expected(inverse),
            log_variance_mean: mean(&|v| *v),
            correlation_error: (error / norm).sqrt(),
            correlation_expected: (noise * inverse / norm).sqrt(),
            trace_ratio: found.diag().sum() / wanted.diag().sum(),
        })
    })
}

/// Root mean square of ln(χ²_ν/ν) with 1/ν given: √(ψ'(ν/2) + (ψ(ν/2) − ln ν/2)²).
pub(crate) fn log_variance_expected(inverse_freedom: f64) -> f64 {
    let half = 0.5 / inverse_freedom;
    (trigamma(half) + (digamma(half) - half.ln()).powi(2)).sqrt()
}

/// A square part of a covariance and of its correlations.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Zoom {
    /// First variable.
    pub first: usize,
    /// Variables on a side.
    pub side: usize,
    /// Covariances, row by row.
    pub covariance: Vec<f64>,
    /// Correlations, row by row.
    pub correlation: Vec<f64>,
}

/// The rows and columns `range` of a covariance.
///
/// # Errors
/// [`ValidationError::Setting`] for a range that is empty or ends outside.
pub fn zoom(covariance: ArrayView2<'_, f64>, range: Range<usize>) -> Result<Zoom> {
    if range.is_empty() || range.end > covariance.nrows() {
        let (given, allowed) = (format!("{range:?}"), "a range inside the matrix");
        return Err(ValidationError::Setting { name: "zoom", given, allowed });
    }
    let pairs = || range.clone().flat_map(|i| range.clone().map(move |j| (i, j)));
    let scale = |(i, j): (usize, usize)| (covariance[[i, i]] * covariance[[j, j]]).sqrt();
    Ok(Zoom {
        first: range.start,
        side: range.len(),
        covariance: pairs().map(|at| covariance[at]).collect(),
        correlation: pairs().map(|at| covariance[at] / scale(at)).collect(),
    })
}
