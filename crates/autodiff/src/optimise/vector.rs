//! What an optimiser needs of a vector.

use super::{HostPairs, LbfgsError, Pairs};
use rayon::prelude::*;
use skyscat_num::{Real, Simd, WithSimd, dispatch_widest, tree_sum};
use std::ops::Range;

/// A vector of variables, on the host or a device.
pub trait Vector: Sized {
    /// The memory of a descent on such vectors.
    type Pairs: Pairs<Self>;
    /// A vector of zeros of the same length.
    ///
    /// # Errors
    /// [`LbfgsError::Vectors`] if there is no memory for it.
    fn zeros_like(&self) -> Result<Self, LbfgsError>;
    /// A vector of these numbers, where this one lies.
    ///
    /// # Errors
    /// As [`Vector::zeros_like`].
    fn like(&self, numbers: &[f64]) -> Result<Self, LbfgsError>;
    /// Its numbers on the host.
    ///
    /// # Errors
    /// [`LbfgsError::Vectors`] if they cannot be read.
    fn numbers(&self) -> Result<Vec<f64>, LbfgsError>;
    /// Σ selfᵢ otherᵢ, with bits that do not depend on the thread count.
    fn dot(&self, other: &Self) -> f64;
    /// self ← x + a·y.
    fn set_sum(&mut self, x: &Self, a: f64, y: &Self);
}

/// A vector of which this process has numbers at hand, all of them or a part, so that it
/// can multiply and combine many vectors at once.
pub trait HostVector: Vector + std::fmt::Debug + Send {
    /// What the numbers are.
    type Number: Real;
    /// The numbers that this process has.
    fn own(&self) -> &[Self::Number];
    /// The same, to be written.
    fn own_mut(&mut self) -> &mut [Self::Number];
    /// The vector of which this process has these numbers, else like this one.
    fn of_own(&self, own: &[f32]) -> Self;
    /// ⟨v, o⟩ of each vector with each of the others, `[narrow, then wide][other]`, all by
    /// the numbers that this process has of them, with bits that do not depend on the
    /// thread count, nor on which of two wide ones is the other.
    fn products<const N: usize>(
        &self,
        narrow: &[&[f32]],
        wide: &[&[Self::Number]],
        others: [&[Self::Number]; N],
    ) -> Vec<f64>;
}

/// Numbers a chunk of a parallel vector operation.
const CHUNK: usize = 1 << 11;

/// Sums of a product that grow side by side.
const LANES: usize = 16;

/// Products of each vector with `N` others, over one chunk, `[narrow, then wide][other]`.
struct Products<'a, T, const N: usize> {
    narrow: &'a [&'a [f32]],
    wide: &'a [&'a [T]],
    others: [&'a [T]; N],
    range: Range<usize>,
    out: &'a mut [f64],
}

impl<T: Real, const N: usize> WithSimd for Products<'_, T, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { narrow, wide, others, range, out } = self;
        let others = others.map(|other| &other[range.clone()]);
        let (of_narrow, of_wide) = out.split_at_mut(N * narrow.len());
        for (vector, out) in narrow.iter().zip(of_narrow.chunks_exact_mut(N)) {
            multiply(simd, &vector[range.clone()], others, out);
        }
        for (vector, out) in wide.iter().zip(of_wide.chunks_exact_mut(N)) {
            multiply(simd, &vector[range.clone()], others, out);
        }
    }
}

/// Products of one vector with `N` others.
#[inline(always)]
fn multiply<A: Real, T: Real, const N: usize, S: Simd>(
    simd: S,
    vector: &[A],
    others: [&[T]; N],
    out: &mut [f64],
) {
    let (blocks, rest) = vector.as_chunks::<LANES>();
    let mut sums = [[0.0f64; LANES]; N];
    for (at, v) in blocks.iter().enumerate() {
        let v = widen(v);
        for (sum, other) in sums.iter_mut().zip(others) {
            let other = widen::<T>(other[at * LANES..].first_chunk().expect("a block"));
            let factors = f64::regs::<S>(&v).iter().zip(f64::regs::<S>(&other));
            for (sum, (&v, &other)) in f64::regs_mut::<S>(sum).iter_mut().zip(factors) {
                *sum = <f64 as Real>::mul_add(simd, v, other, *sum);
            }
        }
    }
    for ((out, mut sum), other) in out.iter_mut().zip(sums).zip(others) {
        let other = &other[blocks.len() * LANES..];
        let tail: f64 = rest.iter().zip(other).map(|(a, b)| a.to_f64() * b.to_f64()).sum();
        tree_sum(&mut sum, LANES);
        *out = sum[0] + tail;
    }
}

