//! Orientations counted from a direction that each pixel has of its own.

use skyscat_autodiff::device::{Binding, DeviceCall, DeviceWork, Run};
use skyscat_autodiff::{
    CpuKernel, Forward, GraphError, Keeps, Kernel, Operator, Pullback, Shape, for_rows,
};
use skyscat_num::{Real, Simd, Table, WithSimd, dispatch};
use std::sync::Arc;

/// Where each pixel's dominant orientation lies, for one level.
///
/// The phase φ of a pixel and group gives t = Rφ/2π, the shift i = ⌊t⌋ and the
/// weights cos²(πδ/2), sin²(πδ/2), δ = t − i, of two neighbouring orientations.
#[derive(Debug)]
pub struct RotationTable {
    orientations: usize,
    groups: usize,
    shifts: Vec<u8>,
    /// `[pixel][group][cos², sin²]`.
    weights: Table,
    phases: Vec<f64>,
}

impl RotationTable {
    /// A table from phases in radians, `[pixel][group]`.
    ///
    /// # Panics
    /// If the phases are not a multiple of `groups`, or R is 0 or over 64.
    pub fn from_phases(orientations: usize, groups: usize, phases: &[f64]) -> Self {
        assert!(phases.len().is_multiple_of(groups), "whole pixels");
        assert!((1..=64).contains(&orientations), "1 to 64 orientations");
        let mut shifts = Vec::with_capacity(phases.len());
        let mut weights = Vec::with_capacity(2 * phases.len());
        for phase in phases {
            let turns = (phase / std::f64::consts::TAU).rem_euclid(1.0);
            let t = orientations as f64 * turns;
            let angle = std::f64::consts::FRAC_PI_2 * (t - t.floor());
            shifts.push(t.floor() as u8 % orientations as u8);
            weights.extend([angle.cos().powi(2), angle.sin().powi(2)]);
        }
        Self { orientations, groups, shifts, weights: Table::new(weights), phases: phases.to_vec() }
    }

    /// Number of pixels.
    pub fn pixels(&self) -> usize {
        self.shifts.len() / self.groups
    }

    /// The phases that the table was made from, radians, `[pixel][group]`.
    pub fn phases(&self) -> &[f64] {
        &self.phases
    }

    /// Number of orientations R.
    pub fn orientations(&self) -> usize {
        self.orientations
    }

    /// Number of groups that turn on their own.
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// Shift i and weights cos²(πδ/2), sin²(πδ/2) of a pixel and group.
    #[inline(always)]
    pub(crate) fn turn<T: Real>(&self, pixel: usize, group: usize) -> (usize, [T; 2]) {
        let at = pixel * self.groups + group;
        let weights = self.weights.get::<T>();
        (usize::from(self.shifts[at]), [weights[2 * at], weights[2 * at + 1]])
    }

    /// Shifts as a GPU sees them, `[pixel][group]`.
    pub(crate) fn shift_binding(&self) -> Binding<'_> {
        Binding::made(self.shifts.iter().map(|&s| s.into()).collect())
    }

    /// Weights as a GPU sees them, `[pixel][group][cos², sin²]`.
    pub(crate) fn weight_binding(&self, call: &DeviceCall<'_>) -> Binding<'_> {
        call.table(&self.weights)
    }

    /// Weight of the input orientation `from` in the output orientation `to`.
    ///
    /// # Panics
    /// If an index is out of range.
    pub fn weight(&self, pixel: usize, group: usize, to: usize, from: usize) -> f64 {
        let at = pixel * self.groups + group;
        let shift = usize::from(self.shifts[at]);
        let w = &self.weights.get::<f64>()[2 * at..2 * at + 2];
        let pick = |extra: usize, w: f64| {
            if (to + shift + extra) % self.orientations == from { w } else { 0.0 }
        };
        pick(0, w[0]) + pick(1, w[1])
    }
}

/// out_l = cos²·in_{(l+i) mod R} + sin²·in_{(l+i+1) mod R} in each group.
///
/// Fields `[pixel][groups·R]`, the orientation that turns innermost.
#[derive(Debug)]
pub struct Rotate {
    table: Arc<RotationTable>,
}

