//! The single pieces of a report, and the scores that are drawn from them.

use super::{Chi2Scores, InputBaseline, NamedTest, Report, Sets, ValidationConfig};
use crate::compare::{
    ReferenceCovariance, compare_covariances, inverse_freedom, log_variance_expected, zoom,
};
use crate::covariance::SampleCovariance;
use crate::dependence::{IndependenceScores, independence, memorisation};
use crate::eigen::Eigenmodes;
use crate::error::{Result, ValidationError};
use crate::leading::{LeadingConfig, leading_modes};
use crate::linear::check_covariance;
use crate::minkowski::So3Functionals;
use crate::modes::{compare_on_modes, eigenvalue_ratios, reduced_chi2, stein_expected, whiten};
use crate::pdf::PixelBins;
use crate::score::{Known, Score};
use crate::sets::{check_qu_ring, matrix};
use crate::shrinkage::{Shrinkage, TargetShrinkage, hartlap_factor};
use crate::spectra::measure_spectra;
use crate::table::{LabelledTable, Residuals};
use crate::two_sample::{TwoSample, energy_distance, kolmogorov_smirnov};
use ndarray::{Array2, ArrayView2, Axis, CowArray, Ix2, Slice};
use skyscat_healpix::MapSet;
use skyscat_num::Par;

/// The sets as matrices, and what is wanted of them.
pub(super) struct Judge<'a, 'c> {
    sets: Sets<'a>,
    config: &'c ValidationConfig,
    par: &'c Par,
    reference: CowArray<'a, f64, Ix2>,
    emulated: CowArray<'a, f64, Ix2>,
    inputs: CowArray<'a, f64, Ix2>,
}

/// What covariances are compared with, and modes free of the maps compared.
struct Truth<'e> {
    covariance: ReferenceCovariance<'e>,
    modes: Eigenmodes,
    /// Reference maps behind the modes; 0 if these are exact.
    half: usize,
}

impl Truth<'_> {
    /// 1/ν of a sample and of the modes.
    fn inverse_freedom(&self, n_maps: usize) -> f64 {
        inverse_freedom(n_maps, (self.half > 0).then_some(self.half))
    }
}

impl<'a, 'c> Judge<'a, 'c> {
    pub(super) fn new(sets: Sets<'a>, config: &'c ValidationConfig, par: &'c Par) -> Result<Self> {
        for (score, set) in [
            ("the reference", sets.reference),
            ("a verdict", sets.emulated),
            ("inputs", sets.inputs),
        ] {
            check_qu_ring("validation", set)?;
            if set.n_maps() < 4 {
                let given = set.n_maps();
                return Err(ValidationError::TooFewMaps { score, given, allowed: 4 });
            }
        }
        let (reference, emulated) = (matrix(sets.reference), matrix(sets.emulated));
        Ok(Self { sets, config, par, reference, emulated, inputs: matrix(sets.inputs) })
    }

    pub(super) fn report(&self) -> Result<Report> {
        let own; // The reference set's covariance, if there is no exact one.
        let truth = match self.sets.exact {
            Some(exact) => self.exact(exact)?,
            None => {
                // Modes of the first half know nothing of the second.
                let half = self.reference.nrows() / 2;
                let first = self.reference.slice_axis(Axis(0), Slice::from(..half));
                let first = SampleCovariance::of(first, self.par)?.covariance;
                let modes = self.leading(first.view())?;
                drop(first);
                own = SampleCovariance::of(self.reference.view(), self.par)?;
                let (covariance, n_maps) = (own.covariance.view(), Some(own.n_maps));
                Truth { covariance: ReferenceCovariance { covariance, n_maps }, modes, half }
            }
        };
        let mut scores = Vec::new();
        let mut report = self.on_covariance(&truth, &mut scores)?;
        report.minkowski = self.minkowski(&mut scores)?;
        report.coefficients = match self.sets.coefficients {
            Some((reference, emulated)) => {
                let found = Residuals::of(&emulated.summary()?, &reference.summary()?)?;
                self.residual_scores("coefficients", &[""], &found, &mut scores);
                Some(found)
            }
            None => None,
        };
        scores.push(Score::measured("energy distance/p", report.energy.p_value));
        self.dependence_scores(&report, &mut scores);
        report.scores = scores;
        Ok(report)
    }

