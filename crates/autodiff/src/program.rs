//! A compiled graph: buffers placed, ready to run without allocating another.

use crate::meeting::Meeting;
use crate::plan::{Plan, Step};
use crate::statistics::{Reading, places};
use crate::{
    Cut, Field, Floor, Forward, Graph, GraphError, HostVector, JointPullback, Keeps, MemoryPlan,
    Objective, Part, Pieces, Precision, Pullback, Purpose, Shape, TermValue,
};
use rayon::prelude::*;
use skyscat_num::{Aligned, Par};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Largest number of inputs of one operator.
pub(crate) const MAX_INPUTS: usize = 64;

/// Time of all calls of one operator in one direction.
#[derive(Clone, Debug, PartialEq)]
pub struct OperatorTime {
    /// Its name.
    pub operator: &'static str,
    /// Whether it is the pullback.
    pub backward: bool,
    /// Number of calls.
    pub calls: usize,
    /// Their wall time.
    pub time: Duration,
}

/// A graph compiled for the CPU in precision `T`, for a batch of maps.
///
/// Variables are `[input][row][channel][re, im][map]`, the concatenation of the
/// graph's inputs, the map index innermost and without padding.
pub struct Program<T> {
    graph: Arc<Graph>,
    plan: Plan,
    pieces: Pieces,
    /// The maps whose fields are in the buffers.
    piece: Range<usize>,
    lanes: usize,
    buffers: Vec<Aligned<T>>,
    scratch: Aligned<T>,
    meeting: Meeting,
    par: Par,
}

impl<T: Precision> Program<T> {
    /// Places the graph's values in memory for `maps` maps.
    ///
    /// # Errors
    /// [`GraphError::EmptyBatch`] for no maps; [`GraphError::NoTerm`] if a gradient
    /// is asked of a graph without terms; [`GraphError::Shape`] for an operator
    /// with more than 64 inputs.
    pub fn compile(
        graph: Arc<Graph>,
        maps: usize,
        purpose: Purpose,
        par: &Par,
    ) -> Result<Self, GraphError> {
        Self::compile_pieces(graph, Pieces::whole(maps), purpose, par)
    }

    /// The same for this rank's share of a batch: the terms are those of the whole batch,
    /// its statistics exchanged once an evaluation; variables and gradient are of the
    /// rank's own maps. All ranks evaluate together.
    ///
    /// # Errors
    /// As [`Program::compile`].
    pub fn compile_cut(graph: Arc<Graph>, cut: Cut, par: &Par) -> Result<Self, GraphError> {
        Self::compile_pieces(graph, Pieces::of_rank(cut), Purpose::Gradient, par)
    }

    /// The same for maps of which only some have their fields in memory at a time.
    /// Outputs are then those of the last piece.
    ///
    /// # Errors
    /// As [`Program::compile`].
    pub fn compile_pieces(
        graph: Arc<Graph>,
        pieces: Pieces,
        purpose: Purpose,
        par: &Par,
    ) -> Result<Self, GraphError> {
        let (plan, lanes, scratch_len) = Self::place_values(&graph, &pieces, purpose, par)?;
        let buffers = plan.buffers.iter().map(|&n| Aligned::zeros(n * lanes)).collect();
        let scratch = Aligned::zeros(scratch_len);
        let (whole, _) = pieces.place();
        let meeting = Meeting::new(&graph, whole, plan.reading);
        Ok(Self {
            plan,
            piece: 0..pieces.most(),
            pieces,
            lanes,
            buffers,
            scratch,
            meeting,
            par: par.clone(),
            graph,
        })
    }

    /// Buffers, lanes, and numbers of scratch of a program.
    fn place_values(
        graph: &Graph,
        pieces: &Pieces,
        purpose: Purpose,
        par: &Par,
    ) -> Result<(Plan, usize, usize), GraphError> {
        pieces.check()?;
        if purpose == Purpose::Gradient && graph.terms.is_empty() {
            return Err(GraphError::NoTerm);
        }
        if let Some(node) = graph.nodes.iter().find(|n| n.inputs.len() > MAX_INPUTS) {
            let shapes: Vec<Shape> = node.inputs.iter().map(|&i| graph.shape(i)).collect();
            let operator = node.operator.as_ref().expect("has inputs");
            return Err(operator.refuse(&shapes, "at most 64 inputs"));
        }
        let lanes = T::padded(pieces.most());
        let scratch = graph.nodes.iter().filter_map(|node| {
            let shapes: Vec<Shape> = node.inputs.iter().map(|&i| graph.shape(i)).collect();
            node.operator.as_ref().map(|op| T::scratch(op.cpu(), &shapes, lanes))
        });
        let scratch = par.install(|| scratch.max().unwrap_or(0));
        Ok((Plan::new(graph, purpose, Reading::InPlace), lanes, scratch))
    }

