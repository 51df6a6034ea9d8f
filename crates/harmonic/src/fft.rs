//! Fourier transforms of several signals at once, one a lane.
//!
//! Stockham's form: each pass takes one factor of the length and writes its sums where the
//! next pass reads them, so that nothing is permuted (Van Loan 1992, Computational
//! Frameworks for the Fast Fourier Transform, §1.7).

use crate::abreast::Abreast;
use crate::sample::Sample;
use std::f64::consts::TAU;

/// Real and imaginary parts of one complex number a signal.
pub(crate) type Bin<R> = [R; 2];

/// Largest prime factor of a length. Sums over a prime take its square of operations.
const LARGEST: usize = 31;

/// Z_k = Σ_j z_j e^{−2πijk/n}, for n without large prime factors.
pub(crate) struct LaneFft<T> {
    passes: Vec<Pass<T>>,
}

/// One factor p of the length n = blocks·p·run.
struct Pass<T> {
    factor: usize,
    blocks: usize,
    run: usize,
    /// e^{−2πi·r·i/(p·run)}, `[r − 1][i]`.
    turns: Vec<(T, T)>,
    /// cos and sin of 2πk/p.
    roots: Vec<(T, T)>,
}

/// (cos, sin) of a fraction of a turn.
fn turn<T: Sample>(part: usize, of: usize) -> (T, T) {
    let (sin, cos) = (TAU * (part % of) as f64 / of as f64).sin_cos();
    (T::narrow(cos), T::narrow(sin))
}

impl<T: Sample> Pass<T> {
    fn new(factor: usize, blocks: usize, run: usize) -> Self {
        let span = factor * run;
        let turns = (1..factor).flat_map(|r| {
            (0..run).map(move |i| {
                let (cos, sin) = turn::<T>(r * i, span);
                (cos, -sin)
            })
        });
        let roots = (0..factor).map(|k| turn(k, factor)).collect();
        Self { factor, blocks, run, turns: turns.collect(), roots }
    }

    #[inline(always)]
    fn apply<A: Abreast<T>>(&self, on: A, from: &[Bin<A::Row>], to: &mut [Bin<A::Row>]) {
        match self.factor {
            2 => self.each(on, from, to, |values| butterfly2(on, values)),
            4 => self.each(on, from, to, |values| butterfly4(on, values)),
            _ => self.odd(on, from, to),
        }
    }

    /// All sums of a small factor.
    #[inline(always)]
    fn each<A: Abreast<T>, const P: usize>(
        &self,
        on: A,
        from: &[Bin<A::Row>],
        to: &mut [Bin<A::Row>],
        butterfly: impl Fn([Bin<A::Row>; P]) -> [Bin<A::Row>; P],
    ) {
        let Self { blocks, run, .. } = *self;
        let zero = [on.zero(); 2];
        for block in 0..blocks {
            let from = &from[block * P * run..][..P * run];
            for i in 0..run {
                let mut values = [zero; P];
                for (q, value) in values.iter_mut().enumerate() {
                    *value = from[q * run + i];
                }
                let sums = butterfly(values);
                to[block * run + i] = sums[0];
                for r in 1..P {
                    let turned = turned(on, sums[r], self.turns[(r - 1) * run + i]);
                    to[(r * blocks + block) * run + i] = turned;
                }
            }
        }
    }

