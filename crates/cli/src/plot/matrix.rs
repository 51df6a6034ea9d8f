//! `skyscat plot matrix`: covariance and correlation matrices as colours.

use super::{POINTS, Plan, stem};
use crate::Ending;
use crate::args::PlotMatrixArgs;
use crate::input::expand;
use crate::settings::Settings;
use anyhow::{Context, Result, bail, ensure};
use ndarray::{Array2, Ix2};
use skyscat::io::read_npy;
use skyscat_plot::{ColourBar, Figure, Matrix, Panel, Row};
use std::ops::Range;

pub(super) fn run(args: PlotMatrixArgs) -> Result<Ending> {
    let given = Settings {
        input: args.input,
        output: args.output,
        plot: args.plot,
        matrix: args.matrix,
        run: args.common.run.clone(),
        ..Settings::default()
    };
    let plan = Plan::new(given, args.replace, &args.common)?;
    let files = expand(plan.input().input.as_deref().unwrap_or(&[]))?;
    let titles = plan.titles(files.len(), "file")?;
    let section = &plan.settings.matrix;
    let as_correlation = section.correlation.unwrap_or(false);
    let mut tables = Vec::new();
    for path in &files {
        let array = read_npy(path)?;
        let shape = array.shape().to_vec();
        let table = array.into_dimensionality::<Ix2>().with_context(|| {
            format!("{}: shape {shape:?}: allowed are matrices", path.display())
        })?;
        let part = part(section.zoom.as_deref(), table.nrows().min(table.ncols()))?;
        ensure!(!part.is_empty(), "{}: the matrix is empty", path.display());
        let table = if as_correlation {
            correlation(&table, part.clone())
        } else {
            cut(&table, part.clone())
        };
        tables.push((path, part.start, table.with_context(|| path.display().to_string())?));
    }
    let largest = |t: &Array2<f64>| t.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let own = if as_correlation { 1.0 } else { largest(&tables[0].2).max(f64::MIN_POSITIVE) };
    let range = plan.range()?.unwrap_or((-own, own));
    let colormap = plan.plot().colormap.expect("has a default").into();
    let mut figure = Figure::new("", POINTS);
    figure.resolution = plan.resolution();
    let mut panels = Vec::new();
    for (i, (path, first, table)) in tables.into_iter().enumerate() {
        let title = titles.get(i).cloned().unwrap_or_else(|| stem(path));
        let (rows, values) = (table.nrows(), table.into_iter().collect());
        let step = 1.0;
        panels.push(Panel::Matrix(Matrix { title, values, rows, first, step, range, colormap }));
    }
    figure.rows.push(Row { height: 0.0, panels });
    let unit = plan.plot().unit.clone().unwrap_or_default();
    figure.bar = Some(ColourBar { range, colormap, unit });
    plan.write("plot matrix", &figure)
}

/// The rows and columns that are shown.
fn part(zoom: Option<&[usize]>, size: usize) -> Result<Range<usize>> {
    match zoom {
        None => Ok(0..size),
        Some(&[first, end]) if first < end && end <= size => Ok(first..end),
        Some(other) => bail!(
            "--zoom {other:?} is not allowed: allowed are a first number and an end above it, up \
             to {size}"
        ),
    }
}

fn cut(table: &Array2<f64>, part: Range<usize>) -> Result<Array2<f64>> {
    Ok(Array2::from_shape_fn((part.len(), part.len()), |(i, j)| {
        table[[part.start + i, part.start + j]]
    }))
}

/// The same part of C_ij/√(C_ii C_jj).
fn correlation(table: &Array2<f64>, part: Range<usize>) -> Result<Array2<f64>> {
    ensure!(
        table.is_square(),
        "shape {:?}: allowed are square matrices with --correlation",
        table.shape()
    );
    let diagonal = table.diag();
    let bad = part.clone().find(|&i| diagonal[i].is_nan() || diagonal[i] <= 0.0);
    if let Some(i) = bad {
        bail!("the variance of number {i} is {:e}: allowed are positive ones", diagonal[i]);
    }
    let mut cut = cut(table, part.clone())?;
    for ((i, j), value) in cut.indexed_iter_mut() {
        *value /= (diagonal[part.start + i] * diagonal[part.start + j]).sqrt();
    }
    Ok(cut)
}
