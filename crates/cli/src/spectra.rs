//! `skyscat spectra`: angular power spectra of every map.

use crate::args::SpectraArgs;
use crate::input::Inputs;
use crate::settings::Settings;
use crate::{Ending, output, say};
use anyhow::{Context, Result, ensure};
use ndarray::{Array2, Axis};
use skyscat::autodiff::{Graph, Node, Program, Purpose, Shape};
use skyscat::harmonic::{Plan, SpectraOperator, SpectrumPower};
use skyscat::healpix::{MapSet, Ordering};
use skyscat::io::{
    CsvValue, FitsColumn, Overwrite, Precision, write_csv, write_fits_table, write_npz,
};
use skyscat::num::Par;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Spectra of one kind, shape (maps, lmax + 1).
struct Spectrum {
    name: String,
    values: Array2<f64>,
}

/// Maps transformed at once.
const BATCH: usize = 16;

pub(crate) fn run(args: SpectraArgs) -> Result<Ending> {
    let given = Settings {
        input: args.input,
        spectra: args.spectra,
        output: args.output,
        run: args.common.run.clone(),
        ..Settings::default()
    };
    let sections = ["input", "spectra", "output", "run"];
    let mut settings = given.over(args.common.config.as_deref(), &sections)?;
    let path = output::required(&settings.output.output, "a name in .npz, .csv or .fits")?;
    output::check_extension(&path, &["npz", "csv", "fits"])?;
    let companion = output::settings_path(&path);
    for file in [&path, &companion] {
        output::check_file(file, args.replace.overwrite)?;
    }
    let inputs = Inputs::read(&settings.input, None)?;
    inputs.say_assumptions(args.common.quiet);
    if output::has_extension(&path, &["fits"]) {
        let maps = inputs.maps.n_maps();
        for map in 0..maps {
            output::check_file(&numbered(&path, map, maps), args.replace.overwrite)?;
        }
    }
    let lmax = *settings.spectra.lmax.get_or_insert(3 * inputs.maps.nside().get() - 1);
    let iterations = settings.spectra.iterations.expect("has a default");
    let par = Par::new(settings.run.threads.expect("has a default"))?;
    let spectra = measure(&inputs.maps, lmax, iterations, &par)
        .with_context(|| format!("spectra of {}", inputs.names()))?;
    let replace = output::replace(args.replace.overwrite);
    write(&path, &spectra, inputs.maps.unit(), replace)?;
    output::write_settings(&companion, "spectra", &settings, replace)?;
    if !args.common.quiet {
        let names: Vec<&str> = spectra.iter().map(|s| s.name.as_str()).collect();
        say::note(&format!(
            "{}: {} of {} maps, multipoles 0 to {lmax}",
            path.display(),
            names.join(", "),
            inputs.maps.n_maps()
        ));
    }
    Ok(Ending::Done)
}

