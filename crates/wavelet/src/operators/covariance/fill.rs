//! The fields of all groups at a block of pixels: bands copied, moduli convolved.

use super::Covariance;
use super::packing::{Chunk, Packing, with_maps};
use crate::RotationTable;
use skyscat_autodiff::Field;
use skyscat_num::{Real, Simd, WithSimd};
use std::ops::Range;

/// Pixels of a block: their fields stay in the cache while they are paired.
pub(super) const BLOCK: usize = 16;

/// Makes the fields of all groups at a block of pixels, and the weights of these pixels:
/// what is multiplied together lies side by side.
pub(super) struct Fill<'a, T> {
    pub(super) op: &'a Covariance,
    pub(super) inputs: &'a [Field<'a, T>],
    pub(super) packing: Packing,
    pub(super) rows: Range<usize>,
    pub(super) block: Block<'a, T>,
}

/// Memory for what is computed of one block of pixels.
pub(super) struct Block<'a, T> {
    /// Fields, `[group][register][slot][re, im][lane]`.
    pub(super) z: &'a mut [T],
    /// Weights, `[mask][register][lane]`.
    pub(super) weights: &'a mut [T],
    /// Twice one modulus convolved at one pixel, `[group][re, im][channel][map]`.
    pub(super) row: &'a mut [T],
}

/// Where a pixel's numbers of one chunk stand in a group.
#[derive(Clone, Copy)]
pub(super) struct Place {
    chunk: Chunk,
    lanes: usize,
    width: usize,
    /// First number of slot 0.
    at: usize,
}

impl Place {
    #[inline(always)]
    pub(super) fn new(packing: Packing, chunk: Chunk, pixel: usize, slots: usize) -> Self {
        let (register, lane) = packing.place(chunk, pixel);
        let Packing { lanes, width } = packing;
        Self { chunk, lanes, width, at: 2 * register * slots * width + lane }
    }

    /// From the real part of a slot on.
    #[inline(always)]
    fn slot(self, slot: usize) -> usize {
        self.at + 2 * slot * self.width
    }

    /// The chunk's maps of a row that holds all maps of one number after the other.
    #[inline(always)]
    fn maps(self, number: usize) -> usize {
        number * self.lanes + self.chunk.first
    }
}

/// The first `C` numbers.
#[inline(always)]
fn piece<T, const C: usize>(from: &[T]) -> &[T; C] {
    from.first_chunk().expect("the maps of a chunk")
}

/// The same, to be written.
#[inline(always)]
fn piece_mut<T, const C: usize>(to: &mut [T]) -> &mut [T; C] {
    to.first_chunk_mut().expect("the maps of a chunk")
}

impl<'a, T: Real> WithSimd for Fill<'a, T> {
    type Output = Block<'a, T>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Block<'a, T> {
        let Self { op, inputs, packing, rows, block } = self;
        let Block { z, weights, row } = block;
        let (bands, slots) = (op.config.bands, op.layout.slots);
        let r = op.groups();
        if rows.len() < BLOCK {
            // Lanes of no pixel must not hold infinities.
            z.fill(T::default());
            weights.fill(T::default());
        }
        let group = z.len() / r;
        for (i, pixel) in rows.clone().enumerate() {
            for (b, band) in inputs[..bands].iter().enumerate() {
                let from = &band.data[pixel * band.stride()..][..band.stride()];
                for chunk in packing.chunks(rows.len()) {
                    let place = Place::new(packing, chunk, i, slots);
                    with_maps!(chunk.maps, C => copy::<T, C>(from, (place, b), z, group));
                }
            }
        }
        let pack = Pack { op, packing, rows: rows.clone() };
        // A row is packed while the next is convolved: what has just been stored in whole
        // registers cannot be loaded across them without waiting.
        let (mut fresh, mut kept) = row.split_at_mut(row.len() / 2);
        let mut waiting = None;
        for (i, pixel) in rows.clone().enumerate() {
            for (m, modulus) in inputs[bands..].iter().enumerate() {
                convolve::<T, S>(simd, op, modulus, pixel, fresh);
                if let Some(at) = waiting.replace((i, m)) {
                    pack.row(at, kept, z);
                }
                std::mem::swap(&mut fresh, &mut kept);
            }
        }
        if let Some(at) = waiting {
            pack.row(at, kept, z);
        }
        expand(op, packing, rows, weights);
        Block { z, weights, row }
    }
}

/// Where the convolved moduli of a block go.
struct Pack<'a> {
    op: &'a Covariance,
    packing: Packing,
    rows: Range<usize>,
}

