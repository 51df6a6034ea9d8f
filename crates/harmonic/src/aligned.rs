//! Buffers that begin at a cache line, so that no register load straddles two.

use std::ops::{Deref, DerefMut};

/// Bytes of a cache line and of the widest register.
const LINE: usize = 64;

/// A slice of fixed length that begins at a multiple of 64 bytes.
#[derive(Debug)]
pub(crate) struct Aligned<T> {
    values: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Copy + Default> Aligned<T> {
    /// `len` zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        let values = vec![T::default(); len + LINE / size_of::<T>()];
        let past = values.as_ptr() as usize % LINE;
        Self { values, start: (LINE - past) % LINE / size_of::<T>(), len }
    }

    /// A copy of `values`.
    pub(crate) fn of(values: &[T]) -> Self {
        let mut copy = Self::zeros(values.len());
        copy.copy_from_slice(values);
        copy
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.values[self.start..][..self.len]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.values[self.start..][..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_begin_at_a_line() {
        for len in [0, 1, 7, 64, 1001] {
            let (double, single) = (Aligned::of(&vec![1.0_f64; len]), Aligned::<f32>::zeros(len));
            assert_eq!((double.as_ptr() as usize % LINE, single.as_ptr() as usize % LINE), (0, 0));
            assert_eq!((double.len(), single.len()), (len, len));
            assert!(double.iter().all(|&v| v == 1.0));
        }
    }
}