    /// What such a program takes, and the least work of its evaluation, without making it.
    ///
    /// # Errors
    /// As [`Program::compile`].
    pub fn measure(
        graph: &Graph,
        pieces: &Pieces,
        purpose: Purpose,
        par: &Par,
    ) -> Result<(MemoryPlan, Floor), GraphError> {
        let (plan, lanes, scratch) = Self::place_values(graph, pieces, purpose, par)?;
        Ok((memory::<T>(&plan, lanes, scratch), floor::<T>(&plan, graph, pieces)))
    }

    /// Number of maps that it works on.
    pub fn maps(&self) -> usize {
        self.pieces.maps()
    }

    /// Length of the vector of variables.
    pub fn variables(&self) -> usize {
        self.graph.variables() * self.maps()
    }

    /// Runs the graph forward, so that outputs can be read.
    ///
    /// # Panics
    /// If `x` has not the length of [`Program::variables`].
    pub fn evaluate(&mut self, x: &[T]) {
        assert_eq!(x.len(), self.variables(), "length of the variables");
        let par = self.par.clone();
        par.install(|| {
            for piece in self.pieces.ranges() {
                self.piece = piece;
                self.steps_forward().for_each(|at| self.step(at, x));
            }
        });
    }

    /// Value of a named output of the last run, `[row][channel][re, im][map]`, in f64.
    ///
    /// Each label names one node; `None` if the graph has no such output.
    pub fn output(&self, label: &str) -> Option<(Shape, Vec<f64>)> {
        let (_, node) = self.graph.outputs.iter().find(|(l, _)| l == label)?;
        let shape = self.graph.shape(*node);
        let maps = self.piece.len();
        let mut out = vec![0.0; shape.reals() * maps];
        self.read((node.index(), 0..shape.reals()), &mut out, (maps, 0));
        Some((shape, out))
    }

    /// The loss at `x`, and its gradient.
    ///
    /// # Panics
    /// If the program was compiled for values, or a length is not
    /// [`Program::variables`].
    pub fn value_and_gradient(&mut self, x: &[T], gradient: &mut [T]) -> f64 {
        assert_eq!(x.len(), self.variables(), "length of the variables");
        assert_eq!(gradient.len(), self.variables(), "length of the gradient");
        let par = self.par.clone();
        par.install(|| self.run(x, gradient, &mut Self::step))
    }

