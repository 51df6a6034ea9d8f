//! From a scanning strategy to maps of systematics, and their exact covariance.
//!
//! **What it is.** A [`Config`] says how a satellite scans, what its detectors see
//! of the dipole, and what goes wrong in their timelines. A [`Simulation`] makes of
//! it binned T, Q, U maps ([`Simulation::map`], every systematic), or, for gains
//! that are constant in a chunk, [`Templates`]: the map is linear in the gains, so
//! one pass over the mission gives any number of maps and their exact covariance.
//!
//! ```
//! use skyscat_num::{Par, Seed};
//! use skyscat_sim::{Channels, Config, Realisation, Run, Simulation};
//! let mut config = Config::campeti2025();
//! config.mission.days = 1.0;
//! let simulation = Simulation::new(config)?;
//! let par = Par::new(1)?;
//! let templates = simulation.templates(Run::quiet(&par))?;
//! let realisation = Realisation { seed: Seed(1), set: "input", number: 0 };
//! let maps = templates.draw(1e-4, &[realisation], Channels::Qu, &par)?;
//! assert_eq!(maps.data().dim(), (1, 2, 3072));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **What it is not.** No beams, no destriping or maximum-likelihood map-making, no
//! aberration, and no slerp between pointings: every sample is exact. Nothing here
//! reads or writes files.
//!
//! **Who should use it.** Whoever needs many maps of a scan-synchronous systematic,
//! or a scan's hits and polarisation angles.
//!
//! **What it may depend on.** `skyscat-num`, `skyscat-healpix`, rustfft, serde.
//!
//! **Conventions.** ψ is counted from East towards North; [`Convention`] says which
//! signs of Q and U are written. Maps leave in RING, K_CMB, T, Q, U in this order;
//! chunks and detectors are counted from 0.

mod bins;
mod check;
mod config;
mod covariance;
mod dipole;
mod error;
mod focal_plane;
mod orbit;
mod pixels;
mod realisation;
pub mod reference;
mod scan;
mod simulation;
mod sky;
mod solve;
pub mod systematics;
mod templates;

pub use bins::{Progress, Run};
pub use config::{
    Config, Content, Convention, Detector, DipoleConfig, DipoleModel, MapsConfig, Mission, Orbit,
    PRESETS, Placement, ScanConfig, SkyFrame, SystematicConfig, Velocity,
};
pub use covariance::Covariance;
pub use dipole::SPEED_OF_LIGHT_KM_S;
pub use error::SimError;
pub use orbit::anti_sun_longitude;
pub use realisation::Realisation;
pub use simulation::{BinnedMap, Sample, Simulation};
pub use sky::Sky;
pub use solve::{Coverage, Masked, Worst};
pub use templates::{Channels, Templates, TemplatesParts};

/// The rotation from ecliptic axes to the frame of the maps.
pub(crate) fn frame_rotation(maps: &MapsConfig) -> Result<skyscat_healpix::Rotation, SimError> {
    use skyscat_healpix::{Frame, Rotation};
    Ok(match maps.ecliptic_to_frame {
        Some(matrix) => Rotation::new(matrix)?,
        None => Rotation::between(Frame::Ecliptic, maps.frame.frame()),
    })
}
