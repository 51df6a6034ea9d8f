//! Contracts of the scattering layer: coefficients, orientations, gradients.

use ndarray::{Array2, Array3, Axis};
use num_complex::Complex64;
use skyscat_autodiff::{Graph, Program, Purpose, Shape, Stat, Term, check};
use skyscat_healpix::Nside;
use skyscat_num::{Par, Seed};
use skyscat_scattering::{
    CoefficientTable, Config, Definition, Kind, Normalisation, Orientation, OrientationConfig,
    Scattering, ScatteringError, Selection,
};
use skyscat_tests::{complexes, reals, relative_error_complex, shared_npz};
use skyscat_wavelet::{FilterBank, Frame, KernelSize};
use std::collections::BTreeMap;
use std::sync::Arc;

fn channels() -> Vec<String> {
    vec!["Q".to_owned(), "U".to_owned()]
}

fn standardised() -> Option<Array3<f64>> {
    let mut npz = shared_npz("scattering", "fixtures/healpixml/maps.npz")?;
    Some(Array3::from_shape_vec((2, 2, 3072), reals(&mut npz, "norm_nest")).unwrap())
}

fn compute(
    config: Config,
    masks: &[Vec<f64>],
    maps: &Array3<f64>,
    orientations: &BTreeMap<String, Orientation>,
) -> Vec<CoefficientTable> {
    let nside = Nside::from_npix(maps.len_of(Axis(2))).unwrap();
    let scattering = Scattering::new(nside, config, masks).unwrap();
    let par = Par::new(2).unwrap();
    let selection = Selection::all(2);
    scattering.compute(&channels(), maps.view(), &selection, orientations, (16, &par)).unwrap()
}

fn table<'t>(tables: &'t [CoefficientTable], field: &str, kind: Kind) -> &'t CoefficientTable {
    tables.iter().find(|t| t.field == field && t.kind == kind).expect("a table of this block")
}

fn of_map(table: &CoefficientTable, map: usize) -> Vec<Complex64> {
    table.data.index_axis(Axis(0), map).iter().copied().collect()
}

fn peer(npz: &mut ndarray_npy::NpzReader<std::fs::File>, name: &str, kind: Kind) -> Vec<Complex64> {
    match kind {
        Kind::S1 | Kind::S3 | Kind::S3P | Kind::S4 => complexes(npz, name),
        Kind::S0 | Kind::S2 => reals(npz, name).into_iter().map(Complex64::from).collect(),
    }
}

/// Fields of our tables and their names in the fixtures.
const FIELDS: [(&str, &str); 3] = [("Q", "Q"), ("U", "U"), ("QxU", "QU")];

fn peer_set() -> Option<Array3<f64>> {
    let mut npz = shared_npz("orientations", "fixtures/healpixml/maps.npz")?;
    let raw = Array3::from_shape_vec((10, 3, 3072), reals(&mut npz, "set_raw_ring_tqu")).unwrap();
    let mean = Array2::from_shape_vec((2, 3072), reals(&mut npz, "mean_nest")).unwrap();
    let std = Array2::from_shape_vec((2, 3072), reals(&mut npz, "std_nest")).unwrap();
    let ring = skyscat_healpix::nest_to_ring_table(Nside::new(16).unwrap());
    Some(Array3::from_shape_fn((10, 2, 3072), |(m, c, p)| {
        (raw[[m, c + 1, ring[p] as usize]] - mean[[c, p]]) / std[[c, p]]
    }))
}

fn orientations(
    scattering: &Scattering,
    config: OrientationConfig,
    set: &Array3<f64>,
) -> BTreeMap<String, Orientation> {
    let par = Par::new(2).unwrap();
    let find = |a: usize, b: Option<usize>| {
        let b = b.map(|b| set.index_axis(Axis(1), b));
        Orientation::find(scattering, config, set.index_axis(Axis(1), a), b, &par).unwrap()
    };
    BTreeMap::from([
        ("Q".to_owned(), find(0, None)),
        ("U".to_owned(), find(1, None)),
        ("QxU".to_owned(), find(0, Some(1))),
    ])
}

