//! `cargo xtask compare transforms`: our transforms and a rival's, in turn, side by side.

use super::{answer, check_rival};
use crate::{cargo, say};
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

/// What to run, and how often.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Python that has the rival
    #[arg(long, value_name = "FILE", default_value = "python3")]
    python: PathBuf,
    /// Resolutions, separated by commas
    #[arg(long, value_delimiter = ',', default_values_t = [16, 32, 64, 128, 256])]
    nside: Vec<usize>,
    /// Maps at once, separated by commas
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8])]
    batch: Vec<usize>,
    /// Threads of both sides
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Data type of both sides
    #[arg(long, value_enum, default_value_t = Precision::F64)]
    precision: Precision,
    /// Times that both sides are run in turn; the best counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Precision {
    /// Double
    F64,
    /// Single
    F32,
}

/// Least milliseconds a map, and the worst error over the rms of the field.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Measured {
    synthesis_ms: f64,
    adjoint_ms: f64,
    error: f64,
}

const RIVAL: &str = "benches/rivals/ducc.py";

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    check_rival(&args.python, "ducc0", "ducc0")?;
    let own = build_example()?;
    let rival = || {
        let mut command = Command::new(&args.python);
        command.arg(RIVAL).current_dir(cargo::root());
        command
    };
    say::line(
        "nside spin batch |   ours ms: synthesis, adjoint |    ducc ms: synthesis, adjoint |     ratio     | error: ours, ducc",
    );
    for &nside in &args.nside {
        for spin in [0, 2] {
            let place = [format!("nside={nside}"), format!("spin={spin}")];
            let truth = sample(&answer(rival().args(&place).arg("truth=yes"))?)?;
            for &batch in &args.batch {
                let words = [
                    format!("batch={batch}"),
                    format!("threads={}", args.threads),
                    format!("precision={:?}", args.precision).to_lowercase(),
                ];
                let (mut ours, mut theirs) = (None, None);
                for _ in 0..args.rounds {
                    let mut command = Command::new(&own);
                    let line = answer(command.args(&place).args(&words))?;
                    ours = Some(better(ours, measured(&line, &truth)?));
                    let line = answer(rival().args(&place).args(&words))?;
                    theirs = Some(better(theirs, measured(&line, &truth)?));
                }
                let (ours, theirs) = ours.zip(theirs).context("no rounds")?;
                say::line(&row((nside, spin, batch), ours, theirs));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn row((nside, spin, batch): (usize, usize, usize), ours: Measured, theirs: Measured) -> String {
    format!(
        "{nside:5} {spin:4} {batch:5} | {:13.4} {:13.4} | {:13.4} {:13.4} | {:6.2} {:6.2} | {:.1e} {:.1e}",
        ours.synthesis_ms,
        ours.adjoint_ms,
        theirs.synthesis_ms,
        theirs.adjoint_ms,
        theirs.synthesis_ms / ours.synthesis_ms,
        theirs.adjoint_ms / ours.adjoint_ms,
        ours.error,
        theirs.error,
    )
}

/// Builds our side and says where it is.
fn build_example() -> Result<PathBuf> {
    let output = cargo::cargo()
        .args(["build", "--release", "--package", "skyscat-harmonic", "--example", "time"])
        .args(["--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()
        .context("cargo build")?;
    ensure!(output.status.success(), "the example could not be built: {}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    cargo::executable(&text, "time").context("cargo named no executable called time")
}

/// Field values at the compared pixels, `[pixel][component]`.
fn sample(line: &Value) -> Result<Vec<Vec<f64>>> {
    serde_json::from_value(line["sample"].clone()).context("a line has samples")
}

fn measured(line: &Value, truth: &[Vec<f64>]) -> Result<Measured> {
    let number = |name: &str| line[name].as_f64().with_context(|| format!("a line has {name}"));
    let found = sample(line)?.concat();
    let truth = truth.concat();
    ensure!(found.len() == truth.len(), "{} samples of {}", found.len(), truth.len());
    let rms = (truth.iter().map(|v| v * v).sum::<f64>() / truth.len() as f64).sqrt();
    let worst = found.iter().zip(&truth).fold(0.0, |worst: f64, (f, t)| worst.max((f - t).abs()));
    let error = worst / rms;
    // A benchmark of something wrong is worth nothing.
    let allowed = if line["precision"] == "f32" { 1e-2 } else { 1e-8 };
    ensure!(error < allowed, "{} is off by {error:e} of the field", line["program"]);
    Ok(Measured { synthesis_ms: number("synthesis_ms")?, adjoint_ms: number("adjoint_ms")?, error })
}

fn better(best: Option<Measured>, new: Measured) -> Measured {
    best.map_or(new, |best| Measured {
        synthesis_ms: best.synthesis_ms.min(new.synthesis_ms),
        adjoint_ms: best.adjoint_ms.min(new.adjoint_ms),
        error: best.error.max(new.error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(value: f64) -> Value {
        serde_json::json!({
            "program": "p", "precision": "f64", "synthesis_ms": 2.0, "adjoint_ms": 3.0,
            "sample": [[value, 1.0], [1.0, -1.0]],
        })
    }

    #[test]
    fn wrong_fields_are_not_compared() {
        let truth = vec![vec![1.0, 1.0], vec![1.0, -1.0]];
        let right = measured(&line(1.0 + 1e-12), &truth).unwrap();
        assert!((right.error - 1e-12).abs() < 1e-15);
        // Must fail: one value off by 1e-4.
        assert!(measured(&line(1.0 + 1e-4), &truth).is_err());
        assert!(measured(&line(1.0), &truth[..1]).is_err());
    }

    #[test]
    fn the_best_time_and_the_worst_error_count() {
        let one = Measured { synthesis_ms: 1.0, adjoint_ms: 4.0, error: 1e-14 };
        let two = Measured { synthesis_ms: 2.0, adjoint_ms: 3.0, error: 1e-13 };
        let both = Measured { synthesis_ms: 1.0, adjoint_ms: 3.0, error: 1e-13 };
        assert_eq!(better(Some(one), two), both);
        assert!(row((16, 2, 8), one, two).contains("2.00   0.75"));
    }
}
