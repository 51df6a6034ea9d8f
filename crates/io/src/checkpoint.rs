//! Checkpoints: a header of one's own and named arrays, under a checksum.
//!
//! Layout: magic (8 bytes), version (u32), length of the description (u64),
//! the description (json), the arrays (f64, one after the other), and the
//! SHA-256 of all before. Numbers are little-endian.

use crate::{IoError, Overwrite, write_atomic};
use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"SKYSCKPT";
const VERSION: u32 = 1;
const START: usize = 20;
const DIGEST: usize = 32;

/// What a checkpoint holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// The header, as it was written.
    pub header: serde_json::Value,
    /// The arrays, in the order written.
    pub arrays: Vec<(String, Vec<f64>)>,
}

impl Checkpoint {
    /// The array of this name, if there is one.
    pub fn array(&self, name: &str) -> Option<&[f64]> {
        let found = self.arrays.iter().find(|(n, _)| n == name)?;
        Some(&found.1)
    }
}

#[derive(Serialize, Deserialize)]
struct Description {
    header: serde_json::Value,
    arrays: Vec<(String, u64)>,
}

/// Writes a checkpoint atomically, in place of an older one.
///
/// # Errors
/// [`IoError::Os`].
pub fn write_checkpoint(
    path: &Path,
    header: &serde_json::Value,
    arrays: &[(&str, ArrayView1<'_, f64>)],
) -> Result<(), IoError> {
    let lengths: Vec<(String, u64)> =
        arrays.iter().map(|(name, a)| ((*name).to_owned(), a.len() as u64)).collect();
    let mut rest = arrays.iter();
    let next = || Ok(rest.next().expect("as many as named").1.iter().copied().collect());
    write_checkpoint_arrays(path, header, &lengths, next)
}

/// The same with arrays that are made one after the other, each of its length, so that no
/// more than one of them is in memory.
///
/// # Errors
/// [`IoError::Os`], which an array that cannot be made ends in too.
///
/// # Panics
/// If an array has not the length given.
pub fn write_checkpoint_arrays(
    path: &Path,
    header: &serde_json::Value,
    arrays: &[(String, u64)],
    mut next: impl FnMut() -> std::io::Result<Vec<f64>>,
) -> Result<(), IoError> {
    let description = Description { header: header.clone(), arrays: arrays.to_vec() };
    let text = serde_json::to_vec(&description)
        .map_err(|source| IoError::Json { path: path.to_owned(), source })?;
    write_atomic(path, Overwrite::Allow, |out| {
        let mut hasher = Sha256::new();
        let mut put = |bytes: &[u8]| {
            hasher.update(bytes);
            out.write_all(bytes)
        };
        put(MAGIC)?;
        put(&VERSION.to_le_bytes())?;
        put(&(text.len() as u64).to_le_bytes())?;
        put(&text)?;
        let mut buffer = Vec::new();
        for (name, length) in arrays {
            let array = next()?;
            assert_eq!(array.len() as u64, *length, "length of {name}");
            for piece in array.chunks(PIECE / 8) {
                buffer.clear();
                buffer.extend(piece.iter().flat_map(|v| v.to_le_bytes()));
                put(&buffer)?;
            }
        }
        out.write_all(&hasher.finalize())
    })
}

/// Bytes that are read or written at a time.
const PIECE: usize = 1 << 20;

/// A checkpoint on disk whose every byte was checked, to be read array by array.
#[derive(Clone, Debug)]
pub struct CheckpointFile {
    path: PathBuf,
    /// The header, as it was written.
    pub header: serde_json::Value,
    /// Name, length, and first byte of each array.
    arrays: Vec<(String, u64, u64)>,
}

impl CheckpointFile {
    /// Checks a file, in little memory whatever its size.
    ///
    /// # Errors
    /// [`IoError::Checkpoint`] for another kind of file, another version, a failed
    /// checksum or a description that does not fit; [`IoError::Truncated`];
    /// [`IoError::Os`].
    pub fn open(path: &Path) -> Result<Self, IoError> {
        let (description, start, end) = check(path)?;
        let refuse = |given: String| IoError::Checkpoint {
            path: path.to_owned(),
            what: "total length of arrays",
            given,
            allowed: (end - start).to_string(),
        };
        let mut first = start;
        let mut arrays = Vec::new();
        for (name, length) in description.arrays {
            let bytes = length.checked_mul(8).and_then(|bytes| first.checked_add(bytes));
            let next = bytes.ok_or_else(|| refuse("beyond 2^64".into()))?;
            arrays.push((name, length, first));
            first = next;
        }
        if first != end {
            return Err(refuse((first - start).to_string()));
        }
        Ok(Self { path: path.to_owned(), header: description.header, arrays })
    }

    /// The arrays' names and lengths, in the order written.
    pub fn arrays(&self) -> impl Iterator<Item = (&str, u64)> {
        self.arrays.iter().map(|(name, length, _)| (name.as_str(), *length))
    }

    /// The array of this name, if there is one.
    ///
    /// # Errors
    /// [`IoError::Os`]; [`IoError::Truncated`] for a file that was cut since it was opened.
    pub fn array(&self, name: &str) -> Result<Option<Vec<f64>>, IoError> {
        let found = self.arrays.iter().find(|(other, ..)| other == name);
        let Some(&(_, length, first)) = found else { return Ok(None) };
        numbers(&self.path, first, length).map(Some)
    }
}

/// The description of a file whose checksum is right, and where its arrays begin and end.
fn check(path: &Path) -> Result<(Description, u64, u64), IoError> {
    let refuse = |what, given: String, allowed: String| IoError::Checkpoint {
        path: path.to_owned(),
        what,
        given,
        allowed,
    };
    let file = File::open(path).map_err(IoError::os(path, "read"))?;
    let held = file.metadata().map_err(IoError::os(path, "measure"))?.len();
    let least = (START + DIGEST) as u64;
    if held < least {
        return Err(IoError::Truncated { path: path.to_owned(), needed: least, found: held });
    }
    let mut body = Hashed { from: file.take(held - DIGEST as u64), hasher: Sha256::new() };
    let mut start = [0; START];
    body.read_exact(&mut start).map_err(IoError::os(path, "read"))?;
    if &start[..8] != MAGIC {
        return Err(refuse("magic", format!("{:02x?}", &start[..8]), "SKYSCKPT".into()));
    }
    let version = u32::from_le_bytes(start[8..12].try_into().expect("four bytes"));
    if version != VERSION {
        return Err(refuse("version", version.to_string(), VERSION.to_string()));
    }
    let length = u64::from_le_bytes(start[12..].try_into().expect("eight bytes"));
    let room = held - least;
    let fits = length <= room;
    let mut text = Vec::new();
    let described = (&mut body).take(if fits { length } else { 0 }).read_to_end(&mut text);
    described.map_err(IoError::os(path, "read"))?;
    std::io::copy(&mut body, &mut std::io::sink()).map_err(IoError::os(path, "read"))?;
    let (found, mut file) = (body.hasher.finalize(), body.from.into_inner());
    let mut digest = [0; DIGEST];
    file.read_exact(&mut digest).map_err(IoError::os(path, "read"))?;
    if found.as_slice() != digest {
        let given = "wrong (the file is damaged or cut short)".to_owned();
        return Err(refuse("checksum", given, "the SHA-256 of the content".into()));
    }
    if !fits {
        let allowed = format!("at most {room}");
        return Err(refuse("description length", length.to_string(), allowed));
    }
    let description = serde_json::from_slice(&text)
        .map_err(|source| IoError::Json { path: path.to_owned(), source })?;
    Ok((description, START as u64 + length, held - DIGEST as u64))
}

/// A reader that hashes what it reads.
struct Hashed<R> {
    from: R,
    hasher: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let count = self.from.read(to)?;
        self.hasher.update(&to[..count]);
        Ok(count)
    }
}

/// So many numbers from a byte of a file on.
fn numbers(path: &Path, first: u64, count: u64) -> Result<Vec<f64>, IoError> {
    let mut file = File::open(path).map_err(IoError::os(path, "open"))?;
    let found = file.metadata().map_err(IoError::os(path, "measure"))?.len();
    let needed = first.saturating_add(count.saturating_mul(8));
    if needed > found {
        return Err(IoError::Truncated { path: path.to_owned(), needed, found });
    }
    file.seek(SeekFrom::Start(first)).map_err(IoError::os(path, "read"))?;
    let mut list = Vec::with_capacity(count as usize);
    let mut buffer = vec![0; PIECE];
    let mut left = 8 * count as usize;
    while left > 0 {
        let piece = &mut buffer[..left.min(PIECE)];
        file.read_exact(piece).map_err(IoError::os(path, "read"))?;
        list.extend(piece.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)));
        left -= piece.len();
    }
    Ok(list)
}

