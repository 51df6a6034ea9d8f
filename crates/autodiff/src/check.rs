//! Checks that every operator must pass: adjoints and central differences.

use crate::device::DeviceTerm;
#[cfg(feature = "gpu")]
pub use crate::gpu::{Results, Twin, twins};
use crate::{Graph, GraphError, Operator, Program, Purpose, Shape, Stat, Term};
use skyscat_num::{Par, Seed};
use std::sync::Arc;

/// A fixed linear functional of one statistic: a weight for each of its numbers, over
/// all maps.
#[derive(Debug)]
pub struct Functional(pub Vec<f64>);

impl Term for Functional {
    fn name(&self) -> &str {
        "functional"
    }

    fn evaluate(&self, stats: &[Stat<'_>], gradients: &mut [&mut [f64]]) -> f64 {
        gradients[0].copy_from_slice(&self.0);
        stats[0].data.iter().zip(&self.0).map(|(a, b)| a * b).sum()
    }

    fn gpu(&self, weight: f64, _maps: usize) -> Option<DeviceTerm> {
        let columns = self.0.iter().map(|w| weight * w).collect();
        Some(DeviceTerm { kernel: "functional", columns })
    }
}

/// How a gradient compares with what it should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mismatch {
    /// |found − expected|.
    pub difference: f64,
    /// Size of the quantity compared: the difference is to be read against it.
    pub scale: f64,
}

impl Mismatch {
    /// difference/scale.
    pub fn relative(&self) -> f64 {
        self.difference / self.scale
    }
}

fn functional_of(
    operator: Arc<dyn Operator>,
    shapes: &[Shape],
    maps: usize,
) -> Result<Program<f64>, GraphError> {
    let mut graph = Graph::new();
    let inputs: Vec<_> = shapes.iter().map(|&s| graph.input(s)).collect();
    let out = graph.apply_shared(operator, &inputs)?;
    let len = graph.shape(out).reals() * maps;
    let weights = Seed(1).stream("check-functional").index(0, 0).normals(len);
    graph.term(Functional(weights), &[out], 1.0);
    // Computed even where the term could read it in its input.
    graph.output("out", out);
    let par = Par::new(2).expect("two threads");
    Program::compile(Arc::new(graph), maps, Purpose::Gradient, &par)
}

/// ⟨Ax, y⟩ against ⟨x, Aᵀy⟩ of a linear operator, on random x and y.
///
/// The scale is ‖Ax‖‖y‖-like: the value's root-sum-square over its summands.
///
/// # Errors
/// [`GraphError`] if the operator does not accept the shapes.
pub fn adjoint(
    operator: Arc<dyn Operator>,
    shapes: &[Shape],
    maps: usize,
) -> Result<Mismatch, GraphError> {
    let mut program = functional_of(operator, shapes, maps)?;
    let x = Seed(2).stream("check-variables").index(0, 0).normals(program.variables());
    let mut gradient = vec![0.0; x.len()];
    let value = program.value_and_gradient(&x, &mut gradient);
    let products: Vec<f64> = x.iter().zip(&gradient).map(|(a, b)| a * b).collect();
    let back: f64 = products.iter().sum();
    let scale = products.iter().map(|p| p * p).sum::<f64>().sqrt();
    Ok(Mismatch { difference: (value - back).abs(), scale })
}

/// Directional derivatives of any operator against central differences.
///
/// # Errors
/// [`GraphError`] if the operator does not accept the shapes.
pub fn pullback(
    operator: Arc<dyn Operator>,
    shapes: &[Shape],
    maps: usize,
) -> Result<Mismatch, GraphError> {
    let mut program = functional_of(operator, shapes, maps)?;
    let x = Seed(2).stream("check-variables").index(0, 0).normals(program.variables());
    Ok(gradient(&mut program, &x, 1e-3))
}

/// The gradient of a program at `x` against central differences along a random
/// direction, by Richardson extrapolation from steps `step` and `step/2`.
pub fn gradient(program: &mut Program<f64>, x: &[f64], step: f64) -> Mismatch {
    let direction = Seed(3).stream("check-direction").index(0, 0).normals(x.len());
    let mut g = vec![0.0; x.len()];
    program.value_and_gradient(x, &mut g);
    let products: Vec<f64> = g.iter().zip(&direction).map(|(a, b)| a * b).collect();
    let analytic: f64 = products.iter().sum();
    let scale = products.iter().map(|p| p * p).sum::<f64>().sqrt();
    let mut scratch = vec![0.0; x.len()];
    let mut difference = |h: f64| {
        let mut at = |s: f64| {
            let moved: Vec<f64> = x.iter().zip(&direction).map(|(x, d)| x + s * d).collect();
            program.value_and_gradient(&moved, &mut scratch)
        };
        (at(h) - at(-h)) / (2.0 * h)
    };
    let (coarse, fine) = (difference(step), difference(step / 2.0));
    let numeric = (4.0 * fine - coarse) / 3.0;
    Mismatch { difference: (analytic - numeric).abs(), scale }
}
