//! A converter's static non-linearity.

use super::{Span, Systematic};
use std::f64::consts::TAU;

/// d → d + q d² + a sin(2πd/p): a curved, rippled response without memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NonLinearity {
    /// q, 1/K.
    pub quadratic_per_k: f64,
    /// a, K.
    pub ripple_k: f64,
    /// p, K.
    pub ripple_period_k: f64,
}

impl Systematic for NonLinearity {
    fn name(&self) -> &'static str {
        "non-linearity"
    }

    fn apply(&self, _span: &Span<'_>, ideal: &[f64], excess: &mut [f64]) {
        for (e, ideal) in excess.iter_mut().zip(ideal) {
            let d = ideal + *e;
            *e += self.quadratic_per_k * d * d
                + self.ripple_k * (TAU * d / self.ripple_period_k).sin();
        }
    }
}
