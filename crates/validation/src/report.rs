//! All scores of a set of emulations in one call.

mod parts;

use crate::compare::{CovarianceScores, Zoom};
use crate::dependence::{IndependenceScores, MemorisationScores};
use crate::error::Result;
use crate::minkowski::{MinkowskiConfig, So3Method};
use crate::modes::{EigenvalueRatios, ModeScores};
use crate::score::{Limits, Score, Verdict, judge};
use crate::sets::check_comparable;
use crate::shrinkage::{Shrinkage, TargetShrinkage};
use crate::spectra::HarmonicConfig;
use crate::table::{LabelledTable, Residuals};
use crate::two_sample::TwoSample;
use ndarray::ArrayView2;
use parts::Judge;
use serde::Serialize;
use skyscat_healpix::MapSet;
use skyscat_num::{Par, Seed};
use std::ops::Range;

/// What is compared, and how.
#[derive(Clone, Debug)]
pub struct ValidationConfig {
    /// Principal components that scores use.
    pub modes: usize,
    /// Maps of the reference whose χ² is taken (of its second half without an exact
    /// covariance), from the first.
    pub chi2_maps: usize,
    /// Variables whose covariances are kept in the report.
    pub zoom: Option<Range<usize>>,
    /// Transforms for the spectra.
    pub spectra: HarmonicConfig,
    /// Minkowski functionals, with how ψ is integrated; none leaves them out.
    pub minkowski: Option<(MinkowskiConfig, So3Method)>,
    /// Maps of each set whose functionals are taken, from the first.
    pub minkowski_maps: usize,
    /// Bins of pixel values a channel.
    pub pdf_bins: usize,
    /// Half-width of the inner bins, in σ.
    pub pdf_width: f64,
    /// Maps of each set in the energy distance, spread evenly.
    pub energy_maps: usize,
    /// Permutations of the energy distance.
    pub permutations: usize,
    /// Maps that were emulated together, in the order of the set.
    pub batch: usize,
    /// Seed of start vectors and permutations.
    pub seed: Seed,
    /// What must be kept.
    pub limits: Limits,
}

impl ValidationConfig {
    /// The scores of Campeti et al. (2025, §5.2), batches of ten.
    ///
    /// For Q/U maps of `nside`. The limits are asked for: they are stated before the run.
    pub fn campeti2025(nside: usize, limits: Limits, seed: Seed) -> Self {
        Self {
            modes: 150,
            chi2_maps: 1000,
            zoom: Some(760..840),
            spectra: HarmonicConfig::campeti2025(nside),
            minkowski: Some((MinkowskiConfig::campeti2025(nside), So3Method::Roots)),
            minkowski_maps: 1000,
            pdf_bins: 42,
            pdf_width: 4.0,
            energy_maps: 400,
            permutations: 999,
            batch: 10,
            seed,
            limits,
        }
    }
}

/// The sets that are compared; all are full-sky Q/U maps in RING order.
#[derive(Clone, Copy, Debug)]
pub struct Sets<'a> {
    /// Maps of the true distribution, independent of the inputs.
    pub reference: &'a MapSet,
    /// The maps that are judged, batch after batch.
    pub emulated: &'a MapSet,
    /// The maps that the emulator saw.
    pub inputs: &'a MapSet,
    /// The exact covariance `(2 n_pixels, 2 n_pixels)`, Q stacked on U, if known.
    pub exact: Option<ArrayView2<'a, f64>>,
    /// Scattering coefficients of reference and emulated maps, if measured.
    pub coefficients: Option<(&'a LabelledTable, &'a LabelledTable)>,
}

/// χ² of reference maps on the modes of one covariance.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Chi2Scores {
    /// Modes d.
    pub modes: usize,
    /// Mean over maps.
    pub mean: f64,
    /// Standard deviation over maps; √(2/d) under the covariance.
    pub std: f64,
    /// One a map.
    pub values: Vec<f64>,
}

