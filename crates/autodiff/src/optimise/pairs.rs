//! What L-BFGS remembers: pairs of differences, and the direction that follows.

use super::gram::Gram;
use super::vector::{combine, products};
use super::{Failure, LbfgsError, Vector};
use skyscat_num::Real;
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
    /// The pairs on the host.
    ///
    /// # Errors
    /// [`LbfgsError::Vectors`] if they cannot be read.
    fn save(&self) -> Result<Vec<SavedPair>, LbfgsError>;
    /// Takes up saved pairs.
    ///
    /// # Errors
    /// [`LbfgsError::Vectors`] if they cannot be written.
    fn load(&mut self, pairs: &[SavedPair]) -> Result<(), LbfgsError>;
}

/// Whether a pair with these products may be kept: one without curvature would spoil
/// the metric.
pub(crate) fn has_curvature(sy: f64, yy: f64) -> bool {
    sy > f64::EPSILON * yy
}

/// Pairs on the host; the direction by their Gram matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct HostPairs<T> {
    gram: Gram,
    /// s and y of each slot; empty until it is used.
    vectors: Vec<Vec<T>>,
}

impl<T: Real> HostPairs<T> {
    /// Computes the products of the pairs, of a slot, and of the gradient with the vectors
    /// of this slot and the gradient.
    fn multiply(&mut self, slot: usize, gradient: &[T]) {
        let last = self.gram.gradient();
        let own = [2 * slot, 2 * slot + 1, last];
        let pairs = self.gram.slots().filter(|k| *k != slot).flat_map(|k| [2 * k, 2 * k + 1]);
        let all: Vec<usize> = pairs.chain(own).collect();
        let vector = |at: usize| if at == last { gradient } else { &self.vectors[at] };
        let with = own.map(|at| vector(at));
        let found = products(&all.iter().map(|&at| vector(at)).collect::<Vec<_>>(), with);
        for (&a, row) in all.iter().zip(found.chunks_exact(own.len())) {
            own.iter().zip(row).for_each(|(&b, &value)| self.gram.set_product(a, b, value));
        }
    }

    /// Makes room for vectors of a length in a slot.
    fn make_room(&mut self, slot: usize, numbers: usize) {
        for vector in &mut self.vectors[2 * slot..2 * slot + 2] {
            vector.resize(numbers, T::default());
        }
    }
}

impl<T: Real> Pairs<Vec<T>> for HostPairs<T> {
    fn new(memory: usize, _like: &Vec<T>) -> Result<Self, LbfgsError> {
        let gram = Gram::new(memory);
        Ok(Self { vectors: vec![Vec::new(); gram.gradient()], gram })
    }

    fn len(&self) -> usize {
        self.gram.len()
    }

    fn clear(&mut self) {
        self.gram.clear();
    }

    fn aim(&mut self, gradient: &Vec<T>, direction: &mut Vec<T>) -> Result<Aim, Failure> {
        if !self.gram.knows_gradient {
            let slot = self.gram.slot(0);
            self.make_room(slot, gradient.len());
            self.multiply(slot, gradient);
            self.gram.knows_gradient = true;
        }
        let c = self.gram.coefficients();
        let last = self.gram.gradient();
        let pairs = self.gram.slots().flat_map(|k| [2 * k, 2 * k + 1]);
        let terms: Vec<_> = pairs
            .map(|at| (T::from_f64(c[at]), &*self.vectors[at]))
            .chain([(T::from_f64(c[last]), &**gradient)])
            .collect();
        combine(&terms, direction);
        let norm = self.gram.product(last, last).sqrt();
        Ok(Aim { norm, slope: self.gram.slope(&c) })
    }

    fn advance(&mut self, here: At<'_, Vec<T>>, there: At<'_, Vec<T>>) -> Result<(), Failure> {
        let slot = self.gram.next_slot();
        self.make_room(slot, here.x.len());
        self.vectors[2 * slot].set_sum(there.x, -1.0, here.x);
        self.vectors[2 * slot + 1].set_sum(there.gradient, -1.0, here.gradient);
        std::mem::swap(here.x, there.x);
        std::mem::swap(here.gradient, there.gradient);
        self.multiply(slot, here.gradient);
        self.gram.knows_gradient = true;
        self.gram.count_in(slot);
        Ok(())
    }

    fn save(&self) -> Result<Vec<SavedPair>, LbfgsError> {
        let save = |slot: usize| {
            let (s, y) = (self.vectors[2 * slot].numbers()?, self.vectors[2 * slot + 1].numbers()?);
            Ok((s, y, 1.0 / self.gram.product(2 * slot, 2 * slot + 1)))
        };
        self.gram.slots().map(save).collect()
    }

    fn load(&mut self, pairs: &[SavedPair]) -> Result<(), LbfgsError> {
        let memory = self.gram.memory();
        self.gram = Gram::new(memory);
        for (s, y, _) in &pairs[pairs.len().saturating_sub(memory)..] {
            let slot = self.gram.next_slot();
            for (at, numbers) in [s, y].into_iter().enumerate() {
                self.vectors[2 * slot + at] = numbers.iter().map(|&x| T::from_f64(x)).collect();
            }
            // Products with a gradient come when there is one.
            let nothing = vec![T::default(); s.len()];
            self.multiply(slot, &nothing);
            self.gram.count_in(slot);
        }
        Ok(())
    }
}
