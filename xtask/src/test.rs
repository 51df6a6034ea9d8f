//! `cargo xtask test`: everything a change must pass, each stage with its time.

use crate::{cargo, say, tidy};
use anyhow::{Context, Result, bail};
use clap::Args;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// What to run.
#[derive(Args)]
pub(crate) struct TestArgs {
    /// Leave out the documentation
    #[arg(long)]
    fast: bool,
}

/// One stage: a name and the cargo arguments; no arguments is `tidy`.
struct Stage {
    name: &'static str,
    cargo: &'static [&'static str],
}

const STAGES: &[Stage] = &[
    Stage { name: "format", cargo: &["fmt", "--all", "--check"] },
    Stage { name: "tidy", cargo: &[] },
    Stage {
        name: "clippy",
        cargo: &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
    },
    Stage {
        name: "no GPU",
        cargo: &["clippy", "-p", "skyscat-cli", "--no-default-features", "--", "-D", "warnings"],
    },
    // A workspace of its own; without the C++ of libFuzzer, for nothing is linked.
    Stage {
        name: "fuzz targets",
        cargo: &[
            "clippy",
            "--manifest-path",
            "tests/fuzz/Cargo.toml",
            "--locked",
            "--no-default-features",
            "--bins",
            "--",
            "-D",
            "warnings",
        ],
    },
    // Without the examples: clippy has checked them, and each would link all crates.
    Stage { name: "tests", cargo: &["test", "--workspace", "--tests", "--no-fail-fast"] },
    Stage { name: "doc tests", cargo: &["test", "--workspace", "--doc", "--no-fail-fast"] },
    Stage { name: "documentation", cargo: &["doc", "--workspace", "--no-deps"] },
];

/// Components that a stage needs beside cargo, and how to get them.
const NEEDED: &[(&str, &str)] = &[
    ("fmt", "rustfmt is missing: rustup component add rustfmt"),
    ("clippy", "clippy is missing: rustup component add clippy"),
];

pub(crate) fn run(args: &TestArgs) -> Result<ExitCode> {
    check_toolchain()?;
    let start = Instant::now();
    let mut results = Vec::new();
    for stage in STAGES.iter().filter(|s| !(args.fast && s.name == "documentation")) {
        say::line(&format!("\n=== {}", stage.name));
        let clock = Instant::now();
        let passed = match stage.cargo {
            [] => tidy::run()? == ExitCode::SUCCESS,
            arguments => run_cargo(arguments)?,
        };
        results.push((stage.name, passed, clock.elapsed().as_secs_f64()));
    }
    say::line("");
    for (name, passed, seconds) in &results {
        let verdict = if *passed { "passed" } else { "FAILED" };
        say::line(&format!("{name:14} {verdict}  {:>12}", say::duration(*seconds)));
    }
    let total = say::duration(start.elapsed().as_secs_f64());
    let failed: Vec<&str> = results.iter().filter(|r| !r.1).map(|r| r.0).collect();
    if failed.is_empty() {
        say::line(&format!("all {} stages passed in {total}", results.len()));
        return Ok(ExitCode::SUCCESS);
    }
    say::line(&format!("failed after {total}: {}", failed.join(", ")));
    Ok(ExitCode::FAILURE)
}

/// Says what is missing before anything is run; installs nothing.
fn check_toolchain() -> Result<()> {
    let answers = |arguments: &[&str]| {
        let mut command: Command = cargo::cargo();
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let missing: Vec<&str> = NEEDED
        .iter()
        .filter(|(component, _)| !answers(&[component, "--version"]))
        .map(|(_, advice)| *advice)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!("this needs more than is here:\n  {}", missing.join("\n  "))
}

fn run_cargo(arguments: &[&str]) -> Result<bool> {
    say::line(&format!("cargo {}", arguments.join(" ")));
    let mut command = cargo::cargo();
    command.args(arguments);
    if arguments[0] == "doc" {
        let flags = std::env::var("RUSTDOCFLAGS").unwrap_or_default();
        command.env("RUSTDOCFLAGS", format!("{flags} -D warnings"));
    }
    let status = command.status().with_context(|| format!("cargo {}", arguments[0]))?;
    Ok(status.success())
}
