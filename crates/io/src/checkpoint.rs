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
use std::path::Path;

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
    let description = Description {
        header: header.clone(),
        arrays: arrays.iter().map(|(name, a)| ((*name).to_owned(), a.len() as u64)).collect(),
    };
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
        for (_, array) in arrays {
            buffer.clear();
            buffer.extend(array.iter().flat_map(|v| v.to_le_bytes()));
            put(&buffer)?;
        }
        out.write_all(&hasher.finalize())
    })
}

/// Reads a checkpoint and checks every byte of it.
///
/// # Errors
/// [`IoError::Checkpoint`] for another kind of file, another version, a failed
/// checksum or a description that does not fit; [`IoError::Truncated`];
/// [`IoError::Os`].
pub fn read_checkpoint(path: &Path) -> Result<Checkpoint, IoError> {
    let bytes = std::fs::read(path).map_err(IoError::os(path, "read"))?;
    let refuse = |what, given: String, allowed: String| IoError::Checkpoint {
        path: path.to_owned(),
        what,
        given,
        allowed,
    };
    if bytes.len() < START + DIGEST {
        return Err(IoError::Truncated {
            path: path.to_owned(),
            needed: (START + DIGEST) as u64,
            found: bytes.len() as u64,
        });
    }
    if &bytes[..8] != MAGIC {
        let given = format!("{:02x?}", &bytes[..8]);
        return Err(refuse("magic", given, "SKYSCKPT".into()));
    }
    let version = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
    if version != VERSION {
        return Err(refuse("version", version.to_string(), VERSION.to_string()));
    }
    let (body, digest) = bytes.split_at(bytes.len() - DIGEST);
    let found = Sha256::digest(body);
    if found.as_slice() != digest {
        let given = "wrong (the file is damaged or cut short)".to_owned();
        return Err(refuse("checksum", given, "the SHA-256 of the content".into()));
    }
    let mut length = [0; 8];
    length.copy_from_slice(&body[12..START]);
    let length = u64::from_le_bytes(length);
    let body = &body[START..];
    if length > body.len() as u64 {
        return Err(refuse(
            "description length",
            length.to_string(),
            format!("at most {}", body.len()),
        ));
    }
    let (text, mut data) = body.split_at(length as usize);
    let description: Description = serde_json::from_slice(text)
        .map_err(|source| IoError::Json { path: path.to_owned(), source })?;
    let claimed = (description.arrays.iter())
        .try_fold(0u64, |sum, (_, n)| sum.checked_add(n.checked_mul(8)?));
    if claimed != Some(data.len() as u64) {
        let given = claimed.map_or("beyond 2^64".into(), |n| n.to_string());
        return Err(refuse("total length of arrays", given, data.len().to_string()));
    }
    let mut arrays = Vec::new();
    for (name, count) in description.arrays {
        let (own, rest) = data.split_at(8 * count as usize);
        let values = own.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b));
        arrays.push((name, values.collect()));
        data = rest;
    }
    Ok(Checkpoint { header: description.header, arrays })
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
    file.seek(SeekFrom::Start(first)).map_err(IoError::os(path, "read"))?;
    let mut bytes = Vec::new();
    let wanted = 8 * range.len() as u64;
    file.take(wanted).read_to_end(&mut bytes).map_err(IoError::os(path, "read"))?;
    if bytes.len() as u64 != wanted {
        return Err(missing());
    }
    Ok(bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)).collect())
}
