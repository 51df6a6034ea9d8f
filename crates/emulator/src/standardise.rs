//! Zero mean and unit variance before the descent, undone after it.

use crate::{EmulatorError, Standardise};
use ndarray::{Array2, Array3, ArrayView1, ArrayView3, Axis};
use skyscat_harmonic::Plan;
use skyscat_healpix::{Nside, Ordering, reorder};

/// Mean and standard deviation of each channel and pixel, NEST ordering.
#[derive(Clone, Debug, PartialEq)]
pub struct Standardiser {
    /// Mean, axes (channel, pixel).
    pub mean: Array2<f64>,
    /// Standard deviation (ddof 0), axes (channel, pixel).
    pub std: Array2<f64>,
    /// The smoothing of the log-variance that was used, degrees.
    pub fwhm_deg: Option<f64>,
}

/// Widths tried by leave-one-out likelihood, degrees.
const WIDTHS_DEG: [f64; 9] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 11.0, 15.0];

impl Standardiser {
    /// Measures maps of axes (map, channel, pixel) in NEST ordering.
    ///
    /// `floor` is the smallest standard deviation allowed, as a fraction of the
    /// channel's mean one; 0 refuses constant pixels.
    ///
    /// # Errors
    /// [`EmulatorError::TooFewInputs`] for one map and a per-pixel choice,
    /// [`EmulatorError::ConstantPixel`] and [`EmulatorError::ConstantChannel`].
    pub fn measure(
        maps: ArrayView3<'_, f64>,
        channels: &[String],
        how: Standardise,
        floor: f64,
    ) -> Result<Self, EmulatorError> {
        let inputs = maps.len_of(Axis(0));
        if how != Standardise::Global && inputs < 2 {
            return Err(EmulatorError::TooFewInputs {
                what: "per-pixel standardisation",
                given: inputs,
                allowed: 2,
            });
        }
        let mean = maps.mean_axis(Axis(0)).expect("at least one map");
        let std = maps.std_axis(Axis(0), 0.0);
        let mut found = Self { mean, std, fwhm_deg: None };
        match how {
            Standardise::Global => found.make_global(maps, channels)?,
            Standardise::PerPixel => found.refuse_constant(maps, channels, floor)?,
            Standardise::SmoothedPerPixel { fwhm_deg } => {
                found.refuse_constant(maps, channels, floor)?;
                let width = match fwhm_deg {
                    Some(width) => width,
                    None => best_width(maps)?,
                };
                found.std = smoothed_std(&found.std, width)?;
                found.fwhm_deg = Some(width);
            }
        }
        Ok(found)
    }

    /// (x − mean)/std.
    pub fn apply(&self, maps: ArrayView3<'_, f64>) -> Array3<f64> {
        (&maps - &self.mean) / &self.std
    }

    /// x·std + mean.
    pub fn undo(&self, maps: ArrayView3<'_, f64>) -> Array3<f64> {
        &maps * &self.std + &self.mean
    }

    fn make_global(
        &mut self,
        maps: ArrayView3<'_, f64>,
        channels: &[String],
    ) -> Result<(), EmulatorError> {
        for (c, name) in channels.iter().enumerate() {
            let values = maps.index_axis(Axis(1), c);
            let (mean, std) = (values.mean().expect("pixels"), values.std(0.0));
            if std <= f64::EPSILON * mean.abs() {
                return Err(EmulatorError::ConstantChannel { channel: name.clone() });
            }
            self.mean.row_mut(c).fill(mean);
            self.std.row_mut(c).fill(std);
        }
        Ok(())
    }

