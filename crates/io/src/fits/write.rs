//! Writing one sky as a binary table that healpy reads.

use super::header::{BLOCK, HeaderCard};
use crate::{IoError, Overwrite, Precision, write_atomic};
use flate2::{Compression, write::GzEncoder};
use ndarray::{ArrayView2, Axis, Slice};
use skyscat_healpix::{MapSet, Ordering};
use std::io::{self, Write};
use std::path::Path;

/// How a FITS map is written.
#[derive(Clone, Debug, PartialEq)]
pub struct FitsOptions {
    /// Width of the numbers.
    pub precision: Precision,
    /// Whether a file that is there may be replaced.
    pub overwrite: Overwrite,
    /// More cards: seed, version, hash of the configuration.
    pub cards: Vec<HeaderCard>,
}

/// Structural keywords that [`FitsOptions::cards`] may not set.
const RESERVED: [&str; 17] = [
    "SIMPLE", "XTENSION", "BITPIX", "NAXIS", "EXTEND", "PCOUNT", "GCOUNT", "TFIELDS", "THEAP",
    "PIXTYPE", "ORDERING", "NSIDE", "FIRSTPIX", "LASTPIX", "INDXSCHM", "OBJECT", "END",
];
const RESERVED_STEMS: [&str; 9] =
    ["NAXIS", "TTYPE", "TFORM", "TUNIT", "TSCAL", "TZERO", "TNULL", "ZTABLE", "ZIMAGE"];

/// Writes a set of one map as a FITS binary table, one column a channel.
///
/// Ordering, resolution, unit, coordinate system and polarisation convention
/// stand in the header, where healpy looks for them; a path that ends in `.gz`
/// is gzipped. Sets of many maps are written by [`crate::write_maps`].
///
/// # Errors
/// [`IoError::Shape`] for a set of several maps, [`IoError::Header`] for a card
/// that does not fit or sets what the table itself sets, [`IoError::Precision`] for a
/// value beyond 32-bit floats, [`IoError::Exists`], [`IoError::Os`].
pub fn write_fits(path: &Path, maps: &MapSet, options: &FitsOptions) -> Result<(), IoError> {
    if maps.n_maps() != 1 {
        return Err(IoError::Shape {
            path: path.to_owned(),
            given: maps.data().shape().to_vec(),
            allowed: "one map, shape (1, n_channels, n_pixels)",
        });
    }
    write_fits_map(path, maps, 0, options)
}

/// Writes map `index` of a set.
pub(crate) fn write_fits_map(
    path: &Path,
    maps: &MapSet,
    index: usize,
    options: &FitsOptions,
) -> Result<(), IoError> {
    // Vectors of 1024 values a row where they fit, as the HEALPix tools write.
    let npix = maps.nside().npix();
    let repeat = if npix.is_multiple_of(1024) { 1024 } else { 1 };
    let header = header(path, maps, repeat, options)?;
    let data = maps.data();
    let map = data.index_axis(Axis(0), index);
    options.precision.check(map.iter(), path)?;
    let fill = |out: &mut dyn Write| -> io::Result<()> {
        out.write_all(&header)?;
        let bytes = table(out, &map, repeat, options.precision)?;
        out.write_all(&vec![0; bytes.next_multiple_of(BLOCK) - bytes])
    };
    let gzipped = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz"));
    write_atomic(path, options.overwrite, |out| {
        if !gzipped {
            return fill(out);
        }
        let mut encoder = GzEncoder::new(out, Compression::default());
        fill(&mut encoder)?;
        encoder.finish().map(|_| ())
    })
}

/// Writes the rows; returns their length in bytes.
fn table(
    out: &mut dyn Write,
    map: &ArrayView2<'_, f64>,
    repeat: usize,
    precision: Precision,
) -> io::Result<usize> {
    let mut row = Vec::new();
    let mut bytes = 0;
    for start in (0..map.ncols()).step_by(repeat) {
        row.clear();
        for channel in map.rows() {
            for &value in channel.slice_axis(Axis(0), Slice::from(start..start + repeat)) {
                match precision {
                    Precision::F64 => row.extend(value.to_be_bytes()),
                    Precision::F32 => row.extend((value as f32).to_be_bytes()),
                }
            }
        }
        out.write_all(&row)?;
        bytes += row.len();
    }
    Ok(bytes)
}