/// Spectra p = 2 and p = 1 of T, and of Q with U.
fn measure(maps: &MapSet, lmax: usize, iterations: usize, par: &Par) -> Result<Vec<Spectrum>> {
    let at = |name: &str| maps.channel(name).ok();
    let mut groups: Vec<(usize, Vec<usize>)> = Vec::new();
    groups.extend(at("T").map(|t| (0, vec![t])));
    if let (Some(q), Some(u)) = (at("Q"), at("U")) {
        groups.push((2, vec![q, u]));
    }
    ensure!(
        !groups.is_empty(),
        "channels {} have no spectra: allowed are T, Q with U, or all three",
        maps.channels().join(", ")
    );
    let has = |spin| groups.iter().any(|(s, _)| *s == spin);
    let labels = SpectraOperator::labels(has(0), has(2));
    let plans = (groups.iter())
        .map(|(spin, _)| Plan::<f64>::new(maps.nside(), lmax, *spin))
        .collect::<Result<Vec<_>, _>>()?;
    let mut graph = Graph::new();
    let alms: Vec<Node> = (plans.iter())
        .map(|plan| graph.input(Shape::complex(plan.modes().len(), plan.components())))
        .collect();
    for (power, name) in [(SpectrumPower::Two, "two"), (SpectrumPower::One, "one")] {
        let node = graph.apply(SpectraOperator::new(lmax, power), &alms)?;
        graph.output(name, node);
    }
    let graph = Arc::new(graph);
    let ring = maps.reordered(Ordering::Ring);
    let shape = (maps.n_maps(), lmax + 1);
    let mut spectra: Vec<Spectrum> = (["", "_p1"].iter())
        .flat_map(|suffix| labels.iter().map(move |label| format!("{label}{suffix}")))
        .map(|name| Spectrum { name, values: Array2::zeros(shape) })
        .collect();
    for (number, chunk) in ring.data().axis_chunks_iter(Axis(0), BATCH).enumerate() {
        let batch = chunk.len_of(Axis(0));
        let mut variables = Vec::new();
        for (plan, (_, channels)) in plans.iter().zip(&groups) {
            // [pixel][component][map]
            let fields = chunk.select(Axis(1), channels);
            let fields: Vec<f64> = fields.view().permuted_axes([2, 1, 0]).iter().copied().collect();
            let mut alm = vec![0.0; plan.alm_len(batch)];
            let mut scratch = plan.scratch(batch);
            par.install(|| plan.analysis(&fields, &mut alm, iterations, &mut scratch));
            variables.extend(alm);
        }
        let mut program = Program::<f64>::compile(graph.clone(), batch, Purpose::Values, par)?;
        program.evaluate(&variables);
        for (p, name) in ["two", "one"].into_iter().enumerate() {
            let (_, values) = program.output(name).expect("named above");
            for (i, value) in values.into_iter().enumerate() {
                let (map, rest) = (i % batch, i / batch);
                let (channel, l) = (rest % labels.len(), rest / labels.len());
                let spectrum = &mut spectra[p * labels.len() + channel];
                spectrum.values[[number * BATCH + map, l]] = value;
            }
        }
    }
    Ok(spectra)
}

fn write(path: &Path, spectra: &[Spectrum], unit: Option<&str>, replace: Overwrite) -> Result<()> {
    if output::has_extension(path, &["npz"]) {
        let arrays: Vec<_> =
            spectra.iter().map(|s| (s.name.as_str(), s.values.view().into_dyn())).collect();
        return Ok(write_npz(path, &arrays, Precision::F64, replace)?);
    }
    let (maps, multipoles) = spectra[0].values.dim();
    if output::has_extension(path, &["csv"]) {
        let mut columns = vec!["map", "l"];
        columns.extend(spectra.iter().map(|s| s.name.as_str()));
        let rows = (0..maps).flat_map(|map| (0..multipoles).map(move |l| (map, l)));
        let rows = rows.map(|(map, l)| -> Vec<CsvValue> {
            let values = spectra.iter().map(|s| s.values[[map, l]].into());
            [map.into(), l.into()].into_iter().chain(values).collect()
        });
        return Ok(write_csv(path, &columns, rows, replace)?);
    }
    for map in 0..maps {
        let unit_of = |name: &str| match unit {
            Some(unit) if name.ends_with("_p1") => Some(unit.to_owned()),
            Some(unit) => Some(format!("{unit}^2")),
            None => None,
        };
        let columns: Vec<FitsColumn> = (spectra.iter())
            .map(|s| FitsColumn {
                name: s.name.clone(),
                unit: unit_of(&s.name),
                values: s.values.row(map).to_vec(),
            })
            .collect();
        write_fits_table(&numbered(path, map, maps), "SPECTRA", &columns, replace)?;
    }
    Ok(())
}

/// `name.fits` for one map, `name_0003.fits` for one of several.
fn numbered(path: &Path, map: usize, maps: usize) -> PathBuf {
    if maps == 1 {
        return path.to_owned();
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}_{map:04}.fits"))
}
