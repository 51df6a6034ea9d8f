//! Unfinished work on disk: finished batches and the running one.

use super::identity::{Identity, Stamp};
use crate::place::{LOCK, MANIFEST, Place, forget_temporaries, lock};
use crate::{output, say};
use anyhow::{Context, Result, ensure};
use ndarray::{Array3, ArrayView1};
use serde::{Deserialize, Serialize};
use skyscat::autodiff::TermHistory;
use skyscat::emulator::{BatchId, Course, SavedDescent, Saving, Schedule, Vectors};
use skyscat::io::{
    CheckpointFile, FileRecord, Manifest, Overwrite, read_checkpoint, read_checkpoint_part,
    write_checkpoint, write_checkpoint_arrays,
};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// The file that says which run a folder belongs to.
pub(crate) const JOB: &str = "job.ckpt";
/// The stage that the manifest of a folder of batches names.
const STAGE: &str = "emulate batches";

/// The folder of batches of one run: unfinished work, or a shard.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    folder: PathBuf,
    identity: Arc<Identity>,
    /// The manifest: each finished batch by the name of its file.
    records: Arc<Mutex<Records>>,
    /// Held as long as this process works here; released when it dies.
    _lock: Option<Arc<File>>,
}

/// What the manifest lists, and how many batches the one on disk does.
#[derive(Debug, Default)]
struct Records {
    listed: BTreeMap<String, FileRecord>,
    on_disk: usize,
}

