//! The figures of Campeti et al. (2025) for the sets at hand.

use super::{Judged, Named};
use anyhow::{Context, Result};
use ndarray::{Array2, Axis as Dimension};
use skyscat::validation::{
    HarmonicConfig, LabelledTable, PixelBins, Residuals, SampleCovariance, So3Functionals,
    TableSummary, matrix, measure_spectra,
};
use skyscat_plot::{
    Axes, Axis, Colormap, ColourBar, Figure, Matrix, Panel, Projection, Row, Scene, Series, SkyMap,
    Stroke, natural_range,
};
use std::ops::Range;

/// A figure, its file name and what it shows.
pub(super) struct Picture {
    pub(super) name: &'static str,
    pub(super) caption: String,
    pub(super) scene: Scene,
}

/// Width of a page in points.
const PAGE: f64 = 900.0;
/// Samples of emulated maps in the first figure.
const SAMPLES: usize = 3;
/// Rows and columns of a full matrix that are drawn.
const DRAWN: usize = 600;

/// All figures, in the order of the paper.
pub(super) fn all(judged: &Judged) -> Result<Vec<Picture>> {
    let mut list = vec![maps(judged)?, spectra(judged)?];
    list.extend(matrices(judged)?);
    list.push(modes(judged)?);
    list.extend(coefficients(judged)?);
    list.extend(minkowski(judged)?);
    list.push(pixels(judged)?);
    Ok(list)
}

fn set<'a>(judged: &'a Judged, name: &str) -> &'a Named {
    judged.sets.iter().find(|set| set.name == name).expect("read by the command")
}

/// Figure 1: an input and emulated maps.
fn maps(judged: &Judged) -> Result<Picture> {
    let (input, emulated) = (set(judged, "input"), set(judged, "emulated"));
    let unit = input.maps.unit().unwrap_or("").to_owned();
    let colormap = Colormap::Planck;
    let mut figure = Figure::new("", PAGE);
    let mut bar = None;
    for (index, channel) in input.maps.channels().iter().enumerate() {
        let values = |named: &Named, map: usize| -> Vec<f64> {
            named.maps.data().index_axis(Dimension(0), map).row(index).to_vec()
        };
        let first = values(input, 0);
        let range = natural_range(&first).context("the first input has no data")?;
        let range = bar.as_ref().map_or(range, |bar: &ColourBar| bar.range);
        let panel = |title: String, values: Vec<f64>| {
            Panel::Sky(SkyMap {
                title,
                values,
                ordering: input.maps.ordering(),
                projection: Projection::Mollweide,
                range,
                colormap,
                graticule_deg: None,
            })
        };
        let mut panels = vec![panel(format!("{channel}, input"), first)];
        for map in 0..SAMPLES.min(emulated.maps.n_maps()) {
            panels.push(panel(format!("{channel}, sample {}", map + 1), values(emulated, map)));
        }
        figure.rows.push(Row { height: 0.0, panels });
        bar = Some(ColourBar { range, colormap, unit: unit.clone() });
    }
    figure.bar = bar;
    let caption = "An input map and emulated maps (paper, Fig. 1).".to_owned();
    Ok(Picture { name: "fig1-maps", caption, scene: figure.draw()? })
}

/// A table of every set, summed up.
struct Summaries<'a> {
    sets: Vec<(&'a Named, TableSummary)>,
}

impl<'a> Summaries<'a> {
    fn of(
        sets: &'a [Named],
        measure: impl Fn(&Named) -> Result<LabelledTable>,
    ) -> Result<Summaries<'a>> {
        let one = |set: &'a Named| Ok((set, measure(set)?.summary()?));
        Ok(Self { sets: sets.iter().map(one).collect::<Result<_>>()? })
    }

    /// Means with their scatter, and residuals against the first set, of the columns of
    /// a part: an upper and a lower panel.
    fn panels(&self, part: Part<'_>) -> Result<[Panel; 2]> {
        let Part { title, x, columns, x_axis, y_axis } = part;
        let mut upper = Axes::new(title, x_axis.clone().bare(), y_axis);
        let mut lower = Axes::new("", x_axis, Axis::linear("Δ, Δ±  [σ]").from_to(-2.5, 2.5));
        let level = |y: f64| Series::Line {
            x: vec![x[0], x[x.len() - 1]],
            y: vec![y; 2],
            stroke: Stroke::dashed(0.6, [150; 3]),
            name: String::new(),
        };
        lower.series.extend([level(-1.0), level(0.0), level(1.0)]);
        for (named, summary) in &self.sets {
            let (mean, std) = (&summary.mean[columns.clone()], &summary.std[columns.clone()]);
            let between = mean.iter().zip(std).map(|(m, s)| (m - s, m + s)).collect();
            let colour = named.colour;
            let band = Series::Band { x: x.to_vec(), between, colour, name: String::new() };
            upper.series.push(band);
            upper.series.push(line(x, mean, Stroke::solid(1.2, colour), named.name));
        }
        let (_, reference) = &self.sets[0];
        for (named, summary) in &self.sets[1..] {
            let Residuals { labels, delta, delta_plus, delta_minus, .. } =
                Residuals::of(summary, reference)?;
            // Columns that do not vary have no residual.
            let place = |label: &String| labels.iter().position(|l| l == label);
            let at: Vec<Option<usize>> =
                summary.labels[columns.clone()].iter().map(place).collect();
            let pick = |list: &[f64]| -> Vec<f64> {
                at.iter().map(|i| i.map_or(f64::NAN, |i| list[i])).collect()
            };
            lower.series.push(line(x, &pick(&delta), Stroke::solid(1.2, named.colour), ""));
            for side in [&delta_plus, &delta_minus] {
                lower.series.push(line(x, &pick(side), Stroke::solid(0.5, named.colour), ""));
            }
        }
        Ok([Panel::Axes(upper), Panel::Axes(lower)])
    }
}

