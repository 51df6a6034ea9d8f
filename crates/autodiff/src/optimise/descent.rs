//! L-BFGS as an argmin solver, with a state that copies no vector.

use super::{
    Failure, Lbfgs, LbfgsConfig, LbfgsError, Objective, Stop, TermHistory, TermValue, Vector,
};
use argmin::core::{Error, KV, Problem, Solver, State, TerminationReason, TerminationStatus};
use skyscat_num::Par;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The argmin solver: settings and stopping rules.
#[derive(Clone, Debug)]
pub struct Descent {
    /// Settings of L-BFGS.
    pub config: LbfgsConfig,
    /// Stop when the value fell by less than this fraction over `plateau_window`
    /// iterations; 0 never stops.
    pub plateau: f64,
    /// Iterations over which the plateau is judged.
    pub plateau_window: usize,
    /// Set from outside to stop after the current iteration.
    pub interrupt: Arc<AtomicBool>,
    /// Threads for the vectors of the descent.
    pub par: Par,
}

/// The state of a descent, as argmin's executor carries it.
///
/// Observers read [`DescentState::lbfgs`] and [`DescentState::terms`]; a
/// checkpoint saves both, and the history.
#[derive(Debug)]
pub struct DescentState<V: Vector> {
    /// Where the descent starts; taken by the first iteration.
    pub start: Option<V>,
    /// The descent, once started.
    pub lbfgs: Option<Lbfgs<V>>,
    /// The terms of the loss after each iteration, the start first.
    pub terms: Vec<TermHistory>,
    /// Value after each iteration, the start first.
    pub history: Vec<f64>,
    /// Why the descent failed, if it did; the rest is then the last good state.
    pub failure: Option<String>,
    /// Iterations allowed.
    pub max_iters: u64,
    iter: u64,
    counts: HashMap<String, u64>,
    time: Option<Duration>,
    status: TerminationStatus,
}

impl<V: Vector> DescentState<V> {
    /// A state that starts at `x`.
    #[must_use]
    pub fn at(mut self, x: V, max_iters: u64) -> Self {
        self.start = Some(x);
        self.max_iters = max_iters;
        self
    }

    /// A state that goes on from a saved descent, its history and its terms.
    #[must_use]
    pub fn from_saved(
        mut self,
        lbfgs: Lbfgs<V>,
        (history, terms): (Vec<f64>, Vec<TermHistory>),
        max_iters: u64,
    ) -> Self {
        self.iter = history.len().saturating_sub(1) as u64;
        self.lbfgs = Some(lbfgs);
        self.history = history;
        self.terms = terms;
        self.max_iters = max_iters;
        self
    }

    fn record(&mut self, value: f64, terms: &[TermValue]) {
        if self.terms.len() != terms.len() {
            let begin = |t: &TermValue| TermHistory { name: t.name.clone(), values: Vec::new() };
            self.terms = terms.iter().map(begin).collect();
        }
        self.history.push(value);
        for (history, term) in self.terms.iter_mut().zip(terms) {
            history.values.push(term.value);
        }
    }
}

impl<V: Vector> State for DescentState<V> {
    type Param = V;
    type Float = f64;

    fn new() -> Self {
        Self {
            start: None,
            lbfgs: None,
            terms: Vec::new(),
            history: Vec::new(),
            failure: None,
            max_iters: u64::MAX,
            iter: 0,
            counts: HashMap::new(),
            time: None,
            status: TerminationStatus::NotTerminated,
        }
    }
    // The line search only accepts decreases: the current point is the best one.
    fn update(&mut self) {}
    fn get_param(&self) -> Option<&V> {
        self.lbfgs.as_ref().map(|l| &l.x)
    }
    fn get_best_param(&self) -> Option<&V> {
        self.get_param()
    }
    fn get_max_iters(&self) -> u64 {
        self.max_iters
    }
    fn increment_iter(&mut self) {
        self.iter += 1;
    }
    fn get_iter(&self) -> u64 {
        self.iter
    }
    fn get_cost(&self) -> f64 {
        self.lbfgs.as_ref().map_or(f64::INFINITY, |l| l.value)
    }
    fn get_best_cost(&self) -> f64 {
        self.get_cost()
    }
    fn get_target_cost(&self) -> f64 {
        f64::NEG_INFINITY
    }
    fn func_counts<O>(&mut self, problem: &Problem<O>) {
        for (&name, &count) in &problem.counts {
            self.counts.insert(name.to_owned(), count);
        }
    }
    fn get_func_counts(&self) -> &HashMap<String, u64> {
        &self.counts
    }
    fn time(&mut self, time: Option<Duration>) -> &mut Self {
        self.time = time;
        self
    }
    fn get_time(&self) -> Option<Duration> {
        self.time
    }
    fn get_last_best_iter(&self) -> u64 {
        self.iter
    }
    fn is_best(&self) -> bool {
        true
    }
    fn terminate_with(mut self, reason: TerminationReason) -> Self {
        self.status = TerminationStatus::Terminated(reason);
        self
    }
    fn get_termination_status(&self) -> &TerminationStatus {
        &self.status
    }
    fn get_termination_reason(&self) -> Option<&TerminationReason> {
        match &self.status {
            TerminationStatus::Terminated(reason) => Some(reason),
            TerminationStatus::NotTerminated => None,
        }
    }
}

