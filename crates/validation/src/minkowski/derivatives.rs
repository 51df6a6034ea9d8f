//! Exact covariant derivatives of P = Q + iU from its coefficients.

use crate::error::{Result, ValidationError};
use num_complex::Complex64;
use skyscat_harmonic::{Plan, Scratch};
use skyscat_healpix::Nside;
use std::f64::consts::FRAC_1_SQRT_2;

const I: Complex64 = Complex64::I;

/// Plans for spins 0 to 4 of one resolution, and scratch for one batch size.
pub(super) struct Ladder {
    plans: [Plan<f64>; 5],
    scratch: [Scratch<f64>; 5],
    batch: usize,
}

/// P and its spin derivatives, `[pixel][re, im][map]`.
pub(super) struct SpinFields {
    pub(super) p: Vec<f64>,
    raised: Vec<f64>,
    lowered: Vec<f64>,
    raised2: Vec<f64>,
    lowered2: Vec<f64>,
    laplace: Vec<f64>,
    batch: usize,
}

/// Gradient and Hessian of f = Re(P e^{−2iψ}) at a pixel.
///
/// Complex amplitudes A: each real component is Re(A e^{−2iψ}). The frame is (e_θ, e_φ, ∂_ψ)/√2 (Carrón Duque et al. 2024).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct So3Derivatives {
    /// P itself.
    pub p: Complex64,
    /// Components 1, 2, 3.
    pub gradient: [Complex64; 3],
    /// Components 11, 22, 33, 12, 13, 23.
    pub hessian: [Complex64; 6],
}

impl Ladder {
    pub(super) fn new(nside: Nside, lmax: usize, batch: usize) -> Result<Self> {
        let plan = |spin| Plan::new(nside, lmax, spin);
        let plans = [plan(0)?, plan(1)?, plan(2)?, plan(3)?, plan(4)?];
        // The two components of spin 0 are two maps of a batch.
        let maps = [2 * batch, batch, batch, batch, batch];
        let scratch = std::array::from_fn(|spin| plans[spin].scratch(maps[spin]));
        Ok(Self { plans, scratch, batch })
    }

    pub(super) fn plan(&self) -> &Plan<f64> {
        &self.plans[2]
    }

    /// Coefficients (E, B) of a batch of maps `[pixel][Q, U][map]`.
    pub(super) fn analyse(&mut self, maps: &[f64], iterations: usize) -> Vec<f64> {
        let mut alm = vec![0.0; self.plans[2].alm_len(self.batch)];
        self.plans[2].analysis(maps, &mut alm, iterations, &mut self.scratch[2]);
        alm
    }

    /// Fields from coefficients (E, B) of P = −Σ (E + iB) ₂Y.
    ///
    /// ð ₛY = √((l−s)(l+s+1)) ₛ₊₁Y and ð̄ ₛY = −√((l+s)(l−s+1)) ₛ₋₁Y.
    pub(super) fn fields(&mut self, alm: &[f64]) -> SpinFields {
        let product = |a: f64, b: f64| a * b;
        let mut make = |spin: usize, factor: &dyn Fn(f64) -> f64| self.field(alm, spin, factor);
        SpinFields {
            p: make(2, &|_| 1.0),
            raised: make(3, &|l| product(l - 2.0, l + 3.0).sqrt()),
            lowered: make(1, &|l| -product(l + 2.0, l - 1.0).sqrt()),
            raised2: make(4, &|l| (product(l - 2.0, l + 3.0) * product(l - 3.0, l + 4.0)).sqrt()),
            lowered2: make(0, &|l| (product(l + 2.0, l - 1.0) * product(l + 1.0, l)).sqrt()),
            laplace: make(2, &|l| -(product(l + 2.0, l - 1.0) + product(l - 2.0, l + 3.0))),
            batch: self.batch,
        }
    }

    fn field(&mut self, alm: &[f64], spin: usize, factor: &dyn Fn(f64) -> f64) -> Vec<f64> {
        let (plan, batch) = (&self.plans[spin], self.batch);
        let mut scaled = alm.to_vec();
        let row = 4 * batch;
        for ((_, l, _), row) in plan.modes().iter().zip(scaled.chunks_exact_mut(row)) {
            let factor = if l < spin.max(2) { 0.0 } else { factor(l as f64) };
            row.iter_mut().for_each(|v| *v *= factor);
            if spin == 0 {
                // [E, B][re, im][map] to [re, im][−E, −B][map].
                let (e, b) = row.split_at_mut(2 * batch);
                e[batch..].swap_with_slice(&mut b[..batch]);
                row.iter_mut().for_each(|v| *v = -*v);
            }
        }
        let mut map = vec![0.0; 2 * plan.config().nside.npix() * batch];
        plan.synthesis(&scaled, &mut map, &mut self.scratch[spin]);
        map
    }
}

impl SpinFields {
    /// The amplitudes at a pixel of a map, divided by `sigma`.
    pub(super) fn at(&self, pixel: usize, map: usize, sigma: f64) -> So3Derivatives {
        let at = 2 * pixel * self.batch + map;
        let read = |field: &[f64]| Complex64::new(field[at], field[at + self.batch]) / sigma;
        let (p, raised, lowered) = (read(&self.p), read(&self.raised), read(&self.lowered));
        let (up, down, laplace) = (read(&self.raised2), read(&self.lowered2), read(&self.laplace));
        let theta = -0.5 * (raised + lowered);
        let phi = 0.5 * I * (raised - lowered);
        So3Derivatives {
            p,
            gradient: [theta, phi, -2.0 * I * p].map(|g| g * FRAC_1_SQRT_2),
            hessian: [
                (up + laplace + down) / 8.0,
                -(up - laplace + down) / 8.0,
                -2.0 * p,
                -I * (up - down) / 8.0,
                0.25 * I * (2.5 * raised + 1.5 * lowered),
                0.25 * (2.5 * raised - 1.5 * lowered),
            ],
        }
    }

    /// √(⟨|P|²⟩/2) of a map.
    pub(super) fn sigma(&self, map: usize) -> f64 {
        let rows = self.p.chunks_exact(self.batch);
        let pixels = (self.p.len() / (2 * self.batch)) as f64;
        let square: f64 = rows.map(|row| row[map] * row[map]).sum();
        (0.5 * square / pixels).sqrt()
    }
}

/// Derivatives at every pixel (RING) of one field, and σ = √(⟨|P|²⟩/2).
///
/// `alm` is `[(ℓ, m)][E, B][re, im]` in the order of [`skyscat_harmonic::Modes`]; the
/// derivatives are those of P/σ.
///
/// # Errors
/// [`ValidationError::Harmonic`], [`ValidationError::Shape`],
/// [`ValidationError::Variance`] for a field of zeros.
pub fn so3_derivatives(
    nside: Nside,
    lmax: usize,
    alm: &[f64],
) -> Result<(Vec<So3Derivatives>, f64)> {
    let mut ladder = Ladder::new(nside, lmax, 1)?;
    let allowed = ladder.plan().alm_len(1);
    if alm.len() != allowed {
        let (given, allowed) = (vec![alm.len()], vec![allowed]);
        return Err(ValidationError::Shape { what: "coefficients", given, allowed });
    }
    let fields = ladder.fields(alm);
    let sigma = fields.sigma(0);
    if sigma <= 0.0 || sigma.is_nan() {
        return Err(ValidationError::Variance { what: "P", index: 0, given: sigma });
    }
    Ok(((0..nside.npix()).map(|pixel| fields.at(pixel, 0, sigma)).collect(), sigma))
}
