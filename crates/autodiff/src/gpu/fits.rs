//! Whether the buffers of a batch fit on a device, and which batch would.

use super::compile::{scratch_lengths, tasks};
use super::{GpuError, Lanes, PADDING};
use crate::Graph;
use crate::plan::Plan;
use skyscat_gpu::Device;

/// Refuses a batch of which one buffer is larger than the device allows.
pub(super) fn check(
    (graph, plan): (&Graph, &Plan),
    lanes: Lanes,
    device: &Device,
) -> Result<(), GpuError> {
    let limits = device.adapter().allowed;
    let allowed = limits.buffer_bytes.min(limits.binding_bytes);
    let (buffer, given) = largest(graph, plan, lanes.all())?;
    if given <= allowed {
        return Ok(());
    }
    // Buffers grow with the lanes: halve what is unknown.
    let (mut fits, mut refused) = (0, lanes.all() / PADDING);
    while refused - fits > 1 {
        let middle = usize::midpoint(fits, refused);
        match largest(graph, plan, middle * PADDING)?.1 <= allowed {
            true => fits = middle,
            false => refused = middle,
        }
    }
    let (adapter, fits) = (device.adapter().name.clone(), fits * PADDING);
    let maps = lanes.maps * lanes.groups;
    Err(GpuError::Batch { adapter, buffer, maps, given, allowed, fits })
}

/// The largest buffer for so many lanes: what it holds, and its bytes.
fn largest(graph: &Graph, plan: &Plan, lanes: usize) -> Result<(String, u64), GpuError> {
    let holds = |buffer: usize| {
        let in_it = |&node: &usize| {
            let home = [plan.value[node], plan.gradient[node]].contains(&Some(buffer));
            home && graph.nodes[node].shape.reals() == plan.buffers[buffer]
        };
        let node = (0..graph.len()).find(in_it).expect("a buffer has the size of what it holds");
        let operator = graph.nodes[node].operator.as_ref();
        format!("the result of {} (node {node})", operator.map_or("input", |o| o.name()))
    };
    let fields = plan.buffers.iter().enumerate().map(|(i, &n)| (holds(i), n * lanes));
    let scratch = scratch_lengths(&tasks(graph, plan, lanes)?).into_iter().enumerate();
    let scratch = scratch.map(|(i, n)| (format!("scratch {i}"), n));
    let variables = ("the variables".to_owned(), graph.variables() * lanes);
    let all = fields.chain(scratch).chain([variables]);
    let (what, numbers) = all.max_by_key(|(_, n)| *n).expect("there are variables");
    Ok((what, 4 * numbers as u64))
}
