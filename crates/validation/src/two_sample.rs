//! Two-sample tests: Kolmogorov–Smirnov, rank sums, energy distance.

use crate::error::{Result, ValidationError};
use crate::linear::{check_finite, product};
use crate::special::{kolmogorov_tail, normal_tail};
use ndarray::{Array2, ArrayView2, Axis, concatenate};
use rayon::prelude::*;
use serde::Serialize;
use skyscat_num::{Par, Seed};

/// A statistic of two samples and how often chance exceeds it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TwoSample {
    /// The statistic.
    pub statistic: f64,
    /// Probability of a larger one if both samples are of one distribution.
    pub p_value: f64,
}

/// Largest difference D of two empirical distributions (Kolmogorov–Smirnov).
///
/// The p-value is that of the Kolmogorov distribution at (√m + 0.12 + 0.11/√m) D with
/// m = n_a n_b/(n_a + n_b) (Stephens 1970), good from m ≈ 4 on.
///
/// # Errors
/// [`ValidationError::TooFewMaps`] for fewer than four in either,
/// [`ValidationError::NotFinite`].
pub fn kolmogorov_smirnov(a: &[f64], b: &[f64]) -> Result<TwoSample> {
    let (a, b) = (sorted(a)?, sorted(b)?);
    let (na, nb) = (a.len() as f64, b.len() as f64);
    let (mut i, mut j, mut statistic) = (0, 0, 0.0_f64);
    while i < a.len() && j < b.len() {
        let at = a[i].min(b[j]);
        i += a[i..].partition_point(|&v| v <= at);
        j += b[j..].partition_point(|&v| v <= at);
        statistic = statistic.max((i as f64 / na - j as f64 / nb).abs());
    }
    let root = (na * nb / (na + nb)).sqrt();
    let p_value = kolmogorov_tail((root + 0.12 + 0.11 / root) * statistic);
    Ok(TwoSample { statistic, p_value })
}

/// Rank sum of `a` among both samples in units of its scatter.
///
/// After Mann & Whitney (1947). The statistic is (U − n_a n_b/2)/√(n_a n_b (n_a + n_b + 1)/12), positive if `a` tends
/// to be larger; the p-value is one-sided. Ties take their mean rank.
///
/// # Errors
/// As [`kolmogorov_smirnov`].
pub fn rank_sum(a: &[f64], b: &[f64]) -> Result<TwoSample> {
    let (a, b) = (sorted(a)?, sorted(b)?);
    let (na, nb) = (a.len() as f64, b.len() as f64);
    let wins = a.iter().map(|&v| {
        let below = b.partition_point(|&w| w < v);
        let ties = b[below..].partition_point(|&w| w <= v);
        below as f64 + 0.5 * ties as f64
    });
    let excess = wins.sum::<f64>() - 0.5 * na * nb;
    let statistic = excess / (na * nb * (na + nb + 1.0) / 12.0).sqrt();
    Ok(TwoSample { statistic, p_value: normal_tail(statistic) })
}

fn sorted(sample: &[f64]) -> Result<Vec<f64>> {
    if sample.len() < 4 {
        let score = "a two-sample test";
        return Err(ValidationError::TooFewMaps { score, given: sample.len(), allowed: 4 });
    }
    let column = ArrayView2::from_shape((sample.len(), 1), sample).expect("one column");
    check_finite("a sample", column)?;
    let mut sample = sample.to_vec();
    sample.sort_by(f64::total_cmp);
    Ok(sample)
}

/// Energy distance of two samples of vectors, with a permutation test.
///
/// The statistic is 2 mean|a − b| − mean|a − a'| − mean|b − b'| over all pairs (Székely &
/// Rizzo 2013); the p-value (1 + number of permutations that reach it)/(1 +
/// `permutations`). Rows are vectors; time and memory grow with the square of their
/// number.
///
/// # Errors
/// [`ValidationError::TooFewMaps`] for fewer than four in either,
/// [`ValidationError::Shape`], [`ValidationError::NotFinite`],
/// [`ValidationError::Setting`] for no permutations.
pub fn energy_distance(
    a: ArrayView2<'_, f64>,
    b: ArrayView2<'_, f64>,
    permutations: usize,
    seed: Seed,
    par: &Par,
) -> Result<TwoSample> {
    let (na, nb) = (a.nrows(), b.nrows());
    if na < 4 || nb < 4 {
        let score = "the energy distance";
        return Err(ValidationError::TooFewMaps { score, given: na.min(nb), allowed: 4 });
    }
    if a.ncols() != b.ncols() {
        let (given, allowed) = (b.shape().to_vec(), vec![nb, a.ncols()]);
        return Err(ValidationError::Shape { what: "the second sample", given, allowed });
    }
    if permutations == 0 {
        let (name, given) = ("permutations", "0".to_owned());
        return Err(ValidationError::Setting { name, given, allowed: "1 or more" });
    }
    check_finite("the first sample", a)?;
    check_finite("the second sample", b)?;
    par.install(|| {
        let all = concatenate(Axis(0), &[a, b]).expect("columns agree");
        let distances = distances(all.view());
        let total: f64 = distances.iter().sum();
        let first: Vec<usize> = (0..na).collect();
        let statistic = energy(&distances, &first, nb, total);
        let reached: usize = (0..permutations)
            .into_par_iter()
            .filter(|&member| {
                let mut stream = seed.stream("energy-permutation").index(0, member as u64);
                let mut labels: Vec<usize> = (0..na + nb).collect();
                for i in 0..na {
                    labels.swap(i, i + stream.below(na + nb - i));
                }
                // Equal up to rounding counts as reached.
                energy(&distances, &labels[..na], nb, total) >= statistic * (1.0 - 1e-12)
            })
            .count();
        let p_value = (1 + reached) as f64 / (1 + permutations) as f64;
        Ok(TwoSample { statistic, p_value })
    })
}

/// |x_i − x_j| of all pairs of rows.
fn distances(rows: ArrayView2<'_, f64>) -> Array2<f64> {
    let rows = rows.as_standard_layout();
    let mut gram = product(rows.view(), rows.t());
    let norms = gram.diag().to_owned();
    gram.indexed_iter_mut().for_each(|((i, j), g)| {
        *g = if i == j { 0.0 } else { (norms[i] + norms[j] - 2.0 * *g).max(0.0).sqrt() };
    });
    gram
}

/// The statistic of the rows `first` against all others, `others` of them.
fn energy(distances: &Array2<f64>, first: &[usize], others: usize, total: f64) -> f64 {
    let mut inside = vec![false; distances.nrows()];
    first.iter().for_each(|&i| inside[i] = true);
    let (mut within, mut of_first) = (0.0, 0.0);
    for &i in first {
        let row = distances.row(i);
        of_first += row.sum();
        within += first.iter().map(|&j| row[j]).sum::<f64>();
    }
    let between = of_first - within;
    let rest = total - within - 2.0 * between;
    let (na, nb) = (first.len() as f64, others as f64);
    2.0 * between / (na * nb) - within / (na * na) - rest / (nb * nb)
}
