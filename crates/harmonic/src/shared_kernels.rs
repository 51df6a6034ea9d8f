//! Register kernels of sums over k: maps as lanes, or rings as lanes.

use crate::climb::WIDE;
use pulp::Simd;

/// Sums of rows u_k of sixteen rings, `table[k][ring]`, times coefficient rows.
///
/// Coefficient rows are `[k][class][lane]`, class 0 of u and 1 of cos θ u.
pub trait SharedKernels: Sized {
    /// `sums[class][ring][lane] += Σ_k u coef`; lanes are whole registers.
    fn lanes_synthesis<S: Simd>(
        simd: S,
        table: &[Self],
        coef: &[Self],
        lanes: usize,
        sums: &mut [Self],
    );

    /// `coef[k][class][lane] += Σ_ring u sums[class][ring][lane]`.
    fn lanes_adjoint<S: Simd>(
        simd: S,
        table: &[Self],
        coef: &mut [Self],
        lanes: usize,
        sums: &[Self],
    );

    /// `sums[row][ring] += Σ_k u coef[k][row]`, rows being 4 or 8 at a time.
    fn rings_synthesis<S: Simd>(
        simd: S,
        table: &[Self],
        coef: &[Self],
        rows: usize,
        sums: &mut [Self],
    );

    /// `coef[k][row][..] += u sums[row][ring]`, the rings being spread over 64 bytes.
    fn rings_adjoint<S: Simd>(
        simd: S,
        table: &[Self],
        coef: &mut [Self],
        rows: usize,
        sums: &[Self],
    );
}

/// Half of the rings: what fits in registers beside their sums.
const HALF: usize = WIDE / 2;

