//! Backward: from the cotangent to gradients of bands and moduli, part by part.

use super::Covariance;
use super::layout::Target;
use super::second::{BLOCK, Second, turn_back};
use skyscat_autodiff::Field;
use skyscat_num::{Real, Simd, WithSimd};
use std::ops::Range;

/// Factors of one mask and group as [`Spread`] reads them, `[register][factor][re, im]`,
/// then `[slot][re, im]`: what the means add.
pub(super) struct Pack<'a, T> {
    pub(super) op: &'a Covariance,
    /// Row of the cotangent and of the output for this mask.
    pub(super) g: &'a [T],
    pub(super) output: &'a [T],
    pub(super) lanes: usize,
    pub(super) group: usize,
    pub(super) packed: &'a mut [T],
}

impl<T: Real> WithSimd for Pack<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { op, g, output, lanes, group, packed } = self;
        let registers = T::regs::<S>(&g[..lanes]).len();
        let width = 2 * registers;
        let zero = T::splat(simd, T::default());
        let (g, packed) = (T::regs::<S>(g), T::regs_mut::<S>(packed));
        let layout = &op.layout;
        let per_register = packed.len() / registers;
        for (lane, packed) in packed.chunks_exact_mut(per_register).enumerate() {
            let (factors, offsets) = packed.split_at_mut(2 * layout.factors.len());
            for (factor, parts) in factors.chunks_exact_mut(2).zip(&layout.factors) {
                let mut sum = [zero; 2];
                for part in parts {
                    let at = (part.first + group * part.step) * width + lane;
                    sum[0] = T::vadd(simd, sum[0], g[at]);
                    let im = g[at + registers];
                    sum[1] = match part.conjugate {
                        true => T::vsub(simd, sum[1], im),
                        false => T::vadd(simd, sum[1], im),
                    };
                }
                factor.copy_from_slice(&sum);
            }
            if !op.config.centred {
                offsets.fill(zero);
                continue;
            }
            let first = (op.pair_channels() + group * layout.slots) * width + lane;
            let means = T::regs::<S>(output);
            // The cotangent of the means themselves, less what centring takes off.
            for (slot, offset) in offsets.chunks_exact_mut(2).enumerate() {
                let at = first + slot * width;
                offset.copy_from_slice(&[g[at], g[at + registers]]);
            }
            for target in &layout.targets {
                let sources = &layout.sources[target.sources.0..target.sources.1];
                for (s, source) in sources.iter().enumerate() {
                    let at = first + source * width;
                    let (re, im) = (means[at], means[at + registers]);
                    for i in 0..target.len {
                        let f = 2 * (target.first + s * target.len + i);
                        let offset = &mut offsets[2 * (target.slot + i)..][..2];
                        offset[0] = T::neg_mul_add(simd, factors[f], re, offset[0]);
                        offset[0] = T::mul_add(simd, factors[f + 1], im, offset[0]);
                        offset[1] = T::neg_mul_add(simd, factors[f], im, offset[1]);
                        offset[1] = T::neg_mul_add(simd, factors[f + 1], re, offset[1]);
                    }
                }
            }
        }
    }
}

/// Gradients that the rows of one part give: of the bands at these rows, and of the
/// moduli wherever the stencil reaches.
pub(super) struct Spread<'a, 'b, T> {
    pub(super) op: &'a Covariance,
    pub(super) inputs: &'a [Field<'a, T>],
    pub(super) packed: &'a [T],
    pub(super) rows: Range<usize>,
    /// A block of pixels, its gradient, and R channels of one pixel.
    pub(super) z: (&'a mut [T], &'a mut [T], &'a mut [T]),
    /// Gradients of each band at these rows, `[row][group][re, im][lane]`, added to.
    pub(super) bands: &'a mut [&'b mut [T]],
    /// `[local column][modulus][R][lane]`.
    pub(super) moduli: &'a mut [T],
}

impl<T: Real> WithSimd for Spread<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { op, inputs, packed, rows, z: (z, dz, turned), bands, moduli } = self;
        let lanes = inputs[0].lanes;
        let (groups, masks) = (op.groups(), op.masks.masks);
        let stride = op.layout.slots * 2 * lanes;
        let per_group = packed.len() / (groups * masks);
        let second = Second { op, inputs };
        moduli.fill(T::default());
        for first in rows.clone().step_by(BLOCK) {
            let block = first..(first + BLOCK).min(rows.end);
            let group_len = block.len() * stride;
            let z = &mut z[..groups * group_len];
            let dz = &mut dz[..groups * group_len];
            second.fill(simd, block.clone(), (&mut *z, &mut *turned));
            let weights = &op.masks.weights.get::<T>()[block.start * masks..block.end * masks];
            for group in 0..groups {
                let z = &z[group * group_len..][..group_len];
                let dz = &mut dz[group * group_len..][..group_len];
                for mask in 0..masks {
                    let packed = &packed[(mask * groups + group) * per_group..][..per_group];
                    let linear = Linear { packed, z, stride, lanes, weights, mask, masks };
                    linear.apply(simd, op, dz);
                }
            }
            let out = Out { op, lanes, group: group_len };
            let from = (block.start - rows.start) * groups * 2 * lanes;
            for (band, gradient) in bands.iter_mut().enumerate() {
                out.band(simd, (band, dz), &mut gradient[from..]);
            }
            out.moduli(simd, block, dz, (&mut *turned, &mut *moduli));
        }
    }
}

