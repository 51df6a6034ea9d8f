//! The vectors of one descent over several ranks.

use super::{HostPairs, HostVector, LbfgsError, Vector};
use crate::Cut;
use rayon::prelude::*;
use skyscat_num::{Real, chunk_rows, tree_sum};
use std::ops::Range;

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
        self.products(&[], &[&self.own], [&other.own])[0]
    }

    fn set_sum(&mut self, x: &Self, a: f64, y: &Self) {
        self.own.set_sum(&x.own, a, &y.own);
    }
}

impl<T: Real> HostVector for Part<T> {
    type Number = T;

    fn own(&self) -> &[T] {
        &self.own
    }

    fn own_mut(&mut self) -> &mut [T] {
        &mut self.own
    }

    fn of_own(&self, own: &[f32]) -> Self {
        Self { own: self.own.of_own(own), cut: self.cut.clone() }
    }

    /// One exchange for all products.
    fn products<const N: usize>(
        &self,
        narrow: &[&[f32]],
        wide: &[&[T]],
        others: [&[T]; N],
    ) -> Vec<f64> {
        let Some(other) = others.first() else { return Vec::new() };
        let (maps, numbers) = (self.cut.own().len(), other.len());
        let chunk = maps * chunk_rows(numbers / maps);
        let each = (narrow.len() + wide.len()) * N * maps;
        let parts = numbers.div_ceil(chunk).max(1);
        let mut sums = vec![0.0; parts * each];
        sums.par_chunks_mut(each.max(1)).enumerate().for_each(|(part, sums)| {
            let range = part * chunk..((part + 1) * chunk).min(numbers);
            let others = others.map(|other| &other[range.clone()]);
            let (of_narrow, of_wide) = sums.split_at_mut(narrow.len() * N * maps);
            multiply(narrow, &range, others, (of_narrow, maps));
            multiply(wide, &range, others, (of_wide, maps));
        });
        tree_sum(&mut sums, parts);
        let mut whole = self.cut.gather(sums[..each].iter().copied());
        let products = whole.chunks_exact_mut(self.cut.maps()).map(|each| {
            let maps = each.len();
            tree_sum(each, maps);
            each[0]
        });
        products.collect()
    }
}

/// Products of vectors with `N` others over a range of theirs, `[vector][other][map]`.
fn multiply<A: Real, T: Real, const N: usize>(
    vectors: &[&[A]],
    range: &Range<usize>,
    others: [&[T]; N],
    (sums, maps): (&mut [f64], usize),
) {
    let pairs = vectors.iter().flat_map(|v| others.iter().map(move |other| (v, other)));
    for ((v, other), sums) in pairs.zip(sums.chunks_exact_mut(maps)) {
        let v = &v[range.clone()];
        for (v, other) in v.chunks_exact(maps).zip(other.chunks_exact(maps)) {
            let row = sums.iter_mut().zip(v.iter().zip(other));
            row.for_each(|(sum, (v, other))| *sum += v.to_f64() * other.to_f64());
        }
    }
}
