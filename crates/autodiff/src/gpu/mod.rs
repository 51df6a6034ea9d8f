//! A compiled graph on a GPU: the steps of the plan as recorded dispatches.

mod compile;
mod error;
mod fits;
mod history;
mod job;
mod line;
mod memory;
mod profile;
mod seat;
mod terms;
mod twins;
mod vector;

pub use error::GpuError;
pub use history::GpuPairs;
pub use memory::GpuPlan;
pub use profile::GpuOperatorTime;
pub use seat::{Maker, Seat};
pub use twins::{Results, Twin, twins};
pub use vector::GpuVector;

use crate::plan::Plan;
use crate::{Graph, MemoryPlan, Purpose, Shape, TermValue};
use compile::Recorded;
use line::{Answer, Line, Slopes};
use skyscat_gpu::{Buffer, Device, Recording};
use std::sync::Arc;

/// Lanes of a group are padded to this many maps: sixteen bytes.
const PADDING: usize = 4;

/// Maps of a program: groups of equal size, each with a loss of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lanes {
    /// Maps of a group.
    maps: usize,
    /// The same, padded.
    stride: usize,
    groups: usize,
}

impl Lanes {
    fn new(maps: usize, groups: usize) -> Self {
        Self { maps, stride: maps.next_multiple_of(PADDING), groups }
    }

    fn all(self) -> usize {
        self.stride * self.groups
    }

    /// The lane of every map, group after group.
    fn each(self) -> impl Iterator<Item = usize> {
        (0..self.groups).flat_map(move |g| (0..self.maps).map(move |m| g * self.stride + m))
    }
}

/// A graph compiled for a GPU in f32, for one batch of maps or several side by side.
///
/// It takes the same plan as [`crate::Program`] and the same variables,
/// `[input][row][channel][re, im][map]`. An evaluation is one submission of commands
/// recorded once: forward, loss terms, backward. The variables and the gradient stay on
/// the device where the descent does ([`GpuProgram::seats`]); then only the terms and
/// the slope along the line come down.
///
/// Several batches are groups of one program: each has a loss, and a descent, of its
/// own, and the same numbers as alone.
#[derive(Debug)]
pub struct GpuProgram {
    graph: Arc<Graph>,
    device: Arc<Device>,
    plan: Plan,
    lanes: Lanes,
    buffers: Vec<Buffer>,
    scratch: Vec<Buffer>,
    /// All inputs, padded.
    upload: Buffer,
    /// Their gradients, padded.
    gradient: Buffer,
    recorded: Recorded,
    /// What comes down: the terms `[term][group]`, then the slopes `[group]`.
    down: (Vec<f32>, Buffer),
    /// Copies of the terms to what comes down.
    fetch: Recording,
    slopes: Slopes,
    /// Of each group.
    terms: Vec<Vec<TermValue>>,
    evaluations: Vec<u64>,
    /// Gradients for the host, on their way down.
    staging: Option<Buffer>,
}

impl GpuProgram {
    /// Places the graph's values on a device for `maps` maps.
    ///
    /// # Errors
    /// [`GpuError::Graph`] as [`crate::Program::compile`]; [`GpuError::Operator`] and
    /// [`GpuError::Term`] for what has no GPU kernel; [`GpuError::Batch`] if a buffer of
    /// so many maps is larger than the device allows; [`GpuError::Device`] if something
    /// else does not fit on the device: nothing is ever cut short.
    pub fn compile(
        graph: Arc<Graph>,
        maps: usize,
        purpose: Purpose,
        device: Arc<Device>,
    ) -> Result<Self, GpuError> {
        compile::compile(&[graph], maps, purpose, device)
    }

    /// The same for several batches of `maps` maps, one for each graph.
    ///
    /// # Errors
    /// As [`GpuProgram::compile`].
    ///
    /// # Panics
    /// If there is no graph, or if they differ in more than the numbers of their terms.
    pub fn compile_groups(
        graphs: &[Arc<Graph>],
        maps: usize,
        device: Arc<Device>,
    ) -> Result<Self, GpuError> {
        compile::compile(graphs, maps, Purpose::Gradient, device)
    }

