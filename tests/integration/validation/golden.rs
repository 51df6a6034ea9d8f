//! Covariances, modes, shrinkage and tests against numpy, scipy and scikit-learn.

use ndarray::{Array2, ArrayView2, Axis, Slice, array};
use ndarray_npy::NpzReader;
use skyscat_healpix::{MapSet, Ordering};
use skyscat_num::{Par, Seed};
use skyscat_tests::{golden, reals, relative_error};
use skyscat_validation::{
    CovarianceSums, Eigenmodes, HarmonicConfig, LabelledTable, LeadingConfig, PixelBins,
    ReferenceCovariance, Residuals, SampleCovariance, Shrinkage, TargetShrinkage, ValidationError,
    compare_covariances, compare_on_modes, energy_distance, hartlap_factor, independence,
    kolmogorov_smirnov, leading_modes, measure_spectra, rank_sum, reduced_chi2, reference, whiten,
    zoom,
};
use std::fs::File;

/// Asked of every number, in units of the peak.
const BOUND: f64 = 1e-10;

fn npz() -> NpzReader<File> {
    NpzReader::new(File::open(golden("validation.npz")).unwrap()).unwrap()
}

fn array_of(npz: &mut NpzReader<File>, name: &str) -> Array2<f64> {
    npz.by_name(&format!("{name}.npy")).unwrap()
}

fn par() -> Par {
    Par::new(2).unwrap()
}

fn assert_close(what: &str, found: &[f64], expected: &[f64]) {
    let error = relative_error(found, expected);
    assert!(error <= BOUND, "{what}: {error:e}");
    let mut off = found.to_vec();
    let worst = (0..off.len()).max_by(|&a, &b| off[a].abs().total_cmp(&off[b].abs())).unwrap();
    off[worst] *= 1.0 + 1e-4;
    assert!(relative_error(&off, expected) > BOUND, "{what} cannot fail");
}

#[test]
fn covariances_match_numpy() {
    let mut npz = npz();
    let truth = array_of(&mut npz, "truth");
    for name in ["many", "few"] {
        let maps = array_of(&mut npz, name);
        let found = SampleCovariance::of(maps.view(), &par()).unwrap();
        assert_close(
            "mean",
            found.mean.as_slice().unwrap(),
            &reals(&mut npz, &format!("{name}_mean")),
        );
        let expected = reals(&mut npz, &format!("{name}_covariance"));
        assert_close("covariance", found.covariance.as_slice().unwrap(), &expected);
        assert_eq!(found.covariance, found.covariance.t(), "symmetric to the bit");
        let reference = ReferenceCovariance { covariance: truth.view(), n_maps: None };
        let scores = compare_covariances(&found, reference, &par()).unwrap();
        let error = reals(&mut npz, &format!("{name}_correlation_error"));
        assert_close("correlations", &[scores.correlation_error], &error);
        let variance = reals(&mut npz, &format!("{name}_log_variance"));
        assert_close("variances", &[scores.log_variance_rms], &variance);
        let part = zoom(found.covariance.view(), 4..7).unwrap();
        assert_eq!((part.first, part.side, part.covariance[1]), (4, 3, found.covariance[[4, 5]]));
        assert!((part.correlation[4] - 1.0).abs() < 1e-15);
    }
}

/// The literal formulas say the same as the fast ones.
#[test]
fn literal_formulas_agree() {
    let mut npz = npz();
    let (truth, maps) = (array_of(&mut npz, "truth"), array_of(&mut npz, "few"));
    let found = SampleCovariance::of(maps.view(), &par()).unwrap();
    let literal = reference::sample_covariance(maps.view());
    let flat = |m: &Array2<f64>| m.iter().copied().collect::<Vec<_>>();
    assert_close("covariance", &flat(&found.covariance), &flat(&literal));
    let exact = ReferenceCovariance { covariance: truth.view(), n_maps: None };
    let scores = compare_covariances(&found, exact, &par()).unwrap();
    let literal = reference::correlation_error(found.covariance.view(), truth.view());
    assert_close("correlations", &[scores.correlation_error], &[literal]);
    let shrinkage = Shrinkage::ledoit_wolf(maps.view(), &par()).unwrap();
    let literal = reference::ledoit_wolf_intensity(maps.view());
    assert_close("Ledoit–Wolf", &[shrinkage.intensity], &[literal]);
}

