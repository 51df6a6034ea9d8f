//! Operators on each pixel alone: modulus, conjugate product, signed root.

use skyscat_autodiff::device::{Binding, DeviceCall, DeviceWork, Run};
use skyscat_autodiff::{
    CpuKernel, Field, Forward, GraphError, Keeps, Kernel, Operator, Pullback, Shape, for_rows,
};
use skyscat_num::{Real, Simd, WithSimd, dispatch, dispatch_overlapping, register_start};

/// |z|, or √(|z|² + ε²) if ε > 0. At z = 0 and ε = 0 the sub-gradient 0 is taken.
#[derive(Clone, Copy, Debug)]
pub struct Modulus {
    epsilon: f64,
}

impl Modulus {
    /// The modulus itself.
    pub fn exact() -> Self {
        Self { epsilon: 0.0 }
    }

    /// √(|z|² + ε²).
    pub fn softened(epsilon: f64) -> Self {
        Self { epsilon }
    }
}

/// A·B* of two complex fields.
#[derive(Clone, Copy, Debug)]
pub struct ConjugateProduct;

/// sgn(x)√|x| of every real and imaginary part; the sub-gradient at 0 is 0.
#[derive(Clone, Copy, Debug)]
pub struct SignedRoot;

/// The real part of a complex field.
#[derive(Clone, Copy, Debug)]
pub struct RealPart;

impl Operator for Modulus {
    fn name(&self) -> &'static str {
        "modulus"
    }
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, GraphError> {
        match inputs {
            [z] if z.complex => Ok(Shape { complex: false, ..*z }),
            _ => Err(self.refuse(inputs, "one complex field")),
        }
    }
    fn keeps(&self) -> Keeps {
        Keeps::Inputs
    }
    fn flops(&self, inputs: &[Shape]) -> f64 {
        (4 * inputs[0].rows * inputs[0].channels) as f64
    }
    fn cpu(&self) -> &dyn CpuKernel {
        self
    }
    fn gpu(&self, call: &DeviceCall<'_>) -> Option<DeviceWork<'_>> {
        let numbers = call.inputs[0].rows * call.inputs[0].channels;
        let (cotangent, to) = match call.is_forward() {
            true => (Binding::Unused, Binding::Output),
            false => (Binding::Cotangent, Binding::Gradient(0)),
        };
        let softening = call.made(&[self.epsilon * self.epsilon]);
        Some(DeviceWork::one(Run::new(
            ("modulus", call.entry()),
            &[("numbers", numbers), ("maps", call.lanes)],
            vec![softening, Binding::Input(0), cotangent, to],
            numbers * call.lanes,
        )))
    }
}

impl Kernel for Modulus {
    fn forward<T: Real>(&self, call: Forward<'_, T>) {
        let z = call.inputs[0];
        let epsilon2 = T::from_f64(self.epsilon * self.epsilon);
        for_rows(call.output, z.lanes, |first, rows| {
            let z = &z.data[2 * first * z.lanes..][..2 * rows.len()];
            let lanes = call.inputs[0].lanes;
            dispatch_overlapping::<T, _>(lanes, ModulusRows { z, out: rows, lanes, epsilon2 });
        });
    }

    fn pullback<T: Real>(&self, call: Pullback<'_, T>) {
        let (z, g) = (call.inputs[0], call.cotangent.data);
        let epsilon2 = T::from_f64(self.epsilon * self.epsilon);
        for_rows(call.gradient, 2 * z.lanes, |first, out| {
            let lanes = z.lanes;
            let z = &z.data[2 * first * lanes..][..out.len()];
            let g = &g[first * lanes..][..out.len() / 2];
            dispatch_overlapping::<T, _>(lanes, ModulusBack { z, g, out, lanes, epsilon2 });
        });
    }
}

/// Where the last register of a row begins; it may overlap the one before it.
#[inline(always)]
fn last_start<T: Real, S: Simd>(lanes: usize) -> usize {
    lanes - size_of::<T::Reg<S>>() / size_of::<T>()
}

/// Where the registers of a row begin.
#[inline(always)]
fn starts<T: Real, S: Simd>(lanes: usize) -> impl Iterator<Item = usize> {
    let width = size_of::<T::Reg<S>>() / size_of::<T>();
    (0..lanes.div_ceil(width)).map(move |register| register_start(register, width, lanes))
}

struct ModulusRows<'a, T> {
    z: &'a [T],
    out: &'a mut [T],
    lanes: usize,
    epsilon2: T,
}

