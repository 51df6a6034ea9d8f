//! Files of sky maps and of runs: FITS, npy, npz, csv, manifests, checkpoints.
//!
//! **What it is.** A codec of HEALPix binary tables (also gzipped and partial
//! skies), of numpy arrays and archives, and of the small files a run leaves
//! behind. Every reader checks claimed sizes before it allocates; every writer
//! is atomic (a temporary file, synced, then renamed) and overwrites only when
//! told; every error names the file.
//!
//! **What it is not.** No general FITS library: images, ASCII tables and
//! tile-compressed tables are refused by name. Nothing is downloaded or cached.
//!
//! **Who should use it.** The command line, and anyone who wants a [`MapSet`]
//! from disk. It is the only library of the workspace that touches files.
//!
//! **What it may depend on.** `skyscat-healpix` for map sets, and plain
//! encoders: flate2, zip, sha2, serde.
//!
//! [`MapSet`]: skyscat_healpix::MapSet

mod atomic;
mod checkpoint;
mod csv;
mod error;
mod fits;
mod inspect;
mod manifest;
mod maps;
mod npy;
mod npz;
mod source;

pub use atomic::{Overwrite, is_temporary, make_folder, rename, write_atomic};
pub use checkpoint::{
    Checkpoint, CheckpointFile, read_checkpoint, read_checkpoint_part, write_checkpoint,
    write_checkpoint_arrays,
};
pub use csv::{CsvValue, write_csv};
pub use error::IoError;
pub use fits::{FitsColumn, FitsOptions, HeaderCard, HeaderValue, write_fits, write_fits_table};
pub use inspect::{ColumnInfo, FileFormat, FileInfo, inspect};
pub use manifest::{FileRecord, Manifest, sha256_bytes, sha256_file};
pub use maps::{ReadOptions, WriteOptions, read_map_file, read_maps, write_maps};
pub use npy::{Precision, read_npy, write_npy, write_npy_parts};
pub use npz::{NpzArray, read_npz, write_npz};
