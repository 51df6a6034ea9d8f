//! Scores on principal components: χ², eigenvalue ratios, Gaussian divergences.

use crate::compare::log_variance_expected;
use crate::eigen::{Eigenmodes, decompose};
use crate::error::{Result, ValidationError};
use crate::linear::{check_finite, product};
use crate::special::digamma;
use ndarray::{Array2, ArrayView2};
use serde::Serialize;
use skyscat_num::Par;

/// Reduced χ² = mᵀC⁻¹m/d of maps on the d modes of a covariance, one a map.
///
/// `maps` is `(n_maps, n_variables)`; nothing is subtracted (the truth has zero mean).
/// Under N(0, C) it has mean 1 and standard deviation √(2/d) (Campeti et al. 2025, §5.2).
///
/// # Errors
/// [`ValidationError::RankDeficient`] if a mode has no variance, [`ValidationError::Shape`],
/// [`ValidationError::NotFinite`].
pub fn reduced_chi2(modes: &Eigenmodes, maps: ArrayView2<'_, f64>, par: &Par) -> Result<Vec<f64>> {
    let whitened = whiten(modes, maps, par)?;
    Ok(whitened.rows().into_iter().map(|row| row.dot(&row) / row.len() as f64).collect())
}

/// Amplitudes of maps along modes, divided by √λ: independent and normal under N(0, C).
///
/// # Errors
/// As [`reduced_chi2`].
pub fn whiten(modes: &Eigenmodes, maps: ArrayView2<'_, f64>, par: &Par) -> Result<Array2<f64>> {
    check_modes(modes)?;
    let mut amplitudes = modes.amplitudes(maps, par)?;
    for mut row in amplitudes.rows_mut() {
        row.iter_mut().zip(&modes.values).for_each(|(a, value)| *a /= value.sqrt());
    }
    Ok(amplitudes)
}

fn check_modes(modes: &Eigenmodes) -> Result<()> {
    let (asked, rank) = (modes.len(), modes.rank());
    if rank < asked || asked == 0 {
        return Err(ValidationError::RankDeficient { what: "the covariance", asked, rank });
    }
    Ok(())
}

/// λ_i/λ_i^ref of the leading eigenvalues of two covariances.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EigenvalueRatios {
    /// λ_i/λ_i^ref, i = 0 the largest.
    pub ratio: Vec<f64>,
    /// Root mean square of their logarithms.
    pub log_rms: f64,
    /// √(2/ν): scatter of an isolated eigenvalue of ν degrees of freedom; neighbours
    /// closer than their scatter repel each other and add to it.
    pub log_expected: f64,
}

/// Compares leading eigenvalues, as many as both have.
///
/// `inverse_freedom` is 1/ν of the sample (plus that of the reference, if measured).
///
/// # Errors
/// [`ValidationError::RankDeficient`] if either has none, or one that is not positive.
pub fn eigenvalue_ratios(
    sample: &Eigenmodes,
    reference: &Eigenmodes,
    inverse_freedom: f64,
) -> Result<EigenvalueRatios> {
    check_modes(sample)?;
    check_modes(reference)?;
    let pairs = sample.values.iter().zip(&reference.values);
    let ratio: Vec<f64> = pairs.map(|(a, b)| a / b).collect();
    let squares: f64 = ratio.iter().map(|r| r.ln().powi(2)).sum();
    let log_rms = (squares / ratio.len() as f64).sqrt();
    Ok(EigenvalueRatios { ratio, log_rms, log_expected: (2.0 * inverse_freedom).sqrt() })
}

/// A covariance seen on the modes of the reference, and its Gaussian divergences.
///
/// S = Λ^{−½} V C Vᵀ Λ^{−½} with the reference's modes V and eigenvalues Λ is the
/// identity if C is the reference; its diagonal has the scatter of χ²_ν/ν, free of the
/// repulsion that eigenvalues suffer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModeScores {
    /// Modes d.
    pub modes: usize,
    /// Root mean square of ln S_ii.
    pub log_variance_rms: f64,
    /// Its expectation for ν degrees of freedom.
    pub log_variance_expected: f64,
    /// Stein loss tr S − ln det S − d; none if S is singular (it is infinite).
    pub stein: Option<f64>,
    /// Its expectation d ln(ν/2) − Σ_{i<d} ψ((ν − i)/2); none if ν < d.
    pub stein_expected: Option<f64>,
    /// KL(sample ‖ reference) of zero-mean Gaussians: half the Stein loss, in nats.
    pub kl_from_reference: Option<f64>,
    /// KL(reference ‖ sample) = ½(tr S⁻¹ + ln det S − d), in nats.
    pub kl_to_reference: Option<f64>,
}

/// Scores of a covariance on the modes of the reference.
///
/// # Errors
/// [`ValidationError::Shape`], [`ValidationError::NotFinite`],
/// [`ValidationError::RankDeficient`] if a mode of the reference has no variance.
pub fn compare_on_modes(
    covariance: ArrayView2<'_, f64>,
    reference: &Eigenmodes,
    inverse_freedom: f64,
    par: &Par,
) -> Result<ModeScores> {
    check_modes(reference)?;
    let (p, d) = (reference.vectors.ncols(), reference.len());
    if covariance.dim() != (p, p) {
        let (given, allowed) = (covariance.shape().to_vec(), vec![p, p]);
        return Err(ValidationError::Shape { what: "the covariance", given, allowed });
    }
    check_finite("the covariance", covariance)?;
    let seen = par.install(|| whitened(covariance, reference));
    let logs: f64 = seen.diag().iter().map(|s| s.ln().powi(2)).sum();
    let spectrum = par.install(|| decompose(seen.view()));
    let sum = |f: &dyn Fn(f64) -> f64| spectrum.values.iter().map(|&s| f(s)).sum::<f64>();
    let regular = spectrum.rank() == d;
    let log_det = sum(&f64::ln);
    let stein = regular.then(|| sum(&|s| s - 1.0) - log_det);
    Ok(ModeScores {
        modes: d,
        log_variance_rms: (logs / d as f64).sqrt(),
        log_variance_expected: log_variance_expected(inverse_freedom),
        stein,
        stein_expected: stein_expected(d, 1.0 / inverse_freedom),
        kl_from_reference: stein.map(|s| 0.5 * s),
        kl_to_reference: regular.then(|| 0.5 * (sum(&|s| 1.0 / s - 1.0) + log_det)),
    })
}

/// Λ^{−½} V C Vᵀ Λ^{−½}.
fn whitened(covariance: ArrayView2<'_, f64>, modes: &Eigenmodes) -> Array2<f64> {
    let image = product(modes.vectors.view(), covariance);
    let mut seen = product(image.view(), modes.vectors.t());
    let scales: Vec<f64> = modes.values.iter().map(|v| v.sqrt()).collect();
    seen.indexed_iter_mut().for_each(|((i, j), s)| *s /= scales[i] * scales[j]);
    seen
}

/// Mean Stein loss of a Wishart matrix/ν of ν degrees of freedom in d dimensions.
pub(crate) fn stein_expected(d: usize, freedom: f64) -> Option<f64> {
    let terms = (0..d).map(|i| digamma(0.5 * (freedom - i as f64)));
    (freedom >= d as f64).then(|| d as f64 * (0.5 * freedom).ln() - terms.sum::<f64>())
}
