//! Operators and terms small enough to be right or wrong on purpose.

use skyscat_autodiff::{
    CpuKernel, Forward, GraphError, Keeps, Kernel, Operator, Pullback, Shape, Stat, Term,
};
use skyscat_num::Real;

/// y = x², its pullback multiplied by `slope` (2 is right).
#[derive(Debug)]
pub(super) struct Square {
    pub(super) slope: f64,
}

impl Square {
    pub(super) const RIGHT: Self = Self { slope: 2.0 };
}

impl Operator for Square {
    fn name(&self) -> &'static str {
        "toy-square"
    }
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, GraphError> {
        match inputs {
            [x] => Ok(*x),
            _ => Err(self.refuse(inputs, "one field")),
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

impl Kernel for Square {
    fn forward<T: Real>(&self, call: Forward<'_, T>) {
        call.output.iter_mut().zip(call.inputs[0].data).for_each(|(y, &x)| *y = x * x);
    }
    fn pullback<T: Real>(&self, call: Pullback<'_, T>) {
        let slope = T::from_f64(self.slope);
        let pairs = call.inputs[0].data.iter().zip(call.cotangent.data);
        call.gradient.iter_mut().zip(pairs).for_each(|(g, (&x, &c))| *g += slope * x * c);
    }
}

/// y = a·b of two fields of one shape; both may be the same node.
#[derive(Debug)]
pub(super) struct Product;

impl Operator for Product {
    fn name(&self) -> &'static str {
        "toy-product"
    }
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, GraphError> {
        match inputs {
            [a, b] if a == b => Ok(*a),
            _ => Err(self.refuse(inputs, "two fields of one shape")),
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

impl Kernel for Product {
    fn forward<T: Real>(&self, call: Forward<'_, T>) {
        let pairs = call.inputs[0].data.iter().zip(call.inputs[1].data);
        call.output.iter_mut().zip(pairs).for_each(|(y, (&a, &b))| *y = a * b);
    }
    fn pullback<T: Real>(&self, call: Pullback<'_, T>) {
        let other = call.inputs[1 - call.which].data;
        let pairs = other.iter().zip(call.cotangent.data);
        call.gradient.iter_mut().zip(pairs).for_each(|(g, (&o, &c))| *g += o * c);
    }
}

/// y = scale·x with a pullback that may differ: `back` is right if it equals `scale`.
#[derive(Debug)]
pub(super) struct Scale {
    pub(super) scale: Vec<f64>,
    pub(super) back: Vec<f64>,
}

impl Operator for Scale {
    fn name(&self) -> &'static str {
        "toy-scale"
    }
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, GraphError> {
        match inputs {
            [x] if x.reals() == self.scale.len() => Ok(*x),
            _ => Err(self.refuse(inputs, "one field as long as the table")),
        }
    }
    fn keeps(&self) -> Keeps {
        Keeps::Nothing
    }
    fn flops(&self, inputs: &[Shape]) -> f64 {
        inputs[0].reals() as f64
    }
    fn cpu(&self) -> &dyn CpuKernel {
        self
    }
}

impl Kernel for Scale {
    fn forward<T: Real>(&self, call: Forward<'_, T>) {
        let x = call.inputs[0];
        let lines = call.output.chunks_exact_mut(x.lanes).zip(x.data.chunks_exact(x.lanes));
        for ((y, x), &a) in lines.zip(&self.scale) {
            y.iter_mut().zip(x).for_each(|(y, &x)| *y = T::from_f64(a) * x);
        }
    }
    fn pullback<T: Real>(&self, call: Pullback<'_, T>) {
        let c = call.cotangent;
        let lines = call.gradient.chunks_exact_mut(c.lanes).zip(c.data.chunks_exact(c.lanes));
        for ((g, c), &a) in lines.zip(&self.back) {
            g.iter_mut().zip(c).for_each(|(g, &c)| *g += T::from_f64(a) * c);
        }
    }
}

/// ½ Σ stiffness (x − target)², over all maps; the stiffness grows from 1 row by row.
#[derive(Debug)]
pub(super) struct Bowl {
    pub(super) name: &'static str,
    pub(super) target: f64,
    pub(super) growth: f64,
}

impl Term for Bowl {
    fn name(&self) -> &str {
        self.name
    }
    fn evaluate(&self, stats: &[Stat<'_>], gradients: &mut [&mut [f64]]) -> f64 {
        let stat = stats[0];
        let mut total = 0.0;
        for (i, (&x, g)) in stat.data.iter().zip(gradients[0].iter_mut()).enumerate() {
            let stiffness = 1.0 + self.growth * (i / stat.maps) as f64;
            total += 0.5 * stiffness * (x - self.target).powi(2);
            *g = stiffness * (x - self.target);
        }
        total
    }
}
