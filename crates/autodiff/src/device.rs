//! What an operator asks of a GPU, as plain data that names no device.
//!
//! An operator answers a [`DeviceCall`] with [`DeviceWork`]: runs of WGSL kernels, in
//! order, over its inputs, its output, gradients, tables and scratch. Fields on the
//! device are f32, or f64 on one that was opened for them, in the layout of the CPU,
//! `[row][channel][re, im][lane]`. A loss term answers with a [`DeviceTerm`].

use crate::Shape;
use skyscat_num::{Real, Table};
use std::borrow::Cow;

/// What is to be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DevicePass {
    /// The output.
    Forward,
    /// The gradient towards one input, to be added to.
    Pullback {
        /// Which input.
        which: usize,
    },
    /// The gradients towards all inputs, to be added to.
    Joint,
}

/// A call of an operator.
#[derive(Clone, Copy, Debug)]
pub struct DeviceCall<'a> {
    /// What is to be computed.
    pub pass: DevicePass,
    /// Shapes of the inputs for one map.
    pub inputs: &'a [Shape],
    /// Maps, padding included: a multiple of four.
    pub lanes: usize,
    /// Whether numbers are f64.
    pub double: bool,
    /// Numbers that each piece of scratch may have though this operator could do with
    /// fewer: others need them anyway, or the device has room for them.
    pub scratch: &'a [usize],
}

impl DeviceCall<'_> {
    /// Numbers that a piece of scratch may have where an operator could do with fewer.
    pub fn room(&self, piece: usize) -> usize {
        self.scratch.get(piece).copied().unwrap_or(0)
    }

    /// Numbers of an input, over all maps.
    pub fn numbers(&self, input: usize) -> usize {
        self.inputs[input].reals() * self.lanes
    }

    /// Fours of lanes, for kernels that take four maps at a time.
    ///
    /// # Panics
    /// If the lanes are no multiple of four.
    pub fn quads(&self) -> usize {
        assert_eq!(self.lanes % 4, 0, "lanes are padded to fours");
        self.lanes / 4
    }

    /// A table in the device's precision.
    pub fn table<'b>(&self, table: &'b Table) -> Binding<'b> {
        match self.double {
            false => f32::binding(table.get()),
            true => f64::binding(table.get()),
        }
    }

    /// Some numbers in the device's precision, made for this call.
    pub fn made(&self, numbers: &[f64]) -> Binding<'static> {
        match self.double {
            false => Binding::Numbers(Cow::Owned(numbers.iter().map(|&x| x as f32).collect())),
            true => Binding::Doubles(Cow::Owned(numbers.to_vec())),
        }
    }

    /// The entry point of a kernel with one for each way.
    pub fn entry(&self) -> &'static str {
        match self.pass {
            DevicePass::Forward => "forward",
            DevicePass::Pullback { .. } | DevicePass::Joint => "pullback",
        }
    }

    /// Whether the output is wanted.
    pub fn is_forward(&self) -> bool {
        self.pass == DevicePass::Forward
    }

    /// What a kernel with one way in and one out reads and writes.
    pub fn ends<'b>(&self) -> (Binding<'b>, Binding<'b>) {
        match self.pass {
            DevicePass::Forward => (Binding::Input(0), Binding::Output),
            DevicePass::Pullback { which } => (Binding::Cotangent, Binding::Gradient(which)),
            DevicePass::Joint => (Binding::Cotangent, Binding::Gradient(0)),
        }
    }

    /// The input that a pullback is towards; 0 in other passes.
    pub fn which(&self) -> usize {
        match self.pass {
            DevicePass::Pullback { which } => which,
            _ => 0,
        }
    }
}

/// Everything that an operator does in one call.
#[derive(Clone, Debug, Default)]
pub struct DeviceWork<'a> {
    /// Runs of kernels; each sees what those before it wrote.
    pub runs: Vec<Run<'a>>,
    /// Numbers of each piece of scratch, with any content at first.
    pub scratch: Vec<usize>,
}