    fn refuse_constant(
        &mut self,
        maps: ArrayView3<'_, f64>,
        channels: &[String],
        floor: f64,
    ) -> Result<(), EmulatorError> {
        for (c, name) in channels.iter().enumerate() {
            let constant = |p: usize| self.std[[c, p]] <= f64::EPSILON * self.mean[[c, p]].abs();
            let pixels: Vec<usize> = (0..self.std.ncols()).filter(|&p| constant(p)).collect();
            if pixels.len() == self.std.ncols() {
                return Err(EmulatorError::ConstantChannel { channel: name.clone() });
            }
            if let (Some(&pixel), true) = (pixels.first(), floor <= 0.0) {
                return Err(EmulatorError::ConstantPixel {
                    channel: name.clone(),
                    pixel,
                    value: maps[[0, c, pixel]],
                    inputs: maps.len_of(Axis(0)),
                    count: pixels.len(),
                });
            }
            let least = floor * self.std.row(c).mean().expect("pixels");
            self.std.row_mut(c).mapv_inplace(|s| s.max(least));
        }
        Ok(())
    }
}

/// Gaussian smoothing of NEST maps in harmonic space, any number of maps.
struct Smoother {
    lmax: usize,
    plan: Plan<f64>,
}

impl Smoother {
    fn new(npix: usize) -> Result<Self, EmulatorError> {
        let nside = Nside::from_npix(npix)?;
        // Up to 2 Nside quadrature with iterations is accurate.
        let lmax = 2 * nside.get();
        let plan = Plan::new(nside, lmax, 0).map_err(|e| EmulatorError::Harmonic(e.to_string()))?;
        Ok(Self { lmax, plan })
    }

    /// Smooths the fluctuations around the mean, so that the mean is kept.
    fn smooth(&self, map: ArrayView1<'_, f64>, fwhm_deg: f64) -> Result<Vec<f64>, EmulatorError> {
        let mean = map.mean().expect("pixels");
        let fluctuations: Vec<f64> = map.iter().map(|x| x - mean).collect();
        let ring = reorder(&fluctuations, Ordering::Nest, Ordering::Ring)?;
        let mut scratch = self.plan.scratch(1);
        let mut alm = vec![0.0; self.plan.alm_len(1)];
        self.plan.analysis(&ring, &mut alm, 3, &mut scratch);
        let sigma = fwhm_deg.to_radians() / (8.0 * 2f64.ln()).sqrt();
        let beam: Vec<f64> =
            (0..=self.lmax).map(|l| (-0.5 * (l * (l + 1)) as f64 * sigma * sigma).exp()).collect();
        for (index, l, _) in self.plan.modes().iter() {
            alm[2 * index] *= beam[l];
            alm[2 * index + 1] *= beam[l];
        }
        let mut out = vec![0.0; ring.len()];
        self.plan.synthesis(&alm, &mut out, &mut scratch);
        let nest = reorder(&out, Ordering::Ring, Ordering::Nest)?;
        Ok(nest.into_iter().map(|x| x + mean).collect())
    }
}

/// Standard deviations from log-variances smoothed together: channels share the
/// shape of their mean log-variance, and each keeps its own level.
fn smoothed_std(std: &Array2<f64>, fwhm_deg: f64) -> Result<Array2<f64>, EmulatorError> {
    let log_variance = std.mapv(|s| 2.0 * s.ln());
    let pooled = log_variance.mean_axis(Axis(0)).expect("channels");
    let smoother = Smoother::new(std.ncols())?;
    let smooth = smoother.smooth(pooled.view(), fwhm_deg)?;
    let level = pooled.mean().expect("pixels");
    let mut out = std.clone();
    for (mut row, log) in out.rows_mut().into_iter().zip(log_variance.rows()) {
        let own = log.mean().expect("pixels") - level;
        row.iter_mut().zip(&smooth).for_each(|(s, l)| *s = (0.5 * (l + own)).exp());
    }
    // A smoothed logarithm has lost the mean of the exponential: restore each
    // channel's mean variance.
    for (mut row, was) in out.rows_mut().into_iter().zip(std.rows()) {
        let ratio = was.mapv(|s| s * s).sum() / row.mapv(|s| s * s).sum();
        row.mapv_inplace(|s| s * ratio.sqrt());
    }
    Ok(out)
}

