//! Settings of a simulation, and the named presets, which are data.

use crate::SimError;
use serde::{Deserialize, Serialize};
use skyscat_healpix::Frame;

/// Everything that determines a simulation, except the seed.
///
/// Presets are TOML files in the crate's `data` folder; a run's own file has the
/// same fields. Unknown fields are refused, and no field has a default.
///
/// ```
/// use skyscat_sim::Config;
/// let mut config = Config::campeti2025();
/// assert_eq!((config.samples()?, config.chunks()?), (220_752_000, 2208));
/// config.mission.days = 10.0;
/// assert_eq!(Config::from_toml(&config.to_toml()?)?, config);
/// # Ok::<(), skyscat_sim::SimError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// When, how long, how fast.
    pub mission: Mission,
    /// Angles and rates of the scan.
    pub scan: ScanConfig,
    /// Where the anti-Sun direction is.
    pub orbit: Orbit,
    /// The dipole.
    pub dipole: DipoleConfig,
    /// The maps.
    pub maps: MapsConfig,
    /// The focal plane.
    pub detectors: Vec<Detector>,
    /// What goes wrong in the timelines, in this order.
    pub systematics: Vec<SystematicConfig>,
}

/// When, how long, how fast.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mission {
    /// Midnight (TDB) of this day is the first sample: "2027-01-01".
    pub start: String,
    /// Length in days of 86,400 s.
    pub days: f64,
    /// Samples a second.
    pub rate_hz: f64,
    /// Samples of a chunk; the last chunk holds what is left.
    pub chunk_samples: u64,
}

/// Angles and rates of the scan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScanConfig {
    /// α, from the anti-Sun direction to the spin axis, degrees in [0, 90].
    pub spin_sun_angle_deg: f64,
    /// β, from the spin axis to the boresight, degrees in (0, 90].
    pub opening_angle_deg: f64,
    /// One turn of the spin axis about the anti-Sun direction, minutes.
    pub precession_period_min: f64,
    /// Turns about the spin axis a minute.
    pub spin_rate_rpm: f64,
}

/// Where the anti-Sun direction is: ecliptic longitude λ(t), latitude 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Orbit {
    /// λ = λ₀ + 2πt/365.25 d.
    Circular {
        /// λ₀, radians; without it, [`crate::anti_sun_longitude`] of the start.
        #[serde(skip_serializing_if = "Option::is_none")]
        longitude_rad: Option<f64>,
    },
    /// Linear interpolation between entries.
    Table {
        /// Seconds from one entry to the next; the first is at the start.
        step_s: f64,
        /// λ, radians, without jumps by 2π.
        longitude_rad: Vec<f64>,
    },
}

/// The dipole: its law, and the velocity behind it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DipoleConfig {
    /// The law.
    pub model: DipoleModel,
    /// T₀, K.
    pub monopole_k: f64,
    /// The observer's velocity.
    pub velocity: Velocity,
}

/// ΔT as a function of b = n·v/c and γ = 1/√(1 − v²/c²).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum DipoleModel {
    /// T₀ b.
    Linear,
    /// T₀ (b + b²).
    QuadraticExact,
    /// T₀/(γ(1 − b)) − T₀.
    TotalExact,
    /// T₀ (b + q b²), q = (x/2) coth(x/2), x = hν/kT₀.
    QuadraticFromLinearT {
        /// ν, GHz.
        frequency_ghz: f64,
    },
    /// (T₀/f)(n(xγ(1 − b))/n(x) − 1), n(x) = 1/(eˣ − 1), f = x eˣ/(eˣ − 1).
    TotalFromLinearT {
        /// ν, GHz.
        frequency_ghz: f64,
    },
}

/// The observer's velocity in the rest frame of the CMB, ecliptic axes, km/s.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Velocity {
    /// Constant, plus `orbital_km_s` towards longitude λ(t) + 90°.
    Circular {
        /// Velocity of the Sun.
        solar_km_s: [f64; 3],
        /// Speed about the Sun.
        orbital_km_s: f64,
    },
    /// The whole velocity, linear between entries.
    Table {
        /// Seconds from one entry to the next; the first is at the start.
        step_s: f64,
        /// One velocity an entry.
        km_s: Vec<[f64; 3]>,
    },
}

/// The maps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MapsConfig {
    /// Nside at which timelines are binned and T, Q, U solved for.
    pub nside: usize,
    /// Nside of the result: the mean of the children that were solved for.
    pub nside_out: usize,
    /// Frame of the pixels, and of ψ.
    pub frame: SkyFrame,
    /// Matrix from ecliptic axes to those of `frame`, row by row; without it
    /// [`skyscat_healpix::Rotation::between`]. The two differ by 1e-7 for the
    /// fixture's matrix, which is some thousand samples in other pixels a year.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ecliptic_to_frame: Option<[[f64; 3]; 3]>,
    /// Signs of Q and U.
    pub convention: Convention,
    /// What the maps hold.
    pub content: Content,
    /// Pixels whose 3×3 matrix has a larger condition number are masked.
    pub condition_limit: f64,
}

/// Frame of the pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SkyFrame {
    /// Ecliptic of J2000.
    Ecliptic,
    /// Galactic.
    Galactic,
    /// Equatorial of J2000.
    Equatorial,
}

