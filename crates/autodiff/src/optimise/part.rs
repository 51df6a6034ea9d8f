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
        Self::products(&[self], [other])[0]
    }

    fn set_sum(&mut self, x: &Self, a: f64, y: &Self) {
        self.own.set_sum(&x.own, a, &y.own);
    }
}

impl<T: Real> HostVector for Part<T> {
    /// One exchange for all products.
    fn products<const N: usize>(vectors: &[&Self], others: [&Self; N]) -> Vec<f64> {
        let Some(Self { own, cut }) = others.first() else { return Vec::new() };
        let (maps, numbers) = (cut.own().len(), own.len());
        let chunk = maps * chunk_rows(numbers / maps);
        let (parts, each) = (numbers.div_ceil(chunk).max(1), vectors.len() * N * maps);
        let mut sums = vec![0.0; parts * each];
        sums.par_chunks_mut(each.max(1)).enumerate().for_each(|(part, sums)| {
            let range = part * chunk..((part + 1) * chunk).min(numbers);
            let pairs = vectors.iter().flat_map(|v| others.iter().map(move |other| (v, other)));
            for ((v, other), sums) in pairs.zip(sums.chunks_exact_mut(maps)) {
                let (v, other) = (&v.own[range.clone()], &other.own[range.clone()]);
                for (v, other) in v.chunks_exact(maps).zip(other.chunks_exact(maps)) {
                    let row = sums.iter_mut().zip(v.iter().zip(other));
                    row.for_each(|(sum, (v, other))| *sum += v.to_f64() * other.to_f64());
                }
            }
        });
        tree_sum(&mut sums, parts);
        let mut whole = cut.gather(sums[..each].iter().copied());
        let products = whole.chunks_exact_mut(cut.maps()).map(|each| {
            let maps = each.len();
            tree_sum(each, maps);
            each[0]
        });
        products.collect()
    }

    fn combine(&mut self, terms: &[(f64, &Self)]) {
        let terms: Vec<(f64, &Vec<T>)> = terms.iter().map(|(a, v)| (*a, &v.own)).collect();
        self.own.combine(&terms);
    }
}