#[test]
fn healpixml_coefficients_without_orientation() {
    let Some(maps) = standardised() else { return };
    for kernel in [KernelSize::Three, KernelSize::Five] {
        let config = Config {
            bank: FilterBank { kernel, ..FilterBank::healpixml() },
            ..Config::healpixml()
        };
        let tables = compute(config, &[], &maps, &BTreeMap::new());
        let file = format!("fixtures/healpixml/healpixml_k{}.npz", kernel.side());
        let mut npz = shared_npz("healpixml", &file).unwrap();
        for (ours, theirs) in FIELDS {
            for kind in Kind::ALL {
                if kind == Kind::S3P && ours != "QxU" {
                    continue;
                }
                for map in 0..2 {
                    let name = format!("{theirs}_map{map}_orient0_normNone_{kind}");
                    let expected = peer(&mut npz, &name, kind);
                    let found = of_map(table(&tables, ours, kind), map);
                    let error = relative_error_complex(&found, &expected);
                    assert!(error <= 1e-12, "{kernel:?} {name}: {error:e}");
                    let other = of_map(table(&tables, ours, kind), 1 - map);
                    assert!(relative_error_complex(&other, &expected) > 1e-6, "must fail");
                }
            }
        }
    }
}

#[test]
fn healpixml_orientation_tables_and_coefficients() {
    let (Some(maps), Some(set)) = (standardised(), peer_set()) else { return };
    let nside = Nside::new(16).unwrap();
    let scattering = Scattering::new(nside, Config::healpixml(), &[]).unwrap();
    let found = orientations(&scattering, OrientationConfig::healpixml(), &set);
    let mut npz = shared_npz("tables", "fixtures/healpixml/orient_k3.npz").unwrap();
    for (ours, theirs) in FIELDS {
        for level in 0..4 {
            let check = |table: &skyscat_wavelet::RotationTable, expected: &[f64]| {
                let groups = table.groups();
                let mut worst = 0.0f64;
                for (i, weights) in expected[..table.pixels() * groups * 16].chunks(16).enumerate()
                {
                    for (k, w) in weights.iter().enumerate() {
                        let ours = table.weight(i / groups, i % groups, k % 4, k / 4);
                        worst = worst.max((ours - w).abs());
                    }
                }
                worst
            };
            let first = reals(&mut npz, &format!("cmat_{theirs}_{level}"));
            let second = reals(&mut npz, &format!("cmat2_{theirs}_{level}"));
            let o = &found[ours];
            let errors = (check(&o.first()[level], &first), check(&o.second()[level], &second));
            assert!(errors.0 <= 1e-6 && errors.1 <= 1e-6, "{ours} level {level}: {errors:?}");
            let wrong = &found[if ours == "Q" { "U" } else { "Q" }];
            assert!(check(&wrong.first()[level], &first) > 1e-3, "must fail");
        }
    }
    let tables = compute(Config::healpixml(), &[], &maps, &found);
    let mut npz = shared_npz("oriented", "fixtures/healpixml/healpixml_k3.npz").unwrap();
    for (ours, theirs) in FIELDS {
        for kind in [Kind::S1, Kind::S2, Kind::S3, Kind::S4] {
            for map in 0..2 {
                let name = format!("{theirs}_map{map}_orient1_normNone_{kind}");
                let expected = peer(&mut npz, &name, kind);
                let found = of_map(table(&tables, ours, kind), map);
                let error = relative_error_complex(&found, &expected);
                assert!(error <= 1e-6, "{name}: {error:e}");
            }
        }
    }
}

