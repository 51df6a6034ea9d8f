//! Archives of named numpy arrays.

use crate::npy::{read_array, write_array, write_bytes, write_complex_array, write_whole_array};
use crate::source::Source;
use crate::{IoError, Overwrite, Precision, write_atomic};
use ndarray::{ArrayD, ArrayViewD};
use num_complex::Complex64;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// Reads every array of an npz file as `f64`, by name (without `.npy`).
///
/// # Errors
/// [`IoError::Archive`] if it is no zip archive, and those of
/// [`crate::read_npy`].
pub fn read_npz(path: &Path) -> Result<BTreeMap<String, ArrayD<f64>>, IoError> {
    read_members(path, read_array)
}

/// A deflated byte holds at most this many: an archive that gives more has members
/// that share their bytes, made to fill the memory.
const MOST_UNPACKED: u64 = 1032;

/// Reads every member of an archive in some way.
pub(crate) fn read_members<A>(
    path: &Path,
    read: impl Fn(&mut Source) -> Result<A, IoError>,
) -> Result<BTreeMap<String, A>, IoError> {
    let archive_error = |source| IoError::Archive { path: path.to_owned(), source };
    let file = File::open(path).map_err(IoError::os(path, "open"))?;
    let length = file.metadata().map_err(IoError::os(path, "measure"))?.len();
    let mut left = length.saturating_mul(MOST_UNPACKED);
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(archive_error)?;
    let mut arrays = BTreeMap::new();
    for index in 0..archive.len() {
        let member = archive.by_index(index).map_err(archive_error)?;
        let name = member.name().map_err(archive_error)?;
        let name = name.trim_end_matches(".npy").to_owned();
        let mut source = Source::inside(member.take(left), path);
        arrays.insert(name, read(&mut source)?);
        left -= source.taken();
    }
    Ok(arrays)
}

/// One array of an archive.
#[derive(Clone, Debug)]
pub enum NpzArray<'a> {
    /// Real numbers.
    Real(ArrayViewD<'a, f64>),
    /// Complex numbers, as numpy's complex128.
    Complex(ArrayViewD<'a, Complex64>),
    /// Whole numbers, as numpy's int64.
    Whole(ArrayViewD<'a, i64>),
    /// Bytes, such as text in UTF-8, as numpy's uint8.
    Bytes(&'a [u8]),
}

impl<'a> From<ArrayViewD<'a, f64>> for NpzArray<'a> {
    fn from(array: ArrayViewD<'a, f64>) -> Self {
        Self::Real(array)
    }
}

impl<'a> From<ArrayViewD<'a, Complex64>> for NpzArray<'a> {
    fn from(array: ArrayViewD<'a, Complex64>) -> Self {
        Self::Complex(array)
    }
}

/// Writes named arrays, real or complex, atomically as a deflated npz file.
///
/// # Errors
/// [`IoError::Precision`] for a value beyond 32-bit floats, [`IoError::Exists`],
/// [`IoError::Os`].
pub fn write_npz<'a, A: Into<NpzArray<'a>> + Clone>(
    path: &Path,
    arrays: &[(&str, A)],
    precision: Precision,
    overwrite: Overwrite,
) -> Result<(), IoError> {
    let arrays = || arrays.iter().map(|(name, array)| (*name, array.clone().into()));
    for (_, array) in arrays() {
        match array {
            NpzArray::Real(array) => precision.check(array, path)?,
            NpzArray::Complex(array) => {
                precision.check(array.iter().flat_map(|z| [&z.re, &z.im]), path)?;
            }
            NpzArray::Whole(_) | NpzArray::Bytes(_) => {}
        }
    }
    write_atomic(path, overwrite, |out| {
        // A zip archive is written with seeks; arrays here are tables and spectra.
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .large_file(true);
        for (name, array) in arrays() {
            zip.start_file(format!("{name}.npy"), options).map_err(io::Error::other)?;
            match array {
                NpzArray::Real(array) => write_array(&mut zip, &array, precision)?,
                NpzArray::Complex(array) => write_complex_array(&mut zip, &array, precision)?,
                NpzArray::Whole(array) => write_whole_array(&mut zip, &array)?,
                NpzArray::Bytes(bytes) => write_bytes(&mut zip, bytes)?,
            }
        }
        out.write_all(zip.finish().map_err(io::Error::other)?.get_ref())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::ArrayD;
    use std::io::Read;

    #[test]
    fn whole_numbers_and_text_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.npz");
        let whole = ArrayD::from_shape_vec(vec![2, 1], vec![-3i64, 1 << 40]).unwrap();
        let arrays = [("w", NpzArray::Whole(whole.view())), ("t", NpzArray::Bytes("π".as_bytes()))];
        write_npz(&path, &arrays, Precision::F64, Overwrite::Refuse).unwrap();
        let back = read_npz(&path).unwrap();
        assert_eq!(back["w"].shape(), [2, 1]);
        assert_eq!(back["w"].as_slice().unwrap(), [-3.0, (1u64 << 40) as f64]);
        assert_eq!(back["t"].as_slice().unwrap(), [0xcf as f64, 0x80 as f64]);
    }

    #[test]
    fn complex_arrays_are_numpy_complex128() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("z.npz");
        let z = ArrayD::from_elem(vec![1, 2], Complex64::new(0.5, -2.0));
        let x = ArrayD::from_elem(vec![3], 1.0);
        let arrays = [("z", NpzArray::from(z.view())), ("x", NpzArray::from(x.view()))];
        write_npz(&path, &arrays, Precision::F64, Overwrite::Refuse).unwrap();
        let mut archive = ZipArchive::new(File::open(&path).unwrap()).unwrap();
        let mut bytes = Vec::new();
        archive.by_name("z.npy").unwrap().read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes[10..]).into_owned();
        assert!(text.starts_with("{'descr': '<c16', 'fortran_order': False, 'shape': (1, 2,), }"));
        let numbers: Vec<f64> = bytes[bytes.len() - 32..]
            .as_chunks()
            .0
            .iter()
            .map(|&b| f64::from_le_bytes(b))
            .collect();
        assert_eq!(numbers, [0.5, -2.0, 0.5, -2.0]);
        let huge = ArrayD::from_elem(vec![1], Complex64::new(0.0, 1e300));
        let arrays = [("h", huge.view())];
        let error = write_npz(&path, &arrays, Precision::F32, Overwrite::Allow).unwrap_err();
        assert!(matches!(error, IoError::Precision { given: 1e300, .. }));
    }
}
