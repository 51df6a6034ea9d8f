//! Loss terms: functions of the statistics of a whole batch.

use crate::Shape;
use std::fmt::Debug;

/// A statistic of every map, in f64, without padding: `[row][channel][re, im][map]`.
#[derive(Clone, Copy, Debug)]
pub struct Stat<'a> {
    /// The numbers.
    pub data: &'a [f64],
    /// Shape for one map.
    pub shape: Shape,
    /// Number of maps.
    pub maps: usize,
}

impl<'a> Stat<'a> {
    /// For each real number of a map's statistic, its values over the maps.
    pub fn coefficients(&self) -> impl ExactSizeIterator<Item = &'a [f64]> + use<'a> {
        self.data.chunks_exact(self.maps)
    }
}

/// A scalar function of statistics, with its gradient.
///
/// This is the only place where the maps of a batch meet. Terms are small (a
/// few thousand coefficients) and run in f64 whatever the precision of the maps.
pub trait Term: Debug + Send + Sync {
    /// Name in reports.
    fn name(&self) -> &str;
    /// The value; `gradients[i]` has the length of `stats[i].data` and is overwritten
    /// with `∂value/∂stats[i]`.
    fn evaluate(&self, stats: &[Stat<'_>], gradients: &mut [&mut [f64]]) -> f64;
}