impl<O: Objective<V> + Send, V: Vector + Send> Solver<O, DescentState<V>> for Descent {
    fn name(&self) -> &str {
        "L-BFGS"
    }

    fn init(
        &mut self,
        problem: &mut Problem<O>,
        mut state: DescentState<V>,
    ) -> Result<(DescentState<V>, Option<KV>), Error> {
        if let Some(x) = state.start.take() {
            let objective = problem.problem.as_mut().expect("the executor holds the problem");
            let started = self.par.install(|| Lbfgs::start(self.config, x, objective));
            if let Some(failure) = objective.failure().filter(|failure| failure.lost) {
                return Err(at_iteration(0, failure));
            }
            let lbfgs = match started {
                Err(LbfgsError::Vectors(failure)) => return Err(at_iteration(0, failure)),
                Err(_) => {
                    let reason = format!("not finite at the start: {}", blame(objective));
                    return Err(Error::msg(reason));
                }
                Ok(lbfgs) => lbfgs,
            };
            state.record(lbfgs.value, objective.report());
            state.lbfgs = Some(lbfgs);
        }
        Ok((state, None))
    }

    fn next_iter(
        &mut self,
        problem: &mut Problem<O>,
        mut state: DescentState<V>,
    ) -> Result<(DescentState<V>, Option<KV>), Error> {
        let objective = problem.problem.as_mut().expect("the executor holds the problem");
        let lbfgs = state.lbfgs.as_mut().expect("started by init");
        let before = lbfgs.evaluations;
        let stop = self.par.install(|| lbfgs.step(objective));
        let (value, at) = (lbfgs.value, state.history.len());
        *problem.counts.entry("evaluations").or_insert(0) += lbfgs.evaluations - before;
        let objective = problem.problem.as_ref().expect("held");
        let failure = match &stop {
            Some(Stop::NotFinite) => Some(blame(objective)),
            Some(Stop::Failure(failure)) if !failure.lost => Some(failure.reason.clone()),
            _ => None,
        };
        if let Some(failure) = failure {
            state.failure = Some(format!("iteration {at}: {failure}"));
        } else {
            state.record(value, objective.report());
        }
        Ok(match stop {
            None => (state, None),
            Some(Stop::Failure(failure)) if failure.lost => return Err(at_iteration(at, failure)),
            Some(stop) => {
                let reason = TerminationReason::SolverExit(format!("{stop:?}"));
                (state.terminate_with(reason), None)
            }
        })
    }

    fn terminate(&mut self, state: &DescentState<V>) -> TerminationStatus {
        if self.interrupt.load(Ordering::SeqCst) {
            return TerminationStatus::Terminated(TerminationReason::Interrupt);
        }
        let history = &state.history;
        if self.plateau > 0.0 && history.len() > self.plateau_window {
            let (now, then) =
                (history[history.len() - 1], history[history.len() - 1 - self.plateau_window]);
            if then - now < self.plateau * then.abs() {
                return TerminationStatus::Terminated(TerminationReason::SolverConverged);
            }
        }
        TerminationStatus::NotTerminated
    }
}

/// What is not finite: as the objective says, or the gradient past its terms.
fn blame<V: Vector>(objective: &impl Objective<V>) -> String {
    let known = objective.failure().map(|failure| failure.reason).or_else(|| objective.blame());
    known.unwrap_or_else(|| {
        let terms = objective.report().iter().map(|t| format!("{} {:.3e}", t.name, t.value));
        format!("the gradient, with the terms {}", terms.collect::<Vec<_>>().join(", "))
    })
}

/// A failure with the iteration that it happened in.
fn at_iteration(iteration: usize, failure: Failure) -> Error {
    let reason = format!("iteration {iteration}: {}", failure.reason);
    Error::new(Failure { reason, ..failure })
}
