//! Emulations: outputs, seeds, and interrupted runs that end in the same bits.

use crate::{Bench, Said};
use ndarray::Ix3;
use skyscat::healpix::{Ordering, is_seen};
use skyscat::io::{HeaderValue, Manifest, ReadOptions, inspect, read_map_file, read_npy};
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn a_cube_comes_with_its_companions_and_does_not_depend_on_threads() {
    let bench = Bench::new();
    bench.cube("in.npy", 4, 4);
    let base = "emulate --input in.npy --count 5 --seed 3 --batch 3 --steps 4";
    let said = bench.good(&format!("{base} --output a.npy --threads 1"));
    assert!(said.stderr.contains("RING is assumed"), "{}", said.stderr);
    for words in ["average-batch0000: loss", "average-batch0001: loss", "SC(QxU)", "spectra"] {
        assert!(said.stderr.contains(words), "{words}: {}", said.stderr);
    }
    bench.good(&format!("{base} --output b.npy --threads 2 --quiet"));
    assert_eq!(bench.bytes("a.npy"), bench.bytes("b.npy"));
    let other = "emulate --input in.npy --count 5 --seed 4 --batch 3 --steps 4 --output c.npy";
    assert_eq!(bench.good(&format!("{other} --quiet")).stderr, "");
    assert_ne!(bench.bytes("a.npy"), bench.bytes("c.npy"));
    let maps = read_npy(&bench.path("a.npy")).unwrap().into_dimensionality::<Ix3>().unwrap();
    assert_eq!(maps.dim(), (5, 2, 192));
    assert!(maps.iter().all(|&x| is_seen(x) && x.abs() < 1e-6));
    Manifest::read(&bench.path("a.npy.manifest.json")).unwrap();
    let history = String::from_utf8(bench.bytes("a.npy.history.csv")).unwrap();
    assert_eq!(history.lines().count(), 1 + 2 * 5);
    assert!(
        history.starts_with("batch,iteration,loss,SC(Q),SC(U),SC(QxU),spectra,spectra level\n")
    );
    let report: serde_json::Value =
        serde_json::from_slice(&bench.bytes("a.npy.report.json")).unwrap();
    let batch = &report["batches"][1];
    assert_eq!((&batch["iterations"], &report["seed"]), (&4.into(), &3.into()));
    assert!(batch["blocks"]["QxU_S4"].as_f64().unwrap() > 0.0);
    assert!(batch["stop"].as_str().unwrap().contains("iterations"), "{batch}");
    assert!(!bench.path("a.npy.partial").exists());
    // The effective settings are enough to do it again.
    bench.good("emulate --config a.npy.toml --output d.npy");
    assert_eq!(bench.bytes("a.npy"), bench.bytes("d.npy"));
}

#[test]
fn the_spectrum_term_can_be_chosen() {
    let bench = Bench::new();
    bench.cube("in.npy", 4, 6);
    let line = "emulate --input in.npy --count 3 --seed 3 --batch 3 --steps 2 --quiet";
    for (word, terms) in
        [("ratio", "spectra,spectra level\n"), ("equation6", "spectra\n"), ("sum", "spectra\n")]
    {
        bench.good(&format!("{line} --spectrum-loss {word} --output {word}.npy"));
        let history = String::from_utf8(bench.bytes(&format!("{word}.npy.history.csv"))).unwrap();
        assert!(history.starts_with(&format!("batch,iteration,loss,SC(Q),SC(U),SC(QxU),{terms}")));
    }
    assert_ne!(bench.bytes("equation6.npy"), bench.bytes("sum.npy"));
    bench.refused(&format!("{line} --spectrum-loss eq6 --output x.npy"), &["eq6", "equation6"]);
}

#[test]
fn folders_of_fits_return_to_the_form_of_the_input() {
    let bench = Bench::new();
    for i in 0..4 {
        bench.fits(&format!("in{i}.fits"), 4, Ordering::Nest, i);
    }
    let line = "emulate --input in*.fits --count 4 --seed 3 --batch 2 --steps 3 --target single \
                --output out --precision f32";
    let said = bench.good(line);
    assert!(!said.stderr.contains("assumed"), "{}", said.stderr);
    let info = inspect(&bench.path("out/map_00003.fits")).unwrap();
    assert_eq!(info.ordering.as_deref(), Some("nest"));
    assert_eq!((info.coordsys.as_deref(), info.polcconv.as_deref()), (Some("G"), Some("COSMO")));
    assert_eq!(info.columns[0].unit.as_deref(), Some("K_CMB"));
    let card = |name: &str| {
        let found = info.header.iter().find(|c| c.keyword == name);
        found.unwrap_or_else(|| panic!("no card {name}")).value.clone()
    };
    assert_eq!(card("SEED"), Some(HeaderValue::Integer(3)));
    for name in ["CFGHASH", "VERSION", "TARGET", "BATCH", "MEMBER"] {
        assert!(card(name).is_some());
    }
    let manifest = Manifest::read(&bench.path("out/manifest.json")).unwrap();
    assert_eq!((manifest.inputs.len(), manifest.outputs.len()), (4, 4 + 3));
    for name in ["config.toml", "history.csv", "report.json"] {
        assert!(bench.path("out").join(name).is_file(), "{name}");
    }
    // The same in a cube, which says that only the form differs.
    let cube = line.replace("--output out", "--output out.npy");
    bench.good(&cube);
    let cube = read_npy(&bench.path("out.npy")).unwrap().into_dimensionality::<Ix3>().unwrap();
    let options = ReadOptions::as_stated();
    let map = read_map_file(&bench.path("out/map_00003.fits"), &options).unwrap();
    assert_eq!(map.data().index_axis(ndarray::Axis(0), 0), cube.index_axis(ndarray::Axis(0), 3));
    // What an emulation wrote may be replaced when that is said, and nothing else is:
    // not even a folder that looks like an older output.
    std::fs::create_dir(bench.path("out.old")).unwrap();
    std::fs::copy(bench.path("out/manifest.json"), bench.path("out.old/manifest.json")).unwrap();
    bench.good(&format!("{line} --overwrite"));
    bench.good(&format!("{line} --resume"));
    assert!(bench.path("out.old/manifest.json").is_file());
    assert!(bench.path("out/map_00000.fits").is_file() && !bench.path("out.partial").exists());
}

