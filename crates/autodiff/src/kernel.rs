//! What an operator is: shapes, and a forward and a pullback kernel.

use crate::device::{DeviceCall, DeviceWork};
use crate::{GraphError, Shape};
use rayon::prelude::*;
use skyscat_num::Real;
use std::fmt::Debug;
use std::ops::Range;

/// Values that a pullback reads; anything else may be overwritten before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// Nothing: the operator is linear.
    Nothing,
    /// Its inputs.
    Inputs,
    /// Its inputs and its output.
    InputsAndOutput,
}

/// One operator of a [`crate::Graph`]: described without device or precision.
pub trait Operator: Debug + Send + Sync {
    /// Name in error messages and plans.
    fn name(&self) -> &'static str;
    /// Shape of the output for the given inputs.
    ///
    /// # Errors
    /// [`GraphError::Shape`] if the inputs do not fit.
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, GraphError>;
    /// What the pullback reads.
    fn keeps(&self) -> Keeps;
    /// Whether one pullback gives the gradients of all inputs, which must then differ.
    fn joint(&self) -> bool {
        false
    }
    /// Least floating-point operations of one forward pass over one map. The
    /// pullback towards one input is counted the same.
    fn flops(&self, inputs: &[Shape]) -> f64;
    /// Those of a joint pullback.
    fn joint_flops(&self, inputs: &[Shape]) -> f64 {
        inputs.len() as f64 * self.flops(inputs)
    }
    /// Bytes of tables that a pass reads once for the whole batch, in f64.
    fn table_bytes(&self) -> f64 {
        0.0
    }
    /// Which channels of its input the output is, if it is nothing else.
    fn channels(&self) -> Option<Range<usize>> {
        None
    }
    /// The kernels for the CPU.
    fn cpu(&self) -> &dyn CpuKernel;
    /// What a GPU does for this call; `None` for an operator that has no GPU kernel.
    fn gpu(&self, _call: &DeviceCall<'_>) -> Option<DeviceWork<'_>> {
        None
    }

    /// A shape error of this operator.
    fn refuse(&self, given: &[Shape], allowed: &str) -> GraphError {
        GraphError::Shape {
            operator: self.name(),
            given: given.to_vec(),
            allowed: allowed.to_owned(),
        }
    }
}

/// A value in memory: `[row][channel][re, im][lane]`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Field<'a, T> {
    /// The numbers; empty where the kernel said that it does not read them.
    pub data: &'a [T],
    /// Shape for one map.
    pub shape: Shape,
    /// Maps padded to whole registers.
    pub lanes: usize,
    /// Maps; what the lanes behind them hold is of no use.
    pub maps: usize,
}

impl<T> Field<'_, T> {
    /// Numbers a row, over all maps.
    pub fn stride(&self) -> usize {
        self.shape.width() * self.lanes
    }
}

/// Arguments of a forward kernel.
pub struct Forward<'a, T> {
    /// The inputs.
    pub inputs: &'a [Field<'a, T>],
    /// The output, to be overwritten.
    pub output: &'a mut [T],
    /// Scratch of the length the kernel asked for, with any content.
    pub scratch: &'a mut [T],
}

/// Arguments of a pullback kernel towards one input.
pub struct Pullback<'a, T> {
    /// Which input the gradient is for.
    pub which: usize,
    /// The inputs; without data if the operator keeps [`Keeps::Nothing`].
    pub inputs: &'a [Field<'a, T>],
    /// ∂L/∂output. Real and imaginary parts are independent variables.
    pub cotangent: Field<'a, T>,
    /// ∂L/∂input, to be added to.
    pub gradient: &'a mut [T],
    /// Scratch of the length the kernel asked for, with any content.
    pub scratch: &'a mut [T],
}

/// Arguments of a pullback kernel towards all inputs.
pub struct JointPullback<'a, T> {
    /// The inputs; without data if the operator keeps [`Keeps::Nothing`].
    pub inputs: &'a [Field<'a, T>],
    /// The output; without data unless the operator keeps [`Keeps::InputsAndOutput`].
    pub output: Field<'a, T>,
    /// ∂L/∂output. Real and imaginary parts are independent variables.
    pub cotangent: Field<'a, T>,
    /// ∂L/∂input of each input, to be added to.
    pub gradients: &'a mut [&'a mut [T]],
    /// Scratch of the length the kernel asked for, with any content.
    pub scratch: &'a mut [T],
}

