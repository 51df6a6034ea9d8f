//! Forward: sums of products over the rows of one part.

use super::Covariance;
use super::layout::Tile;
use super::second::{BLOCK, Second};
use skyscat_autodiff::Field;
use skyscat_num::{Real, Simd, WithSimd};
use std::ops::Range;

/// Σ w X Y* of every tile, `[mask][group][register][product][re, im]`, and behind those
/// of each group Σ w Z of every slot, `[register][slot][re, im]`.
pub(super) struct Products<'a, T> {
    pub(super) op: &'a Covariance,
    pub(super) inputs: &'a [Field<'a, T>],
    pub(super) rows: Range<usize>,
    pub(super) sums: &'a mut [T],
    /// A block of pixels, and R channels of one.
    pub(super) z: (&'a mut [T], &'a mut [T]),
}

impl<T: Real> WithSimd for Products<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { op, inputs, rows, sums, z: (z, turned) } = self;
        let lanes = inputs[0].lanes;
        let (groups, masks) = (op.groups(), op.masks.masks);
        let per_group = sums.len() / (groups * masks);
        let stride = op.layout.slots * 2 * lanes;
        let second = Second { op, inputs };
        let weights = op.masks.weights.get::<T>();
        sums.fill(T::default());
        for first in rows.clone().step_by(BLOCK) {
            let block = first..(first + BLOCK).min(rows.end);
            let group_len = block.len() * stride;
            let z = &mut z[..groups * group_len];
            second.fill(simd, block.clone(), (&mut *z, &mut *turned));
            let weights = &weights[block.start * masks..block.end * masks];
            for (group, z) in z.chunks_exact(group_len).enumerate() {
                for mask in 0..masks {
                    let sums = &mut sums[(mask * groups + group) * per_group..][..per_group];
                    let fields = Fields { z, stride, lanes, weights, mask, masks };
                    fields.sum(simd, op, sums);
                }
            }
        }
    }
}

/// The fields of a group at a block of pixels, and the pixels' weights.
struct Fields<'a, T> {
    z: &'a [T],
    stride: usize,
    lanes: usize,
    weights: &'a [T],
    mask: usize,
    masks: usize,
}

impl<T: Real> Fields<'_, T> {
    #[inline(always)]
    fn sum<S: Simd>(&self, simd: S, op: &Covariance, sums: &mut [T]) {
        let width = 2 * self.lanes;
        let (products, means) = sums.split_at_mut(op.layout.products * width);
        for tile in &op.layout.tiles {
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
        if op.config.centred {
            self.means(simd, means);
        }
    }

    /// `NX`×`NY` products of a tile, from the given column of it on.
    #[inline(always)]
    fn tile<S: Simd, const NX: usize, const NY: usize>(
        &self,
        simd: S,
        tile: (&Tile, usize),
        sums: &mut [T],
    ) {
        let registers = T::regs::<S>(&self.z[..self.lanes]).len();
        for lane in 0..registers {
            self.register::<S, NX, NY>(simd, tile, (lane, registers), sums);
        }
    }

    /// `NX`×`NY` products of one register of lanes.
    #[inline(always)]
    fn register<S: Simd, const NX: usize, const NY: usize>(
        &self,
        simd: S,
        (tile, from): (&Tile, usize),
        (lane, registers): (usize, usize),
        sums: &mut [T],
    ) {
        let sums = T::regs_mut::<S>(sums);
        let (sums, _) = sums.as_chunks_mut::<2>();
        let products = sums.len() / registers;
        let sums = &mut sums[lane * products + tile.first..][..tile.nx * tile.ny];
        let zero = T::splat(simd, T::default());
        let mut sum = [[[zero; 2]; NX]; NY];
        for (sum, stored) in sum.iter_mut().zip(sums.chunks_exact(tile.nx)) {
            *sum = *stored[from..].first_chunk().expect("a tile's columns");
        }
        let slots = self.stride / (2 * self.lanes);
        let weights = self.weights.chunks_exact(self.masks);
        for (z, w) in self.z.chunks_exact(self.stride).zip(weights) {
            let (z, _) = T::regs::<S>(z).as_chunks::<2>();
            let z = &z[lane * slots..][..slots];
            let xs: &[_; NX] = z[tile.x + from..].first_chunk().expect("a tile's slots");
            let ys: &[_; NY] = z[tile.y..].first_chunk().expect("a tile's slots");
            let w = T::splat(simd, w[self.mask]);
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
        for (sum, stored) in sum.iter().zip(sums.chunks_exact_mut(tile.nx)) {
            stored[from..][..NX].copy_from_slice(sum);
        }
    }

    #[inline(always)]
    fn means<S: Simd>(&self, simd: S, means: &mut [T]) {
        let means = T::regs_mut::<S>(means);
        let weights = self.weights.chunks_exact(self.masks);
        for (z, w) in self.z.chunks_exact(self.stride).zip(weights) {
            let w = T::splat(simd, w[self.mask]);
            for (mean, z) in means.iter_mut().zip(T::regs::<S>(z)) {
                *mean = T::mul_add(simd, w, *z, *mean);
            }
        }
    }
}

/// The output from the sums: pairs picked from the products, means taken off.
pub(super) struct Finish<'a, T> {
    pub(super) op: &'a Covariance,
    pub(super) lanes: usize,
    pub(super) sums: &'a [T],
    pub(super) output: &'a mut [T],
}

