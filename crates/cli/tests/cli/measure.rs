//! Statistics and spectra against the fixtures and against themselves.

use crate::Bench;
use ndarray::Array3;
use ndarray_npy::NpzReader;
use num_complex::Complex64;
use skyscat::io::read_npz;
use skyscat_tests::{complexes, reals, relative_error, relative_error_complex, shared_npz};
use std::fs::File;

fn open(bench: &Bench, name: &str) -> NpzReader<File> {
    NpzReader::new(File::open(bench.path(name)).unwrap()).unwrap()
}

/// An array of an npz file, real or complex, as complex numbers.
fn numbers(npz: &mut NpzReader<File>, name: &str) -> Vec<Complex64> {
    let file = format!("{name}.npy");
    if npz.by_name::<ndarray::OwnedRepr<Complex64>, ndarray::IxDyn>(&file).is_ok() {
        return complexes(npz, name);
    }
    reals(npz, name).into_iter().map(|re| Complex64::new(re, 0.0)).collect()
}

#[test]
fn statistics_agree_with_the_healpixml_fixtures() {
    let test = "statistics_agree_with_the_healpixml_fixtures";
    let Some(mut maps) = shared_npz(test, "fixtures/healpixml/maps.npz") else { return };
    let norm = Array3::from_shape_vec((2, 2, 3072), reals(&mut maps, "norm_nest")).unwrap();
    let bench = Bench::new();
    bench.write("norm.npy", &norm);
    for kernel in [3, 5] {
        let file = format!("fixtures/healpixml/healpixml_k{kernel}.npz");
        let Some(mut expected) = shared_npz(test, &file) else { return };
        for (orient, tolerance) in [(0, 1e-12), (1, 1e-6)] {
            let how = ["none", "from-input"][orient];
            let name = format!("o{kernel}{orient}.npz");
            bench.good(&format!(
                "statistics --input norm.npy --ordering nest --definition healpixml \
                 --kernel {kernel} --orientation {how} --output {name}"
            ));
            let mut found = open(&bench, &name);
            for (field, own) in [("Q", "Q"), ("U", "U"), ("QU", "QxU")] {
                for block in ["S0", "S1", "S2", "S3", "S3P", "S4"] {
                    if block == "S3P" && field != "QU" {
                        continue;
                    }
                    let all = numbers(&mut found, &format!("{own}_{block}"));
                    for (map, ours) in all.chunks(all.len() / 2).enumerate() {
                        let key = format!("{field}_map{map}_orient{orient}_normNone_{block}");
                        let peer = numbers(&mut expected, &key);
                        let error = relative_error_complex(ours, &peer);
                        assert!(error <= tolerance, "kernel {kernel}, {key}: {error:e}");
                    }
                }
            }
        }
    }
}

#[test]
fn arrays_have_the_shapes_and_types_of_the_conventions() {
    let bench = Bench::new();
    bench.cube("in.npy", 4, 3);
    bench.good("statistics --input in.npy --output s.npz --quiet");
    let mut npz = open(&bench, "s.npz");
    let complex = |npz: &mut NpzReader<File>, name: &str| {
        npz.by_name::<ndarray::OwnedRepr<Complex64>, ndarray::IxDyn>(&format!("{name}.npy"))
            .unwrap_or_else(|e| panic!("{name}: {e}"))
            .shape()
            .to_vec()
    };
    assert_eq!(complex(&mut npz, "Q_S3"), [3, 1, 3, 4, 4]);
    assert_eq!(complex(&mut npz, "QxU_S3P"), [3, 1, 3, 4, 4]);
    assert_eq!(complex(&mut npz, "QxU_S4"), [3, 1, 4, 4, 4, 4]);
    assert_eq!(reals(&mut npz, "U_S1").len(), 3 * 2 * 4);
    let info = bench.good("info s.npz").stdout;
    assert!(info.contains("[3, 1, 3, 4, 4] complex") && info.contains("QxU_S3P"), "{info}");
    bench.refused(
        "statistics --input in.npy --orientation s.npz --output t.npz",
        &["s.npz", "complex", "f8"],
    );
    let text = String::from_utf8(bench.bytes("s.npz.toml")).unwrap();
    assert!(text.contains("normalise = \"own\"") && text.contains("scales = 2"), "{text}");
}

#[test]
fn long_tables_hold_the_same_numbers() {
    let bench = Bench::new();
    bench.cube("in.npy", 4, 2);
    bench.good("statistics --input in.npy --output s.npz --quiet");
    bench.good("statistics --input in.npy --output s.csv --quiet");
    let text = String::from_utf8(bench.bytes("s.csv")).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("field,block,map,mask,moment,j,j3,j2,j1,l,l3,l2,l1,re,im"));
    let s4: Vec<Complex64> = lines
        .filter(|l| l.starts_with("Q,S4,1,"))
        .map(|l| {
            let cells: Vec<&str> = l.split(',').collect();
            assert!(!cells[6].is_empty() && cells[5].is_empty() && cells[9].is_empty());
            Complex64::new(cells[13].parse().unwrap(), cells[14].parse().unwrap_or(0.0))
        })
        .collect();
    let all = numbers(&mut open(&bench, "s.npz"), "Q_S4");
    assert_eq!(s4, all[all.len() / 2..]);
}

