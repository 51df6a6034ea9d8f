//! What an optimiser needs of a vector.

use super::{HostPairs, LbfgsError, Pairs};
use rayon::prelude::*;
use skyscat_num::{Arch, Real, Simd, WithSimd, tree_sum};

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

/// A vector whose numbers this process has at hand, so that the two-loop recursion can
/// run on it.
pub trait HostVector: Vector + std::fmt::Debug + Send {
    /// self ← self + a·x.
    fn add(&mut self, a: f64, x: &Self);
    /// self ← a·self.
    fn scale(&mut self, a: f64);
}

/// Numbers a chunk of a parallel vector operation.
const CHUNK: usize = 1 << 13;

struct Dot<'a, T>(&'a [T], &'a [T]);

impl<T: Real> WithSimd for Dot<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> f64 {
        let mut lanes = [0.0f64; 32];
        let (a, b) = (self.0.chunks_exact(32), self.1.chunks_exact(32));
        let tail: f64 =
            a.remainder().iter().zip(b.remainder()).map(|(a, b)| a.to_f64() * b.to_f64()).sum();
        for (a, b) in a.zip(b) {
            for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
                *lane += a.to_f64() * b.to_f64();
            }
        }
        tree_sum(&mut lanes, 32);
        lanes[0] + tail
    }
}

impl<T: Real> HostVector for Vec<T> {
    fn add(&mut self, a: f64, x: &Self) {
        let a = T::from_f64(a);
        self.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| {
            y.iter_mut().zip(x).for_each(|(y, &x)| *y += a * x);
        });
    }

    fn scale(&mut self, a: f64) {
        let a = T::from_f64(a);
        self.par_chunks_mut(CHUNK).for_each(|y| y.iter_mut().for_each(|y| *y = a * *y));
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
        let mut partials: Vec<f64> = self
            .par_chunks(CHUNK)
            .zip(other.par_chunks(CHUNK))
            .map(|(a, b)| Arch::new().dispatch(Dot(a, b)))
            .collect();
        let parts = partials.len();
        if parts == 0 {
            return 0.0;
        }
        tree_sum(&mut partials, parts);
        partials[0]
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
