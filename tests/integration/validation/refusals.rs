//! Every bad input is a typed error that says what was given and what is allowed.

use ndarray::{Array2, Array3, array};
use skyscat_healpix::{MapSet, Ordering, UNSEEN};
use skyscat_num::{Par, Seed};
use skyscat_validation::{
    CovarianceSums, Eigenmodes, HarmonicConfig, LabelledTable, LeadingConfig, Limits, PixelBins,
    ReferenceCovariance, Residuals, SampleCovariance, Sets, Shrinkage, TargetShrinkage,
    ValidationConfig, ValidationError as E, check_comparable, check_covariance, closest_input,
    compare_covariances, energy_distance, independence, isotropic_gaussian, kolmogorov_smirnov,
    leading_modes, measure_spectra, reduced_chi2, validate, zoom,
};

fn par() -> Par {
    Par::new(1).unwrap()
}

fn numbers(rows: usize, columns: usize) -> Array2<f64> {
    let normals = Seed(1).stream("refusals").index(0, 0).normals(rows * columns);
    Array2::from_shape_vec((rows, columns), normals).unwrap()
}

fn set(maps: usize, pixels: usize) -> MapSet {
    let data = numbers(maps, 2 * pixels).into_shape_with_order((maps, 2, pixels)).unwrap();
    MapSet::new(Ordering::Ring, &["Q", "U"], data).unwrap()
}

macro_rules! refused {
    ($result:expr, $pattern:pat) => {
        match $result {
            Err(error @ $pattern) => error.to_string(),
            Err(error) => panic!("another error: {error}"),
            Ok(_) => panic!("accepted"),
        }
    };
}

#[test]
fn matrices() {
    let eye = Array2::<f64>::eye(3);
    check_covariance("C", eye.view()).unwrap();
    let mut skew = eye.clone();
    skew[[2, 0]] = 1e-9;
    let text =
        refused!(check_covariance("C", skew.view()), E::NotSymmetric { row: 2, column: 0, .. });
    assert!(text.contains("C is not symmetric: [2, 0]") && text.contains("1e-10"), "{text}");
    let mut holed = eye.clone();
    holed[[1, 2]] = f64::NAN;
    refused!(check_covariance("C", holed.view()), E::NotFinite { row: 1, column: 2, .. });
    let mut flat = eye.clone();
    flat[[1, 1]] = 0.0;
    refused!(check_covariance("C", flat.view()), E::Variance { index: 1, .. });
    refused!(check_covariance("C", numbers(2, 3).view()), E::Shape { .. });
    refused!(check_covariance("C", Array2::zeros((0, 0)).view()), E::Shape { .. });
    refused!(Eigenmodes::all(skew.view(), &par()), E::NotSymmetric { .. });
    refused!(zoom(eye.view(), 1..4), E::Setting { .. });
    refused!(zoom(eye.view(), 2..2), E::Setting { .. });
    let sample = SampleCovariance::of(numbers(9, 4).view(), &par()).unwrap();
    let reference = ReferenceCovariance { covariance: eye.view(), n_maps: None };
    refused!(compare_covariances(&sample, reference, &par()), E::Shape { .. });
}

#[test]
fn modes() {
    // Rank two of three, and two maps have one mode.
    let singular = array![[2.0, 1.0, 1.0], [1.0, 1.0, 0.0], [1.0, 0.0, 1.0]];
    let all = Eigenmodes::all(singular.view(), &par()).unwrap();
    assert_eq!(all.rank(), 2);
    refused!(all.first("C", 3), E::RankDeficient { asked: 3, rank: 2, .. });
    refused!(all.first("C", 0), E::RankDeficient { .. });
    refused!(reduced_chi2(&all, numbers(4, 3).view(), &par()), E::RankDeficient { .. });
    let config = LeadingConfig::of_modes(3, Seed(1));
    refused!(leading_modes(singular.view(), config, &par()), E::RankDeficient { rank: 2, .. });
    let text = refused!(
        Eigenmodes::of_maps(numbers(10, 40).view(), 10, &par()),
        E::RankDeficient { asked: 10, rank: 9, .. }
    );
    assert!(text.contains("10 modes asked of the maps, which has rank 9"), "{text}");
    refused!(Eigenmodes::of_maps(numbers(1, 4).view(), 1, &par()), E::TooFewMaps { .. });
    // A large matrix of low rank, by iteration: found out, not returned.
    let thin = numbers(900, 30);
    let low = thin.dot(&thin.t());
    let low = (&low + &low.t()) * 0.5;
    let small = LeadingConfig { modes: 20, block: 8, subspace: 60, ..config };
    assert_eq!(leading_modes(low.view(), small, &par()).unwrap().len(), 20);
    let many = LeadingConfig { modes: 40, subspace: 80, ..small };
    refused!(leading_modes(low.view(), many, &par()), E::RankDeficient { asked: 40, rank: 30, .. });
    refused!(
        leading_modes(low.view(), LeadingConfig { subspace: 20, ..small }, &par()),
        E::Setting { name: "subspace", .. }
    );
    let flat = Array2::<f64>::eye(400);
    let impossible = LeadingConfig { restarts: 0, tolerance: 0.0, ..small };
    let mut slow = flat;
    slow.diag_mut().iter_mut().enumerate().for_each(|(i, v)| *v = 1.0 + 1e-3 * i as f64);
    refused!(leading_modes(slow.view(), impossible, &par()), E::NotConverged { .. });
    let modes = Eigenmodes::of_maps(numbers(10, 40).view(), 5, &par()).unwrap();
    refused!(reduced_chi2(&modes, numbers(3, 39).view(), &par()), E::Shape { .. });
}

