//! `skyscat emulate`: many maps from few, resumable at any iteration.

mod follow;
mod resolve;
mod result;
mod wide;
mod work;

pub(crate) use resolve::{check_count, check_words, emulator_config, resolve_for};
#[cfg(feature = "gpu")]
pub(crate) use wide::description;

use crate::args::EmulateArgs;
use crate::choices::PrecisionWord;
use crate::devices::{self, Chosen};
use crate::input::Inputs;
use crate::place::{self, Place};
use crate::settings::Settings;
use crate::{Ending, interrupt, output, say};
use anyhow::{Context, Result, ensure};
use follow::{Bar, Follower};
use skyscat::emulator::{Batch, BatchId, Emulator, EmulatorError, SavedDescent, Schedule};
use skyscat::num::{Par, Seed};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use work::{Finished, Stamp, Work};

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
    let mut settings = given.over(args.common.config.as_deref(), &sections)?;
    let asked = resolve::check_asked(&settings.emulate)?;
    let place = Place::check(&settings.output.output, overwrite, resume)?;
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
    let schedule = emulator.schedule(asked.count);
    let wide = width(&settings, &emulator, &device, schedule.batches().len())?;
    let work = Work::open(&place, stamp, resume, overwrite)?;
    let job =
        Job { settings, place, inputs, emulator, schedule, work, interrupted, quiet, device, wide };
    job.introduce(asked.count);
    let work = job.work.clone();
    let ended = job.run(overwrite);
    if ended.is_err() {
        // Nothing worth resuming is no reason to stand in the way of a new run.
        work.remove_if_blank();
    }
    ended
}

/// Where a batch was saved, and who follows it.
type Run = (Option<SavedDescent>, Arc<Follower>);

/// Everything of one emulation.
struct Job {
    settings: Settings,
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
            self.schedule.batches().len(),
            config.batch,
            config.steps,
            self.settings.emulate.target.expect("resolved"),
            self.settings.emulate.standardise.expect("resolved"),
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

    fn run(self, overwrite: bool) -> Result<Ending> {
        let steps = self.emulator.config().steps;
        let bar = Arc::new(Bar::new(self.schedule.batches().len(), steps, self.quiet));
        let mut finished = BTreeMap::new();
        for (number, &id) in self.schedule.batches().iter().enumerate() {
            let done = match self.work.finished(id)? {
                Some(done) => {
                    bar.skip_to(number + 1);
                    done
                }
                None => {
                    bar.begin(number);
                    match self.run_batches(number, &bar)? {
                        Some(done) => done,
                        None => {
                            bar.clear();
                            return self.stop(number);
                        }
                    }
                }
            };
            finished.insert(id, done);
        }
        bar.clear();
        let written = result::write(&self, &finished, output::replace(overwrite))?;
        self.work.remove()?;
        if !self.quiet {
            say::note(&written);
        }
        Ok(Ending::Done)
    }

    /// Runs this batch, and others that are not finished beside it, to their ends or to
    /// the interrupt (`None`), where they are saved. The others are found finished later.
    fn run_batches(&self, number: usize, bar: &Arc<Bar>) -> Result<Option<Finished>> {
        let mut runs = Vec::new();
        for (number, &id) in self.schedule.batches().iter().enumerate().skip(number) {
            if runs.len() < self.wide && self.work.finished(id)?.is_none() {
                runs.push(self.follow(id, number, bar)?);
            }
        }
        if self.interrupted.load(Ordering::SeqCst) {
            return Ok(None);
        }
        let followers: Vec<Arc<Follower>> = runs.iter().map(|run| run.1.clone()).collect();
        let mut first = None;
        let mut interrupted = false;
        let mut failure = None;
        for (at, (ended, follower)) in self.descend(runs)?.into_iter().zip(followers).enumerate() {
            let batch = match ended {
                Ok(batch) => batch,
                Err(error) => {
                    failure.get_or_insert(self.advise(error));
                    continue;
                }
            };
            if let Some(saved) = &batch.interrupted {
                follower.save_state(saved).context("the interrupted batch")?;
                interrupted = true;
                continue;
            }
            let done = match self.finish(batch, follower.seconds()) {
                Ok(done) => done,
                Err(error) => {
                    failure.get_or_insert(error);
                    continue;
                }
            };
            self.work.finish(&done)?;
            bar.say(&done.line());
            if at == 0 {
                first = Some(done);
            }
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(first.filter(|_| !interrupted)),
        }
    }

    /// A batch from where it was saved, if it was, and who follows it.
    fn follow(&self, id: BatchId, number: usize, bar: &Arc<Bar>) -> Result<Run> {
        let saved = self.work.descent(id)?;
        let before = saved.as_ref().map_or(0.0, |s| s.seconds);
        let follower = Follower {
            id,
            number,
            bar: bar.clone(),
            work: self.work.clone(),
            every: self.settings.emulate.checkpoint_every.expect("has a default"),
            start: Instant::now(),
            before,
            interrupted: self.interrupted.clone(),
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
        let precision = self.settings.emulate.precision.expect("has a default");
        let run = |(saved, follower): Run| match precision {
            PrecisionWord::F64 => self.emulator.run::<f64>(follower.id, saved, follower),
            PrecisionWord::F32 => self.emulator.run::<f32>(follower.id, saved, follower),
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
        ensure!(
            batch.maps.iter().all(|x| x.is_finite()),
            "batch {}: the descent ended in values that are not finite: try --precision f64 or \
             fewer --steps",
            batch.id
        );
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

    fn stop(&self, finished: usize) -> Result<Ending> {
        let total = self.schedule.batches().len();
        say::note(&format!(
            "interrupted: {finished} of {total} batches are finished, the state is saved in {}",
            self.work.folder().display()
        ));
        say::note(&format!("resume with:\n  {}", place::resume_command()));
        Ok(Ending::Interrupted)
    }
}
