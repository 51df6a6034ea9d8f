//! Counter-based random streams: one for each (seed, purpose, target, member).

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// The one seed of a run. It has no default, and stands in every output.
///
/// ```
/// use skyscat_num::Seed;
/// let a = Seed(7).stream("initial-noise").index(0, 3).normals(4);
/// let b = Seed(7).stream("initial-noise").index(0, 3).normals(4);
/// let c = Seed(7).stream("initial-noise").index(1, 3).normals(4);
/// assert_eq!(a, b);
/// assert_ne!(a, c);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// Streams of one purpose; purposes never share numbers.
    pub fn stream(self, purpose: &str) -> Purpose {
        // FNV-1a, 64 bit: two offsets make 128 bits of purpose.
        let hash = |offset: u64| {
            purpose.bytes().fold(offset, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
        };
        Purpose {
            seed: self.0,
            purpose: [hash(0xcbf2_9ce4_8422_2325), hash(0x9ae1_6a3b_2f90_404f)],
        }
    }
}

/// The streams of one seed and purpose.
#[derive(Clone, Copy, Debug)]
pub struct Purpose {
    seed: u64,
    purpose: [u64; 2],
}

impl Purpose {
    /// The stream of one member of one target.
    pub fn index(self, target: u64, member: u64) -> Stream {
        let mut key = [0u8; 32];
        for (bytes, word) in
            key.chunks_exact_mut(8).zip([self.seed, self.purpose[0], self.purpose[1], target])
        {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(member);
        Stream { rng }
    }
}

/// A reproducible stream of random numbers.
#[derive(Clone, Debug)]
pub struct Stream {
    rng: ChaCha8Rng,
}

impl Stream {
    /// The next standard normal number.
    pub fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.rng)
    }

    /// `count` standard normal numbers.
    pub fn normals(mut self, count: usize) -> Vec<f64> {
        (0..count).map(|_| self.normal()).collect()
    }

    /// A number uniform in `0..bound`, without bias.
    ///
    /// # Panics
    /// If `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "a draw needs at least one candidate");
        let bound = bound as u64;
        let limit = u64::MAX - u64::MAX % bound;
        loop {
            let draw = self.rng.next_u64();
            if draw < limit {
                return (draw % bound) as usize;
            }
        }
    }
}
