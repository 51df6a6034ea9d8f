//! The judge itself is judged: what must pass, what must fail, and known values.

use super::exact::Exact;
use ndarray::{Array2, Axis, CowArray, Ix2, Slice};
use skyscat_healpix::{MapSet, Ordering};
use skyscat_num::{Par, Seed};
use skyscat_tests::shared_npz;
use skyscat_validation::{
    HarmonicConfig, LeadingConfig, Limits, ModeScores, Report, Residuals, Score, Sets,
    ValidationConfig, compare_on_modes, independence, isotropic_gaussian, judge, leading_modes,
    matrix, measure_spectra, memorisation, validate, whiten,
};
use std::sync::OnceLock;

/// Maps of the reference and of the emulated set. The paper has 10,000; limits are in
/// units of what this many draws give, so that the number only sets the sharpness.
const MAPS: usize = 2000;

struct World {
    reference: MapSet,
    inputs: MapSet,
    draws: MapSet,
    covariance: Array2<f64>,
}

/// Made once for all tests of this file.
fn world(test: &str) -> Option<&'static World> {
    static WORLD: OnceLock<Option<World>> = OnceLock::new();
    let world = WORLD.get_or_init(|| {
        let exact = Exact::read(test)?;
        Some(World {
            reference: exact.draw(0, MAPS),
            inputs: exact.draw(1, 10),
            draws: exact.draw(2, MAPS),
            covariance: exact.covariance(),
        })
    });
    if world.is_none() {
        skyscat_tests::skip(test, "no template");
    }
    world.as_ref()
}

fn config() -> ValidationConfig {
    let preset = ValidationConfig::campeti2025(16, Limits::sampling(), Seed(5));
    ValidationConfig { minkowski_maps: 200, energy_maps: 200, ..preset }
}

fn judged(world: &World, emulated: &MapSet, config: &ValidationConfig) -> Report {
    let sets = Sets {
        reference: &world.reference,
        emulated,
        inputs: &world.inputs,
        exact: Some(world.covariance.view()),
        coefficients: None,
    };
    validate(sets, config, &Par::new(0).unwrap()).unwrap()
}

/// One line a verdict, shown when a test fails.
fn lines(report: &Report) -> String {
    let line = |v: &skyscat_validation::Verdict| {
        let measured = v.measured.map_or("–".to_owned(), |m| format!("{m:.4}"));
        format!("{} {} {measured} {:?} {:?} {}", v.pass, v.name, v.min, v.max, v.remark)
    };
    report.verdicts.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_covariance_is_the_one_that_is_known() {
    let test = "validation::the_covariance_is_the_one_that_is_known";
    let Some(world) = world(test) else { return };
    let mut npz = shared_npz(test, "fixtures/litebird_sim/C_checks.npz").unwrap();
    let diagonal = skyscat_tests::reals(&mut npz, "diag");
    let ours = world.covariance.diag().to_vec();
    assert!(skyscat_tests::relative_error(&ours, &diagonal) < 1e-13);
    let rows = skyscat_tests::reals(&mut npz, "rows");
    for (row, expected) in skyscat_tests::reals(&mut npz, "rows_idx").iter().zip(rows.chunks(6144))
    {
        let ours = world.covariance.row(*row as usize).to_vec();
        assert!(skyscat_tests::relative_error(&ours, expected) < 1e-13);
    }
}

#[test]
fn draws_of_the_exact_covariance_pass_every_test() {
    let test = "validation::draws_of_the_exact_covariance_pass_every_test";
    let Some(world) = world(test) else { return };
    let report = judged(world, &world.draws, &config());
    assert!(report.passed(), "{}", lines(&report));
    assert!(report.verdicts.len() > 30, "{}", report.verdicts.len());
    // The exact ensemble (spec §7): mean χ² 1.00 ± 0.12 on 150 modes.
    let chi2 = &report.chi2_reference;
    assert!((chi2.mean - 1.0).abs() < 5.0 * 0.1155 / 1000.0_f64.sqrt(), "{}", chi2.mean);
    assert!((chi2.std - 0.1155).abs() < 0.015, "{}", chi2.std);
    // Ten inputs: 4.4, 0.50, 1.9, 0.06.
    let inputs = &report.baseline;
    let near = |value: f64, known: f64, off: f64| (value - known).abs() <= off;
    assert!(
        near(inputs.sample.correlation_error, 4.4, 0.15),
        "{}",
        inputs.sample.correlation_error
    );
    assert!(near(inputs.sample.log_variance_rms, 0.50, 0.04), "{}", inputs.sample.log_variance_rms);
    assert!(near(inputs.eigenvalues.log_rms, 1.9, 0.1), "{}", inputs.eigenvalues.log_rms);
    assert!(near(inputs.chi2.mean, 0.06, 0.01), "{}", inputs.chi2.mean);
    assert_eq!((inputs.chi2.modes, inputs.hartlap), (9, None));
    // Theory says what ten draws give.
    let sample = &inputs.sample;
    assert!(near(sample.correlation_error / sample.correlation_expected, 1.0, 0.1));
    assert!(near(sample.log_variance_rms / sample.log_variance_expected, 1.0, 0.1));
    // Shrinkage helps, and honestly not enough.
    assert!(inputs.shrunk.correlation_error < sample.correlation_error);
}

/// Without the exact covariance the reference is split, so that nothing judges itself.
#[test]
fn draws_pass_without_the_exact_covariance() {
    let Some(world) = world("validation::draws_pass_without_the_exact_covariance") else { return };
    let sets = Sets {
        reference: &world.reference,
        emulated: &world.draws,
        inputs: &world.inputs,
        exact: None,
        coefficients: None,
    };
    let config = ValidationConfig { minkowski: None, ..config() };
    let report = validate(sets, &config, &Par::new(0).unwrap()).unwrap();
    assert!(report.passed(), "{}", lines(&report));
    assert_eq!(report.on_modes.n_reference, Some(MAPS / 2));
}

/// Names of the failed scores that start so.
fn failed<'a>(report: &'a Report, group: &str) -> Vec<&'a str> {
    let failed = report.verdicts.iter().filter(|v| !v.pass && v.name.starts_with(group));
    failed.map(|v| v.name.as_str()).collect()
}

