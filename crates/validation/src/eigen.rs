//! Eigenvalues of covariances: all of them, or those of the maps' Gram matrix.

use crate::covariance::SampleCovariance;
use crate::error::{Result, ValidationError};
use crate::linear::{check_covariance, check_finite, product, view};
use faer::Par as Threads;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use ndarray::{Array2, ArrayView2, Axis, Slice};
use serde::Serialize;
use skyscat_num::Par;

/// Leading eigenvalues and eigenvectors of a covariance: principal components.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Eigenmodes {
    /// Eigenvalues, the largest first, map units².
    pub values: Vec<f64>,
    /// Orthonormal eigenvectors, one a row, `(n_modes, n_variables)`.
    pub vectors: Array2<f64>,
}

impl Eigenmodes {
    /// All modes of a covariance, by a full decomposition.
    ///
    /// It runs on one thread, so that its bits depend on no thread count: 6144
    /// variables take minutes. For few modes of a large matrix see [`leading_modes`].
    ///
    /// [`leading_modes`]: crate::leading_modes
    ///
    /// # Errors
    /// As [`check_covariance`].
    pub fn all(covariance: ArrayView2<'_, f64>, par: &Par) -> Result<Self> {
        par.install(|| {
            check_covariance("the covariance", covariance)?;
            Ok(decompose(covariance))
        })
    }

    /// The leading `count` modes of the sample covariance of maps.
    ///
    /// `maps` is `(n_maps, n_variables)`; deviations from the mean are divided by
    /// n_maps − 1. With fewer maps than variables it decomposes the Gram matrix of the
    /// maps, `(n_maps, n_maps)`, else the covariance.
    ///
    /// # Errors
    /// [`ValidationError::TooFewMaps`], [`ValidationError::NotFinite`], and
    /// [`ValidationError::RankDeficient`] if the maps have fewer modes than asked for
    /// (n maps have at most n − 1).
    pub fn of_maps(maps: ArrayView2<'_, f64>, count: usize, par: &Par) -> Result<Self> {
        let (n, p) = maps.dim();
        if n < 2 {
            let score = "principal components";
            return Err(ValidationError::TooFewMaps { score, given: n, allowed: 2 });
        }
        if n > p {
            let found = SampleCovariance::of(maps, par)?;
            return Self::all(found.covariance.view(), par)?.first("the maps", count);
        }
        check_finite("the maps", maps)?;
        par.install(|| {
            let mean = maps.mean_axis(Axis(0)).expect("maps");
            let centred = (&maps - &mean).as_standard_layout().into_owned();
            let centred = centred.mapv_into(|v| v / ((n - 1) as f64).sqrt());
            let gram = decompose(product(centred.view(), centred.t()).view());
            let gram = gram.first("the maps", count)?;
            let mut vectors = product(gram.vectors.view(), centred.view());
            for (mut row, value) in vectors.rows_mut().into_iter().zip(&gram.values) {
                row /= value.sqrt();
            }
            Ok(Self { values: gram.values, vectors })
        })
    }

    /// Number of modes.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no mode.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Eigenvalues above ε n of the largest: the rank, as far as numbers can tell.
    pub fn rank(&self) -> usize {
        let floor = f64::EPSILON * self.vectors.ncols() as f64;
        let largest = self.values.first().copied().unwrap_or(0.0);
        self.values.iter().take_while(|&&v| v > floor * largest && v > 0.0).count()
    }

    /// Only the first `count` modes.
    ///
    /// # Errors
    /// [`ValidationError::RankDeficient`] if there are fewer of positive variance.
    pub fn first(&self, what: &'static str, count: usize) -> Result<Self> {
        let rank = self.rank();
        if count > rank || count == 0 {
            return Err(ValidationError::RankDeficient { what, asked: count, rank });
        }
        let vectors = self.vectors.slice_axis(Axis(0), Slice::from(..count)).to_owned();
        Ok(Self { values: self.values[..count].to_vec(), vectors })
    }

    /// Amplitudes of maps `(n_maps, n_variables)` along the modes, `(n_maps, n_modes)`.
    ///
    /// Nothing is subtracted from the maps.
    ///
    /// # Errors
    /// [`ValidationError::Shape`], [`ValidationError::NotFinite`].
    pub fn amplitudes(&self, maps: ArrayView2<'_, f64>, par: &Par) -> Result<Array2<f64>> {
        if maps.ncols() != self.vectors.ncols() {
            let (given, allowed) =
                (maps.shape().to_vec(), vec![maps.nrows(), self.vectors.ncols()]);
            return Err(ValidationError::Shape { what: "the maps", given, allowed });
        }
        check_finite("the maps", maps)?;
        Ok(par.install(|| product(maps, self.vectors.t())))
    }
}

/// All modes of a symmetric matrix, of which faer reads the lower half.
///
/// The matrix is first brought near 1 by a power of two, which costs no bit: of one of
/// the size of map units squared (1e-17) faer 0.24.4 leaves residuals of 2e-6 of the
/// largest eigenvalue, of the same one near 1 5e-16.
pub(crate) fn decompose(matrix: ArrayView2<'_, f64>) -> Eigenmodes {
    let n = matrix.nrows();
    let largest = matrix.iter().fold(0.0_f64, |largest, v| largest.max(v.abs()));
    // Powers beyond ±1000 would leave the range of numbers.
    let power = if largest > 0.0 { largest.log2().round().clamp(-1000.0, 1000.0) } else { 0.0 };
    let unit = power.exp2();
    let scaled = matrix.mapv(|v| v / unit);
    let mut values = faer::diag::Diag::<f64>::zeros(n);
    let mut vectors = faer::Mat::<f64>::zeros(n, n);
    let (yes, params) = (ComputeEigenvectors::Yes, Default::default());
    let need = self_adjoint_evd_scratch::<f64>(n, yes, Threads::Seq, params);
    let mut memory = MemBuffer::new(need);
    self_adjoint_evd(
        view(scaled.view()),
        values.as_mut(),
        Some(vectors.as_mut()),
        Threads::Seq,
        MemStack::new(&mut memory),
        params,
    )
    .expect("finite symmetric matrices have eigenvalues");
    Eigenmodes {
        values: (0..n).rev().map(|i| unit * values[i]).collect(),
        vectors: Array2::from_shape_fn((n, n), |(mode, i)| vectors[(i, n - 1 - mode)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A matrix of any unit has the same vectors.
    #[test]
    fn units_do_not_matter() {
        let a = Array2::from_shape_fn((40, 60), |(i, j)| ((i * 13 + j * 7) % 29) as f64 - 14.0);
        let matrix = a.dot(&a.t());
        let modes = decompose(matrix.view());
        for unit in [1e-40, 3e-17, 1e60] {
            let scaled = matrix.mapv(|v| unit * v);
            let found = decompose(scaled.view());
            let image = found.vectors.dot(&scaled);
            for ((row, vector), (value, own)) in image
                .rows()
                .into_iter()
                .zip(found.vectors.rows())
                .zip(found.values.iter().zip(&modes.values))
            {
                assert!((value / unit - own).abs() < 1e-12 * modes.values[0]);
                let off = (&row - &(&vector * *value)).mapv(f64::abs).sum();
                assert!(off < 1e-11 * modes.values[0] * unit, "{off} {unit}");
            }
        }
    }
}
