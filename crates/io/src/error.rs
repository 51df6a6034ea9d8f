//! What can be wrong with a file: every variant carries its path.

use skyscat_healpix::HealpixError;
use std::path::{Path, PathBuf};

/// What can be wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IoError {
    /// The operating system refused.
    #[error("{}: cannot {action}: {source}", path.display())]
    Os {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is there already and may not be replaced.
    #[error("{}: the file exists and overwriting was not allowed", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The content is none of the formats known.
    #[error("{}: not a format known here ({given}): allowed are {allowed}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What was found or asked for.
        given: String,
        /// What there is.
        allowed: &'static str,
    },
    /// The file ends before what it claims to hold.
    #[error("{}: the file is cut short: {needed} bytes needed, {found} there", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Bytes that the header claims.
        needed: u64,
        /// Bytes there are.
        found: u64,
    },
    /// A FITS header without its END card.
    #[error("{}: the FITS header has no END card in its first {searched} bytes", path.display())]
    MissingEnd {
        /// The file.
        path: PathBuf,
        /// How far the header was read.
        searched: u64,
    },
    /// A header entry that is missing, malformed or not allowed.
    #[error("{}: header {keyword} is {given}: allowed is {allowed}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// The keyword.
        keyword: String,
        /// The value given, or "missing".
        given: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A FITS file without a binary table.
    #[error("{}: no binary table in its {found} header units: a HEALPix map is a BINTABLE extension", path.display())]
    NoTable {
        /// The file.
        path: PathBuf,
        /// Number of header units seen.
        found: usize,
    },
    /// A tile-compressed table or image.
    #[error("{}: tile compression ({keyword}) is not supported: unpack the file with funpack first", path.display())]
    Compressed {
        /// The file.
        path: PathBuf,
        /// The keyword that says so.
        keyword: &'static str,
    },
    /// A column that cannot be read as numbers of a map.
    #[error("{}: column {column} is {given}: allowed is {allowed}", path.display())]
    Column {
        /// The file.
        path: PathBuf,
        /// Name of the column.
        column: String,
        /// What it is.
        given: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A channel that the file does not have.
    #[error("{}: there is no channel {given:?}: the file has {}", path.display(), available.join(", "))]
    MissingChannel {
        /// The file.
        path: PathBuf,
        /// The name asked for.
        given: String,
        /// The names there are.
        available: Vec<String>,
    },
    /// Neither the file nor the caller states the pixel ordering.
    #[error("{}: the file does not state its pixel ordering: say whether it is ring or nest", path.display())]
    OrderingUnstated {
        /// The file.
        path: PathBuf,
    },
    /// A pixel index that is out of range or given twice.
    #[error("{}: pixel index {given} is {why}: allowed are distinct integers from 0 to {last}", path.display())]
    Pixel {
        /// The file.
        path: PathBuf,
        /// The index given.
        given: f64,
        /// What is wrong with it.
        why: &'static str,
        /// Largest index at this resolution.
        last: usize,
    },
    /// A number of pixels that does not fit the stated resolution.
    #[error("{}: {given} pixels where nside {nside} has {allowed}", path.display())]
    PixelCount {
        /// The file.
        path: PathBuf,
        /// Pixels in the file.
        given: usize,
        /// Resolution stated.
        nside: usize,
        /// Pixels of that resolution.
        allowed: usize,
    },
    /// A value that single precision cannot hold.
    #[error("{}: value {given} is too large for 32-bit floats: allowed is up to 3.4e38, or 64 bits", path.display())]
    Precision {
        /// The file.
        path: PathBuf,
        /// The first such value.
        given: f64,
    },
    /// An array of a shape that holds no maps.
    #[error("{}: array of shape {given:?}: allowed is {allowed}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The shape given.
        given: Vec<usize>,
        /// What is allowed.
        allowed: &'static str,
    },
    /// Two files that cannot be one set of maps.
    #[error("{} has {what} {given}, but {} has {expected}: the files of a set must agree", path.display(), other.display())]
    Mixed {
        /// The file that differs.
        path: PathBuf,
        /// The first file of the set.
        other: PathBuf,
        /// In what they differ.
        what: &'static str,
        /// What the file has.
        given: String,
        /// What the first file has.
        expected: String,
    },
    /// An empty list of files.
    #[error("{}: no file to read: at least one path is needed", path.display())]
    NoFiles {
        /// An empty path.
        path: PathBuf,
    },
    /// The content is no valid set of maps.
    #[error("{}: {source}", path.display())]
    Maps {
        /// The file.
        path: PathBuf,
        /// What is wrong with the maps.
        source: HealpixError,
    },
    /// Malformed json.
    #[error("{}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// A malformed zip archive.
    #[error("{}: not a readable npz archive: {source}", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// What the archive reader says.
        source: zip::result::ZipError,
    },
    /// A checkpoint that is damaged or of another version.
    #[error("{}: checkpoint {what} is {given}: allowed is {allowed}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
        /// What was found.
        given: String,
        /// What is allowed.
        allowed: String,
    },
    /// A recorded file that has changed since.
    #[error("{}: the file has changed: sha256 {given}, recorded {recorded}", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// Its checksum now.
        given: String,
        /// Its checksum in the manifest.
        recorded: String,
    },
}

impl IoError {
    pub(crate) fn os(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Os { path, action, source }
    }

    pub(crate) fn header(
        path: &Path,
        keyword: &str,
        given: impl ToString,
        allowed: &'static str,
    ) -> Self {
        Self::Header {
            path: path.to_owned(),
            keyword: keyword.to_owned(),
            given: given.to_string(),
            allowed,
        }
    }

    pub(crate) fn maps(path: &Path) -> impl Fn(HealpixError) -> Self {
        let path = path.to_owned();
        move |source| Self::Maps { path: path.clone(), source }
    }
}
