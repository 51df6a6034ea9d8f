//! Manifests: what a stage of a run read, wrote, and with which settings.

use crate::{IoError, Overwrite, write_atomic};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A file and its content, by checksum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// The file, as it was named.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

impl FileRecord {
    /// Records a file that is there.
    ///
    /// # Errors
    /// [`IoError::Os`].
    pub fn of(path: &Path) -> Result<Self, IoError> {
        let meta = std::fs::metadata(path).map_err(IoError::os(path, "measure"))?;
        Ok(Self { path: path.to_owned(), bytes: meta.len(), sha256: sha256_file(path)? })
    }

    /// Checks that the file still has the content recorded.
    ///
    /// # Errors
    /// [`IoError::Changed`], [`IoError::Os`].
    pub fn check(&self) -> Result<(), IoError> {
        let given = sha256_file(&self.path)?;
        if given == self.sha256 {
            return Ok(());
        }
        Err(IoError::Changed { path: self.path.clone(), given, recorded: self.sha256.clone() })
    }
}

/// What one stage of a run did, enough to do it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Name of the stage.
    pub stage: String,
    /// The command line, argument by argument.
    pub command: Vec<String>,
    /// Version of the program.
    pub version: String,
    /// The seed, if the stage is random.
    pub seed: Option<u64>,
    /// SHA-256 of the configuration, in hexadecimal.
    pub config_sha256: Option<String>,
    /// Files read.
    pub inputs: Vec<FileRecord>,
    /// Files written.
    pub outputs: Vec<FileRecord>,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// [`IoError::Json`] for malformed text or unknown fields, [`IoError::Os`].
    pub fn read(path: &Path) -> Result<Self, IoError> {
        let text = std::fs::read(path).map_err(IoError::os(path, "read"))?;
        serde_json::from_slice(&text)
            .map_err(|source| IoError::Json { path: path.to_owned(), source })
    }

    /// Writes the manifest atomically.
    ///
    /// # Errors
    /// [`IoError::Exists`], [`IoError::Os`].
    pub fn write(&self, path: &Path, overwrite: Overwrite) -> Result<(), IoError> {
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|source| IoError::Json { path: path.to_owned(), source })?;
        text.push(b'\n');
        write_atomic(path, overwrite, |out| out.write_all(&text))
    }

    /// Checks that inputs and outputs still have the content recorded.
    ///
    /// # Errors
    /// [`IoError::Changed`] for the first that has not, [`IoError::Os`].
    pub fn check_files(&self) -> Result<(), IoError> {
        let mut files = self.inputs.iter().chain(&self.outputs);
        files.try_for_each(FileRecord::check)
    }
}

/// SHA-256 of a file, in hexadecimal.
///
/// # Errors
/// [`IoError::Os`].
pub fn sha256_file(path: &Path) -> Result<String, IoError> {
    let mut file = File::open(path).map_err(IoError::os(path, "open"))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let count = file.read(&mut buffer).map_err(IoError::os(path, "read"))?;
        if count == 0 {
            return Ok(hexadecimal(&hasher.finalize()));
        }
        hasher.update(&buffer[..count]);
    }
}

/// SHA-256 of bytes in memory, in hexadecimal.
///
/// ```
/// assert!(skyscat_io::sha256_bytes(b"abc").starts_with("ba7816bf"));
/// ```
pub fn sha256_bytes(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
