//! What a stage leaves behind, so that it need not run again.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::Path;

/// A file as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileRecord {
    /// Path, from the folder of the results if it lies there.
    pub(super) path: String,
    /// Size in bytes.
    pub(super) bytes: u64,
    /// SHA-256, hexadecimal.
    pub(super) sha256: String,
}

impl FileRecord {
    /// The record of `folder/path`.
    pub(super) fn of(folder: &Path, path: &str) -> Result<Self> {
        let file = folder.join(path);
        let context = || format!("{}: cannot be read", file.display());
        let mut reader = std::fs::File::open(&file).with_context(context)?;
        let (mut hash, mut bytes) = (Sha256::new(), 0);
        let mut buffer = vec![0; 1 << 16];
        loop {
            match reader.read(&mut buffer).with_context(context)? {
                0 => break,
                n => {
                    hash.update(&buffer[..n]);
                    bytes += n as u64;
                }
            }
        }
        let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { path: path.to_owned(), bytes, sha256 })
    }
}

/// The manifest of one stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// Name of the stage.
    pub(super) stage: String,
    /// Its command lines, in order.
    pub(super) commands: Vec<String>,
    /// Version of the program.
    pub(super) version: String,
    /// Seed of the whole run.
    pub(super) seed: u64,
    /// Seconds that it took.
    pub(super) seconds: f64,
    /// What it read.
    pub(super) inputs: Vec<FileRecord>,
    /// What it wrote.
    pub(super) outputs: Vec<FileRecord>,
}

impl Manifest {
    /// Reads a manifest; `None` if there is none, or it is no manifest.
    pub(super) fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }

    /// Writes a manifest under a temporary name, then renames it.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        write(path, text.as_bytes())
    }
}

/// Writes a file under a temporary name, then renames it: it is whole or absent.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    let context = || format!("{}: cannot be written", path.display());
    std::fs::write(&name, bytes).with_context(context)?;
    std::fs::rename(&name, path).with_context(context)
}
