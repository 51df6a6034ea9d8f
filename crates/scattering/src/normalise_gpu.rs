//! What a normalisation asks of a GPU: each gradient of a factor is gathered.

use crate::operators::Normalise;
use skyscat_autodiff::device::{Binding, DeviceCall, DeviceWork, Run};

/// Stands for no factor.
const NONE: u32 = u32::MAX;

pub(crate) fn work(op: &Normalise, call: &DeviceCall<'_>) -> DeviceWork<'static> {
    use Binding::{Cotangent, Gradient, Input, Output, Unused};
    let (x, scales) = (call.inputs[0], call.inputs[1]);
    let sizes = [
        ("rows", x.rows),
        ("channels", x.channels),
        ("parts", x.width() / x.channels),
        ("maps", call.lanes),
        ("factors", scales.channels),
        ("padding0", 0),
        ("padding1", 0),
        ("padding2", 0),
    ];
    let run = |entry, own: [Binding<'static>; 4], ends: [Binding<'static>; 2], invocations| {
        let bindings = [Input(0), Input(1)].into_iter().chain(own).chain(ends).collect();
        Run::new(("normalise", entry), &sizes, bindings, invocations)
    };
    let first = op.factors.iter().map(|(a, _)| *a as u32).collect();
    let second = op.factors.iter().map(|(_, b)| b.map_or(NONE, |b| b as u32)).collect();
    let factors = [Binding::made(first), Binding::made(second), Unused, Unused];
    let numbers = call.numbers(0);
    if call.is_forward() {
        return DeviceWork::one(run("forward", factors, [Unused, Output], numbers));
    }
    let (offsets, members) = members(op, scales.channels);
    let along = [Unused, Unused, Binding::made(offsets), Binding::made(members)];
    let runs = vec![
        run("pullback", factors, [Cotangent, Gradient(0)], numbers),
        run("along", along, [Cotangent, Gradient(1)], call.numbers(1)),
    ];
    DeviceWork { runs, scratch: Vec::new() }
}

/// For each factor: the channels it belongs to, and their other factors.
fn members(op: &Normalise, count: usize) -> (Vec<u32>, Vec<u32>) {
    let mut lists = vec![Vec::new(); count];
    for (channel, &(a, b)) in op.factors.iter().enumerate() {
        lists[a].push([channel as u32, b.map_or(NONE, |b| b as u32)]);
        if let Some(b) = b {
            lists[b].push([channel as u32, a as u32]);
        }
    }
    let mut offsets = vec![0];
    for list in &lists {
        offsets.push(offsets.last().expect("starts with 0") + list.len() as u32);
    }
    (offsets, lists.concat().concat())
}
