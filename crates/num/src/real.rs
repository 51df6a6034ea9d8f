//! The two precisions and their SIMD registers.

use crate::Table;
use pulp::Simd;
use std::fmt::{Debug, Display};
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// A real number of a kernel: `f32` or `f64`.
///
/// Fields keep the map index innermost, padded to [`Real::LANES`], so that one
/// register always holds the same pixel of several maps. A kernel is written
/// once over `S: Simd` and run through [`crate::dispatch`], which picks the
/// instruction set at run time.
pub trait Real:
    sealed::Sealed
    + Copy
    + Default
    + Debug
    + Display
    + PartialOrd
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + 'static
{
    /// Maps are padded to a multiple of this: 16 bytes, a register of NEON or SSE. Wider
    /// registers are used where a row is a whole number of them.
    const LANES: usize;
    /// "f32" or "f64".
    const NAME: &'static str;
    /// Distance from 1 to the next larger number.
    const EPSILON: f64;
    /// A register of the instruction set `S`.
    type Reg<S: Simd>: Copy + Send + Sync + 'static;

    /// Rounds a double to this precision.
    fn from_f64(x: f64) -> Self;
    /// The value as a double.
    fn to_f64(self) -> f64;
    /// A table's numbers in this precision.
    fn table(table: &Table) -> &[Self];

    /// Registers of a slice; its length must be a multiple of the lane count.
    fn regs<S: Simd>(slice: &[Self]) -> &[Self::Reg<S>];
    /// Mutable registers of a slice; its length must be a multiple of the lane count.
    fn regs_mut<S: Simd>(slice: &mut [Self]) -> &mut [Self::Reg<S>];
    /// The register that begins with a slice.
    #[inline(always)]
    fn load<S: Simd>(slice: &[Self]) -> Self::Reg<S> {
        Self::regs::<S>(&slice[..size_of::<Self::Reg<S>>() / size_of::<Self>()])[0]
    }
    /// Writes a register to the beginning of a slice.
    #[inline(always)]
    fn store<S: Simd>(slice: &mut [Self], register: Self::Reg<S>) {
        Self::regs_mut::<S>(&mut slice[..size_of::<Self::Reg<S>>() / size_of::<Self>()])[0] =
            register;
    }
    /// All lanes equal to `x`.
    fn splat<S: Simd>(simd: S, x: Self) -> Self::Reg<S>;
    /// a + b.
    fn vadd<S: Simd>(simd: S, a: Self::Reg<S>, b: Self::Reg<S>) -> Self::Reg<S>;
    /// a − b.
    fn vsub<S: Simd>(simd: S, a: Self::Reg<S>, b: Self::Reg<S>) -> Self::Reg<S>;
    /// a·b.
    fn vmul<S: Simd>(simd: S, a: Self::Reg<S>, b: Self::Reg<S>) -> Self::Reg<S>;
    /// a·b + c, fused where the machine can.
    fn mul_add<S: Simd>(simd: S, a: Self::Reg<S>, b: Self::Reg<S>, c: Self::Reg<S>)
    -> Self::Reg<S>;
    /// c − a·b, fused where the machine can.
    fn neg_mul_add<S: Simd>(
        simd: S,
        a: Self::Reg<S>,
        b: Self::Reg<S>,
        c: Self::Reg<S>,
    ) -> Self::Reg<S>;
    /// √a.
    fn sqrt<S: Simd>(simd: S, a: Self::Reg<S>) -> Self::Reg<S>;
    /// a/b where b > 0, else 0.
    fn div_or_zero<S: Simd>(simd: S, a: Self::Reg<S>, b: Self::Reg<S>) -> Self::Reg<S>;

    /// Maps padded to whole registers.
    fn padded(maps: usize) -> usize {
        maps.next_multiple_of(Self::LANES)
    }
}

macro_rules! real {
    ($t:ident, $lanes:literal, $name:literal, $reg:ident, $as:ident, $as_mut:ident, $splat:ident,
     $add:ident, $sub:ident, $mul:ident, $div:ident, $fma:ident, $nfma:ident, $sqrt:ident,
     $greater:ident, $select:ident, $table:ident) => {
        impl Real for $t {
            const LANES: usize = $lanes;
            const NAME: &'static str = $name;
            const EPSILON: f64 = $t::EPSILON as f64;
            type Reg<S: Simd> = S::$reg;

            #[inline(always)]
            fn from_f64(x: f64) -> Self {
                x as $t
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            fn table(table: &Table) -> &[Self] {
                table.$table()
            }
            #[inline(always)]
            fn regs<S: Simd>(slice: &[Self]) -> &[S::$reg] {
                S::$as(slice).0
            }
            #[inline(always)]
            fn regs_mut<S: Simd>(slice: &mut [Self]) -> &mut [S::$reg] {
                S::$as_mut(slice).0
            }
            #[inline(always)]
            fn splat<S: Simd>(simd: S, x: Self) -> S::$reg {
                simd.$splat(x)
            }
            #[inline(always)]
            fn vadd<S: Simd>(simd: S, a: S::$reg, b: S::$reg) -> S::$reg {
                simd.$add(a, b)
            }
            #[inline(always)]
            fn vsub<S: Simd>(simd: S, a: S::$reg, b: S::$reg) -> S::$reg {
                simd.$sub(a, b)
            }
            #[inline(always)]
            fn vmul<S: Simd>(simd: S, a: S::$reg, b: S::$reg) -> S::$reg {
                simd.$mul(a, b)
            }
            #[inline(always)]
            fn mul_add<S: Simd>(simd: S, a: S::$reg, b: S::$reg, c: S::$reg) -> S::$reg {
                simd.$fma(a, b, c)
            }
            #[inline(always)]
            fn neg_mul_add<S: Simd>(simd: S, a: S::$reg, b: S::$reg, c: S::$reg) -> S::$reg {
                simd.$nfma(a, b, c)
            }
            #[inline(always)]
            fn sqrt<S: Simd>(simd: S, a: S::$reg) -> S::$reg {
                simd.$sqrt(a)
            }
            #[inline(always)]
            fn div_or_zero<S: Simd>(simd: S, a: S::$reg, b: S::$reg) -> S::$reg {
                let zero = simd.$splat(0.0);
                simd.$select(simd.$greater(b, zero), simd.$div(a, b), zero)
            }
        }
    };
}

real!(
    f32,
    4,
    "f32",
    f32s,
    as_simd_f32s,
    as_mut_simd_f32s,
    splat_f32s,
    add_f32s,
    sub_f32s,
    mul_f32s,
    div_f32s,
    mul_add_e_f32s,
    negate_mul_add_e_f32s,
    sqrt_f32s,
    greater_than_f32s,
    select_f32s,
    single
);
real!(
    f64,
    2,
    "f64",
    f64s,
    as_simd_f64s,
    as_mut_simd_f64s,
    splat_f64s,
    add_f64s,
    sub_f64s,
    mul_f64s,
    div_f64s,
    mul_add_e_f64s,
    negate_mul_add_e_f64s,
    sqrt_f64s,
    greater_than_f64s,
    select_f64s,
    double
);
