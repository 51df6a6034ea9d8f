//! Where maps go: a cube or a folder, and the files beside it.

use crate::choices::Shard;
use crate::output;
use crate::settings::Settings;
use anyhow::{Context, Result, bail, ensure};
use skyscat::io::{
    FileRecord, Manifest, Overwrite, is_temporary, make_folder, rename, write_atomic,
};
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

/// Name of the manifest in an output folder, by which a folder is known as ours.
pub(crate) const MANIFEST: &str = "manifest.json";

/// What an output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One npy file.
    Cube,
    /// A folder of FITS files.
    Folder,
    /// A folder of finished batches, to be merged with others.
    Shard,
}

/// The paths of one set of maps.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The cube or the folder.
    pub(crate) output: PathBuf,
    pub(crate) kind: Kind,
    /// Unfinished work.
    pub(crate) partial: PathBuf,
}

impl Place {
    /// The place of an output, or of a shard beside it.
    pub(crate) fn of(path: &Option<PathBuf>, shard: Option<Shard>) -> Result<Self> {
        const ALLOWED: &str = "a name that ends in .npy, or a folder";
        let output = output::trimmed(&output::required(path, ALLOWED)?);
        let is_cube = output::has_extension(&output, &["npy"]);
        if output::has_extension(&output, &["fits", "gz", "npz", "csv", "toml", "json"]) {
            bail!(
                "{}: maps cannot be written under this name: allowed is {ALLOWED} (of FITS files)",
                output.display()
            );
        }
        let (output, kind) = match shard {
            Some(Shard { number, of }) => {
                (output::beside(&output, &format!(".shard-{number}-of-{of}")), Kind::Shard)
            }
            None => (output, if is_cube { Kind::Cube } else { Kind::Folder }),
        };
        Ok(Self { partial: output::beside(&output, ".partial"), kind, output })
    }

    pub(crate) fn is_cube(&self) -> bool {
        self.kind == Kind::Cube
    }

    /// Refuses an output that is there, unless it may be replaced.
    pub(crate) fn check_free(&self, overwrite: bool) -> Result<()> {
        output::check_free(&self.output, overwrite)?;
        if self.is_cube() {
            for suffix in ["", ".toml", ".manifest.json", ".history.csv", ".report.json"] {
                output::check_file(&output::beside(&self.output, suffix), overwrite)?;
            }
        } else if self.output.exists() {
            self.check_ours()?;
        }
        Ok(())
    }

    /// Refuses unfinished work that nobody said what to do with.
    pub(crate) fn check_partial(&self, overwrite: bool, resume: bool) -> Result<()> {
        let shown = self.partial.display();
        let meta = self.partial.symlink_metadata();
        ensure!(
            meta.as_ref().map_or(true, std::fs::Metadata::is_dir),
            "{shown}: a file or a link is where unfinished work would go: move it away"
        );
        if meta.is_ok() && !self.is_blank() && !resume && !overwrite {
            bail!(
                "{shown}: an interrupted run is there: allowed are --resume to go on with it, or \
                 --overwrite to begin anew"
            );
        }
        Ok(())
    }

    /// Whether nothing was written to the folder of unfinished work before its
    /// process was killed.
    pub(crate) fn is_blank(&self) -> bool {
        let Ok(entries) = std::fs::read_dir(&self.partial) else { return false };
        entries.flatten().all(|entry| is_temporary(&entry.path()) || entry.file_name() == LOCK)
    }

    /// Does `work` while no other process works on this output. What fails before
    /// it has written anything leaves nothing behind.
    pub(crate) fn alone<R>(&self, work: impl FnOnce() -> Result<R>) -> Result<R> {
        self.check_partial(true, true)?;
        let (file, folder) = (self.partial.join(LOCK), &self.partial);
        let new = !file.exists();
        let _lock = lock(folder)?;
        let done = work();
        if done.is_err() && self.is_blank() {
            let _ = std::fs::remove_dir_all(folder);
        } else if done.is_err() && new {
            let _ = std::fs::remove_file(file);
        }
        done
    }

