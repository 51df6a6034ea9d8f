//! The fields of all groups at a block of pixels: bands copied, moduli convolved.

use super::Covariance;
use crate::RotationTable;
use skyscat_autodiff::Field;
use skyscat_num::{Real, Simd};
use std::ops::Range;

/// Pixels of a block: their fields stay in the cache while they are paired.
pub(super) const BLOCK: usize = 8;

/// Makes the fields of all groups at a block of pixels,
/// `[group][pixel][register of lanes][slot][re, im]`: what is multiplied together lies
/// side by side, at distances that are known when the kernel is compiled.
pub(super) struct Second<'a, T> {
    pub(super) op: &'a Covariance,
    pub(super) inputs: &'a [Field<'a, T>],
}

/// Where the slots of one modulus stand at a pixel, in numbers.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// First number of the pixel in the first group.
    pub(super) pixel: usize,
    /// From one group to the next.
    pub(super) group: usize,
    /// First slot.
    pub(super) slot: usize,
    /// Slots of a group.
    pub(super) slots: usize,
}

impl Place {
    /// The registers of a group at the pixel.
    #[inline(always)]
    pub(super) fn row<T: Real, S: Simd>(
        self,
        z: &[T],
        (group, lanes): (usize, usize),
    ) -> &[T::Reg<S>] {
        T::regs::<S>(&z[self.pixel + group * self.group..][..2 * self.slots * lanes])
    }

    /// The same, to be written.
    #[inline(always)]
    pub(super) fn row_mut<T: Real, S: Simd>(
        self,
        z: &mut [T],
        (group, lanes): (usize, usize),
    ) -> &mut [T::Reg<S>] {
        T::regs_mut::<S>(&mut z[self.pixel + group * self.group..][..2 * self.slots * lanes])
    }

    /// The real part of a channel in a row; the imaginary part follows.
    #[inline(always)]
    pub(super) fn at(self, channel: usize, lane: usize) -> usize {
        2 * (lane * self.slots + self.slot + channel)
    }
}