/// r^|i−j|.
fn chain(p: usize, r: f64) -> Array2<f64> {
    Array2::from_shape_fn((p, p), |(i, j)| r.powi(i.abs_diff(j) as i32))
}

#[test]
fn shrinkage_to_a_target_is_the_formula() {
    let mut npz = npz();
    let maps = array_of(&mut npz, "few");
    let (n, p) = maps.dim();
    let target = 3.0 * chain(p, 0.4);
    let found = TargetShrinkage::towards(maps.view(), target.view(), &par()).unwrap();
    let mean = maps.mean_axis(Axis(0)).unwrap();
    let z = (&maps - &mean) / 3.0f64.sqrt();
    let (mut noise, mut distance) = (0.0, 0.0);
    for i in 0..p {
        for j in 0..p {
            let w: Vec<f64> = (0..n).map(|k| z[[k, i]] * z[[k, j]]).collect();
            let mean = w.iter().sum::<f64>() / n as f64;
            let scatter: f64 = w.iter().map(|w| (w - mean).powi(2)).sum();
            noise += n as f64 / (n as f64 - 1.0).powi(3) * scatter;
            let s = n as f64 / (n as f64 - 1.0) * mean;
            distance += (s - target[[i, j]] / 3.0).powi(2);
        }
    }
    assert_close("intensity", &[found.intensity], &[noise / distance]);
}

#[test]
fn shrinkage_to_a_target_is_the_best_of_both() {
    let (p, n, sets) = (40, 12, 200);
    let (truth, target) = (chain(p, 0.8), chain(p, 0.6));
    // x_i = r x_{i−1} + √(1 − r²) e_i has the correlation r^|i−j|.
    let draw = |set: u64| {
        let e = Seed(3).stream("shrinkage-test").index(set, 0).normals(n * p);
        let mut x = Array2::from_shape_vec((n, p), e).unwrap();
        for i in 1..p {
            for k in 0..n {
                x[[k, i]] = 0.8 * x[[k, i - 1]] + 0.6 * x[[k, i]];
            }
        }
        x
    };
    let (mut intensity, mut slope, mut curve) = (0.0, 0.0, 0.0);
    for set in 0..sets {
        let x = draw(set);
        let found = TargetShrinkage::towards(x.view(), target.view(), &par()).unwrap();
        intensity += found.intensity / sets as f64;
        let s = SampleCovariance::of(x.view(), &par()).unwrap().covariance;
        // ‖(1 − ρ)S + ρT − C‖² = a + 2bρ + cρ²: its best ρ is −b/c.
        slope += ((&s - &truth) * (&target - &s)).sum();
        curve += (&target - &s).mapv(|v| v * v).sum();
    }
    let best = -slope / curve;
    assert!((intensity / best - 1.0).abs() < 0.1, "{intensity} where {best} is best");
    assert!(intensity > 0.3 && intensity < 0.95, "a trivial case: {intensity}");
    // Must fail: a target that is wrong deserves little.
    let x = draw(0);
    let of = |target: Array2<f64>| {
        TargetShrinkage::towards(x.view(), target.view(), &par()).unwrap().intensity
    };
    let (right, wrong) = (of(truth), of(chain(p, -0.8)));
    assert!(right > 2.0 * wrong, "{right}, {wrong}");
}

