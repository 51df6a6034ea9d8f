//! What goes wrong in a timeline: one trait, one file for each.
//!
//! A timeline is kept as two parts, the ideal signal and the *excess* over it, so
//! that a map of the systematics alone does not come out of a cancellation.

mod gain;
mod non_linearity;
mod one_over_f;
mod white;

use crate::config::{Config, SystematicConfig};
use crate::{Realisation, SimError};
use skyscat_num::Stream;
use std::fmt::Debug;

pub use gain::{GainDrift, GainTable};
pub use non_linearity::NonLinearity;
pub use one_over_f::OneOverF;
pub use white::WhiteNoise;

/// One chunk of one detector's timeline.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    /// Place of the detector in the configuration.
    pub detector: usize,
    /// Number of the chunk.
    pub chunk: u64,
    /// Number of its first sample in the mission.
    pub first_sample: u64,
    /// Samples a second.
    pub rate_hz: f64,
    /// The detector's noise-equivalent temperature, K√s.
    pub net_k_rts: f64,
    /// Whose random numbers to draw.
    pub realisation: Realisation<'a>,
}

impl Span<'_> {
    /// The random numbers of a purpose for this detector, chunk and realisation.
    pub fn stream(&self, purpose: &str) -> Stream {
        self.realisation.stream(purpose, self.detector, self.chunk)
    }
}

/// Something that goes wrong in a timeline.
///
/// The timeline is `ideal + excess`, K. An implementation changes `excess` so that
/// the sum becomes what its detector would give; it may be called in any order of
/// chunks and from many threads, so whatever is random comes from [`Span::stream`].
///
/// ```
/// use skyscat_sim::systematics::{Span, Systematic};
/// /// A constant offset of one detector.
/// #[derive(Debug)]
/// struct Offset { detector: usize, offset_k: f64 }
/// impl Systematic for Offset {
///     fn name(&self) -> &'static str {
///         "offset"
///     }
///     fn apply(&self, span: &Span<'_>, _ideal: &[f64], excess: &mut [f64]) {
///         if span.detector == self.detector {
///             excess.iter_mut().for_each(|e| *e += self.offset_k);
///         }
///     }
/// }
/// ```
pub trait Systematic: Debug + Send + Sync {
    /// Its name in reports.
    fn name(&self) -> &'static str;

    /// Changes the excess of one chunk, sample by sample.
    fn apply(&self, span: &Span<'_>, ideal: &[f64], excess: &mut [f64]);
}

/// The systematics of a validated configuration, in its order.
pub(crate) fn build(config: &Config) -> Result<Vec<Box<dyn Systematic>>, SimError> {
    let chunk = config.mission.chunk_samples;
    let last = config.samples()? - chunk * (config.chunks()? - 1);
    Ok(config
        .systematics
        .iter()
        .map(|systematic| -> Box<dyn Systematic> {
            match systematic {
                SystematicConfig::GainDrift { sigma } => Box::new(GainDrift { sigma: *sigma }),
                SystematicConfig::GainTable { gains } => {
                    Box::new(GainTable { gains: gains.clone() })
                }
                SystematicConfig::WhiteNoise => Box::new(WhiteNoise),
                SystematicConfig::OneOverF { knee_hz, slope } => {
                    Box::new(OneOverF::new(*knee_hz, *slope, &[chunk as usize, last as usize]))
                }
                SystematicConfig::NonLinearity { quadratic_per_k, ripple_k, ripple_period_k } => {
                    Box::new(NonLinearity {
                        quadratic_per_k: *quadratic_per_k,
                        ripple_k: *ripple_k,
                        ripple_period_k: *ripple_period_k,
                    })
                }
            }
        })
        .collect())
}