impl SkyFrame {
    /// The frame of the geometry crate.
    pub fn frame(self) -> Frame {
        match self {
            Self::Ecliptic => Frame::Ecliptic,
            Self::Galactic => Frame::Galactic,
            Self::Equatorial => Frame::Equatorial,
        }
    }
}

/// Which angle Q and U belong to: d = T + Q cos 2a + U sin 2a.
///
/// ψ, the angle of this crate, is counted from East towards North.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Convention {
    /// a = ψ, as litebird_sim does: (Q, U) = −(Q, U) of COSMO.
    East,
    /// a = ψ + 90°, from South towards East: HEALPix.
    Cosmo,
    /// a = 90° − ψ, from North towards East: IAU.
    Iau,
}

impl Convention {
    /// Factors of T, Q and U relative to [`Convention::East`].
    pub fn signs(self) -> [f64; 3] {
        match self {
            Self::East => [1.0, 1.0, 1.0],
            Self::Cosmo => [1.0, -1.0, -1.0],
            Self::Iau => [1.0, -1.0, 1.0],
        }
    }

    /// The POLCCONV keyword, where there is one.
    pub fn polcconv(self) -> Option<&'static str> {
        match self {
            Self::East => None,
            Self::Cosmo => Some("COSMO"),
            Self::Iau => Some("IAU"),
        }
    }
}

/// What the maps hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// The signal and what the systematics do to it.
    Total,
    /// Only what the systematics add to the ideal timelines (the paper).
    Systematics,
}

/// A detector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detector {
    /// Its name, not used twice.
    pub name: String,
    /// Where it looks, relative to the boresight.
    pub placement: Placement,
    /// Weight of its samples in the maps.
    pub weight: f64,
    /// Noise-equivalent temperature, K√s: white noise has σ = NET·√rate a sample.
    pub net_k_rts: f64,
}

/// The rotation from the boresight frame to a detector's frame.
///
/// The detector looks along its ẑ and is sensitive to polarisation along its x̂.
/// The boresight's x̂ points away from the spin axis.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Placement {
    /// R = Ry(along) Rx(across) Rz(polarisation).
    Angles {
        /// Away from the spin axis, degrees.
        along_deg: f64,
        /// Towards −ŷ, degrees.
        across_deg: f64,
        /// χ, of the polarisation direction, degrees.
        polarisation_deg: f64,
    },
    /// A unit quaternion x, y, z, w.
    Quaternion([f64; 4]),
}

/// What goes wrong in a timeline: see [`crate::systematics`] for the formulas.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SystematicConfig {
    /// d → (1 + g) d with one g ~ N(0, σ²) a detector and chunk.
    GainDrift {
        /// σ.
        sigma: f64,
    },
    /// d → (1 + g) d with given gains.
    GainTable {
        /// g, by chunk and then by detector.
        gains: Vec<Vec<f64>>,
    },
    /// White noise by each detector's NET.
    WhiteNoise,
    /// Noise of power NET² (knee/f)^slope, independent from chunk to chunk.
    OneOverF {
        /// Where it equals the white noise, Hz.
        knee_hz: f64,
        /// The exponent, in (0, 3].
        slope: f64,
    },
    /// d → d + q d² + a sin(2πd/p): a converter's static non-linearity.
    NonLinearity {
        /// q, 1/K.
        quadratic_per_k: f64,
        /// a, K.
        ripple_k: f64,
        /// p, K.
        ripple_period_k: f64,
    },
}

/// The presets: name and TOML text.
pub const PRESETS: [(&str, &str); 3] = [
    ("campeti2025", include_str!("../data/campeti2025.toml")),
    ("planck", include_str!("../data/planck.toml")),
    ("litebird", include_str!("../data/litebird.toml")),
];

impl Config {
    /// A preset by its name.
    ///
    /// # Errors
    /// [`SimError::Preset`] if there is none of this name.
    pub fn preset(name: &str) -> Result<Self, SimError> {
        let unknown = || SimError::Preset {
            given: name.into(),
            allowed: PRESETS.iter().map(|(name, _)| *name).collect(),
        };
        let (_, text) = PRESETS.iter().find(|(known, _)| *known == name).ok_or_else(unknown)?;
        Self::from_toml(text)
    }

    /// Gain drift of four detectors in a year's Planck-like scan (Campeti et al. 2025).
    ///
    /// # Panics
    /// Never: the embedded file is tested.
    pub fn campeti2025() -> Self {
        Self::preset("campeti2025").expect("the embedded preset is valid")
    }

    /// Settings from TOML text.
    ///
    /// # Errors
    /// [`SimError::Syntax`] for what cannot be read, missing and unknown fields.
    pub fn from_toml(text: &str) -> Result<Self, SimError> {
        toml::from_str(text).map_err(|e| SimError::Syntax { reason: e.to_string() })
    }

    /// The settings as TOML text.
    ///
    /// # Errors
    /// [`SimError::Syntax`] if a value has no TOML form.
    pub fn to_toml(&self) -> Result<String, SimError> {
        toml::to_string(self).map_err(|e| SimError::Syntax { reason: e.to_string() })
    }

    /// Standard deviation of the gains, if a drift is among the systematics.
    pub fn gain_sigma(&self) -> Option<f64> {
        self.systematics.iter().find_map(|s| match s {
            SystematicConfig::GainDrift { sigma } => Some(*sigma),
            _ => None,
        })
    }
}
