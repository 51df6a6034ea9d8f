//! What a file holds, without making a map set of it.

use crate::fits::{HeaderCard, read_fits_maps};
use crate::maps::{cube_channels, format_of};
use crate::npy::read_parts;
use crate::npz::read_members;
use crate::{IoError, read_npy};
use ndarray::{ArrayD, Axis};
use serde::Serialize;
use skyscat_healpix::{Nside, is_seen, is_unseen};
use std::fmt;
use std::path::{Path, PathBuf};

/// The formats known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileFormat {
    /// A FITS file.
    Fits,
    /// A gzipped FITS file.
    GzippedFits,
    /// One numpy array.
    Npy,
    /// An archive of numpy arrays.
    Npz,
}

impl fmt::Display for FileFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Fits => "FITS",
            Self::GzippedFits => "FITS, gzipped",
            Self::Npy => "npy",
            Self::Npz => "npz",
        })
    }
}

/// One column of a table, or one channel or array of numpy data.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ColumnInfo {
    /// Channel name: "T", "Q", "U", or the column's own name.
    pub channel: String,
    /// Name in the file.
    pub name: String,
    /// TFORM of a FITS column, shape of an array.
    pub form: String,
    /// Unit, if stated.
    pub unit: Option<String>,
    /// Number of values, missing ones included.
    pub values: usize,
    /// How many are NaN.
    pub nan: usize,
    /// How many are UNSEEN, pixels that the file leaves out included.
    pub unseen: usize,
    /// Smallest seen value.
    pub min: Option<f64>,
    /// Largest seen value.
    pub max: Option<f64>,
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FileInfo {
    /// The file.
    pub path: PathBuf,
    /// Its format, by content.
    pub format: FileFormat,
    /// Resolution, if it holds maps.
    pub nside: Option<usize>,
    /// Ordering, if stated: "ring" or "nest".
    pub ordering: Option<String>,
    /// Coordinate system, if stated.
    pub coordsys: Option<String>,
    /// Polarisation convention, if stated.
    pub polcconv: Option<String>,
    /// Number of maps; `None` if the shape holds no maps.
    pub n_maps: Option<usize>,
    /// Columns, channels or arrays.
    pub columns: Vec<ColumnInfo>,
    /// Cards of the table's header, for FITS.
    pub header: Vec<HeaderCard>,
}

/// Describes a file and counts its missing pixels.
///
/// # Errors
/// Those of reading the file; an unstated ordering is no error here.
pub fn inspect(path: &Path) -> Result<FileInfo, IoError> {
    let format = format_of(path)?;
    let mut info = FileInfo {
        path: path.to_owned(),
        format,
        nside: None,
        ordering: None,
        coordsys: None,
        polcconv: None,
        n_maps: None,
        columns: Vec::new(),
        header: Vec::new(),
    };
    match format {
        FileFormat::Fits | FileFormat::GzippedFits => inspect_fits(path, &mut info)?,
        FileFormat::Npy => inspect_array("", &read_npy(path)?, &mut info),
        FileFormat::Npz => {
            let arrays = read_members(path, read_parts)?;
            for (name, (array, complex)) in &arrays {
                if *complex {
                    // Real and imaginary parts are counted, the shape is that of the values.
                    let shape = &array.shape()[..array.ndim() - 1];
                    let mut column = counted(name, name, shape, array);
                    column.form += " complex";
                    info.columns.push(column);
                } else if arrays.len() == 1 {
                    inspect_array(name, array, &mut info);
                } else {
                    info.columns.push(counted(name, name, array.shape(), array));
                }
            }
        }
    }
    Ok(info)
}

fn inspect_fits(path: &Path, info: &mut FileInfo) -> Result<(), IoError> {
    let file = read_fits_maps(path, None)?;
    info.nside = Some(file.nside.get());
    info.ordering = file.ordering.map(|o| o.to_string());
    info.coordsys = file.coordsys;
    info.polcconv = file.polcconv;
    info.n_maps = Some(1);
    info.header = file.header.cards;
    info.columns = (file.channels.into_iter())
        .map(|c| ColumnInfo {
            form: c.form,
            unit: c.unit,
            ..counted(&c.name, &c.column, &[], &c.values)
        })
        .collect();
    Ok(())
}

fn inspect_array(name: &str, array: &ArrayD<f64>, info: &mut FileInfo) {
    let names = match array.shape() {
        &[maps, planes, pixels] if maps > 0 => {
            let nside = Nside::from_npix(pixels).ok();
            let names = nside.and(cube_channels(planes));
            info.nside = names.and(nside).map(Nside::get);
            info.n_maps = names.map(|_| maps);
            names
        }
        _ => None,
    };
    match names {
        Some(names) => {
            let planes = names.iter().zip(array.axis_iter(Axis(1)));
            let shape = array.shape();
            let columns = planes.map(|(channel, plane)| counted(channel, name, shape, &plane));
            info.columns.extend(columns);
        }
        None => info.columns.push(counted(name, name, array.shape(), array)),
    }
}

fn counted<'a>(
    channel: &str,
    name: &str,
    shape: &[usize],
    values: impl IntoIterator<Item = &'a f64>,
) -> ColumnInfo {
    let mut info = ColumnInfo {
        channel: channel.to_owned(),
        name: name.to_owned(),
        form: format!("{shape:?}"),
        unit: None,
        values: 0,
        nan: 0,
        unseen: 0,
        min: None,
        max: None,
    };
    for &value in values {
        info.values += 1;
        info.nan += usize::from(value.is_nan());
        info.unseen += usize::from(is_unseen(value));
        if is_seen(value) {
            info.min = Some(info.min.map_or(value, |m| m.min(value)));
            info.max = Some(info.max.map_or(value, |m| m.max(value)));
        }
    }
    info
}
