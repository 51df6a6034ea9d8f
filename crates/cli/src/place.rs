//! Where maps go: a cube or a folder, and the files beside it.

use crate::output;
use anyhow::{Context, Result, bail, ensure};
use skyscat::io::FileRecord;
use std::path::PathBuf;

/// Name of the manifest in an output folder, by which a folder is known as ours.
const MANIFEST: &str = "manifest.json";

/// The paths of one set of maps.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The cube or the folder.
    pub(crate) output: PathBuf,
    pub(crate) is_cube: bool,
    /// Unfinished work.
    pub(crate) partial: PathBuf,
}

impl Place {
    /// Refuses a place that is taken or cannot be written.
    pub(crate) fn check(path: &Option<PathBuf>, overwrite: bool, resume: bool) -> Result<Self> {
        const ALLOWED: &str = "a name that ends in .npy, or a folder";
        let output = output::trimmed(&output::required(path, ALLOWED)?);
        let is_cube = output::has_extension(&output, &["npy"]);
        if output::has_extension(&output, &["fits", "gz", "npz", "csv", "toml", "json"]) {
            bail!(
                "{}: maps cannot be written under this name: allowed is {ALLOWED} (of FITS files)",
                output.display()
            );
        }
        let place = Self { partial: output::beside(&output, ".partial"), is_cube, output };
        output::check_free(&place.output, overwrite)?;
        if is_cube {
            output::check_file(&place.output, overwrite)?;
            for file in place.companions() {
                output::check_file(&file, overwrite)?;
            }
        } else if place.output.exists() {
            place.check_ours()?;
        }
        if place.partial.exists() && !resume && !overwrite {
            bail!(
                "{}: an interrupted run is there: allowed are --resume to go on with it, or \
                 --overwrite to begin anew",
                place.partial.display()
            );
        }
        if resume && !place.partial.exists() {
            bail!(
                "{}: there is nothing to resume: run the command without --resume",
                place.partial.display()
            );
        }
        Ok(place)
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

    /// The folder that companion files and FITS maps are written to at first; a
    /// folder is renamed into place when it is complete.
    pub(crate) fn staging(&self) -> PathBuf {
        if self.is_cube { PathBuf::new() } else { self.partial.join("output") }
    }

    fn companion(&self, in_folder: &str, suffix: &str) -> PathBuf {
        match self.is_cube {
            true => output::beside(&self.output, suffix),
            false => self.staging().join(in_folder),
        }
    }

    /// The effective settings.
    pub(crate) fn settings(&self) -> PathBuf {
        self.companion("config.toml", ".toml")
    }

    /// The manifest.
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

    fn companions(&self) -> [PathBuf; 4] {
        [self.settings(), self.manifest(), self.history(), self.report()]
    }

    /// Records of files; those of a folder under the names they will have in place.
    pub(crate) fn records(&self, paths: &[PathBuf]) -> Result<Vec<FileRecord>> {
        let record = |path: &PathBuf| -> Result<FileRecord> {
            let mut record = FileRecord::of(path)?;
            if !self.is_cube
                && let Ok(inside) = path.strip_prefix(self.staging())
            {
                record.path = self.output.join(inside);
            }
            Ok(record)
        };
        paths.iter().map(record).collect()
    }

    /// Puts a complete folder in its place, an older one aside and then away.
    pub(crate) fn publish(&self) -> Result<()> {
        if self.is_cube {
            return Ok(());
        }
        let (new, old) = (self.staging(), output::beside(&self.output, ".old"));
        let context = || format!("{}: cannot be put in place", self.output.display());
        if self.output.exists() {
            std::fs::rename(&self.output, &old).with_context(context)?;
        }
        std::fs::rename(&new, &self.output).with_context(context)?;
        if old.exists() {
            std::fs::remove_dir_all(&old).with_context(|| format!("{}", old.display()))?;
        }
        Ok(())
    }
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
