//! Backward: gradients of the fields at a block of pixels.

use super::Covariance;
use super::layout::Target;
use super::packing::{Chunk, Packing};
use skyscat_num::{Real, Simd, WithSimd};

/// dz = Σ_mask w (A z + b) at a block of pixels.
pub(super) struct Linear<'a, T> {
    pub(super) op: &'a Covariance,
    pub(super) packing: Packing,
    pub(super) pixels: usize,
    /// Of all masks and groups, as made by `Factors`.
    pub(super) factors: &'a [T],
    pub(super) z: &'a [T],
    pub(super) weights: &'a [T],
    pub(super) dz: &'a mut [T],
}

impl<T: Real> WithSimd for Linear<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { op, packing, pixels, factors, z, weights, dz } = self;
        let (groups, masks, width) = (op.groups(), op.masks.masks, packing.width);
        let per_group = factors.len() / (groups * masks);
        let len = super::factors::Factors::<T>::len(op, packing);
        let register = 2 * op.layout.slots * width;
        let group_len = z.len() / groups;
        let fields = z.chunks_exact(group_len).zip(dz.chunks_exact_mut(group_len));
        for (group, (z, dz)) in fields.enumerate() {
            for (mask, weights) in weights.chunks_exact(weights.len() / masks).enumerate() {
                let factors = &factors[(mask * groups + group) * per_group..][..len];
                let factors = factors.chunks_exact(len / packing.count());
                for (chunk, factors) in packing.chunks(pixels).zip(factors) {
                    let Chunk { register: first, registers, .. } = chunk;
                    let range = first * register..(first + registers) * register;
                    let rows = Rows {
                        op,
                        factors: T::regs::<S>(factors),
                        z: T::regs::<S>(&z[range.clone()]),
                        weights: T::regs::<S>(&weights[first * width..][..registers * width]),
                        first_mask: mask == 0,
                    };
                    rows.apply::<T, S>(simd, T::regs_mut::<S>(&mut dz[range]));
                }
            }
        }
    }
}

/// Registers of one mask, group and chunk.
struct Rows<'a, V> {
    op: &'a Covariance,
    factors: &'a [V],
    z: &'a [V],
    weights: &'a [V],
    first_mask: bool,
}

impl<V: Copy> Rows<'_, V> {
    #[inline(always)]
    fn apply<T: Real<Reg<S> = V>, S: Simd>(&self, simd: S, dz: &mut [V]) {
        for target in &self.op.layout.targets {
            // Sums of 2·4·2 registers, or of 2·2·2 where there are only 16.
            match target.len {
                2 if S::REGISTER_COUNT >= 32 => self.target::<T, S, 2, 4>(simd, target, dz),
                2 => self.target::<T, S, 2, 2>(simd, target, dz),
                _ => self.target::<T, S, 1, 4>(simd, target, dz),
            }
        }
    }

    /// The `N` slots of a target, `P` registers of pixels at a time.
    #[inline(always)]
    fn target<T: Real<Reg<S> = V>, S: Simd, const N: usize, const P: usize>(
        &self,
        simd: S,
        target: &Target,
        dz: &mut [V],
    ) {
        let mut p = 0;
        while p + P <= self.weights.len() {
            self.registers::<T, S, N, P>(simd, target, p, dz);
            p += P;
        }
        while p < self.weights.len() {
            self.registers::<T, S, N, 1>(simd, target, p, dz);
            p += 1;
        }
    }

    #[inline(always)]
    fn registers<T: Real<Reg<S> = V>, S: Simd, const N: usize, const P: usize>(
        &self,
        simd: S,
        target: &Target,
        first: usize,
        dz: &mut [V],
    ) {
        let layout = &self.op.layout;
        let sources = &layout.sources[target.sources.0..target.sources.1];
        let (factors, offsets) = self.factors.split_at(2 * layout.factors.len());
        let (factors, _) = factors[2 * target.first..][..2 * N * sources.len()].as_chunks::<2>();
        let offsets: &[_; N] =
            offsets.as_chunks::<2>().0[target.slot..].first_chunk().expect("a target's slots");
        let mut sum = [*offsets; P];
        let (z, _) = self.z.as_chunks::<2>();
        let row = |p: usize| &z[(first + p) * layout.slots..][..layout.slots];
        let rows: [_; P] = std::array::from_fn(row);
        for (&source, factors) in sources.iter().zip(factors.as_chunks::<N>().0) {
            for (sum, z) in sum.iter_mut().zip(rows) {
                let [re, im] = z[source];
                for (sum, [fr, fi]) in sum.iter_mut().zip(factors) {
                    sum[0] = T::mul_add(simd, *fr, re, sum[0]);
                    sum[0] = T::neg_mul_add(simd, *fi, im, sum[0]);
                    sum[1] = T::mul_add(simd, *fr, im, sum[1]);
                    sum[1] = T::mul_add(simd, *fi, re, sum[1]);
                }
            }
        }
        let (dz, _) = dz.as_chunks_mut::<2>();
        let weights: &[_; P] = self.weights[first..].first_chunk().expect("registers of pixels");
        for (p, (sum, &w)) in sum.iter().zip(weights).enumerate() {
            let dz = &mut dz[(first + p) * layout.slots + target.slot..];
            let dz: &mut [_; N] = dz.first_chunk_mut().expect("a target's slots");
            for (sum, dz) in sum.iter().zip(dz) {
                for (sum, out) in sum.iter().zip(dz) {
                    *out = match self.first_mask {
                        true => T::vmul(simd, w, *sum),
                        false => T::mul_add(simd, w, *sum, *out),
                    };
                }
            }
        }
    }
}
