//! Which instruction set a kernel runs with.

use crate::Real;
use pulp::{Arch, WithSimd};
use std::marker::PhantomData;

/// Runs a kernel on rows of `lanes` numbers, with the widest registers of this machine
/// that such a row is a whole number of. A kernel that treats all channels of a row alike
/// may give the length of the whole row.
///
/// Every lane is computed as in any other register, so that a map's bits do not depend on
/// which are taken.
///
/// # Panics
/// If `lanes` is not a multiple of [`Real::LANES`].
pub fn dispatch<T: Real, K: WithSimd>(lanes: usize, kernel: K) -> K::Output {
    assert!(lanes.is_multiple_of(T::LANES), "{lanes} lanes of {}", T::NAME);
    #[cfg(target_arch = "x86_64")]
    if !lanes.is_multiple_of(4 * T::LANES)
        && let Some(simd) = pulp::x86::V3::try_new()
    {
        return match lanes.is_multiple_of(2 * T::LANES) {
            true => pulp::Simd::vectorize(simd, kernel),
            false => pulp::Simd::vectorize(simd, Short(simd, kernel)),
        };
    }
    Arch::new().dispatch(kernel)
}

/// Runs a kernel on rows of `lanes` numbers whose last register may overlap the one before
/// it, with the widest registers that such a row has room for: ten numbers are two
/// registers of eight, which begin at 0 and 2. Where they begin, [`register_start`] tells.
///
/// # Panics
/// If `lanes` is not a multiple of [`Real::LANES`].
pub fn dispatch_overlapping<T: Real, K: WithSimd>(lanes: usize, kernel: K) -> K::Output {
    assert!(lanes.is_multiple_of(T::LANES), "{lanes} lanes of {}", T::NAME);
    match lanes >= 4 * T::LANES {
        true => dispatch_widest(kernel),
        false => {
            #[cfg(target_arch = "x86_64")]
            if lanes > 2 * T::LANES
                && let Some(simd) = pulp::x86::V3::try_new()
            {
                return pulp::Simd::vectorize(simd, kernel);
            }
            dispatch::<T, K>(lanes, kernel)
        }
    }
}

/// Where a register of `width` lanes begins in a row of `lanes`.
#[inline(always)]
pub fn register_start(register: usize, width: usize, lanes: usize) -> usize {
    (register * width).min(lanes - width)
}

/// Runs a kernel with the widest registers of this machine, [`widest`] lanes each.
pub fn dispatch_widest<K: WithSimd>(kernel: K) -> K::Output {
    Arch::new().dispatch(kernel)
}

/// Lanes of the registers that [`dispatch_widest`] takes: a power of two, 16 at most.
pub fn widest<T: Real>() -> usize {
    dispatch_widest(Lanes::<T>(PhantomData))
}

/// How many lanes the registers of a kernel have.
struct Lanes<T>(PhantomData<T>);

impl<T: Real> WithSimd for Lanes<T> {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _simd: S) -> usize {
        size_of::<T::Reg<S>>() / size_of::<T>()
    }
}

/// A kernel on half the registers of AVX2 (`vectorize` of pulp's own type takes whole ones).
#[cfg(target_arch = "x86_64")]
struct Short<K>(pulp::x86::V3, K);

#[cfg(target_arch = "x86_64")]
impl<K: WithSimd> WithSimd for Short<K> {
    type Output = K::Output;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _whole: S) -> K::Output {
        self.1.with_simd(pulp::x86::V3_128b(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows_are_whole_registers<T: Real>() {
        for lanes in (1..=40).map(|n| n * T::LANES) {
            let width = dispatch::<T, _>(lanes, Lanes::<T>(PhantomData));
            assert!(
                lanes.is_multiple_of(width),
                "{lanes} lanes of {}, registers of {width}",
                T::NAME
            );
        }
        assert!(widest::<T>().is_power_of_two() && widest::<T>() <= 16);
    }

    #[test]
    fn a_row_is_a_whole_number_of_the_registers_that_are_taken() {
        rows_are_whole_registers::<f32>();
        rows_are_whole_registers::<f64>();
    }

    fn registers_cover_a_row<T: Real>() {
        for lanes in (1..=40).map(|n| n * T::LANES) {
            let width = dispatch_overlapping::<T, _>(lanes, Lanes::<T>(PhantomData));
            let mut covered = vec![false; lanes];
            for register in 0..lanes.div_ceil(width) {
                covered[register_start(register, width, lanes)..][..width].fill(true);
            }
            assert!(covered.iter().all(|&c| c), "{lanes} lanes, registers of {width}");
        }
    }

    #[test]
    fn registers_that_overlap_cover_a_row() {
        registers_cover_a_row::<f32>();
        registers_cover_a_row::<f64>();
    }

    #[test]
    #[should_panic(expected = "3 lanes of f64")]
    fn a_row_of_no_whole_register_is_refused() {
        dispatch::<f64, _>(3, Lanes::<f64>(PhantomData));
    }
}
