//! Maps on disk: one cube or a folder, drawn or followed sample by sample.

use super::{Job, resolve};
use crate::choices::PrecisionWord;
use crate::place::{Place, resume_command};
use crate::settings::{Settings, SimulateSection};
use crate::{output, say};
use anyhow::{Context, Result, ensure};
use ndarray::{Array1, Array3, Ix3};
use skyscat::healpix::{MapSet, Ordering};
use skyscat::io::{
    FileRecord, FitsOptions, HeaderCard, Manifest, NpzArray, Overwrite, Precision, read_checkpoint,
    read_npy, write_atomic, write_checkpoint, write_fits, write_npy, write_npy_parts, write_npz,
};
use skyscat::num::Seed;
use skyscat::sim::{Coverage, Realisation, Templates};
use std::path::{Path, PathBuf};

/// Maps drawn and written at a time.
const AT_ONCE: usize = 64;
/// Name of the file by which unfinished work is known.
const JOB: &str = "job";
/// The stage that manifests name.
const STAGE: &str = "simulate";

pub(super) fn precision(section: &SimulateSection) -> Precision {
    match section.precision.expect("has a default") {
        PrecisionWord::F64 => Precision::F64,
        PrecisionWord::F32 => Precision::F32,
    }
}

/// Hits and condition numbers.
pub(super) fn coverage(path: &Path, coverage: &Coverage, overwrite: bool) -> Result<()> {
    let hits: Array1<i64> = coverage.hits().into_iter().map(i64::from).collect();
    let condition = Array1::from(coverage.condition());
    let arrays = [
        ("hits", NpzArray::Whole(hits.view().into_dyn())),
        ("condition", NpzArray::Real(condition.view().into_dyn())),
    ];
    Ok(write_npz(path, &arrays, Precision::F64, output::replace(overwrite))?)
}

/// Maps of gains drawn for the templates.
pub(super) fn drawn(job: &Job, templates: &Templates) -> Result<()> {
    let (place, count, seed) = job.maps.as_ref().expect("maps are asked for");
    let sigma = resolve::sigma(job.config())?;
    let npix = templates.nside().npix();
    let unseen = (0..npix).filter(|&p| !templates.solved(p)).count();
    let members: Vec<u64> = members(job, *count).collect();
    let sets = members.chunks(AT_ONCE).map(|numbers| {
        let realisations: Vec<Realisation<'_>> =
            numbers.iter().map(|&number| realisation(job, *seed, number)).collect();
        templates.draw(sigma, &realisations, job.channels, &job.par)
    });
    place.begin()?;
    let mut written = Vec::new();
    if place.is_cube() {
        let mut failed = None;
        let parts = sets.map_while(|set| match set {
            Ok(set) => Some(set.data().iter().copied().collect()),
            Err(error) => {
                failed = Some(error);
                None
            }
        });
        let shape = [*count, job.channels.count(), npix];
        let precision = precision(job.section());
        let result = write_npy_parts(&place.cube(), &shape, precision, Overwrite::Refuse, parts);
        if let Some(error) = failed {
            return Err(error.into());
        }
        result?;
        written.push(place.cube());
    } else {
        for (set, numbers) in sets.zip(members.chunks(AT_ONCE)) {
            let set = set?;
            for (index, &number) in numbers.iter().enumerate() {
                written.push(write_map(job, place, &set.select_maps(&[index])?, number)?);
            }
        }
    }
    finish(job, place, *seed, written, unseen, npix)
}

