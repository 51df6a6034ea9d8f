//! From a binary table to sky maps: ordering, resolution, coverage, names.

use super::header::{BLOCK, Header};
use super::table::Layout;
use crate::IoError;
use crate::source::Source;
use skyscat_healpix::{Nside, Ordering, UNSEEN};
use std::path::Path;

/// What a file holds, before anyone asked for an ordering.
#[derive(Debug)]
pub(crate) struct FitsMaps {
    pub(crate) header: Header,
    pub(crate) nside: Nside,
    pub(crate) ordering: Option<Ordering>,
    pub(crate) coordsys: Option<String>,
    pub(crate) polcconv: Option<String>,
    pub(crate) channels: Vec<FitsChannel>,
}

/// One channel: a column spread over the full sky.
#[derive(Debug)]
pub(crate) struct FitsChannel {
    pub(crate) name: String,
    pub(crate) column: String,
    pub(crate) form: String,
    pub(crate) unit: Option<String>,
    pub(crate) values: Vec<f64>,
}

/// The channels asked for (all if `None`) of the first binary table of a file.
pub(crate) fn read_fits_maps(
    path: &Path,
    channels: Option<&[String]>,
) -> Result<FitsMaps, IoError> {
    let mut source = Source::open(path)?;
    let header = first_table(&mut source)?;
    if let Some(pixtype) = header.text("PIXTYPE")?
        && !pixtype.eq_ignore_ascii_case("HEALPIX")
    {
        return Err(header.refuse("PIXTYPE", format!("{pixtype:?}"), "\"HEALPIX\""));
    }
    let ordering = match header.text("ORDERING")? {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| {
            header.refuse("ORDERING", format!("{text:?}"), "\"RING\", \"NESTED\" or \"NEST\"")
        })?),
    };
    let layout = Layout::new(&header)?;
    source.expect(header.data_bytes()?)?;
    let coverage = Coverage::new(&header, &layout)?;
    let (chosen, names) = choose(&layout, coverage.pixel_column(), channels, path)?;
    for &column in &chosen {
        layout.check_numeric(column, &header)?;
        let given = layout.values(column);
        if given != coverage.values {
            return Err(IoError::Column {
                path: path.to_owned(),
                column: layout.columns[column].name.clone(),
                given: format!("{given} values long beside columns of {}", coverage.values),
                allowed: "columns of equal length",
            });
        }
    }
    coverage.check_size(&header, chosen.len())?;
    let read: Vec<usize> =
        coverage.pixel_column().into_iter().chain(chosen.iter().copied()).collect();
    let mut values = layout.read(&mut source, &read)?;
    source.finish()?;
    let pixels = coverage.pixel_column().map(|_| values.remove(0));
    let spread = coverage.spread(pixels, path)?;
    let channels = (chosen.into_iter().zip(names).zip(values))
        .map(|((column, name), values)| FitsChannel {
            name,
            column: layout.columns[column].name.clone(),
            form: layout.columns[column].form.clone(),
            unit: layout.columns[column].unit.clone(),
            values: spread.apply(values),
        })
        .collect();
    Ok(FitsMaps {
        nside: coverage.nside,
        ordering,
        coordsys: header.text("COORDSYS")?.map(str::to_owned),
        polcconv: header.text("POLCCONV")?.map(str::to_owned),
        header,
        channels,
    })
}

/// Header of the first binary table; the source is left at its data.
fn first_table(source: &mut Source) -> Result<Header, IoError> {
    let path = source.path.clone();
    let mut found = 0;
    while let Some(header) = Header::read(source)? {
        if found == 0 && !header.is_true("SIMPLE") {
            return Err(header.refuse("SIMPLE", "missing or F", "T"));
        }
        for keyword in ["ZIMAGE", "ZTABLE"] {
            if header.is_true(keyword) {
                return Err(IoError::Compressed { path, keyword });
            }
        }
        if header.text("XTENSION")? == Some("BINTABLE") {
            return Ok(header);
        }
        found += 1;
        let bytes = header.data_bytes()?;
        let padded = bytes.div_ceil(BLOCK as u64).saturating_mul(BLOCK as u64);
        source.expect(bytes)?;
        source.skip(padded.min(source.left().unwrap_or(padded)))?;
    }
    Err(IoError::NoTable { path, found })
}

/// Pixels of a sky for each value that the file holds.
const MOST_PER_VALUE: u64 = 1000;
/// Pixels of all channels that may be spread whatever the file holds (128 MiB).
const ALWAYS: u64 = 1 << 24;

/// Which pixels the rows of the table stand for.
struct Coverage {
    nside: Nside,
    /// Values in each column.
    values: u64,
    kind: Kind,
}

enum Kind {
    Full,
    /// Consecutive pixels from this one on.
    From(usize),
    /// Pixel numbers in this column.
    Listed(usize),
}

