//! The variance of each coefficient within the batch (open in paper, App. C).

use super::{coefficients, mean_and_variance};
use skyscat_autodiff::device::{DeviceTerm, split};
use skyscat_autodiff::{Stat, Term};

/// mean over coefficients of ((Var_j Φ(x_j) − V)/V₀)².
///
/// V is the variance aimed at and V₀ a scale, both for each real number; an
/// inverse scale of 0 leaves a number out.
#[derive(Debug)]
pub struct MatchVariance {
    name: String,
    target: Vec<f64>,
    inverse_scale: Vec<f64>,
    count: f64,
}

impl MatchVariance {
    /// A term over as many real numbers as `target` has.
    ///
    /// # Panics
    /// If the lengths differ or nothing is left in.
    pub fn new(name: String, target: Vec<f64>, inverse_scale: Vec<f64>) -> Self {
        assert_eq!(target.len(), inverse_scale.len(), "one scale for each target");
        let count = inverse_scale.iter().filter(|w| **w > 0.0).count();
        assert!(count > 0, "a mean over no coefficients");
        Self { name, target, inverse_scale, count: count as f64 }
    }
}

impl Term for MatchVariance {
    fn name(&self) -> &str {
        &self.name
    }

    fn evaluate(&self, stats: &[Stat<'_>], gradients: &mut [&mut [f64]]) -> f64 {
        let mut total = 0.0;
        let targets = self.target.iter().zip(&self.inverse_scale);
        for ((s, start, values), (target, weight)) in coefficients(stats).zip(targets) {
            let (mean, variance) = mean_and_variance(values);
            let residual = (variance - target) * weight;
            total += residual * residual;
            let slope = 4.0 * residual * weight / (self.count * values.len() as f64);
            let gradient = &mut gradients[s][start..start + values.len()];
            for (g, x) in gradient.iter_mut().zip(values) {
                *g = slope * (x - mean);
            }
        }
        total / self.count
    }

    fn gpu(&self, weight: f64, _maps: usize) -> Option<DeviceTerm> {
        let scale = weight / self.count;
        let column = |(&target, &weight): (&f64, &f64)| {
            let [first, rest] = split(target);
            [first, rest, weight, scale]
        };
        let columns = self.target.iter().zip(&self.inverse_scale).flat_map(column).collect();
        Some(DeviceTerm { kernel: "match_variance", columns })
    }
}
