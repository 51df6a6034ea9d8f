//! `cargo xtask same-bits`: one emulation by the program of each build profile.

use crate::{cargo, say};
use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::process::{Command, ExitCode};

/// Simulated inputs, their emulation in both precisions, and what is compared.
const COMMANDS: &[&str] = &[
    "simulate --rate 0.137 --chunk 19570 --nside 16 --nside-out 8 -n 6 --seed 1 -o maps.npy",
    "emulate -i maps.npy -n 6 --seed 2 --batch 3 --steps 40 --device cpu -o f64.npy",
    "emulate -i maps.npy -n 6 --seed 2 --batch 3 --steps 40 --device cpu --precision f32 -o f32.npy",
];
const FILES: &[&str] = &["maps.npy", "f64.npy", "f64.npy.history.csv", "f32.npy"];

pub(crate) fn run() -> Result<ExitCode> {
    let mut sums: Vec<Vec<String>> = Vec::new();
    for profile in ["dev", "release"] {
        let program = cargo::build_skyscat_in(profile)?;
        let folder = tempfile::tempdir()?;
        for line in COMMANDS {
            run_in(folder.path(), &program, line)?;
        }
        sums.push(FILES.iter().map(|file| sum(&folder.path().join(file))).collect::<Result<_>>()?);
    }
    let mut differ = 0;
    for (at, file) in FILES.iter().enumerate() {
        let same = sums[0][at] == sums[1][at];
        differ += usize::from(!same);
        let verdict = if same { "same" } else { "DIFFERS" };
        say::line(&format!("{file:22} {verdict}  {}", &sums[0][at][..16]));
    }
    Ok(if differ == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_in(folder: &Path, program: &Path, line: &str) -> Result<()> {
    say::line(&format!("{} {line}", program.display()));
    let mut command = Command::new(program);
    command.current_dir(folder).args(line.split_whitespace()).arg("--quiet");
    ensure!(command.status().context("skyscat")?.success(), "{line} failed");
    Ok(())
}

fn sum(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    Ok(Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect())
}
