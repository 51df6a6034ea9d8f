//! White noise.

use super::{Span, Systematic};

/// d → d + n, independent samples of standard deviation NET·√rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WhiteNoise;

impl Systematic for WhiteNoise {
    fn name(&self) -> &'static str {
        "white-noise"
    }

    fn apply(&self, span: &Span<'_>, _ideal: &[f64], excess: &mut [f64]) {
        let sigma = span.net_k_rts * span.rate_hz.sqrt();
        let mut stream = span.stream("white-noise");
        excess.iter_mut().for_each(|e| *e += sigma * stream.normal());
    }
}
