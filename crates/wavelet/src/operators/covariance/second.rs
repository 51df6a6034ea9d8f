//! The fields of one group for a block of pixels: bands copied, moduli convolved.

use super::Covariance;
use crate::RotationTable;
use skyscat_autodiff::Field;
use skyscat_num::{Real, Simd};
use std::ops::Range;

/// Pixels of a block: their fields stay in the cache while they are paired.
pub(super) const BLOCK: usize = 16;

/// Fields of one group, `[pixel][slot][re, im][lane]`.
pub(super) struct Second<'a, T> {
    pub(super) op: &'a Covariance,
    pub(super) inputs: &'a [Field<'a, T>],
}

impl<T: Real> Second<'_, T> {
    /// Fills `z` with the fields of a group at `rows`. `turned` holds R channels.
    #[inline(always)]
    pub(super) fn fill<S: Simd>(
        &self,
        simd: S,
        group: usize,
        rows: Range<usize>,
        (z, turned): (&mut [T], &mut [T]),
    ) {
        let lanes = self.inputs[0].lanes;
        let r = self.op.groups();
        let bands = self.op.config.bands;
        let stride = self.op.layout.slots * 2 * lanes;
        for (row, z) in rows.zip(z.chunks_exact_mut(stride)) {
            let (head, tail) = z.split_at_mut(bands * 2 * lanes);
            for (band, out) in self.inputs[..bands].iter().zip(head.chunks_exact_mut(2 * lanes)) {
                let at = row * band.stride() + 2 * lanes * group;
                out.copy_from_slice(&band.data[at..at + 2 * lanes]);
            }
            let moduli = self.inputs[bands..].iter().zip(&self.op.config.moduli);
            for ((modulus, turn), out) in moduli.zip(tail.chunks_exact_mut(r * 2 * lanes)) {
                match turn {
                    None => self.convolve(simd, modulus, (row, group), out),
                    Some(table) => {
                        self.convolve(simd, modulus, (row, group), turned);
                        turn_forward::<T, S>(simd, table, (row, group), turned, out);
                    }
                }
            }
        }
    }

    /// M ⋆ ψ_group at one pixel, `[channel][re, im][lane]`.
    #[inline(always)]
    fn convolve<S: Simd>(
        &self,
        simd: S,
        modulus: &Field<'_, T>,
        at: (usize, usize),
        out: &mut [T],
    ) {
        let columns = T::regs::<S>(&modulus.data[..modulus.stride()]).len();
        let mut c = 0;
        while c < columns {
            match columns - c {
                8.. => c += self.columns::<S, 8>(simd, modulus, at, (c, &mut *out)),
                4.. => c += self.columns::<S, 4>(simd, modulus, at, (c, &mut *out)),
                _ => c += self.columns::<S, 1>(simd, modulus, at, (c, &mut *out)),
            }
        }
    }

    /// `B` neighbouring registers of a row.
    #[inline(always)]
    fn columns<S: Simd, const B: usize>(
        &self,
        simd: S,
        modulus: &Field<'_, T>,
        (row, group): (usize, usize),
        (c, out): (usize, &mut [T]),
    ) -> usize {
        let stencil = &self.op.stencil;
        let range = stencil.forward.entries(row);
        let per = 2 * stencil.orientations;
        let weights = &stencil.weights.get::<T>()[range.start * per..range.end * per];
        let stride = modulus.stride();
        let zero = T::splat(simd, T::default());
        let (mut re, mut im) = ([zero; B], [zero; B]);
        for (&k, w) in stencil.forward.columns[range].iter().zip(weights.chunks_exact(per)) {
            let x = T::regs::<S>(&modulus.data[k as usize * stride..][..stride]);
            let x = &x[c..c + B];
            let w = &w[2 * group..2 * group + 2];
            let (wr, wi) = (T::splat(simd, w[0]), T::splat(simd, w[1]));
            for ((re, im), x) in re.iter_mut().zip(&mut im).zip(x) {
                *re = T::mul_add(simd, wr, *x, *re);
                *im = T::mul_add(simd, wi, *x, *im);
            }
        }
        let registers = T::regs::<S>(&modulus.data[..modulus.lanes]).len();
        let out = T::regs_mut::<S>(out);
        for (b, (re, im)) in re.iter().zip(&im).enumerate() {
            let (channel, lane) = ((c + b) / registers, (c + b) % registers);
            out[2 * channel * registers + lane] = *re;
            out[(2 * channel + 1) * registers + lane] = *im;
        }
        B
    }
}

/// out_l = cos²·in_{l+i} + sin²·in_{l+i+1}, indices modulo R.
#[inline(always)]
fn turn_forward<T: Real, S: Simd>(
    simd: S,
    table: &RotationTable,
    (row, group): (usize, usize),
    input: &[T],
    out: &mut [T],
) {
    let r = table.orientations();
    let channel = out.len() / r;
    let (shift, [cos2, sin2]) = table.turn::<T>(row, group);
    let (cos2, sin2) = (T::splat(simd, cos2), T::splat(simd, sin2));
    for (l, out) in out.chunks_exact_mut(channel).enumerate() {
        let a = T::regs::<S>(&input[(l + shift) % r * channel..][..channel]);
        let b = T::regs::<S>(&input[(l + shift + 1) % r * channel..][..channel]);
        for ((out, a), b) in T::regs_mut::<S>(out).iter_mut().zip(a).zip(b) {
            *out = T::mul_add(simd, cos2, *a, T::vmul(simd, sin2, *b));
        }
    }
}

/// The transpose of [`turn_forward`].
#[inline(always)]
pub(super) fn turn_back<T: Real, S: Simd>(
    simd: S,
    table: &RotationTable,
    at: (usize, usize),
    input: &[T],
    out: &mut [T],
) {
    let r = table.orientations();
    let channel = out.len() / r;
    let (shift, [cos2, sin2]) = table.turn::<T>(at.0, at.1);
    let (cos2, sin2) = (T::splat(simd, cos2), T::splat(simd, sin2));
    for (l, out) in out.chunks_exact_mut(channel).enumerate() {
        let a = T::regs::<S>(&input[(l + 2 * r - shift) % r * channel..][..channel]);
        let b = T::regs::<S>(&input[(l + 2 * r - shift - 1) % r * channel..][..channel]);
        for ((out, a), b) in T::regs_mut::<S>(out).iter_mut().zip(a).zip(b) {
            *out = T::mul_add(simd, cos2, *a, T::vmul(simd, sin2, *b));
        }
    }
}
