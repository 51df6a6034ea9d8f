//! Angular power spectra as an operator of a graph.

use crate::{Modes, SpectrumPower};
use rayon::prelude::*;
use skyscat_autodiff::device::{Binding, DeviceCall, DeviceWork, Run};
use skyscat_autodiff::{
    CpuKernel, Field, Forward, GraphError, Keeps, Kernel, Operator, Pullback, Shape, for_rows,
};
use skyscat_num::{Real, Simd, WithSimd, dispatch};

/// C_ℓ = 1/(2ℓ+1) Σ_{m=−ℓ}^{ℓ} |a_ℓm|^p of every field and pair of fields.
///
/// Inputs: coefficients of [`crate::Analysis`] with all orders up to lmax, of T
/// (one component), of E, B (two), or both in this order. Output: one row a
/// degree; channels EE, BB, EB, or TT, EE, BB, TE, EB, TB, or TT.
#[derive(Debug)]
pub struct SpectraOperator {
    modes: Modes,
    degrees: Vec<(u32, u32)>,
    power: SpectrumPower,
}

impl SpectraOperator {
    /// Spectra up to `lmax`.
    pub fn new(lmax: usize, power: SpectrumPower) -> Self {
        let modes = Modes::new(lmax, lmax);
        let degrees = modes.iter().map(|(_, l, m)| (l as u32, m as u32)).collect();
        Self { modes, degrees, power }
    }

    /// Names of the channels for inputs with T, with E and B, or with both.
    pub fn labels(temperature: bool, polarisation: bool) -> &'static [&'static str] {
        match (temperature, polarisation) {
            (true, true) => &["TT", "EE", "BB", "TE", "EB", "TB"],
            (false, true) => &["EE", "BB", "EB"],
            (true, false) => &["TT"],
            (false, false) => &[],
        }
    }

    /// Pairs of components (T, E, B counted over all inputs) of each channel.
    fn pairs(components: usize) -> &'static [(usize, usize)] {
        match components {
            1 => &[(0, 0)],
            2 => &[(0, 0), (1, 1), (0, 1)],
            _ => &[(0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (0, 2)],
        }
    }

    /// C_ℓ of one degree (p = 2 for the signed root), `[channel][lane]`.
    #[inline(always)]
    fn degree<T: Real>(&self, l: usize, components: &[Component<'_, T>], out: &mut [T]) {
        let lanes = components[0].alm.lanes;
        out.fill(T::default());
        let one = self.power == SpectrumPower::One;
        for m in 0..=l {
            let row = self.modes.index(l, m);
            let scale = weight(l, m);
            let pairs = Self::pairs(components.len()).iter().zip(out.chunks_exact_mut(lanes));
            for (&(i, j), out) in pairs {
                let (a, b) = (components[i].row(row), components[j].row(row));
                let scale = T::from_f64(scale);
                for (k, out) in out.iter_mut().enumerate() {
                    let re = real_product(a, b, k);
                    *out += scale * if one { root(re, a, b, k, i == j) } else { re };
                }
            }
        }
    }
}

impl SpectrumPower {
    /// What `spectra.wgsl` calls it.
    fn device_code(self) -> usize {
        match self {
            SpectrumPower::One => 1,
            SpectrumPower::Two => 2,
            SpectrumPower::SignedRoot => 3,
        }
    }
}

/// (2 − δ_{m0})/(2ℓ+1).
fn weight(l: usize, m: usize) -> f64 {
    (if m == 0 { 1.0 } else { 2.0 }) / (2 * l + 1) as f64
}

/// |a| for one field, |a b*|^{1/2} with the sign of Re(a b*) for two.
#[inline(always)]
fn root<T: Real>(re: T, a: (&[T], &[T]), b: (&[T], &[T]), k: usize, auto: bool) -> T {
    let re = re.to_f64();
    if auto {
        return T::from_f64(re.sqrt());
    }
    let size = norm(a, k) * norm(b, k);
    T::from_f64(size.sqrt().copysign(re))
}

/// Re(a b*).
#[inline(always)]
fn real_product<T: Real>(a: (&[T], &[T]), b: (&[T], &[T]), k: usize) -> T {
    a.0[k] * b.0[k] + a.1[k] * b.1[k]
}

/// |a|. Squares of single-precision numbers fit in double precision, those of maps in
/// units of their own scatter in either: nothing overflows.
#[inline(always)]
fn norm<T: Real>(a: (&[T], &[T]), k: usize) -> f64 {
    let (re, im) = (a.0[k].to_f64(), a.1[k].to_f64());
    (re * re + im * im).sqrt()
}

/// One component of one input.
#[derive(Clone, Copy)]
struct Component<'a, T> {
    alm: Field<'a, T>,
    channel: usize,
    input: usize,
}

