//! The report as one page of HTML that needs nothing else.

use super::Judged;
use super::figures::Picture;
use crate::output;
use anyhow::Result;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use skyscat::validation::{Report, Verdict};

const STYLE: &str = "\
body{font:16px/1.5 system-ui,sans-serif;color:#1e1e1e;max-width:60rem;margin:0 auto;padding:1rem}\
h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2.2rem}\
figure{margin:1.2rem 0}figure svg{width:100%;height:auto}figcaption{font-size:.9rem;color:#555}\
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.88rem;min-width:34rem;width:100%}\
th,td{text-align:left;padding:.25rem .6rem;border-bottom:1px solid #ddd;vertical-align:top}\
td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}\
.pass{color:#00704f}.fail{color:#b3261e;font-weight:600}.big{font-size:1.1rem}small{color:#666}";

/// The page.
pub(super) fn html(judged: &Judged, figures: &[Picture]) -> Result<String> {
    let report = &judged.report;
    let title = "Emulated maps against the reference";
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                title { "skyscat: " (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (title) }
                (summary(report))
                (what(judged))
                h2 { "What the paper says, what we measure" }
                p { small {
                    "Limits: " (judged.settings.validate.limits.as_deref().unwrap_or(""))
                    ", stated before the run (skyscat validate --print-limits shows them). \
                     Covariance scores are in units of what that many reference draws give."
                } }
                (verdicts(judged))
                (limited(report))
                h2 { "What the inputs alone give" }
                (alone(report))
                h2 { "Figures" }
                @for picture in figures {
                    figure id=(picture.name) {
                        (PreEscaped(picture.scene.to_svg()?.replace("url(#c", &format!("url(#{}-c", picture.name)).replace("id=\"c", &format!("id=\"{}-c", picture.name))))
                        figcaption { (picture.caption) " " small { "figures/" (picture.name) ".png, .svg" } }
                    }
                }
                h2 { "All scores" }
                (scores(report))
                p { small {
                    "Written by skyscat " (output::VERSION) ", seed " (report.seed)
                    ". Every number is in report.json, scores.md, verdicts.csv, spectra.csv, pixels.csv, \
                     minkowski.csv, coefficients.csv and eigenvalues.csv; the command and the \
                     checksums of all files in manifest.json."
                } }
            }
        }
    };
    Ok(page.into_string())
}

fn summary(report: &Report) -> Markup {
    let passed = report.verdicts.iter().filter(|v| v.pass).count();
    let all = report.verdicts.len();
    html! {
        p.big {
            @if report.passed() { span.pass { "Pass: " } } @else { span.fail { "Fail: " } }
            (passed) " of " (all) " scores are within their limits."
        }
    }
}

fn what(judged: &Judged) -> Markup {
    let maps = &judged.sets[0].maps;
    html! {
        div.scroll { table {
            tr { th { "Set" } th { "Maps" } th { "Files" } }
            @for set in &judged.sets {
                tr {
                    td { (set.name) }
                    td.n { (set.maps.n_maps()) }
                    td { (set.files[0].display())
                         @if set.files.len() > 1 { " and " (set.files.len() - 1) " more" } }
                }
            }
            tr {
                td { "covariance" } td {}
                td { @match &judged.settings.validate.covariance {
                    Some(path) => (path.display()),
                    None => "of the reference maps",
                } }
            }
        } }
        p { "Nside " (maps.nside()) ", channels " (maps.channels().join(" ")) ", "
            (maps.unit().unwrap_or("no unit stated")) "; " (judged.config.modes)
            " modes, batches of " (judged.config.batch) "." }
    }
}

/// What no emulation from so few inputs, or of so few maps, could do better.
fn limited(report: &Report) -> Markup {
    let [_, emulated, inputs] = report.n_maps.map(|n| n as f64);
    html! {
        p { small {
            "Limited by counts: the mean of " (inputs) " inputs is itself off by 1/√" (inputs) " = "
            (number(Some(inputs.sqrt().recip()))) " σ, which is √(" (emulated) "/" (inputs) ") = "
            (number(Some((emulated / inputs).sqrt()))) " standard errors of " (emulated)
            " maps; scores named mean cannot be expected far below a few times that. Variances \
             and correlations that are learnt from " (inputs) " maps scatter alike."
        } }
    }
}

