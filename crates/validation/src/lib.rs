//! The independent judge: are emulated maps like maps of the true distribution?
//!
//! **What it is.** Scores, each usable alone: covariances added up block by block
//! ([`CovarianceSums`], [`compare_covariances`]), principal components by three routes
//! ([`Eigenmodes`], [`leading_modes`]) with χ² and Gaussian divergences on them, spectra
//! and any labelled coefficients against the reference's scatter ([`Residuals`]),
//! Minkowski functionals on the sphere and on the rotations ([`So3Functionals`]), pixel
//! values, two-sample tests, memorisation, independence, and honest baselines
//! ([`Shrinkage`], [`isotropic_gaussian`]). [`validate`] makes a [`Report`] of all of
//! them; [`judge`] holds the [`Score`]s against [`Limits`], which are data and stated
//! before the run. Expectations come from sampling theory wherever there is one.
//!
//! **What it is not.** It makes no emulations and computes no scattering coefficients:
//! they come to it as a [`LabelledTable`]. It reads no files, draws no pictures, prints
//! nothing, and masks nothing.
//!
//! **Who should use it.** Whoever has a set of maps that is said to be like another.
//!
//! **What it may depend on.** `skyscat-harmonic`, `skyscat-healpix`, `skyscat-num`, faer,
//! ndarray, rayon, serde, toml; never the statistics or the emulator, so that the judge
//! shares no code with the judged.
//!
//! Maps are matrices `(n_maps, n_variables)`, the variables being channels one after
//! another (Q stacked on U) in pixel order ([`matrix`]). Every sum is a fixed tree: the
//! same bits for any number of threads.

mod error;
pub mod reference;

mod linear;
mod special;

mod compare;
mod covariance;
mod eigen;
mod leading;
mod modes;
mod shrinkage;

mod dependence;
mod minkowski;
mod pdf;
mod sets;
mod spectra;
mod table;
mod two_sample;

mod report;
mod score;

pub use compare::{CovarianceScores, ReferenceCovariance, Zoom, compare_covariances, zoom};
pub use covariance::{CovarianceSums, SampleCovariance};
pub use dependence::{
    IndependenceScores, MemorisationScores, PairScores, closest_input, independence, memorisation,
};
pub use eigen::Eigenmodes;
pub use error::{Result, ValidationError};
pub use leading::{LeadingConfig, leading_modes};
pub use linear::check_covariance;
pub use minkowski::{
    MinkowskiConfig, ScalarFunctionals, So3Derivatives, So3Functionals, So3Method, gaussian_scalar,
    gaussian_v0, scalar_mu, so3_derivatives,
};
pub use modes::{
    EigenvalueRatios, ModeScores, compare_on_modes, eigenvalue_ratios, reduced_chi2,
    stein_expected, whiten,
};
pub use pdf::PixelBins;
pub use report::{Chi2Scores, InputBaseline, NamedTest, Report, Sets, ValidationConfig, validate};
pub use score::{Known, Limit, Limits, Score, Verdict, judge};
pub use sets::{check_comparable, matrix};
pub use shrinkage::{Shrinkage, TargetShrinkage, hartlap_factor};
pub use spectra::{HarmonicConfig, isotropic_gaussian, measure_spectra};
pub use table::{LabelledTable, Residuals, TableSummary};
pub use two_sample::{TwoSample, energy_distance, kolmogorov_smirnov, rank_sum};