impl<'a, T> Component<'a, T> {
    /// Real and imaginary parts of a row.
    #[inline(always)]
    fn row(&self, row: usize) -> (&'a [T], &'a [T]) {
        let lanes = self.alm.lanes;
        let start = row * self.alm.stride() + 2 * self.channel * lanes;
        self.alm.data[start..start + 2 * lanes].split_at(lanes)
    }
}

/// T, E, B in order.
fn components<'a, T>(inputs: &[Field<'a, T>]) -> Vec<Component<'a, T>>
where
    Field<'a, T>: Copy,
{
    let list = inputs.iter().enumerate();
    list.flat_map(|(input, &alm)| {
        (0..alm.shape.channels).map(move |channel| Component { alm, channel, input })
    })
    .collect()
}

impl Operator for SpectraOperator {
    fn name(&self) -> &'static str {
        "spectra"
    }
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, GraphError> {
        let fits = |s: &Shape, n| *s == Shape::complex(self.modes.len(), n);
        let components = match inputs {
            [t] if fits(t, 1) => 1,
            [p] if fits(p, 2) => 2,
            [t, p] if fits(t, 1) && fits(p, 2) => 3,
            _ => return Err(self.refuse(inputs, "coefficients of T, of E and B, or of both")),
        };
        Ok(Shape::real(self.modes.lmax() + 1, Self::pairs(components).len()))
    }
    fn keeps(&self) -> Keeps {
        Keeps::Inputs
    }
    fn flops(&self, inputs: &[Shape]) -> f64 {
        let components: usize = inputs.iter().map(|s| s.channels).sum();
        (4 * Self::pairs(components).len() * self.modes.len()) as f64
    }
    fn cpu(&self) -> &dyn CpuKernel {
        self
    }
    fn gpu(&self, call: &DeviceCall<'_>) -> Option<DeviceWork<'_>> {
        let components: usize = call.inputs.iter().map(|s| s.channels).sum();
        let channels = Self::pairs(components).len();
        let sizes = [
            ("lmax", self.modes.lmax()),
            ("modes", self.modes.len()),
            ("components", components),
            ("split", call.inputs[0].channels),
            ("channels", channels),
            ("maps", call.lanes),
            ("power", self.power.device_code()),
            ("towards", call.which()),
        ];
        let second = || if call.inputs.len() > 1 { Binding::Input(1) } else { Binding::Unused };
        let run = |entry, [g, slopes, to]: [Binding<'static>; 3], numbers: usize| {
            let degrees = self.degrees.iter().flat_map(|&(l, m)| [l, m]).collect();
            let table = Binding::made(degrees);
            let bindings = vec![Binding::Input(0), second(), table, g, slopes, to];
            Run::new(("spectra", entry), &sizes, bindings, numbers * call.lanes)
        };
        use Binding::{Cotangent, Gradient, Output, Scratch, Unused};
        let numbers = (self.modes.lmax() + 1) * channels;
        if call.is_forward() {
            return Some(DeviceWork::one(run("forward", [Unused, Unused, Output], numbers)));
        }
        let own = self.modes.len() * call.inputs[call.which()].channels;
        let runs = vec![
            run("slope", [Cotangent, Scratch(0), Unused], numbers),
            run("pullback", [Unused, Scratch(0), Gradient(call.which())], own),
        ];
        Some(DeviceWork { runs, scratch: vec![numbers * call.lanes] })
    }
}

impl Kernel for SpectraOperator {
    fn scratch<T: Real>(&self, inputs: &[Shape], lanes: usize) -> usize {
        let components: usize = inputs.iter().map(|s| s.channels).sum();
        (self.modes.lmax() + 1) * Self::pairs(components).len() * lanes
    }

    fn forward<T: Real>(&self, call: Forward<'_, T>) {
        let components = components(call.inputs);
        let stride = Self::pairs(components.len()).len() * call.inputs[0].lanes;
        // One degree a task: the high ones have most of the orders.
        call.output.par_chunks_mut(stride).enumerate().for_each(|(l, out)| {
            let degree = Degree { op: self, components: &components, l, out };
            dispatch::<T, _>(call.inputs[0].lanes, degree);
        });
    }

