//! Forward: sums of products over the pixels of one block, and the output from them.

use super::Covariance;
use super::layout::{Pair, Tile};
use super::local::piece_mut;
use super::packing::{Chunk, Packing, with_maps};
use rayon::prelude::*;
use skyscat_num::{Real, Simd, WithSimd, dispatch_widest};

/// Adds Σ w X Y* of every tile, `[mask][group][chunk][product][re, im][lane]`, and behind
/// those of each chunk Σ w Z of every slot.
pub(super) struct Sums<'a, T> {
    pub(super) op: &'a Covariance,
    pub(super) packing: Packing,
    pub(super) pixels: usize,
    pub(super) z: &'a [T],
    pub(super) weights: &'a [T],
    pub(super) sums: &'a mut [T],
}

impl<T: Real> WithSimd for Sums<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { op, packing, pixels, z, weights, sums } = self;
        let (groups, masks, width) = (op.groups(), op.masks.masks, packing.width);
        let per_group = sums.len() / (groups * masks);
        let per_chunk = per_group / packing.count();
        let register = 2 * op.layout.slots * width;
        for (group, z) in z.chunks_exact(z.len() / groups).enumerate() {
            for (mask, weights) in weights.chunks_exact(weights.len() / masks).enumerate() {
                let sums = &mut sums[(mask * groups + group) * per_group..][..per_group];
                let chunks = packing.chunks(pixels).zip(sums.chunks_exact_mut(per_chunk));
                for (Chunk { register: first, registers, .. }, sums) in chunks {
                    let z = &z[first * register..][..registers * register];
                    let weights = &weights[first * width..][..registers * width];
                    Fields { op, z, weights }.sum::<S>(simd, T::regs_mut::<S>(sums));
                }
            }
        }
    }
}

/// The fields of a group and chunk at a block of pixels, and the pixels' weights.
struct Fields<'a, T> {
    op: &'a Covariance,
    z: &'a [T],
    weights: &'a [T],
}

impl<T: Real> Fields<'_, T> {
    #[inline(always)]
    fn sum<S: Simd>(&self, simd: S, sums: &mut [T::Reg<S>]) {
        let layout = &self.op.layout;
        let (products, means) = sums.split_at_mut(2 * layout.products);
        for tile in &layout.tiles {
            let sums = &mut *products;
            match (tile.nx, tile.ny) {
                (4, 2) if S::REGISTER_COUNT < 32 => {
                    self.tile::<S, 2, 2>(simd, (tile, 0), sums);
                    self.tile::<S, 2, 2>(simd, (tile, 2), sums);
                }
                (4, 2) => self.tile::<S, 4, 2>(simd, (tile, 0), sums),
                (2, 2) => self.tile::<S, 2, 2>(simd, (tile, 0), sums),
                (1, 2) => self.tile::<S, 1, 2>(simd, (tile, 0), sums),
                (4, _) => self.tile::<S, 4, 1>(simd, (tile, 0), sums),
                (2, _) => self.tile::<S, 2, 1>(simd, (tile, 0), sums),
                _ => self.tile::<S, 1, 1>(simd, (tile, 0), sums),
            }
        }
        if !self.op.config.centred {
            return;
        }
        let (eights, rest) = means.as_chunks_mut::<8>();
        let odd = 8 * eights.len();
        eights.iter_mut().enumerate().for_each(|(i, means)| self.means(simd, 8 * i, means));
        let (twos, _) = rest.as_chunks_mut::<2>();
        twos.iter_mut().enumerate().for_each(|(i, means)| self.means(simd, odd + 2 * i, means));
    }

    /// Means of `N` neighbouring numbers of a register's row.
    #[inline(always)]
    fn means<S: Simd, const N: usize>(&self, simd: S, first: usize, means: &mut [T::Reg<S>; N]) {
        let mut sum = *means;
        let z = T::regs::<S>(self.z);
        let mut at = first;
        for &w in T::regs::<S>(self.weights) {
            let z: &[_; N] = z[at..].first_chunk().expect("numbers of a row");
            for (sum, &z) in sum.iter_mut().zip(z) {
                *sum = T::mul_add(simd, w, z, *sum);
            }
            at += 2 * self.op.layout.slots;
        }
        *means = sum;
    }

    /// `NX`×`NY` products of a tile, from the given column of it on.
    #[inline(always)]
    fn tile<S: Simd, const NX: usize, const NY: usize>(
        &self,
        simd: S,
        (tile, from): (&Tile, usize),
        sums: &mut [T::Reg<S>],
    ) {
        let (sums, _) = sums.as_chunks_mut::<2>();
        let zero = T::splat(simd, T::default());
        let mut sum = [[[zero; 2]; NX]; NY];
        for (y, sum) in sum.iter_mut().enumerate() {
            let stored = &sums[tile.first + y * tile.nx + from..];
            *sum = *stored.first_chunk().expect("a tile's columns");
        }
        let (z, _) = T::regs::<S>(self.z).as_chunks::<2>();
        // Slices by hand: an iterator over chunks divides, as long as a register takes.
        let (mut x, mut y) = (tile.x + from, tile.y);
        for &w in T::regs::<S>(self.weights) {
            let xs: &[_; NX] = z[x..].first_chunk().expect("a tile's slots");
            let ys: &[_; NY] = z[y..].first_chunk().expect("a tile's slots");
            x += self.op.layout.slots;
            y += self.op.layout.slots;
            for (sum, [yr, yi]) in sum.iter_mut().zip(ys) {
                let (yr, yi) = (T::vmul(simd, w, *yr), T::vmul(simd, w, *yi));
                for (sum, &[xr, xi]) in sum.iter_mut().zip(xs) {
                    sum[0] = T::mul_add(simd, xr, yr, sum[0]);
                    sum[0] = T::mul_add(simd, xi, yi, sum[0]);
                    sum[1] = T::mul_add(simd, xi, yr, sum[1]);
                    sum[1] = T::neg_mul_add(simd, xr, yi, sum[1]);
                }
            }
        }
        for (y, sum) in sum.iter().enumerate() {
            sums[tile.first + y * tile.nx + from..][..NX].copy_from_slice(sum);
        }
    }
}

