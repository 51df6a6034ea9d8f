//! `skyscat validate` and `skyscat gaussian`.

use crate::Bench;
use skyscat::io::{Manifest, Overwrite, Precision, read_npy, write_npy};

/// The preset's scan, thinned; maps of Nside 4.
const SMALL: &str = "simulate --rate 0.137 --chunk 19570 --nside 16 --nside-out 4 --seed 1 -q";
const FIGURES: [&str; 8] = [
    "fig1-maps",
    "fig3-spectra",
    "fig4-correlation",
    "fig5-correlation-zoom",
    "fig6-modes",
    "figC1-coefficients",
    "figC2-minkowski",
    "figC3-pixels",
];

fn sets() -> Bench {
    let bench = Bench::new();
    let base = format!("{SMALL} --templates t.npz");
    bench.good(&format!("{base} --covariance c.npy"));
    for (set, count) in [("reference", 1500), ("draws", 1500), ("input", 10)] {
        bench.good(&format!("{base} --set {set} -n {count} -o {set}.npy"));
    }
    bench.good("gaussian --input input.npy --each 150 --seed 1 --output gaussian.npy -q");
    bench
}

#[test]
fn draws_pass_gaussian_maps_fail_and_everything_is_written() {
    let bench = sets();
    let gaussian = read_npy(&bench.path("gaussian.npy")).unwrap();
    assert_eq!(gaussian.shape(), [1500, 2, 192]);
    // Many more maps than variables, 384, and 150 modes, as the limits suppose.
    let limits = bench.good("validate --limits sampling --print-limits").stdout;
    std::fs::write(bench.path("limits.toml"), limits).unwrap();
    let base = "validate --reference reference.npy --input input.npy --covariance c.npy \
                --modes 150 --unit K --limits limits.toml";
    let said = bench.run(&format!(
        "{base} --measured 100 --emulated draws.npy --gaussian gaussian.npy --report r"
    ));
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let json = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&bench.bytes(&format!("r/{name}"))).unwrap()
    };
    let verdicts = json("report.json")["verdicts"].as_array().unwrap().clone();
    assert!(verdicts.len() > 20 && verdicts.iter().all(|v| v["pass"] == true));
    let failed = json("gaussian.json")["verdicts"].as_array().unwrap().clone();
    let fails = |name: &str| failed.iter().any(|v| v["name"] == name && v["pass"] == false);
    assert!(fails("covariance/variances") && fails("covariance/correlations"));
    let page = String::from_utf8(bench.bytes("r/report.html")).unwrap();
    for name in FIGURES {
        assert!(bench.bytes(&format!("r/figures/{name}.png")).starts_with(b"\x89PNG"), "{name}");
        assert!(bench.bytes(&format!("r/figures/{name}.svg")).starts_with(b"<svg"), "{name}");
        assert!(page.contains(&format!("id=\"{name}\"")), "{name}");
    }
    assert!(!page.contains("http://") || !page.contains("src="), "the page loads something");
    for name in ["spectra", "pixels", "minkowski", "coefficients", "eigenvalues", "verdicts"] {
        assert!(bench.bytes(&format!("r/{name}.csv")).len() > 100, "{name}");
    }
    // The table for documents: a row a verdict, with the baseline's failures.
    let scores = String::from_utf8(bench.bytes("r/scores.md")).unwrap();
    for v in &verdicts {
        let row =
            scores.lines().find(|l| l.starts_with(&format!("| {} |", v["name"].as_str().unwrap())));
        let row = row.unwrap_or_else(|| panic!("{v} in {scores}"));
        assert_eq!(
            row.matches("**fail**").count(),
            usize::from(fails(v["name"].as_str().unwrap())),
            "{row}"
        );
    }
    let manifest = Manifest::read(&bench.path("r/manifest.json")).unwrap();
    assert_eq!(manifest.inputs.len(), 6);

    // Judged, Gaussian maps are no draws; the old report is kept unless told otherwise.
    let line = format!("{base} --emulated gaussian.npy --measured 0 --report r");
    bench.refused(&line, &["r", "exists"]);
    let said = bench.run(&format!("{line} --overwrite"));
    assert_eq!(said.code, Some(3), "{}", said.stderr);
    assert!(said.stderr.contains("fail  covariance/variances"), "{}", said.stderr);
    assert!(!bench.path("r/coefficients.csv").exists());
}

#[test]
fn sets_that_cannot_be_compared_are_refused() {
    let bench = sets();
    let base = "validate --report r";
    let all = "--reference reference.npy --emulated draws.npy --input input.npy";
    bench.refused(base, &["reference"]);
    bench.refused(&format!("{base} --reference reference.npy"), &["emulated"]);
    bench.refused(&format!("validate {all}"), &["--report"]);
    bench.refused(&format!("{base} {all} --modes 0"), &["--modes 0"]);
    bench.refused(&format!("{base} {all} --definition frank"), &["frank"]);
    bench.cube("fine.npy", 8, 10);
    let other = all.replace("draws.npy", "fine.npy");
    bench.refused(&format!("{base} {other}"), &["emulated", "8"]);
    let few = all.replace("input.npy", "one.npy");
    bench.cube("one.npy", 4, 1);
    bench.refused(&format!("{base} {few}"), &["input", "1", "4"]);
    let mut maps = bench.cube("nan.npy", 4, 10);
    maps[[3, 1, 5]] = f64::NAN;
    bench.write("nan.npy", &maps);
    let nan = all.replace("draws.npy", "nan.npy");
    bench.refused(&format!("{base} {nan}"), &["nan.npy", "map 3"]);
    let mut covariance = read_npy(&bench.path("c.npy")).unwrap();
    covariance[[3, 7]] += 0.5 * covariance[[3, 3]];
    let view = covariance.view();
    write_npy(&bench.path("skew.npy"), &view, Precision::F64, Overwrite::Allow).unwrap();
    bench.refused(&format!("{base} {all} --covariance skew.npy"), &["symmetric"]);
    bench.refused(&format!("{base} {all} --covariance fine.npy"), &["fine.npy", "square"]);
    std::fs::write(bench.path("limits.toml"), "covariance_draws = 9\nlimit = 1\n").unwrap();
    bench.refused(&format!("{base} {all} --limits limits.toml"), &["limits.toml", "limit"]);
    std::fs::create_dir(bench.path("other")).unwrap();
    bench.refused(&format!("validate {all} --report other --overwrite"), &["other", "no report"]);
    bench.refused("gaussian --input input.npy --output g.npy", &["seed"]);
    bench.refused("gaussian --input input.npy --seed 1 --each 0 --output g.npy", &["--each 0"]);
    let limits = bench.good("validate --print-limits").stdout;
    assert!(limits.contains("[[limits]]"));
}
