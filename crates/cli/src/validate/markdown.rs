//! The scores of a validation as Markdown tables, to be pasted into a document.

use super::Judged;
use super::page::{allowed, number};
use std::fmt::Write;

/// Covariances beside those of the inputs, then every verdict.
pub(super) fn scores(judged: &Judged) -> String {
    let report = &judged.report;
    let passed = report.verdicts.iter().filter(|v| v.pass).count();
    let [_, emulated, inputs] = report.n_maps;
    let mut text = format!(
        "{emulated} maps from {inputs}: {passed} of {} scores within their limits.\n\n",
        report.verdicts.len()
    );
    covariances(judged, &mut text);
    let baseline = judged.baseline.as_ref();
    text += "\n| score | paper | emulated | allowed | verdict |";
    text += if baseline.is_some() { " Gaussian | verdict |\n" } else { "\n" };
    text += if baseline.is_some() {
        "|---|---|---|---|---|---|---|\n"
    } else {
        "|---|---|---|---|---|\n"
    };
    for v in &report.verdicts {
        let claim = v.claim.as_deref().unwrap_or("");
        let (measured, limits) = (number(v.measured), allowed(v));
        let _ = write!(text, "| {} | {claim} | {measured} | {limits} | {} |", v.name, word(v.pass));
        let other = baseline.and_then(|b| b.verdicts.iter().find(|g| g.name == v.name));
        if let Some(g) = other {
            let _ = write!(text, " {} | {} |", number(g.measured), word(g.pass));
        }
        text.push('\n');
    }
    text
}

fn word(pass: bool) -> &'static str {
    if pass { "pass" } else { "**fail**" }
}

/// What the inputs alone know of the covariance, and what the judged maps do.
fn covariances(judged: &Judged, text: &mut String) {
    let (report, base) = (&judged.report, &judged.report.baseline);
    let gaussian = judged.baseline.as_ref();
    *text += "| | inputs | inputs, Ledoit–Wolf | emulated | inputs shrunk to emulated | Gaussian |\n|---|---|---|---|---|---|\n";
    let mut line = |name: &str, values: [Option<f64>; 5]| {
        let shown = values.map(|v| v.map_or_else(String::new, |v| number(Some(v))));
        let _ = writeln!(text, "| {name} | {} |", shown.join(" | "));
    };
    let [sample, shrunk] = [&base.sample, &base.shrunk];
    let (own, other) = (&report.covariance, gaussian.map(|g| &g.covariance));
    let both = &base.shrunk_to_emulated;
    line(
        "off-diagonal correlation error",
        [
            Some(sample.correlation_error),
            Some(shrunk.correlation_error),
            Some(own.correlation_error),
            Some(both.correlation_error),
            other.map(|o| o.correlation_error),
        ],
    );
    line(
        "rms of ln(variance/reference)",
        [
            Some(sample.log_variance_rms),
            Some(shrunk.log_variance_rms),
            Some(own.log_variance_rms),
            Some(both.log_variance_rms),
            other.map(|o| o.log_variance_rms),
        ],
    );
    line(
        "trace/reference",
        [
            Some(sample.trace_ratio),
            Some(shrunk.trace_ratio),
            Some(own.trace_ratio),
            Some(both.trace_ratio),
            other.map(|o| o.trace_ratio),
        ],
    );
    let ratio = |r: &skyscat::validation::Report| r.eigenvalues.as_ref().map(|e| e.log_rms);
    line(
        "rms of ln(eigenvalue/reference), leading modes",
        [Some(base.eigenvalues.log_rms), None, ratio(report), None, gaussian.and_then(ratio)],
    );
    let chi2 = |r: &skyscat::validation::Report| r.chi2.as_ref().map(|c| c.mean);
    line(
        "mean χ² of reference maps on own modes (truth: 1)",
        [Some(base.chi2.mean), None, chi2(report), None, gaussian.and_then(chi2)],
    );
}
