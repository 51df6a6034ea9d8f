//! One batch after another by several ranks: the first leads, the others follow it.
//!
//! Only the leader reads what is finished, writes, and speaks.

use super::follow::Follower;
use super::identity::Identity;
use super::work::Work;
use crate::Ending;
use crate::choices::PrecisionWord;
use crate::place::Place;
use anyhow::{Context, Result};
use skyscat::autodiff::Ranks;
use skyscat::emulator::{
    Batch, BatchId, BatchRun, Emulator, EmulatorError, Progress, SavedDescent, Saving,
};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What the leader has the others do next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Order {
    /// A batch, from its start or from where it was saved.
    Run { id: BatchId, saved: bool },
    /// Nothing more.
    End,
}

impl Order {
    /// The leader's order, as every rank gets it; the others give none.
    pub(super) fn pass(own: Option<Self>, ranks: &dyn Ranks) -> Self {
        let mut numbers = match own {
            Some(Self::Run { id: BatchId { target, number }, saved }) => {
                let target = target.map_or(0, |target| target + 1);
                [1.0, target as f64, number as f64, f64::from(u8::from(saved))]
            }
            Some(Self::End) | None => [0.0; 4],
        };
        ranks.sum(&mut numbers);
        let [run, target, number, saved] = numbers.map(|x| x as usize);
        let id = BatchId { target: target.checked_sub(1), number };
        if run == 1 { Self::Run { id, saved: saved == 1 } } else { Self::End }
    }
}

/// Runs a batch on the CPU, alone or with other ranks.
pub(super) fn descend(
    emulator: &Emulator,
    (id, saved, progress): BatchRun,
    precision: PrecisionWord,
    ranks: Option<&Arc<dyn Ranks>>,
) -> Result<Batch, EmulatorError> {
    match (precision, ranks.cloned()) {
        (PrecisionWord::F64, None) => emulator.run::<f64>(id, saved, progress),
        (PrecisionWord::F32, None) => emulator.run::<f32>(id, saved, progress),
        (PrecisionWord::F64, Some(ranks)) => {
            emulator.run_over_ranks::<f64>((id, saved, progress), ranks)
        }
        (PrecisionWord::F32, Some(ranks)) => {
            emulator.run_over_ranks::<f32>((id, saved, progress), ranks)
        }
    }
}

/// The leader's part: the others get the order before each batch.
pub(super) fn lead(
    emulator: &Emulator,
    (id, saved, follower): (BatchId, Option<SavedDescent>, Arc<Follower>),
    precision: PrecisionWord,
    ranks: Option<&Arc<dyn Ranks>>,
) -> Result<Batch, EmulatorError> {
    if let Some(ranks) = ranks {
        Order::pass(Some(Order::Run { id, saved: saved.is_some() }), &**ranks);
    }
    descend(emulator, (id, saved, follower), precision, ranks)
}

/// The part of the others: what the leader says, until there is nothing more.
pub(super) fn assist(
    emulator: &Emulator,
    place: &Place,
    identity: Identity,
    interrupted: Arc<AtomicBool>,
    ranks: &Arc<dyn Ranks>,
) -> Result<Ending> {
    let every = identity.settings.emulate.checkpoint_every.expect("has a default");
    let precision = identity.settings.emulate.precision.expect("has a default");
    let work = Work::beside(place, identity);
    while let Order::Run { id, saved } = Order::pass(None, &**ranks) {
        let saved = match saved {
            true => Some(work.descent(id)?.context("the saved batch cannot be seen from here")?),
            false => None,
        };
        let aide = Arc::new(Aide { every, interrupted: interrupted.clone() });
        let run: BatchRun = (id, saved.map(|saved| saved.descent), aide);
        match descend(emulator, run, precision, Some(ranks)) {
            // The leader has come to the same, and reports it.
            Ok(_) | Err(EmulatorError::Descent { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Ending::Done)
}

/// Follows a batch that another rank reports.
struct Aide {
    every: u64,
    interrupted: Arc<AtomicBool>,
}

impl Progress for Aide {
    // All ranks take part in each save; the leader writes it.
    fn put_down(&self, _saving: &mut Saving<'_>) -> Result<Option<SavedDescent>, String> {
        Ok(None)
    }

    fn save_every(&self) -> u64 {
        self.every
    }

    fn interrupt(&self) -> Arc<AtomicBool> {
        self.interrupted.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skyscat::autodiff::Threads;

    #[test]
    fn orders_reach_all_ranks_as_they_were_given() {
        let id = |target, number| BatchId { target, number };
        for order in [
            Order::Run { id: id(None, 0), saved: false },
            Order::Run { id: id(None, 41), saved: true },
            Order::Run { id: id(Some(0), 3), saved: false },
            Order::Run { id: id(Some(99), 0), saved: true },
            Order::End,
        ] {
            std::thread::scope(|scope| {
                for rank in Threads::new(3) {
                    let own = (rank.rank() == 0).then_some(order);
                    scope.spawn(move || assert_eq!(Order::pass(own, &rank), order));
                }
            });
        }
    }
}
