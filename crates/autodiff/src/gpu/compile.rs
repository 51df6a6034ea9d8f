//! From a plan to recorded dispatches.

use super::job::{Job, record};
use super::lanes::Lanes;
use super::memory::fitting;
use super::terms::{TermBuffers, Terms};
use super::{GpuError, GpuProgram};
use crate::device::{Binding, DeviceCall, DevicePass, DeviceWork, Run};
use crate::plan::{Plan, Step};
use crate::{Graph, GraphError, Purpose, Shape, statistics};
use skyscat_gpu::{Access, Buffer, Device, Entry, Pipeline, Recording};
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Words between the uniforms of two runs: what every adapter allows.
pub(super) const UNIFORM_STRIDE: usize = 64;

/// Bindings that a kernel has at most beside its uniform.
const UNUSED: usize = 8;

/// What an operator does at a step of the plan.
pub(super) struct Task<'a> {
    step: usize,
    node: usize,
    /// Its first run among those of all tasks.
    first: usize,
    pub(super) work: DeviceWork<'a>,
}

impl Task<'_> {
    fn runs(&self) -> impl Iterator<Item = Marked> {
        let runs = self.work.runs.iter();
        runs.map(|run| Marked { step: self.step, kernel: run.kernel, entry: run.entry })
    }
}

/// What a mark of a recording stands for: one run of a kernel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marked {
    /// Step of the plan.
    pub(super) step: usize,
    pub(super) kernel: &'static str,
    pub(super) entry: &'static str,
}

pub(super) fn compile(
    graphs: &[Arc<Graph>],
    (maps, purpose): (usize, Purpose),
    room: u64,
    device: Arc<Device>,
) -> Result<GpuProgram, GpuError> {
    let graph = graphs.first().expect("a program has a group").clone();
    if maps == 0 {
        return Err(GraphError::EmptyBatch.into());
    }
    if purpose == Purpose::Gradient && graph.terms.is_empty() {
        return Err(GraphError::NoTerm.into());
    }
    let same = |other: &Arc<Graph>| format!("{other:?}") == format!("{graph:?}");
    assert!(graphs.iter().skip(1).all(same), "groups differ in more than their terms");
    let (plan, lanes) = fitting((&graph, purpose), (maps, graphs.len()), &device)?;
    let tasks = tasks((&graph, &plan), (lanes.width(), room), &device)?;
    let part = |_| Part::new(&device, (&graph, &plan), lanes.width());
    let parts = (0..lanes.parts).map(part).collect::<Result<Vec<_>, _>>()?;
    let scratch = (scratch_lengths(&tasks).iter().enumerate())
        .map(|(i, &n)| device.storage(&format!("scratch {i}"), n))
        .collect::<Result<Vec<_>, _>>()?;
    let binder = Binder::new(&device, &graph, &plan, &tasks, (&parts, &scratch, lanes))?;
    let (terms, values) = match purpose {
        Purpose::Values => (None, None),
        Purpose::Gradient => {
            let terms = Terms::new(graphs, maps, plan.reading)?;
            let buffers = terms.allocate(&device, lanes.groups)?;
            (Some(terms), Some(buffers))
        }
    };
    let mut recorded = binder.record(&tasks, terms.as_ref().zip(values.as_ref()))?;
    recorded.runs = tasks.iter().flat_map(Task::runs).collect();
    drop((binder, tasks));
    let values = values.map(|v| v.values);
    GpuProgram::assemble((graph, plan, device, lanes), (parts, scratch), values, recorded)
}

/// Where a part of the maps lies.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) buffers: Vec<Buffer>,
    /// All inputs, padded.
    pub(super) upload: Buffer,
    /// Their gradients, padded.
    pub(super) gradient: Buffer,
}

impl Part {
    fn new(
        device: &Device,
        (graph, plan): (&Graph, &Plan),
        width: usize,
    ) -> Result<Self, GpuError> {
        let buffers = plan.buffers.iter().enumerate();
        let buffers = buffers.map(|(i, &n)| device.storage(&format!("field {i}"), n * width));
        let variables = graph.variables() * width;
        Ok(Self {
            buffers: buffers.collect::<Result<_, _>>()?,
            upload: device.storage("variables", variables)?,
            gradient: device.storage("gradient", variables)?,
        })
    }
}