#[test]
fn saved_orientations_give_the_same_numbers() {
    let bench = Bench::new();
    bench.cube("in.npy", 8, 3);
    bench.good(
        "statistics --input in.npy --orientation from-input --orientation-output turns.npz \
         --output a.npz",
    );
    bench.good("statistics --input in.npy --orientation turns.npz --output b.npz");
    bench.good("statistics --input in.npy --output plain.npz");
    assert!(read_npz(&bench.path("turns.npz")).unwrap().contains_key("QxU_second_2"));
    let read = |name: &str| numbers(&mut open(&bench, name), "QxU_S4");
    assert_eq!(read("a.npz"), read("b.npz"));
    assert_ne!(read("a.npz"), read("plain.npz"));
    bench.refused(
        "statistics --input in.npy --orientation turns.npz --channels Q,U --scales 2 \
         --kernel 5 --output c.npz",
        &["turns.npz", "orientation phases", "expected"],
    );
    bench.refused(
        "statistics --input in.npy --orientation-output t.npz --output c.npz",
        &["t.npz", "from-input"],
    );
}

#[test]
fn spectra_agree_with_the_fixtures() {
    let test = "spectra_agree_with_the_fixtures";
    let Some(mut maps) = shared_npz(test, "fixtures/healpixml/maps.npz") else { return };
    let Some(mut expected) = shared_npz(test, "fixtures/healpixml/spectra.npz") else { return };
    let raw = Array3::from_shape_vec((2, 2, 3072), reals(&mut maps, "raw_nest")).unwrap();
    let cl = reals(&mut expected, "cl_L2");
    let bench = Bench::new();
    bench.write("raw.npy", &raw);
    bench.good("spectra --input raw.npy --ordering nest --output cl.npz");
    let found = read_npz(&bench.path("cl.npz")).unwrap();
    for (c, name) in ["EE", "BB", "EB"].into_iter().enumerate() {
        assert_eq!(found[name].shape(), [2, 48]);
        for map in 0..2 {
            let peer = &cl[(map * 3 + c) * 48..][..48];
            let ours: Vec<f64> =
                found[name].index_axis(ndarray::Axis(0), map).iter().copied().collect();
            // Against the mean power: a spectrum may cross zero.
            let power: Vec<f64> = cl[map * 3 * 48..][..48].to_vec();
            let shift =
                |x: &[f64]| -> Vec<f64> { x.iter().zip(&power).map(|(x, p)| x + p).collect() };
            let error = relative_error(&shift(&ours), &shift(peer));
            assert!(error <= 1e-12, "{name} of map {map}: {error:e}");
        }
    }
}

#[test]
fn spectra_come_in_three_forms_and_with_temperature() {
    let bench = Bench::new();
    let qu = bench.cube("qu.npy", 4, 2);
    let mut tqu = Array3::zeros((2, 3, 192));
    tqu.slice_axis_mut(ndarray::Axis(1), (1..3).into()).assign(&qu);
    tqu.slice_axis_mut(ndarray::Axis(1), (0..1).into()).fill(2.0);
    bench.write("tqu.npy", &tqu);
    bench.good("spectra --input tqu.npy --output cl.npz --lmax 7 --iterations 2");
    bench.good("spectra --input qu.npy --output qu.npz --lmax 7 --iterations 2");
    let (all, polarised) =
        (read_npz(&bench.path("cl.npz")).unwrap(), read_npz(&bench.path("qu.npz")).unwrap());
    let names: Vec<&str> = all.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["BB", "BB_p1", "EB", "EB_p1", "EE", "EE_p1", "TB", "TB_p1", "TE", "TE_p1", "TT", "TT_p1"]
    );
    assert_eq!(polarised.len(), 6);
    // Batches pack differently, sums may round differently.
    for name in polarised.keys() {
        let flat = |a: &ndarray::ArrayD<f64>| a.iter().copied().collect::<Vec<_>>();
        assert!(relative_error(&flat(&all[name]), &flat(&polarised[name])) < 1e-13);
    }
    let monopole = 4.0 * std::f64::consts::PI * 4.0;
    // The iterations trade a little of it with what the pixels alias.
    assert!((all["TT"][[0, 0]] / monopole - 1.0).abs() < 1e-3);
    bench.good("spectra --input tqu.npy --output cl.csv --lmax 7");
    let text = String::from_utf8(bench.bytes("cl.csv")).unwrap();
    assert!(text.starts_with("map,l,TT,EE,BB,TE,EB,TB,TT_p1,"), "{text}");
    assert_eq!(text.lines().count(), 1 + 2 * 8);
    bench.good("spectra --input qu.npy --output cl.fits --lmax 7");
    let header = String::from_utf8_lossy(&bench.bytes("cl_0001.fits")[2880..5760]).into_owned();
    assert!(header.contains("TTYPE1  = 'EE") && header.contains("NAXIS2  =                    8"));
    bench.refused("spectra --input qu.npy --output cl.fits", &["cl.fits.toml", "exists"]);
}