/// The CPU kernels of an operator, written once for both precisions. It brings one of
/// the two pullbacks, as [`Operator::joint`] says.
pub trait Kernel: Send + Sync {
    /// Scratch numbers needed by either pass; asked in the pool of threads that the
    /// passes run in.
    fn scratch<T: Real>(&self, _inputs: &[Shape], _lanes: usize) -> usize {
        0
    }
    /// Computes the output.
    fn forward<T: Real>(&self, call: Forward<'_, T>);
    /// Adds the gradient towards one input.
    fn pullback<T: Real>(&self, _call: Pullback<'_, T>) {
        unreachable!("the pullback of this operator is joint");
    }
    /// Adds the gradients towards all inputs.
    fn pullback_joint<T: Real>(&self, _call: JointPullback<'_, T>) {
        unreachable!("this operator has a pullback for each input");
    }
}

/// The object-safe face of [`Kernel`]; implemented for every one.
pub trait CpuKernel: Send + Sync {
    /// [`Kernel::scratch`] in f32.
    fn scratch_f32(&self, inputs: &[Shape], lanes: usize) -> usize;
    /// [`Kernel::scratch`] in f64.
    fn scratch_f64(&self, inputs: &[Shape], lanes: usize) -> usize;
    /// [`Kernel::forward`] in f32.
    fn forward_f32(&self, call: Forward<'_, f32>);
    /// [`Kernel::forward`] in f64.
    fn forward_f64(&self, call: Forward<'_, f64>);
    /// [`Kernel::pullback`] in f32.
    fn pullback_f32(&self, call: Pullback<'_, f32>);
    /// [`Kernel::pullback`] in f64.
    fn pullback_f64(&self, call: Pullback<'_, f64>);
    /// [`Kernel::pullback_joint`] in f32.
    fn joint_f32(&self, _call: JointPullback<'_, f32>) {
        unreachable!("this operator has a pullback for each input");
    }
    /// [`Kernel::pullback_joint`] in f64.
    fn joint_f64(&self, _call: JointPullback<'_, f64>) {
        unreachable!("this operator has a pullback for each input");
    }
}

impl<K: Kernel> CpuKernel for K {
    fn scratch_f32(&self, inputs: &[Shape], lanes: usize) -> usize {
        self.scratch::<f32>(inputs, lanes)
    }
    fn scratch_f64(&self, inputs: &[Shape], lanes: usize) -> usize {
        self.scratch::<f64>(inputs, lanes)
    }
    fn forward_f32(&self, call: Forward<'_, f32>) {
        self.forward(call);
    }
    fn forward_f64(&self, call: Forward<'_, f64>) {
        self.forward(call);
    }
    fn pullback_f32(&self, call: Pullback<'_, f32>) {
        self.pullback(call);
    }
    fn pullback_f64(&self, call: Pullback<'_, f64>) {
        self.pullback(call);
    }
    fn joint_f32(&self, call: JointPullback<'_, f32>) {
        self.pullback_joint(call);
    }
    fn joint_f64(&self, call: JointPullback<'_, f64>) {
        self.pullback_joint(call);
    }
}

/// A precision that a program can run in.
pub trait Precision: Real {
    /// Scratch numbers of a kernel.
    fn scratch(kernel: &dyn CpuKernel, inputs: &[Shape], lanes: usize) -> usize;
    /// Runs a forward kernel.
    fn forward(kernel: &dyn CpuKernel, call: Forward<'_, Self>);
    /// Runs a pullback kernel.
    fn pullback(kernel: &dyn CpuKernel, call: Pullback<'_, Self>);
    /// Runs a joint pullback kernel.
    fn joint(kernel: &dyn CpuKernel, call: JointPullback<'_, Self>);
}

impl Precision for f32 {
    fn scratch(kernel: &dyn CpuKernel, inputs: &[Shape], lanes: usize) -> usize {
        kernel.scratch_f32(inputs, lanes)
    }
    fn forward(kernel: &dyn CpuKernel, call: Forward<'_, f32>) {
        kernel.forward_f32(call);
    }
    fn pullback(kernel: &dyn CpuKernel, call: Pullback<'_, f32>) {
        kernel.pullback_f32(call);
    }
    fn joint(kernel: &dyn CpuKernel, call: JointPullback<'_, f32>) {
        kernel.joint_f32(call);
    }
}

impl Precision for f64 {
    fn scratch(kernel: &dyn CpuKernel, inputs: &[Shape], lanes: usize) -> usize {
        kernel.scratch_f64(inputs, lanes)
    }
    fn forward(kernel: &dyn CpuKernel, call: Forward<'_, f64>) {
        kernel.forward_f64(call);
    }
    fn pullback(kernel: &dyn CpuKernel, call: Pullback<'_, f64>) {
        kernel.pullback_f64(call);
    }
    fn joint(kernel: &dyn CpuKernel, call: JointPullback<'_, f64>) {
        kernel.joint_f64(call);
    }
}

/// Runs `work(first_row, rows)` on chunks of an array of rows, in parallel.
///
/// `stride` is the length of a row. Chunks depend on the size alone.
pub fn for_rows<T: Send>(array: &mut [T], stride: usize, work: impl Fn(usize, &mut [T]) + Sync) {
    let rows = array.len() / stride.max(1);
    // Enough chunks for many threads, each long enough to pay for its start.
    let chunk = rows.div_ceil(256).max(16);
    array.par_chunks_mut(chunk * stride).enumerate().for_each(|(i, rows)| work(i * chunk, rows));
}
