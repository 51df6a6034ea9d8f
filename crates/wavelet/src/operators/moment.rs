//! Second moments ⟨X Y*⟩ of complex fields, group by group, and their centring.

use crate::stencil::Masks;
use rayon::prelude::*;
use skyscat_autodiff::{
    CpuKernel, Field, Forward, GraphError, Keeps, Kernel, Operator, Pullback, Shape, for_rows,
};
use skyscat_num::{Arch, Real, Simd, WithSimd, chunk_rows, tree_sum};
use std::sync::Arc;

/// Channels of a moment: X holds `groups·nx`, Y holds `groups·ny`, and the
/// moment pairs them within each group: output channel (g·ny + y)·nx + x.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MomentShape {
    /// Groups that are not mixed.
    pub groups: usize,
    /// Channels of X in a group.
    pub nx: usize,
    /// Channels of Y in a group.
    pub ny: usize,
}

impl MomentShape {
    fn pairs(&self) -> usize {
        self.groups * self.nx * self.ny
    }
}

/// ⟨X_{g,x} Y*_{g,y}⟩ for each mask, group and pair.
#[derive(Debug)]
pub struct Moment {
    shape: MomentShape,
    masks: Arc<Masks>,
}

impl Moment {
    /// The second moment under the given masks.
    pub fn new(shape: MomentShape, masks: Arc<Masks>) -> Self {
        Self { shape, masks }
    }
}

impl Operator for Moment {
    fn name(&self) -> &'static str {
        "moment"
    }
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, GraphError> {
        let s = self.shape;
        let field = |n| Shape::complex(self.masks.pixels, s.groups * n);
        match inputs {
            [x, y] if *x == field(s.nx) && *y == field(s.ny) => {
                Ok(Shape::complex(self.masks.masks, s.pairs()))
            }
            _ => Err(self.refuse(inputs, &format!("{:?} and {:?}", field(s.nx), field(s.ny)))),
        }
    }
    fn keeps(&self) -> Keeps {
        Keeps::Inputs
    }
    fn flops(&self, _inputs: &[Shape]) -> f64 {
        (8 * self.shape.pairs() * self.masks.pixels * self.masks.masks) as f64
    }
    fn table_bytes(&self) -> f64 {
        (8 * self.masks.pixels * self.masks.masks) as f64
    }
    fn cpu(&self) -> &dyn CpuKernel {
        self
    }
}

impl Kernel for Moment {
    fn scratch(&self, inputs: &[Shape], lanes: usize) -> usize {
        let rows = inputs[0].rows;
        rows.div_ceil(chunk_rows(rows)) * self.masks.masks * 2 * self.shape.pairs() * lanes
    }

    fn forward<T: Real>(&self, call: Forward<'_, T>) {
        let (x, y) = (call.inputs[0], call.inputs[1]);
        let rows = x.shape.rows;
        let chunk = chunk_rows(rows);
        let parts = rows.div_ceil(chunk);
        let block = call.output.len();
        let partials = &mut call.scratch[..parts * block];
        partials.par_chunks_mut(block).enumerate().for_each(|(part, out)| {
            let range = part * chunk..(part * chunk + chunk).min(rows);
            let masks = &self.masks;
            Arch::new().dispatch(Products { shape: self.shape, masks, x, y, range, out });
        });
        tree_sum(partials, parts);
        call.output.copy_from_slice(&partials[..block]);
    }

    fn pullback<T: Real>(&self, call: Pullback<'_, T>) {
        let s = self.shape;
        let other = call.inputs[1 - call.which];
        let side = if call.which == 0 {
            Side { out: s.nx, other: s.ny, out_step: 1, other_step: s.nx, sign: 1.0 }
        } else {
            Side { out: s.ny, other: s.nx, out_step: s.nx, other_step: 1, sign: -1.0 }
        };
        let (masks, g) = (&self.masks, call.cotangent);
        let stride = 2 * s.groups * side.out * g.lanes;
        for_rows(call.gradient, stride, |first, rows| {
            Arch::new().dispatch(Spread { shape: s, side, masks, g, other, first, rows });
        });
    }
}

struct Products<'a, T> {
    shape: MomentShape,
    masks: &'a Masks,
    x: Field<'a, T>,
    y: Field<'a, T>,
    range: std::ops::Range<usize>,
    out: &'a mut [T],
}

impl<T: Real> WithSimd for Products<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let MomentShape { groups, nx, ny } = self.shape;
        let registers = T::regs::<S>(&self.out[..self.x.lanes]).len();
        for mask in 0..self.masks.masks {
            for group in 0..groups {
                let mut y = 0;
                while y < ny {
                    let at = (mask, group, y);
                    match (nx.is_multiple_of(4), ny - y) {
                        (true, 2..) => y += self.columns::<S, 4, 2>(simd, at, registers),
                        (true, _) => y += self.columns::<S, 4, 1>(simd, at, registers),
                        (false, 4..) => y += self.columns::<S, 1, 4>(simd, at, registers),
                        (false, _) => y += self.columns::<S, 1, 1>(simd, at, registers),
                    }
                }
            }
        }
    }
}

