//! `skyscat statistics`: labelled scattering covariances of every map.

use crate::args::StatisticsArgs;
use crate::choices::{DefinitionWord, NormaliseWord, OrientationWord};
use crate::input::Inputs;
use crate::settings::{Settings, StatisticsSection};
use crate::{Ending, output, say};
use anyhow::{Context, Result, bail, ensure};
use ndarray::{ArrayView1, Axis};
use skyscat::healpix::{MapSet, Ordering};
use skyscat::io::{CsvValue, NpzArray, Overwrite, Precision, read_npz, write_csv, write_npz};
use skyscat::num::Par;
use skyscat::scattering::{
    CoefficientTable, Config, Definition, Kind, Normalisation, Orientation, OrientationConfig,
    Scattering, Selection,
};
use skyscat::wavelet::{FilterBank, KernelSize};
use std::collections::BTreeMap;
use std::path::Path;

/// Maps measured at once.
const BATCH: usize = 16;

type Orientations = BTreeMap<String, Orientation>;

pub(crate) fn run(args: StatisticsArgs) -> Result<Ending> {
    let given = Settings {
        input: args.input,
        statistics: args.statistics,
        output: args.output,
        run: args.common.run.clone(),
        ..Settings::default()
    };
    let sections = ["input", "statistics", "output", "run"];
    let mut settings = given.over(args.common.config.as_deref(), &sections)?;
    let path = output::required(&settings.output.output, "a name in .npz or .csv")?;
    output::check_extension(&path, &["npz", "csv"])?;
    let config = resolve(&mut settings.statistics)?;
    let companion = output::settings_path(&path);
    let mut written = vec![path.clone(), companion.clone()];
    if let Some(file) = &args.orientation_output {
        output::check_extension(file, &["npz"])?;
        ensure!(
            settings.statistics.orientation == Some(OrientationWord::FromInput),
            "{}: there are no orientations to save: --orientation-output needs --orientation \
             from-input",
            file.display()
        );
        written.push(file.clone());
    }
    for file in &written {
        output::check_file(file, args.replace.overwrite)?;
    }
    let inputs = Inputs::read(&settings.input, settings.statistics.mask.as_deref())?;
    inputs.say_assumptions(args.common.quiet);
    let par = Par::new(settings.run.threads.expect("has a default"))?;
    let scattering = Scattering::new(inputs.maps.nside(), config, &inputs.masks)
        .with_context(|| inputs.names())?;
    settings.statistics.scales = Some(scattering.scales());
    let orientation = settings.statistics.orientation.clone().expect("has a default");
    let nest = inputs.maps.reordered(Ordering::Nest);
    let selection = Selection::all(nest.channels().len());
    let orientations = orientations(&scattering, &nest, &selection, &orientation, &par)?;
    let channels = nest.channels().to_vec();
    let how = (BATCH, &par);
    let tables = scattering.compute(&channels, nest.data(), &selection, &orientations, how)?;
    let replace = output::replace(args.replace.overwrite);
    match output::has_extension(&path, &["npz"]) {
        true => write_arrays(&path, &tables, replace)?,
        false => write_long(&path, &tables, replace)?,
    }
    if let Some(file) = &args.orientation_output {
        save_orientations(file, &orientations, replace)?;
    }
    output::write_settings(&companion, "statistics", &settings, replace)?;
    if !args.common.quiet {
        let count: usize = tables.iter().map(|t| t.data.len()).sum();
        say::note(&format!("{}: {count} coefficients of {}", path.display(), inputs.summary()));
    }
    Ok(Ending::Done)
}

/// The library's settings; what depends on the definition is filled in.
pub(crate) fn resolve(section: &mut StatisticsSection) -> Result<Config> {
    let (definition, base) = match section.definition.expect("has a default") {
        DefinitionWord::Paper => (Definition::Paper, Config::campeti2025()),
        DefinitionWord::HealpixMl => (Definition::HealpixMl, Config::healpixml()),
    };
    let normalise = *section.normalise.get_or_insert(match definition {
        Definition::Paper => NormaliseWord::Own,
        Definition::HealpixMl => NormaliseWord::None,
    });
    let side = section.kernel.expect("has a default");
    let bank = FilterBank {
        kernel: KernelSize::from_side(side).context("--kernel")?,
        orientations: section.orientations.expect("has a default"),
        ..base.bank
    };
    bank.check().context("--orientations")?;
    if definition == Definition::HealpixMl && normalise != NormaliseWord::None {
        bail!(
            "--normalise {normalise}: the healpixml definition never normalises: allowed is none"
        );
    }
    let normalisation = match normalise {
        NormaliseWord::Own => Normalisation::Own,
        NormaliseWord::None => Normalisation::None,
    };
    Ok(Config { bank, scales: section.scales, normalisation, ..base })
}