#[test]
fn samples() {
    let mut holed = numbers(5, 4);
    holed[[3, 1]] = f64::INFINITY;
    refused!(SampleCovariance::of(holed.view(), &par()), E::NotFinite { row: 3, column: 1, .. });
    refused!(SampleCovariance::of(numbers(1, 4).view(), &par()), E::TooFewMaps { given: 1, .. });
    refused!(CovarianceSums::new(4).finish(), E::TooFewMaps { given: 0, .. });
    refused!(CovarianceSums::new(4).add(numbers(2, 5).view(), &par()), E::Shape { .. });
    refused!(Shrinkage::ledoit_wolf(numbers(1, 4).view(), &par()), E::TooFewMaps { .. });
    refused!(Shrinkage::ledoit_wolf(Array2::ones((5, 4)).view(), &par()), E::Variance { .. });
    let towards = |n, target: Array2<f64>| {
        TargetShrinkage::towards(numbers(n, 4).view(), target.view(), &par())
    };
    refused!(towards(2, Array2::eye(4)), E::TooFewMaps { .. });
    refused!(towards(5, Array2::eye(3)), E::Shape { .. });
    refused!(towards(5, Array2::zeros((4, 4))), E::Variance { .. });
    refused!(kolmogorov_smirnov(&[1.0; 3], &[2.0; 9]), E::TooFewMaps { .. });
    refused!(kolmogorov_smirnov(&[f64::NAN; 4], &[2.0; 9]), E::NotFinite { .. });
    let (a, b) = (numbers(5, 3), numbers(5, 2));
    refused!(energy_distance(a.view(), b.view(), 9, Seed(1), &par()), E::Shape { .. });
    refused!(energy_distance(a.view(), a.view(), 0, Seed(1), &par()), E::Setting { .. });
    refused!(
        energy_distance(numbers(2, 3).view(), a.view(), 9, Seed(1), &par()),
        E::TooFewMaps { .. }
    );
    refused!(closest_input(a.view(), b.view(), &par()), E::Shape { .. });
    refused!(closest_input(a.view(), numbers(0, 3).view(), &par()), E::TooFewMaps { .. });
    refused!(closest_input(a.view(), Array2::ones((1, 3)).view(), &par()), E::Variance { .. });
    refused!(independence(numbers(10, 5).view(), 10, &par()), E::TooFewMaps { .. });
    refused!(independence(numbers(10, 5).view(), 1, &par()), E::Setting { .. });
    let names = |n: usize| (0..n).map(|i| format!("c{i}")).collect::<Vec<_>>();
    refused!(LabelledTable::new(names(2), numbers(4, 3)), E::Shape { .. });
    refused!(LabelledTable::new(names(4), holed), E::NotFinite { .. });
    let one = LabelledTable::new(names(3), numbers(1, 3)).unwrap();
    refused!(one.summary(), E::TooFewMaps { .. });
    let summary =
        |n: usize| LabelledTable::new(names(n), numbers(4, n)).unwrap().summary().unwrap();
    let text = refused!(Residuals::of(&summary(2), &summary(3)), E::Labels { index: 2, .. });
    assert!(text.contains("coefficient 2 is \"\" in one table and \"c2\""), "{text}");
}

