//! Slow literal transcription of the pointing and map-making formulas.
//!
//! Rotation matrices are multiplied out, angles come from `atan2`, matrices are
//! inverted one by one: this is what the fast path is tested against. It is public
//! for the same use elsewhere, and for plots of a few samples.

use crate::config::{Config, DipoleModel, Velocity};
use crate::focal_plane::about_x;
use crate::orbit::{Longitude, YEAR_S};
use crate::{SPEED_OF_LIGHT_KM_S, SimError, frame_rotation};
use skyscat_healpix::Rotation;
use std::f64::consts::{FRAC_PI_2, TAU};

/// Where a detector looks, and how it is turned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pointing {
    /// Colatitude, radians.
    pub theta_rad: f64,
    /// Longitude, radians in (−π, π].
    pub phi_rad: f64,
    /// ψ from East towards North, radians in (−π, π].
    pub psi_rad: f64,
}

/// R(t) = Rz(λ) Rx(2πν_p t) Ry(π/2 − α) Rz(2πν_s t) Ry(β), ecliptic axes.
///
/// Columns are x̂, ŷ, ẑ of the boresight. Phases are formed from whole turns, so
/// use it with care after 10⁶ turns: it is literal, not clever.
///
/// # Errors
/// [`SimError::Setting`] for a start that is not a date.
pub fn boresight(config: &Config, sample: u64) -> Result<Rotation, SimError> {
    let time_s = sample as f64 / config.mission.rate_hz;
    let scan = &config.scan;
    let spin = TAU * (scan.spin_rate_rpm / 60.0 * time_s).fract();
    let precession = TAU * (time_s / (60.0 * scan.precession_period_min)).fract();
    let tilt = FRAC_PI_2 - scan.spin_sun_angle_deg.to_radians();
    Ok(Rotation::about_y(scan.opening_angle_deg.to_radians())
        .then(Rotation::about_z(spin))
        .then(Rotation::about_y(tilt))
        .then(about_x(precession))
        .then(Rotation::about_z(longitude_rad(config, sample)?)))
}

/// λ(t), radians: λ₀ + 2πt/365.25 d, or the table's value.
fn longitude_rad(config: &Config, sample: u64) -> Result<f64, SimError> {
    let rate_hz = config.mission.rate_hz;
    Ok(match Longitude::new(&config.orbit, &config.mission.start, rate_hz)? {
        Longitude::Circular { start_rad, .. } => {
            start_rad + TAU * (sample as f64 / rate_hz) / YEAR_S
        }
        table => table.at(sample).longitude_rad,
    })
}

/// θ, φ and ψ of a detector at a sample, in the frame of the maps.
///
/// n = R ẑ and x = R x̂ are turned into that frame; with E = (−sin φ, cos φ, 0) and
/// North = −θ̂, ψ = atan2(x·N, x·E).
///
/// # Errors
/// As [`boresight`], and [`SimError::Healpix`] for a matrix that is no rotation.
///
/// # Panics
/// If there is no such detector.
pub fn pointing(config: &Config, detector: usize, sample: u64) -> Result<Pointing, SimError> {
    let rotation = config.detectors[detector]
        .placement
        .rotation()
        .then(boresight(config, sample)?)
        .then(frame_rotation(&config.maps)?);
    let n = rotation.apply([0.0, 0.0, 1.0]);
    let x = rotation.apply([1.0, 0.0, 0.0]);
    let (theta_rad, phi_rad) = (n[0].hypot(n[1]).atan2(n[2]), n[1].atan2(n[0]));
    let ((sin_t, cos_t), (sin_p, cos_p)) = (theta_rad.sin_cos(), phi_rad.sin_cos());
    let east = -x[0] * sin_p + x[1] * cos_p;
    let north = -(x[0] * cos_t * cos_p + x[1] * cos_t * sin_p - x[2] * sin_t);
    Ok(Pointing { theta_rad, phi_rad, psi_rad: north.atan2(east) })
}

/// The observer's velocity at a sample, ecliptic axes, km/s.
///
/// # Errors
/// As [`boresight`].
pub fn velocity_km_s(config: &Config, sample: u64) -> Result<[f64; 3], SimError> {
    Ok(match &config.dipole.velocity {
        Velocity::Circular { solar_km_s: [x, y, z], orbital_km_s } => {
            let (sin, cos) = longitude_rad(config, sample)?.sin_cos();
            [x - orbital_km_s * sin, y + orbital_km_s * cos, *z]
        }
        Velocity::Table { step_s, km_s } => {
            let place = sample as f64 / config.mission.rate_hz / step_s;
            let index = (place as usize).min(km_s.len() - 2);
            let part = place - index as f64;
            std::array::from_fn(|i| km_s[index][i] + part * (km_s[index + 1][i] - km_s[index][i]))
        }
    })
}

/// ΔT of the dipole towards `n` for a velocity in km/s on the same axes, K.
pub fn dipole_k(model: DipoleModel, monopole_k: f64, n: [f64; 3], velocity_km_s: [f64; 3]) -> f64 {
    let beta = velocity_km_s.map(|v| v / SPEED_OF_LIGHT_KM_S);
    let b: f64 = n.iter().zip(beta).map(|(n, v)| n * v).sum();
    let gamma = 1.0 / (1.0 - beta.iter().map(|v| v * v).sum::<f64>()).sqrt();
    let occupation = |x: f64| 1.0 / x.exp_m1();
    match model {
        DipoleModel::Linear => monopole_k * b,
        DipoleModel::QuadraticExact => monopole_k * (b + b * b),
        DipoleModel::TotalExact => monopole_k / (gamma * (1.0 - b)) - monopole_k,
        DipoleModel::QuadraticFromLinearT { frequency_ghz } => {
            let half = crate::dipole::photon_energy(frequency_ghz, monopole_k) / 2.0;
            monopole_k * (b + half / half.tanh() * b * b)
        }
        DipoleModel::TotalFromLinearT { frequency_ghz } => {
            let x = crate::dipole::photon_energy(frequency_ghz, monopole_k);
            let f = x * x.exp() / x.exp_m1();
            monopole_k / f * (occupation(x * gamma * (1.0 - b)) / occupation(x) - 1.0)
        }
    }
}