    /// One evaluation, with the time that each operator took: where a program's time
    /// goes, in descending order.
    ///
    /// # Panics
    /// As [`Program::value_and_gradient`].
    pub fn profile(&mut self, x: &[T]) -> Vec<OperatorTime> {
        let mut times: BTreeMap<(&'static str, bool), (usize, Duration)> = BTreeMap::new();
        let mut gradient = vec![T::default(); self.variables()];
        let mut timed = |program: &mut Self, at: usize, x: &[T]| {
            let (node, backward) = match program.plan.steps[at] {
                Step::Load(node) | Step::Forward(node) => (Some(node), false),
                Step::Pullback { node, .. } | Step::Joint(node) => (Some(node), true),
                Step::Terms => (None, false),
            };
            let operator = node.map(|n| program.graph.nodes[n].operator.as_ref());
            let name = operator.map_or("terms", |o| o.map_or("input", |o| o.name()));
            let start = Instant::now();
            program.step(at, x);
            let sum = times.entry((name, backward)).or_default();
            *sum = (sum.0 + 1, sum.1 + start.elapsed());
        };
        let par = self.par.clone();
        par.install(|| self.run(x, &mut gradient, &mut timed));
        let time = |((operator, backward), (calls, time))| OperatorTime {
            operator,
            backward,
            calls,
            time,
        };
        let mut list: Vec<OperatorTime> = times.into_iter().map(time).collect();
        list.sort_by_key(|t| std::cmp::Reverse(t.time));
        list
    }

    /// All steps, by `step`: forward through the pieces, the terms, back through them.
    fn run(
        &mut self,
        x: &[T],
        gradient: &mut [T],
        step: &mut impl FnMut(&mut Self, usize, &[T]),
    ) -> f64 {
        let forward = self.steps_forward();
        let terms = forward.end;
        let pieces = self.pieces.ranges();
        for piece in &pieces {
            self.piece = piece.clone();
            forward.clone().for_each(|at| step(self, at, x));
            self.read_stats();
        }
        if let Some(cut) = self.pieces.cut() {
            cut.complete(&mut self.meeting.values);
        }
        step(self, terms, x);
        for (at, piece) in pieces.iter().enumerate().rev() {
            if at + 1 < pieces.len() {
                self.piece = piece.clone();
                forward.clone().for_each(|at| step(self, at, x));
            }
            self.write_term_gradients(terms);
            (terms + 1..self.plan.steps.len()).for_each(|at| step(self, at, x));
            self.store(gradient);
        }
        self.terms().iter().map(|term| term.value).sum()
    }

    /// The steps before the terms; those after them go back.
    fn steps_forward(&self) -> Range<usize> {
        let steps = &self.plan.steps;
        0..steps.iter().position(|s| *s == Step::Terms).unwrap_or(steps.len())
    }

    fn step(&mut self, at: usize, x: &[T]) {
        match self.plan.steps[at] {
            Step::Load(node) => self.load(node, x),
            Step::Forward(node) => self.forward(node),
            Step::Terms => self.meeting.evaluate(&self.graph),
            Step::Pullback { node, which } => self.pullback(at, node, which),
            Step::Joint(node) => self.joint(at, node),
        }
    }

    /// The loss terms of the last evaluation, weights included.
    pub fn terms(&self) -> &[TermValue] {
        &self.meeting.terms
    }

    /// Memory of this program.
    pub fn memory(&self) -> MemoryPlan {
        memory::<T>(&self.plan, self.lanes, self.scratch.len())
    }

    /// The least work of one run of this program, without padding.
    pub fn floor(&self) -> Floor {
        floor::<T>(&self.plan, &self.graph, &self.pieces)
    }

    fn field_of<'d>(&self, data: &'d [T], shape: Shape) -> Field<'d, T> {
        Field { data, shape, lanes: self.lanes, maps: self.pieces.most() }
    }

    fn field(&self, node: usize) -> Field<'_, T> {
        let shape = self.graph.nodes[node].shape;
        let data = match self.plan.value[node] {
            Some(buffer) => &self.buffers[buffer][..shape.reals() * self.lanes],
            None => &[],
        };
        self.field_of(data, shape)
    }

    fn load(&mut self, node: usize, x: &[T]) {
        let Some(buffer) = self.plan.value[node] else { return };
        let (maps, lanes, piece) = (self.maps(), self.lanes, self.piece.clone());
        let x = &x[input_range(&self.graph, maps, node)];
        let len = self.graph.nodes[node].shape.reals() * lanes;
        self.buffers[buffer][..len].par_chunks_mut(lanes).zip(x.par_chunks(maps)).for_each(
            |(padded, row)| {
                padded[..piece.len()].copy_from_slice(&row[piece.clone()]);
                padded[piece.len()..].fill(T::default());
            },
        );
    }

    fn store(&self, gradient: &mut [T]) {
        let (maps, lanes, piece) = (self.maps(), self.lanes, self.piece.clone());
        for input in &self.graph.inputs {
            let out = &mut gradient[input_range(&self.graph, maps, input.index())];
            let rows = out.par_chunks_mut(maps);
            match self.plan.gradient[input.index()] {
                Some(buffer) => {
                    rows.zip(self.buffers[buffer].par_chunks(lanes)).for_each(|(row, padded)| {
                        row[piece.clone()].copy_from_slice(&padded[..piece.len()])
                    })
                }
                None => out.fill(T::default()),
            }
        }
    }

    /// Copies some numbers of a node into rows of `row` maps, from the map `first` on.
    fn read(
        &self,
        (node, places): (usize, impl Iterator<Item = usize>),
        out: &mut [f64],
        (row, first): (usize, usize),
    ) {
        let data = self.field(node).data;
        for (out, place) in out.chunks_exact_mut(row).zip(places) {
            let padded = &data[place * self.lanes..][..self.lanes];
            for (o, &v) in out[first..first + self.piece.len()].iter_mut().zip(padded) {
                *o = v.to_f64();
            }
        }
    }

    /// Maps of the whole batch, and which of them is the first in the buffers.
    fn place(&self) -> (usize, usize) {
        let (whole, first) = self.pieces.place();
        (whole, first + self.piece.start)
    }

    /// The inputs of all terms, of the maps in the buffers; those of the maps of other
    /// ranks are 0 until all have been added up.
    fn read_stats(&mut self) {
        let alone = self.pieces.cut().is_none() || self.piece.start > 0;
        let mut meeting = std::mem::take(&mut self.meeting);
        meeting.read(&self.graph, |node, values| {
            if !alone {
                values.fill(0.0);
            }
            let places = places(&self.graph, node.index(), self.plan.reading);
            self.read(places, values, self.place());
        });
        self.meeting = meeting;
    }

    /// The inputs of a node; without data once they may have been overwritten.
    fn inputs_of(&self, node: usize, with_data: bool) -> [Field<'_, T>; MAX_INPUTS] {
        let mut fields = [Field::default(); MAX_INPUTS];
        for (field, &input) in fields.iter_mut().zip(&self.graph.nodes[node].inputs) {
            *field = match with_data {
                true => self.field(input.index()),
                false => self.field_of(&[], self.graph.shape(input)),
            };
        }
        fields
    }

    fn forward(&mut self, node: usize) {
        let buffer = self.plan.value[node].expect("a wanted node has a buffer");
        let mut output = std::mem::take(&mut self.buffers[buffer]);
        let mut scratch = std::mem::take(&mut self.scratch);
        let data = &self.graph.nodes[node];
        let operator = data.operator.as_ref().expect("forward of an operator");
        let call = Forward {
            inputs: &self.inputs_of(node, true)[..data.inputs.len()],
            output: &mut output[..data.shape.reals() * self.lanes],
            scratch: &mut scratch,
        };
        T::forward(operator.cpu(), call);
        self.scratch = scratch;
        self.buffers[buffer] = output;
    }

    fn pullback(&mut self, at: usize, node: usize, which: usize) {
        let input = self.graph.nodes[node].inputs[which].index();
        let buffer = self.plan.gradient[input].expect("a differentiated node has a buffer");
        let mut gradient = std::mem::take(&mut self.buffers[buffer]);
        let mut scratch = std::mem::take(&mut self.scratch);
        let data = &self.graph.nodes[node];
        let operator = data.operator.as_ref().expect("pullback of an operator");
        let len = self.graph.nodes[input].shape.reals() * self.lanes;
        if self.plan.begins[input] == Some(at) {
            gradient[..len].par_chunks_mut(1 << 14).for_each(|chunk| chunk.fill(T::default()));
        }
        let cotangent = self.cotangent(node);
        let inputs = self.inputs_of(node, operator.keeps() != Keeps::Nothing);
        let call = Pullback {
            which,
            inputs: &inputs[..data.inputs.len()],
            cotangent,
            gradient: &mut gradient[..len],
            scratch: &mut scratch,
        };
        T::pullback(operator.cpu(), call);
        self.scratch = scratch;
        self.buffers[buffer] = gradient;
    }

    fn joint(&mut self, at: usize, node: usize) {
        let graph = self.graph.clone();
        let data = &graph.nodes[node];
        let operator = data.operator.as_ref().expect("pullback of an operator");
        let mut buffers: [Aligned<T>; MAX_INPUTS] = std::array::from_fn(|_| Aligned::default());
        for (taken, input) in buffers.iter_mut().zip(&data.inputs) {
            let home = self.plan.gradient[input.index()].expect("differentiated");
            *taken = std::mem::take(&mut self.buffers[home]);
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        {
            let mut gradients: [&mut [T]; MAX_INPUTS] = std::array::from_fn(|_| [].as_mut_slice());
            for ((gradient, buffer), input) in
                gradients.iter_mut().zip(&mut buffers).zip(&data.inputs)
            {
                *gradient = &mut buffer[..graph.shape(*input).reals() * self.lanes];
                if self.plan.begins[input.index()] == Some(at) {
                    gradient.par_chunks_mut(1 << 14).for_each(|c| c.fill(T::default()));
                }
            }
            let keeps = operator.keeps();
            let output = match keeps {
                Keeps::InputsAndOutput => self.field(node),
                _ => self.field_of(&[], data.shape),
            };
            let call = JointPullback {
                inputs: &self.inputs_of(node, keeps != Keeps::Nothing)[..data.inputs.len()],
                output,
                cotangent: self.cotangent(node),
                gradients: &mut gradients[..data.inputs.len()],
                scratch: &mut scratch,
            };
            T::joint(operator.cpu(), call);
        }
        self.scratch = scratch;
        for (taken, input) in buffers.iter_mut().zip(&data.inputs) {
            let home = self.plan.gradient[input.index()].expect("differentiated");
            self.buffers[home] = std::mem::take(taken);
        }
    }

    /// ∂L/∂node.
    fn cotangent(&self, node: usize) -> Field<'_, T> {
        let shape = self.graph.nodes[node].shape;
        let buffer = self.plan.gradient[node].expect("has a gradient");
        let data = &self.buffers[buffer][..shape.reals() * self.lanes];
        self.field_of(data, shape)
    }

    /// The gradients of what the terms read, to be summed up from there.
    fn write_term_gradients(&mut self, at: usize) {
        let (_, first) = self.place();
        let home = |node: usize| self.plan.gradient[node].expect("a term's input has a gradient");
        let homes: Vec<usize> = self.meeting.sources.iter().map(|s| home(s.node)).collect();
        let take = |&home: &usize| std::mem::take(&mut self.buffers[home]);
        let mut buffers: Vec<Aligned<T>> = homes.iter().map(take).collect();
        buffers.par_iter_mut().zip(&self.meeting.sources).for_each(|(buffer, source)| {
            let gradient = &mut buffer[..self.graph.nodes[source.node].shape.reals() * self.lanes];
            if self.plan.begins[source.node] == Some(at) {
                gradient.fill(T::default());
            }
            let (from, maps) = ((&*self.graph, self.plan.reading), (first, self.piece.len()));
            self.meeting.add_gradient(from, source, maps, (gradient, self.lanes));
        });
        homes.into_iter().zip(buffers).for_each(|(home, buffer)| self.buffers[home] = buffer);
    }
}

