//! Where the time of an evaluation goes on a device, by its own clock.

use super::compile::Recorded;
use super::{GpuError, GpuProgram};
use crate::Floor;
use skyscat_num::Real;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

/// What all calls of one operator in one direction take on a device.
#[derive(Clone, Debug, PartialEq)]
pub struct GpuOperatorTime {
    /// Its name.
    pub operator: &'static str,
    /// Whether it is the pullback.
    pub backward: bool,
    /// Number of calls.
    pub calls: usize,
    /// Runs of kernels.
    pub dispatches: usize,
    /// Their time, by the device's clock.
    pub time: Duration,
    /// The least work, as the graph counts it, for numbers of four bytes.
    pub floor: Floor,
}

impl GpuProgram {
    /// One evaluation at `x`, with the time that each operator took on the device, in
    /// descending order. Copies, loss terms and the wait for the host are not in it.
    ///
    /// # Errors
    /// As [`GpuProgram::value_and_gradient`], and [`GpuError::Device`] if the adapter
    /// cannot time its work.
    ///
    /// # Panics
    /// As [`GpuProgram::value_and_gradient`].
    pub fn profile<T: Real>(&mut self, x: &[T]) -> Result<Vec<GpuOperatorTime>, GpuError> {
        self.value_and_gradient(x, &mut vec![T::default(); x.len()])?;
        let mut sums: BTreeMap<(&'static str, bool), GpuOperatorTime> = BTreeMap::new();
        let (mut last, maps) = (None, self.lanes.maps * self.lanes.groups);
        // The parts of a step are calls, its work is counted once.
        let mut seen = HashSet::new();
        let Recorded { forward, terms, backward } = &self.recorded;
        // Loss terms have no marks, but their gradients are what the way back begins with.
        for recording in [forward, terms, backward] {
            for timing in self.device.time(recording)? {
                let step = self.plan.steps[timing.mark];
                let (node, backward) = step.operator().expect("operators are marked");
                let operator = self.graph.nodes[node].operator.as_ref().expect("of an operator");
                let sum = sums.entry((operator.name(), backward)).or_insert(GpuOperatorTime {
                    operator: operator.name(),
                    backward,
                    calls: 0,
                    dispatches: 0,
                    time: Duration::ZERO,
                    floor: Floor::default(),
                });
                sum.dispatches += timing.dispatches;
                sum.time += timing.time;
                if last.replace(timing.mark) != Some(timing.mark) {
                    sum.calls += 1;
                }
                if seen.insert(timing.mark) {
                    sum.floor.add(step.floor(&self.graph, maps, self.device.number_bytes()));
                }
            }
        }
        let mut list: Vec<_> = sums.into_values().collect();
        list.sort_by_key(|t| std::cmp::Reverse(t.time));
        Ok(list)
    }
}
