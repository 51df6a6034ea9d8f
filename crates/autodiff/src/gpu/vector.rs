//! Vectors of a descent on a device, and their products.

use super::job::{Job, record};
use super::{GpuError, GpuPairs};
use crate::{Failure, LbfgsError, Vector};
use skyscat_gpu::{Bound, Buffer, Device, DeviceError, Recording};
use skyscat_num::Real;
use std::ops::Range;
use std::sync::Arc;

/// A vector of variables on a device, in its precision. Kernels see as much of it at a time as the
/// device allows, and products have the same bits for any such allowance.
///
/// If the device fails, products are NaN and vectors keep what they had: the next
/// evaluation then says what happened.
#[derive(Debug)]
pub struct GpuVector {
    device: Arc<Device>,
    buffer: Buffer,
    numbers: usize,
}

impl GpuVector {
    /// A vector of these numbers.
    ///
    /// # Errors
    /// [`DeviceError`] if it does not fit on the device.
    pub fn new<T: Real>(device: &Arc<Device>, numbers: &[T]) -> Result<Self, DeviceError> {
        let vector = Self::zeros(device, numbers.len())?;
        let wide: Vec<f64> = numbers.iter().map(|x| x.to_f64()).collect();
        device.write(&vector.buffer, 0, &wide);
        Ok(vector)
    }

    pub(super) fn zeros(device: &Arc<Device>, numbers: usize) -> Result<Self, DeviceError> {
        let buffer = device.long("vector", numbers)?;
        Ok(Self { device: device.clone(), buffer, numbers })
    }

    pub(super) fn device(&self) -> &Arc<Device> {
        &self.device
    }

    pub(super) fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    pub(super) fn len(&self) -> usize {
        self.numbers
    }

    /// What of it a kernel sees, run after run.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Range<usize>> {
        pieces(&self.device, self.numbers)
    }

    /// One of these as a binding.
    pub(super) fn piece(&self, piece: &Range<usize>) -> Bound<'_> {
        self.buffer.piece(piece.start, piece.len())
    }

    fn try_dot(&self, other: &Self) -> Result<f64, GpuError> {
        let products = Products::new(&self.device, self.numbers, 1)?;
        let staging = self.device.staging("product", 1)?;
        let mut recording = Recording::default();
        products.record(&self.device, &[&self.buffer], &[&other.buffer], 0, &mut recording)?;
        products.finish(&self.device, (&staging, 0), &mut recording)?;
        self.device.submit(&recording);
        let mut out = [0.0];
        self.device.read(&staging, &mut out)?;
        Ok(out[0])
    }

    fn try_sum(&self, x: &Self, a: f64, y: &Self) -> Result<(), GpuError> {
        let coefficients = self.device.constants("coefficients", &[1.0, a])?;
        let mut recording = Recording::default();
        let vectors = [&x.buffer, &y.buffer];
        combine(&self.device, &coefficients, &vectors, self, &mut recording)?;
        self.device.submit(&recording);
        Ok(())
    }
}

impl Vector for GpuVector {
    type Pairs = GpuPairs;

    fn zeros_like(&self) -> Result<Self, LbfgsError> {
        Self::zeros(&self.device, self.numbers).map_err(out_of_reach)
    }

    fn like(&self, numbers: &[f64]) -> Result<Self, LbfgsError> {
        Self::new(&self.device, numbers).map_err(out_of_reach)
    }

    fn numbers(&self) -> Result<Vec<f64>, LbfgsError> {
        let mut out = vec![0.0; self.numbers];
        let mut read = || -> Result<(), DeviceError> {
            let staging = self.device.staging("vector", self.numbers)?;
            let mut recording = Recording::default();
            recording.copy((&self.buffer, 0), (&staging, 0), self.numbers);
            self.device.submit(&recording);
            self.device.read(&staging, &mut out)
        };
        read().map_err(out_of_reach)?;
        Ok(out)
    }

    fn dot(&self, other: &Self) -> f64 {
        self.try_dot(other).unwrap_or(f64::NAN)
    }

    /// # Panics
    /// If `x` or `y` is this vector.
    fn set_sum(&mut self, x: &Self, a: f64, y: &Self) {
        // A device that failed says so at the next evaluation.
        let _ = self.try_sum(x, a, y);
    }
}

/// What an error of the device is to a descent.
pub(super) fn failure(error: GpuError) -> Failure {
    let lost = matches!(error, GpuError::Device(DeviceError::Lost { .. }));
    Failure { reason: error.to_string(), lost }
}

/// The same, for vectors.
pub(super) fn out_of_reach(error: impl Into<GpuError>) -> LbfgsError {
    LbfgsError::Vectors(failure(error.into()))
}

/// Vectors of one run of `combine.wgsl`.
const COMBINED: usize = 6;

