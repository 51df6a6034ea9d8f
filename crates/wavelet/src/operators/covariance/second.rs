//! The fields of all groups at a block of pixels: bands copied, moduli convolved.

use super::Covariance;
use crate::RotationTable;
use skyscat_autodiff::Field;
use skyscat_num::{Real, Simd};
use std::ops::Range;

/// Pixels of a block: their fields stay in the cache while they are paired.
pub(super) const BLOCK: usize = 8;

/// Makes the fields of all groups at a block of pixels,
/// `[group][pixel][slot][re, im][lane]`.
pub(super) struct Second<'a, T> {
    pub(super) op: &'a Covariance,
    pub(super) inputs: &'a [Field<'a, T>],
}

/// Where a modulus of one pixel is written.
#[derive(Clone, Copy)]
struct Place {
    /// First number of its first slot in the first group.
    at: usize,
    /// From one group to the next.
    group: usize,
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
        let width = 2 * lanes;
        let stride = self.op.layout.slots * width;
        let group = rows.len() * stride;
        for (i, row) in rows.enumerate() {
            for (b, band) in self.inputs[..bands].iter().enumerate() {
                let from = &band.data[row * band.stride()..][..r * width];
                let from = T::regs::<S>(from).chunks_exact(T::regs::<S>(from).len() / r);
                for (g, from) in from.enumerate() {
                    let to = &mut z[g * group + i * stride + b * width..][..width];
                    T::regs_mut::<S>(to).iter_mut().zip(from).for_each(|(to, from)| *to = *from);
                }
            }
            for (m, turn) in self.op.config.moduli.iter().enumerate() {
                let at = i * stride + (bands + m * r) * width;
                let place = Place { at, group };
                self.convolve(simd, &self.inputs[bands + m], row, (place, &mut *z));
                let Some(table) = turn else { continue };
                for g in 0..r {
                    let out = &mut z[at + g * group..][..r * width];
                    turned.copy_from_slice(out);
                    turn_forward::<T, S>(simd, table, (row, g), turned, out);
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
                let most = if S::REGISTER_COUNT >= 32 { 4 } else { 2 };
                c += match (r - l, most.min(columns - c)) {
                    (2.., 4..) => self.columns::<S, 2, 4>(simd, modulus, at, (place, &mut *z)),
                    (1, 4..) => self.columns::<S, 1, 4>(simd, modulus, at, (place, &mut *z)),
                    (2.., 2..) => self.columns::<S, 2, 2>(simd, modulus, at, (place, &mut *z)),
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
            let x: [T::Reg<S>; B] = std::array::from_fn(|b| x[c + b]);
            let (w, _) = w[2 * l..2 * (l + N)].as_chunks::<2>();
            for (sum, w) in sum.iter_mut().zip(w) {
                for (sum, w) in sum.iter_mut().zip(w) {
                    let w = T::splat(simd, *w);
                    for (sum, x) in sum.iter_mut().zip(x) {
                        *sum = T::mul_add(simd, w, x, *sum);
                    }
                }
            }
        }
        let registers = T::regs::<S>(&modulus.data[..modulus.lanes]).len();
        for (to, [re, im]) in stencil.turn(row)[l..l + N].iter().zip(&sum) {
            let out = &mut z[place.at + to.orientation * place.group..][..2 * stride];
            let out = T::regs_mut::<S>(out);
            for (b, (re, im)) in re.iter().zip(im).enumerate() {
                let (channel, lane) = ((c + b) / registers, (c + b) % registers);
                let at = 2 * channel * registers + lane;
                out[at] = *re;
                out[at + registers] = if to.conjugate { T::vsub(simd, zero, *im) } else { *im };
            }
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
