//! Numbers of several signals side by side: registers, or arrays where those are not filled.

use crate::sample::Sample;
use pulp::Simd;

/// What the stage along rings does with the numbers of [`Abreast::WIDTH`] signals.
pub trait Abreast<T>: Copy {
    /// One number a signal.
    type Row: Copy;

    /// Signals.
    const WIDTH: usize;

    /// The first numbers of `row`.
    fn load(self, row: &[T]) -> Self::Row;

    /// Overwrites the first numbers of `row`.
    fn store(self, row: &mut [T], value: Self::Row);

    /// `numbers` in rows.
    fn rows(self, numbers: &mut [T]) -> &mut [Self::Row];

    /// Zeros.
    fn zero(self) -> Self::Row;

    /// a + b.
    fn add(self, a: Self::Row, b: Self::Row) -> Self::Row;

    /// a − b.
    fn sub(self, a: Self::Row, b: Self::Row) -> Self::Row;

    /// factor·a.
    fn times(self, factor: T, a: Self::Row) -> Self::Row;

    /// factor·a + b.
    fn fused(self, factor: T, a: Self::Row, b: Self::Row) -> Self::Row;
}

/// A signal in each lane of a register.
#[derive(Clone, Copy, Debug)]
pub struct Registers<S>(pub(crate) S);

/// `W` signals.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrays<const W: usize>;

macro_rules! registers {
    ($type:ty, $vector:ident, $lanes:ident, $view:ident, $view_mut:ident, $splat:ident, $add:ident, $sub:ident, $mul:ident, $fma:ident) => {
        impl<S: Simd> Abreast<$type> for Registers<S> {
            type Row = S::$vector;

            const WIDTH: usize = S::$lanes;

            #[inline(always)]
            fn load(self, row: &[$type]) -> Self::Row {
                S::$view(&row[..S::$lanes]).0[0]
            }

            #[inline(always)]
            fn store(self, row: &mut [$type], value: Self::Row) {
                S::$view_mut(&mut row[..S::$lanes]).0[0] = value;
            }

            #[inline(always)]
            fn rows(self, numbers: &mut [$type]) -> &mut [Self::Row] {
                S::$view_mut(numbers).0
            }

            #[inline(always)]
            fn zero(self) -> Self::Row {
                self.0.$splat(0.0)
            }

            #[inline(always)]
            fn add(self, a: Self::Row, b: Self::Row) -> Self::Row {
                self.0.$add(a, b)
            }

            #[inline(always)]
            fn sub(self, a: Self::Row, b: Self::Row) -> Self::Row {
                self.0.$sub(a, b)
            }

            #[inline(always)]
            fn times(self, factor: $type, a: Self::Row) -> Self::Row {
                self.0.$mul(self.0.$splat(factor), a)
            }

            #[inline(always)]
            fn fused(self, factor: $type, a: Self::Row, b: Self::Row) -> Self::Row {
                self.0.$fma(self.0.$splat(factor), a, b)
            }
        }
    };
}

registers!(
    f64,
    f64s,
    F64_LANES,
    as_simd_f64s,
    as_mut_simd_f64s,
    splat_f64s,
    add_f64s,
    sub_f64s,
    mul_f64s,
    mul_add_e_f64s
);
registers!(
    f32,
    f32s,
    F32_LANES,
    as_simd_f32s,
    as_mut_simd_f32s,
    splat_f32s,
    add_f32s,
    sub_f32s,
    mul_f32s,
    mul_add_e_f32s
);

impl<T: Sample, const W: usize> Abreast<T> for Arrays<W> {
    type Row = [T; W];

    const WIDTH: usize = W;

    #[inline(always)]
    fn load(self, row: &[T]) -> [T; W] {
        row[..W].try_into().expect("as many signals")
    }

    #[inline(always)]
    fn store(self, row: &mut [T], value: [T; W]) {
        row[..W].copy_from_slice(&value);
    }

    #[inline(always)]
    fn rows(self, numbers: &mut [T]) -> &mut [[T; W]] {
        numbers.as_chunks_mut().0
    }

    #[inline(always)]
    fn zero(self) -> [T; W] {
        [T::zero(); W]
    }

    #[inline(always)]
    fn add(self, a: [T; W], b: [T; W]) -> [T; W] {
        std::array::from_fn(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn sub(self, a: [T; W], b: [T; W]) -> [T; W] {
        std::array::from_fn(|i| a[i] - b[i])
    }

    #[inline(always)]
    fn times(self, factor: T, a: [T; W]) -> [T; W] {
        a.map(|a| factor * a)
    }

    #[inline(always)]
    fn fused(self, factor: T, a: [T; W], b: [T; W]) -> [T; W] {
        std::array::from_fn(|i| factor.fused(a[i], b[i]))
    }
}
