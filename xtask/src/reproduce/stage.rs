//! One stage: what it does, whether it is done, and running it.

use super::manifest::{FileRecord, Manifest};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Exit code of a run of skyscat that was interrupted and saved.
const INTERRUPTED: i32 = 130;
/// Exit code of a validation that found scores outside their limits: a result.
const NOT_PASSED: i32 = 3;

/// A command of the program as it can be typed again.
fn command_line(words: &[String]) -> String {
    let quoted = words.iter().map(|word| match word.contains(char::is_whitespace) {
        true => format!("'{word}'"),
        false => word.clone(),
    });
    std::iter::once("skyscat".to_owned()).chain(quoted).collect::<Vec<_>>().join(" ")
}

/// A stage of the pipeline: commands of the program, run in the folder of the results.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub(super) name: &'static str,
    pub(super) what: String,
    /// Words of each command.
    pub(super) commands: Vec<Vec<String>>,
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
}

/// Whether a stage must run.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    Done { seconds: f64 },
    Due(String),
}

impl State {
    /// In words.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Done { .. } => "asked for".to_owned(),
            Self::Due(why) => why.clone(),
        }
    }
}

/// How a stage ended.
pub(super) enum Outcome {
    Done { seconds: f64, bytes: u64 },
    Interrupted,
}

impl Stage {
    fn lines(&self) -> Vec<String> {
        self.commands.iter().map(|words| command_line(words)).collect()
    }

    fn manifest_path(&self, folder: &Path) -> PathBuf {
        folder.join("manifests").join(format!("{}.json", self.name))
    }

    /// Compares the stage with its manifest.
    ///
    /// # Errors
    /// A file that is there and cannot be read.
    pub(super) fn state(&self, folder: &Path, version: &str) -> Result<State> {
        let due = |why: &str| Ok(State::Due(why.to_owned()));
        let Some(manifest) = Manifest::read(&self.manifest_path(folder)) else {
            return due("not run yet");
        };
        if manifest.commands != self.lines() {
            return due("its command changed");
        }
        if manifest.version != version {
            return due("the version changed");
        }
        let paths = |records: &[FileRecord]| -> Vec<String> {
            records.iter().map(|r| r.path.clone()).collect()
        };
        if paths(&manifest.inputs) != self.inputs || paths(&manifest.outputs) != self.outputs {
            return due("its files changed");
        }
        for (records, word) in [(&manifest.inputs, "input"), (&manifest.outputs, "output")] {
            for record in records {
                if !folder.join(&record.path).is_file() {
                    return Ok(State::Due(format!("its {word} {} is gone", record.path)));
                }
                if FileRecord::of(folder, &record.path)? != *record {
                    return Ok(State::Due(format!("its {word} {} changed", record.path)));
                }
            }
        }
        Ok(State::Done { seconds: manifest.seconds })
    }
}

/// Runs stages.
pub(super) struct Runner {
    pub(super) folder: PathBuf,
    pub(super) binary: Option<PathBuf>,
    pub(super) version: String,
    pub(super) seed: u64,
}

impl Runner {
    /// Runs a stage and writes its manifest.
    ///
    /// # Errors
    /// A command that fails, or an output that it did not leave.
    pub(super) fn run(&self, stage: &Stage) -> Result<Outcome> {
        let manifest = stage.manifest_path(&self.folder);
        if manifest.exists() {
            std::fs::remove_file(&manifest)?;
        }
        let inputs = self.records(&stage.inputs)?;
        let started = Manifest {
            stage: stage.name.to_owned(),
            commands: stage.lines(),
            version: self.version.clone(),
            seed: self.seed,
            seconds: 0.0,
            inputs,
            outputs: Vec::new(),
        };
        // What was begun before may go on if it is the same work.
        let begun = self.folder.join("manifests").join(format!("{}.begun.json", stage.name));
        let resumable = Manifest::read(&begun).is_some_and(|earlier| earlier == started);
        started.write(&begun)?;
        let clock = Instant::now();
        for command in &stage.commands {
            if !self.skyscat(command, resumable)? {
                return Ok(Outcome::Interrupted);
            }
        }
        let seconds = clock.elapsed().as_secs_f64();
        let outputs = self.records(&stage.outputs)?;
        let bytes = outputs.iter().map(|record| record.bytes).sum();
        Manifest { seconds, outputs, ..started }.write(&manifest)?;
        std::fs::remove_file(&begun)?;
        Ok(Outcome::Done { seconds, bytes })
    }

