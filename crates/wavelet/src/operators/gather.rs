//! A real sparse matrix applied to every channel: smoothing, degrading, upgrading.

use super::blocks::{Starts, block_of, lanes_of, starts};
use crate::stencil::{Pattern, Sparse};
use skyscat_autodiff::device::{Binding, DeviceCall, DeviceWork, Run};
use skyscat_autodiff::{
    CpuKernel, Field, Forward, GraphError, Keeps, Kernel, Operator, Pullback, Shape, for_rows,
};
use skyscat_num::{Real, Simd, WithSimd, dispatch_overlapping};
use std::sync::Arc;

/// y_i = Σ_k m_{ik} x_k for every channel, real or complex.
#[derive(Debug)]
pub struct Gather {
    matrix: Arc<Sparse>,
}

impl Gather {
    /// The product with a matrix.
    pub fn new(matrix: Arc<Sparse>) -> Self {
        Self { matrix }
    }
}

impl Operator for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, GraphError> {
        match inputs {
            [x] if x.rows == self.matrix.columns() => Ok(Shape { rows: self.matrix.rows(), ..*x }),
            _ => Err(self.refuse(inputs, &format!("one map of {} rows", self.matrix.columns()))),
        }
    }
    fn keeps(&self) -> Keeps {
        Keeps::Nothing
    }
    fn flops(&self, inputs: &[Shape]) -> f64 {
        (2 * self.matrix.entries() * inputs[0].width()) as f64
    }
    fn table_bytes(&self) -> f64 {
        12.0 * self.matrix.entries() as f64
    }
    fn cpu(&self) -> &dyn CpuKernel {
        self
    }
    fn gpu(&self, call: &DeviceCall<'_>) -> Option<DeviceWork<'_>> {
        let width = call.inputs[0].width() * call.lanes;
        let matrix = &*self.matrix;
        let (pattern, weights) = match call.is_forward() {
            true => (&matrix.forward, &matrix.weights),
            false => (&matrix.backward, &matrix.backward_weights),
        };
        let (from, to) = call.ends();
        let bindings = vec![
            Binding::indices(&pattern.offsets),
            Binding::indices(&pattern.columns),
            call.table(weights),
            from,
            to,
        ];
        let sizes = [("rows", pattern.rows()), ("width", width)];
        let run = ("gather", call.entry());
        Some(DeviceWork::one(Run::new(run, &sizes, bindings, pattern.rows() * width)))
    }
}

impl Kernel for Gather {
    fn forward<T: Real>(&self, call: Forward<'_, T>) {
        let x = call.inputs[0];
        let (pattern, weights) = (&self.matrix.forward, self.matrix.weights.get::<T>());
        for_rows(call.output, x.stride(), |first, rows| {
            dispatch_overlapping::<T, _>(
                x.stride(),
                Rows { pattern, weights, x, first, rows, add: false },
            );
        });
    }

    fn pullback<T: Real>(&self, call: Pullback<'_, T>) {
        let x = call.cotangent;
        let (pattern, weights) = (&self.matrix.backward, self.matrix.backward_weights.get::<T>());
        for_rows(call.gradient, x.stride(), |first, rows| {
            dispatch_overlapping::<T, _>(
                x.stride(),
                Rows { pattern, weights, x, first, rows, add: true },
            );
        });
    }
}

struct Rows<'a, T> {
    pattern: &'a Pattern,
    weights: &'a [T],
    x: Field<'a, T>,
    first: usize,
    rows: &'a mut [T],
    add: bool,
}

impl<T: Real> WithSimd for Rows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { pattern, weights, x, first, rows, add } = self;
        let stride = x.stride();
        let registers = stride.div_ceil(lanes_of::<T, S>());
        for (i, out) in rows.chunks_exact_mut(stride).enumerate() {
            let range = pattern.entries(first + i);
            let row = Row { columns: &pattern.columns[range.clone()], weights: &weights[range], x };
            let mut at = 0;
            while at < registers {
                let block = block_of(registers - at);
                match block {
                    1 => row.sum::<S, 1>(simd, starts::<T, S, 1>(at, stride), add, out),
                    2 => row.sum::<S, 2>(simd, starts::<T, S, 2>(at, stride), add, out),
                    _ => row.sum::<S, 3>(simd, starts::<T, S, 3>(at, stride), add, out),
                }
                at += block;
            }
        }
    }
}

/// One row of the matrix.
struct Row<'a, T> {
    columns: &'a [u32],
    weights: &'a [T],
    x: Field<'a, T>,
}

impl<T: Real> Row<'_, T> {
    /// `B` neighbouring registers.
    #[inline(always)]
    fn sum<S: Simd, const B: usize>(&self, simd: S, starts: Starts<B>, add: bool, out: &mut [T]) {
        let stride = out.len();
        // All are read before any is written, for two may share lanes.
        let mut sum = [T::splat(simd, T::default()); B];
        if add {
            sum = starts.map(|start| T::load::<S>(&out[start..]));
        }
        for (&k, &w) in self.columns.iter().zip(self.weights) {
            let w = T::splat(simd, w);
            let x = &self.x.data[k as usize * stride..][..stride];
            for (sum, start) in sum.iter_mut().zip(starts) {
                *sum = T::mul_add(simd, w, T::load::<S>(&x[start..]), *sum);
            }
        }
        for (start, sum) in starts.into_iter().zip(sum) {
            T::store::<S>(&mut out[start..], sum);
        }
    }
}
