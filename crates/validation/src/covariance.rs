//! Sample means and covariances of maps, added up block by block.

use crate::error::{Result, ValidationError};
use crate::linear::{add_square, check_finite, mirror};
use ndarray::{Array1, Array2, ArrayView2, Axis};
use serde::Serialize;
use skyscat_num::Par;

/// Maps that are shifted and multiplied at once.
const BLOCK: usize = 256;

/// Mean and covariance of a set of maps.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SampleCovariance {
    /// Number of maps.
    pub n_maps: usize,
    /// Mean map, `(n_variables)`: channels one after another, each in pixel order.
    pub mean: Array1<f64>,
    /// Σ (x − mean)(x − mean)ᵀ/(n_maps − 1), `(n_variables, n_variables)`, map units².
    pub covariance: Array2<f64>,
}

impl SampleCovariance {
    /// Mean and covariance of maps `(n_maps, n_variables)`.
    ///
    /// # Errors
    /// [`ValidationError::TooFewMaps`] for fewer than two,
    /// [`ValidationError::NotFinite`].
    pub fn of(maps: ArrayView2<'_, f64>, par: &Par) -> Result<Self> {
        let mut sums = CovarianceSums::new(maps.ncols());
        sums.add(maps, par)?;
        sums.finish()
    }
}

/// Running sums of a covariance: memory for one matrix and any number of maps.
///
/// Maps are counted from the mean of the first block, so that a large common offset
/// costs no digits. The bits depend on the blocks that are added, on no thread count.
///
/// ```
/// use ndarray::array;
/// use skyscat_num::Par;
/// use skyscat_validation::CovarianceSums;
/// let mut sums = CovarianceSums::new(2);
/// sums.add(array![[1.0, 2.0], [3.0, 2.0]].view(), &Par::new(1)?)?;
/// sums.add(array![[2.0, 5.0]].view(), &Par::new(1)?)?;
/// let found = sums.finish()?;
/// assert_eq!((found.mean[1], found.covariance[[0, 0]]), (3.0, 1.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct CovarianceSums {
    n_maps: usize,
    shift: Array1<f64>,
    sum: Array1<f64>,
    square: Array2<f64>,
}

impl CovarianceSums {
    /// Empty sums of maps of `variables` numbers.
    pub fn new(variables: usize) -> Self {
        let zero = Array1::zeros(variables);
        let square = Array2::zeros((variables, variables));
        Self { n_maps: 0, shift: zero.clone(), sum: zero, square }
    }

    /// Adds maps `(n_maps, n_variables)`.
    ///
    /// # Errors
    /// [`ValidationError::Shape`], [`ValidationError::NotFinite`]; nothing is added then.
    pub fn add(&mut self, maps: ArrayView2<'_, f64>, par: &Par) -> Result<()> {
        let p = self.sum.len();
        if maps.ncols() != p || p == 0 {
            let (given, allowed) = (maps.shape().to_vec(), vec![maps.nrows(), p.max(1)]);
            return Err(ValidationError::Shape { what: "block of maps", given, allowed });
        }
        check_finite("block of maps", maps)?;
        for block in maps.axis_chunks_iter(Axis(0), BLOCK) {
            if self.n_maps == 0 {
                self.shift = block.mean_axis(Axis(0)).expect("chunks are not empty");
            }
            let shifted: Array2<f64> = &block - &self.shift;
            let shifted = shifted.as_standard_layout();
            self.sum += &shifted.sum_axis(Axis(0));
            let rows = shifted.as_slice().expect("standard layout");
            let square = self.square.as_slice_mut().expect("standard layout");
            par.install(|| add_square(rows, p, square));
            self.n_maps += block.nrows();
        }
        Ok(())
    }

    /// The covariance of all maps added.
    ///
    /// # Errors
    /// [`ValidationError::TooFewMaps`] for fewer than two.
    pub fn finish(mut self) -> Result<SampleCovariance> {
        let (n_maps, p) = (self.n_maps, self.sum.len());
        if n_maps < 2 {
            let score = "a covariance";
            return Err(ValidationError::TooFewMaps { score, given: n_maps, allowed: 2 });
        }
        let offset = &self.sum / n_maps as f64;
        for i in 0..p {
            for j in 0..=i {
                let square = &mut self.square[[i, j]];
                *square = (*square - n_maps as f64 * offset[i] * offset[j]) / (n_maps - 1) as f64;
            }
        }
        mirror(&mut self.square);
        Ok(SampleCovariance { n_maps, mean: &self.shift + &offset, covariance: self.square })
    }
}
