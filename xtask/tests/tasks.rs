//! The tasks as a person runs them: the layers hold, and the pipeline resumes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn xtask(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask")).args(arguments).output().expect("xtask runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_repository_is_tidy() {
    let output = xtask(&["tidy"]);
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn the_stages_are_listed_without_running() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("results");
    let folder = folder.to_str().unwrap();
    let output = xtask(&["reproduce-paper", "--scale", "smoke", "--list", "--output", folder]);
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    for stage in [
        "simulate",
        "emulate-few",
        "emulate-many",
        "gaussian",
        "validate-few",
        "validate-many",
        "filters",
    ] {
        let line = text.lines().find(|line| line.starts_with(stage));
        assert!(line.is_some_and(|line| line.ends_with("not run yet")), "{text}");
    }
    assert!(!Path::new(folder).exists());
}

#[test]
fn an_unknown_stage_is_refused_with_those_there_are() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().to_str().unwrap();
    let output = xtask(&["reproduce-paper", "--from", "nowhere", "--output", folder]);
    assert!(!output.status.success());
    assert!(said(&output).contains("simulate, emulate-few"), "{}", said(&output));
}

#[test]
fn a_comparison_without_its_python_is_refused_before_anything_is_built() {
    let place = tempfile::tempdir().unwrap();
    let missing = place.path().join("python");
    let output = xtask(&["compare", "transforms", "--python", missing.to_str().unwrap()]);
    assert!(!output.status.success());
    assert!(said(&output).contains("name another with --python"), "{}", said(&output));
}

/// The program in the profile of the tests. `cargo test --workspace` has put it
/// beside xtask before any test runs; a test of this package alone builds it if
/// it is not there (and takes it as it is if it is).
fn skyscat() -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_xtask"))
        .with_file_name(format!("skyscat{}", std::env::consts::EXE_SUFFIX));
    if beside.is_file() {
        return beside;
    }
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--package", "skyscat-cli", "--bin", "skyscat"])
        .args(["--message-format", "json"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let executable = text.lines().rev().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        (message["target"]["name"] == "skyscat")
            .then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    executable.expect("cargo names the executable")
}

#[test]
fn a_smoke_run_makes_everything_and_a_second_one_nothing() {
    let binary = skyscat();
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("results");
    let run = |more: &[&str]| {
        let mut arguments = vec!["reproduce-paper", "--scale", "smoke", "--binary"];
        arguments.extend([binary.to_str().unwrap(), "--output", folder.to_str().unwrap()]);
        arguments.extend(more);
        let output = xtask(&arguments);
        let text = said(&output);
        assert!(output.status.success(), "{text}");
        text
    };
    let first = run(&[]);
    assert_eq!(first.matches("done before").count(), 0, "{first}");
    for file in ["emulated-few.npy", "covariance.npy", "report-many/report.html", "filters.png"] {
        assert!(folder.join(file).is_file(), "{file}: {first}");
    }
    let verdicts = std::fs::read_to_string(folder.join("report-few/verdicts.csv")).unwrap();
    for score in ["spectra mean/EE", "covariance/correlations", "coefficients mean"] {
        assert!(verdicts.contains(&format!("emulated,{score}")), "{score}: {verdicts}");
    }
    let second = run(&[]);
    assert_eq!(second.matches("done before").count(), 7, "{second}");
    // A damaged result is made again, and all that follows from it.
    std::fs::write(folder.join("gaussian-few.npy"), "damaged").unwrap();
    let third = run(&[]);
    assert_eq!(third.matches("done before").count(), 3, "{third}");
    assert!(third.contains("its output gaussian-few.npy changed"), "{third}");
    let fourth = run(&["--from", "validate-many"]);
    assert_eq!(fourth.matches("done before").count(), 5, "{fourth}");
}
