//! A user's sky, read by the beam centre's pixel.

use crate::SimError;
use crate::config::MapsConfig;
use crate::pixels::Grid;
use skyscat_healpix::{HealpixError, MapSet, Ordering, is_seen, reorder};

/// A map of T, or of T, Q and U, that is added to the dipole in the timelines, K.
///
/// A sample sees the pixel that its line of sight lies in: no beam, no
/// interpolation.
#[derive(Clone, Debug)]
pub struct Sky {
    pub(crate) grid: Grid,
    /// NEST.
    pub(crate) t: Vec<f64>,
    /// NEST, for angles counted from East, as ψ.
    pub(crate) qu: Option<[Vec<f64>; 2]>,
}

impl Sky {
    /// The first map of a set with channel T, or T, Q and U, at any Nside.
    ///
    /// Its frame must be that of the maps that are made; Q and U have the signs that
    /// [`crate::Convention`] gives to the maps. A set without COORDSYS is taken as is.
    ///
    /// # Errors
    /// [`SimError::SkyFrame`], [`HealpixError::NoChannel`], and
    /// [`HealpixError::NotFullSky`] for unseen pixels.
    pub fn new(maps: &MapSet, settings: &MapsConfig) -> Result<Self, SimError> {
        let allowed = settings.frame.frame().to_string();
        if let Some(given) = maps.coordsys().filter(|given| given.trim() != allowed) {
            return Err(SimError::SkyFrame { given: given.trim().into(), allowed });
        }
        let data = maps.data();
        let channel = |name: &str, sign: f64| -> Result<Vec<f64>, SimError> {
            let index = maps.channel(name)?;
            let values: Vec<f64> = (0..data.dim().2).map(|p| sign * data[[0, index, p]]).collect();
            let unseen = |v: &&f64| !is_seen(**v);
            if let Some(pixel) = values.iter().position(|v| !is_seen(v / sign)) {
                return Err(SimError::Healpix(HealpixError::NotFullSky {
                    map: 0,
                    channel: name.into(),
                    pixel,
                    bad: values.iter().filter(unseen).count(),
                    total: values.len(),
                }));
            }
            Ok(reorder(&values, maps.ordering(), Ordering::Nest)?)
        };
        let [_, q, u] = settings.convention.signs();
        let polarised = maps.channels().iter().any(|c| c == "Q" || c == "U");
        Ok(Self {
            grid: Grid::new(maps.nside()),
            t: channel("T", 1.0)?,
            qu: if polarised { Some([channel("Q", q)?, channel("U", u)?]) } else { None },
        })
    }
}
