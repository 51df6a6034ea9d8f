//! Backward: gradients of the fields at a block of pixels, and where they go.

use super::Covariance;
use super::fill::{Place, add_band, unpack};
use super::layout::Target;
use super::packing::{Chunk, Packing, with_maps};
use skyscat_num::{Real, Simd, WithSimd};
use std::ops::Range;

/// dz = Σ_mask w (A z + b) at a block of pixels.
pub(super) struct Linear<'a, T> {
    pub(super) op: &'a Covariance,
    pub(super) packing: Packing,
    pub(super) pixels: usize,
    /// Of all masks and groups, as made by `Factors`.
    pub(super) factors: &'a [T],
    pub(super) z: &'a [T],
    pub(super) weights: &'a [T],
    pub(super) dz: &'a mut [T],
}

impl<T: Real> WithSimd for Linear<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { op, packing, pixels, factors, z, weights, dz } = self;
        let (groups, masks, width) = (op.groups(), op.masks.masks, packing.width);
        let per_group = factors.len() / (groups * masks);
        let len = super::factors::Factors::<T>::len(op, packing);
        let register = 2 * op.layout.slots * width;
        let group_len = z.len() / groups;
        let fields = z.chunks_exact(group_len).zip(dz.chunks_exact_mut(group_len));
        for (group, (z, dz)) in fields.enumerate() {
            for (mask, weights) in weights.chunks_exact(weights.len() / masks).enumerate() {
                let factors = &factors[(mask * groups + group) * per_group..][..len];
                let factors = factors.chunks_exact(len / packing.count());
                for (chunk, factors) in packing.chunks(pixels).zip(factors) {
                    let Chunk { register: first, registers, .. } = chunk;
                    let range = first * register..(first + registers) * register;
                    let rows = Rows {
                        op,
                        factors: T::regs::<S>(factors),
                        z: T::regs::<S>(&z[range.clone()]),
                        weights: T::regs::<S>(&weights[first * width..][..registers * width]),
                        first_mask: mask == 0,
                    };
                    rows.apply::<T, S>(simd, T::regs_mut::<S>(&mut dz[range]));
                }
            }
        }
    }
}

/// Registers of one mask, group and chunk.
struct Rows<'a, V> {
    op: &'a Covariance,
    factors: &'a [V],
    z: &'a [V],
    weights: &'a [V],
    first_mask: bool,
}

impl<V: Copy> Rows<'_, V> {
    #[inline(always)]
    fn apply<T: Real<Reg<S> = V>, S: Simd>(&self, simd: S, dz: &mut [V]) {
        for target in &self.op.layout.targets {
            // Sums of 4·2·2 registers, or of 4·1·2 where there are only 16.
            match target.len {
                4 if S::REGISTER_COUNT >= 32 => self.target::<T, S, 4, 2>(simd, target, dz),
                4 => self.target::<T, S, 4, 1>(simd, target, dz),
                2 => self.target::<T, S, 2, 2>(simd, target, dz),
                _ => self.target::<T, S, 1, 2>(simd, target, dz),
            }
        }
    }

    /// The `N` slots of a target, `P` registers of pixels at a time.
    #[inline(always)]
    fn target<T: Real<Reg<S> = V>, S: Simd, const N: usize, const P: usize>(
        &self,
        simd: S,
        target: &Target,
        dz: &mut [V],
    ) {
        let mut p = 0;
        while p + P <= self.weights.len() {
            self.registers::<T, S, N, P>(simd, target, p, dz);
            p += P;
        }
        while p < self.weights.len() {
            self.registers::<T, S, N, 1>(simd, target, p, dz);
            p += 1;
        }
    }

    #[inline(always)]
    fn registers<T: Real<Reg<S> = V>, S: Simd, const N: usize, const P: usize>(
        &self,
        simd: S,
        target: &Target,
        first: usize,
        dz: &mut [V],
    ) {
        let layout = &self.op.layout;
        let sources = &layout.sources[target.sources.0..target.sources.1];
        let (factors, offsets) = self.factors.split_at(2 * layout.factors.len());
        let (factors, _) = factors[2 * target.first..][..2 * N * sources.len()].as_chunks::<2>();
        let offsets: &[_; N] =
            offsets.as_chunks::<2>().0[target.slot..].first_chunk().expect("a target's slots");
        let mut sum = [*offsets; P];
        let (z, _) = self.z.as_chunks::<2>();
        let mut rows = [&z[..0]; P];
        let z = z[first * layout.slots..].chunks_exact(layout.slots);
        rows.iter_mut().zip(z).for_each(|(row, z)| *row = z);
        for (&source, factors) in sources.iter().zip(factors.as_chunks::<N>().0) {
            for (sum, z) in sum.iter_mut().zip(rows) {
                let [re, im] = z[source];
                for (sum, [fr, fi]) in sum.iter_mut().zip(factors) {
                    sum[0] = T::mul_add(simd, *fr, re, sum[0]);
                    sum[0] = T::neg_mul_add(simd, *fi, im, sum[0]);
                    sum[1] = T::mul_add(simd, *fr, im, sum[1]);
                    sum[1] = T::mul_add(simd, *fi, re, sum[1]);
                }
            }
        }
        let (dz, _) = dz.as_chunks_mut::<2>();
        let dz = dz[first * layout.slots..].chunks_exact_mut(layout.slots);
        for ((sum, dz), &w) in sum.iter().zip(dz).zip(&self.weights[first..]) {
            for (sum, dz) in sum.iter().zip(&mut dz[target.slot..][..N]) {
                for (sum, out) in sum.iter().zip(dz) {
                    *out = match self.first_mask {
                        true => T::vmul(simd, w, *sum),
                        false => T::mul_add(simd, w, *sum, *out),
                    };
                }
            }
        }
    }
}

