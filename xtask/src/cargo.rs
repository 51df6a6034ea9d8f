//! Running cargo: the workspace it sees, and the binaries it builds.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().expect("xtask lies in the workspace").to_owned()
}

/// The cargo that runs this program, at the root of the workspace.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// `cargo metadata` of the workspace members.
pub(crate) fn metadata() -> Result<Value> {
    metadata_with(&["--no-deps"])
}

/// `cargo metadata` of every dependency in the lock file for this kind of machine,
/// from what was downloaded already.
pub(crate) fn metadata_of_all() -> Result<Value> {
    let said = Command::new("rustc").arg("-vV").output().context("rustc -vV")?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("rustc names no host")?;
    metadata_with(&["--locked", "--offline", "--filter-platform", host])
}

fn metadata_with(arguments: &[&str]) -> Result<Value> {
    let output = cargo()
        .args(["metadata", "--format-version", "1"])
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .context("cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", output.status);
    }
    serde_json::from_slice(&output.stdout).context("cargo metadata speaks JSON")
}

/// Builds the command line program in release and says where it is.
pub(crate) fn build_skyscat() -> Result<PathBuf> {
    build_skyscat_in("release")
}

/// Builds the command line program in a profile and says where it is.
pub(crate) fn build_skyscat_in(profile: &str) -> Result<PathBuf> {
    let output = cargo()
        .args(["build", "--profile", profile, "--package", "skyscat-cli", "--bin", "skyscat"])
        .args(["--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()
        .context("cargo build")?;
    if !output.status.success() {
        bail!("skyscat could not be built: {}", output.status);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    executable(&text, "skyscat").context("cargo named no executable called skyscat")
}

/// The executable of a target in cargo's messages.
pub(crate) fn executable(messages: &str, target: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == target)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_executable_among_the_messages() {
        let messages = "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"skyscat\"},\
                        \"executable\":null}\n{\"reason\":\"compiler-artifact\",\"target\":\
                        {\"name\":\"skyscat\"},\"executable\":\"release/skyscat\"}\nnot json\n";
        assert_eq!(executable(messages, "skyscat"), Some(PathBuf::from("release/skyscat")));
        assert_eq!(executable(messages, "other"), None);
    }
}