macro_rules! shared_kernels {
    ($type:ty, $module:ident, $vector:ident, $lanes:ident, $view:ident, $view_mut:ident, $splat:ident, $fma:ident) => {
        mod $module {
            use super::*;

            /// Numbers in 64 bytes.
            const LINE: usize = 64 / size_of::<$type>();

            #[inline(always)]
            fn lanes_forward<S: Simd, const NV: usize>(
                simd: S,
                table: &[$type],
                coef: &[S::$vector],
                (width, at): (usize, usize),
                sums: &mut [S::$vector],
            ) {
                for class in 0..2 {
                    for half in 0..2 {
                        let sums = &mut sums[(class * WIDE + half * HALF) * width..];
                        let mut registers = [[simd.$splat(0.0); NV]; HALF];
                        for (register, sum) in registers.iter_mut().zip(sums.chunks_exact(width)) {
                            register.copy_from_slice(&sum[at..][..NV]);
                        }
                        let rows = coef.chunks_exact(width).skip(class).step_by(2);
                        for (us, row) in table.chunks_exact(WIDE).zip(rows) {
                            let us: &[$type; HALF] =
                                us[half * HALF..][..HALF].try_into().expect("eight rings");
                            let row: &[S::$vector; NV] =
                                row[at..][..NV].try_into().expect("whole registers");
                            for ring in 0..HALF {
                                let u = simd.$splat(us[ring]);
                                for i in 0..NV {
                                    registers[ring][i] = simd.$fma(u, row[i], registers[ring][i]);
                                }
                            }
                        }
                        for (register, sum) in registers.iter().zip(sums.chunks_exact_mut(width)) {
                            sum[at..][..NV].copy_from_slice(register);
                        }
                    }
                }
            }

            #[inline(always)]
            fn lanes_backward<S: Simd, const NV: usize>(
                simd: S,
                table: &[$type],
                coef: &mut [S::$vector],
                (width, at): (usize, usize),
                sums: &[S::$vector],
            ) {
                for class in 0..2 {
                    for half in 0..2 {
                        let sums = &sums[(class * WIDE + half * HALF) * width..];
                        let mut registers = [[simd.$splat(0.0); NV]; HALF];
                        for (register, sum) in registers.iter_mut().zip(sums.chunks_exact(width)) {
                            register.copy_from_slice(&sum[at..][..NV]);
                        }
                        let rows = coef.chunks_exact_mut(width).skip(class).step_by(2);
                        for (us, row) in table.chunks_exact(WIDE).zip(rows) {
                            let us: &[$type; HALF] =
                                us[half * HALF..][..HALF].try_into().expect("eight rings");
                            let row: &mut [S::$vector; NV] =
                                (&mut row[at..][..NV]).try_into().expect("whole registers");
                            let mut sum = *row;
                            for ring in 0..HALF {
                                let u = simd.$splat(us[ring]);
                                for i in 0..NV {
                                    sum[i] = simd.$fma(u, registers[ring][i], sum[i]);
                                }
                            }
                            *row = sum;
                        }
                    }
                }
            }

            /// `C` rows, `NV` registers of rings.
            #[inline(always)]
            fn rings_forward<S: Simd, const C: usize, const NV: usize>(
                simd: S,
                table: &[S::$vector],
                (coef, rows): (&[$type], usize),
                (row, at): (usize, usize),
                sums: &mut [S::$vector],
            ) {
                let width = WIDE / S::$lanes;
                let mut registers = [[simd.$splat(0.0); NV]; C];
                for (i, register) in registers.iter_mut().enumerate() {
                    register.copy_from_slice(&sums[(row + i) * width + at..][..NV]);
                }
                for (us, values) in table.chunks_exact(width).zip(coef.chunks_exact(rows)) {
                    let us: &[S::$vector; NV] = us[at..][..NV].try_into().expect("registers");
                    let values: &[$type; C] = values[row..][..C].try_into().expect("rows");
                    for i in 0..C {
                        let value = simd.$splat(values[i]);
                        for j in 0..NV {
                            registers[i][j] = simd.$fma(us[j], value, registers[i][j]);
                        }
                    }
                }
                for (i, register) in registers.iter().enumerate() {
                    sums[(row + i) * width + at..][..NV].copy_from_slice(register);
                }
            }

            /// `C` rows, `NV` registers of rings into each register of a line.
            #[inline(always)]
            fn rings_backward<S: Simd, const C: usize, const NV: usize>(
                simd: S,
                table: &[S::$vector],
                (coef, rows): (&mut [S::$vector], usize),
                (row, at): (usize, usize),
                sums: &[S::$vector],
            ) {
                let (width, line) = (WIDE / S::$lanes, LINE / S::$lanes);
                let mut registers = [[simd.$splat(0.0); NV]; C];
                for (i, register) in registers.iter_mut().enumerate() {
                    for (j, register) in register.iter_mut().enumerate() {
                        *register = sums[(row + i) * width + at + j * line];
                    }
                }
                let coef = coef.chunks_exact_mut(rows * line);
                for (us, values) in table.chunks_exact(width).zip(coef) {
                    let values = &mut values[row * line..][..C * line];
                    for i in 0..C {
                        let mut sum = values[i * line + at];
                        for j in 0..NV {
                            sum = simd.$fma(us[at + j * line], registers[i][j], sum);
                        }
                        values[i * line + at] = sum;
                    }
                }
            }

            impl SharedKernels for $type {
                #[inline(always)]
                fn lanes_synthesis<S: Simd>(
                    simd: S,
                    table: &[Self],
                    coef: &[Self],
                    lanes: usize,
                    sums: &mut [Self],
                ) {
                    let width = lanes / S::$lanes;
                    let (coef, sums) = (S::$view(coef).0, S::$view_mut(sums).0);
                    let mut at = 0;
                    if S::REGISTER_COUNT >= 32 {
                        while width - at >= 3 && width - at != 4 {
                            lanes_forward::<S, 3>(simd, table, coef, (width, at), sums);
                            at += 3;
                        }
                        while width - at >= 2 {
                            lanes_forward::<S, 2>(simd, table, coef, (width, at), sums);
                            at += 2;
                        }
                    }
                    while at < width {
                        lanes_forward::<S, 1>(simd, table, coef, (width, at), sums);
                        at += 1;
                    }
                }

                #[inline(always)]
                fn lanes_adjoint<S: Simd>(
                    simd: S,
                    table: &[Self],
                    coef: &mut [Self],
                    lanes: usize,
                    sums: &[Self],
                ) {
                    let width = lanes / S::$lanes;
                    let (coef, sums) = (S::$view_mut(coef).0, S::$view(sums).0);
                    let mut at = 0;
                    if S::REGISTER_COUNT >= 32 {
                        while width - at >= 2 {
                            lanes_backward::<S, 2>(simd, table, coef, (width, at), sums);
                            at += 2;
                        }
                    }
                    while at < width {
                        lanes_backward::<S, 1>(simd, table, coef, (width, at), sums);
                        at += 1;
                    }
                }

                #[inline(always)]
                fn rings_synthesis<S: Simd>(
                    simd: S,
                    table: &[Self],
                    coef: &[Self],
                    rows: usize,
                    sums: &mut [Self],
                ) {
                    let (table, sums) = (S::$view(table).0, S::$view_mut(sums).0);
                    let (wide, coef) = (S::REGISTER_COUNT >= 32, (coef, rows));
                    let mut row = 0;
                    while row < rows {
                        let (eight, mut at) = (wide && rows - row >= 8, 0);
                        while at < WIDE / S::$lanes {
                            let pair = WIDE / S::$lanes - at >= 2;
                            let place = (row, at);
                            match (eight, pair) {
                                (true, true) => {
                                    rings_forward::<S, 8, 2>(simd, table, coef, place, sums);
                                }
                                (true, false) => {
                                    rings_forward::<S, 8, 1>(simd, table, coef, place, sums);
                                }
                                (false, true) => {
                                    rings_forward::<S, 4, 2>(simd, table, coef, place, sums);
                                }
                                (false, false) => {
                                    rings_forward::<S, 4, 1>(simd, table, coef, place, sums);
                                }
                            }
                            at += if pair { 2 } else { 1 };
                        }
                        row += if eight { 8 } else { 4 };
                    }
                }

                #[inline(always)]
                fn rings_adjoint<S: Simd>(
                    simd: S,
                    table: &[Self],
                    coef: &mut [Self],
                    rows: usize,
                    sums: &[Self],
                ) {
                    const NV: usize = WIDE / LINE;
                    let (table, sums) = (S::$view(table).0, S::$view(sums).0);
                    let coef = S::$view_mut(coef).0;
                    let mut row = 0;
                    while row < rows {
                        let eight = S::REGISTER_COUNT >= 32 && rows - row >= 8;
                        for at in 0..LINE / S::$lanes {
                            let (coef, place) = ((&mut *coef, rows), (row, at));
                            if eight {
                                rings_backward::<S, 8, NV>(simd, table, coef, place, sums);
                            } else {
                                rings_backward::<S, 4, NV>(simd, table, coef, place, sums);
                            }
                        }
                        row += if eight { 8 } else { 4 };
                    }
                }
            }
        }
    };
}

shared_kernels!(
    f64,
    double,
    f64s,
    F64_LANES,
    as_simd_f64s,
    as_mut_simd_f64s,
    splat_f64s,
    mul_add_e_f64s
);
shared_kernels!(
    f32,
    single,
    f32s,
    F32_LANES,
    as_simd_f32s,
    as_mut_simd_f32s,
    splat_f32s,
    mul_add_e_f32s
);
