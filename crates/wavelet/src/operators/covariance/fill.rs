//! The fields of all groups at a block of pixels: bands copied, moduli convolved.

use super::Covariance;
use super::local::{Local, Row, piece};
use super::packing::{Chunk, Packing, with_maps};
use crate::RotationTable;
use skyscat_autodiff::Field;
use skyscat_num::{Real, Simd, WithSimd};
use std::ops::Range;

/// Makes the fields of all groups at a block of pixels, and the weights of these pixels:
/// what is multiplied together lies side by side.
pub(super) struct Fill<'a, T> {
    pub(super) local: Local<'a>,
    pub(super) bands: &'a [Field<'a, T>],
    /// Moduli at the columns of the part that the pixels belong to.
    pub(super) moduli: &'a [T],
    pub(super) rows: Range<usize>,
    pub(super) block: Block<'a, T>,
}

/// Memory for what is computed of one block of pixels.
pub(super) struct Block<'a, T> {
    /// Fields, `[group][register][slot][re, im][lane]`.
    pub(super) z: &'a mut [T],
    /// Weights, `[mask][register][lane]`.
    pub(super) weights: &'a mut [T],
    /// One modulus convolved at one pixel, `[group][re, im][chunk][channel][map]`.
    pub(super) row: &'a mut [T],
}

/// Where a pixel's numbers of one chunk stand in a group.
#[derive(Clone, Copy)]
pub(super) struct Place {
    chunk: Chunk,
    lanes: usize,
    pub(super) width: usize,
    /// First number of slot 0.
    at: usize,
}

impl Place {
    #[inline(always)]
    pub(super) fn new(packing: Packing, chunk: Chunk, pixel: usize, slots: usize) -> Self {
        let (register, lane) = packing.place(chunk, pixel);
        let Packing { lanes, width, .. } = packing;
        Self { chunk, lanes, width, at: 2 * register * slots * width + lane }
    }

    /// From the real part of a slot on.
    #[inline(always)]
    pub(super) fn slot(self, slot: usize) -> usize {
        self.at + 2 * slot * self.width
    }

    /// The chunk's maps of a row that holds all maps of one number after the other.
    #[inline(always)]
    pub(super) fn maps(self, number: usize) -> usize {
        number * self.lanes + self.chunk.first
    }

    /// The chunk's maps of `r` channels, in a row of a group of one modulus.
    #[inline(always)]
    pub(super) fn channels(self, group: usize, part: usize, r: usize) -> Range<usize> {
        let first = r * ((2 * group + part) * self.lanes + self.chunk.first);
        first..first + r * self.chunk.maps
    }
}

impl<'a, T: Real> WithSimd for Fill<'a, T> {
    type Output = Block<'a, T>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Block<'a, T> {
        let Self { local, bands, moduli, rows, block } = self;
        let Block { z, weights, row } = block;
        let Local { op, packing } = local;
        let (slots, r) = (op.layout.slots, op.groups());
        if packing.has_idle_lanes(rows.len()) {
            // Lanes of no pixel must not hold infinities.
            z.fill(T::default());
            weights.fill(T::default());
        }
        let group = z.len() / r;
        for (i, pixel) in rows.clone().enumerate() {
            for (b, band) in bands.iter().enumerate() {
                let from = &band.data[pixel * band.stride()..][..band.stride()];
                for chunk in packing.chunks(rows.len()) {
                    let place = Place::new(packing, chunk, i, slots);
                    let z = (&mut *z, group);
                    with_maps!(chunk.maps, C => match r {
                        // What is written once is compiled twice: four groups without a loop.
                        4 => copy::<T, C>(from, 4, (place, b), z),
                        r => copy::<T, C>(from, r, (place, b), z),
                    });
                }
            }
        }
        for (i, pixel) in rows.clone().enumerate() {
            for (m, table) in op.config.moduli.iter().enumerate() {
                convolve::<T, S>(simd, local, T::regs::<S>(moduli), (pixel, m), row);
                let table = table.as_deref().map(|table| (table, pixel));
                for chunk in packing.chunks(rows.len()) {
                    let to = (Place::new(packing, chunk, i, slots), bands.len() + m * r);
                    let z = (&mut *z, group);
                    with_maps!(chunk.maps, C => match r {
                        4 => pack::<T, C>(row, table, 4, to, z),
                        r => pack::<T, C>(row, table, r, to, z),
                    });
                }
            }
        }
        expand(op, packing, rows, weights);
        Block { z, weights, row }
    }
}