/// Some columns of a table against their abscissae.
struct Part<'a> {
    title: &'a str,
    x: &'a [f64],
    columns: Range<usize>,
    x_axis: Axis,
    y_axis: Axis,
}

fn line(x: &[f64], y: &[f64], stroke: Stroke, name: &str) -> Series {
    Series::Line { x: x.to_vec(), y: y.to_vec(), stroke, name: name.to_owned() }
}

/// Rows of upper and lower panels.
fn two_rows(pairs: Vec<[Panel; 2]>, heights: [f64; 2]) -> Vec<Row> {
    let (mut above, mut below) = (Vec::new(), Vec::new());
    for [mut upper, lower] in pairs {
        // One legend is enough, and the first panel has room for it.
        if let (Panel::Axes(axes), true) = (&mut upper, above.is_empty()) {
            axes.legend = true;
        }
        above.push(upper);
        below.push(lower);
    }
    vec![Row { height: heights[0], panels: above }, Row { height: heights[1], panels: below }]
}

/// Figure 3: spectra and their residuals.
fn spectra(judged: &Judged) -> Result<Picture> {
    let config = HarmonicConfig::campeti2025(judged.sets[0].maps.nside().get());
    let measure = |set: &Named| Ok(measure_spectra(&set.maps, config, &judged.par)?);
    let summaries = Summaries::of(&judged.sets, measure)?;
    let degrees = config.lmax - 1;
    let x: Vec<f64> = (2..=config.lmax).map(|l| l as f64).collect();
    let unit = judged.sets[0].maps.unit().map_or(String::new(), |u| format!(" [{u}^{{2}}]"));
    let pairs = ["EE", "BB", "EB"].iter().enumerate().map(|(k, kind)| {
        let y_axis = if k < 2 { Axis::log } else { Axis::linear };
        summaries.panels(Part {
            title: kind,
            x: &x,
            columns: k * degrees..(k + 1) * degrees,
            x_axis: Axis::log("Multipole ℓ"),
            y_axis: y_axis(&format!("C_{{ℓ}}{unit}")),
        })
    });
    let mut figure = Figure::new("", PAGE);
    figure.rows = two_rows(pairs.collect::<Result<_>>()?, [190.0, 90.0]);
    let caption = "Spectra: means and scatter of single maps; below Δ (thick) and Δ± (thin) in \
                   units of the reference's scatter (paper, Fig. 3)."
        .to_owned();
    Ok(Picture { name: "fig3-spectra", caption, scene: figure.draw()? })
}

