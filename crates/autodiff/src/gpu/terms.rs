//! Loss terms of a GPU program: on the host and in f64, as those of the CPU.

use super::GpuError;
use crate::{Graph, Stat, TermValue};
use std::collections::BTreeMap;

/// Statistics in f64, and the terms' values.
#[derive(Debug)]
pub(super) struct HostTerms {
    /// First number of each statistic among those read from the device.
    pub(super) places: BTreeMap<usize, usize>,
    stats: Vec<Vec<f64>>,
    gradients: Vec<Vec<f64>>,
    pub(super) values: Vec<TermValue>,
}

/// Which term has which number that is not finite.
pub(super) struct Culprit {
    term: String,
    what: String,
}

impl Culprit {
    pub(super) fn at(self, evaluation: u64) -> GpuError {
        GpuError::NotFinite { term: self.term, what: self.what, evaluation }
    }
}

impl HostTerms {
    pub(super) fn new(graph: &Graph, maps: usize, places: BTreeMap<usize, usize>) -> Self {
        let inputs = graph.terms.iter().flat_map(|t| &t.inputs);
        let stats: Vec<_> = inputs.map(|&n| vec![0.0; graph.shape(n).reals() * maps]).collect();
        let values = graph.terms.iter().map(|t| TermValue::new(t.term.name())).collect();
        Self { places, gradients: stats.clone(), stats, values }
    }

    /// The loss from padded statistics; their gradients are written, padded too.
    pub(super) fn evaluate(
        &mut self,
        graph: &Graph,
        (maps, lanes): (usize, usize),
        statistics: &[f32],
        cotangents: &mut [f32],
    ) -> Result<f64, Culprit> {
        cotangents.fill(0.0);
        let mut total = 0.0;
        let mut first = 0;
        for (data, value) in graph.terms.iter().zip(&mut self.values) {
            let range = first..first + data.inputs.len();
            first = range.end;
            let term = || data.term.name().to_owned();
            for (node, stat) in data.inputs.iter().zip(&mut self.stats[range.clone()]) {
                let at = self.places[&node.index()];
                let padded = statistics[at..].chunks_exact(lanes);
                let mut size = 0.0;
                for (out, padded) in stat.chunks_exact_mut(maps).zip(padded) {
                    for (out, &x) in out.iter_mut().zip(padded) {
                        *out = f64::from(x);
                        size += out.abs();
                    }
                }
                if !size.is_finite() {
                    let operator = &graph.nodes[node.index()].operator;
                    let name = operator.as_ref().map_or("input", |o| o.name());
                    let what = format!("the result of operator {name} (node {})", node.index());
                    return Err(Culprit { term: term(), what });
                }
            }
            let views: Vec<Stat<'_>> = data
                .inputs
                .iter()
                .zip(&self.stats[range.clone()])
                .map(|(&n, data)| Stat { data, shape: graph.shape(n), maps })
                .collect();
            let mut gradients: Vec<&mut [f64]> =
                self.gradients[range.clone()].iter_mut().map(Vec::as_mut_slice).collect();
            value.value = data.weight * data.term.evaluate(&views, &mut gradients);
            if !value.value.is_finite() {
                return Err(Culprit { term: term(), what: "its value".to_owned() });
            }
            total += value.value;
            for (node, source) in data.inputs.iter().zip(&self.gradients[range]) {
                let at = self.places[&node.index()];
                let padded = cotangents[at..].chunks_exact_mut(lanes);
                for (out, source) in padded.zip(source.chunks_exact(maps)) {
                    for (out, &g) in out.iter_mut().zip(source) {
                        *out += (data.weight * g) as f32;
                    }
                }
            }
        }
        Ok(total)
    }
}
