//! `skyscat emulate`: many maps from few, resumable at any iteration.

mod follow;
mod identity;
#[cfg(feature = "mpi")]
mod ranks;
mod resolve;
mod result;
pub(crate) mod room;
mod together;
mod wide;
mod work;

pub(crate) use resolve::{check_count, check_words, emulator_config, resolve_for};
pub(crate) use result::{Batches, is_finished, is_staged, write};
#[cfg(feature = "gpu")]
pub(crate) use wide::description;
pub(crate) use work::Work;

use crate::args::EmulateArgs;
#[cfg(not(feature = "mpi"))]
use crate::choices::MpiWord;
use crate::devices::{self, Chosen};
use crate::input::Inputs;
use crate::place::{self, Kind, Place};
use crate::settings::Settings;
use crate::{Ending, interrupt, output, say};
use anyhow::{Context, Result, ensure};
use follow::{Bar, Follower};
use identity::{Facts, Identity, Stamp};
use room::Room;
use skyscat::autodiff::Ranks;
use skyscat::emulator::{Batch, BatchId, Emulator, EmulatorError, SavedDescent, Schedule};
use skyscat::num::{Par, Seed};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use work::{Finished, JOB};

/// What to do about what is there, and whether to speak.
#[derive(Clone, Copy)]
struct How {
    overwrite: bool,
    resume: bool,
    quiet: bool,
}

pub(crate) fn run(args: EmulateArgs) -> Result<Ending> {
    let (overwrite, resume, quiet) = (args.replace.overwrite, args.resume, args.common.quiet);
    let given = Settings {
        input: args.input,
        statistics: args.statistics,
        emulate: args.emulate,
        output: args.output,
        run: args.common.run.clone(),
        ..Settings::default()
    };
    let sections = ["input", "statistics", "emulate", "output", "run"];
    let settings = given.over(args.common.config.as_deref(), &sections)?;
    let how = How { overwrite, resume, quiet };
    match settings.emulate.mpi {
        None => work_on(settings, how, None),
        Some(word) => over_ranks(word, settings, how),
    }
}

#[cfg(feature = "mpi")]
use ranks::run as over_ranks;

#[cfg(not(feature = "mpi"))]
fn over_ranks(word: MpiWord, _: Settings, _: How) -> Result<Ending> {
    anyhow::bail!("--mpi {word}: this program was built without the feature mpi")
}

/// One emulation by this process, or this rank's part in one whose batches are shared.
fn work_on(mut settings: Settings, how: How, ranks: Option<&Arc<dyn Ranks>>) -> Result<Ending> {
    let How { overwrite, resume, quiet } = how;
    let asked = resolve::check_asked(&settings.emulate)?;
    let place = Place::of(&settings.output.output, settings.emulate.shard)?;
    let follows = ranks.filter(|ranks| ranks.rank() > 0);
    if follows.is_none() {
        if !resume {
            place.check_free(overwrite)?;
        }
        place.check_partial(overwrite, resume)?;
    }
    resolve::check_words(&mut settings)?;
    let inputs = Inputs::read(&settings.input, settings.statistics.mask.as_deref())?;
    inputs.say_assumptions(quiet);
    resolve_for(&mut settings, inputs.maps.n_maps())?;
    let config = emulator_config(&settings)?;
    let device = devices::open(&mut settings.emulate)?;
    let interrupted = interrupt::flag()?;
    let par = Par::new(settings.run.threads.expect("has a default"))?;
    let seed = Seed(asked.seed);
    let emulator = Emulator::new(&inputs.maps, &inputs.masks, config, seed, &par)
        .with_context(|| format!("input {}", inputs.names()))?;
    let stamp = Stamp {
        config: resolve::what_counts(&settings)?,
        input_sha256: inputs.sha256(),
        seed: asked.seed,
        version: output::VERSION.to_owned(),
    };
    let facts = Facts::of(&inputs, &emulator, &device.name)?;
    let batches = emulator.schedule(asked.count).batches().len();
    let wide = width(&settings, &emulator, &device, batches)?;
    if device.name == "cpu" && ranks.is_none() {
        let precision = settings.emulate.precision.expect("comes with the device");
        room::check(&emulator, precision, Room::of_this_machine())?;
    }
    let identity = Identity { stamp, facts, shard: settings.emulate.shard, settings };
    if resume && is_merged(&identity)? {
        say::note("this shard is in the output already: nothing is left to do");
        return Ok(Ending::Done);
    }
    if let Some(ranks) = follows {
        return together::assist(&emulator, &place, identity, interrupted, ranks);
    }
    let work = match resume {
        false => Work::begin(&place, identity, overwrite)?,
        true => match taken_up(&place, identity, overwrite)? {
            TakenUp::Work(work) => work,
            TakenUp::Finished => {
                say::note(&format!("{}: finished, nothing is left to do", place.output.display()));
                return Ok(Ending::Done);
            }
        },
    };
    let schedule = work.identity().schedule()?;
    let ranks = ranks.cloned();
    let job =
        Job { place, inputs, emulator, schedule, work, interrupted, quiet, device, wide, ranks };
    job.introduce(asked.count);
    let work = job.work.clone();
    let ended = job.run(overwrite);
    if ended.is_err() {
        // Nothing worth resuming is no reason to stand in the way of a new run.
        work.remove_if_blank();
    }
    ended
}

