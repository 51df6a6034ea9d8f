//! One batch: moved from its start to the target's mean statistics.

use crate::{BatchId, EmulatorError};
use argmin::core::checkpointing::{Checkpoint, CheckpointingFrequency};
use argmin::core::observers::{Observe, ObserverMode};
use argmin::core::{Error, Executor, KV, State, TerminationReason};
use ndarray::Array3;
use skyscat_autodiff::{
    Descent, DescentState, Failure, Lbfgs, LbfgsConfig, LbfgsError, Objective, SavedLbfgs,
    TermHistory, TermValue, Vector,
};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A precision of the descent.
pub trait Precision: skyscat_autodiff::Precision {}

impl<T: skyscat_autodiff::Precision> Precision for T {}

/// A descent that can be put down and taken up again with the same bits.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedDescent {
    /// Variables.
    pub x: Vec<f64>,
    /// Gradient there.
    pub gradient: Vec<f64>,
    /// Pairs (s, y), oldest first.
    pub pairs: Vec<(Vec<f64>, Vec<f64>)>,
    /// 1/⟨s, y⟩ of each pair.
    pub curvatures: Vec<f64>,
    /// Loss after each iteration, the start first.
    pub history: Vec<f64>,
    /// Terms of the loss after each iteration, the start first.
    pub terms: Vec<TermHistory>,
    /// Evaluations made.
    pub evaluations: u64,
}

/// What follows a running batch. Calls come from the thread that runs it.
pub trait Progress: Send + Sync {
    /// After each iteration.
    fn step(&self, _iteration: u64, _loss: f64, _terms: &[TermValue]) {}
    /// Every [`Progress::save_every`] iterations.
    ///
    /// # Errors
    /// Any error stops the batch.
    fn save(&self, _saved: &SavedDescent) -> Result<(), String> {
        Ok(())
    }
    /// Iterations between saves; 0 never saves.
    fn save_every(&self) -> u64 {
        0
    }
    /// Set to stop the batch after its current iteration.
    fn interrupt(&self) -> Arc<AtomicBool> {
        Arc::default()
    }
}

/// A batch that nobody follows.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Progress for Silent {}

/// A batch that has run, to its end or until it was interrupted.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Which one.
    pub id: BatchId,
    /// The maps in physical units and NEST ordering, axes (map, channel, pixel).
    pub maps: Array3<f64>,
    /// Loss after each iteration, the start first.
    pub history: Vec<f64>,
    /// Terms of the loss after each iteration, the start first.
    pub terms: Vec<TermHistory>,
    /// Evaluations of loss and gradient.
    pub evaluations: u64,
    /// Why it stopped.
    pub stop: String,
    /// The state to resume from, if it was interrupted.
    pub interrupted: Option<SavedDescent>,
}

pub(crate) struct Settings {
    pub(crate) id: BatchId,
    pub(crate) lbfgs: LbfgsConfig,
    pub(crate) steps: u64,
    pub(crate) plateau: f64,
    pub(crate) par: skyscat_num::Par,
}

/// Where a descent starts.
pub(crate) enum Start {
    At(Vec<f64>),
    From(SavedDescent),
}

/// How a descent ended.
pub(crate) struct Ended {
    pub(crate) x: Vec<f64>,
    pub(crate) history: Vec<f64>,
    pub(crate) terms: Vec<TermHistory>,
    pub(crate) evaluations: u64,
    pub(crate) stop: String,
    pub(crate) interrupted: Option<SavedDescent>,
}

/// Iterations over which a plateau is judged.
const PLATEAU_WINDOW: usize = 50;