/// Adds destination ← Σ coefficient·vector to a recording.
pub(super) fn combine<'a>(
    device: &Device,
    coefficients: &'a Buffer,
    vectors: &[&'a Buffer],
    destination: &'a GpuVector,
    into: &mut Recording,
) -> Result<(), GpuError> {
    let mut jobs = Vec::new();
    for piece in destination.pieces() {
        let see = |buffer: &'a Buffer| buffer.piece(piece.start, piece.len());
        for (run, vectors) in vectors.chunks(COMBINED).enumerate() {
            let mut buffers = vec![Bound::from(coefficients)];
            buffers.extend((0..COMBINED).map(|i| see(vectors.get(i).unwrap_or(&vectors[0]))));
            buffers.push(destination.piece(&piece));
            let sizes = [piece.len(), vectors.len(), run * COMBINED, usize::from(run > 0)];
            let names = ["numbers", "vectors", "first", "adds"];
            jobs.push(Job {
                kernel: "combine",
                entry: "forward",
                sizes: names.into_iter().zip(sizes).collect(),
                buffers,
                invocations: piece.len(),
            });
        }
    }
    record(device, &jobs, into)
}

/// Pieces of a vector that kernels see, of whole parts of its products.
pub(super) fn pieces(device: &Device, numbers: usize) -> impl Iterator<Item = Range<usize>> {
    let chunk = Products::chunk(numbers);
    let seen = usize::try_from(device.adapter().allowed.binding_bytes).unwrap_or(usize::MAX);
    let seen = seen / device.number_bytes();
    let most = (seen / chunk).max(1).saturating_mul(chunk);
    (0..numbers).step_by(most).map(move |start| start..numbers.min(start.saturating_add(most)))
}

/// Vectors and others of one run of `gram.wgsl`, and its most parts.
const VECTORS: usize = 4;
const OTHERS: usize = 3;
const PARTS: usize = 256;

/// Scalar products of vectors of one length, with a place for each.
#[derive(Debug)]
pub(super) struct Products {
    numbers: usize,
    chunk: usize,
    parts: usize,
    count: usize,
    partials: Buffer,
}

impl Products {
    pub(super) fn new(device: &Device, numbers: usize, count: usize) -> Result<Self, GpuError> {
        let chunk = Self::chunk(numbers);
        let parts = numbers.div_ceil(chunk).max(1);
        let partials = device.storage("parts of products", Self::length(numbers, count))?;
        Ok(Self { numbers, chunk, parts, count, partials })
    }

    /// Numbers that the partial sums of so many products take.
    pub(super) fn length(numbers: usize, count: usize) -> usize {
        (numbers.div_ceil(Self::chunk(numbers)).max(1) + 1) * count
    }

    fn chunk(numbers: usize) -> usize {
        numbers.div_ceil(PARTS).next_multiple_of(64).max(1024)
    }

    /// Adds the products of each vector with all others, from place `first` on.
    pub(super) fn record<'a>(
        &'a self,
        device: &Device,
        vectors: &[&'a Buffer],
        others: &[&'a Buffer],
        first: usize,
        into: &mut Recording,
    ) -> Result<(), GpuError> {
        assert!(others.len() <= OTHERS, "vectors of one run");
        let mut jobs = Vec::new();
        for piece in pieces(device, self.numbers) {
            let see = |buffer: &'a Buffer| buffer.piece(piece.start, piece.len());
            let parts = piece.len().div_ceil(self.chunk);
            for (run, vectors) in vectors.chunks(VECTORS).enumerate() {
                let mut buffers: Vec<Bound<'_>> =
                    (0..VECTORS).map(|i| see(vectors.get(i).unwrap_or(&vectors[0]))).collect();
                buffers.extend((0..OTHERS).map(|i| see(others.get(i).unwrap_or(&others[0]))));
                buffers.push((&self.partials).into());
                let sizes = [
                    ("numbers", piece.len()),
                    ("chunk", self.chunk),
                    ("before", piece.start / self.chunk),
                    ("parts", parts),
                    ("vectors", vectors.len()),
                    ("others", others.len()),
                    ("first", first + run * VECTORS * others.len()),
                    ("products", self.count),
                ];
                jobs.push(Job {
                    kernel: "gram",
                    entry: "parts",
                    sizes: sizes.to_vec(),
                    buffers,
                    invocations: 64 * parts,
                });
            }
        }
        record(device, &jobs, into)
    }

    /// Adds the last sums, and a copy of all products.
    pub(super) fn finish(
        &self,
        device: &Device,
        to: (&Buffer, usize),
        into: &mut Recording,
    ) -> Result<(), GpuError> {
        let unused = device.storage("unused", 4)?;
        let mut buffers = vec![Bound::from(&unused); VECTORS + OTHERS];
        buffers.push((&self.partials).into());
        let sizes = [
            ("numbers", self.numbers),
            ("chunk", self.chunk),
            ("before", 0),
            ("parts", self.parts),
            ("vectors", 0),
            ("others", 0),
            ("first", 0),
            ("products", self.count),
        ];
        let job = Job {
            kernel: "gram",
            entry: "finish",
            sizes: sizes.to_vec(),
            buffers,
            invocations: 64 * self.count,
        };
        record(device, &[job], into)?;
        into.copy((&self.partials, self.parts * self.count), to, self.count);
        Ok(())
    }
}
