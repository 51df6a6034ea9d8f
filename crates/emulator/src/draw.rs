//! Which batches are needed for a number of maps, and which member is drawn when.

use crate::TargetMode;
use skyscat_num::Seed;
use std::collections::BTreeMap;

/// One batch of an emulation: its target (`None` for the average) and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId {
    /// Index of the target input, or `None` for the average target.
    pub target: Option<usize>,
    /// Number of the batch among those of its target.
    pub number: usize,
}

impl std::fmt::Display for BatchId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.target {
            Some(target) => write!(f, "target{target:04}-batch{:04}", self.number),
            None => write!(f, "average-batch{:04}", self.number),
        }
    }
}

/// Where one emulated map comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// The batch.
    pub batch: BatchId,
    /// The member of the batch.
    pub member: usize,
}

/// The batches and members that make up an emulation (paper, section 4.3).
///
/// Average target: as many batches as needed, members in order. Single target:
/// targets are drawn uniformly with replacement, each time a different member of
/// that target's batch; when a batch is used up, that target gets another.
///
/// ```
/// use skyscat_emulator::{Schedule, TargetMode};
/// use skyscat_num::Seed;
/// let schedule = Schedule::new(TargetMode::Average, 10, 25, 10, Seed(1));
/// assert_eq!(schedule.batches().len(), 3);
/// assert_eq!(schedule.draws().len(), 25);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    draws: Vec<Drawn>,
    batches: Vec<BatchId>,
}

impl Schedule {
    /// The schedule for `count` maps from `inputs` inputs in batches of `batch`.
    ///
    /// # Panics
    /// If `inputs` or `batch` is 0.
    pub fn new(mode: TargetMode, inputs: usize, count: usize, batch: usize, seed: Seed) -> Self {
        assert!(inputs > 0 && batch > 0, "a schedule needs inputs and a batch size");
        let mut used: BTreeMap<Option<usize>, usize> = BTreeMap::new();
        let mut stream = seed.stream("draw-targets").index(0, 0);
        let mut draws = Vec::with_capacity(count);
        for _ in 0..count {
            let target = match mode {
                TargetMode::Average => None,
                TargetMode::Single => Some(stream.below(inputs)),
            };
            let next = used.entry(target).or_insert(0);
            let batch_id = BatchId { target, number: *next / batch };
            draws.push(Drawn { batch: batch_id, member: *next % batch });
            *next += 1;
        }
        let batches = used
            .iter()
            .flat_map(|(&target, &n)| {
                (0..n.div_ceil(batch)).map(move |number| BatchId { target, number })
            })
            .collect();
        Self { draws, batches }
    }

    /// The draws, in the order of the output.
    pub fn draws(&self) -> &[Drawn] {
        &self.draws
    }

    /// The batches needed, sorted.
    pub fn batches(&self) -> &[BatchId] {
        &self.batches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_member_is_drawn_twice_and_targets_are_uniform() {
        let schedule = Schedule::new(TargetMode::Single, 100, 10_000, 10, Seed(3));
        let mut seen = std::collections::HashSet::new();
        let mut counts = [0usize; 100];
        for draw in schedule.draws() {
            assert!(seen.insert((draw.batch, draw.member)));
            assert!(draw.member < 10 && schedule.batches().contains(&draw.batch));
            counts[draw.batch.target.unwrap()] += 1;
        }
        // χ² of 100 uniform bins: mean 99, variance 198.
        let chi2: f64 = counts.iter().map(|&c| (c as f64 - 100.0).powi(2) / 100.0).sum();
        assert!((chi2 - 99.0).abs() < 5.0 * 198.0f64.sqrt(), "{chi2}");
    }
}