    fn records(&self, paths: &[String]) -> Result<Vec<FileRecord>> {
        paths.iter().map(|path| FileRecord::of(&self.folder, path)).collect()
    }

    /// Runs the program; whether it came to its end.
    fn skyscat(&self, words: &[String], resumable: bool) -> Result<bool> {
        let binary = self.binary.as_ref().context("the program has not been built")?;
        let mut command = Command::new(binary);
        command.args(words).current_dir(&self.folder);
        let output = words.iter().skip_while(|w| *w != "--output").nth(1);
        let partial = output.map(|path| self.folder.join(format!("{path}.partial")));
        match partial.filter(|partial| partial.exists()) {
            Some(_) if resumable => {
                command.arg("--resume");
            }
            // Of other settings: nothing to go on with.
            Some(partial) if partial.is_dir() => std::fs::remove_dir_all(&partial)?,
            Some(partial) => std::fs::remove_file(&partial)?,
            None => {}
        }
        let status = command.status().with_context(|| binary.display().to_string())?;
        match status.code() {
            Some(0 | NOT_PASSED) => Ok(true),
            Some(INTERRUPTED) => Ok(false),
            _ => bail!("{} failed: {status}", command_line(words)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Copies a file, with `cp` in the place of the program.
    fn copy() -> Stage {
        Stage {
            name: "copy",
            what: "a file".to_owned(),
            commands: vec![vec!["a".to_owned(), "b".to_owned()]],
            inputs: vec!["a".to_owned()],
            outputs: vec!["b".to_owned()],
        }
    }

    fn runner(folder: &Path) -> Runner {
        std::fs::create_dir(folder.join("manifests")).unwrap();
        let binary = Some(PathBuf::from("cp"));
        Runner { folder: folder.to_owned(), binary, version: "0".to_owned(), seed: 1 }
    }

    #[test]
    fn a_stage_runs_once_and_again_when_a_file_changes() {
        let place = tempfile::tempdir().unwrap();
        let (folder, stage) = (place.path(), copy());
        std::fs::write(folder.join("a"), "one").unwrap();
        let runner = runner(folder);
        let due = |stage: &Stage, version: &str| match stage.state(folder, version).unwrap() {
            State::Done { .. } => "done".to_owned(),
            State::Due(why) => why,
        };
        assert_eq!(due(&stage, "0"), "not run yet");
        assert!(matches!(runner.run(&stage).unwrap(), Outcome::Done { .. }));
        assert_eq!(due(&stage, "0"), "done");
        assert_eq!(due(&stage, "1"), "the version changed");
        let mut other = stage.clone();
        other.commands.push(vec!["info".to_owned()]);
        assert_eq!(due(&other, "0"), "its command changed");
        std::fs::write(folder.join("b"), "two").unwrap();
        assert_eq!(due(&stage, "0"), "its output b changed");
        runner.run(&stage).unwrap();
        std::fs::write(folder.join("a"), "three").unwrap();
        assert_eq!(due(&stage, "0"), "its input a changed");
        runner.run(&stage).unwrap();
        std::fs::remove_file(folder.join("b")).unwrap();
        assert_eq!(due(&stage, "0"), "its output b is gone");
    }

    #[test]
    fn a_stage_that_fails_leaves_no_manifest() {
        let place = tempfile::tempdir().unwrap();
        let (folder, stage) = (place.path(), copy());
        let runner = runner(folder);
        assert!(runner.run(&stage).is_err());
        std::fs::write(folder.join("a"), "one").unwrap();
        std::fs::create_dir(folder.join("b")).unwrap();
        assert!(runner.run(&stage).is_err(), "the output is a folder");
        assert!(!stage.manifest_path(folder).exists());
    }
}
