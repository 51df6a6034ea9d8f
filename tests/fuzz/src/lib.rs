//! What the fuzz targets share: bytes as a file, for the readers take paths.

use std::io::Write;
use std::path::Path;

/// Hands `bytes` to `read` as a file of this suffix.
///
/// # Panics
/// If the folder for temporary files cannot be written.
pub fn with_file(suffix: &str, bytes: &[u8], read: impl FnOnce(&Path)) {
    let mut file = tempfile::Builder::new().suffix(suffix).tempfile().expect("a temporary file");
    file.write_all(bytes).expect("a temporary file");
    read(file.path());
}
