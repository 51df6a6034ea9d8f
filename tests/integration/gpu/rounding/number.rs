//! Real numbers that carry a bound of the rounding errors they were made with.
//!
//! For a number x of exact arithmetic, its computed twin x̂ and the centre c that is kept
//! here: |x̂ − x| ≤ e and |c − x| ≤ e. Every operation first passes the errors of its
//! operands on, without leaving out products of errors, and then adds what its own
//! rounding can do (Higham, Accuracy and Stability of Numerical Algorithms, §3.3:
//! running error analysis).
//!
//! What an operation may do is what WGSL allows (§15.7.4, Accuracy of concrete
//! floating-point expressions), u = 2⁻²⁴ for f32:
//!   +, −, ×        u, rounding to nearest, which every known device does
//!   fma(a, b, c)   not fused: one more rounding of the product
//!   a·b + c        may be fused, which only takes a rounding away
//!   a / b          2.5 ULP, at most 5u
//!   sqrt           as 1 / inverseSqrt: 2 ULP and 2.5 ULP, at most 9u and their product
//!   length         as sqrt(dot)
//! and results below 2⁻¹²⁶ may become 0.

/// What rounding does, and what an invocation has met so far.
#[derive(Clone, Debug)]
pub(crate) struct Rounding {
    /// Unit roundoff.
    pub(crate) unit: f64,
    /// Results below this may become 0.
    pub(crate) tiny: f64,
    /// Whether a branch was taken that rounding could have turned the other way.
    pub(crate) undecided: bool,
    /// Roundings so far.
    count: usize,
}

impl Rounding {
    /// Single precision.
    pub(crate) const SINGLE: Self = Self::new(f64::from_bits((1023 - 24) << 52), 1.2e-38);

    const fn new(unit: f64, tiny: f64) -> Self {
        Self { unit, tiny, undecided: false, count: 0 }
    }

    /// At the start of an invocation.
    pub(crate) fn begin(&mut self) {
        (self.undecided, self.count) = (false, 0);
    }
}

/// A number of one invocation.
pub(crate) trait Number: Clone {
    /// A centre that is off by at most `error`.
    fn new(centre: f64, error: f64) -> Self;
    fn centre(&self) -> f64;
    fn error(&self) -> f64;
    fn negated(&self) -> Self;
    /// fa·a + fb·b, before it is rounded.
    fn combined(fa: f64, a: &Self, fb: f64, b: &Self) -> Self;
    /// a·b before it is rounded.
    fn product(a: &Self, b: &Self) -> Self;
    /// The same number with one rounding more, of this size.
    fn rounded(self, size: f64, at: usize) -> Self;

    fn is_exactly(&self, value: f64) -> bool {
        self.centre() == value && self.error() == 0.0
    }

    fn round(self, ulps: f64, rounding: &mut Rounding) -> Self {
        let size = ulps * rounding.unit * (self.centre().abs() + self.error()) + rounding.tiny;
        rounding.count += 1;
        self.rounded(size, rounding.count - 1)
    }

    fn add(&self, other: &Self, rounding: &mut Rounding) -> Self {
        // Nothing is rounded when nothing is added.
        if self.is_exactly(0.0) {
            return other.clone();
        }
        if other.is_exactly(0.0) {
            return self.clone();
        }
        Self::combined(1.0, self, 1.0, other).round(1.0, rounding)
    }

    fn multiply(&self, other: &Self, rounding: &mut Rounding) -> Self {
        for (a, b) in [(self, other), (other, self)] {
            let factor = a.centre();
            if a.error() == 0.0 && (factor == 0.0 || is_power_of_two(factor)) {
                return Self::combined(factor, b, 0.0, b);
            }
        }
        Self::product(self, other).round(1.0, rounding)
    }

    fn divide(&self, other: &Self, rounding: &mut Rounding) -> Self {
        let (a, b) = (self.centre(), other.centre());
        let (true_b, computed_b) = (b.abs() - other.error(), b.abs() - 2.0 * other.error());
        if self.is_exactly(0.0) && computed_b > 0.0 {
            return self.clone();
        }
        // |â/b̂ − a/b| ≤ (|â − a| + |a/b| |b̂ − b|)/|b̂|.
        let quotient = (a.abs() + self.error()) / true_b;
        let error = (self.error() + quotient * other.error()) / computed_b;
        let error = if computed_b > 0.0 { error } else { f64::INFINITY };
        Self::new(a / b, error).round(5.0, rounding)
    }

