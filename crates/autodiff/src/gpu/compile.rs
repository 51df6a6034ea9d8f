//! From a plan to recorded dispatches.

use super::terms::{TermBuffers, Terms};
use super::{GpuError, GpuProgram, Lanes, fits};
use crate::device::{Binding, DeviceCall, DevicePass, DeviceWork, Run};
use crate::plan::{Plan, Step};
use crate::{Graph, GraphError, Purpose, Shape};
use skyscat_gpu::{Access, Bound, Buffer, Device, Entry, Recording};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// Words between the uniforms of two runs: what every adapter allows.
pub(super) const UNIFORM_STRIDE: usize = 64;

/// What an operator does at a step of the plan.
pub(super) struct Task<'a> {
    step: usize,
    node: usize,
    pub(super) work: DeviceWork<'a>,
}

pub(super) fn compile(
    graphs: &[Arc<Graph>],
    maps: usize,
    purpose: Purpose,
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
    let plan = Plan::new(&graph, purpose);
    let lanes = Lanes::new(maps, graphs.len());
    fits::check((&graph, &plan), lanes, &device)?;
    let tasks = tasks(&graph, &plan, lanes.all())?;
    let buffers = plan.buffers.iter().enumerate();
    let buffers = buffers.map(|(i, &n)| device.storage(&format!("field {i}"), n * lanes.all()));
    let buffers = buffers.collect::<Result<Vec<_>, _>>()?;
    let scratch = (scratch_lengths(&tasks).iter().enumerate())
        .map(|(i, &n)| device.storage(&format!("scratch {i}"), n))
        .collect::<Result<Vec<_>, _>>()?;
    let variables = graph.variables() * lanes.all();
    let upload = device.storage("variables", variables)?;
    let gradient = device.storage("gradient", variables)?;
    let binder = Binder::new(&device, &graph, &plan, &tasks, (&buffers, &scratch, lanes.all()))?;
    let (terms, values) = match purpose {
        Purpose::Values => (None, None),
        Purpose::Gradient => {
            let terms = Terms::new(graphs, maps)?;
            let buffers = terms.allocate(&device, lanes.groups)?;
            (Some((terms, lanes)), Some(buffers))
        }
    };
    let terms = terms.as_ref().zip(values.as_ref());
    let recorded = binder.record(&tasks, &upload, terms, &gradient)?;
    drop((binder, tasks));
    GpuProgram::assemble(
        (graph, plan, device, lanes),
        (buffers, scratch),
        (upload, gradient, values.map(|v| v.values)),
        recorded,
    )
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

/// The work of every operator, in the order of the plan.
pub(super) fn tasks<'a>(
    graph: &'a Graph,
    plan: &Plan,
    lanes: usize,
) -> Result<Vec<Task<'a>>, GpuError> {
    let mut tasks = Vec::new();
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
        let call = DeviceCall { pass, inputs: &inputs, lanes };
        let missing = || GpuError::Operator { operator: operator.name() };
        tasks.push(Task { step, node, work: operator.gpu(&call).ok_or_else(missing)? });
    }
    Ok(tasks)
}

/// Recorded commands of an evaluation, in their order.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    pub(super) forward: Recording,
    pub(super) terms: Recording,
    pub(super) backward: Recording,
}

/// Finds the buffer of every binding.
struct Binder<'a> {
    device: &'a Device,
    graph: &'a Graph,
    plan: &'a Plan,
    lanes: usize,
    buffers: &'a [Buffer],
    scratch: &'a [Buffer],
    borrowed: HashMap<(usize, usize), Buffer>,
    made: HashMap<Vec<u32>, Buffer>,
    uniforms: Buffer,
    /// Bound where a kernel does not look: one to read and one to write.
    unused: [Buffer; 2],
}

