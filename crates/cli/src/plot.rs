//! `skyscat plot`: pictures of maps.

use crate::args::{PlotCommand, PlotMapArgs};
use crate::{Ending, output, say};
use anyhow::{Context, Result, bail, ensure};
use ndarray::Axis;
use skyscat::io::{ReadOptions, read_map_file, write_atomic};
use skyscat_plot::{Colormap, Panel, RowConfig, row};
use std::path::Path;

pub(crate) fn run(command: PlotCommand) -> Result<Ending> {
    match command {
        PlotCommand::Map(args) => map(args),
    }
}

/// A map that was read.
struct Chosen {
    values: Vec<f64>,
    ordering: skyscat::healpix::Ordering,
    unit: Option<String>,
    title: String,
}

fn map(args: PlotMapArgs) -> Result<Ending> {
    output::check_extension(&args.output, &["png"])?;
    output::check_file(&args.output, args.replace.overwrite)?;
    let range = match args.range.as_deref() {
        None => None,
        Some(&[low, high]) => Some((low, high)),
        Some(other) => {
            bail!("--range has {} numbers: allowed are two, as -1e-7,1e-7", other.len())
        }
    };
    let mut chosen = Vec::new();
    for path in &args.input {
        chosen.extend(read(path, &args)?);
    }
    ensure!(
        args.title.len() <= chosen.len(),
        "{} titles for {} maps: allowed is at most one a map",
        args.title.len(),
        chosen.len()
    );
    for (map, title) in chosen.iter_mut().zip(&args.title) {
        map.title.clone_from(title);
    }
    let panels: Vec<Panel<'_>> = (chosen.iter())
        .map(|m| Panel { values: &m.values, ordering: m.ordering, title: m.title.clone() })
        .collect();
    let range = range
        .or_else(|| panels[0].natural_range())
        .with_context(|| format!("{}: the map has no data", args.input[0].display()))?;
    let colormap = Colormap::from_name(&args.colormap).context("--colormap")?;
    let unit = args.unit.clone().or_else(|| chosen[0].unit.clone());
    let config = RowConfig { width: args.width, range, colormap, unit };
    let canvas = row(&panels, &config)?;
    let png = canvas.to_png()?;
    write_atomic(&args.output, output::replace(args.replace.overwrite), |out| out.write_all(&png))?;
    say::note(&format!(
        "{}: {} panel(s), {} x {} pixels",
        args.output.display(),
        panels.len(),
        canvas.width(),
        canvas.height()
    ));
    Ok(Ending::Done)
}

/// The maps of a file that were asked for.
fn read(path: &Path, args: &PlotMapArgs) -> Result<Vec<Chosen>> {
    let mut options = ReadOptions::assuming(args.ordering.into());
    if let Some(channel) = &args.channel {
        options = options.with_channels(&[channel]);
    }
    let maps = read_map_file(path, &options)?;
    let channel = &maps.channels()[0];
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let one = |&index: &usize| -> Result<Chosen> {
        ensure!(
            index < maps.n_maps(),
            "{}: there is no map {index}: allowed are 0 to {}",
            path.display(),
            maps.n_maps() - 1
        );
        let number = if maps.n_maps() > 1 { format!(" {index}") } else { String::new() };
        Ok(Chosen {
            values: maps.data().index_axis(Axis(0), index).row(0).to_vec(),
            ordering: maps.ordering(),
            unit: maps.unit().map(str::to_owned),
            title: format!("{name}{number}, {channel}"),
        })
    };
    args.index.iter().map(one).collect()
}