#[test]
fn streamed_and_whole_covariances_agree() {
    let mut npz = npz();
    let maps = array_of(&mut npz, "many");
    let whole = SampleCovariance::of(maps.view(), &par()).unwrap();
    let mut sums = CovarianceSums::new(30);
    for block in maps.axis_chunks_iter(Axis(0), 7) {
        sums.add(block, &par()).unwrap();
    }
    let streamed = sums.finish().unwrap();
    assert_close(
        "streamed",
        streamed.covariance.as_slice().unwrap(),
        whole.covariance.as_slice().unwrap(),
    );
    // A large common offset costs no digits.
    let far = SampleCovariance::of(maps.mapv(|v| v + 1e6).view(), &par()).unwrap();
    let error =
        relative_error(far.covariance.as_slice().unwrap(), whole.covariance.as_slice().unwrap());
    // The maps themselves lose 1e6 ε; a variance twice that over its deviation.
    assert!(error < 1e-9, "{error:e}");
}

#[test]
fn components_match_scikit_learn() {
    let mut npz = npz();
    for name in ["many", "few"] {
        let maps = array_of(&mut npz, name);
        let expected = reals(&mut npz, &format!("{name}_eigenvalues"));
        let modes = Eigenmodes::of_maps(maps.view(), expected.len(), &par()).unwrap();
        assert_close("eigenvalues", &modes.values, &expected);
        let probes = array_of(&mut npz, &format!("{name}_probes"));
        let chi2 = reduced_chi2(&modes, probes.view(), &par()).unwrap();
        assert_close("χ²", &chi2, &reals(&mut npz, &format!("{name}_chi2")));
        let unit = modes.vectors.dot(&modes.vectors.t());
        let off = (&unit - &Array2::<f64>::eye(expected.len())).mapv(f64::abs);
        assert!(off.iter().all(|&v| v < 1e-12), "orthonormal");
    }
}

/// A matrix with steps and pairs in its spectrum, as the exact covariance has.
fn paired(p: usize) -> Array2<f64> {
    let numbers = Seed(4).stream("paired").index(0, 0).normals(p * p);
    let mixing = Array2::from_shape_vec((p, p), numbers).unwrap();
    let turned = Eigenmodes::all(mixing.dot(&mixing.t()).view(), &par()).unwrap();
    let value = |i: usize| 1e-14 / (1.0 + (i / 2) as f64).powf(1.5);
    let mut scaled = turned.vectors.clone();
    scaled.rows_mut().into_iter().enumerate().for_each(|(i, mut row)| row *= value(i));
    let matrix = turned.vectors.t().dot(&scaled);
    (&matrix + &matrix.t()) * 0.5
}

#[test]
fn leading_modes_are_those_of_the_full_decomposition() {
    let matrix = paired(600);
    let all = Eigenmodes::all(matrix.view(), &par()).unwrap();
    let config = LeadingConfig { subspace: 150, block: 12, ..LeadingConfig::of_modes(40, Seed(1)) };
    let found = leading_modes(matrix.view(), config, &par()).unwrap();
    assert_close("leading", &found.values, &all.values[..40]);
    // Pairs may turn in their plane: the projector is what is unique.
    let first = all.first("all", 40).unwrap();
    let (a, b) = (found.vectors.t().dot(&found.vectors), first.vectors.t().dot(&first.vectors));
    let worst = (&a - &b).mapv(f64::abs).iter().fold(0.0_f64, |m, &v| m.max(v));
    assert!(worst < 1e-6, "{worst:e}");
    for threads in [1, 7] {
        let again = leading_modes(matrix.view(), config, &Par::new(threads).unwrap()).unwrap();
        assert_eq!(again, found, "the bits on {threads} threads");
    }
}

#[test]
fn shrinkage_matches_scikit_learn() {
    let mut npz = npz();
    for name in ["many", "few"] {
        let maps = array_of(&mut npz, name);
        let found = Shrinkage::ledoit_wolf(maps.view(), &par()).unwrap();
        assert_close(
            "intensity",
            &[found.intensity],
            &reals(&mut npz, &format!("{name}_intensity")),
        );
        let mut sample = SampleCovariance::of(maps.view(), &par()).unwrap();
        found.apply(&mut sample);
        let expected = reals(&mut npz, &format!("{name}_ledoit_wolf"));
        assert_close("shrunk", sample.covariance.as_slice().unwrap(), &expected);
    }
    assert_eq!(hartlap_factor(1002, 150).unwrap(), 850.0 / 1001.0);
    assert!(hartlap_factor(152, 150).is_err());
}

