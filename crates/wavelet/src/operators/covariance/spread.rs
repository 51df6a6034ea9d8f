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
pub(super) struct Spread<'a, T> {
    pub(super) op: &'a Covariance,
    pub(super) inputs: &'a [Field<'a, T>],
    pub(super) packed: &'a [T],
    pub(super) rows: Range<usize>,
    /// A block of pixels, its gradient, and R channels of one pixel.
    pub(super) z: (&'a mut [T], &'a mut [T], &'a mut [T]),
    /// `[row][band][group][re, im][lane]`.
    pub(super) bands: &'a mut [T],
    /// `[local column][modulus][R][lane]`.
    pub(super) moduli: &'a mut [T],
}

impl<T: Real> WithSimd for Spread<'_, T> {
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
            let z = &mut z[..block.len() * stride];
            let dz = &mut dz[..block.len() * stride];
            for group in 0..groups {
                second.fill(simd, group, block.clone(), (&mut *z, &mut *turned));
                for mask in 0..masks {
                    let packed = &packed[(mask * groups + group) * per_group..][..per_group];
                    let weights = op.masks.weights.get::<T>();
                    let weights = &weights[block.start * masks..block.end * masks];
                    let linear = Linear { packed, z, stride, lanes, weights, mask, masks };
                    linear.apply(simd, op, dz);
                }
                let from = (block.start - rows.start) * op.config.bands * groups * 2 * lanes;
                let out = Out { op, group, lanes };
                out.bands(dz, &mut bands[from..]);
                out.moduli(simd, block.clone(), dz, (&mut *turned, &mut *moduli));
            }
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
            while p + 2 <= pixels {
                self.pixels::<S, N, 2>(simd, op, target, at, (p, &mut *dz));
                p += 2;
            }
            if p < pixels {
                self.pixels::<S, N, 1>(simd, op, target, at, (p, &mut *dz));
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

/// Where the gradients of a group go.
struct Out<'a> {
    op: &'a Covariance,
    group: usize,
    lanes: usize,
}

impl Out<'_> {
    /// Gradients of the bands, from the first row of the block on.
    #[inline(always)]
    fn bands<T: Real>(&self, dz: &[T], out: &mut [T]) {
        let (bands, groups) = (self.op.config.bands, self.op.groups());
        let width = 2 * self.lanes;
        let rows = out.chunks_exact_mut((bands * groups * width).max(1));
        for (dz, out) in dz.chunks_exact(self.op.layout.slots * width).zip(rows) {
            for (band, dz) in dz.chunks_exact(width).take(bands).enumerate() {
                let at = (band * groups + self.group) * width;
                out[at..at + width].copy_from_slice(dz);
            }
        }
    }

    /// Adds the transposed convolution of the gradients of D.
    #[inline(always)]
    fn moduli<T: Real, S: Simd>(
        &self,
        simd: S,
        block: Range<usize>,
        dz: &[T],
        (turned, out): (&mut [T], &mut [T]),
    ) {
        let op = self.op;
        let (r, width) = (op.groups(), 2 * self.lanes);
        for (row, dz) in block.zip(dz.chunks_exact(op.layout.slots * width)) {
            let dz = &dz[op.config.bands * width..];
            for (m, (dz, turn)) in dz.chunks_exact(r * width).zip(&op.config.moduli).enumerate() {
                match turn {
                    None => self.scatter(simd, (row, m), dz, out),
                    Some(table) => {
                        turn_back::<T, S>(simd, table, (row, self.group), dz, turned);
                        self.scatter(simd, (row, m), turned, out);
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn scatter<T: Real, S: Simd>(&self, simd: S, at: (usize, usize), dz: &[T], out: &mut [T]) {
        let columns = T::regs::<S>(dz).len() / 2;
        let mut c = 0;
        while c < columns {
            match columns - c {
                8.. => c += self.columns::<T, S, 8>(simd, at, dz, (c, &mut *out)),
                4.. => c += self.columns::<T, S, 4>(simd, at, dz, (c, &mut *out)),
                _ => c += self.columns::<T, S, 1>(simd, at, dz, (c, &mut *out)),
            }
        }
    }

    /// `B` neighbouring registers of a modulus, at every entry of a row's stencil.
    #[inline(always)]
    fn columns<T: Real, S: Simd, const B: usize>(
        &self,
        simd: S,
        (row, modulus): (usize, usize),
        dz: &[T],
        (c, out): (usize, &mut [T]),
    ) -> usize {
        let (op, stencil) = (self.op, &self.op.stencil);
        let registers = T::regs::<S>(&dz[..self.lanes]).len();
        let dz = T::regs::<S>(dz);
        let at = |b: usize, part: usize| {
            (2 * ((c + b) / registers) + part) * registers + (c + b) % registers
        };
        let re: [T::Reg<S>; B] = std::array::from_fn(|b| dz[at(b, 0)]);
        let im: [T::Reg<S>; B] = std::array::from_fn(|b| dz[at(b, 1)]);
        let range = stencil.forward.entries(row);
        let per = 2 * stencil.orientations;
        let weights = &stencil.weights.get::<T>()[range.start * per..range.end * per];
        let channel = op.groups() * self.lanes;
        let stride = op.config.moduli.len() * channel;
        for (&k, w) in op.layout.parts.local[range].iter().zip(weights.chunks_exact(per)) {
            let out = &mut out[k as usize * stride + modulus * channel..][..channel];
            let out = &mut T::regs_mut::<S>(out)[c..c + B];
            let w = &w[2 * self.group..2 * self.group + 2];
            let (wr, wi) = (T::splat(simd, w[0]), T::splat(simd, w[1]));
            for ((out, re), im) in out.iter_mut().zip(&re).zip(&im) {
                *out = T::mul_add(simd, wr, *re, *out);
                *out = T::mul_add(simd, wi, *im, *out);
            }
        }
        B
    }
}