    fn assemble(
        (graph, plan, device, lanes): (Arc<Graph>, Plan, Arc<Device>, Lanes),
        (buffers, scratch): (Vec<Buffer>, Vec<Buffer>),
        (upload, gradient, values): (Buffer, Buffer, Option<Buffer>),
        recorded: Recorded,
    ) -> Result<Self, GpuError> {
        let numbers = graph.terms.len() * lanes.groups;
        let down = device.staging("terms and slopes", numbers + lanes.groups)?;
        let mut fetch = Recording::default();
        if let Some(values) = values {
            fetch.copy((&values, 0), (&down, 0), numbers);
        }
        let variables = graph.variables() * lanes.maps;
        let slopes = Slopes::new(&device, variables, lanes.groups, (&down, numbers))?;
        let terms: Vec<_> = graph.terms.iter().map(|t| TermValue::new(t.term.name())).collect();
        Ok(Self {
            down: (vec![0.0; numbers + lanes.groups], down),
            terms: vec![terms; lanes.groups],
            evaluations: vec![0; lanes.groups],
            staging: None,
            graph,
            plan,
            device,
            lanes,
            buffers,
            scratch,
            upload,
            gradient,
            recorded,
            fetch,
            slopes,
        })
    }

    /// Maps of a batch.
    pub fn maps(&self) -> usize {
        self.lanes.maps
    }

    /// Batches side by side.
    pub fn groups(&self) -> usize {
        self.lanes.groups
    }

    /// Length of the vector of variables, of all batches.
    pub fn variables(&self) -> usize {
        self.graph.variables() * self.lanes.maps * self.lanes.groups
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Commands of one evaluation.
    pub fn commands(&self) -> usize {
        let Recorded { forward, terms, backward } = &self.recorded;
        forward.len() + terms.len() + backward.len()
    }

    /// Memory of this program on the device, tables not counted.
    pub fn memory(&self) -> MemoryPlan {
        let bytes = |buffers: &[Buffer]| buffers.iter().map(|b| b.bytes() as usize).sum();
        MemoryPlan {
            buffers: self.buffers.len(),
            field_bytes: bytes(&self.buffers),
            unshared_bytes: self.plan.unshared * self.lanes.all() * 4,
            scratch_bytes: bytes(&self.scratch),
        }
    }

    /// Writes variables, those of one batch after those of another, and pads them.
    fn load(&self, x: &[f32]) {
        assert_eq!(x.len(), self.variables(), "length of the variables");
        let (rows, maps) = (self.graph.variables(), self.lanes.maps);
        let mut padded = vec![0.0; rows * self.lanes.all()];
        for (group, x) in x.chunks_exact((rows * maps).max(1)).enumerate() {
            let rows = padded.chunks_exact_mut(self.lanes.all());
            for (padded, x) in rows.zip(x.chunks_exact(maps)) {
                padded[group * self.lanes.stride..][..maps].copy_from_slice(x);
            }
        }
        self.device.write(&self.upload, 0, &padded);
    }

    /// Runs the graph forward, so that outputs can be read.
    ///
    /// # Errors
    /// [`GpuError::Device`] if the device fails.
    ///
    /// # Panics
    /// If `x` has not the length of [`GpuProgram::variables`].
    pub fn evaluate(&mut self, x: &[f32]) -> Result<(), GpuError> {
        self.load(x);
        self.device.submit(&self.recorded.forward);
        Ok(self.device.wait()?)
    }

    /// Value of a named output of the last run, `[row][channel][re, im][map]`, the maps
    /// of one batch after those of another; `None` if the graph has no such output.
    ///
    /// # Errors
    /// [`GpuError::Device`] if the device fails.
    pub fn output(&self, label: &str) -> Result<Option<(Shape, Vec<f32>)>, GpuError> {
        let Some((_, node)) = self.graph.outputs.iter().find(|(l, _)| l == label) else {
            return Ok(None);
        };
        let padded = self.read(node.index(), &Recording::default())?;
        let rows = padded.chunks_exact(self.lanes.all());
        let values = rows.flat_map(|row| self.lanes.each().map(|lane| row[lane])).collect();
        Ok(Some((self.graph.shape(*node), values)))
    }

    /// The padded value of a node after these commands.
    fn read(&self, node: usize, before: &Recording) -> Result<Vec<f32>, GpuError> {
        let numbers = self.graph.nodes[node].shape.reals() * self.lanes.all();
        let home = &self.buffers[self.plan.value[node].expect("a wanted node has a buffer")];
        let staging = self.device.staging("output", numbers)?;
        let mut recording = Recording::default();
        recording.copy((home, 0), (&staging, 0), numbers);
        self.device.submit_all([before, &recording]);
        let mut padded = vec![0.0; numbers];
        self.device.read(&staging, &mut padded)?;
        Ok(padded)
    }

    /// The loss at `x`, summed over the batches, and its gradient; both on the host.
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
        assert!(!self.recorded.terms.is_empty(), "compiled for gradients");
        let numbers = self.graph.variables() * self.lanes.all();
        let staging = match self.staging.take() {
            Some(staging) => staging,
            None => self.device.staging("gradient", numbers)?,
        };
        let mut copy = Recording::default();
        copy.copy((&self.gradient, 0), (&staging, 0), numbers);
        self.load(x);
        let Recorded { forward, terms, backward } = &self.recorded;
        self.device.submit_all([forward, terms, backward, &self.fetch, &copy]);
        let mut padded = vec![0.0; numbers];
        self.device.read(&staging, &mut padded)?;
        self.device.read(&self.down.1, &mut self.down.0)?;
        self.staging = Some(staging);
        let mut value = 0.0;
        for group in 0..self.lanes.groups {
            value += self.judge(group)?;
        }
        let (rows, maps) = (self.graph.variables(), self.lanes.maps);
        let mut size = 0.0;
        for (group, out) in gradient.chunks_exact_mut((rows * maps).max(1)).enumerate() {
            let padded = padded.chunks_exact(self.lanes.all());
            for (out, row) in out.chunks_exact_mut(maps).zip(padded) {
                out.copy_from_slice(&row[group * self.lanes.stride..][..maps]);
                size += out.iter().map(|x| f64::from(x.abs())).sum::<f64>();
            }
        }
        match size.is_finite() {
            true => Ok(value),
            false => Err(GpuError::Gradient { evaluation: self.evaluations[0] }),
        }
    }

