//! Matrix products by faer in bands that depend on sizes alone, and checks of matrices.
//!
//! faer runs on one thread inside each band and rayon runs the bands, so that the bits
//! of a product depend on no thread count.

use crate::error::{Result, ValidationError};
use faer::{Accum, MatMut, MatRef};
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

/// Rows of a band.
const BAND: usize = 192;

/// A view that faer reads; the array must be contiguous in one of the two orders.
pub(crate) fn view(array: ArrayView2<'_, f64>) -> MatRef<'_, f64> {
    let (rows, columns) = array.dim();
    if let Some(slice) = array.to_slice() {
        return MatRef::from_row_major_slice(slice, rows, columns);
    }
    let slice = array.reversed_axes().to_slice().expect("matrices here are contiguous");
    MatRef::from_column_major_slice(slice, rows, columns)
}

/// A·B.
pub(crate) fn product(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) -> Array2<f64> {
    let (rows, columns) = (a.nrows(), b.ncols());
    if rows < columns {
        // Bands run along the longer side.
        let turned = product(b.reversed_axes(), a.reversed_axes());
        return turned.reversed_axes().as_standard_layout().into_owned();
    }
    let mut out = Array2::zeros((rows, columns));
    if out.is_empty() {
        return out;
    }
    let (left, right) = (view(a), view(b));
    let slice = out.as_slice_mut().expect("just made");
    slice.par_chunks_mut(BAND * columns).enumerate().for_each(|(band, out)| {
        let count = out.len() / columns;
        let target = MatMut::from_row_major_slice_mut(out, count, columns);
        let left = left.subrows(band * BAND, count);
        faer::linalg::matmul::matmul(target, Accum::Replace, left, right, 1.0, faer::Par::Seq);
    });
    out
}

/// Adds XᵀX to the lower triangle (in whole bands) of `square`, X `(rows, p)`.
pub(crate) fn add_square(rows: &[f64], p: usize, square: &mut [f64]) {
    let count = rows.len() / p;
    square.par_chunks_mut(BAND * p).enumerate().for_each(|(band, out)| {
        let (first, high) = (band * BAND, out.len() / p);
        let wide = first + high;
        let x = MatRef::from_row_major_slice(rows, count, p);
        // faer 0.24.4 exchanges the strides of `from_row_major_slice_with_stride_mut`.
        let target = MatMut::from_column_major_slice_with_stride_mut(out, wide, high, p);
        let target = target.transpose_mut();
        let (left, right) = (x.subcols(first, high).transpose(), x.subcols(0, wide));
        faer::linalg::matmul::matmul(target, Accum::Add, left, right, 1.0, faer::Par::Seq);
    });
}

/// Copies the lower triangle onto the upper one.
pub(crate) fn mirror(square: &mut Array2<f64>) {
    let p = square.nrows();
    let slice = square.as_slice_mut().expect("standard layout");
    // In tiles, so that columns are read while they are in the cache.
    const TILE: usize = 32;
    for top in (0..p).step_by(TILE) {
        for left in (top..p).step_by(TILE) {
            for i in top..p.min(top + TILE) {
                for j in left.max(i + 1)..p.min(left + TILE) {
                    slice[i * p + j] = slice[j * p + i];
                }
            }
        }
    }
}

/// Checks that every number is finite.
///
/// # Errors
/// [`ValidationError::NotFinite`].
pub(crate) fn check_finite(what: &'static str, array: ArrayView2<'_, f64>) -> Result<()> {
    // A sum is finite only if all are (or overflows, and is looked at again).
    if array.sum().is_finite() {
        return Ok(());
    }
    match array.indexed_iter().find(|(_, v)| !v.is_finite()) {
        Some(((row, column), _)) => Err(ValidationError::NotFinite { what, row, column }),
        None => Ok(()),
    }
}

/// Largest |C_ij − C_ji|/√(C_ii C_jj) of a covariance.
pub(crate) const SYMMETRY: f64 = 1e-10;

/// Checks that a matrix is square, finite and symmetric with a positive diagonal.
///
/// # Errors
/// [`ValidationError::Shape`], [`ValidationError::NotFinite`],
/// [`ValidationError::Variance`], [`ValidationError::NotSymmetric`].
pub fn check_covariance(what: &'static str, matrix: ArrayView2<'_, f64>) -> Result<()> {
    let (rows, columns) = matrix.dim();
    if rows != columns || rows == 0 {
        let allowed = vec![rows.max(1), rows.max(1)];
        return Err(ValidationError::Shape { what, given: vec![rows, columns], allowed });
    }
    check_finite(what, matrix)?;
    let diagonal = matrix.diag();
    if let Some((index, &given)) = diagonal.iter().enumerate().find(|(_, v)| **v <= 0.0) {
        return Err(ValidationError::Variance { what, index, given });
    }
    let matrix = matrix.as_standard_layout();
    let numbers = matrix.as_slice().expect("standard layout");
    // In bands of rows, so that columns are read in pieces and not number by number.
    const HIGH: usize = 32;
    let worst = (0..rows.div_ceil(HIGH)).into_par_iter().map(|band| {
        let mut worst = (0.0, 0, 0);
        let last = rows.min((band + 1) * HIGH);
        for column in 0..last {
            for row in (band * HIGH).max(column + 1)..last {
                let off = numbers[row * rows + column] - numbers[column * rows + row];
                if off != 0.0 {
                    let scale = (diagonal[row] * diagonal[column]).sqrt();
                    worst = larger(worst, (off.abs() / scale, row, column));
                }
            }
        }
        worst
    });
    let (given, row, column) = worst.reduce(|| (0.0, 0, 0), larger);
    if given > SYMMETRY {
        return Err(ValidationError::NotSymmetric { what, row, column, given, allowed: SYMMETRY });
    }
    Ok(())
}

/// The larger first member; of equals, the first row and column.
fn larger(a: (f64, usize, usize), b: (f64, usize, usize)) -> (f64, usize, usize) {
    if b.0 > a.0 || (b.0 == a.0 && (b.1, b.2) < (a.1, a.2)) { b } else { a }
}

/// Σ f(row) over rows, in parallel, added as a fixed tree.
pub(crate) fn sum_rows<const N: usize>(
    rows: usize,
    f: impl Fn(usize) -> [f64; N] + Sync + Send,
) -> [f64; N] {
    let each: Vec<[f64; N]> = (0..rows).into_par_iter().map(f).collect();
    let mut parts = each.concat();
    if rows > 0 {
        skyscat_num::tree_sum(&mut parts, rows);
    }
    std::array::from_fn(|i| parts.get(i).copied().unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_sums() {
        let a = Array2::from_shape_fn((7, 401), |(i, j)| ((i * 31 + j * 17) % 23) as f64 - 11.0);
        let b = Array2::from_shape_fn((401, 300), |(i, j)| ((i * 7 + j * 5) % 19) as f64 - 9.0);
        // Small whole numbers: exact.
        assert_eq!(product(a.view(), b.view()), a.dot(&b));
        assert_eq!(product(b.t(), a.t()), b.t().dot(&a.t()));
        let mut square = Array2::zeros((401, 401));
        add_square(a.as_slice().unwrap(), 401, square.as_slice_mut().unwrap());
        mirror(&mut square);
        assert_eq!(square, a.t().dot(&a));
    }
}
