//! The pairs of L-BFGS on a device, and the direction by their Gram matrix.

use super::GpuError;
use super::job::{Job, record};
use super::vector::{GpuVector, Products, combine, failure, out_of_reach};
use crate::optimise::Gram;
use crate::{Aim, At, Failure, LbfgsError, Pairs, Vector};
use skyscat_gpu::{Buffer, Recording};
use std::collections::HashMap;
use std::ops::Range;

/// Products that come down after a step: those of s, y and gradient.
pub(super) const NEW: usize = 3;

/// The last pairs (s, y) of a descent on a device.
///
/// The products of the newest s, y and gradient are computed by one submission and come
/// down as a few hundred bytes; the coefficients of the direction are found on the host
/// in f64, and one submission combines the vectors, oldest pair first.
#[derive(Debug)]
pub struct GpuPairs {
    gram: Gram,
    s: Vec<GpuVector>,
    y: Vec<GpuVector>,
    products: Products,
    staging: Buffer,
    coefficients: Buffer,
    commands: Option<Commands>,
    directions: Directions,
}

/// Commands that combine the pairs, for each oldest slot and number of them.
#[derive(Debug, Default)]
struct Directions {
    /// Gradient and direction.
    vectors: Option<[Buffer; 2]>,
    recorded: HashMap<(usize, usize), Recording>,
}

/// Commands for the vectors of one descent.
#[derive(Debug)]
struct Commands {
    /// Here and there, each a point and its gradient.
    vectors: [Buffer; 4],
    /// For each slot: the step becomes its pair; then the new products.
    advance: Vec<[Recording; 2]>,
}

impl GpuPairs {
    /// Every s and y, and the gradient.
    fn all<'a>(&'a self, gradient: &'a Buffer) -> Vec<&'a Buffer> {
        let pairs = self.s.iter().zip(&self.y).flat_map(|(s, y)| [s.buffer(), y.buffer()]);
        pairs.chain([gradient]).collect()
    }

    /// Adds the products of everything with s and y of a slot and the gradient.
    fn multiply(
        &self,
        slot: usize,
        gradient: &Buffer,
        into: &mut Recording,
    ) -> Result<(), GpuError> {
        let device = self.s[0].device();
        let others = [self.s[slot].buffer(), self.y[slot].buffer(), gradient];
        self.products.record(device, &self.all(gradient), &others, 0, into)?;
        self.products.finish(device, (&self.staging, 0), into)
    }

    /// Runs commands that end in products, and keeps these.
    fn take_products(&mut self, slot: usize, commands: &[&Recording]) -> Result<(), GpuError> {
        let device = self.s[0].device().clone();
        device.submit_all(commands.iter().copied());
        let mut out = vec![0.0; NEW * (self.gram.gradient() + 1)];
        device.read(&self.staging, &mut out)?;
        let own = [2 * slot, 2 * slot + 1, self.gram.gradient()];
        for (a, row) in out.chunks_exact(NEW).enumerate() {
            for (&b, &value) in own.iter().zip(row) {
                self.gram.set_product(a, b, value);
            }
        }
        Ok(())
    }

    fn commands(&self, vectors: [&GpuVector; 4]) -> Result<Commands, GpuError> {
        let device = self.s[0].device();
        let [x, gradient, trial, trial_gradient] = vectors.map(GpuVector::buffer);
        let advance = |slot: usize| -> Result<[Recording; 2], GpuError> {
            let (s, y) = (self.s[slot].buffer(), self.y[slot].buffer());
            let buffers = [trial, trial_gradient, x, gradient, s, y];
            let job = |piece: Range<usize>| Job {
                kernel: "advance",
                entry: "forward",
                sizes: vec![("numbers", piece.len())],
                buffers: buffers.map(|buffer| buffer.piece(piece.start, piece.len())).to_vec(),
                invocations: piece.len(),
            };
            let jobs: Vec<Job<'_>> = vectors[0].pieces().map(job).collect();
            let (mut step, mut products) = (Recording::default(), Recording::default());
            record(device, &jobs, &mut step)?;
            self.multiply(slot, gradient, &mut products)?;
            Ok([step, products])
        };
        Ok(Commands {
            vectors: [x, gradient, trial, trial_gradient].map(Clone::clone),
            advance: (0..self.gram.memory()).map(advance).collect::<Result<_, _>>()?,
        })
    }

