//! What can be wrong with a request to this crate.

use skyscat_healpix::HealpixError;

/// A refused plan, or an array of the wrong shape.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HarmonicError {
    /// A resolution that HEALPix does not have.
    #[error(transparent)]
    Healpix(#[from] HealpixError),
    /// A resolution beyond what the recurrences were proved for.
    #[error("nside {given} is not allowed: transforms are planned up to nside {allowed}")]
    Nside {
        /// The value given.
        given: usize,
        /// The largest value allowed.
        allowed: usize,
    },
    /// A spin outside 0..=4.
    #[error("spin {given} is not allowed: it must be from 0 to {allowed}")]
    Spin {
        /// The value given.
        given: usize,
        /// The largest value allowed.
        allowed: usize,
    },
    /// A largest degree beyond the supported range.
    #[error("lmax {given} is not allowed: it must be at most {allowed}")]
    Lmax {
        /// The value given.
        given: usize,
        /// The largest value allowed.
        allowed: usize,
    },
    /// A largest order above the largest degree.
    #[error("mmax {given} is not allowed: it must be at most lmax = {allowed}")]
    Mmax {
        /// The value given.
        given: usize,
        /// The largest value allowed.
        allowed: usize,
    },
    /// An array whose shape does not fit the plan.
    #[error("{what} has shape {given:?}; this plan needs {allowed:?}")]
    Shape {
        /// Which array.
        what: &'static str,
        /// The shape given.
        given: Vec<usize>,
        /// The shape needed.
        allowed: Vec<usize>,
    },
    /// A power spectrum that no covariance has.
    #[error(
        "the spectra at degree {degree} are not a covariance: pivot {given} must be at least {allowed}"
    )]
    Covariance {
        /// Degree ℓ.
        degree: usize,
        /// The offending pivot of the Cholesky factor.
        given: f64,
        /// The smallest pivot allowed.
        allowed: f64,
    },
}
