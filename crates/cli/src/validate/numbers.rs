//! Every number of a validation, as JSON and CSV, and the scores as Markdown.

use super::{Judged, markdown};
use crate::output;
use anyhow::Result;
use skyscat::io::{CsvValue, write_atomic, write_csv};
use skyscat::validation::{Report, Residuals, Verdict};
use std::path::{Path, PathBuf};

/// Writes the files, and says which.
pub(super) fn write(judged: &Judged, folder: &Path) -> Result<Vec<PathBuf>> {
    let refuse = output::replace(false);
    let mut written = Vec::new();
    let mut json = |name: &str, report: &Report| -> Result<()> {
        let path = folder.join(name);
        let text = serde_json::to_string_pretty(report)? + "\n";
        write_atomic(&path, refuse, |out| out.write_all(text.as_bytes()))?;
        written.push(path);
        Ok(())
    };
    json("report.json", &judged.report)?;
    if let Some(baseline) = &judged.baseline {
        json("gaussian.json", baseline)?;
    }
    let path = folder.join("scores.md");
    write_atomic(&path, refuse, |out| out.write_all(markdown::scores(judged).as_bytes()))?;
    written.push(path);
    let path = folder.join("verdicts.csv");
    let columns = ["set", "score", "measured", "min", "max", "pass", "remark"];
    let lines = [("emulated", Some(&judged.report)), ("Gaussian", judged.baseline.as_ref())];
    let lines = lines.into_iter().filter_map(|(set, report)| Some((set, report?)));
    let rows = lines.flat_map(|(set, r)| r.verdicts.iter().map(move |v| verdict_row(set, v)));
    write_csv(&path, &columns, rows, refuse)?;
    written.push(path);
    let report = &judged.report;
    let tables = [
        ("spectra", Some(&report.spectra)),
        ("pixels", Some(&report.pdf)),
        ("minkowski", report.minkowski.as_ref()),
        ("coefficients", report.coefficients.as_ref()),
    ];
    for (name, residuals) in tables {
        let Some(residuals) = residuals else { continue };
        let path = folder.join(format!("{name}.csv"));
        write_residuals(&path, residuals)?;
        written.push(path);
    }
    let path = folder.join("eigenvalues.csv");
    let empty = Vec::new();
    let ratios = report.eigenvalues.as_ref().map_or(&empty, |e| &e.ratio);
    let inputs = &report.baseline.eigenvalues.ratio;
    let rows = (0..ratios.len().max(inputs.len())).map(|i| -> Vec<CsvValue> {
        let number = |list: &[f64]| list.get(i).copied().unwrap_or(f64::NAN).into();
        vec![(i + 1).into(), number(ratios), number(inputs)]
    });
    write_csv(&path, &["mode", "emulated_over_reference", "input_over_reference"], rows, refuse)?;
    written.push(path);
    Ok(written)
}

fn verdict_row(set: &str, v: &Verdict) -> Vec<CsvValue> {
    let number = |x: Option<f64>| x.map_or_else(|| CsvValue::from(""), CsvValue::from);
    let word = if v.pass { "pass" } else { "fail" };
    vec![
        set.into(),
        v.name.clone().into(),
        number(v.measured),
        number(v.min),
        number(v.max),
        word.into(),
        v.remark.clone().into(),
    ]
}

fn write_residuals(path: &Path, r: &Residuals) -> Result<()> {
    let columns = ["label", "delta", "delta_plus", "delta_minus", "log_spread", "log_spread_error"];
    let rows = r.labels.iter().enumerate().map(|(i, label)| -> Vec<CsvValue> {
        let numbers = [&r.delta, &r.delta_plus, &r.delta_minus, &r.log_spread, &r.log_spread_error];
        let mut row: Vec<CsvValue> = vec![label.clone().into()];
        row.extend(numbers.map(|list| CsvValue::from(list[i])));
        row
    });
    Ok(write_csv(path, &columns, rows, output::replace(false))?)
}
