//! 1/f noise, synthesised in the frequency domain.

use super::{Span, Systematic};
use rustfft::num_complex::Complex64;
use rustfft::{Fft, FftPlanner};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// d → d + n with two-sided power NET² (knee/f)^slope, K²/Hz.
///
/// White noise of the same NET has NET² at all frequencies, so the two meet at the
/// knee. Each chunk is drawn on its own: its mean is 0, frequencies are whole
/// numbers of periods a chunk, its two ends join, and nothing is correlated from
/// one chunk to the next.
pub struct OneOverF {
    knee_hz: f64,
    slope: f64,
    plans: BTreeMap<usize, Arc<dyn Fft<f64>>>,
}

impl OneOverF {
    /// Noise for chunks of the given lengths.
    pub fn new(knee_hz: f64, slope: f64, lengths: &[usize]) -> Self {
        let mut planner = FftPlanner::new();
        let plans = lengths.iter().map(|&n| (n, planner.plan_fft_inverse(n))).collect();
        Self { knee_hz, slope, plans }
    }
}

impl fmt::Debug for OneOverF {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneOverF")
            .field("knee_hz", &self.knee_hz)
            .field("slope", &self.slope)
            .field("lengths", &self.plans.keys())
            .finish()
    }
}

impl Systematic for OneOverF {
    fn name(&self) -> &'static str {
        "one-over-f"
    }

    /// The periodogram |X_k|²/(N·rate) of what is added, X_k = Σ n_j e^{−2πijk/N},
    /// has the power as its expectation at each f_k = k·rate/N, 0 < k < N.
    ///
    /// # Panics
    /// If the chunk has a length that was not announced.
    fn apply(&self, span: &Span<'_>, _ideal: &[f64], excess: &mut [f64]) {
        let len = excess.len();
        let plan = self.plans.get(&len).expect("a chunk of a length that was announced");
        let mut stream = span.stream("one-over-f");
        let mut spectrum = vec![Complex64::ZERO; len];
        let step_hz = span.rate_hz / len as f64;
        // n_j = Re Σ_{0<k≤N/2} z_k e^{2πijk/N}: z_k has twice the share of its bin,
        // for −k is left out; the highest frequency of an even N has no partner.
        let scale = span.net_k_rts * step_hz.sqrt();
        for (k, z) in spectrum.iter_mut().enumerate().take(len / 2 + 1).skip(1) {
            let amplitude = scale * (self.knee_hz / (k as f64 * step_hz)).powf(self.slope / 2.0);
            *z = if 2 * k == len {
                Complex64::new(amplitude * stream.normal(), 0.0)
            } else {
                let root2 = std::f64::consts::SQRT_2;
                Complex64::new(stream.normal(), stream.normal()) * (amplitude * root2)
            };
        }
        plan.process(&mut spectrum);
        excess.iter_mut().zip(&spectrum).for_each(|(e, z)| *e += z.re);
    }
}
