//! Normalised Wigner functions by upward recurrence in the degree, eight rings at once.
//!
//! λ^±_ℓ = √((2ℓ+1)/4π) d^ℓ_{m,∓s}(θ). Starts are products of powers of sin θ that
//! underflow; every value is a mantissa times 2^{800·scale} with scale ≤ 0, and
//! counts as zero until its scale is 0.

use std::f64::consts::PI;

/// Rings worked on together.
pub(crate) const RINGS: usize = 8;

/// One number a ring.
pub(crate) type Eight = [f64; RINGS];

const SHRINK: f64 = f64::from_bits((1023 - 800) << 52); // 2^-800
const GROW: f64 = f64::from_bits((1023 + 800) << 52); // 2^800
const LARGE: f64 = f64::from_bits((1023 + 400) << 52); // 2^400
const SMALL: f64 = f64::from_bits((1023 - 400) << 52); // 2^-400

/// Colatitudes of eight northern rings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Colatitudes {
    /// 1 − cos θ, accurate near the pole.
    pub(crate) below_one: Eight,
    /// sin θ.
    pub(crate) sin: Eight,
}

/// Coefficients of the steps ℓ → ℓ + 1 at one order.
///
/// λ_{ℓ+1} = (α cos θ + β)λ_ℓ − γ λ_{ℓ−1}; kept as α + β, α − β, α, γ, since
/// α cos θ + β = (α + β) − α(1 − cos θ), and β changes sign between λ⁺ and λ⁻.
#[derive(Debug)]
pub(crate) struct Steps {
    m: usize,
    spin: usize,
    lmax: usize,
    /// What the degrees from the spin on give to α, β and γ of every order.
    degrees: [Vec<f64>; 3],
    /// C(2j, j)/4^j.
    central: Vec<f64>,
    /// √(ℓ² − m²) from the first degree on.
    roots: Vec<f64>,
    pub(crate) rows: Vec<[f64; 4]>,
}

impl Steps {
    /// For the steps of any order up to degree `lmax`.
    pub(crate) fn new(spin: usize, lmax: usize) -> Self {
        let sf = spin as f64;
        let own = |l: f64| ((l - sf) * (l + sf)).sqrt();
        let degrees = |part: fn(f64, f64, f64, f64) -> f64| {
            let of = |l: usize| {
                let l = l as f64;
                part(l, sf, own(l), own(l + 1.0))
            };
            (spin..=lmax).map(of).collect::<Vec<_>>()
        };
        let mut central = vec![1.0];
        for i in 1..=lmax.max(spin) {
            central.push(central[i - 1] * (2 * i - 1) as f64 / (2 * i) as f64);
        }
        Self {
            m: 0,
            spin,
            lmax,
            degrees: [degrees(alpha), degrees(beta), degrees(gamma)],
            central,
            roots: Vec::with_capacity(lmax + 2),
            rows: Vec::with_capacity(lmax + 1),
        }
    }

    /// Refills for order `m`, degrees max(m, s)..=lmax.
    pub(crate) fn fill(&mut self, m: usize) {
        let (first, square, mf) = (m.max(self.spin), (m * m) as f64, m as f64);
        self.m = m;
        let len = (self.lmax + 1).saturating_sub(first);
        self.roots.clear();
        self.roots.extend((first..first + len + 1).map(|l| {
            let l = l as f64;
            (l * l - square).sqrt()
        }));
        self.rows.clear();
        let at = (first - self.spin).min(self.degrees[0].len());
        let [alphas, betas, gammas] = self.degrees.each_ref().map(|of| &of[at..]);
        let roots = self.roots.iter().zip(&self.roots[1..]);
        let degrees = alphas.iter().zip(betas).zip(gammas);
        self.rows.extend(degrees.zip(roots).map(|(((alpha, beta), gamma), (root, next))| {
            let inverse = 1.0 / next;
            let (alpha, beta) = (alpha * inverse, mf * beta * inverse);
            [alpha + beta, alpha - beta, alpha, gamma * root * inverse]
        }));
    }
}

/// α √((ℓ+1)² − m²), from ℓ, s, √(ℓ² − s²) and √((ℓ+1)² − s²).
fn alpha(l: f64, _: f64, _: f64, next: f64) -> f64 {
    (l + 1.0) * ((2.0 * l + 1.0) * (2.0 * l + 3.0)).sqrt() / next
}

