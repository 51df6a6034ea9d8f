//! Sets of maps: the form in which skies travel between the crates.

use crate::{
    HealpixError, Nside, Ordering, is_seen, nest_to_ring_table, ring_to_nest_table, ud_grade,
};
use ndarray::{Array3, ArrayView3, Axis};

/// Maps of one resolution, ordering and list of channels.
///
/// The data have shape `(n_maps, n_channels, n_pixels)`; channels carry names
/// such as "T", "Q", "U". Unit, coordinate system (COORDSYS) and polarisation
/// convention (POLCCONV) are kept as stated, never guessed.
///
/// ```
/// use ndarray::Array3;
/// use skyscat_healpix::{MapSet, Ordering};
/// let maps = MapSet::new(Ordering::Ring, &["Q", "U"], Array3::zeros((10, 2, 3072)))?
///     .with_unit(Some("K_CMB".into()));
/// assert_eq!((maps.nside().get(), maps.channel("U")?), (16, 1));
/// # Ok::<(), skyscat_healpix::HealpixError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct MapSet {
    nside: Nside,
    ordering: Ordering,
    channels: Vec<String>,
    unit: Option<String>,
    coordsys: Option<String>,
    polcconv: Option<String>,
    data: Array3<f64>,
}

impl MapSet {
    /// A set from its data `(n_maps, n_channels, n_pixels)`.
    ///
    /// # Errors
    /// [`HealpixError::PixelCount`], [`HealpixError::EmptySet`],
    /// [`HealpixError::ChannelCount`], [`HealpixError::DuplicateChannel`].
    pub fn new<S: AsRef<str>>(
        ordering: Ordering,
        channels: &[S],
        data: Array3<f64>,
    ) -> Result<Self, HealpixError> {
        let (n_maps, n_channels, n_pixels) = data.dim();
        if n_maps == 0 || n_channels == 0 {
            return Err(HealpixError::EmptySet { n_maps, n_channels });
        }
        let nside = Nside::from_npix(n_pixels)?;
        if channels.len() != n_channels {
            return Err(HealpixError::ChannelCount { names: channels.len(), planes: n_channels });
        }
        let channels: Vec<String> = channels.iter().map(|c| c.as_ref().to_owned()).collect();
        if let Some((_, name)) =
            (channels.iter().enumerate()).find(|(i, name)| channels[..*i].contains(name))
        {
            return Err(HealpixError::DuplicateChannel { name: name.clone() });
        }
        Ok(Self { nside, ordering, channels, unit: None, coordsys: None, polcconv: None, data })
    }

    /// The set with this unit, for example "K_CMB".
    pub fn with_unit(mut self, unit: Option<String>) -> Self {
        self.unit = unit;
        self
    }

    /// The set with this coordinate system: "G", "E" or "C".
    pub fn with_coordsys(mut self, coordsys: Option<String>) -> Self {
        self.coordsys = coordsys;
        self
    }

    /// The set with this polarisation convention: "COSMO" or "IAU".
    pub fn with_polcconv(mut self, polcconv: Option<String>) -> Self {
        self.polcconv = polcconv;
        self
    }

    /// Resolution.
    pub fn nside(&self) -> Nside {
        self.nside
    }

    /// Ordering of the pixels.
    pub fn ordering(&self) -> Ordering {
        self.ordering
    }

    /// Names of the channels, in the order of the data.
    pub fn channels(&self) -> &[String] {
        &self.channels
    }

    /// Unit of all channels, if stated.
    pub fn unit(&self) -> Option<&str> {
        self.unit.as_deref()
    }

    /// Coordinate system, if stated.
    pub fn coordsys(&self) -> Option<&str> {
        self.coordsys.as_deref()
    }

    /// Polarisation convention, if stated (COSMO is the HEALPix default).
    pub fn polcconv(&self) -> Option<&str> {
        self.polcconv.as_deref()
    }

    /// Number of maps.
    pub fn n_maps(&self) -> usize {
        self.data.dim().0
    }

