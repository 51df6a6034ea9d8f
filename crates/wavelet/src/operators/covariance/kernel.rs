//! The two passes: parts side by side, then fixed sums over them.

use super::Covariance;
use super::products::{Finish, Products};
use super::second::BLOCK;
use super::spread::{Pack, Spread};
use rayon::prelude::*;
use skyscat_autodiff::{Forward, JointPullback, Kernel, Shape, for_rows};
use skyscat_num::{Arch, Real, tree_sum};

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

impl Kernel for Covariance {
    fn scratch(&self, _inputs: &[Shape], lanes: usize) -> usize {
        let n = self.lengths(lanes);
        let parts = self.layout.parts.count;
        let forward = parts * (n.sums + n.block + n.turned);
        let tasks = parts * (2 * n.block + n.turned + n.moduli);
        forward.max(self.masks.masks * self.groups() * n.packed + tasks)
    }

    fn forward<T: Real>(&self, call: Forward<'_, T>) {
        let lanes = call.inputs[0].lanes;
        let n = self.lengths(lanes);
        let parts = &self.layout.parts;
        let total = self.stencil.rows();
        let (sums, rest) = call.scratch.split_at_mut(parts.count * n.sums);
        let (blocks, turned) = rest.split_at_mut(parts.count * n.block);
        let tasks = sums
            .par_chunks_mut(n.sums)
            .zip(blocks.par_chunks_mut(n.block))
            .zip(turned.par_chunks_mut(n.turned));
        tasks.take(parts.count).enumerate().for_each(|(part, ((sums, z), turned))| {
            let rows = parts.range(part, total);
            let inputs = call.inputs;
            Arch::new().dispatch(Products { op: self, inputs, rows, sums, z: (z, turned) });
        });
        tree_sum(sums, parts.count);
        let sums = &sums[..n.sums];
        Arch::new().dispatch(Finish { op: self, lanes, sums, output: call.output });
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
            Arch::new().dispatch(Pack { op: self, g, output, lanes, group, packed });
        });
        let (blocks, rest) = rest.split_at_mut(parts.count * (2 * n.block + n.turned));
        let moduli = &mut rest[..parts.count * n.moduli];
        let packed = &*packed;
        let (bands, others) = call.gradients.split_at_mut(self.config.bands);
        let mut bands = self.rows_of_parts(bands, 2 * groups * lanes);
        let tasks = blocks
            .par_chunks_mut(2 * n.block + n.turned)
            .zip(bands.par_iter_mut())
            .zip(moduli.par_chunks_mut(n.moduli));
        tasks.enumerate().for_each(|(part, ((block, bands), moduli))| {
            let (z, rest) = block.split_at_mut(n.block);
            let (dz, turned) = rest.split_at_mut(n.block);
            let (rows, inputs) = (parts.range(part, total), call.inputs);
            let z = (z, dz, turned);
            Arch::new().dispatch(Spread { op: self, inputs, packed, rows, z, bands, moduli });
        });
        for (modulus, gradient) in others.iter_mut().enumerate() {
            self.add_modulus(modulus, lanes, moduli, gradient);
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

    fn add_modulus<T: Real>(&self, modulus: usize, lanes: usize, moduli: &[T], out: &mut [T]) {
        let width = self.groups() * lanes;
        let stride = self.config.moduli.len() * width;
        let per_part = self.layout.parts.reach * stride;
        for_rows(out, width, |first, rows| {
            for (i, row) in rows.chunks_exact_mut(width).enumerate() {
                for &(part, local) in self.layout.parts.homes(first + i) {
                    let at = part as usize * per_part + local as usize * stride + modulus * width;
                    let from = &moduli[at..at + width];
                    row.iter_mut().zip(from).for_each(|(to, &from)| *to += from);
                }
            }
        });
    }
}
