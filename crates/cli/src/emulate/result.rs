//! The outputs of a finished emulation: maps, history, report, manifest.

use super::Job;
use super::work::Finished;
use crate::choices::PrecisionWord;
use crate::output;
use anyhow::{Context, Result};
use ndarray::{Array3, Axis};
use skyscat::emulator::{BatchId, assemble};
use skyscat::healpix::{MapSet, Ordering};
use skyscat::io::{
    CsvValue, FitsOptions, HeaderCard, Manifest, Overwrite, Precision, write_atomic, write_csv,
    write_fits, write_npy,
};
use std::collections::BTreeMap;
use std::path::PathBuf;

type Batches = BTreeMap<BatchId, Finished>;

/// Writes everything; returns a line that says what.
pub(super) fn write(job: &Job, batches: &Batches, replace: Overwrite) -> Result<String> {
    let place = &job.place;
    if !place.is_cube {
        let staging = place.staging();
        if staging.exists() {
            std::fs::remove_dir_all(&staging)
                .with_context(|| format!("{}: cannot be removed", staging.display()))?;
        }
        std::fs::create_dir(&staging)
            .with_context(|| format!("{}: cannot be made", staging.display()))?;
    }
    let mut written = match place.is_cube {
        true => write_cube(job, batches, replace)?,
        false => write_folder(job, batches)?,
    };
    write_history(job, batches, replace)?;
    let report = report(job, batches)?;
    write_atomic(&place.report(), replace, |out| out.write_all(report.as_bytes()))?;
    output::write_settings(&place.settings(), "emulate", &job.settings, replace)?;
    written.extend([place.history(), place.report(), place.settings()]);
    let manifest = Manifest {
        stage: "emulate".to_owned(),
        command: std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect(),
        version: output::VERSION.to_owned(),
        seed: Some(job.work.stamp().seed),
        config_sha256: Some(job.work.stamp().config_sha256()?),
        inputs: place.records(&job.inputs.files)?,
        outputs: place.records(&written)?,
    };
    manifest.write(&place.manifest(), replace)?;
    place.publish()?;
    let count = job.schedule.draws().len();
    let kind = if place.is_cube { "one cube" } else { "one FITS file each" };
    Ok(format!("{}: {count} maps, {kind}", place.output.display()))
}

fn precision(job: &Job) -> Precision {
    match job.settings.emulate.precision.expect("has a default") {
        PrecisionWord::F64 => Precision::F64,
        PrecisionWord::F32 => Precision::F32,
    }
}

/// Emulated maps as a set like the input.
fn like_input(job: &Job, nest: Array3<f64>) -> Result<MapSet> {
    let input = &job.inputs.maps;
    let own = |text: Option<&str>| text.map(str::to_owned);
    Ok(MapSet::new(Ordering::Nest, input.channels(), nest)?
        .with_unit(own(input.unit()))
        .with_coordsys(own(input.coordsys()))
        .with_polcconv(own(input.polcconv()))
        .reordered(input.ordering()))
}

fn write_cube(job: &Job, batches: &Batches, replace: Overwrite) -> Result<Vec<PathBuf>> {
    let maps = batches.iter().map(|(&id, done)| (id, done.maps.clone())).collect();
    let maps = like_input(job, assemble(&job.schedule, &maps))?;
    let path = job.place.output.clone();
    write_npy(&path, &maps.data().into_dyn(), precision(job), replace)?;
    Ok(vec![path])
}

fn write_folder(job: &Job, batches: &Batches) -> Result<Vec<PathBuf>> {
    let stamp = job.work.stamp();
    let config = stamp.config_sha256()?;
    let mut written = Vec::new();
    for (number, draw) in job.schedule.draws().iter().enumerate() {
        let maps = &batches[&draw.batch].maps;
        let map = maps.select(Axis(0), &[draw.member]);
        let target = draw.batch.target.map_or(-1, |t| t as i64);
        let options = FitsOptions {
            precision: precision(job),
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
        let path = job.place.staging().join(format!("map_{number:05}.fits"));
        write_fits(&path, &like_input(job, map)?, &options)?;
        written.push(path);
    }
    Ok(written)
}

/// The loss and its terms by name after every iteration of each batch.
fn write_history(job: &Job, batches: &Batches, replace: Overwrite) -> Result<()> {
    let names: Vec<&str> = match batches.values().next() {
        Some(done) => done.terms.iter().map(|t| t.name.as_str()).collect(),
        None => Vec::new(),
    };
    let mut columns = vec!["batch", "iteration", "loss"];
    columns.extend(&names);
    let rows = batches.values().flat_map(|done| {
        let names = &names;
        done.history.iter().enumerate().map(move |(i, &loss)| -> Vec<CsvValue> {
            let term = |name: &&str| {
                let found = done.terms.iter().find(|t| t.name == **name);
                let value = found.and_then(|t| t.values.get(i).copied());
                CsvValue::from(value.unwrap_or(f64::NAN))
            };
            let mut row: Vec<CsvValue> = vec![done.id.to_string().into(), i.into(), loss.into()];
            row.extend(names.iter().map(term));
            row
        })
    });
    Ok(write_csv(&job.place.history(), &columns, rows, replace)?)
}

fn report(job: &Job, batches: &Batches) -> Result<String> {
    let stamp = job.work.stamp();
    let map = |list: &[(String, f64)]| -> serde_json::Value {
        list.iter().map(|(name, value)| (name.clone(), serde_json::json!(value))).collect()
    };
    let entries: Vec<serde_json::Value> = batches
        .values()
        .map(|done| {
            serde_json::json!({
                "batch": done.id.to_string(),
                "target": done.id.target,
                "number": done.id.number,
                "iterations": done.history.len() - 1,
                "evaluations": done.evaluations,
                "seconds": done.seconds,
                "stop": done.stop,
                "loss_start": done.history.first(),
                "loss_end": done.history.last(),
                "terms": map(&done.last_terms()),
                "blocks": map(&done.matches),
            })
        })
        .collect();
    let worst = batches.values().flat_map(|done| done.matches.iter().map(|(_, v)| *v));
    let report = serde_json::json!({
        "program": format!("skyscat {}", output::VERSION),
        "device": job.device.name,
        "seed": stamp.seed,
        "config_sha256": stamp.config_sha256()?,
        "input_sha256": stamp.input_sha256,
        "inputs": job.emulator.inputs(),
        "nside": job.emulator.nside().get(),
        "channels": job.emulator.channels(),
        "maps": job.schedule.draws().len(),
        "smoothing_fwhm_deg": job.emulator.standardiser().fwhm_deg,
        "left_out": job.emulator.left_out()?,
        "blocks_are": "rms(Ave coefficients - target) / rms(target), by block",
        "worst_block": worst.fold(0.0, f64::max),
        "batches": entries,
    });
    Ok(serde_json::to_string_pretty(&report)? + "\n")
}
