//! From settings to a scan and a request, each checked before any work.

use crate::place::Place;
use crate::settings::{Settings, SimulateSection};
use anyhow::{Context, Result, bail, ensure};
use skyscat::num::Seed;
use skyscat::sim::{Channels, Config, SystematicConfig};

/// The preset that is meant when none is named.
const PRESET: &str = "campeti2025";

/// Largest number of maps of one run.
const MAX_COUNT: usize = 10_000_000;

/// The scan: a preset or a file, with what the settings change in it.
pub(super) fn scan(section: &SimulateSection) -> Result<Config> {
    let mut config = match (&section.scan, &section.preset) {
        (Some(path), None) => {
            let shown = path.display();
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("{shown}: cannot read the scan"))?;
            Config::from_toml(&text).with_context(|| shown.to_string())?
        }
        (None, name) => Config::preset(name.as_deref().unwrap_or(PRESET))?,
        (Some(_), Some(_)) => bail!("--preset and --scan exclude each other: give one of them"),
    };
    let SimulateSection { days, rate, chunk, nside, nside_out, .. } = section;
    config.mission.days = days.unwrap_or(config.mission.days);
    config.mission.rate_hz = rate.unwrap_or(config.mission.rate_hz);
    config.mission.chunk_samples = chunk.unwrap_or(config.mission.chunk_samples);
    config.maps.nside = nside.unwrap_or(config.maps.nside);
    config.maps.nside_out = nside_out.unwrap_or(config.maps.nside_out);
    Ok(config)
}

/// Where maps go, how many, and their seed; `None` if no maps are asked for.
pub(super) fn maps(
    settings: &Settings,
    overwrite: bool,
    resume: bool,
) -> Result<Option<(Place, usize, Seed)>> {
    let SimulateSection { count, seed, full, .. } = &settings.simulate;
    if settings.output.output.is_none() && count.is_none() {
        return Ok(None);
    }
    let where_else = |key: &str| format!("--{key} (or {key} = ... in [simulate] of --config)");
    let count =
        count.with_context(|| format!("no count: give {}: 1 or more maps", where_else("count")))?;
    ensure!(
        (1..=MAX_COUNT).contains(&count),
        "--count {count} is not allowed: allowed are 1 to {MAX_COUNT} maps"
    );
    let seed = seed.with_context(|| {
        format!("no seed: give {}: a whole number from 0 on", where_else("seed"))
    })?;
    ensure!(
        !resume || *full == Some(true),
        "--resume has no meaning without --full: draws from templates take seconds"
    );
    let place = Place::of(&settings.output.output, None)?;
    if !resume {
        place.check_free(overwrite)?;
    }
    place.check_partial(overwrite, resume)?;
    Ok(Some((place, count, Seed(seed))))
}

/// Which channels are written.
pub(super) fn channels(section: &SimulateSection) -> Result<Channels> {
    let names: Vec<&str> = section.channels.iter().flatten().map(|name| name.as_str()).collect();
    [Channels::Qu, Channels::Tqu]
        .into_iter()
        .find(|channels| channels.names() == names)
        .with_context(|| {
            format!("--channels {} is not allowed: allowed are Q,U and T,Q,U", names.join(","))
        })
}

/// Refuses systematics that are not linear in gains constant over a chunk.
pub(super) fn check_linear(config: &Config) -> Result<()> {
    let other = (config.systematics.iter())
        .any(|systematic| !matches!(systematic, SystematicConfig::GainDrift { .. }));
    ensure!(
        !other && config.systematics.len() == 1,
        "templates and covariances know one gain drift and no other systematic, this scan has {}: \
         use --full for its maps",
        config.systematics.len()
    );
    Ok(())
}

/// Standard deviation of the gains.
pub(super) fn sigma(config: &Config) -> Result<f64> {
    config.gain_sigma().context("the scan has no gain drift")
}
