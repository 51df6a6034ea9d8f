//! `skyscat simulate` on a scan small enough for a test.

use crate::Bench;
use ndarray::{Ix2, Ix3};
use skyscat::io::{inspect, read_npy, read_npz};

/// The preset's scan, thinned to 4 million samples; every pixel is seen.
const SMALL: &str = "--rate 0.137 --chunk 19570 --nside 16 --nside-out 4";

#[test]
fn maps_templates_and_covariance_belong_together() {
    let bench = Bench::new();
    let base = format!("simulate {SMALL}");
    bench.good(&format!("{base} --templates t.npz --covariance c.npy --coverage hits.npz"));
    let said = bench.good(&format!("{base} --templates t.npz -n 400 --seed 1 -o maps.npy"));
    assert!(said.stderr.contains("t.npz: templates of this scan"), "{}", said.stderr);
    let covariance = read_npy(&bench.path("c.npy")).unwrap().into_dimensionality::<Ix2>().unwrap();
    assert_eq!(covariance.dim(), (384, 384));
    assert_eq!(covariance, covariance.t());
    let maps = read_npy(&bench.path("maps.npy")).unwrap().into_dimensionality::<Ix3>().unwrap();
    assert_eq!(maps.dim(), (400, 2, 192));
    // The mean square of N draws scatters about the variance by √(2/N): 7.1 %.
    let squares = maps.mapv(|x| x * x).mean_axis(ndarray::Axis(0)).unwrap();
    let ratios = squares.iter().zip(covariance.diag()).map(|(s, c)| s / c);
    let mean = ratios.clone().sum::<f64>() / 384.0;
    assert!((mean - 1.0).abs() < 0.03, "{mean}");
    assert!(ratios.clone().all(|r| (r - 1.0).abs() < 6.0 * (2.0f64 / 400.0).sqrt()));
    let hits = &read_npz(&bench.path("hits.npz")).unwrap()["hits"];
    assert_eq!((hits.len(), hits.sum()), (3072, 4_320_432.0));

    // The same numbers without stored templates, from the middle of the set, as FITS.
    bench.good(&format!("{base} -n 2 --first 5 --seed 1 -o part --channels T,Q,U"));
    let info = inspect(&bench.path("part/map_00006.fits")).unwrap();
    assert_eq!((info.nside, info.coordsys.as_deref()), (Some(4), Some("G")));
    assert_eq!(info.columns.len(), 3);
    let scan = std::fs::read_to_string(bench.path("part/scan.toml")).unwrap();
    assert!(scan.contains("chunk_samples = 19570"), "{scan}");
    bench.good(&format!("{base} -n 1 --first 5 --seed 1 -o one.npy"));
    let one = read_npy(&bench.path("one.npy")).unwrap();
    assert!(one.iter().zip(maps.index_axis(ndarray::Axis(0), 5)).all(|(a, b)| a == b));
    let other = bench.good(&format!("{base} -n 1 --seed 1 --set other -o other.npy --quiet"));
    assert_eq!(other.stderr, "");
    let other = read_npy(&bench.path("other.npy")).unwrap();
    assert!(other.iter().zip(maps.index_axis(ndarray::Axis(0), 0)).all(|(a, b)| a != b));
}

#[test]
fn the_full_path_gives_the_same_maps_and_resumes() {
    let bench = Bench::new();
    let base = format!("simulate {SMALL} -n 2 --seed 3");
    bench.good(&format!("{base} -o drawn.npy"));
    bench.good(&format!("{base} --full -o full.npy --threads 1"));
    let (drawn, full) = (bench.path("drawn.npy"), bench.path("full.npy"));
    let (drawn, full) = (read_npy(&drawn).unwrap(), read_npy(&full).unwrap());
    let peak = full.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    let worst = drawn.iter().zip(&full).fold(0.0f64, |m, (a, b)| m.max((a - b).abs()));
    assert!(peak > 0.0 && worst <= 1e-10 * peak, "{worst:e} of {peak:e}");
    // A run that lost its second map goes on with it; --resume begins one, too.
    let mut child = bench.command(&format!("{base} --full -o again.npy --resume")).spawn().unwrap();
    let first = bench.path("again.npy.partial/map_00000.npy");
    while !first.exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was stopped");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    bench.refused(&format!("{base} --full -o again.npy"), &["again.npy.partial", "--resume"]);
    let line = format!("simulate {SMALL} -n 2 --seed 4 --full -o again.npy --resume");
    bench.refused(&line, &["another scan, seed or version"]);
    let partial = bench.path("again.npy.partial");
    let job = std::fs::read(partial.join("job")).unwrap();
    let again = format!("{base} --full -o again.npy --resume");
    bench.good(&again);
    assert_eq!(bench.bytes("again.npy"), bench.bytes("full.npy"));
    assert!(!partial.exists());
    // On a finished run it does nothing, as for an emulation; another run is refused.
    let said = bench.good(&again);
    assert!(said.stderr.contains("nothing is left to do"), "{}", said.stderr);
    bench.refused(&line, &["exists"]);
    bench.refused(&again.replace("-n 2", "-n 3"), &["exists"]);
    bench.refused(&again.replace(" --resume", ""), &["exists"]);
    // Killed while outputs were put in place, or the folder of unfinished work removed.
    let names = ["again.npy", "again.npy.scan.toml", "again.npy.toml", "again.npy.manifest.json"];
    for placed in 0..=names.len() {
        std::fs::create_dir_all(partial.join("output")).unwrap();
        std::fs::write(partial.join("job"), &job).unwrap();
        for name in &names[placed..] {
            std::fs::rename(bench.path(name), partial.join("output").join(name)).unwrap();
        }
        let said = bench.good(&again);
        assert!(said.stderr.contains("nothing is left to do"), "{placed}: {}", said.stderr);
        assert_eq!(bench.bytes("again.npy"), bench.bytes("full.npy"), "{placed}");
        assert!(!partial.exists() && names.iter().all(|name| bench.path(name).exists()));
    }
}

