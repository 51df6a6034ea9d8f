//! Descent: L-BFGS with a strong-Wolfe line search, on argmin's framework.

mod descent;
mod lbfgs;
mod vector;
mod wolfe;

pub use descent::{Descent, DescentState};
pub use lbfgs::{Lbfgs, LbfgsConfig, LbfgsError, Stop};
pub use vector::Vector;

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

/// A function that gives value and gradient in one go.
pub trait Objective<V> {
    /// The value at `x`; the gradient is overwritten.
    fn value_and_gradient(&mut self, x: &V, gradient: &mut V) -> f64;
    /// The terms of the last value, for reports.
    fn report(&self) -> &[TermValue] {
        &[]
    }
    /// Which part of the last value or gradient is not finite, if the objective knows.
    fn failure(&self) -> Option<String> {
        None
    }
}
