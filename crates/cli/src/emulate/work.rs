//! Unfinished work on disk: finished batches and the running one.

use crate::place::Place;
use crate::settings::Settings;
use crate::{output, say};
use anyhow::{Context, Result, bail, ensure};
use ndarray::{Array3, ArrayView1};
use serde::{Deserialize, Serialize};
use skyscat::autodiff::TermHistory;
use skyscat::emulator::{BatchId, SavedDescent};
use skyscat::io::{Checkpoint, read_checkpoint, write_checkpoint};
use std::path::{Path, PathBuf};

/// The file that says which run a folder belongs to.
const JOB: &str = "job.ckpt";

/// What a run must share with one that it goes on from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub(crate) config: Settings,
    pub(crate) input_sha256: String,
    pub(crate) seed: u64,
    pub(crate) version: String,
}

impl Stamp {
    pub(crate) fn config_sha256(&self) -> Result<String> {
        output::settings_sha256(&self.config)
    }
}

/// The folder of unfinished work of one run.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    folder: PathBuf,
    stamp: Stamp,
}

/// A batch that has run to its end.
#[derive(Clone, Debug)]
pub(crate) struct Finished {
    pub(crate) id: BatchId,
    /// Physical units, NEST, axes (map, channel, pixel).
    pub(crate) maps: Array3<f64>,
    pub(crate) history: Vec<f64>,
    pub(crate) terms: Vec<TermHistory>,
    pub(crate) evaluations: u64,
    pub(crate) stop: String,
    pub(crate) seconds: f64,
    /// rms(Ave Φ − Φ_target)/rms(Φ_target) of each block.
    pub(crate) matches: Vec<(String, f64)>,
}

impl Finished {
    /// The terms at the end, by name.
    pub(crate) fn last_terms(&self) -> Vec<(String, f64)> {
        let last = |t: &TermHistory| t.values.last().copied().unwrap_or(f64::NAN);
        self.terms.iter().map(|t| (t.name.clone(), last(t))).collect()
    }

    /// One line for the terminal.
    pub(crate) fn line(&self) -> String {
        let terms: Vec<String> =
            self.last_terms().iter().map(|(name, value)| format!("{name} {value:.2e}")).collect();
        let worst = self.matches.iter().max_by(|a, b| a.1.total_cmp(&b.1));
        let worst = worst.map_or_else(String::new, |(name, value)| {
            format!("; worst block {name} {:.2} %", 100.0 * value)
        });
        let (first, last) = (self.history.first(), self.history.last());
        format!(
            "{}: loss {:.3e} -> {:.3e} in {} iterations ({} evaluations, {:.1} s): {}{worst}",
            self.id,
            first.unwrap_or(&f64::NAN),
            last.unwrap_or(&f64::NAN),
            self.history.len().saturating_sub(1),
            self.evaluations,
            self.seconds,
            terms.join(", "),
        )
    }
}

/// A running batch that was saved.
pub(crate) struct Saved {
    pub(crate) descent: SavedDescent,
    pub(crate) seconds: f64,
}

/// Head of every file of the work folder.
#[derive(Serialize, Deserialize)]
struct Head {
    kind: String,
    batch: String,
    config_sha256: String,
    input_sha256: String,
    seed: u64,
    version: String,
    /// Shape of the maps.
    shape: Vec<usize>,
    stop: String,
    evaluations: u64,
    terms: Vec<String>,
    matches: Vec<String>,
    pairs: usize,
}

