//! `skyscat`: many sky maps from few, from the command line.
//!
//! What it is: arguments, files, progress and messages around the crates of the
//! workspace. What it is not: a place for mathematics. Every command reads its
//! settings from flags, over a TOML file, over defaults, checks everything it
//! can before it computes anything, and writes its effective settings beside
//! its output.

mod args;
mod choices;
mod devices;
mod emulate;
mod gaussian;
mod info;
mod init;
mod input;
mod interrupt;
mod merge;
mod output;
mod place;
mod plan;
mod plot;
mod say;
mod settings;
mod simulate;
mod spectra;
mod statistics;
mod validate;

use args::{Cli, Command};
use clap::Parser;
use std::process::ExitCode;

/// Exit code of a run that was interrupted and can be resumed.
const INTERRUPTED: u8 = 130;
/// Exit code of an emulation some of whose batches failed.
const INCOMPLETE: u8 = 4;
/// Exit code of a validation that found scores outside their limits.
const NOT_PASSED: u8 = 3;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Emulate(args) => emulate::run(args),
        Command::Merge(args) => merge::run(args),
        Command::Statistics(args) => statistics::run(args),
        Command::Spectra(args) => spectra::run(args),
        Command::Info(args) => info::run(args),
        Command::Init(args) => init::run(args),
        Command::Simulate(args) => simulate::run(args),
        Command::Gaussian(args) => gaussian::run(args),
        Command::Validate(args) => validate::run(args),
        Command::Plan(args) => plan::run(args),
        Command::Devices(args) => devices::run(&args),
        Command::Plot(args) => plot::run(args),
    };
    match result {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::Incomplete) => ExitCode::from(INCOMPLETE),
        Ok(Ending::NotPassed) => ExitCode::from(NOT_PASSED),
        Ok(Ending::Interrupted) => ExitCode::from(INTERRUPTED),
        Err(error) => {
            say::note(&format!("error: {}", told(&error)));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes, without those that repeat what was said.
fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !text.contains(cause.trim_end()) {
            let separator = if text.is_empty() { "" } else { ": " };
            text = format!("{}{separator}{cause}", text.trim_end());
        }
    }
    text
}

/// How a command ended when nothing was wrong.
enum Ending {
    /// To its end.
    Done,
    /// To its end, and the verdict is no.
    NotPassed,
    /// Some batches failed; the rest is kept.
    Incomplete,
    /// Stopped by Ctrl-C or SIGTERM, its state saved.
    Interrupted,
}
