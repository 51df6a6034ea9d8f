//! Project tasks: `cargo xtask test`, `tidy`, `bench`, `compare`, `same-bits`,
//! `reproduce-paper`.
//!
//! What it is: the checks that a change must pass, comparisons with rivals, and the
//! pipeline of the paper run with the program's own commands. What it is not: a user
//! of the libraries. It links none of them; it runs cargo and the `skyscat` binary,
//! as a person would.

mod bench;
mod cargo;
mod compare;
mod reproduce;
mod same_bits;
mod say;
mod test;
mod tidy;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Project tasks of skyscat.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Everything a change must pass: format, tidy, clippy, tests, documentation
    Test(test::TestArgs),
    /// Benchmarks, and with --record a table of them beside their floors
    Bench(bench::Args),
    /// Speed and accuracy beside those of a rival, run in turn
    #[command(subcommand)]
    Compare(compare::Subject),
    /// Layering, sizes of files and functions, where files and devices are named
    Tidy,
    /// One emulation by the program of each build profile: the bits must agree
    SameBits,
    /// The pipeline of the paper, stage by stage; run it again to go on
    #[command(after_help = reproduce::EXAMPLES)]
    ReproducePaper(reproduce::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Test(args) => test::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Compare(subject) => compare::run(&subject),
        Task::Tidy => tidy::run(),
        Task::SameBits => same_bits::run(),
        Task::ReproducePaper(args) => reproduce::run(&args),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            say::line(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
