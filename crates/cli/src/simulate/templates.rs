//! Template matrices as npz files.

use crate::output;
use anyhow::{Context, Result, ensure};
use ndarray::{Array1, ArrayD, ArrayView1, Ix2, Ix3};
use skyscat::io::{NpzArray, Precision, read_npz, write_npz};
use skyscat::sim::{Config, Templates, TemplatesParts};
use std::collections::BTreeMap;
use std::path::Path;

/// Writes templates with the scan they belong to.
pub(super) fn write(
    path: &Path,
    templates: &Templates,
    config: &Config,
    sky_sha256: &str,
    overwrite: bool,
) -> Result<()> {
    let parts = templates.to_parts();
    let whole = |values: &[u64]| values.iter().map(|&v| v as i64).collect::<Array1<i64>>();
    let small = |values: &[u32]| values.iter().map(|&v| i64::from(v)).collect::<Array1<i64>>();
    let sizes = whole(&[parts.nside as u64, parts.chunks as u64, parts.horns as u64]);
    let (indptr, columns) = (whole(&parts.indptr), small(&parts.columns));
    let horns = small(&parts.detector_horn);
    let scan = scan_text(config, sky_sha256)?;
    let arrays = [
        ("nside_chunks_horns", NpzArray::Whole(sizes.view().into_dyn())),
        ("indptr", NpzArray::Whole(indptr.view().into_dyn())),
        ("columns", NpzArray::Whole(columns.view().into_dyn())),
        ("values", NpzArray::Real(parts.values.view().into_dyn())),
        ("detector_horn", NpzArray::Whole(horns.view().into_dyn())),
        ("response", NpzArray::Real(parts.response.view().into_dyn())),
        ("solved", NpzArray::Bytes(&parts.solved)),
        ("scan_toml", NpzArray::Bytes(scan.as_bytes())),
    ];
    Ok(write_npz(path, &arrays, Precision::F64, output::replace(overwrite))?)
}

/// Reads templates; `None` if they are of another scan and may be replaced.
pub(super) fn read(
    path: &Path,
    config: &Config,
    sky_sha256: &str,
    overwrite: bool,
) -> Result<Option<Templates>> {
    let shown = path.display();
    let arrays = Arrays { arrays: read_npz(path)?, shown: shown.to_string() };
    let scan: Vec<u8> = arrays.list("scan_toml")?.into_iter().map(|b| b as u8).collect();
    if String::from_utf8_lossy(&scan) != scan_text(config, sky_sha256)? {
        ensure!(
            overwrite,
            "{shown}: holds templates of another scan: allowed are another name, the same scan, \
             or --overwrite"
        );
        return Ok(None);
    }
    let sizes = arrays.whole("nside_chunks_horns")?;
    ensure!(sizes.len() == 3, "{shown}: nside_chunks_horns needs 3 numbers");
    let parts = TemplatesParts {
        nside: sizes[0] as usize,
        chunks: sizes[1] as usize,
        horns: sizes[2] as usize,
        indptr: arrays.whole("indptr")?,
        columns: arrays.whole("columns")?.into_iter().map(|v| v as u32).collect(),
        values: arrays.get("values")?.clone().into_dimensionality::<Ix3>()?,
        detector_horn: arrays.whole("detector_horn")?.into_iter().map(|v| v as u32).collect(),
        response: arrays.get("response")?.clone().into_dimensionality::<Ix2>()?,
        solved: arrays.list("solved")?.into_iter().map(|b| b as u8).collect(),
        frame: config.maps.frame,
        convention: config.maps.convention,
    };
    Ok(Some(Templates::from_parts(parts).with_context(|| shown.to_string())?))
}

/// What templates depend on: the scan without its systematics, and the sky.
fn scan_text(config: &Config, sky_sha256: &str) -> Result<String> {
    let scan = Config { systematics: Vec::new(), ..config.clone() };
    Ok(format!("# sky_sha256 = \"{sky_sha256}\"\n{}", scan.to_toml()?))
}

struct Arrays {
    arrays: BTreeMap<String, ArrayD<f64>>,
    shown: String,
}

impl Arrays {
    fn get(&self, name: &str) -> Result<&ArrayD<f64>> {
        self.arrays
            .get(name)
            .with_context(|| format!("{}: no array {name}: not templates of skyscat", self.shown))
    }

    fn list(&self, name: &str) -> Result<Vec<f64>> {
        let array: ArrayView1<'_, f64> = self
            .get(name)?
            .view()
            .into_dimensionality()
            .with_context(|| format!("{}: {name} is no list", self.shown))?;
        Ok(array.to_vec())
    }

    /// Numbers that are not below 0.
    fn whole(&self, name: &str) -> Result<Vec<u64>> {
        let list = self.list(name)?;
        let good = list.iter().all(|&v| v >= 0.0 && v.fract() == 0.0 && v < 4.0e9);
        ensure!(good, "{}: {name} holds more than whole numbers below 4e9", self.shown);
        Ok(list.into_iter().map(|v| v as u64).collect())
    }
}
