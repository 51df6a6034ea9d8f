//! `cargo xtask compare evaluation`: a step of the emulator, ours and CMBSCAT's.

use super::{answer, check_rival};
use crate::{cargo, say};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// How many steps, of what.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Python that has the rival
    #[arg(long, value_name = "FILE", default_value = "python3")]
    python: PathBuf,
    /// Steps of the rival; ours are the hundred after the first twenty
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(21..))]
    steps: u32,
    /// Maps, which are inputs and batch of both sides
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..))]
    maps: u32,
    /// Where the maps and our outputs go
    #[arg(long, value_name = "FOLDER", default_value = "target/compare")]
    folder: PathBuf,
}

/// How long ours waits after the rival has ended.
const RETURN_OF_MEMORY: Duration = Duration::from_secs(30);

const RIVAL: &str = "benches/rivals/cmbscat.py";

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    check_rival(&args.python, "cmbscat", "tensorflow healpixml cmbscat")?;
    let skyscat = cargo::build_skyscat()?;
    let folder = cargo::root().join(&args.folder);
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let maps = folder.join("maps.npy");
    let count = args.maps.to_string();
    let simulate = ["simulate", "--count", &count, "--seed", "1", "--overwrite", "--output"];
    succeed(Command::new(&skyscat).args(simulate).arg(&maps))?;
    say::line("                       | before the descent |  a step  | ratio of steps");
    let ours = || -> Result<[Side; 2]> {
        Ok([own(&skyscat, &maps, "f64", args)?, own(&skyscat, &maps, "f32", args)?])
    };
    let before = ours()?;
    let rival = answer(
        Command::new(&args.python)
            .arg(RIVAL)
            .arg(&maps)
            .arg(args.steps.to_string())
            .current_dir(cargo::root()),
    )?;
    let number =
        |name: &str| rival[name].as_f64().with_context(|| format!("the rival says {name}"));
    let theirs = Side {
        name: "CMBSCAT",
        before: number("setup_s")? + number("tracing_s")?,
        step: number("step_s")?,
    };
    // The rival traces for many minutes: ours once more, as soon as the system has taken
    // back the gigabytes that it held.
    std::thread::sleep(RETURN_OF_MEMORY);
    let after = ours()?;
    for side in before.iter().chain([&theirs]).chain(&after) {
        say::line(&row(side, theirs.step));
    }
    Ok(ExitCode::SUCCESS)
}

struct Side {
    name: &'static str,
    /// Seconds: reading, statistics of the inputs, tracing.
    before: f64,
    /// Seconds a step.
    step: f64,
}

fn row(side: &Side, rival: f64) -> String {
    let ratio = rival / side.step;
    format!("{:22} | {:16.2} s | {:6.1} ms | {ratio:8.1}", side.name, side.before, 1e3 * side.step)
}

/// Our descent of one batch with the average of the inputs as its target. As the rival's
/// steps are timed one by one, ours are those by which a longer descent is longer.
fn own(skyscat: &Path, maps: &Path, precision: &'static str, args: &Args) -> Result<Side> {
    let output = maps.with_file_name(format!("{precision}.npy"));
    let count = args.maps.to_string();
    let run = |steps: u32| -> Result<(f64, Value)> {
        let start = Instant::now();
        succeed(
            Command::new(skyscat)
                .args(["emulate", "--seed", "1", "--target", "average", "--overwrite"])
                .args(["--count", &count, "--batch", &count, "--precision", precision])
                .args(["--steps", &steps.to_string()])
                .arg("--input")
                .arg(maps)
                .arg("--output")
                .arg(&output),
        )?;
        let whole = start.elapsed().as_secs_f64();
        let file = output.with_extension("npy.report.json");
        let text = std::fs::read(&file).with_context(|| file.display().to_string())?;
        Ok((whole, serde_json::from_slice(&text)?))
    };
    let ((whole, short), (_, long)) = (run(20)?, run(120)?);
    side(precision, whole, [&short, &long])
}

/// Seconds a step of the one batch of two reports, and before the steps of the first.
fn side(name: &'static str, whole: f64, reports: [&Value; 2]) -> Result<Side> {
    let number = |report: &Value, name: &str| {
        report["batches"][0][name].as_f64().with_context(|| format!("a report has {name}"))
    };
    let [short, long] = reports;
    let steps = number(long, "iterations")? - number(short, "iterations")?;
    ensure!(steps >= 1.0, "the longer descent made no more steps");
    let step = (number(long, "seconds")? - number(short, "seconds")?) / steps;
    Ok(Side { name, before: whole - step * number(short, "iterations")?, step })
}

fn succeed(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| name.clone())?;
    ensure!(status.success(), "{name} failed: {status}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_what_a_longer_descent_takes_more() {
        let report = |seconds: f64, iterations: u32| serde_json::json!({"batches": [{"seconds": seconds, "iterations": iterations}]});
        let side = side("f64", 1.5, [&report(0.5, 20), &report(2.5, 120)]).unwrap();
        assert_eq!((side.before, side.step), (1.5 - 0.4, 0.02));
        assert!(row(&side, 2.0).ends_with("100.0"));
        // Must fail: reports of nothing, or of as many steps.
        let none = serde_json::json!({});
        assert!(super::side("f64", 1.0, [&none, &none]).is_err());
        assert!(super::side("f64", 1.0, [&report(0.5, 20), &report(0.6, 20)]).is_err());
    }
}
