//! Placeholder.

mod arrays;
mod error;
mod legendre;
mod modes;
mod plan;
mod recurrence;
pub mod reference;
mod ring;
mod sample;
mod transform;

pub use error::HarmonicError;
pub use modes::Modes;
pub use plan::{Config, Engine, Parallelism, Plan, Scratch};
pub use sample::Sample;

#[cfg(test)]
mod tests;
