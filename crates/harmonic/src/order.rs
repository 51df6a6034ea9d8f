//! One sequence u_k per order, and what turns coefficients into its own.
//!
//! With ℓ = m + 2k, spin-0 functions are λ_ℓ = ε_{ℓ+1} α_k u_k + ε_ℓ α_{k−1} u_{k−1} and
//! λ_{ℓ+1} = cos θ α_k u_k, where u_{k+1} = (A_k cos²θ + B_k) u_k + u_{k−1} (Ishioka 2018).
//! Half as many numbers as degrees serve both hemispheres.
//!
//! Spin 2 follows from sin²θ W_ℓ, a sum of λ_{ℓ−2}, λ_ℓ, λ_{ℓ+2}, and sin²θ X_ℓ, one of
//! λ_{ℓ−1}, λ_{ℓ+1}: sin²θ (Q, U) are two spin-0 fields. The division by sin²θ amplifies
//! rounding, so rings near the poles do not come here.

use crate::sample::Sample;
use pulp::Simd;

/// What the degrees give to every order.
#[derive(Debug)]
pub(crate) struct Degrees {
    spin: usize,
    lmax: usize,
    /// 1/(4ℓ² − 1).
    inverse: Vec<f64>,
    /// Of spin 2, by kind of tap: what is multiplied by roots, or by 3m² − ℓ(ℓ + 1), or by m
    /// and a root.
    taps: [Vec<f64>; TAPS],
    /// α_k of all orders, which follow from each other by divisions, one order after the other.
    alphas: Vec<f64>,
    /// Where those of an order begin.
    starts: Vec<usize>,
}

/// Kinds of taps: sin²θ W onto ℓ + 2, ℓ, ℓ − 2, sin²θ X onto ℓ + 1, ℓ − 1.
const TAPS: usize = 5;

/// Rows of zeros before the coefficients of spin 2.
pub(crate) const BEFORE: usize = 2;

/// Rows of zeros after them.
pub(crate) const AFTER: usize = 4;

impl Degrees {
    /// For spin 0 or 2, degrees up to `lmax` and orders up to `mmax`.
    pub(crate) fn new(spin: usize, lmax: usize, mmax: usize) -> Self {
        let inverse = (0..=lmax + spin + 4).map(|l| {
            let l = l as f64;
            1.0 / ((2.0 * l - 1.0) * (2.0 * l + 1.0))
        });
        let taps = std::array::from_fn(|kind| {
            let degrees = 0..=if spin == 2 { lmax } else { 0 };
            degrees.map(|l| if l < 2 { 0.0 } else { tap(l as f64)[kind] }).collect()
        });
        let (alphas, starts) = (Vec::new(), Vec::new());
        let mut degrees = Self { spin, lmax, inverse: inverse.collect(), taps, alphas, starts };
        let mut roots = Vec::new();
        for m in 0..=mmax {
            degrees.roots(m, &mut roots);
            degrees.starts.push(degrees.alphas.len());
            let mut alpha = 1.0 / roots[2];
            for k in 0..sequence_len(m, lmax + spin) {
                degrees.alphas.push(alpha);
                let sign = if k % 2 == 0 { 1.0 } else { -1.0 };
                alpha = sign / (roots[2 * k + 3] * roots[2 * k + 4] * alpha);
            }
        }
        degrees
    }

    /// ε_ℓ of order `m` from ℓ = m − 1 on, the first two being zero.
    #[inline(always)]
    fn roots(&self, m: usize, roots: &mut Vec<f64>) {
        let top = self.lmax + self.spin;
        roots.resize(top + 6 - m, 0.0);
        let square = (m * m) as f64;
        let inverse = &self.inverse[m..top + 5];
        for (i, (root, inverse)) in roots[1..].iter_mut().zip(inverse).enumerate() {
            let l = (m + i) as f64;
            *root = ((l * l - square) * inverse).sqrt();
        }
    }
}