impl Work {
    /// The folder of a new run, or, with `resume`, of the one that is there.
    pub(crate) fn open(place: &Place, stamp: Stamp, resume: bool, overwrite: bool) -> Result<Self> {
        let folder = place.partial.clone();
        let job = folder.join(JOB);
        if resume {
            let found = read_checkpoint(&job).context("cannot resume")?;
            let found: Stamp = serde_json::from_value(found.header).with_context(|| {
                format!("{}: cannot resume: not a run of skyscat", job.display())
            })?;
            compare(&found, &stamp)
                .with_context(|| format!("{}: cannot resume", folder.display()))?;
        } else {
            if folder.exists() && overwrite {
                ensure!(
                    job.is_file() || is_empty(&folder),
                    "{}: the folder is no unfinished run: move it away",
                    folder.display()
                );
                std::fs::remove_dir_all(&folder)
                    .with_context(|| format!("{}: cannot be removed", folder.display()))?;
            }
            std::fs::create_dir(&folder)
                .with_context(|| format!("{}: cannot be made", folder.display()))?;
            write_checkpoint(&job, &serde_json::to_value(&stamp)?, &[])?;
        }
        Ok(Self { folder, stamp })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    /// Removes the folder.
    pub(crate) fn remove(&self) -> Result<()> {
        std::fs::remove_dir_all(&self.folder)
            .with_context(|| format!("{}: cannot be removed", self.folder.display()))
    }

    /// Whether no batch was finished or saved in the folder.
    pub(crate) fn is_blank(&self) -> bool {
        let entries = std::fs::read_dir(&self.folder);
        entries.is_ok_and(|list| list.flatten().all(|e| e.file_name() == JOB))
    }

    /// Removes the folder if no batch was finished or saved in it.
    pub(crate) fn remove_if_blank(&self) {
        if self.is_blank() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }

    fn path(&self, id: BatchId, kind: &str) -> PathBuf {
        self.folder.join(format!("{id}.{kind}"))
    }

    fn head(&self, id: BatchId, kind: &str) -> Result<Head> {
        Ok(Head {
            kind: kind.to_owned(),
            batch: id.to_string(),
            config_sha256: self.stamp.config_sha256()?,
            input_sha256: self.stamp.input_sha256.clone(),
            seed: self.stamp.seed,
            version: self.stamp.version.clone(),
            shape: Vec::new(),
            stop: String::new(),
            evaluations: 0,
            terms: Vec::new(),
            matches: Vec::new(),
            pairs: 0,
        })
    }

    /// Reads a file of this run; one of another is refused.
    fn read(&self, id: BatchId, kind: &str) -> Result<Option<(Head, Checkpoint)>> {
        let path = self.path(id, kind);
        if !path.exists() {
            return Ok(None);
        }
        let advice = "delete this file to compute the batch again";
        let file = read_checkpoint(&path).with_context(|| format!("cannot resume: {advice}"))?;
        let shown = path.display();
        let head: Head = serde_json::from_value(file.header.clone())
            .with_context(|| format!("{shown}: cannot resume: not a batch; {advice}"))?;
        let expected = self.head(id, kind)?;
        for (what, given, allowed) in [
            ("kind", &head.kind, &expected.kind),
            ("batch", &head.batch, &expected.batch),
            ("settings", &head.config_sha256, &expected.config_sha256),
            ("input", &head.input_sha256, &expected.input_sha256),
            ("seed", &head.seed.to_string(), &expected.seed.to_string()),
            ("version", &head.version, &expected.version),
        ] {
            ensure!(
                given == allowed,
                "{shown}: cannot resume: it is of another run: {what} {given}, allowed is \
                 {allowed}; {advice}"
            );
        }
        Ok(Some((head, file)))
    }

    /// A finished batch, if it is there.
    pub(crate) fn finished(&self, id: BatchId) -> Result<Option<Finished>> {
        let Some((head, file)) = self.read(id, "batch")? else { return Ok(None) };
        let shown = self.path(id, "batch").display().to_string();
        let take = |name: &str| array(&file, name, &shown);
        let shape: [usize; 3] =
            head.shape.clone().try_into().ok().with_context(|| format!("{shown}: shape"))?;
        let named = |names: &[String], values: Vec<f64>| {
            names.iter().cloned().zip(values).collect::<Vec<_>>()
        };
        Ok(Some(Finished {
            id,
            maps: Array3::from_shape_vec(shape, take("maps")?)
                .with_context(|| format!("{shown}: shape of the maps"))?,
            history: take("history")?,
            terms: histories(&head.terms, &take("terms")?),
            evaluations: head.evaluations,
            stop: head.stop,
            seconds: take("seconds")?.first().copied().unwrap_or(0.0),
            matches: named(&head.matches, take("matches")?),
        }))
    }

    /// Writes a finished batch and removes its descent.
    pub(crate) fn finish(&self, done: &Finished) -> Result<()> {
        let names = |list: &[(String, f64)]| list.iter().map(|(n, _)| n.clone()).collect();
        let values = |list: &[(String, f64)]| list.iter().map(|(_, v)| *v).collect::<Vec<f64>>();
        let head = Head {
            shape: done.maps.shape().to_vec(),
            stop: done.stop.clone(),
            evaluations: done.evaluations,
            terms: done.terms.iter().map(|t| t.name.clone()).collect(),
            matches: names(&done.matches),
            ..self.head(done.id, "batch")?
        };
        let maps: Vec<f64> = done.maps.iter().copied().collect();
        let (terms, matches) = (flat(&done.terms), values(&done.matches));
        let arrays = [
            ("maps", ArrayView1::from(&maps)),
            ("history", ArrayView1::from(&done.history)),
            ("terms", ArrayView1::from(&terms)),
            ("matches", ArrayView1::from(&matches)),
            ("seconds", ArrayView1::from(std::slice::from_ref(&done.seconds))),
        ];
        write_checkpoint(&self.path(done.id, "batch"), &serde_json::to_value(head)?, &arrays)?;
        let descent = self.path(done.id, "descent");
        if descent.exists() {
            std::fs::remove_file(&descent)
                .with_context(|| format!("{}: cannot be removed", descent.display()))?;
        }
        Ok(())
    }

    /// The saved descent of a batch, if it is there.
    pub(crate) fn descent(&self, id: BatchId) -> Result<Option<Saved>> {
        let Some((head, file)) = self.read(id, "descent")? else { return Ok(None) };
        let shown = self.path(id, "descent").display().to_string();
        let take = |name: &str| array(&file, name, &shown);
        let pairs = (0..head.pairs)
            .map(|i| Ok((take(&format!("s{i}"))?, take(&format!("y{i}"))?)))
            .collect::<Result<_>>()?;
        Ok(Some(Saved {
            descent: SavedDescent {
                x: take("x")?,
                gradient: take("gradient")?,
                pairs,
                curvatures: take("curvatures")?,
                history: take("history")?,
                terms: histories(&head.terms, &take("terms")?),
                evaluations: head.evaluations,
            },
            seconds: take("seconds")?.first().copied().unwrap_or(0.0),
        }))
    }

    /// Saves the descent of a running batch.
    pub(crate) fn save(&self, id: BatchId, saved: &Saved) -> Result<()> {
        let d = &saved.descent;
        let head = Head {
            evaluations: d.evaluations,
            terms: d.terms.iter().map(|t| t.name.clone()).collect(),
            pairs: d.pairs.len(),
            ..self.head(id, "descent")?
        };
        let terms = flat(&d.terms);
        let names: Vec<(String, String)> =
            (0..d.pairs.len()).map(|i| (format!("s{i}"), format!("y{i}"))).collect();
        let mut arrays = vec![
            ("x", ArrayView1::from(&d.x)),
            ("gradient", ArrayView1::from(&d.gradient)),
            ("curvatures", ArrayView1::from(&d.curvatures)),
            ("history", ArrayView1::from(&d.history)),
            ("terms", ArrayView1::from(&terms)),
            ("seconds", ArrayView1::from(std::slice::from_ref(&saved.seconds))),
        ];
        for ((s_name, y_name), (s, y)) in names.iter().zip(&d.pairs) {
            arrays.push((s_name, ArrayView1::from(s)));
            arrays.push((y_name, ArrayView1::from(y)));
        }
        Ok(write_checkpoint(&self.path(id, "descent"), &serde_json::to_value(head)?, &arrays)?)
    }
}

/// The values of all terms, one term after another.
fn flat(terms: &[TermHistory]) -> Vec<f64> {
    terms.iter().flat_map(|t| &t.values).copied().collect()
}

/// What [`flat`] joined.
fn histories(names: &[String], values: &[f64]) -> Vec<TermHistory> {
    let each = values.len() / names.len().max(1);
    let parts = values.chunks(each.max(1)).map(<[f64]>::to_vec);
    names.iter().cloned().zip(parts).map(|(name, values)| TermHistory { name, values }).collect()
}

fn array(file: &Checkpoint, name: &str, shown: &str) -> Result<Vec<f64>> {
    let found = file.array(name).with_context(|| format!("{shown}: array {name} is missing"))?;
    Ok(found.to_vec())
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// Says in what two runs differ.
fn compare(found: &Stamp, own: &Stamp) -> Result<()> {
    let mut differences = Vec::new();
    let mut note = |what: &str, there: String, here: String| {
        if there != here {
            differences.push(format!("{what} is {there} there, {here} here"));
        }
    };
    note("seed", found.seed.to_string(), own.seed.to_string());
    note("version", found.version.clone(), own.version.clone());
    let short = |sha: &str| format!("input {}", &sha[..sha.len().min(12)]);
    note("the content of the input", short(&found.input_sha256), short(&own.input_sha256));
    let (there, here) = (keys(&found.config)?, keys(&own.config)?);
    let names: std::collections::BTreeSet<&String> = there.keys().chain(here.keys()).collect();
    for name in names {
        let value = |t: &std::collections::BTreeMap<String, String>| {
            t.get(name).cloned().unwrap_or_else(|| "not set".to_owned())
        };
        note(name, value(&there), value(&here));
    }
    if !differences.is_empty() {
        bail!("it is another run: {}", differences.join("; "));
    }
    Ok(())
}

fn keys(settings: &Settings) -> Result<std::collections::BTreeMap<String, String>> {
    let mut keys = std::collections::BTreeMap::new();
    for (_, section) in toml::Table::try_from(settings)? {
        let toml::Value::Table(section) = section else { continue };
        keys.extend(section.into_iter().map(|(key, value)| (key, value.to_string())));
    }
    Ok(keys)
}

/// Says that a save failed; the run goes on, the last save stays.
pub(crate) fn warn(error: &anyhow::Error) {
    say::note(&format!("warning: the running batch could not be saved: {error:#}"));
}
