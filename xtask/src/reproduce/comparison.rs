//! The table of emulated maps against their inputs.

use super::arrays::{Array, read_npz};
use super::{arrays, manifest};
use anyhow::{Context, Result, ensure};
use std::fmt::Write;
use std::path::Path;

/// Lower ends of the bands of multipoles; the last one ends at lmax.
const BANDS: &[usize] = &[2, 5, 10, 20, 30, 50, 100, 200, 500, 1000, 2000];
/// Spectra of the table.
const SPECTRA: &[&str] = &["TT", "EE", "BB", "TE", "TB", "EB"];

/// An emulated set and the inputs that it is compared with: npz files.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    /// Name of the emulated set.
    pub(super) label: String,
    pub(super) input_spectra: String,
    pub(super) emulated_spectra: String,
    pub(super) input_statistics: String,
    pub(super) emulated_statistics: String,
}

/// The table: which sets, and where it goes.
#[derive(Clone, Debug)]
pub(super) struct Comparison {
    pub(super) pairs: Vec<Pair>,
    pub(super) csv: String,
    pub(super) markdown: String,
}

/// One line: a band of a spectrum, or a block of scattering covariances.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    set: String,
    quantity: String,
    part: String,
    coefficients: usize,
    input: Moments,
    emulated: Moments,
    /// rms over coefficients of |mean emulated − mean input|.
    difference: f64,
}

/// Mean and standard deviation over maps; of several coefficients the rms.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Moments {
    mean: f64,
    std: f64,
}

const COLUMNS: &str = "set,quantity,part,coefficients,input_mean,input_std,emulated_mean,\
                       emulated_std,difference,relative,in_sigma,std_ratio";

impl Comparison {
    /// As it stands in the manifest.
    pub(super) fn text(&self) -> String {
        let labels: Vec<&str> = self.pairs.iter().map(|p| p.label.as_str()).collect();
        format!("{} {} {}", labels.join(" "), self.csv, self.markdown)
    }

    /// Writes both files.
    ///
    /// # Errors
    /// An array that is absent, or of another shape than its counterpart.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let mut rows = Vec::new();
        for pair in &self.pairs {
            rows.extend(pair.rows(folder).with_context(|| pair.label.clone())?);
        }
        manifest::write(&folder.join(&self.csv), csv(&rows).as_bytes())?;
        manifest::write(&folder.join(&self.markdown), markdown(&rows).as_bytes())
    }
}

impl Pair {
    fn rows(&self, folder: &Path) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        let spectra: Vec<String> = SPECTRA.iter().map(|s| (*s).to_owned()).collect();
        let input = read_npz(&folder.join(&self.input_spectra), &spectra)?;
        let emulated = read_npz(&folder.join(&self.emulated_spectra), &spectra)?;
        ensure!(!input.is_empty(), "{}: no spectra", self.input_spectra);
        for (name, input) in &input {
            let emulated = find(&emulated, name)?;
            for (first, last) in bands(input.row()) {
                let part = format!("l {first}-{last}");
                let (a, b) = (band(input, first, last), band(emulated, first, last));
                rows.push(self.row(name, part, &a, &b)?);
            }
        }
        let blocks = arrays::names(&folder.join(&self.input_statistics))?;
        ensure!(!blocks.is_empty(), "{}: no statistics", self.input_statistics);
        // One block at a time: they are large.
        for block in ordered(blocks) {
            let wanted = [block.clone()];
            let input = read_npz(&folder.join(&self.input_statistics), &wanted)?;
            let emulated = read_npz(&folder.join(&self.emulated_statistics), &wanted)?;
            let (field, kind) = block.rsplit_once('_').unwrap_or(("", &block));
            let (a, b) = (find(&input, &block)?, find(&emulated, &block)?);
            rows.push(self.row(&format!("SC {field}"), kind.to_owned(), a, b)?);
        }
        Ok(rows)
    }

    fn row(&self, quantity: &str, part: String, input: &Array, emulated: &Array) -> Result<Row> {
        ensure!(
            input.shape[1..] == emulated.shape[1..] && input.complex == emulated.complex,
            "{quantity} {part}: shapes {:?} and {:?} do not compare",
            input.shape,
            emulated.shape
        );
        let ((mean_a, std_a), (mean_b, std_b)) = (over_maps(input), over_maps(emulated));
        let parts = if input.complex { 2 } else { 1 };
        let coefficients = mean_a.len() / parts;
        // The rms over coefficients, real and imaginary parts together; of one
        // real number the number itself, with its sign.
        let size = |values: &[f64]| match values {
            [value] => *value,
            _ => (values.iter().map(|x| x * x).sum::<f64>() / coefficients as f64).sqrt(),
        };
        let differences: Vec<f64> = mean_b.iter().zip(&mean_a).map(|(b, a)| b - a).collect();
        Ok(Row {
            set: self.label.clone(),
            quantity: quantity.to_owned(),
            part,
            coefficients,
            input: Moments { mean: size(&mean_a), std: size(&std_a) },
            emulated: Moments { mean: size(&mean_b), std: size(&std_b) },
            difference: size(&differences).abs(),
        })
    }
}

fn find<'a>(arrays: &'a [(String, Array)], name: &str) -> Result<&'a Array> {
    let found = arrays.iter().find(|(n, _)| n == name).map(|(_, array)| array);
    found.with_context(|| format!("there is no array {name}"))
}

/// Fields before pairs, each with its blocks in order.
fn ordered(mut blocks: Vec<String>) -> Vec<String> {
    blocks.sort_by_key(|block| (block.contains('x'), block.clone()));
    blocks
}

