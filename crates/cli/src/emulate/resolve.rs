//! From words to the emulator's settings, each checked before any work.

use crate::choices::{
    DefinitionWord, MpiWord, OrientationWord, SigmaWord, SpectrumLossWord, StandardiseWord,
    StartWord, TargetWord,
};
use crate::settings::{EmulateSection, Settings};
use crate::statistics;
use anyhow::{Context, Result, bail, ensure};
use skyscat::emulator::{Config, Init, Sigma, SpectrumLoss, Standardise, TargetMode};
use skyscat::scattering::OrientationConfig;

/// What has no default.
pub(crate) struct Asked {
    pub(crate) count: usize,
    pub(crate) seed: u64,
}

/// Iterations with an average target: fewer than the paper's, with the same verdicts or
/// better (`benches/README.md`).
const STEPS_TO_AN_AVERAGE: u64 = 300;

/// Largest number of maps of one run.
const MAX_COUNT: usize = 10_000_000;

/// The count and the seed, which have no default.
pub(crate) fn check_asked(section: &EmulateSection) -> Result<Asked> {
    let where_else = |key: &str| format!("--{key} (or {key} = ... in [emulate] of --config)");
    let count = section
        .count
        .with_context(|| format!("no count: give {}: 1 or more maps", where_else("count")))?;
    check_count(count)?;
    let seed = section.seed.with_context(|| {
        format!("no seed: give {}: a whole number from 0 on", where_else("seed"))
    })?;
    Ok(Asked { count, seed })
}

/// Refuses a count out of range.
pub(crate) fn check_count(count: usize) -> Result<()> {
    ensure!(
        (1..=MAX_COUNT).contains(&count),
        "--count {count} is not allowed: allowed are 1 to {MAX_COUNT} maps"
    );
    Ok(())
}

/// Checks settings that need no input; fills in what depends on the definition.
pub(crate) fn check_words(settings: &mut Settings) -> Result<()> {
    let scattering = statistics::resolve(&mut settings.statistics)?;
    if let Some(OrientationWord::File(path)) = &settings.statistics.orientation {
        bail!(
            "--orientation {}: an emulation finds its orientations itself: allowed are none and \
             from-input",
            path.display()
        );
    }
    let section = &mut settings.emulate;
    let batch = section.batch.expect("has a default");
    let base = Config::of(scattering.definition, batch);
    section.auto_weight.get_or_insert(base.loss.auto);
    section.cross_weight.get_or_insert(base.loss.cross);
    section.spectrum_weight.get_or_insert(base.loss.spectrum);
    let fwhm = section.fwhm;
    if let Some(fwhm) = fwhm {
        ensure!(
            fwhm.is_finite() && fwhm > 0.0 && fwhm <= 180.0,
            "--fwhm {fwhm} is not allowed: allowed are widths above 0 and up to 180 degrees"
        );
        match section.standardise {
            None | Some(StandardiseWord::Auto | StandardiseWord::Smoothed) => {
                section.standardise = Some(StandardiseWord::Smoothed);
            }
            Some(other) => bail!(
                "--fwhm {fwhm} has no meaning with --standardise {other}: allowed is smoothed"
            ),
        }
    }
    let wide = section.wide.expect("has a default");
    ensure!(
        wide <= super::wide::WIDEST,
        "--wide {wide} is not allowed: allowed are 0 (as many as fit) to {} batches",
        super::wide::WIDEST
    );
    if let Some(few) = section.at_once {
        ensure!(
            (1..=batch).contains(&few),
            "--at-once {few} is not allowed: allowed are 1 map to all of the batch, {batch}"
        );
    }
    if let Some(steps) = section.steps {
        ensure!(
            (1..=1_000_000).contains(&steps),
            "--steps {steps} is not allowed: allowed are 1 to 1000000 iterations"
        );
    }
    Ok(())
}