#[test]
fn raw_inputs_fail() {
    let Some(world) = world("validation::raw_inputs_fail") else { return };
    let report = judged(world, &world.inputs, &config());
    let failed = failed(&report, "covariance/");
    assert_eq!(failed.len(), 6, "{}", lines(&report));
    // The inputs are the inputs.
    assert!(!report.verdicts.iter().any(|v| v.name == "memorisation/closest" && v.pass));
}

#[test]
fn isotropic_gaussian_maps_fail() {
    let Some(world) = world("validation::isotropic_gaussian_maps_fail") else { return };
    let par = Par::new(0).unwrap();
    let harmonic = HarmonicConfig::campeti2025(16);
    let maps = isotropic_gaussian(&world.inputs, 100, harmonic, Seed(9), &par).unwrap();
    // Even before the limits that forgive what ten inputs cannot teach.
    let config = ValidationConfig { limits: Limits::inputs(), ..config() };
    let report = judged(world, &maps, &config);
    assert_eq!(failed(&report, "covariance/").len(), 6, "{}", lines(&report));
    assert!(!report.passed());
    // The shape of the pixels' distribution, too; not the spectra, which they have.
    assert_eq!(failed(&report, "pixels mean/").len(), 2, "{}", lines(&report));
    assert_eq!(failed(&report, "spectra mean/"), [""; 0], "{}", lines(&report));
}

/// Faults that leave most scores alone are found by those made for them.
#[test]
fn each_fault_is_found_by_its_own_score() {
    let Some(world) = world("validation::each_fault_is_found_by_its_own_score") else { return };
    let par = Par::new(0).unwrap();
    let limits = Limits::sampling();
    let passes = |name: &str, value| judge(&[Score::measured(name, value)], &limits)[0].pass;
    let (all, reference) = (matrix(&world.draws), matrix(&world.reference));
    let part =
        |set: &CowArray<'_, f64, Ix2>| set.slice_axis(Axis(0), Slice::from(..1000)).to_owned();
    let (draws, reference) = (part(&all), part(&reference));
    let inputs = matrix(&world.inputs);
    // One emulation of a thousand is an input.
    let closeness = |maps: &Array2<f64>| {
        memorisation(maps.view(), reference.view(), inputs.view(), &par).unwrap().closeness
    };
    assert!(passes("memorisation/closest", closeness(&draws)));
    let mut copied = draws.clone();
    copied.row_mut(77).assign(&inputs.row(3));
    assert!(!passes("memorisation/closest", closeness(&copied)));
    // Maps of a batch share two per cent of their variance.
    let modes = LeadingConfig::of_modes(150, Seed(5));
    let modes = leading_modes(world.covariance.view(), modes, &par).unwrap();
    let dependence = |maps: &Array2<f64>| {
        let white = whiten(&modes, maps.view(), &par).unwrap();
        independence(white.view(), 10, &par).unwrap().within_excess_sigmas.abs()
    };
    assert!(passes("independence/within batches", dependence(&draws)));
    let mut alike = draws.clone();
    for batch in 0..100 {
        let first = draws.row(10 * batch);
        for i in 1..10 {
            let mut map = alike.row_mut(10 * batch + i);
            map.zip_mut_with(&first, |m, f| *m = 0.98_f64.sqrt() * *m + 0.02_f64.sqrt() * f);
        }
    }
    assert!(!passes("independence/within batches", dependence(&alike)));
    // U counted with the other sign: variances stay, the Gaussian density does not.
    let on_modes = |maps: &Array2<f64>| {
        let white = whiten(&modes, maps.view(), &par).unwrap();
        compare_on_modes(white.view(), None, &par).unwrap()
    };
    let stein = |scores: &ModeScores| scores.stein.unwrap() / scores.stein_expected.unwrap();
    assert!(passes("covariance/Stein loss", stein(&on_modes(&draws))));
    let mut flipped = draws.clone();
    flipped.slice_axis_mut(Axis(1), Slice::from(3072..)).mapv_inplace(|v| -v);
    assert!(!passes("covariance/Stein loss", stein(&on_modes(&flipped))));
    // Maps five per cent too strong.
    let summary = |maps: Array2<f64>| {
        let data = maps.into_shape_with_order((1000, 2, 3072)).unwrap();
        let set = MapSet::new(Ordering::Ring, &["Q", "U"], data).unwrap();
        let config = HarmonicConfig::campeti2025(16);
        measure_spectra(&set, config, &par).unwrap().summary().unwrap()
    };
    let truth = summary(reference.clone());
    let strong = Residuals::of(&summary(draws.mapv(|v| 1.05 * v)), &truth).unwrap();
    let right = Residuals::of(&summary(draws), &truth).unwrap();
    assert!(passes("spectra mean/EE", right.worst_mean("EE").unwrap().0));
    assert!(!passes("spectra mean/EE", strong.worst_mean("EE").unwrap().0));
}
