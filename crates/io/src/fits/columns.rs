//! Writing plain columns of numbers, such as spectra.

use super::header::{BLOCK, HeaderCard};
use super::write::{int, primary, unit};
use crate::{IoError, Overwrite, write_atomic};
use std::path::Path;

/// One column of a table: its name, unit and values.
#[derive(Clone, Debug, PartialEq)]
pub struct FitsColumn {
    /// Name, the TTYPE.
    pub name: String,
    /// Unit, the TUNIT.
    pub unit: Option<String>,
    /// Values, one a row.
    pub values: Vec<f64>,
}

/// Writes columns of equal length as a binary table of 64-bit floats.
///
/// `healpy.read_cl` opens such a table and gives one spectrum for each column.
///
/// # Errors
/// [`IoError::Shape`] for no columns or columns of different lengths,
/// [`IoError::Header`] for a name or unit that a header cannot hold,
/// [`IoError::Exists`], [`IoError::Os`].
pub fn write_fits_table(
    path: &Path,
    name: &str,
    columns: &[FitsColumn],
    overwrite: Overwrite,
) -> Result<(), IoError> {
    let rows = columns.first().map_or(0, |c| c.values.len());
    if rows == 0 || columns.iter().any(|c| c.values.len() != rows) {
        return Err(IoError::Shape {
            path: path.to_owned(),
            given: columns.iter().map(|c| c.values.len()).collect(),
            allowed: "columns of equal length, at least one",
        });
    }
    let mut bytes = Vec::new();
    primary(&mut bytes, path)?;
    let mut cards = vec![
        HeaderCard::text("XTENSION", "BINTABLE", "binary table"),
        int("BITPIX", 8, ""),
        int("NAXIS", 2, ""),
        int("NAXIS1", 8 * columns.len(), "bytes in a row"),
        int("NAXIS2", rows, "rows"),
        int("PCOUNT", 0, ""),
        int("GCOUNT", 1, ""),
        int("TFIELDS", columns.len(), "columns"),
    ];
    for (column, i) in columns.iter().zip(1..) {
        cards.push(HeaderCard::text(&format!("TTYPE{i}"), column.name.as_str(), ""));
        cards.push(HeaderCard::text(&format!("TFORM{i}"), "D", ""));
        if let Some(unit) = &column.unit {
            cards.push(HeaderCard::text(&format!("TUNIT{i}"), unit.as_str(), ""));
        }
    }
    cards.push(HeaderCard::text("EXTNAME", name, ""));
    unit(&mut bytes, &cards, path)?;
    for row in 0..rows {
        bytes.extend(columns.iter().flat_map(|c| c.values[row].to_be_bytes()));
    }
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    write_atomic(path, overwrite, |out| out.write_all(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_interleaved_and_uneven_ones_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cl.fits");
        let column = |name: &str, values: &[f64]| FitsColumn {
            name: name.to_owned(),
            unit: Some("K^2".to_owned()),
            values: values.to_vec(),
        };
        let columns = [column("EE", &[1.0, 2.0]), column("BB", &[3.0, 4.0])];
        write_fits_table(&path, "SPECTRA", &columns, Overwrite::Refuse).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 3 * BLOCK);
        let values: Vec<f64> =
            bytes[2 * BLOCK..][..32].as_chunks().0.iter().map(|&b| f64::from_be_bytes(b)).collect();
        assert_eq!(values, [1.0, 3.0, 2.0, 4.0]);
        let uneven = [column("EE", &[1.0, 2.0]), column("BB", &[3.0])];
        let error = write_fits_table(&path, "SPECTRA", &uneven, Overwrite::Allow).unwrap_err();
        assert!(matches!(error, IoError::Shape { .. }));
    }
}