/// How a covariance estimated from the inputs alone does: what emulation must beat.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InputBaseline {
    /// Scores of the plain sample covariance.
    pub sample: CovarianceScores,
    /// Eigenvalues of the plain sample covariance against the reference.
    pub eigenvalues: EigenvalueRatios,
    /// χ² of reference maps on its modes, n − 1 at most.
    pub chi2: Chi2Scores,
    /// Ledoit–Wolf shrinkage of the inputs.
    pub shrinkage: Shrinkage,
    /// Scores of the shrunk covariance.
    pub shrunk: CovarianceScores,
    /// Shrinkage of the inputs to the covariance of the emulated maps: the best that
    /// both know together.
    pub shrinkage_to_emulated: TargetShrinkage,
    /// Scores of that covariance.
    pub shrunk_to_emulated: CovarianceScores,
    /// Hartlap factor of the inputs on the modes; none if there is no inverse.
    pub hartlap: Option<f64>,
}

/// Two-sample test of one number a map.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NamedTest {
    /// The number.
    pub name: String,
    /// Emulated against reference.
    pub test: TwoSample,
}

/// Everything that was measured on a set of emulations.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Maps of the reference, the emulated and the input set.
    pub n_maps: [usize; 3],
    /// Whether the reference covariance is exact (else that of the reference set).
    pub exact_covariance: bool,
    /// Seed of the judge's own random numbers.
    pub seed: u64,
    /// Covariance and correlations.
    pub covariance: CovarianceScores,
    /// Zoomed covariances of the emulated set and of the reference.
    pub zoom: Option<[Zoom; 2]>,
    /// Leading eigenvalues; none if there are too few maps.
    pub eigenvalues: Option<EigenvalueRatios>,
    /// Scores on the modes of the exact covariance, or of half the reference.
    pub on_modes: ModeScores,
    /// χ² of reference maps on the emulated set's modes; none if it has too few.
    pub chi2: Option<Chi2Scores>,
    /// χ² of the same maps on the modes of the reference.
    pub chi2_reference: Chi2Scores,
    /// What the inputs alone give.
    pub baseline: InputBaseline,
    /// EE, BB, EB.
    pub spectra: Residuals,
    /// Scattering coefficients.
    pub coefficients: Option<Residuals>,
    /// SO(3) Minkowski functionals.
    pub minkowski: Option<Residuals>,
    /// Pixel values of Q and U.
    pub pdf: Residuals,
    /// Kolmogorov–Smirnov tests of single numbers.
    pub tests: Vec<NamedTest>,
    /// Energy distance on the whitened modes of the reference.
    pub energy: TwoSample,
    /// Closeness to the inputs.
    pub memorisation: MemorisationScores,
    /// Correlations among emulations; none if they are one batch.
    pub independence: Option<IndependenceScores>,
    /// The numbers that limits can name.
    pub scores: Vec<Score>,
    /// Scores against limits.
    pub verdicts: Vec<Verdict>,
}

impl Report {
    /// Whether every verdict is a pass.
    pub fn passed(&self) -> bool {
        self.verdicts.iter().all(|v| v.pass)
    }
}

/// Judges emulated maps against the reference.
///
/// Without an exact covariance, modes are those of the first half of the reference, and
/// maps are compared on them with its second half: a sample is never judged on modes
/// that know it.
///
/// The sets are read in place: beside them it holds two covariances (the emulated one,
/// and that of the reference if no exact one is given), and for a moment that of the
/// inputs.
///
/// # Errors
/// A set that cannot be compared or is too small for a score to exist at all, an exact
/// covariance that is not one, tables of other labels, settings out of range. Scores that
/// a small set cannot have (150 modes of 10 maps) are no errors: they are missing in
/// the report, and fail.
pub fn validate(sets: Sets<'_>, config: &ValidationConfig, par: &Par) -> Result<Report> {
    for (name, set) in
        [("reference", sets.reference), ("emulated", sets.emulated), ("input", sets.inputs)]
    {
        check_comparable(name, set, sets.reference)?;
    }
    let mut report = Judge::new(sets, config, par)?.report()?;
    report.verdicts = judge(&report.scores, &config.limits);
    Ok(report)
}
