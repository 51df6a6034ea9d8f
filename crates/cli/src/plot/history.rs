//! `skyscat plot history`: how the loss and its terms fell.

use super::{POINTS, Plan, stem};
use crate::Ending;
use crate::args::PlotCurveArgs;
use crate::input::expand;
use crate::settings::Settings;
use anyhow::{Context, Result, ensure};
use skyscat_plot::{Axes, Axis, Figure, PALETTE, Panel, Row, Series, Stroke};
use std::path::Path;

/// The losses of a file: their names, and a table of each batch by iteration.
struct History {
    names: Vec<String>,
    batches: Vec<Vec<Vec<f64>>>,
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
    let range = plan.range()?;
    let files = expand(plan.input().input.as_deref().unwrap_or(&[]))?;
    let titles = plan.titles(files.len(), "file")?;
    let mut panels = Vec::new();
    for (i, path) in files.iter().enumerate() {
        let history = read(path).with_context(|| path.display().to_string())?;
        let title = titles.get(i).cloned().unwrap_or_else(|| stem(path));
        panels.push(Panel::Axes(panel(&history, &title, range)));
    }
    let mut figure = Figure::new("", POINTS);
    figure.rows.push(Row { height: 260.0, panels });
    plan.write("plot history", &figure)
}

fn read(path: &Path) -> Result<History> {
    let mut reader = csv::Reader::from_path(path)?;
    let header: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    ensure!(
        header.len() > 2 && header[0] == "batch" && header[1] == "iteration",
        "not a history: allowed are the columns batch, iteration, loss and its terms"
    );
    let mut batches: Vec<Vec<Vec<f64>>> = Vec::new();
    let mut current = String::new();
    for (line, record) in reader.records().enumerate() {
        let record = record?;
        if record[0] != current || batches.is_empty() {
            current = record[0].to_owned();
            batches.push(Vec::new());
        }
        let numbers: Result<Vec<f64>, _> = record.iter().skip(1).map(str::parse).collect();
        let numbers = numbers.with_context(|| format!("line {}: not numbers", line + 2))?;
        batches.last_mut().expect("pushed above").push(numbers);
    }
    ensure!(!batches.is_empty(), "the history has no line");
    Ok(History { names: header[2..].to_vec(), batches })
}

fn panel(history: &History, title: &str, range: Option<(f64, f64)>) -> Axes {
    let mut axes = Axes::new(title, Axis::linear("Iteration"), Axis::log("Loss"));
    axes.y.range = range;
    axes.legend = true;
    for (column, name) in history.names.iter().enumerate() {
        for (number, batch) in history.batches.iter().enumerate() {
            let width = if column == 0 { 1.6 } else { 0.9 };
            axes.series.push(Series::Line {
                x: seen(batch, column).map(|row| row[0]).collect(),
                y: seen(batch, column).map(|row| row[1 + column]).collect(),
                stroke: Stroke::solid(width, PALETTE[column % PALETTE.len()]),
                name: if number == 0 { name.clone() } else { String::new() },
            });
        }
    }
    axes
}

/// The iterations at which a loss has a logarithm.
fn seen(batch: &[Vec<f64>], column: usize) -> impl Iterator<Item = &Vec<f64>> {
    batch.iter().filter(move |row| row[1 + column] > 0.0)
}