/// Numbers of each piece of scratch: the most that any operator asks for.
pub(super) fn scratch_lengths(tasks: &[Task<'_>]) -> Vec<usize> {
    let mut lengths: Vec<usize> = Vec::new();
    for (at, &n) in tasks.iter().flat_map(|t| t.work.scratch.iter().enumerate()) {
        lengths.resize(lengths.len().max(at + 1), 0);
        lengths[at] = lengths[at].max(n);
    }
    lengths
}

/// The work of every operator, in the order of the plan. Each may use as much scratch as
/// another one needs, or `room` bytes of a piece, if a kernel may see so many.
pub(super) fn tasks<'a>(
    (graph, plan): (&'a Graph, &Plan),
    (lanes, room): (usize, u64),
    device: &Device,
) -> Result<Vec<Task<'a>>, GpuError> {
    let double = device.is_double();
    let least = scratch_lengths(&tasks_within((graph, plan), (lanes, &[]), double)?);
    let limits = device.adapter().allowed;
    let room = room.min(limits.buffer_bytes).min(limits.binding_bytes);
    let room = room as usize / device.number_bytes();
    let scratch: Vec<usize> = least.iter().map(|&n| n.max(room)).collect();
    tasks_within((graph, plan), (lanes, &scratch), double)
}

/// The same, for scratch that has these numbers already.
pub(super) fn tasks_within<'a>(
    (graph, plan): (&'a Graph, &Plan),
    (lanes, scratch): (usize, &[usize]),
    double: bool,
) -> Result<Vec<Task<'a>>, GpuError> {
    let (mut tasks, mut first) = (Vec::new(), 0);
    for (step, what) in plan.steps.iter().enumerate() {
        let (node, pass) = match *what {
            Step::Load(_) | Step::Terms => continue,
            Step::Forward(node) => (node, DevicePass::Forward),
            Step::Pullback { node, which } => (node, DevicePass::Pullback { which }),
            Step::Joint(node) => (node, DevicePass::Joint),
        };
        let data = &graph.nodes[node];
        let operator = data.operator.as_ref().expect("an operator's step");
        let inputs: Vec<Shape> = data.inputs.iter().map(|&n| graph.shape(n)).collect();
        let call = DeviceCall { pass, inputs: &inputs, lanes, double, scratch };
        let missing = || GpuError::Operator { operator: operator.name() };
        let work = operator.gpu(&call).ok_or_else(missing)?;
        let runs = work.runs.len();
        tasks.push(Task { step, node, first, work });
        first += runs;
    }
    Ok(tasks)
}

/// Recorded commands of an evaluation, in their order.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    pub(super) forward: Recording,
    pub(super) terms: Recording,
    pub(super) backward: Recording,
    /// For each mark of these.
    pub(super) runs: Vec<Marked>,
}

/// Finds the buffer of every binding.
struct Binder<'a> {
    device: &'a Device,
    graph: &'a Graph,
    plan: &'a Plan,
    lanes: Lanes,
    parts: &'a [Part],
    scratch: &'a [Buffer],
    borrowed: HashMap<(usize, usize), Buffer>,
    made: HashMap<Vec<u32>, Buffer>,
    uniforms: Buffer,
    /// Bound where a kernel does not look, one for each binding: none is seen twice.
    unused: Vec<Buffer>,
}

