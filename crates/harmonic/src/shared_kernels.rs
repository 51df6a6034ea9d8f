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

    /// `coef[k][row][..] += u sums[row][ring]` of `B` blocks of rings, spread over 64 bytes.
    fn rings_adjoint<S: Simd, const B: usize>(
        simd: S,
        tables: [&[Self]; B],
        coef: &mut [Self],
        rows: usize,
        sums: [&[Self]; B],
    );

    /// The same numbers, if they are of f64.
    fn doubles(numbers: &[Self]) -> Option<&[f64]>;
    /// As [`SharedKernels::doubles`].
    fn doubles_mut(numbers: &mut [Self]) -> Option<&mut [f64]>;

    /// Sums of 64 bytes each.
    fn line_sums<S: Simd>(simd: S, lines: &[Self], out: &mut [Self]);

    /// `out = Σ factor·row`.
    fn combine<S: Simd, const N: usize>(simd: S, out: &mut [Self], terms: [(Self, &[Self]); N]);

    /// Both of `outs`, `factors[out][0]·rows[0] + factors[out][1]·rows[1]`.
    fn mix<S: Simd>(simd: S, outs: [&mut [Self]; 2], rows: [&[Self]; 2], factors: [[Self; 2]; 2]);

    /// `out += Σ factor·row`.
    fn accumulate<S: Simd, const N: usize>(simd: S, out: &mut [Self], terms: [(Self, &[Self]); N]);
}

/// Half of the rings: what fits in registers beside their sums.
const HALF: usize = WIDE / 2;

/// Numbers of another type.
#[inline(always)]
fn none<T, U>(_: T) -> Option<U> {
    None
}

