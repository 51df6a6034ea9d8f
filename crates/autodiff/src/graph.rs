//! The description of a computation: nodes, operators, terms and outputs.

use crate::{Operator, Term};
use std::sync::Arc;

/// Size of a node's value for one map; the batch multiplies it.
///
/// In memory a value is `[row][channel][re, im][map]`, the map index innermost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Pixels, coefficients or masks.
    pub rows: usize,
    /// Fields or coefficients a row.
    pub channels: usize,
    /// Whether each channel has a real and an imaginary part.
    pub complex: bool,
}

impl Shape {
    /// A shape of real channels.
    pub fn real(rows: usize, channels: usize) -> Self {
        Self { rows, channels, complex: false }
    }

    /// A shape of complex channels.
    pub fn complex(rows: usize, channels: usize) -> Self {
        Self { rows, channels, complex: true }
    }

    /// Real numbers a row.
    pub fn width(&self) -> usize {
        self.channels * if self.complex { 2 } else { 1 }
    }

    /// Real numbers a map.
    pub fn reals(&self) -> usize {
        self.rows * self.width()
    }
}

/// A value in a [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(pub(crate) u32);

impl Node {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// What can be wrong with a graph.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// An operator was given shapes that it does not accept.
    #[error("operator {operator} was given {given:?}; allowed: {allowed}")]
    Shape {
        /// The operator's name.
        operator: &'static str,
        /// The shapes given.
        given: Vec<Shape>,
        /// What it accepts.
        allowed: String,
    },
    /// A batch of no maps.
    #[error("a program needs at least one map, 0 were given")]
    EmptyBatch,
    /// A gradient was asked of a graph without terms.
    #[error("a gradient needs a loss term, the graph has none")]
    NoTerm,
}

pub(crate) struct NodeData {
    pub(crate) operator: Option<Arc<dyn Operator>>,
    pub(crate) inputs: Vec<Node>,
    pub(crate) shape: Shape,
}

pub(crate) struct TermData {
    pub(crate) term: Box<dyn Term>,
    pub(crate) inputs: Vec<Node>,
    pub(crate) weight: f64,
}

/// A computation over a batch of maps, in topological order.
///
/// ```
/// use skyscat_autodiff::{Affine, Graph, Shape};
/// let mut graph = Graph::new();
/// let x = graph.input(Shape::real(12, 1));
/// let y = graph.apply(Affine::new(vec![2.0; 12], vec![1.0; 12]), &[x])?;
/// graph.output("doubled", y);
/// # Ok::<(), skyscat_autodiff::GraphError>(())
/// ```
#[derive(Default)]
pub struct Graph {
    pub(crate) nodes: Vec<NodeData>,
    pub(crate) inputs: Vec<Node>,
    pub(crate) outputs: Vec<(String, Node)>,
    pub(crate) terms: Vec<TermData>,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// A value that is given at run time; the vector of variables is the
    /// concatenation of all inputs in the order of these calls.
    pub fn input(&mut self, shape: Shape) -> Node {
        let node = self.push(NodeData { operator: None, inputs: Vec::new(), shape });
        self.inputs.push(node);
        node
    }

    /// Applies an operator to nodes of this graph.
    ///
    /// # Errors
    /// [`GraphError::Shape`] if the operator does not accept their shapes.
    pub fn apply(
        &mut self,
        operator: impl Operator + 'static,
        inputs: &[Node],
    ) -> Result<Node, GraphError> {
        self.apply_shared(Arc::new(operator), inputs)
    }

    /// As [`Graph::apply`], for an operator whose tables are used several times.
    ///
    /// # Errors
    /// [`GraphError::Shape`] if the operator does not accept their shapes.
    pub fn apply_shared(
        &mut self,
        operator: Arc<dyn Operator>,
        inputs: &[Node],
    ) -> Result<Node, GraphError> {
        let shapes: Vec<Shape> = inputs.iter().map(|&n| self.shape(n)).collect();
        let repeated = |i: usize| inputs[..i].contains(&inputs[i]);
        if operator.joint() && (0..inputs.len()).any(repeated) {
            return Err(operator.refuse(&shapes, "inputs that differ: its pullback is joint"));
        }
        let shape = operator.shape(&shapes)?;
        Ok(self.push(NodeData { operator: Some(operator), inputs: inputs.to_vec(), shape }))
    }

    /// Adds a loss term: `weight × term(inputs)`.
    pub fn term(&mut self, term: impl Term + 'static, inputs: &[Node], weight: f64) {
        self.terms.push(TermData { term: Box::new(term), inputs: inputs.to_vec(), weight });
    }

    /// Names a node whose value is wanted after a run.
    pub fn output(&mut self, label: impl Into<String>, node: Node) {
        self.outputs.push((label.into(), node));
    }

    /// Forgets the named outputs, so that their memory can be shared.
    pub fn clear_outputs(&mut self) {
        self.outputs.clear();
    }

    /// Shape of a node, for one map.
    pub fn shape(&self, node: Node) -> Shape {
        self.nodes[node.index()].shape
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether the graph has no node.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Real numbers of all inputs, for one map.
    pub fn variables(&self) -> usize {
        self.inputs.iter().map(|&n| self.shape(n).reals()).sum()
    }

    fn push(&mut self, data: NodeData) -> Node {
        let node = Node(u32::try_from(self.nodes.len()).expect("fewer than 2³² nodes"));
        self.nodes.push(data);
        node
    }
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, node) in self.nodes.iter().enumerate() {
            let name = node.operator.as_ref().map_or("input", |op| op.name());
            writeln!(f, "{i:4} {name} {:?} {:?}", node.inputs, node.shape)?;
        }
        Ok(())
    }
}
