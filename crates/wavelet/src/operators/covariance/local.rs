//! Moduli, and their gradients, at the columns that a part reaches: the maps of a chunk
//! side by side, so that what is convolved falls into the registers that are paired.

use super::Covariance;
use super::packing::{Chunk, Packing, with_maps};
use skyscat_autodiff::Field;
use skyscat_num::{Real, Simd, WithSimd};

/// The order of numbers within an array of one part: `[column][modulus][chunk][R][map]`.
#[derive(Clone, Copy)]
pub(super) struct Local<'a> {
    pub(super) op: &'a Covariance,
    pub(super) packing: Packing,
}

impl Local<'_> {
    /// Numbers of one modulus at one column.
    #[inline(always)]
    pub(super) fn row(self) -> usize {
        self.op.groups() * self.packing.lanes
    }

    /// Those of them that belong to a chunk.
    #[inline(always)]
    pub(super) fn used(self) -> usize {
        let last = self.packing.chunks(1).last().expect("there are maps");
        self.op.groups() * (last.first + last.maps)
    }

    /// Numbers of a column.
    #[inline(always)]
    pub(super) fn stride(self) -> usize {
        self.op.config.moduli.len() * self.row()
    }

    /// Numbers of a part: whole registers, and one where there is no modulus.
    pub(super) fn len(self) -> usize {
        let numbers = self.op.layout.parts.reach * self.stride();
        numbers.max(1).next_multiple_of(self.packing.width)
    }

    /// Where a channel of a chunk stands in a row of a field, and in a row here.
    #[inline(always)]
    fn places(self, chunk: Chunk, channel: usize) -> (usize, usize) {
        let there = channel * self.packing.lanes + chunk.first;
        (there, self.op.groups() * chunk.first + channel * chunk.maps)
    }
}

/// A modulus at the columns of a pixel's stencil.
pub(super) struct Row<'a> {
    pub(super) local: Local<'a>,
    pub(super) pixel: usize,
    /// First register of the modulus at a column.
    pub(super) first: usize,
    /// Registers of it.
    pub(super) columns: usize,
}

impl<'a> Row<'a> {
    /// A modulus that takes so many registers at a column.
    #[inline(always)]
    pub(super) fn new(local: Local<'a>, (pixel, m): (usize, usize), columns: usize) -> Self {
        Self { local, pixel, first: m * columns, columns }
    }
}

/// Brings the moduli at the columns of a part.
pub(super) struct Gather<'a, T> {
    pub(super) local: Local<'a>,
    pub(super) part: usize,
    pub(super) moduli: &'a [Field<'a, T>],
    pub(super) out: &'a mut [T],
}

impl<T: Real> WithSimd for Gather<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { local, part, moduli, out } = self;
        let (columns, used) = (local.op.layout.parts.columns(part), local.used());
        for (m, modulus) in moduli.iter().enumerate() {
            let mut at = m * local.row();
            for &column in columns {
                let from = &modulus.data[column as usize * modulus.stride()..][..local.row()];
                let out = &mut out[at..][..local.row()];
                // Lanes that no chunk has.
                out[used..].fill(T::default());
                for chunk in local.packing.chunks(1) {
                    with_maps!(chunk.maps, C => for l in 0..local.op.groups() {
                        let (there, here) = local.places(chunk, l);
                        *piece_mut::<T, C>(&mut out[here..]) = *piece(&from[there..]);
                    });
                }
                at += local.stride();
            }
        }
    }
}

/// Parts that are worked on at a time: enough for many threads, few enough that their
/// gradients are small beside the fields.
pub(super) const WAVE: usize = 64;

/// Adds the gradients that the parts of a wave have of a modulus to rows of its gradient.
pub(super) struct Collect<'a, T> {
    pub(super) local: Local<'a>,
    pub(super) modulus: usize,
    /// The first part, and the gradients of each.
    pub(super) wave: (usize, &'a [T]),
    /// The first row, and `[row][R][map]` from there on.
    pub(super) rows: (usize, &'a mut [T]),
}

impl<T: Real> WithSimd for Collect<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { local, modulus, wave: (first_part, all), rows: (first, rows) } = self;
        for (i, row) in rows.chunks_exact_mut(local.row()).enumerate() {
            for &(part, column) in local.op.layout.parts.homes(first + i) {
                let Some(part) = (part as usize).checked_sub(first_part).filter(|&p| p < WAVE)
                else {
                    continue;
                };
                let at = part * local.len() + column as usize * local.stride();
                let from = &all[at + modulus * local.row()..][..local.row()];
                for chunk in local.packing.chunks(1) {
                    with_maps!(chunk.maps, C => for l in 0..local.op.groups() {
                        let (there, here) = local.places(chunk, l);
                        let to = piece_mut::<T, C>(&mut row[there..]);
                        let from = piece::<T, C>(&from[here..]);
                        to.iter_mut().zip(from).for_each(|(to, &from)| *to += from);
                    });
                }
            }
        }
    }
}

/// The first `C` numbers.
#[inline(always)]
pub(super) fn piece<T, const C: usize>(from: &[T]) -> &[T; C] {
    from.first_chunk().expect("the maps of a chunk")
}

/// The same, to be written.
#[inline(always)]
pub(super) fn piece_mut<T, const C: usize>(to: &mut [T]) -> &mut [T; C] {
    to.first_chunk_mut().expect("the maps of a chunk")
}
