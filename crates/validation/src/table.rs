//! Labelled numbers of every map, and what sets of them have in common.

use crate::error::{Result, ValidationError};
use crate::linear::check_finite;
use ndarray::Array2;
use serde::Serialize;

/// Numbers of every map with a label for each: coefficients, spectra, functionals.
///
/// Scattering coefficients come to the judge in this form; of a complex one the real
/// and the imaginary part are two columns.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelledTable {
    /// One label a column.
    pub labels: Vec<String>,
    /// `(n_maps, n_labels)`.
    pub values: Array2<f64>,
}

impl LabelledTable {
    /// A table of finite numbers.
    ///
    /// # Errors
    /// [`ValidationError::Shape`] if labels and columns differ in number or there are
    /// none, [`ValidationError::NotFinite`].
    pub fn new(labels: Vec<String>, values: Array2<f64>) -> Result<Self> {
        if values.ncols() != labels.len() || labels.is_empty() || values.nrows() == 0 {
            let given = values.shape().to_vec();
            let allowed = vec![values.nrows().max(1), labels.len().max(1)];
            return Err(ValidationError::Shape { what: "a labelled table", given, allowed });
        }
        check_finite("a labelled table", values.view())?;
        Ok(Self { labels, values })
    }

    /// Mean, standard deviation and kurtosis of every column.
    ///
    /// # Errors
    /// [`ValidationError::TooFewMaps`] for fewer than two.
    pub fn summary(&self) -> Result<TableSummary> {
        let n = self.values.nrows();
        if n < 2 {
            let score = "a spread";
            return Err(ValidationError::TooFewMaps { score, given: n, allowed: 2 });
        }
        let count = n as f64;
        let (mut mean, mut std, mut kurtosis) = (Vec::new(), Vec::new(), Vec::new());
        for column in self.values.columns() {
            let centre = column.sum() / count;
            let moment = |k: i32| column.iter().map(|v| (v - centre).powi(k)).sum::<f64>() / count;
            let (second, fourth) = (moment(2), moment(4));
            // A spread that is rounding of the mean is none: V0 = ½ at u = 0.
            let noise = 1e-12 * centre.abs();
            let still = second.sqrt() <= noise;
            mean.push(centre);
            std.push(if still { 0.0 } else { (second * count / (count - 1.0)).sqrt() });
            kurtosis.push(if still { 3.0 } else { fourth / (second * second) });
        }
        Ok(TableSummary { labels: self.labels.clone(), n_maps: n, mean, std, kurtosis })
    }
}

/// Mean and spread of the columns of a [`LabelledTable`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TableSummary {
    /// One label a column.
    pub labels: Vec<String>,
    /// Maps.
    pub n_maps: usize,
    /// Means.
    pub mean: Vec<f64>,
    /// Standard deviations, divided by n − 1; 0 for a column that does not vary.
    pub std: Vec<f64>,
    /// Fourth central moment over the squared second: 3 for a Gaussian.
    pub kurtosis: Vec<f64>,
}

/// Residuals of one set's numbers against the reference's, in units of its spread.
///
/// Columns that do not vary in the reference have no unit: they are named apart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Residuals {
    /// One label a number.
    pub labels: Vec<String>,
    /// Maps of the set that is judged.
    pub n_maps: usize,
    /// Maps of the reference.
    pub n_reference: usize,
    /// Δ = (⟨x⟩ − ⟨x⟩_ref)/σ_ref (Campeti et al. 2025, §5.2).
    pub delta: Vec<f64>,
    /// Δ⁺ = (⟨x⟩ + σ − ⟨x⟩_ref)/σ_ref: 1 if the spread is right.
    pub delta_plus: Vec<f64>,
    /// Δ⁻ = (⟨x⟩ − σ − ⟨x⟩_ref)/σ_ref: −1 if the spread is right.
    pub delta_minus: Vec<f64>,
    /// Half-width of the band ±1/√n of the mean.
    pub band: f64,
    /// Standard error of Δ: √(1/n + 1/n_ref).
    pub mean_error: f64,
    /// ln(σ/σ_ref).
    pub log_spread: Vec<f64>,
    /// Its standard error √((κ − 1)/4 (1/n + 1/n_ref)) with the reference's kurtosis κ.
    pub log_spread_error: Vec<f64>,
    /// Labels of columns that do not vary in the reference.
    pub constant: Vec<String>,
}

impl Residuals {
    /// Residuals of `sample` against `reference`.
    ///
    /// # Errors
    /// [`ValidationError::Labels`] if the labels differ.
    pub fn of(sample: &TableSummary, reference: &TableSummary) -> Result<Self> {
        check_labels(&sample.labels, &reference.labels)?;
        let (n, n_ref) = (sample.n_maps, reference.n_maps);
        let variance = 1.0 / n as f64 + 1.0 / n_ref as f64;
        let mut out = Self {
            labels: Vec::new(),
            n_maps: n,
            n_reference: n_ref,
            delta: Vec::new(),
            delta_plus: Vec::new(),
            delta_minus: Vec::new(),
            band: 1.0 / (n as f64).sqrt(),
            mean_error: variance.sqrt(),
            log_spread: Vec::new(),
            log_spread_error: Vec::new(),
            constant: Vec::new(),
        };
        for (i, label) in reference.labels.iter().enumerate() {
            let (std, sigma) = (sample.std[i], reference.std[i]);
            if sigma == 0.0 {
                out.constant.push(label.clone());
                continue;
            }
            let shift = sample.mean[i] - reference.mean[i];
            out.labels.push(label.clone());
            out.delta.push(shift / sigma);
            out.delta_plus.push((shift + std) / sigma);
            out.delta_minus.push((shift - std) / sigma);
            out.log_spread.push((std / sigma).ln());
            let excess = (reference.kurtosis[i] - 1.0).max(0.0);
            out.log_spread_error.push((0.25 * excess * variance).sqrt());
        }
        Ok(out)
    }

    /// Largest |Δ| in standard errors of labels that start with `group`.
    pub fn worst_mean(&self, group: &str) -> Option<(f64, &str)> {
        self.worst(group, self.delta.iter().map(|d| d.abs() / self.mean_error))
    }

    /// Largest |ln(σ/σ_ref)| in standard errors among labels that start with `group`.
    pub fn worst_spread(&self, group: &str) -> Option<(f64, &str)> {
        let pairs = self.log_spread.iter().zip(&self.log_spread_error);
        self.worst(group, pairs.map(|(s, e)| s.abs() / e))
    }

    fn worst(&self, group: &str, values: impl Iterator<Item = f64>) -> Option<(f64, &str)> {
        let all = values.zip(&self.labels).filter(|(_, label)| label.starts_with(group));
        all.map(|(v, l)| (v, l.as_str())).max_by(|a, b| a.0.total_cmp(&b.0))
    }

    /// Root mean square of Δ.
    pub fn rms(&self) -> f64 {
        let squares: f64 = self.delta.iter().map(|d| d * d).sum();
        (squares / self.delta.len().max(1) as f64).sqrt()
    }
}

fn check_labels(given: &[String], allowed: &[String]) -> Result<()> {
    let index = (0..given.len().max(allowed.len())).find(|&i| given.get(i) != allowed.get(i));
    let Some(index) = index else { return Ok(()) };
    let at = |labels: &[String]| labels.get(index).cloned().unwrap_or_default();
    Err(ValidationError::Labels { index, given: at(given), allowed: at(allowed) })
}
