//! What can be wrong with a simulation.

use skyscat_healpix::HealpixError;

/// What can be wrong with a simulation.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// A setting outside its range.
    #[error("{name} = {given} is not allowed: {allowed}")]
    Setting {
        /// Name of the setting, as in the configuration file.
        name: String,
        /// The value given.
        given: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A mission that does not fill one chunk.
    #[error(
        "mission.chunk_samples = {given} is not allowed: the mission has {allowed} samples, and a chunk is not longer"
    )]
    ShortMission {
        /// Samples of a chunk, as given.
        given: u64,
        /// Samples of the mission.
        allowed: u64,
    },
    /// A focal plane without detectors.
    #[error("the focal plane is empty: at least one detector is needed")]
    NoDetectors,
    /// A detector name given twice.
    #[error("detector {name:?} is named twice: names must differ")]
    DuplicateDetector {
        /// The name.
        name: String,
    },
    /// A quaternion that is not a rotation.
    #[error("detector {detector:?}: the quaternion has norm {given}, allowed is 1 within 1e-6")]
    Quaternion {
        /// Name of the detector.
        detector: String,
        /// Norm of the quaternion given.
        given: f64,
    },
    /// A table that ends before the mission does.
    #[error("{table} covers {given} s, the mission needs {allowed} s")]
    ShortTable {
        /// Which table.
        table: &'static str,
        /// Seconds covered.
        given: f64,
        /// Seconds needed.
        allowed: f64,
    },
    /// A table of gains, a map, or stored templates of another shape than needed.
    #[error("{what} has {given}, needed is {allowed}")]
    Shape {
        /// What is given.
        what: &'static str,
        /// Its shape.
        given: String,
        /// The shape needed.
        allowed: String,
    },
    /// Stored templates that contradict themselves.
    #[error("stored templates are damaged: {what}")]
    Parts {
        /// What is wrong.
        what: &'static str,
    },
    /// A preset that is not known.
    #[error("preset {given:?} is not known: allowed are {}", allowed.join(", "))]
    Preset {
        /// The name given.
        given: String,
        /// The names there are.
        allowed: Vec<&'static str>,
    },
    /// A configuration that cannot be read.
    #[error("the configuration cannot be read: {reason}")]
    Syntax {
        /// What the parser said.
        reason: String,
    },
    /// A user's sky in another frame than the maps are made in.
    #[error("the sky is given in frame {given}, the maps are made in frame {allowed}")]
    SkyFrame {
        /// Frame of the sky.
        given: String,
        /// Frame of the maps.
        allowed: String,
    },
    /// A polarised sky where only the intensity can be used.
    #[error(
        "templates need a sky without polarisation: with it a detector's signal depends on its angle; the full path accepts it"
    )]
    PolarisedSky,
    /// A map without a pixel that could be solved for.
    #[error(
        "no pixel can be solved for: {never_hit} were never hit, {ill_conditioned} have a condition number above {allowed}"
    )]
    NoPixel {
        /// Pixels without a sample.
        never_hit: usize,
        /// Pixels whose matrix is ill-conditioned.
        ill_conditioned: usize,
        /// Largest condition number allowed.
        allowed: f64,
    },
    /// Geometry: a resolution, a map set, a rotation.
    #[error(transparent)]
    Healpix(#[from] HealpixError),
}

impl SimError {
    /// A setting outside its range.
    pub(crate) fn setting(
        name: impl Into<String>,
        given: impl ToString,
        allowed: &'static str,
    ) -> Self {
        Self::Setting { name: name.into(), given: given.to_string(), allowed }
    }
}
