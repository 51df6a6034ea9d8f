//! The sequence u_k on sixteen rings at once, by upward recurrence.
//!
//! Starts are powers of sin θ that underflow; every value is a mantissa times
//! 2^{800·scale} with scale ≤ 0, and counts as zero until its scale is 0. Scales
//! are looked at once in [`UNIT`] steps: no step grows a value by more than 2^14.

use crate::sample::Sample;

/// Rings worked on together.
pub(crate) const WIDE: usize = 16;

/// One number a ring.
pub(crate) type Wide = [f64; WIDE];

/// Steps between looks at the scales.
pub(crate) const UNIT: usize = 8;

const SHRINK: f64 = f64::from_bits((1023 - 800) << 52); // 2^-800
const TWO_52: f64 = f64::from_bits((1023 + 52) << 52);
const LARGE: f64 = f64::from_bits((1023 + 400) << 52); // 2^400

/// Colatitudes of sixteen northern rings, from the pole on.
#[derive(Clone, Debug)]
pub(crate) struct Belt {
    /// sin²θ.
    sin2: Wide,
    /// Mantissa and binary exponent of sin^{d·16^j}θ, `[j][d]`.
    powers: Vec<[[Wide; 2]; DIGIT]>,
}

/// Orders are looked up digit by digit.
const DIGIT: usize = 16;

impl Belt {
    /// Of rings at these sin θ, for orders up to `mmax`.
    pub(crate) fn new(sin: Wide, mmax: usize) -> Self {
        let (mut base, mut powers) = ([sin, [0.0; WIDE]], Vec::new());
        while powers.is_empty() || mmax >> (4 * powers.len()) > 0 {
            let mut digits = [[[1.0; WIDE], [0.0; WIDE]]; DIGIT];
            for d in 1..DIGIT {
                digits[d] = product(&digits[d - 1], &base);
            }
            base = product(&digits[DIGIT - 1], &base);
            powers.push(digits);
        }
        Self { sin2: sin.map(|s| s * s), powers }
    }
}

impl Belt {
    #[inline(always)]
    pub(crate) fn sin2(&self) -> &Wide {
        &self.sin2
    }
}

/// Product of mantissas and exponents, the mantissa in [1, 2).
fn product(a: &[Wide; 2], b: &[Wide; 2]) -> [Wide; 2] {
    let mut out = [[0.0; WIDE]; 2];
    for i in 0..WIDE {
        let mantissa = a[0][i] * b[0][i];
        let shift = mantissa.log2().floor();
        out[0][i] = mantissa * (-shift).exp2();
        out[1][i] = a[1][i] + b[1][i] + shift;
    }
    out
}

/// u_k on sixteen rings, at some k.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Climb {
    now: Wide,
    before: Wide,
    scale: Wide,
    state: State,
}

const ALL: u64 = WIDE as u64;

/// Which values count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    None,
    Some,
    All,
}

impl Climb {
    /// Where nothing counts.
    pub(crate) const IDLE: Self =
        Self { now: [0.0; WIDE], before: [0.0; WIDE], scale: [0.0; WIDE], state: State::None };

    /// At k = 0: `norm` · sin^m θ.
    #[inline(always)]
    pub(crate) fn start(belt: &Belt, m: usize, norm: f64) -> Self {
        let (mut now, mut exponent) = ([norm; WIDE], [0.0; WIDE]);
        for (j, digits) in belt.powers.iter().enumerate() {
            let [mantissas, exponents] = &digits[m >> (4 * j) & (DIGIT - 1)];
            for i in 0..WIDE {
                now[i] *= mantissas[i];
                exponent[i] += exponents[i];
            }
        }
        let mut scale = [0.0; WIDE];
        for i in 0..WIDE {
            scale[i] = (exponent[i] * (1.0 / 800.0)).ceil().min(0.0);
            let rest = exponent[i] - 800.0 * scale[i];
            // The lowest bits of 2^52 + n are those of n.
            now[i] *= f64::from_bits((rest + (1023.0 + TWO_52)).to_bits() << 52);
        }
        let mut climb = Self { now, before: [0.0; WIDE], scale, state: State::None };
        climb.state = climb.count();
        climb
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// u_k and u_{k−1}; they count where their scale is 0.
    #[inline(always)]
    pub(crate) fn values(&self) -> [&Wide; 2] {
        [&self.now, &self.before]
    }

    #[inline(always)]
    pub(crate) fn values_mut(&mut self) -> [&mut Wide; 2] {
        [&mut self.now, &mut self.before]
    }

    #[inline(always)]
    fn count(&self) -> State {
        match self.scale.iter().map(|&scale| u64::from(scale == 0.0)).sum() {
            0 => State::None,
            ALL => State::All,
            _ => State::Some,
        }
    }

    /// Steps without keeping values, at most [`UNIT`].
    #[inline(always)]
    pub(crate) fn skip(&mut self, belt: &Belt, steps: &[[f64; 2]]) {
        for &[sum, a] in steps {
            self.step(belt, sum, a);
        }
        self.rescale();
    }

    /// Steps of which `out` keeps the values before each, `[k][ring]`; any number
    /// once all values count, else at most [`UNIT`].
    #[inline(always)]
    pub(crate) fn keep<T: Sample>(&mut self, belt: &Belt, steps: &[[f64; 2]], out: &mut [T]) {
        let rows = out.chunks_exact_mut(WIDE).zip(steps);
        if self.state == State::All {
            let mut walk = *self;
            for (row, &[sum, a]) in rows {
                for (kept, &now) in row.iter_mut().zip(&walk.now) {
                    *kept = T::narrow(now);
                }
                walk.step(belt, sum, a);
            }
            *self = walk;
            return;
        }
        let counts = self.scale.map(|scale| if scale == 0.0 { 1.0 } else { 0.0 });
        for (row, &[sum, a]) in rows {
            for i in 0..WIDE {
                row[i] = T::narrow(self.now[i] * counts[i]);
            }
            self.step(belt, sum, a);
        }
        self.rescale();
    }

    #[inline(always)]
    fn step(&mut self, belt: &Belt, sum: f64, a: f64) {
        let mut next = [0.0; WIDE];
        for (i, next) in next.iter_mut().enumerate() {
            let factor = (-a).mul_add(belt.sin2[i], sum);
            *next = factor.mul_add(self.now[i], self.before[i]);
        }
        self.before = self.now;
        self.now = next;
    }

    /// Moves mantissas that have grown back into range.
    #[inline(always)]
    fn rescale(&mut self) {
        for i in 0..WIDE {
            let grown = self.scale[i] < 0.0 && self.now[i].abs() > LARGE;
            let (factor, more) = if grown { (SHRINK, 1.0) } else { (1.0, 0.0) };
            self.now[i] *= factor;
            self.before[i] *= factor;
            self.scale[i] += more;
        }
        self.state = self.count();
    }
}