    /// Only a folder that this program wrote (or an empty one) may be replaced.
    fn check_ours(&self) -> Result<()> {
        let shown = self.output.display();
        ensure!(self.output.is_dir(), "{shown}: the output is a file, not a folder");
        let empty = std::fs::read_dir(&self.output)
            .with_context(|| format!("{shown}: cannot be listed"))?
            .next()
            .is_none();
        ensure!(
            empty || self.output.join(MANIFEST).is_file(),
            "{shown}: the folder holds other files and no {MANIFEST}: allowed is a folder that \
             skyscat wrote, or a new one"
        );
        Ok(())
    }

    /// The folder that outputs are written to at first, to be renamed into place when
    /// all of them are complete.
    pub(crate) fn staging(&self) -> PathBuf {
        match self.kind {
            Kind::Shard => self.partial.clone(),
            Kind::Cube | Kind::Folder => self.partial.join("output"),
        }
    }

    /// Makes an empty staging folder.
    pub(crate) fn begin(&self) -> Result<()> {
        if !self.partial.exists() {
            make_folder(&self.partial)?;
        }
        let staging = self.staging();
        if staging.exists() {
            std::fs::remove_dir_all(&staging)
                .with_context(|| format!("{}: cannot be removed", staging.display()))?;
        }
        Ok(make_folder(&staging)?)
    }

    /// The cube, where it is staged.
    pub(crate) fn cube(&self) -> PathBuf {
        self.companion("", "")
    }

    /// A file in the output folder, or one beside the cube.
    pub(crate) fn companion(&self, in_folder: &str, suffix: &str) -> PathBuf {
        match self.is_cube() {
            true => {
                let beside = output::beside(&self.output, suffix);
                self.staging().join(beside.file_name().unwrap_or_default())
            }
            false => self.staging().join(in_folder),
        }
    }

    /// The effective settings.
    pub(crate) fn settings(&self) -> PathBuf {
        self.companion("config.toml", ".toml")
    }

    /// Stages the effective settings, under the name they will have in place.
    pub(crate) fn write_settings(
        &self,
        command: &str,
        settings: &Settings,
        overwrite: Overwrite,
    ) -> Result<PathBuf> {
        let staged = self.settings();
        let text = output::settings_text(&self.final_path(&staged), command, settings)?;
        write_atomic(&staged, overwrite, |out| out.write_all(text.as_bytes()))
            .context("the effective settings")?;
        Ok(staged)
    }

    /// The manifest, written after all others.
    pub(crate) fn manifest(&self) -> PathBuf {
        self.companion(MANIFEST, ".manifest.json")
    }

    /// The loss of every iteration.
    pub(crate) fn history(&self) -> PathBuf {
        self.companion("history.csv", ".history.csv")
    }

    /// The report.
    pub(crate) fn report(&self) -> PathBuf {
        self.companion("report.json", ".report.json")
    }

    /// Where a staged file goes.
    pub(crate) fn final_path(&self, staged: &Path) -> PathBuf {
        match staged.strip_prefix(self.staging()) {
            Ok(inside) if self.is_cube() => self.output.with_file_name(inside),
            Ok(inside) => self.output.join(inside),
            Err(_) => staged.to_owned(),
        }
    }

    /// Records of files under the names they will have in place.
    pub(crate) fn records(&self, paths: &[PathBuf]) -> Result<Vec<FileRecord>> {
        let record = |path: &PathBuf| -> Result<FileRecord> {
            Ok(FileRecord { path: self.final_path(path), ..FileRecord::of(path)? })
        };
        paths.iter().map(record).collect()
    }

    /// Whether all outputs are staged: some may be in place already.
    pub(crate) fn is_staged(&self) -> bool {
        self.kind != Kind::Shard && self.manifest().is_file()
    }

    /// Refuses to put what is staged over what is there, unless it may be replaced.
    pub(crate) fn check_staged(&self, overwrite: bool) -> Result<()> {
        if !self.is_cube() {
            return self.check_free(overwrite);
        }
        let staged = std::fs::read_dir(self.staging());
        let staged = staged.with_context(|| format!("{}", self.staging().display()))?;
        for path in staged.flatten().map(|entry| entry.path()).filter(|path| !is_temporary(path)) {
            output::check_file(&self.final_path(&path), overwrite)?;
        }
        Ok(())
    }

