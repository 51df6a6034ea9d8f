//! `skyscat validate`: scores, figures and verdicts of emulated maps.

mod coefficients;
mod figures;
mod markdown;
mod numbers;
mod page;

use crate::args::ValidateArgs;
use crate::input::Inputs;
use crate::place::{Kind, Place};
use crate::settings::{InputSection, Settings, ValidateSection};
use crate::{Ending, output, say, statistics};
use anyhow::{Context, Result, ensure};
use ndarray::{Array2, Ix2};
use skyscat::healpix::{MapSet, Ordering};
use skyscat::io::{FileRecord, Manifest, make_folder, read_npy, write_atomic};
use skyscat::num::{Par, Seed};
use skyscat::validation::{LabelledTable, Limits, Report, Sets, ValidationConfig, validate};
use skyscat_plot::{PALETTE, Rgb};
use std::path::{Path, PathBuf};

/// A set of maps under its name in figures.
struct Named {
    name: &'static str,
    colour: Rgb,
    maps: MapSet,
    /// Scattering coefficients of the first maps; empty for the inputs.
    coefficients: Option<LabelledTable>,
    files: Vec<PathBuf>,
}

/// Everything that was read and measured.
struct Judged {
    settings: Settings,
    config: ValidationConfig,
    /// Reference, inputs, emulated, and the Gaussian baseline if there is one.
    sets: Vec<Named>,
    exact: Option<Array2<f64>>,
    report: Report,
    /// The Gaussian baseline, judged alike.
    baseline: Option<Report>,
    par: Par,
    quiet: bool,
}

pub(crate) fn run(args: ValidateArgs) -> Result<Ending> {
    let (overwrite, quiet) = (args.replace.overwrite, args.common.quiet);
    let given = Settings {
        input: args.input,
        statistics: args.statistics,
        validate: args.validate,
        run: args.common.run.clone(),
        ..Settings::default()
    };
    let sections = ["input", "statistics", "validate", "run"];
    let settings = given.over(args.common.config.as_deref(), &sections)?;
    if args.print_limits {
        say::result(limits_text(&settings.validate)?.trim_end());
        return Ok(Ending::Done);
    }
    let place = check_folder(settings.validate.report.as_deref(), overwrite)?;
    place.alone(|| judged(settings, quiet)?.write(&place))
}

/// Reads and measures.
fn judged(mut settings: Settings, quiet: bool) -> Result<Judged> {
    let limits = limits(&settings.validate)?;
    let scattering = statistics::resolve(&mut settings.statistics)?;
    let par = Par::new(settings.run.threads.expect("has a default"))?;
    let section = &settings.validate;
    let required = |name: &str, files: &Option<Vec<String>>| -> Result<Vec<String>> {
        files.clone().with_context(|| {
            format!("no {name} maps: give --{name} FILE, or {name} = [\"...\"] in [validate]")
        })
    };
    let reference = required("reference", &section.reference)?;
    let emulated = required("emulated", &section.emulated)?;
    let common = (&settings.input, &section.unit);
    let mut sets = vec![
        read("reference", [60; 3], reference, common)?,
        read("input", PALETTE[4], settings.input.input.clone().unwrap_or_default(), common)?,
        read("emulated", PALETTE[0], emulated, common)?,
    ];
    if let Some(files) = section.gaussian.clone() {
        sets.push(read("Gaussian", PALETTE[1], files, common)?);
    }
    let exact = section.covariance.as_deref().map(covariance).transpose()?;
    let note = |line: &str| {
        if !quiet {
            say::note(line);
        }
    };
    let measured = section.measured.expect("has a default");
    if measured > 0 {
        note("scattering coefficients");
        for set in sets.iter_mut().filter(|set| set.name != "input") {
            set.coefficients = Some(coefficients::table(&set.maps, measured, &scattering, &par)?);
        }
    }
    let config = config(section, sets[0].maps.nside().get(), limits)?;
    note("scores of the emulated maps");
    let report = judge(&sets, 2, &exact, &config, &par)?;
    let baseline = match sets.len() > 3 {
        true => {
            note("scores of the Gaussian baseline");
            Some(judge(&sets, 3, &exact, &config, &par)?)
        }
        false => None,
    };
    note("figures");
    Ok(Judged { settings, config, sets, exact, report, baseline, par, quiet })
}

/// Judges one of the sets against the first.
fn judge(
    sets: &[Named],
    which: usize,
    exact: &Option<Array2<f64>>,
    config: &ValidationConfig,
    par: &Par,
) -> Result<Report> {
    let coefficients = sets[0].coefficients.as_ref().zip(sets[which].coefficients.as_ref());
    let sets = Sets {
        reference: &sets[0].maps,
        emulated: &sets[which].maps,
        inputs: &sets[1].maps,
        exact: exact.as_ref().map(|table| table.view()),
        coefficients,
    };
    Ok(validate(sets, config, par)?)
}

/// Q and U of a set, RING.
fn read(
    name: &'static str,
    colour: Rgb,
    files: Vec<String>,
    (common, unit): (&InputSection, &Option<String>),
) -> Result<Named> {
    let channels = common.channels.clone();
    let section = InputSection { input: Some(files), ordering: common.ordering, channels };
    let inputs = Inputs::read(&section, None).with_context(|| format!("the {name} maps"))?;
    let maps = inputs
        .maps
        .select(&["Q", "U"])
        .with_context(|| format!("the {name} maps, {}", inputs.names()))?
        .reordered(Ordering::Ring);
    let unit = maps.unit().map(str::to_owned).or_else(|| unit.clone());
    let maps = maps.with_unit(unit);
    Ok(Named { name, colour, maps, coefficients: None, files: inputs.files })
}

