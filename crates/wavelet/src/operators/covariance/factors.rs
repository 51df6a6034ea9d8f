//! Backward: what the cotangent makes of the fields of a group, one factor a pair.

use super::Covariance;
use super::local::piece;
use super::packing::{Chunk, Packing, with_maps};
use skyscat_num::{Real, Simd, WithSimd, dispatch_widest};

/// Factors of one mask and group as `Linear` reads them, `[chunk][factor][re, im][lane]`,
/// and behind those of each chunk `[slot][re, im][lane]`: what the means add.
pub(super) struct Factors<'a, T> {
    pub(super) op: &'a Covariance,
    pub(super) packing: Packing,
    pub(super) group: usize,
    /// Row of the cotangent and of the output for this mask.
    pub(super) g: &'a [T],
    pub(super) output: &'a [T],
}

impl<T: Real> Factors<'_, T> {
    /// Numbers that the factors take.
    pub(super) fn len(op: &Covariance, packing: Packing) -> usize {
        2 * (op.layout.factors.len() + op.layout.slots) * packing.width * packing.count()
    }

    /// Numbers that making them takes: the offsets of the maps of a chunk.
    pub(super) fn room(op: &Covariance, packing: Packing) -> usize {
        2 * op.layout.slots * packing.width
    }

    /// Writes the factors into an array that has [`Factors::room`] behind them.
    pub(super) fn write(&self, out: &mut [T]) {
        let (out, offsets) = out.split_at_mut(Self::len(self.op, self.packing));
        let per_chunk = out.len() / self.packing.count();
        let chunks = self.packing.chunks(1).zip(out.chunks_exact_mut(per_chunk));
        for (chunk, out) in chunks {
            dispatch_widest(OfChunk { factors: self, chunk, out, offsets });
        }
    }
}

/// The factors of the maps of one chunk.
struct OfChunk<'a, T> {
    factors: &'a Factors<'a, T>,
    chunk: Chunk,
    out: &'a mut [T],
    offsets: &'a mut [T],
}

impl<T: Real> WithSimd for OfChunk<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { factors, chunk, out, offsets } = self;
        with_maps!(chunk.maps, C => factors.of_maps::<C>(chunk.first, out, offsets));
    }
}

/// A complex number of each map.
type Number<T, const C: usize> = [[T; C]; 2];

impl<T: Real> Factors<'_, T> {
    #[inline(always)]
    fn of_maps<const C: usize>(&self, first: usize, out: &mut [T], offsets: &mut [T]) {
        let Self { op, packing, group, g, output } = *self;
        let layout = &op.layout;
        let number = |row: &[T], at: usize| -> Number<T, C> {
            let row = &row[2 * at * packing.lanes + first..];
            [*piece(row), *piece(&row[packing.lanes..])]
        };
        let mut store = |at: usize, number: Number<T, C>| {
            for (part, maps) in number.into_iter().enumerate() {
                let out = &mut out[(2 * at + part) * packing.width..][..packing.width];
                out.as_chunks_mut::<C>().0.fill(maps);
            }
        };
        let means = op.pair_channels() + group * layout.slots;
        let (offsets, _) = offsets.as_chunks_mut::<C>().0.as_chunks_mut::<2>();
        let offsets = &mut offsets[..layout.slots];
        // The cotangent of the means themselves, less what centring takes off.
        for (slot, offset) in offsets.iter_mut().enumerate() {
            let centred = op.config.centred;
            *offset = if centred { number(g, means + slot) } else { [[T::default(); C]; 2] };
        }
        for target in &layout.targets {
            let sources = &layout.sources[target.sources.0..target.sources.1];
            for (s, source) in sources.iter().enumerate() {
                for i in 0..target.len {
                    let at = target.first + s * target.len + i;
                    let mut factor = [[T::default(); C]; 2];
                    for part in &layout.factors[at] {
                        add(&mut factor, number(g, part.first + group * part.step), part.conjugate);
                    }
                    store(at, factor);
                    if op.config.centred {
                        let mean = number(output, means + source);
                        take_off(&mut offsets[target.slot + i], factor, mean);
                    }
                }
            }
        }
        for (slot, offset) in offsets.iter().enumerate() {
            store(layout.factors.len() + slot, *offset);
        }
    }
}

/// sum += g, or its conjugate.
#[inline(always)]
fn add<T: Real, const C: usize>(sum: &mut Number<T, C>, g: Number<T, C>, conjugate: bool) {
    for i in 0..C {
        sum[0][i] += g[0][i];
        sum[1][i] += if conjugate { -g[1][i] } else { g[1][i] };
    }
}

/// offset −= factor · mean.
#[inline(always)]
fn take_off<T: Real, const C: usize>(
    [re, im]: &mut Number<T, C>,
    [fr, fi]: Number<T, C>,
    [mr, mi]: Number<T, C>,
) {
    for i in 0..C {
        re[i] = re[i] - fr[i] * mr[i] + fi[i] * mi[i];
        im[i] = im[i] - fr[i] * mi[i] - fi[i] * mr[i];
    }
}
