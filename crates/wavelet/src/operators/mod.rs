//! Graph operators over tables; none of them knows the sphere.

mod convolve;
mod gather;
mod mean;
mod moment;
mod pointwise;
mod rotate;

pub use convolve::Convolve;
pub use gather::Gather;
pub use mean::MaskedMean;
pub use moment::{Centre, Moment, MomentShape};
pub use pointwise::{ConjugateProduct, Modulus, RealPart, SignedRoot};
pub use rotate::{Rotate, RotationTable};
