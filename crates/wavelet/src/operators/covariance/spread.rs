//! Backward: where the gradients of the fields go.

use super::fill::{Place, unpack};
use super::local::{Local, Row, piece_mut};
use super::packing::with_maps;
use skyscat_num::{Real, Simd, WithSimd};
use std::ops::Range;

/// Takes the gradients of a block to the bands at its pixels, and to the moduli
/// wherever the stencil reaches.
pub(super) struct Spread<'a, 'b, T> {
    pub(super) local: Local<'a>,
    pub(super) rows: Range<usize>,
    pub(super) dz: &'a [T],
    /// One modulus at one pixel, `[group][re, im][chunk][channel][map]`.
    pub(super) row: &'a mut [T],
    /// How many rows of the bands' gradients come before these.
    pub(super) first: usize,
    /// Gradients of each band, `[row][group][re, im][map]`, added to.
    pub(super) bands: &'a mut [&'b mut [T]],
    /// Gradients of the moduli at the columns of the part, added to.
    pub(super) moduli: &'a mut [T],
}

impl<T: Real> WithSimd for Spread<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { local, rows, first, dz, row, bands, moduli } = self;
        let Local { op, packing } = local;
        let (slots, r) = (op.layout.slots, op.groups());
        let dz = (dz, dz.len() / r);
        let width = 2 * local.row();
        for i in 0..rows.len() {
            for (band, gradient) in bands.iter_mut().enumerate() {
                let to = &mut gradient[(first + i) * width..][..width];
                for chunk in packing.chunks(rows.len()) {
                    let from = (Place::new(packing, chunk, i, slots), band);
                    with_maps!(chunk.maps, C => match r {
                        // As in `Fill`, twice.
                        4 => add_band::<T, C>(dz, 4, from, to),
                        r => add_band::<T, C>(dz, r, from, to),
                    });
                }
            }
        }
        let moduli = T::regs_mut::<S>(moduli);
        // Lanes that no chunk has stay so.
        row.fill(T::default());
        for (i, pixel) in rows.clone().enumerate() {
            for (m, table) in op.config.moduli.iter().enumerate() {
                let table = table.as_deref().map(|table| (table, pixel));
                for chunk in packing.chunks(rows.len()) {
                    let from = (Place::new(packing, chunk, i, slots), bands.len() + m * r);
                    with_maps!(chunk.maps, C => match r {
                        4 => unpack::<T, C>(dz, from, table, 4, row),
                        r => unpack::<T, C>(dz, from, table, r, row),
                    });
                }
                scatter::<T, S>(simd, local, (pixel, m), row, moduli);
            }
        }
    }
}

/// Adds a band's slot of every group to its gradient at a pixel, `[group][re, im][map]`.
#[inline(always)]
fn add_band<T: Real, const C: usize>(
    (dz, group): (&[T], usize),
    r: usize,
    (place, slot): (Place, usize),
    to: &mut [T],
) {
    for g in 0..r {
        let (dz, _) = dz[g * group + place.slot(slot)..].as_chunks::<C>();
        for part in 0..2 {
            let to = piece_mut::<T, C>(&mut to[place.maps(2 * g + part)..]);
            to.iter_mut().zip(dz[part * (place.width / C)]).for_each(|(to, from)| *to += from);
        }
    }
}

/// Adds the transposed convolution of the gradients of D at a pixel.
#[inline(always)]
fn scatter<T: Real, S: Simd>(
    simd: S,
    local: Local<'_>,
    (pixel, m): (usize, usize),
    row: &[T],
    out: &mut [T::Reg<S>],
) {
    let r = local.op.groups();
    let row = T::regs::<S>(&row[..2 * r * local.row()]);
    let columns = row.len() / (2 * r);
    let to = Row::new(local, (pixel, m), columns);
    let mut l = 0;
    while l < r {
        // Gradients of 4·2·3 registers, or of 2·2·2 where there are only 16.
        let most = if S::REGISTER_COUNT >= 32 { 4 } else { 2 };
        let n = [4, 2, 1].into_iter().find(|n| *n <= most.min(r - l)).expect("at least one");
        let mut c = 0;
        while c < columns {
            let at = (l, c);
            c += match (n, columns - c) {
                (4, 3..) => to.add::<T, S, 4, 3>(simd, row, at, out),
                (4, 2) => to.add::<T, S, 4, 2>(simd, row, at, out),
                (4, _) => to.add::<T, S, 4, 1>(simd, row, at, out),
                (2, 2..) => to.add::<T, S, 2, 2>(simd, row, at, out),
                (2, _) => to.add::<T, S, 2, 1>(simd, row, at, out),
                (_, 2..) => to.add::<T, S, 1, 2>(simd, row, at, out),
                _ => to.add::<T, S, 1, 1>(simd, row, at, out),
            };
        }
        l += n;
    }
}

impl Row<'_> {
    /// `N` orientations of `B` neighbouring registers, to every entry of the stencil.
    #[inline(always)]
    fn add<T: Real, S: Simd, const N: usize, const B: usize>(
        &self,
        simd: S,
        dz: &[T::Reg<S>],
        (l, c): (usize, usize),
        out: &mut [T::Reg<S>],
    ) -> usize {
        let op = self.local.op;
        let stencil = &op.stencil;
        let zero = T::splat(simd, T::default());
        let mut g = [[[zero; B]; 2]; N];
        for (from, [re, im]) in stencil.turn(self.pixel)[l..l + N].iter().zip(&mut g) {
            let dz = &dz[2 * from.orientation * self.columns + c..];
            *re = *dz.first_chunk().expect("neighbouring registers");
            *im = *dz[self.columns..].first_chunk().expect("neighbouring registers");
            if from.conjugate {
                im.iter_mut().for_each(|im| *im = T::vsub(simd, zero, *im));
            }
        }
        let (_, weights) = stencil.table_row::<T>(self.pixel);
        let stride = op.config.moduli.len() * self.columns;
        let mut at = 2 * l;
        for &k in &op.layout.parts.local[stencil.forward.entries(self.pixel)] {
            let out = &mut out[k as usize * stride + self.first + c..];
            let out: &mut [_; B] = out.first_chunk_mut().expect("neighbouring registers");
            let w: &[_; N] = weights[at..].as_chunks::<2>().0.first_chunk().expect("orientations");
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
            at += 2 * stencil.orientations;
        }
        B
    }
}
