//! Long tables of comma-separated values.

use crate::{IoError, Overwrite, write_atomic};
use std::path::Path;

/// One cell of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum CsvValue {
    /// A label, quoted where it must be.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A real number, with all the digits it takes to read it back.
    Real(f64),
}

impl From<&str> for CsvValue {
    fn from(v: &str) -> Self {
        Self::Text(v.to_owned())
    }
}

impl From<String> for CsvValue {
    fn from(v: String) -> Self {
        Self::Text(v)
    }
}

impl From<i64> for CsvValue {
    fn from(v: i64) -> Self {
        Self::Integer(v)
    }
}

impl From<usize> for CsvValue {
    fn from(v: usize) -> Self {
        Self::Integer(v as i64)
    }
}

impl From<f64> for CsvValue {
    fn from(v: f64) -> Self {
        Self::Real(v)
    }
}

impl CsvValue {
    fn cell(&self) -> String {
        match self {
            Self::Text(text) if text.contains([',', '"', '\n', '\r']) => {
                format!("\"{}\"", text.replace('"', "\"\""))
            }
            Self::Text(text) => text.clone(),
            Self::Integer(v) => v.to_string(),
            Self::Real(v) if *v != 0.0 && !(1e-4..1e15).contains(&v.abs()) => format!("{v:e}"),
            Self::Real(v) => v.to_string(),
        }
    }
}

/// Writes a table atomically: one line of column names, then the rows.
///
/// # Errors
/// [`IoError::Shape`] for a row that is not as long as the list of columns,
/// [`IoError::Exists`], [`IoError::Os`].
pub fn write_csv<R: AsRef<[CsvValue]>>(
    path: &Path,
    columns: &[&str],
    rows: impl IntoIterator<Item = R>,
    overwrite: Overwrite,
) -> Result<(), IoError> {
    let names: Vec<String> = columns.iter().map(|&c| CsvValue::from(c).cell()).collect();
    let mut uneven = Ok(());
    let written = write_atomic(path, overwrite, |out| {
        writeln!(out, "{}", names.join(","))?;
        for (index, row) in rows.into_iter().enumerate() {
            let cells: Vec<String> = row.as_ref().iter().map(CsvValue::cell).collect();
            if cells.len() != columns.len() {
                uneven = Err(IoError::Shape {
                    path: path.to_owned(),
                    given: vec![index, cells.len()],
                    allowed: "rows as long as the list of columns",
                });
                return Err(std::io::Error::other("an uneven row"));
            }
            writeln!(out, "{}", cells.join(","))?;
        }
        Ok(())
    });
    uneven.and(written)
}
