//! V0, V1 and V2 of scalar maps.

use super::MinkowskiConfig;
use crate::error::{Result, ValidationError};
use crate::special::normal_tail;
use crate::table::LabelledTable;
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use skyscat_harmonic::Plan;
use skyscat_healpix::Nside;
use skyscat_num::Par;
use std::f64::consts::PI;

/// V0 to V2 of scalar RING maps, with exact covariant derivatives.
///
/// With f = map/σ, σ the map's standard deviation, and thresholds of spacing δ:
/// V0 = mean(1{f > u}), V1 = ¼ mean(|∇f| 1{u − δ/2 ≤ f < u + δ/2})/δ,
/// V2 = mean(κ 1{…})/2πδ, κ = (2f₁f₂f₁₂ − f₁²f₂₂ − f₂²f₁₁)/|∇f|² (Carones et al. 2024).
#[derive(Debug)]
pub struct ScalarFunctionals {
    config: MinkowskiConfig,
    plans: [Plan<f64>; 3],
}

impl ScalarFunctionals {
    /// A plan for maps of `nside`.
    ///
    /// # Errors
    /// [`ValidationError::Setting`], [`ValidationError::Harmonic`].
    pub fn new(nside: Nside, config: MinkowskiConfig) -> Result<Self> {
        config.check()?;
        let plan = |spin| Plan::new(nside, config.harmonic.lmax, spin);
        let plans = [plan(0)?, plan(1)?, plan(2)?];
        Ok(Self { config, plans })
    }

    /// Functionals of maps `(n_maps, n_pixels)`, labelled "V0(−3.00)", ….
    ///
    /// Derivatives are those of the maps' coefficients (their analysis at lmax).
    ///
    /// # Errors
    /// [`ValidationError::Shape`], [`ValidationError::NotFinite`],
    /// [`ValidationError::Variance`] for a map that does not vary.
    pub fn of_maps(&self, maps: ArrayView2<'_, f64>, par: &Par) -> Result<LabelledTable> {
        let pixels = self.plans[0].map_len(1);
        if maps.ncols() != pixels {
            let (given, allowed) = (maps.shape().to_vec(), vec![maps.nrows(), pixels]);
            return Err(ValidationError::Shape { what: "scalar maps", given, allowed });
        }
        crate::linear::check_finite("scalar maps", maps)?;
        let rows: Vec<_> = maps.rows().into_iter().map(|row| row.to_vec()).collect();
        let found = par.install(|| {
            let each = rows.par_iter().enumerate();
            each.map(|(index, map)| self.measure(index, map)).collect::<Result<Vec<_>>>()
        })?;
        let values = found.into_iter().flatten().collect();
        let shape = (maps.nrows(), 3 * self.config.thresholds.len());
        let values = Array2::from_shape_vec(shape, values).expect("as many");
        LabelledTable::new(self.config.labels(3), values)
    }

    fn measure(&self, index: usize, map: &[f64]) -> Result<Vec<f64>> {
        let pixels = map.len() as f64;
        let mean = map.iter().sum::<f64>() / pixels;
        let sigma = (map.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / pixels).sqrt();
        if sigma <= 1e-14 * mean.abs() {
            return Err(ValidationError::Variance { what: "a map", index, given: sigma });
        }
        let [gradient, spin2, laplace] = self.derivatives(map);
        let (u, count) = (&self.config.thresholds, self.config.thresholds.len());
        let step = self.config.step();
        let mut sums = vec![0.0; 3 * count];
        for (pixel, value) in map.iter().enumerate() {
            let f = value / sigma;
            let above = u.partition_point(|&u| u < f);
            sums[..above].iter_mut().for_each(|v| *v += 1.0);
            let bin = ((f - u[0]) / step + 0.5).floor();
            if bin < 0.0 || bin >= count as f64 {
                continue;
            }
            let [f1, f2] = [gradient[2 * pixel] / sigma, gradient[2 * pixel + 1] / sigma];
            // ððf = f₁₁ − f₂₂ + 2i f₁₂ = −(Q + iU).
            let (q, cross) = (-spin2[2 * pixel] / sigma, -0.5 * spin2[2 * pixel + 1] / sigma);
            let trace = laplace[pixel] / sigma;
            let (f11, f22) = (0.5 * (trace + q), 0.5 * (trace - q));
            let square = f1 * f1 + f2 * f2;
            let bin = bin as usize;
            sums[count + bin] += square.sqrt();
            if square > 0.0 {
                let curl = 2.0 * f1 * f2 * cross - f1 * f1 * f22 - f2 * f2 * f11;
                sums[2 * count + bin] += curl / square;
            }
        }
        let scales = [1.0, 0.25 / step, 0.5 / (PI * step)];
        for (row, scale) in sums.chunks_exact_mut(count).zip(scales) {
            row.iter_mut().for_each(|v| *v *= scale / pixels);
        }
        Ok(sums)
    }

    /// (f₁, f₂), −ððf and ∇²f of a map, `[pixel][component]`.
    fn derivatives(&self, map: &[f64]) -> [Vec<f64>; 3] {
        let [scalar, vector, tensor] = &self.plans;
        let mut alm = vec![0.0; scalar.alm_len(1)];
        scalar.analysis(map, &mut alm, self.config.harmonic.iterations, &mut scalar.scratch(1));
        let make = |plan: &Plan<f64>, factor: &dyn Fn(f64) -> f64| {
            let components = plan.components();
            let mut scaled = vec![0.0; plan.alm_len(1)];
            for (i, l, _) in plan.modes().iter() {
                let factor = factor(l as f64);
                for part in 0..2 {
                    scaled[2 * components * i + part] = factor * alm[2 * i + part];
                }
            }
            let mut out = vec![0.0; plan.map_len(1)];
            plan.synthesis(&scaled, &mut out, &mut plan.scratch(1));
            out
        };
        [
            make(vector, &|l| (l * (l + 1.0)).sqrt()),
            make(tensor, &|l| ((l + 2.0) * (l + 1.0) * l * (l - 1.0)).max(0.0).sqrt()),
            make(scalar, &|l| -l * (l + 1.0)),
        ]
    }
}

/// V0, V1, V2 of a Gaussian field.
///
/// 1 − Φ(u), √μ/8 e^{−u²/2} and μ/(2π)^{3/2} u e^{−u²/2}, μ as in [`scalar_mu`].
pub fn gaussian_scalar(mu: f64, threshold: f64) -> [f64; 3] {
    let bell = (-0.5 * threshold * threshold).exp();
    let v2 = mu / (2.0 * PI).powf(1.5) * threshold * bell;
    [normal_tail(threshold), mu.sqrt() / 8.0 * bell, v2]
}

/// Half the mean squared gradient of a scalar field over its variance.
///
/// μ = Σ (2ℓ+1) ℓ(ℓ+1) C_ℓ/8π / σ², σ² = Σ (2ℓ+1) C_ℓ/4π over ℓ ≥ 1.
///
/// ```
/// // One multipole: μ = ℓ(ℓ+1)/2.
/// assert_eq!(skyscat_validation::scalar_mu(&[9.0, 0.0, 0.0, 1.0]), 6.0);
/// ```
pub fn scalar_mu(spectrum: &[f64]) -> f64 {
    let sum = |f: &dyn Fn(f64) -> f64| -> f64 {
        let terms = spectrum.iter().enumerate().skip(1);
        terms.map(|(l, c)| (2 * l + 1) as f64 * f(l as f64) * c).sum()
    };
    0.5 * sum(&|l| l * (l + 1.0)) / sum(&|_| 1.0)
}
