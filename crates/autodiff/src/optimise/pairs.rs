//! What L-BFGS remembers: pairs of differences, and the direction that follows.

use super::gram::Gram;
use super::vector::{Terms, differ};
use super::{Failure, HostVector, LbfgsError};
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
///
/// Pairs are kept in `f32` whatever the precision of the descent: each is read twice an
/// iteration, which is most of what an iteration takes beside its evaluation. A pair is
/// rounded once and all products are those of rounded pairs, so that the metric is a true
/// BFGS metric, of steps and changes of gradient that are off by 6e-8 of themselves. A
/// pair with a number beyond the range of `f32` (3e38) is not kept, and one whose numbers
/// are all below it (1e-45) has no curvature.
#[derive(Clone, Debug, PartialEq)]
pub struct HostPairs<V> {
    gram: Gram,
    /// Without numbers: the pattern of vectors that are loaded.
    like: V,
    /// s and y of each slot, empty until it is used.
    vectors: Vec<Vec<f32>>,
}

impl<V: HostVector> HostPairs<V> {
    /// The places of all pairs, and of the vectors of one more slot.
    fn places(&self, more: Option<usize>) -> Vec<usize> {
        self.gram.slots().chain(more).flat_map(|k| [2 * k, 2 * k + 1]).collect()
    }

    /// Takes down the products of pairs, and of the gradient if it is given, with the
    /// vectors at some places.
    fn multiply<const N: usize>(
        &mut self,
        pairs: &[usize],
        gradient: Option<&[V::Number]>,
        (places, others): ([usize; N], [&[V::Number]; N]),
    ) {
        let narrow: Vec<&[f32]> = pairs.iter().map(|&at| &self.vectors[at][..]).collect();
        let wide: Vec<&[V::Number]> = gradient.into_iter().collect();
        let found = self.like.products(&narrow, &wide, others);
        let all = pairs.iter().copied().chain([self.gram.gradient()]);
        for (a, row) in all.zip(found.chunks_exact(N)) {
            places.iter().zip(row).for_each(|(&b, &value)| self.gram.set_product(a, b, value));
        }
    }
}

impl<V: HostVector> Pairs<V> for HostPairs<V> {
    fn new(memory: usize, like: &V) -> Result<Self, LbfgsError> {
        let gram = Gram::new(memory);
        let vectors = vec![Vec::new(); gram.gradient()];
        Ok(Self { gram, like: like.like(&[])?, vectors })
    }

    fn len(&self) -> usize {
        self.gram.len()
    }

    fn clear(&mut self) {
        self.gram.clear();
    }

    fn aim(&mut self, gradient: &V, direction: &mut V) -> Result<Aim, Failure> {
        let (last, gradient) = (self.gram.gradient(), gradient.own());
        let places = self.places(None);
        if !self.gram.knows_gradient {
            self.multiply(&places, Some(gradient), ([last], [gradient]));
            self.gram.knows_gradient = true;
        }
        let c = self.gram.coefficients();
        let number = <V::Number as Real>::from_f64;
        let pairs = places.iter().map(|&at| (number(c[at]), &self.vectors[at][..])).collect();
        Terms { gradient: (number(c[last]), gradient), pairs }.add_up(direction.own_mut());
        let norm = self.gram.product(last, last).sqrt();
        Ok(Aim { norm, slope: self.gram.slope(&c) })
    }

    fn advance(&mut self, here: At<'_, V>, there: At<'_, V>) -> Result<(), Failure> {
        let slot = self.gram.next_slot();
        let (s, y, last) = (2 * slot, 2 * slot + 1, self.gram.gradient());
        let moves = [(s, &*there.x, &mut *here.x), (y, &*there.gradient, &mut *here.gradient)];
        for (at, new, old) in moves {
            let narrow = &mut self.vectors[at];
            narrow.resize(new.own().len(), 0.0);
            differ(new.own(), old.own_mut(), narrow);
        }
        // What was left behind now holds the pair.
        std::mem::swap(here.x, there.x);
        std::mem::swap(here.gradient, there.gradient);
        let gradient = here.gradient.own();
        let others = ([s, y, last], [there.x.own(), there.gradient.own(), gradient]);
        let places = self.places(Some(slot));
        self.multiply(&places, Some(gradient), others);
        self.gram.knows_gradient = true;
        self.gram.count_in(slot);
        Ok(())
    }

    fn vector(&self, at: usize) -> Result<Vec<f64>, LbfgsError> {
        let place = 2 * self.gram.slot(at / 2) + at % 2;
        self.like.of_own(&self.vectors[place]).numbers()
    }

    fn curvatures(&self) -> Vec<f64> {
        self.gram.curvatures()
    }

    fn take_up(&mut self, s: &[f64], y: &[f64]) -> Result<(), LbfgsError> {
        let slot = self.gram.next_slot();
        let (at_s, at_y) = (2 * slot, 2 * slot + 1);
        let mut pair = [self.like.like(s)?, self.like.like(y)?];
        for (at, vector) in [at_s, at_y].into_iter().zip(&mut pair) {
            let narrow: Vec<f32> = vector.own().iter().map(|x| x.to_f64() as f32).collect();
            // As the pair was multiplied with all others: rounded.
            *vector = vector.of_own(&narrow);
            self.vectors[at] = narrow;
        }
        let places = self.places(Some(slot));
        let [s, y] = &pair;
        self.multiply(&places, None, ([at_s, at_y], [s.own(), y.own()]));
        self.gram.take_up(slot);
        Ok(())
    }
}
