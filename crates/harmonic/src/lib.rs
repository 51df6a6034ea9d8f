//! Spherical harmonic transforms of HEALPix maps, their exact adjoints, and spectra.
//!
//! **What it is.** [`Plan`] turns coefficients into RING-ordered maps and back for spins
//! 0 to 4, whole batches at once with the map index innermost, in f64 or f32. Every
//! linear operator comes with its transpose, every spectrum with its pullback, so that
//! losses on spectra can be differentiated. [`gaussian_alm`] draws Gaussian fields.
//!
//! **What it is not.** It reads no files, masks nothing, and knows no other pixelisation:
//! multiply by your mask first (a pseudo-spectrum follows). It draws no random numbers of
//! its own, and removes no mixing of modes beyond the iterations of [`Plan::analysis`].
//!
//! **Who should use it.** The emulator's spectrum terms, validation, simulations.
//!
//! **What it may depend on.** `skyscat-healpix` for the rings, and numerical crates
//! (rustfft, rayon, pulp, ndarray), `skyscat-autodiff` for the operators
//! [`Analysis`] and [`SpectraOperator`]; nothing of scattering, devices or files.
//!
//! Accuracy, in f64: maps and coefficients agree with direct sums to about 1e-13 of the
//! peak; near the poles of nside 1024 an error of a part in 1e16 of 1 − cos θ grows with
//! ℓ² to about 1e-10. Results do not depend on the number of threads. A map alone and
//! the same map in a batch may differ by rounding: sums over rings run in another order.
//!
//! How it is fast: spins 0 and 2 share one sequence per order (`order.rs`), which serves
//! degrees of both parities, both hemispheres and all fields; spin 2 near the poles and
//! the other spins sum Wigner functions directly (`legendre.rs`). Registers hold maps
//! where a batch fills them, else rings (`shared_kernels.rs`).

mod error;
mod fft;
mod fused;
mod modes;
pub mod reference;

mod abreast;
mod climb;
mod legendre;
mod operators;
mod order;
mod plan;
mod recurrence;
mod ring;
mod sample;
mod shared;
mod shared_kernels;
mod spectra_operator;
mod transform;

mod arrays;
mod device;
mod device_work;
mod gaussian;
mod spectra;

pub use error::HarmonicError;
pub use gaussian::{InputSpectra, apply_window, gaussian_alm, gaussian_beam};
pub use modes::Modes;
pub use operators::Analysis;
pub use plan::{Config, Engine, Parallelism, Plan, Scratch};
pub use sample::Sample;
pub use spectra::{
    AlmField, Spectra, SpectrumKind, SpectrumPower, auto_spectrum_pullback, spectrum,
    spectrum_pullback,
};
pub use spectra_operator::SpectraOperator;

#[cfg(test)]
mod tests;