fn header(
    path: &Path,
    maps: &MapSet,
    repeat: usize,
    options: &FitsOptions,
) -> Result<Vec<u8>, IoError> {
    let mut bytes = Vec::new();
    primary(&mut bytes, path)?;
    let mut cards = table_cards(maps, repeat, options.precision);
    for card in &options.cards {
        let keyword = card.keyword.as_str();
        let stem = keyword.trim_end_matches(|c: char| c.is_ascii_digit());
        let stated = ["COORDSYS", "POLCCONV"].contains(&keyword)
            && cards.iter().any(|c| c.keyword == keyword);
        if RESERVED.contains(&keyword) || RESERVED_STEMS.contains(&stem) || stated {
            let allowed = "left to the map set and the table";
            return Err(IoError::header(path, keyword, "given as an extra card", allowed));
        }
        cards.push(card.clone());
    }
    unit(&mut bytes, &cards, path)?;
    Ok(bytes)
}

/// Appends the primary header of a file whose data are in an extension.
pub(super) fn primary(bytes: &mut Vec<u8>, path: &Path) -> Result<(), IoError> {
    let logical = |keyword: &str| HeaderCard {
        keyword: keyword.to_owned(),
        value: Some(super::HeaderValue::Logical(true)),
        comment: String::new(),
    };
    let cards = [
        logical("SIMPLE"),
        int("BITPIX", 8, "no data here"),
        int("NAXIS", 0, ""),
        logical("EXTEND"),
    ];
    unit(bytes, &cards, path)
}

pub(super) fn int(keyword: &str, value: usize, comment: &str) -> HeaderCard {
    HeaderCard::integer(keyword, value as i64, comment)
}

/// The cards that follow from the maps.
fn table_cards(maps: &MapSet, repeat: usize, precision: Precision) -> Vec<HeaderCard> {
    let (npix, n_channels) = (maps.nside().npix(), maps.channels().len());
    let (code, width) = match precision {
        Precision::F64 => ('D', 8),
        Precision::F32 => ('E', 4),
    };
    let mut cards = vec![
        HeaderCard::text("XTENSION", "BINTABLE", "binary table"),
        int("BITPIX", 8, ""),
        int("NAXIS", 2, ""),
        int("NAXIS1", n_channels * repeat * width, "bytes in a row"),
        int("NAXIS2", npix / repeat, "rows"),
        int("PCOUNT", 0, ""),
        int("GCOUNT", 1, ""),
        int("TFIELDS", n_channels, "columns"),
    ];
    for (channel, i) in maps.channels().iter().zip(1..) {
        cards.push(HeaderCard::text(&format!("TTYPE{i}"), column_name(channel), ""));
        cards.push(HeaderCard::text(&format!("TFORM{i}"), format!("{repeat}{code}"), ""));
        if let Some(unit) = maps.unit() {
            cards.push(HeaderCard::text(&format!("TUNIT{i}"), unit, ""));
        }
    }
    let ordering = match maps.ordering() {
        Ordering::Ring => "RING",
        Ordering::Nest => "NESTED",
    };
    cards.push(HeaderCard::text("PIXTYPE", "HEALPIX", "HEALPix pixelisation"));
    cards.push(HeaderCard::text("ORDERING", ordering, "RING or NESTED"));
    cards.push(int("NSIDE", maps.nside().get(), "resolution"));
    cards.push(int("FIRSTPIX", 0, "first pixel"));
    cards.push(int("LASTPIX", npix - 1, "last pixel"));
    cards.push(HeaderCard::text("INDXSCHM", "IMPLICIT", "pixel i is value i"));
    cards.push(HeaderCard::text("OBJECT", "FULLSKY", "sky coverage"));
    if let Some(frame) = maps.coordsys() {
        cards.push(HeaderCard::text("COORDSYS", frame, "G, E or C"));
    }
    if let Some(convention) = maps.polcconv() {
        cards.push(HeaderCard::text("POLCCONV", convention, "COSMO or IAU"));
    }
    cards
}

/// Appends one header unit, END and padding included.
pub(super) fn unit(bytes: &mut Vec<u8>, cards: &[HeaderCard], path: &Path) -> Result<(), IoError> {
    for card in cards {
        bytes.extend(card.encoded(path)?);
    }
    bytes.extend(b"END");
    bytes.resize(bytes.len().next_multiple_of(BLOCK), b' ');
    Ok(())
}

/// The TTYPE of a channel.
fn column_name(channel: &str) -> &str {
    match channel {
        "T" => "TEMPERATURE",
        "Q" => "Q_POLARISATION",
        "U" => "U_POLARISATION",
        other => other,
    }
}
