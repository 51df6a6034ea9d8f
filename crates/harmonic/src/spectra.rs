//! Angular power spectra of batches of coefficients, and their pullbacks.

use crate::{Modes, Sample};

/// Which pair of fields a spectrum correlates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SpectrumKind {
    /// Temperature with itself.
    TT,
    /// E mode with itself.
    EE,
    /// B mode with itself.
    BB,
    /// Temperature with E mode.
    TE,
    /// Temperature with B mode.
    TB,
    /// E mode with B mode.
    EB,
}

impl SpectrumKind {
    /// All six, in healpy's order up to TE, EB, TB.
    pub const ALL: [Self; 6] = [Self::TT, Self::EE, Self::BB, Self::TE, Self::EB, Self::TB];

    /// Two letters.
    pub fn label(self) -> &'static str {
        match self {
            Self::TT => "TT",
            Self::EE => "EE",
            Self::BB => "BB",
            Self::TE => "TE",
            Self::TB => "TB",
            Self::EB => "EB",
        }
    }
}

/// What a spectrum averages over m.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SpectrumPower {
    /// p = 2: C_ℓ = Σ_m Re(a b*)/(2ℓ+1), the usual power spectrum.
    Two,
    /// p = 1: Σ_m sgn(Re ab*) |ab*|^{1/2}/(2ℓ+1); |a| averaged if a = b.
    One,
    /// sgn(C_ℓ)√|C_ℓ| of the usual power spectrum.
    SignedRoot,
}

/// One component of a batch of coefficients, `[(ℓ, m)][component][re, im][map]`.
#[derive(Clone, Copy, Debug)]
pub struct AlmField<'a, T> {
    /// The whole coefficient slice.
    pub values: &'a [T],
    /// Components in the slice: 1 for spin 0, else 2.
    pub components: usize,
    /// Which component.
    pub component: usize,
    /// Maps in the batch.
    pub batch: usize,
}

impl<T: Copy> AlmField<'_, T> {
    /// Offset of the real parts of coefficient `mode`; imaginary parts follow.
    fn at(&self, mode: usize) -> usize {
        (mode * self.components + self.component) * 2 * self.batch
    }
}

/// Spectra with their labels, `(n_kinds, lmax + 1, n_maps)`, map innermost.
#[derive(Clone, Debug, PartialEq)]
pub struct Spectra<T> {
    /// What each block holds, in order.
    pub kinds: Vec<SpectrumKind>,
    /// Which power of the coefficients was averaged.
    pub power: SpectrumPower,
    /// Largest degree.
    pub lmax: usize,
    /// Maps in the batch.
    pub batch: usize,
    /// `[kind][ℓ][map]`, units of the map (p = 1, signed root) or its square (p = 2).
    pub values: Vec<T>,
}

impl<T: Sample> Spectra<T> {
    /// Spectra of every listed pair of fields.
    ///
    /// # Panics
    /// If the fields' batches or lengths do not fit.
    pub fn of(
        modes: Modes,
        power: SpectrumPower,
        pairs: &[(SpectrumKind, AlmField<'_, T>, AlmField<'_, T>)],
    ) -> Self {
        let batch = pairs.first().map_or(1, |(_, a, _)| a.batch);
        let block = (modes.lmax() + 1) * batch;
        let mut values = vec![T::zero(); pairs.len() * block];
        for ((_, a, b), out) in pairs.iter().zip(values.chunks_exact_mut(block)) {
            spectrum(modes, power, *a, *b, out);
        }
        let kinds = pairs.iter().map(|(kind, ..)| *kind).collect();
        Self { kinds, power, lmax: modes.lmax(), batch, values }
    }

    /// The block `[ℓ][map]` of `kind`, if it was computed.
    pub fn get(&self, kind: SpectrumKind) -> Option<&[T]> {
        let at = self.kinds.iter().position(|&found| found == kind)?;
        let block = (self.lmax + 1) * self.batch;
        Some(&self.values[at * block..][..block])
    }
}