impl<T: Real> WithSimd for Finish<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { op, lanes, sums, output } = self;
        let (groups, masks) = (op.groups(), op.masks.masks);
        let registers = T::regs::<S>(&sums[..lanes]).len();
        let width = 2 * registers;
        let zero = T::splat(simd, T::default());
        let sums = T::regs::<S>(sums);
        let output = T::regs_mut::<S>(output);
        let (row, per_group) = (output.len() / masks, sums.len() / (groups * masks));
        for at in 0..groups * masks {
            let (mask, group) = (at / groups, at % groups);
            let (products, means) =
                sums[at * per_group..][..per_group].split_at(op.layout.products * width);
            let out = &mut output[mask * row..][..row];
            let slots = |pair: &super::layout::Pair| {
                let pair = *pair;
                (0..pair.len()).map(move |c| {
                    let channel = pair.first + group * pair.len() + c;
                    (channel, pair.x.first + c % pair.x.len, pair.y.first + c / pair.x.len)
                })
            };
            let channels = op.layout.pairs.iter().flat_map(slots);
            for ((channel, x, y), &(product, conjugate)) in channels.zip(&op.layout.picks) {
                for lane in 0..registers {
                    let at = 2 * (lane * op.layout.products + product);
                    let (mut re, mut im) = (products[at], products[at + 1]);
                    if conjugate {
                        im = T::vsub(simd, zero, im);
                    }
                    if op.config.centred {
                        let mean = |slot: usize| 2 * (lane * op.layout.slots + slot);
                        let (xr, xi) = (means[mean(x)], means[mean(x) + 1]);
                        let (yr, yi) = (means[mean(y)], means[mean(y) + 1]);
                        re = T::neg_mul_add(simd, xr, yr, re);
                        re = T::neg_mul_add(simd, xi, yi, re);
                        im = T::neg_mul_add(simd, xi, yr, im);
                        im = T::mul_add(simd, xr, yi, im);
                    }
                    out[channel * width + lane] = re;
                    out[channel * width + registers + lane] = im;
                }
            }
            if op.config.centred {
                let first = (op.pair_channels() + group * op.layout.slots) * width;
                for (at, [re, im]) in means.as_chunks::<2>().0.iter().enumerate() {
                    let (lane, slot) = (at / op.layout.slots, at % op.layout.slots);
                    out[first + slot * width + lane] = *re;
                    out[first + slot * width + registers + lane] = *im;
                }
            }
        }
    }
}
