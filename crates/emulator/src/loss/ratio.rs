//! Spectra in units of their own scatter (Campeti et al. 2025, Eq. 6).

use super::{coefficients, mean_and_variance};
use skyscat_autodiff::{Stat, Term};

/// mean of (Ave_j C/Std_j C − target)² over ℓ, spectra and powers.
///
/// The paper sums where this takes the mean: the minimum is the same, and terms
/// of one order descend together (with the sum, 1/σ² of a few hundred stiff
/// numbers kept the scattering terms from moving). `target` holds Ave_i C/Std_i C
/// of the inputs for each real number; one that is not finite leaves its number
/// out.
#[derive(Debug)]
pub struct MatchRatio {
    name: String,
    target: Vec<f64>,
    count: f64,
}

impl MatchRatio {
    /// A term over as many numbers as `target` has.
    pub fn new(name: String, target: Vec<f64>) -> Self {
        let count = target.iter().filter(|t| t.is_finite()).count().max(1) as f64;
        Self { name, target, count }
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
            total += residual * residual / self.count;
            // ∂(μ/s)/∂x_j = [1 − μ(x_j − μ)/s²]/(n s).
            let n = values.len() as f64;
            for (g, x) in gradient.iter_mut().zip(values) {
                *g = 2.0 * residual / self.count * (1.0 - mean * (x - mean) / variance) / (n * std);
            }
        }
        total
    }
}
