//! What an optimiser needs of a vector.

use super::{HostPairs, LbfgsError, Pairs};
use rayon::prelude::*;
use skyscat_num::{Real, Simd, WithSimd, dispatch_widest, tree_sum};

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

/// A vector whose numbers this process has at hand, so that it can multiply and combine
/// many of them at once.
pub trait HostVector: Vector + std::fmt::Debug + Send {
    /// ⟨v, o⟩ of each vector with each of the others, `[vector][other]`, with bits that
    /// depend neither on the thread count nor on which of the two is the vector.
    fn products<const N: usize>(vectors: &[&Self], others: [&Self; N]) -> Vec<f64>;
    /// self ← Σ a·v, in the order of the terms.
    fn combine(&mut self, terms: &[(f64, &Self)]);
}

/// Numbers a chunk of a parallel vector operation.
const CHUNK: usize = 1 << 11;

/// Sums of a product that grow side by side.
const LANES: usize = 16;

/// Products of each vector with `N` others, over one chunk, `[vector][other]`.
struct Products<'a, T, const N: usize> {
    vectors: &'a [&'a [T]],
    others: [&'a [T]; N],
    range: std::ops::Range<usize>,
    out: &'a mut [f64],
}

impl<T: Real, const N: usize> WithSimd for Products<'_, T, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let others = self.others.map(|other| &other[self.range.clone()]);
        for (vector, out) in self.vectors.iter().zip(self.out.chunks_exact_mut(N)) {
            let vector = &vector[self.range.clone()];
            let (blocks, rest) = vector.as_chunks::<LANES>();
            let mut sums = [[0.0f64; LANES]; N];
            for (at, v) in blocks.iter().enumerate() {
                for (sum, other) in sums.iter_mut().zip(others) {
                    let other: &[T; LANES] = other[at * LANES..].first_chunk().expect("a block");
                    for ((sum, v), other) in sum.iter_mut().zip(v).zip(other) {
                        *sum += v.to_f64() * other.to_f64();
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
    }
}

/// Σ a·v over some numbers of each vector.
struct Combine<'a, T> {
    terms: &'a [(T, &'a [T])],
    first: usize,
    out: &'a mut [T],
}

impl<T: Real> WithSimd for Combine<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        self.out.fill(T::default());
        // Vectors in turn, a piece at a time: the piece of the sum stays in the cache.
        for (a, vector) in self.terms {
            let vector = &vector[self.first..][..self.out.len()];
            self.out.iter_mut().zip(vector).for_each(|(out, &v)| *out += *a * v);
        }
    }
}

impl<T: Real> HostVector for Vec<T> {
    fn products<const N: usize>(vectors: &[&Self], others: [&Self; N]) -> Vec<f64> {
        let others = others.map(Self::as_slice);
        let vectors: Vec<&[T]> = vectors.iter().map(|v| v.as_slice()).collect();
        let vectors = vectors.as_slice();
        let numbers = others.first().map_or(0, |other| other.len());
        let (parts, each) = (numbers.div_ceil(CHUNK).max(1), vectors.len() * N);
        let mut sums = vec![0.0; parts * each];
        sums.par_chunks_mut(each.max(1)).enumerate().for_each(|(part, out)| {
            let range = part * CHUNK..((part + 1) * CHUNK).min(numbers);
            dispatch_widest(Products { vectors, others, range, out });
        });
        tree_sum(&mut sums, parts);
        sums.truncate(each);
        sums
    }

    fn combine(&mut self, terms: &[(f64, &Self)]) {
        let terms: Vec<(T, &[T])> =
            terms.iter().map(|(a, v)| (T::from_f64(*a), v.as_slice())).collect();
        self.par_chunks_mut(CHUNK).enumerate().for_each(|(part, out)| {
            dispatch_widest(Combine { terms: &terms, first: part * CHUNK, out });
        });
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
        Self::products(&[self], [other])[0]
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