impl<'a> Binder<'a> {
    fn new(
        device: &'a Device,
        graph: &'a Graph,
        plan: &'a Plan,
        tasks: &[Task<'_>],
        (parts, scratch, lanes): (&'a [Part], &'a [Buffer], Lanes),
    ) -> Result<Self, GpuError> {
        let mut words = Vec::new();
        for run in tasks.iter().flat_map(|t| &t.work.runs) {
            let end = words.len() + UNIFORM_STRIDE;
            words.extend(run.uniforms.iter().map(|&(_, n)| u32::try_from(n).expect("below 2³²")));
            words.resize(end, 0);
        }
        let mut binder = Self {
            device,
            graph,
            plan,
            lanes,
            parts,
            scratch,
            borrowed: HashMap::new(),
            made: HashMap::new(),
            uniforms: device.uniforms("sizes", &words)?,
            unused: (0..UNUSED).map(|_| device.storage("unused", 4)).collect::<Result<_, _>>()?,
        };
        for task in tasks {
            let operator = graph.nodes[task.node].operator.as_ref().expect("an operator's task");
            let label = format!("a table of {}", operator.name());
            for binding in task.work.runs.iter().flat_map(|r| &r.bindings) {
                binder.upload(&label, binding)?;
            }
        }
        Ok(binder)
    }

    /// Uploads a table that is not on the device yet.
    fn upload(&mut self, label: &str, binding: &Binding<'_>) -> Result<(), GpuError> {
        let table = || match binding {
            Binding::Numbers(table) => Ok(Some(self.device.table(label, table)?)),
            Binding::Doubles(table) => Ok(Some(self.device.table(label, table)?)),
            Binding::Indices(table) => Ok(Some(self.device.table(label, table)?)),
            _ => Ok::<_, GpuError>(None),
        };
        if is_borrowed(binding) {
            let key = key(binding);
            if !self.borrowed.contains_key(&key) {
                let table = table()?;
                self.borrowed.extend(table.map(|table| (key, table)));
            }
            return Ok(());
        }
        let words = words(binding);
        if !self.made.contains_key(&words) {
            let table = table()?;
            self.made.extend(table.map(|table| (words, table)));
        }
        Ok(())
    }

    fn record(
        &self,
        tasks: &[Task<'_>],
        terms: Option<(&Terms, &TermBuffers)>,
    ) -> Result<Recorded, GpuError> {
        let mut recorded = Recorded::default();
        let steps = &self.plan.steps;
        let middle = steps.iter().position(|s| *s == Step::Terms).unwrap_or(steps.len());
        for part in self.parts {
            self.walk(part, 0..middle, tasks, &mut recorded.forward)?;
        }
        if let Some(terms) = terms {
            self.terms(middle, terms, &mut recorded.terms)?;
            for part in self.parts {
                self.walk(part, middle + 1..steps.len(), tasks, &mut recorded.backward)?;
                self.store(part, &mut recorded.backward);
            }
        }
        Ok(recorded)
    }

    /// Some steps of a part, none of which are the terms.
    fn walk(
        &self,
        part: &Part,
        steps: Range<usize>,
        tasks: &[Task<'_>],
        into: &mut Recording,
    ) -> Result<(), GpuError> {
        let first = tasks.partition_point(|task| task.step < steps.start);
        let mut tasks = tasks[first..].iter().peekable();
        for step in steps {
            if let Step::Load(node) = self.plan.steps[step] {
                self.load(part, node, into);
            }
            self.clear(part, step, into);
            if let Some(task) = tasks.next_if(|task| task.step == step) {
                for (at, run) in task.work.runs.iter().enumerate() {
                    into.mark(task.first + at);
                    self.run(part, task, (run, task.first + at), into)?;
                }
            }
        }
        Ok(())
    }

    /// The loss terms of all maps. The statistics of several parts are put side by side
    /// first, and their gradients taken apart again.
    fn terms(
        &self,
        step: usize,
        (terms, buffers): (&Terms, &TermBuffers),
        into: &mut Recording,
    ) -> Result<(), GpuError> {
        let (device, lanes) = (self.device, self.lanes);
        self.parts.iter().for_each(|part| self.clear(part, step, into));
        if let [part] = self.parts {
            let find = |node| (self.value(part, node), self.gradient(part, node));
            return terms.record(device, lanes, buffers, find, into);
        }
        let mut whole = HashMap::new();
        for (node, reals) in statistics::read(self.graph, self.plan.reading) {
            let one = |label| device.storage(label, reals * lanes.all());
            let (value, gradient) = (one("a statistic")?, one("gradient of a statistic")?);
            into.clear(&value, reals * lanes.all());
            into.clear(&gradient, reals * lanes.all());
            self.copy_parts(node, "pullback", &value, into)?;
            whole.insert(node, (value, gradient));
        }
        let find = |node| (&whole[&node].0, &whole[&node].1);
        terms.record(device, lanes, buffers, find, into)?;
        for (node, _) in statistics::read(self.graph, self.plan.reading) {
            self.copy_parts(node, "forward", &whole[&node].1, into)?;
        }
        Ok(())
    }

    /// Adds the value of a node in every part to the whole; or takes its gradient from
    /// there.
    fn copy_parts(
        &self,
        node: usize,
        entry: &'static str,
        whole: &Buffer,
        into: &mut Recording,
    ) -> Result<(), GpuError> {
        let (rows, width) = (self.graph.nodes[node].shape.reals(), self.lanes.width());
        let job = |(number, part)| Job {
            kernel: "channels",
            entry,
            sizes: vec![
                ("rows", rows),
                ("width", self.lanes.all()),
                ("first", number * width),
                ("count", width),
            ],
            buffers: match entry {
                "forward" => vec![whole.into(), self.gradient(part, node).into()],
                _ => vec![self.value(part, node).into(), whole.into()],
            },
            invocations: rows * width,
        };
        let jobs: Vec<Job<'_>> = self.parts.iter().enumerate().map(job).collect();
        record(self.device, &jobs, into)
    }

    /// Gradients are zero where they begin.
    fn clear(&self, part: &Part, step: usize, into: &mut Recording) {
        for &node in self.plan.clears.get(&step).into_iter().flatten() {
            into.clear(self.gradient(part, node), self.numbers(node));
        }
    }

    fn load(&self, part: &Part, node: usize, into: &mut Recording) {
        let Some(home) = self.plan.value[node] else { return };
        let at = self.start_of(node);
        into.copy((&part.upload, at), (&part.buffers[home], 0), self.numbers(node));
    }

    fn store(&self, part: &Part, into: &mut Recording) {
        for input in &self.graph.inputs {
            // Inputs that the loss does not see keep the zeros that they began with.
            if let Some(home) = self.plan.gradient[input.index()] {
                let at = self.start_of(input.index());
                let numbers = self.numbers(input.index());
                into.copy((&part.buffers[home], 0), (&part.gradient, at), numbers);
            }
        }
    }

    fn run(
        &self,
        part: &Part,
        task: &Task<'_>,
        (run, at): (&Run<'_>, usize),
        into: &mut Recording,
    ) -> Result<(), GpuError> {
        let kernel = self.check(task, run)?;
        let pipeline = pipeline(self.device, kernel, run.entry)?;
        let mut bindings = vec![self.uniforms.piece(at * UNIFORM_STRIDE, UNIFORM_STRIDE)];
        for (binding, unused) in run.bindings.iter().zip(&self.unused) {
            bindings.push(self.find((part, task.node), binding, unused).into());
        }
        into.dispatch(self.device.dispatch(&pipeline, &bindings, run.invocations as u64)?);
        Ok(())
    }

    /// The kernel of a run, if it has the uniforms and bindings that the run gives.
    fn check(
        &self,
        task: &Task<'_>,
        run: &Run<'_>,
    ) -> Result<&'static skyscat_shaders::Kernel, GpuError> {
        let operator = self.graph.nodes[task.node].operator.as_ref().expect("an operator's task");
        let refuse = |given: String, allowed: String| GpuError::Kernel {
            operator: operator.name(),
            kernel: format!("{}.wgsl {}", run.kernel, run.entry),
            given,
            allowed,
        };
        let kernel = skyscat_shaders::kernel(run.kernel)
            .filter(|kernel| kernel.entry(run.entry).is_some())
            .ok_or_else(|| refuse("this entry".to_owned(), "no such one".to_owned()))?;
        let names: Vec<&str> = run.uniforms.iter().map(|(name, _)| *name).collect();
        if names != kernel.uniforms {
            return Err(refuse(format!("{names:?}"), format!("{:?}", kernel.uniforms)));
        }
        let (given, allowed) = (run.bindings.len() + 1, kernel.bindings.len());
        if given != allowed {
            return Err(refuse(format!("{given} bindings"), allowed.to_string()));
        }
        Ok(kernel)
    }

    fn find<'b>(
        &'b self,
        (part, node): (&'b Part, usize),
        binding: &Binding<'_>,
        unused: &'b Buffer,
    ) -> &'b Buffer {
        let input = |i: usize| self.graph.nodes[node].inputs[i].index();
        match binding {
            Binding::Input(i) => self.value(part, input(*i)),
            Binding::Output => self.value(part, node),
            Binding::Cotangent => self.gradient(part, node),
            Binding::Gradient(i) => self.gradient(part, input(*i)),
            Binding::Scratch(i) => &self.scratch[*i],
            Binding::Numbers(_) | Binding::Doubles(_) | Binding::Indices(_) => {
                match is_borrowed(binding) {
                    true => &self.borrowed[&key(binding)],
                    false => &self.made[&words(binding)],
                }
            }
            Binding::Unused => unused,
        }
    }

    fn value<'b>(&self, part: &'b Part, node: usize) -> &'b Buffer {
        &part.buffers[self.plan.value[node].expect("a wanted node has a buffer")]
    }

