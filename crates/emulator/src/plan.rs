//! What a batch takes before it runs: memory, least work, and a prediction.

use crate::batch::Precision;
use crate::{BatchId, Emulator, EmulatorError, TargetMode};
use skyscat_autodiff::{Floor, Graph, MemoryPlan, Pieces, Program, Purpose};
#[cfg(feature = "gpu")]
use skyscat_autodiff::{GpuPlan, GpuProgram};
use skyscat_num::Ceilings;
use std::sync::Arc;
use std::time::Duration;

/// How many times the arithmetic floor the kernels take in f64 and in f32: loads, stores,
/// lanes of maps that are not there. Measured at Nside 16 (benches/README.md).
const KERNEL_GAP: [f64; 2] = [3.0, 4.2];

/// The part of the floor's bytes that is waited for: the rest stays in the caches, or
/// moves while the kernels compute.
const WAITED_FOR: f64 = 0.4;

/// Evaluations for each iteration: line searches seldom need a second one.
const EVALUATIONS: f64 = 1.04;

/// What one batch takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchPlan {
    /// Memory of the loss and its gradient.
    pub program: MemoryPlan,
    /// Least work of one evaluation.
    pub floor: Floor,
    /// Bytes of the optimiser: its history and the vectors that it works on.
    pub descent_bytes: usize,
    /// Bytes that the optimiser reads and writes in one iteration.
    pub descent_traffic: f64,
    /// Pixels of all maps and channels of the batch.
    pub variables: usize,
    /// Bytes of a real number.
    pub real_bytes: usize,
}

impl BatchPlan {
    /// Bytes of a batch in all, tables and the statistics of the inputs not counted.
    pub fn bytes(&self) -> usize {
        self.program.field_bytes + self.program.scratch_bytes + self.descent_bytes
    }

    /// Least time of one evaluation: its arithmetic, and its bytes through memory.
    pub fn least(&self, ceilings: &Ceilings) -> (Duration, Duration) {
        let rate = ceilings.flops_f64 * 8.0 / self.real_bytes as f64;
        let seconds = (self.floor.flops / rate, self.floor.bytes / ceilings.bytes);
        (Duration::from_secs_f64(seconds.0), Duration::from_secs_f64(seconds.1))
    }

    /// What an iteration will take on a machine with these ceilings.
    ///
    /// A model of two constants (kernels at a fixed multiple of their arithmetic floor, a
    /// fixed part of the bytes through memory), good to a factor of about 1.5.
    pub fn iteration(&self, ceilings: &Ceilings) -> Duration {
        let (arithmetic, memory) = self.least(ceilings);
        let gap = KERNEL_GAP[usize::from(self.real_bytes == 4)];
        let evaluation = arithmetic.mul_f64(gap) + memory.mul_f64(WAITED_FOR);
        let descent = Duration::from_secs_f64(self.descent_traffic / ceilings.bytes);
        evaluation.mul_f64(EVALUATIONS) + descent
    }
}

impl Emulator {
    /// What a batch takes in precision `T`.
    ///
    /// # Errors
    /// As [`Emulator::program`].
    pub fn plan<T: Precision>(&self) -> Result<BatchPlan, EmulatorError> {
        self.plan_at_once::<T>(self.config().at_once)
    }

    /// The same if so many maps had their fields in memory at a time.
    ///
    /// # Errors
    /// As [`Emulator::program`].
    pub fn plan_at_once<T: Precision>(
        &self,
        at_once: Option<usize>,
    ) -> Result<BatchPlan, EmulatorError> {
        let batch = self.config().batch;
        let maps = Pieces::whole(batch).at_once(at_once.unwrap_or(batch));
        let graph = self.any_graph()?;
        let (program, floor) = Program::<T>::measure(&graph, &maps, Purpose::Gradient, &self.par)?;
        let variables = self.channels().len() * self.nside().npix() * batch;
        let vector = variables * std::mem::size_of::<T>();
        // Two differences a pair.
        let history = 2 * self.config().lbfgs.memory * variables * std::mem::size_of::<f32>();
        Ok(BatchPlan {
            program,
            floor,
            // And x, gradient, direction and their trials.
            descent_bytes: history + 5 * vector,
            // Every pair is read for its products, and for the direction.
            descent_traffic: (2 * history + 10 * vector) as f64,
            variables,
            real_bytes: std::mem::size_of::<T>(),
        })
    }

    /// The room that a GPU has for `groups` batches of `maps` maps side by side.
    ///
    /// # Errors
    /// As [`Emulator::gpu_program`].
    #[cfg(feature = "gpu")]
    pub fn room_on_gpu(
        &self,
        (maps, groups): (usize, usize),
        device: &skyscat_gpu::Device,
    ) -> Result<u64, EmulatorError> {
        Ok(GpuProgram::room(
            &self.any_graph()?,
            (maps, groups),
            self.config().lbfgs.memory,
            device,
        )?)
    }

    /// What these take, with that room or another.
    ///
    /// # Errors
    /// As [`Emulator::gpu_program`].
    #[cfg(feature = "gpu")]
    pub fn plan_on_gpu(
        &self,
        (maps, groups): (usize, usize),
        room: u64,
        device: &skyscat_gpu::Device,
    ) -> Result<GpuPlan, EmulatorError> {
        let pairs = self.config().lbfgs.memory;
        Ok(GpuProgram::plan(&self.any_graph()?, (maps, groups), (pairs, room), device)?)
    }

    /// The graph of a batch, all of which are of one size.
    fn any_graph(&self) -> Result<Arc<Graph>, EmulatorError> {
        let target = (self.target() == TargetMode::Single).then_some(0);
        self.graph(BatchId { target, number: 0 })
    }
}
