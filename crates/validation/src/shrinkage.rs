//! Covariances of few maps: shrinkage to the identity (Ledoit–Wolf) or to another
//! covariance, and the Hartlap factor.

use crate::covariance::SampleCovariance;
use crate::error::{Result, ValidationError};
use crate::linear::{check_covariance, check_finite, product};
use ndarray::{Array2, ArrayView2, Axis};
use serde::Serialize;
use skyscat_num::Par;

/// How much of a sample covariance is replaced by a multiple of the identity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Shrinkage {
    /// Maps.
    pub n_maps: usize,
    /// ρ in (1 − ρ) S + ρ μ 1, 0 to 1.
    pub intensity: f64,
    /// μ = tr S/p, S with 1/n.
    pub mean_variance: f64,
}

impl Shrinkage {
    /// The intensity of Ledoit & Wolf (2004) for maps `(n_maps, n_variables)`.
    ///
    /// With S = Σxxᵀ/n of maps less their mean: d² = ‖S − μ1‖²/p,
    /// b² = Σ‖xxᵀ − S‖²/(n²p), ρ = min(b², d²)/d². Only the n × n Gram matrix is formed
    /// if n ≤ p.
    ///
    /// # Errors
    /// [`ValidationError::TooFewMaps`], [`ValidationError::NotFinite`],
    /// [`ValidationError::Variance`] if no variable varies.
    pub fn ledoit_wolf(maps: ArrayView2<'_, f64>, par: &Par) -> Result<Self> {
        let (n, p) = maps.dim();
        if n < 2 {
            let score = "Ledoit–Wolf";
            return Err(ValidationError::TooFewMaps { score, given: n, allowed: 2 });
        }
        check_finite("the maps", maps)?;
        let mean = maps.mean_axis(Axis(0)).expect("maps");
        let centred: Array2<f64> = (&maps - &mean).as_standard_layout().into_owned();
        let norms: Vec<f64> = centred.rows().into_iter().map(|row| row.dot(&row)).collect();
        let (n_f, p_f) = (n as f64, p as f64);
        let mean_variance = norms.iter().sum::<f64>() / (n_f * p_f);
        if mean_variance <= 0.0 {
            let (what, given) = ("the maps", mean_variance);
            return Err(ValidationError::Variance { what, index: 0, given });
        }
        let square = par.install(|| {
            let (a, b) =
                if n <= p { (centred.view(), centred.t()) } else { (centred.t(), centred.view()) };
            product(a, b).iter().map(|v| v * v).sum::<f64>() / (n_f * n_f)
        });
        let fourth: f64 = norms.iter().map(|v| v * v).sum();
        let distance = square / p_f - mean_variance * mean_variance;
        let noise = (fourth / n_f - square) / (n_f * p_f);
        let intensity = if distance > 0.0 { noise.min(distance) / distance } else { 0.0 };
        Ok(Self { n_maps: n, intensity, mean_variance })
    }

    /// (1 − ρ) S + ρ μ 1 in place of the sample covariance (which has 1/(n − 1)).
    pub fn apply(&self, sample: &mut SampleCovariance) {
        let n = sample.n_maps as f64;
        let keep = (1.0 - self.intensity) * (n - 1.0) / n;
        sample.covariance.mapv_inplace(|v| keep * v);
        sample.covariance.diag_mut().mapv_inplace(|v| v + self.intensity * self.mean_variance);
    }
}

/// How much of a sample correlation is replaced by that of another covariance, such as
/// that of maps emulated from the same inputs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TargetShrinkage {
    /// Maps.
    pub n_maps: usize,
    /// ρ in (1 − ρ) S + ρ R_target, 0 to 1.
    pub intensity: f64,
}

impl TargetShrinkage {
    /// The intensity of Schäfer & Strimmer (2005, Eq. 7) for maps
    /// `(n_maps, n_variables)` and any target, `(n_variables, n_variables)`.
    ///
    /// All in units of the target's standard deviations: with w_k = z_k z_kᵀ of maps less
    /// their mean and S = Σ w_k/(n − 1), ρ = Σ Var(S_ij)/‖S − R_target‖², where
    /// Σ Var(S_ij) = n/(n − 1)³ Σ_k ‖w_k − w̄‖².
    ///
    /// # Errors
    /// [`ValidationError::TooFewMaps`] for fewer than three, [`ValidationError::Shape`] if
    /// sizes differ, as [`crate::compare_covariances`] for a target that is no covariance.
    pub fn towards(
        maps: ArrayView2<'_, f64>,
        target: ArrayView2<'_, f64>,
        par: &Par,
    ) -> Result<Self> {
        let (n, p) = maps.dim();
        if n < 3 {
            let score = "shrinkage to a target";
            return Err(ValidationError::TooFewMaps { score, given: n, allowed: 3 });
        }
        if target.dim() != (p, p) {
            let (given, allowed) = (target.shape().to_vec(), vec![p, p]);
            return Err(ValidationError::Shape { what: "the target covariance", given, allowed });
        }
        check_finite("the maps", maps)?;
        par.install(|| {
            check_covariance("the target covariance", target)?;
            let scale = target.diag().mapv(|v| v.sqrt().recip());
            let mean = maps.mean_axis(Axis(0)).expect("maps");
            let z: Array2<f64> = ((&maps - &mean) * &scale).as_standard_layout().into_owned();
            let n_f = n as f64;
            let gram = product(z.view(), z.t());
            let sample_square = gram.iter().map(|v| v * v).sum::<f64>() / (n_f - 1.0).powi(2);
            let fourth: f64 = gram.diag().iter().map(|v| v * v).sum();
            let mean_square = sample_square * ((n_f - 1.0) / n_f).powi(2);
            let noise = n_f / (n_f - 1.0).powi(3) * (fourth - n_f * mean_square);
            // ⟨S, R⟩ and ‖R‖² of R = D target D.
            let scaled = &z * &scale;
            let through = product(scaled.view(), target);
            let inner = (&through * &scaled).sum() / (n_f - 1.0);
            let rows = target.rows().into_iter().zip(&scale);
            let square: f64 = rows
                .map(|(row, a)| {
                    row.iter().zip(&scale).map(|(c, b)| (a * c * b).powi(2)).sum::<f64>()
                })
                .sum();
            let distance = sample_square - 2.0 * inner + square;
            let intensity = if distance > 0.0 { (noise / distance).clamp(0.0, 1.0) } else { 1.0 };
            Ok(Self { n_maps: n, intensity })
        })
    }

    /// (1 − ρ) S + ρ T in place of the sample covariance.
    ///
    /// # Panics
    /// If sizes differ.
    pub fn apply(&self, sample: &mut SampleCovariance, target: ArrayView2<'_, f64>) {
        sample.covariance.zip_mut_with(&target, |s, t| {
            *s = (1.0 - self.intensity) * *s + self.intensity * t;
        });
    }
}

/// (n − d − 2)/(n − 1): makes the inverse of a sample covariance unbiased.
///
/// Hartlap, Simon & Schneider (2007, Eq. 17); d is the number of variables or modes.
///
/// # Errors
/// [`ValidationError::TooFewMaps`] unless n > d + 2: there is no unbiased inverse.
pub fn hartlap_factor(n_maps: usize, variables: usize) -> Result<f64> {
    if n_maps <= variables + 2 {
        let (score, allowed) = ("the Hartlap factor", variables + 3);
        return Err(ValidationError::TooFewMaps { score, given: n_maps, allowed });
    }
    Ok((n_maps - variables - 2) as f64 / (n_maps - 1) as f64)
}
