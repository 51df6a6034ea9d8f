//! Which random numbers: a seed, the name of a set, and a number in it.

use skyscat_num::{Seed, Stream};

/// One member of one set of simulations.
///
/// Sets of different names never share a number, whatever they hold: a reference
/// set and a set of inputs drawn with one seed are independent.
///
/// ```
/// use skyscat_num::Seed;
/// use skyscat_sim::Realisation;
/// let input = Realisation { seed: Seed(1), set: "input", number: 0 };
/// let reference = Realisation { set: "reference", ..input };
/// assert_ne!(input.gains(0, 3), reference.gains(0, 3));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Realisation<'a> {
    /// The seed of the run.
    pub seed: Seed,
    /// Name of the set, such as "input" or "reference".
    pub set: &'a str,
    /// Number of the member, from 0.
    pub number: u64,
}

/// Gains that share one stream: a seek within it costs at most as many draws.
const GAINS_PER_STREAM: usize = 64;

impl Realisation<'_> {
    /// The stream of a purpose for one detector and chunk.
    ///
    /// # Panics
    /// If `chunk` is 2³² or more: [`crate::Config::check`] allows no such mission.
    pub fn stream(&self, purpose: &str, detector: usize, chunk: u64) -> Stream {
        assert!(chunk >> 32 == 0, "chunk {chunk} of a mission is too large");
        let purpose = format!("{}/{purpose}", self.set);
        self.seed.stream(&purpose).index(self.number, (detector as u64) << 32 | chunk)
    }

    /// The gain of one detector in one chunk, in units of its standard deviation.
    pub fn gain(&self, detector: usize, chunk: u64) -> f64 {
        let block = GAINS_PER_STREAM as u64;
        let mut stream = self.stream("gain-drift", detector, chunk / block);
        (0..chunk % block).for_each(|_| {
            stream.normal();
        });
        stream.normal()
    }

    /// [`Realisation::gain`] of the chunks from 0 to `chunks`.
    pub fn gains(&self, detector: usize, chunks: usize) -> Vec<f64> {
        let mut gains = Vec::with_capacity(chunks);
        for block in 0..chunks.div_ceil(GAINS_PER_STREAM) {
            let mut stream = self.stream("gain-drift", detector, block as u64);
            let rest = (chunks - gains.len()).min(GAINS_PER_STREAM);
            gains.extend((0..rest).map(|_| stream.normal()));
        }
        gains
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gains_one_by_one_and_together_are_the_same() {
        let realisation = Realisation { seed: Seed(5), set: "test", number: 2 };
        let together = realisation.gains(3, 150);
        for chunk in [0, 1, 63, 64, 149] {
            assert_eq!(realisation.gain(3, chunk), together[chunk as usize]);
        }
        assert_ne!(realisation.gains(2, 150), together);
    }
}
