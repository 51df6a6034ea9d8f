//! Whether emulations repeat their inputs, or one another.

use crate::error::{Result, ValidationError};
use crate::linear::{check_finite, product};
use crate::two_sample::{TwoSample, rank_sum};
use ndarray::{Array2, ArrayView2, Axis};
use serde::Serialize;
use skyscat_num::Par;

/// Rows whose correlations are computed at once.
const BLOCK: usize = 512;

/// How close emulations come to the inputs, and how close independent maps do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MemorisationScores {
    /// Largest |correlation| of an emulation with an input.
    pub emulated_max: f64,
    /// Largest |correlation| of a reference map with an input.
    pub reference_max: f64,
    /// Median over emulations of their largest |correlation| with any input.
    pub emulated_median: f64,
    /// The same of reference maps.
    pub reference_median: f64,
    /// Rank sum of the emulations' largest |correlations| among the references'.
    pub rank_sum: TwoSample,
    /// How far out the closest emulation is: 1 as the closest reference map.
    ///
    /// (a − m)/(b − m) with the artanh of the closest emulation's |correlation| (a), the
    /// closest reference map's (b) and the reference's median (m).
    pub closeness: f64,
}

/// Largest |Pearson correlation| of each map with any input.
///
/// Rows are maps `(n, n_variables)`.
///
/// # Errors
/// [`ValidationError::Shape`], [`ValidationError::NotFinite`],
/// [`ValidationError::TooFewMaps`] without inputs, [`ValidationError::Variance`] for a
/// map that does not vary.
pub fn closest_input(
    maps: ArrayView2<'_, f64>,
    inputs: ArrayView2<'_, f64>,
    par: &Par,
) -> Result<Vec<f64>> {
    if maps.ncols() != inputs.ncols() {
        let (given, allowed) = (inputs.shape().to_vec(), vec![inputs.nrows(), maps.ncols()]);
        return Err(ValidationError::Shape { what: "the inputs", given, allowed });
    }
    if inputs.nrows() == 0 {
        let score = "the closest input";
        return Err(ValidationError::TooFewMaps { score, given: 0, allowed: 1 });
    }
    let inputs = unit_rows(inputs, true)?;
    let mut closest = Vec::with_capacity(maps.nrows());
    for block in maps.axis_chunks_iter(Axis(0), BLOCK) {
        let block = unit_rows(block, true)?;
        let correlations = par.install(|| product(block.view(), inputs.t()));
        let largest = |row: ndarray::ArrayView1<'_, f64>| {
            row.iter().fold(0.0, |largest: f64, c| largest.max(c.abs()))
        };
        closest.extend(correlations.rows().into_iter().map(largest));
    }
    Ok(closest)
}

/// Compares how close emulations and reference maps come to the inputs.
///
/// The test is by ranks: given the inputs, maps of the reference distribution that know
/// nothing of them are exchangeable with the reference set.
///
/// # Errors
/// As [`closest_input`] and [`rank_sum`].
pub fn memorisation(
    emulated: ArrayView2<'_, f64>,
    reference: ArrayView2<'_, f64>,
    inputs: ArrayView2<'_, f64>,
    par: &Par,
) -> Result<MemorisationScores> {
    let mut ours = closest_input(emulated, inputs, par)?;
    let mut theirs = closest_input(reference, inputs, par)?;
    let rank_sum = rank_sum(&ours, &theirs)?;
    ours.sort_by(f64::total_cmp);
    theirs.sort_by(f64::total_cmp);
    let last = |v: &[f64]| v[v.len() - 1];
    let height = |r: f64| r.min(1.0 - f64::EPSILON).atanh();
    let median = height(theirs[theirs.len() / 2]);
    let closeness = (height(last(&ours)) - median) / (height(last(&theirs)) - median);
    Ok(MemorisationScores {
        emulated_max: last(&ours),
        reference_max: last(&theirs),
        emulated_median: ours[ours.len() / 2],
        reference_median: theirs[theirs.len() / 2],
        rank_sum,
        closeness,
    })
}

/// Correlations of pairs of maps, in units of their scatter if independent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PairScores {
    /// Number of pairs.
    pub pairs: usize,
    /// Mean correlation ρ, expected 0.
    pub mean: f64,
    /// The mean over its standard error 1/√(d pairs).
    pub mean_sigmas: f64,
    /// Mean ρ², expected 1/d.
    pub mean_square: f64,
    /// Its excess over 1/d, over the standard error √(2(d−1)/(d²(d+2) pairs)).
    pub mean_square_sigmas: f64,
}

