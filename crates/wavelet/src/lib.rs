//! Oriented wavelets as stencil tables, and the graph operators that use them.
//!
//! A [`FilterBank`] says which wavelets; a maker of tables ([`sphere`]) turns it
//! into [`Stencil`]s and [`Sparse`] matrices; operators ([`Convolve`], [`Modulus`],
//! [`Rotate`], [`Gather`], [`MaskedMean`], [`Covariance`], …) see only tables and
//! never the sphere.
//!
//! What it is not: a list of statistics (that is `skyscat-scattering`) or a
//! harmonic transform. Use it to build statistics of your own on the same
//! wavelets. It depends on `skyscat-num`, `skyscat-healpix`, `skyscat-autodiff`.

mod bank;
mod grid;
mod operators;
mod stencil;

pub use bank::{FilterBank, Frame, KernelSize, WaveletError};
pub use grid::sphere;
pub use operators::{
    ConjugateProduct, Convolve, Covariance, CovarianceConfig, Gather, MaskedMean, Modulus, Part,
    RealPart, Rotate, RotationTable, SignedRoot,
};
pub use stencil::{Masks, Sparse, Stencil};
