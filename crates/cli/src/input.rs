//! Reading maps and masks, with errors that name the file.

use crate::settings::InputSection;
use crate::{output, say};
use anyhow::{Context, Result, bail, ensure};
use skyscat::healpix::{HealpixError, MapSet, Mask, Nside, Ordering};
use skyscat::io::{ReadOptions, read_map_file, read_maps, read_npy, sha256_bytes};
use std::path::{Path, PathBuf};

/// Maps of one set and where they came from.
pub(crate) struct Inputs {
    pub(crate) maps: MapSet,
    /// Weights of each mask, in NEST ordering; empty for the full sky.
    pub(crate) masks: Vec<Vec<f64>>,
    pub(crate) files: Vec<PathBuf>,
    /// Whether any file stated no ordering.
    assumed: Option<Ordering>,
}

impl Inputs {
    /// Reads and checks maps, and masks if any.
    pub(crate) fn read(section: &InputSection, masks: Option<&[PathBuf]>) -> Result<Self> {
        let ordering: Ordering = section.ordering.expect("has a default").into();
        let files = expand(section.input.as_deref().unwrap_or(&[]))?;
        let options = ReadOptions {
            ordering_if_unstated: Some(ordering),
            channels: section.channels.clone(),
        };
        let maps = read_maps(&files, &options)?;
        if let Err(error) = maps.check_full_sky() {
            return Err(located(error, &files, &options));
        }
        let stated = |path: &PathBuf| {
            read_one_stated(path, section.channels.as_deref()) == Some(maps.ordering())
        };
        let assumed = (!files.iter().all(stated)).then_some(ordering);
        let masks = (masks.unwrap_or(&[]).iter())
            .map(|path| read_masks(path, ordering, maps.nside()))
            .collect::<Result<Vec<_>>>()?
            .concat();
        Ok(Self { maps, masks, files, assumed })
    }

    /// Says aloud what had to be assumed.
    pub(crate) fn say_assumptions(&self, quiet: bool) {
        if let (Some(ordering), false) = (self.assumed, quiet) {
            let name = ordering.to_string().to_uppercase();
            say::note(&format!(
                "note: the input states no pixel ordering; {name} is assumed (--ordering ring|nest)"
            ));
        }
    }

    /// One line about the set.
    pub(crate) fn summary(&self) -> String {
        let maps = &self.maps;
        let masks = match self.masks.len() {
            0 => String::new(),
            n => format!(", {n} masks"),
        };
        format!(
            "{} maps, channels {}, Nside {}, {}, {}{masks}",
            maps.n_maps(),
            maps.channels().join(" "),
            maps.nside(),
            maps.ordering().to_string().to_uppercase(),
            maps.unit().unwrap_or("no unit stated"),
        )
    }

    /// The files, shortened for messages.
    pub(crate) fn names(&self) -> String {
        let first = self.files[0].display();
        match self.files.len() {
            1 => first.to_string(),
            n => format!("{first} and {} more", n - 1),
        }
    }

    /// SHA-256 of everything that a result depends on: channels, pixels, masks.
    pub(crate) fn sha256(&self) -> String {
        let nest = self.maps.reordered(Ordering::Nest);
        let mut bytes = format!("{:?}{:?}", nest.data().dim(), nest.channels()).into_bytes();
        let values = nest.data();
        let masks = self.masks.iter().flatten();
        bytes.extend(values.iter().chain(masks).flat_map(|v| v.to_le_bytes()));
        sha256_bytes(&bytes)
    }
}

/// Files from names and globs; a glob that matches nothing is an error.
pub(crate) fn expand(patterns: &[String]) -> Result<Vec<PathBuf>> {
    ensure!(
        !patterns.is_empty(),
        "no input: give --input FILE (npy cube, FITS file or quoted glob), or input = [\"...\"] \
         in [input] of the configuration"
    );
    let mut files = Vec::new();
    for pattern in patterns {
        if Path::new(pattern).exists() || !pattern.contains(['*', '?', '[']) {
            files.push(PathBuf::from(pattern));
            continue;
        }
        let found = glob::glob(pattern).with_context(|| format!("{pattern}: not a glob"))?;
        let before = files.len();
        for path in found {
            files.push(path.with_context(|| format!("{pattern}: cannot be listed"))?);
        }
        ensure!(files.len() > before, "{pattern}: no file matches this glob");
    }
    Ok(files)
}

/// The ordering that a file states itself.
fn read_one_stated(path: &Path, channels: Option<&[String]>) -> Option<Ordering> {
    let options =
        ReadOptions { ordering_if_unstated: None, channels: channels.map(<[String]>::to_vec) };
    if output::has_extension(path, &["npy", "npz"]) {
        return None;
    }
    read_map_file(path, &options).ok().map(|maps| maps.ordering())
}

/// An error about map i of a set, told as one about map k of a file.
fn located(error: HealpixError, files: &[PathBuf], options: &ReadOptions) -> anyhow::Error {
    let HealpixError::NotFullSky { map, channel, pixel, bad, total } = &error else {
        return error.into();
    };
    let mut left = *map;
    for path in files {
        let Ok(maps) = read_map_file(path, options) else { break };
        if left >= maps.n_maps() {
            left -= maps.n_maps();
            continue;
        }
        let value = match maps.channel(channel) {
            Ok(c) => maps.data()[[left, c, *pixel]],
            Err(_) => f64::NAN,
        };
        return anyhow::anyhow!(
            "{}: map {left}, channel {channel}: {bad} of {total} pixels are NaN, infinite or \
             UNSEEN, the first is pixel {pixel} ({value:e}): allowed are finite values on the \
             full sky",
            path.display()
        );
    }
    error.into()
}

/// Masks of a file: each channel of a FITS map, each row of an npy array.
fn read_masks(path: &Path, ordering: Ordering, nside: Nside) -> Result<Vec<Vec<f64>>> {
    let (stated, rows) = if output::has_extension(path, &["npy"]) {
        let array = read_npy(path)?;
        let pixels = array.shape().last().copied().unwrap_or(0).max(1);
        let rows: Vec<Vec<f64>> =
            array.iter().copied().collect::<Vec<_>>().chunks(pixels).map(<[f64]>::to_vec).collect();
        (ordering, rows)
    } else {
        let maps = read_map_file(path, &ReadOptions::assuming(ordering))?;
        let rows = maps.data().rows().into_iter().map(|r| r.to_vec()).collect();
        (maps.ordering(), rows)
    };
    if rows.is_empty() {
        bail!("{}: the file holds no mask: allowed are weights of a full sky", path.display());
    }
    let mut masks = Vec::new();
    for row in rows {
        let given = row.len();
        ensure!(
            given == nside.npix(),
            "{}: the mask has {given} pixels: allowed are the {} pixels of the maps (Nside {nside})",
            path.display(),
            nside.npix()
        );
        let mask = Mask::new(stated, row).with_context(|| format!("{}: mask", path.display()))?;
        masks.push(mask.reordered(Ordering::Nest).weights().to_vec());
    }
    Ok(masks)
}
