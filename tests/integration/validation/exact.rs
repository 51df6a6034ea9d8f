//! Maps of the exact ensemble: the template W at Nside 16 and its covariance.

use ndarray::{Array1, Array2, Array3};
use num_complex::Complex64;
use skyscat_healpix::{MapSet, Ordering};
use skyscat_num::Seed;

/// Pixels and template columns.
const PIXELS: usize = 3072;
const COLUMNS: usize = 2208;
/// Standard deviation of a gain.
const SIGMA: f64 = 1e-4;

/// The template, row by row: (column, weight).
pub(super) struct Exact {
    rows: Vec<Vec<(usize, Complex64)>>,
}

impl Exact {
    /// Reads the template, or says that the test is skipped.
    pub(super) fn read(test: &str) -> Option<Self> {
        let Some(folder) = skyscat_tests::shared("fixtures/litebird_sim") else {
            skyscat_tests::skip(test, "no shared folder beside this checkout");
            return None;
        };
        let offsets: Array1<i32> =
            ndarray_npy::read_npy(folder.join("W16_indptr_i32.npy")).unwrap();
        let columns: Array1<i16> = ndarray_npy::read_npy(folder.join("W16_chunk_i16.npy")).unwrap();
        let weights: Array2<f64> = ndarray_npy::read_npy(folder.join("W16_re_im_f64.npy")).unwrap();
        let entry =
            |i: usize| (columns[i] as usize, Complex64::new(weights[[i, 0]], weights[[i, 1]]));
        let range = |p: usize| offsets[p] as usize..offsets[p + 1] as usize;
        Some(Self { rows: (0..PIXELS).map(|p| range(p).map(entry).collect()).collect() })
    }

    /// Q/U maps of one set: (Q + iU)_p = Σ w z with ⟨|z|²⟩ = 4σ², `(n, 2, 3072)`.
    pub(super) fn draw(&self, set: u64, maps: usize) -> MapSet {
        let mut data = Array3::zeros((maps, 2, PIXELS));
        for (member, mut map) in data.outer_iter_mut().enumerate() {
            let stream = Seed(2025).stream("exact-maps").index(set, member as u64);
            let normals = stream.normals(2 * COLUMNS);
            let scale = SIGMA * std::f64::consts::SQRT_2;
            let z: Vec<_> = normals.chunks(2).map(|n| scale * Complex64::new(n[0], n[1])).collect();
            for (pixel, row) in self.rows.iter().enumerate() {
                let sum: Complex64 = row.iter().map(|&(c, w)| w * z[c]).sum();
                (map[[0, pixel]], map[[1, pixel]]) = (sum.re, sum.im);
            }
        }
        MapSet::new(Ordering::Ring, &["Q", "U"], data).unwrap().with_unit(Some("K_CMB".into()))
    }

    /// The covariance, `(6144, 6144)`: 2σ² (Re A, −Im A; Im A, Re A) with A = W W*.
    pub(super) fn covariance(&self) -> Array2<f64> {
        let mut by_column = vec![Vec::new(); COLUMNS];
        for (pixel, row) in self.rows.iter().enumerate() {
            row.iter().for_each(|&(c, w)| by_column[c].push((pixel, w)));
        }
        let mut out = Array2::zeros((2 * PIXELS, 2 * PIXELS));
        let mut product = vec![Complex64::ZERO; PIXELS];
        for (p, row) in self.rows.iter().enumerate() {
            product.fill(Complex64::ZERO);
            for &(c, w) in row {
                by_column[c].iter().for_each(|&(q, v)| product[q] += w * v.conj());
            }
            for (q, a) in product.iter().enumerate() {
                let a = 2.0 * SIGMA * SIGMA * a;
                (out[[p, q]], out[[p, PIXELS + q]]) = (a.re, -a.im);
                (out[[PIXELS + p, q]], out[[PIXELS + p, PIXELS + q]]) = (a.im, a.re);
            }
        }
        // A is Hermitian to rounding; a covariance is symmetric to the last bit.
        for i in 0..2 * PIXELS {
            for j in 0..i {
                out[[j, i]] = out[[i, j]];
            }
        }
        out
    }
}
