//! The real binary, run as a user runs it.

mod bad_input;
mod corpus;
mod crash;
mod devices;
mod emulate;
mod hpc;
mod measure;
mod merge;
mod mpi;
mod same_bits;
mod simulate;
mod small;
mod validate;

use ndarray::Array3;
use skyscat::healpix::{MapSet, Nside, Ordering};
use skyscat::io::{FitsOptions, HeaderCard, Overwrite, Precision, write_fits, write_npy};
use skyscat::num::Seed;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What the program said and returned.
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A folder to work in, and the program run inside it.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program with words split at spaces.
    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_skyscat"));
        command.current_dir(self.folder.path()).args(line.split_whitespace());
        command
    }

    fn run(&self, line: &str) -> Said {
        self.command(line).output().unwrap().into()
    }

    /// Runs and expects success.
    fn good(&self, line: &str) -> Said {
        let said = self.run(line);
        assert_eq!(said.code, Some(0), "{line}\n{}", said.stderr);
        said
    }

    /// Runs and expects an error with these words, and nothing written.
    fn refused(&self, line: &str, words: &[&str]) {
        let before = listing(self.folder.path());
        let said = self.run(line);
        assert!(said.code.is_some_and(|c| c != 0), "accepted: {line}\n{}", said.stderr);
        for word in words {
            assert!(said.stderr.contains(word), "no {word:?} for {line}:\n{}", said.stderr);
        }
        assert_eq!(before, listing(self.folder.path()), "something was written by {line}");
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Writes a cube of smooth random Q/U maps.
    fn cube(&self, name: &str, nside: usize, maps: usize) -> Array3<f64> {
        let data = random(nside, maps);
        write_npy(&self.path(name), &data.view().into_dyn(), Precision::F64, Overwrite::Allow)
            .unwrap();
        data
    }

    /// Writes a cube of these numbers.
    fn write(&self, name: &str, data: &Array3<f64>) {
        write_npy(&self.path(name), &data.view().into_dyn(), Precision::F64, Overwrite::Allow)
            .unwrap();
    }

    /// Writes one Q/U map as FITS.
    fn fits(&self, name: &str, nside: usize, ordering: Ordering, seed: u64) {
        let data = random_of(nside, 1, seed);
        let maps = MapSet::new(ordering, &["Q", "U"], data)
            .unwrap()
            .with_unit(Some("K_CMB".into()))
            .with_coordsys(Some("G".into()))
            .with_polcconv(Some("COSMO".into()));
        let options = FitsOptions {
            precision: Precision::F64,
            overwrite: Overwrite::Allow,
            cards: vec![HeaderCard::text("CREATOR", "test", "")],
        };
        write_fits(&self.path(name), &maps, &options).unwrap();
    }
}

fn random(nside: usize, maps: usize) -> Array3<f64> {
    random_of(nside, maps, 5)
}

fn random_of(nside: usize, maps: usize, seed: u64) -> Array3<f64> {
    let npix = Nside::new(nside).unwrap().npix();
    let noise = Seed(seed).stream("test-maps").index(0, 0).normals(maps * 2 * npix);
    Array3::from_shape_vec((maps, 2, npix), noise).unwrap() * 3e-8
}

/// All files and folders under a folder.
fn listing(folder: &Path) -> Vec<PathBuf> {
    let mut list = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list.extend(listing(&path));
        }
        list.push(path);
    }
    list.sort();
    list
}
