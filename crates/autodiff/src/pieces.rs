//! A batch worked on a few maps at a time, so that fields of the others need no memory.

use crate::{Cut, GraphError};
use std::ops::Range;

/// The maps of a batch that a program has, and how many of them have their fields in
/// memory at a time.
///
/// Maps meet only in the terms. So a program takes the statistics of one piece after the
/// other, evaluates the terms of all, and goes through the pieces once more for their
/// gradients, the last of them without running it forward again: with P pieces, 2P − 1
/// runs forward and P back, in 1/P of the fields' memory.
///
/// ```
/// use skyscat_autodiff::Pieces;
/// assert_eq!(Pieces::whole(10).at_once(4).ranges(), [0..4, 4..8, 8..10]);
/// assert_eq!(Pieces::whole(10).ranges(), [0..10]);
/// ```
#[derive(Clone, Debug)]
pub struct Pieces {
    /// Where these are some of the maps of a batch over several ranks.
    cut: Option<Cut>,
    /// Maps of this program.
    maps: usize,
    each: usize,
}

impl Pieces {
    /// All maps of a batch, in one piece.
    pub fn whole(maps: usize) -> Self {
        Self { cut: None, maps, each: maps }
    }

    /// This rank's share of a batch, in one piece; terms are those of the whole batch.
    pub fn of_rank(cut: Cut) -> Self {
        let maps = cut.own().len();
        Self { cut: Some(cut), maps, each: maps }
    }

    /// The same maps, this many at a time at most.
    pub fn at_once(self, maps: usize) -> Self {
        Self { each: maps.min(self.maps), ..self }
    }

    /// The pieces, in the order of the maps.
    pub fn ranges(&self) -> Vec<Range<usize>> {
        let starts = (0..self.maps).step_by(self.each.max(1));
        starts.map(|first| first..(first + self.each).min(self.maps)).collect()
    }

    /// Maps that an evaluation runs forward twice: those of all pieces but the last.
    pub(crate) fn repeated(&self) -> usize {
        self.ranges().last().map_or(0, |last| last.start)
    }

    /// Most maps of a piece.
    pub(crate) fn most(&self) -> usize {
        self.each
    }

    /// Maps of this program.
    pub(crate) fn maps(&self) -> usize {
        self.maps
    }

    pub(crate) fn cut(&self) -> Option<&Cut> {
        self.cut.as_ref()
    }

    /// Maps of the whole batch, and which of them is the first here.
    pub(crate) fn place(&self) -> (usize, usize) {
        self.cut.as_ref().map_or((self.maps, 0), |cut| (cut.maps(), cut.own().start))
    }

    pub(crate) fn check(&self) -> Result<(), GraphError> {
        if self.maps == 0 || self.each == 0 { Err(GraphError::EmptyBatch) } else { Ok(()) }
    }
}
