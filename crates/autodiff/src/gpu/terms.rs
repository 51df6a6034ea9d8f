//! Loss terms of a GPU program: their kernels, their sums, and who is not finite.

use super::GpuError;
use super::job::{Job, record};
use super::lanes::Lanes;
use crate::Graph;
use crate::device::DeviceTerm;
use skyscat_gpu::{Bound, Buffer, Device, Recording};
use std::sync::Arc;

/// Rows of a part of a sum, as `total.wgsl` has them.
const PART: usize = 64;

/// What the uniform struct of a term's kernel has.
const SIZES: [&str; 5] = ["coefficients", "first", "groups", "maps", "stride"];

/// The terms of all groups, ready to be recorded.
#[derive(Debug)]
pub(super) struct Terms {
    /// Kernel, and the columns of all groups, `[coefficient][group][column]`.
    kernels: Vec<(&'static str, Vec<f64>)>,
    /// Real coefficients of all statistics of each term.
    rows: Vec<usize>,
}

/// Buffers that the terms work on.
#[derive(Debug)]
pub(super) struct TermBuffers {
    columns: Vec<Buffer>,
    contributions: Buffer,
    partials: Buffer,
    /// The value of each term and group, `[term][group]`.
    pub(super) values: Buffer,
}

impl Terms {
    /// The kernels of the terms, the columns of each group from its own graph.
    pub(super) fn new(graphs: &[Arc<Graph>], maps: usize) -> Result<Self, GpuError> {
        let (mut kernels, mut rows) = (Vec::new(), Vec::new());
        for (t, data) in graphs[0].terms.iter().enumerate() {
            let count = data.inputs.iter().map(|&n| graphs[0].shape(n).reals()).sum();
            let work = |graph: &Arc<Graph>| {
                let data = &graph.terms[t];
                data.term.gpu(data.weight, maps).filter(fits)
            };
            let name = || data.term.name().to_owned();
            let missing = || GpuError::Term { term: name() };
            let list: Vec<DeviceTerm> =
                graphs.iter().map(|g| work(g).ok_or_else(missing)).collect::<Result<_, _>>()?;
            let (kernel, length) = (list[0].kernel, list[0].columns.len());
            assert!(
                list.iter().all(|w| (w.kernel, w.columns.len()) == (kernel, length)),
                "groups differ in term {}",
                name()
            );
            let width = length / count;
            let row = |c: usize| list.iter().flat_map(move |w| &w.columns[c * width..][..width]);
            kernels.push((kernel, (0..count).flat_map(row).copied().collect()));
            rows.push(count);
        }
        Ok(Self { kernels, rows })
    }

    /// Numbers of every buffer that the terms of so many groups need, by those
    /// of one.
    pub(super) fn lengths(&self, groups: usize) -> Vec<usize> {
        let most = self.rows.iter().copied().max().unwrap_or(0);
        let own = [most * groups, most.div_ceil(PART) * groups, self.rows.len() * groups];
        self.kernels.iter().map(|(_, columns)| columns.len() * groups).chain(own).collect()
    }

    pub(super) fn allocate(&self, device: &Device, groups: usize) -> Result<TermBuffers, GpuError> {
        let columns = self.kernels.iter().map(|(_, table)| device.constants("columns", table));
        let most = self.rows.iter().copied().max().unwrap_or(0);
        Ok(TermBuffers {
            columns: columns.collect::<Result<_, _>>()?,
            contributions: device.storage("contributions", most * groups)?,
            partials: device.storage("parts of terms", most.div_ceil(PART) * groups)?,
            values: device.storage("terms", self.rows.len() * groups)?,
        })
    }

    /// Adds the runs of all terms; `find` has the value and the gradient of a node.
    pub(super) fn record<'a>(
        &self,
        device: &Device,
        graph: &Graph,
        lanes: Lanes,
        buffers: &'a TermBuffers,
        find: impl Fn(usize) -> (&'a Buffer, &'a Buffer),
        into: &mut Recording,
    ) -> Result<(), GpuError> {
        let mut jobs = Vec::new();
        for (t, data) in graph.terms.iter().enumerate() {
            let mut first = 0;
            for &node in &data.inputs {
                let (value, gradient) = find(node.index());
                let coefficients = graph.shape(node).reals();
                let sizes = [coefficients, first, lanes.groups, lanes.maps, lanes.stride];
                jobs.push(Job {
                    kernel: self.kernels[t].0,
                    entry: "evaluate",
                    sizes: SIZES.into_iter().zip(sizes).collect(),
                    buffers: [&buffers.columns[t], value, gradient, &buffers.contributions]
                        .map(Bound::from)
                        .to_vec(),
                    invocations: coefficients * lanes.groups,
                });
                first += coefficients;
            }
            let (rows, groups) = (self.rows[t], lanes.groups);
            let parts = rows.div_ceil(PART);
            for (entry, count) in [("parts", parts * groups), ("finish", groups)] {
                jobs.push(Job {
                    kernel: "total",
                    entry,
                    sizes: vec![("rows", rows), ("groups", groups), ("parts", parts), ("term", t)],
                    buffers: [&buffers.contributions, &buffers.partials, &buffers.values]
                        .map(Bound::from)
                        .to_vec(),
                    invocations: count,
                });
            }
        }
        record(device, &jobs, into)
    }
}

/// Whether a term's kernel is one of a term.
fn fits(term: &DeviceTerm) -> bool {
    skyscat_shaders::kernel(term.kernel).is_some_and(|kernel| {
        let names = kernel.uniforms.iter().filter(|name| !name.starts_with("padding"));
        kernel.entry("evaluate").is_some() && names.eq(SIZES.iter()) && kernel.bindings.len() == 5
    })
}

/// What of a term is not finite: a statistic, given as read from all parts, or its value.
pub(super) fn culprit(
    graph: &Graph,
    term: usize,
    lanes: Lanes,
    group: usize,
    read: impl Fn(usize) -> Result<Vec<f64>, GpuError>,
) -> Result<String, GpuError> {
    for &node in &graph.terms[term].inputs {
        let padded = read(node.index())?;
        let rows = graph.shape(node).reals();
        let mut places = (0..rows).flat_map(|row| lanes.places((rows, row), group));
        if places.any(|at| !padded[at].is_finite()) {
            let operator = &graph.nodes[node.index()].operator;
            let name = operator.as_ref().map_or("input", |o| o.name());
            return Ok(format!("the result of operator {name} (node {})", node.index()));
        }
    }
    Ok("its value".to_owned())
}
