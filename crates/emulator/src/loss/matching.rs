//! The mean of each coefficient over the batch against a target (paper, Eq. 5).

use super::{coefficients, mean};
use skyscat_autodiff::device::{DeviceTerm, split};
use skyscat_autodiff::{Stat, Term};

/// mean over coefficients of |(Ave_j Φ(x_j) − Φ_target)/σ|².
///
/// Targets and inverse σ are given for each real number in order; a complex
/// coefficient counts once. An inverse σ of 0 leaves a number out.
#[derive(Debug)]
pub struct MatchMean {
    name: String,
    target: Vec<f64>,
    inverse_sigma: Vec<f64>,
    count: f64,
}

impl MatchMean {
    /// A term over as many real numbers as `target` has; `count` is the number
    /// of coefficients in the mean.
    ///
    /// # Panics
    /// If the lengths differ or `count` is 0.
    pub fn new(name: String, target: Vec<f64>, inverse_sigma: Vec<f64>, count: usize) -> Self {
        assert_eq!(target.len(), inverse_sigma.len(), "one σ for each target");
        assert!(count > 0, "a mean over no coefficients");
        Self { name, target, inverse_sigma, count: count as f64 }
    }
}

impl Term for MatchMean {
    fn name(&self) -> &str {
        &self.name
    }

    fn evaluate(&self, stats: &[Stat<'_>], gradients: &mut [&mut [f64]]) -> f64 {
        let mut total = 0.0;
        let targets = self.target.iter().zip(&self.inverse_sigma);
        for ((s, start, values), (target, weight)) in coefficients(stats).zip(targets) {
            let residual = (mean(values) - target) * weight;
            total += residual * residual;
            let slope = 2.0 * residual * weight / (self.count * values.len() as f64);
            gradients[s][start..start + values.len()].fill(slope);
        }
        total / self.count
    }

    fn gpu(&self, weight: f64, _maps: usize) -> Option<DeviceTerm> {
        Some(on_device(&self.target, &self.inverse_sigma, weight / self.count))
    }
}

/// Σ scale·((mean − target)/σ)² on a GPU.
pub(super) fn on_device(target: &[f64], inverse_sigma: &[f64], scale: f64) -> DeviceTerm {
    let column = |(&target, &weight): (&f64, &f64)| {
        let [first, rest] = split(target);
        [first, rest, weight, scale]
    };
    let columns = target.iter().zip(inverse_sigma).flat_map(column).collect();
    DeviceTerm { kernel: "match_mean", columns }
}