    fn root(&self, rounding: &mut Rounding) -> Self {
        if self.is_exactly(0.0) {
            return self.clone();
        }
        let (c, e) = (self.centre(), self.error());
        // |√x̂ − √x| = |x̂ − x|/(√x̂ + √x), and never more than √|x̂ − x|.
        let below = (c - e).max(0.0).sqrt() + (c - 2.0 * e).max(0.0).sqrt();
        let error = if e == 0.0 { 0.0 } else { e.sqrt().min(e / below) };
        let error = if c + e < 0.0 { f64::INFINITY } else { error };
        Self::new(c.max(0.0).sqrt(), error).round(9.000_01, rounding)
    }

    fn magnitude(&self) -> Self {
        if self.centre() < 0.0 { self.negated() } else { self.clone() }
    }

    /// The larger of two: |max(â, b̂) − max(a, b)| is at most the larger error.
    fn larger(&self, other: &Self) -> Self {
        let centre = self.centre().max(other.centre());
        Self::new(centre, self.error().max(other.error()))
    }

    fn sign(&self) -> Self {
        let c = self.centre();
        let sign = if c == 0.0 { 0.0 } else { c.signum() };
        Self::new(
            sign,
            if c.abs() > 2.0 * self.error() || self.is_exactly(0.0) { 0.0 } else { 2.0 },
        )
    }

    /// The difference that a comparison looks at, which notes if it is undecided.
    fn compare(&self, other: &Self, rounding: &mut Rounding) -> f64 {
        let (difference, error) = (self.centre() - other.centre(), self.error() + other.error());
        if error > 0.0 && difference.abs() <= 2.0 * error {
            rounding.undecided = true;
        }
        difference
    }
}

fn is_power_of_two(x: f64) -> bool {
    x.to_bits() << 12 == 0 && x.is_finite()
}

/// One bound: errors add up by their absolute values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Running {
    centre: f64,
    error: f64,
}

impl Number for Running {
    fn new(centre: f64, error: f64) -> Self {
        Self { centre, error }
    }
    fn centre(&self) -> f64 {
        self.centre
    }
    fn error(&self) -> f64 {
        self.error
    }
    fn negated(&self) -> Self {
        Self::new(-self.centre, self.error)
    }
    fn combined(fa: f64, a: &Self, fb: f64, b: &Self) -> Self {
        let error = fa.abs() * a.error + fb.abs() * b.error;
        Self::new(fa * a.centre + fb * b.centre, error)
    }
    fn product(a: &Self, b: &Self) -> Self {
        let error = (a.centre.abs() + a.error) * b.error + (b.centre.abs() + b.error) * a.error;
        Self::new(a.centre * b.centre, error + a.error * b.error)
    }
    fn rounded(self, size: f64, _: usize) -> Self {
        Self::new(self.centre, self.error + size)
    }
}

/// Every rounding of the invocation kept apart to first order, with its sign: in a
/// recurrence errors of one step are carried on by the same factors as the values, and
/// absolute values would grow where they do not.
#[derive(Clone, Debug)]
pub(crate) struct Affine {
    centre: f64,
    /// What each rounding of this size does.
    noise: Vec<f64>,
    /// Everything else, by absolute values.
    rest: f64,
}

impl Number for Affine {
    fn new(centre: f64, error: f64) -> Self {
        Self { centre, noise: Vec::new(), rest: error }
    }
    fn centre(&self) -> f64 {
        self.centre
    }
    fn error(&self) -> f64 {
        self.noise.iter().map(|n| n.abs()).sum::<f64>() + self.rest
    }
    fn negated(&self) -> Self {
        Self::combined(-1.0, self, 0.0, self)
    }
    fn combined(fa: f64, a: &Self, fb: f64, b: &Self) -> Self {
        let at = |n: &Self, i: usize| n.noise.get(i).copied().unwrap_or(0.0);
        let len = a.noise.len().max(b.noise.len());
        Self {
            centre: fa * a.centre + fb * b.centre,
            noise: (0..len).map(|i| fa * at(a, i) + fb * at(b, i)).collect(),
            rest: fa.abs() * a.rest + fb.abs() * b.rest,
        }
    }
    fn product(a: &Self, b: &Self) -> Self {
        // The centres are off by what the errors bound: those products go to the rest.
        let (ea, eb) = (a.error(), b.error());
        let linear = Self::combined(b.centre, a, a.centre, b);
        Self { centre: a.centre * b.centre, rest: linear.rest + 3.0 * ea * eb, ..linear }
    }
    fn rounded(mut self, size: f64, at: usize) -> Self {
        self.noise.resize(self.noise.len().max(at + 1), 0.0);
        self.noise[at] += size;
        self
    }
}