    fn gradient<'b>(&self, part: &'b Part, node: usize) -> &'b Buffer {
        &part.buffers[self.plan.gradient[node].expect("a differentiated node has a buffer")]
    }

    /// Numbers of a node in one part.
    fn numbers(&self, node: usize) -> usize {
        self.graph.nodes[node].shape.reals() * self.lanes.width()
    }

    /// First number of an input among all variables.
    fn start_of(&self, node: usize) -> usize {
        let before = self.graph.inputs.iter().take_while(|n| n.index() != node);
        before.map(|n| self.numbers(n.index())).sum()
    }
}

fn access(access: skyscat_shaders::Access) -> Access {
    match access {
        skyscat_shaders::Access::Uniform => Access::Uniform,
        skyscat_shaders::Access::Read => Access::Read,
        skyscat_shaders::Access::Write => Access::Write,
    }
}

/// An entry of a kernel in the precision of the device.
pub(super) fn pipeline(
    device: &Device,
    kernel: &'static skyscat_shaders::Kernel,
    name: &'static str,
) -> Result<Arc<Pipeline>, GpuError> {
    let source = if device.is_double() { kernel.double } else { kernel.source };
    let bindings: Vec<Access> = kernel.bindings.iter().map(|a| access(*a)).collect();
    let entry = Entry { kernel: kernel.name, source, name, bindings: &bindings };
    Ok(device.pipeline(&entry)?)
}