#[test]
fn scans_are_data_that_can_be_printed_and_changed() {
    let bench = Bench::new();
    for preset in ["campeti2025", "planck", "litebird"] {
        let said = bench.good(&format!("simulate --preset {preset} --print-scan"));
        assert!(said.stdout.contains("[mission]"), "{preset}");
    }
    let text = bench.good(&format!("simulate {SMALL} --print-scan")).stdout;
    std::fs::write(bench.path("scan.toml"), &text).unwrap();
    bench.good("simulate --scan scan.toml -n 1 --seed 1 -o a.npy");
    bench.good(&format!("simulate {SMALL} -n 1 --seed 1 -o b.npy"));
    assert_eq!(bench.bytes("a.npy"), bench.bytes("b.npy"));
    let noisy = text.replace("net_k_rts = 0.0", "net_k_rts = 5e-5")
        + "\n[[systematics]]\nkind = \"white-noise\"\n";
    std::fs::write(bench.path("noisy.toml"), noisy).unwrap();
    bench.refused("simulate --scan noisy.toml -n 1 --seed 1 -o c.npy", &["--full"]);
    bench.good("simulate --scan noisy.toml -n 1 --seed 1 --full -o c.npy");
    assert_ne!(bench.bytes("a.npy"), bench.bytes("c.npy"));
}

#[test]
fn bad_scans_and_requests_are_refused_before_any_work() {
    let bench = Bench::new();
    let bad = |flags: &str, words: &[&str]| bench.refused(&format!("simulate {flags}"), words);
    bad("", &["nothing to do"]);
    bad("-n 1 -o a.npy", &["seed"]);
    bad("--seed 1 -o a.npy", &["count"]);
    bad("-n 0 --seed 1 -o a.npy", &["--count 0", "1 to"]);
    bad("-n 1 --seed 1 -o a.fits", &["a.fits", ".npy"]);
    bad("-n 1 --seed 1 -o a.npy --channels E,B", &["E,B", "Q,U"]);
    bad("-n 1 --seed 1 -o a.npy --preset wmap", &["wmap", "campeti2025"]);
    bad("-n 1 --seed 1 -o a.npy --scan none.toml", &["none.toml"]);
    bad("-n 1 --seed 1 -o a.npy --preset planck --scan s.toml", &["--scan"]);
    bad("-n 1 --seed 1 -o a.npy --days 0", &["days", "0"]);
    bad("-n 1 --seed 1 -o a.npy --rate=-1", &["rate"]);
    bad("-n 1 --seed 1 -o a.npy --chunk 0", &["chunk_samples", "0"]);
    bad("-n 1 --seed 1 -o a.npy --days 0.01", &["chunk_samples", "mission"]);
    bad("-n 1 --seed 1 -o a.npy --nside 100", &["nside", "100"]);
    bad("-n 1 --seed 1 -o a.npy --nside-out 256", &["nside_out", "256"]);
    bad("-n 1 --seed 1 -o a.npy --resume", &["--resume", "--full"]);
    bench.cube("in.npy", 4, 1);
    bad("-n 1 --seed 1 -o a.npy --sky in.npy", &["in.npy"]);
    std::fs::write(bench.path("s.toml"), "[mission]\nstart = 1\n").unwrap();
    bad("-n 1 --seed 1 -o a.npy --scan s.toml", &["s.toml", "start"]);
    std::fs::write(bench.path("t.npz"), b"PK").unwrap();
    bad("--templates t.npz", &["t.npz"]);
    bench.good(&format!("simulate {SMALL} --templates u.npz"));
    bad("--templates u.npz", &["u.npz", "another scan"]);
}
