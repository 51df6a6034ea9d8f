//! Arrays of numpy: the npy format, versions 1 to 3.

use crate::source::Source;
use crate::{IoError, Overwrite, write_atomic};
use ndarray::{ArrayD, ArrayViewD, IxDyn, ShapeBuilder};
use num_complex::Complex64;
use std::io::{self, Write};
use std::path::Path;

/// Width of the numbers in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// 4 bytes: about 7 digits.
    F32,
    /// 8 bytes: everything that the maps hold.
    F64,
}

impl Precision {
    /// Refuses finite values that would become infinite.
    pub(crate) fn check<'a>(
        self,
        values: impl IntoIterator<Item = &'a f64>,
        path: &Path,
    ) -> Result<(), IoError> {
        if self == Self::F64 {
            return Ok(());
        }
        let lost = |v: &&f64| v.is_finite() && (**v as f32).is_infinite();
        match values.into_iter().find(lost) {
            Some(&given) => Err(IoError::Precision { path: path.to_owned(), given }),
            None => Ok(()),
        }
    }
}

pub(crate) const MAGIC: &[u8] = b"\x93NUMPY";

/// Reads an array of numbers as `f64`, whatever its width and memory order.
///
/// Accepted are floats of 4 and 8 bytes, integers of 1 to 8 bytes and
/// booleans, of either byte order. The claimed shape is checked against the
/// length of the file before anything is allocated.
///
/// # Errors
/// [`IoError::Format`] if it is no npy file, [`IoError::Header`] for an entry
/// not allowed, [`IoError::Truncated`], [`IoError::Os`].
pub fn read_npy(path: &Path) -> Result<ArrayD<f64>, IoError> {
    let mut source = Source::open(path)?;
    let array = read_array(&mut source)?;
    match source.left() {
        Some(left) if left > 0 => {
            let given = format!("followed by {left} more bytes");
            Err(IoError::header(path, "shape", given, "the whole file"))
        }
        _ => Ok(array),
    }
}

/// Writes an array atomically, little-endian, last axis fastest.
///
/// # Errors
/// [`IoError::Precision`] for a value beyond 32-bit floats, [`IoError::Exists`],
/// [`IoError::Os`].
pub fn write_npy(
    path: &Path,
    array: &ArrayViewD<'_, f64>,
    precision: Precision,
    overwrite: Overwrite,
) -> Result<(), IoError> {
    precision.check(array, path)?;
    write_atomic(path, overwrite, |out| write_array(out, array, precision))
}

/// Writes an array of a given shape atomically from its values in order, in parts of
/// any length, so that it need not be in memory as a whole.
///
/// # Errors
/// Those of [`write_npy`]; [`IoError::Os`] also if the parts do not fill the shape.
pub fn write_npy_parts(
    path: &Path,
    shape: &[usize],
    precision: Precision,
    overwrite: Overwrite,
    parts: impl Iterator<Item = Vec<f64>>,
) -> Result<(), IoError> {
    let mut lost = Ok(());
    let written = write_atomic(path, overwrite, |out| {
        let descr = descr_of(precision);
        write_header(out, descr, shape)?;
        let mut count = 0;
        for part in parts {
            count += part.len();
            lost = precision.check(&part, path);
            if lost.is_err() {
                return Err(io::Error::other("a value is too large"));
            }
            write_values(out, part.into_iter(), precision)?;
        }
        let needed: usize = shape.iter().product();
        match count == needed {
            true => Ok(()),
            false => Err(io::Error::other(format!("{count} values for {needed}"))),
        }
    });
    lost.and(written)
}

fn descr_of(precision: Precision) -> &'static str {
    match precision {
        Precision::F32 => "<f4",
        Precision::F64 => "<f8",
    }
}

/// Writes whole numbers as 64-bit ones.
pub(crate) fn write_whole_array(
    out: &mut dyn Write,
    array: &ArrayViewD<'_, i64>,
) -> io::Result<()> {
    write_header(out, "<i8", array.shape())?;
    let bytes: Vec<u8> = array.iter().flat_map(|n| n.to_le_bytes()).collect();
    out.write_all(&bytes)
}

/// Writes bytes.
pub(crate) fn write_bytes(out: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    write_header(out, "|u1", &[bytes.len()])?;
    out.write_all(bytes)
}