macro_rules! shared_kernels {
    ($type:ty, $module:ident, $vector:ident, $lanes:ident, $view:ident, $view_mut:ident, $splat:ident, $fma:ident, $mul:ident, $add:ident, $reduce:ident, $doubles:ident) => {
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

            /// `C` rows, `NV` registers of rings of each block into each register of a line.
            #[inline(always)]
            fn rings_backward<S: Simd, const C: usize, const NV: usize, const B: usize>(
                simd: S,
                tables: [&[S::$vector]; B],
                (coef, rows): (&mut [S::$vector], usize),
                (row, at): (usize, usize),
                sums: [&[S::$vector]; B],
            ) {
                let (width, line) = (WIDE / S::$lanes, LINE / S::$lanes);
                let mut registers = [[[simd.$splat(0.0); NV]; B]; C];
                for (i, registers) in registers.iter_mut().enumerate() {
                    for (register, sums) in registers.iter_mut().zip(sums) {
                        for (j, register) in register.iter_mut().enumerate() {
                            *register = sums[(row + i) * width + at + j * line];
                        }
                    }
                }
                for (k, values) in coef.chunks_exact_mut(rows * line).enumerate() {
                    let values = &mut values[row * line..][..C * line];
                    let us = tables.map(|table| &table[k * width..][..width]);
                    for i in 0..C {
                        let mut sum = values[i * line + at];
                        for (us, registers) in us.iter().zip(&registers[i]) {
                            for j in 0..NV {
                                sum = simd.$fma(us[at + j * line], registers[j], sum);
                            }
                        }
                        values[i * line + at] = sum;
                    }
                }
            }

            /// Σ factor·row of `W` numbers from `at` on, and of `out` if it is added to.
            #[inline(always)]
            fn few<const W: usize, const N: usize, const ADD: bool>(
                out: &mut [$type],
                terms: &[($type, &[$type]); N],
                at: usize,
            ) {
                let out: &mut [$type; W] =
                    (&mut out[at..][..W]).try_into().expect("as many numbers");
                let mut sum = if ADD { *out } else { [0.0; W] };
                for (n, (factor, row)) in terms.iter().enumerate() {
                    let row: &[$type; W] = row[at..][..W].try_into().expect("as many numbers");
                    for i in 0..W {
                        sum[i] = if ADD || n > 0 {
                            factor.mul_add(row[i], sum[i])
                        } else {
                            factor * row[i]
                        };
                    }
                }
                *out = sum;
            }

            #[inline(always)]
            fn combination<S: Simd, const N: usize, const ADD: bool>(
                simd: S,
                out: &mut [$type],
                terms: [($type, &[$type]); N],
            ) {
                match out.len() {
                    1 => return few::<1, N, ADD>(out, &terms, 0),
                    2 => return few::<2, N, ADD>(out, &terms, 0),
                    4 => return few::<4, N, ADD>(out, &terms, 0),
                    _ => {}
                }
                let len = out.len();
                let (whole, rest) = S::$view_mut(out);
                // Loops, not closures: what is not inlined is compiled for any machine.
                let mut factors = [simd.$splat(0.0); N];
                let mut rows: [&[S::$vector]; N] = [&[]; N];
                for n in 0..N {
                    factors[n] = simd.$splat(terms[n].0);
                    rows[n] = &S::$view(terms[n].1).0[..whole.len()];
                }
                let mut at = len - rest.len();
                for (i, out) in whole.iter_mut().enumerate() {
                    let mut sum = if ADD {
                        simd.$fma(factors[0], rows[0][i], *out)
                    } else {
                        simd.$mul(factors[0], rows[0][i])
                    };
                    for n in 1..N {
                        sum = simd.$fma(factors[n], rows[n][i], sum);
                    }
                    *out = sum;
                }
                while at < len {
                    at += match len - at {
                        4.. => {
                            few::<4, N, ADD>(out, &terms, at);
                            4
                        }
                        2.. => {
                            few::<2, N, ADD>(out, &terms, at);
                            2
                        }
                        _ => {
                            few::<1, N, ADD>(out, &terms, at);
                            1
                        }
                    };
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
                fn rings_adjoint<S: Simd, const B: usize>(
                    simd: S,
                    tables: [&[Self]; B],
                    coef: &mut [Self],
                    rows: usize,
                    sums: [&[Self]; B],
                ) {
                    const NV: usize = WIDE / LINE;
                    let tables = tables.map(|table| S::$view(table).0);
                    let sums = sums.map(|sums| S::$view(sums).0);
                    let coef = S::$view_mut(coef).0;
                    let mut row = 0;
                    while row < rows {
                        let eight = S::REGISTER_COUNT >= 32 && rows - row >= 8 && B * NV < 4;
                        for at in 0..LINE / S::$lanes {
                            let (coef, place) = ((&mut *coef, rows), (row, at));
                            if eight {
                                rings_backward::<S, 8, NV, B>(simd, tables, coef, place, sums);
                            } else {
                                rings_backward::<S, 4, NV, B>(simd, tables, coef, place, sums);
                            }
                        }
                        row += if eight { 8 } else { 4 };
                    }
                }

                #[inline(always)]
                fn doubles(numbers: &[Self]) -> Option<&[f64]> {
                    $doubles(numbers)
                }

                #[inline(always)]
                fn doubles_mut(numbers: &mut [Self]) -> Option<&mut [f64]> {
                    $doubles(numbers)
                }

                #[inline(always)]
                fn line_sums<S: Simd>(simd: S, lines: &[Self], out: &mut [Self]) {
                    let width = LINE / S::$lanes;
                    let lines = S::$view(lines).0.chunks_exact(width);
                    for (out, line) in out.iter_mut().zip(lines) {
                        let mut sum = line[0];
                        for &register in &line[1..] {
                            sum = simd.$add(sum, register);
                        }
                        *out = simd.$reduce(sum);
                    }
                }

                #[inline(always)]
                fn combine<S: Simd, const N: usize>(
                    simd: S,
                    out: &mut [Self],
                    terms: [(Self, &[Self]); N],
                ) {
                    combination::<S, N, false>(simd, out, terms);
                }

                #[inline(always)]
                fn mix<S: Simd>(
                    simd: S,
                    [first, second]: [&mut [Self]; 2],
                    [x, y]: [&[Self]; 2],
                    [[a, b], [c, d]]: [[Self; 2]; 2],
                ) {
                    let whole = S::$view(first).0.len();
                    if whole * S::$lanes < first.len() {
                        Self::combine(simd, first, [(a, x), (b, y)]);
                        Self::combine(simd, second, [(c, x), (d, y)]);
                        return;
                    }
                    let firsts = S::$view_mut(first).0;
                    let seconds = &mut S::$view_mut(second).0[..whole];
                    let (xs, ys) = (&S::$view(x).0[..whole], &S::$view(y).0[..whole]);
                    let (a, b) = (simd.$splat(a), simd.$splat(b));
                    let (c, d) = (simd.$splat(c), simd.$splat(d));
                    for (i, (first, second)) in firsts.iter_mut().zip(seconds).enumerate() {
                        *first = simd.$fma(b, ys[i], simd.$mul(a, xs[i]));
                        *second = simd.$fma(d, ys[i], simd.$mul(c, xs[i]));
                    }
                }

                #[inline(always)]
                fn accumulate<S: Simd, const N: usize>(
                    simd: S,
                    out: &mut [Self],
                    terms: [(Self, &[Self]); N],
                ) {
                    combination::<S, N, true>(simd, out, terms);
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
    mul_add_e_f64s,
    mul_f64s,
    add_f64s,
    reduce_sum_f64s,
    Some
);
shared_kernels!(
    f32,
    single,
    f32s,
    F32_LANES,
    as_simd_f32s,
    as_mut_simd_f32s,
    splat_f32s,
    mul_add_e_f32s,
    mul_f32s,
    add_f32s,
    reduce_sum_f32s,
    none
);

#[cfg(test)]
mod tests {
    use super::*;
    use pulp::{Arch, WithSimd};

    fn numbers(len: usize, seed: usize) -> Vec<f64> {
        (0..len).map(|i| ((i + seed) * 2_654_435_761 % 1013) as f64 / 506.5 - 1.0).collect()
    }

    fn worst(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).fold(0.0, |worst: f64, (a, b)| worst.max((a - b).abs()))
    }

    /// Numbers are at most 1 and sums have at most 36 terms: so many roundings of at most 36.
    const BOUND: f64 = 36.0 * 36.0 * f64::EPSILON;

    /// Combinations of rows of this length.
    struct Combined(usize);

    impl WithSimd for Combined {
        type Output = ();

        fn with_simd<S: Simd>(self, simd: S) {
            let len = self.0;
            let rows = [1, 2, 3].map(|seed| numbers(len, 100 * seed));
            let terms = [(0.5, &rows[0][..]), (-0.25, &rows[1]), (0.75, &rows[2])];
            let literal = |i: usize| 0.5 * rows[0][i] - 0.25 * rows[1][i] + 0.75 * rows[2][i];
            let before = numbers(len, 7);
            let (mut set, mut added) = (before.clone(), before.clone());
            f64::combine(simd, &mut set, terms);
            f64::accumulate(simd, &mut added, terms);
            let expected: Vec<_> = (0..len).map(literal).collect();
            let more: Vec<_> = (0..len).map(|i| before[i] + literal(i)).collect();
            assert!(worst(&set, &expected) <= BOUND && worst(&added, &more) <= BOUND, "{len}");
            let (mut one, mut two) = (before.clone(), before.clone());
            let outs = [&mut one[..], &mut two[..]];
            f64::mix(simd, outs, [&rows[0], &rows[1]], [[0.5, -0.25], [0.125, 0.75]]);
            let first: Vec<_> = (0..len).map(|i| 0.5 * rows[0][i] - 0.25 * rows[1][i]).collect();
            let second: Vec<_> = (0..len).map(|i| 0.125 * rows[0][i] + 0.75 * rows[1][i]).collect();
            assert!(worst(&one, &first) <= BOUND && worst(&two, &second) <= BOUND, "{len}");
            // Must fail: a factor off by 1e-4.
            f64::combine(simd, &mut set, [(0.5001, terms[0].1), terms[1], terms[2]]);
            assert!(worst(&set, &expected) > BOUND, "{len}");
        }
    }

    #[test]
    fn combinations_are_the_literal_sums() {
        for len in [1, 2, 3, 4, 6, 8, 10, 16, 20, 40] {
            Arch::new().dispatch(Combined(len));
            Arch::Scalar.dispatch(Combined(len));
        }
    }

    /// Coefficients of four or eight rows from two blocks of rings.
    struct Turned(usize);

    impl WithSimd for Turned {
        type Output = ();

        fn with_simd<S: Simd>(self, simd: S) {
            const LINE: usize = 8;
            let (rows, len) = (self.0, 5);
            let tables = [1, 2].map(|seed| numbers(len * WIDE, 100 * seed));
            let sums = [3, 4].map(|seed| numbers(rows * WIDE, 100 * seed));
            let found = |tables: [&[f64]; 2]| {
                let (mut lines, mut out) = (vec![0.0; len * rows * LINE], vec![0.0; len * rows]);
                f64::rings_adjoint(simd, tables, &mut lines, rows, [&sums[0], &sums[1]]);
                f64::line_sums(simd, &lines, &mut out);
                out
            };
            let literal = |i: usize| -> f64 {
                let (k, row) = (i / rows, i % rows);
                let rings = (0..2 * WIDE).map(|ring| (ring / WIDE, ring % WIDE));
                rings.map(|(b, r)| tables[b][k * WIDE + r] * sums[b][row * WIDE + r]).sum()
            };
            let expected: Vec<_> = (0..len * rows).map(literal).collect();
            assert!(worst(&found([&tables[0], &tables[1]]), &expected) <= BOUND, "{rows}");
            // Must fail: one value off by 1e-4.
            let mut other = tables[1].clone();
            other[WIDE] += 1e-4;
            assert!(worst(&found([&tables[0], &other]), &expected) > BOUND, "{rows}");
        }
    }

    #[test]
    fn two_blocks_of_rings_add_what_each_adds() {
        for rows in [4, 8, 12] {
            Arch::new().dispatch(Turned(rows));
        }
    }
}
