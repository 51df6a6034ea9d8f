//! The outputs of finished batches: maps, history, report, manifest.

use super::identity::Identity;
use super::work::{Finished, Work};
use crate::output;
use crate::place::{Kind, Place};
use anyhow::{Context, Result, ensure};
use skyscat::emulator::{BatchId, Schedule};
use skyscat::io::{
    CsvValue, FitsOptions, HeaderCard, Manifest, Overwrite, write_atomic, write_csv, write_fits,
    write_npy_parts,
};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Finished batches on disk and the folders that hold them. No more than one batch is
/// ever read at a time: a job may be larger than the memory.
pub(crate) struct Batches<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) schedule: &'a Schedule,
    pub(crate) folders: BTreeMap<BatchId, &'a Work>,
}

impl<'a> Batches<'a> {
    /// The batches of one folder.
    pub(crate) fn of(work: &'a Work, schedule: &'a Schedule) -> Self {
        let identity = work.identity();
        let folders = identity.batches(schedule).into_iter().map(|id| (id, work)).collect();
        Self { identity, schedule, folders }
    }

    fn read(&self, id: BatchId) -> Result<Finished> {
        self.folders[&id].finished(id)?.with_context(|| format!("batch {id} is missing"))
    }
}

/// Writes everything; returns a line that says what.
pub(crate) fn write(place: &Place, batches: &Batches<'_>, overwrite: bool) -> Result<String> {
    place.begin()?;
    let mut written = write_tables(place, batches)?;
    match place.is_cube() {
        true => written.push(write_cube(place, batches)?),
        false => written.extend(write_folder(place, batches)?),
    }
    let manifest = Manifest { outputs: place.records(&written)?, ..manifest(batches.identity)? };
    manifest.write(&place.manifest(), Overwrite::Refuse)?;
    place.check_free(overwrite)?;
    place.publish()?;
    let count = batches.schedule.draws().len();
    let kind = if place.is_cube() { "one cube" } else { "one FITS file each" };
    Ok(format!("{}: {count} maps, {kind}", place.output.display()))
}

/// The manifest of a run, which lists nothing yet.
fn manifest(identity: &Identity) -> Result<Manifest> {
    Ok(Manifest {
        stage: "emulate".to_owned(),
        command: std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect(),
        version: output::VERSION.to_owned(),
        seed: Some(identity.stamp.seed),
        config_sha256: Some(identity.stamp.config_sha256()?),
        inputs: identity.facts.files.clone(),
        outputs: Vec::new(),
    })
}

/// Whether the outputs of these very batches are staged, all or those not yet in place.
pub(crate) fn is_staged(place: &Place, batches: &Batches<'_>) -> Result<bool> {
    if !place.is_staged() {
        return Ok(false);
    }
    let Ok(found) = Manifest::read(&place.manifest()) else { return Ok(false) };
    let (outputs, command) = (found.outputs.clone(), found.command.clone());
    Ok(found == Manifest { outputs, command, ..manifest(batches.identity)? })
}

/// Puts the finished batches of a shard in place, with their history and report.
pub(crate) fn write_shard(place: &Place, work: &Work, schedule: &Schedule) -> Result<String> {
    let batches = Batches::of(work, schedule);
    write_tables(place, &batches)?;
    work.unlock()?;
    place.publish()?;
    Ok(format!("{}: {} batches", place.output.display(), batches.folders.len()))
}

/// Whether the output in place is that of this very run, whole and unchanged.
pub(crate) fn is_finished(place: &Place, identity: &Identity) -> bool {
    let check = || -> Result<()> {
        if place.kind == Kind::Shard {
            let work = Work::finished_shard(&place.output)?;
            work.identity().stamp.check_same(&identity.stamp)?;
            return work.check_batches(&identity.schedule()?);
        }
        let report = std::fs::read(place.final_path(&place.report()))?;
        let report: serde_json::Value = serde_json::from_slice(&report)?;
        for (key, value) in stamped(identity)? {
            ensure!(report[key] == value, "{key} differs");
        }
        let manifest = Manifest::read(&place.final_path(&place.manifest()))?;
        Ok(manifest.outputs.iter().try_for_each(skyscat::io::FileRecord::check)?)
    };
    check().is_ok()
}

