//! Archives of named numpy arrays.

use crate::npy::{read_array, write_array};
use crate::source::Source;
use crate::{IoError, Overwrite, Precision, write_atomic};
use ndarray::{ArrayD, ArrayViewD};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Cursor};
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// Reads every array of an npz file as `f64`, by name (without `.npy`).
///
/// # Errors
/// [`IoError::Archive`] if it is no zip archive, and those of
/// [`crate::read_npy`].
pub fn read_npz(path: &Path) -> Result<BTreeMap<String, ArrayD<f64>>, IoError> {
    let archive_error = |source| IoError::Archive { path: path.to_owned(), source };
    let file = File::open(path).map_err(IoError::os(path, "open"))?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(archive_error)?;
    let mut arrays = BTreeMap::new();
    for index in 0..archive.len() {
        let member = archive.by_index(index).map_err(archive_error)?;
        let name = member.name().map_err(archive_error)?;
        let name = name.trim_end_matches(".npy").to_owned();
        arrays.insert(name, read_array(&mut Source::inside(member, path))?);
    }
    Ok(arrays)
}

/// Writes named arrays atomically as a deflated npz file.
///
/// # Errors
/// [`IoError::Precision`] for a value beyond 32-bit floats, [`IoError::Exists`],
/// [`IoError::Os`].
pub fn write_npz(
    path: &Path,
    arrays: &[(&str, ArrayViewD<'_, f64>)],
    precision: Precision,
    overwrite: Overwrite,
) -> Result<(), IoError> {
    for (_, array) in arrays {
        precision.check(array, path)?;
    }
    write_atomic(path, overwrite, |out| {
        // A zip archive is written with seeks; arrays here are tables and spectra.
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .large_file(true);
        for (name, array) in arrays {
            zip.start_file(format!("{name}.npy"), options).map_err(io::Error::other)?;
            write_array(&mut zip, array, precision)?;
        }
        out.write_all(zip.finish().map_err(io::Error::other)?.get_ref())
    })
}
