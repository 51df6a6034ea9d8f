//! Small operators on coefficients: normalisation and the moments of S0.

use skyscat_autodiff::{CpuKernel, Forward, GraphError, Keeps, Kernel, Operator, Pullback, Shape};
use skyscat_num::Real;

/// Divides coefficients by powers: x_c/√(p_{a(c)} q_{b(c)}), or x_c/√p_{a(c)}
/// with one power.
#[derive(Debug)]
pub(crate) struct Normalise {
    /// For each channel of x, the channels of p and q.
    pub(crate) pick: Vec<(usize, usize)>,
    pub(crate) powers: usize,
}

impl Operator for Normalise {
    fn name(&self) -> &'static str {
        "normalise"
    }
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, GraphError> {
        let fits = inputs.len() == 1 + self.powers
            && inputs[0].channels == self.pick.len()
            && inputs[1..].iter().all(|p| !p.complex && p.rows == inputs[0].rows);
        if fits { Ok(inputs[0]) } else { Err(self.refuse(inputs, "coefficients and powers")) }
    }
    fn keeps(&self) -> Keeps {
        Keeps::Inputs
    }
    fn flops(&self, inputs: &[Shape]) -> f64 {
        4.0 * inputs[0].reals() as f64
    }
    fn cpu(&self) -> &dyn CpuKernel {
        self
    }
}

impl Normalise {
    /// Index of a power's number for (row, channel, lane).
    fn at(input: &skyscat_autodiff::Shape, lanes: usize, row: usize, c: usize, j: usize) -> usize {
        (row * input.channels + c) * lanes + j
    }
}

impl Kernel for Normalise {
    fn forward<T: Real>(&self, call: Forward<'_, T>) {
        let x = call.inputs[0];
        let (n, parts) = (x.lanes, x.shape.width() / x.shape.channels);
        for row in 0..x.shape.rows {
            for (c, &(a, b)) in self.pick.iter().enumerate() {
                for j in 0..n {
                    let p = call.inputs[1];
                    let mut power = p.data[Self::at(&p.shape, n, row, a, j)].to_f64();
                    if self.powers == 2 {
                        let q = call.inputs[2];
                        power *= q.data[Self::at(&q.shape, n, row, b, j)].to_f64();
                    }
                    let scale = if power > 0.0 { power.sqrt().recip() } else { 0.0 };
                    for part in 0..parts {
                        let at = ((row * x.shape.channels + c) * parts + part) * n + j;
                        call.output[at] = T::from_f64(x.data[at].to_f64() * scale);
                    }
                }
            }
        }
    }

    fn pullback<T: Real>(&self, call: Pullback<'_, T>) {
        let x = call.inputs[0];
        let (n, parts) = (x.lanes, x.shape.width() / x.shape.channels);
        for row in 0..x.shape.rows {
            for (c, &(a, b)) in self.pick.iter().enumerate() {
                for j in 0..n {
                    let picked = [a, b];
                    let power = |k: usize| {
                        let p = call.inputs[1 + k];
                        p.data[Self::at(&p.shape, n, row, picked[k], j)].to_f64()
                    };
                    let total: f64 = (0..self.powers).map(power).product();
                    if total <= 0.0 {
                        continue;
                    }
                    let scale = total.sqrt().recip();
                    let mut along = 0.0;
                    for part in 0..parts {
                        let at = ((row * x.shape.channels + c) * parts + part) * n + j;
                        let g = call.cotangent.data[at].to_f64();
                        if call.which == 0 {
                            call.gradient[at] += T::from_f64(g * scale);
                        }
                        along += g * x.data[at].to_f64() * scale;
                    }
                    if call.which > 0 {
                        let k = call.which - 1;
                        let at = Self::at(&call.inputs[1 + k].shape, n, row, picked[k], j);
                        call.gradient[at] += T::from_f64(-0.5 * along / power(k));
                    }
                }
            }
        }
    }
}

/// The second number of S0 from ⟨x²⟩ and ⟨x⟩.
#[derive(Debug)]
pub(crate) enum Spread {
    /// ⟨x²⟩ − ⟨x⟩².
    Variance,
    /// √(|⟨x²⟩ − ⟨x⟩²|/Σm), one total a mask (HealpixML).
    StandardError(Vec<f64>),
}

impl Operator for Spread {
    fn name(&self) -> &'static str {
        "spread"
    }
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, GraphError> {
        match inputs {
            [a, b] if a == b && !a.complex => Ok(*a),
            _ => Err(self.refuse(inputs, "mean square and mean, real")),
        }
    }
    fn keeps(&self) -> Keeps {
        Keeps::Inputs
    }
    fn flops(&self, inputs: &[Shape]) -> f64 {
        2.0 * inputs[0].reals() as f64
    }
    fn cpu(&self) -> &dyn CpuKernel {
        self
    }
}

