//! Single-channel fields side by side, with their rows in a new order.

use crate::device::{Binding, DeviceCall, DeviceWork, Run};
use crate::kernel::{Forward, Keeps, Kernel, Operator, Pullback};
use crate::{CpuKernel, GraphError, Shape};
use rayon::prelude::*;
use skyscat_num::Real;

/// `y[row][c] = x_c[order[row]]` for inputs of one real channel each.
#[derive(Debug)]
pub struct Stack {
    order: Vec<u32>,
    /// Row of the output that holds each row of the inputs.
    home: Vec<u32>,
}

impl Stack {
    /// A stack whose row `i` is row `order[i]` of every input.
    ///
    /// # Panics
    /// If `order` is not a permutation.
    pub fn new(order: Vec<u32>) -> Self {
        let mut home = vec![u32::MAX; order.len()];
        for (row, &source) in order.iter().enumerate() {
            let slot = &mut home[source as usize];
            assert_eq!(*slot, u32::MAX, "row {source} is used twice");
            *slot = row as u32;
        }
        Self { order, home }
    }
}

impl Operator for Stack {
    fn name(&self) -> &'static str {
        "stack"
    }
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, GraphError> {
        let expected = Shape::real(self.order.len(), 1);
        if !inputs.is_empty() && inputs.iter().all(|x| *x == expected) {
            return Ok(Shape::real(self.order.len(), inputs.len()));
        }
        Err(self.refuse(inputs, &format!("fields of one real channel and {} rows", expected.rows)))
    }
    fn keeps(&self) -> Keeps {
        Keeps::Nothing
    }
    fn flops(&self, _inputs: &[Shape]) -> f64 {
        0.0
    }
    fn table_bytes(&self) -> f64 {
        4.0 * self.order.len() as f64
    }
    fn cpu(&self) -> &dyn CpuKernel {
        self
    }
    fn gpu(&self, call: &DeviceCall<'_>) -> Option<DeviceWork<'_>> {
        let rows = self.order.len();
        let run = |channel, order, from, to| {
            let sizes = [
                ("rows", rows),
                ("channels", call.inputs.len()),
                ("channel", channel),
                ("maps", call.lanes),
            ];
            let bindings = vec![Binding::indices(order), from, to];
            Run::new(("stack", call.entry()), &sizes, bindings, rows * call.lanes)
        };
        if !call.is_forward() {
            let (from, to) = call.ends();
            return Some(DeviceWork::one(run(call.which(), &self.home, from, to)));
        }
        let inputs = 0..call.inputs.len();
        let runs = inputs.map(|i| run(i, &self.order, Binding::Input(i), Binding::Output));
        Some(DeviceWork { runs: runs.collect(), scratch: Vec::new() })
    }
}

impl Kernel for Stack {
    fn forward<T: Real>(&self, call: Forward<'_, T>) {
        let lanes = call.inputs[0].lanes;
        let stride = call.inputs.len() * lanes;
        call.output.par_chunks_mut(stride).zip(&self.order).for_each(|(out, &source)| {
            for (out, x) in out.chunks_exact_mut(lanes).zip(call.inputs) {
                out.copy_from_slice(&x.data[source as usize * lanes..][..lanes]);
            }
        });
    }

    fn pullback<T: Real>(&self, call: Pullback<'_, T>) {
        let g = call.cotangent;
        call.gradient.par_chunks_mut(g.lanes).zip(&self.home).for_each(|(out, &row)| {
            let start = row as usize * g.stride() + call.which * g.lanes;
            out.iter_mut().zip(&g.data[start..][..g.lanes]).for_each(|(o, &g)| *o += g);
        });
    }
}
