//! From few sky maps to many: mean-field microcanonical gradient descent.
//!
//! An [`Emulator`] takes a handful of maps, standardises them, measures their
//! scattering covariances and spectra, and moves batches of white noise by
//! L-BFGS until the batch's mean statistics equal the target's (Campeti et al.
//! 2025, sections 3 to 5). The loss is a list of terms, each reported by name.
//!
//! What it is not: a reader of files, a progress bar, or a judge of the maps it
//! makes. Use it to emulate from your own program; `skyscat emulate` is the same
//! from the command line. It depends on the layers below it and on argmin.

mod batch;
mod config;
mod draw;
mod emulator;
mod gaussian;
mod graph;
pub mod loss;
mod plan;
mod saved;
mod standardise;

pub use batch::{Batch, Precision, Progress, Silent};
pub use config::{
    Config, EmulatorError, Init, LossConfig, Sigma, SpectrumLoss, Standardise, TargetMode,
};
pub use draw::{BatchId, Drawn, Schedule};
pub use emulator::{BatchRun, BlockMatch, Emulator, assemble};
pub use plan::BatchPlan;
pub use saved::{Course, SavedDescent, Saving, Vectors};
pub use standardise::Standardiser;