/// The weights of the pixels of a block, each in the lanes of its maps.
#[inline(always)]
fn expand<T: Real>(op: &Covariance, packing: Packing, rows: Range<usize>, out: &mut [T]) {
    let masks = op.masks.masks;
    let weights = &op.masks.weights.get::<T>()[rows.start * masks..rows.end * masks];
    let per_mask = out.len() / masks;
    for (mask, out) in out.chunks_exact_mut(per_mask).enumerate() {
        for chunk in packing.chunks(rows.len()) {
            let out = &mut out[chunk.register * packing.width..];
            let pixels = out.chunks_exact_mut(chunk.maps).zip(weights.chunks_exact(masks));
            pixels.for_each(|(out, w)| out.fill(w[mask]));
        }
    }
}

/// A band at a pixel, `[group][re, im][map]`, to its slot of every group.
#[inline(always)]
fn copy<T: Real, const C: usize>(
    from: &[T],
    r: usize,
    (place, slot): (Place, usize),
    (z, group): (&mut [T], usize),
) {
    for g in 0..r {
        let (z, _) = z[g * group + place.slot(slot)..].as_chunks_mut::<C>();
        z[0] = *piece(&from[place.maps(2 * g)..]);
        z[place.width / C] = *piece(&from[place.maps(2 * g + 1)..]);
    }
}

/// A modulus convolved at a pixel to its slots of every group, turned by the table:
/// out_l = cos²·in_{l+i} + sin²·in_{l+i+1}, indices modulo R.
#[inline(always)]
fn pack<T: Real, const C: usize>(
    row: &[T],
    table: Option<(&RotationTable, usize)>,
    r: usize,
    (place, slot): (Place, usize),
    (z, group): (&mut [T], usize),
) {
    let step = place.width / C;
    for g in 0..r {
        let turn = table.map(|(table, pixel)| table.turn::<T>(pixel, g));
        let (z, _) = z[g * group + place.slot(slot)..].as_chunks_mut::<C>();
        for part in 0..2 {
            let (from, _) = row[place.channels(g, part, r)].as_chunks::<C>();
            let from = &from[..r];
            for l in 0..r {
                z[(2 * l + part) * step] = match turn {
                    None => from[l],
                    Some((shift, weights)) => {
                        let a = wrap(l + shift, r);
                        blend(weights, &from[a], &from[wrap(a + 1, r)])
                    }
                };
            }
        }
    }
}

/// The transpose of [`pack`]: slots of every group back to a row.
#[inline(always)]
pub(super) fn unpack<T: Real, const C: usize>(
    (dz, group): (&[T], usize),
    (place, slot): (Place, usize),
    table: Option<(&RotationTable, usize)>,
    r: usize,
    row: &mut [T],
) {
    let step = place.width / C;
    for g in 0..r {
        let turn = table.map(|(table, pixel)| table.turn::<T>(pixel, g));
        let (from, _) = dz[g * group + place.slot(slot)..].as_chunks::<C>();
        for part in 0..2 {
            let (to, _) = row[place.channels(g, part, r)].as_chunks_mut::<C>();
            let to = &mut to[..r];
            let at = |l: usize| &from[(2 * l + part) * step];
            for (l, to) in to.iter_mut().enumerate() {
                *to = match turn {
                    None => *at(l),
                    Some((shift, weights)) => {
                        let a = wrap(l + r - shift, r);
                        blend(weights, at(a), at(wrap(a + r - 1, r)))
                    }
                };
            }
        }
    }
}

#[inline(always)]
fn wrap(l: usize, r: usize) -> usize {
    if l >= r { l - r } else { l }
}

#[inline(always)]
fn blend<T: Real, const C: usize>([a, b]: [T; 2], x: &[T; C], y: &[T; C]) -> [T; C] {
    std::array::from_fn(|i| a * x[i] + b * y[i])
}