/// Spectrum of two fields (the same field twice: an auto spectrum), `[ℓ][map]`.
///
/// Sums run over m = −ℓ..=ℓ (orders m > 0 count twice), divided by 2ℓ + 1; sums are
/// taken in f64, in order of m (Campeti et al. 2025, Eq. 7).
///
/// # Panics
/// If the fields' batches differ or a slice has the wrong length.
pub fn spectrum<T: Sample>(
    modes: Modes,
    power: SpectrumPower,
    a: AlmField<'_, T>,
    b: AlmField<'_, T>,
    out: &mut [T],
) {
    check(modes, &a, &b, out.len());
    let batch = a.batch;
    for (l, out) in out.chunks_exact_mut(batch).enumerate() {
        for (map, out) in out.iter_mut().enumerate() {
            let mean = mean(modes, l, |mode| {
                let (x, y) = (pair(&a, mode, map), pair(&b, mode, map));
                match power {
                    SpectrumPower::One => term_one(x, y),
                    _ => x.0 * y.0 + x.1 * y.1,
                }
            });
            *out = T::narrow(match power {
                SpectrumPower::SignedRoot => signed_root(mean),
                _ => mean,
            });
        }
    }
}

/// Adds ∂L/∂a and ∂L/∂b to `into_a`, `into_b`, from ∂L/∂C of [`spectrum`].
///
/// Real-parameter gradients (∂L/∂Re a, ∂L/∂Im a) of the stored coefficients, in the
/// layout of the fields' own slices. Where a modulus or C_ℓ is 0 the sub-gradient 0 is
/// taken. For an auto spectrum pass the field twice and use [`auto_spectrum_pullback`].
///
/// # Panics
/// As [`spectrum`].
pub fn spectrum_pullback<T: Sample>(
    modes: Modes,
    power: SpectrumPower,
    (a, into_a): (AlmField<'_, T>, &mut [T]),
    (b, into_b): (AlmField<'_, T>, &mut [T]),
    gradient: &[T],
) {
    check(modes, &a, &b, gradient.len());
    pullback(modes, power, a, b, gradient, |side, at, value| {
        let into = if side == 0 { &mut *into_a } else { &mut *into_b };
        into[at] = into[at] + T::narrow(value);
    });
}

/// Adds ∂L/∂a to `into`, from ∂L/∂C of the auto spectrum of `a`.
///
/// # Panics
/// As [`spectrum`].
pub fn auto_spectrum_pullback<T: Sample>(
    modes: Modes,
    power: SpectrumPower,
    a: AlmField<'_, T>,
    gradient: &[T],
    into: &mut [T],
) {
    check(modes, &a, &a, gradient.len());
    pullback(modes, power, a, a, gradient, |_, at, value| {
        into[at] = into[at] + T::narrow(value);
    });
}

/// Calls `add(0 for a, 1 for b; offset; derivative)` for every real parameter.
fn pullback<T: Sample>(
    modes: Modes,
    power: SpectrumPower,
    a: AlmField<'_, T>,
    b: AlmField<'_, T>,
    gradient: &[T],
    mut add: impl FnMut(usize, usize, f64),
) {
    let batch = a.batch;
    for (l, gradient) in gradient.chunks_exact(batch).enumerate() {
        for (map, gradient) in gradient.iter().enumerate() {
            let mut factor = gradient.widen() / (2 * l + 1) as f64;
            if power == SpectrumPower::SignedRoot {
                let c = mean(modes, l, |mode| {
                    let (x, y) = (pair(&a, mode, map), pair(&b, mode, map));
                    x.0 * y.0 + x.1 * y.1
                });
                factor *= if c == 0.0 { 0.0 } else { 0.5 / c.abs().sqrt() };
            }
            for m in 0..=l.min(modes.mmax()) {
                let mode = modes.index(l, m);
                let (x, y) = (pair(&a, mode, map), pair(&b, mode, map));
                let factor = if m == 0 { factor } else { 2.0 * factor };
                let (dx, dy) = match power {
                    SpectrumPower::One => slope_one(x, y),
                    _ => (y, x),
                };
                let (at_a, at_b) = (a.at(mode) + map, b.at(mode) + map);
                add(0, at_a, factor * dx.0);
                add(0, at_a + batch, factor * dx.1);
                add(1, at_b, factor * dy.0);
                add(1, at_b + batch, factor * dy.1);
            }
        }
    }
}

fn check<T: Copy>(modes: Modes, a: &AlmField<'_, T>, b: &AlmField<'_, T>, spectra: usize) {
    assert_eq!(a.batch, b.batch, "fields of batches of one size");
    for field in [a, b] {
        let len = modes.len() * field.components * 2 * field.batch;
        assert_eq!(field.values.len(), len, "coefficients of {} maps", field.batch);
        assert!(field.component < field.components, "component {}", field.component);
    }
    assert_eq!(spectra, (modes.lmax() + 1) * a.batch, "spectra of {} maps", a.batch);
}

fn pair<T: Sample>(field: &AlmField<'_, T>, mode: usize, map: usize) -> (f64, f64) {
    let at = field.at(mode) + map;
    (field.values[at].widen(), field.values[at + field.batch].widen())
}

/// Σ over m of both signs, divided by 2ℓ + 1.
fn mean(modes: Modes, l: usize, term: impl Fn(usize) -> f64) -> f64 {
    let positive: f64 = (1..=l.min(modes.mmax())).map(|m| term(modes.index(l, m))).sum();
    (term(modes.index(l, 0)) + 2.0 * positive) / (2 * l + 1) as f64
}

fn signed_root(c: f64) -> f64 {
    if c == 0.0 { 0.0 } else { c.signum() * c.abs().sqrt() }
}

/// sgn(Re xy*) √|xy*|.
fn term_one(x: (f64, f64), y: (f64, f64)) -> f64 {
    let size = (x.0.hypot(x.1) * y.0.hypot(y.1)).sqrt();
    let real = x.0 * y.0 + x.1 * y.1;
    if real == 0.0 { 0.0 } else { real.signum() * size }
}

/// Derivatives of [`term_one`] by x and by y: ½ sgn √(|y|/|x|) x/|x|, and likewise.
#[allow(clippy::type_complexity, reason = "two complex numbers")]
fn slope_one(x: (f64, f64), y: (f64, f64)) -> ((f64, f64), (f64, f64)) {
    let (size_x, size_y) = (x.0.hypot(x.1), y.0.hypot(y.1));
    let real = x.0 * y.0 + x.1 * y.1;
    if real == 0.0 || size_x == 0.0 || size_y == 0.0 {
        return ((0.0, 0.0), (0.0, 0.0));
    }
    let value = 0.5 * real.signum() * (size_x * size_y).sqrt();
    let (fx, fy) = (value / (size_x * size_x), value / (size_y * size_y));
    ((fx * x.0, fx * x.1), (fy * y.0, fy * y.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Central differences of L = Σ g C against the pullback, every parameter.
    #[test]
    fn pullbacks_match_central_differences() {
        let (modes, batch) = (Modes::new(5, 5), 2);
        let start: Vec<f64> =
            (0..modes.len() * 4 * batch).map(|i| (i as f64 * 1.7 + 0.4).sin()).collect();
        let gradient: Vec<f64> =
            (0..(modes.lmax() + 1) * batch).map(|i| (i as f64 * 0.9 + 0.1).cos()).collect();
        let powers = [SpectrumPower::Two, SpectrumPower::One, SpectrumPower::SignedRoot];
        for power in powers {
            for (left, right) in [(0, 0), (1, 1), (0, 1)] {
                let loss = |values: &[f64]| {
                    let field = |component| AlmField { values, components: 2, component, batch };
                    let mut c = vec![0.0; gradient.len()];
                    spectrum(modes, power, field(left), field(right), &mut c);
                    c.iter().zip(&gradient).map(|(c, g)| c * g).sum::<f64>()
                };
                let field =
                    |component| AlmField { values: &start[..], components: 2, component, batch };
                let mut found = vec![0.0; start.len()];
                if left == right {
                    auto_spectrum_pullback(modes, power, field(left), &gradient, &mut found);
                } else {
                    let mut other = vec![0.0; start.len()];
                    let (a, b) = (field(left), field(right));
                    let into = ((a, &mut found[..]), (b, &mut other[..]));
                    spectrum_pullback(modes, power, into.0, into.1, &gradient);
                    found.iter_mut().zip(&other).for_each(|(f, o)| *f += o);
                }
                let mut wrong = 0;
                for i in 0..start.len() {
                    let step = 1e-6;
                    let (mut up, mut down) = (start.clone(), start.clone());
                    up[i] += step;
                    down[i] -= step;
                    let slope = (loss(&up) - loss(&down)) / (2.0 * step);
                    assert!((slope - found[i]).abs() < 2e-8, "{power:?} {left}{right} {i}");
                    // Must fail: the same slope a part in 1e4 of the peak off.
                    wrong += usize::from((slope - found[i] - 1e-4).abs() >= 2e-8);
                }
                assert_eq!(wrong, start.len());
            }
        }
    }

    #[test]
    fn zero_coefficients_take_the_zero_subgradient() {
        let modes = Modes::new(2, 2);
        let values = vec![0.0_f64; modes.len() * 2];
        let a = AlmField { values: &values, components: 1, component: 0, batch: 1 };
        for power in [SpectrumPower::One, SpectrumPower::SignedRoot] {
            let mut into = values.clone();
            auto_spectrum_pullback(modes, power, a, &[1.0; 3], &mut into);
            assert!(into.iter().all(|&v| v == 0.0));
        }
    }
}
