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
            let weights = self.masks.weights.get::<T>();
            let masks = self.masks.masks;
            Arch::new().dispatch(Products { shape: self.shape, masks, weights, x, y, range, out });
        });
        tree_sum(partials, parts);
        call.output.copy_from_slice(&partials[..block]);
    }

    fn pullback<T: Real>(&self, call: Pullback<'_, T>) {
        let s = self.shape;
        let towards_x = call.which == 0;
        let (out, other) = if towards_x { (s.nx, s.ny) } else { (s.ny, s.nx) };
        let g = call.cotangent;
        let packed = &mut call.scratch[..g.data.len()];
        Arch::new().dispatch(Pack { shape: s, towards_x, g, packed });
        let packed = &call.scratch[..g.data.len()];
        let weights = self.masks.weights.get::<T>();
        let (masks, lanes, groups) = (self.masks.masks, g.lanes, s.groups);
        let source = call.inputs[1 - call.which];
        for_rows(call.gradient, 2 * groups * out * lanes, |first, rows| {
            let sizes = Sizes { masks, groups, out, other, lanes };
            Arch::new().dispatch(Spread { sizes, weights, packed, source, first, rows });
        });
    }
}

struct Products<'a, T> {
    shape: MomentShape,
    masks: usize,
    weights: &'a [T],
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
        for mask in 0..self.masks {
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
        let (x_stride, y_stride) = (self.x.stride(), self.y.stride());
        let (width, lanes) = (2 * registers, self.x.lanes);
        let (at_x, at_y) = (2 * lanes * (group * nx + x0), 2 * lanes * (group * ny + y0));
        let zero = T::splat(simd, T::default());
        let mut sum = [[[zero; 2]; NX]; NY];
        for p in self.range.clone() {
            let w = T::splat(simd, self.weights[p * self.masks + mask]);
            let row_x = T::regs::<S>(&self.x.data[p * x_stride + at_x..][..2 * lanes * NX]);
            let row_y = T::regs::<S>(&self.y.data[p * y_stride + at_y..][..2 * lanes * NY]);
            let mut xs = [[zero; 2]; NX];
            for (x, channel) in xs.iter_mut().zip(row_x.chunks_exact(width)) {
                *x = [channel[lane], channel[lane + registers]];
            }
            for (sum, channel) in sum.iter_mut().zip(row_y.chunks_exact(width)) {
                let yr = T::vmul(simd, w, channel[lane]);
                let yi = T::vmul(simd, w, channel[lane + registers]);
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

/// Packs a cotangent as [`Spread`] reads it, `[mask][group][lane][other][out]`, with
/// the sign that its imaginary part has towards this input.
struct Pack<'a, T> {
    shape: MomentShape,
    towards_x: bool,
    g: Field<'a, T>,
    packed: &'a mut [T],
}

impl<T: Real> WithSimd for Pack<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let MomentShape { groups, nx, ny } = self.shape;
        let g = T::regs::<S>(self.g.data);
        let packed = T::regs_mut::<S>(self.packed);
        let registers = T::regs::<S>(&self.g.data[..self.g.lanes]).len();
        let zero = T::splat(simd, T::default());
        let mut at = 0;
        for block in 0..self.g.shape.rows * groups {
            for lane in 0..registers {
                for pair in 0..nx * ny {
                    // Towards X the sum runs over y, with x inside; towards Y over x.
                    let (x, y) = match self.towards_x {
                        true => (pair % nx, pair / nx),
                        false => (pair / ny, pair % ny),
                    };
                    let from = 2 * registers * ((block * ny + y) * nx + x) + lane;
                    let im = g[from + registers];
                    packed[at] = g[from];
                    packed[at + 1] = if self.towards_x { im } else { T::vsub(simd, zero, im) };
                    at += 2;
                }
            }
        }
    }
}

/// Sizes of a pullback.
#[derive(Clone, Copy)]
struct Sizes {
    masks: usize,
    groups: usize,
    /// Channels a group of the input that the gradient is for, and of the other.
    out: usize,
    other: usize,
    lanes: usize,
}

/// out += w Σ_other g·other, pixel by pixel.
struct Spread<'a, T> {
    sizes: Sizes,
    weights: &'a [T],
    packed: &'a [T],
    source: Field<'a, T>,
    first: usize,
    rows: &'a mut [T],
}

/// Pixels whose rows stay in the cache while all their channels are done.
const TILE: usize = 8;

impl<T: Real> WithSimd for Spread<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let Sizes { masks, groups, out, lanes, .. } = self.sizes;
        let rows = self.rows.len() / (2 * groups * out * lanes);
        for tile in (0..rows).step_by(TILE) {
            let tile = tile..(tile + TILE).min(rows);
            for mask in 0..masks {
                for group in 0..groups {
                    let mut o = 0;
                    while o + 4 <= out {
                        self.block::<S, 4>(simd, (mask, group, o), tile.clone());
                        o += 4;
                    }
                    while o < out {
                        self.block::<S, 1>(simd, (mask, group, o), tile.clone());
                        o += 1;
                    }
                }
            }
        }
    }
}

impl<T: Real> Spread<'_, T> {
    /// `N` channels of some pixels: out += w Σ_other (g_re ± i g_im)·other.
    #[inline(always)]
    fn block<S: Simd, const N: usize>(
        &mut self,
        simd: S,
        (mask, group, o): (usize, usize, usize),
        tile: std::ops::Range<usize>,
    ) {
        let Sizes { masks, groups, out, other, lanes } = self.sizes;
        let registers = T::regs::<S>(&self.packed[..lanes]).len();
        let pairs = 2 * out * other;
        let packed = T::regs::<S>(self.packed);
        let packed = &packed[(mask * groups + group) * registers * pairs..][..registers * pairs];
        let stride = self.source.stride();
        let zero = T::splat(simd, T::default());
        for (lane, packed) in packed.chunks_exact(pairs).enumerate() {
            for row in tile.clone() {
                let pixel = self.first + row;
                let w = T::splat(simd, self.weights[pixel * masks + mask]);
                let source = &self.source.data[pixel * stride + 2 * lanes * group * other..];
                let source = T::regs::<S>(&source[..2 * lanes * other]);
                let mut sum = [[zero; 2]; N];
                let terms = source.chunks_exact(2 * registers).zip(packed.chunks_exact(2 * out));
                for (channel, g) in terms {
                    let (re, im) = (channel[lane], channel[lane + registers]);
                    let (g, _) = g[2 * o..][..2 * N].as_chunks::<2>();
                    for (sum, [gr, gi]) in sum.iter_mut().zip(g) {
                        sum[0] = T::mul_add(simd, *gr, re, sum[0]);
                        sum[0] = T::neg_mul_add(simd, *gi, im, sum[0]);
                        sum[1] = T::mul_add(simd, *gr, im, sum[1]);
                        sum[1] = T::mul_add(simd, *gi, re, sum[1]);
                    }
                }
                let at = 2 * lanes * ((row * groups + group) * out + o);
                let target = T::regs_mut::<S>(&mut self.rows[at..][..2 * lanes * N]);
                for (sum, channel) in sum.iter().zip(target.chunks_exact_mut(2 * registers)) {
                    for (part, sum) in sum.iter().enumerate() {
                        let value = &mut channel[lane + part * registers];
                        *value = T::mul_add(simd, w, *sum, *value);
                    }
                }
            }
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