impl<T: Real> Second<'_, T> {
    /// Fills `z` with the fields at `rows`. `turned` holds R channels.
    #[inline(always)]
    pub(super) fn fill<S: Simd>(
        &self,
        simd: S,
        rows: Range<usize>,
        (z, turned): (&mut [T], &mut [T]),
    ) {
        let lanes = self.inputs[0].lanes;
        let (r, bands) = (self.op.groups(), self.op.config.bands);
        let slots = self.op.layout.slots;
        let stride = slots * 2 * lanes;
        let group = rows.len() * stride;
        for (i, row) in rows.enumerate() {
            let place = |slot| Place { pixel: i * stride, group, slot, slots };
            for (b, band) in self.inputs[..bands].iter().enumerate() {
                let from = T::regs::<S>(&band.data[row * band.stride()..][..2 * r * lanes]);
                for (g, from) in from.chunks_exact(from.len() / r).enumerate() {
                    let to = place(b).row_mut::<T, S>(z, (g, lanes));
                    let (re, im) = from.split_at(from.len() / 2);
                    for (lane, (re, im)) in re.iter().zip(im).enumerate() {
                        to[place(b).at(0, lane)..][..2].copy_from_slice(&[*re, *im]);
                    }
                }
            }
            for (m, table) in self.op.config.moduli.iter().enumerate() {
                let place = place(bands + m * r);
                self.convolve(simd, &self.inputs[bands + m], row, (place, &mut *z));
                let Some(table) = table else { continue };
                for g in 0..r {
                    let out = place.row_mut::<T, S>(z, (g, lanes));
                    let turned = T::regs_mut::<S>(turned);
                    turn::<T, S>(simd, table, (row, g), (place, out), turned, true);
                }
            }
        }
    }

    /// M ⋆ ψ of every orientation at one pixel.
    #[inline(always)]
    fn convolve<S: Simd>(
        &self,
        simd: S,
        modulus: &Field<'_, T>,
        row: usize,
        (place, z): (Place, &mut [T]),
    ) {
        let r = self.op.groups();
        let columns = T::regs::<S>(&modulus.data[..modulus.stride()]).len();
        let mut l = 0;
        while l < r {
            let mut c = 0;
            while c < columns {
                let at = (row, l, c);
                // Sums of 2·2·4 registers, or of 2·2·3 where there are only 16.
                let most = if S::REGISTER_COUNT >= 32 { 4 } else { 3 };
                c += match (r - l, most.min(columns - c)) {
                    (2.., 4..) => self.columns::<S, 2, 4>(simd, modulus, at, (place, &mut *z)),
                    (1, 4..) => self.columns::<S, 1, 4>(simd, modulus, at, (place, &mut *z)),
                    (2.., 3) => self.columns::<S, 2, 3>(simd, modulus, at, (place, &mut *z)),
                    (2.., 2) => self.columns::<S, 2, 2>(simd, modulus, at, (place, &mut *z)),
                    (2.., _) => self.columns::<S, 2, 1>(simd, modulus, at, (place, &mut *z)),
                    _ => self.columns::<S, 1, 1>(simd, modulus, at, (place, &mut *z)),
                };
            }
            l += 2.min(r - l);
        }
    }

    /// `N` orientations of `B` neighbouring registers of a row.
    #[inline(always)]
    fn columns<S: Simd, const N: usize, const B: usize>(
        &self,
        simd: S,
        modulus: &Field<'_, T>,
        (row, l, c): (usize, usize, usize),
        (place, z): (Place, &mut [T]),
    ) -> usize {
        let stencil = &self.op.stencil;
        let (pixels, weights) = stencil.table_row::<T>(row);
        let per = 2 * stencil.orientations;
        let stride = modulus.stride();
        let zero = T::splat(simd, T::default());
        let mut sum = [[[zero; B]; 2]; N];
        for (&k, w) in pixels.iter().zip(weights.chunks_exact(per)) {
            let x = T::regs::<S>(&modulus.data[k as usize * stride..][..stride]);
            let x: &[_; B] = x[c..].first_chunk().expect("neighbouring registers");
            let w: &[_; N] = w.as_chunks::<2>().0[l..].first_chunk().expect("orientations");
            for (sum, w) in sum.iter_mut().zip(w) {
                for (sum, w) in sum.iter_mut().zip(w) {
                    let w = T::splat(simd, *w);
                    for (sum, x) in sum.iter_mut().zip(x) {
                        *sum = T::mul_add(simd, w, *x, *sum);
                    }
                }
            }
        }
        let registers = T::regs::<S>(&modulus.data[..modulus.lanes]).len();
        for (to, [re, im]) in stencil.turn(row)[l..l + N].iter().zip(&sum) {
            let out = place.row_mut::<T, S>(z, (to.orientation, modulus.lanes));
            for (b, (re, im)) in re.iter().zip(im).enumerate() {
                let (channel, lane) = ((c + b) / registers, (c + b) % registers);
                let im = if to.conjugate { T::vsub(simd, zero, *im) } else { *im };
                out[place.at(channel, lane)..][..2].copy_from_slice(&[*re, im]);
            }
        }
        B
    }
}

/// Turns the channels of a modulus in place: out_l = cos²·in_{l+i} + sin²·in_{l+i+1},
/// indices modulo R; or the transpose of that, with l − i and l − i − 1.
#[inline(always)]
pub(super) fn turn<T: Real, S: Simd>(
    simd: S,
    table: &RotationTable,
    (row, group): (usize, usize),
    (place, z): (Place, &mut [T::Reg<S>]),
    kept: &mut [T::Reg<S>],
    forward: bool,
) {
    let r = table.orientations();
    let (shift, [cos2, sin2]) = table.turn::<T>(row, group);
    let (cos2, sin2) = (T::splat(simd, cos2), T::splat(simd, sin2));
    let (kept, _) = kept[..2 * r].as_chunks_mut::<2>();
    for lane in 0..z.len() / (2 * place.slots) {
        let (channels, _) = z[place.at(0, lane)..][..2 * r].as_chunks_mut::<2>();
        kept.copy_from_slice(channels);
        for (l, out) in channels.iter_mut().enumerate() {
            let (a, b) = match forward {
                true => (kept[(l + shift) % r], kept[(l + shift + 1) % r]),
                false => (kept[(l + 2 * r - shift) % r], kept[(l + 2 * r - shift - 1) % r]),
            };
            for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
                *out = T::mul_add(simd, cos2, a, T::vmul(simd, sin2, b));
            }
        }
    }
}
