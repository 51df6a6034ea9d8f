//! Small operators on coefficients: normalisation and the moments of S0.

use rayon::prelude::*;
use skyscat_autodiff::device::{Binding, DeviceCall, DeviceWork, Run};
use skyscat_autodiff::{
    CpuKernel, Forward, GraphError, JointPullback, Keeps, Kernel, Operator, Pullback, Shape,
};
use skyscat_num::{Real, Simd, WithSimd, dispatch, tree_sum};

/// 1/√p of powers, 0 where there is none.
#[derive(Debug)]
pub(crate) struct InverseRoot;

impl Operator for InverseRoot {
    fn name(&self) -> &'static str {
        "inverse-root"
    }
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, GraphError> {
        match inputs {
            [p] if !p.complex => Ok(*p),
            _ => Err(self.refuse(inputs, "real powers")),
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
    fn gpu(&self, call: &DeviceCall<'_>) -> Option<DeviceWork<'_>> {
        Some(DeviceWork::one(Run::elementwise("inverse_root", call)))
    }
}

impl Kernel for InverseRoot {
    fn forward<T: Real>(&self, call: Forward<'_, T>) {
        for (out, p) in call.output.iter_mut().zip(call.inputs[0].data) {
            let p = p.to_f64();
            *out = T::from_f64(if p > 0.0 { p.sqrt().recip() } else { 0.0 });
        }
    }

    fn pullback<T: Real>(&self, call: Pullback<'_, T>) {
        let inputs = call.inputs[0].data.iter().zip(call.cotangent.data);
        for (out, (p, g)) in call.gradient.iter_mut().zip(inputs) {
            let p = p.to_f64();
            if p > 0.0 {
                *out += T::from_f64(-0.5 * g.to_f64() / (p * p.sqrt()));
            }
        }
    }
}

/// Coefficients times one or two factors: y_c = x_c a_{i(c)} a_{j(c)}.
///
/// Inputs: x, then all factors, real, of as many rows.
#[derive(Debug)]
pub(crate) struct Normalise {
    /// For each channel of x, which channels of the factors.
    pub(crate) factors: Vec<(usize, Option<usize>)>,
}

impl Operator for Normalise {
    fn name(&self) -> &'static str {
        "normalise"
    }
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, GraphError> {
        let known = |scales: &Shape| {
            let mut all = self.factors.iter().flat_map(|(a, b)| std::iter::once(a).chain(b));
            all.all(|&channel| channel < scales.channels)
        };
        match inputs {
            [x, scales]
                if x.channels == self.factors.len()
                    && scales.rows == x.rows
                    && !scales.complex
                    && known(scales) =>
            {
                Ok(*x)
            }
            _ => Err(self.refuse(inputs, "coefficients and real factors of as many rows")),
        }
    }
    fn keeps(&self) -> Keeps {
        Keeps::Inputs
    }
    fn joint(&self) -> bool {
        true
    }
    fn flops(&self, inputs: &[Shape]) -> f64 {
        let parts = (inputs[0].width() / inputs[0].channels) as f64;
        (1.0 + parts) * (inputs[0].rows * self.factors.len()) as f64
    }
    fn joint_flops(&self, inputs: &[Shape]) -> f64 {
        3.0 * self.flops(inputs)
    }
    fn cpu(&self) -> &dyn CpuKernel {
        self
    }
    fn gpu(&self, call: &DeviceCall<'_>) -> Option<DeviceWork<'_>> {
        Some(crate::normalise_gpu::work(self, call))
    }
}

impl Normalise {
    /// Channels that one task takes.
    const CHUNK: usize = 512;

    /// Numbers, so many a channel, in the pieces of one task each: row, first channel, and
    /// the numbers.
    fn tasks<'t, T: Send + 't>(
        &self,
        (numbers, channel): (&'t mut [T], usize),
    ) -> impl IndexedParallelIterator<Item = (usize, usize, &'t mut [T])> {
        let row = self.factors.len() * channel;
        let chunks = numbers.chunks_mut(row).enumerate().flat_map(move |(row, numbers)| {
            let chunks = numbers.chunks_mut(Self::CHUNK * channel).enumerate();
            chunks.map(move |(at, chunk)| (row, at * Self::CHUNK, chunk))
        });
        chunks.collect::<Vec<_>>().into_par_iter()
    }
}

impl Kernel for Normalise {
    /// The gradient of the factors from each task.
    fn scratch<T: Real>(&self, inputs: &[Shape], lanes: usize) -> usize {
        let tasks = inputs[0].rows * self.factors.len().div_ceil(Self::CHUNK);
        tasks * inputs[1].width() * lanes
    }

    fn forward<T: Real>(&self, call: Forward<'_, T>) {
        let [x, scales] = call.inputs else { unreachable!("checked by shape") };
        let (lanes, channel) = (x.lanes, x.shape.width() / x.shape.channels * x.lanes);
        self.tasks((call.output, channel)).for_each(|(row, first, out)| {
            let x = &x.data[row * x.stride() + first * channel..][..out.len()];
            let scales = &scales.data[row * scales.stride()..][..scales.stride()];
            let factors = &self.factors[first..][..out.len() / channel];
            dispatch::<T, _>(lanes, Product { factors, lanes, x, scales, out });
        });
    }

    fn pullback_joint<T: Real>(&self, call: JointPullback<'_, T>) {
        let [x, scales] = call.inputs else { unreachable!("checked by shape") };
        let [dx, dscales] = call.gradients else { unreachable!("one an input") };
        let (lanes, stride) = (x.lanes, scales.stride());
        let channel = x.shape.width() / x.shape.channels * lanes;
        let each = self.factors.len().div_ceil(Self::CHUNK);
        let parts = &mut call.scratch[..x.shape.rows * each * stride];
        let pairs = self.tasks((dx, channel)).zip(parts.par_chunks_mut(stride));
        pairs.for_each(|((row, first, dx), dscales)| {
            dscales.fill(T::default());
            let at = row * x.stride() + first * channel;
            let pullback = NormaliseRow {
                factors: &self.factors[first..][..dx.len() / channel],
                lanes,
                g: &call.cotangent.data[at..][..dx.len()],
                x: &x.data[at..][..dx.len()],
                dx,
                scales: &scales.data[row * stride..][..stride],
                dscales,
            };
            dispatch::<T, _>(lanes, pullback);
        });
        for (parts, to) in parts.chunks_mut(each * stride).zip(dscales.chunks_mut(stride)) {
            tree_sum(parts, each);
            to.iter_mut().zip(&*parts).for_each(|(to, &part)| *to += part);
        }
    }
}

/// The products of some channels of one row.
struct Product<'a, T> {
    factors: &'a [(usize, Option<usize>)],
    lanes: usize,
    x: &'a [T],
    scales: &'a [T],
    out: &'a mut [T],
}

impl<T: Real> WithSimd for Product<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let parts = self.x.len() / self.factors.len() / self.lanes;
        let registers = T::regs::<S>(&self.scales[..self.lanes]).len();
        let (x, out) = (T::regs::<S>(self.x), T::regs_mut::<S>(self.out));
        let scales = T::regs::<S>(self.scales);
        for (c, &(a, b)) in self.factors.iter().enumerate() {
            for j in 0..registers {
                let a = scales[a * registers + j];
                let factor = b.map_or(a, |b| T::vmul(simd, a, scales[b * registers + j]));
                for part in 0..parts {
                    let k = (c * parts + part) * registers + j;
                    out[k] = T::vmul(simd, x[k], factor);
                }
            }
        }
    }
}

