//! Backward: from the cotangent to gradients of bands and moduli, part by part.

use super::Covariance;
use super::layout::Target;
use super::second::{BLOCK, Place, Second, turn};
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
            // Sums of 4·2·2 registers, or of 4·1·2 where there are only 16.
            match target.len {
                4 if S::REGISTER_COUNT >= 32 => self.target::<S, 4, 2>(simd, op, target, dz),
                4 => self.target::<S, 4, 1>(simd, op, target, dz),
                2 => self.target::<S, 2, 2>(simd, op, target, dz),
                _ => self.target::<S, 1, 2>(simd, op, target, dz),
            }
        }
    }

    /// The `N` slots of a target, `P` pixels at a time.
    #[inline(always)]
    fn target<S: Simd, const N: usize, const P: usize>(
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
            while p + P <= pixels {
                self.pixels::<S, N, P>(simd, op, target, at, (p, &mut *dz));
                p += P;
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
        let packed = T::regs::<S>(self.packed);
        let per_register = packed.len() / registers;
        let packed = &packed[lane * per_register..][..per_register];
        let (factors, offsets) = packed.split_at(2 * op.layout.factors.len());
        let sources = &op.layout.sources[target.sources.0..target.sources.1];
        let (factors, _) = factors[2 * target.first..][..2 * N * sources.len()].as_chunks::<2>();
        let (offsets, _) = offsets[2 * target.slot..][..2 * N].as_chunks::<2>();
        let start: [[T::Reg<S>; 2]; N] = std::array::from_fn(|i| offsets[i]);
        let mut sum = [start; P];
        let slots = op.layout.slots;
        let z: [&[[T::Reg<S>; 2]]; P] = std::array::from_fn(|p| {
            let z = &self.z[(pixel + p) * self.stride..][..self.stride];
            &T::regs::<S>(z).as_chunks::<2>().0[lane * slots..][..slots]
        });
        for (&source, factors) in sources.iter().zip(factors.as_chunks::<N>().0) {
            for (sum, z) in sum.iter_mut().zip(z) {
                let [re, im] = z[source];
                for (sum, [fr, fi]) in sum.iter_mut().zip(factors) {
                    sum[0] = T::mul_add(simd, *fr, re, sum[0]);
                    sum[0] = T::neg_mul_add(simd, *fi, im, sum[0]);
                    sum[1] = T::mul_add(simd, *fr, im, sum[1]);
                    sum[1] = T::mul_add(simd, *fi, re, sum[1]);
                }
            }
        }
        let dz = &mut dz[pixel * self.stride..][..P * self.stride];
        for (p, (sum, dz)) in sum.iter().zip(dz.chunks_exact_mut(self.stride)).enumerate() {
            let w = T::splat(simd, self.weights[(pixel + p) * self.masks + self.mask]);
            let (dz, _) = T::regs_mut::<S>(dz).as_chunks_mut::<2>();
            let dz = &mut dz[lane * slots + target.slot..][..N];
            for (sum, dz) in sum.iter().zip(dz) {
                for (sum, out) in sum.iter().zip(dz) {
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
    /// A slot of a pixel of the block.
    fn place(&self, pixel: usize, slot: usize) -> Place {
        let slots = self.op.layout.slots;
        Place { pixel: pixel * slots * 2 * self.lanes, group: self.group, slot, slots }
    }

    /// Adds the gradient of a band, from the first row of the block on.
    #[inline(always)]
    fn band<T: Real, S: Simd>(&self, simd: S, (band, dz): (usize, &[T]), gradient: &mut [T]) {
        let (groups, width) = (self.op.groups(), 2 * self.lanes);
        let stride = self.op.layout.slots * width;
        let rows = gradient.chunks_exact_mut(groups * width).take(self.group / stride);
        for (i, row) in rows.enumerate() {
            let place = self.place(i, band);
            for (group, to) in row.chunks_exact_mut(width).enumerate() {
                let from = place.row::<T, S>(dz, (group, self.lanes));
                let to = T::regs_mut::<S>(to);
                let registers = to.len() / 2;
                for lane in 0..registers {
                    let at = place.at(0, lane);
                    to[lane] = T::vadd(simd, to[lane], from[at]);
                    to[registers + lane] = T::vadd(simd, to[registers + lane], from[at + 1]);
                }
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
        let r = op.groups();
        for (i, row) in block.enumerate() {
            for (m, table) in op.config.moduli.iter().enumerate() {
                let place = self.place(i, op.config.bands + m * r);
                if let Some(table) = table {
                    for g in 0..r {
                        let dz = place.row_mut::<T, S>(dz, (g, self.lanes));
                        let turned = T::regs_mut::<S>(turned);
                        turn::<T, S>(simd, table, (row, g), (place, dz), turned, false);
                    }
                }
                self.scatter(simd, (row, m), (place, &*dz), out);
            }
        }
    }

    #[inline(always)]
    fn scatter<T: Real, S: Simd>(
        &self,
        simd: S,
        at: (usize, usize),
        (place, dz): (Place, &[T]),
        out: &mut [T],
    ) {
        let r = self.op.groups();
        let columns = T::regs::<S>(&dz[..r * self.lanes]).len();
        let mut l = 0;
        while l < r {
            // Gradients of 4·2·2 registers, or of 2·2·2 where there are only 16.
            let most = if S::REGISTER_COUNT >= 32 { 4 } else { 2 };
            let n = [4, 2, 1].into_iter().find(|n| *n <= most.min(r - l)).expect("at least one");
            let mut c = 0;
            while c < columns {
                let from = (place, dz, l, c);
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
        (place, dz, l, c): (Place, &[T], usize, usize),
        out: &mut [T],
    ) -> usize {
        let (op, stencil) = (self.op, &self.op.stencil);
        let r = op.groups();
        let registers = T::regs::<S>(&dz[..self.lanes]).len();
        let zero = T::splat(simd, T::default());
        let mut g = [[[zero; B]; 2]; N];
        for (from, [re, im]) in stencil.turn(row)[l..l + N].iter().zip(&mut g) {
            let dz = place.row::<T, S>(dz, (from.orientation, self.lanes));
            for (b, (re, im)) in re.iter_mut().zip(im).enumerate() {
                let (channel, lane) = ((c + b) / registers, (c + b) % registers);
                let at = place.at(channel, lane);
                *re = dz[at];
                let part = dz[at + 1];
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
            let out: &mut [_; B] =
                T::regs_mut::<S>(out)[c..].first_chunk_mut().expect("neighbouring registers");
            let w: &[_; N] = w.as_chunks::<2>().0[l..].first_chunk().expect("orientations");
            let mut sum = *out;
            for (g, w) in g.iter().zip(w) {
                for (g, w) in g.iter().zip(w) {
                    let w = T::splat(simd, *w);
                    for (sum, g) in sum.iter_mut().zip(g) {
                        *sum = T::mul_add(simd, w, *g, *sum);
                    }
                }
            }
            *out = sum;
        }
        B
    }
}
