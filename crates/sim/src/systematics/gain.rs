//! Gains that are constant in a chunk: drawn, or given.

use super::{Span, Systematic};

/// d → (1 + g) d with one g ~ N(0, σ²) for each detector and chunk.
///
/// Campeti et al. (2025), section 2: σ = 1e-4, chunks of 100,000 samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GainDrift {
    /// σ.
    pub sigma: f64,
}

/// d → (1 + g) d with given gains.
#[derive(Clone, Debug, PartialEq)]
pub struct GainTable {
    /// g, by chunk and then by detector.
    pub gains: Vec<Vec<f64>>,
}

fn amplify(gain: f64, ideal: &[f64], excess: &mut [f64]) {
    for (e, d) in excess.iter_mut().zip(ideal) {
        *e += gain * (d + *e);
    }
}

impl Systematic for GainDrift {
    fn name(&self) -> &'static str {
        "gain-drift"
    }

    fn apply(&self, span: &Span<'_>, ideal: &[f64], excess: &mut [f64]) {
        amplify(self.sigma * span.realisation.gain(span.detector, span.chunk), ideal, excess);
    }
}

impl Systematic for GainTable {
    fn name(&self) -> &'static str {
        "gain-table"
    }

    /// # Panics
    /// If the table is too short: [`crate::Config::check`] refuses one.
    fn apply(&self, span: &Span<'_>, ideal: &[f64], excess: &mut [f64]) {
        amplify(self.gains[span.chunk as usize][span.detector], ideal, excess);
    }
}