pub(super) fn number(value: Option<f64>) -> String {
    match value {
        None => "none".to_owned(),
        Some(v) if v != 0.0 && !(1e-3..1e5).contains(&v.abs()) => format!("{v:.3e}"),
        Some(v) => format!("{v:.4}"),
    }
}

pub(super) fn allowed(v: &Verdict) -> String {
    match (v.min, v.max) {
        (Some(min), Some(max)) => format!("{min} to {max}"),
        (Some(min), None) => format!("≥ {min}"),
        (None, Some(max)) => format!("≤ {max}"),
        (None, None) => String::new(),
    }
}

fn word(pass: bool) -> Markup {
    html! { @if pass { span.pass { "pass" } } @else { span.fail { "fail" } } }
}

fn verdicts(judged: &Judged) -> Markup {
    let baseline = judged.baseline.as_ref();
    let other = |name: &str| baseline.and_then(|b| b.verdicts.iter().find(|v| v.name == name));
    html! {
        div.scroll { table {
            tr {
                th { "Score" } th { "Paper" } th { "Emulated" } th { "Allowed" } th { "Verdict" }
                @if baseline.is_some() { th { "Gaussian" } th { "Verdict" } }
            }
            @for v in &judged.report.verdicts {
                tr {
                    td { (v.name) br; small { (v.remark) } }
                    td { (v.claim.as_deref().unwrap_or("")) }
                    td.n { (number(v.measured)) }
                    td { (allowed(v)) br; small { (v.reason) } }
                    td { (word(v.pass)) }
                    @if let Some(g) = other(&v.name) {
                        td.n { (number(g.measured)) }
                        td { (word(g.pass)) }
                    }
                }
            }
        } }
    }
}

fn alone(report: &Report) -> Markup {
    let base = &report.baseline;
    let own = &report.covariance;
    let both = &base.shrunk_to_emulated;
    let line = |name: &str, values: [f64; 4]| {
        html! { tr { td { (name) } @for v in values { td.n { (number(Some(v))) } } } }
    };
    html! {
        div.scroll { table {
            tr {
                th {} th { "Inputs" } th { "Inputs, Ledoit–Wolf" } th { "Emulated" }
                th { "Inputs shrunk to emulated" }
            }
            (line("off-diagonal correlation error", [
                base.sample.correlation_error, base.shrunk.correlation_error, own.correlation_error, both.correlation_error
            ]))
            (line("rms of ln(variance/reference)", [
                base.sample.log_variance_rms, base.shrunk.log_variance_rms, own.log_variance_rms, both.log_variance_rms
            ]))
            (line("trace/reference", [
                base.sample.trace_ratio, base.shrunk.trace_ratio, own.trace_ratio, both.trace_ratio
            ]))
        } }
        p { "Mean χ² of reference maps: " (number(Some(base.chi2.mean))) " on the "
            (base.chi2.modes) " modes of the inputs, "
            @if let Some(chi2) = &report.chi2 { (number(Some(chi2.mean))) " on the " (chi2.modes) " of the emulated maps, " }
            (number(Some(report.chi2_reference.mean))) " on the true ones. Shrinkage intensity "
            (number(Some(base.shrinkage.intensity))) " (Ledoit–Wolf), "
            (number(Some(base.shrinkage_to_emulated.intensity))) " (to the emulated covariance)"
            @match base.hartlap {
                Some(factor) => { "; Hartlap factor " (number(Some(factor))) "." },
                None => { "; so few maps have no inverse covariance, and no Hartlap factor." },
            }
        }
    }
}

fn scores(report: &Report) -> Markup {
    html! {
        div.scroll { table {
            tr { th { "Score" } th { "Measured" } th { "Expected of draws" } th { "Remark" } }
            @for score in &report.scores {
                tr {
                    td { (score.name) }
                    td.n { (number(score.value)) }
                    td.n { @if let Some(e) = score.expected { (number(Some(e))) } }
                    td { small { (score.remark) } }
                }
            }
        } }
    }
}
