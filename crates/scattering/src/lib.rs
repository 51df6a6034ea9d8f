//! Scattering covariances S0 to S4 of one sky map and of pairs of maps.
//!
//! A [`Scattering`] plans the wavelets and masks of one resolution once.
//! [`Scattering::add`] then adds the statistics of fields to a graph, without ever
//! seeing a device or a gradient; [`Scattering::compute`] is the short way to
//! labelled tables. Two definitions are kept side by side: [`Definition::Paper`]
//! (Campeti et al. 2025, Eqs. 1–7 and B.1) and [`Definition::HealpixMl`] (what
//! HealpixML 1.0.0 computes, its departures included).
//!
//! What it is not: a loss, an optimiser, or a judge of maps. Use it when you want
//! the numbers Φ(x), or a graph of them for a loss of your own. It depends on
//! `skyscat-wavelet`, `skyscat-autodiff`, `skyscat-healpix`, `skyscat-num`.

mod coefficients;
mod compute;
mod config;
mod describe;
mod field;
mod normalise_gpu;
mod operators;
mod orientation;
mod pairs;
mod plan;

pub use coefficients::{Block, CoefficientTable, Coefficients, Kind, Piece};
pub use compute::Selection;
pub use config::{Config, Definition, Normalisation, ReferencePower, ScatteringError};
pub use describe::{Field, Statistic};
pub use orientation::{Orientation, OrientationConfig};
pub use plan::Scattering;