impl Pack<'_> {
    /// A modulus at one of the pixels.
    #[inline(always)]
    fn row<T: Real>(&self, (i, m): (usize, usize), row: &[T], z: &mut [T]) {
        let Self { op, packing, ref rows } = *self;
        let (r, slots) = (op.groups(), op.layout.slots);
        let group = z.len() / r;
        let table = op.config.moduli[m].as_deref().map(|table| (table, rows.start + i));
        for chunk in packing.chunks(rows.len()) {
            let to = (Place::new(packing, chunk, i, slots), op.config.bands + m * r);
            with_maps!(chunk.maps, C => pack::<T, C>(row, table, r, to, (&mut *z, group)));
        }
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
    (place, slot): (Place, usize),
    z: &mut [T],
    group: usize,
) {
    for (g, z) in z.chunks_exact_mut(group).enumerate() {
        for (part, to) in z[place.slot(slot)..].chunks_mut(place.width).take(2).enumerate() {
            *piece_mut::<T, C>(to) = *piece(&from[place.maps(2 * g + part)..]);
        }
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
    let groups = z.chunks_exact_mut(group).zip(row.chunks_exact(2 * r * place.lanes));
    for (g, (z, from)) in groups.enumerate() {
        let turn = table.map(|(table, pixel)| table.turn::<T>(pixel, g));
        let channels = z[place.slot(slot)..].chunks_mut(2 * place.width).take(r);
        for (l, to) in channels.enumerate() {
            for part in 0..2 {
                let at = |l: usize| piece::<T, C>(&from[place.maps(part * r + l)..]);
                let to = piece_mut::<T, C>(&mut to[part * place.width..]);
                match turn {
                    None => *to = *at(l),
                    Some((shift, weights)) => {
                        let a = wrap(l + shift, r);
                        blend(weights, at(a), at(wrap(a + 1, r)), to);
                    }
                }
            }
        }
    }
}

/// The transpose of [`pack`]: slots of every group back to a row.
#[inline(always)]
pub(super) fn unpack<T: Real, const C: usize>(
    dz: (&[T], usize),
    (place, slot): (Place, usize),
    table: Option<(&RotationTable, usize)>,
    r: usize,
    row: &mut [T],
) {
    let (dz, group) = dz;
    let groups = dz.chunks_exact(group).zip(row.chunks_exact_mut(2 * r * place.lanes));
    for (g, (dz, to)) in groups.enumerate() {
        let turn = table.map(|(table, pixel)| table.turn::<T>(pixel, g));
        let from = &dz[place.slot(slot)..];
        for l in 0..r {
            for part in 0..2 {
                let at = |l: usize| piece::<T, C>(&from[(2 * l + part) * place.width..]);
                let to = piece_mut::<T, C>(&mut to[place.maps(part * r + l)..]);
                match turn {
                    None => *to = *at(l),
                    Some((shift, weights)) => {
                        let a = wrap(l + r - shift, r);
                        blend(weights, at(a), at(wrap(a + r - 1, r)), to);
                    }
                }
            }
        }
    }
}

/// Adds a band's slot of every group to its gradient at a pixel, `[group][re, im][map]`.
#[inline(always)]
pub(super) fn add_band<T: Real, const C: usize>(
    (dz, group): (&[T], usize),
    (place, slot): (Place, usize),
    to: &mut [T],
) {
    for (g, dz) in dz.chunks_exact(group).enumerate() {
        for (part, from) in dz[place.slot(slot)..].chunks(place.width).take(2).enumerate() {
            let to = piece_mut::<T, C>(&mut to[place.maps(2 * g + part)..]);
            to.iter_mut().zip(piece::<T, C>(from)).for_each(|(to, &from)| *to += from);
        }
    }
}

#[inline(always)]
fn wrap(l: usize, r: usize) -> usize {
    if l >= r { l - r } else { l }
}

#[inline(always)]
fn blend<T: Real, const C: usize>([a, b]: [T; 2], x: &[T; C], y: &[T; C], out: &mut [T; C]) {
    for ((out, &x), &y) in out.iter_mut().zip(x).zip(y) {
        *out = a * x + b * y;
    }
}

/// M ⋆ ψ of every orientation at one pixel, `[orientation][re, im][channel][map]`.
#[inline(always)]
fn convolve<T: Real, S: Simd>(
    simd: S,
    op: &Covariance,
    modulus: &Field<'_, T>,
    row: usize,
    out: &mut [T],
) {
    let r = op.groups();
    let columns = T::regs::<S>(&modulus.data[..modulus.stride()]).len();
    let mut l = 0;
    while l < r {
        let n = 2.min(r - l);
        let mut c = 0;
        while c < columns {
            let at = (row, l, c);
            // Sums of 2·2·6 registers, or of 2·2·3 where there are only 16.
            let most = if S::REGISTER_COUNT >= 32 { 6 } else { 3 };
            c += match (n, most.min(columns - c)) {
                (2, 6) => columns_of::<T, S, 2, 6>(simd, op, modulus, at, out),
                (2, 5) => columns_of::<T, S, 2, 5>(simd, op, modulus, at, out),
                (2, 4) => columns_of::<T, S, 2, 4>(simd, op, modulus, at, out),
                (2, 3) => columns_of::<T, S, 2, 3>(simd, op, modulus, at, out),
                (2, 2) => columns_of::<T, S, 2, 2>(simd, op, modulus, at, out),
                (2, _) => columns_of::<T, S, 2, 1>(simd, op, modulus, at, out),
                (_, 4..) => columns_of::<T, S, 1, 4>(simd, op, modulus, at, out),
                (_, 2..) => columns_of::<T, S, 1, 2>(simd, op, modulus, at, out),
                _ => columns_of::<T, S, 1, 1>(simd, op, modulus, at, out),
            };
        }
        l += n;
    }
}

/// `N` orientations of `B` neighbouring registers of a row.
#[inline(always)]
fn columns_of<T: Real, S: Simd, const N: usize, const B: usize>(
    simd: S,
    op: &Covariance,
    modulus: &Field<'_, T>,
    (row, l, c): (usize, usize, usize),
    out: &mut [T],
) -> usize {
    let stencil = &op.stencil;
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
    let registers = T::regs::<S>(&modulus.data[..stride]).len();
    let out = T::regs_mut::<S>(out);
    for (to, [re, im]) in stencil.turn(row)[l..l + N].iter().zip(&mut sum) {
        if to.conjugate {
            im.iter_mut().for_each(|im| *im = T::vsub(simd, zero, *im));
        }
        let out = &mut out[2 * to.orientation * registers..][..2 * registers];
        let (out_re, out_im) = out.split_at_mut(registers);
        out_re[c..][..B].copy_from_slice(re);
        out_im[c..][..B].copy_from_slice(im);
    }
    B
}
