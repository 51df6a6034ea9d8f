//! Which steps a program takes, and where each value lives while it is needed.

use crate::statistics::{self, Reading};
use crate::{Graph, Keeps, Shape};
use std::collections::BTreeMap;

/// What a program is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Only the named outputs.
    Values,
    /// The loss and its gradient, and the named outputs.
    Gradient,
}

/// Memory of a compiled program, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Buffers after sharing.
    pub buffers: usize,
    /// Bytes of all buffers: the maps' fields and their gradients.
    pub field_bytes: usize,
    /// Bytes that the same values would take without sharing.
    pub unshared_bytes: usize,
    /// Bytes of scratch.
    pub scratch_bytes: usize,
}

/// The least work of one evaluation, summed over the operators of a program.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Floor {
    /// Floating-point operations.
    pub flops: f64,
    /// Bytes read and written if each operator touches its values and tables once.
    pub bytes: f64,
}

impl Floor {
    pub(crate) fn add(&mut self, other: Self) {
        self.flops += other.flops;
        self.bytes += other.bytes;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Load(usize),
    Forward(usize),
    Terms,
    Pullback {
        node: usize,
        which: usize,
    },
    /// The pullback towards all inputs of a node.
    Joint(usize),
}

impl Step {
    /// The operator's node, and whether the step goes backward.
    pub(crate) fn operator(self) -> Option<(usize, bool)> {
        match self {
            Step::Load(_) | Step::Terms => None,
            Step::Forward(node) => Some((node, false)),
            Step::Pullback { node, .. } | Step::Joint(node) => Some((node, true)),
        }
    }

    /// The least work for numbers of `real` bytes, without padding.
    pub(crate) fn floor(self, graph: &Graph, maps: usize, real: usize) -> Floor {
        let Some((node, _)) = self.operator() else { return Floor::default() };
        let node = &graph.nodes[node];
        let operator = node.operator.as_ref().expect("an operator's step");
        let shapes: Vec<Shape> = node.inputs.iter().map(|&n| graph.shape(n)).collect();
        let inputs: usize = shapes.iter().map(Shape::reals).sum();
        let output = node.shape.reals();
        let kept = match operator.keeps() {
            Keeps::Nothing => 0,
            Keeps::Inputs => inputs,
            Keeps::InputsAndOutput => inputs + output,
        };
        let (reals, flops) = match self {
            Step::Pullback { which, .. } => {
                (output + kept + shapes[which].reals(), operator.flops(&shapes))
            }
            Step::Joint(_) => (output + kept + inputs, operator.joint_flops(&shapes)),
            _ => (output + inputs, operator.flops(&shapes)),
        };
        let real = real as f64;
        Floor {
            flops: flops * maps as f64,
            bytes: (reals * maps) as f64 * real + operator.table_bytes() * real / 8.0,
        }
    }
}

/// Steps in order, and the buffer of each node's value and gradient.
#[derive(Debug)]
pub(crate) struct Plan {
    /// How the terms read their statistics.
    pub(crate) reading: Reading,
    pub(crate) steps: Vec<Step>,
    pub(crate) value: Vec<Option<usize>>,
    pub(crate) gradient: Vec<Option<usize>>,
    /// Step at which a node's gradient begins; it is zeroed there.
    pub(crate) begins: Vec<Option<usize>>,
    /// Nodes whose gradients become 0 before a step where such steps are to be few: as
    /// many as have a buffer by then.
    #[cfg_attr(not(feature = "gpu"), allow(dead_code, reason = "a CPU zeroes one by one"))]
    pub(crate) clears: BTreeMap<usize, Vec<usize>>,
    /// Length of each buffer in reals of one map.
    pub(crate) buffers: Vec<usize>,
    pub(crate) unshared: usize,
}

struct Lifetime {
    node: usize,
    is_gradient: bool,
    size: usize,
    birth: usize,
    death: usize,
}

impl Plan {
    pub(crate) fn new(graph: &Graph, purpose: Purpose, reading: Reading) -> Self {
        let read: Vec<usize> = match purpose {
            Purpose::Values => Vec::new(),
            Purpose::Gradient => statistics::read(graph, reading).into_keys().collect(),
        };
        let differentiated = ancestors(graph, read.iter().copied());
        let outputs = graph.outputs.iter().map(|(_, node)| node.index());
        let wanted = ancestors(graph, read.iter().copied().chain(outputs));
        let steps = order(graph, purpose, &wanted, &differentiated);
        let lives = lifetimes(graph, purpose, (&steps, &read));
        let mut plan = Self {
            reading,
            begins: begins(graph, (&steps, &read)),
            steps,
            clears: BTreeMap::new(),
            value: vec![None; graph.len()],
            gradient: vec![None; graph.len()],
            buffers: Vec::new(),
            unshared: lives.iter().map(|l| l.size).sum(),
        };
        plan.place(&lives);
        plan
    }

