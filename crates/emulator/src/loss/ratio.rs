//! Spectra in units of their own scatter (Campeti et al. 2025, Eq. 6).

use super::{coefficients, mean_and_variance};
use skyscat_autodiff::device::{DeviceTerm, split};
use skyscat_autodiff::{Stat, Term};

/// Σ (ρ_j − ρ_i)² with ρ = Ave C/Std C of the batch and of the inputs, over ℓ,
/// spectra and powers: the paper's sum, or relative to Σ ρ_i².
///
/// The minimum is the same, and relative terms of one order descend together
/// (undivided, a few hundred stiff numbers kept the scattering terms from moving).
/// `target` holds ρ_i for each real number; one that is not finite leaves its
/// number out.
#[derive(Debug)]
pub struct MatchRatio {
    name: String,
    target: Vec<f64>,
    power: f64,
}

impl MatchRatio {
    /// The sum relative to Σ ρ_i², over as many numbers as `target` has.
    pub fn relative(name: String, target: Vec<f64>) -> Self {
        let power: f64 = target.iter().filter(|t| t.is_finite()).map(|t| t * t).sum();
        let power = if power > 0.0 { power } else { 1.0 };
        Self { name, target, power }
    }

    /// The sum as the paper writes it.
    pub fn undivided(name: String, target: Vec<f64>) -> Self {
        Self { name, target, power: 1.0 }
    }
}

impl Term for MatchRatio {
    fn name(&self) -> &str {
        &self.name
    }

    fn evaluate(&self, stats: &[Stat<'_>], gradients: &mut [&mut [f64]]) -> f64 {
        let mut total = 0.0;
        for ((s, start, values), &target) in coefficients(stats).zip(&self.target) {
            let gradient = &mut gradients[s][start..start + values.len()];
            let (mean, variance) = mean_and_variance(values);
            if !target.is_finite() || variance <= 0.0 {
                gradient.fill(0.0);
                continue;
            }
            let std = variance.sqrt();
            let residual = mean / std - target;
            total += residual * residual / self.power;
            // ∂(μ/s)/∂x_j = [1 − μ(x_j − μ)/s²]/(n s).
            let n = values.len() as f64;
            for (g, x) in gradient.iter_mut().zip(values) {
                *g = 2.0 * residual / self.power * (1.0 - mean * (x - mean) / variance) / (n * std);
            }
        }
        total
    }

    fn gpu(&self, weight: f64, _maps: usize) -> Option<DeviceTerm> {
        let scale = weight / self.power;
        let column = |&target: &f64| match target.is_finite() {
            true => [split(target)[0], split(target)[1], scale, 0.0],
            false => [0.0; 4],
        };
        let columns = self.target.iter().flat_map(column).collect();
        Some(DeviceTerm { kernel: "match_ratio", columns })
    }
}