    fn try_advance(
        &mut self,
        here: At<'_, GpuVector>,
        there: At<'_, GpuVector>,
    ) -> Result<(), GpuError> {
        let vectors = [&*here.x, &*here.gradient, &*there.x, &*there.gradient];
        let same = |own: &[Buffer; 4]| own.iter().zip(vectors).all(|(a, b)| a.is(b.buffer()));
        let commands = match self.commands.take().filter(|c| same(&c.vectors)) {
            Some(commands) => commands,
            None => self.commands(vectors)?,
        };
        let slot = self.gram.next_slot();
        let [step, products] = &commands.advance[slot];
        let taken = self.take_products(slot, &[step, products]);
        self.commands = Some(commands);
        taken?;
        self.gram.knows_gradient = true;
        self.gram.count_in(slot);
        Ok(())
    }

    fn try_aim(
        &mut self,
        gradient: &GpuVector,
        direction: &mut GpuVector,
    ) -> Result<Aim, GpuError> {
        let last = self.gram.gradient();
        if !self.gram.knows_gradient {
            let mut products = Recording::default();
            let slot = self.gram.slot(0);
            self.multiply(slot, gradient.buffer(), &mut products)?;
            self.take_products(slot, &[&products])?;
            self.gram.knows_gradient = true;
        }
        let c = self.gram.coefficients();
        // The oldest pair first, wherever it lies: a resumed descent adds in this order.
        let ages: Vec<usize> = self.gram.slots().collect();
        let order = ages.iter().flat_map(|slot| [2 * slot, 2 * slot + 1]).chain([last]);
        let sorted: Vec<f64> = order.map(|i| c[i]).collect();
        let device = direction.device().clone();
        device.write(&self.coefficients, 0, &sorted);
        let ends = [gradient.buffer(), direction.buffer()];
        let same = |own: &[Buffer; 2]| own.iter().zip(ends).all(|(a, b)| a.is(b));
        if !self.directions.vectors.as_ref().is_some_and(same) {
            let vectors = Some(ends.map(Clone::clone));
            self.directions = Directions { vectors, recorded: HashMap::new() };
        }
        let key = (self.gram.slot(0), ages.len());
        if !self.directions.recorded.contains_key(&key) {
            let pairs = ages.iter().flat_map(|&k| [self.s[k].buffer(), self.y[k].buffer()]);
            let vectors: Vec<&Buffer> = pairs.chain([gradient.buffer()]).collect();
            let mut recording = Recording::default();
            combine(&device, &self.coefficients, &vectors, direction, &mut recording)?;
            self.directions.recorded.insert(key, recording);
        }
        device.submit(&self.directions.recorded[&key]);
        let norm = self.gram.product(last, last).sqrt();
        Ok(Aim { norm, slope: self.gram.slope(&c) })
    }
}

impl Pairs<GpuVector> for GpuPairs {
    fn new(memory: usize, like: &GpuVector) -> Result<Self, LbfgsError> {
        let memory = memory.max(1);
        let (device, numbers) = (like.device(), like.len());
        let vectors = || (0..memory).map(|_| like.zeros_like()).collect::<Result<Vec<_>, _>>();
        let all = 2 * memory + 1;
        let products = Products::new(device, numbers, NEW * all).map_err(out_of_reach)?;
        let storage = device.storage("coefficients", all).map_err(out_of_reach);
        Ok(Self {
            gram: Gram::new(memory),
            s: vectors()?,
            y: vectors()?,
            products,
            staging: device.staging("products", NEW * all).map_err(out_of_reach)?,
            coefficients: storage?,
            commands: None,
            directions: Directions::default(),
        })
    }

    fn len(&self) -> usize {
        self.gram.len()
    }

    fn clear(&mut self) {
        self.gram.clear();
    }

    fn aim(&mut self, gradient: &GpuVector, direction: &mut GpuVector) -> Result<Aim, Failure> {
        self.try_aim(gradient, direction).map_err(failure)
    }

    fn advance(
        &mut self,
        here: At<'_, GpuVector>,
        there: At<'_, GpuVector>,
    ) -> Result<(), Failure> {
        self.try_advance(here, there).map_err(failure)
    }

    fn vector(&self, at: usize) -> Result<Vec<f64>, LbfgsError> {
        let slot = self.gram.slot(at / 2);
        if at.is_multiple_of(2) { self.s[slot].numbers() } else { self.y[slot].numbers() }
    }

    fn curvatures(&self) -> Vec<f64> {
        self.gram.curvatures()
    }

    fn take_up(&mut self, s: &[f64], y: &[f64]) -> Result<(), LbfgsError> {
        // Products with a gradient come when there is one.
        let nothing = self.s[0].zeros_like()?;
        let slot = self.gram.next_slot();
        (self.s[slot], self.y[slot]) = (self.s[slot].like(s)?, self.y[slot].like(y)?);
        let mut products = Recording::default();
        self.multiply(slot, nothing.buffer(), &mut products).map_err(out_of_reach)?;
        self.take_products(slot, &[&products]).map_err(out_of_reach)?;
        self.gram.take_up(slot);
        Ok(())
    }
}