    /// The loss of a group from the terms that came down.
    fn judge(&mut self, group: usize) -> Result<f64, GpuError> {
        self.evaluations[group] += 1;
        let mut total = 0.0;
        for term in 0..self.graph.terms.len() {
            let value = f64::from(self.down.0[term * self.lanes.groups + group]);
            self.terms[group][term].value = value;
            total += value;
            if !value.is_finite() {
                // What the terms read has been overwritten: once more, to name it.
                let read = |node| self.read(node, &self.recorded.forward);
                let what = terms::culprit(&self.graph, term, self.lanes, group, read)?;
                let term = self.terms[group][term].name.clone();
                let evaluation = self.evaluations[group];
                return Err(GpuError::NotFinite { term, what, evaluation });
            }
        }
        Ok(total)
    }

    /// Evaluates several groups, each along a line at its step.
    fn ask(&mut self, lines: &[(&Line, f32)]) -> Vec<Result<Answer, GpuError>> {
        for (line, step) in lines {
            self.slopes.set(&self.device, line.group, *step);
        }
        let Recorded { forward, terms, backward } = &self.recorded;
        let before = lines.iter().map(|(line, _)| &line.before);
        let after = lines.iter().map(|(line, _)| &line.after);
        let middle = [forward, terms, backward].into_iter();
        let end = [&self.slopes.finish, &self.fetch];
        self.device.submit_all(before.chain(middle).chain(after).chain(end));
        if let Err(error) = self.device.read(&self.down.1, &mut self.down.0) {
            return lines.iter().map(|_| Err(error.clone().into())).collect();
        }
        lines.iter().map(|(line, _)| self.answer(line.group)).collect()
    }

    fn answer(&mut self, group: usize) -> Result<Answer, GpuError> {
        let value = self.judge(group)?;
        let slope = f64::from(self.down.0[self.graph.terms.len() * self.lanes.groups + group]);
        match slope.is_finite() {
            true => Ok(Answer { value, slope, terms: self.terms[group].clone() }),
            false => Err(GpuError::Gradient { evaluation: self.evaluations[group] }),
        }
    }

    /// The loss terms of the last evaluation of the first batch, weights included.
    pub fn terms(&self) -> &[TermValue] {
        &self.terms[0]
    }
}