/// β √((ℓ+1)² − m²)/m; there is none at ℓ = 0.
fn beta(l: f64, spin: f64, own: f64, next: f64) -> f64 {
    if l == 0.0 { 0.0 } else { spin * alpha(l, spin, own, next) / (l * (l + 1.0)) }
}

/// γ √((ℓ+1)² − m²)/√(ℓ² − m²).
fn gamma(l: f64, _: f64, own: f64, next: f64) -> f64 {
    if l == 0.0 {
        return 0.0;
    }
    (l + 1.0) * own / (l * next) * ((2.0 * l + 3.0) / (2.0 * l - 1.0)).sqrt()
}

/// One sequence λ_ℓ on eight rings, at some degree.
#[derive(Clone, Copy, Debug)]
struct Walk {
    now: Eight,
    before: Eight,
    scale: Eight,
    plain: bool,
}

impl Walk {
    /// `factor` · √((2j+1)/4π) d^j_{j,q}, the start of a sequence.
    ///
    /// d^j_{j,q} = (−1)^{j−q} √(C(2j, j+q)/4^j) sin^{j−|q|}θ (1 ± cos θ)^{|q|}, + for q > 0.
    #[inline(never)]
    fn start(steps: &Steps, colatitudes: &Colatitudes, q: isize, factor: f64) -> Self {
        let j = steps.m.max(steps.spin);
        let size = q.unsigned_abs();
        let mut binomial = steps.central[j];
        for i in 1..=size {
            binomial *= (j + 1 - i) as f64 / (j + i) as f64;
        }
        let odd = (j as isize - q) % 2 != 0;
        let norm = factor
            * (binomial * (2 * j + 1) as f64 / (4.0 * PI)).sqrt()
            * if odd { -1.0 } else { 1.0 };
        let (mut now, mut scale) = scaled_power(&colatitudes.sin, j - size);
        for i in 0..RINGS {
            let t = colatitudes.below_one[i];
            let side = if q > 0 { 2.0 - t } else { t };
            for _ in 0..size {
                now[i] *= side;
            }
            now[i] *= norm;
            // The tail factors are no smaller than 2^-100: one correction suffices.
            if scale[i] < 0.0 && now[i].abs() > LARGE {
                now[i] *= SHRINK;
                scale[i] += 1.0;
            }
        }
        let plain = scale.iter().all(|&s| s == 0.0);
        Self { now, before: [0.0; RINGS], scale, plain }
    }

    /// Values that count at this degree.
    #[inline(always)]
    fn value(&self) -> Eight {
        if self.plain {
            return self.now;
        }
        std::array::from_fn(|i| if self.scale[i] == 0.0 { self.now[i] } else { 0.0 })
    }

    #[inline(never)]
    fn active(&self) -> bool {
        self.plain || self.scale.contains(&0.0)
    }

    #[inline(always)]
    fn step(&mut self, t: &Eight, sum: f64, alpha: f64, gamma: f64) {
        let mut next = [0.0; RINGS];
        for i in 0..RINGS {
            next[i] = (-alpha).mul_add(t[i], sum).mul_add(self.now[i], -gamma * self.before[i]);
        }
        self.before = self.now;
        self.now = next;
        if !self.plain {
            self.rescale();
        }
    }

    /// Moves mantissas that have grown back into range.
    #[inline(never)]
    fn rescale(&mut self) {
        let mut lowest = 0.0_f64;
        for i in 0..RINGS {
            if self.scale[i] < 0.0 && self.now[i].abs() > LARGE {
                self.now[i] *= SHRINK;
                self.before[i] *= SHRINK;
                self.scale[i] += 1.0;
            }
            lowest = lowest.min(self.scale[i]);
        }
        self.plain = lowest == 0.0;
    }
}

/// base^exponent as mantissa and scale, for 0 < base ≤ 1.
fn scaled_power(base: &Eight, mut exponent: usize) -> (Eight, Eight) {
    let (mut square, mut square_scale) = (*base, [0.0; RINGS]);
    let (mut power, mut power_scale) = ([1.0; RINGS], [0.0; RINGS]);
    while exponent > 0 {
        for i in 0..RINGS {
            if exponent & 1 == 1 {
                power[i] *= square[i];
                power_scale[i] += square_scale[i];
                if power[i] < SMALL {
                    power[i] *= GROW;
                    power_scale[i] -= 1.0;
                }
            }
            square[i] *= square[i];
            square_scale[i] += square_scale[i];
            if square[i] < SMALL {
                square[i] *= GROW;
                square_scale[i] -= 1.0;
            }
        }
        exponent >>= 1;
    }
    (power, power_scale)
}

