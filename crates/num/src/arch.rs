//! Which instruction set a kernel runs with.

use crate::Real;
use pulp::{Arch, WithSimd};

/// Runs a kernel on rows of `lanes` numbers, with the widest registers of this machine
/// that such a row is a whole number of.
///
/// Every lane is computed as in any other register, so that a map's bits depend neither
/// on the registers nor on how many maps there are.
///
/// # Panics
/// If `lanes` is not a multiple of [`Real::LANES`].
pub fn dispatch<T: Real, K: WithSimd>(lanes: usize, kernel: K) -> K::Output {
    assert!(lanes.is_multiple_of(T::LANES), "{lanes} lanes of {}", T::NAME);
    #[cfg(target_arch = "x86_64")]
    if !lanes.is_multiple_of(2 * T::LANES)
        && let Some(simd) = pulp::x86::V3::try_new()
    {
        return pulp::Simd::vectorize(simd, kernel);
    }
    Arch::new().dispatch(kernel)
}