/// The width under which left-out maps are most likely.
fn best_width(maps: ArrayView3<'_, f64>) -> Result<f64, EmulatorError> {
    let inputs = maps.len_of(Axis(0));
    // With fewer than four maps, leaving one out leaves too little.
    if inputs < 4 {
        return Ok(8.0);
    }
    let folds = inputs.min(20);
    let mut scores = [0.0; WIDTHS_DEG.len()];
    for left in 0..folds {
        let rest: Vec<usize> = (0..inputs).filter(|&i| i != left).collect();
        let rest = maps.select(Axis(0), &rest);
        let (mean, std) = (rest.mean_axis(Axis(0)).expect("maps"), rest.std_axis(Axis(0), 0.0));
        if std.iter().any(|&s| s <= 0.0) {
            continue;
        }
        // The mean of the rest is noisy too: its error adds to the variance.
        let inflation = 1.0 + 1.0 / rest.len_of(Axis(0)) as f64;
        for (score, &width) in scores.iter_mut().zip(&WIDTHS_DEG) {
            let smooth = smoothed_std(&std, width)?;
            let left_out = maps.index_axis(Axis(0), left);
            for ((x, m), s) in left_out.iter().zip(&mean).zip(&smooth) {
                let variance = inflation * s * s;
                *score += (x - m).powi(2) / variance + variance.ln();
            }
        }
    }
    let best = (0..scores.len()).min_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    Ok(WIDTHS_DEG[best.expect("widths")])
}

#[cfg(test)]
mod tests {
    use super::*;
    use skyscat_num::Seed;

    fn channels() -> Vec<String> {
        vec!["Q".to_owned(), "U".to_owned()]
    }

    fn maps(count: usize) -> Array3<f64> {
        let noise = Seed(1).stream("maps").index(0, 0).normals(count * 2 * 768);
        Array3::from_shape_vec((count, 2, 768), noise).unwrap() * 3.0 + 5.0
    }

    #[test]
    fn undo_is_the_inverse_and_each_choice_has_unit_variance_overall() {
        let maps = maps(10);
        for how in [
            Standardise::PerPixel,
            Standardise::SmoothedPerPixel { fwhm_deg: None },
            Standardise::SmoothedPerPixel { fwhm_deg: Some(5.0) },
            Standardise::Global,
        ] {
            let s = Standardiser::measure(maps.view(), &channels(), how, 0.0).unwrap();
            let x = s.apply(maps.view());
            let variance = x.mapv(|x| x * x).mean().unwrap();
            assert!((variance - 1.0).abs() < 0.1, "{how:?}: {variance}");
            let back = s.undo(x.view());
            assert!((&back - &maps).mapv(f64::abs).fold(0.0, |m: f64, &d| m.max(d)) < 1e-12);
        }
    }

    #[test]
    fn homogeneous_noise_asks_for_the_widest_smoothing() {
        assert!(best_width(maps(10).view()).unwrap() >= 11.0);
    }

    #[test]
    fn constant_pixels_and_lonely_maps_are_refused() {
        let mut maps = maps(5);
        for m in 0..5 {
            maps[[m, 1, 77]] = 2.0;
        }
        let measure =
            |floor| Standardiser::measure(maps.view(), &channels(), Standardise::PerPixel, floor);
        let error = measure(0.0).unwrap_err();
        assert!(
            matches!(&error, EmulatorError::ConstantPixel { channel, pixel: 77, count: 1, .. } if channel == "U"),
            "{error}"
        );
        assert!(measure(0.01).is_ok());
        let one = maps.select(Axis(0), &[0]);
        let error = Standardiser::measure(one.view(), &channels(), Standardise::PerPixel, 0.0);
        assert!(matches!(error, Err(EmulatorError::TooFewInputs { given: 1, .. })));
        maps.index_axis_mut(Axis(1), 0).fill(1.0);
        let error = Standardiser::measure(maps.view(), &channels(), Standardise::Global, 0.0);
        assert!(matches!(error, Err(EmulatorError::ConstantChannel { .. })));
    }
}
