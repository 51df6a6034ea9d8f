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

/// What the degrees give to every order.
#[derive(Debug)]
pub(crate) struct Degrees {
    spin: usize,
    lmax: usize,
    /// 1/(4ℓ² − 1).
    inverse: Vec<f64>,
    /// Of spin 2: what is multiplied by roots, or by 3m² − ℓ(ℓ + 1), or by m and a root.
    taps: Vec<[f64; 5]>,
}

impl Degrees {
    /// For spin 0 or 2 and degrees up to `lmax`.
    pub(crate) fn new(spin: usize, lmax: usize) -> Self {
        let inverse = (0..=lmax + spin + 4).map(|l| {
            let l = l as f64;
            1.0 / ((2.0 * l - 1.0) * (2.0 * l + 1.0))
        });
        let taps = (0..=if spin == 2 { lmax } else { 0 }).map(|l| {
            if l < 2 {
                return [0.0; 5];
            }
            let l = l as f64;
            let h = -2.0 / ((l + 2.0) * (l + 1.0) * l * (l - 1.0)).sqrt();
            [
                h * 0.5 * l * (l - 1.0),
                h * (l - 1.0) * (l + 2.0) / ((2.0 * l - 1.0) * (2.0 * l + 3.0)),
                h * 0.5 * (l + 1.0) * (l + 2.0),
                -h * (l - 1.0),
                h * (l + 2.0),
            ]
        });
        Self { spin, lmax, inverse: inverse.collect(), taps: taps.collect() }
    }
}

/// Everything of one order that no ring changes.
#[derive(Debug, Default)]
pub(crate) struct Order<T> {
    m: usize,
    /// A_k + B_k and A_k.
    pub(crate) climb: Vec<[f64; 2]>,
    /// α_k ε_{ℓ+1}, α_k ε_{ℓ+2}, α_k.
    fold: Vec<[T; 3]>,
    /// Of degrees max(m, 2)..=lmax: sin²θ W onto ℓ + 2, ℓ, ℓ − 2, sin²θ X onto ℓ + 1, ℓ − 1.
    spread: Vec<[T; 5]>,
    /// ε_ℓ from ℓ = m on.
    roots: Vec<f64>,
}

impl<T: Sample> Order<T> {
    /// Refills for order `m`.
    #[inline(always)]
    pub(crate) fn fill(&mut self, m: usize, degrees: &Degrees) {
        self.m = m;
        let top = degrees.lmax + degrees.spin;
        let square = (m * m) as f64;
        self.roots.clear();
        self.roots.resize(top + 5 - m, 0.0);
        let inverse = &degrees.inverse[m..top + 5];
        for (i, (root, inverse)) in self.roots.iter_mut().zip(inverse).enumerate() {
            let l = (m + i) as f64;
            *root = ((l * l - square) * inverse).sqrt();
        }
        self.climb.clear();
        self.fold.clear();
        let mut alpha = 1.0 / self.roots[1];
        for k in 0..sequence_len(m, top) {
            let [_, e1, e2, e3] = self.roots[2 * k..][..4] else { unreachable!("four roots") };
            let sign = if k % 2 == 0 { 1.0 } else { -1.0 };
            let a = sign * alpha * alpha;
            self.climb.push([a * (1.0 - e2 * e2 - e1 * e1), a]);
            self.fold.push([alpha * e1, alpha * e2, alpha].map(T::narrow));
            alpha = sign / (e2 * e3 * alpha);
        }
        self.spread.clear();
        if degrees.spin == 2 {
            let root = |l: usize| if l > m { self.roots[l - m] } else { 0.0 };
            self.spread.extend((m.max(2)..=degrees.lmax).map(|l| {
                let [up, middle, down, x_up, x_down] = degrees.taps[l];
                let (next, own, lf, mf) = (root(l + 1), root(l), l as f64, m as f64);
                let taps = [
                    up * next * root(l + 2),
                    middle * (3.0 * square - lf * (lf + 1.0)),
                    down * own * root(l - 1),
                    x_up * mf * next,
                    x_down * mf * own,
                ];
                taps.map(T::narrow)
            }));
        }
    }

    /// Length of the sequence.
    pub(crate) fn len(&self) -> usize {
        self.climb.len()
    }

