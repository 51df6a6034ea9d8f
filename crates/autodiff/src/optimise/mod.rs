//! Descent: L-BFGS with a strong-Wolfe line search, on argmin's framework.

mod descent;
mod gram;
mod lbfgs;
mod pairs;
mod part;
mod vector;
mod wolfe;

pub use descent::{Descent, DescentState};
#[cfg(feature = "gpu")]
pub(crate) use gram::Gram;
pub use lbfgs::{Lbfgs, LbfgsConfig, LbfgsError, SavedLbfgs, Stop};
pub use pairs::{Aim, At, HostPairs, Pairs, SavedPair};
pub use part::Part;
pub use vector::{HostVector, Vector};

/// A loss term's name and value, weight included.
#[derive(Clone, Debug, PartialEq)]
pub struct TermValue {
    /// Name of the term.
    pub name: String,
    /// Its weighted value.
    pub value: f64,
}

/// One named part of a loss over a descent.
#[derive(Clone, Debug, PartialEq)]
pub struct TermHistory {
    /// Name of the term.
    pub name: String,
    /// Its weighted value after each iteration, the start first.
    pub values: Vec<f64>,
}

impl TermValue {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), value: f64::NAN }
    }
}

/// Why an objective has no value, if it knows more than that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Failure {
    /// What happened.
    pub reason: String,
    /// Whether what computes it is gone, so that nothing else can be tried.
    pub lost: bool,
}

/// A function that gives value and gradient in one go.
pub trait Objective<V: Vector> {
    /// The value at `x`; the gradient is overwritten.
    fn value_and_gradient(&mut self, x: &V, gradient: &mut V) -> f64;
    /// trial ← x + step·direction; the value there, its gradient, and the slope.
    fn probe(&mut self, x: &V, direction: &V, step: f64, trial: At<'_, V>) -> (f64, f64) {
        trial.x.set_sum(x, step, direction);
        let value = self.value_and_gradient(trial.x, trial.gradient);
        (value, trial.gradient.dot(direction))
    }
    /// The terms of the last value, for reports.
    fn report(&self) -> &[TermValue] {
        &[]
    }
    /// Which part of the last value is not finite, if the objective knows: said once no
    /// shorter step helps.
    fn blame(&self) -> Option<String> {
        None
    }
    /// Why there is no last value: the descent then ends at once.
    fn failure(&self) -> Option<Failure> {
        None
    }
}