    fn pullback<T: Real>(&self, call: Pullback<'_, T>) {
        let components = components(call.inputs);
        let g = call.cotangent;
        let slopes = &mut call.scratch[..g.data.len()];
        slopes.copy_from_slice(g.data);
        if self.power == SpectrumPower::SignedRoot {
            let mut spectrum = vec![T::default(); g.stride()];
            for (l, slopes) in slopes.chunks_exact_mut(g.stride()).enumerate() {
                self.degree(l, &components, &mut spectrum);
                for (s, c) in slopes.iter_mut().zip(&spectrum) {
                    let root = c.to_f64().abs().sqrt();
                    *s = if root > 0.0 {
                        T::from_f64(0.5 * s.to_f64() / root)
                    } else {
                        T::default()
                    };
                }
            }
        }
        let (slopes, one) = (&*slopes, self.power == SpectrumPower::One);
        let stride = call.inputs[call.which].stride();
        for_rows(call.gradient, stride, |first, rows| {
            let (components, which) = (&*components, call.which);
            let slopes = (slopes, g.stride());
            dispatch::<T, _>(
                g.lanes,
                Rows { op: self, components, which, first, rows, slopes, one },
            );
        });
    }
}

/// Spectra of one degree.
struct Degree<'a, T> {
    op: &'a SpectraOperator,
    components: &'a [Component<'a, T>],
    l: usize,
    out: &'a mut [T],
}

impl<T: Real> WithSimd for Degree<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        self.op.degree(self.l, self.components, self.out);
        if self.op.power == SpectrumPower::SignedRoot {
            for c in self.out {
                let x = c.to_f64();
                *c = T::from_f64(x.abs().sqrt().copysign(x));
            }
        }
    }
}

/// The pullback to some coefficients of every component of an input.
struct Rows<'a, T> {
    op: &'a SpectraOperator,
    components: &'a [Component<'a, T>],
    which: usize,
    first: usize,
    rows: &'a mut [T],
    /// ∂L/∂C, `[degree][channel][lane]`, and the length of a degree.
    slopes: (&'a [T], usize),
    one: bool,
}

impl<T: Real> WithSimd for Rows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let (slopes, length) = self.slopes;
        let channels: usize = self.components.iter().filter(|c| c.input == self.which).count();
        let lanes = self.components[0].alm.lanes;
        for (i, out) in self.rows.chunks_exact_mut(2 * channels * lanes).enumerate() {
            let (l, m) = self.op.degrees[self.first + i];
            let row = Row {
                components: self.components,
                row: self.first + i,
                slopes: &slopes[l as usize * length..][..length],
                weight: weight(l as usize, m as usize),
            };
            match self.one {
                true => row.add::<true>(self.which, out),
                false => row.add::<false>(self.which, out),
            }
        }
    }
}

/// The pullback to one coefficient of every component of an input.
struct Row<'a, T> {
    components: &'a [Component<'a, T>],
    row: usize,
    /// ∂L/∂C of this degree, `[channel][lane]`.
    slopes: &'a [T],
    weight: f64,
}

impl<T: Real> Row<'_, T> {
    /// Each factor of each pair that belongs to an input: ∂Re(a b*)/∂a = b for `Two`. For
    /// `One`, half of ∂|a|²/∂a over |a|, or ∂|a b*|^{1/2}/∂a with the sign of Re(a b*); 0 at
    /// a = 0. A field's own spectrum has two equal factors, which are taken at once.
    #[inline(always)]
    fn add<const ONE: bool>(&self, which: usize, out: &mut [T]) {
        let lanes = self.components[0].alm.lanes;
        let pairs = SpectraOperator::pairs(self.components.len()).iter();
        for (&(i, j), slopes) in pairs.zip(self.slopes.chunks_exact(lanes)) {
            let (auto, factors) = (i == j, [(i, j), (j, i)]);
            for &(own, other) in &factors[usize::from(auto)..] {
                let component = &self.components[own];
                if component.input != which {
                    continue;
                }
                let (a, b) = (component.row(self.row), self.components[other].row(self.row));
                let weight = if auto { 2.0 * self.weight } else { self.weight };
                let out = &mut out[2 * component.channel * lanes..][..2 * lanes];
                let (re, im) = out.split_at_mut(lanes);
                for k in 0..lanes {
                    let slope = if ONE { slope_one(a, b, k, auto) } else { 1.0 };
                    let factor = T::from_f64(slope * weight * slopes[k].to_f64());
                    let along = if ONE { a } else { b };
                    re[k] += factor * along.0[k];
                    im[k] += factor * along.1[k];
                }
            }
        }
    }
}

/// What a number is multiplied with in its gradient of |a b*|^{1/2}, for one of two factors.
#[inline(always)]
fn slope_one<T: Real>(a: (&[T], &[T]), b: (&[T], &[T]), k: usize, auto: bool) -> f64 {
    let size = norm(a, k);
    let numerator = match auto {
        true => size,
        false => (size * norm(b, k)).sqrt().copysign(real_product(a, b, k).to_f64()),
    };
    let square = size * size;
    if square > 0.0 { 0.5 * numerator / square } else { 0.0 }
}
