//! Masked means of fields, and of their squares.

use crate::stencil::Masks;
use rayon::prelude::*;
use skyscat_autodiff::device::{Binding, DeviceCall, DeviceWork, Run};
use skyscat_autodiff::{
    CpuKernel, Field, Forward, GraphError, Keeps, Kernel, Operator, Pullback, Shape, for_rows,
};
use skyscat_num::{Real, Simd, WithSimd, chunk_rows, dispatch, tree_sum};
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Power {
    One,
    Two,
}

/// ⟨x⟩ or ⟨x²⟩ = Σ m_p x_p / Σ m_p for each mask, channel and map.
///
/// Output: one row a mask, the channels of the input.
#[derive(Debug)]
pub struct MaskedMean {
    masks: Arc<Masks>,
    power: Power,
}

impl MaskedMean {
    /// ⟨x⟩ of real or complex fields.
    pub fn of_values(masks: Arc<Masks>) -> Self {
        Self { masks, power: Power::One }
    }

    /// ⟨x²⟩ of real fields.
    pub fn of_squares(masks: Arc<Masks>) -> Self {
        Self { masks, power: Power::Two }
    }
}

impl Operator for MaskedMean {
    fn name(&self) -> &'static str {
        match self.power {
            Power::One => "mean",
            Power::Two => "mean-square",
        }
    }
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, GraphError> {
        match inputs {
            [x] if x.rows == self.masks.pixels && !(x.complex && self.power == Power::Two) => {
                Ok(Shape { rows: self.masks.masks, ..*x })
            }
            _ => Err(self.refuse(inputs, &format!("one map of {} rows", self.masks.pixels))),
        }
    }
    fn keeps(&self) -> Keeps {
        match self.power {
            Power::One => Keeps::Nothing,
            Power::Two => Keeps::Inputs,
        }
    }
    fn flops(&self, inputs: &[Shape]) -> f64 {
        let per = if self.power == Power::One { 2 } else { 3 };
        (per * inputs[0].reals() * self.masks.masks) as f64
    }
    fn table_bytes(&self) -> f64 {
        (8 * self.masks.pixels * self.masks.masks) as f64
    }
    fn cpu(&self) -> &dyn CpuKernel {
        self
    }
    fn gpu(&self, call: &DeviceCall<'_>) -> Option<DeviceWork<'_>> {
        let x = call.inputs[0];
        let (rows, width) = (x.rows, x.width() * call.lanes);
        let (masks, chunk) = (self.masks.masks, chunk_rows(rows));
        let parts = rows.div_ceil(chunk);
        let sizes = [
            ("rows", rows),
            ("width", width),
            ("masks", masks),
            ("chunk", chunk),
            ("parts", parts),
            ("power", if self.power == Power::One { 1 } else { 2 }),
            ("padding0", 0),
            ("padding1", 0),
        ];
        let run = |entry, ends: [Binding<'static>; 4], invocations| {
            let weights = call.table(&self.masks.weights);
            let bindings = std::iter::once(weights).chain(ends).collect();
            Run::new(("mean", entry), &sizes, bindings, invocations)
        };
        use Binding::{Cotangent, Gradient, Input, Output, Scratch, Unused};
        if !call.is_forward() {
            let source = if self.power == Power::One { Unused } else { Input(0) };
            let ends = [source, Cotangent, Unused, Gradient(0)];
            return Some(DeviceWork::one(run("pullback", ends, rows * width)));
        }
        let block = masks * width;
        let sums = run("forward", [Input(0), Unused, Scratch(0), Unused], parts * block);
        let tree = run("finish", [Unused, Unused, Scratch(0), Output], block);
        Some(DeviceWork { runs: vec![sums, tree], scratch: vec![parts * block] })
    }
}

impl Kernel for MaskedMean {
    fn scratch<T: Real>(&self, inputs: &[Shape], lanes: usize) -> usize {
        let rows = inputs[0].rows;
        rows.div_ceil(chunk_rows(rows)) * self.masks.masks * inputs[0].width() * lanes
    }

    fn forward<T: Real>(&self, call: Forward<'_, T>) {
        let x = call.inputs[0];
        let stride = x.stride();
        let chunk = chunk_rows(x.shape.rows);
        let parts = x.shape.rows.div_ceil(chunk);
        let block = self.masks.masks * stride;
        let partials = &mut call.scratch[..parts * block];
        partials.par_chunks_mut(block).enumerate().for_each(|(part, sums)| {
            let first = part * chunk;
            let count = chunk.min(x.shape.rows - first);
            let data = &x.data[first * stride..][..count * stride];
            let weights = &self.masks.weights.get::<T>()[first * self.masks.masks..];
            dispatch::<T, _>(stride, Sums { data, weights, stride, sums, power: self.power });
        });
        tree_sum(partials, parts);
        call.output.copy_from_slice(&partials[..block]);
    }

    fn pullback<T: Real>(&self, call: Pullback<'_, T>) {
        let x = call.inputs[0];
        let (g, power) = (call.cotangent.data, self.power);
        let weights = self.masks.weights.get::<T>();
        for_rows(call.gradient, x.stride(), |first, rows| {
            dispatch::<T, _>(x.stride(), Spread { weights, g, x, first, rows, power });
        });
    }
}

struct Sums<'a, T> {
    data: &'a [T],
    /// `[row][mask]`, from the first row of `data` on.
    weights: &'a [T],
    stride: usize,
    sums: &'a mut [T],
    power: Power,
}

impl<T: Real> WithSimd for Sums<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let masks = self.sums.len() / self.stride;
        for (mask, sums) in self.sums.chunks_exact_mut(self.stride).enumerate() {
            sums.fill(T::default());
            let sums = T::regs_mut::<S>(sums);
            for (i, row) in self.data.chunks_exact(self.stride).enumerate() {
                let w = T::splat(simd, self.weights[i * masks + mask]);
                for (sum, &x) in sums.iter_mut().zip(T::regs::<S>(row)) {
                    let scaled = match self.power {
                        Power::One => w,
                        Power::Two => T::vmul(simd, w, x),
                    };
                    *sum = T::mul_add(simd, scaled, x, *sum);
                }
            }
        }
    }
}

struct Spread<'a, T> {
    weights: &'a [T],
    g: &'a [T],
    x: Field<'a, T>,
    first: usize,
    rows: &'a mut [T],
    power: Power,
}

impl<T: Real> WithSimd for Spread<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let stride = self.x.stride();
        let masks = self.g.len() / stride;
        for (i, out) in self.rows.chunks_exact_mut(stride).enumerate() {
            let pixel = self.first + i;
            let out = T::regs_mut::<S>(out);
            for (mask, g) in self.g.chunks_exact(stride).enumerate() {
                let w = self.weights[pixel * masks + mask];
                let g = T::regs::<S>(g);
                match self.power {
                    Power::One => {
                        let w = T::splat(simd, w);
                        for (out, g) in out.iter_mut().zip(g) {
                            *out = T::mul_add(simd, w, *g, *out);
                        }
                    }
                    Power::Two => {
                        let w = T::splat(simd, w + w);
                        let x = T::regs::<S>(&self.x.data[pixel * stride..][..stride]);
                        for ((out, g), x) in out.iter_mut().zip(g).zip(x) {
                            *out = T::mul_add(simd, T::vmul(simd, w, *g), *x, *out);
                        }
                    }
                }
            }
        }
    }
}
