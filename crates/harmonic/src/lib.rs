//! Placeholder.

mod arrays;
mod error;
mod legendre;
mod modes;
mod operators;
mod plan;
mod recurrence;
pub mod reference;
mod ring;
mod sample;
mod spectra_operator;
mod transform;

pub use error::HarmonicError;
pub use modes::Modes;
pub use operators::Analysis;
pub use plan::{Config, Engine, Parallelism, Plan, Scratch};
pub use sample::Sample;
pub use spectra_operator::{Spectra, SpectrumPower};

#[cfg(test)]
mod tests;
