//! Descents put down and taken up again, one vector in memory at a time.

use skyscat_autodiff::TermHistory;
use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

/// Where the vectors of a saved descent are: in memory, or in a file that is read when
/// they are wanted.
pub trait Vectors: Debug + Send + Sync {
    /// How many there are.
    fn count(&self) -> usize;
    /// Numbers of each.
    fn length(&self) -> usize;
    /// One of them; the descent asks for one after the other.
    ///
    /// # Errors
    /// Why it cannot be had.
    fn vector(&self, at: usize) -> Result<Cow<'_, [f64]>, String>;
}

impl Vectors for Vec<Vec<f64>> {
    fn count(&self) -> usize {
        self.len()
    }
    fn length(&self) -> usize {
        self.first().map_or(0, Vec::len)
    }
    fn vector(&self, at: usize) -> Result<Cow<'_, [f64]>, String> {
        Ok(Cow::Borrowed(&self[at]))
    }
}

/// What is known of a descent besides its vectors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Course {
    /// 1/⟨s, y⟩ of each pair, oldest first.
    pub curvatures: Vec<f64>,
    /// Loss after each iteration, the start first.
    pub history: Vec<f64>,
    /// Terms of the loss after each iteration, the start first.
    pub terms: Vec<TermHistory>,
    /// Evaluations made.
    pub evaluations: u64,
}

/// A descent that can be taken up again with the same bits.
#[derive(Clone, Debug)]
pub struct SavedDescent {
    /// The way so far.
    pub course: Course,
    /// Variables, gradient, and s and y of each pair, oldest first.
    pub vectors: Arc<dyn Vectors>,
}

/// A descent that is being saved: its vectors are brought one after the other.
pub struct Saving<'a> {
    /// The way so far.
    pub course: Course,
    pub(crate) count: usize,
    pub(crate) next: usize,
    pub(crate) read: &'a dyn Fn(usize) -> Result<Vec<f64>, String>,
}

impl Saving<'_> {
    /// How many vectors there are in all.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The next of variables, gradient, and s and y of each pair, oldest first.
    pub fn next_vector(&mut self) -> Option<Result<Vec<f64>, String>> {
        (self.next < self.count).then(|| {
            self.next += 1;
            (self.read)(self.next - 1)
        })
    }

    /// All that is left, in memory.
    ///
    /// # Errors
    /// Why a vector cannot be had.
    pub fn keep(&mut self) -> Result<SavedDescent, String> {
        let vectors = std::iter::from_fn(|| self.next_vector());
        let vectors = vectors.collect::<Result<Vec<_>, _>>()?;
        Ok(SavedDescent { course: self.course.clone(), vectors: Arc::new(vectors) })
    }
}