    /// Gives each lifetime a buffer; a buffer is used again once its owner is dead.
    fn place(&mut self, lives: &[Lifetime]) {
        let mut free: Vec<usize> = Vec::new();
        // For each buffer the step after its last owner; and gradients in order of birth.
        let (mut since, mut gradients) = (Vec::new(), Vec::new());
        for step in 0..self.steps.len() {
            for life in lives.iter().filter(|l| l.birth == step) {
                let fits = |&b: &usize| self.buffers[b] >= life.size;
                let best = free.iter().copied().filter(fits).min_by_key(|&b| self.buffers[b]);
                let chosen = best.or_else(|| free.iter().copied().max_by_key(|&b| self.buffers[b]));
                let buffer = chosen.unwrap_or_else(|| {
                    self.buffers.push(0);
                    since.push(0);
                    self.buffers.len() - 1
                });
                if life.is_gradient {
                    gradients.push((life.node, since[buffer], step));
                }
                free.retain(|&b| b != buffer);
                self.buffers[buffer] = self.buffers[buffer].max(life.size);
                let home = if life.is_gradient { &mut self.gradient } else { &mut self.value };
                home[life.node] = Some(buffer);
            }
            for life in lives.iter().filter(|l| l.death == step) {
                let home = if life.is_gradient { &self.gradient } else { &self.value };
                let buffer = home[life.node].expect("born before");
                free.push(buffer);
                since[buffer] = step + 1;
            }
        }
        self.clears = clears(&gradients);
    }
}

/// When gradients become 0, each between the step from which its buffer is free and that
/// at which it begins: in order of those, all that can with the first that must.
fn clears(gradients: &[(usize, usize, usize)]) -> BTreeMap<usize, Vec<usize>> {
    let mut clears: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &(node, free, begins) in gradients {
        let known = clears.range_mut(free..=begins).next();
        match known {
            Some((_, nodes)) => nodes.push(node),
            None => clears.entry(begins).or_default().push(node),
        }
    }
    clears
}

/// Nodes that these depend on, themselves among them.
fn ancestors(graph: &Graph, of: impl Iterator<Item = usize>) -> Vec<bool> {
    let mut marked = vec![false; graph.len()];
    of.for_each(|node| marked[node] = true);
    for i in (0..graph.len()).rev() {
        if marked[i] {
            for input in &graph.nodes[i].inputs {
                marked[input.index()] = true;
            }
        }
    }
    marked
}

fn order(graph: &Graph, purpose: Purpose, wanted: &[bool], differentiated: &[bool]) -> Vec<Step> {
    let mut steps: Vec<Step> = (0..graph.len())
        .filter(|&i| wanted[i])
        .map(|i| match graph.nodes[i].operator {
            Some(_) => Step::Forward(i),
            None => Step::Load(i),
        })
        .collect();
    if purpose == Purpose::Gradient {
        steps.push(Step::Terms);
        for node in (0..graph.len()).rev().filter(|&i| differentiated[i]) {
            let data = &graph.nodes[node];
            match &data.operator {
                Some(operator) if operator.joint() => steps.push(Step::Joint(node)),
                _ => {
                    steps.extend((0..data.inputs.len()).map(|which| Step::Pullback { node, which }))
                }
            }
        }
    }
    steps
}

/// Step at which each node's gradient is first added to.
fn begins(graph: &Graph, (steps, read): (&[Step], &[usize])) -> Vec<Option<usize>> {
    let mut first = vec![None; graph.len()];
    for (at, step) in steps.iter().enumerate() {
        match *step {
            Step::Terms => {
                for &node in read {
                    first[node].get_or_insert(at);
                }
            }
            Step::Pullback { node, which } => {
                first[graph.nodes[node].inputs[which].index()].get_or_insert(at);
            }
            Step::Joint(node) => {
                for input in &graph.nodes[node].inputs {
                    first[input.index()].get_or_insert(at);
                }
            }
            Step::Load(_) | Step::Forward(_) => {}
        }
    }
    first
}

fn lifetimes(graph: &Graph, purpose: Purpose, (steps, read): (&[Step], &[usize])) -> Vec<Lifetime> {
    let last = steps.len().saturating_sub(1);
    let mut birth = vec![None; graph.len()];
    let mut death = vec![0; graph.len()];
    let mut gradient_death = vec![0; graph.len()];
    for (at, step) in steps.iter().enumerate() {
        match *step {
            Step::Load(node) => birth[node] = Some(at),
            Step::Forward(node) => {
                birth[node] = Some(at);
                graph.nodes[node].inputs.iter().for_each(|i| death[i.index()] = at);
            }
            Step::Terms => read.iter().for_each(|&node| death[node] = at),
            Step::Pullback { node, which: _ } | Step::Joint(node) => {
                gradient_death[node] = at;
                let operator = graph.nodes[node].operator.as_ref().expect("pullbacks have one");
                if operator.keeps() != Keeps::Nothing {
                    graph.nodes[node].inputs.iter().for_each(|i| death[i.index()] = at);
                }
                if operator.keeps() == Keeps::InputsAndOutput {
                    death[node] = at;
                }
            }
        }
    }
    graph.outputs.iter().for_each(|(_, n)| death[n.index()] = last);
    if purpose == Purpose::Gradient {
        graph.inputs.iter().for_each(|n| gradient_death[n.index()] = last);
    }
    let begins = begins(graph, (steps, read));
    let life = |node: usize, is_gradient: bool, birth: usize, death: usize| Lifetime {
        node,
        is_gradient,
        size: graph.nodes[node].shape.reals(),
        birth,
        death: death.max(birth),
    };
    let mut lives = Vec::new();
    for node in 0..graph.len() {
        lives.extend(birth[node].map(|b| life(node, false, b, death[node])));
        lives.extend(begins[node].map(|b| life(node, true, b, gradient_death[node])));
    }
    lives
}
