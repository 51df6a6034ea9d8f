//! The two data types, f64 and f32, and their register kernels.

use crate::abreast::{Abreast, Registers};
use crate::legendre::{Adjoint, Forward};
use crate::recurrence::RINGS;
use crate::ring::{RingAdjoint, RingSynthesis};
use crate::shared_kernels::SharedKernels;
use pulp::{Arch, Simd, WithSimd};
use std::fmt::Debug;

/// Data type of maps and coefficients: `f64` or `f32` (sealed).
///
/// Recurrences run in f64 for both; f32 concerns data, table storage, sums over
/// degrees and ring FFTs.
pub trait Sample: Kernels + rustfft::FftNum + Default + Debug {}

impl Sample for f64 {}
impl Sample for f32 {}

/// Rows of λ on eight rings for consecutive degrees.
///
/// `table[degree][W or X][ring]`; degree index 0 has parity class `parity`
/// = (ℓ + m + s) mod 2. Coefficient rows have `lanes` numbers, a multiple of
/// [`Kernels::PAD`].
#[derive(Clone, Copy, Debug)]
pub struct Panel<'a, T> {
    pub(crate) table: &'a [T],
    pub(crate) spin: bool,
    pub(crate) parity: usize,
    pub(crate) lanes: usize,
    /// Whether sums begin with it, whatever they hold.
    pub(crate) fresh: bool,
}

impl<T> Panel<'_, T> {
    #[inline(always)]
    fn rows(&self) -> usize {
        if self.spin { 2 * RINGS } else { RINGS }
    }
}