/// By what a report is known to be of a run.
fn stamped(identity: &Identity) -> Result<[(&'static str, serde_json::Value); 4]> {
    let stamp = &identity.stamp;
    Ok([
        ("program", format!("skyscat {}", stamp.version).into()),
        ("seed", stamp.seed.into()),
        ("config_sha256", stamp.config_sha256()?.into()),
        ("input_sha256", stamp.input_sha256.clone().into()),
    ])
}

fn write_cube(place: &Place, batches: &Batches<'_>) -> Result<PathBuf> {
    let facts = &batches.identity.facts;
    let draws = batches.schedule.draws();
    let mut failed = None;
    let parts = draws.iter().map_while(|draw| {
        let map = batches.folders[&draw.batch].map(draw.batch, draw.member);
        match map.and_then(|map| facts.like_input(map)) {
            Ok(map) => Some(map.data().iter().copied().collect::<Vec<f64>>()),
            Err(error) => {
                failed = Some(error);
                None
            }
        }
    });
    let shape = [draws.len(), facts.channels.len(), 12 * facts.nside * facts.nside];
    let (path, precision) = (place.cube(), batches.identity.precision());
    let written = write_npy_parts(&path, &shape, precision, Overwrite::Refuse, parts);
    match failed {
        Some(error) => Err(error),
        None => Ok(written.map(|()| path)?),
    }
}

fn write_folder(place: &Place, batches: &Batches<'_>) -> Result<Vec<PathBuf>> {
    let Identity { stamp, facts, .. } = batches.identity;
    let config = stamp.config_sha256()?;
    let mut written = Vec::new();
    for (number, draw) in batches.schedule.draws().iter().enumerate() {
        let map = batches.folders[&draw.batch].map(draw.batch, draw.member)?;
        let target = draw.batch.target.map_or(-1, |t| t as i64);
        let options = FitsOptions {
            precision: batches.identity.precision(),
            overwrite: Overwrite::Refuse,
            cards: vec![
                HeaderCard::text("CREATOR", "skyscat", ""),
                HeaderCard::text("VERSION", output::VERSION, "of skyscat"),
                HeaderCard::integer("SEED", stamp.seed as i64, "of the emulation"),
                HeaderCard::text("CFGHASH", &config[..16], "SHA-256 of settings"),
                HeaderCard::integer("TARGET", target, "input aimed at, -1: average"),
                HeaderCard::integer("BATCH", draw.batch.number as i64, "number of the batch"),
                HeaderCard::integer("MEMBER", draw.member as i64, "number in the batch"),
            ],
        };
        let path = place.staging().join(format!("map_{number:05}.fits"));
        write_fits(&path, &facts.like_input(map)?, &options)?;
        written.push(path);
    }
    Ok(written)
}

/// History, report and settings, from one pass over the batches, which checks each.
fn write_tables(place: &Place, batches: &Batches<'_>) -> Result<Vec<PathBuf>> {
    // Those of an earlier try that was killed are replaced.
    let replace = Overwrite::Allow;
    let mut entries = Vec::new();
    let mut failed = None;
    let mut names: Option<Vec<String>> = None;
    let first = batches.folders.keys().next();
    if let Some(&first) = first {
        names = Some(batches.read(first)?.terms.into_iter().map(|t| t.name).collect());
    }
    let names = names.unwrap_or_default();
    let rows = batches.folders.keys().map_while(|&id| match batches.read(id) {
        Ok(done) => {
            entries.push(entry(&done));
            Some(history(&done, &names))
        }
        Err(error) => {
            failed = Some(error);
            None
        }
    });
    let mut columns = vec!["batch", "iteration", "loss"];
    columns.extend(names.iter().map(String::as_str));
    write_csv(&place.history(), &columns, rows.flatten(), replace)?;
    if let Some(error) = failed {
        return Err(error);
    }
    let report = report(batches, entries)?;
    write_atomic(&place.report(), replace, |out| out.write_all(report.as_bytes()))?;
    let settings = place.write_settings("emulate", &batches.identity.settings, replace)?;
    Ok(vec![place.history(), place.report(), settings])
}

/// The loss and its terms by name after every iteration of a batch.
fn history(done: &Finished, names: &[String]) -> Vec<Vec<CsvValue>> {
    let row = |(i, &loss): (usize, &f64)| {
        let term = |name: &String| {
            let found = done.terms.iter().find(|t| t.name == *name);
            let value = found.and_then(|t| t.values.get(i).copied());
            CsvValue::from(value.unwrap_or(f64::NAN))
        };
        let mut row: Vec<CsvValue> = vec![done.id.to_string().into(), i.into(), loss.into()];
        row.extend(names.iter().map(term));
        row
    };
    done.history.iter().enumerate().map(row).collect()
}

/// What the report says about a batch.
fn entry(done: &Finished) -> serde_json::Value {
    let map = |list: &[(String, f64)]| -> serde_json::Value {
        list.iter().map(|(name, value)| (name.clone(), serde_json::json!(value))).collect()
    };
    serde_json::json!({
        "batch": done.id.to_string(),
        "target": done.id.target,
        "number": done.id.number,
        "iterations": done.history.len().saturating_sub(1),
        "evaluations": done.evaluations,
        "seconds": done.seconds,
        "stop": done.stop,
        "loss_start": done.history.first(),
        "loss_end": done.history.last(),
        "terms": map(&done.last_terms()),
        "blocks": map(&done.matches),
    })
}

fn report(batches: &Batches<'_>, entries: Vec<serde_json::Value>) -> Result<String> {
    let facts = &batches.identity.facts;
    let blocks = entries.iter().filter_map(|entry| entry["blocks"].as_object());
    let worst = blocks.flat_map(|blocks| blocks.values().filter_map(serde_json::Value::as_f64));
    let mut report = serde_json::json!({
        "device": facts.device,
        "inputs": facts.inputs,
        "nside": facts.nside,
        "channels": facts.channels,
        "maps": batches.schedule.draws().len(),
        "smoothing_fwhm_deg": facts.smoothing_fwhm_deg,
        "left_out": facts.left_out,
        "blocks_are": "rms(Ave coefficients - target) / rms(target), by block",
        "worst_block": worst.fold(0.0, f64::max),
        "batches": entries,
    });
    for (key, value) in stamped(batches.identity)? {
        report[key] = value;
    }
    Ok(serde_json::to_string_pretty(&report)? + "\n")
}
