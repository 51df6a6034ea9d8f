//! Loss terms of a GPU program: their kernels, their sums, and who is not finite.

use super::GpuError;
use super::job::{Job, record};
use super::lanes::Lanes;
use super::sources::{Source, sources};
use crate::Graph;
use crate::device::DeviceTerm;
use crate::statistics::Reading;
use skyscat_gpu::{Bound, Buffer, Device, Recording};
use std::sync::Arc;

/// Rows of a part of a sum, as `total.wgsl` has them.
const PART: usize = 64;

/// What the uniform struct of a term's kernel has.
const SIZES: [&str; 4] = ["coefficients", "groups", "maps", "stride"];

/// The terms of all groups, ready to be recorded.
#[derive(Debug)]
pub(super) struct Terms {
    /// Kernel, and the columns of all groups, `[coefficient][group][column]`.
    kernels: Vec<(&'static str, Vec<f64>)>,
    /// Real coefficients of all statistics of each term.
    rows: Vec<usize>,
    /// What each term reads.
    sources: Vec<Vec<Source>>,
}

/// Buffers that the terms work on.
#[derive(Debug)]
pub(super) struct TermBuffers {
    columns: Vec<Buffer>,
    /// Which coefficients each run of a term has.
    picks: Vec<Vec<Buffer>>,
    contributions: Buffer,
    partials: Buffer,
    /// The value of each term and group, `[term][group]`.
    pub(super) values: Buffer,
}

impl Terms {
    /// The kernels of the terms, the columns of each group from its own graph.
    pub(super) fn new(
        graphs: &[Arc<Graph>],
        maps: usize,
        reading: Reading,
    ) -> Result<Self, GpuError> {
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
        let sources = (0..kernels.len()).map(|term| sources(&graphs[0], term, reading));
        let sources = sources.collect();
        Ok(Self { kernels, rows, sources })
    }

    /// Numbers, of so many bytes, of every buffer that the terms of so many groups need, by
    /// those of one.
    pub(super) fn lengths(&self, groups: usize, number_bytes: usize) -> Vec<usize> {
        let most = self.rows.iter().copied().max().unwrap_or(0);
        let own = [most * groups, most.div_ceil(PART) * groups, self.rows.len() * groups];
        let picks = self.sources.iter().flatten();
        let picks = picks.map(|source| (8 * source.picks.len()).div_ceil(number_bytes));
        let columns = self.kernels.iter().map(|(_, columns)| columns.len() * groups);
        columns.chain(picks).chain(own).collect()
    }

    pub(super) fn allocate(&self, device: &Device, groups: usize) -> Result<TermBuffers, GpuError> {
        let columns = self.kernels.iter().map(|(_, table)| device.constants("columns", table));
        let most = self.rows.iter().copied().max().unwrap_or(0);
        let picks = |source: &Source| device.table("picks", source.picks.as_flattened());
        let picks = self.sources.iter().map(|list| list.iter().map(picks).collect());
        Ok(TermBuffers {
            picks: picks.collect::<Result<_, _>>()?,
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
        lanes: Lanes,
        buffers: &'a TermBuffers,
        find: impl Fn(usize) -> (&'a Buffer, &'a Buffer),
        into: &mut Recording,
    ) -> Result<(), GpuError> {
        let mut jobs = Vec::new();
        for (t, sources) in self.sources.iter().enumerate() {
            for (source, picks) in sources.iter().zip(&buffers.picks[t]) {
                let (value, gradient) = find(source.node);
                let coefficients = source.picks.len();
                let sizes = [coefficients, lanes.groups, lanes.maps, lanes.stride];
                let (columns, contributions) = (&buffers.columns[t], &buffers.contributions);
                let bound = [columns, value, gradient, contributions, picks];
                jobs.push(Job {
                    kernel: self.kernels[t].0,
                    entry: "evaluate",
                    sizes: SIZES.into_iter().zip(sizes).collect(),
                    buffers: bound.map(Bound::from).to_vec(),
                    invocations: coefficients * lanes.groups,
                });
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
        kernel.entry("evaluate").is_some() && names.eq(SIZES.iter()) && kernel.bindings.len() == 6
    })
}

/// What of a term is not finite: a statistic, given as read from all parts, or its value.
pub(super) fn culprit(
    graph: &Graph,
    (term, reading): (usize, Reading),
    lanes: Lanes,
    group: usize,
    read: impl Fn(usize) -> Result<Vec<f64>, GpuError>,
) -> Result<String, GpuError> {
    for Source { node, picks } in sources(graph, term, reading) {
        let padded = read(node)?;
        let rows = graph.nodes[node].shape.reals();
        let own = picks.iter().map(|[_, row]| (rows, *row as usize));
        let mut places = own.flat_map(|row| lanes.places(row, group));
        if places.any(|at| !padded[at].is_finite()) {
            let operator = &graph.nodes[node].operator;
            let name = operator.as_ref().map_or("input", |o| o.name());
            return Ok(format!("the result of operator {name} (node {node})"));
        }
    }
    Ok("its value".to_owned())
}