    fn exact<'e>(&self, covariance: ArrayView2<'e, f64>) -> Result<Truth<'e>> {
        let p = self.reference.ncols();
        if covariance.dim() != (p, p) {
            let (given, allowed) = (covariance.shape().to_vec(), vec![p, p]);
            return Err(ValidationError::Shape { what: "the exact covariance", given, allowed });
        }
        check_covariance("the exact covariance", covariance)?;
        let modes = self.leading(covariance)?;
        let covariance = ReferenceCovariance { covariance, n_maps: None };
        Ok(Truth { covariance, modes, half: 0 })
    }

    fn leading(&self, covariance: ArrayView2<'_, f64>) -> Result<Eigenmodes> {
        let config = LeadingConfig::of_modes(self.config.modes, self.config.seed);
        leading_modes(covariance, config, self.par)
    }

    /// Covariances, modes, and what is measured on them; the rest is added by `report`.
    fn on_covariance(&self, truth: &Truth<'_>, scores: &mut Vec<Score>) -> Result<Report> {
        let (config, par) = (self.config, self.par);
        let sample = SampleCovariance::of(self.emulated.view(), par)?;
        let baseline = self.baseline(truth, sample.covariance.view())?;
        let covariance = compare_covariances(&sample, truth.covariance, par)?;
        let zoom = match &config.zoom {
            Some(range) => Some([
                zoom(sample.covariance.view(), range.clone())?,
                zoom(truth.covariance.covariance, range.clone())?,
            ]),
            None => None,
        };
        let own_modes = match sample.n_maps > config.modes {
            true => Some(self.leading(sample.covariance.view())?),
            false => None,
        };
        drop(sample);
        let own_modes = own_modes.as_ref();
        let freedom = truth.inverse_freedom(self.emulated.nrows());
        let ratios = own_modes.map(|own| eigenvalue_ratios(own, &truth.modes, freedom));
        let rest = self.reference.slice_axis(Axis(0), Slice::from(truth.half..));
        let white_reference = whiten(&truth.modes, rest, par)?;
        let white = whiten(&truth.modes, self.emulated.view(), par)?;
        let known = truth.covariance.n_maps.map(|_| white_reference.view());
        let (spectra, pdf, mut tests) = self.tables(scores)?;
        let lengths = |white: &Array2<f64>| -> Vec<f64> {
            white.rows().into_iter().map(|r| r.dot(&r) / r.len() as f64).collect()
        };
        tests.push(NamedTest {
            name: "χ² on the reference's modes".to_owned(),
            test: kolmogorov_smirnov(&lengths(&white), &lengths(&white_reference))?,
        });
        for test in &tests {
            let score = Score::measured(format!("KS p/{}", test.name), test.test.p_value);
            scores.push(score.remarking(format!("D = {:.4}", test.test.statistic)));
        }
        let report = Report {
            n_maps: [self.reference.nrows(), self.emulated.nrows(), self.inputs.nrows()],
            exact_covariance: truth.covariance.n_maps.is_none(),
            seed: config.seed.0,
            covariance,
            zoom,
            eigenvalues: ratios.transpose()?,
            on_modes: compare_on_modes(white.view(), known, par)?,
            chi2: own_modes.map(|own| self.chi2(own, truth.half)).transpose()?,
            chi2_reference: self.chi2(&truth.modes, truth.half)?,
            baseline,
            spectra,
            coefficients: None,
            minkowski: None,
            pdf,
            tests,
            energy: self.energy(white.view(), white_reference.view())?,
            memorisation: memorisation(
                self.emulated.view(),
                self.reference.view(),
                self.inputs.view(),
                par,
            )?,
            independence: self.independence(white.view())?,
            scores: Vec::new(),
            verdicts: Vec::new(),
        };
        self.covariance_scores(truth, &report, scores);
        Ok(report)
    }

    /// Covariance scores in units of what the limits' number of draws would give.
    fn covariance_scores(&self, truth: &Truth<'_>, report: &Report, scores: &mut Vec<Score>) {
        let n = report.n_maps[1];
        let draws = self.config.limits.draws(n);
        let all = truth.covariance.n_maps;
        let (own, asked) = (inverse_freedom(n, all), inverse_freedom(draws, all));
        let on_modes = inverse_freedom(draws, report.on_modes.n_reference);
        let remark = format!("in units of what {draws} reference draws give");
        let mut push = |name: &str, value: f64| {
            scores.push(Score::measured(name, value).expecting(1.0).remarking(remark.clone()));
        };
        let found = &report.covariance;
        push("covariance/variances", found.log_variance_rms / log_variance_expected(asked));
        let correlation = found.correlation_expected * (asked / own).sqrt();
        push("covariance/correlations", found.correlation_error / correlation);
        let variances = report.on_modes.log_variance_rms / log_variance_expected(on_modes);
        push("covariance/mode variances", variances);
        let d = report.on_modes.modes;
        match (report.on_modes.stein, stein_expected(d, draws, report.on_modes.n_reference)) {
            (Some(stein), Some(expected)) => push("covariance/Stein loss", stein / expected),
            _ => {
                let why = format!("{n} maps have no Gaussian density on {d} modes");
                scores.push(Score::missing("covariance/Stein loss", why));
            }
        }
        match (&report.eigenvalues, &report.chi2) {
            (Some(ratios), Some(chi2)) => {
                let freedom = truth.inverse_freedom(draws);
                let ratio = ratios.log_rms / (2.0 * freedom).sqrt();
                let ratio = Score::measured("covariance/eigenvalues", ratio);
                scores.push(ratio.expecting(1.0).remarking(remark));
                // The inverse of a sample covariance is too large by about d/n.
                let excess = (chi2.mean - report.chi2_reference.mean) / (d as f64 * freedom);
                let remark = format!(
                    "χ² {:.4} ± {:.4} on {d} modes, in units of d/{:.0} above {:.4}",
                    chi2.mean,
                    chi2.std,
                    1.0 / freedom,
                    report.chi2_reference.mean
                );
                scores.push(Score::measured("covariance/chi2", excess).remarking(remark));
            }
            _ => {
                let why = format!("{d} modes asked of {n} maps");
                scores.push(Score::missing("covariance/eigenvalues", &why));
                scores.push(Score::missing("covariance/chi2", &why));
            }
        }
    }

    fn baseline(&self, truth: &Truth<'_>, emulated: ArrayView2<'_, f64>) -> Result<InputBaseline> {
        let par = self.par;
        let n = self.inputs.nrows();
        let mut sample = SampleCovariance::of(self.inputs.view(), par)?;
        let scores = compare_covariances(&sample, truth.covariance, par)?;
        let to_emulated = TargetShrinkage::towards(self.inputs.view(), emulated, par)?;
        let mut both = sample.clone();
        to_emulated.apply(&mut both, emulated);
        let both = compare_covariances(&both, truth.covariance, par)?;
        let shrinkage = Shrinkage::ledoit_wolf(self.inputs.view(), par)?;
        shrinkage.apply(&mut sample);
        let shrunk = compare_covariances(&sample, truth.covariance, par)?;
        drop(sample);
        let own = Eigenmodes::of_maps(self.inputs.view(), self.config.modes.min(n - 1), par)?;
        Ok(InputBaseline {
            sample: scores,
            eigenvalues: eigenvalue_ratios(&own, &truth.modes, truth.inverse_freedom(n))?,
            chi2: self.chi2(&own, truth.half)?,
            shrinkage,
            shrunk,
            shrinkage_to_emulated: to_emulated,
            shrunk_to_emulated: both,
            hartlap: hartlap_factor(n, self.config.modes).ok(),
        })
    }

    /// χ² on some modes of the first reference maps from `first` on.
    fn chi2(&self, modes: &Eigenmodes, first: usize) -> Result<Chi2Scores> {
        let count = self.config.chi2_maps.clamp(1, self.reference.nrows() - first);
        let maps = self.reference.slice_axis(Axis(0), Slice::from(first..first + count));
        let values = reduced_chi2(modes, maps, self.par)?;
        let mean = values.iter().sum::<f64>() / count as f64;
        let square: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        let std = (square / (count.max(2) - 1) as f64).sqrt();
        Ok(Chi2Scores { modes: modes.len(), mean, std, values })
    }

    /// Spectra, pixel values, and tests of single numbers.
    fn tables(&self, scores: &mut Vec<Score>) -> Result<(Residuals, Residuals, Vec<NamedTest>)> {
        let (config, par) = (self.config, self.par);
        let (reference, emulated) = (self.sets.reference, self.sets.emulated);
        let spectra = [reference, emulated].map(|set| measure_spectra(set, config.spectra, par));
        let [theirs, ours] = spectra;
        let (theirs, ours) = (theirs?, ours?);
        let residuals = Residuals::of(&ours.summary()?, &theirs.summary()?)?;
        self.residual_scores("spectra", &["EE", "BB", "EB"], &residuals, scores);
        let mut tests = Vec::new();
        for kind in ["EE", "BB"] {
            let test = kolmogorov_smirnov(&power(&ours, kind), &power(&theirs, kind))?;
            tests.push(NamedTest { name: format!("{kind} power"), test });
        }
        let bins = PixelBins::of(reference, config.pdf_bins, config.pdf_width)?;
        let summary = |set: &MapSet| bins.measure(set)?.summary();
        let pdf = Residuals::of(&summary(emulated)?, &summary(reference)?)?;
        self.residual_scores("pixels", &["Q", "U"], &pdf, scores);
        Ok((residuals, pdf, tests))
    }

    fn minkowski(&self, scores: &mut Vec<Score>) -> Result<Option<Residuals>> {
        let Some((config, method)) = &self.config.minkowski else { return Ok(None) };
        let so3 = So3Functionals::new(self.sets.reference.nside(), config.clone(), *method)?;
        let measure = |set: &MapSet| {
            let first: Vec<usize> = (0..set.n_maps().min(self.config.minkowski_maps)).collect();
            let part = set.select_maps(&first);
            let part = part.map_err(|source| ValidationError::Maps { set: "Minkowski", source })?;
            so3.of_maps(&part, self.par)?.summary()
        };
        let found = Residuals::of(&measure(self.sets.emulated)?, &measure(self.sets.reference)?)?;
        self.residual_scores("Minkowski", &["V0", "V1", "V2", "V3"], &found, scores);
        Ok(Some(found))
    }

    /// Energy distance of evenly spread maps.
    fn energy(&self, ours: ArrayView2<'_, f64>, theirs: ArrayView2<'_, f64>) -> Result<TwoSample> {
        let config = self.config;
        let spread = |rows: ArrayView2<'_, f64>| {
            let count = config.energy_maps.clamp(4, rows.nrows());
            let rows_of: Vec<usize> = (0..count).map(|i| i * rows.nrows() / count).collect();
            rows.select(Axis(0), &rows_of)
        };
        let (ours, theirs) = (spread(ours), spread(theirs));
        energy_distance(ours.view(), theirs.view(), config.permutations, config.seed, self.par)
    }

    /// None if the set is one batch.
    fn independence(&self, white: ArrayView2<'_, f64>) -> Result<Option<IndependenceScores>> {
        if white.nrows() <= self.config.batch {
            return Ok(None);
        }
        independence(white, self.config.batch, self.par).map(Some)
    }

    fn dependence_scores(&self, report: &Report, scores: &mut Vec<Score>) {
        let found = &report.memorisation;
        let remark = format!(
            "largest correlation with an input {:.4}, of reference maps {:.4}",
            found.emulated_max, found.reference_max
        );
        let ranks = Score::measured("memorisation/ranks", found.rank_sum.statistic);
        scores.push(ranks.expecting(0.0).remarking(&remark));
        scores.push(Score::measured("memorisation/closest", found.closeness).remarking(&remark));
        match &report.independence {
            Some(found) => {
                let mut push = |name, value: f64| {
                    scores.push(Score::measured(name, value.abs()).remarking("standard errors"));
                };
                push("independence/between batches", found.between.mean_sigmas);
                push("independence/within batches", found.within_excess_sigmas);
                push("independence/within batches, squares", found.within_square_sigmas);
            }
            None => {
                let why = format!("{} maps are one batch", report.n_maps[1]);
                scores.push(Score::missing("independence/between batches", why));
            }
        }
    }

    /// The worst mean and the worst spread of each group of labels, in standard errors.
    fn residual_scores(
        &self,
        what: &str,
        groups: &[&str],
        found: &Residuals,
        scores: &mut Vec<Score>,
    ) {
        // The inputs' own scatter, where the judged maps know no more than they do.
        let own = found.mean_error.powi(2);
        let inputs = match self.config.limits.known {
            Known::Truth => 0.0,
            Known::Inputs => 1.0 / self.inputs.nrows() as f64,
        };
        let share = (own / (own + inputs)).sqrt();
        for group in groups {
            let name = |kind: &str| match group.is_empty() {
                true => format!("{what} {kind}"),
                false => format!("{what} {kind}/{group}"),
            };
            for (kind, worst) in
                [("mean", found.worst_mean(group)), ("spread", found.worst_spread(group))]
            {
                scores.push(match worst {
                    Some((value, label)) => Score::measured(name(kind), share * value)
                        .remarking(format!("standard errors, worst at {label}")),
                    None => Score::missing(name(kind), "nothing varies in the reference"),
                });
            }
        }
    }
}

/// Σ (2ℓ+1) C_ℓ over the columns of one kind, for every map.
fn power(table: &LabelledTable, kind: &str) -> Vec<f64> {
    let columns: Vec<(usize, f64)> = (table.labels.iter().enumerate())
        .filter(|(_, label)| label.starts_with(kind))
        .enumerate()
        .map(|(l, (column, _))| (column, (2 * l + 5) as f64))
        .collect();
    let rows = table.values.rows().into_iter();
    rows.map(|row| columns.iter().map(|&(c, weight)| weight * row[c]).sum()).collect()
}