#[test]
fn paper_coefficients_with_own_normalisation() {
    let Some(maps) = standardised() else { return };
    for kernel in [KernelSize::Three, KernelSize::Five] {
        let config = Config {
            bank: FilterBank { kernel, frame: Frame::Neighbour, orientations: 4 },
            ..Config::campeti2025()
        };
        let tables = compute(config, &[], &maps, &BTreeMap::new());
        let raw = Config { normalisation: Normalisation::None, ..config };
        let raw = compute(raw, &[], &maps, &BTreeMap::new());
        let file = format!("fixtures/healpixml/paper_noorient_k{}.npz", kernel.side());
        let mut npz = shared_npz("paper", &file).unwrap();
        for (ours, theirs) in FIELDS {
            // In the pair's blocks S1 and S2 are the peer's own.
            let kinds: &[Kind] = match ours {
                "QxU" => &[Kind::S3, Kind::S3P, Kind::S4],
                _ => &[Kind::S1, Kind::S2, Kind::S3, Kind::S4],
            };
            for &kind in kinds {
                for map in 0..2 {
                    let name = format!("{theirs}_map{map}_{kind}");
                    let expected = peer(&mut npz, &name, kind);
                    let found = of_map(table(&tables, ours, kind), map);
                    let error = relative_error_complex(&found, &expected);
                    assert!(error <= 1e-12, "{kernel:?} {name}: {error:e}");
                    if kind != Kind::S2 {
                        let unscaled = of_map(table(&raw, ours, kind), map);
                        assert!(relative_error_complex(&unscaled, &expected) > 1e-3, "must fail");
                    }
                }
            }
        }
    }
}

#[test]
fn masked_coefficients() {
    let Some(set) = peer_set() else { return };
    let mut npz = shared_npz("masked", "fixtures/healpixml/masked_var_k3.npz").unwrap();
    let masks: Vec<Vec<f64>> = reals(&mut npz, "mask").chunks(3072).map(<[f64]>::to_vec).collect();
    let maps = set.slice_axis(Axis(0), (0..3).into()).to_owned();
    let tables = compute(Config::healpixml(), &masks, &maps, &BTreeMap::new());
    for kind in [Kind::S1, Kind::S2, Kind::S3, Kind::S4] {
        let expected = peer(&mut npz, &kind.to_string(), kind);
        let found: Vec<Complex64> = table(&tables, "Q", kind).data.iter().copied().collect();
        let error = relative_error_complex(&found, &expected);
        assert!(error <= 1e-12, "{kind}: {error:e}");
    }
    let full = compute(Config::healpixml(), &vec![masks[0].clone(); 2], &maps, &BTreeMap::new());
    let expected = peer(&mut npz, "S4", Kind::S4);
    let found: Vec<Complex64> = table(&full, "Q", Kind::S4).data.iter().copied().collect();
    assert!(relative_error_complex(&found, &expected) > 1e-3, "must fail");
}

/// A smooth function of every coefficient, for gradient checks.
#[derive(Debug)]
struct Squares;

impl Term for Squares {
    fn name(&self) -> &str {
        "squares"
    }