impl Coverage {
    fn new(header: &Header, layout: &Layout) -> Result<Self, IoError> {
        let is_pixel = |name: &str| name.eq_ignore_ascii_case("PIXEL");
        let named = layout.columns.iter().position(|c| is_pixel(&c.name));
        let explicit = match header.text("INDXSCHM")? {
            Some(s) if s.eq_ignore_ascii_case("EXPLICIT") => true,
            Some(s) if s.eq_ignore_ascii_case("IMPLICIT") => false,
            Some(other) => {
                let given = format!("{other:?}");
                return Err(header.refuse("INDXSCHM", given, "\"IMPLICIT\" or \"EXPLICIT\""));
            }
            None => named.is_some(),
        };
        let pixel_column = named.unwrap_or(0);
        let values = layout.values(if explicit { pixel_column } else { 0 });
        let nside = match header.integer("NSIDE")? {
            Some(n) => {
                let nside = usize::try_from(n).ok().and_then(|n| Nside::new(n).ok());
                let allowed = "a power of two from 1 to 8192";
                Some(nside.ok_or_else(|| header.refuse("NSIDE", n, allowed))?)
            }
            None => None,
        };
        if explicit {
            layout.check_numeric(pixel_column, header)?;
            let allowed = "stated, for a map of part of the sky";
            let nside = nside.ok_or_else(|| header.refuse("NSIDE", "missing", allowed))?;
            let kind = Kind::Listed(pixel_column);
            return Ok(Self { nside, values, kind });
        }
        let count = usize::try_from(values).unwrap_or(usize::MAX);
        let nside = match nside {
            Some(nside) => nside,
            None => Nside::from_npix(count).map_err(|_| {
                let allowed = "stated, or 12·nside² values in each column";
                header.refuse("NSIDE", format!("missing, with {count} values"), allowed)
            })?,
        };
        let kind = match (header.integer("FIRSTPIX")?, header.integer("LASTPIX")?) {
            _ if count == nside.npix() => Kind::Full,
            (Some(first), Some(last))
                if 0 <= first
                    && first <= last
                    && (last as u64) < nside.npix() as u64
                    && (last - first) as u64 + 1 == values =>
            {
                Kind::From(first as usize)
            }
            _ => {
                return Err(IoError::PixelCount {
                    path: header.path().to_owned(),
                    given: count,
                    nside: nside.get(),
                    allowed: nside.npix(),
                });
            }
        };
        Ok(Self { nside, values, kind })
    }

    /// Refuses a sky out of proportion to the file: what is allocated is bounded by
    /// what the file holds.
    fn check_size(&self, header: &Header, columns: usize) -> Result<(), IoError> {
        let sky = (self.nside.npix() as u64).saturating_mul(columns as u64);
        let held = self.values.saturating_mul(columns as u64);
        if sky <= held.saturating_mul(MOST_PER_VALUE).max(ALWAYS) {
            return Ok(());
        }
        let given = format!(
            "{}, of which the file holds {} of {} pixels",
            self.nside,
            self.values,
            self.nside.npix()
        );
        Err(header.refuse("NSIDE", given, "at least a thousandth of a sky of this resolution"))
    }

    fn pixel_column(&self) -> Option<usize> {
        match self.kind {
            Kind::Listed(column) => Some(column),
            _ => None,
        }
    }

    /// Where each value goes; checks the listed pixels.
    fn spread(&self, pixels: Option<Vec<f64>>, path: &Path) -> Result<Spread, IoError> {
        let npix = self.nside.npix();
        let places = match (&self.kind, pixels) {
            (Kind::Full, _) => None,
            (Kind::From(first), _) => Some((*first..first + self.values as usize).collect()),
            (Kind::Listed(_), pixels) => {
                let refuse = |given, why| IoError::Pixel {
                    path: path.to_owned(),
                    given,
                    why,
                    last: npix - 1,
                };
                let mut places = Vec::new();
                for given in pixels.unwrap_or_default() {
                    if !(given.fract() == 0.0 && given >= 0.0 && given < npix as f64) {
                        return Err(refuse(given, "out of range"));
                    }
                    places.push(given as usize);
                }
                let mut sorted = places.clone();
                sorted.sort_unstable();
                if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
                    return Err(refuse(pair[0] as f64, "listed twice"));
                }
                Some(places)
            }
        };
        Ok(Spread { npix, places })
    }
}

struct Spread {
    npix: usize,
    /// `None`: the values are the full sky.
    places: Option<Vec<usize>>,
}

impl Spread {
    fn apply(&self, values: Vec<f64>) -> Vec<f64> {
        let Some(places) = &self.places else {
            return values;
        };
        let mut map = vec![UNSEEN; self.npix];
        for (&place, value) in places.iter().zip(values) {
            map[place] = value;
        }
        map
    }
}

/// Columns to read and their channel names.
fn choose(
    layout: &Layout,
    pixel_column: Option<usize>,
    channels: Option<&[String]>,
    path: &Path,
) -> Result<(Vec<usize>, Vec<String>), IoError> {
    let all = (layout.columns.iter().enumerate())
        .filter(|(i, _)| Some(*i) != pixel_column)
        .map(|(i, column)| (i, channel_name(&column.name)));
    let all: Vec<(usize, String)> = all.collect();
    let Some(wanted) = channels else {
        return Ok(all.into_iter().unzip());
    };
    let found = wanted.iter().map(|name| {
        let by_channel = all.iter().find(|(_, channel)| channel == name);
        let by_column = || all.iter().find(|(i, _)| layout.columns[*i].name == *name);
        let (column, _) = by_channel.or_else(by_column).ok_or_else(|| IoError::MissingChannel {
            path: path.to_owned(),
            given: name.clone(),
            available: all.iter().map(|(_, channel)| channel.clone()).collect(),
        })?;
        Ok((*column, name.clone()))
    });
    Ok(found.collect::<Result<Vec<_>, IoError>>()?.into_iter().unzip())
}

/// "T", "Q" or "U" for the names these have in files, else the name itself.
fn channel_name(column: &str) -> String {
    let upper = column.to_ascii_uppercase().replace(['-', ' '], "_");
    match upper.as_str() {
        "T" | "I" | "TEMPERATURE" | "I_STOKES" | "INTENSITY" | "T_STOKES" => "T".into(),
        "Q" | "Q_POLARISATION" | "Q_POLARIZATION" | "Q_STOKES" => "Q".into(),
        "U" | "U_POLARISATION" | "U_POLARIZATION" | "U_STOKES" => "U".into(),
        _ => column.to_owned(),
    }
}