impl<T: Real> WithSimd for ModulusRows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let eps = T::splat(simd, self.epsilon2);
        let pairs = self.z.chunks_exact(2 * self.lanes);
        for (z, out) in pairs.zip(self.out.chunks_exact_mut(self.lanes)) {
            let (re, im) = z.split_at(self.lanes);
            for at in starts::<T, S>(self.lanes) {
                let (re, im) = (T::load::<S>(&re[at..]), T::load::<S>(&im[at..]));
                let square = T::mul_add(simd, im, im, T::mul_add(simd, re, re, eps));
                T::store::<S>(&mut out[at..], T::sqrt(simd, square));
            }
        }
    }
}

struct ModulusBack<'a, T> {
    z: &'a [T],
    g: &'a [T],
    out: &'a mut [T],
    lanes: usize,
    epsilon2: T,
}

impl<T: Real> WithSimd for ModulusBack<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let eps = T::splat(simd, self.epsilon2);
        let pairs = self.z.chunks_exact(2 * self.lanes).zip(self.g.chunks_exact(self.lanes));
        for ((z, g), out) in pairs.zip(self.out.chunks_exact_mut(2 * self.lanes)) {
            let (re, im) = z.split_at(self.lanes);
            let (out_re, out_im) = out.split_at_mut(self.lanes);
            // Read before the register that it overlaps is written.
            let last = last_start::<T, S>(self.lanes);
            let kept = (T::load::<S>(&out_re[last..]), T::load::<S>(&out_im[last..]));
            for at in starts::<T, S>(self.lanes) {
                let (re, im) = (T::load::<S>(&re[at..]), T::load::<S>(&im[at..]));
                let square = T::mul_add(simd, im, im, T::mul_add(simd, re, re, eps));
                let ratio = T::div_or_zero(simd, T::load::<S>(&g[at..]), T::sqrt(simd, square));
                let (sum_re, sum_im) = match at == last {
                    true => kept,
                    false => (T::load::<S>(&out_re[at..]), T::load::<S>(&out_im[at..])),
                };
                T::store::<S>(&mut out_re[at..], T::mul_add(simd, ratio, re, sum_re));
                T::store::<S>(&mut out_im[at..], T::mul_add(simd, ratio, im, sum_im));
            }
        }
    }
}

impl Operator for ConjugateProduct {
    fn name(&self) -> &'static str {
        "conjugate-product"
    }
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, GraphError> {
        match inputs {
            [a, b] if a == b && a.complex => Ok(*a),
            _ => Err(self.refuse(inputs, "two complex fields of one shape")),
        }
    }
    fn keeps(&self) -> Keeps {
        Keeps::Inputs
    }
    fn flops(&self, inputs: &[Shape]) -> f64 {
        (6 * inputs[0].rows * inputs[0].channels) as f64
    }
    fn cpu(&self) -> &dyn CpuKernel {
        self
    }
    fn gpu(&self, call: &DeviceCall<'_>) -> Option<DeviceWork<'_>> {
        let numbers = call.inputs[0].rows * call.inputs[0].channels;
        // Forward conj(b)·a; towards A g·B; towards B conj(g)·A.
        let (first, second, to) = match call.is_forward() {
            true => (Binding::Input(1), Binding::Input(0), Binding::Output),
            false => (
                Binding::Cotangent,
                Binding::Input(1 - call.which()),
                Binding::Gradient(call.which()),
            ),
        };
        let conjugate = usize::from(call.is_forward() || call.which() == 1);
        let sizes =
            [("numbers", numbers), ("maps", call.lanes), ("conjugate", conjugate), ("padding", 0)];
        Some(DeviceWork::one(Run::new(
            ("conjugate_product", call.entry()),
            &sizes,
            vec![first, second, to],
            numbers * call.lanes,
        )))
    }
}

impl Kernel for ConjugateProduct {
    fn forward<T: Real>(&self, call: Forward<'_, T>) {
        let (a, b) = (call.inputs[0], call.inputs[1]);
        let lanes = a.lanes;
        for_rows(call.output, 2 * lanes, |first, out| {
            let range = 2 * first * lanes..2 * first * lanes + out.len();
            let (a, b) = (&a.data[range.clone()], &b.data[range]);
            // out = conj(b)·a.
            dispatch::<T, _>(lanes, Products { a: b, b: a, out, lanes, conj: true, add: false });
        });
    }

    fn pullback<T: Real>(&self, call: Pullback<'_, T>) {
        let lanes = call.cotangent.lanes;
        let other: Field<'_, T> = call.inputs[1 - call.which];
        let g = call.cotangent;
        let towards_a = call.which == 0;
        for_rows(call.gradient, 2 * lanes, |first, out| {
            let range = 2 * first * lanes..2 * first * lanes + out.len();
            let (g, other) = (&g.data[range.clone()], &other.data[range]);
            // Towards A: g·B; towards B: conj(g)·A.
            let (a, b) = (g, other);
            dispatch::<T, _>(lanes, Products { a, b, out, lanes, conj: !towards_a, add: true });
        });
    }
}