fn orientations(
    scattering: &Scattering,
    nest: &MapSet,
    selection: &Selection,
    word: &OrientationWord,
    par: &Par,
) -> Result<Orientations> {
    let names = selection.names(nest.channels());
    match word {
        OrientationWord::None => Ok(BTreeMap::new()),
        OrientationWord::FromInput => {
            let how = OrientationConfig::of(scattering.config().definition);
            let data = nest.data();
            let channel = |c: usize| data.index_axis(Axis(1), c);
            let autos = selection.autos.iter().map(|&a| (a, None));
            let pairs = selection.pairs.iter().map(|&(a, b)| (a, Some(b)));
            let fields = names.into_iter().zip(autos.chain(pairs));
            fields
                .map(|(name, (a, b))| {
                    let (a, b) = (channel(a), b.map(channel));
                    Ok((name, Orientation::find(scattering, how, a, b, par)?))
                })
                .collect()
        }
        OrientationWord::File(path) => {
            let arrays = read_npz(path)?;
            let fields = names.into_iter().map(|name| {
                let phases = |order: &str| -> Result<Vec<Vec<f64>>> {
                    (0..scattering.scales())
                        .map(|j| {
                            let key = format!("{name}_{order}_{j}");
                            let array = arrays.get(&key).with_context(|| {
                                let found: Vec<&str> = arrays.keys().map(String::as_str).collect();
                                format!(
                                    "{}: there is no array {key}: the file has {}",
                                    path.display(),
                                    found.join(", ")
                                )
                            })?;
                            Ok(array.iter().copied().collect())
                        })
                        .collect()
                };
                let (first, second) = (phases("first")?, phases("second")?);
                let found = Orientation::from_phases(scattering, &first, &second)
                    .with_context(|| format!("{}: {name}", path.display()))?;
                Ok((name, found))
            });
            fields.collect()
        }
    }
}

/// Phases in radians: `Q_first_0` (pixels), `Q_second_0` (pixels × orientations), ….
fn save_orientations(path: &Path, orientations: &Orientations, replace: Overwrite) -> Result<()> {
    let mut arrays = Vec::new();
    for (name, orientation) in orientations {
        for (order, tables) in [("first", orientation.first()), ("second", orientation.second())] {
            for (j, table) in tables.iter().enumerate() {
                arrays.push((format!("{name}_{order}_{j}"), table));
            }
        }
    }
    let views: Vec<_> = arrays
        .iter()
        .map(|(name, table)| {
            let phases = ArrayView1::from(table.phases());
            let shape = match name.contains("_second_") {
                true => vec![table.pixels(), table.groups()],
                false => vec![table.pixels()],
            };
            let view = phases.into_dyn().into_shape_with_order(shape).expect("as many phases");
            (name.as_str(), view)
        })
        .collect();
    Ok(write_npz(path, &views, Precision::F64, replace)?)
}

fn write_arrays(path: &Path, tables: &[CoefficientTable], replace: Overwrite) -> Result<()> {
    let names: Vec<String> = tables.iter().map(CoefficientTable::name).collect();
    let reals: Vec<_> = tables.iter().map(|t| t.data.mapv(|z| z.re)).collect();
    let arrays: Vec<(&str, NpzArray<'_>)> = (names.iter().zip(tables).zip(&reals))
        .map(|((name, table), real)| {
            let array = match table.complex {
                true => NpzArray::Complex(table.data.view()),
                false => NpzArray::Real(real.view()),
            };
            (name.as_str(), array)
        })
        .collect();
    Ok(write_npz(path, &arrays, Precision::F64, replace)?)
}

/// Scale and orientation labels of all blocks, in the order of their columns.
fn labels() -> (Vec<&'static str>, Vec<&'static str>) {
    let mut scales: Vec<&str> = Vec::new();
    let mut orientations: Vec<&str> = Vec::new();
    for kind in Kind::ALL {
        let news = kind.scale_labels().iter().filter(|l| !scales.contains(l)).collect::<Vec<_>>();
        scales.extend(news);
        let news = kind
            .orientation_labels()
            .iter()
            .filter(|l| !orientations.contains(l))
            .collect::<Vec<_>>();
        orientations.extend(news);
    }
    (scales, orientations)
}

fn write_long(path: &Path, tables: &[CoefficientTable], replace: Overwrite) -> Result<()> {
    let (scales, orientations) = labels();
    let mut columns = vec!["field", "block", "map", "mask"];
    columns.extend(scales.iter().chain(&orientations));
    columns.extend(["re", "im"]);
    let empty = || CsvValue::from("");
    let rows = tables.iter().flat_map(|table| {
        let (scales, orientations) = (&scales, &orientations);
        table.data.indexed_iter().map(move |(index, z)| -> Vec<CsvValue> {
            let own = table.kind.scale_labels();
            let turns = table.kind.orientation_labels();
            let scale = |label: &&str| {
                let at = own.iter().position(|l| l == label);
                at.map_or_else(empty, |i| table.scales[index[2]][i].into())
            };
            let turn = |label: &&str| {
                let at = turns.iter().position(|l| l == label);
                at.map_or_else(empty, |i| index[3 + i].into())
            };
            let mut row: Vec<CsvValue> = vec![table.field.clone().into()];
            row.extend([table.kind.to_string().into(), index[0].into(), index[1].into()]);
            row.extend(scales.iter().map(scale));
            row.extend(orientations.iter().map(turn));
            row.extend([z.re.into(), if table.complex { z.im.into() } else { empty() }]);
            row
        })
    });
    Ok(write_csv(path, &columns, rows, replace)?)
}