    /// The pixels, `(n_maps, n_channels, n_pixels)`.
    pub fn data(&self) -> ArrayView3<'_, f64> {
        self.data.view()
    }

    /// The pixels, taken out.
    pub fn into_data(self) -> Array3<f64> {
        self.data
    }

    /// The same description with other pixels of the same shape.
    pub(crate) fn with_data(&self, data: Array3<f64>) -> Self {
        assert_eq!(data.dim(), self.data.dim());
        Self {
            data,
            channels: self.channels.clone(),
            unit: self.unit.clone(),
            coordsys: self.coordsys.clone(),
            polcconv: self.polcconv.clone(),
            ..*self
        }
    }

    /// Index of the channel of this name.
    ///
    /// # Errors
    /// [`HealpixError::NoChannel`], which lists the names there are.
    pub fn channel(&self, name: &str) -> Result<usize, HealpixError> {
        let found = self.channels.iter().position(|c| c == name);
        found.ok_or_else(|| HealpixError::NoChannel {
            given: name.to_owned(),
            available: self.channels.clone(),
        })
    }

    /// The set with only these channels, in this order.
    ///
    /// # Errors
    /// [`HealpixError::NoChannel`] for a name that is not there,
    /// [`HealpixError::DuplicateChannel`] for one given twice,
    /// [`HealpixError::EmptySet`] for none.
    pub fn select<S: AsRef<str>>(&self, names: &[S]) -> Result<Self, HealpixError> {
        let indices = (names.iter())
            .map(|name| self.channel(name.as_ref()))
            .collect::<Result<Vec<_>, _>>()?;
        let data = self.data.select(Axis(1), &indices);
        Ok(self.described_as(Self::new(self.ordering, names, data)?))
    }

    /// The set with only these maps, in this order.
    ///
    /// # Errors
    /// [`HealpixError::EmptySet`] for none.
    ///
    /// # Panics
    /// If an index is not below the number of maps.
    pub fn select_maps(&self, indices: &[usize]) -> Result<Self, HealpixError> {
        let data = self.data.select(Axis(0), indices);
        Ok(self.described_as(Self::new(self.ordering, &self.channels, data)?))
    }

    /// The same maps in another ordering.
    pub fn reordered(&self, to: Ordering) -> Self {
        let table = match (self.ordering, to) {
            (Ordering::Ring, Ordering::Nest) => nest_to_ring_table(self.nside),
            (Ordering::Nest, Ordering::Ring) => ring_to_nest_table(self.nside),
            _ => return self.clone(),
        };
        let mut data = Array3::zeros(self.data.dim());
        for (mut out, values) in data.rows_mut().into_iter().zip(self.data.rows()) {
            for (out, &source) in out.iter_mut().zip(&table) {
                *out = values[source as usize];
            }
        }
        Self { ordering: to, ..self.with_data(data) }
    }

    /// The same maps at another resolution, by [`ud_grade`].
    pub fn ud_graded(&self, to: Nside) -> Self {
        let (n_maps, n_channels, _) = self.data.dim();
        let mut data = Array3::zeros((n_maps, n_channels, to.npix()));
        for (mut out, values) in data.rows_mut().into_iter().zip(self.data.rows()) {
            let graded = ud_grade(&values.to_vec(), self.ordering, to)
                .expect("a map set has a valid number of pixels");
            out.iter_mut().zip(graded).for_each(|(out, v)| *out = v);
        }
        let set = Self::new(self.ordering, &self.channels, data);
        self.described_as(set.expect("the description was valid before"))
    }

    /// Checks that every pixel holds data ([`is_seen`]).
    ///
    /// # Errors
    /// [`HealpixError::NotFullSky`] names the first map and channel with a
    /// missing pixel, that pixel, and how many are missing there.
    pub fn check_full_sky(&self) -> Result<(), HealpixError> {
        for ((map, channel), values) in self.rows() {
            if let Some(pixel) = values.iter().position(|&v| !is_seen(v)) {
                return Err(HealpixError::NotFullSky {
                    map,
                    channel: self.channels[channel].clone(),
                    pixel,
                    bad: values.iter().filter(|&&v| !is_seen(v)).count(),
                    total: values.len(),
                });
            }
        }
        Ok(())
    }

    fn rows(&self) -> impl Iterator<Item = ((usize, usize), ndarray::ArrayView1<'_, f64>)> {
        let n_channels = self.channels.len();
        (self.data.rows().into_iter().enumerate())
            .map(move |(i, values)| ((i / n_channels, i % n_channels), values))
    }

    fn described_as(&self, set: Self) -> Self {
        set.with_unit(self.unit.clone())
            .with_coordsys(self.coordsys.clone())
            .with_polcconv(self.polcconv.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::UNSEEN;

    fn set() -> MapSet {
        let data = Array3::from_shape_fn((2, 3, 48), |(m, c, p)| (1000 * m + 100 * c + p) as f64);
        MapSet::new(Ordering::Ring, &["T", "Q", "U"], data).unwrap().with_unit(Some("K".into()))
    }

    #[test]
    fn channels_are_found_by_name_or_refused_by_name() {
        let qu = set().select(&["U", "Q"]).unwrap();
        assert_eq!((qu.data()[[1, 0, 7]], qu.unit()), (1207.0, Some("K")));
        let error = qu.channel("T").unwrap_err();
        assert_eq!(error.to_string(), "there is no channel \"T\": the set has U, Q");
        assert!(set().select(&["Q", "Q"]).is_err());
        let names = ["A", "A"];
        assert!(MapSet::new(Ordering::Ring, &names, Array3::zeros((1, 2, 12))).is_err());
        assert!(MapSet::new(Ordering::Ring, &names[..1], Array3::zeros((1, 2, 12))).is_err());
        assert!(MapSet::new(Ordering::Ring, &names[..1], Array3::zeros((1, 1, 13))).is_err());
        assert!(MapSet::new(Ordering::Ring, &names[..0], Array3::zeros((1, 0, 12))).is_err());
    }

    #[test]
    fn missing_pixels_are_located() {
        set().check_full_sky().unwrap();
        let mut data = set().into_data();
        data[[1, 2, 30]] = UNSEEN;
        data[[1, 2, 31]] = f64::NAN;
        let holed = MapSet::new(Ordering::Ring, &["T", "Q", "U"], data).unwrap();
        let error = holed.check_full_sky().unwrap_err();
        let text = "map 1, channel U: 2 of 48 pixels are NaN, infinite or UNSEEN, the first is pixel 30: the full sky is needed";
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn reordering_there_and_back_is_the_identity() {
        let nested = set().reordered(Ordering::Nest);
        assert_ne!(nested.data(), set().data());
        assert_eq!(nested.reordered(Ordering::Ring), set());
        let fine = set().ud_graded(Nside::new(8).unwrap());
        assert_eq!(fine.ud_graded(Nside::new(2).unwrap()), set());
    }
}
