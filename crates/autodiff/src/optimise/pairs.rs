//! What L-BFGS remembers: pairs of differences, and the direction that follows.

use super::{Failure, HostVector, LbfgsError};
use std::collections::VecDeque;
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

/// Pairs on the host; the direction by the two-loop recursion (Nocedal & Wright 2006,
/// Algorithm 7.4).
#[derive(Clone, Debug, PartialEq)]
pub struct HostPairs<V> {
    memory: usize,
    /// Without numbers: the pattern of vectors that are loaded.
    like: V,
    list: VecDeque<(V, V, f64)>,
    spare: Vec<(V, V)>,
}

impl<V: HostVector> Pairs<V> for HostPairs<V> {
    fn new(memory: usize, like: &V) -> Result<Self, LbfgsError> {
        let (list, spare) = Default::default();
        Ok(Self { memory: memory.max(1), like: like.like(&[])?, list, spare })
    }

    fn len(&self) -> usize {
        self.list.len()
    }

    fn clear(&mut self) {
        self.list.clear();
    }

    fn aim(&mut self, gradient: &V, direction: &mut V) -> Result<Aim, Failure> {
        // −gradient, as gradient − 2·gradient.
        direction.set_sum(gradient, -2.0, gradient);
        let mut alphas = Vec::with_capacity(self.list.len());
        for (s, y, rho) in self.list.iter().rev() {
            let alpha = rho * s.dot(direction);
            direction.add(-alpha, y);
            alphas.push(alpha);
        }
        if let Some((_, y, rho)) = self.list.back() {
            direction.scale(1.0 / (rho * y.dot(y)));
        }
        for ((s, y, rho), alpha) in self.list.iter().zip(alphas.into_iter().rev()) {
            let beta = rho * y.dot(direction);
            direction.add(alpha - beta, s);
        }
        Ok(Aim { norm: gradient.dot(gradient).sqrt(), slope: direction.dot(gradient) })
    }

    fn advance(&mut self, here: At<'_, V>, there: At<'_, V>) -> Result<(), Failure> {
        let zeros = || there.x.zeros_like().map_err(LbfgsError::into_failure);
        let (mut s, mut y) = match self.list.len() >= self.memory {
            true => {
                let (s, y, _) = self.list.pop_front().expect("memory is not empty");
                (s, y)
            }
            false => match self.spare.pop() {
                Some(pair) => pair,
                None => (zeros()?, zeros()?),
            },
        };
        s.set_sum(there.x, -1.0, here.x);
        y.set_sum(there.gradient, -1.0, here.gradient);
        let (sy, yy) = (s.dot(&y), y.dot(&y));
        match has_curvature(sy, yy) {
            true => self.list.push_back((s, y, 1.0 / sy)),
            false => self.spare.push((s, y)),
        }
        std::mem::swap(here.x, there.x);
        std::mem::swap(here.gradient, there.gradient);
        Ok(())
    }

    fn save(&self) -> Result<Vec<SavedPair>, LbfgsError> {
        let save = |(s, y, rho): &(V, V, f64)| Ok((s.numbers()?, y.numbers()?, *rho));
        self.list.iter().map(save).collect()
    }

    fn load(&mut self, pairs: &[SavedPair]) -> Result<(), LbfgsError> {
        let load = |(s, y, rho): &SavedPair| Ok((self.like.like(s)?, self.like.like(y)?, *rho));
        self.list = pairs.iter().map(load).collect::<Result<_, LbfgsError>>()?;
        Ok(())
    }
}
