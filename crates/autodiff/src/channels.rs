//! Some neighbouring channels of a field.

use crate::device::{DeviceCall, DeviceWork, Run};
use crate::kernel::{Forward, Keeps, Kernel, Operator, Pullback};
use crate::{CpuKernel, GraphError, Shape};
use skyscat_num::Real;
use std::ops::Range;

/// `y[row][c] = x[row][range.start + c]`.
#[derive(Clone, Debug)]
pub struct Channels {
    range: Range<usize>,
}

impl Channels {
    /// The channels of a range.
    pub fn new(range: Range<usize>) -> Self {
        Self { range }
    }

    /// Start and length of the channels within a row, in numbers.
    fn place(&self, shape: Shape, lanes: usize) -> (usize, usize) {
        let channel = shape.width() / shape.channels * lanes;
        (self.range.start * channel, self.range.len() * channel)
    }
}

impl Operator for Channels {
    fn name(&self) -> &'static str {
        "channels"
    }
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, GraphError> {
        match inputs {
            [x] if !self.range.is_empty() && self.range.end <= x.channels => {
                Ok(Shape { channels: self.range.len(), ..*x })
            }
            _ => Err(self.refuse(inputs, &format!("one field with channels {:?}", self.range))),
        }
    }
    fn keeps(&self) -> Keeps {
        Keeps::Nothing
    }
    fn flops(&self, _inputs: &[Shape]) -> f64 {
        0.0
    }
    fn channels(&self) -> Option<Range<usize>> {
        Some(self.range.clone())
    }
    fn cpu(&self) -> &dyn CpuKernel {
        self
    }
    fn gpu(&self, call: &DeviceCall<'_>) -> Option<DeviceWork<'_>> {
        let x = call.inputs[0];
        let (first, count) = self.place(x, call.lanes);
        let (from, to) = call.ends();
        let sizes = [
            ("rows", x.rows),
            ("width", x.width() * call.lanes),
            ("first", first),
            ("count", count),
        ];
        let run = ("channels", call.entry());
        Some(DeviceWork::one(Run::new(run, &sizes, vec![from, to], x.rows * count)))
    }
}

impl Kernel for Channels {
    fn forward<T: Real>(&self, call: Forward<'_, T>) {
        let x = call.inputs[0];
        let (at, len) = self.place(x.shape, x.lanes);
        let rows = x.data.chunks_exact(x.stride()).zip(call.output.chunks_exact_mut(len));
        rows.for_each(|(x, out)| out.copy_from_slice(&x[at..at + len]));
    }

    fn pullback<T: Real>(&self, call: Pullback<'_, T>) {
        let x = call.inputs[0];
        let (at, len) = self.place(x.shape, x.lanes);
        let g = call.cotangent.data.chunks_exact(len);
        for (gradient, g) in call.gradient.chunks_exact_mut(x.stride()).zip(g) {
            gradient[at..at + len].iter_mut().zip(g).for_each(|(to, &from)| *to += from);
        }
    }
}