#[test]
fn divergences_match_numpy() {
    let mut npz = npz();
    let truth = array_of(&mut npz, "truth");
    let modes = Eigenmodes::all(truth.view(), &par()).unwrap().first("truth", 8).unwrap();
    let maps = array_of(&mut npz, "many");
    let white = whiten(&modes, maps.view(), &par()).unwrap();
    let found = compare_on_modes(white.view(), None, &par()).unwrap();
    assert_close("Stein", &[found.stein.unwrap()], &reals(&mut npz, "stein"));
    let kl = [found.kl_to_reference.unwrap()];
    assert_close("KL", &kl, &reals(&mut npz, "kl_to_reference"));
    // Against a measured reference, of which only directions enter.
    let other = white.mapv(|v| 3.0 * v);
    let found = compare_on_modes(other.view(), Some(white.view()), &par()).unwrap();
    let expected = [8.0 * (9.0 - 1.0 - 9.0_f64.ln())];
    assert_close("three times as strong", &[found.stein.unwrap()], &expected);
    assert_close("in every mode", &[found.log_variance_rms], &[9.0_f64.ln()]);
    assert_eq!((found.n_maps, found.n_reference), (90, Some(90)));
    // Nothing is at no distance from itself.
    let none = compare_on_modes(white.view(), Some(white.view()), &par()).unwrap();
    assert!(none.stein.unwrap().abs() < 1e-12 && none.log_variance_rms < 1e-13);
    // Fewer maps than modes: no density, no divergence.
    let few = white.select(Axis(0), &[0, 1, 2, 3]);
    let none = compare_on_modes(few.view(), None, &par()).unwrap();
    assert_eq!((none.stein, none.stein_expected, none.kl_to_reference), (None, None, None));
    let singular = compare_on_modes(white.view(), Some(few.view()), &par());
    assert!(matches!(singular, Err(ValidationError::RankDeficient { asked: 8, rank: 3, .. })));
}

/// What sampling alone gives on modes, by drawing it.
#[test]
fn expectations_on_modes_are_those_of_draws() {
    let normals = |member: u64, maps: usize| {
        let numbers = Seed(5).stream("expectations").index(0, member).normals(12 * maps);
        Array2::from_shape_vec((maps, 12), numbers).unwrap()
    };
    let (mut losses, mut variances) = ([0.0; 2], [0.0; 2]);
    let mut expected = None;
    const ROUNDS: u64 = 300;
    for round in 0..ROUNDS {
        let (ours, theirs) = (normals(2 * round, 80), normals(2 * round + 1, 120));
        let exact = compare_on_modes(ours.view(), None, &par()).unwrap();
        let found = compare_on_modes(ours.view(), Some(theirs.view()), &par()).unwrap();
        for (i, scores) in [&exact, &found].into_iter().enumerate() {
            losses[i] += scores.stein.unwrap() / ROUNDS as f64;
            variances[i] += scores.log_variance_rms.powi(2) / ROUNDS as f64;
        }
        expected = Some([exact, found]);
    }
    for (i, scores) in expected.unwrap().iter().enumerate() {
        // 78 independent numbers a round: the mean loss is good to √(2/78/300) = 0.9 %,
        // the mean square of 12 variances to √(2/12/300) = 2.4 %.
        let loss = losses[i] / scores.stein_expected.unwrap();
        assert!((loss - 1.0).abs() < 0.04, "{loss}");
        let variance = variances[i] / scores.log_variance_expected.powi(2);
        assert!((variance - 1.0).abs() < 0.1, "{variance}");
    }
}

