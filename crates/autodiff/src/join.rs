//! Fields side by side.

use crate::device::{Binding, DeviceCall, DeviceWork, Run};
use crate::kernel::{Forward, JointPullback, Keeps, Kernel, Operator};
use crate::{CpuKernel, GraphError, Shape};
use skyscat_num::Real;

/// Fields that one run of a GPU joins.
const FIELDS: usize = 7;

/// Names of the uniforms of `join.wgsl` for each field: where the field ends among those
/// of the run, and the numbers of a row of it.
const SIZES: [[&str; 2]; FIELDS] = [
    ["end0", "width0"],
    ["end1", "width1"],
    ["end2", "width2"],
    ["end3", "width3"],
    ["end4", "width4"],
    ["end5", "width5"],
    ["end6", "width6"],
];

/// The first channels of each field, one field after the other:
/// `y[row] = x_0[row][..channels_0], x_1[row][..channels_1], …`
#[derive(Clone, Debug)]
pub struct Join {
    channels: Vec<usize>,
}

impl Join {
    /// So many channels of each field.
    pub fn new(channels: Vec<usize>) -> Self {
        Self { channels }
    }

    /// Of each field: where it begins within a row of the result, and its numbers there.
    fn places<'a>(
        &'a self,
        shapes: impl Iterator<Item = Shape> + 'a,
        lanes: usize,
    ) -> impl Iterator<Item = (usize, usize)> + 'a {
        let mut end = 0;
        shapes.zip(&self.channels).map(move |(x, channels)| {
            let count = x.width() / x.channels * channels * lanes;
            end += count;
            (end - count, count)
        })
    }
}

impl Operator for Join {
    fn name(&self) -> &'static str {
        "join"
    }
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, GraphError> {
        let alike = |x: &Shape| (x.rows, x.complex) == (inputs[0].rows, inputs[0].complex);
        let has = |(x, &channels): (&Shape, &usize)| (1..=x.channels).contains(&channels);
        let fits = !inputs.is_empty()
            && inputs.len() == self.channels.len()
            && inputs.iter().all(alike)
            && inputs.iter().zip(&self.channels).all(has);
        if fits {
            return Ok(Shape { channels: self.channels.iter().sum(), ..inputs[0] });
        }
        let allowed =
            format!("as many rows, all complex or none, with {:?} channels", self.channels);
        Err(self.refuse(inputs, &allowed))
    }
    fn keeps(&self) -> Keeps {
        Keeps::Nothing
    }
    fn joint(&self) -> bool {
        true
    }
    fn flops(&self, _inputs: &[Shape]) -> f64 {
        0.0
    }
    fn cpu(&self) -> &dyn CpuKernel {
        self
    }
    fn gpu(&self, call: &DeviceCall<'_>) -> Option<DeviceWork<'_>> {
        let places: Vec<_> = self.places(call.inputs.iter().copied(), call.lanes).collect();
        let width = places.last().map_or(0, |(first, count)| first + count);
        let rows = call.inputs[0].rows;
        let run = |(part, own): (usize, &[(usize, usize)])| {
            let first = own[0].0;
            let mut sizes = vec![("rows", rows), ("width", width), ("first", first)];
            let (mut bindings, mut end) = (Vec::new(), 0);
            for (at, names) in SIZES.iter().enumerate() {
                let input = FIELDS * part + at;
                let mut stride = 0;
                let mut binding = Binding::Unused;
                if let Some((first, count)) = own.get(at) {
                    end = first + count - own[0].0;
                    stride = call.inputs[input].width() * call.lanes;
                    binding = match call.is_forward() {
                        true => Binding::Input(input),
                        false => Binding::Gradient(input),
                    };
                }
                sizes.extend([(names[0], end), (names[1], stride)]);
                bindings.push(binding);
            }
            sizes.extend(["padding0", "padding1", "padding2"].map(|name| (name, 0)));
            bindings.push(if call.is_forward() { Binding::Output } else { Binding::Cotangent });
            Run::new(("join", call.entry()), &sizes, bindings, rows * end)
        };
        let runs = places.chunks(FIELDS).enumerate().map(run).collect();
        Some(DeviceWork { runs, scratch: Vec::new() })
    }
}

impl Kernel for Join {
    fn forward<T: Real>(&self, call: Forward<'_, T>) {
        let lanes = call.inputs[0].lanes;
        let width = call.output.len() / call.inputs[0].shape.rows;
        let places = self.places(call.inputs.iter().map(|x| x.shape), lanes);
        for (x, (first, count)) in call.inputs.iter().zip(places) {
            let rows = call.output.chunks_exact_mut(width).zip(x.data.chunks_exact(x.stride()));
            rows.for_each(|(out, x)| out[first..first + count].copy_from_slice(&x[..count]));
        }
    }

    fn pullback_joint<T: Real>(&self, call: JointPullback<'_, T>) {
        let g = call.cotangent;
        let places = self.places(call.inputs.iter().map(|x| x.shape), g.lanes);
        for ((x, gradient), (first, count)) in call.inputs.iter().zip(call.gradients).zip(places) {
            let rows = gradient.chunks_exact_mut(x.stride()).zip(g.data.chunks_exact(g.stride()));
            for (gradient, g) in rows {
                let own = gradient.iter_mut().zip(&g[first..first + count]);
                own.for_each(|(to, &from)| *to += from);
            }
        }
    }
}