impl<T: Real> Products<'_, T> {
    #[inline(always)]
    fn columns<S: Simd, const NX: usize, const NY: usize>(
        &mut self,
        simd: S,
        (mask, group, y): (usize, usize, usize),
        registers: usize,
    ) -> usize {
        for x in (0..self.shape.nx).step_by(NX) {
            for lane in 0..registers {
                self.block::<S, NX, NY>(simd, (mask, group, y, x), (lane, registers));
            }
        }
        NY
    }

    /// `NX`×`NY` pairs of one register of lanes, summed over the rows.
    #[inline(always)]
    fn block<S: Simd, const NX: usize, const NY: usize>(
        &mut self,
        simd: S,
        (mask, group, y0, x0): (usize, usize, usize, usize),
        (lane, registers): (usize, usize),
    ) {
        let MomentShape { nx, ny, .. } = self.shape;
        let masks = self.masks.masks;
        let weights = self.masks.weights.get::<T>();
        let (x_stride, y_stride) = (self.x.stride(), self.y.stride());
        let zero = T::splat(simd, T::default());
        let mut sum = [[[zero; 2]; NX]; NY];
        for p in self.range.clone() {
            let w = T::splat(simd, weights[p * masks + mask]);
            let row_x = T::regs::<S>(&self.x.data[p * x_stride..][..x_stride]);
            let row_y = T::regs::<S>(&self.y.data[p * y_stride..][..y_stride]);
            let at_x = 2 * registers * (group * nx + x0) + lane;
            let at_y = 2 * registers * (group * ny + y0) + lane;
            let xs: [[T::Reg<S>; 2]; NX] = std::array::from_fn(|i| {
                let at = at_x + 2 * registers * i;
                [row_x[at], row_x[at + registers]]
            });
            for (j, sum) in sum.iter_mut().enumerate() {
                let at = at_y + 2 * registers * j;
                let yr = T::vmul(simd, w, row_y[at]);
                let yi = T::vmul(simd, w, row_y[at + registers]);
                for (sum, [xr, xi]) in sum.iter_mut().zip(xs) {
                    sum[0] = T::mul_add(simd, xr, yr, sum[0]);
                    sum[0] = T::mul_add(simd, xi, yi, sum[0]);
                    sum[1] = T::mul_add(simd, xi, yr, sum[1]);
                    sum[1] = T::neg_mul_add(simd, xr, yi, sum[1]);
                }
            }
        }
        let out = T::regs_mut::<S>(self.out);
        for (j, sum) in sum.iter().enumerate() {
            for (i, sum) in sum.iter().enumerate() {
                let pair = (group * ny + y0 + j) * nx + x0 + i;
                let at = 2 * registers * (mask * self.shape.pairs() + pair) + lane;
                out[at] = sum[0];
                out[at + registers] = sum[1];
            }
        }
    }
}

/// Which input a pullback goes towards: sizes, steps in the moment's channels,
/// and the sign of the cotangent's imaginary part.
#[derive(Clone, Copy)]
struct Side {
    out: usize,
    other: usize,
    out_step: usize,
    other_step: usize,
    sign: f64,
}

struct Spread<'a, T> {
    shape: MomentShape,
    side: Side,
    masks: &'a Masks,
    g: Field<'a, T>,
    other: Field<'a, T>,
    first: usize,
    rows: &'a mut [T],
}

impl<T: Real> WithSimd for Spread<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let stride = 2 * self.shape.groups * self.side.out * self.g.lanes;
        let rows = self.rows.len() / stride;
        let registers = T::regs::<S>(&self.rows[..self.g.lanes]).len();
        for mask in 0..self.masks.masks {
            for group in 0..self.shape.groups {
                let mut o = 0;
                while o < self.side.out {
                    let step = if self.side.out - o >= 4 { 4 } else { 1 };
                    for lane in 0..registers {
                        for row in 0..rows {
                            let at = (mask, group, o);
                            if step == 4 {
                                self.block::<S, 4>(simd, at, row, (lane, registers));
                            } else {
                                self.block::<S, 1>(simd, at, row, (lane, registers));
                            }
                        }
                    }
                    o += step;
                }
            }
        }
    }
}

