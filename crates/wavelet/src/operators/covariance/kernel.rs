//! The two passes: parts side by side, then fixed sums over them.

use super::Covariance;
use super::factors::Factors;
use super::fill::{BLOCK, Block, Fill};
use super::linear::{Linear, Spread};
use super::packing::Packing;
use super::sums::{Finish, Sums};
use rayon::prelude::*;
use skyscat_autodiff::{Field, Forward, JointPullback, Kernel, Shape, for_rows};
use skyscat_num::{Real, dispatch, dispatch_widest, tree_sum};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Lengths of the pieces of the scratch.
struct Lengths {
    /// Sums of one part.
    sums: usize,
    /// Sums of one group, lanes of a map added up.
    folded: usize,
    /// Fields of one block of pixels.
    fields: usize,
    /// Weights of one block.
    weights: usize,
    /// Twice one modulus convolved at one pixel.
    row: usize,
    /// Factors of one mask and group.
    factors: usize,
    /// Gradients of moduli from one part.
    moduli: usize,
}

impl Lengths {
    fn new<T: Real>(op: &Covariance, packing: Packing) -> Self {
        let Packing { lanes, width } = packing;
        let (groups, layout, masks) = (op.groups(), &op.layout, op.masks.masks);
        let sums = layout.products + if op.config.centred { layout.slots } else { 0 };
        let registers = packing.registers(BLOCK.min(layout.parts.rows));
        Self {
            sums: masks * groups * 2 * sums * width * packing.count(),
            folded: 2 * sums * lanes,
            fields: groups * registers * 2 * layout.slots * width,
            weights: masks * registers * width,
            row: 2 * 2 * groups * groups * lanes,
            factors: Factors::<T>::len(op, packing) + Factors::<T>::room(op, lanes),
            // At least 1: a length of 0 would be no chunk, and no task.
            moduli: (layout.parts.reach * op.config.moduli.len() * groups * lanes).max(1),
        }
    }

    /// What filling a block takes.
    fn block(&self) -> usize {
        self.fields + self.weights + self.row
    }
}

/// Parts that are worked on at a time: enough for many threads, few enough that their
/// gradients are small beside the fields.
const WAVE: usize = 64;

/// Scratch for each thread of the pool that this runs in.
struct Threads<'a, T> {
    blocks: Vec<Mutex<&'a mut [T]>>,
}

impl<'a, T> Threads<'a, T> {
    fn new(scratch: &'a mut [T], each: usize) -> Self {
        let blocks = scratch.chunks_exact_mut(each).take(rayon::current_num_threads());
        Self { blocks: blocks.map(Mutex::new).collect() }
    }

