//! Backward: what the cotangent makes of the fields of a group, one factor a pair.

use super::Covariance;
use super::packing::Packing;
use skyscat_num::{Real, Simd, WithSimd};

/// Factors of one mask and group as `Linear` reads them, `[chunk][factor][re, im][lane]`,
/// and behind those of each chunk `[slot][re, im][lane]`: what the means add.
pub(super) struct Factors<'a, T> {
    pub(super) op: &'a Covariance,
    pub(super) packing: Packing,
    pub(super) group: usize,
    /// Row of the cotangent and of the output for this mask.
    pub(super) g: &'a [T],
    pub(super) output: &'a [T],
    /// The factors, then [`Factors::room`].
    pub(super) out: &'a mut [T],
}

impl<T: Real> Factors<'_, T> {
    /// Numbers that the factors take.
    pub(super) fn len(op: &Covariance, packing: Packing) -> usize {
        2 * (op.layout.factors.len() + op.layout.slots) * packing.width * packing.count()
    }

    /// Numbers that making them takes: one factor and all offsets, of each map.
    pub(super) fn room(op: &Covariance, lanes: usize) -> usize {
        2 * (1 + op.layout.slots) * lanes
    }
}

impl<T: Real> WithSimd for Factors<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { op, packing, group, g, output, out } = self;
        let (layout, lanes) = (&op.layout, packing.lanes);
        let (out, room) = out.split_at_mut(Self::len(op, packing));
        let (factor, offsets) = room.split_at_mut(2 * lanes);
        let means = 2 * (op.pair_channels() + group * layout.slots) * lanes;
        let per_chunk = out.len() / packing.count();
        let mut store = |number: usize, maps: &[T]| {
            for (part, maps) in maps.chunks_exact(lanes).enumerate() {
                let at = (2 * number + part) * packing.width;
                packing.spread(maps, |chunk, lane, maps| {
                    out[chunk * per_chunk + at + lane..][..maps.len()].copy_from_slice(maps);
                });
            }
        };
        // The cotangent of the means themselves, less what centring takes off.
        match op.config.centred {
            true => offsets.copy_from_slice(&g[means..][..2 * layout.slots * lanes]),
            false => offsets.fill(T::default()),
        }
        for target in &layout.targets {
            let sources = &layout.sources[target.sources.0..target.sources.1];
            for (s, source) in sources.iter().enumerate() {
                for i in 0..target.len {
                    let at = target.first + s * target.len + i;
                    factor.fill(T::default());
                    for part in &layout.factors[at] {
                        let g = &g[2 * (part.first + group * part.step) * lanes..][..2 * lanes];
                        add(factor, g, part.conjugate);
                    }
                    store(at, factor);
                    if op.config.centred {
                        let mean = &output[means + 2 * source * lanes..][..2 * lanes];
                        let slot = target.slot + i;
                        take_off(&mut offsets[2 * slot * lanes..][..2 * lanes], factor, mean);
                    }
                }
            }
        }
        for (slot, offset) in offsets.chunks_exact(2 * lanes).enumerate() {
            store(layout.factors.len() + slot, offset);
        }
    }
}

/// sum += g, or its conjugate; real parts of all maps, then imaginary ones.
#[inline(always)]
fn add<T: Real>(sum: &mut [T], g: &[T], conjugate: bool) {
    let half = sum.len() / 2;
    for (at, (sum, &g)) in sum.iter_mut().zip(g).enumerate() {
        *sum += if conjugate && at >= half { -g } else { g };
    }
}

/// offset −= factor · mean.
#[inline(always)]
fn take_off<T: Real>(offset: &mut [T], factor: &[T], mean: &[T]) {
    let half = offset.len() / 2;
    let (or, oi) = offset.split_at_mut(half);
    let ((fr, fi), (mr, mi)) = (factor.split_at(half), mean.split_at(half));
    for lane in 0..half {
        or[lane] = or[lane] - fr[lane] * mr[lane] + fi[lane] * mi[lane];
        oi[lane] = oi[lane] - fr[lane] * mi[lane] - fi[lane] * mr[lane];
    }
}
