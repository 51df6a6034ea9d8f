//! Validation: each refusal names the field, what was given, and what is allowed.

use crate::config::{
    Config, Detector, DipoleModel, Orbit, Placement, ScanConfig, SystematicConfig, Velocity,
};
use crate::{SPEED_OF_LIGHT_KM_S, SimError};
use skyscat_healpix::{Nside, Rotation};

/// Longest mission, in samples: their numbers stay exact in f64.
const MAX_SAMPLES: f64 = (1u64 << 52) as f64;
/// Largest speed: the series of the dipole are exact to rounding below it.
const MAX_SPEED_KM_S: f64 = 0.01 * SPEED_OF_LIGHT_KM_S;

/// `given` if `good`, else the error that names it.
fn require(good: bool, name: &str, given: f64, allowed: &'static str) -> Result<(), SimError> {
    if good { Ok(()) } else { Err(SimError::setting(name, given, allowed)) }
}

fn positive(name: &str, given: f64) -> Result<(), SimError> {
    require(given > 0.0 && given.is_finite(), name, given, "finite and above 0")
}

fn finite(name: &str, given: f64) -> Result<(), SimError> {
    require(given.is_finite(), name, given, "finite")
}

impl Config {
    /// Checks every field.
    ///
    /// # Errors
    /// The first fault found; see [`SimError`].
    pub fn check(&self) -> Result<(), SimError> {
        let samples = self.samples()?;
        let given = self.mission.chunk_samples;
        if given == 0 {
            return Err(SimError::setting("mission.chunk_samples", 0, "at least 1"));
        }
        if given > samples {
            return Err(SimError::ShortMission { given, allowed: samples });
        }
        crate::orbit::days_since_j2000(&self.mission.start)?;
        check_scan(&self.scan)?;
        self.check_orbit()?;
        self.check_dipole()?;
        self.check_maps()?;
        self.check_detectors()?;
        self.systematics.iter().try_for_each(|s| self.check_systematic(s))
    }

    /// Samples of a detector in the mission: days · 86,400 s · rate, rounded.
    ///
    /// # Errors
    /// [`SimError::Setting`] if length or rate are not above zero, or the product
    /// is not a number of samples.
    pub fn samples(&self) -> Result<u64, SimError> {
        positive("mission.days", self.mission.days)?;
        positive("mission.rate_hz", self.mission.rate_hz)?;
        let samples = (self.mission.days * 86_400.0 * self.mission.rate_hz).round();
        let good = (1.0..=MAX_SAMPLES).contains(&samples);
        require(good, "mission.days · 86400 · mission.rate_hz", samples, "1 to 2^52 samples")?;
        Ok(samples as u64)
    }

    /// Chunks of the mission, the last one possibly short.
    ///
    /// # Errors
    /// As [`Config::samples`], or [`SimError::Setting`] for chunks of 0 samples.
    pub fn chunks(&self) -> Result<u64, SimError> {
        match self.mission.chunk_samples {
            0 => Err(SimError::setting("mission.chunk_samples", 0, "at least 1")),
            chunk => Ok(self.samples()?.div_ceil(chunk)),
        }
    }

    /// Seconds from the first to the last sample.
    fn seconds(&self) -> Result<f64, SimError> {
        Ok((self.samples()? - 1) as f64 / self.mission.rate_hz)
    }

    fn check_table(
        &self,
        table: &'static str,
        step_s: f64,
        entries: usize,
    ) -> Result<(), SimError> {
        positive(&format!("{table}.step_s"), step_s)?;
        if entries < 2 {
            return Err(SimError::setting(table, format!("{entries} entries"), "at least 2"));
        }
        let (given, allowed) = ((entries - 1) as f64 * step_s, self.seconds()?);
        if given < allowed {
            return Err(SimError::ShortTable { table, given, allowed });
        }
        Ok(())
    }