/// Figures 4 and 5: correlation matrices, thinned and zoomed.
fn matrices(judged: &Judged) -> Result<Vec<Picture>> {
    let variables = 2 * judged.sets[0].maps.nside().npix();
    let drawn = DRAWN.min(variables);
    let thinned: Vec<usize> = (0..drawn).map(|i| i * variables / drawn).collect();
    let zoom = judged.config.zoom.clone().unwrap_or(0..variables.min(80));
    let zoomed: Vec<usize> = zoom.clone().collect();
    let parts = [
        (
            "fig4-correlation",
            &thinned,
            "Correlation matrices, RING, Q above U (paper, Fig. 4): \
                                        every tenth row and column or so is drawn."
                .to_owned(),
        ),
        (
            "fig5-correlation-zoom",
            &zoomed,
            format!("The same, variables {} to {} (paper, Fig. 5).", zoom.start, zoom.end),
        ),
    ];
    let mut pictures = Vec::new();
    for (name, chosen, caption) in parts {
        let range = (-1.0, 1.0);
        let colormap = Colormap::RdBu;
        let mut panels = Vec::new();
        for (index, set) in judged.sets.iter().enumerate() {
            let exact = judged.exact.as_ref().filter(|_| index == 0);
            let covariance = match exact {
                Some(exact) => Array2::from_shape_fn((chosen.len(), chosen.len()), |(i, j)| {
                    exact[[chosen[i], chosen[j]]]
                }),
                None => {
                    let maps = matrix(&set.maps).select(Dimension(1), chosen);
                    SampleCovariance::of(maps.view(), &judged.par)?.covariance
                }
            };
            let scale = covariance.diag().mapv(|v| if v > 0.0 { v.sqrt().recip() } else { 0.0 });
            let values = covariance.indexed_iter().map(|((i, j), c)| c * scale[i] * scale[j]);
            let title = match exact {
                Some(_) => "reference (exact)".to_owned(),
                None => format!("{} ({} maps)", set.name, set.maps.n_maps()),
            };
            let (first, rows) = (chosen[0], chosen.len());
            // Marks count variables, whether or not all of them are drawn.
            let step = (chosen[rows - 1] + 1 - first) as f64 / rows as f64;
            let values = values.collect();
            let matrix = Matrix { title, values, rows, first, step, range, colormap };
            panels.push(Panel::Matrix(matrix));
        }
        let mut figure = Figure::new("", PAGE);
        figure.rows.push(Row { height: 0.0, panels });
        figure.bar = Some(ColourBar { range, colormap, unit: String::new() });
        pictures.push(Picture { name, caption, scene: figure.draw()? });
    }
    Ok(pictures)
}

/// Figure 6: eigenvalue ratios, and χ² of reference maps.
fn modes(judged: &Judged) -> Result<Picture> {
    let report = &judged.report;
    let colour = |name: &str| set(judged, name).colour;
    let numbers = |n: usize| (1..=n).map(|i| i as f64).collect::<Vec<_>>();
    let mut ratios =
        Axes::new("Eigenvalues over the reference's", Axis::linear("Mode"), Axis::log("λ/λ_{ref}"));
    let mut draw = |name: &str, list: &[f64]| {
        let stroke = Stroke::solid(1.3, colour(name));
        ratios.series.push(line(&numbers(list.len()), list, stroke, name));
    };
    draw("input", &report.baseline.eigenvalues.ratio);
    if let Some(found) = &report.eigenvalues {
        draw("emulated", &found.ratio);
    }
    if let Some(found) = judged.baseline.as_ref().and_then(|b| b.eigenvalues.as_ref()) {
        draw("Gaussian", &found.ratio);
    }
    let end = judged.config.modes as f64;
    ratios.series.push(line(&[1.0, end], &[1.0; 2], Stroke::dashed(0.8, [150; 3]), ""));
    ratios.legend = true;
    let mut chi2 = Axes::new(
        "χ² of reference maps on the modes of",
        Axis::linear("χ^{2}/d").from_to(0.0, 2.5),
        Axis::linear("Share of maps"),
    );
    let mut histogram = |name: &str, values: &[f64]| {
        let (bins, high) = (50, 2.5);
        let mut heights = vec![0.0; bins];
        for value in values {
            let bin = (value / high * bins as f64) as usize;
            heights[bin.min(bins - 1)] += 1.0 / values.len() as f64;
        }
        let edges = (0..=bins).map(|i| high * i as f64 / bins as f64).collect();
        let stroke = Stroke::solid(1.3, colour(name));
        chi2.series.push(Series::Steps { edges, heights, stroke, name: name.to_owned() });
    };
    histogram("reference", &report.chi2_reference.values);
    histogram("input", &report.baseline.chi2.values);
    if let Some(found) = &report.chi2 {
        histogram("emulated", &found.values);
    }
    if let Some(found) = judged.baseline.as_ref().and_then(|b| b.chi2.as_ref()) {
        histogram("Gaussian", &found.values);
    }
    chi2.legend = true;
    let mut figure = Figure::new("", PAGE);
    figure.rows.push(Row { height: 230.0, panels: vec![Panel::Axes(ratios), Panel::Axes(chi2)] });
    let caption = format!(
        "Leading eigenvalues, and reduced χ² of {} reference maps on the leading modes of each \
         covariance (paper, Fig. 6). The inputs have only {} modes.",
        report.chi2_reference.values.len(),
        report.baseline.chi2.modes
    );
    Ok(Picture { name: "fig6-modes", caption, scene: figure.draw()? })
}