/// Maps from every sample, each saved as soon as it is there.
pub(super) fn followed(job: &Job) -> Result<()> {
    let (place, count, seed) = job.maps.as_ref().expect("maps are asked for");
    if begin_work(job, place, *seed)? {
        return Ok(());
    }
    if !job.quiet && *count > 1 {
        say::note(&format!("each finished map is kept; go on with:\n  {}", resume_command()));
    }
    let mut maps = Vec::new();
    for (index, number) in members(job, *count).enumerate() {
        let path = place.partial.join(format!("map_{number:05}.npy"));
        if !path.exists() {
            let name = format!("map {}/{count}", index + 1);
            let realisation = realisation(job, *seed, number);
            let map = job.scan(&name, |run| job.simulation.map(realisation, run))?;
            let data = map.maps.data();
            write_npy(&path, &data.into_dyn(), Precision::F64, Overwrite::Allow)?;
            if index == 0 {
                report_masked(job, &map.coverage);
            }
        }
        maps.push(path);
    }
    let read = |path: &PathBuf| -> Result<MapSet> {
        let data: Array3<f64> = read_npy(path)?
            .into_dimensionality::<Ix3>()
            .with_context(|| format!("{}: not a map", path.display()))?;
        let settings = &job.config().maps;
        let set = MapSet::new(Ordering::Ring, &["T", "Q", "U"], data)?
            .with_unit(Some("K_CMB".to_owned()))
            .with_coordsys(Some(settings.frame.frame().to_string()))
            .with_polcconv(settings.convention.polcconv().map(str::to_owned));
        Ok(set.select(job.channels.names())?)
    };
    let first = read(&maps[0])?;
    let npix = first.nside().npix();
    let unseen = first.data().iter().take(npix).filter(|v| !skyscat::healpix::is_seen(**v)).count();
    place.begin()?;
    let mut written = Vec::new();
    if place.is_cube() {
        let sets = maps.iter().map(read).collect::<Result<Vec<_>>>()?;
        let parts = sets.iter().map(|set| set.data().iter().copied().collect());
        let shape = [*count, job.channels.count(), npix];
        let precision = precision(job.section());
        write_npy_parts(&place.cube(), &shape, precision, Overwrite::Refuse, parts)?;
        written.push(place.cube());
    } else {
        for (path, number) in maps.iter().zip(members(job, *count)) {
            written.push(write_map(job, place, &read(path)?, number)?);
        }
    }
    finish(job, place, *seed, written, unseen, npix)
}

/// Numbers of the maps in their set.
fn members(job: &Job, count: usize) -> impl Iterator<Item = u64> {
    let first = job.section().first.expect("has a default");
    (first..).take(count)
}

fn realisation(job: &Job, seed: Seed, number: u64) -> Realisation<'_> {
    Realisation { seed, set: job.section().set.as_deref().expect("has a default"), number }
}

fn report_masked(job: &Job, coverage: &Coverage) {
    let masked = coverage.masked();
    let lost = masked.never_hit + masked.ill_conditioned;
    if lost > 0 {
        job.note(format!(
            "note: {lost} of {} pixels at Nside {} have no solution ({} never hit, {} ill \
             conditioned); worst condition number {:.3e} in pixel {} (RING)",
            coverage.nside().npix(),
            coverage.nside(),
            masked.never_hit,
            masked.ill_conditioned,
            masked.worst.condition,
            masked.worst.pixel
        ));
    }
}

/// One map as FITS; its number is its place in the set.
fn write_map(job: &Job, place: &Place, map: &MapSet, number: u64) -> Result<PathBuf> {
    let (_, _, seed) = job.maps.as_ref().expect("maps are asked for");
    let config = output::settings_sha256(&job.settings)?;
    let set = job.section().set.as_deref().expect("has a default");
    let options = FitsOptions {
        precision: precision(job.section()),
        overwrite: Overwrite::Allow,
        cards: vec![
            HeaderCard::text("CREATOR", "skyscat", ""),
            HeaderCard::text("VERSION", output::VERSION, "of skyscat"),
            HeaderCard::integer("SEED", seed.0 as i64, "of the simulation"),
            HeaderCard::text("SIMSET", set, "name of the set"),
            HeaderCard::integer("MEMBER", number as i64, "number in the set"),
            HeaderCard::text("CFGHASH", &config[..16], "SHA-256 of settings"),
        ],
    };
    let path = place.staging().join(format!("map_{number:05}.fits"));
    write_fits(&path, map, &options)?;
    Ok(path)
}