/// The taps of a degree, ℓ ≥ 2.
fn tap(l: f64) -> [f64; TAPS] {
    let h = -2.0 / ((l + 2.0) * (l + 1.0) * l * (l - 1.0)).sqrt();
    [
        h * 0.5 * l * (l - 1.0),
        h * (l - 1.0) * (l + 2.0) / ((2.0 * l - 1.0) * (2.0 * l + 3.0)),
        h * 0.5 * (l + 1.0) * (l + 2.0),
        -h * (l - 1.0),
        h * (l + 2.0),
    ]
}

/// Everything of one order that no ring changes.
#[derive(Debug, Default)]
pub(crate) struct Order<T> {
    /// A_k + B_k and A_k.
    pub(crate) climb: Vec<[f64; 2]>,
    /// α_k ε_{ℓ+1}, α_k ε_{ℓ+2}, α_k.
    fold: Vec<[T; 3]>,
    /// Degrees m..=lmax.
    degrees: usize,
    /// Of degrees m − 2..=lmax + 4, by kind; zero beyond 2 and lmax.
    spread: [Vec<T>; TAPS],
    roots: Vec<f64>,
}

impl<T: Sample> Order<T> {
    /// Refills for order `m`.
    #[inline(always)]
    pub(crate) fn fill(&mut self, m: usize, degrees: &Degrees) {
        let len = sequence_len(m, degrees.lmax + degrees.spin);
        degrees.roots(m, &mut self.roots);
        self.climb.resize(len, [0.0; 2]);
        self.fold.resize(len, [T::zero(); 3]);
        let roots = &self.roots[2..][..2 * len];
        let alphas = &degrees.alphas[degrees.starts[m]..][..len];
        let rows = self.climb.iter_mut().zip(&mut self.fold);
        let values = alphas.iter().zip(roots.chunks_exact(2)).enumerate();
        for ((climb, fold), (k, (&alpha, roots))) in rows.zip(values) {
            let (e1, e2) = (roots[0], roots[1]);
            let square = alpha * alpha;
            let a = if k % 2 == 0 { square } else { -square };
            *climb = [a * (1.0 - e2 * e2 - e1 * e1), a];
            *fold = [alpha * e1, alpha * e2, alpha].map(T::narrow);
        }
        self.degrees = degrees.lmax + 1 - m;
        if degrees.spin == 2 {
            self.fill_spread(m, degrees);
        }
    }

    #[inline(always)]
    fn fill_spread(&mut self, m: usize, degrees: &Degrees) {
        let len = self.degrees;
        for kind in &mut self.spread {
            kind.clear();
            kind.resize(BEFORE + len + AFTER, T::zero());
        }
        let [up, middle, down, x_up, x_down] =
            self.spread.each_mut().map(|kind| &mut kind[BEFORE..][..len]);
        let taps = degrees.taps.each_ref().map(|kind| &kind[m..][..len]);
        // ε_{ℓ−1}, ε_ℓ, ε_{ℓ+1}, ε_{ℓ+2}.
        let [before, own, next, after] = [0, 1, 2, 3].map(|shift| &self.roots[shift..][..len]);
        let (mf, square) = (m as f64, (m * m) as f64);
        for i in 0..len {
            let l = (m + i) as f64;
            up[i] = T::narrow(taps[0][i] * next[i] * after[i]);
            middle[i] = T::narrow(taps[1][i] * (3.0 * square - l * (l + 1.0)));
            down[i] = T::narrow(taps[2][i] * own[i] * before[i]);
            x_up[i] = T::narrow(taps[3][i] * mf * next[i]);
            x_down[i] = T::narrow(taps[4][i] * mf * own[i]);
        }
    }

    /// Length of the sequence.
    pub(crate) fn len(&self) -> usize {
        self.climb.len()
    }

