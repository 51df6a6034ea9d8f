//! What a normalisation asks of a GPU: factors packed side by side, gradients gathered.

use crate::operators::{Factor, Normalise};
use skyscat_autodiff::device::{Binding, DeviceCall, DeviceWork, Run};

/// Stands for no factor.
const NONE: u32 = u32::MAX;

/// Where the factors of each input begin among all packed ones, and their number.
struct Packed {
    starts: Vec<usize>,
    factors: usize,
}

impl Packed {
    fn new(call: &DeviceCall<'_>) -> Self {
        let mut factors = 0;
        let starts = call.inputs[1..].iter().map(|scale| {
            factors += scale.channels;
            factors - scale.channels
        });
        let starts = starts.collect();
        Self { starts, factors }
    }

    fn at(&self, factor: Factor) -> u32 {
        (self.starts[factor.input] + factor.channel) as u32
    }

    fn maybe(&self, factor: Option<Factor>) -> u32 {
        factor.map_or(NONE, |f| self.at(f))
    }
}

pub(crate) fn work(op: &Normalise, call: &DeviceCall<'_>) -> DeviceWork<'static> {
    use Binding::{Cotangent, Gradient, Input, Output, Scratch, Unused};
    let x = call.inputs[0];
    let packed = Packed::new(call);
    let channels = op.factors.len();
    let parts = x.width() / x.channels;
    let run = |entry, input: usize, bindings: Vec<Binding<'static>>, invocations| {
        let (start, count) = match input {
            0 => (0, 0),
            i => (packed.starts[i - 1], call.inputs[i].channels),
        };
        let sizes = [
            ("rows", x.rows),
            ("channels", channels),
            ("channels_in", x.channels),
            ("parts", parts),
            ("maps", call.lanes),
            ("factors", packed.factors),
            ("start", start),
            ("count", count),
        ];
        Run::new(("normalise", entry), &sizes, bindings, invocations)
    };
    let own = || op.factors.iter();
    let first = || Binding::made(own().map(|(a, _)| packed.at(*a)).collect());
    let second = || Binding::made(own().map(|(_, b)| packed.maybe(*b)).collect());
    let mut runs: Vec<Run<'static>> = (1..call.inputs.len())
        .map(|i| {
            let bindings =
                vec![Input(i), Scratch(0), Unused, Unused, Unused, Unused, Unused, Unused];
            run("pack", i, bindings, call.numbers(i))
        })
        .collect();
    let results = x.rows * channels * parts * call.lanes;
    let (cotangent, to) = match call.is_forward() {
        true => (Unused, Output),
        false => (Cotangent, Gradient(0)),
    };
    let bindings = vec![Input(0), Scratch(0), first(), second(), Unused, Unused, cotangent, to];
    runs.push(run(call.entry(), 0, bindings, results));
    if !call.is_forward() {
        for i in 1..call.inputs.len() {
            let (offsets, members) = members(op, i - 1, call.inputs[i].channels, &packed);
            let (offsets, members) = (Binding::made(offsets), Binding::made(members));
            let bindings = vec![
                Input(0),
                Scratch(0),
                Unused,
                Unused,
                offsets,
                members,
                Cotangent,
                Gradient(i),
            ];
            runs.push(run("along", i, bindings, call.numbers(i)));
        }
    }
    DeviceWork { runs, scratch: vec![x.rows * packed.factors * call.lanes] }
}

/// For each factor of an input: the channels it belongs to, and their other factors.
fn members(op: &Normalise, input: usize, count: usize, packed: &Packed) -> (Vec<u32>, Vec<u32>) {
    let mut lists = vec![Vec::new(); count];
    for (channel, &(a, b)) in op.factors.iter().enumerate() {
        if a.input == input {
            lists[a.channel].push([channel as u32, packed.maybe(b)]);
        }
        if let Some(b) = b.filter(|b| b.input == input) {
            lists[b.channel].push([channel as u32, packed.at(a)]);
        }
    }
    let mut offsets = vec![0];
    for list in &lists {
        offsets.push(offsets.last().expect("starts with 0") + list.len() as u32);
    }
    (offsets, lists.concat().concat())
}
