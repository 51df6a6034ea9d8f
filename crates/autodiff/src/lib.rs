//! Statistics as graphs of array operators, and the descent that uses them.
//!
//! A statistic is described once as a [`Graph`] of [`Operator`]s over a batch
//! of maps, compiled once to a [`Program`], and run thousands of times: the
//! program gives value and gradient without allocating. Operators are coarse
//! (all orientations of one scale, for every map of the batch), and each brings
//! its own pullback; nothing is traced and nothing is taped.
//!
//! ```text
//! Graph ──compile──► Program ──value_and_gradient──► Lbfgs ──argmin──► observers, checkpoints
//! ```
//!
//! What it is not: an autodiff of scalar code, or a tensor library. Use it when
//! you have a statistic of maps and want its gradient. It depends on
//! `skyscat-num`, rayon and argmin; it knows neither spheres nor files. With the
//! feature `gpu` the same graph compiles to a `GpuProgram` too.

mod affine;
mod channels;
pub mod check;
pub mod device;
#[cfg(feature = "gpu")]
mod gpu;
mod graph;
mod join;
mod kernel;
mod meeting;
mod optimise;
mod pieces;
mod plan;
mod program;
mod ranks;
mod stack;
mod statistics;
mod term;

pub use affine::Affine;
pub use channels::Channels;
#[cfg(feature = "gpu")]
pub use gpu::{
    GpuError, GpuKernelTime, GpuOperatorTime, GpuPairs, GpuPlan, GpuProgram, GpuVector, Maker, Seat,
};
pub use graph::{Graph, GraphError, Node, Shape};
pub use join::Join;
pub use kernel::{
    CpuKernel, Field, Forward, JointPullback, Keeps, Kernel, Operator, Precision, Pullback,
    for_rows,
};
pub use optimise::{
    Aim, At, Descent, DescentState, Failure, HostPairs, HostVector, Lbfgs, LbfgsConfig, LbfgsError,
    Objective, Pairs, Part, SavedLbfgs, SavedPair, Stop, TermHistory, TermValue, Vector,
};
pub use pieces::Pieces;
pub use plan::{Floor, MemoryPlan, Purpose};
pub use program::{OperatorTime, Program};
pub use ranks::{Cut, Ranks, Threads};
pub use stack::Stack;
pub use term::{Stat, Term};
