//! What L-BFGS remembers: pairs of differences, and the direction that follows.

use super::gram::Gram;
use super::{Failure, HostVector, LbfgsError};
use std::fmt::Debug;

/// A pair (s, y) on the host, and 1/⟨s, y⟩.
pub type SavedPair = (Vec<f64>, Vec<f64>, f64);

/// The gradient's norm, and the slope along the direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Aim {
    /// |gradient|.
    pub norm: f64,
    /// ⟨direction, gradient⟩.
    pub slope: f64,
}

/// A point and the gradient there.
#[derive(Debug)]
pub struct At<'a, V> {
    /// The point.
    pub x: &'a mut V,
    /// The gradient.
    pub gradient: &'a mut V,
}

/// The last pairs (s, y) of a descent, oldest first.
pub trait Pairs<V>: Debug + Send + Sized {
    /// Room for so many pairs of vectors like this one.
    ///
    /// # Errors
    /// [`LbfgsError::Vectors`] if there is no memory for them.
    fn new(memory: usize, like: &V) -> Result<Self, LbfgsError>;
    /// Number of pairs.
    fn len(&self) -> usize;
    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Forgets all pairs.
    fn clear(&mut self);
    /// direction ← −H·gradient.
    ///
    /// # Errors
    /// [`Failure`] if the vectors are out of reach.
    fn aim(&mut self, gradient: &V, direction: &mut V) -> Result<Aim, Failure>;
    /// `here` becomes `there`, and the difference a pair, if it has curvature; a full
    /// memory forgets its oldest pair. `there` is left with any content.
    ///
    /// # Errors
    /// [`Failure`] if the vectors are out of reach.
    fn advance(&mut self, here: At<'_, V>, there: At<'_, V>) -> Result<(), Failure>;
    /// One of the vectors s, y, s, y, … on the host, those of the oldest pair first.
    ///
    /// # Errors
    /// [`LbfgsError::Vectors`] if it cannot be read.
    fn vector(&self, at: usize) -> Result<Vec<f64>, LbfgsError>;
    /// 1/⟨s, y⟩ of each pair.
    fn curvatures(&self) -> Vec<f64>;
    /// Takes up a saved pair as the newest; a full memory forgets its oldest.
    ///
    /// # Errors
    /// [`LbfgsError::Vectors`] if it cannot be written.
    fn take_up(&mut self, s: &[f64], y: &[f64]) -> Result<(), LbfgsError>;
    /// The pairs on the host.
    ///
    /// # Errors
    /// As [`Pairs::vector`].
    fn save(&self) -> Result<Vec<SavedPair>, LbfgsError> {
        let pair = |(at, rho)| Ok((self.vector(2 * at)?, self.vector(2 * at + 1)?, rho));
        self.curvatures().into_iter().enumerate().map(pair).collect()
    }
    /// Takes up these pairs alone.
    ///
    /// # Errors
    /// As [`Pairs::take_up`].
    fn load(&mut self, pairs: &[SavedPair]) -> Result<(), LbfgsError> {
        self.clear();
        pairs.iter().try_for_each(|(s, y, _)| self.take_up(s, y))
    }
}

/// Pairs on the host; the direction by their Gram matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct HostPairs<V> {
    gram: Gram,
    /// Without numbers: the pattern of vectors that are loaded.
    like: V,
    /// s and y of each slot, once it is used.
    vectors: Vec<Option<V>>,
}

impl<V: HostVector> HostPairs<V> {
    /// Computes the products of the pairs and of some vectors with these.
    fn multiply<const N: usize>(&mut self, own: [usize; N], gradient: Option<&V>) {
        let pairs = self.gram.slots().flat_map(|k| [2 * k, 2 * k + 1]);
        let all: Vec<usize> = pairs.chain(own).collect();
        let vector = |at: usize| match at < self.vectors.len() {
            true => self.vectors[at].as_ref().expect("a slot in use"),
            false => gradient.expect("a gradient"),
        };
        let vectors: Vec<&V> = all.iter().map(|&at| vector(at)).collect();
        let found = V::products(&vectors, own.map(vector));
        for (&a, row) in all.iter().zip(found.chunks_exact(N)) {
            own.iter().zip(row).for_each(|(&b, &value)| self.gram.set_product(a, b, value));
        }
    }

    /// The vector at a place, made like another if there was none.
    fn room(&mut self, at: usize, like: &V) -> Result<&mut V, LbfgsError> {
        let place = &mut self.vectors[at];
        match place {
            Some(vector) => Ok(vector),
            None => Ok(place.insert(like.zeros_like()?)),
        }
    }
}

impl<V: HostVector> Pairs<V> for HostPairs<V> {
    fn new(memory: usize, like: &V) -> Result<Self, LbfgsError> {
        let gram = Gram::new(memory);
        let vectors = (0..gram.gradient()).map(|_| None).collect();
        Ok(Self { gram, like: like.like(&[])?, vectors })
    }

    fn len(&self) -> usize {
        self.gram.len()
    }

    fn clear(&mut self) {
        self.gram.clear();
    }

    fn aim(&mut self, gradient: &V, direction: &mut V) -> Result<Aim, Failure> {
        let last = self.gram.gradient();
        if !self.gram.knows_gradient {
            self.multiply([last], Some(gradient));
            self.gram.knows_gradient = true;
        }
        let c = self.gram.coefficients();
        let pairs = self.gram.slots().flat_map(|k| [2 * k, 2 * k + 1]);
        let terms: Vec<(f64, &V)> = pairs
            .map(|at| (c[at], self.vectors[at].as_ref().expect("a slot in use")))
            .chain([(c[last], gradient)])
            .collect();
        direction.combine(&terms);
        let norm = self.gram.product(last, last).sqrt();
        Ok(Aim { norm, slope: self.gram.slope(&c) })
    }

    fn advance(&mut self, here: At<'_, V>, there: At<'_, V>) -> Result<(), Failure> {
        let slot = self.gram.next_slot();
        let (s, y) = (2 * slot, 2 * slot + 1);
        let failure = LbfgsError::into_failure;
        self.room(s, here.x).map_err(failure)?.set_sum(there.x, -1.0, here.x);
        self.room(y, here.x).map_err(failure)?.set_sum(there.gradient, -1.0, here.gradient);
        std::mem::swap(here.x, there.x);
        std::mem::swap(here.gradient, there.gradient);
        self.multiply([s, y, self.gram.gradient()], Some(here.gradient));
        self.gram.knows_gradient = true;
        self.gram.count_in(slot);
        Ok(())
    }

    fn vector(&self, at: usize) -> Result<Vec<f64>, LbfgsError> {
        let place = 2 * self.gram.slot(at / 2) + at % 2;
        self.vectors[place].as_ref().expect("a slot in use").numbers()
    }

    fn curvatures(&self) -> Vec<f64> {
        self.gram.curvatures()
    }

    fn take_up(&mut self, s: &[f64], y: &[f64]) -> Result<(), LbfgsError> {
        let slot = self.gram.next_slot();
        self.vectors[2 * slot] = Some(self.like.like(s)?);
        self.vectors[2 * slot + 1] = Some(self.like.like(y)?);
        self.multiply([2 * slot, 2 * slot + 1], None);
        self.gram.take_up(slot);
        Ok(())
    }
}
