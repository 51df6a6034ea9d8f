//! Where the time of an evaluation goes on a device, by its own clock.

use super::compile::{Marked, Recorded};
use super::{GpuError, GpuProgram};
use crate::Floor;
use skyscat_gpu::Timing;
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
    /// The least work, as the graph counts it, in numbers of the device.
    pub floor: Floor,
    /// The same time by kernel, in descending order.
    pub kernels: Vec<GpuKernelTime>,
}

/// What all runs of one entry point take within an operator.
#[derive(Clone, Debug, PartialEq)]
pub struct GpuKernelTime {
    /// Name of the WGSL file.
    pub kernel: &'static str,
    /// Its entry point.
    pub entry: &'static str,
    /// Number of runs.
    pub dispatches: usize,
    /// Their time, by the device's clock.
    pub time: Duration,
}

impl GpuOperatorTime {
    fn new(operator: &'static str, backward: bool) -> Self {
        let (time, floor) = (Duration::ZERO, Floor::default());
        Self { operator, backward, calls: 0, dispatches: 0, time, floor, kernels: Vec::new() }
    }

    fn add(&mut self, run: Marked, timing: &Timing) {
        self.dispatches += timing.dispatches;
        self.time += timing.time;
        let own = |k: &GpuKernelTime| (k.kernel, k.entry) == (run.kernel, run.entry);
        let at = self.kernels.iter().position(own).unwrap_or_else(|| {
            let (kernel, entry) = (run.kernel, run.entry);
            let (dispatches, time) = (0, Duration::ZERO);
            self.kernels.push(GpuKernelTime { kernel, entry, dispatches, time });
            self.kernels.len() - 1
        });
        self.kernels[at].dispatches += timing.dispatches;
        self.kernels[at].time += timing.time;
    }
}

impl GpuProgram {
    /// One evaluation at `x`, with the time that each operator and each of its kernels
    /// took on the device, in descending order. Copies, loss terms and the wait for the
    /// host are not in it.
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
        let Recorded { forward, terms, backward, runs } = &self.recorded;
        // Loss terms have no marks, but their gradients are what the way back begins with.
        for recording in [forward, terms, backward] {
            for timing in self.device.time(recording)? {
                let run = runs[timing.mark];
                let step = self.plan.steps[run.step];
                let (node, backward) = step.operator().expect("operators are marked");
                let operator = self.graph.nodes[node].operator.as_ref().expect("of an operator");
                let name = operator.name();
                let sum = sums.entry((name, backward));
                let sum = sum.or_insert_with(|| GpuOperatorTime::new(name, backward));
                sum.add(run, &timing);
                if last.replace(run.step) != Some(run.step) {
                    sum.calls += 1;
                }
                if seen.insert(run.step) {
                    sum.floor.add(step.floor(&self.graph, maps, self.device.number_bytes()));
                }
            }
        }
        let mut list: Vec<_> = sums.into_values().collect();
        list.sort_by_key(|t| std::cmp::Reverse(t.time));
        list.iter_mut().for_each(|t| t.kernels.sort_by_key(|k| std::cmp::Reverse(k.time)));
        Ok(list)
    }
}