/// out (+)= a·b, or conj(a)·b.
struct Products<'a, T> {
    a: &'a [T],
    b: &'a [T],
    out: &'a mut [T],
    lanes: usize,
    conj: bool,
    add: bool,
}

impl<T: Real> WithSimd for Products<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let sign = T::splat(simd, T::from_f64(if self.conj { -1.0 } else { 1.0 }));
        let keep = T::splat(simd, T::from_f64(if self.add { 1.0 } else { 0.0 }));
        let pairs = self.a.chunks_exact(2 * self.lanes).zip(self.b.chunks_exact(2 * self.lanes));
        for ((a, b), out) in pairs.zip(self.out.chunks_exact_mut(2 * self.lanes)) {
            let (ar, ai) = a.split_at(self.lanes);
            let (br, bi) = b.split_at(self.lanes);
            let (ar, ai) = (T::regs::<S>(ar), T::regs::<S>(ai));
            let (br, bi) = (T::regs::<S>(br), T::regs::<S>(bi));
            let (re, im) = out.split_at_mut(self.lanes);
            let (re, im) = (T::regs_mut::<S>(re), T::regs_mut::<S>(im));
            for i in 0..ar.len() {
                let ai = T::vmul(simd, sign, ai[i]);
                let r = T::neg_mul_add(simd, ai, bi[i], T::vmul(simd, ar[i], br[i]));
                let m = T::mul_add(simd, ai, br[i], T::vmul(simd, ar[i], bi[i]));
                re[i] = if self.add { T::mul_add(simd, keep, re[i], r) } else { r };
                im[i] = if self.add { T::mul_add(simd, keep, im[i], m) } else { m };
            }
        }
    }
}

impl Operator for SignedRoot {
    fn name(&self) -> &'static str {
        "signed-root"
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
    fn gpu(&self, call: &DeviceCall<'_>) -> Option<DeviceWork<'_>> {
        Some(DeviceWork::one(Run::elementwise("signed_root", call)))
    }
}

impl Kernel for SignedRoot {
    fn forward<T: Real>(&self, call: Forward<'_, T>) {
        let x = call.inputs[0].data;
        for_rows(call.output, 1, |first, out| {
            for (o, &x) in out.iter_mut().zip(&x[first..]) {
                let x = x.to_f64();
                *o = T::from_f64(x.abs().sqrt().copysign(x));
            }
        });
    }

    fn pullback<T: Real>(&self, call: Pullback<'_, T>) {
        let (x, g) = (call.inputs[0].data, call.cotangent.data);
        for_rows(call.gradient, 1, |first, out| {
            for ((o, &x), &g) in out.iter_mut().zip(&x[first..]).zip(&g[first..]) {
                let root = x.to_f64().abs().sqrt();
                if root > 0.0 {
                    *o += T::from_f64(0.5 * g.to_f64() / root);
                }
            }
        });
    }
}

impl Operator for RealPart {
    fn name(&self) -> &'static str {
        "real-part"
    }
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, GraphError> {
        match inputs {
            [z] if z.complex => Ok(Shape { complex: false, ..*z }),
            _ => Err(self.refuse(inputs, "one complex field")),
        }
    }
    fn keeps(&self) -> Keeps {
        Keeps::Nothing
    }
    fn flops(&self, _inputs: &[Shape]) -> f64 {
        0.0
    }
    fn cpu(&self) -> &dyn CpuKernel {
        self
    }
    fn gpu(&self, call: &DeviceCall<'_>) -> Option<DeviceWork<'_>> {
        let numbers = call.inputs[0].rows * call.inputs[0].channels;
        let (from, to) = call.ends();
        let sizes = [("numbers", numbers), ("maps", call.lanes)];
        let run = ("real_part", call.entry());
        Some(DeviceWork::one(Run::new(run, &sizes, vec![from, to], numbers * call.lanes)))
    }
}

impl Kernel for RealPart {
    fn forward<T: Real>(&self, call: Forward<'_, T>) {
        let z = call.inputs[0];
        for (out, z) in call.output.chunks_exact_mut(z.lanes).zip(z.data.chunks_exact(2 * z.lanes))
        {
            out.copy_from_slice(&z[..out.len()]);
        }
    }

    fn pullback<T: Real>(&self, call: Pullback<'_, T>) {
        let g = call.cotangent;
        let pairs = call.gradient.chunks_exact_mut(2 * g.lanes);
        for (out, g) in pairs.zip(g.data.chunks_exact(g.lanes)) {
            out.iter_mut().zip(g).for_each(|(o, &g)| *o += g);
        }
    }
}
