//! Sums whose bits do not depend on the number of threads.

use rayon::prelude::*;
use std::ops::AddAssign;

/// Rows a chunk of a reduction over `rows`: a function of the size alone.
///
/// At least 32 rows, and at most 64 chunks, so that partial sums stay small at
/// any resolution.
pub fn chunk_rows(rows: usize) -> usize {
    rows.div_ceil(64).max(32)
}

/// Adds `parts` equal blocks of `partials` pairwise into the first one.
///
/// The tree is fixed by `parts`, so the result is the same for any schedule.
///
/// ```
/// let mut partials = [1.0, 10.0, 2.0, 20.0, 3.0, 30.0];
/// skyscat_num::tree_sum(&mut partials, 3);
/// assert_eq!(partials[..2], [6.0, 60.0]);
/// ```
///
/// # Panics
/// If `partials.len()` is not a multiple of `parts`, or `parts` is 0.
pub fn tree_sum<T: Copy + Send + Sync + AddAssign>(partials: &mut [T], parts: usize) {
    assert!(parts > 0 && partials.len().is_multiple_of(parts), "blocks must be equal");
    let block = (partials.len() / parts).max(1);
    if block < CHUNK {
        // Tasks and lists cost more than a few additions.
        let mut stride = 1;
        while stride < parts {
            for pair in partials.chunks_mut(2 * stride * block) {
                if pair.len() > stride * block {
                    let (left, right) = pair.split_at_mut(stride * block);
                    left.iter_mut().zip(&right[..block]).for_each(|(a, &b)| *a += b);
                }
            }
            stride *= 2;
        }
        return;
    }
    // Pieces of the same numbers of every block, side by side in threads.
    let mut pieces: Vec<Vec<&mut [T]>> = Vec::new();
    pieces.resize_with(block.div_ceil(CHUNK), || Vec::with_capacity(parts));
    for block in partials.chunks_mut(block) {
        pieces.iter_mut().zip(block.chunks_mut(CHUNK)).for_each(|(piece, part)| piece.push(part));
    }
    pieces.par_iter_mut().for_each(|parts| tree_sum_slices(parts));
}

/// Adds equal slices pairwise into the first one, as [`tree_sum`] does.
///
/// # Panics
/// If they are not of one length.
pub fn tree_sum_slices<T: Copy + AddAssign>(parts: &mut [&mut [T]]) {
    let mut stride = 1;
    while stride < parts.len() {
        // The last pair of a level may lack its right slice.
        for pair in parts.chunks_mut(2 * stride).filter(|pair| pair.len() > stride) {
            let (left, right) = pair.split_at_mut(stride);
            let (left, right) = (&mut *left[0], &*right[0]);
            assert_eq!(left.len(), right.len(), "slices must be equal");
            left.iter_mut().zip(right).for_each(|(a, &b)| *a += b);
        }
        stride *= 2;
    }
}

/// Numbers whose sum is worth a task.
const CHUNK: usize = 1 << 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_blocks_are_added_as_short_ones_are() {
        for parts in [1, 2, 7, 12] {
            let block = CHUNK + 5;
            let mut long: Vec<f64> = (0..parts * block).map(|i| (i as f64).sqrt()).collect();
            let column = |i: usize| (0..parts).map(|p| long[p * block + i]).collect::<Vec<_>>();
            let mut columns: Vec<Vec<f64>> = (0..block).map(column).collect();
            tree_sum(&mut long, parts);
            for (sum, column) in long.iter().zip(&mut columns) {
                tree_sum(column, parts);
                assert_eq!(sum.to_bits(), column[0].to_bits());
            }
        }
    }

    #[test]
    fn the_tree_is_one_of_pairs() {
        let mut numbers = [1e16, 1.0, -1e16, 1.0];
        tree_sum(&mut numbers, 4);
        assert_eq!(numbers[0], 0.0, "(1e16 + 1) + (-1e16 + 1)");
        // Must fail: one after the other gives another number.
        assert_ne!(((1e16_f64 + 1.0) - 1e16) + 1.0, 0.0);
    }

    #[test]
    #[should_panic(expected = "slices must be equal")]
    fn slices_of_two_lengths_are_refused() {
        tree_sum_slices(&mut [&mut [1.0, 2.0][..], &mut [3.0]]);
    }
}
