//! Loss terms: functions of the statistics of a batch. One file a term.

mod matching;
mod ratio;
mod sum;
mod variance;

pub use matching::MatchMean;
pub use ratio::MatchRatio;
pub use sum::MatchSum;
pub use variance::MatchVariance;

use skyscat_autodiff::Stat;

/// All real coefficients of a list of statistics: for each, which statistic,
/// where its values begin, and the values over the maps.
pub(crate) fn coefficients<'a>(
    stats: &'a [Stat<'a>],
) -> impl Iterator<Item = (usize, usize, &'a [f64])> {
    stats.iter().enumerate().flat_map(|(s, stat)| {
        let maps = stat.maps;
        stat.coefficients().enumerate().map(move |(i, values)| (s, i * maps, values))
    })
}

/// Mean of a slice.
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Mean and variance (ddof 0) of a slice.
pub(crate) fn mean_and_variance(values: &[f64]) -> (f64, f64) {
    let mean = mean(values);
    let sum: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
    (mean, sum / values.len() as f64)
}
