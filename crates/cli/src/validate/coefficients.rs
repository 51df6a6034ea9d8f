//! Scattering coefficients as the labelled tables that the judge reads.

use anyhow::Result;
use ndarray::{Array2, Axis, Slice};
use skyscat::healpix::{MapSet, Ordering};
use skyscat::num::Par;
use skyscat::scattering::{CoefficientTable, Config, Scattering, Selection};
use skyscat::validation::LabelledTable;
use std::collections::BTreeMap;

/// Maps measured before their numbers are put aside.
const BLOCK: usize = 256;
/// Maps measured at once.
const BATCH: usize = 16;

/// Coefficients of the first maps, each relative to its own map as the settings say.
pub(super) fn table(
    maps: &MapSet,
    count: usize,
    config: &Config,
    par: &Par,
) -> Result<LabelledTable> {
    let count = count.min(maps.n_maps());
    let scattering = Scattering::new(maps.nside(), *config, &[])?;
    let selection = Selection::all(maps.channels().len());
    let (mut labels, mut values) = (Vec::new(), Vec::new());
    for first in (0..count).step_by(BLOCK) {
        let numbers: Vec<usize> = (first..(first + BLOCK).min(count)).collect();
        let part = maps.select_maps(&numbers)?.reordered(Ordering::Nest);
        let tables = scattering.compute(
            part.channels(),
            part.data(),
            &selection,
            &BTreeMap::new(),
            (BATCH, par),
        )?;
        if labels.is_empty() {
            labels = tables.iter().flat_map(names).collect();
        }
        for map in 0..numbers.len() {
            values.extend(tables.iter().flat_map(|table| row(table, map)));
        }
    }
    Ok(LabelledTable::new(labels.clone(), Array2::from_shape_vec((count, labels.len()), values)?)?)
}

/// Labels of one map's numbers: field, block, scales, orientations, part.
fn names(table: &CoefficientTable) -> Vec<String> {
    let one = table.data.slice_axis(Axis(0), Slice::from(..1));
    let parts: &[&str] = if table.complex { &[" re", " im"] } else { &[""] };
    one.indexed_iter()
        .flat_map(|(index, _)| {
            let scales: Vec<String> =
                table.scales[index[2]].iter().map(ToString::to_string).collect();
            let turns: Vec<String> =
                (3..table.data.ndim()).map(|axis| index[axis].to_string()).collect();
            let name = format!(
                "{} {} j=({}) l=({})",
                table.field,
                table.kind,
                scales.join(","),
                turns.join(",")
            );
            parts.iter().map(move |part| format!("{name}{part}"))
        })
        .collect()
}

fn row(table: &CoefficientTable, map: usize) -> Vec<f64> {
    let one = table.data.index_axis(Axis(0), map);
    match table.complex {
        true => one.iter().flat_map(|z| [z.re, z.im]).collect(),
        false => one.iter().map(|z| z.re).collect(),
    }
}
