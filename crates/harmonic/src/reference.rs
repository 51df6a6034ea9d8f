//! Slow literal transcription of the formulas, to prove the transforms against.
//!
//! d^ℓ_{m,m'} comes from Wigner's explicit sum of factorials, not from a recurrence,
//! and fields from a double loop over modes and pixels: use it at ℓ ≲ 16.

use crate::Modes;
use num_complex::Complex64;
use skyscat_healpix::{Nside, rings};
use std::f64::consts::PI;

fn factorial(n: i64) -> f64 {
    (1..=n).map(|i| i as f64).product()
}

/// d^ℓ_{m,m'}(θ), Wigner's sum (Varshalovich et al. 1988, Eq. 4.3.1(2)).
pub fn wigner_d(l: i64, m: i64, m2: i64, theta_rad: f64) -> f64 {
    let (cos, sin) = ((theta_rad / 2.0).cos(), (theta_rad / 2.0).sin());
    let norm = (factorial(l + m) * factorial(l - m) * factorial(l + m2) * factorial(l - m2)).sqrt();
    let first = 0.max(m2 - m);
    let last = (l + m2).min(l - m);
    (first..=last)
        .map(|k| {
            let sign = if (m - m2 + k) % 2 == 0 { 1.0 } else { -1.0 };
            let below =
                factorial(l + m2 - k) * factorial(k) * factorial(m - m2 + k) * factorial(l - m - k);
            sign * norm / below
                * cos.powi((2 * l + m2 - m - 2 * k) as i32)
                * sin.powi((m - m2 + 2 * k) as i32)
        })
        .sum()
}

/// ₛY_ℓm(θ, φ) = (−1)^s √((2ℓ+1)/4π) d^ℓ_{m,−s}(θ) e^{imφ}; zero where ℓ < max(|m|, |s|).
pub fn spin_harmonic(s: i64, l: i64, m: i64, theta_rad: f64, phi_rad: f64) -> Complex64 {
    if l < m.abs().max(s.abs()) {
        return Complex64::ZERO;
    }
    let sign = if s % 2 == 0 { 1.0 } else { -1.0 };
    let norm = ((2 * l + 1) as f64 / (4.0 * PI)).sqrt();
    Complex64::from_polar(1.0, m as f64 * phi_rad) * (sign * norm * wigner_d(l, m, -s, theta_rad))
}

/// Pixel centres (θ, φ) in RING order, radians.
fn centres(nside: Nside) -> Vec<(f64, f64)> {
    rings(nside)
        .flat_map(|ring| {
            (0..ring.n_phi).map(move |k| {
                (
                    ring.theta_rad,
                    ring.phi0_rad + 2.0 * PI * k as f64 / ring.n_phi as f64,
                )
            })
        })
        .collect()
}

/// a_{ℓ,−m} = (−1)^m a*_{ℓm} restores negative orders; Im a_{ℓ0} does not count.
fn all_orders(alm: &[Complex64], modes: Modes, l: usize, m: i64) -> Complex64 {
    let a = alm[modes.index(l, m.unsigned_abs() as usize)];
    match m {
        0 => Complex64::new(a.re, 0.0),
        1.. => a,
        _ if m % 2 == 0 => a.conj(),
        _ => -a.conj(),
    }
}

/// Σ_ℓm a_ℓm Y_ℓm at every pixel.
pub fn synthesis_scalar(nside: Nside, modes: Modes, alm: &[Complex64]) -> Vec<f64> {
    let field = |(theta, phi)| {
        orders(modes)
            .map(|(l, m)| {
                (all_orders(alm, modes, l, m) * spin_harmonic(0, l as i64, m, theta, phi)).re
            })
            .sum()
    };
    centres(nside).into_iter().map(field).collect()
}

/// Q + iU = −Σ_ℓm (E + iB)_ℓm ₛY_ℓm at every pixel.
pub fn synthesis_spin(
    nside: Nside,
    modes: Modes,
    spin: usize,
    e: &[Complex64],
    b: &[Complex64],
) -> Vec<Complex64> {
    let field = |(theta, phi)| {
        orders(modes)
            .map(|(l, m)| {
                let a = all_orders(e, modes, l, m) + Complex64::I * all_orders(b, modes, l, m);
                -a * spin_harmonic(spin as i64, l as i64, m, theta, phi)
            })
            .sum()
    };
    centres(nside).into_iter().map(field).collect()
}

/// Every (ℓ, m), m of both signs.
fn orders(modes: Modes) -> impl Iterator<Item = (usize, i64)> {
    (0..=modes.lmax()).flat_map(move |l| {
        let m = l.min(modes.mmax()) as i64;
        (-m..=m).map(move |m| (l, m))
    })
}