    /// Runs `work` with the scratch of this thread; `work` must not wait for others.
    fn with(&self, work: impl FnOnce(&mut [T])) {
        let at = rayon::current_thread_index().unwrap_or(0);
        work(&mut self.blocks[at].lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Kernel for Covariance {
    fn scratch<T: Real>(&self, _inputs: &[Shape], lanes: usize) -> usize {
        let n = Lengths::new::<T>(self, Packing::new::<T>(lanes));
        let parts = self.layout.parts.count;
        let threads = rayon::current_num_threads();
        let forward = parts * n.sums + n.folded + threads * n.block();
        let factors = self.masks.masks * self.groups() * n.factors;
        let blocks = threads * (n.block() + n.fields);
        forward.max(factors + blocks + parts.min(WAVE) * n.moduli)
    }

    fn forward<T: Real>(&self, call: Forward<'_, T>) {
        let packing = Packing::new::<T>(call.inputs[0].lanes);
        let n = Lengths::new::<T>(self, packing);
        let parts = &self.layout.parts;
        let total = self.stencil.rows();
        let (sums, rest) = call.scratch.split_at_mut(parts.count * n.sums);
        let (folded, blocks) = rest.split_at_mut(n.folded);
        let blocks = Threads::new(blocks, n.block());
        sums.par_chunks_mut(n.sums).enumerate().for_each(|(part, sums)| {
            sums.fill(T::default());
            let work = Work { op: self, inputs: call.inputs, packing, n: &n };
            let rows = parts.range(part, total);
            blocks.with(|block| {
                work.each_block(rows, block, |rows, block| {
                    let (z, weights, pixels) = (&*block.z, &*block.weights, rows.len());
                    dispatch_widest(Sums { op: self, packing, pixels, z, weights, sums });
                });
            });
        });
        tree_sum(sums, parts.count);
        let sums = &sums[..n.sums];
        dispatch_widest(Finish { op: self, packing, sums, folded, output: call.output });
    }

    fn pullback_joint<T: Real>(&self, call: JointPullback<'_, T>) {
        let packing = Packing::new::<T>(call.cotangent.lanes);
        let n = Lengths::new::<T>(self, packing);
        let parts = &self.layout.parts;
        let (groups, total) = (self.groups(), self.stencil.rows());
        let (factors, rest) = call.scratch.split_at_mut(self.masks.masks * groups * n.factors);
        factors.par_chunks_mut(n.factors).enumerate().for_each(|(at, out)| {
            let (mask, group) = (at / groups, at % groups);
            let stride = call.cotangent.stride();
            let g = &call.cotangent.data[mask * stride..][..stride];
            let output = &call.output.data[mask * stride..][..stride];
            dispatch_widest(Factors { op: self, packing, group, g, output, out });
        });
        let threads = rayon::current_num_threads();
        let (blocks, rest) = rest.split_at_mut(threads * (n.block() + n.fields));
        let blocks = Threads::new(blocks, n.block() + n.fields);
        let moduli = &mut rest[..parts.count.min(WAVE) * n.moduli];
        let factors = &*factors;
        let (bands, others) = call.gradients.split_at_mut(self.config.bands);
        let mut bands = self.rows_of_parts(bands, 2 * groups * packing.lanes);
        for (wave, bands) in bands.chunks_mut(WAVE).enumerate() {
            let first = wave * WAVE;
            let tasks = bands.par_iter_mut().zip(moduli.par_chunks_mut(n.moduli));
            tasks.enumerate().for_each(|(at, (bands, moduli))| {
                let work = Work { op: self, inputs: call.inputs, packing, n: &n };
                let rows = parts.range(first + at, total);
                blocks.with(|block| work.spread(rows, factors, block, (bands, moduli)));
            });
            for (modulus, gradient) in others.iter_mut().enumerate() {
                self.add_modulus(modulus, packing.lanes, (first, moduli), gradient);
            }
        }
    }
}

/// What the tasks of one call share.
struct Work<'a, T> {
    op: &'a Covariance,
    inputs: &'a [Field<'a, T>],
    packing: Packing,
    n: &'a Lengths,
}

impl<T: Real> Work<'_, T> {
    /// Makes the fields of one block of a part after the other.
    fn each_block(
        &self,
        rows: Range<usize>,
        scratch: &mut [T],
        mut work: impl FnMut(Range<usize>, Block<'_, T>),
    ) {
        let Self { op, inputs, packing, n } = *self;
        let (z, rest) = scratch.split_at_mut(n.fields);
        let (weights, row) = rest.split_at_mut(n.weights);
        for first in rows.clone().step_by(BLOCK) {
            let rows = first..(first + BLOCK).min(rows.end);
            let registers = packing.registers(rows.len()) * packing.width;
            let z = &mut z[..op.groups() * registers * 2 * op.layout.slots];
            let weights = &mut weights[..op.masks.masks * registers];
            let block = Block { z, weights, row: &mut *row };
            let fill = Fill { op, inputs, packing, rows: rows.clone(), block };
            let block = dispatch::<T, _>(op.groups() * packing.lanes, fill);
            work(rows, block);
        }
    }

    /// Gradients that one part gives: of the bands at its rows, and of the moduli
    /// wherever the stencil reaches.
    fn spread(
        &self,
        rows: Range<usize>,
        factors: &[T],
        scratch: &mut [T],
        (bands, moduli): (&mut [&mut [T]], &mut [T]),
    ) {
        let Self { op, packing, n, .. } = *self;
        let (block, dz) = scratch.split_at_mut(n.block());
        moduli.fill(T::default());
        let start = rows.start;
        self.each_block(rows, block, |rows, block| {
            let Block { z, weights, row } = block;
            let dz = &mut dz[..z.len()];
            let (z, weights, pixels) = (&*z, &*weights, rows.len());
            dispatch_widest(Linear { op, packing, pixels, factors, z, weights, dz });
            let first = rows.start - start;
            let (bands, moduli) = (&mut *bands, &mut *moduli);
            let spread = Spread { op, packing, rows, first, dz, row, bands, moduli };
            dispatch::<T, _>(op.groups() * packing.lanes, spread);
        });
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