impl Rotate {
    /// The rotation of a table.
    pub fn new(table: Arc<RotationTable>) -> Self {
        Self { table }
    }
}

impl Operator for Rotate {
    fn name(&self) -> &'static str {
        "rotate-orientations"
    }
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, GraphError> {
        let (rows, channels) = (self.table.pixels(), self.table.groups * self.table.orientations);
        match inputs {
            [x] if x.rows == rows && x.channels == channels => Ok(*x),
            _ => Err(self.refuse(inputs, &format!("{rows} rows of {channels} channels"))),
        }
    }
    fn keeps(&self) -> Keeps {
        Keeps::Nothing
    }
    fn flops(&self, inputs: &[Shape]) -> f64 {
        3.0 * inputs[0].reals() as f64
    }
    fn table_bytes(&self) -> f64 {
        17.0 * self.table.shifts.len() as f64
    }
    fn cpu(&self) -> &dyn CpuKernel {
        self
    }
    fn gpu(&self, call: &DeviceCall<'_>) -> Option<DeviceWork<'_>> {
        let x = call.inputs[0];
        let table = &*self.table;
        let (from, to) = call.ends();
        let sizes = [
            ("pixels", x.rows),
            ("groups", table.groups),
            ("orientations", table.orientations),
            ("width", x.width() / x.channels * call.lanes),
        ];
        let bindings = vec![table.shift_binding(), table.weight_binding(call), from, to];
        Some(DeviceWork::one(Run::new(("rotate", call.entry()), &sizes, bindings, call.numbers(0))))
    }
}

impl Kernel for Rotate {
    fn forward<T: Real>(&self, call: Forward<'_, T>) {
        let x = call.inputs[0];
        let stride = x.stride();
        let table = &self.table;
        for_rows(call.output, stride, |first, out| {
            let lanes = x.lanes;
            let x = &x.data[first * stride..][..out.len()];
            dispatch::<T, _>(lanes, Turn { table, x, out, stride, first, back: false });
        });
    }

    fn pullback<T: Real>(&self, call: Pullback<'_, T>) {
        let g = call.cotangent;
        let stride = g.stride();
        let table = &self.table;
        for_rows(call.gradient, stride, |first, out| {
            let x = &g.data[first * stride..][..out.len()];
            dispatch::<T, _>(g.lanes, Turn { table, x, out, stride, first, back: true });
        });
    }
}

struct Turn<'a, T> {
    table: &'a RotationTable,
    x: &'a [T],
    out: &'a mut [T],
    stride: usize,
    first: usize,
    /// The transpose, added to `out`.
    back: bool,
}

impl<T: Real> WithSimd for Turn<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { table, x, out, stride, first, back } = self;
        let r = table.orientations;
        let weights = table.weights.get::<T>();
        let channel = stride / (table.groups * r);
        let pixels = x.chunks_exact(stride).zip(out.chunks_exact_mut(stride));
        for (i, (x, out)) in pixels.enumerate() {
            let groups = x.chunks_exact(r * channel).zip(out.chunks_exact_mut(r * channel));
            for (group, (x, out)) in groups.enumerate() {
                let at = (first + i) * table.groups + group;
                let shift = usize::from(table.shifts[at]);
                let cos2 = T::splat(simd, weights[2 * at]);
                let sin2 = T::splat(simd, weights[2 * at + 1]);
                for (l, out) in out.chunks_exact_mut(channel).enumerate() {
                    let (a, b) = if back {
                        ((l + 2 * r - shift) % r, (l + 2 * r - shift - 1) % r)
                    } else {
                        ((l + shift) % r, (l + shift + 1) % r)
                    };
                    let a = T::regs::<S>(&x[a * channel..][..channel]);
                    let b = T::regs::<S>(&x[b * channel..][..channel]);
                    for ((out, a), b) in T::regs_mut::<S>(out).iter_mut().zip(a).zip(b) {
                        let base = if back {
                            T::mul_add(simd, sin2, *b, *out)
                        } else {
                            T::vmul(simd, sin2, *b)
                        };
                        *out = T::mul_add(simd, cos2, *a, base);
                    }
                }
            }
        }
    }
}
