//! Every operator of a graph on a GPU against the CPU in f64, each on its own.

use super::{GpuError, GpuProgram};
use crate::{Graph, Program, Purpose, Shape, check};
use skyscat_gpu::Device;
use skyscat_num::{Par, Seed};
use std::sync::Arc;

/// How one operator of a graph compares with its CPU twin.
#[derive(Clone, Debug)]
pub struct Twin {
    /// The operator's name.
    pub operator: &'static str,
    /// Which node of the graph.
    pub node: usize,
    /// Largest error of the output, in units of ε = 2⁻²³ times the output's scale.
    pub forward: f64,
    /// The same of the gradients.
    pub pullback: f64,
    /// The largest of both where the CPU works in f32: what rounding alone does.
    pub mirror: f64,
}

/// Runs each operator of `graph` alone on what its inputs are at `x`, rounded to f32.
///
/// The scale of a result is the largest value that it has there, or for inputs and
/// cotangents without their signs: what a sum is before it cancels.
///
/// # Errors
/// [`GpuError`] as [`GpuProgram::compile`].
///
/// # Panics
/// If `x` has not as many numbers as the graph has variables.
pub fn twins(
    graph: &Graph,
    x: &[f64],
    maps: usize,
    device: &Arc<Device>,
) -> Result<Vec<Twin>, GpuError> {
    let par = Par::new(2).expect("two threads");
    let mut whole = Graph::new();
    for (at, node) in graph.nodes.iter().enumerate() {
        let copy = match &node.operator {
            None => whole.input(node.shape),
            Some(operator) => whole.apply_shared(operator.clone(), &node.inputs)?,
        };
        whole.output(at.to_string(), copy);
    }
    let mut whole = Program::<f64>::compile(Arc::new(whole), maps, Purpose::Values, &par)?;
    whole.evaluate(x);
    let mut twins = Vec::new();
    for (at, node) in graph.nodes.iter().enumerate() {
        let Some(operator) = &node.operator else { continue };
        let value = |i: &crate::Node| whole.output(&i.index().to_string()).expect("all are").1;
        let x: Vec<f32> = node.inputs.iter().flat_map(value).map(|v| v as f32).collect();
        let shapes: Vec<Shape> = node.inputs.iter().map(|&i| graph.shape(i)).collect();
        let build = |absolute: bool| -> Result<Arc<Graph>, GpuError> {
            let mut alone = Graph::new();
            let inputs: Vec<_> = shapes.iter().map(|&s| alone.input(s)).collect();
            let out = alone.apply_shared(operator.clone(), &inputs)?;
            let weights = Seed(4).stream("twin").index(0, 0).normals(node.shape.reals() * maps);
            // Cotangents that f32 holds: both sides see the same.
            let weights = weights.into_iter().map(|w| f64::from(w as f32));
            let weights = weights.map(|w| if absolute { w.abs() } else { w }).collect();
            alone.term(check::Functional(weights), &[out], 1.0);
            alone.output("out", out);
            Ok(Arc::new(alone))
        };
        let run = |absolute: bool| -> Result<(Vec<f64>, Vec<f64>), GpuError> {
            let mut cpu = Program::<f64>::compile(build(absolute)?, maps, Purpose::Gradient, &par)?;
            let sign = |v: f64| if absolute { v.abs() } else { v };
            let x: Vec<f64> = x.iter().map(|&v| sign(f64::from(v))).collect();
            let mut gradient = vec![0.0; x.len()];
            cpu.value_and_gradient(&x, &mut gradient);
            Ok((cpu.output("out").expect("named").1, gradient))
        };
        let (expected, scale) = (run(false)?, run(true)?);
        let compare = |output: &[f64], gradient: &[f32]| {
            let mut pullback = 0.0f64;
            let mut first = 0;
            for shape in &shapes {
                let range = first..first + shape.reals() * maps;
                first = range.end;
                let found = gradient[range.clone()].iter().map(|&g| f64::from(g));
                let (expected, scale) = (&expected.1[range.clone()], &scale.1[range]);
                pullback = pullback.max(error(found, expected, scale));
            }
            (error(output.iter().copied(), &expected.0, &scale.0), pullback)
        };
        let mut gradient = vec![0.0; x.len()];
        let mut single = Program::<f32>::compile(build(false)?, maps, Purpose::Gradient, &par)?;
        single.value_and_gradient(&x, &mut gradient);
        let mirror = compare(&single.output("out").expect("named").1, &gradient);
        let mut gpu = GpuProgram::compile(build(false)?, maps, Purpose::Gradient, device.clone())?;
        gpu.value_and_gradient(&x, &mut gradient)?;
        let output = gpu.output("out")?.expect("named").1;
        let output: Vec<f64> = output.into_iter().map(f64::from).collect();
        let (forward, pullback) = compare(&output, &gradient);
        let mirror = mirror.0.max(mirror.1);
        twins.push(Twin { operator: operator.name(), node: at, forward, pullback, mirror });
    }
    Ok(twins)
}

/// Largest difference in units of ε times the scale.
fn error(found: impl Iterator<Item = f64>, expected: &[f64], other: &[f64]) -> f64 {
    let scale = expected.iter().chain(other).fold(0.0f64, |m, x| m.max(x.abs()));
    let worst = found.zip(expected).fold(0.0f64, |m, (a, b)| {
        let difference = (a - b).abs();
        if difference.is_nan() { f64::INFINITY } else { m.max(difference) }
    });
    if worst == 0.0 { 0.0 } else { worst / (scale * f64::from(f32::EPSILON)) }
}
