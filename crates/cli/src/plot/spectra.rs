//! `skyscat plot spectra`: spectra of sets of maps, and how they differ.

use super::{POINTS, Plan, stem};
use crate::Ending;
use crate::args::PlotCurveArgs;
use crate::input::expand;
use crate::settings::Settings;
use anyhow::{Context, Result, ensure};
use ndarray::{Array2, ArrayD, Axis as Dimension, Ix2};
use skyscat::io::read_npz;
use skyscat_plot::{Axes, Axis, Figure, PALETTE, Panel, Rgb, Row, Series, Stroke};
use std::collections::BTreeMap;

/// Spectra that are drawn, in this order, if a file has them.
const KINDS: [&str; 6] = ["TT", "EE", "BB", "TE", "TB", "EB"];
/// Multipoles below hold no polarisation.
const FIRST: usize = 2;

/// Spectra of one file, by kind, each (maps, ℓ).
struct Set {
    title: String,
    spectra: BTreeMap<String, Array2<f64>>,
}

pub(super) fn run(args: PlotCurveArgs) -> Result<Ending> {
    let given = Settings {
        input: args.input,
        output: args.output,
        plot: args.plot,
        run: args.common.run.clone(),
        ..Settings::default()
    };
    let plan = Plan::new(given, args.replace, &args.common)?;
    let files = expand(plan.input().input.as_deref().unwrap_or(&[]))?;
    let titles = plan.titles(files.len(), "file")?;
    let mut sets = Vec::new();
    for (i, path) in files.iter().enumerate() {
        let arrays = read_npz(path)?;
        let spectra = chosen(arrays).with_context(|| path.display().to_string())?;
        sets.push(Set { title: titles.get(i).cloned().unwrap_or_else(|| stem(path)), spectra });
    }
    let kinds: Vec<&str> = (KINDS.into_iter())
        .filter(|kind| sets.iter().all(|set| set.spectra.contains_key(*kind)))
        .collect();
    ensure!(!kinds.is_empty(), "the files share no spectrum: allowed are {}", KINDS.join(", "));
    let unit = plan.plot().unit.clone().unwrap_or_default();
    let unit = if unit.is_empty() { String::new() } else { format!(" [{unit}^{{2}}]") };
    let compared = sets.len() > 1;
    let mut figure = Figure::new("", POINTS);
    let upper = kinds.iter().map(|kind| {
        let mut x = Axis::log("Multipole ℓ");
        if compared {
            x = x.bare();
        }
        let y = if is_auto(kind) { Axis::log } else { Axis::linear };
        let mut axes = Axes::new(kind, x, y(&format!("C_{{ℓ}}{unit}")));
        axes.y.range = plan.range().ok().flatten();
        for (i, set) in sets.iter().enumerate() {
            axes.series.extend(curves(&set.spectra[*kind], PALETTE[i % PALETTE.len()], &set.title));
        }
        axes.legend = true;
        Panel::Axes(axes)
    });
    figure.rows.push(Row { height: 190.0, panels: upper.collect() });
    if compared {
        let lower = kinds.iter().map(|kind| {
            let mut axes = Axes::new("", Axis::log("Multipole ℓ"), Axis::linear("Δ⟨C_{ℓ}⟩/σ"));
            axes.series = residuals(&sets, kind);
            Panel::Axes(axes)
        });
        figure.rows.push(Row { height: 80.0, panels: lower.collect() });
    }
    plan.range()?;
    plan.write("plot spectra", &figure)
}

fn is_auto(kind: &str) -> bool {
    kind.as_bytes()[0] == kind.as_bytes()[1]
}

fn chosen(arrays: BTreeMap<String, ArrayD<f64>>) -> Result<BTreeMap<String, Array2<f64>>> {
    let mut spectra = BTreeMap::new();
    for (name, array) in arrays.into_iter().filter(|(name, _)| KINDS.contains(&name.as_str())) {
        let shape = array.shape().to_vec();
        let table = array
            .into_dimensionality::<Ix2>()
            .with_context(|| format!("{name} has shape {shape:?}: allowed is (maps, lmax + 1)"))?;
        let (maps, multipoles) = table.dim();
        ensure!(
            maps > 0 && multipoles > FIRST,
            "{name} has shape {shape:?}: allowed are at least 1 map and lmax 2"
        );
        spectra.insert(name, table);
    }
    ensure!(!spectra.is_empty(), "no spectra: allowed are arrays {}", KINDS.join(", "));
    Ok(spectra)
}

fn moments(spectra: &Array2<f64>) -> (Vec<f64>, Vec<f64>) {
    let mean = spectra.mean_axis(Dimension(0)).expect("maps").to_vec();
    (mean, spectra.std_axis(Dimension(0), 0.0).to_vec())
}

fn multipoles(spectra: &Array2<f64>) -> Vec<f64> {
    (FIRST..spectra.ncols()).map(|l| l as f64).collect()
}

/// The mean, and the scatter of single maps around it.
fn curves(spectra: &Array2<f64>, colour: Rgb, title: &str) -> Vec<Series> {
    let (mean, std) = moments(spectra);
    let x = multipoles(spectra);
    let between = (FIRST..mean.len()).map(|l| (mean[l] - std[l], mean[l] + std[l])).collect();
    let stroke = Stroke::solid(1.3, colour);
    let line = Series::Line { x: x.clone(), y: mean[FIRST..].to_vec(), stroke, name: title.into() };
    vec![Series::Band { x, between, colour, name: String::new() }, line]
}

/// (⟨C⟩ − ⟨C⟩ of the first set)/σ of the first set, in a band of ±1/√n of each.
fn residuals(sets: &[Set], kind: &str) -> Vec<Series> {
    let first = &sets[0].spectra[kind];
    let (mean, std) = moments(first);
    let mut series = Vec::new();
    for (i, set) in sets.iter().enumerate() {
        let spectra = &set.spectra[kind];
        let last = mean.len().min(spectra.ncols());
        let own = moments(spectra).0;
        let x = (FIRST..last).map(|l| l as f64).collect::<Vec<_>>();
        let width = (spectra.nrows() as f64).sqrt().recip();
        let colour = PALETTE[i % PALETTE.len()];
        let between = vec![(-width, width); x.len()];
        series.push(Series::Band { x: x.clone(), between, colour, name: String::new() });
        let y = (FIRST..last).map(|l| (own[l] - mean[l]) / std[l]).collect();
        let stroke = Stroke::solid(1.3, colour);
        series.push(Series::Line { x, y, stroke, name: String::new() });
    }
    series
}
