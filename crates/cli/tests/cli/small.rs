//! The small commands: init, info, plan, plot.

use crate::Bench;
use skyscat::healpix::Ordering;
use skyscat::io::read_npy;

#[test]
fn a_first_run_needs_nothing_but_the_program() {
    let bench = Bench::new();
    // The scan of the preset, thinned for a test.
    bench.good(
        "simulate --rate 0.137 --chunk 1957 --nside 32 --count 10 --seed 1 --output maps.npy",
    );
    let maps = read_npy(&bench.path("maps.npy")).unwrap();
    assert_eq!(maps.shape(), [10, 2, 3072]);
    let rms = (maps.iter().map(|x| x * x).sum::<f64>() / maps.len() as f64).sqrt();
    assert!((1e-8..3e-8).contains(&rms), "{rms}");
    let said = bench.good("plan --input maps.npy --count 25");
    for words in ["3 of 10 maps for 25 maps", "(300 a batch)", "MiB", "Gflop", "smoothed"] {
        assert!(said.stdout.contains(words), "{words}: {}", said.stdout);
    }
    for paper in ["--target single", "--definition healpixml --normalise none"] {
        let said = bench.good(&format!("plan --input maps.npy --count 25 {paper}"));
        assert!(said.stdout.contains("(1000 a batch)"), "{paper}: {}", said.stdout);
    }
    // Only Linux tells a process what it holds.
    assert_eq!(said.stdout.contains("held now"), cfg!(target_os = "linux"), "{}", said.stdout);
    bench.good("plot map --input maps.npy --index 0,1 --channel U --width 300 --output p.png");
    assert!(bench.bytes("p.png").starts_with(b"\x89PNG"));
    bench.refused(
        "plot map --input maps.npy --index 10 --output q.png",
        &["maps.npy", "10", "0 to 9"],
    );
    assert!(bench.path("p.png.toml").is_file(), "no effective settings");
    bench.refused("plot map --input maps.npy --range 1 --output q.png", &["--range", "two"]);
    bench
        .refused("plot map --input maps.npy --range 2,1 --output q.png", &["range", "lower first"]);
    bench.refused("plot map --input maps.npy --colormap jet --output q.png", &["jet", "viridis"]);
}

#[test]
fn info_tells_and_counts() {
    let bench = Bench::new();
    bench.fits("m.fits", 4, Ordering::Nest, 1);
    let said = bench.good("info m.fits");
    for words in ["NEST", "4 (192 pixels)", "K_CMB", "COSMO", "Q_POLARISATION"] {
        let found = said.stdout.contains(words);
        assert!(found || words == "Q_POLARISATION", "{words}: {}", said.stdout);
    }
    let json: serde_json::Value =
        serde_json::from_str(&bench.good("info m.fits --json").stdout).unwrap();
    assert_eq!((&json["nside"], &json["columns"][1]["nan"]), (&4.into(), &0.into()));
}

#[test]
fn an_initial_configuration_is_one_that_runs() {
    let bench = Bench::new();
    bench.cube("in.npy", 4, 3);
    bench.good("init run.toml");
    bench.good("init again.toml --config run.toml");
    assert_eq!(bench.bytes("run.toml"), bench.bytes("again.toml"));
    bench.refused("init run.toml", &["run.toml", "exists"]);
    bench.good(
        "emulate --config run.toml --input in.npy --count 2 --seed 1 --batch 2 --steps 1 \
         --output o.npy",
    );
    assert!(bench.good("init -").stdout.contains("[statistics]"));
}

