//! A compiled graph on a GPU: the steps of the plan as recorded dispatches.

mod compile;
mod error;
mod history;
mod job;
mod lanes;
mod line;
mod memory;
mod profile;
mod seat;
mod sources;
mod terms;
mod twins;
mod vector;

pub use error::GpuError;
pub use history::GpuPairs;
pub use memory::GpuPlan;
pub use profile::{GpuKernelTime, GpuOperatorTime};
pub use seat::{Maker, Seat};
pub use twins::{Results, Twin, twins};
pub use vector::GpuVector;

use crate::plan::Plan;
use crate::{Graph, MemoryPlan, Purpose, Shape, TermValue};
use compile::{Part, Recorded};
use lanes::Lanes;
use line::{Answer, Line, Slopes};
use skyscat_gpu::{Buffer, Commands, Device, Recording};
use skyscat_num::Real;
use std::sync::Arc;

/// A graph compiled for a GPU in its precision, for one batch of maps or several side by side.
///
/// It takes the same plan as [`crate::Program`] and the same variables,
/// `[input][row][channel][re, im][map]`. An evaluation is one submission of commands
/// recorded once: forward, loss terms, backward. The variables and the gradient stay on
/// the device where the descent does ([`GpuProgram::seats`]); then only the terms and
/// the slope along the line come down.
///
/// Several batches are groups of one program: each has a loss, and a descent, of its
/// own, and the same numbers as alone. Maps whose buffers are larger than a kernel may
/// see are worked on in parts, one after the other, with the same numbers: they meet in
/// the terms alone, which read the statistics of all.
#[derive(Debug)]
pub struct GpuProgram {
    graph: Arc<Graph>,
    device: Arc<Device>,
    plan: Plan,
    lanes: Lanes,
    parts: Vec<Part>,
    scratch: Vec<Buffer>,
    recorded: Recorded,
    /// What comes down: the terms `[term][group]`, then the slopes `[group]`.
    down: (Vec<f64>, Buffer),
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
    /// Places the graph's values on a device for `maps` maps, with little scratch.
    ///
    /// # Errors
    /// [`GpuError::Graph`] as [`crate::Program::compile`]; [`GpuError::Operator`] and
    /// [`GpuError::Term`] for what has no GPU kernel; [`GpuError::Batch`] if a buffer of
    /// four maps is larger than kernels may see, or the statistics of all maps are;
    /// [`GpuError::Device`] if something else does not fit on the device: nothing is ever
    /// cut short.
    pub fn compile(
        graph: Arc<Graph>,
        maps: usize,
        purpose: Purpose,
        device: Arc<Device>,
    ) -> Result<Self, GpuError> {
        compile::compile(&[graph], (maps, purpose), GpuPlan::LITTLE_ROOM, device)
    }

    /// The same for several batches of `maps` maps, one for each graph, where a piece of
    /// scratch may have `room` bytes though operators could do with fewer
    /// ([`GpuProgram::room`]): they wait for each other less, and compute the same bits.
    ///
    /// # Errors
    /// As [`GpuProgram::compile`].
    ///
    /// # Panics
    /// If there is no graph, or if they differ in more than the numbers of their terms.
    pub fn compile_groups(
        graphs: &[Arc<Graph>],
        maps: usize,
        room: u64,
        device: Arc<Device>,
    ) -> Result<Self, GpuError> {
        compile::compile(graphs, (maps, Purpose::Gradient), room, device)
    }