    /// Coefficients of λ_ℓ, ℓ = m.., from rows of (E, B) and their twins (iB, −iE).
    ///
    /// Rows have `lanes` numbers, of which `kept` go on; [`BEFORE`] and [`AFTER`] rows around
    /// those of degrees m..=lmax are zero.
    #[inline(always)]
    pub(crate) fn spread<S: Simd>(
        &self,
        simd: S,
        (coef, twin): (&[T], &[T]),
        (lanes, kept): (usize, usize),
        out: &mut [T],
    ) {
        let [up, middle, down, x_up, x_down] = &self.spread;
        let rows = out.chunks_exact_mut(kept).take(self.degrees + 2);
        for (l, out) in rows.enumerate() {
            let coef = &coef[l * lanes..][..5 * lanes];
            let twin = &twin[l * lanes..][..5 * lanes];
            let terms = [
                (up[l], coef),
                (middle[l + 2], &coef[2 * lanes..]),
                (down[l + 4], &coef[4 * lanes..]),
                (x_up[l + 1], &twin[lanes..]),
                (x_down[l + 3], &twin[3 * lanes..]),
            ];
            T::combine(simd, out, terms);
        }
    }

    /// The transpose of [`Order::spread`], added to `coef` and `twin`; two rows of
    /// `spread` before those of the degrees are zero.
    #[inline(always)]
    pub(crate) fn gather<S: Simd>(
        &self,
        simd: S,
        spread: &[T],
        (lanes, kept): (usize, usize),
        (coef, twin): (&mut [T], &mut [T]),
    ) {
        let [up, middle, down, x_up, x_down] =
            self.spread.each_ref().map(|kind| &kind[BEFORE..][..self.degrees]);
        let coef = coef[BEFORE * lanes..].chunks_exact_mut(lanes);
        let twin = twin[BEFORE * lanes..].chunks_exact_mut(lanes);
        for (l, (coef, twin)) in coef.zip(twin).take(self.degrees).enumerate() {
            let spread = &spread[l * kept..][..5 * kept];
            let terms =
                [(down[l], spread), (middle[l], &spread[2 * kept..]), (up[l], &spread[4 * kept..])];
            T::accumulate(simd, &mut coef[..kept], terms);
            let terms = [(x_down[l], &spread[kept..]), (x_up[l], &spread[3 * kept..])];
            T::accumulate(simd, &mut twin[..kept], terms);
        }
    }

    /// Coefficients of u_k and cos θ u_k, `[k][2][kept]`, from those of λ_ℓ.
    ///
    /// Rows of `lambda` have `row` numbers; those that it has not are zero.
    #[inline(always)]
    pub(crate) fn fold<S: Simd>(
        &self,
        simd: S,
        (lambda, row): (&[T], usize),
        kept: usize,
        out: &mut [T],
    ) {
        let rows = self.fold.iter().zip(out.chunks_exact_mut(2 * kept));
        for ((taps, out), k) in rows.zip(0..) {
            let (even, odd) = out.split_at_mut(kept);
            let (even, odd) = (&mut even[..row], &mut odd[..row]);
            let here = &lambda[2 * k * row..];
            if here.len() >= 3 * row {
                T::combine(simd, even, [(taps[0], here), (taps[1], &here[2 * row..])]);
            } else {
                T::combine(simd, even, [(taps[0], here)]);
            }
            if here.len() >= 2 * row {
                T::combine(simd, odd, [(taps[2], &here[row..])]);
            } else {
                odd.fill(T::zero());
            }
        }
    }

    /// The transpose of [`Order::fold`], times `weight`.
    #[inline(always)]
    pub(crate) fn unfold<S: Simd>(
        &self,
        simd: S,
        (folded, weight): (&[T], T),
        kept: usize,
        (lambda, row): (&mut [T], usize),
    ) {
        let mut before = (T::zero(), &folded[..kept]);
        let rows = folded.chunks_exact(2 * kept).zip(lambda.chunks_mut(2 * row));
        for (taps, (folded, out)) in self.fold.iter().zip(rows) {
            let (even, odd) = folded.split_at(kept);
            let taps = taps.map(|tap| tap * weight);
            let (here, next) = out.split_at_mut(row);
            T::combine(simd, here, [(taps[0], even), before]);
            if !next.is_empty() {
                T::combine(simd, next, [(taps[2], odd)]);
            }
            before = (taps[1], even);
        }
    }
}

/// Numbers u_k of order `m` for degrees up to `top`.
pub(crate) fn sequence_len(m: usize, top: usize) -> usize {
    (top - m) / 2 + 1
}