impl<'a> Binder<'a> {
    fn new(
        device: &'a Device,
        graph: &'a Graph,
        plan: &'a Plan,
        tasks: &[Task<'_>],
        (buffers, scratch, lanes): (&'a [Buffer], &'a [Buffer], usize),
    ) -> Result<Self, GpuError> {
        let mut words = Vec::new();
        for run in tasks.iter().flat_map(|t| &t.work.runs) {
            let end = words.len() + UNIFORM_STRIDE;
            words.extend(run.uniforms.iter().map(|(_, word)| word.bits()));
            words.resize(end, 0);
        }
        let mut binder = Self {
            device,
            graph,
            plan,
            lanes,
            buffers,
            scratch,
            borrowed: HashMap::new(),
            made: HashMap::new(),
            uniforms: device.uniforms("sizes", &words)?,
            unused: [device.storage("unused", 4)?, device.storage("unused", 4)?],
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
        let key = key(binding);
        match binding {
            Binding::Numbers(Cow::Borrowed(table)) if !self.borrowed.contains_key(&key) => {
                self.borrowed.insert(key, self.device.table(label, table)?);
            }
            Binding::Indices(Cow::Borrowed(table)) if !self.borrowed.contains_key(&key) => {
                self.borrowed.insert(key, self.device.table(label, table)?);
            }
            Binding::Numbers(Cow::Owned(_)) | Binding::Indices(Cow::Owned(_)) => {
                let words = words(binding);
                if !self.made.contains_key(&words) {
                    let table = self.device.table(label, &words)?;
                    self.made.insert(words, table);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn record(
        &self,
        tasks: &[Task<'_>],
        upload: &Buffer,
        terms: Option<(&(Terms, Lanes), &TermBuffers)>,
        gradient: &Buffer,
    ) -> Result<Recorded, GpuError> {
        let mut recorded = Recorded::default();
        let mut tasks = tasks.iter().peekable();
        let mut run_at = 0;
        let mut after = false;
        for (step, what) in self.plan.steps.iter().enumerate() {
            let into = if after { &mut recorded.backward } else { &mut recorded.forward };
            match *what {
                Step::Load(node) => self.load(node, upload, into),
                Step::Pullback { node, which } => {
                    self.begin(step, self.graph.nodes[node].inputs[which].index(), into);
                }
                Step::Joint(node) => {
                    for input in &self.graph.nodes[node].inputs {
                        self.begin(step, input.index(), into);
                    }
                }
                Step::Terms => {
                    let ((terms, lanes), buffers) = terms.expect("a gradient has terms");
                    for node in 0..self.graph.len() {
                        self.begin(step, node, &mut recorded.terms);
                    }
                    let find = |node: usize| (self.value(node), self.gradient(node));
                    let into = &mut recorded.terms;
                    terms.record(self.device, self.graph, *lanes, buffers, find, into)?;
                    after = true;
                }
                Step::Forward(_) => {}
            }
            if let Some(task) = tasks.next_if(|task| task.step == step) {
                let into = if after { &mut recorded.backward } else { &mut recorded.forward };
                into.mark(step);
                for run in &task.work.runs {
                    self.run(task, run, run_at, into)?;
                    run_at += 1;
                }
            }
        }
        if after {
            self.store(gradient, &mut recorded.backward);
        }
        Ok(recorded)
    }

    /// A gradient is zero where it begins.
    fn begin(&self, step: usize, node: usize, into: &mut Recording) {
        if self.plan.begins[node] == Some(step) {
            into.clear(self.gradient(node), self.numbers(node));
        }
    }

    fn load(&self, node: usize, upload: &Buffer, into: &mut Recording) {
        let Some(home) = self.plan.value[node] else { return };
        let at = self.start_of(node);
        into.copy((upload, at), (&self.buffers[home], 0), self.numbers(node));
    }

    fn store(&self, gradient: &Buffer, into: &mut Recording) {
        for input in &self.graph.inputs {
            // Inputs that the loss does not see keep the zeros that they began with.
            if let Some(home) = self.plan.gradient[input.index()] {
                let at = self.start_of(input.index());
                let numbers = self.numbers(input.index());
                into.copy((&self.buffers[home], 0), (gradient, at), numbers);
            }
        }
    }

    fn run(
        &self,
        task: &Task<'_>,
        run: &Run<'_>,
        at: usize,
        into: &mut Recording,
    ) -> Result<(), GpuError> {
        let kernel = self.check(task, run)?;
        let accesses: Vec<Access> = kernel.bindings.iter().map(|a| access(*a)).collect();
        let entry = Entry {
            kernel: kernel.name,
            source: kernel.source,
            name: run.entry,
            bindings: &accesses,
        };
        let pipeline = self.device.pipeline(&entry)?;
        let range = Some((at * UNIFORM_STRIDE, UNIFORM_STRIDE));
        let mut bindings = vec![Bound { buffer: &self.uniforms, range }];
        for (binding, access) in run.bindings.iter().zip(&accesses[1..]) {
            bindings.push(self.find(task.node, binding, *access).into());
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

    fn find(&self, node: usize, binding: &Binding<'_>, access: Access) -> &Buffer {
        let input = |i: usize| self.graph.nodes[node].inputs[i].index();
        match binding {
            Binding::Input(i) => self.value(input(*i)),
            Binding::Output => self.value(node),
            Binding::Cotangent => self.gradient(node),
            Binding::Gradient(i) => self.gradient(input(*i)),
            Binding::Scratch(i) => &self.scratch[*i],
            Binding::Numbers(Cow::Borrowed(_)) | Binding::Indices(Cow::Borrowed(_)) => {
                &self.borrowed[&key(binding)]
            }
            Binding::Numbers(_) | Binding::Indices(_) => &self.made[&words(binding)],
            Binding::Unused => &self.unused[usize::from(access == Access::Write)],
        }
    }

    fn value(&self, node: usize) -> &Buffer {
        &self.buffers[self.plan.value[node].expect("a wanted node has a buffer")]
    }

    fn gradient(&self, node: usize) -> &Buffer {
        &self.buffers[self.plan.gradient[node].expect("a differentiated node has a buffer")]
    }

    fn numbers(&self, node: usize) -> usize {
        self.graph.nodes[node].shape.reals() * self.lanes
    }

    /// First number of an input among all variables.
    fn start_of(&self, node: usize) -> usize {
        let before = self.graph.inputs.iter().take_while(|n| n.index() != node);
        before.map(|n| self.numbers(n.index())).sum()
    }
}

pub(super) fn access(access: skyscat_shaders::Access) -> Access {
    match access {
        skyscat_shaders::Access::Uniform => Access::Uniform,
        skyscat_shaders::Access::Read => Access::Read,
        skyscat_shaders::Access::Write => Access::Write,
    }
}

/// Where a borrowed table lies: the graph keeps it while the program is made.
pub(super) fn key(binding: &Binding<'_>) -> (usize, usize) {
    match binding {
        Binding::Numbers(table) => (table.as_ptr() as usize, table.len()),
        Binding::Indices(table) => (table.as_ptr() as usize, table.len()),
        _ => (0, 0),
    }
}

/// The 32-bit words of a table.
pub(super) fn words(binding: &Binding<'_>) -> Vec<u32> {
    match binding {
        Binding::Numbers(table) => table.iter().map(|x| x.to_bits()).collect(),
        Binding::Indices(table) => table.to_vec(),
        _ => Vec::new(),
    }
}