#[inline(always)]
fn widen<T: Real>(numbers: &[T; LANES]) -> [f64; LANES] {
    std::array::from_fn(|i| numbers[i].to_f64())
}

/// What a direction is made of.
pub(super) struct Terms<'a, T> {
    pub(super) gradient: (T, &'a [T]),
    pub(super) pairs: Vec<(T, &'a [f32])>,
}

impl<T: Real> Terms<'_, T> {
    /// out ← the sum of all terms.
    pub(super) fn add_up(&self, out: &mut [T]) {
        out.par_chunks_mut(CHUNK).enumerate().for_each(|(part, out)| {
            dispatch_widest(Combine { terms: self, first: part * CHUNK, out });
        });
    }
}

/// Some numbers of that sum.
struct Combine<'a, T> {
    terms: &'a Terms<'a, T>,
    first: usize,
    out: &'a mut [T],
}

impl<T: Real> WithSimd for Combine<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { terms: Terms { gradient: (a, gradient), pairs }, first, out } = self;
        let gradient = &gradient[first..][..out.len()];
        out.iter_mut().zip(gradient).for_each(|(out, &g)| *out = *a * g);
        // Vectors in turn, a piece at a time: the piece of the sum stays in the cache.
        for (a, vector) in pairs {
            let vector = &vector[first..][..out.len()];
            out.iter_mut().zip(vector).for_each(|(out, &v)| *out += *a * T::from_f64(v.into()));
        }
    }
}

/// narrow ← new − old, and old the same as it was rounded.
pub(super) fn differ<T: Real>(new: &[T], old: &mut [T], narrow: &mut [f32]) {
    let chunks = old.par_chunks_mut(CHUNK).zip(narrow.par_chunks_mut(CHUNK));
    chunks.zip(new.par_chunks(CHUNK)).for_each(|((old, narrow), new)| {
        for ((old, narrow), &new) in old.iter_mut().zip(narrow).zip(new) {
            *narrow = (new - *old).to_f64() as f32;
            *old = T::from_f64((*narrow).into());
        }
    });
}

impl<T: Real> HostVector for Vec<T> {
    type Number = T;

    fn own(&self) -> &[T] {
        self
    }

    fn own_mut(&mut self) -> &mut [T] {
        self
    }

    fn of_own(&self, own: &[f32]) -> Self {
        own.iter().map(|&x| T::from_f64(x.into())).collect()
    }

    fn products<const N: usize>(
        &self,
        narrow: &[&[f32]],
        wide: &[&[T]],
        others: [&[T]; N],
    ) -> Vec<f64> {
        let numbers = others.first().map_or(0, |other| other.len());
        let each = (narrow.len() + wide.len()) * N;
        let parts = numbers.div_ceil(CHUNK).max(1);
        let mut sums = vec![0.0; parts * each];
        sums.par_chunks_mut(each.max(1)).enumerate().for_each(|(part, out)| {
            let range = part * CHUNK..((part + 1) * CHUNK).min(numbers);
            dispatch_widest(Products { narrow, wide, others, range, out });
        });
        tree_sum(&mut sums, parts);
        sums.truncate(each);
        sums
    }
}

impl<T: Real> Vector for Vec<T> {
    type Pairs = HostPairs<Self>;

    fn zeros_like(&self) -> Result<Self, LbfgsError> {
        Ok(vec![T::default(); self.len()])
    }

    fn like(&self, numbers: &[f64]) -> Result<Self, LbfgsError> {
        Ok(numbers.iter().map(|&x| T::from_f64(x)).collect())
    }

    fn numbers(&self) -> Result<Vec<f64>, LbfgsError> {
        Ok(self.iter().map(|&x| x.to_f64()).collect())
    }

    fn dot(&self, other: &Self) -> f64 {
        self.products(&[], &[self], [other])[0]
    }

    fn set_sum(&mut self, x: &Self, a: f64, y: &Self) {
        let a = T::from_f64(a);
        self.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK).zip(y.par_chunks(CHUNK))).for_each(
            |(out, (x, y))| {
                out.iter_mut().zip(x.iter().zip(y)).for_each(|(o, (&x, &y))| *o = x + a * y);
            },
        );
    }
}