fn covariance(path: &Path) -> Result<Array2<f64>> {
    let array = read_npy(path)?;
    let shape = array.shape().to_vec();
    array.into_dimensionality::<Ix2>().with_context(|| {
        format!("{}: shape {shape:?}: allowed are square matrices", path.display())
    })
}

fn limits(section: &ValidateSection) -> Result<Limits> {
    let name = section.limits.as_deref().expect("has a default");
    Limits::from_toml(&limits_text(section)?).with_context(|| format!("limits {name}"))
}

/// The limits of a name or of a file, as TOML.
fn limits_text(section: &ValidateSection) -> Result<String> {
    match section.limits.as_deref().expect("has a default") {
        "inputs" => Ok(Limits::INPUTS.to_owned()),
        "sampling" => Ok(Limits::SAMPLING.to_owned()),
        path => std::fs::read_to_string(path).with_context(|| {
            format!("{path}: cannot read the limits: allowed are inputs, sampling and TOML files")
        }),
    }
}

/// The file of the limits, if they come from one.
fn limits_file(section: &ValidateSection) -> Option<PathBuf> {
    let path = PathBuf::from(section.limits.as_deref()?);
    path.is_file().then_some(path)
}

fn config(section: &ValidateSection, nside: usize, limits: Limits) -> Result<ValidationConfig> {
    let seed = Seed(section.seed.expect("has a default"));
    let mut config = ValidationConfig::campeti2025(nside, limits, seed);
    config.modes = section.modes.expect("has a default");
    config.batch = section.batch.expect("has a default");
    ensure!(config.modes > 0, "--modes 0 is not allowed: allowed are 1 or more");
    ensure!(config.batch > 0, "--batch 0 is not allowed: allowed are 1 or more");
    // Small maps have no pixels 760 to 840.
    let variables = 2 * 12 * nside * nside;
    if config.zoom.as_ref().is_some_and(|zoom| zoom.end > variables) {
        config.zoom = Some(0..variables.min(80));
    }
    Ok(config)
}

/// The place of a free name for the folder, or of one that holds an earlier report.
fn check_folder(path: Option<&Path>, overwrite: bool) -> Result<Place> {
    let path = path.context(
        "no report: give --report DIR, or report = \"...\" in [validate]: a folder that will be \
         made",
    )?;
    output::check_free(path, overwrite)?;
    let shown = path.display();
    ensure!(
        !path.exists() || path.join("report.json").is_file(),
        "{shown}: no report of skyscat is there: allowed is a folder that a validation wrote, or \
         a new one"
    );
    let output = output::trimmed(path);
    Ok(Place { partial: output::beside(&output, ".partial"), kind: Kind::Folder, output })
}

impl Judged {
    /// Writes everything into a new folder and puts it in place.
    fn write(&self, place: &Place) -> Result<Ending> {
        place.begin()?;
        let staging = place.staging();
        let pictures = staging.join("figures");
        make_folder(&pictures)?;
        let figures = figures::all(self)?;
        let mut written = Vec::new();
        for figure in &figures {
            for extension in ["png", "svg"] {
                let path = pictures.join(format!("{}.{extension}", figure.name));
                crate::plot::write_scene(&path, &figure.scene, 2.0, false)?;
                written.push(path);
            }
        }
        written.extend(numbers::write(self, &staging)?);
        let page = page::html(self, &figures)?;
        let report = staging.join("report.html");
        let refuse = output::replace(false);
        write_atomic(&report, refuse, |out| out.write_all(page.as_bytes()))?;
        written.extend([report, place.write_settings("validate", &self.settings, refuse)?]);
        self.write_manifest(place, &written)?;
        place.publish()?;
        place.remove_partial("")?;
        self.tell(&place.output);
        Ok(if self.report.passed() { Ending::Done } else { Ending::NotPassed })
    }

    fn write_manifest(&self, place: &Place, written: &[PathBuf]) -> Result<()> {
        let section = &self.settings.validate;
        let limits = limits_file(section);
        let inputs =
            (self.sets.iter().flat_map(|set| &set.files)).chain(&section.covariance).chain(&limits);
        let manifest = Manifest {
            stage: "validate".to_owned(),
            command: std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect(),
            version: output::VERSION.to_owned(),
            seed: section.seed,
            config_sha256: Some(output::settings_sha256(&self.settings)?),
            inputs: inputs.map(|path| FileRecord::of(path)).collect::<Result<_, _>>()?,
            outputs: place.records(written)?,
        };
        Ok(manifest.write(&place.manifest(), output::replace(false))?)
    }

    fn tell(&self, folder: &Path) {
        if self.quiet {
            return;
        }
        let failed: Vec<_> = self.report.verdicts.iter().filter(|v| !v.pass).collect();
        for verdict in &failed {
            let measured = verdict.measured.map_or("none".to_owned(), |v| format!("{v:.4}"));
            let bound = |b: Option<f64>| b.map_or("-".to_owned(), |v| v.to_string());
            say::note(&format!(
                "fail  {}: {measured}, allowed {} to {}",
                verdict.name,
                bound(verdict.min),
                bound(verdict.max)
            ));
        }
        let count = self.report.verdicts.len();
        say::note(&format!(
            "{}: {} of {count} scores within their limits",
            folder.join("report.html").display(),
            count - failed.len()
        ));
    }
}
