//! A scale and a shift for each row and channel: standardisation and its inverse.

use crate::device::{DeviceCall, DeviceWork, Run};
use crate::kernel::{Forward, Keeps, Kernel, Operator, Pullback, for_rows};
use crate::{CpuKernel, GraphError, Shape};
use skyscat_num::{Real, Simd, Table, WithSimd, dispatch};

/// y = scale·x + shift, with one scale and shift a row and real number.
///
/// Both tables have the layout of one map, `[row][width]`.
#[derive(Debug)]
pub struct Affine {
    scale: Table,
    shift: Table,
    len: usize,
}

impl Affine {
    /// An operator for maps of `scale.len()` reals.
    ///
    /// # Panics
    /// If the two tables differ in length.
    pub fn new(scale: Vec<f64>, shift: Vec<f64>) -> Self {
        assert_eq!(scale.len(), shift.len(), "one shift for each scale");
        Self { len: scale.len(), scale: Table::new(scale), shift: Table::new(shift) }
    }
}

impl Operator for Affine {
    fn name(&self) -> &'static str {
        "affine"
    }
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, GraphError> {
        match inputs {
            [x] if x.reals() == self.len => Ok(*x),
            _ => Err(self.refuse(inputs, &format!("one input of {} reals a map", self.len))),
        }
    }
    fn keeps(&self) -> Keeps {
        Keeps::Nothing
    }
    fn flops(&self, _inputs: &[Shape]) -> f64 {
        2.0 * self.len as f64
    }
    fn table_bytes(&self) -> f64 {
        16.0 * self.len as f64
    }
    fn cpu(&self) -> &dyn CpuKernel {
        self
    }
    fn gpu(&self, call: &DeviceCall<'_>) -> Option<DeviceWork<'_>> {
        let (from, to) = call.ends();
        Some(DeviceWork::one(Run::new(
            ("affine", call.entry()),
            &[("numbers", self.len), ("maps", call.lanes)],
            vec![call.table(&self.scale), call.table(&self.shift), from, to],
            self.len * call.lanes,
        )))
    }
}

impl Kernel for Affine {
    fn forward<T: Real>(&self, call: Forward<'_, T>) {
        let x = call.inputs[0];
        let (scale, shift) = (self.scale.get::<T>(), self.shift.get::<T>());
        for_rows(call.output, x.lanes, |first, rows| {
            let count = rows.len() / x.lanes;
            dispatch::<T, _>(
                x.lanes,
                Lines {
                    x: &x.data[first * x.lanes..][..rows.len()],
                    y: rows,
                    scale: &scale[first..][..count],
                    shift: Some(&shift[first..][..count]),
                    lanes: x.lanes,
                },
            );
        });
    }

    fn pullback<T: Real>(&self, call: Pullback<'_, T>) {
        let g = call.cotangent;
        let scale = self.scale.get::<T>();
        for_rows(call.gradient, g.lanes, |first, rows| {
            dispatch::<T, _>(
                g.lanes,
                Lines {
                    x: &g.data[first * g.lanes..][..rows.len()],
                    scale: &scale[first..][..rows.len() / g.lanes],
                    y: rows,
                    shift: None,
                    lanes: g.lanes,
                },
            );
        });
    }
}

/// y = scale·x + shift, or y += scale·x without a shift.
struct Lines<'a, T> {
    x: &'a [T],
    y: &'a mut [T],
    scale: &'a [T],
    shift: Option<&'a [T]>,
    lanes: usize,
}

impl<T: Real> WithSimd for Lines<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, y, scale, shift, lanes } = self;
        let lines = x.chunks_exact(lanes).zip(y.chunks_exact_mut(lanes)).zip(scale);
        for (i, ((x, y), &a)) in lines.enumerate() {
            let a = T::splat(simd, a);
            for (x, y) in T::regs::<S>(x).iter().zip(T::regs_mut::<S>(y)) {
                let base = shift.map_or(*y, |shift| T::splat(simd, shift[i]));
                *y = T::mul_add(simd, a, *x, base);
            }
        }
    }
}