/// Takes the gradients of a block to the bands at its pixels, and to the moduli
/// wherever the stencil reaches.
pub(super) struct Spread<'a, 'b, T> {
    pub(super) op: &'a Covariance,
    pub(super) packing: Packing,
    pub(super) rows: Range<usize>,
    pub(super) dz: &'a [T],
    /// Twice one modulus at one pixel, `[group][re, im][channel][map]`.
    pub(super) row: &'a mut [T],
    /// How many rows of the bands' gradients come before these.
    pub(super) first: usize,
    /// Gradients of each band, `[row][group][re, im][map]`, added to.
    pub(super) bands: &'a mut [&'b mut [T]],
    /// `[local column][modulus][R][map]`, added to.
    pub(super) moduli: &'a mut [T],
}

impl<T: Real> WithSimd for Spread<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { op, packing, rows, first, dz, row, bands, moduli } = self;
        let r = op.groups();
        let dz = (dz, dz.len() / r);
        let width = 2 * r * packing.lanes;
        for i in 0..rows.len() {
            for (band, gradient) in bands.iter_mut().enumerate() {
                let to = &mut gradient[(first + i) * width..][..width];
                for chunk in packing.chunks(rows.len()) {
                    let from = (Place::new(packing, chunk, i, op.layout.slots), band);
                    with_maps!(chunk.maps, C => add_band::<T, C>(dz, from, to));
                }
            }
        }
        // As in `Fill`, one row waits.
        let (mut fresh, mut kept) = row.split_at_mut(row.len() / 2);
        let mut waiting = None;
        for (i, pixel) in rows.clone().enumerate() {
            for (m, table) in op.config.moduli.iter().enumerate() {
                let table = table.as_deref().map(|table| (table, pixel));
                for chunk in packing.chunks(rows.len()) {
                    let place = Place::new(packing, chunk, i, op.layout.slots);
                    let from = (place, op.config.bands + m * r);
                    with_maps!(chunk.maps, C => unpack::<T, C>(dz, from, table, r, fresh));
                }
                if let Some(at) = waiting.replace((pixel, m)) {
                    scatter::<T, S>(simd, op, at, kept, moduli);
                }
                std::mem::swap(&mut fresh, &mut kept);
            }
        }
        if let Some(at) = waiting {
            scatter::<T, S>(simd, op, at, kept, moduli);
        }
    }
}

/// Adds the transposed convolution of the gradients of D at a pixel.
#[inline(always)]
fn scatter<T: Real, S: Simd>(
    simd: S,
    op: &Covariance,
    at: (usize, usize),
    row: &[T],
    out: &mut [T],
) {
    let r = op.groups();
    let row = T::regs::<S>(row);
    let columns = row.len() / (2 * r);
    let mut l = 0;
    while l < r {
        // Gradients of 4·2·2 registers, or of 2·2·2 where there are only 16.
        let most = if S::REGISTER_COUNT >= 32 { 4 } else { 2 };
        let n = [4, 2, 1].into_iter().find(|n| *n <= most.min(r - l)).expect("at least one");
        let mut c = 0;
        while c < columns {
            let from = (row, l, c);
            c += match (n, columns - c) {
                (4, 3..) => columns_of::<T, S, 4, 3>(simd, op, at, from, out),
                (4, 2) => columns_of::<T, S, 4, 2>(simd, op, at, from, out),
                (4, _) => columns_of::<T, S, 4, 1>(simd, op, at, from, out),
                (2, 2..) => columns_of::<T, S, 2, 2>(simd, op, at, from, out),
                (2, _) => columns_of::<T, S, 2, 1>(simd, op, at, from, out),
                (_, 2..) => columns_of::<T, S, 1, 2>(simd, op, at, from, out),
                _ => columns_of::<T, S, 1, 1>(simd, op, at, from, out),
            };
        }
        l += n;
    }
}

/// `N` orientations of `B` neighbouring registers of a modulus, at every entry of a
/// row's stencil.
#[inline(always)]
fn columns_of<T: Real, S: Simd, const N: usize, const B: usize>(
    simd: S,
    op: &Covariance,
    (row, modulus): (usize, usize),
    (dz, l, c): (&[T::Reg<S>], usize, usize),
    out: &mut [T],
) -> usize {
    let stencil = &op.stencil;
    let r = op.groups();
    let columns = dz.len() / (2 * r);
    let zero = T::splat(simd, T::default());
    let mut g = [[[zero; B]; 2]; N];
    for (from, [re, im]) in stencil.turn(row)[l..l + N].iter().zip(&mut g) {
        let (dz_re, dz_im) = dz[2 * from.orientation * columns..][..2 * columns].split_at(columns);
        *re = *dz_re[c..].first_chunk().expect("neighbouring registers");
        *im = *dz_im[c..].first_chunk().expect("neighbouring registers");
        if from.conjugate {
            im.iter_mut().for_each(|im| *im = T::vsub(simd, zero, *im));
        }
    }
    let range = stencil.forward.entries(row);
    let per = 2 * stencil.orientations;
    let (_, weights) = stencil.table_row::<T>(row);
    let out = T::regs_mut::<S>(out);
    let stride = op.config.moduli.len() * columns;
    for (&k, w) in op.layout.parts.local[range].iter().zip(weights.chunks_exact(per)) {
        let out = &mut out[k as usize * stride + modulus * columns..][..columns];
        let out: &mut [_; B] = out[c..].first_chunk_mut().expect("neighbouring registers");
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
