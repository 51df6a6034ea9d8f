//! Atomic writing: a reader sees the old file or the whole new one.

use crate::IoError;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Whether a writer may replace a file that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// Fail with [`IoError::Exists`].
    Refuse,
    /// Replace it.
    Allow,
}

/// Writes a file under a temporary name, syncs it, and renames it into place.
///
/// The temporary file lies in the same folder and ends in `.tmp`; it is removed
/// when anything fails.
///
/// # Errors
/// [`IoError::Exists`] when the file is there and `overwrite` refuses;
/// [`IoError::Os`] for anything the system refuses.
pub fn write_atomic(
    path: &Path,
    overwrite: Overwrite,
    fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<(), IoError> {
    let exists = || IoError::Exists { path: path.to_owned() };
    if overwrite == Overwrite::Refuse && path.exists() {
        return Err(exists());
    }
    let temporary = Temporary(temporary_name(path));
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&temporary.0)
        .map_err(IoError::os(path, "create a temporary file beside it"))?;
    let write = || -> std::io::Result<()> {
        let mut out = BufWriter::with_capacity(1 << 18, file);
        fill(&mut out)?;
        out.into_inner().map_err(|e| e.into_error())?.sync_all()
    };
    write().map_err(IoError::os(path, "write"))?;
    match overwrite {
        Overwrite::Allow => fs::rename(&temporary.0, path).map_err(IoError::os(path, "rename"))?,
        // A hard link fails when the name was taken meanwhile; file systems
        // without links fall back to the check above.
        Overwrite::Refuse => match fs::hard_link(&temporary.0, path) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => return Err(exists()),
            Err(_) => fs::rename(&temporary.0, path).map_err(IoError::os(path, "rename"))?,
        },
    }
    sync_folder(path);
    Ok(())
}

/// Makes a folder, durably: after a power cut it is there.
///
/// # Errors
/// [`IoError::Os`], also if the name is taken.
pub fn make_folder(path: &Path) -> Result<(), IoError> {
    fs::create_dir(path).map_err(IoError::os(path, "make the folder"))?;
    sync_folder(path);
    Ok(())
}

/// Renames a file or folder, durably; a file that is there is replaced.
///
/// A symbolic link at either end is moved or replaced itself, never followed.
///
/// # Errors
/// [`IoError::Os`].
pub fn rename(from: &Path, to: &Path) -> Result<(), IoError> {
    fs::rename(from, to).map_err(IoError::os(to, "put in place"))?;
    sync_folder(to);
    sync_folder(from);
    Ok(())
}

/// Whether a name is one that [`write_atomic`] writes under until it renames: a file of
/// this name is left where a process was killed.
pub fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') && name.ends_with(".tmp")
}

/// Removes the temporary file when it goes out of scope (a renamed one is gone).
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn temporary_name(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.{count}.tmp", std::process::id()))
}

/// Makes the new name durable; some file systems cannot, which is no failure.
fn sync_folder(path: &Path) {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}
