//! Progress on the terminal, and saves of the running batch.

use super::work::Work;
use crate::say;
use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use skyscat::autodiff::TermValue;
use skyscat::emulator::{BatchId, Progress, SavedDescent, Saving};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Time between lines where there is no terminal.
const EVERY: Duration = Duration::from_secs(15);

/// One bar over all iterations of all batches, or lines where no bar can be drawn.
pub(crate) struct Bar {
    bar: ProgressBar,
    style: Style,
    batches: usize,
    steps: u64,
    state: Mutex<State>,
}

#[derive(Clone, Copy, PartialEq)]
enum Style {
    Silent,
    Lines,
    Drawn,
}

struct State {
    /// The first batch that runs, and the iteration of each.
    first: usize,
    iterations: BTreeMap<usize, u64>,
    /// When iterations began, and how many of the job were done by then.
    began: Option<(Instant, u64)>,
    spoke: Instant,
}

impl Bar {
    pub(crate) fn new(batches: usize, steps: u64, quiet: bool) -> Self {
        let style = match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Style::Silent,
            (false, true) => Style::Drawn,
            (false, false) => Style::Lines,
        };
        let bar = ProgressBar::new(batches as u64 * steps);
        bar.set_draw_target(match style {
            Style::Drawn => ProgressDrawTarget::stderr_with_hz(4),
            _ => ProgressDrawTarget::hidden(),
        });
        let template = "{bar:30} {percent:>3} %  {msg}  [{elapsed} elapsed, {eta} left]";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        let state = Mutex::new(State {
            first: 0,
            iterations: BTreeMap::new(),
            began: None,
            spoke: Instant::now(),
        });
        Self { bar, style, batches, steps, state }
    }

    /// The batches before this number are done.
    pub(crate) fn skip_to(&self, batch: usize) {
        self.bar.set_position(batch as u64 * self.steps);
        self.bar.reset_eta();
    }

    pub(crate) fn begin(&self, batch: usize) {
        self.bar.set_position(batch as u64 * self.steps);
        let mut state = self.state.lock().expect("no holder panics");
        (state.first, state.iterations) = (batch, BTreeMap::new());
    }

    /// A line above the bar.
    pub(crate) fn say(&self, line: &str) {
        match self.style {
            Style::Silent => {}
            Style::Lines => say::note(line),
            Style::Drawn => self.bar.suspend(|| say::note(line)),
        }
    }

    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    fn step(&self, batch: usize, iteration: u64, loss: f64) {
        let mut state = self.state.lock().expect("no holder panics");
        state.iterations.insert(batch, iteration.min(self.steps));
        let position = state.first as u64 * self.steps + state.iterations.values().sum::<u64>();
        let began = match state.began {
            Some(began) => began,
            None => {
                // A resumed batch begins in the middle.
                self.bar.set_position(position - 1);
                self.bar.reset_eta();
                *state.began.insert((Instant::now(), position.saturating_sub(1)))
            }
        };
        self.bar.set_position(position);
        let text = format!("batch {}/{}  loss {loss:.3e}", batch + 1, self.batches);
        if self.style == Style::Lines && state.spoke.elapsed() >= EVERY {
            state.spoke = Instant::now();
            let (start, first) = began;
            let (done, left) = (position - first, self.batches as u64 * self.steps - position);
            let eta = start.elapsed().as_secs_f64() * left as f64 / done.max(1) as f64;
            let total = self.steps;
            say::note(&format!("{text}  iteration {iteration}/{total}  about {eta:.0} s left"));
        }
        drop(state);
        self.bar.set_message(text);
    }
}

/// Follows one batch.
pub(crate) struct Follower {
    pub(crate) id: BatchId,
    /// Which of all batches.
    pub(crate) number: usize,
    pub(crate) bar: Arc<Bar>,
    pub(crate) work: Work,
    pub(crate) every: u64,
    /// Between saves at least.
    pub(crate) pause: Duration,
    /// When the last save was made, or the start.
    pub(crate) saved: Mutex<Instant>,
    pub(crate) start: Instant,
    /// Seconds spent on the batch before this start.
    pub(crate) before: f64,
    pub(crate) interrupted: Arc<AtomicBool>,
    /// Why the state of a batch that ended early could not be written.
    pub(crate) lost: Mutex<Option<anyhow::Error>>,
}

impl Follower {
    /// Seconds spent on the batch so far.
    pub(crate) fn seconds(&self) -> f64 {
        self.before + self.start.elapsed().as_secs_f64()
    }

    /// Writes the state of the batch.
    fn save_state(&self, saving: &mut Saving<'_>) -> Result<()> {
        self.work.save(self.id, saving, self.seconds())
    }
}

impl Progress for Follower {
    fn step(&self, iteration: u64, loss: f64, _terms: &[TermValue]) {
        self.bar.step(self.number, iteration, loss);
    }

    fn save_due(&self) -> bool {
        self.saved.lock().is_ok_and(|last| last.elapsed() >= self.pause)
    }

    fn save(&self, saving: &mut Saving<'_>) -> Result<(), String> {
        if let Ok(mut last) = self.saved.lock() {
            *last = Instant::now();
        }
        // A full disk must not end a run of hours: the last save stays.
        if let Err(error) = self.save_state(saving) {
            super::work::warn(&error);
        }
        Ok(())
    }

    fn put_down(&self, saving: &mut Saving<'_>) -> Result<Option<SavedDescent>, String> {
        let saved = self.save_state(saving);
        *self.lost.lock().expect("no holder panics") = saved.err();
        Ok(None)
    }

    fn save_every(&self) -> u64 {
        self.every
    }

    fn interrupt(&self) -> Arc<AtomicBool> {
        self.interrupted.clone()
    }
}
