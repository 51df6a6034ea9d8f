//! Just enough of npy and npz: reading results, and cutting cubes.

use super::manifest;
use anyhow::{Context, Result, bail, ensure};
use std::io::Read;
use std::path::Path;

/// A C-ordered array of f64; complex numbers are pairs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Array {
    pub(super) shape: Vec<usize>,
    pub(super) complex: bool,
    pub(super) data: Vec<f64>,
}

impl Array {
    /// Real numbers of one entry of the first axis.
    pub(super) fn row(&self) -> usize {
        self.shape[1..].iter().product::<usize>() * if self.complex { 2 } else { 1 }
    }

    /// The first `count` entries of the first axis, or all.
    pub(super) fn take(&self, count: usize) -> Self {
        let count = count.min(self.shape[0]);
        let mut shape = self.shape.clone();
        shape[0] = count;
        Self { shape, complex: self.complex, data: self.data[..count * self.row()].to_vec() }
    }

    /// This array with another behind it, along the first axis.
    pub(super) fn followed_by(mut self, other: &Self) -> Result<Self> {
        ensure!(
            self.shape[1..] == other.shape[1..] && self.complex == other.complex,
            "arrays of shapes {:?} and {:?} do not go together",
            self.shape,
            other.shape
        );
        self.shape[0] += other.shape[0];
        self.data.extend_from_slice(&other.data);
        Ok(self)
    }
}

/// Reads an npy file.
pub(super) fn read_npy(path: &Path) -> Result<Array> {
    let file = std::fs::File::open(path);
    let context = || format!("{}: cannot be read", path.display());
    read(&mut std::io::BufReader::new(file.with_context(context)?)).with_context(context)
}

/// Reads the arrays of an npz file that are wanted, in order; absent ones are left out.
pub(super) fn read_npz(path: &Path, wanted: &[String]) -> Result<Vec<(String, Array)>> {
    let context = || format!("{}: cannot be read", path.display());
    let file = std::fs::File::open(path).with_context(context)?;
    let mut archive = zip::ZipArchive::new(file).with_context(context)?;
    let mut arrays = Vec::new();
    for name in wanted {
        let entry = format!("{name}.npy");
        if archive.index_for_name(&entry).is_none() {
            continue;
        }
        let mut member = archive.by_name(&entry).with_context(context)?;
        let array = read(&mut member).with_context(|| format!("{}: {name}", path.display()))?;
        arrays.push((name.clone(), array));
    }
    Ok(arrays)
}

/// Names of the arrays of an npz file.
pub(super) fn names(path: &Path) -> Result<Vec<String>> {
    let context = || format!("{}: cannot be read", path.display());
    let file = std::fs::File::open(path).with_context(context)?;
    let archive = zip::ZipArchive::new(file).with_context(context)?;
    let files = archive.file_names().collect::<Result<Vec<_>, _>>().with_context(context)?;
    let mut names: Vec<String> =
        files.iter().map(|name| name.trim_end_matches(".npy").to_owned()).collect();
    names.sort();
    Ok(names)
}

/// The shape in the header of an npy file.
pub(super) fn shape(path: &Path) -> Result<Vec<usize>> {
    let context = || format!("{}: cannot be read", path.display());
    let mut file = std::fs::File::open(path).with_context(context)?;
    Ok(Header::read(&mut file).with_context(context)?.shape)
}

struct Header {
    /// Bytes of a real number.
    width: usize,
    complex: bool,
    shape: Vec<usize>,
}

impl Header {
    fn read(reader: &mut impl Read) -> Result<Self> {
        let mut start = [0; 10];
        reader.read_exact(&mut start)?;
        ensure!(start[..6] == *b"\x93NUMPY", "this is no npy file");
        let mut length = usize::from(u16::from_le_bytes([start[8], start[9]]));
        if start[6] > 1 {
            let mut high = [0; 2];
            reader.read_exact(&mut high)?;
            length += usize::from(u16::from_le_bytes(high)) << 16;
        }
        let mut text = vec![0; length];
        reader.read_exact(&mut text)?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let after = |key: &str| text.split(key).nth(1).unwrap_or_default().trim_start();
        let (width, complex) = match after("'descr':").split('\'').nth(1) {
            Some("<f4") => (4, false),
            Some("<f8") => (8, false),
            Some("<c8") => (4, true),
            Some("<c16") => (8, true),
            other => bail!("numbers {other:?}: allowed are <f4, <f8, <c8, <c16"),
        };
        ensure!(after("'fortran_order':").starts_with("False"), "only C order is read");
        let list = after("'shape':").trim_start_matches('(');
        let list = list.split(')').next().unwrap_or_default();
        let sizes = list.split(',').map(str::trim).filter(|size| !size.is_empty());
        let shape = sizes.map(str::parse).collect::<Result<Vec<usize>, _>>()?;
        ensure!(!shape.is_empty(), "an array without axes");
        Ok(Self { width, complex, shape })
    }
}

fn read(reader: &mut impl Read) -> Result<Array> {
    let Header { width, complex, shape } = Header::read(reader)?;
    let count = shape.iter().product::<usize>() * if complex { 2 } else { 1 };
    let mut data = Vec::new();
    let mut chunk = vec![0; 1 << 16];
    let mut left = count * width;
    while left > 0 {
        let size = left.min(chunk.len());
        reader.read_exact(&mut chunk[..size])?;
        left -= size;
        match width {
            4 => data.extend(
                chunk[..size].as_chunks().0.iter().map(|&b| f64::from(f32::from_le_bytes(b))),
            ),
            _ => data.extend(chunk[..size].as_chunks().0.iter().map(|&b| f64::from_le_bytes(b))),
        }
    }
    Ok(Array { shape, complex, data })
}

/// Writes a real array as npy, version 1, f64.
pub(super) fn write_npy(path: &Path, array: &Array) -> Result<()> {
    ensure!(!array.complex, "only real cubes are written");
    let shape: String = array.shape.iter().map(|size| format!("{size}, ")).collect();
    let mut header =
        format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({}), }}", shape.trim_end());
    // Magic, version and length are 10 bytes; all together a multiple of 64.
    let padding = 63 - (10 + header.len()) % 64;
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.bytes());
    bytes.extend(array.data.iter().flat_map(|x| x.to_le_bytes()));
    manifest::write(path, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cubes_are_written_read_cut_and_joined() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("cube.npy");
        let data: Vec<f64> = (0..24).map(f64::from).collect();
        let cube = Array { shape: vec![3, 2, 4], complex: false, data };
        write_npy(&path, &cube).unwrap();
        assert_eq!(std::fs::read(&path).unwrap().len() % 64, 0);
        assert_eq!(read_npy(&path).unwrap(), cube);
        assert_eq!(shape(&path).unwrap(), [3, 2, 4]);
        let (first, two) = (cube.take(1), cube.take(2));
        assert_eq!(first.data, cube.data[..8]);
        let joined = first.clone().followed_by(&two).unwrap();
        assert_eq!((joined.shape[0], joined.data[8]), (3, 0.0));
        let other = Array { shape: vec![1, 2], complex: false, data: vec![0.0; 2] };
        assert!(first.followed_by(&other).is_err());
    }

    #[test]
    fn refuses_what_is_no_array() {
        assert!(read(&mut &b"PK\x03\x04 and more bytes"[..]).is_err());
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        let header = "{'descr': '<i8', 'fortran_order': False, 'shape': (1,), }\n";
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.bytes());
        let error = format!("{:#}", read(&mut bytes.as_slice()).unwrap_err());
        assert!(error.contains("<i8"), "{error}");
    }
}
