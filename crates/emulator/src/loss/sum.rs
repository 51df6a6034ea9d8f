//! Spectra summed over the batch, as in CMBSCAT 0.0.3.

use super::matching::on_device;
use super::{coefficients, mean};
use skyscat_autodiff::device::DeviceTerm;
use skyscat_autodiff::{Stat, Term};

/// mean over ℓ of (Σ_j C(x_j) − m C_ref)²/σ², summed over the spectra.
#[derive(Debug)]
pub struct MatchSum {
    name: String,
    target: Vec<f64>,
    inverse_sigma: Vec<f64>,
    multipoles: f64,
}

impl MatchSum {
    /// A term over as many numbers as `target` has, with `multipoles` values of ℓ.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn new(name: String, target: Vec<f64>, inverse_sigma: Vec<f64>, multipoles: usize) -> Self {
        assert_eq!(target.len(), inverse_sigma.len(), "one σ for each target");
        Self { name, target, inverse_sigma, multipoles: multipoles as f64 }
    }
}

impl Term for MatchSum {
    fn name(&self) -> &str {
        &self.name
    }

    fn evaluate(&self, stats: &[Stat<'_>], gradients: &mut [&mut [f64]]) -> f64 {
        let mut total = 0.0;
        let targets = self.target.iter().zip(&self.inverse_sigma);
        for ((s, start, values), (target, weight)) in coefficients(stats).zip(targets) {
            let m = values.len() as f64;
            let residual = m * (mean(values) - target) * weight;
            total += residual * residual;
            let slope = 2.0 * residual * weight / self.multipoles;
            gradients[s][start..start + values.len()].fill(slope);
        }
        total / self.multipoles
    }

    fn gpu(&self, weight: f64, maps: usize) -> Option<DeviceTerm> {
        // A sum over the maps is so many times their mean.
        let scale = weight * (maps * maps) as f64 / self.multipoles;
        Some(on_device(&self.target, &self.inverse_sigma, scale))
    }
}