/// M ⋆ ψ of every orientation at one pixel, `[orientation][re, im][chunk][channel][map]`.
#[inline(always)]
fn convolve<T: Real, S: Simd>(
    simd: S,
    local: Local<'_>,
    moduli: &[T::Reg<S>],
    (pixel, m): (usize, usize),
    out: &mut [T],
) {
    let r = local.op.groups();
    let out = T::regs_mut::<S>(&mut out[..2 * r * local.row()]);
    let columns = out.len() / (2 * r);
    let row = Row::new(local, (pixel, m), columns);
    // Sums of at most 24 registers, or of 12 where there are only 16.
    let many = S::REGISTER_COUNT >= 32;
    let mut l = 0;
    while l < r {
        let most = if many && columns <= 3 { 4 } else { 2 };
        let n = [4, 2, 1].into_iter().find(|n| *n <= most.min(r - l)).expect("at least one");
        let mut c = 0;
        while c < columns {
            let at = (l, c);
            let most = if many { 6 } else { 3 };
            c += match (n, most.min(columns - c)) {
                (4, 3..) => row.columns_of::<T, S, 4, 3>(simd, moduli, at, out),
                (4, 2) => row.columns_of::<T, S, 4, 2>(simd, moduli, at, out),
                (4, _) => row.columns_of::<T, S, 4, 1>(simd, moduli, at, out),
                (2, 6) => row.columns_of::<T, S, 2, 6>(simd, moduli, at, out),
                (2, 5) => row.columns_of::<T, S, 2, 5>(simd, moduli, at, out),
                (2, 4) => row.columns_of::<T, S, 2, 4>(simd, moduli, at, out),
                (2, 3) => row.columns_of::<T, S, 2, 3>(simd, moduli, at, out),
                (2, 2) => row.columns_of::<T, S, 2, 2>(simd, moduli, at, out),
                (2, _) => row.columns_of::<T, S, 2, 1>(simd, moduli, at, out),
                (_, 4..) => row.columns_of::<T, S, 1, 4>(simd, moduli, at, out),
                (_, 2..) => row.columns_of::<T, S, 1, 2>(simd, moduli, at, out),
                _ => row.columns_of::<T, S, 1, 1>(simd, moduli, at, out),
            };
        }
        l += n;
    }
}

impl Row<'_> {
    /// `N` orientations of `B` neighbouring registers.
    #[inline(always)]
    fn columns_of<T: Real, S: Simd, const N: usize, const B: usize>(
        &self,
        simd: S,
        moduli: &[T::Reg<S>],
        (l, c): (usize, usize),
        out: &mut [T::Reg<S>],
    ) -> usize {
        let op = self.local.op;
        let stencil = &op.stencil;
        let (_, weights) = stencil.table_row::<T>(self.pixel);
        let stride = op.config.moduli.len() * self.columns;
        let zero = T::splat(simd, T::default());
        let mut sum = [[[zero; B]; 2]; N];
        let mut at = 2 * l;
        for &k in &op.layout.parts.local[stencil.forward.entries(self.pixel)] {
            let x = &moduli[k as usize * stride + self.first + c..];
            let x: &[_; B] = x.first_chunk().expect("neighbouring registers");
            let w: &[_; N] = weights[at..].as_chunks::<2>().0.first_chunk().expect("orientations");
            for (sum, w) in sum.iter_mut().zip(w) {
                for (sum, w) in sum.iter_mut().zip(w) {
                    let w = T::splat(simd, *w);
                    for (sum, x) in sum.iter_mut().zip(x) {
                        *sum = T::mul_add(simd, w, *x, *sum);
                    }
                }
            }
            at += 2 * stencil.orientations;
        }
        for (to, [re, im]) in stencil.turn(self.pixel)[l..l + N].iter().zip(&mut sum) {
            if to.conjugate {
                im.iter_mut().for_each(|im| *im = T::vsub(simd, zero, *im));
            }
            let out = &mut out[2 * to.orientation * self.columns + c..];
            out[..B].copy_from_slice(re);
            out[self.columns..][..B].copy_from_slice(im);
        }
        B
    }
}