/// The pullback of [`Normalise`] for some channels of one row.
struct NormaliseRow<'a, T> {
    factors: &'a [(usize, Option<usize>)],
    lanes: usize,
    g: &'a [T],
    x: &'a [T],
    dx: &'a mut [T],
    scales: &'a [T],
    dscales: &'a mut [T],
}

impl<T: Real> WithSimd for NormaliseRow<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let channel = self.g.len() / self.factors.len();
        let registers = T::regs::<S>(&self.g[..self.lanes]).len();
        let (g, x, dx) = (T::regs::<S>(self.g), T::regs::<S>(self.x), T::regs_mut::<S>(self.dx));
        let (scales, dscales) = (T::regs::<S>(self.scales), T::regs_mut::<S>(self.dscales));
        // Re and im of a complex coefficient have one factor.
        let parts = channel / self.lanes;
        for (c, &(a, b)) in self.factors.iter().enumerate() {
            for j in 0..registers {
                let (a, b) = (a * registers + j, b.map(|b| b * registers + j));
                let factor = b.map_or(scales[a], |b| T::vmul(simd, scales[a], scales[b]));
                let mut along = T::splat(simd, T::default());
                for part in 0..parts {
                    let k = (c * parts + part) * registers + j;
                    dx[k] = T::mul_add(simd, g[k], factor, dx[k]);
                    along = T::mul_add(simd, g[k], x[k], along);
                }
                match b {
                    None => dscales[a] = T::vadd(simd, dscales[a], along),
                    Some(b) => {
                        dscales[a] = T::mul_add(simd, along, scales[b], dscales[a]);
                        dscales[b] = T::mul_add(simd, along, scales[a], dscales[b]);
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
    fn gpu(&self, call: &DeviceCall<'_>) -> Option<DeviceWork<'_>> {
        let numbers = call.numbers(0);
        let (error, totals) = match self {
            Spread::Variance => (0, Binding::Unused),
            Spread::StandardError(totals) => (1, call.made(totals)),
        };
        let sizes = [
            ("numbers", numbers),
            ("width", call.inputs[0].width() * call.lanes),
            ("error", error),
            ("towards_mean", call.which()),
        ];
        let (cotangent, to) = match call.is_forward() {
            true => (Binding::Unused, Binding::Output),
            false => (Binding::Cotangent, Binding::Gradient(call.which())),
        };
        let bindings = vec![Binding::Input(0), Binding::Input(1), totals, cotangent, to];
        Some(DeviceWork::one(Run::new(("spread", call.entry()), &sizes, bindings, numbers)))
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
    fn gpu(&self, call: &DeviceCall<'_>) -> Option<DeviceWork<'_>> {
        let (a, b, to) = match call.is_forward() {
            true => (Binding::Input(0), Binding::Input(1), Binding::Output),
            false => (
                Binding::Cotangent,
                Binding::Input(1 - call.which()),
                Binding::Gradient(call.which()),
            ),
        };
        let numbers = call.numbers(0);
        let run = ("real_product", call.entry());
        Some(DeviceWork::one(Run::new(run, &[("numbers", numbers)], vec![a, b, to], numbers)))
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
        let factors = vec![(0, Some(4)), (2, Some(2)), (3, None)];
        let shapes = [Shape::complex(2, 3), Shape::real(2, 5)];
        assert!(worst(Normalise { factors }, &shapes, 2) < 1e-9);
        // More channels than two tasks take.
        let factors: Vec<_> = (0..1100).map(|c| (c % 5, (c % 3 > 0).then_some(c % 4))).collect();
        let shapes = [Shape::complex(2, factors.len()), Shape::real(2, 5)];
        assert!(worst(Normalise { factors }, &shapes, 2) < 1e-9);
        assert!(worst(InverseRoot, &[Shape::real(2, 3)], 0) < 1e-8);
        let shapes = [Shape::real(2, 3), Shape::real(2, 3)];
        assert!(worst(Spread::Variance, &shapes, 0) < 1e-8);
        assert!(worst(Spread::StandardError(vec![3.0, 5.0]), &shapes, 0) < 1e-7);
        assert!(worst(RealProduct, &shapes, 2) < 1e-9);
    }
}
