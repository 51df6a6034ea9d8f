//! Loss terms: functions of the statistics of a whole batch.

use crate::Shape;
use crate::device::DeviceTerm;
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
/// few thousand coefficients) and run in f64 on the CPU whatever the precision of the
/// maps; a GPU runs their kernels in f32, relative to the target.
pub trait Term: Debug + Send + Sync {
    /// Name in reports.
    fn name(&self) -> &str;
    /// The value; `gradients[i]` has the length of `stats[i].data` and is overwritten
    /// with `∂value/∂stats[i]`.
    fn evaluate(&self, stats: &[Stat<'_>], gradients: &mut [&mut [f64]]) -> f64;
    /// What a GPU does for `weight` times this term over `maps` maps; `None` for a term
    /// that has no GPU kernel.
    fn gpu(&self, _weight: f64, _maps: usize) -> Option<DeviceTerm> {
        None
    }
}