    /// Coefficients of λ_ℓ, ℓ = m.., from rows of (E, B) and their twins (iB, −iE).
    ///
    /// Rows have `lanes` numbers; `out` two rows more than degrees, which stay zero.
    #[inline(always)]
    pub(crate) fn spread(&self, coef: &[T], twin: &[T], lanes: usize, out: &mut [T]) {
        let base = self.m.max(2) - self.m;
        out[..(self.spread.len() + base + 4) * lanes].fill(T::zero());
        for (at, taps) in self.spread.iter().enumerate() {
            let (row, turned) = (&coef[at * lanes..][..lanes], &twin[at * lanes..][..lanes]);
            let l = base + at;
            add(&mut out[(l + 2) * lanes..], taps[0], row);
            add(&mut out[l * lanes..], taps[1], row);
            add(&mut out[(l + 1) * lanes..], taps[3], turned);
            if l >= 1 {
                add(&mut out[(l - 1) * lanes..], taps[4], turned);
            }
            if l >= 2 {
                add(&mut out[(l - 2) * lanes..], taps[2], row);
            }
        }
    }

    /// The transpose of [`Order::spread`], added to `coef` and `twin`.
    #[inline(always)]
    pub(crate) fn gather(&self, spread: &[T], lanes: usize, coef: &mut [T], twin: &mut [T]) {
        let base = self.m.max(2) - self.m;
        for (at, taps) in self.spread.iter().enumerate() {
            let row = &mut coef[at * lanes..][..lanes];
            let turned = &mut twin[at * lanes..][..lanes];
            let l = base + at;
            add(row, taps[0], &spread[(l + 2) * lanes..][..lanes]);
            add(row, taps[1], &spread[l * lanes..][..lanes]);
            add(turned, taps[3], &spread[(l + 1) * lanes..][..lanes]);
            if l >= 1 {
                add(turned, taps[4], &spread[(l - 1) * lanes..][..lanes]);
            }
            if l >= 2 {
                add(row, taps[2], &spread[(l - 2) * lanes..][..lanes]);
            }
        }
    }

    /// Coefficients of u_k and cos θ u_k, `[k][2][kept]`, from those of λ_ℓ.
    ///
    /// Rows of `lambda` have `lanes` numbers, of which `kept` go on; two more than
    /// degrees exist, and are zero.
    #[inline(always)]
    pub(crate) fn fold(&self, lambda: &[T], lanes: usize, kept: usize, out: &mut [T]) {
        for ((k, taps), out) in self.fold.iter().enumerate().zip(out.chunks_exact_mut(2 * kept)) {
            let (even, odd) = out.split_at_mut(kept);
            let here = &lambda[2 * k * lanes..][..kept];
            let next = &lambda[(2 * k + 1) * lanes..][..kept];
            let after = &lambda[(2 * k + 2) * lanes..][..kept];
            for i in 0..kept {
                even[i] = taps[0].fused(here[i], taps[1] * after[i]);
                odd[i] = taps[2] * next[i];
            }
        }
    }

    /// The transpose of [`Order::fold`].
    #[inline(always)]
    pub(crate) fn unfold(&self, folded: &[T], lanes: usize, kept: usize, lambda: &mut [T]) {
        let mut before: Option<(T, &[T])> = None;
        let rows = folded.chunks_exact(2 * kept);
        for ((taps, row), out) in self.fold.iter().zip(rows).zip(lambda.chunks_mut(2 * lanes)) {
            let (even, odd) = row.split_at(kept);
            for i in 0..kept {
                out[i] = taps[0] * even[i];
            }
            if let Some((factor, before)) = before {
                add(out, factor, before);
            }
            if out.len() > lanes {
                for i in 0..kept {
                    out[lanes + i] = taps[2] * odd[i];
                }
            }
            before = Some((taps[1], even));
        }
    }
}

/// Numbers u_k of order `m` for degrees up to `top`.
pub(crate) fn sequence_len(m: usize, top: usize) -> usize {
    (top - m) / 2 + 1
}

/// `out += factor · row`.
#[inline(always)]
fn add<T: Sample>(out: &mut [T], factor: T, row: &[T]) {
    for (out, &value) in out.iter_mut().zip(row) {
        *out = factor.fused(value, *out);
    }
}