#[test]
fn every_command_reads_the_configuration() {
    let bench = Bench::new();
    let write = |name: &str, text: &str| std::fs::write(bench.path(name), text).unwrap();
    write(
        "sim.toml",
        "[simulate]\ncount = 3\nseed = 1\nrate = 0.137\nchunk = 1957\nnside = 16\nnside-out = 8\n\
         [output]\noutput = \"maps.npy\"\n",
    );
    bench.good("simulate --config sim.toml");
    write(
        "run.toml",
        "[input]\ninput = [\"maps.npy\"]\nchannels = [\"U\"]\n[emulate]\ncount = 3\n[plot]\n\
         width = 300\ncolormap = \"RdBu\"\n[map]\nindex = [1, 2]\n",
    );
    assert!(bench.good("info --config run.toml").stdout.contains("maps.npy"));
    assert!(bench.good("plan --config run.toml").stdout.contains("channels U"));
    let said = bench.good("plot map --config run.toml --output p.png");
    assert!(said.stderr.contains("2 panel(s), 300 x"), "{}", said.stderr);
    bench.good("statistics --config run.toml --output s.npz");
    bench.good("spectra --config run.toml --channels Q,U --output c.npz");
    assert!(bench.good("init - --config run.toml").stdout.contains("\nindex = [1, 2]\n"));
    write("bad.toml", "[plot]\ncolour = 1\n");
    for command in ["info", "plan", "plot map", "statistics", "spectra", "init", "simulate"] {
        bench.refused(&format!("{command} --config bad.toml"), &["bad.toml", "`colour`"]);
    }
}

#[test]
fn every_command_has_help_with_examples() {
    let bench = Bench::new();
    for command in [
        "emulate",
        "statistics",
        "spectra",
        "info",
        "init",
        "simulate",
        "plan",
        "plot map",
        "plot spectra",
        "plot matrix",
        "plot history",
        "plot filters",
        "gaussian",
        "validate",
    ] {
        let said = bench.good(&format!("{command} --help"));
        let example = format!("skyscat {command}");
        assert!(said.stdout.contains("Examples:") && said.stdout.contains(&example), "{command}");
    }
    assert!(bench.good("--help").stdout.contains("skyscat simulate --count 10 --seed 1"));
}

#[test]
fn spectra_matrices_and_histories_become_figures() {
    let bench = Bench::new();
    bench.cube("in.npy", 4, 4);
    bench.good("emulate --input in.npy --count 2 --seed 1 --batch 2 --steps 3 --output em.npy -q");
    bench.good("spectra --input in.npy --output in.npz -q");
    bench.good("spectra --input em.npy --output em.npz -q");
    bench.good("plot spectra --input in.npz --input em.npz --unit K --output cl.svg");
    bench.good("plot history --input em.npy.history.csv --output loss.png --width 400");
    let text = String::from_utf8(bench.bytes("cl.svg")).unwrap();
    assert!(text.starts_with("<svg") && text.ends_with("</svg>\n"));
    assert!(bench.bytes("loss.png").starts_with(b"\x89PNG"));
    let square = ndarray::Array3::from_shape_fn((1, 6, 6), |(_, i, j)| 1.0 / (1 + i + j) as f64);
    let square = square.index_axis(ndarray::Axis(0), 0).to_owned().into_dyn();
    let (precision, allow) = (skyscat::io::Precision::F64, skyscat::io::Overwrite::Allow);
    skyscat::io::write_npy(&bench.path("cov.npy"), &square.view(), precision, allow).unwrap();
    bench.good("plot matrix --input cov.npy --zoom 2,5 --correlation --output cov.png");
    bench.refused("plot matrix --input cov.npy --zoom 5,7 --output x.png", &["--zoom", "6"]);
    bench.refused("plot matrix --input in.npy --output x.png", &["in.npy", "matrices"]);
    bench.refused("plot spectra --input in.npy --output x.png", &["in.npy"]);
    bench.good("plot filters --nside 4 --maps 2 --output filters.svg");
    bench.refused("plot filters --nside 5 --output x.png", &["--nside", "5"]);
    bench.refused("plot filters --maps 0 --output x.png", &["--maps 0"]);
    bench.refused("plot history --input cl.svg --output x.png", &["cl.svg"]);
    bench.refused(
        "plot map --input in.npy --projection gnomonic --centre 0,95 --output x.png",
        &["view", "latitudes -90 to 90"],
    );
    bench
        .refused("plot map --input in.npy --graticule 0 --output x.png", &["graticule", "1 to 90"]);
}