/// Adds up the lanes of each map, of one mask and group: `[product or slot][re, im][map]`.
pub(super) struct Fold<'a, T> {
    pub(super) packing: Packing,
    pub(super) sums: &'a [T],
    pub(super) folded: &'a mut [T],
}

impl<T: Real> WithSimd for Fold<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { packing, sums, folded } = self;
        folded.fill(T::default());
        let per_chunk = sums.len() / packing.count();
        for (chunk, sums) in packing.chunks(1).zip(sums.chunks_exact(per_chunk)) {
            let registers = sums.chunks_exact(packing.width);
            let rows = folded.chunks_exact_mut(packing.lanes).zip(registers);
            with_maps!(chunk.maps, C => for (row, register) in rows {
                let mut sum = [T::default(); C];
                for pixel in register.as_chunks::<C>().0 {
                    sum.iter_mut().zip(pixel).for_each(|(sum, &x)| *sum += x);
                }
                *piece_mut(&mut row[chunk.first..]) = sum;
            });
        }
    }
}

/// The output from the folded sums of all masks and groups.
pub(super) fn finish<T: Real>(op: &Covariance, lanes: usize, folded: &[T], output: &mut [T]) {
    let (layout, masks) = (&op.layout, op.masks.masks);
    let of_masks = folded.chunks_exact(folded.len() / masks);
    let mut tasks = Vec::with_capacity(masks * layout.pairs.len());
    for (folded, mut row) in of_masks.zip(output.chunks_exact_mut(output.len() / masks)) {
        let mut picks = &layout.picks[..];
        for pair in &layout.pairs {
            let output = row.split_off_mut(..2 * lanes * pair.channels(op.groups()).len());
            let picks = picks.split_off(..pair.len()).expect("one a channel");
            let output = output.expect("all channels of a pair");
            tasks.push(OfPair { op, lanes, pair, picks, folded, output });
        }
        let groups = folded.chunks_exact(folded.len() / op.groups());
        for (folded, means) in groups.zip(row.chunks_exact_mut(2 * lanes * layout.slots)) {
            means.copy_from_slice(&folded[2 * layout.products * lanes..][..means.len()]);
        }
    }
    tasks.into_par_iter().for_each(dispatch_widest);
}

/// The output channels of one pair and mask: picked from the products, means taken off.
struct OfPair<'a, T> {
    op: &'a Covariance,
    lanes: usize,
    pair: &'a Pair,
    /// Of each channel of a group: its product, and whether conjugated.
    picks: &'a [(usize, bool)],
    /// The sums of all groups.
    folded: &'a [T],
    output: &'a mut [T],
}

impl<T: Real> WithSimd for OfPair<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { op, lanes, pair, picks, folded, output } = self;
        let groups = folded.chunks_exact(folded.len() / op.groups());
        for (folded, out) in groups.zip(output.chunks_exact_mut(2 * lanes * picks.len())) {
            let number = |at: usize| folded[2 * at * lanes..][..2 * lanes].split_at(lanes);
            let mean = |slot: usize| number(op.layout.products + slot);
            let channels = out.chunks_exact_mut(2 * lanes).zip(picks).zip(pair.slots());
            for ((out, &(product, conjugate)), (x, y)) in channels {
                let (re, im) = out.split_at_mut(lanes);
                let from = number(product);
                re.copy_from_slice(from.0);
                for (im, &from) in im.iter_mut().zip(from.1) {
                    *im = if conjugate { -from } else { from };
                }
                if op.config.centred {
                    let ((xr, xi), (yr, yi)) = (mean(x), mean(y));
                    for lane in 0..lanes {
                        re[lane] = re[lane] - xr[lane] * yr[lane] - xi[lane] * yi[lane];
                        im[lane] = im[lane] - xi[lane] * yr[lane] + xr[lane] * yi[lane];
                    }
                }
            }
        }
    }
}