impl<T: Real> Spread<'_, T> {
    /// `N` channels of one pixel: out += w Σ_other (g_re ± i g_im)·other.
    #[inline(always)]
    fn block<S: Simd, const N: usize>(
        &mut self,
        simd: S,
        (mask, group, o): (usize, usize, usize),
        row: usize,
        (lane, registers): (usize, usize),
    ) {
        let Side { out, other, out_step, other_step, sign } = self.side;
        let pixel = self.first + row;
        let w = self.masks.weights.get::<T>()[pixel * self.masks.masks + mask];
        let signed = T::splat(simd, w * T::from_f64(sign));
        let w = T::splat(simd, w);
        let stride = self.other.stride();
        let source = T::regs::<S>(&self.other.data[pixel * stride..][..stride]);
        let g = T::regs::<S>(self.g.data);
        let base = self.shape.pairs() * mask + group * self.shape.nx * self.shape.ny;
        let zero = T::splat(simd, T::default());
        let mut sum = [[zero; 2]; N];
        for k in 0..other {
            let at = 2 * registers * (group * other + k) + lane;
            let (re, im) = (source[at], source[at + registers]);
            let (wr, wi) = (T::vmul(simd, w, re), T::vmul(simd, w, im));
            let (sr, si) = (T::vmul(simd, signed, re), T::vmul(simd, signed, im));
            for (n, sum) in sum.iter_mut().enumerate() {
                let pair = base + (o + n) * out_step + k * other_step;
                let (gr, gi) =
                    (g[2 * registers * pair + lane], g[2 * registers * pair + lane + registers]);
                sum[0] = T::mul_add(simd, gr, wr, sum[0]);
                sum[0] = T::neg_mul_add(simd, gi, si, sum[0]);
                sum[1] = T::mul_add(simd, gr, wi, sum[1]);
                sum[1] = T::mul_add(simd, gi, sr, sum[1]);
            }
        }
        let width = 2 * self.shape.groups * out * self.g.lanes;
        let target = T::regs_mut::<S>(&mut self.rows[row * width..][..width]);
        for (n, sum) in sum.iter().enumerate() {
            let at = 2 * registers * (group * out + o + n) + lane;
            target[at] = T::vadd(simd, target[at], sum[0]);
            target[at + registers] = T::vadd(simd, target[at + registers], sum[1]);
        }
    }
}

/// Cov = ⟨X Y*⟩ − ⟨X⟩⟨Y*⟩ from a moment and the two means.
#[derive(Clone, Copy, Debug)]
pub struct Centre {
    shape: MomentShape,
}

impl Centre {
    /// The centring of a moment of the given shape.
    pub fn new(shape: MomentShape) -> Self {
        Self { shape }
    }

    /// For each output channel: its X and Y channels.
    fn pairs(self) -> impl Iterator<Item = (usize, usize)> {
        let MomentShape { groups, nx, ny } = self.shape;
        (0..groups * nx * ny).map(move |c| {
            let (g, y, x) = (c / (nx * ny), c / nx % ny, c % nx);
            (g * nx + x, g * ny + y)
        })
    }
}

impl Operator for Centre {
    fn name(&self) -> &'static str {
        "centre"
    }
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, GraphError> {
        let s = self.shape;
        match inputs {
            [m, x, y]
                if *m == Shape::complex(m.rows, s.pairs())
                    && *x == Shape::complex(m.rows, s.groups * s.nx)
                    && *y == Shape::complex(m.rows, s.groups * s.ny) =>
            {
                Ok(*m)
            }
            _ => Err(self.refuse(inputs, "a moment and the means of its two fields")),
        }
    }
    fn keeps(&self) -> Keeps {
        Keeps::Inputs
    }
    fn flops(&self, inputs: &[Shape]) -> f64 {
        (8 * inputs[0].rows * inputs[0].channels) as f64
    }
    fn cpu(&self) -> &dyn CpuKernel {
        self
    }
}

impl Kernel for Centre {
    fn forward<T: Real>(&self, call: Forward<'_, T>) {
        let [m, x, y] = [call.inputs[0], call.inputs[1], call.inputs[2]];
        let n = m.lanes;
        for row in 0..m.shape.rows {
            let (mx, my) = (&x.data[row * x.stride()..], &y.data[row * y.stride()..]);
            for (c, (cx, cy)) in self.pairs().enumerate() {
                let at = row * m.stride() + 2 * n * c;
                for j in 0..n {
                    let (xr, xi) = (mx[2 * n * cx + j], mx[2 * n * cx + n + j]);
                    let (yr, yi) = (my[2 * n * cy + j], my[2 * n * cy + n + j]);
                    call.output[at + j] = m.data[at + j] - (xr * yr + xi * yi);
                    call.output[at + n + j] = m.data[at + n + j] - (xi * yr - xr * yi);
                }
            }
        }
    }

    fn pullback<T: Real>(&self, call: Pullback<'_, T>) {
        let g = call.cotangent;
        if call.which == 0 {
            call.gradient.iter_mut().zip(g.data).for_each(|(o, &g)| *o += g);
            return;
        }
        let n = g.lanes;
        let towards_x = call.which == 1;
        let other = call.inputs[if towards_x { 2 } else { 1 }];
        let width = call.inputs[call.which].stride();
        for row in 0..g.shape.rows {
            let source = &other.data[row * other.stride()..];
            let out = &mut call.gradient[row * width..][..width];
            for (c, (cx, cy)) in self.pairs().enumerate() {
                let at = row * g.stride() + 2 * n * c;
                let (to, from) = if towards_x { (cx, cy) } else { (cy, cx) };
                for j in 0..n {
                    let (gr, gi) = (g.data[at + j], g.data[at + n + j]);
                    let gi = if towards_x { gi } else { -gi };
                    let (re, im) = (source[2 * n * from + j], source[2 * n * from + n + j]);
                    // −(g·Y) towards X, −(g*·X) towards Y.
                    out[2 * n * to + j] += gi * im - gr * re;
                    out[2 * n * to + n + j] += -(gr * im) - gi * re;
                }
            }
        }
    }
}