/// Runs a descent on vectors that `make` puts where the objective wants them.
pub(crate) fn descend<V: Vector + Send, O: Objective<V> + Send>(
    objective: O,
    make: impl Fn(&[f64]) -> Result<V, EmulatorError>,
    start: Start,
    settings: &Settings,
    progress: Arc<dyn Progress>,
) -> Result<Ended, EmulatorError> {
    let batch = || settings.id.to_string();
    let failed = |reason: String| EmulatorError::Descent { batch: batch(), reason };
    let stopped = |Failure { reason, lost }: Failure| match lost {
        true => EmulatorError::Lost { batch: batch(), reason },
        false => failed(reason),
    };
    let ended = |error: LbfgsError| match error {
        LbfgsError::Vectors(failure) => stopped(failure),
        other => failed(other.to_string()),
    };
    let state = DescentState::<V>::new();
    let state = match start {
        Start::At(x) => state.at(make(&x)?, settings.steps),
        Start::From(saved) => {
            let (lbfgs, past) = load(saved);
            let lbfgs = Lbfgs::resume(settings.lbfgs, &lbfgs, &make(&lbfgs.x)?);
            state.from_saved(lbfgs.map_err(ended)?, past, settings.steps)
        }
    };
    let solver = Descent {
        config: settings.lbfgs,
        plateau: settings.plateau,
        plateau_window: PLATEAU_WINDOW,
        interrupt: progress.interrupt(),
        par: settings.par.clone(),
    };
    let relay = Relay { progress: progress.clone() };
    let result = Executor::new(objective, solver)
        .configure(|_| state)
        .ctrlc(false)
        .add_observer(relay, ObserverMode::Always)
        .checkpointing(Saver { progress })
        .run()
        .map_err(|error| match error.downcast::<Failure>() {
            Ok(failure) => stopped(failure),
            Err(error) => failed(error.to_string()),
        })?;
    let mut state = result.state;
    let reason = state.get_termination_reason().cloned();
    let interrupted = match reason {
        Some(TerminationReason::Interrupt) => Some(save(&state).map_err(ended)?),
        _ => None,
    };
    let lbfgs = state.lbfgs.take().ok_or_else(|| failed("it never started".to_owned()))?;
    Ok(Ended {
        x: lbfgs.x.numbers().map_err(ended)?,
        history: state.history,
        terms: state.terms,
        evaluations: lbfgs.evaluations,
        stop: reason.map_or_else(|| "unknown".to_owned(), |r| r.text().to_owned()),
        interrupted,
    })
}

/// The state of the optimiser, and what was recorded on the way.
fn load(saved: SavedDescent) -> (SavedLbfgs, (Vec<f64>, Vec<TermHistory>)) {
    let pairs = saved.pairs.into_iter().zip(saved.curvatures);
    let lbfgs = SavedLbfgs {
        x: saved.x,
        gradient: saved.gradient,
        value: saved.history.last().copied().unwrap_or(f64::NAN),
        pairs: pairs.map(|((s, y), rho)| (s, y, rho)).collect(),
        evaluations: saved.evaluations,
    };
    (lbfgs, (saved.history, saved.terms))
}

fn save<V: Vector>(state: &DescentState<V>) -> Result<SavedDescent, LbfgsError> {
    let lbfgs = state.lbfgs.as_ref().expect("started").save()?;
    let curvatures = lbfgs.pairs.iter().map(|p| p.2).collect();
    Ok(SavedDescent {
        x: lbfgs.x,
        gradient: lbfgs.gradient,
        pairs: lbfgs.pairs.into_iter().map(|(s, y, _)| (s, y)).collect(),
        curvatures,
        history: state.history.clone(),
        terms: state.terms.clone(),
        evaluations: lbfgs.evaluations,
    })
}

/// Tells argmin's observations to a [`Progress`].
struct Relay {
    progress: Arc<dyn Progress>,
}

impl<V: Vector> Observe<DescentState<V>> for Relay {
    fn observe_iter(&mut self, state: &DescentState<V>, _kv: &KV) -> Result<(), Error> {
        let last = |t: &TermHistory| TermValue {
            name: t.name.clone(),
            value: t.values.last().copied().unwrap_or(f64::NAN),
        };
        let terms: Vec<TermValue> = state.terms.iter().map(last).collect();
        self.progress.step(state.get_iter() + 1, state.get_cost(), &terms);
        Ok(())
    }
}

/// Saves through a [`Progress`]; loading is done before the executor runs.
struct Saver {
    progress: Arc<dyn Progress>,
}

impl<V: Vector> Checkpoint<Descent, DescentState<V>> for Saver {
    fn save(&self, _solver: &Descent, state: &DescentState<V>) -> Result<(), Error> {
        match save(state) {
            Ok(saved) => self.progress.save(&saved).map_err(Error::msg),
            // Vectors out of reach: the next evaluation says why.
            Err(_) => Ok(()),
        }
    }

    fn load(&self) -> Result<Option<(Descent, DescentState<V>)>, Error> {
        Ok(None)
    }

    fn frequency(&self) -> CheckpointingFrequency {
        match self.progress.save_every() {
            0 => CheckpointingFrequency::Never,
            n => CheckpointingFrequency::Every(n),
        }
    }
}
