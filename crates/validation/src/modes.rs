//! Scores on principal components: χ², eigenvalue ratios, Gaussian divergences.

use crate::compare::{inverse_freedom, log_variance_expected};
use crate::covariance::SampleCovariance;
use crate::eigen::{Eigenmodes, decompose};
use crate::error::{Result, ValidationError};
use crate::linear::product;
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

/// Amplitudes along modes over √λ: independent and normal under N(0, C).
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

/// A covariance on the modes of the reference, and its Gaussian divergences.
///
/// S = Λ^{−½} V C Vᵀ Λ^{−½}, with modes V and eigenvalues Λ that are independent of the
/// maps behind C, has the scatter of a Wishart matrix, free of the repulsion that
/// eigenvalues suffer. S_ref is the same of the reference: the identity if V and Λ are
/// those of the exact covariance.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModeScores {
    /// Modes d.
    pub modes: usize,
    /// Maps behind C.
    pub n_maps: usize,
    /// Maps behind S_ref; none if it is exact.
    pub n_reference: Option<usize>,
    /// Root mean square of ln(S_ii/S_ii^ref).
    pub log_variance_rms: f64,
    /// Its expectation.
    pub log_variance_expected: f64,
    /// Stein loss tr F − ln det F − d of F = S_ref^{−½} S S_ref^{−½}; none if S is
    /// singular (it is infinite).
    pub stein: Option<f64>,
    /// Its expectation ([`stein_expected`]); none if there are too few maps.
    pub stein_expected: Option<f64>,
    /// KL(sample ‖ reference) of zero-mean Gaussians: half the Stein loss, in nats.
    pub kl_from_reference: Option<f64>,
    /// KL(reference ‖ sample) = ½(tr F⁻¹ + ln det F − d), in nats.
    pub kl_to_reference: Option<f64>,
}

/// Scores of maps on modes that know nothing of them, from whitened amplitudes.
///
/// `sample` and `reference` are amplitudes `(n_maps, d)` divided by √λ ([`whiten`]);
/// without a reference, the modes are those of the exact covariance and S_ref = 1.
/// Means are subtracted.
///
/// # Errors
/// [`ValidationError::TooFewMaps`] for fewer than two maps, [`ValidationError::Shape`],
/// [`ValidationError::NotFinite`], [`ValidationError::RankDeficient`] if the reference has
/// no more maps than modes.
pub fn compare_on_modes(
    sample: ArrayView2<'_, f64>,
    reference: Option<ArrayView2<'_, f64>>,
    par: &Par,
) -> Result<ModeScores> {
    let d = sample.ncols();
    let own = SampleCovariance::of(sample, par)?;
    let theirs = reference.map(|maps| SampleCovariance::of(maps, par)).transpose()?;
    let mut ratio = own.covariance;
    let mut logs: Vec<f64> = ratio.diag().iter().map(|s| s.ln()).collect();
    if let Some(theirs) = &theirs {
        if theirs.covariance.nrows() != d {
            let (given, allowed) = (theirs.covariance.shape().to_vec(), vec![d, d]);
            return Err(ValidationError::Shape { what: "the reference's modes", given, allowed });
        }
        logs.iter_mut().zip(theirs.covariance.diag()).for_each(|(log, s)| *log -= s.ln());
        let root = inverse_root(theirs.covariance.view())?;
        ratio = par.install(|| product(product(root.view(), ratio.view()).view(), root.view()));
    }
    let spectrum = decompose(ratio.view());
    let sum = |f: &dyn Fn(f64) -> f64| spectrum.values.iter().map(|&s| f(s)).sum::<f64>();
    let regular = own.n_maps > d && spectrum.rank() == d;
    let log_det = sum(&f64::ln);
    let stein = regular.then(|| sum(&|s| s - 1.0) - log_det);
    let n_reference = theirs.map(|theirs| theirs.n_maps);
    let squares: f64 = logs.iter().map(|v| v * v).sum();
    Ok(ModeScores {
        modes: d,
        n_maps: own.n_maps,
        n_reference,
        log_variance_rms: (squares / d as f64).sqrt(),
        log_variance_expected: log_variance_expected(inverse_freedom(own.n_maps, n_reference)),
        stein,
        stein_expected: stein_expected(d, own.n_maps, n_reference),
        kl_from_reference: stein.map(|s| 0.5 * s),
        kl_to_reference: regular.then(|| 0.5 * (sum(&|s| 1.0 / s - 1.0) + log_det)),
    })
}

/// C^{−½} of a regular covariance.
fn inverse_root(covariance: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
    let spectrum = decompose(covariance);
    let (asked, rank) = (spectrum.len(), spectrum.rank());
    if rank < asked {
        let what = "the reference on its modes";
        return Err(ValidationError::RankDeficient { what, asked, rank });
    }
    let mut scaled = spectrum.vectors.clone();
    for (mut row, value) in scaled.rows_mut().into_iter().zip(&spectrum.values) {
        row /= value.sqrt();
    }
    Ok(product(spectrum.vectors.t(), scaled.view()))
}

/// Mean Stein loss of n maps against n_ref, or the truth, in d dimensions.
///
/// For Wishart matrices of ν = n − 1: E ln det S = Σ_{i<d} ψ((ν − i)/2) − d ln(ν/2) and
/// E S⁻¹ = ν/(ν − d − 1) (Muirhead 1982, §3.2), so that the loss is
/// d ν_ref/(ν_ref − d − 1) − d + E ln det S_ref − E ln det S. None unless ν ≥ d and
/// ν_ref > d + 1.
pub fn stein_expected(modes: usize, n_maps: usize, n_reference: Option<usize>) -> Option<f64> {
    let d = modes as f64;
    let log_det = |n: usize| {
        let freedom = (n - 1) as f64;
        let terms = (0..modes).map(|i| digamma(0.5 * (freedom - i as f64)));
        terms.sum::<f64>() - d * (0.5 * freedom).ln()
    };
    if n_maps < modes + 1 || n_reference.is_some_and(|n| n <= modes + 2) {
        return None;
    }
    let reference = n_reference.map_or(0.0, |n| {
        let freedom = (n - 1) as f64;
        d * freedom / (freedom - d - 1.0) - d + log_det(n)
    });
    Some(reference - log_det(n_maps))
}
