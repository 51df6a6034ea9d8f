//! `cargo xtask reproduce-paper`: the pipeline of the paper, resumable.

mod manifest;
mod pipeline;
mod stage;

use crate::{cargo, say};
use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use pipeline::{Pipeline, Scale};
use stage::{Outcome, State};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Instant;

/// Which settings, which input, where to.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How large: smoke is a minute, laptop twenty, paper days on two cores
    #[arg(long, value_enum, default_value_t = Scale::Laptop)]
    scale: Scale,
    /// Folder of the results [default: target/reproduce-paper/SCALE]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Seed of all random numbers
    #[arg(long, default_value_t = 2025)]
    seed: u64,
    /// Iterations of each batch [default: that of the scale]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    steps: Option<u64>,
    /// Definition of the statistics
    #[arg(long, value_enum, default_value_t = Definition::Paper)]
    definition: Definition,
    /// Run from this stage on, even what is done
    #[arg(long, value_name = "STAGE")]
    from: Option<String>,
    /// Show the stages and their state, and run nothing
    #[arg(long)]
    list: bool,
    /// Use this skyscat program instead of building one
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

/// Which statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Definition {
    /// Campeti et al. 2025
    Paper,
    /// What HealpixML 1.0.0 computes
    Healpixml,
}

impl Definition {
    fn word(self) -> &'static str {
        match self {
            Self::Paper => "paper",
            Self::Healpixml => "healpixml",
        }
    }
}

pub(crate) const EXAMPLES: &str = "\
Examples:
  cargo xtask reproduce-paper                      1000 maps from 10 and from 100
  cargo xtask reproduce-paper --scale smoke        the same in a minute, not converged
  cargo xtask reproduce-paper --list               what is done and what is not
  cargo xtask reproduce-paper --from validate-few  the reports once more
  cargo xtask reproduce-paper --steps 1000         as many iterations as the paper
  cargo xtask reproduce-paper --scale paper        10,000 maps each: days on two cores

Stages run one after another; each leaves a manifest in OUTPUT/manifests and is
left out the next time while its command, its inputs and its outputs are the same.
Interrupt it when you like: the same command goes on.";

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let folder = match &args.output {
        Some(folder) => folder.clone(),
        None => cargo::root().join("target/reproduce-paper").join(args.scale.word()),
    };
    if !args.list {
        std::fs::create_dir_all(folder.join("manifests"))
            .with_context(|| format!("{}: cannot be made", folder.display()))?;
    }
    let pipeline = Pipeline::new(args.scale, args.seed, args.definition, args.steps);
    if let Some(from) = &args.from {
        let names: Vec<&str> = pipeline.stages.iter().map(|s| s.name).collect();
        ensure!(
            names.contains(&from.as_str()),
            "--from {from}: there is no such stage: allowed are {}",
            names.join(", ")
        );
    }
    let version = env!("CARGO_PKG_VERSION").to_owned();
    if args.list {
        list(&pipeline, &folder, &version)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut runner = stage::Runner { folder, binary: None, version, seed: args.seed };
    let clock = Instant::now();
    let mut stale = false;
    for (at, stage) in pipeline.stages.iter().enumerate() {
        let number = format!("[{}/{}] {}", at + 1, pipeline.stages.len(), stage.name);
        stale |= args.from.as_deref() == Some(stage.name);
        let state = stage.state(&runner.folder, &runner.version)?;
        if let (State::Done { seconds }, false) = (&state, stale) {
            say::line(&format!("{number}: done before, in {}", say::duration(*seconds)));
            continue;
        }
        stale = true;
        if runner.binary.is_none() {
            runner.binary = Some(binary(args, &runner.version)?);
        }
        say::line(&format!("{number}: {} ({})", stage.what, state.reason()));
        match runner.run(stage).with_context(|| format!("stage {}", stage.name))? {
            Outcome::Done { seconds, bytes } => {
                let (seconds, bytes) = (say::duration(seconds), say::bytes(bytes));
                say::line(&format!("{number}: {seconds}, {bytes}"));
            }
            Outcome::Interrupted => {
                say::line(&format!("{number}: interrupted; the same command goes on"));
                return Ok(ExitCode::from(130));
            }
        }
    }
    let folder = runner.folder.display();
    let total = say::duration(clock.elapsed().as_secs_f64());
    say::line(&format!(
        "in {total}: {folder}/report-few/report.html, {folder}/report-many/report.html"
    ));
    Ok(ExitCode::SUCCESS)
}

fn list(pipeline: &Pipeline, folder: &std::path::Path, version: &str) -> Result<()> {
    let mut stale = false;
    for stage in &pipeline.stages {
        let state = stage.state(folder, version)?;
        let word = match (&state, stale) {
            (State::Done { seconds }, false) => format!("done in {}", say::duration(*seconds)),
            (State::Done { .. }, true) => "to run again: an earlier stage changes".to_owned(),
            _ => state.reason(),
        };
        stale |= !matches!(state, State::Done { .. });
        say::line(&format!("{:12} {:44} {word}", stage.name, stage.what));
    }
    Ok(())
}

/// The program, given or built, if it has the version of this checkout.
fn binary(args: &Args, version: &str) -> Result<PathBuf> {
    let path = match &args.binary {
        Some(path) => std::path::absolute(path)?,
        None => cargo::build_skyscat()?,
    };
    let output = Command::new(&path).arg("--version").output();
    let output = output.with_context(|| format!("{}: cannot be run", path.display()))?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if text != format!("skyscat {version}") {
        bail!("{} says {text:?}, expected \"skyscat {version}\"", path.display());
    }
    Ok(path)
}
