//! Arrays that begin where a line of the cache begins.

use std::ops::{Deref, DerefMut};

/// Bytes of a line of the cache, and of the widest register.
const LINE: usize = 64;

/// Numbers whose first stands at a multiple of 64 bytes, so that registers that are read
/// one after the other lie in one line of the cache each, not in two.
///
/// ```
/// let numbers = skyscat_num::Aligned::<f64>::zeros(5);
/// assert_eq!(numbers.as_ptr() as usize % 64, 0);
/// assert_eq!(numbers[..], [0.0; 5]);
/// ```
#[derive(Debug, Default)]
pub struct Aligned<T> {
    memory: Vec<T>,
    first: usize,
    len: usize,
}

impl<T: Copy + Default> Aligned<T> {
    /// So many numbers, all zero.
    pub fn zeros(len: usize) -> Self {
        let memory = vec![T::default(); len + LINE / size_of::<T>()];
        // It may be refused, which costs time alone.
        let first = memory.as_ptr().align_offset(LINE).min(memory.len() - len);
        Self { memory, first, len }
    }
}

impl<T: Copy + Default> From<&[T]> for Aligned<T> {
    /// A copy.
    fn from(values: &[T]) -> Self {
        let mut copy = Self::zeros(values.len());
        copy.copy_from_slice(values);
        copy
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.memory[self.first..self.first + self.len]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.memory[self.first..self.first + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_begin_at_a_line() {
        for len in [0, 1, 7, 64, 1001] {
            let ones = Aligned::from(&vec![1.0_f64; len][..]);
            let zeros = Aligned::<f32>::zeros(len);
            assert_eq!((ones.as_ptr() as usize % LINE, zeros.as_ptr() as usize % LINE), (0, 0));
            assert_eq!((ones.len(), zeros.len()), (len, len));
            assert!(ones.iter().all(|&v| v == 1.0) && zeros.iter().all(|&v| v == 0.0));
        }
    }
}
