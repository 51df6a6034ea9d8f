//! `skyscat plot`: pictures of maps.

use crate::args::{PlotCommand, PlotMapArgs};
use crate::input::expand;
use crate::settings::{InputSection, PlotSection, Settings};
use crate::{Ending, output, say};
use anyhow::{Context, Result, bail, ensure};
use ndarray::Axis;
use skyscat::healpix::Ordering;
use skyscat::io::{ReadOptions, read_map_file, write_atomic};
use skyscat_plot::{Panel, RowConfig, row};
use std::path::Path;

pub(crate) fn run(command: PlotCommand) -> Result<Ending> {
    match command {
        PlotCommand::Map(args) => map(args),
    }
}

/// A map that was read.
struct Chosen {
    values: Vec<f64>,
    ordering: Ordering,
    unit: Option<String>,
    title: String,
}

fn map(args: PlotMapArgs) -> Result<Ending> {
    let given = Settings {
        input: args.input,
        output: args.output,
        plot: args.plot,
        run: args.common.run.clone(),
        ..Settings::default()
    };
    let sections = ["input", "plot", "output", "run"];
    let settings = given.over(args.common.config.as_deref(), &sections)?;
    let path = output::required(&settings.output.output, "a name that ends in .png")?;
    output::check_extension(&path, &["png"])?;
    let companion = output::settings_path(&path);
    for file in [&path, &companion] {
        output::check_file(file, args.replace.overwrite)?;
    }
    let plot = &settings.plot;
    let range = match plot.range.as_deref() {
        None => None,
        Some(&[low, high]) => Some((low, high)),
        Some(other) => {
            bail!("--range has {} numbers: allowed are two, as -1e-7,1e-7", other.len())
        }
    };
    let chosen = chosen(&settings.input, plot)?;
    let panels: Vec<Panel<'_>> = (chosen.iter())
        .map(|m| Panel { values: &m.values, ordering: m.ordering, title: m.title.clone() })
        .collect();
    let range = range
        .or_else(|| panels[0].natural_range())
        .with_context(|| format!("{}: the map has no data", chosen[0].title))?;
    let unit = plot.unit.clone().or_else(|| chosen[0].unit.clone());
    let width = plot.width.expect("has a default");
    let colormap = plot.colormap.expect("has a default").into();
    let canvas = row(&panels, &RowConfig { width, range, colormap, unit })?;
    let png = canvas.to_png()?;
    let replace = output::replace(args.replace.overwrite);
    write_atomic(&path, replace, |out| out.write_all(&png))?;
    output::write_settings(&companion, "plot map", &settings, replace)?;
    if !args.common.quiet {
        let (width, height) = (canvas.width(), canvas.height());
        say::note(&format!(
            "{}: {} panel(s), {width} x {height} pixels",
            path.display(),
            panels.len()
        ));
    }
    Ok(Ending::Done)
}

/// The maps that were asked for, under the titles that were asked for.
fn chosen(input: &InputSection, plot: &PlotSection) -> Result<Vec<Chosen>> {
    let mut chosen = Vec::new();
    for path in expand(input.input.as_deref().unwrap_or(&[]))? {
        chosen.extend(read(&path, input, plot.index.as_deref().expect("has a default"))?);
    }
    ensure!(!chosen.is_empty(), "--index names no map: allowed is at least one");
    let titles = plot.title.as_deref().unwrap_or(&[]);
    ensure!(
        titles.len() <= chosen.len(),
        "{} titles for {} maps: allowed is at most one a map",
        titles.len(),
        chosen.len()
    );
    for (map, title) in chosen.iter_mut().zip(titles) {
        map.title.clone_from(title);
    }
    Ok(chosen)
}

/// The maps of a file that were asked for: for each index its channels.
fn read(path: &Path, input: &InputSection, indices: &[usize]) -> Result<Vec<Chosen>> {
    let options = ReadOptions {
        ordering_if_unstated: Some(input.ordering.expect("has a default").into()),
        channels: input.channels.clone(),
    };
    let maps = read_map_file(path, &options)?;
    let channels = if input.channels.is_some() { maps.channels().len() } else { 1 };
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let mut chosen = Vec::new();
    for &index in indices {
        ensure!(
            index < maps.n_maps(),
            "{}: there is no map {index}: allowed are 0 to {}",
            path.display(),
            maps.n_maps() - 1
        );
        let number = if maps.n_maps() > 1 { format!(" {index}") } else { String::new() };
        for channel in 0..channels {
            chosen.push(Chosen {
                values: maps.data().index_axis(Axis(0), index).row(channel).to_vec(),
                ordering: maps.ordering(),
                unit: maps.unit().map(str::to_owned),
                title: format!("{name}{number}, {}", maps.channels()[channel]),
            });
        }
    }
    Ok(chosen)
}
