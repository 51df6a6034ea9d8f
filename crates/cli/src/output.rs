//! Output paths: checked before any work, never replaced in silence.

use crate::settings::Settings;
use anyhow::{Context, Result, bail, ensure};
use skyscat::io::{Overwrite, sha256_bytes, write_atomic};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Version that stands in every output.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Whether a path ends in one of these extensions, in any case.
pub(crate) fn has_extension(path: &Path, allowed: &[&str]) -> bool {
    let own = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    allowed.contains(&own.as_str())
}

/// `path` with more text at the end of its name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(trimmed(path));
    name.push(suffix);
    PathBuf::from(name)
}

/// `path` without a slash at its end.
pub(crate) fn trimmed(path: &Path) -> PathBuf {
    path.components().collect()
}

/// The flag as the writers take it.
pub(crate) fn replace(overwrite: bool) -> Overwrite {
    if overwrite { Overwrite::Allow } else { Overwrite::Refuse }
}

/// The output path that was set.
pub(crate) fn required(path: &Option<PathBuf>, allowed: &str) -> Result<PathBuf> {
    match path {
        Some(path) if !path.as_os_str().is_empty() => Ok(path.clone()),
        _ => bail!(
            "no output: give --output PATH, or output = \"...\" in [output] of the configuration; \
             allowed is {allowed}"
        ),
    }
}

/// Refuses a file name with another extension.
pub(crate) fn check_extension(path: &Path, allowed: &[&str]) -> Result<()> {
    let list: Vec<String> = allowed.iter().map(|e| format!(".{e}")).collect();
    ensure!(
        has_extension(path, allowed),
        "{}: the output has the wrong kind of name: allowed are names that end in {}",
        path.display(),
        list.join(", ")
    );
    Ok(())
}

/// Refuses an output that is there, or a folder to write into that is not.
pub(crate) fn check_free(path: &Path, overwrite: bool) -> Result<()> {
    ensure!(
        overwrite || path.symlink_metadata().is_err(),
        "{}: the output exists: allowed is a path that does not, or --overwrite",
        path.display()
    );
    let path = trimmed(path);
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    ensure!(
        parent.is_dir(),
        "{}: there is no folder {} to write into: make it first",
        path.display(),
        parent.display()
    );
    Ok(())
}

/// As [`check_free`], for an output that is one file.
pub(crate) fn check_file(path: &Path, overwrite: bool) -> Result<()> {
    check_free(path, overwrite)?;
    ensure!(!path.is_dir(), "{}: a folder is there: allowed is the name of a file", path.display());
    Ok(())
}

/// Where the effective settings of a single-file output go.
pub(crate) fn settings_path(output: &Path) -> PathBuf {
    beside(output, ".toml")
}

/// The effective settings, as the file at `path` holds them.
pub(crate) fn settings_text(path: &Path, command: &str, settings: &Settings) -> Result<String> {
    Ok(format!(
        "# Effective settings of skyscat {VERSION}; again with: skyscat {command} --config {}\n\n{}",
        path.display(),
        settings.to_toml()?
    ))
}

/// Writes the effective settings.
pub(crate) fn write_settings(
    path: &Path,
    command: &str,
    settings: &Settings,
    overwrite: Overwrite,
) -> Result<()> {
    let text = settings_text(path, command, settings)?;
    write_atomic(path, overwrite, |out| out.write_all(text.as_bytes()))
        .context("the effective settings")
}

/// SHA-256 of the settings that a result depends on.
pub(crate) fn settings_sha256(settings: &Settings) -> Result<String> {
    Ok(sha256_bytes(settings.to_toml()?.as_bytes()))
}