pub(crate) fn write_array(
    out: &mut dyn Write,
    array: &ArrayViewD<'_, f64>,
    precision: Precision,
) -> io::Result<()> {
    write_header(out, descr_of(precision), array.shape())?;
    write_values(out, array.iter().copied(), precision)
}

/// Writes complex numbers, real part first.
pub(crate) fn write_complex_array(
    out: &mut dyn Write,
    array: &ArrayViewD<'_, Complex64>,
    precision: Precision,
) -> io::Result<()> {
    let descr = match precision {
        Precision::F32 => "<c8",
        Precision::F64 => "<c16",
    };
    write_header(out, descr, array.shape())?;
    write_values(out, array.iter().flat_map(|z| [z.re, z.im]), precision)
}

fn write_header(out: &mut dyn Write, descr: &str, shape: &[usize]) -> io::Result<()> {
    let shape: String = shape.iter().map(|n| format!("{n}, ")).collect();
    let shape = shape.trim_end();
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    // Magic, version, length and text together are a multiple of 64.
    while !(text.len() + 11).is_multiple_of(64) {
        text.push(' ');
    }
    text.push('\n');
    out.write_all(MAGIC)?;
    out.write_all(&[1, 0])?;
    out.write_all(&(text.len() as u16).to_le_bytes())?;
    out.write_all(text.as_bytes())
}

fn write_values(
    out: &mut dyn Write,
    values: impl Iterator<Item = f64>,
    precision: Precision,
) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(1 << 16);
    for value in values {
        match precision {
            Precision::F64 => buffer.extend(value.to_le_bytes()),
            Precision::F32 => buffer.extend((value as f32).to_le_bytes()),
        }
        if buffer.len() >= (1 << 16) - 8 {
            out.write_all(&buffer)?;
            buffer.clear();
        }
    }
    out.write_all(&buffer)
}

const TYPES: &str = "f4, f8, i1 to i8, u1 to u8 or b1 of either byte order";

/// What an npy header says.
struct Description {
    kind: u8,
    /// Bytes of one real number.
    size: usize,
    /// Real numbers a value: 2 for complex ones.
    parts: usize,
    big: bool,
    fortran: bool,
    shape: Vec<usize>,
    count: usize,
}

pub(crate) fn read_array(source: &mut Source) -> Result<ArrayD<f64>, IoError> {
    let description = read_description(source)?;
    if description.parts > 1 {
        let given = format!("complex ({} bytes)", 2 * description.size);
        return Err(IoError::header(&source.path, "descr", given, TYPES));
    }
    read_values(source, description)
}

/// An array and whether it is complex: then its last axis is (re, im).
pub(crate) fn read_parts(source: &mut Source) -> Result<(ArrayD<f64>, bool), IoError> {
    let mut description = read_description(source)?;
    let complex = description.parts > 1;
    if complex && description.fortran {
        let allowed = "False for complex arrays";
        return Err(IoError::header(&source.path, "fortran_order", "True", allowed));
    }
    if complex {
        description.shape.push(2);
        description.count = description.count.saturating_mul(2);
    }
    Ok((read_values(source, description)?, complex))
}

fn read_values(source: &mut Source, description: Description) -> Result<ArrayD<f64>, IoError> {
    let path = source.path.clone();
    let Description { size, count, .. } = description;
    let claimed = (count as u64).saturating_mul(size as u64);
    source.expect(claimed)?;
    let mut values = Vec::with_capacity(source.capacity(count));
    let mut left = claimed;
    let mut buffer = Vec::new();
    while left > 0 {
        let part = left.min(1 << 20);
        source.next_exact(part, &mut buffer)?;
        decode(&description, &buffer, &mut values);
        left -= part;
    }
    source.finish()?;
    let shape = IxDyn(&description.shape).set_f(description.fortran);
    ArrayD::from_shape_vec(shape, values).map_err(|_| IoError::Shape {
        path,
        given: description.shape,
        allowed: "a shape that memory can hold",
    })
}