#[test]
fn both_definitions_orientations_masks_and_f32_run() {
    let bench = Bench::new();
    bench.cube("in.npy", 4, 4);
    let mut mask = vec![1.0; 192];
    mask[..50].fill(0.0);
    let mask = ndarray::Array1::from(mask);
    skyscat::io::write_npy(
        &bench.path("mask.npy"),
        &mask.view().into_dyn(),
        skyscat::io::Precision::F64,
        skyscat::io::Overwrite::Refuse,
    )
    .unwrap();
    let base = "emulate --input in.npy --count 2 --seed 1 --batch 2 --steps 2 --quiet";
    for (i, more) in [
        "--definition healpixml",
        "--orientation from-input --mask mask.npy",
        "--kernel 5 --orientations 3 --precision f32 --spectrum-weight 0",
        "--normalise none --standardise global --plateau --variance-weight 0.1",
        "--channels U --scales 1 --checkpoint-every 0 --fwhm 20",
    ]
    .into_iter()
    .enumerate()
    {
        bench.good(&format!("{base} --output o{i}.npy {more}"));
    }
}

/// Starts a run and sends SIGTERM once it has saved an iteration of `batch`.
fn terminated(bench: &Bench, line: &str, batch: &str) -> Said {
    let mut command = bench.command(line);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let saved = bench.path("o.npy.partial").join(format!("{batch}.descent"));
    let start = Instant::now();
    while !saved.exists() {
        assert!(start.elapsed() < Duration::from_secs(60), "nothing was saved");
        std::thread::sleep(Duration::from_millis(2));
    }
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    child.wait_with_output().unwrap().into()
}

#[test]
#[cfg(unix)]
fn interrupted_runs_resume_to_the_same_bits() {
    let bench = Bench::new();
    bench.cube("in.npy", 8, 4);
    let base = "emulate --input in.npy --count 5 --seed 3 --batch 3 --at-once 2 --steps 60";
    bench.good(&format!("{base} --output whole.npy --quiet"));
    let line = format!("{base} --output o.npy --checkpoint-every 2 --checkpoint-seconds 0");
    for batch in ["average-batch0000", "average-batch0001"] {
        let resume = if batch.ends_with('0') { "" } else { " --resume" };
        let said = terminated(&bench, &format!("{line}{resume}"), batch);
        assert_eq!(said.code, Some(130), "{}", said.stderr);
        assert!(said.stderr.contains("resume with:"), "{}", said.stderr);
        assert!(said.stderr.contains("--seed 3") && said.stderr.trim().ends_with("--resume"));
        assert!(!bench.path("o.npy").exists());
    }
    // Anything but the same run is refused, with the reason.
    let change = |from: &str, to: &str| format!("{line} --resume").replace(from, to);
    bench.refused(&line, &["o.npy.partial", "--resume", "--overwrite"]);
    bench.refused(&change("--seed 3", "--seed 4"), &["another run", "seed is 3 there, 4 here"]);
    bench.refused(&change("--steps 60", "--steps 61"), &["steps is 60 there, 61 here"]);
    let other = bench.path("other.npy");
    std::fs::write(&other, bench.bytes("in.npy")).unwrap();
    let mut changed = bench.bytes("other.npy");
    *changed.last_mut().unwrap() ^= 1;
    std::fs::write(&other, changed).unwrap();
    bench.refused(&change("in.npy", "other.npy"), &["the content of the input"]);
    let saved = bench.path("o.npy.partial/average-batch0000.batch");
    let bytes = std::fs::read(&saved).unwrap();
    std::fs::write(&saved, &bytes[..bytes.len() - 100]).unwrap();
    bench.refused(&format!("{line} --resume"), &["average-batch0000.batch", "checksum", "delete"]);
    std::fs::write(&saved, bytes).unwrap();
    bench.good(&format!("{line} --resume"));
    assert_eq!(bench.bytes("whole.npy"), bench.bytes("o.npy"));
    assert_eq!(bench.bytes("whole.npy.history.csv"), bench.bytes("o.npy.history.csv"));
    assert!(!bench.path("o.npy.partial").exists());
    let said = bench.good(&format!("{line} --resume"));
    assert!(said.stderr.contains("nothing is left to do"), "{}", said.stderr);
}

#[test]
fn a_foreign_checkpoint_is_refused() {
    let bench = Bench::new();
    bench.cube("in.npy", 4, 3);
    std::fs::create_dir(bench.path("o.npy.partial")).unwrap();
    std::fs::write(
        bench.path("o.npy.partial/job.ckpt"),
        b"something else that is long enough to be one, with more",
    )
    .unwrap();
    let line =
        "emulate --input in.npy --output o.npy --count 2 --seed 1 --batch 2 --steps 2 --resume";
    bench.refused(line, &["job.ckpt", "magic", "SKYSCKPT"]);
}