#[test]
fn sets() {
    let reference = set(8, 48);
    let compare = |other: &MapSet| check_comparable("emulated", other, &reference);
    compare(&reference).unwrap();
    let text = refused!(compare(&set(8, 192)), E::Mismatch { what: "Nside", .. });
    assert_eq!(text, "Nside of the emulated set is 4, but the reference set has 2");
    refused!(compare(&reference.reordered(Ordering::Nest)), E::Mismatch { what: "ordering", .. });
    let swapped = reference.select(&["U", "Q"]).unwrap();
    refused!(compare(&swapped), E::Mismatch { what: "the channels", .. });
    let kelvin = reference.clone().with_unit(Some("K".into()));
    let micro = reference.clone().with_unit(Some("uK".into()));
    refused!(check_comparable("input", &micro, &kelvin), E::Mismatch { what: "the unit", .. });
    let iau = reference.clone().with_polcconv(Some("IAU".into()));
    let cosmo = reference.clone().with_polcconv(Some("COSMO".into()));
    refused!(check_comparable("input", &iau, &cosmo), E::Mismatch { .. });
    for bad in [UNSEEN, f64::NAN] {
        let mut data = reference.clone().into_data();
        data[[2, 1, 7]] = bad;
        let holed = MapSet::new(Ordering::Ring, &["Q", "U"], data).unwrap();
        let text = refused!(compare(&holed), E::Maps { set: "emulated", .. });
        assert!(text.contains("map 2, channel U"), "{text}");
    }
    let harmonic = HarmonicConfig::campeti2025(2);
    refused!(measure_spectra(&swapped, harmonic, &par()), E::Channels { .. });
    let nested = reference.reordered(Ordering::Nest);
    refused!(measure_spectra(&nested, harmonic, &par()), E::Ordering { .. });
    let tiny = HarmonicConfig { lmax: 1, ..harmonic };
    refused!(measure_spectra(&reference, tiny, &par()), E::Setting { name: "lmax", .. });
    let idle = HarmonicConfig { batch: 0, ..harmonic };
    refused!(measure_spectra(&reference, idle, &par()), E::Setting { name: "batch", .. });
    refused!(isotropic_gaussian(&reference, 0, harmonic, Seed(1), &par()), E::Setting { .. });
    refused!(PixelBins::of(&reference, 2, 4.0), E::Setting { .. });
    refused!(PixelBins::of(&reference, 9, f64::NAN), E::Setting { .. });
    let still = MapSet::new(Ordering::Ring, &["Q", "U"], Array3::zeros((2, 2, 48))).unwrap();
    refused!(PixelBins::of(&still, 9, 4.0), E::Variance { .. });
    let bins = PixelBins::of(&reference, 9, 4.0).unwrap();
    refused!(bins.measure(&swapped), E::Mismatch { .. });
    // The isotropic baseline keeps its input's spectra on average.
    let maps = isotropic_gaussian(&reference, 400, harmonic, Seed(1), &par()).unwrap();
    assert_eq!((maps.n_maps(), maps.channels()), (3200, reference.channels()));
}

#[test]
fn reports() {
    let (reference, emulated, inputs) = (set(40, 48), set(30, 48), set(5, 48));
    let preset = ValidationConfig::campeti2025(2, Limits::sampling(), Seed(1));
    let config = ValidationConfig { modes: 8, zoom: Some(0..4), batch: 5, ..preset };
    let eye = Array2::<f64>::eye(96);
    let sets = Sets {
        reference: &reference,
        emulated: &emulated,
        inputs: &inputs,
        exact: Some(eye.view()),
        coefficients: None,
    };
    let run = |sets: Sets<'_>| validate(sets, &config, &par());
    // Uncorrelated truth has no correlations to be compared with.
    let none = run(sets).unwrap();
    assert!(none.verdicts.iter().any(|v| v.name == "covariance/correlations" && !v.pass));
    let sampled = run(Sets { exact: None, ..sets }).unwrap();
    assert!(!sampled.exact_covariance && none.exact_covariance);
    let few = set(3, 48);
    refused!(run(Sets { emulated: &few, ..sets }), E::TooFewMaps { given: 3, .. });
    refused!(run(Sets { inputs: &few, ..sets }), E::TooFewMaps { .. });
    let fine = set(30, 192);
    refused!(run(Sets { emulated: &fine, ..sets }), E::Mismatch { set: "emulated", .. });
    let swapped = inputs.select(&["U", "Q"]).unwrap();
    refused!(run(Sets { inputs: &swapped, ..sets }), E::Mismatch { set: "input", .. });
    let wrong = Array2::<f64>::eye(95);
    refused!(run(Sets { exact: Some(wrong.view()), ..sets }), E::Shape { .. });
    let mut skew = eye.clone();
    skew[[3, 4]] = 0.1;
    refused!(run(Sets { exact: Some(skew.view()), ..sets }), E::NotSymmetric { .. });
    let mut low = Array2::<f64>::zeros((96, 96));
    (0..96).for_each(|i| low[[i, i]] = if i < 4 { 1.0 } else { 1e-40 });
    refused!(run(Sets { exact: Some(low.view()), ..sets }), E::RankDeficient { asked: 8, .. });
    // Tables join the report, and their labels must agree.
    let table = |n: usize, first: &str| {
        let labels = vec![first.to_owned(), "S1 Q".to_owned()];
        LabelledTable::new(labels, numbers(n, 2)).unwrap()
    };
    let (theirs, ours, other) = (table(40, "S0 Q"), table(30, "S0 Q"), table(30, "S0 U"));
    let with = run(Sets { coefficients: Some((&theirs, &ours)), ..sets }).unwrap();
    assert!(with.scores.iter().any(|s| s.name == "coefficients mean" && s.value.is_some()));
    refused!(run(Sets { coefficients: Some((&theirs, &other)), ..sets }), E::Labels { .. });
    // The report is data, and the bits are the same on any number of threads.
    let text = serde_json::to_string(&with).unwrap();
    assert!(text.contains("\"verdicts\"") && text.contains("\"covariance/Stein loss\""));
    for threads in [2, 7] {
        let again = validate(sets, &config, &Par::new(threads).unwrap()).unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), serde_json::to_string(&none).unwrap());
    }
}
