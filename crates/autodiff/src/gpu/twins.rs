//! Every operator of a graph alone: on the CPU in f64, and on a GPU for comparison.

use super::{GpuError, GpuProgram};
use crate::{Graph, GraphError, Operator, Program, Purpose, Shape, check};
use skyscat_gpu::Device;
use skyscat_num::{Par, Seed};
use std::sync::Arc;

/// What an operator gives: its output, and the gradients towards all its inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Results {
    /// The output, `[row][channel][re, im][map]`.
    pub output: Vec<f64>,
    /// The gradient towards each input, in the same layout.
    pub gradients: Vec<Vec<f64>>,
}

/// One operator with inputs and a cotangent that f32 holds, and what it gives in f64.
#[derive(Clone, Debug)]
pub struct Twin {
    /// The operator.
    pub operator: Arc<dyn Operator>,
    /// Which node of the graph.
    pub node: usize,
    /// Number of maps.
    pub maps: usize,
    /// Shapes of the inputs for one map.
    pub shapes: Vec<Shape>,
    /// The inputs, `[row][channel][re, im][map]`.
    pub inputs: Vec<Vec<f32>>,
    /// ∂L/∂output.
    pub cotangent: Vec<f32>,
    /// What the CPU gives in f64.
    pub exact: Results,
}

/// Each operator of `graph` alone, on what its inputs are at `x`, rounded to f32.
///
/// # Errors
/// [`GraphError`] as [`Program::compile`].
///
/// # Panics
/// If `x` has not as many numbers as the graph has variables.
pub fn twins(graph: &Graph, x: &[f64], maps: usize) -> Result<Vec<Twin>, GraphError> {
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
    let operators = graph.nodes.iter().enumerate().filter_map(|(at, node)| {
        let operator = node.operator.clone()?;
        let value = |i: &crate::Node| whole.output(&i.index().to_string()).expect("all are").1;
        let single = |v: Vec<f64>| -> Vec<f32> { v.into_iter().map(|v| v as f32).collect() };
        let shapes = node.inputs.iter().map(|&i| graph.shape(i)).collect();
        let inputs = node.inputs.iter().map(|i| single(value(i))).collect();
        let cotangent = Seed(4).stream("twin").index(0, 0).normals(node.shape.reals() * maps);
        let twin = Twin::new(operator, shapes, maps, (inputs, single(cotangent)));
        Some(twin.map(|twin| Twin { node: at, ..twin }))
    });
    operators.collect()
}

impl Twin {
    /// An operator on these inputs and with this cotangent, `[row][channel][re, im][map]`.
    ///
    /// # Errors
    /// [`GraphError`] as [`Program::compile`].
    ///
    /// # Panics
    /// If they have other lengths than the shapes say.
    pub fn new(
        operator: Arc<dyn Operator>,
        shapes: Vec<Shape>,
        maps: usize,
        (inputs, cotangent): (Vec<Vec<f32>>, Vec<f32>),
    ) -> Result<Self, GraphError> {
        let exact = Results { output: Vec::new(), gradients: Vec::new() };
        let mut twin = Self { operator, node: 0, maps, shapes, inputs, cotangent, exact };
        twin.exact = twin.on_cpu(&Par::new(2).expect("two threads"))?;
        Ok(twin)
    }

    /// The graph of this operator, or another one in its place, and a functional.
    fn graph(&self, operator: Arc<dyn Operator>) -> Result<Arc<Graph>, GraphError> {
        let mut alone = Graph::new();
        let inputs: Vec<_> = self.shapes.iter().map(|&s| alone.input(s)).collect();
        let out = alone.apply_shared(operator, &inputs)?;
        let weights = self.cotangent.iter().map(|&g| f64::from(g)).collect();
        alone.term(check::Functional(weights), &[out], 1.0);
        alone.output("out", out);
        Ok(Arc::new(alone))
    }

    /// The gradient of all inputs as those of each.
    fn split(&self, mut gradient: &[f64]) -> Vec<Vec<f64>> {
        let mut parts = Vec::new();
        for shape in &self.shapes {
            let (own, rest) = gradient.split_at(shape.reals() * self.maps);
            parts.push(own.to_vec());
            gradient = rest;
        }
        parts
    }

    fn on_cpu(&self, par: &Par) -> Result<Results, GraphError> {
        let graph = self.graph(self.operator.clone())?;
        let mut cpu = Program::<f64>::compile(graph, self.maps, Purpose::Gradient, par)?;
        let x: Vec<f64> = self.inputs.iter().flatten().map(|&v| f64::from(v)).collect();
        let mut gradient = vec![0.0; x.len()];
        cpu.value_and_gradient(&x, &mut gradient);
        let output = cpu.output("out").expect("named").1;
        Ok(Results { output, gradients: self.split(&gradient) })
    }

    /// What a device gives for this operator, or for another one in its place.
    ///
    /// # Errors
    /// [`GpuError`] as [`GpuProgram::compile`], and for results that are not finite.
    pub fn on_gpu(
        &self,
        operator: Arc<dyn Operator>,
        device: &Arc<Device>,
    ) -> Result<Results, GpuError> {
        let graph = self.graph(operator)?;
        let mut gpu = GpuProgram::compile(graph, self.maps, Purpose::Gradient, device.clone())?;
        let x: Vec<f64> = self.inputs.iter().flatten().map(|&x| f64::from(x)).collect();
        let mut gradient = vec![0.0; x.len()];
        gpu.value_and_gradient(&x, &mut gradient)?;
        let output = gpu.output("out")?.expect("named").1;
        Ok(Results { output, gradients: self.split(&gradient) })
    }
}
