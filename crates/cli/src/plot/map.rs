//! `skyscat plot map`: maps in one row.

use super::{POINTS, Plan, stem};
use crate::Ending;
use crate::args::PlotMapArgs;
use crate::choices::ProjectionWord;
use crate::input::expand;
use crate::settings::{MapSection, Settings};
use anyhow::{Context, Result, bail, ensure};
use ndarray::Axis;
use skyscat::healpix::Ordering;
use skyscat::io::{ReadOptions, read_map_file};
use skyscat_plot::{ColourBar, Figure, Panel, Projection, Row, SkyMap, natural_range};
use std::path::Path;

/// A map that was read.
struct Chosen {
    values: Vec<f64>,
    ordering: Ordering,
    unit: Option<String>,
    title: String,
}

pub(super) fn run(args: PlotMapArgs) -> Result<Ending> {
    let given = Settings {
        input: args.input,
        output: args.output,
        plot: args.plot,
        map: args.map,
        run: args.common.run.clone(),
        ..Settings::default()
    };
    let plan = Plan::new(given, args.replace, &args.common)?;
    let chosen = chosen(&plan)?;
    let range = plan.range()?.or_else(|| natural_range(&chosen[0].values));
    let range = range.with_context(|| format!("{}: the map has no data", chosen[0].title))?;
    let colormap = plan.plot().colormap.expect("has a default").into();
    let projection = projection(&plan.settings.map)?;
    let unit = plan.plot().unit.clone().or_else(|| chosen[0].unit.clone()).unwrap_or_default();
    let panel = |map: Chosen| {
        Panel::Sky(SkyMap {
            title: map.title,
            values: map.values,
            ordering: map.ordering,
            projection,
            range,
            colormap,
            graticule_deg: plan.settings.map.graticule,
        })
    };
    let mut figure = Figure::new("", POINTS);
    figure.resolution = plan.resolution();
    figure.bar = Some(ColourBar { range, colormap, unit });
    figure.rows.push(Row { height: 0.0, panels: chosen.into_iter().map(panel).collect() });
    plan.write("plot map", &figure)
}

fn projection(section: &MapSection) -> Result<Projection> {
    match section.projection.expect("has a default") {
        ProjectionWord::Mollweide => Ok(Projection::Mollweide),
        ProjectionWord::Gnomonic => match section.centre.as_deref().expect("has a default") {
            &[longitude_deg, latitude_deg] => Ok(Projection::Gnomonic {
                longitude_deg,
                latitude_deg,
                size_deg: section.size.expect("has a default"),
            }),
            other => bail!(
                "--centre has {} numbers: allowed are longitude and latitude in degrees, as 0,-30",
                other.len()
            ),
        },
    }
}

/// The maps that were asked for, under the titles that were asked for.
fn chosen(plan: &Plan) -> Result<Vec<Chosen>> {
    let mut chosen = Vec::new();
    for path in expand(plan.input().input.as_deref().unwrap_or(&[]))? {
        chosen.extend(read(&path, plan)?);
    }
    ensure!(!chosen.is_empty(), "--index names no map: allowed is at least one");
    let titles = plan.titles(chosen.len(), "map")?;
    for (map, title) in chosen.iter_mut().zip(titles) {
        map.title.clone_from(title);
    }
    Ok(chosen)
}

/// The maps of a file that were asked for: for each index its channels.
fn read(path: &Path, plan: &Plan) -> Result<Vec<Chosen>> {
    let input = plan.input();
    let options = ReadOptions {
        ordering_if_unstated: Some(input.ordering.expect("has a default").into()),
        channels: input.channels.clone(),
    };
    let maps = read_map_file(path, &options)?;
    let channels = if input.channels.is_some() { maps.channels().len() } else { 1 };
    let name = stem(path);
    let mut chosen = Vec::new();
    for &index in plan.settings.map.index.as_deref().expect("has a default") {
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
