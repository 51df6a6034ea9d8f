//! The two passes: parts side by side, then fixed sums over them.

use super::Covariance;
use super::products::{Finish, Products};
use super::second::BLOCK;
use super::spread::{Pack, Spread};
use rayon::prelude::*;
use skyscat_autodiff::{Forward, JointPullback, Kernel, Shape, for_rows};
use skyscat_num::{Real, dispatch, tree_sum};

/// Lengths of the pieces of the scratch.
struct Lengths {
    /// Sums of one part.
    sums: usize,
    /// Fields of one block of pixels.
    block: usize,
    /// R channels of one pixel.
    turned: usize,
    /// Factors and offsets of one mask and group.
    packed: usize,
    /// Gradients of moduli from one part.
    moduli: usize,
}

impl Covariance {
    fn lengths(&self, lanes: usize) -> Lengths {
        let (width, groups) = (2 * lanes, self.groups());
        let layout = &self.layout;
        let means = if self.config.centred { layout.slots } else { 0 };
        Lengths {
            sums: self.masks.masks * groups * (layout.products + means) * width,
            block: BLOCK.min(layout.parts.rows) * groups * layout.slots * width,
            turned: groups * width,
            packed: (layout.factors.len() + layout.slots) * width,
            // At least 1: a length of 0 would be no chunk, and no task.
            moduli: (layout.parts.reach * self.config.moduli.len() * groups * lanes).max(1),
        }
    }
}

/// Parts that are worked on at a time: enough for many threads, few enough that their
/// scratch is small beside the fields.
const WAVE: usize = 64;

impl Kernel for Covariance {
    fn scratch(&self, _inputs: &[Shape], lanes: usize) -> usize {
        let n = self.lengths(lanes);
        let parts = self.layout.parts.count;
        let wave = parts.min(WAVE);
        let forward = parts * n.sums + wave * (n.block + n.turned);
        let tasks = wave * (2 * n.block + n.turned + n.moduli);
        forward.max(self.masks.masks * self.groups() * n.packed + tasks)
    }

    fn forward<T: Real>(&self, call: Forward<'_, T>) {
        let lanes = call.inputs[0].lanes;
        let n = self.lengths(lanes);
        let parts = &self.layout.parts;
        let total = self.stencil.rows();
        let (sums, rest) = call.scratch.split_at_mut(parts.count * n.sums);
        let (blocks, turned) = rest.split_at_mut(parts.count.min(WAVE) * n.block);
        for (wave, sums) in sums.chunks_mut(WAVE * n.sums).enumerate() {
            let tasks = sums
                .par_chunks_mut(n.sums)
                .zip(blocks.par_chunks_mut(n.block))
                .zip(turned.par_chunks_mut(n.turned));
            tasks.enumerate().for_each(|(at, ((sums, z), turned))| {
                let (rows, inputs) = (parts.range(wave * WAVE + at, total), call.inputs);
                dispatch::<T, _>(lanes, Products { op: self, inputs, rows, sums, z: (z, turned) });
            });
        }
        tree_sum(sums, parts.count);
        let sums = &sums[..n.sums];
        dispatch::<T, _>(lanes, Finish { op: self, lanes, sums, output: call.output });
    }

    fn pullback_joint<T: Real>(&self, call: JointPullback<'_, T>) {
        let lanes = call.cotangent.lanes;
        let n = self.lengths(lanes);
        let parts = &self.layout.parts;
        let (groups, total) = (self.groups(), self.stencil.rows());
        let (packed, rest) = call.scratch.split_at_mut(self.masks.masks * groups * n.packed);
        packed.par_chunks_mut(n.packed).enumerate().for_each(|(at, packed)| {
            let (mask, group) = (at / groups, at % groups);
            let stride = call.cotangent.stride();
            let g = &call.cotangent.data[mask * stride..][..stride];
            let output = &call.output.data[mask * stride..][..stride];
            dispatch::<T, _>(lanes, Pack { op: self, g, output, lanes, group, packed });
        });
        let in_wave = parts.count.min(WAVE);
        let (blocks, rest) = rest.split_at_mut(in_wave * (2 * n.block + n.turned));
        let moduli = &mut rest[..in_wave * n.moduli];
        let packed = &*packed;
        let (bands, others) = call.gradients.split_at_mut(self.config.bands);
        let mut bands = self.rows_of_parts(bands, 2 * groups * lanes);
        for (wave, bands) in bands.chunks_mut(WAVE).enumerate() {
            let first = wave * WAVE;
            let tasks = blocks
                .par_chunks_mut(2 * n.block + n.turned)
                .zip(bands.par_iter_mut())
                .zip(moduli.par_chunks_mut(n.moduli));
            tasks.enumerate().for_each(|(at, ((block, bands), moduli))| {
                let (z, rest) = block.split_at_mut(n.block);
                let (dz, turned) = rest.split_at_mut(n.block);
                let (rows, inputs) = (parts.range(first + at, total), call.inputs);
                let z = (z, dz, turned);
                let spread = Spread { op: self, inputs, packed, rows, z, bands, moduli };
                dispatch::<T, _>(lanes, spread);
            });
            for (modulus, gradient) in others.iter_mut().enumerate() {
                self.add_modulus(modulus, lanes, (first, moduli), gradient);
            }
        }
    }
}

impl Covariance {
    /// For each part, its rows of every array.
    fn rows_of_parts<'g, T>(
        &self,
        arrays: &'g mut [&mut [T]],
        width: usize,
    ) -> Vec<Vec<&'g mut [T]>> {
        let parts = &self.layout.parts;
        let mut list: Vec<_> = (0..parts.count).map(|_| Vec::with_capacity(arrays.len())).collect();
        for array in arrays {
            let rows = array.chunks_mut(parts.rows * width);
            list.iter_mut().zip(rows).for_each(|(part, rows)| part.push(rows));
        }
        list
    }

    /// Adds what the parts of a wave, from the given one on, have for a modulus.
    fn add_modulus<T: Real>(
        &self,
        modulus: usize,
        lanes: usize,
        (first_part, moduli): (usize, &[T]),
        out: &mut [T],
    ) {
        let width = self.groups() * lanes;
        let stride = self.config.moduli.len() * width;
        let per_part = self.layout.parts.reach * stride;
        let in_wave = |part: u32| (first_part..first_part + WAVE).contains(&(part as usize));
        for_rows(out, width, |first, rows| {
            for (i, row) in rows.chunks_exact_mut(width).enumerate() {
                let homes = self.layout.parts.homes(first + i).iter();
                for &(part, local) in homes.filter(|home| in_wave(home.0)) {
                    let part = part as usize - first_part;
                    let at = part * per_part + local as usize * stride + modulus * width;
                    let from = &moduli[at..at + width];
                    row.iter_mut().zip(from).for_each(|(to, &from)| *to += from);
                }
            }
        });
    }
}
