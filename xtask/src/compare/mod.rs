//! `cargo xtask compare`: ours and a rival's, side by side in one run.

mod evaluation;
mod transforms;

use anyhow::{Context, Result, bail, ensure};
use clap::Subcommand;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// What is compared.
#[derive(Subcommand)]
pub(crate) enum Subject {
    /// Synthesis and its adjoint on HEALPix rings, against ducc0
    Transforms(transforms::Args),
    /// A step of the emulator from the same maps, against CMBSCAT
    Evaluation(evaluation::Args),
}

pub(crate) fn run(subject: &Subject) -> Result<ExitCode> {
    match subject {
        Subject::Transforms(args) => transforms::run(args),
        Subject::Evaluation(args) => evaluation::run(args),
    }
}

/// Says how to install a rival if it is missing; installs nothing.
fn check_rival(python: &Path, module: &str, packages: &str) -> Result<()> {
    let name = python.display();
    let found = Command::new(python)
        .args(["-c", &format!("import importlib.util as u; assert u.find_spec('{module}')")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .with_context(|| format!("{name} does not run; name another with --python"))?;
    if found.success() {
        return Ok(());
    }
    bail!(
        "{name} has no {module}. Install it into a virtual environment and name that one:\n  \
         python3 -m venv rival && rival/bin/pip install {packages}\n  \
         cargo xtask compare … --python rival/bin/python"
    )
}

/// The JSON line that a program prints.
fn answer(command: &mut Command) -> Result<Value> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stderr(Stdio::inherit()).output().with_context(|| name.clone())?;
    ensure!(output.status.success(), "{name} failed: {}", output.status);
    serde_json::from_slice(&output.stdout).with_context(|| format!("{name} speaks JSON"))
}