impl<T: Precision> Objective<Vec<T>> for Program<T> {
    fn value_and_gradient(&mut self, x: &Vec<T>, gradient: &mut Vec<T>) -> f64 {
        Program::value_and_gradient(self, x, gradient)
    }

    fn report(&self) -> &[TermValue] {
        &self.meeting.terms
    }

    fn blame(&self) -> Option<String> {
        self.meeting.broken::<T>(&self.graph)
    }
}

impl<T: Precision> Objective<Part<T>> for Program<T> {
    fn value_and_gradient(&mut self, x: &Part<T>, gradient: &mut Part<T>) -> f64 {
        Program::value_and_gradient(self, x.own(), gradient.own_mut())
    }

    fn report(&self) -> &[TermValue] {
        &self.meeting.terms
    }

    fn blame(&self) -> Option<String> {
        self.meeting.broken::<T>(&self.graph)
    }
}

/// Where an input lies in the vector of variables.
fn input_range(graph: &Graph, maps: usize, node: usize) -> Range<usize> {
    let before = graph.inputs.iter().take_while(|n| n.index() != node);
    let start: usize = before.map(|&n| graph.shape(n).reals()).sum();
    start * maps..(start + graph.nodes[node].shape.reals()) * maps
}

/// Memory of a plan with so many lanes a number, and so many numbers of scratch.
fn memory<T>(plan: &Plan, lanes: usize, scratch: usize) -> MemoryPlan {
    let bytes = std::mem::size_of::<T>();
    MemoryPlan {
        buffers: plan.buffers.len(),
        field_bytes: plan.buffers.iter().sum::<usize>() * lanes * bytes,
        unshared_bytes: plan.unshared * lanes * bytes,
        scratch_bytes: scratch * bytes,
    }
}

/// The least work of all steps, those forward once more for maps that are repeated.
fn floor<T>(plan: &Plan, graph: &Graph, pieces: &Pieces) -> Floor {
    let (mut floor, mut maps) = (Floor::default(), pieces.maps() + pieces.repeated());
    for step in &plan.steps {
        if *step == Step::Terms {
            maps = pieces.maps();
        }
        floor.add(step.floor(graph, maps, std::mem::size_of::<T>()));
    }
    floor
}
