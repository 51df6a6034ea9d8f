//! What can be wrong with a program on a GPU.

use crate::GraphError;
use skyscat_gpu::DeviceError;

/// What can be wrong with a program on a GPU.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GpuError {
    /// The graph.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// An operator that runs on the CPU alone.
    #[error("operator {operator} has no GPU kernel: run on the CPU")]
    Operator {
        /// Its name.
        operator: &'static str,
    },
    /// A loss term that runs on the CPU alone.
    #[error("term {term} has no GPU kernel: run on the CPU")]
    Term {
        /// Its name.
        term: String,
    },
    /// An operator that asks for a kernel in a way that its WGSL does not have.
    #[error("operator {operator} calls {kernel}: {given}; its WGSL has {allowed}")]
    Kernel {
        /// The operator's name.
        operator: &'static str,
        /// Kernel and entry point.
        kernel: String,
        /// What was asked for.
        given: String,
        /// What there is.
        allowed: String,
    },
    /// A buffer of a few maps, or one of all maps together, that is larger than kernels
    /// may see.
    #[error(
        "{buffer} of {maps} maps takes {given} bytes; {adapter} allows {allowed}: at most {fits} \
         maps fit"
    )]
    Batch {
        /// The adapter's name.
        adapter: String,
        /// What the buffer holds.
        buffer: String,
        /// Maps that it is of.
        maps: usize,
        /// Bytes that it needs.
        given: u64,
        /// Bytes that a kernel may see of it.
        allowed: u64,
        /// Maps of the largest batch that fits.
        fits: usize,
    },
    /// The device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A loss term, or a statistic that it reads, is not finite.
    #[error("term {term}: {what} is not finite at evaluation {evaluation}")]
    NotFinite {
        /// Name of the term.
        term: String,
        /// Its value, or the operator whose result it reads.
        what: String,
        /// Which evaluation, from 1 on.
        evaluation: u64,
    },
    /// The gradient is not finite though the loss is.
    #[error("the gradient is not finite at evaluation {evaluation}")]
    Gradient {
        /// Which evaluation, from 1 on.
        evaluation: u64,
    },
}