impl Kernel for Spread {
    fn forward<T: Real>(&self, call: Forward<'_, T>) {
        let stride = call.inputs[0].stride();
        for (i, out) in call.output.iter_mut().enumerate() {
            let (square, mean) = (call.inputs[0].data[i].to_f64(), call.inputs[1].data[i].to_f64());
            let variance = square - mean * mean;
            *out = T::from_f64(match self {
                Spread::Variance => variance,
                Spread::StandardError(totals) => (variance.abs() / totals[i / stride]).sqrt(),
            });
        }
    }

    fn pullback<T: Real>(&self, call: Pullback<'_, T>) {
        let stride = call.inputs[0].stride();
        for (i, out) in call.gradient.iter_mut().enumerate() {
            let (square, mean) = (call.inputs[0].data[i].to_f64(), call.inputs[1].data[i].to_f64());
            let variance = square - mean * mean;
            let outer = match self {
                Spread::Variance => 1.0,
                Spread::StandardError(totals) if variance != 0.0 => {
                    0.5 * variance.signum() / (variance.abs() * totals[i / stride]).sqrt()
                }
                Spread::StandardError(_) => 0.0,
            };
            let inner = if call.which == 0 { 1.0 } else { -2.0 * mean };
            *out += T::from_f64(call.cotangent.data[i].to_f64() * outer * inner);
        }
    }
}

/// The product of two real fields, for the S0 of a pair.
#[derive(Debug)]
pub(crate) struct RealProduct;

impl Operator for RealProduct {
    fn name(&self) -> &'static str {
        "real-product"
    }
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, GraphError> {
        match inputs {
            [a, b] if a == b && !a.complex => Ok(*a),
            _ => Err(self.refuse(inputs, "two real fields of one shape")),
        }
    }
    fn keeps(&self) -> Keeps {
        Keeps::Inputs
    }
    fn flops(&self, inputs: &[Shape]) -> f64 {
        inputs[0].reals() as f64
    }
    fn cpu(&self) -> &dyn CpuKernel {
        self
    }
}

impl Kernel for RealProduct {
    fn forward<T: Real>(&self, call: Forward<'_, T>) {
        let (a, b) = (call.inputs[0].data, call.inputs[1].data);
        call.output.iter_mut().zip(a.iter().zip(b)).for_each(|(o, (&a, &b))| *o = a * b);
    }

    fn pullback<T: Real>(&self, call: Pullback<'_, T>) {
        let other = call.inputs[1 - call.which].data;
        let g = call.cotangent.data;
        call.gradient.iter_mut().zip(g.iter().zip(other)).for_each(|(o, (&g, &x))| *o += g * x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skyscat_autodiff::{Affine, Graph, Program, Purpose, check};
    use std::sync::Arc;

    /// Checks an operator whose later inputs must be positive: they are squares
    /// of the variables, plus one.
    fn worst(operator: impl Operator + 'static, shapes: &[Shape], positive: usize) -> f64 {
        let mut graph = Graph::new();
        let mut nodes = Vec::new();
        for (i, &shape) in shapes.iter().enumerate() {
            let x = graph.input(shape);
            nodes.push(if i < positive {
                x
            } else {
                let square = graph.apply(RealProduct, &[x, x]).unwrap();
                let n = shape.reals();
                graph.apply(Affine::new(vec![1.0; n], vec![1.0; n]), &[square]).unwrap()
            });
        }
        let out = graph.apply(operator, &nodes).unwrap();
        graph.term(Sum, &[out], 1.0);
        let par = skyscat_num::Par::new(1).unwrap();
        let mut program =
            Program::<f64>::compile(Arc::new(graph), 3, Purpose::Gradient, &par).unwrap();
        let x = skyscat_num::Seed(9).stream("x").index(0, 0).normals(program.variables());
        check::gradient(&mut program, &x, 1e-3).relative()
    }

    #[derive(Debug)]
    struct Sum;

    impl skyscat_autodiff::Term for Sum {
        fn name(&self) -> &str {
            "sum"
        }
        fn evaluate(&self, stats: &[skyscat_autodiff::Stat<'_>], g: &mut [&mut [f64]]) -> f64 {
            let weight = |i: usize| (0.3 * i as f64).sin();
            g[0].iter_mut().enumerate().for_each(|(i, g)| *g = weight(i));
            stats[0].data.iter().enumerate().map(|(i, x)| weight(i) * x).sum()
        }
    }

    #[test]
    fn pullbacks_agree_with_central_differences() {
        let pick = vec![(0, 1), (1, 1), (2, 0)];
        let two = Normalise { pick: pick.clone(), powers: 2 };
        let shapes = [Shape::complex(2, 3), Shape::real(2, 3), Shape::real(2, 2)];
        assert!(worst(two, &shapes, 1) < 1e-8);
        let one = Normalise { pick, powers: 1 };
        assert!(worst(one, &shapes[..2], 1) < 1e-8);
        let shapes = [Shape::real(2, 3), Shape::real(2, 3)];
        assert!(worst(Spread::Variance, &shapes, 0) < 1e-8);
        assert!(worst(Spread::StandardError(vec![3.0, 5.0]), &shapes, 0) < 1e-7);
        assert!(worst(RealProduct, &shapes, 2) < 1e-9);
    }
}
