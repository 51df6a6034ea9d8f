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
    let block = partials.len() / parts;
    let mut stride = 1;
    while stride < parts && block > 0 {
        let add = |pair: &mut [T]| {
            // The last pair of a level may lack its right block.
            if pair.len() > stride * block {
                let (left, right) = pair.split_at_mut(stride * block);
                let right = &right[..block];
                left[..block].iter_mut().zip(right).for_each(|(a, &b)| *a += b);
            }
        };
        match block {
            // Tasks cost more than a few additions.
            ..CHUNK => partials.chunks_mut(2 * stride * block).for_each(add),
            _ => partials.par_chunks_mut(2 * stride * block).for_each(add),
        }
        stride *= 2;
    }
}

/// Numbers whose sum is worth a task.
const CHUNK: usize = 1 << 12;