    /// Renames what is staged into place; an older folder goes to the unfinished work,
    /// and away with it. Killed at any moment, it can be called again: the manifest is
    /// moved last.
    pub(crate) fn publish(&self) -> Result<()> {
        forget_temporaries(&self.staging());
        if !self.is_cube() {
            if self.output.exists() {
                self.put_aside()?;
            }
            return Ok(rename(&self.staging(), &self.output)?);
        }
        let manifest = self.manifest();
        for record in Manifest::read(&manifest)?.outputs {
            let staged = self.staging().join(record.path.file_name().unwrap_or_default());
            if staged.exists() {
                rename(&staged, &record.path)?;
            } else {
                record.check().context("half of the outputs were put in place")?;
            }
        }
        Ok(rename(&manifest, &self.final_path(&manifest))?)
    }

    fn put_aside(&self) -> Result<()> {
        let aside = match self.kind {
            // A shard is its folder of work, with no place in it for another.
            Kind::Shard => self.output.clone(),
            Kind::Cube | Kind::Folder => self.partial.join("replaced"),
        };
        if aside.exists() {
            std::fs::remove_dir_all(&aside)
                .with_context(|| format!("{}: cannot be removed", aside.display()))?;
        }
        if self.kind != Kind::Shard {
            rename(&self.output, &aside)?;
        }
        Ok(())
    }

    /// Removes the folder of unfinished work: its mark last, so that it is known as
    /// what it is if this is interrupted.
    pub(crate) fn remove_partial(&self, mark: &str) -> Result<()> {
        if !self.partial.exists() {
            return Ok(());
        }
        self.clear_partial(mark)?;
        std::fs::remove_dir_all(&self.partial)
            .with_context(|| format!("{}: cannot be removed", self.partial.display()))
    }

    /// Removes all but the mark and the lock from the folder of unfinished work.
    pub(crate) fn clear_partial(&self, mark: &str) -> Result<()> {
        let context = || format!("{}: cannot be removed", self.partial.display());
        for entry in std::fs::read_dir(&self.partial).with_context(context)? {
            let entry = entry.with_context(context)?;
            let (path, name) = (entry.path(), entry.file_name());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                std::fs::remove_dir_all(path).with_context(context)?;
            } else if name != mark && name != LOCK {
                std::fs::remove_file(path).with_context(context)?;
            }
        }
        Ok(())
    }
}

/// Removes files that a killed process was writing, or had just written.
pub(crate) fn forget_temporaries(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|e| e.path()).filter(|path| is_temporary(path)) {
        let _ = std::fs::remove_file(path);
    }
}

/// The file that a process at work holds locked.
pub(crate) const LOCK: &str = "lock";

/// Keeps other processes from a folder, made if need be, as long as the file is held;
/// the system lets go of it when the process dies. File systems that know no locks are
/// let be.
pub(crate) fn lock(folder: &Path) -> Result<File> {
    if !folder.exists() {
        make_folder(folder)?;
    }
    let path = folder.join(LOCK);
    let file = (OpenOptions::new().write(true).create(true).truncate(false).open(&path))
        .with_context(|| format!("{}: cannot be made", path.display()))?;
    let taken = matches!(file.try_lock(), Err(TryLockError::WouldBlock));
    ensure!(
        !taken && is_at(&file, &path),
        "{}: another process is at work on this output",
        folder.display()
    );
    Ok(file)
}

/// Whether an open file is the one at `path`: the process that held it may have removed
/// it at its end, and another made a new one.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let number = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
    file.metadata().ok().map(number) == path.metadata().ok().map(number)
}

/// An open file cannot be removed.
#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

/// This command line with `--resume`, quoted for a shell.
pub(crate) fn resume_command() -> String {
    let mut words: Vec<String> =
        std::env::args_os().map(|a| quoted(&a.to_string_lossy())).collect();
    if !words.iter().any(|w| w == "--resume") {
        words.push("--resume".to_owned());
    }
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:@%+".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quoted("sims/*.fits"), "'sims/*.fits'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted("--count=3"), "--count=3");
    }
}