/// dz = Σ_mask w (A z + b) at a block of pixels.
struct Linear<'a, T> {
    packed: &'a [T],
    z: &'a [T],
    stride: usize,
    lanes: usize,
    weights: &'a [T],
    mask: usize,
    masks: usize,
}

impl<T: Real> Linear<'_, T> {
    #[inline(always)]
    fn apply<S: Simd>(&self, simd: S, op: &Covariance, dz: &mut [T]) {
        for target in &op.layout.targets {
            match target.len {
                4 => self.target::<S, 4>(simd, op, target, dz),
                2 => self.target::<S, 2>(simd, op, target, dz),
                _ => self.target::<S, 1>(simd, op, target, dz),
            }
        }
    }

    #[inline(always)]
    fn target<S: Simd, const N: usize>(
        &self,
        simd: S,
        op: &Covariance,
        target: &Target,
        dz: &mut [T],
    ) {
        let registers = T::regs::<S>(&self.z[..self.lanes]).len();
        let pixels = self.z.len() / self.stride;
        for lane in 0..registers {
            let at = (lane, registers);
            let mut p = 0;
            while S::REGISTER_COUNT >= 32 && p + 2 <= pixels {
                self.pixels::<S, N, 2>(simd, op, target, at, (p, &mut *dz));
                p += 2;
            }
            while p < pixels {
                self.pixels::<S, N, 1>(simd, op, target, at, (p, &mut *dz));
                p += 1;
            }
        }
    }

    /// `N` slots of `P` pixels, one register of lanes.
    #[inline(always)]
    fn pixels<S: Simd, const N: usize, const P: usize>(
        &self,
        simd: S,
        op: &Covariance,
        target: &Target,
        (lane, registers): (usize, usize),
        (pixel, dz): (usize, &mut [T]),
    ) {
        let width = 2 * registers;
        let packed = T::regs::<S>(self.packed);
        let per_register = packed.len() / registers;
        let packed = &packed[lane * per_register..][..per_register];
        let (factors, offsets) = packed.split_at(2 * op.layout.factors.len());
        let sources = &op.layout.sources[target.sources.0..target.sources.1];
        let factors = &factors[2 * target.first..][..2 * N * sources.len()];
        let (offsets, _) = offsets[2 * target.slot..][..2 * N].as_chunks::<2>();
        let start: [[T::Reg<S>; 2]; N] = std::array::from_fn(|i| offsets[i]);
        let mut sum = [start; P];
        let z = T::regs::<S>(&self.z[pixel * self.stride..][..P * self.stride]);
        let row = z.len() / P;
        for (&source, factors) in sources.iter().zip(factors.chunks_exact(2 * N)) {
            let (factors, _) = factors.as_chunks::<2>();
            for (sum, z) in sum.iter_mut().zip(z.chunks_exact(row)) {
                let z = &z[source * width..][..width];
                let (re, im) = (z[lane], z[lane + registers]);
                for (sum, [fr, fi]) in sum.iter_mut().zip(factors) {
                    sum[0] = T::mul_add(simd, *fr, re, sum[0]);
                    sum[0] = T::neg_mul_add(simd, *fi, im, sum[0]);
                    sum[1] = T::mul_add(simd, *fr, im, sum[1]);
                    sum[1] = T::mul_add(simd, *fi, re, sum[1]);
                }
            }
        }
        let dz = T::regs_mut::<S>(&mut dz[pixel * self.stride..][..P * self.stride]);
        for (p, (sum, dz)) in sum.iter().zip(dz.chunks_exact_mut(row)).enumerate() {
            let w = T::splat(simd, self.weights[(pixel + p) * self.masks + self.mask]);
            let dz = &mut dz[target.slot * width..][..N * width];
            for (sum, dz) in sum.iter().zip(dz.chunks_exact_mut(width)) {
                for (part, sum) in sum.iter().enumerate() {
                    let out = &mut dz[lane + part * registers];
                    *out = match self.mask {
                        0 => T::vmul(simd, w, *sum),
                        _ => T::mul_add(simd, w, *sum, *out),
                    };
                }
            }
        }
    }
}

/// Where the gradients of a block go.
struct Out<'a> {
    op: &'a Covariance,
    lanes: usize,
    /// Numbers of a group.
    group: usize,
}

