//! Sets of maps from and to files, the format found by the content.

use crate::fits::{FitsMaps, read_fits_maps, write_fits_map};
use crate::npy::MAGIC;
use crate::source::first_bytes;
use crate::{FileFormat, FitsOptions, IoError, read_npy, read_npz, write_npy};
use ndarray::{Array3, ArrayD, ArrayView3, Axis, Ix3, concatenate};
use skyscat_healpix::{HealpixError, MapSet, Ordering};
use std::path::{Path, PathBuf};

/// How files of maps are read.
///
/// ```
/// use skyscat_healpix::Ordering;
/// use skyscat_io::ReadOptions;
/// let options = ReadOptions::assuming(Ordering::Ring).with_channels(&["Q", "U"]);
/// assert_eq!(options.ordering_if_unstated, Some(Ordering::Ring));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// Ordering of files that state none (npy never does); `None` refuses them.
    pub ordering_if_unstated: Option<Ordering>,
    /// Channels to read, in this order; `None` reads all.
    pub channels: Option<Vec<String>>,
}

impl ReadOptions {
    /// All channels of files that state their ordering.
    pub fn as_stated() -> Self {
        Self { ordering_if_unstated: None, channels: None }
    }

    /// All channels; files that state no ordering have this one.
    pub fn assuming(ordering: Ordering) -> Self {
        Self { ordering_if_unstated: Some(ordering), channels: None }
    }

    /// Only these channels, in this order.
    pub fn with_channels<S: AsRef<str>>(mut self, names: &[S]) -> Self {
        self.channels = Some(names.iter().map(|n| n.as_ref().to_owned()).collect());
        self
    }
}

/// How a set is written: the format follows from the path.
pub type WriteOptions = FitsOptions;

const KNOWN: &str = "FITS (also gzipped), npy and npz";

/// The format of a file, by its first bytes.
pub(crate) fn format_of(path: &Path) -> Result<FileFormat, IoError> {
    let start = first_bytes(path)?;
    if start.starts_with(b"SIMPLE") {
        return Ok(FileFormat::Fits);
    }
    if start.starts_with(&[0x1f, 0x8b]) {
        return Ok(FileFormat::GzippedFits);
    }
    if start.starts_with(MAGIC) {
        return Ok(FileFormat::Npy);
    }
    if start.starts_with(b"PK") {
        return Ok(FileFormat::Npz);
    }
    Err(IoError::Format {
        path: path.to_owned(),
        given: format!("first bytes {start:02x?}"),
        allowed: KNOWN,
    })
}

/// Reads one file of maps.
///
/// FITS: one map, a channel for each column. npy: a cube
/// `(n_maps, n_channels, n_pixels)` whose 1, 2 or 3 channels are T; Q, U; or
/// T, Q, U. npz: the same, for an archive of one array.
///
/// # Errors
/// Any [`IoError`]; each names the file.
pub fn read_map_file(path: &Path, options: &ReadOptions) -> Result<MapSet, IoError> {
    let wanted = options.channels.as_deref();
    match format_of(path)? {
        FileFormat::Fits | FileFormat::GzippedFits => {
            from_fits(path, read_fits_maps(path, wanted)?, options.ordering_if_unstated)
        }
        FileFormat::Npy => from_cube(path, read_npy(path)?, options),
        FileFormat::Npz => {
            let mut arrays = read_npz(path)?;
            match (arrays.len(), arrays.pop_first()) {
                (1, Some((_, array))) => from_cube(path, array, options),
                (count, _) => Err(IoError::Format {
                    path: path.to_owned(),
                    given: format!("an archive of {count} arrays"),
                    allowed: "archives of one array of maps",
                }),
            }
        }
    }
}

fn from_fits(path: &Path, file: FitsMaps, unstated: Option<Ordering>) -> Result<MapSet, IoError> {
    let ordering = file.ordering.or(unstated);
    let ordering = ordering.ok_or_else(|| IoError::OrderingUnstated { path: path.to_owned() })?;
    let unit = file.channels.first().and_then(|c| c.unit.clone());
    if let Some(other) = file.channels.iter().find(|c| c.unit != unit) {
        return Err(IoError::Column {
            path: path.to_owned(),
            column: other.column.clone(),
            given: format!("in {}", shown(other.unit.as_deref())),
            allowed: "columns of one unit: name the channels to read",
        });
    }
    let names: Vec<&str> = file.channels.iter().map(|c| c.name.as_str()).collect();
    let mut data = Array3::zeros((1, names.len(), file.nside.npix()));
    for (mut row, channel) in data.rows_mut().into_iter().zip(&file.channels) {
        row.assign(&ndarray::ArrayView1::from(&channel.values));
    }
    let maps = MapSet::new(ordering, &names, data).map_err(IoError::maps(path))?;
    Ok(maps.with_unit(unit).with_coordsys(file.coordsys).with_polcconv(file.polcconv))
}

/// Channel names of a cube with this many planes.
pub(crate) fn cube_channels(planes: usize) -> Option<&'static [&'static str]> {
    match planes {
        1 => Some(&["T"]),
        2 => Some(&["Q", "U"]),
        3 => Some(&["T", "Q", "U"]),
        _ => None,
    }
}