/// Whether the operator keeps a table.
pub(super) fn is_borrowed(binding: &Binding<'_>) -> bool {
    matches!(
        binding,
        Binding::Numbers(Cow::Borrowed(_))
            | Binding::Doubles(Cow::Borrowed(_))
            | Binding::Indices(Cow::Borrowed(_))
    )
}

/// Where a borrowed table lies: the graph keeps it while the program is made.
pub(super) fn key(binding: &Binding<'_>) -> (usize, usize) {
    match binding {
        Binding::Numbers(table) => (table.as_ptr() as usize, table.len()),
        Binding::Doubles(table) => (table.as_ptr() as usize, table.len()),
        Binding::Indices(table) => (table.as_ptr() as usize, table.len()),
        _ => (0, 0),
    }
}

/// The 32-bit words of a table.
pub(super) fn words(binding: &Binding<'_>) -> Vec<u32> {
    match binding {
        Binding::Numbers(table) => table.iter().map(|x| x.to_bits()).collect(),
        Binding::Doubles(table) => {
            let halves = |x: &f64| [x.to_bits() as u32, (x.to_bits() >> 32) as u32];
            table.iter().flat_map(halves).collect()
        }
        Binding::Indices(table) => table.to_vec(),
        _ => Vec::new(),
    }
}