    fn assemble(
        (graph, plan, device, lanes): (Arc<Graph>, Plan, Arc<Device>, Lanes),
        (parts, scratch): (Vec<Part>, Vec<Buffer>),
        values: Option<Buffer>,
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
            parts,
            scratch,
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

    /// Parts in which the maps are worked on, one after the other.
    pub fn parts(&self) -> usize {
        self.lanes.parts
    }

    /// Length of the vector of variables, of all batches.
    pub fn variables(&self) -> usize {
        self.graph.variables() * self.lanes.maps * self.lanes.groups
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Memory of this program on the device, tables not counted.
    pub fn memory(&self) -> MemoryPlan {
        let bytes = |buffers: &[Buffer]| buffers.iter().map(|b| b.bytes() as usize).sum();
        MemoryPlan {
            buffers: self.parts.iter().map(|part| part.buffers.len()).sum(),
            field_bytes: self.parts.iter().map(|part| bytes(&part.buffers)).sum(),
            unshared_bytes: self.plan.unshared * self.lanes.all() * self.device.number_bytes(),
            scratch_bytes: bytes(&self.scratch),
        }
    }

    /// Writes variables, those of one batch after those of another, and pads them.
    fn load<T: Real>(&self, x: &[T]) {
        assert_eq!(x.len(), self.variables(), "length of the variables");
        let (rows, maps) = (self.graph.variables(), self.lanes.maps);
        let mut padded = vec![0.0; rows * self.lanes.all()];
        for (group, x) in x.chunks_exact((rows * maps).max(1)).enumerate() {
            for (row, x) in x.chunks_exact(maps).enumerate() {
                let places = self.lanes.places((rows, row), group);
                places.zip(x).for_each(|(at, x)| padded[at] = x.to_f64());
            }
        }
        let padded = padded.chunks_exact((rows * self.lanes.width()).max(1));
        for (part, padded) in self.parts.iter().zip(padded) {
            self.device.write(&part.upload, 0, padded);
        }
    }

    /// Runs the graph forward, so that outputs can be read.
    ///
    /// # Errors
    /// [`GpuError::Device`] if the device fails.
    ///
    /// # Panics
    /// If `x` has not the length of [`GpuProgram::variables`].
    pub fn evaluate<T: Real>(&mut self, x: &[T]) -> Result<(), GpuError> {
        self.load(x);
        self.device.submit(&self.recorded.forward);
        Ok(self.device.wait()?)
    }

    /// Value of a named output of the last run, `[row][channel][re, im][map]`, the maps
    /// of one batch after those of another; `None` if the graph has no such output.
    ///
    /// # Errors
    /// [`GpuError::Device`] if the device fails.
    pub fn output(&self, label: &str) -> Result<Option<(Shape, Vec<f64>)>, GpuError> {
        let Some((_, node)) = self.graph.outputs.iter().find(|(l, _)| l == label) else {
            return Ok(None);
        };
        let padded = self.read(node.index(), &Recording::default())?;
        let (shape, lanes) = (self.graph.shape(*node), self.lanes);
        let rows = shape.reals();
        let groups = (0..rows).flat_map(|row| (0..lanes.groups).map(move |g| (row, g)));
        let places = groups.flat_map(|(row, group)| lanes.places((rows, row), group));
        Ok(Some((shape, places.map(|at| padded[at]).collect())))
    }

    /// The padded value of a node in all parts, after these commands.
    fn read(&self, node: usize, before: &Recording) -> Result<Vec<f64>, GpuError> {
        let numbers = self.graph.nodes[node].shape.reals() * self.lanes.width();
        let home = self.plan.value[node].expect("a wanted node has a buffer");
        let staging = self.device.staging("output", numbers * self.lanes.parts)?;
        let mut recording = Recording::default();
        for (at, part) in self.parts.iter().enumerate() {
            recording.copy((&part.buffers[home], 0), (&staging, at * numbers), numbers);
        }
        self.device.submit_all([before, &recording]);
        let mut padded = vec![0.0; numbers * self.lanes.parts];
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
    pub fn value_and_gradient<T: Real>(
        &mut self,
        x: &[T],
        gradient: &mut [T],
    ) -> Result<f64, GpuError> {
        assert_eq!(gradient.len(), self.variables(), "length of the gradient");
        assert!(!self.recorded.terms.is_empty(), "compiled for gradients");
        let numbers = self.graph.variables() * self.lanes.all();
        let staging = match self.staging.take() {
            Some(staging) => staging,
            None => self.device.staging("gradient", numbers)?,
        };
        let (mut copy, own) = (Recording::default(), numbers / self.lanes.parts);
        for (at, part) in self.parts.iter().enumerate() {
            copy.copy((&part.gradient, 0), (&staging, at * own), own);
        }
        self.load(x);
        let Recorded { forward, terms, backward, .. } = &self.recorded;
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
            for (row, out) in out.chunks_exact_mut(maps).enumerate() {
                let places = self.lanes.places((rows, row), group);
                out.iter_mut().zip(places).for_each(|(out, at)| *out = T::from_f64(padded[at]));
                size += out.iter().map(|x| x.to_f64().abs()).sum::<f64>();
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
            let value = self.down.0[term * self.lanes.groups + group];
            self.terms[group][term].value = value;
            total += value;
            if !value.is_finite() {
                // What the terms read has been overwritten: once more, to name it.
                let read = |node| self.read(node, &self.recorded.forward);
                let at = (term, self.plan.reading);
                let what = terms::culprit(&self.graph, at, self.lanes, group, read)?;
                let term = self.terms[group][term].name.clone();
                let evaluation = self.evaluations[group];
                return Err(GpuError::NotFinite { term, what, evaluation });
            }
        }
        Ok(total)
    }

    /// Evaluates several groups, each along a line at its step.
    fn ask(&mut self, lines: &[(&Line, f64)]) -> Vec<Result<Answer, GpuError>> {
        for (line, step) in lines {
            self.slopes.set(&self.device, line.group, *step);
        }
        let Recorded { forward, terms, backward, .. } = &self.recorded;
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
        let slope = self.down.0[self.graph.terms.len() * self.lanes.groups + group];
        match slope.is_finite() {
            true => Ok(Answer { value, slope, terms: self.terms[group].clone() }),
            false => Err(GpuError::Gradient { evaluation: self.evaluations[group] }),
        }
    }

    /// Commands of one evaluation, which are recorded once.
    pub fn commands(&self) -> Commands {
        let Recorded { forward, terms, backward, .. } = &self.recorded;
        [forward, terms, backward].into_iter().map(Recording::count).sum()
    }

    /// The loss terms of the last evaluation of the first batch, weights included.
    pub fn terms(&self) -> &[TermValue] {
        &self.terms[0]
    }
}