/// First and last multipole of each band of a spectrum of `multipoles` numbers.
fn bands(multipoles: usize) -> Vec<(usize, usize)> {
    let starts = BANDS.iter().copied().filter(|&first| first < multipoles);
    let ends = BANDS[1..].iter().map(|&next| next - 1).chain([usize::MAX]);
    starts.zip(ends).map(|(first, last)| (first, last.min(multipoles - 1))).collect()
}

/// The mean over a band of multipoles, for each map.
fn band(spectra: &Array, first: usize, last: usize) -> Array {
    let rows = spectra.data.chunks_exact(spectra.row());
    let count = (last + 1 - first) as f64;
    let data = rows.map(|row| row[first..=last].iter().sum::<f64>() / count).collect();
    Array { shape: vec![spectra.shape[0], 1], complex: false, data }
}

/// Mean and standard deviation over the first axis, of every real number.
fn over_maps(array: &Array) -> (Vec<f64>, Vec<f64>) {
    let (row, maps) = (array.row(), array.shape[0] as f64);
    let mut mean = vec![0.0; row];
    for values in array.data.chunks_exact(row) {
        mean.iter_mut().zip(values).for_each(|(m, x)| *m += x / maps);
    }
    let mut variance = vec![0.0; row];
    for values in array.data.chunks_exact(row) {
        let parts = variance.iter_mut().zip(values.iter().zip(&mean));
        parts.for_each(|(v, (x, m))| *v += (x - m) * (x - m) / maps);
    }
    (mean, variance.into_iter().map(f64::sqrt).collect())
}

impl Row {
    fn relative(&self) -> f64 {
        self.difference / self.input.mean.abs()
    }
    fn in_sigma(&self) -> f64 {
        self.difference / self.input.std
    }
    fn std_ratio(&self) -> f64 {
        self.emulated.std / self.input.std
    }
}

fn csv(rows: &[Row]) -> String {
    let mut text = format!("{COLUMNS}\n");
    for row in rows {
        let Row { set, quantity, part, coefficients, input, emulated, difference } = row;
        let _ = writeln!(
            text,
            "{set},{quantity},{part},{coefficients},{:e},{:e},{:e},{:e},{difference:e},{:e},{:e},{:e}",
            input.mean,
            input.std,
            emulated.mean,
            emulated.std,
            row.relative(),
            row.in_sigma(),
            row.std_ratio()
        );
    }
    text
}

fn markdown(rows: &[Row]) -> String {
    let mut text = "# Emulated maps against their inputs\n\n\
        Mean and standard deviation over maps. Spectra are means over a band of multipoles.\n\
        A block of scattering covariances is shown by the root mean square over its\n\
        coefficients; the difference is that of the means, coefficient by coefficient.\n\
        Statistics are measured on the maps as they are, in the units of the input.\n"
        .to_owned();
    let mut set = "";
    for row in rows {
        if row.set != set {
            set = &row.set;
            let _ = write!(
                text,
                "\n## {set}\n\n\
                 | quantity | part | number | input mean | input std | emulated mean | \
                 emulated std | difference / mean | difference / std | std ratio |\n\
                 |---|---|---|---|---|---|---|---|---|---|\n"
            );
        }
        let _ = writeln!(
            text,
            "| {} | {} | {} | {:.3e} | {:.3e} | {:.3e} | {:.3e} | {:.3} | {:.2} | {:.2} |",
            row.quantity,
            row.part,
            row.coefficients,
            row.input.mean,
            row.input.std,
            row.emulated.mean,
            row.emulated.std,
            row.relative(),
            row.in_sigma(),
            row.std_ratio()
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_cover_all_multipoles_from_two() {
        assert_eq!(bands(48), [(2, 4), (5, 9), (10, 19), (20, 29), (30, 47)]);
        assert_eq!(bands(6), [(2, 4), (5, 5)]);
    }

    #[test]
    fn a_band_is_a_mean_with_its_sign() {
        let spectra = Array {
            shape: vec![2, 4],
            complex: false,
            data: vec![
                0.0, 0.0, -1.0, -3.0, //
                0.0, 0.0, -2.0, -4.0,
            ],
        };
        let found = band(&spectra, 2, 3);
        assert_eq!(found.data, [-2.0, -3.0]);
        let (mean, std) = over_maps(&found);
        assert_eq!((mean[0], std[0]), (-2.5, 0.5));
    }

    #[test]
    fn a_row_compares_coefficient_by_coefficient() {
        let pair = Pair {
            label: "s".to_owned(),
            input_spectra: String::new(),
            emulated_spectra: String::new(),
            input_statistics: String::new(),
            emulated_statistics: String::new(),
        };
        let array = |data: Vec<f64>| Array { shape: vec![2, 1], complex: true, data };
        let input = array(vec![3.0, 4.0, 3.0, 4.0]);
        let moved = array(vec![3.0, 4.5, 3.0, 4.5]);
        let row = pair.row("SC Q", "S3".to_owned(), &input, &moved).unwrap();
        assert_eq!((row.coefficients, row.input.mean, row.difference), (1, 5.0, 0.5));
        assert_eq!(row.relative(), 0.1);
        let line = csv(&[row]);
        assert!(line.ends_with('\n') && line.lines().count() == 2, "{line}");
        assert_eq!(line.lines().nth(1).unwrap().split(',').count(), COLUMNS.split(',').count());
        let other = Array { shape: vec![2, 2], complex: true, data: vec![0.0; 8] };
        assert!(pair.row("SC Q", "S3".to_owned(), &input, &other).is_err());
    }
}
