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
    /// Every [`Progress::save_every`] iterations, if [`Progress::save_due`].
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
    /// Whether to save now; where ranks share a batch, all must answer alike.
    fn save_due(&self) -> bool {
        true
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
    /// What went wrong, if it could not go on.
    pub failed: Option<Failed>,
}

/// Why a batch could not go on, and where from it may be tried again.
#[derive(Clone, Debug)]
pub struct Failed {
    /// Iteration, term and what is not finite.
    pub reason: String,
    /// The last good state.
    pub saved: SavedDescent,
}

pub(crate) struct Settings {
    pub(crate) id: BatchId,
    pub(crate) lbfgs: LbfgsConfig,
    pub(crate) steps: u64,
    pub(crate) plateau: f64,
    pub(crate) par: skyscat_num::Par,
    /// Stops the descent after its current iteration.
    pub(crate) interrupt: Arc<AtomicBool>,
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
    pub(crate) failed: Option<Failed>,
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
        interrupt: settings.interrupt.clone(),
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
    let failed_at = match state.failure.take() {
        Some(reason) => Some(Failed { reason, saved: save(&state).map_err(ended)? }),
        None => None,
    };
    let lbfgs = state.lbfgs.take().ok_or_else(|| failed("it never started".to_owned()))?;
    Ok(Ended {
        x: lbfgs.x.numbers().map_err(ended)?,
        history: state.history,
        terms: state.terms,
        evaluations: lbfgs.evaluations,
        stop: reason.map_or_else(|| "unknown".to_owned(), |r| r.text().to_owned()),
        interrupted,
        failed: failed_at,
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
        if !self.progress.save_due() {
            return Ok(());
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A banana of twenty dimensions that is NaN from one evaluation on.
    struct Banana {
        evaluations: u64,
        breaks_at: u64,
        terms: [TermValue; 1],
    }

    impl Banana {
        fn breaking_at(breaks_at: u64) -> Self {
            let term = TermValue { name: "banana".to_owned(), value: 0.0 };
            Self { evaluations: 0, breaks_at, terms: [term] }
        }
    }

    impl Objective<Vec<f64>> for Banana {
        fn value_and_gradient(&mut self, x: &Vec<f64>, g: &mut Vec<f64>) -> f64 {
            self.evaluations += 1;
            g.fill(0.0);
            let mut f = 0.0;
            for i in 0..x.len() - 1 {
                let (a, b) = (1.0 - x[i], x[i + 1] - x[i] * x[i]);
                f += a * a + 100.0 * b * b;
                g[i] += -2.0 * a - 400.0 * x[i] * b;
                g[i + 1] += 200.0 * b;
            }
            if self.evaluations >= self.breaks_at {
                f = f64::NAN;
            }
            self.terms[0].value = f;
            f
        }
        fn report(&self) -> &[TermValue] {
            &self.terms
        }
        fn blame(&self) -> Option<String> {
            self.terms[0].value.is_nan().then(|| "the term banana is NaN".to_owned())
        }
    }

    fn run(breaks_at: u64, start: Start) -> Result<Ended, EmulatorError> {
        let settings = Settings {
            id: BatchId { target: None, number: 7 },
            lbfgs: LbfgsConfig::campeti2025(),
            steps: 40,
            plateau: 0.0,
            par: skyscat_num::Par::new(1).unwrap(),
            interrupt: Arc::default(),
        };
        let make = |x: &[f64]| Ok(x.to_vec());
        descend(Banana::breaking_at(breaks_at), make, start, &settings, Arc::new(Silent))
    }

    #[test]
    fn a_batch_that_breaks_keeps_its_last_good_state_and_goes_on_to_the_same_bits() {
        let x: Vec<f64> = (0..20).map(|i| if i % 2 == 0 { -1.2 } else { 1.0 }).collect();
        let whole = run(u64::MAX, Start::At(x.clone())).unwrap();
        assert!(whole.failed.is_none() && whole.history.len() == 41);
        for breaks_at in [2, 5, 17, 30] {
            let broken = run(breaks_at, Start::At(x.clone())).unwrap();
            let Failed { reason, saved } = broken.failed.expect("it broke");
            let done = saved.history.len();
            let expected = format!("iteration {done}: the term banana is NaN");
            assert_eq!(reason, expected);
            assert_eq!(saved.history, whole.history[..done]);
            assert!(saved.x.iter().chain(&saved.gradient).all(|v| v.is_finite()));
            let rest = run(u64::MAX, Start::From(saved)).unwrap();
            assert_eq!(rest.history, whole.history);
            assert_eq!(rest.x, whole.x);
        }
    }

    #[test]
    fn a_start_that_is_not_finite_names_batch_and_term() {
        let error = run(1, Start::At(vec![0.5; 20])).err().expect("refused").to_string();
        for word in ["average-batch0007", "not finite at the start", "the term banana"] {
            assert!(error.contains(word), "{error}");
        }
    }
}
