//! The dipole as a short polynomial, without cancellation.

use crate::config::{DipoleConfig, DipoleModel};
use crate::scan::Lane;

/// The speed of light, km/s (exact).
pub const SPEED_OF_LIGHT_KM_S: f64 = 299_792.458;
/// Planck's constant, J s (exact).
const PLANCK_J_S: f64 = 6.626_070_15e-34;
/// Boltzmann's constant, J/K (exact).
const BOLTZMANN_J_K: f64 = 1.380_649e-23;

/// x = hν/kT₀.
pub(crate) fn photon_energy(frequency_ghz: f64, monopole_k: f64) -> f64 {
    PLANCK_J_S * frequency_ghz * 1e9 / (BOLTZMANN_J_K * monopole_k)
}

/// Terms of the series in u: |u| < 0.011, so that the first one left out is below
/// 1e-17 of the first one kept.
const TERMS: usize = 9;

/// ΔT from b = n·v/c and u = γ(1 − b) − 1.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Dipole {
    /// first·b + second·b².
    InB { first: f64, second: f64 },
    /// −T₀ u/(1 + u).
    Exact { monopole_k: f64 },
    /// Σ_k aₖ uᵏ, k ≥ 1.
    InU { series: [f64; TERMS] },
}

impl Dipole {
    pub(crate) fn new(config: &DipoleConfig) -> Self {
        let monopole_k = config.monopole_k;
        match config.model {
            DipoleModel::Linear => Self::InB { first: monopole_k, second: 0.0 },
            DipoleModel::QuadraticExact => Self::InB { first: monopole_k, second: monopole_k },
            DipoleModel::TotalExact => Self::Exact { monopole_k },
            DipoleModel::QuadraticFromLinearT { frequency_ghz } => {
                let half = photon_energy(frequency_ghz, monopole_k) / 2.0;
                Self::InB { first: monopole_k, second: monopole_k * half / half.tanh() }
            }
            DipoleModel::TotalFromLinearT { frequency_ghz } => {
                let x = photon_energy(frequency_ghz, monopole_k);
                let scale = monopole_k * -(-x).exp_m1() / x;
                Self::InU { series: occupation_series(x).map(|a| scale * a) }
            }
        }
    }

    /// ΔT of every sample, K.
    #[inline(always)]
    pub(crate) fn fill(&self, b: &[f64], u: &[f64], out: &mut [f64]) {
        let samples = out.iter_mut().zip(b.iter().zip(u));
        match *self {
            Self::InB { first, second } => {
                samples.for_each(|(out, (b, _))| *out = b * (first + b * second));
            }
            Self::Exact { monopole_k } => {
                samples.for_each(|(out, (_, u))| *out = -monopole_k * u / (1.0 + u));
            }
            Self::InU { series } => samples.for_each(|(out, (_, u))| {
                *out = u * series.iter().rev().fold(0.0, |sum, a| sum * u + a);
            }),
        }
    }
}

/// Coefficients k = 1, 2, … of n(x(1 + u))/n(x) = 1 + Σ aₖ uᵏ, n(x) = 1/(eˣ − 1).
///
/// The reciprocal of the power series (e^{x(1+u)} − 1)/(eˣ − 1) = 1 + Σ eₖ uᵏ with
/// eₖ = xᵏ/k! / (1 − e^{−x}): aₖ = −Σ_{j=1..k} eⱼ a_{k−j}.
fn occupation_series(x: f64) -> [f64; TERMS] {
    let mut e = [0.0; TERMS + 1];
    e[0] = 1.0;
    let mut power = 1.0;
    for (k, e) in e.iter_mut().enumerate().skip(1) {
        power *= x / k as f64;
        *e = power / -(-x).exp_m1();
    }
    let mut a = [0.0; TERMS + 1];
    a[0] = 1.0;
    for k in 1..=TERMS {
        a[k] = -(1..=k).map(|j| e[j] * a[k - j]).sum::<f64>();
    }
    std::array::from_fn(|k| a[k + 1])
}

/// u = γ(1 − b) − 1 from b and v²/c², without cancellation.
///
/// γ − 1 = v²/2 + 3v⁴/8 + 5v⁶/16 + 35v⁸/128, below 1e-20 of what is left out for
/// v < c/100.
#[inline(always)]
pub(crate) fn doppler(b: f64, speed2: f64) -> f64 {
    let gamma_minus_1 =
        speed2 * (0.5 + speed2 * (0.375 + speed2 * (0.3125 + speed2 * 0.273_437_5)));
    gamma_minus_1 - (1.0 + gamma_minus_1) * b
}

/// Scratch of one block.
#[derive(Clone, Debug)]
pub(crate) struct DipoleLanes {
    pub(crate) b: Lane,
    pub(crate) u: Lane,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Velocity;
    use crate::reference::dipole_k;

    #[test]
    fn every_law_is_the_literal_formula() {
        let monopole_k = 2.72548;
        let high = 700.0;
        for model in [
            DipoleModel::Linear,
            DipoleModel::QuadraticExact,
            DipoleModel::TotalExact,
            DipoleModel::QuadraticFromLinearT { frequency_ghz: 100.0 },
            DipoleModel::TotalFromLinearT { frequency_ghz: 100.0 },
            DipoleModel::TotalFromLinearT { frequency_ghz: 0.5 },
            DipoleModel::TotalFromLinearT { frequency_ghz: high },
        ] {
            let velocity = Velocity::Circular { solar_km_s: [0.0; 3], orbital_km_s: 0.0 };
            let fast = Dipole::new(&DipoleConfig { model, monopole_k, velocity });
            for speed in [0.0, 370.0, 2990.0] {
                for k in -8..=8 {
                    let cos = f64::from(k) / 8.0;
                    let n = [(1.0 - cos * cos).sqrt(), 0.0, cos];
                    let (b, beta) =
                        (speed / SPEED_OF_LIGHT_KM_S * cos, speed / SPEED_OF_LIGHT_KM_S);
                    let mut out = [0.0];
                    fast.fill(&[b], &[doppler(b, beta * beta)], &mut out);
                    let slow = dipole_k(model, monopole_k, n, [0.0, 0.0, speed]);
                    // The literal formulas subtract numbers near T₀, at high
                    // frequency after an exponential of x.
                    let bound =
                        4.0 * f64::EPSILON * monopole_k * (1.0 + high / 100.0) + 1e-14 * slow.abs();
                    assert!((out[0] - slow).abs() < bound, "{model:?} {speed} {cos}");
                    // Must fail: a speed off by 1e-6.
                    if speed > 0.0 && k != 0 {
                        let b = b * (1.0 + 1e-6);
                        fast.fill(&[b], &[doppler(b, beta * beta)], &mut out);
                        assert!((out[0] - slow).abs() > bound);
                    }
                }
            }
        }
    }
}