    fn check_orbit(&self) -> Result<(), SimError> {
        match &self.orbit {
            Orbit::Circular { longitude_rad } => {
                finite("orbit.longitude_rad", longitude_rad.unwrap_or(0.0))
            }
            Orbit::Table { step_s, longitude_rad } => {
                self.check_table("orbit", *step_s, longitude_rad.len())?;
                longitude_rad.iter().try_for_each(|&l| finite("orbit.longitude_rad", l))?;
                let jump =
                    longitude_rad.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f64::max);
                let allowed = "steps below π from entry to entry: no jumps by 2π";
                require(jump < std::f64::consts::PI, "orbit.longitude_rad", jump, allowed)
            }
        }
    }

    fn check_dipole(&self) -> Result<(), SimError> {
        positive("dipole.monopole_k", self.dipole.monopole_k)?;
        match self.dipole.model {
            DipoleModel::QuadraticFromLinearT { frequency_ghz }
            | DipoleModel::TotalFromLinearT { frequency_ghz } => {
                let good = (1e-3..=3000.0).contains(&frequency_ghz);
                require(good, "dipole.model.frequency_ghz", frequency_ghz, "0.001 to 3000")?;
            }
            _ => {}
        }
        let norm = |v: &[f64; 3]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
        let slow = |name: &str, speed: f64| {
            require(speed <= MAX_SPEED_KM_S, name, speed, "at most c/100 = 2997.92458 km/s")
        };
        match &self.dipole.velocity {
            Velocity::Circular { solar_km_s, orbital_km_s } => {
                slow("dipole.velocity", norm(solar_km_s) + orbital_km_s.abs())
            }
            Velocity::Table { step_s, km_s } => {
                self.check_table("dipole.velocity", *step_s, km_s.len())?;
                km_s.iter().try_for_each(|v| slow("dipole.velocity.km_s", norm(v)))
            }
        }
    }

    fn check_maps(&self) -> Result<(), SimError> {
        let (nside, out) = (Nside::new(self.maps.nside)?, Nside::new(self.maps.nside_out)?);
        if out > nside {
            return Err(SimError::setting("maps.nside_out", out, "at most maps.nside"));
        }
        if let Some(matrix) = self.maps.ecliptic_to_frame {
            Rotation::new(matrix)?;
        }
        let limit = self.maps.condition_limit;
        require(limit > 1.0 && limit.is_finite(), "maps.condition_limit", limit, "above 1")
    }

    fn check_detectors(&self) -> Result<(), SimError> {
        if self.detectors.is_empty() {
            return Err(SimError::NoDetectors);
        }
        for (i, detector) in self.detectors.iter().enumerate() {
            if detector.name.trim().is_empty() {
                return Err(SimError::setting("detectors.name", "\"\"", "a name"));
            }
            if self.detectors[..i].iter().any(|other| other.name == detector.name) {
                return Err(SimError::DuplicateDetector { name: detector.name.clone() });
            }
            check_detector(detector)?;
        }
        Ok(())
    }

    fn check_systematic(&self, systematic: &SystematicConfig) -> Result<(), SimError> {
        let noisy = || match self.detectors.iter().find(|d| d.net_k_rts <= 0.0) {
            Some(d) => {
                let name = format!("detectors {:?}: net_k_rts", d.name);
                Err(SimError::setting(name, d.net_k_rts, "above 0 where noise is simulated"))
            }
            None => Ok(()),
        };
        match systematic {
            SystematicConfig::GainDrift { sigma } => require(
                *sigma >= 0.0 && sigma.is_finite(),
                "gain-drift.sigma",
                *sigma,
                "at least 0",
            ),
            SystematicConfig::GainTable { gains } => self.check_gains(gains),
            SystematicConfig::WhiteNoise => noisy(),
            SystematicConfig::OneOverF { knee_hz, slope } => {
                noisy()?;
                positive("one-over-f.knee_hz", *knee_hz)?;
                require(*slope > 0.0 && *slope <= 3.0, "one-over-f.slope", *slope, "in (0, 3]")
            }
            SystematicConfig::NonLinearity { quadratic_per_k, ripple_k, ripple_period_k } => {
                finite("non-linearity.quadratic_per_k", *quadratic_per_k)?;
                finite("non-linearity.ripple_k", *ripple_k)?;
                positive("non-linearity.ripple_period_k", *ripple_period_k)
            }
        }
    }

    fn check_gains(&self, gains: &[Vec<f64>]) -> Result<(), SimError> {
        let (chunks, detectors) = (self.chunks()? as usize, self.detectors.len());
        let short = gains.iter().find(|row| row.len() != detectors);
        if gains.len() != chunks || short.is_some() {
            let columns = short.or(gains.first()).map_or(0, Vec::len);
            return Err(SimError::Shape {
                what: "the table of gains",
                given: format!("{} chunks of {columns} detectors", gains.len()),
                allowed: format!("{chunks} chunks of {detectors} detectors"),
            });
        }
        gains.iter().flatten().try_for_each(|&g| finite("gain-table.gains", g))
    }
}

fn check_scan(scan: &ScanConfig) -> Result<(), SimError> {
    let (alpha, beta) = (scan.spin_sun_angle_deg, scan.opening_angle_deg);
    let good = (0.0..=90.0).contains(&alpha);
    require(good, "scan.spin_sun_angle_deg", alpha, "0 to 90 degrees")?;
    let good = beta > 0.0 && beta <= 90.0;
    require(good, "scan.opening_angle_deg", beta, "above 0, at most 90 degrees")?;
    positive("scan.precession_period_min", scan.precession_period_min)?;
    positive("scan.spin_rate_rpm", scan.spin_rate_rpm)
}

fn check_detector(detector: &Detector) -> Result<(), SimError> {
    let name = |field: &str| format!("detectors {:?}: {field}", detector.name);
    positive(&name("weight"), detector.weight)?;
    let net = detector.net_k_rts;
    require(net >= 0.0 && net.is_finite(), &name("net_k_rts"), net, "finite and at least 0")?;
    match detector.placement {
        Placement::Angles { along_deg, across_deg, polarisation_deg } => {
            for (field, angle) in [("along_deg", along_deg), ("across_deg", across_deg)] {
                require(angle.abs() <= 90.0, &name(field), angle, "−90 to 90 degrees")?;
            }
            finite(&name("polarisation_deg"), polarisation_deg)
        }
        Placement::Quaternion(q) => {
            let given = q.iter().map(|x| x * x).sum::<f64>().sqrt();
            // Also refuses NaN.
            if (given - 1.0).abs() <= 1e-6 {
                return Ok(());
            }
            Err(SimError::Quaternion { detector: detector.name.clone(), given })
        }
    }
}