/// Correlations of emulations with those of their own batch and of other batches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct IndependenceScores {
    /// Modes d on which maps are correlated.
    pub modes: usize,
    /// Maps in a batch.
    pub batch: usize,
    /// Pairs of one batch.
    pub within: PairScores,
    /// Pairs of two batches.
    pub between: PairScores,
    /// Mean ρ within less that between batches, in standard errors 1/√(d pairs): what
    /// maps have in common for being of one batch.
    pub within_excess_sigmas: f64,
    /// Mean ρ² within less that between batches, in standard errors.
    pub within_square_sigmas: f64,
}

/// Correlations of whitened maps with each other, within batches and between them.
///
/// `whitened` has amplitudes on the reference's modes divided by √λ, `(n_maps, d)`
/// ([`crate::whiten`]), in the order of emulation: batches of `batch` one after another,
/// the last may be shorter. For independent Gaussian maps of the reference covariance
/// directions are uniform on a sphere in d dimensions, so that ρ has mean 0 and variance
/// 1/d, and different pairs are uncorrelated.
///
/// # Errors
/// [`ValidationError::TooFewMaps`] without at least two batches,
/// [`ValidationError::Setting`] for batches below two maps or fewer than two modes,
/// [`ValidationError::NotFinite`], [`ValidationError::Variance`] for a map of zeros.
pub fn independence(
    whitened: ArrayView2<'_, f64>,
    batch: usize,
    par: &Par,
) -> Result<IndependenceScores> {
    let (n, d) = whitened.dim();
    if batch < 2 || d < 2 {
        let given = format!("batches of {batch} on {d} modes");
        let allowed = "at least 2 maps on 2 modes";
        return Err(ValidationError::Setting { name: "independence", given, allowed });
    }
    if n < batch + 1 {
        let score = "independence of batches";
        return Err(ValidationError::TooFewMaps { score, given: n, allowed: batch + 1 });
    }
    let unit = unit_rows(whitened, false)?;
    // Σ over pairs i < j of ρ and ρ², from sums and second moments.
    let all = par.install(|| pair_sums(unit.view()));
    let batches = unit.axis_chunks_iter(Axis(0), batch);
    let within = batches
        .map(|maps| pair_sums(maps))
        .fold((0, 0.0, 0.0), |sum, part| (sum.0 + part.0, sum.1 + part.1, sum.2 + part.2));
    let between = (all.0 - within.0, all.1 - within.1, all.2 - within.2);
    let (within, between) = (scores(within, d), scores(between, d));
    let freedom = 1.0 / within.pairs as f64 + 1.0 / between.pairs as f64;
    let (mean, square) = (within.mean - between.mean, within.mean_square - between.mean_square);
    Ok(IndependenceScores {
        modes: d,
        batch,
        within,
        between,
        within_excess_sigmas: mean / (freedom / d as f64).sqrt(),
        within_square_sigmas: square / (freedom * square_variance(d as f64)).sqrt(),
    })
}

/// Pairs, Σρ and Σρ² of the rows, unit vectors.
fn pair_sums(unit: ArrayView2<'_, f64>) -> (usize, f64, f64) {
    let (n, d) = unit.dim();
    let sum = unit.sum_axis(Axis(0));
    let unit = unit.as_standard_layout();
    let moment =
        if n < d { product(unit.view(), unit.t()) } else { product(unit.t(), unit.view()) };
    let square: f64 = moment.iter().map(|v| v * v).sum();
    (n * (n - 1) / 2, 0.5 * (sum.dot(&sum) - n as f64), 0.5 * (square - n as f64))
}

fn scores((pairs, sum, square): (usize, f64, f64), d: usize) -> PairScores {
    let (count, d) = (pairs as f64, d as f64);
    let (mean, mean_square) = (sum / count, square / count);
    let scatter = (square_variance(d) / count).sqrt();
    PairScores {
        pairs,
        mean,
        mean_sigmas: mean * (d * count).sqrt(),
        mean_square,
        mean_square_sigmas: (mean_square - 1.0 / d) / scatter,
    }
}

/// Variance of ρ² for directions uniform in d dimensions.
fn square_variance(d: f64) -> f64 {
    2.0 * (d - 1.0) / (d * d * (d + 2.0))
}

/// Rows of unit length, less their mean if `centred`.
fn unit_rows(rows: ArrayView2<'_, f64>, centred: bool) -> Result<Array2<f64>> {
    check_finite("the maps", rows)?;
    let mut out = rows.as_standard_layout().into_owned();
    for (index, mut row) in out.rows_mut().into_iter().enumerate() {
        if centred {
            let mean = row.mean().unwrap_or(0.0);
            row -= mean;
        }
        let norm = row.dot(&row).sqrt();
        if norm <= 0.0 {
            return Err(ValidationError::Variance { what: "a map", index, given: norm });
        }
        row /= norm;
    }
    Ok(out)
}