/// Whether this is a shard, and the output of all of them is in place.
fn is_merged(identity: &Identity) -> Result<bool> {
    let whole = Place::of(&identity.settings.output.output, None)?;
    Ok(identity.shard.is_some() && is_finished(&whole, identity))
}

/// What `--resume` found.
enum TakenUp {
    /// Something is left to do.
    Work(Work),
    /// The output is there, whole.
    Finished,
}

/// Goes on from whatever a process left behind when it was killed: nothing, unfinished
/// work, outputs half in place, or outputs in place beside work not yet removed.
fn taken_up(place: &Place, identity: Identity, overwrite: bool) -> Result<TakenUp> {
    let there = place.partial.exists() && !place.is_blank();
    let work = match there {
        true => Some(Work::resume(place, identity.clone())?),
        false => None,
    };
    let staged = work.is_some() && place.is_staged();
    if staged {
        place.publish()?;
    }
    if staged || result::is_finished(place, &identity) {
        place.remove_partial(JOB)?;
        return Ok(TakenUp::Finished);
    }
    place.check_free(overwrite)?;
    match work {
        Some(work) => Ok(TakenUp::Work(work)),
        None => {
            say::note(&format!("{}: nothing to resume: it begins", place.partial.display()));
            Ok(TakenUp::Work(Work::begin(place, identity, overwrite)?))
        }
    }
}

/// Where a batch was saved, and who follows it.
type Run = (Option<SavedDescent>, Arc<Follower>);

/// Everything of one emulation.
struct Job {
    place: Place,
    inputs: Inputs,
    emulator: Emulator,
    schedule: Schedule,
    work: Work,
    interrupted: Arc<AtomicBool>,
    quiet: bool,
    device: Chosen,
    /// Batches that run side by side.
    wide: usize,
    /// Those that share the maps of a batch, this one the first of them.
    ranks: Option<Arc<dyn Ranks>>,
}

/// Batches that run side by side; more than one only on a GPU, where they must fit.
fn width(
    settings: &Settings,
    emulator: &Emulator,
    device: &Chosen,
    batches: usize,
) -> Result<usize> {
    let asked = settings.emulate.wide.expect("has a default");
    #[cfg(feature = "gpu")]
    if let Some(device) = &device.gpu {
        if let Some(few) = settings.emulate.at_once {
            anyhow::bail!("--at-once {few} is for the CPU: a GPU divides a batch by itself");
        }
        return wide::width(emulator, device, asked, batches);
    }
    let _ = (emulator, batches);
    ensure!(asked <= 1, "--wide {asked} is for a GPU, and the device is {}", device.name);
    Ok(1)
}