    fn evaluate(&self, stats: &[Stat<'_>], gradients: &mut [&mut [f64]]) -> f64 {
        let mut total = 0.0;
        for (stat, gradient) in stats.iter().zip(gradients) {
            for (i, (x, g)) in stat.data.iter().zip(gradient.iter_mut()).enumerate() {
                let weight = 1.0 + (i as f64).sin();
                total += 0.5 * weight * x * x;
                *g = weight * x;
            }
        }
        total
    }
}

#[test]
fn gradients_of_all_options_agree_with_central_differences() {
    let nside = Nside::new(4).unwrap();
    let noise = Seed(4).stream("maps").index(0, 0).normals(4 * 2 * 192);
    let set = Array3::from_shape_vec((4, 2, 192), noise).unwrap();
    let mask: Vec<f64> = (0..192).map(|p| f64::from(p % 5) / 4.0).collect();
    let bank = FilterBank { orientations: 3, ..FilterBank::campeti2025() };
    let fives = FilterBank { kernel: KernelSize::Five, ..FilterBank::campeti2025() };
    let paper = Config::campeti2025();
    let raw = Config { normalisation: Normalisation::None, ..paper };
    let cases = [
        (paper, false, vec![]),
        (raw, true, vec![vec![1.0; 192], mask]),
        (Config { bank, all_cross_pairs: true, modulus_epsilon: 0.1, ..paper }, true, vec![]),
        (Config { bank: fives, scales: Some(1), ..paper }, false, vec![]),
        // The peer's signed root has no bounded derivative: leave the pair's S1 to
        // the operator's own check.
        (Config::healpixml(), true, vec![]),
    ];
    for (config, oriented, masks) in cases {
        let scattering = Scattering::new(nside, config, &masks).unwrap();
        let found = if oriented {
            orientations(&scattering, OrientationConfig::campeti2025(), &set)
        } else {
            BTreeMap::new()
        };
        let mut graph = Graph::new();
        let fields: Vec<_> = (0..2).map(|_| graph.input(Shape::real(192, 1))).collect();
        let list = scattering
            .describe(&mut graph, &channels(), &fields, &Selection::all(2), &found)
            .unwrap();
        for coefficients in &list {
            for block in &coefficients.blocks {
                let peer = config.definition == Definition::HealpixMl;
                if peer && matches!(block.kind, Kind::S0 | Kind::S1) {
                    continue;
                }
                let nodes: Vec<_> = block.pieces.iter().map(|p| p.node).collect();
                graph.term(Squares, &nodes, 1.0);
            }
        }
        let par = Par::new(2).unwrap();
        let mut program =
            Program::<f64>::compile(Arc::new(graph), 3, Purpose::Gradient, &par).unwrap();
        let x = Seed(8).stream("x").index(0, 0).normals(program.variables());
        let mismatch = check::gradient(&mut program, &x, 1e-5).relative();
        assert!(mismatch <= 1e-6, "{config:?}: {mismatch:e}");
    }
}

#[test]
fn the_same_bits_for_any_number_of_threads_and_the_same_numbers_in_any_batch() {
    let nside = Nside::new(8).unwrap();
    let noise = Seed(4).stream("maps").index(0, 0).normals(5 * 2 * 768);
    let set = Array3::from_shape_vec((5, 2, 768), noise).unwrap();
    let config = Config { normalisation: Normalisation::None, ..Config::campeti2025() };
    let scattering = Scattering::new(nside, config, &[]).unwrap();
    let run = |batch: usize, threads: usize| {
        let par = Par::new(threads).unwrap();
        let how = (batch, &par);
        let none = BTreeMap::new();
        scattering.compute(&channels(), set.view(), &Selection::all(2), &none, how).unwrap()
    };
    let reference = run(5, 1);
    for threads in [2, 7] {
        assert!(run(5, threads) == reference, "{threads} threads");
    }
    // A batch of another size packs its pixels otherwise, which changes the order of the
    // sums of covariances. In two orders sums of n products are at most 2·n·ε/2·⟨|X||Y|⟩
    // apart, and means as much; of such maps the largest auto-covariance is more than a
    // quarter of any ⟨|X|²⟩.
    let numbers = |set: &[CoefficientTable]| -> Vec<f64> {
        set.iter().flat_map(|t| t.data.iter().flat_map(|z| [z.re, z.im])).collect()
    };
    let exact = numbers(&reference);
    let largest = exact.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    let bound = 768.0 * f64::EPSILON * 4.0 * 3.0 * largest;
    let far = |other: &[f64]| exact.iter().zip(other).any(|(a, b)| (a - b).abs() > bound);
    for batch in [1, 2, 3] {
        assert!(!far(&numbers(&run(batch, 2))), "batch {batch}");
    }
    // Must fail: numbers off in the ninth digit.
    let off: Vec<f64> = exact.iter().map(|x| x * (1.0 + 1e-9)).collect();
    assert!(far(&off));
}

#[test]
fn bad_requests_are_refused() {
    let nside = Nside::new(8).unwrap();
    let scales = Config { scales: Some(4), ..Config::campeti2025() };
    let error = Scattering::new(nside, scales, &[]).unwrap_err();
    assert!(error.to_string().contains("1 to 3"), "{error}");
    let error = Scattering::new(nside, Config::campeti2025(), &[vec![1.0; 12]]).unwrap_err();
    assert!(matches!(error, ScatteringError::Size { .. }), "{error}");
    let own = Config { normalisation: Normalisation::Own, ..Config::healpixml() };
    assert!(matches!(Scattering::new(nside, own, &[]), Err(ScatteringError::Combination { .. })));
    let plan = Scattering::new(nside, Config::campeti2025(), &[]).unwrap();
    let par = Par::new(1).unwrap();
    let maps = Array3::zeros((1, 2, 3072));
    let none = BTreeMap::new();
    let result = plan.compute(&channels(), maps.view(), &Selection::all(2), &none, (4, &par));
    assert!(matches!(result, Err(ScatteringError::Size { .. })));
}