/// The table rows of one order on eight rings, degree after degree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ladder {
    plus: Walk,
    minus: Walk,
    step: usize,
}

impl Ladder {
    /// At degree max(m, s).
    pub(crate) fn start(steps: &Steps, colatitudes: &Colatitudes) -> Self {
        let (m, s) = (steps.m, steps.spin);
        if s == 0 {
            let plus = Walk::start(steps, colatitudes, 0, 1.0);
            return Self { plus, minus: plus, step: 0 };
        }
        let sign = if s % 2 == 0 { 1.0 } else { -1.0 };
        let (plus, minus) = if m >= s {
            let q = s as isize;
            (
                Walk::start(steps, colatitudes, -q, -0.5 * sign),
                Walk::start(steps, colatitudes, q, -0.5),
            )
        } else {
            // d_{m,−s} = d_{s,−m} and d_{m,s} = (−1)^{m−s} d_{s,m}.
            let q = m as isize;
            let swap = if (s - m) % 2 == 0 { 1.0 } else { -1.0 };
            (
                Walk::start(steps, colatitudes, -q, -0.5 * sign),
                Walk::start(steps, colatitudes, q, -0.5 * swap),
            )
        };
        Self { plus, minus, step: 0 }
    }

    /// Whether any value counts at this degree.
    #[inline(always)]
    pub(crate) fn active(&self) -> bool {
        self.plus.active() || self.minus.active()
    }

    /// Values of W (spin 0: λ itself) and X at this degree.
    #[inline(always)]
    pub(crate) fn rows(&self, spin: usize) -> [Eight; 2] {
        let p = self.plus.value();
        if spin == 0 {
            return [p, [0.0; RINGS]];
        }
        let q = self.minus.value();
        let (mut w, mut x) = (p, p);
        for i in 0..RINGS {
            w[i] += q[i];
            x[i] -= q[i];
        }
        [w, x]
    }

    /// To the next degree.
    #[inline(always)]
    pub(crate) fn advance(&mut self, steps: &Steps, colatitudes: &Colatitudes) {
        let [sum, difference, alpha, gamma] = steps.rows[self.step];
        self.plus.step(&colatitudes.below_one, sum, alpha, gamma);
        if steps.spin > 0 {
            self.minus.step(&colatitudes.below_one, difference, alpha, gamma);
        }
        self.step += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Σ_m |ₛY_ℓm(θ)|² = (2ℓ+1)/4π at the largest size planned, pole to equator.
    #[test]
    fn addition_theorem_holds_at_high_degree() {
        let (nside, lmax) = (1024.0_f64, 3071);
        // 1 − cos θ of rings 1..=8 near the pole, and of eight across the hemisphere.
        let polar = std::array::from_fn(|i| ((i + 1) as f64 / nside).powi(2) / 3.0);
        let wide = std::array::from_fn(|i| (i + 1) as f64 / 8.0);
        for below_one in [polar, wide] {
            let sin = below_one.map(|t: f64| (t * (2.0 - t)).sqrt());
            let colatitudes = Colatitudes { below_one, sin };
            for spin in [0, 2, 4] {
                let mut steps = Steps::new(spin, lmax);
                let (mut sums, mut largest) = ([0.0; RINGS], [0.0_f64; RINGS]);
                for m in 0..=lmax {
                    steps.fill(m);
                    let mut ladder = Ladder::start(&steps, &colatitudes);
                    for _ in m.max(spin)..lmax {
                        ladder.advance(&steps, &colatitudes);
                    }
                    let [w, x] = ladder.rows(spin);
                    let count = if m == 0 { 1.0 } else { 2.0 };
                    for i in 0..RINGS {
                        let term = count * (w[i] * w[i] + x[i] * x[i]);
                        (sums[i], largest[i]) = (sums[i] + term, largest[i].max(term));
                    }
                }
                let expected = (2 * lmax + 1) as f64 / (4.0 * PI);
                for (sum, largest) in sums.into_iter().zip(largest) {
                    let error = (sum / expected - 1.0).abs();
                    assert!(error < 1e-10, "spin {spin}: {error:e}");
                    // Must fail: one value off by 1e-4 of itself.
                    assert!(((sum + 2e-4 * largest) / expected - 1.0).abs() > 1e-10);
                }
            }
        }
    }
}