impl Job {
    fn introduce(&self, count: usize) {
        if self.quiet {
            return;
        }
        let config = self.emulator.config();
        say::note(&format!("input: {} ({})", self.inputs.summary(), self.inputs.names()));
        say::note(&format!(
            "{count} maps: {} batches of {}, up to {} iterations each, target {}, standardise {}",
            self.work.identity().batches(&self.schedule).len(),
            config.batch,
            config.steps,
            self.settings().emulate.target.expect("resolved"),
            self.settings().emulate.standardise.expect("resolved"),
        ));
        say::note(&self.device.sentence);
        if let Ok(left_out) = self.emulator.left_out()
            && !left_out.is_empty()
        {
            say::note(&format!(
                "{} coefficients do not vary over the inputs and are left out of the loss \
                 (listed in the report)",
                left_out.len()
            ));
        }
    }

    fn settings(&self) -> &Settings {
        &self.work.identity().settings
    }

    fn run(self, overwrite: bool) -> Result<Ending> {
        let steps = self.emulator.config().steps;
        let batches = self.work.identity().batches(&self.schedule);
        let bar = Arc::new(Bar::new(batches.len(), steps, self.quiet));
        let mut failed = Vec::new();
        for (number, &id) in batches.iter().enumerate() {
            if self.work.finished(id)?.is_some() {
                bar.skip_to(number + 1);
                continue;
            }
            if failed.iter().any(|(other, _)| *other == id) {
                continue;
            }
            bar.begin(number);
            let mut interrupted = false;
            for (id, ran) in self.run_batches(&batches[number..], (number, &bar))? {
                match ran {
                    Ran::Finished => {}
                    Ran::Interrupted => interrupted = true,
                    Ran::Failed(reason) => {
                        bar.say(&format!("batch {id} failed: {reason}"));
                        failed.push((id, reason));
                    }
                }
            }
            if interrupted {
                bar.clear();
                self.work.write_manifest()?;
                return self.stop(&batches);
            }
        }
        bar.clear();
        self.work.write_manifest()?;
        if !failed.is_empty() {
            return self.report_failed(&failed, batches.len());
        }
        let written = match self.place.kind {
            Kind::Shard => result::write_shard(&self.place, &self.work, &self.schedule)?,
            Kind::Cube | Kind::Folder => {
                let batches = Batches::of(&self.work, &self.schedule);
                let written = result::write(&self.place, &batches, overwrite)?;
                self.place.remove_partial(JOB)?;
                written
            }
        };
        if !self.quiet {
            say::note(&written);
        }
        Ok(Ending::Done)
    }

    /// Runs the first of these batches, and others that are not finished beside it, each
    /// to its end, to the interrupt, where it is saved, or to numbers that are not finite,
    /// where its last good state is. The others are found finished later.
    fn run_batches(
        &self,
        batches: &[BatchId],
        (number, bar): (usize, &Arc<Bar>),
    ) -> Result<Vec<(BatchId, Ran)>> {
        let mut runs = Vec::new();
        for (i, &id) in batches.iter().enumerate() {
            if runs.len() < self.wide && self.work.finished(id)?.is_none() {
                runs.push(self.follow(id, number + i, bar)?);
            }
        }
        let followers: Vec<Arc<Follower>> = runs.iter().map(|run| run.1.clone()).collect();
        if self.interrupted.load(Ordering::SeqCst) {
            return Ok(followers.iter().map(|f| (f.id, Ran::Interrupted)).collect());
        }
        let (mut list, mut failure) = (Vec::new(), None);
        for (ended, follower) in self.descend(runs)?.into_iter().zip(followers) {
            match self.end(ended, &follower) {
                Ok(ran) => list.push((follower.id, ran)),
                Err(error) => {
                    failure.get_or_insert(error);
                }
            }
        }
        failure.map_or(Ok(list), Err)
    }

    /// Keeps what a batch has come to.
    fn end(&self, ended: Result<Batch, EmulatorError>, follower: &Follower) -> Result<Ran> {
        let batch = match ended {
            Ok(batch) => batch,
            Err(EmulatorError::Descent { reason, .. }) => return Ok(Ran::Failed(reason)),
            Err(error) => return Err(self.advise(error)),
        };
        if let Some(error) = follower.lost.lock().expect("no holder panics").take() {
            return Err(error.context("the last good state of the batch"));
        }
        if let Some(reason) = batch.failed {
            return Ok(Ran::Failed(reason));
        }
        if batch.interrupted {
            return Ok(Ran::Interrupted);
        }
        if !batch.maps.iter().all(|x| x.is_finite()) {
            return Ok(Ran::Failed("the maps are not finite in their own units".to_owned()));
        }
        let done = self.finish(batch, follower.seconds())?;
        self.work.finish(&done)?;
        follower.bar.say(&done.line());
        Ok(Ran::Finished)
    }