    /// All sums of an odd prime p: those of r and p − r share their halves,
    /// Σ_q cos(2πqr/p)(z_q + z_{p−q}) and Σ_q sin(2πqr/p)(z_q − z_{p−q}).
    #[inline(always)]
    fn odd<A: Abreast<T>>(&self, on: A, from: &[Bin<A::Row>], to: &mut [Bin<A::Row>]) {
        let Self { factor: p, blocks, run, .. } = *self;
        let half = p / 2;
        let zero = [on.zero(); 2];
        let (mut even, mut odd) = ([zero; LARGEST / 2 + 1], [zero; LARGEST / 2 + 1]);
        for block in 0..blocks {
            let from = &from[block * p * run..][..p * run];
            for i in 0..run {
                even[0] = from[i];
                let mut total = from[i];
                for q in 1..=half {
                    let (a, b) = (from[q * run + i], from[(p - q) * run + i]);
                    (even[q], odd[q]) = (sum(on, a, b), difference(on, a, b));
                    total = sum(on, total, even[q]);
                }
                to[block * run + i] = total;
                for r in 1..=half {
                    let (mut c, mut s) = (even[0], zero);
                    let mut root = 0;
                    for (even, odd) in even[1..=half].iter().zip(&odd[1..=half]) {
                        root += r;
                        root -= if root >= p { p } else { 0 };
                        let (cos, sin) = self.roots[root];
                        for part in 0..2 {
                            c[part] = on.fused(cos, even[part], c[part]);
                            s[part] = on.fused(sin, odd[part], s[part]);
                        }
                    }
                    let (minus, plus) = (minus_i(on, c, s), plus_i(on, c, s));
                    let turns = [self.turns[(r - 1) * run + i], self.turns[(p - r - 1) * run + i]];
                    to[(r * blocks + block) * run + i] = turned(on, minus, turns[0]);
                    to[((p - r) * blocks + block) * run + i] = turned(on, plus, turns[1]);
                }
            }
        }
    }
}

impl<T: Sample> LaneFft<T> {
    /// A plan for this length, unless it has a large prime factor.
    pub(crate) fn new(n: usize) -> Option<Self> {
        let (mut left, mut blocks, mut passes) = (n, 1, Vec::new());
        for factor in [4, 2].into_iter().chain((3..=LARGEST).step_by(2)) {
            while left % factor == 0 {
                left /= factor;
                passes.push(Pass::new(factor, blocks, left));
                blocks *= factor;
            }
        }
        (left == 1).then_some(Self { passes })
    }

    /// Transforms `bins`, with `spare` of the same length, and returns which of the two
    /// holds the outcome.
    #[inline(always)]
    pub(crate) fn forward<'a, A: Abreast<T>>(
        &self,
        on: A,
        bins: &'a mut [Bin<A::Row>],
        spare: &'a mut [Bin<A::Row>],
    ) -> &'a mut [Bin<A::Row>] {
        let (mut from, mut to) = (bins, spare);
        for pass in &self.passes {
            pass.apply(on, from, to);
            std::mem::swap(&mut from, &mut to);
        }
        from
    }
}

#[inline(always)]
fn sum<T, A: Abreast<T>>(on: A, a: Bin<A::Row>, b: Bin<A::Row>) -> Bin<A::Row> {
    [on.add(a[0], b[0]), on.add(a[1], b[1])]
}

#[inline(always)]
fn difference<T, A: Abreast<T>>(on: A, a: Bin<A::Row>, b: Bin<A::Row>) -> Bin<A::Row> {
    [on.sub(a[0], b[0]), on.sub(a[1], b[1])]
}

/// a − ib.
#[inline(always)]
fn minus_i<T, A: Abreast<T>>(on: A, a: Bin<A::Row>, b: Bin<A::Row>) -> Bin<A::Row> {
    [on.add(a[0], b[1]), on.sub(a[1], b[0])]
}

/// a + ib.
#[inline(always)]
fn plus_i<T, A: Abreast<T>>(on: A, a: Bin<A::Row>, b: Bin<A::Row>) -> Bin<A::Row> {
    [on.sub(a[0], b[1]), on.add(a[1], b[0])]
}

/// a(cos + i·sin).
#[inline(always)]
pub(crate) fn turned<T: Sample, A: Abreast<T>>(
    on: A,
    [re, im]: Bin<A::Row>,
    (cos, sin): (T, T),
) -> Bin<A::Row> {
    [on.fused(cos, re, on.times(-sin, im)), on.fused(sin, re, on.times(cos, im))]
}

#[inline(always)]
fn butterfly2<T, A: Abreast<T>>(on: A, [a, b]: [Bin<A::Row>; 2]) -> [Bin<A::Row>; 2] {
    [sum(on, a, b), difference(on, a, b)]
}

