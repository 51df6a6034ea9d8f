//! Where the maps of a batch meet: the terms of a loss, and the statistics they read.

use crate::statistics::{Reading, places};
use crate::{Graph, Node, Stat, TermValue};
use rayon::prelude::*;
use skyscat_num::Real;

/// The statistics that the terms read, of all maps, and the gradients towards them.
#[derive(Debug, Default)]
pub(crate) struct Meeting {
    /// For each input of each term, one term after the other, `[number][map]`.
    pub(crate) values: Vec<Vec<f64>>,
    /// ∂term/∂value, without the term's weight.
    gradients: Vec<Vec<f64>>,
    /// Each term's value, its weight included.
    pub(crate) terms: Vec<TermValue>,
    pub(crate) sources: Vec<Source>,
    maps: usize,
}

/// A node that terms read, and which of all inputs of all terms are read there.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) node: usize,
    inputs: Vec<usize>,
}

/// All inputs of all terms, with the weights of their terms.
fn inputs(graph: &Graph) -> Vec<(Node, f64)> {
    let of_term = graph.terms.iter().map(|term| term.inputs.iter().map(|&n| (n, term.weight)));
    of_term.flatten().collect()
}

impl Meeting {
    /// Room for so many maps.
    pub(crate) fn new(graph: &Graph, maps: usize, reading: Reading) -> Self {
        let mut sources: Vec<Source> = Vec::new();
        let mut values = Vec::new();
        for (input, (node, _)) in inputs(graph).into_iter().enumerate() {
            values.push(vec![0.0; graph.shape(node).reals() * maps]);
            let (node, _) = places(graph, node.index(), reading);
            match sources.iter_mut().find(|source| source.node == node) {
                Some(source) => source.inputs.push(input),
                None => sources.push(Source { node, inputs: vec![input] }),
            }
        }
        let terms = graph.terms.iter().map(|t| TermValue::new(t.term.name())).collect();
        Self { gradients: values.clone(), values, terms, sources, maps }
    }

    /// Has `read` write the values of every input.
    pub(crate) fn read(&mut self, graph: &Graph, read: impl Fn(Node, &mut [f64]) + Sync) {
        inputs(graph).par_iter().zip(&mut self.values).for_each(|((node, _), v)| read(*node, v));
    }

    /// All terms at once.
    pub(crate) fn evaluate(&mut self, graph: &Graph) {
        let (mut values, mut gradients) = (self.values.iter(), self.gradients.iter_mut());
        let mut tasks = Vec::with_capacity(graph.terms.len());
        for (term, out) in graph.terms.iter().zip(&mut self.terms) {
            let shapes = term.inputs.iter().map(|&node| graph.shape(node));
            let stats: Vec<Stat<'_>> = shapes
                .zip(values.by_ref())
                .map(|(shape, data)| Stat { data, shape, maps: self.maps })
                .collect();
            let gradients = gradients.by_ref().take(term.inputs.len());
            tasks.push((term, out, stats, gradients.map(Vec::as_mut_slice).collect::<Vec<_>>()));
        }
        tasks.into_par_iter().for_each(|(term, out, stats, mut gradients)| {
            out.value = term.weight * term.term.evaluate(&stats, &mut gradients);
        });
    }

    /// Adds to the gradient of a source what its inputs give it: the columns from the map
    /// `first` on, to rows of `lanes`.
    pub(crate) fn add_gradient<T: Real>(
        &self,
        (graph, reading): (&Graph, Reading),
        source: &Source,
        (first, maps): (usize, usize),
        (gradient, lanes): (&mut [T], usize),
    ) {
        let all = inputs(graph);
        for &input in &source.inputs {
            let (node, weight) = all[input];
            let (_, places) = places(graph, node.index(), reading);
            for (place, slopes) in places.zip(self.gradients[input].chunks_exact(self.maps)) {
                let row = &mut gradient[place * lanes..][..lanes];
                for (to, &slope) in row.iter_mut().zip(&slopes[first..first + maps]) {
                    *to += T::from_f64(weight * slope);
                }
            }
        }
    }

    /// The term of the last evaluation whose value or gradient is not finite in `T`.
    pub(crate) fn broken<T: Real>(&self, graph: &Graph) -> Option<String> {
        let mut gradients = self.gradients.iter();
        for (data, TermValue { name, value }) in graph.terms.iter().zip(&self.terms) {
            if !value.is_finite() {
                return Some(format!("the term {name} is {value}"));
            }
            let lost = |s: &f64| !T::from_f64(data.weight * s).to_f64().is_finite();
            if gradients.by_ref().take(data.inputs.len()).flatten().any(lost) {
                return Some(format!("the gradient of the term {name} is not finite"));
            }
        }
        None
    }
}
