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