/// The manifest is written when this part of its batches is new, so that what is
/// written in all grows as the number of batches and not as its square. A batch not
/// yet listed is good by its own checksum.
const NEW: usize = 64;

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
    fn new(folder: &Path, identity: Identity, lock: Option<File>) -> Self {
        let (folder, identity) = (folder.to_owned(), Arc::new(identity));
        Self { folder, identity, records: Arc::default(), _lock: lock.map(Arc::new) }
    }

    /// The folder of a new run; one that was killed before it could save is replaced.
    pub(crate) fn begin(place: &Place, identity: Identity, overwrite: bool) -> Result<Self> {
        let folder = &place.partial;
        if folder.exists() {
            ensure!(
                place.is_blank() || (overwrite && folder.join(JOB).is_file()),
                "{}: the folder is no unfinished run: move it away",
                folder.display()
            );
        }
        let lock = lock(folder)?;
        place.clear_partial(JOB)?;
        let work = Self::new(folder, identity, Some(lock));
        write_checkpoint(&folder.join(JOB), &serde_json::to_value(&*work.identity)?, &[])?;
        work.write_manifest()?;
        Ok(work)
    }

    /// The folder of the run that is there.
    pub(crate) fn resume(place: &Place, identity: Identity) -> Result<Self> {
        let folder = &place.partial;
        let found = read_identity(folder).context("cannot resume")?;
        let shown = || format!("{}: cannot resume", folder.display());
        found.stamp.check_same(&identity.stamp).with_context(shown)?;
        ensure!(found.shard == identity.shard, "{}: it is another shard", shown());
        let work = Self::new(folder, identity, Some(lock(folder)?));
        work.read_manifest().with_context(shown)?;
        forget_temporaries(folder);
        Ok(work)
    }

    /// The folder of a run that another process works in, to read.
    pub(crate) fn beside(place: &Place, identity: Identity) -> Self {
        Self::new(&place.partial, identity, None)
    }

    /// A folder of finished batches, to read.
    pub(crate) fn finished_shard(folder: &Path) -> Result<Self> {
        let work = Self::new(folder, read_identity(folder)?, None);
        work.read_manifest()?;
        Ok(work)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(crate) fn stamp(&self) -> &Stamp {
        &self.identity.stamp
    }

    fn manifest(&self) -> PathBuf {
        self.folder.join(MANIFEST)
    }

    /// Lists each finished batch with its checksum; paths are names in the folder, which
    /// may be moved.
    pub(crate) fn write_manifest(&self) -> Result<()> {
        let mut records = self.records.lock().expect("no holder panics");
        records.on_disk = records.listed.len();
        let manifest = Manifest {
            stage: STAGE.to_owned(),
            command: std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect(),
            version: output::VERSION.to_owned(),
            seed: Some(self.stamp().seed),
            config_sha256: Some(self.stamp().config_sha256()?),
            inputs: self.identity.facts.files.clone(),
            outputs: records.listed.values().cloned().collect(),
        };
        Ok(manifest.write(&self.manifest(), Overwrite::Allow)?)
    }

    /// The manifest of a run that was killed before it wrote the first is empty.
    fn read_manifest(&self) -> Result<()> {
        let path = self.manifest();
        if !path.exists() {
            return Ok(());
        }
        let manifest = Manifest::read(&path)?;
        ensure!(manifest.stage == STAGE, "{}: no manifest of batches", path.display());
        let named = |record: FileRecord| (record.path.to_string_lossy().into_owned(), record);
        let mut records = self.records.lock().expect("no holder panics");
        records.listed = manifest.outputs.into_iter().map(named).collect();
        records.on_disk = records.listed.len();
        Ok(())
    }

    /// The record of a batch.
    fn record(&self, id: BatchId) -> Option<FileRecord> {
        self.records.lock().expect("no holder panics").listed.get(&name(id)).cloned()
    }

    /// Whether no batch was finished or saved in the folder.
    pub(crate) fn is_blank(&self) -> bool {
        let blank = [JOB, MANIFEST, LOCK];
        let entries = std::fs::read_dir(&self.folder);
        entries.is_ok_and(|mut list| {
            list.all(|e| e.is_ok_and(|e| blank.iter().any(|name| e.file_name() == *name)))
        })
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
            config_sha256: self.stamp().config_sha256()?,
            input_sha256: self.stamp().input_sha256.clone(),
            seed: self.stamp().seed,
            version: self.stamp().version.clone(),
            shape: Vec::new(),
            stop: String::new(),
            evaluations: 0,
            terms: Vec::new(),
            matches: Vec::new(),
            pairs: 0,
        })
    }

    /// Opens a file of this run; one of another is refused.
    fn read(&self, id: BatchId, kind: &str) -> Result<Option<(Head, CheckpointFile)>> {
        let path = self.path(id, kind);
        if !path.exists() {
            return Ok(None);
        }
        let advice = "delete this file to compute the batch again";
        let file =
            CheckpointFile::open(&path).with_context(|| format!("cannot resume: {advice}"))?;
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

    /// A finished batch, if it is there. One that was killed before it was listed is
    /// good by its own checksum and is listed now.
    pub(crate) fn finished(&self, id: BatchId) -> Result<Option<Finished>> {
        let Some((head, file)) = self.read(id, "batch")? else { return Ok(None) };
        let path = self.path(id, "batch");
        let shown = path.display().to_string();
        match self.record(id) {
            Some(record) => FileRecord { path: path.clone(), ..record }.check()?,
            None => self.list(id)?,
        }
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

    /// Lets others in.
    pub(crate) fn unlock(&self) -> Result<()> {
        let lock = self.folder.join(LOCK);
        std::fs::remove_file(&lock).with_context(|| format!("{}", lock.display()))
    }

    /// Checks that exactly the batches of this shard are listed, and each as listed.
    pub(crate) fn check_batches(&self, schedule: &Schedule) -> Result<()> {
        let shown = self.folder.display();
        let mut records = self.records.lock().expect("no holder panics").listed.clone();
        for id in self.identity.batches(schedule) {
            let record = records.remove(&name(id));
            let record = record.with_context(|| format!("{shown}: batch {id} is missing"))?;
            FileRecord { path: self.path(id, "batch"), ..record }.check()?;
        }
        let foreign: Vec<String> = records.into_keys().collect();
        ensure!(foreign.is_empty(), "{shown}: not of this shard: {}", foreign.join(", "));
        Ok(())
    }

    /// One map of a batch that [`Work::finished`] has passed, axes (1, channel, pixel).
    pub(crate) fn map(&self, id: BatchId, member: usize) -> Result<Array3<f64>> {
        let facts = &self.identity.facts;
        let (channels, pixels) = (facts.channels.len(), 12 * facts.nside * facts.nside);
        let (path, length) = (self.path(id, "batch"), channels * pixels);
        let values = read_checkpoint_part(&path, "maps", member * length..(member + 1) * length)?;
        Ok(Array3::from_shape_vec((1, channels, pixels), values)?)
    }

    /// Enters a batch into the manifest.
    fn list(&self, id: BatchId) -> Result<()> {
        let record = FileRecord::of(&self.path(id, "batch"))?;
        let record = FileRecord { path: PathBuf::from(name(id)), ..record };
        let mut records = self.records.lock().expect("no holder panics");
        records.listed.insert(name(id), record);
        let new = records.listed.len() - records.on_disk.min(records.listed.len());
        let due = new * NEW >= records.listed.len();
        drop(records);
        if due { self.write_manifest() } else { Ok(()) }
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
        self.list(done.id)?;
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
        let course = Course {
            curvatures: take("curvatures")?,
            history: take("history")?,
            terms: histories(&head.terms, &take("terms")?),
            evaluations: head.evaluations,
        };
        let seconds = take("seconds")?.first().copied().unwrap_or(0.0);
        let vectors = Arc::new(Stored::new(file, head.pairs, shown)?);
        Ok(Some(Saved { descent: SavedDescent { course, vectors }, seconds }))
    }

    /// Saves the descent of a running batch, one vector in memory at a time.
    pub(crate) fn save(&self, id: BatchId, saving: &mut Saving<'_>, seconds: f64) -> Result<()> {
        let course = saving.course.clone();
        let pairs = course.curvatures.len();
        let head = Head {
            evaluations: course.evaluations,
            terms: course.terms.iter().map(|t| t.name.clone()).collect(),
            pairs,
            ..self.head(id, "descent")?
        };
        let small = [
            ("curvatures", course.curvatures),
            ("history", course.history),
            ("terms", flat(&course.terms)),
            ("seconds", vec![seconds]),
        ];
        let facts = &self.identity.facts;
        let batch = self.identity.settings.emulate.batch.expect("has a default");
        let length = facts.channels.len() * 12 * facts.nside * facts.nside * batch;
        let lengths = small.iter().map(|(name, array)| ((*name).to_owned(), array.len() as u64));
        let large = vector_names(pairs).into_iter().map(|name| (name, length as u64));
        let lengths: Vec<(String, u64)> = lengths.chain(large).collect();
        let mut small = small.into_iter().map(|(_, array)| array);
        let next = || match small.next() {
            Some(array) => Ok(array),
            None => saving.next_vector().expect("as many as named").map_err(std::io::Error::other),
        };
        let header = serde_json::to_value(head)?;
        Ok(write_checkpoint_arrays(&self.path(id, "descent"), &header, &lengths, next)?)
    }
}

/// The arrays of the vectors of a saved descent, in its order.
fn vector_names(pairs: usize) -> Vec<String> {
    let own = ["x".to_owned(), "gradient".to_owned()];
    own.into_iter().chain((0..pairs).flat_map(|i| [format!("s{i}"), format!("y{i}")])).collect()
}

/// The vectors of a descent in its file.
#[derive(Debug)]
struct Stored {
    file: CheckpointFile,
    names: Vec<String>,
    length: usize,
    shown: String,
}

impl Stored {
    fn new(file: CheckpointFile, pairs: usize, shown: String) -> Result<Self> {
        let names = vector_names(pairs);
        let lengths: BTreeMap<&str, u64> = file.arrays().collect();
        let length = lengths.get("x").copied().unwrap_or(0);
        for name in &names {
            let found = lengths.get(name.as_str());
            let found = found.with_context(|| format!("{shown}: array {name} is missing"))?;
            ensure!(
                *found == length,
                "{shown}: array {name} has {found} numbers, allowed is {length} as in x"
            );
        }
        Ok(Self { file, names, length: length as usize, shown })
    }
}

impl Vectors for Stored {
    fn count(&self) -> usize {
        self.names.len()
    }

    fn length(&self) -> usize {
        self.length
    }

    fn vector(&self, at: usize) -> Result<Cow<'_, [f64]>, String> {
        let array = array(&self.file, &self.names[at], &self.shown);
        array.map(Cow::Owned).map_err(|error| format!("{error:#}"))
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

fn array(file: &CheckpointFile, name: &str, shown: &str) -> Result<Vec<f64>> {
    file.array(name)?.with_context(|| format!("{shown}: array {name} is missing"))
}

/// The file of a finished batch.
pub(crate) fn name(id: BatchId) -> String {
    format!("{id}.batch")
}

fn read_identity(folder: &Path) -> Result<Identity> {
    let job = folder.join(JOB);
    let found = read_checkpoint(&job)?;
    serde_json::from_value(found.header)
        .with_context(|| format!("{}: not a run of skyscat", job.display()))
}

/// Says that a save failed; the run goes on, the last save stays.
pub(crate) fn warn(error: &anyhow::Error) {
    say::note(&format!("warning: the running batch could not be saved: {error:#}"));
}
