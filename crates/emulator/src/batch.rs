//! One batch: moved from its start to the target's mean statistics.

use crate::saved::{Course, SavedDescent, Saving};
use crate::{BatchId, EmulatorError};
use argmin::core::checkpointing::{Checkpoint, CheckpointingFrequency};
use argmin::core::observers::{Observe, ObserverMode};
use argmin::core::{Error, Executor, KV, State, TerminationReason};
use ndarray::Array3;
use skyscat_autodiff::{
    Descent, DescentState, Failure, Lbfgs, LbfgsConfig, LbfgsError, Objective, Pairs, TermHistory,
    TermValue, Vector,
};
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A precision of the descent.
pub trait Precision: skyscat_autodiff::Precision {}

impl<T: skyscat_autodiff::Precision> Precision for T {}

/// What follows a running batch. Calls come from the thread that runs it.
pub trait Progress: Send + Sync {
    /// After each iteration.
    fn step(&self, _iteration: u64, _loss: f64, _terms: &[TermValue]) {}
    /// Every [`Progress::save_every`] iterations, if [`Progress::save_due`].
    ///
    /// # Errors
    /// Any error stops the batch.
    fn save(&self, _saving: &mut Saving<'_>) -> Result<(), String> {
        Ok(())
    }
    /// Once, for a batch that was interrupted or could not go on, with its last good
    /// state: what becomes [`Batch::saved`], or `None` if this has put it elsewhere.
    ///
    /// # Errors
    /// Any error is that of the batch.
    fn put_down(&self, saving: &mut Saving<'_>) -> Result<Option<SavedDescent>, String> {
        saving.keep().map(Some)
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
    /// Whether it was interrupted.
    pub interrupted: bool,
    /// Why it could not go on, if so: iteration, term and what is not finite.
    pub failed: Option<String>,
    /// For a batch that was interrupted or failed the state to go on from, unless
    /// [`Progress::put_down`] has put it elsewhere.
    pub saved: Option<SavedDescent>,
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
    pub(crate) interrupted: bool,
    pub(crate) failed: Option<String>,
    pub(crate) saved: Option<SavedDescent>,
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
    let broken = |error: Broken| match error {
        Broken::Vectors(error) => ended(error),
        Broken::Elsewhere(reason) => failed(reason),
        Broken::Place(error) => error,
    };
    let state = DescentState::<V>::new();
    let state = match start {
        Start::At(x) => state.at(make(&x)?, settings.steps),
        Start::From(saved) => {
            let lbfgs = load(&saved, settings.lbfgs, &make).map_err(broken)?;
            let Course { history, terms, .. } = saved.course;
            state.from_saved(lbfgs, (history, terms), settings.steps)
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
        .checkpointing(Saver { progress: progress.clone() })
        .run()
        .map_err(|error| match error.downcast::<Failure>() {
            Ok(failure) => stopped(failure),
            Err(error) => failed(error.to_string()),
        })?;
    let mut state = result.state;
    let reason = state.get_termination_reason().cloned();
    let interrupted = matches!(reason, Some(TerminationReason::Interrupt));
    let why = state.failure.take();
    let saved = match interrupted || why.is_some() {
        true => save(&state, |saving| progress.put_down(saving)).map_err(broken)?,
        false => None,
    };
    let lbfgs = state.lbfgs.take().ok_or_else(|| failed("it never started".to_owned()))?;
    Ok(Ended {
        x: lbfgs.x.numbers().map_err(ended)?,
        history: state.history,
        terms: state.terms,
        evaluations: lbfgs.evaluations,
        stop: reason.map_or_else(|| "unknown".to_owned(), |r| r.text().to_owned()),
        interrupted,
        failed: why,
        saved,
    })
}

/// Why a descent cannot be put down or taken up.
enum Broken {
    /// Its vectors have no place, or are out of reach.
    Vectors(LbfgsError),
    /// Those that are saved cannot be read, or nobody takes them.
    Elsewhere(String),
    /// There is nothing to put them in.
    Place(EmulatorError),
}

impl From<LbfgsError> for Broken {
    fn from(error: LbfgsError) -> Self {
        Self::Vectors(error)
    }
}

/// The state of the optimiser.
fn load<V: Vector>(
    saved: &SavedDescent,
    config: LbfgsConfig,
    make: impl Fn(&[f64]) -> Result<V, EmulatorError>,
) -> Result<Lbfgs<V>, Broken> {
    let Course { history, evaluations, .. } = &saved.course;
    let value = history.last().copied().unwrap_or(f64::NAN);
    let vectors = &saved.vectors;
    let read = |at: usize| vectors.vector(at).map_err(Broken::Elsewhere);
    let like = make(&read(0)?).map_err(Broken::Place)?;
    Lbfgs::read(config, (value, *evaluations), (0..vectors.count()).map(read), &like)
}

/// Has the state saved, one vector after the other. All of them are brought whatever
/// becomes of it, for other ranks bring theirs too.
fn save<V: Vector, R>(
    state: &DescentState<V>,
    to: impl FnOnce(&mut Saving<'_>) -> Result<R, String>,
) -> Result<R, Broken> {
    let lbfgs = state.lbfgs.as_ref().expect("started");
    let out_of_reach = RefCell::new(None);
    let read = |at: usize| {
        lbfgs.vector(at).map_err(|error| {
            let reason = error.to_string();
            out_of_reach.borrow_mut().get_or_insert(error);
            reason
        })
    };
    let course = Course {
        curvatures: lbfgs.pairs.curvatures(),
        history: state.history.clone(),
        terms: state.terms.clone(),
        evaluations: lbfgs.evaluations,
    };
    let mut saving = Saving { course, count: lbfgs.vectors(), next: 0, read: &read };
    let answer = to(&mut saving);
    while saving.next_vector().is_some() {}
    match out_of_reach.into_inner() {
        Some(error) => Err(Broken::Vectors(error)),
        None => answer.map_err(Broken::Elsewhere),
    }
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
        match save(state, |saving| self.progress.save(saving)) {
            Err(Broken::Elsewhere(reason)) => Err(Error::msg(reason)),
            // Vectors out of reach: the next evaluation says why.
            _ => Ok(()),
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
            let (reason, saved) = (broken.failed.expect("it broke"), broken.saved.unwrap());
            let done = saved.course.history.len();
            let expected = format!("iteration {done}: the term banana is NaN");
            assert_eq!(reason, expected);
            assert_eq!(saved.course.history, whole.history[..done]);
            for at in [0, 1] {
                assert!(saved.vectors.vector(at).unwrap().iter().all(|v| v.is_finite()));
            }
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
