//! `--mpi`: one emulation by the processes of one mpirun.

use super::How;
use super::is_merged;
use super::together::Order;
use super::work::{JOB, Work};
use crate::choices::{MpiWord, Shard};
use crate::place::Place;
use crate::settings::Settings;
use crate::{Ending, merge, say};
use anyhow::{Context, Result, ensure};
use mpi::collective::SystemOperation;
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives};
use mpi::{Threading, initialize_with_threading};
use skyscat::autodiff::Ranks;
use std::mem::ManuallyDrop;
use std::path::PathBuf;
use std::sync::Arc;

/// Numbers summed in one call: MPI counts them in 32 bits.
const AT_ONCE: usize = 1 << 24;

/// All processes of one mpirun.
#[derive(Debug)]
struct World {
    rank: usize,
    size: usize,
}

impl Ranks for World {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn sum(&self, numbers: &mut [f64]) {
        let world = SimpleCommunicator::world();
        for numbers in numbers.chunks_mut(AT_ONCE) {
            let own = numbers.to_vec();
            world.all_reduce_into(&own[..], numbers, SystemOperation::sum());
        }
    }
}

/// MPI, from its start to its end. One that is dropped before [`Session::close`], by a
/// panic, does not wait for the others: mpirun then ends them.
struct Session {
    universe: ManuallyDrop<Universe>,
    ranks: Arc<dyn Ranks>,
}

impl Session {
    fn open() -> Result<Self> {
        // Sums are asked for by whichever thread evaluates, one at a time.
        let started = initialize_with_threading(Threading::Serialized);
        let (universe, threading) = started.context("MPI is running already")?;
        ensure!(threading >= Threading::Serialized, "this MPI cannot be called from threads");
        let world = universe.world();
        let ranks = World { rank: world.rank() as usize, size: world.size() as usize };
        Ok(Self { universe: ManuallyDrop::new(universe), ranks: Arc::new(ranks) })
    }

    /// Every rank comes here before MPI ends.
    fn close(self) {
        drop(ManuallyDrop::into_inner(self.universe));
    }
}

pub(super) fn run(word: MpiWord, settings: Settings, how: How) -> Result<Ending> {
    let session = Session::open()?;
    let how = How { quiet: how.quiet || session.ranks.rank() > 0, ..how };
    let ended = match word {
        MpiWord::Batches => batches(&session.ranks, settings, how),
        MpiWord::Maps => match super::work_on(settings, how, Some(&session.ranks)) {
            Ok(ended) => {
                if session.ranks.rank() == 0 {
                    Order::pass(Some(Order::End), &*session.ranks);
                }
                Ok(ended)
            }
            // The others may wait for this rank in a sum.
            Err(error) => {
                say::note(&format!("error: {}", crate::told(&error)));
                session.universe.world().abort(1)
            }
        },
    };
    session.close();
    ended
}

/// Each rank runs a shard; the first merges them when all are finished, and removes them.
fn batches(ranks: &Arc<dyn Ranks>, settings: Settings, how: How) -> Result<Ending> {
    let (rank, size) = (ranks.rank(), ranks.size());
    let shard = |number| Some(Shard { number, of: size });
    let mine = || -> Result<Ending> {
        let given = settings.emulate.shard;
        ensure!(given.is_none(), "--mpi batches makes shards of its own: give no --shard");
        if !how.resume {
            Place::of(&settings.output.output, None)?.check_free(how.overwrite)?;
        }
        let mut settings = settings.clone();
        settings.emulate.shard = shard(rank + 1);
        super::work_on(settings, how, None)
    };
    let mine = mine();
    let mut left = [f64::from(u8::from(!matches!(mine, Ok(Ending::Done))))];
    ranks.sum(&mut left);
    if left[0] > 0.0 {
        if rank == 0 {
            say::note(&format!(
                "{} of {size} processes did not finish their batches; go on with the same command \
                 and --resume",
                left[0]
            ));
        }
        return match mine {
            Ok(Ending::Done) => Ok(Ending::Incomplete),
            other => other,
        };
    }
    if rank > 0 {
        return Ok(Ending::Done);
    }
    let output = &settings.output.output;
    let places = (1..=size).map(|number| Place::of(output, shard(number)));
    join(places.collect::<Result<_>>()?, output, how)
}

/// Joins finished shards, unless they were joined before, and removes what is left of them.
fn join(shards: Vec<Place>, output: &Option<PathBuf>, how: How) -> Result<Ending> {
    let folders: Vec<PathBuf> = shards.iter().map(|shard| shard.output.clone()).collect();
    // A shard that is not finished has merged before: then all have.
    let one = folders.iter().find_map(|folder| Work::finished_shard(folder).ok());
    if one.is_some_and(|work| !is_merged(work.identity()).unwrap_or(false)) {
        merge::join(folders, output, how.overwrite, how.quiet)?;
    }
    for shard in shards {
        Place { partial: shard.output.clone(), ..shard }.remove_partial(JOB)?;
    }
    Ok(Ending::Done)
}