fn decode(description: &Description, bytes: &[u8], out: &mut Vec<f64>) {
    let big = description.big;
    out.extend(bytes.chunks_exact(description.size).map(|chunk| {
        let mut le = [0u8; 8];
        let size = chunk.len();
        le[..size].copy_from_slice(chunk);
        if big {
            le[..size].reverse();
        }
        let bits = u64::from_le_bytes(le);
        match (description.kind, size) {
            (b'f' | b'c', 4) => f64::from(f32::from_bits(bits as u32)),
            (b'f' | b'c', _) => f64::from_bits(bits),
            (b'i', _) => {
                let unused = 64 - 8 * size as u32;
                ((bits << unused) as i64 >> unused) as f64
            }
            _ => bits as f64,
        }
    }));
}

fn read_description(source: &mut Source) -> Result<Description, IoError> {
    let path = source.path.clone();
    let mut buffer = Vec::new();
    source.next_exact(8, &mut buffer)?;
    if !buffer.starts_with(MAGIC) {
        return Err(IoError::Format {
            path,
            given: format!("first bytes {:02x?}", &buffer[..6]),
            allowed: "npy files, which begin with \\x93NUMPY",
        });
    }
    let version = buffer[6];
    let length = match version {
        1 => {
            source.next_exact(2, &mut buffer)?;
            u32::from(u16::from_le_bytes([buffer[0], buffer[1]]))
        }
        2 | 3 => {
            source.next_exact(4, &mut buffer)?;
            u32::from_le_bytes([buffer[0], buffer[1], buffer[2], buffer[3]])
        }
        other => return Err(IoError::header(&path, "version", other, "1, 2 or 3")),
    };
    if length > 1 << 20 {
        return Err(IoError::header(&path, "length", length, "below one MiB"));
    }
    source.next_exact(u64::from(length), &mut buffer)?;
    let text = String::from_utf8_lossy(&buffer).into_owned();
    parse_description(&text, &path)
}

fn parse_description(text: &str, path: &Path) -> Result<Description, IoError> {
    let entry = |key: &str| {
        let after = text.split_once(&format!("'{key}'")).map(|(_, rest)| rest.trim_start());
        let value = after.and_then(|rest| rest.strip_prefix(':')).map(str::trim_start);
        value.ok_or_else(|| IoError::header(path, key, "missing", "stated"))
    };
    let descr = entry("descr")?;
    let name = descr.strip_prefix('\'').and_then(|d| d.split_once('\'')).map(|(name, _)| name);
    let given = || name.unwrap_or(descr.trim_end()).to_owned();
    let refuse = || IoError::header(path, "descr", given(), TYPES);
    let (order, kind, size, parts) = match *name.unwrap_or("").as_bytes() {
        [order, b'c', b'8'] => (order, b'c', b'4', 2),
        [order, b'c', b'1', b'6'] => (order, b'c', b'8', 2),
        [order, kind, size] if kind != b'c' => (order, kind, size, 1),
        _ => return Err(refuse()),
    };
    let known = match kind {
        b'f' | b'c' => b"48".contains(&size),
        b'i' | b'u' => b"1248".contains(&size),
        b'b' => size == b'1',
        _ => false,
    };
    if !known || !b"<>|=".contains(&order) || (order == b'|' && size != b'1') {
        return Err(refuse());
    }
    let order_text = entry("fortran_order")?;
    let fortran = if order_text.starts_with("True") {
        true
    } else if order_text.starts_with("False") {
        false
    } else {
        return Err(IoError::header(path, "fortran_order", "unreadable", "True or False"));
    };
    let tuple = entry("shape")?;
    let bad_shape = || {
        let given = tuple.chars().take(60).collect::<String>();
        IoError::header(
            path,
            "shape",
            given,
            "a tuple of whole numbers whose product is below 2^60",
        )
    };
    let inner = tuple.strip_prefix('(').and_then(|t| t.split_once(')')).ok_or_else(bad_shape)?.0;
    let shape = (inner.split(',').map(str::trim).filter(|n| !n.is_empty()))
        .map(|n| n.parse::<usize>().map_err(|_| bad_shape()))
        .collect::<Result<Vec<_>, _>>()?;
    let count = (shape.iter().try_fold(1usize, |n, &axis| n.checked_mul(axis)))
        .filter(|&n| n < 1 << 60)
        .ok_or_else(bad_shape)?;
    Ok(Description {
        kind,
        size: usize::from(size - b'0'),
        parts,
        big: order == b'>' || (order == b'=' && cfg!(target_endian = "big")),
        fortran,
        shape,
        count,
    })
}