#[test]
fn two_sample_tests_match_scipy() {
    let mut npz = npz();
    let (a, b) = (array_of(&mut npz, "a"), array_of(&mut npz, "b"));
    let column = |x: &Array2<f64>| x.column(0).to_vec();
    let ks = kolmogorov_smirnov(&column(&a), &column(&b)).unwrap();
    let expected = reals(&mut npz, "ks");
    assert!((ks.statistic - expected[0]).abs() < 1e-14);
    // An asymptotic p-value against the exact one: a tenth of it at n = 60, 45.
    assert!((ks.p_value / expected[1] - 1.0).abs() < 0.1, "{} {}", ks.p_value, expected[1]);
    let rank = rank_sum(&column(&a), &column(&b)).unwrap();
    assert_close("rank sum", &[rank.p_value], &reals(&mut npz, "rank")[1..]);
    let first = |x: &Array2<f64>| x.slice_axis(Axis(1), Slice::from(..1)).to_owned();
    let energy = |a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>| {
        energy_distance(a, b, 199, Seed(1), &par()).unwrap()
    };
    let line = energy(first(&a).view(), first(&b).view());
    assert_close("energy on a line", &[line.statistic], &reals(&mut npz, "energy_1d"));
    let space = energy(a.view(), b.view());
    assert_close("energy", &[space.statistic], &reals(&mut npz, "energy"));
    // These two differ; halves of one sample do not.
    assert!(space.p_value < 0.02, "{}", space.p_value);
    let half = |from: usize| a.slice_axis(Axis(0), Slice::from(from..from + 30)).to_owned();
    let same = energy(half(0).view(), half(30).view());
    assert!(same.p_value > 0.02, "{}", same.p_value);
    for threads in [1, 7] {
        let other = Par::new(threads).unwrap();
        assert_eq!(energy_distance(a.view(), b.view(), 199, Seed(1), &other).unwrap(), space);
    }
}

#[test]
fn residuals_follow_their_definition() {
    let mut npz = npz();
    let maps = array_of(&mut npz, "many");
    let labels: Vec<String> = (0..30).map(|i| format!("x{i}")).collect();
    let summary = LabelledTable::new(labels, maps.clone()).unwrap().summary().unwrap();
    let expected = reals(&mut npz, "table");
    assert_close("spread", &summary.std, &expected[..30]);
    assert_close("kurtosis", &summary.kurtosis, &expected[30..]);
    // By hand: ⟨x⟩ 3 against 2, σ 2 against √2 (1, 3), one constant column.
    let table = |values: Array2<f64>| {
        let labels = vec!["a".to_owned(), "b".to_owned()];
        LabelledTable::new(labels, values).unwrap().summary().unwrap()
    };
    let reference = table(array![[1.0, 5.0], [3.0, 5.0]]);
    let sample = table(array![[1.0, 5.0], [3.0, 5.0], [5.0, 5.0]]);
    let found = Residuals::of(&sample, &reference).unwrap();
    assert_eq!((found.labels, found.constant), (vec!["a".to_owned()], vec!["b".to_owned()]));
    let root = 2.0_f64.sqrt();
    assert!((found.delta[0] - 1.0 / root).abs() < 1e-15);
    assert!((found.delta_plus[0] - 3.0 / root).abs() < 1e-15);
    assert!((found.delta_minus[0] + 1.0 / root).abs() < 1e-15);
    assert!((found.band - 1.0 / 3.0_f64.sqrt()).abs() < 1e-15);
    assert!((found.mean_error - (1.0 / 3.0 + 0.5_f64).sqrt()).abs() < 1e-15);
}

