//! Neighbouring registers of a row that are summed together; the last register of a row
//! may overlap the one before it.

use skyscat_num::{Real, Simd, register_start};

/// Where `B` neighbouring registers of a row begin.
pub(super) type Starts<const B: usize> = [usize; B];

/// Registers of the next block, of those that are left: no block but a row's only one has
/// a single register, so that two which share lanes are in one block.
pub(super) fn block_of(left: usize) -> usize {
    match left {
        4 => 2,
        left => left.min(3),
    }
}

/// Where the registers of a block begin, the first being the register `first`.
#[inline(always)]
pub(super) fn starts<T: Real, S: Simd, const B: usize>(first: usize, lanes: usize) -> Starts<B> {
    let width = lanes_of::<T, S>();
    std::array::from_fn(|b| register_start(first + b, width, lanes))
}

/// Lanes of a register.
#[inline(always)]
pub(super) fn lanes_of<T: Real, S: Simd>() -> usize {
    size_of::<T::Reg<S>>() / size_of::<T>()
}
