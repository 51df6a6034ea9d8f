//! What a run is, as it stands in its folder of unfinished work: enough to tell it
//! from any other, and to write its outputs without its inputs.

use crate::choices::{PrecisionWord, Shard, TargetWord};
use crate::input::Inputs;
use crate::output;
use crate::settings::Settings;
use anyhow::{Context, Result, bail};
use ndarray::Array3;
use serde::{Deserialize, Serialize};
use skyscat::emulator::{BatchId, Emulator, Schedule, TargetMode};
use skyscat::healpix::{MapSet, Ordering};
use skyscat::io::{FileRecord, Precision};
use skyscat::num::Seed;
use std::collections::{BTreeMap, BTreeSet};

/// What a run must share with one that it goes on from, or is merged with.
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

    /// Says in what two runs differ.
    pub(crate) fn check_same(&self, own: &Self) -> Result<()> {
        let mut differences = Vec::new();
        let mut note = |what: &str, there: String, here: String| {
            if there != here {
                differences.push(format!("{what} is {there} there, {here} here"));
            }
        };
        note("seed", self.seed.to_string(), own.seed.to_string());
        note("version", self.version.clone(), own.version.clone());
        let short = |sha: &str| format!("input {}", sha.chars().take(12).collect::<String>());
        note("the content of the input", short(&self.input_sha256), short(&own.input_sha256));
        let (there, here) = (keys(&self.config)?, keys(&own.config)?);
        for name in there.keys().chain(here.keys()).collect::<BTreeSet<_>>() {
            let value = |t: &BTreeMap<String, String>| {
                t.get(name).cloned().unwrap_or_else(|| "not set".to_owned())
            };
            note(name, value(&there), value(&here));
        }
        if !differences.is_empty() {
            bail!("it is another run: {}", differences.join("; "));
        }
        Ok(())
    }
}

fn keys(settings: &Settings) -> Result<BTreeMap<String, String>> {
    let mut keys = BTreeMap::new();
    for (_, section) in toml::Table::try_from(settings)? {
        let toml::Value::Table(section) = section else { continue };
        keys.extend(section.into_iter().map(|(key, value)| (key, value.to_string())));
    }
    Ok(keys)
}

/// What outputs say about the inputs and about how they were taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// The files read.
    pub(crate) files: Vec<FileRecord>,
    /// Number of maps in them.
    pub(crate) inputs: usize,
    pub(crate) nside: usize,
    pub(crate) channels: Vec<String>,
    ordering: String,
    unit: Option<String>,
    coordsys: Option<String>,
    polcconv: Option<String>,
    pub(crate) smoothing_fwhm_deg: Option<f64>,
    pub(crate) left_out: Vec<String>,
    pub(crate) device: String,
}

impl Facts {
    pub(crate) fn of(inputs: &Inputs, emulator: &Emulator, device: &str) -> Result<Self> {
        let maps = &inputs.maps;
        let own = |text: Option<&str>| text.map(str::to_owned);
        let record = |path| Ok(FileRecord::of(path)?);
        Ok(Self {
            files: inputs.files.iter().map(|path| record(path)).collect::<Result<_>>()?,
            inputs: emulator.inputs(),
            nside: emulator.nside().get(),
            channels: emulator.channels().to_vec(),
            ordering: maps.ordering().to_string(),
            unit: own(maps.unit()),
            coordsys: own(maps.coordsys()),
            polcconv: own(maps.polcconv()),
            smoothing_fwhm_deg: emulator.standardiser().fwhm_deg,
            left_out: emulator.left_out()?,
            device: device.to_owned(),
        })
    }

    /// Emulated maps as a set like the input.
    pub(crate) fn like_input(&self, nest: Array3<f64>) -> Result<MapSet> {
        let ordering: Ordering = self.ordering.parse().context("ordering of the input")?;
        let channels: Vec<&str> = self.channels.iter().map(String::as_str).collect();
        Ok(MapSet::new(Ordering::Nest, &channels, nest)?
            .with_unit(self.unit.clone())
            .with_coordsys(self.coordsys.clone())
            .with_polcconv(self.polcconv.clone())
            .reordered(ordering))
    }
}

/// A run, or one shard of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) stamp: Stamp,
    pub(crate) facts: Facts,
    /// The effective settings.
    pub(crate) settings: Settings,
    pub(crate) shard: Option<Shard>,
}

impl Identity {
    /// The batches and draws of the whole job.
    pub(crate) fn schedule(&self) -> Result<Schedule> {
        let section = &self.settings.emulate;
        let mode = match section.target.context("no target")? {
            TargetWord::Single => TargetMode::Single,
            _ => TargetMode::Average,
        };
        let (batch, count) = (section.batch.context("no batch")?, section.count);
        let count = count.context("no count")?;
        Ok(Schedule::new(mode, self.facts.inputs, count, batch, Seed(self.stamp.seed)))
    }

    /// The batches of this shard, or all of them.
    pub(crate) fn batches(&self, schedule: &Schedule) -> Vec<BatchId> {
        let Shard { number, of } = self.shard.unwrap_or(Shard { number: 1, of: 1 });
        schedule.batches().iter().copied().skip(number - 1).step_by(of).collect()
    }

    /// Width of the numbers in the output.
    pub(crate) fn precision(&self) -> Precision {
        match self.settings.emulate.precision {
            Some(PrecisionWord::F32) => Precision::F32,
            _ => Precision::F64,
        }
    }
}
