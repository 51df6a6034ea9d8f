//! Where loss terms find their statistics.

use crate::Graph;
use std::collections::BTreeMap;

/// How loss terms read channels that are only picked out of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// In the field: they are never copied.
    InPlace,
    /// In a place of their own, which is smaller than the field.
    #[cfg_attr(not(feature = "gpu"), allow(dead_code, reason = "batches split on a GPU alone"))]
    Copied,
}

/// Nodes that the terms read, each once, with their real numbers of a map.
pub(crate) fn read(graph: &Graph, reading: Reading) -> BTreeMap<usize, usize> {
    let inputs = graph.terms.iter().flat_map(|term| &term.inputs);
    let nodes = inputs.map(|node| origin(graph, node.index(), reading).0);
    nodes.map(|node| (node, graph.nodes[node].shape.reals())).collect()
}

/// The node that a choice of channels is made from, and the first of them there; a node
/// that is an output has its channels in a place of its own.
fn origin(graph: &Graph, mut node: usize, reading: Reading) -> (usize, usize) {
    let is_output = |node| graph.outputs.iter().any(|(_, output)| output.index() == node);
    let copied = |node| reading == Reading::Copied || is_output(node);
    let mut first = 0;
    while let Some(operator) = graph.nodes[node].operator.as_ref().filter(|_| !copied(node)) {
        let Some(channels) = operator.channels() else { break };
        first += channels.start;
        node = graph.nodes[node].inputs[0].index();
    }
    (node, first)
}

/// Where a node's real coefficients are read: at which node, and which they are there.
pub(crate) fn places(
    graph: &Graph,
    node: usize,
    reading: Reading,
) -> (usize, impl Iterator<Item = usize>) {
    let own = graph.nodes[node].shape;
    let (node, first) = origin(graph, node, reading);
    let whole = graph.nodes[node].shape.width();
    let (start, count) = (first * own.width() / own.channels, own.width());
    (node, (0..own.rows).flat_map(move |row| (row * whole + start..).take(count)))
}