/// Reads a checkpoint and checks every byte of it.
///
/// # Errors
/// As [`CheckpointFile::open`].
pub fn read_checkpoint(path: &Path) -> Result<Checkpoint, IoError> {
    let file = CheckpointFile::open(path)?;
    let read = |(name, length, first): &(String, u64, u64)| {
        Ok((name.clone(), numbers(path, *first, *length)?))
    };
    let arrays = file.arrays.iter().map(read).collect::<Result<_, IoError>>()?;
    Ok(Checkpoint { header: file.header, arrays })
}

/// Values `range` of an array of a checkpoint, without its checksum: for files that
/// [`read_checkpoint`] has passed, when a part is wanted of what is too large to keep.
///
/// # Errors
/// [`IoError::Checkpoint`] if there is no such array or part; [`IoError::Json`];
/// [`IoError::Os`].
pub fn read_checkpoint_part(
    path: &Path,
    name: &str,
    range: std::ops::Range<usize>,
) -> Result<Vec<f64>, IoError> {
    let missing = || IoError::Checkpoint {
        path: path.to_owned(),
        what: "part",
        given: format!("{name}, values {} to {}", range.start, range.end),
        allowed: "a part that the file holds".into(),
    };
    let mut file = File::open(path).map_err(IoError::os(path, "open"))?;
    let held = file.metadata().map_err(IoError::os(path, "measure"))?.len();
    let mut start = [0; START];
    file.read_exact(&mut start).map_err(IoError::os(path, "read"))?;
    let length = u64::from_le_bytes(start[12..].try_into().expect("eight bytes"));
    if &start[..8] != MAGIC || length > held {
        return Err(missing());
    }
    let mut text = vec![0; length as usize];
    file.read_exact(&mut text).map_err(IoError::os(path, "read"))?;
    let description: Description = serde_json::from_slice(&text)
        .map_err(|source| IoError::Json { path: path.to_owned(), source })?;
    let at = description.arrays.iter().position(|(n, _)| n == name).ok_or_else(missing)?;
    let before = description.arrays[..at].iter().try_fold(0u64, |sum, (_, n)| sum.checked_add(*n));
    let before = before.ok_or_else(missing)?;
    if range.start > range.end || range.end as u64 > description.arrays[at].1 {
        return Err(missing());
    }
    let first = before.saturating_add(range.start as u64).saturating_mul(8);
    let first = first.saturating_add(START as u64 + length);
    numbers(path, first, range.len() as u64).map_err(|error| match error {
        IoError::Truncated { .. } => missing(),
        other => other,
    })
}
