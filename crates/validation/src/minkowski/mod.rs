//! Minkowski functionals of scalar maps, and of Q/U as a function on the rotations.

mod derivatives;
mod kernel;
mod scalar;
mod so3;

pub use derivatives::{So3Derivatives, so3_derivatives};
pub use scalar::{ScalarFunctionals, gaussian_scalar, scalar_mu};
pub use so3::{So3Functionals, So3Method};

use crate::error::{Result, ValidationError};
use crate::special::normal_tail;
use crate::spectra::HarmonicConfig;

/// What functionals are measured at.
#[derive(Clone, Debug, PartialEq)]
pub struct MinkowskiConfig {
    /// Thresholds u in units of the field's standard deviation, rising in equal steps.
    pub thresholds: Vec<f64>,
    /// Transforms for the derivatives.
    pub harmonic: HarmonicConfig,
}

impl MinkowskiConfig {
    /// 31 thresholds from −3 to 3, lmax = 3 Nside − 1, three iterations, batches of 8.
    pub fn campeti2025(nside: usize) -> Self {
        let thresholds = (-15..=15).map(|i| 0.2 * f64::from(i)).collect();
        Self {
            thresholds,
            harmonic: HarmonicConfig { lmax: 3 * nside - 1, iterations: 3, batch: 8 },
        }
    }

    /// Spacing δ of the thresholds.
    fn step(&self) -> f64 {
        let u = &self.thresholds;
        (u[u.len() - 1] - u[0]) / (u.len() - 1) as f64
    }

    fn check(&self) -> Result<()> {
        self.harmonic.check()?;
        let u = &self.thresholds;
        let allowed = "two or more finite numbers, rising in equal steps";
        let refuse = || {
            let given = format!("{u:?}");
            Err(ValidationError::Setting { name: "thresholds", given, allowed })
        };
        if u.len() < 2 || u.iter().any(|v| !v.is_finite()) {
            return refuse();
        }
        let step = self.step();
        let even = (u.windows(2)).all(|w| ((w[1] - w[0]) / step - 1.0).abs() < 1e-9);
        if step > 0.0 && even { Ok(()) } else { refuse() }
    }

    fn labels(&self, functionals: usize) -> Vec<String> {
        let name = |v: usize| self.thresholds.iter().map(move |u| format!("V{v}({u:.2})"));
        (0..functionals).flat_map(name).collect()
    }
}

/// V0 = 1 − Φ(u) of a Gaussian field, on the sphere or on the rotations.
pub fn gaussian_v0(threshold: f64) -> f64 {
    normal_tail(threshold)
}