impl Out<'_> {
    /// Adds the gradient of a band, from the first row of the block on.
    #[inline(always)]
    fn band<T: Real, S: Simd>(&self, simd: S, (band, dz): (usize, &[T]), gradient: &mut [T]) {
        let (groups, width) = (self.op.groups(), 2 * self.lanes);
        let stride = self.op.layout.slots * width;
        let rows = gradient.chunks_exact_mut(groups * width).take(self.group / stride);
        for (i, row) in rows.enumerate() {
            for (group, to) in row.chunks_exact_mut(width).enumerate() {
                let from = &dz[group * self.group + i * stride + band * width..][..width];
                let to = T::regs_mut::<S>(to).iter_mut();
                to.zip(T::regs::<S>(from)).for_each(|(to, g)| *to = T::vadd(simd, *to, *g));
            }
        }
    }

    /// Adds the transposed convolution of the gradients of D.
    #[inline(always)]
    fn moduli<T: Real, S: Simd>(
        &self,
        simd: S,
        block: Range<usize>,
        dz: &mut [T],
        (turned, out): (&mut [T], &mut [T]),
    ) {
        let op = self.op;
        let (r, width) = (op.groups(), 2 * self.lanes);
        let stride = op.layout.slots * width;
        for (i, row) in block.enumerate() {
            for (m, turn) in op.config.moduli.iter().enumerate() {
                let at = i * stride + (op.config.bands + m * r) * width;
                if let Some(table) = turn {
                    for g in 0..r {
                        let dz = &mut dz[at + g * self.group..][..r * width];
                        turned.copy_from_slice(dz);
                        turn_back::<T, S>(simd, table, (row, g), turned, dz);
                    }
                }
                self.scatter(simd, (row, m), &dz[at..], out);
            }
        }
    }

    #[inline(always)]
    fn scatter<T: Real, S: Simd>(&self, simd: S, at: (usize, usize), dz: &[T], out: &mut [T]) {
        let r = self.op.groups();
        let columns = T::regs::<S>(&dz[..r * self.lanes]).len();
        let mut l = 0;
        while l < r {
            let most = if S::REGISTER_COUNT >= 32 { 4 } else { 2 };
            let n = [4, 2, 1].into_iter().find(|n| *n <= most.min(r - l)).expect("at least one");
            let mut c = 0;
            while c < columns {
                let from = (dz, l, c);
                c += match (n, columns - c) {
                    (4, 2..) => self.columns::<T, S, 4, 2>(simd, at, from, out),
                    (4, _) => self.columns::<T, S, 4, 1>(simd, at, from, out),
                    (2, 2..) => self.columns::<T, S, 2, 2>(simd, at, from, out),
                    (2, _) => self.columns::<T, S, 2, 1>(simd, at, from, out),
                    (_, 2..) => self.columns::<T, S, 1, 2>(simd, at, from, out),
                    _ => self.columns::<T, S, 1, 1>(simd, at, from, out),
                };
            }
            l += n;
        }
    }

    /// `N` orientations of `B` neighbouring registers of a modulus, at every entry of
    /// a row's stencil.
    #[inline(always)]
    fn columns<T: Real, S: Simd, const N: usize, const B: usize>(
        &self,
        simd: S,
        (row, modulus): (usize, usize),
        (dz, l, c): (&[T], usize, usize),
        out: &mut [T],
    ) -> usize {
        let (op, stencil) = (self.op, &self.op.stencil);
        let r = op.groups();
        let registers = T::regs::<S>(&dz[..self.lanes]).len();
        let zero = T::splat(simd, T::default());
        let mut g = [[[zero; B]; 2]; N];
        for (from, [re, im]) in stencil.turn(row)[l..l + N].iter().zip(&mut g) {
            let dz = T::regs::<S>(&dz[from.orientation * self.group..][..2 * r * self.lanes]);
            for (b, (re, im)) in re.iter_mut().zip(im).enumerate() {
                let (channel, lane) = ((c + b) / registers, (c + b) % registers);
                let at = 2 * channel * registers + lane;
                *re = dz[at];
                let part = dz[at + registers];
                *im = if from.conjugate { T::vsub(simd, zero, part) } else { part };
            }
        }
        let range = stencil.forward.entries(row);
        let per = 2 * stencil.orientations;
        let (_, weights) = stencil.table_row::<T>(row);
        let channel = r * self.lanes;
        let stride = op.config.moduli.len() * channel;
        for (&k, w) in op.layout.parts.local[range].iter().zip(weights.chunks_exact(per)) {
            let out = &mut out[k as usize * stride + modulus * channel..][..channel];
            let (out, _) = T::regs_mut::<S>(out)[c..c + B].as_chunks_mut::<B>();
            let mut sum = out[0];
            let (w, _) = w[2 * l..2 * (l + N)].as_chunks::<2>();
            for (g, w) in g.iter().zip(w) {
                for (g, w) in g.iter().zip(w) {
                    let w = T::splat(simd, *w);
                    for (sum, g) in sum.iter_mut().zip(g) {
                        *sum = T::mul_add(simd, w, *g, *sum);
                    }
                }
            }
            out[0] = sum;
        }
        B
    }
}