#[test]
fn spectra_are_those_of_healpy() {
    let qu: Array2<f64> = ndarray_npy::read_npy(golden("harmonic_qu_nside016.npy")).unwrap();
    let cl: Array2<f64> = ndarray_npy::read_npy(golden("harmonic_cl_nside016.npy")).unwrap();
    let set = MapSet::new(Ordering::Ring, &["Q", "U"], qu.insert_axis(Axis(0))).unwrap();
    let found = measure_spectra(&set, HarmonicConfig::campeti2025(16), &par()).unwrap();
    assert_eq!((found.labels[0].as_str(), found.labels[46].as_str()), ("EE 2", "BB 2"));
    for (kind, row) in [1, 2, 4].into_iter().enumerate() {
        let ours = &found.values.row(0).to_vec()[46 * kind..][..46];
        assert_close("C_ℓ", ours, &cl.row(row).to_vec()[2..]);
    }
}

#[test]
fn pixel_shares_count_every_pixel_once() {
    let numbers = Seed(8).stream("pixels").index(0, 0).normals(3 * 2 * 192);
    let data = ndarray::Array3::from_shape_vec((3, 2, 192), numbers).unwrap();
    let set = MapSet::new(Ordering::Ring, &["Q", "U"], data.clone()).unwrap();
    let bins = PixelBins::of(&set, 10, 2.0).unwrap();
    let found = bins.measure(&set).unwrap();
    assert_eq!(found.labels.len(), 20);
    for row in found.values.rows() {
        assert!((row.to_vec()[..10].iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }
    let edges = &bins.edges[1];
    let inside = |v: f64| v >= edges[3] && v < edges[4];
    let count = data.index_axis(Axis(1), 1).row(2).iter().filter(|v| inside(**v)).count();
    assert!((found.values[[2, 14]] - count as f64 / 192.0).abs() < 1e-12);
}

#[test]
fn independent_maps_look_independent_and_others_do_not() {
    let white = Seed(3).stream("white").index(0, 0).normals(200 * 50);
    let white = Array2::from_shape_vec((200, 50), white).unwrap();
    let found = independence(white.view(), 10, &par()).unwrap();
    assert_eq!((found.within.pairs, found.between.pairs), (900, 19_000));
    for sigmas in [found.within.mean_sigmas, found.between.mean_sigmas] {
        assert!(sigmas.abs() < 4.0, "{found:?}");
    }
    assert!(found.between.mean_square_sigmas.abs() < 4.0, "{found:?}");
    // The definition, pair by pair.
    let unit = |i: usize| {
        let row = white.row(i);
        row.mapv(|v| v / row.dot(&row).sqrt())
    };
    let (mut sum, mut square) = (0.0, 0.0);
    for i in 0..200 {
        for j in 0..i {
            if i / 10 == j / 10 {
                let rho = unit(i).dot(&unit(j));
                sum += rho;
                square += rho * rho;
            }
        }
    }
    assert!((found.within.mean - sum / 900.0).abs() < 1e-14);
    assert!((found.within.mean_square - square / 900.0).abs() < 1e-14);
}

#[test]
fn covariances_have_the_same_bits_on_any_number_of_threads() {
    let numbers = Seed(2).stream("bits").index(0, 0).normals(300 * 450);
    let maps = Array2::from_shape_vec((300, 450), numbers).unwrap();
    let run = |threads: usize| {
        let par = Par::new(threads).unwrap();
        let sample = SampleCovariance::of(maps.view(), &par).unwrap();
        let modes = Eigenmodes::of_maps(maps.view(), 20, &par).unwrap();
        let truth = Array2::eye(450);
        let reference = ReferenceCovariance { covariance: truth.view(), n_maps: None };
        let scores = {
            let mut odd = truth.clone();
            odd[[1, 0]] = 0.5;
            odd[[0, 1]] = 0.5;
            let reference = ReferenceCovariance { covariance: odd.view(), ..reference };
            compare_covariances(&sample, reference, &par).unwrap()
        };
        let shrinkage = Shrinkage::ledoit_wolf(maps.view(), &par).unwrap();
        (sample, modes, scores, shrinkage)
    };
    let one = run(1);
    assert_eq!(run(2), one);
    assert_eq!(run(7), one);
}
