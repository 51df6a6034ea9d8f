//! A compiled graph on a GPU: the steps of the plan as recorded dispatches.

mod compile;
mod error;
mod fits;
mod profile;
mod terms;
mod twins;

pub use error::GpuError;
pub use profile::GpuOperatorTime;
pub use twins::{Results, Twin, twins};

use crate::plan::Plan;
use crate::{Graph, MemoryPlan, Objective, Purpose, Shape, TermValue};
use skyscat_gpu::{Buffer, Device, Recording};
use std::sync::Arc;
use terms::HostTerms;

/// Lanes are padded to this many maps: sixteen bytes.
const LANES: usize = 4;

/// A graph compiled for a GPU in f32, for a batch of maps.
///
/// It takes the same plan as [`crate::Program`] and the same variables,
/// `[input][row][channel][re, im][map]`. An evaluation is two submissions of commands
/// recorded once: forward up to the statistics, which the loss terms need on the host
/// in f64 as on the CPU; then back from their gradients. Beside the variables up and
/// the gradient down only statistics travel.
#[derive(Debug)]
pub struct GpuProgram {
    graph: Arc<Graph>,
    device: Arc<Device>,
    plan: Plan,
    maps: usize,
    lanes: usize,
    buffers: Vec<Buffer>,
    scratch: Vec<Buffer>,
    /// All inputs, padded, on their way up.
    upload: (Vec<f32>, Buffer),
    /// Statistics on their way down.
    statistics: (Vec<f32>, Buffer),
    /// Their gradients on the way up.
    cotangents: (Vec<f32>, Buffer),
    /// The gradient on its way down.
    gradient: (Vec<f32>, Buffer),
    forward: Recording,
    backward: Recording,
    terms: HostTerms,
    evaluations: u64,
    failure: Option<GpuError>,
}

impl GpuProgram {
    /// Places the graph's values on a device for `maps` maps.
    ///
    /// # Errors
    /// [`GpuError::Graph`] as [`crate::Program::compile`]; [`GpuError::Operator`] for
    /// an operator without a GPU kernel; [`GpuError::Batch`] if a buffer of so many maps
    /// is larger than the device allows; [`GpuError::Device`] if something else does not
    /// fit on the device: nothing is ever cut short.
    pub fn compile(
        graph: Arc<Graph>,
        maps: usize,
        purpose: Purpose,
        device: Arc<Device>,
    ) -> Result<Self, GpuError> {
        compile::compile(graph, maps, purpose, device)
    }

    /// Number of maps of the batch.
    pub fn maps(&self) -> usize {
        self.maps
    }

    /// Length of the vector of variables.
    pub fn variables(&self) -> usize {
        self.graph.variables() * self.maps
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Commands of one evaluation.
    pub fn commands(&self) -> usize {
        self.forward.len() + self.backward.len()
    }

    /// Memory of this program on the device, tables not counted.
    pub fn memory(&self) -> MemoryPlan {
        let bytes = |buffers: &[Buffer]| buffers.iter().map(|b| b.bytes() as usize).sum();
        MemoryPlan {
            buffers: self.buffers.len(),
            field_bytes: bytes(&self.buffers),
            unshared_bytes: self.plan.unshared * self.lanes * 4,
            scratch_bytes: bytes(&self.scratch),
        }
    }

    /// Runs the graph forward, so that outputs can be read.
    ///
    /// # Errors
    /// [`GpuError::Device`] if the device fails.
    ///
    /// # Panics
    /// If `x` has not the length of [`GpuProgram::variables`].
    pub fn evaluate(&mut self, x: &[f32]) -> Result<(), GpuError> {
        assert_eq!(x.len(), self.variables(), "length of the variables");
        let (padded, buffer) = &mut self.upload;
        for (padded, x) in padded.chunks_exact_mut(self.lanes).zip(x.chunks_exact(self.maps)) {
            padded[..self.maps].copy_from_slice(x);
        }
        self.device.write(buffer, 0, padded);
        self.device.submit(&self.forward);
        let (host, staging) = &mut self.statistics;
        Ok(self.device.read(staging, host)?)
    }

    /// Value of a named output of the last run, `[row][channel][re, im][map]`; `None`
    /// if the graph has no such output.
    ///
    /// # Errors
    /// [`GpuError::Device`] if the device fails.
    pub fn output(&self, label: &str) -> Result<Option<(Shape, Vec<f32>)>, GpuError> {
        let Some((_, node)) = self.graph.outputs.iter().find(|(l, _)| l == label) else {
            return Ok(None);
        };
        let shape = self.graph.shape(*node);
        let numbers = shape.reals() * self.lanes;
        let home = &self.buffers[self.plan.value[node.index()].expect("outputs are wanted")];
        let staging = self.device.staging("output", numbers)?;
        let mut recording = Recording::default();
        recording.copy((home, 0), (&staging, 0), numbers);
        self.device.submit(&recording);
        let mut padded = vec![0.0; numbers];
        self.device.read(&staging, &mut padded)?;
        let rows = padded.chunks_exact(self.lanes);
        Ok(Some((shape, rows.flat_map(|row| &row[..self.maps]).copied().collect())))
    }

    /// The loss at `x`, and its gradient.
    ///
    /// # Errors
    /// [`GpuError::NotFinite`] for a loss term that is not finite or a statistic of it
    /// that is not; [`GpuError::Gradient`] for such a gradient; [`GpuError::Device`] if
    /// the device fails.
    ///
    /// # Panics
    /// If the program was compiled for values, or a length is not
    /// [`GpuProgram::variables`].
    pub fn value_and_gradient(&mut self, x: &[f32], gradient: &mut [f32]) -> Result<f64, GpuError> {
        assert_eq!(gradient.len(), self.variables(), "length of the gradient");
        assert!(!self.backward.is_empty(), "compiled for gradients");
        self.evaluations += 1;
        self.evaluate(x)?;
        let lanes = (self.maps, self.lanes);
        let (host, buffer) = &mut self.cotangents;
        let value = self.terms.evaluate(&self.graph, lanes, &self.statistics.0, host);
        let value = value.map_err(|what| what.at(self.evaluations))?;
        self.device.write(buffer, 0, host);
        self.device.submit(&self.backward);
        let (host, staging) = &mut self.gradient;
        self.device.read(staging, host)?;
        let mut size = 0.0;
        for (out, row) in gradient.chunks_exact_mut(self.maps).zip(host.chunks_exact(self.lanes)) {
            out.copy_from_slice(&row[..self.maps]);
            size += out.iter().map(|x| f64::from(x.abs())).sum::<f64>();
        }
        if !size.is_finite() {
            return Err(GpuError::Gradient { evaluation: self.evaluations });
        }
        Ok(value)
    }

    /// The loss terms of the last evaluation, weights included.
    pub fn terms(&self) -> &[TermValue] {
        &self.terms.values
    }
}

impl Objective<Vec<f32>> for GpuProgram {
    /// The value, or NaN, and then [`Objective::failure`] says why.
    fn value_and_gradient(&mut self, x: &Vec<f32>, gradient: &mut Vec<f32>) -> f64 {
        match GpuProgram::value_and_gradient(self, x, gradient) {
            Ok(value) => {
                self.failure = None;
                value
            }
            Err(error) => {
                self.failure = Some(error);
                f64::NAN
            }
        }
    }

    fn report(&self) -> &[TermValue] {
        &self.terms.values
    }

    fn failure(&self) -> Option<String> {
        self.failure.as_ref().map(ToString::to_string)
    }
}
