//! `cargo xtask tidy`: what the compiler does not check.

mod advisories;
mod dependencies;
mod layers;
mod lexer;
mod named_tests;
mod sources;

use crate::{cargo, say};
use anyhow::Result;
use dependencies::Allowed;
use std::process::ExitCode;

pub(crate) fn run() -> Result<ExitCode> {
    let mut faults = layers::faults(&layers::edges(&cargo::metadata()?));
    match cargo::metadata_of_all() {
        Ok(all) => faults.extend(Allowed::read(&cargo::root())?.faults(&all)),
        Err(error) => say::line(&format!("tidy: SKIPPED the dependencies: {error:#}")),
    }
    advisories::check(&cargo::root(), &mut faults)?;
    let checked = sources::check(&cargo::root(), &mut faults)?;
    if faults.is_empty() {
        say::line(&format!("tidy: {checked} files in order"));
        return Ok(ExitCode::SUCCESS);
    }
    faults.iter().for_each(|fault| say::line(&format!("tidy: {fault}")));
    say::line(&format!("tidy: {} faults", faults.len()));
    Ok(ExitCode::FAILURE)
}
