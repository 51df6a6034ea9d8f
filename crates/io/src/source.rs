//! A byte source that knows its path, its position and, if plain, its length.

use crate::IoError;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// The first bytes of a file, fewer if it is shorter.
pub(crate) fn first_bytes(path: &Path) -> Result<Vec<u8>, IoError> {
    let file = File::open(path).map_err(IoError::os(path, "open"))?;
    let mut start = Vec::new();
    (file.take(8).read_to_end(&mut start)).map_err(IoError::os(path, "read"))?;
    Ok(start)
}

/// A file being read from front to back, gunzipped on the way if need be.
pub(crate) struct Source<'a> {
    reader: Box<dyn Read + 'a>,
    pub(crate) path: PathBuf,
    /// Known for plain files only.
    length: Option<u64>,
    /// Bytes taken so far.
    at: u64,
}

impl<'a> Source<'a> {
    pub(crate) fn open(path: &Path) -> Result<Self, IoError> {
        let gzipped = first_bytes(path)?.starts_with(&[0x1f, 0x8b]);
        let file = File::open(path).map_err(IoError::os(path, "open"))?;
        let length = file.metadata().map_err(IoError::os(path, "measure"))?.len();
        let buffered = BufReader::with_capacity(1 << 18, file);
        Ok(Self {
            reader: if gzipped {
                Box::new(MultiGzDecoder::new(buffered))
            } else {
                Box::new(buffered)
            },
            path: path.to_owned(),
            length: (!gzipped).then_some(length),
            at: 0,
        })
    }

    /// A member of an archive, whose claimed length is not believed.
    pub(crate) fn inside(reader: impl Read + 'a, path: &Path) -> Self {
        Self { reader: Box::new(reader), path: path.to_owned(), length: None, at: 0 }
    }

    /// Bytes left, if known.
    pub(crate) fn left(&self) -> Option<u64> {
        self.length.map(|length| length.saturating_sub(self.at))
    }

    /// Bytes taken so far.
    pub(crate) fn taken(&self) -> u64 {
        self.at
    }

    /// How many values to reserve room for: all of them only if the file is
    /// known to hold them.
    pub(crate) fn capacity(&self, values: usize) -> usize {
        if self.length.is_some() { values } else { values.min(1 << 16) }
    }

    /// Fails at once if a plain file cannot hold `bytes` more.
    pub(crate) fn expect(&self, bytes: u64) -> Result<(), IoError> {
        match self.left() {
            Some(left) if left < bytes => Err(self.truncated(bytes, left)),
            _ => Ok(()),
        }
    }

    pub(crate) fn truncated(&self, needed: u64, found: u64) -> IoError {
        IoError::Truncated {
            path: self.path.to_owned(),
            needed: self.at.saturating_add(needed),
            found: self.at.saturating_add(found),
        }
    }

    /// The next bytes, up to `wanted`; the buffer grows only as they come.
    pub(crate) fn next(&mut self, wanted: u64, buffer: &mut Vec<u8>) -> Result<(), IoError> {
        buffer.clear();
        match self.reader.by_ref().take(wanted).read_to_end(buffer) {
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(self.truncated(wanted, buffer.len() as u64));
            }
            Err(e) => return Err(IoError::os(&self.path, "read or decompress")(e)),
        }
        self.at += buffer.len() as u64;
        Ok(())
    }

    /// The next bytes, exactly `wanted` of them.
    pub(crate) fn next_exact(&mut self, wanted: u64, buffer: &mut Vec<u8>) -> Result<(), IoError> {
        self.expect(wanted)?;
        self.next(wanted, buffer)?;
        let found = buffer.len() as u64;
        if found == wanted {
            return Ok(());
        }
        Err(IoError::Truncated {
            path: self.path.to_owned(),
            needed: (self.at - found).saturating_add(wanted),
            found: self.at,
        })
    }

    /// Passes over `bytes` without keeping them.
    pub(crate) fn skip(&mut self, bytes: u64) -> Result<(), IoError> {
        self.expect(bytes)?;
        let mut buffer = Vec::new();
        let mut left = bytes;
        while left > 0 {
            let part = left.min(1 << 20);
            self.next_exact(part, &mut buffer)?;
            left -= part;
        }
        Ok(())
    }

    /// Reads on to the end of a packed stream, where its checksum is checked.
    pub(crate) fn finish(&mut self) -> Result<(), IoError> {
        let mut buffer = Vec::new();
        while self.length.is_none() {
            self.next(1 << 20, &mut buffer)?;
            if buffer.is_empty() {
                break;
            }
        }
        Ok(())
    }
}