fn from_cube(path: &Path, array: ArrayD<f64>, options: &ReadOptions) -> Result<MapSet, IoError> {
    let given = array.shape().to_vec();
    let shape = || IoError::Shape {
        path: path.to_owned(),
        given: given.clone(),
        allowed: "(n_maps, n_channels, n_pixels) with 1 (T), 2 (Q, U) or 3 (T, Q, U) channels",
    };
    let cube = array.into_dimensionality::<Ix3>().map_err(|_| shape())?;
    let names = cube_channels(cube.dim().1).ok_or_else(shape)?;
    let ordering = options.ordering_if_unstated;
    let ordering = ordering.ok_or_else(|| IoError::OrderingUnstated { path: path.to_owned() })?;
    let cube = cube.as_standard_layout().into_owned();
    let maps = MapSet::new(ordering, names, cube).map_err(IoError::maps(path))?;
    match &options.channels {
        Some(wanted) => maps.select(wanted).map_err(|error| match error {
            HealpixError::NoChannel { given, available } => {
                IoError::MissingChannel { path: path.to_owned(), given, available }
            }
            other => IoError::maps(path)(other),
        }),
        None => Ok(maps),
    }
}

/// Reads several files as one set, in the order given.
///
/// # Errors
/// [`IoError::NoFiles`] for an empty list, [`IoError::Mixed`] if two files
/// differ in resolution, ordering, channels, unit, coordinate system or
/// polarisation convention, and those of [`read_map_file`].
pub fn read_maps<P: AsRef<Path>>(paths: &[P], options: &ReadOptions) -> Result<MapSet, IoError> {
    let Some((first, rest)) = paths.split_first() else {
        return Err(IoError::NoFiles { path: PathBuf::new() });
    };
    let first_set = read_map_file(first.as_ref(), options)?;
    let mut sets = vec![first_set];
    for path in rest {
        let set = read_map_file(path.as_ref(), options)?;
        check_alike(path.as_ref(), &set, first.as_ref(), &sets[0])?;
        sets.push(set);
    }
    if sets.len() == 1 {
        return Ok(sets.remove(0));
    }
    let views: Vec<ArrayView3<f64>> = sets.iter().map(MapSet::data).collect();
    let data = concatenate(Axis(0), &views).expect("the sets have been found alike");
    let whole = MapSet::new(sets[0].ordering(), sets[0].channels(), data);
    let own = |text: Option<&str>| text.map(str::to_owned);
    Ok(whole
        .map_err(IoError::maps(first.as_ref()))?
        .with_unit(own(sets[0].unit()))
        .with_coordsys(own(sets[0].coordsys()))
        .with_polcconv(own(sets[0].polcconv())))
}

fn shown(text: Option<&str>) -> String {
    text.map_or("no unit".into(), |t| format!("{t:?}"))
}

fn check_alike(path: &Path, set: &MapSet, other: &Path, first: &MapSet) -> Result<(), IoError> {
    let stated = |text: Option<&str>| text.unwrap_or("unstated").to_owned();
    let describe = |s: &MapSet| {
        [
            ("nside", s.nside().to_string()),
            ("ordering", s.ordering().to_string()),
            ("channels", s.channels().join(", ")),
            ("unit", stated(s.unit())),
            ("coordinate system", stated(s.coordsys())),
            ("polarisation convention", stated(s.polcconv())),
        ]
    };
    for ((what, given), (_, expected)) in describe(set).into_iter().zip(describe(first)) {
        if given != expected {
            return Err(IoError::Mixed {
                path: path.to_owned(),
                other: other.to_owned(),
                what,
                given,
                expected,
            });
        }
    }
    Ok(())
}

/// Writes a set; returns the files written.
///
/// `.npy`: one cube `(n_maps, n_channels, n_pixels)`; extra cards are refused,
/// for the format has no place for them. `.fits`, `.fits.gz`: one file for one
/// map, else `name_0000.fits`, `name_0001.fits`, ….
///
/// # Errors
/// [`IoError::Format`] for any other extension, and those of
/// [`crate::write_fits`] and [`write_npy`].
pub fn write_maps(
    path: &Path,
    maps: &MapSet,
    options: &WriteOptions,
) -> Result<Vec<PathBuf>, IoError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.ends_with(".npy") {
        if let Some(card) = options.cards.first() {
            let allowed = "no extra cards in npy files";
            return Err(IoError::header(path, &card.keyword, "given", allowed));
        }
        let data = maps.data();
        write_npy(path, &data.into_dyn(), options.precision, options.overwrite)?;
        return Ok(vec![path.to_owned()]);
    }
    let Some(extension) = [".fits", ".fits.gz"].into_iter().find(|e| name.ends_with(e)) else {
        return Err(IoError::Format {
            path: path.to_owned(),
            given: format!("name {name:?}"),
            allowed: "names that end in .fits, .fits.gz or .npy",
        });
    };
    if maps.n_maps() == 1 {
        write_fits_map(path, maps, 0, options)?;
        return Ok(vec![path.to_owned()]);
    }
    let stem = name.strip_suffix(extension).unwrap_or(&name);
    let numbered = (0..maps.n_maps()).map(|index| {
        let file = path.with_file_name(format!("{stem}_{index:04}{extension}"));
        write_fits_map(&file, maps, index, options)?;
        Ok(file)
    });
    numbered.collect()
}