impl<'a> DeviceWork<'a> {
    /// One run without scratch.
    pub fn one(run: Run<'a>) -> Self {
        Self { runs: vec![run], scratch: Vec::new() }
    }
}

/// A run of one entry point of a WGSL file.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    /// Stem of the file in `shaders/wgsl`.
    pub kernel: &'static str,
    /// The entry point.
    pub entry: &'static str,
    /// Members of its uniform struct, in order, by the names that WGSL gives them; each is
    /// below 2³².
    pub uniforms: Vec<(&'static str, usize)>,
    /// Its bindings after the uniform, in order.
    pub bindings: Vec<Binding<'a>>,
    /// How many invocations it needs; the kernel ignores those above.
    pub invocations: usize,
}

impl<'a> Run<'a> {
    /// A run of a kernel's entry.
    pub fn new(
        (kernel, entry): (&'static str, &'static str),
        uniforms: &[(&'static str, usize)],
        bindings: Vec<Binding<'a>>,
        invocations: usize,
    ) -> Self {
        Self { kernel, entry, uniforms: uniforms.to_vec(), bindings, invocations }
    }

    /// A run of a kernel over the numbers of one input: its bindings are the input,
    /// the cotangent and the result.
    pub fn elementwise(kernel: &'static str, call: &DeviceCall<'_>) -> Self {
        let (cotangent, to) = match call.is_forward() {
            true => (Binding::Unused, Binding::Output),
            false => (Binding::Cotangent, Binding::Gradient(0)),
        };
        let bindings = vec![Binding::Input(0), cotangent, to];
        let numbers = call.numbers(0);
        Self::new((kernel, call.entry()), &[("numbers", numbers)], bindings, numbers)
    }
}

/// What a loss term asks of a GPU: one entry point, `evaluate`, run once for each of
/// its statistics.
///
/// It overwrites a contribution for each real coefficient, whose sum is the term's
/// value, and adds the term's gradient to that of the statistic. Maps come in groups
/// of equal size, one loss each, and columns are those of one group.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceTerm {
    /// Stem of the file in `shaders/wgsl`.
    pub kernel: &'static str,
    /// Numbers for each real coefficient, those of all statistics in their order; what
    /// they mean is written in the kernel.
    pub columns: Vec<f64>,
}

/// A number in f32, and what f32 leaves of it.
pub fn split(x: f64) -> [f64; 2] {
    let first = f64::from(x as f32);
    [first, x - first]
}

/// What a kernel sees at a binding.
#[derive(Clone, Debug)]
pub enum Binding<'a> {
    /// An input.
    Input(usize),
    /// The output: to be overwritten by a forward pass; in a joint pullback its value.
    Output,
    /// ∂L/∂output.
    Cotangent,
    /// ∂L/∂input of an input, to be added to.
    Gradient(usize),
    /// A piece of scratch.
    Scratch(usize),
    /// A table of numbers; borrowed ones are uploaded once for all operators.
    Numbers(Cow<'a, [f32]>),
    /// The same for a device whose numbers are f64.
    Doubles(Cow<'a, [f64]>),
    /// A table of indices; borrowed ones are uploaded once for all operators.
    Indices(Cow<'a, [u32]>),
    /// Nothing: this entry point does not look at it.
    Unused,
}

impl<'a> Binding<'a> {
    /// A table that the operator keeps.
    pub fn indices(table: &'a [u32]) -> Self {
        Binding::Indices(Cow::Borrowed(table))
    }

    /// A table made for this call.
    pub fn made(table: Vec<u32>) -> Self {
        Binding::Indices(Cow::Owned(table))
    }
}

/// A precision in which an operator keeps tables for a device.
pub trait DeviceNumber: Real {
    /// A table that the operator keeps.
    fn binding(table: &[Self]) -> Binding<'_>;
}

impl DeviceNumber for f32 {
    fn binding(table: &[Self]) -> Binding<'_> {
        Binding::Numbers(Cow::Borrowed(table))
    }
}

impl DeviceNumber for f64 {
    fn binding(table: &[Self]) -> Binding<'_> {
        Binding::Doubles(Cow::Borrowed(table))
    }
}