/// Figure C.1: residuals of the scattering coefficients.
fn coefficients(judged: &Judged) -> Result<Option<Picture>> {
    let Some(found) = &judged.report.coefficients else { return Ok(None) };
    let mut figure = Figure::new("", PAGE);
    for field in ["Q", "U", "QxU"] {
        let start = format!("{field} ");
        let own: Vec<usize> =
            (0..found.labels.len()).filter(|&i| found.labels[i].starts_with(&start)).collect();
        if own.is_empty() {
            continue;
        }
        let numbers = (0..own.len()).map(|i| i as f64).collect::<Vec<_>>();
        let pick = |list: &[f64]| own.iter().map(|&i| list[i]).collect::<Vec<f64>>();
        let mut axes = Axes::new(
            &format!("{field}, {} numbers", own.len()),
            Axis::linear("Coefficient, S1 to S4"),
            Axis::linear("ΔS, ΔS±  [σ]").from_to(-3.0, 3.0),
        );
        let colour = set(judged, "emulated").colour;
        let between = pick(&found.delta_minus).into_iter().zip(pick(&found.delta_plus)).collect();
        let band = Series::Band { x: numbers.clone(), between, colour, name: String::new() };
        axes.series.push(band);
        let dots = Series::Dots {
            x: numbers.clone(),
            y: pick(&found.delta),
            error: Vec::new(),
            colour,
            name: String::new(),
        };
        axes.series.push(dots);
        let ends = [0.0, own.len() as f64];
        for level in [-1.0, 0.0, 1.0] {
            axes.series.push(line(&ends, &[level; 2], Stroke::dashed(0.7, [60; 3]), ""));
        }
        figure.rows.push(Row { height: 120.0, panels: vec![Panel::Axes(axes)] });
    }
    let caption = "Scattering coefficients of emulated maps against the reference, in units of \
                   its scatter: ΔS (dots) and ΔS± (band); ±1 (dashed) is where ΔS± of the reference \
                   lie (paper, Fig. C.1)."
        .to_owned();
    Ok(Some(Picture { name: "figC1-coefficients", caption, scene: figure.draw()? }))
}

/// Figure C.2: Minkowski functionals.
fn minkowski(judged: &Judged) -> Result<Option<Picture>> {
    let Some((config, method)) = &judged.config.minkowski else { return Ok(None) };
    let so3 = So3Functionals::new(judged.sets[0].maps.nside(), config.clone(), *method)?;
    let measure = |set: &Named| {
        let count = set.maps.n_maps().min(judged.config.minkowski_maps);
        let first: Vec<usize> = (0..count).collect();
        Ok(so3.of_maps(&set.maps.select_maps(&first)?, &judged.par)?)
    };
    let summaries = Summaries::of(&judged.sets, measure)?;
    let u = &config.thresholds;
    let pairs = (0..4).map(|v| {
        summaries.panels(Part {
            title: &format!("V_{{{v}}}"),
            x: u,
            columns: v * u.len()..(v + 1) * u.len(),
            x_axis: Axis::linear("Threshold u"),
            y_axis: Axis::linear(if v == 0 { "V" } else { "" }),
        })
    });
    let mut figure = Figure::new("", PAGE);
    figure.rows = two_rows(pairs.collect::<Result<_>>()?, [150.0, 80.0]);
    let caption = "Minkowski functionals of Q + iU on the rotation group (paper, Fig. C.2, by its \
                   formula at the roots)."
        .to_owned();
    Ok(Some(Picture { name: "figC2-minkowski", caption, scene: figure.draw()? }))
}

/// Figure C.3: how pixel values are distributed.
fn pixels(judged: &Judged) -> Result<Picture> {
    let config = &judged.config;
    let bins = PixelBins::of(&judged.sets[0].maps, config.pdf_bins, config.pdf_width)?;
    let summaries = Summaries::of(&judged.sets, |set| Ok(bins.measure(&set.maps)?))?;
    let unit = judged.sets[0].maps.unit().map_or(String::new(), |u| format!(" [{u}]"));
    let mut first = 0;
    let mut pairs = Vec::new();
    for (channel, edges) in bins.channels.iter().zip(&bins.edges) {
        // Without the open bins at both ends.
        let columns = first + 1..first + edges.len();
        let middle: Vec<f64> = edges.windows(2).map(|e| 0.5 * (e[0] + e[1])).collect();
        pairs.push(summaries.panels(Part {
            title: channel,
            x: &middle,
            columns,
            x_axis: Axis::linear(&format!("{channel}{unit}")),
            y_axis: Axis::log("Share of pixels"),
        })?);
        first += edges.len() + 1;
    }
    let mut figure = Figure::new("", PAGE);
    figure.rows = two_rows(pairs, [190.0, 90.0]);
    let caption = "Pixel values (paper, Fig. C.3).".to_owned();
    Ok(Picture { name: "figC3-pixels", caption, scene: figure.draw()? })
}
