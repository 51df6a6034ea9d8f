//! The two passes: parts side by side, then fixed sums over them.

use super::Covariance;
use super::factors::Factors;
use super::fill::{Block, Fill};
use super::linear::Linear;
use super::local::{Collect, Gather, Local, WAVE};
use super::packing::Packing;
use super::spread::Spread;
use super::sums::{Fold, Sums, finish};
use rayon::prelude::*;
use skyscat_autodiff::{Field, Forward, JointPullback, Kernel, Shape, for_rows};
use skyscat_num::{Real, dispatch, dispatch_widest, tree_sum_slices};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Lengths of the pieces of the scratch.
struct Lengths {
    /// Sums of one part.
    sums: usize,
    /// Sums of one mask and group, lanes of a map added up.
    folded: usize,
    /// Fields of one block of pixels.
    fields: usize,
    /// Weights of one block.
    weights: usize,
    /// One modulus convolved at one pixel.
    row: usize,
    /// Factors of one mask and group.
    factors: usize,
    /// Moduli at the columns of one part, or their gradients.
    moduli: usize,
}

impl Lengths {
    fn new<T: Real>(op: &Covariance, packing: Packing) -> Self {
        let Packing { lanes, width, .. } = packing;
        let (groups, layout, masks) = (op.groups(), &op.layout, op.masks.masks);
        let sums = layout.products + if op.config.centred { layout.slots } else { 0 };
        let registers = packing.registers(packing.block().min(layout.parts.rows));
        // What comes behind a piece begins with a register too.
        let whole = |numbers: usize| numbers.next_multiple_of(width);
        Self {
            sums: masks * groups * 2 * sums * width * packing.count(),
            folded: whole(2 * sums * lanes),
            fields: groups * registers * 2 * layout.slots * width,
            weights: masks * registers * width,
            row: whole(2 * groups * groups * lanes),
            factors: Factors::<T>::len(op, packing) + Factors::<T>::room(op, packing),
            moduli: Local { op, packing }.len(),
        }
    }

    /// What filling the blocks of a part takes.
    fn block(&self) -> usize {
        self.fields + self.weights + self.row + self.moduli
    }
}

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
        let n = Lengths::new::<T>(self, Packing::new::<T>(lanes, lanes));
        let parts = self.layout.parts.count;
        let threads = rayon::current_num_threads();
        let folded = self.masks.masks * self.groups() * n.folded;
        let forward = parts * n.sums + folded + threads * n.block();
        let factors = self.masks.masks * self.groups() * n.factors;
        let blocks = threads * (n.block() + n.fields);
        forward.max(factors + blocks + parts.min(WAVE) * n.moduli)
    }

    fn forward<T: Real>(&self, call: Forward<'_, T>) {
        let packing = Packing::of(&call.inputs[0]);
        let n = Lengths::new::<T>(self, packing);
        let parts = &self.layout.parts;
        let (sums, rest) = call.scratch.split_at_mut(parts.count * n.sums);
        let each = self.masks.masks * self.groups();
        let (folded, blocks) = rest.split_at_mut(each * n.folded);
        let blocks = Threads::new(blocks, n.block());
        sums.par_chunks_mut(n.sums).enumerate().for_each(|(part, sums)| {
            sums.fill(T::default());
            let work = Work { op: self, inputs: call.inputs, packing, n: &n };
            blocks.with(|block| {
                work.each_block(part, block, |rows, block| {
                    let (z, weights, pixels) = (&*block.z, &*block.weights, rows.len());
                    dispatch_widest(Sums { op: self, packing, pixels, z, weights, sums });
                });
            });
        });
        let mut of_groups: Vec<Vec<_>> =
            (0..each).map(|_| Vec::with_capacity(parts.count)).collect();
        for part in sums.chunks_mut(n.sums) {
            let groups = part.chunks_mut(n.sums / each);
            of_groups.iter_mut().zip(groups).for_each(|(parts, sums)| parts.push(sums));
        }
        of_groups.par_iter_mut().zip(folded.par_chunks_mut(n.folded)).for_each(
            |(parts, folded)| {
                tree_sum_slices(parts);
                dispatch_widest(Fold { packing, sums: &*parts[0], folded });
            },
        );
        finish(self, packing.lanes, folded, call.output);
    }

    fn pullback_joint<T: Real>(&self, call: JointPullback<'_, T>) {
        let packing = Packing::of(&call.cotangent);
        let n = Lengths::new::<T>(self, packing);
        let parts = &self.layout.parts;
        let groups = self.groups();
        let (factors, rest) = call.scratch.split_at_mut(self.masks.masks * groups * n.factors);
        factors.par_chunks_mut(n.factors).enumerate().for_each(|(at, out)| {
            let (mask, group) = (at / groups, at % groups);
            let stride = call.cotangent.stride();
            let g = &call.cotangent.data[mask * stride..][..stride];
            let output = &call.output.data[mask * stride..][..stride];
            Factors { op: self, packing, group, g, output }.write(out);
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
                let part = first + at;
                blocks.with(|block| work.spread(part, factors, block, (bands, moduli)));
            });
            let (local, wave) = (Local { op: self, packing }, (first, &*moduli));
            others.par_iter_mut().enumerate().for_each(|(modulus, gradient)| {
                for_rows(gradient, local.row(), |row, rows| {
                    dispatch_widest(Collect { local, modulus, wave, rows: (row, rows) });
                });
            });
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
        part: usize,
        scratch: &mut [T],
        mut work: impl FnMut(Range<usize>, Block<'_, T>),
    ) {
        let Self { op, inputs, packing, n } = *self;
        let local = Local { op, packing };
        let (z, rest) = scratch.split_at_mut(n.fields);
        let (weights, rest) = rest.split_at_mut(n.weights);
        let (row, out) = rest.split_at_mut(n.row);
        let (bands, moduli) = inputs.split_at(op.config.bands);
        dispatch_widest(Gather { local, part, moduli, out: &mut *out });
        let moduli = &*out;
        let rows = op.layout.parts.range(part, op.stencil.rows());
        for first in rows.clone().step_by(packing.block()) {
            let rows = first..(first + packing.block()).min(rows.end);
            let registers = packing.registers(rows.len()) * packing.width;
            let z = &mut z[..op.groups() * registers * 2 * op.layout.slots];
            let weights = &mut weights[..op.masks.masks * registers];
            let block = Block { z, weights, row: &mut *row };
            let fill = Fill { local, bands, moduli, rows: rows.clone(), block };
            let block = dispatch::<T, _>(local.row(), fill);
            work(rows, block);
        }
    }

    /// Gradients that one part gives: of the bands at its rows, and of the moduli
    /// wherever the stencil reaches.
    fn spread(
        &self,
        part: usize,
        factors: &[T],
        scratch: &mut [T],
        (bands, moduli): (&mut [&mut [T]], &mut [T]),
    ) {
        let Self { op, packing, n, .. } = *self;
        let local = Local { op, packing };
        let (block, dz) = scratch.split_at_mut(n.block());
        moduli.fill(T::default());
        let start = op.layout.parts.range(part, op.stencil.rows()).start;
        self.each_block(part, block, |rows, block| {
            let Block { z, weights, row } = block;
            let dz = &mut dz[..z.len()];
            let (z, weights, pixels) = (&*z, &*weights, rows.len());
            dispatch_widest(Linear { op, packing, pixels, factors, z, weights, dz });
            let first = rows.start - start;
            let (bands, moduli) = (&mut *bands, &mut *moduli);
            dispatch::<T, _>(local.row(), Spread { local, rows, first, dz, row, bands, moduli });
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
}