#[inline(always)]
fn butterfly4<T, A: Abreast<T>>(on: A, [a, b, c, d]: [Bin<A::Row>; 4]) -> [Bin<A::Row>; 4] {
    let (even, odd) = (sum(on, a, c), sum(on, b, d));
    let (even_less, odd_less) = (difference(on, a, c), difference(on, b, d));
    [
        sum(on, even, odd),
        minus_i(on, even_less, odd_less),
        difference(on, even, odd),
        plus_i(on, even_less, odd_less),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abreast::{Arrays, Registers};
    use pulp::{Arch, Simd, WithSimd};

    /// The sum that defines it.
    fn literal<const W: usize>(z: &[Bin<[f64; W]>], k: usize, lane: usize) -> [f64; 2] {
        let n = z.len();
        z.iter().enumerate().fold([0.0; 2], |[re, im], (j, z)| {
            let (cos, sin) = turn::<f64>(j * k, n);
            let (x, y) = (z[0][lane], z[1][lane]);
            [re + x * cos + y * sin, im + y * cos - x * sin]
        })
    }

    fn number(i: usize) -> f64 {
        ((i * 2_654_435_761) % 1013) as f64 / 506.5 - 1.0
    }

    /// Compares one length with the literal sums.
    fn check<const W: usize>(fft: &LaneFft<f64>, z: &[Bin<[f64; W]>], found: &[Bin<[f64; W]>]) {
        let n = z.len();
        // Numbers are at most 1, so that what is summed without signs is at most 2n. The
        // literal sum rounds n + 3 times on the way to its end, a pass p + 6 times.
        let roundings: usize = fft.passes.iter().map(|pass| pass.factor + 6).sum();
        let bound = (n + 3 + roundings) as f64 * f64::EPSILON * (2 * n) as f64;
        for (k, [re, im]) in found.iter().enumerate() {
            for (lane, (re, im)) in re.iter().zip(im).enumerate() {
                let expected = literal(z, k, lane);
                let error = (re - expected[0]).abs().max((im - expected[1]).abs());
                assert!(error <= bound, "{n}: bin {k}, lane {lane}: {error:e}");
            }
        }
        // Must fail: a neighbouring bin.
        let [re, _] = literal(z, 1, 0);
        assert!((found[0][0][0] - re).abs() > 1e3 * bound, "{n}");
    }

    /// As many of eight lanes as are in a register.
    struct InRegisters<'a>(&'a LaneFft<f64>, &'a [Bin<[f64; 8]>]);

    impl WithSimd for InRegisters<'_> {
        type Output = ();

        fn with_simd<S: Simd>(self, simd: S) {
            let Self(fft, z) = self;
            let on = Registers(simd);
            let zero = [Abreast::<f64>::zero(on); 2];
            let (mut bins, mut spare) = (vec![zero; z.len()], vec![zero; z.len()]);
            for (bin, z) in bins.iter_mut().zip(z) {
                *bin = [on.load(&z[0]), on.load(&z[1])];
            }
            let mut found = z.to_vec();
            for (found, bin) in found.iter_mut().zip(fft.forward(on, &mut bins, &mut spare)) {
                on.store(&mut found[0], bin[0]);
                on.store(&mut found[1], bin[1]);
            }
            // Lanes beyond the register were not transformed.
            for (k, [re, im]) in found.iter_mut().enumerate() {
                let lanes = re.iter_mut().zip(im).enumerate().skip(S::F64_LANES);
                for (lane, (re, im)) in lanes {
                    [*re, *im] = literal(z, k, lane);
                }
            }
            check(fft, z, &found);
        }
    }

    #[test]
    fn every_lane_is_the_literal_sum() {
        let (mut planned, mut left) = (0, 0);
        for n in (1..=48).map(|quarter| 4 * quarter).chain([2, 9, 31, 961]) {
            let Some(fft) = LaneFft::<f64>::new(n) else {
                left += 1;
                continue;
            };
            planned += 1;
            let bin = |j: usize| {
                [0, 1].map(|part| std::array::from_fn(|lane| number(16 * j + 8 * part + lane)))
            };
            let z: Vec<Bin<[f64; 8]>> = (0..n).map(bin).collect();
            let (mut bins, mut spare) = (z.clone(), z.clone());
            check(&fft, &z, fft.forward(Arrays::<8>, &mut bins, &mut spare));
            Arch::new().dispatch(InRegisters(&fft, &z));
        }
        assert_eq!((planned, left), (48, 4), "4 times 37, 41, 43 and 47 have a large factor");
    }
}