    /// A batch from where it was saved, if it was, and who follows it.
    fn follow(&self, id: BatchId, number: usize, bar: &Arc<Bar>) -> Result<Run> {
        let saved = self.work.descent(id)?;
        let before = saved.as_ref().map_or(0.0, |s| s.seconds);
        let settings = &self.settings().emulate;
        let follower = Follower {
            id,
            number,
            bar: bar.clone(),
            work: self.work.clone(),
            every: settings.checkpoint_every.expect("has a default"),
            // Processes that share a batch save it together, and have clocks of their own.
            pause: Duration::from_secs(match self.ranks {
                Some(_) => 0,
                None => settings.checkpoint_seconds.expect("has a default"),
            }),
            saved: Mutex::new(Instant::now()),
            start: Instant::now(),
            before,
            interrupted: self.interrupted.clone(),
            lost: Mutex::default(),
        };
        Ok((saved.map(|s| s.descent), Arc::new(follower)))
    }

    /// Runs batches side by side on a GPU, one after the other on the CPU.
    fn descend(&self, runs: Vec<Run>) -> Result<Vec<Result<Batch, EmulatorError>>> {
        #[cfg(feature = "gpu")]
        if let Some(device) = &self.device.gpu {
            use skyscat::emulator::Progress;
            let run = |(saved, follower): Run| (follower.id, saved, follower as Arc<dyn Progress>);
            return Ok(self.emulator.run_on_gpu(runs.into_iter().map(run).collect(), device)?);
        }
        let precision = self.settings().emulate.precision.expect("comes with the device");
        let run = |(saved, follower): Run| {
            let run = (follower.id, saved, follower);
            together::lead(&self.emulator, run, precision, self.ranks.as_ref())
        };
        Ok(runs.into_iter().map(run).collect())
    }

    /// What to do about a batch that failed, where something can be done.
    fn advise(&self, error: EmulatorError) -> anyhow::Error {
        let advice = match &error {
            EmulatorError::Lost { .. } if self.work.is_blank() => {
                "nothing was saved yet".to_owned()
            }
            EmulatorError::Lost { .. } => format!(
                "the last save of each batch is in {}; resume with:\n  {}",
                self.work.folder().display(),
                place::resume_command()
            ),
            _ => return error.into(),
        };
        anyhow::Error::new(error).context(advice)
    }

    fn finish(&self, batch: Batch, seconds: f64) -> Result<Finished> {
        let matches = self.emulator.block_matches(&batch)?;
        let names = matches.iter().map(|m| format!("{}_{}", m.field, m.kind));
        let matches = names.zip(matches.iter().map(|m| m.relative_rms)).collect();
        Ok(Finished {
            id: batch.id,
            maps: batch.maps,
            history: batch.history,
            terms: batch.terms,
            evaluations: batch.evaluations,
            stop: batch.stop,
            seconds,
            matches,
        })
    }

    fn stop(&self, batches: &[BatchId]) -> Result<Ending> {
        let mut finished = 0;
        for &id in batches {
            finished += usize::from(self.work.finished(id)?.is_some());
        }
        let total = batches.len();
        say::note(&format!(
            "interrupted: {finished} of {total} batches are finished, the state is saved in {}",
            self.work.folder().display()
        ));
        say::note(&format!("resume with:\n  {}", place::resume_command()));
        Ok(Ending::Interrupted)
    }

    fn report_failed(&self, failed: &[(BatchId, String)], total: usize) -> Result<Ending> {
        say::note(&format!(
            "{} of {total} batches failed; the others are finished and kept in {}:",
            failed.len(),
            self.work.folder().display()
        ));
        for (id, reason) in failed {
            say::note(&format!("  {id}: {reason}"));
        }
        say::note(&format!("try these again with:\n  {}", place::resume_command()));
        Ok(Ending::Incomplete)
    }
}

/// How a batch ended.
enum Ran {
    Finished,
    Interrupted,
    Failed(String),
}
