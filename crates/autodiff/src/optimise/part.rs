//! The vectors of one descent over several ranks.

use super::{HostPairs, HostVector, LbfgsError, Vector};
use crate::Cut;
use rayon::prelude::*;
use skyscat_num::{Real, chunk_rows, tree_sum};

/// This rank's maps of a vector over a batch, `[row][own map]`.
///
/// A product is summed map by map, each by a fixed tree, and then over the maps of the
/// whole batch, so that its bits do not depend on the number of ranks. [`Vector::like`]
/// and [`Vector::numbers`] speak of the whole vector: all ranks call them together.
#[derive(Clone, Debug)]
pub struct Part<T> {
    own: Vec<T>,
    cut: Cut,
}

impl<T: Real> Part<T> {
    /// This rank's part of a whole vector, `[row][map]`.
    pub fn of(whole: &[f64], cut: &Cut) -> Self {
        Self { own: cut.take(whole).map(|&x| T::from_f64(x)).collect(), cut: cut.clone() }
    }

    /// The numbers of this rank's maps.
    pub fn own(&self) -> &[T] {
        &self.own
    }

    pub(crate) fn own_mut(&mut self) -> &mut [T] {
        &mut self.own
    }
}

impl<T: Real> Vector for Part<T> {
    type Pairs = HostPairs<Self>;

    fn zeros_like(&self) -> Result<Self, LbfgsError> {
        Ok(Self { own: self.own.zeros_like()?, cut: self.cut.clone() })
    }

    fn like(&self, numbers: &[f64]) -> Result<Self, LbfgsError> {
        Ok(Self::of(numbers, &self.cut))
    }

    fn numbers(&self) -> Result<Vec<f64>, LbfgsError> {
        Ok(self.cut.gather(self.own.iter().map(|x| x.to_f64())))
    }

    fn dot(&self, other: &Self) -> f64 {
        let maps = self.cut.own().len();
        let chunk = maps * chunk_rows(self.own.len() / maps);
        let products: Vec<Vec<f64>> = (self.own.par_chunks(chunk).zip(other.own.par_chunks(chunk)))
            .map(|(a, b)| {
                let mut sums = vec![0.0; maps];
                for (a, b) in a.chunks_exact(maps).zip(b.chunks_exact(maps)) {
                    let row = sums.iter_mut().zip(a.iter().zip(b));
                    row.for_each(|(sum, (a, b))| *sum += a.to_f64() * b.to_f64());
                }
                sums
            })
            .collect();
        if products.is_empty() {
            return 0.0;
        }
        let mut partials = products.concat();
        tree_sum(&mut partials, products.len());
        let mut each = self.cut.gather(partials[..maps].iter().copied());
        let maps = each.len();
        tree_sum(&mut each, maps);
        each[0]
    }

    fn set_sum(&mut self, x: &Self, a: f64, y: &Self) {
        self.own.set_sum(&x.own, a, &y.own);
    }
}

impl<T: Real> HostVector for Part<T> {
    fn add(&mut self, a: f64, x: &Self) {
        self.own.add(a, &x.own);
    }

    fn scale(&mut self, a: f64) {
        self.own.scale(a);
    }
}