/// Sums of table rows times coefficient rows, in registers.
pub trait Kernels: SharedKernels + Copy + Send + Sync + 'static {
    /// Row lengths are multiples of this.
    const PAD: usize;

    /// Nearest value.
    fn narrow(value: f64) -> Self;

    /// Exact value.
    fn widen(self) -> f64;

    /// a·b + c, rounded once.
    fn fused(self, b: Self, c: Self) -> Self;

    /// `sums[class][ring] += Σ_ℓ W coef[ℓ] (ℓ of the class) + X twin[ℓ] (of the other)`.
    fn synthesis(
        arch: Arch,
        panel: Panel<'_, Self>,
        coef: &[Self],
        twin: &[Self],
        sums: &mut [Self],
    );

    /// `coef[ℓ] += Σ_ring W sums[class]`, `twin[ℓ] += Σ_ring X sums[other class]`.
    fn adjoint(
        arch: Arch,
        panel: Panel<'_, Self>,
        sums: &[Self],
        coef: &mut [Self],
        twin: &mut [Self],
    );

    /// Signals in registers.
    type Registers<S: Simd>: Abreast<Self>;

    /// For signals in registers.
    fn registers<S: Simd>(simd: S) -> Self::Registers<S>;

    /// Runs a stage with the best instructions; compiled in this crate, not in users'.
    fn forward(arch: Arch, stage: Forward<'_, Self>);
    /// As [`Kernels::forward`].
    fn backward(arch: Arch, stage: Adjoint<'_, Self>);
    /// As [`Kernels::forward`].
    fn ring_forward(arch: Arch, stage: RingSynthesis<'_, Self>);
    /// As [`Kernels::forward`].
    fn ring_backward(arch: Arch, stage: RingAdjoint<'_, Self>);
}

macro_rules! kernels {
    ($type:ty, $module:ident, $pad:literal, $vector:ident, $lanes:ident, $view:ident, $view_mut:ident, $splat:ident, $fma:ident) => {
        mod $module {
            use super::*;

            /// Adds the degrees `first, first + 2, …` of one kind of row to registers.
            #[inline(always)]
            fn gather<S: Simd, const NV: usize>(
                simd: S,
                panel: &Panel<'_, $type>,
                first: usize,
                kind: usize,
                rows: &[S::$vector],
                at: usize,
                registers: &mut [[S::$vector; NV]; RINGS],
            ) {
                let width = panel.lanes / S::$lanes;
                let height = panel.rows();
                let mut degree = first;
                while degree < panel.table.len() / height {
                    let lambda: &[$type; RINGS] = panel.table[degree * height + kind * RINGS..]
                        [..RINGS]
                        .try_into()
                        .expect("eight rings");
                    let row: &[S::$vector; NV] =
                        rows[degree * width + at..][..NV].try_into().expect("whole registers");
                    degree += 2;
                    for ring in 0..RINGS {
                        let value = simd.$splat(lambda[ring]);
                        for i in 0..NV {
                            registers[ring][i] = simd.$fma(value, row[i], registers[ring][i]);
                        }
                    }
                }
            }

            #[inline(always)]
            fn synthesis_columns<S: Simd, const NV: usize>(
                simd: S,
                panel: &Panel<'_, $type>,
                coef: &[S::$vector],
                twin: &[S::$vector],
                sums: &mut [S::$vector],
                at: usize,
            ) {
                let width = panel.lanes / S::$lanes;
                for class in 0..2 {
                    let sums = &mut sums[class * RINGS * width..][..RINGS * width];
                    let mut registers = [[simd.$splat(0.0); NV]; RINGS];
                    if !panel.fresh {
                        for (register, sum) in registers.iter_mut().zip(sums.chunks_exact(width)) {
                            register.copy_from_slice(&sum[at..][..NV]);
                        }
                    }
                    let same = class ^ panel.parity;
                    gather(simd, panel, same, 0, coef, at, &mut registers);
                    if panel.spin {
                        gather(simd, panel, 1 - same, 1, twin, at, &mut registers);
                    }
                    for (register, sum) in registers.iter().zip(sums.chunks_exact_mut(width)) {
                        sum[at..][..NV].copy_from_slice(register);
                    }
                }
            }

            #[inline(always)]
            fn scatter<S: Simd, const NV: usize>(
                simd: S,
                panel: &Panel<'_, $type>,
                first: usize,
                kind: usize,
                rows: &mut [S::$vector],
                at: usize,
                registers: &[[S::$vector; NV]; RINGS],
            ) {
                let width = panel.lanes / S::$lanes;
                let height = panel.rows();
                let mut degree = first;
                while degree < panel.table.len() / height {
                    let lambda: &[$type; RINGS] = panel.table[degree * height + kind * RINGS..]
                        [..RINGS]
                        .try_into()
                        .expect("eight rings");
                    let row: &mut [S::$vector; NV] = (&mut rows[degree * width + at..][..NV])
                        .try_into()
                        .expect("whole registers");
                    degree += 2;
                    let mut sum = *row;
                    for ring in 0..RINGS {
                        let value = simd.$splat(lambda[ring]);
                        for i in 0..NV {
                            sum[i] = simd.$fma(value, registers[ring][i], sum[i]);
                        }
                    }
                    *row = sum;
                }
            }

            #[inline(always)]
            fn adjoint_columns<S: Simd, const NV: usize>(
                simd: S,
                panel: &Panel<'_, $type>,
                sums: &[S::$vector],
                coef: &mut [S::$vector],
                twin: &mut [S::$vector],
                at: usize,
            ) {
                let width = panel.lanes / S::$lanes;
                for class in 0..2 {
                    let sums = &sums[class * RINGS * width..][..RINGS * width];
                    let mut registers = [[simd.$splat(0.0); NV]; RINGS];
                    for (register, sum) in registers.iter_mut().zip(sums.chunks_exact(width)) {
                        register.copy_from_slice(&sum[at..][..NV]);
                    }
                    let same = class ^ panel.parity;
                    scatter(simd, panel, same, 0, coef, at, &registers);
                    if panel.spin {
                        scatter(simd, panel, 1 - same, 1, twin, at, &registers);
                    }
                }
            }

            struct Synthesis<'a> {
                panel: Panel<'a, $type>,
                coef: &'a [$type],
                twin: &'a [$type],
                sums: &'a mut [$type],
            }

            impl WithSimd for Synthesis<'_> {
                type Output = ();

                #[inline(always)]
                fn with_simd<S: Simd>(self, simd: S) {
                    let Self { panel, coef, twin, sums } = self;
                    let width = panel.lanes / S::$lanes;
                    let (coef, twin) = (S::$view(coef).0, S::$view(twin).0);
                    let sums = S::$view_mut(sums).0;
                    let mut at = 0;
                    if S::REGISTER_COUNT >= 32 {
                        while width - at >= 3 && width - at != 4 {
                            synthesis_columns::<S, 3>(simd, &panel, coef, twin, sums, at);
                            at += 3;
                        }
                        while width - at >= 2 {
                            synthesis_columns::<S, 2>(simd, &panel, coef, twin, sums, at);
                            at += 2;
                        }
                    }
                    while at < width {
                        synthesis_columns::<S, 1>(simd, &panel, coef, twin, sums, at);
                        at += 1;
                    }
                }
            }

            struct Transpose<'a> {
                panel: Panel<'a, $type>,
                sums: &'a [$type],
                coef: &'a mut [$type],
                twin: &'a mut [$type],
            }

            impl WithSimd for Transpose<'_> {
                type Output = ();

                #[inline(always)]
                fn with_simd<S: Simd>(self, simd: S) {
                    let Self { panel, sums, coef, twin } = self;
                    let width = panel.lanes / S::$lanes;
                    let (coef, twin) = (S::$view_mut(coef).0, S::$view_mut(twin).0);
                    let sums = S::$view(sums).0;
                    let mut at = 0;
                    if S::REGISTER_COUNT >= 32 {
                        while width - at >= 2 {
                            adjoint_columns::<S, 2>(simd, &panel, sums, coef, twin, at);
                            at += 2;
                        }
                    }
                    while at < width {
                        adjoint_columns::<S, 1>(simd, &panel, sums, coef, twin, at);
                        at += 1;
                    }
                }
            }

            impl Kernels for $type {
                const PAD: usize = $pad;

                type Registers<S: Simd> = Registers<S>;

                #[inline(always)]
                fn registers<S: Simd>(simd: S) -> Registers<S> {
                    Registers(simd)
                }

                #[inline(always)]
                fn narrow(value: f64) -> Self {
                    value as $type
                }

                #[inline(always)]
                fn widen(self) -> f64 {
                    f64::from(self)
                }

                #[inline(always)]
                fn fused(self, b: Self, c: Self) -> Self {
                    self.mul_add(b, c)
                }

                fn synthesis(
                    arch: Arch,
                    panel: Panel<'_, Self>,
                    coef: &[Self],
                    twin: &[Self],
                    sums: &mut [Self],
                ) {
                    arch.dispatch(Synthesis { panel, coef, twin, sums });
                }

                fn adjoint(
                    arch: Arch,
                    panel: Panel<'_, Self>,
                    sums: &[Self],
                    coef: &mut [Self],
                    twin: &mut [Self],
                ) {
                    arch.dispatch(Transpose { panel, sums, coef, twin });
                }

                fn forward(arch: Arch, stage: Forward<'_, Self>) {
                    arch.dispatch(stage);
                }

                fn backward(arch: Arch, stage: Adjoint<'_, Self>) {
                    arch.dispatch(stage);
                }

                fn ring_forward(arch: Arch, stage: RingSynthesis<'_, Self>) {
                    arch.dispatch(stage);
                }

                fn ring_backward(arch: Arch, stage: RingAdjoint<'_, Self>) {
                    arch.dispatch(stage);
                }
            }
        }
    };
}

kernels!(
    f64,
    double,
    8,
    f64s,
    F64_LANES,
    as_simd_f64s,
    as_mut_simd_f64s,
    splat_f64s,
    mul_add_e_f64s
);
kernels!(
    f32,
    single,
    16,
    f32s,
    F32_LANES,
    as_simd_f32s,
    as_mut_simd_f32s,
    splat_f32s,
    mul_add_e_f32s
);