/// Replaces `auto` by what it means for this number of inputs.
pub(crate) fn resolve_for(settings: &mut Settings, inputs: usize) -> Result<()> {
    let healpixml = settings.statistics.definition == Some(DefinitionWord::HealpixMl);
    let section = &mut settings.emulate;
    let plain = Config::campeti2025();
    if section.target == Some(TargetWord::Auto) {
        section.target = Some(match plain.target_for(inputs) {
            TargetMode::Average => TargetWord::Average,
            TargetMode::Single => TargetWord::Single,
        });
    }
    section.steps.get_or_insert(match section.target {
        Some(TargetWord::Average) if !healpixml => STEPS_TO_AN_AVERAGE,
        _ => plain.steps,
    });
    if matches!(section.standardise, None | Some(StandardiseWord::Auto)) {
        section.standardise = Some(match plain.standardise_for(inputs) {
            Standardise::Global => StandardiseWord::Global,
            _ if healpixml => StandardiseWord::PerPixel,
            Standardise::PerPixel => StandardiseWord::PerPixel,
            Standardise::SmoothedPerPixel { .. } => StandardiseWord::Smoothed,
        });
    }
    let word = section.standardise.expect("set above");
    ensure!(
        inputs >= 2 || word == StandardiseWord::Global,
        "--standardise {word} needs at least 2 input maps, {inputs} given: allowed is global"
    );
    Ok(())
}

/// The library's settings, from resolved ones.
pub(crate) fn emulator_config(settings: &Settings) -> Result<Config> {
    let mut section = settings.statistics.clone();
    let scattering = statistics::resolve(&mut section)?;
    let definition = scattering.definition;
    let e = &settings.emulate;
    let batch = e.batch.expect("has a default");
    let mut config = Config::of(definition, batch);
    config.scattering = scattering;
    config.orientation = match settings.statistics.orientation {
        Some(OrientationWord::FromInput) => Some(OrientationConfig::of(definition)),
        _ => None,
    };
    config.target = Some(match e.target.expect("resolved") {
        TargetWord::Single => TargetMode::Single,
        _ => TargetMode::Average,
    });
    config.standardise = Some(match e.standardise.expect("resolved") {
        StandardiseWord::PerPixel => Standardise::PerPixel,
        StandardiseWord::Smoothed => Standardise::SmoothedPerPixel { fwhm_deg: e.fwhm },
        StandardiseWord::Global | StandardiseWord::Auto => Standardise::Global,
    });
    config.at_once = e.at_once;
    config.std_floor = e.std_floor.expect("has a default");
    config.steps = e.steps.expect("resolved");
    config.plateau = e.plateau.expect("has a default");
    config.lbfgs.memory = e.memory.expect("has a default");
    if e.start == Some(StartWord::Gaussian) {
        config.init = Init::Gaussian;
    }
    match e.sigma {
        Some(SigmaWord::Blocks) => config.loss.sigma = Sigma::Blocks,
        Some(SigmaWord::Inputs) => config.loss.sigma = Sigma::Inputs,
        Some(SigmaWord::None) => config.loss.sigma = Sigma::One,
        None => {}
    }
    match e.spectrum_loss {
        Some(SpectrumLossWord::Ratio) => config.loss.spectrum_loss = SpectrumLoss::Ratio,
        Some(SpectrumLossWord::Equation6) => config.loss.spectrum_loss = SpectrumLoss::Equation6,
        Some(SpectrumLossWord::Sum) => config.loss.spectrum_loss = SpectrumLoss::SumOverBatch,
        None => {}
    }
    config.loss.auto = e.auto_weight.expect("resolved");
    config.loss.cross = e.cross_weight.expect("resolved");
    config.loss.spectrum = e.spectrum_weight.expect("resolved");
    config.loss.variance = e.variance_weight.expect("has a default");
    config.loss.variance_fraction = e.variance_fraction.expect("has a default");
    Ok(config)
}

/// The settings that the maps depend on, as one table: what a resumed run must
/// share, and what the hash in every output is taken of.
pub(crate) fn what_counts(settings: &Settings) -> Result<Settings> {
    let mut what = Settings {
        statistics: settings.statistics.clone(),
        emulate: settings.emulate.clone(),
        ..Settings::default()
    };
    // Masks are counted by their content, as the input is.
    what.statistics.mask = None;
    what.emulate.checkpoint_every = None;
    what.emulate.checkpoint_seconds = None;
    // Batches side by side have the bits that they have alone.
    what.emulate.wide = None;
    what.emulate.seed = None;
    what.emulate.shard = None;
    // Batches have the bits of one process, maps over ranks only nearly.
    what.emulate.mpi = what.emulate.mpi.filter(|word| *word == MpiWord::Maps);
    Ok(what)
}
