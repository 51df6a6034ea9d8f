//! Graph operators over tables; none of them knows the sphere.

mod blocks;
mod convolve;
mod covariance;
mod gather;
mod mean;
mod pointwise;
mod rotate;

pub use convolve::Convolve;
pub use covariance::{Covariance, CovarianceConfig, Part};
pub use gather::Gather;
pub use mean::MaskedMean;
pub use pointwise::{ConjugateProduct, Modulus, RealPart, SignedRoot};
pub use rotate::{Rotate, RotationTable};