/// Marks the folder of unfinished maps, or finds it as it was left. Whether nothing is
/// left to do: outputs half in place are put there, and the folder is gone.
fn begin_work(job: &Job, place: &Place, seed: Seed) -> Result<bool> {
    let section = SimulateSection { count: None, ..job.section().clone() };
    let stamp = serde_json::json!({
        "settings": toml::to_string(&section)?,
        "scan": job.config().to_toml()?,
        "sky_sha256": job.sky_sha256()?,
        "seed": seed.0,
        "version": output::VERSION,
    });
    let file = place.partial.join(JOB);
    let unfinished = !place.is_blank();
    if job.resume && unfinished {
        let found = read_checkpoint(&file).context("cannot resume")?.header;
        ensure!(
            found == stamp,
            "{}: cannot resume: the unfinished maps are of another scan, seed or version: allowed \
             is the same command, or --overwrite to begin anew",
            place.partial.display()
        );
        let staged = place.settings();
        if place.is_staged() && (is_of(job, &staged) || is_of(job, &place.final_path(&staged))) {
            place.publish()?;
        }
    }
    if job.resume && is_finished(job, place) {
        place.remove_partial(JOB)?;
        say::note(&format!("{}: finished, nothing is left to do", place.output.display()));
        return Ok(true);
    }
    place.check_free(job.overwrite)?;
    if job.resume && unfinished {
        return Ok(false);
    }
    if job.resume {
        say::note(&format!("{}: nothing to resume: it begins", place.partial.display()));
    }
    ensure!(
        file.is_file() || place.is_blank(),
        "{}: the folder is no unfinished run: move it away",
        place.partial.display()
    );
    place.clear_partial(JOB)?;
    write_checkpoint(&file, &stamp, &[])?;
    Ok(false)
}

/// Whether the settings in this file ask for the same maps.
fn is_of(job: &Job, settings: &Path) -> bool {
    Settings::read(settings).is_ok_and(|found| found.simulate == job.settings.simulate)
}

/// Whether the maps in place are those of this very job, whole and unchanged.
fn is_finished(job: &Job, place: &Place) -> bool {
    let check = || -> Result<()> {
        let manifest = Manifest::read(&place.final_path(&place.manifest()))?;
        manifest.outputs.iter().try_for_each(FileRecord::check)?;
        let scan = std::fs::read_to_string(place.final_path(&scan_path(place)))?;
        let sky = manifest.inputs.first().map_or("", |record| &record.sha256);
        ensure!(
            manifest.stage == STAGE
                && manifest.version == output::VERSION
                && is_of(job, &place.final_path(&place.settings()))
                && scan == job.config().to_toml()?
                && (job.section().sky.is_none() || sky == job.sky_sha256()?),
            "another job"
        );
        Ok(())
    };
    check().is_ok()
}

/// The scan beside the maps, where it is staged.
fn scan_path(place: &Place) -> PathBuf {
    place.companion("scan.toml", ".scan.toml")
}

/// Settings, scan and manifest beside the maps; a folder is put in place.
fn finish(
    job: &Job,
    place: &Place,
    seed: Seed,
    mut written: Vec<PathBuf>,
    unseen: usize,
    npix: usize,
) -> Result<()> {
    let replace = Overwrite::Refuse;
    let scan = scan_path(place);
    let text = job.config().to_toml()?;
    write_atomic(&scan, replace, |out| out.write_all(text.as_bytes()))?;
    written.extend([scan, place.write_settings("simulate", &job.settings, replace)?]);
    let inputs: Vec<PathBuf> =
        job.section().sky.iter().chain(&job.section().scan).cloned().collect();
    let manifest = Manifest {
        stage: STAGE.to_owned(),
        command: std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect(),
        version: output::VERSION.to_owned(),
        seed: Some(seed.0),
        config_sha256: Some(output::settings_sha256(&job.settings)?),
        inputs: place.records(&inputs)?,
        outputs: place.records(&written)?,
    };
    manifest.write(&place.manifest(), replace)?;
    place.publish()?;
    place.remove_partial(JOB)?;
    let holes = match unseen {
        0 => String::new(),
        n => format!("; {n} of {npix} pixels are UNSEEN"),
    };
    let count = job.maps.as_ref().map_or(0, |m| m.1);
    let kind = if place.is_cube() { "one cube" } else { "one FITS file each" };
    job.note(format!("{}: {count} maps, {kind}{holes}", place.output.display()));
    Ok(())
}
