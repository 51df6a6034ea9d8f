//! Pointings, polarisation angles, dipoles and pixels against litebird_sim and the
//! literal formulas.

use super::{first_day, with_tables, worst};
use ndarray_npy::NpzReader;
use skyscat_healpix::Rotation;
use skyscat_sim::{
    Config, DipoleModel, Placement, Sample, ScanConfig, Simulation, SkyFrame, reference,
};
use skyscat_tests::{reals, relative_error, shared_npz};
use std::fs::File;

/// x̂ of the detector, which carries ψ, from θ, φ, ψ: ψ is from East to North.
fn polarisation_axis(theta: f64, phi: f64, psi: f64) -> [f64; 3] {
    let ((st, ct), (sp, cp), (s, c)) = (theta.sin_cos(), phi.sin_cos(), psi.sin_cos());
    [-c * sp - s * ct * cp, c * cp - s * ct * sp, s * st]
}

fn direction(theta: f64, phi: f64) -> [f64; 3] {
    [theta.sin() * phi.cos(), theta.sin() * phi.sin(), theta.cos()]
}

/// The samples of a golden file, by runs of equal distance.
fn samples(simulation: &Simulation, numbers: &[f64]) -> Vec<Sample> {
    numbers.iter().map(|&n| simulation.observe(0, n as u64, 1)[0]).collect()
}

/// Largest distances of n and of x̂ from the peer's; `turn` falsifies ψ.
fn departures(npz: &mut NpzReader<File>, config: &Config, frame: &str, turn: f64) -> (f64, f64) {
    let mut angle = |name: &str| reals(npz, &format!("{name}_{frame}"));
    let (theta, phi, psi) = (angle("theta"), angle("phi"), angle("psi"));
    let numbers = reals(npz, "sample");
    let (mut of_n, mut of_x) = (0.0f64, 0.0f64);
    for (i, &number) in numbers.iter().enumerate() {
        let own = reference::pointing(config, 0, number as u64).unwrap();
        let n = worst(&direction(own.theta_rad, own.phi_rad), &direction(theta[i], phi[i]));
        let x = worst(
            &polarisation_axis(own.theta_rad, own.phi_rad, own.psi_rad + turn),
            &polarisation_axis(theta[i], phi[i], psi[i]),
        );
        (of_n, of_x) = (of_n.max(n), of_x.max(x));
    }
    (of_n, of_x)
}

fn check_scan(npz: &mut NpzReader<File>, days: f64) {
    let mut config = with_tables(npz);
    config.mission.days = days;
    let galactic = reals(npz, "ecl_to_gal");
    // The matrix of the preset is the peer's.
    let own = config.maps.ecliptic_to_frame.unwrap();
    assert_eq!(worst(own.as_flattened(), &galactic), 0.0);
    // The peer interpolates its quaternions over 2 s, which moves it by 4e-8.
    let (n, x) = departures(npz, &config, "gal", 0.0);
    assert!(n < 1e-7 && x < 1e-7, "galactic: {n:e} {x:e}");
    let (_, turned) = departures(npz, &config, "gal", 1e-6);
    assert!(turned > 1e-7, "must fail: ψ off by 1e-6");
    let mut ecliptic = config.clone();
    ecliptic.maps.frame = SkyFrame::Ecliptic;
    ecliptic.maps.ecliptic_to_frame = None;
    let (n, x) = departures(npz, &ecliptic, "ecl", 0.0);
    assert!(n < 1e-7 && x < 1e-7, "ecliptic: {n:e} {x:e}");

    let simulation = Simulation::new(config.clone()).unwrap();
    let seen = samples(&simulation, &reals(npz, "sample"));
    let psi = reals(npz, "psi_gal");
    for (sample, psi) in seen.iter().zip(&psi) {
        assert!((sample.cos2psi - (2.0 * psi).cos()).abs() < 2e-7);
        assert!((sample.sin2psi - (2.0 * psi).sin()).abs() < 2e-7);
    }
    let own: Vec<f64> = seen.iter().map(|s| s.pixel as f64).collect();
    let moved = own.iter().zip(reals(npz, "pix128_gal_ring")).filter(|(a, b)| **a != *b).count();
    // 149 of 220,752,000 in the year: one of these 2000 would be a fault.
    assert_eq!(moved, 0, "samples in other pixels");
    check_dipoles(npz, &seen, &config);
}

/// The four laws from the peer's own angles, and the fast path from ours.
fn check_dipoles(npz: &mut NpzReader<File>, seen: &[Sample], config: &Config) {
    let (theta, phi) = (reals(npz, "theta_ecl"), reals(npz, "phi_ecl"));
    let velocity = reals(npz, "velocity_km_s_ecl");
    for (name, model) in [
        ("dip_linear", DipoleModel::Linear),
        ("dip_quad_exact", DipoleModel::QuadraticExact),
        ("dip_total_exact", DipoleModel::TotalExact),
        ("dip_total_lin_100GHz", DipoleModel::TotalFromLinearT { frequency_ghz: 100.0 }),
    ] {
        let peer = reals(npz, name);
        let literal = |scale: f64| -> Vec<f64> {
            (0..theta.len())
                .map(|i| {
                    let v = [0, 1, 2].map(|k| scale * velocity[3 * i + k]);
                    let n = direction(theta[i], phi[i]);
                    reference::dipole_k(model, config.dipole.monopole_k, n, v)
                })
                .collect()
        };
        assert!(relative_error(&literal(1.0), &peer) < 1e-12, "{name}");
        assert!(relative_error(&literal(1.0 + 1e-9), &peer) > 1e-12, "must fail: {name}");
    }
    let own: Vec<f64> = seen.iter().map(|s| s.dipole_k).collect();
    let peer = reals(npz, "dip_total_lin_100GHz");
    // Directions differ by 1e-7 at most.
    assert!(relative_error(&own, &peer) < 1e-7);
}

#[test]
fn the_first_minutes_are_those_of_litebird_sim() {
    check_scan(&mut first_day(), 1.0);
}

#[test]
fn two_thousand_samples_of_a_year_are_those_of_litebird_sim() {
    let file = "fixtures/litebird_sim/golden_scan.npz";
    let Some(mut npz) = shared_npz("two_thousand_samples", file) else { return };
    check_scan(&mut npz, 365.0);
}

/// Scans that exercise blocks cut short by anything that can cut them.
fn scans() -> Vec<Config> {
    let short = |name: &str, days: f64| {
        let mut config = Config::preset(name).unwrap();
        config.mission.days = days;
        config
    };
    let mut slow = short("campeti2025", 365.0);
    // A sample every two hours: eight samples of orbit a block.
    slow.mission.rate_hz = 1.0 / 7200.0;
    slow.mission.chunk_samples = 1000;
    let mut tables = with_tables(&mut first_day());
    tables.mission.days = 1.0;
    tables.mission.rate_hz = 0.3;
    tables.mission.chunk_samples = 1000;
    let mut fast = short("litebird", 3.0);
    fast.scan = ScanConfig {
        spin_sun_angle_deg: 0.0,
        opening_angle_deg: 90.0,
        precession_period_min: 1.7,
        spin_rate_rpm: 33.3,
    };
    fast.maps.frame = SkyFrame::Equatorial;
    fast.detectors[1].placement = Placement::Quaternion([0.1, -0.2, 0.3, 0.86f64.sqrt()]);
    vec![
        short("campeti2025", 365.0),
        short("planck", 30.0),
        short("litebird", 365.0),
        slow,
        tables,
        fast,
    ]
}

#[test]
fn the_fast_path_is_the_literal_one() {
    for config in scans() {
        let simulation = Simulation::new(config.clone()).unwrap();
        let last = config.samples().unwrap();
        let to_frame = match config.maps.ecliptic_to_frame {
            Some(matrix) => Rotation::new(matrix).unwrap(),
            None => Rotation::between(skyscat_healpix::Frame::Ecliptic, config.maps.frame.frame()),
        };
        // Literal phases lose digits with the number of turns.
        let turns = last as f64 / config.mission.rate_hz * config.scan.spin_rate_rpm / 60.0;
        let bound = 1e-14 + 8.0 * f64::EPSILON * turns.max(1.0);
        for detector in 0..config.detectors.len() {
            for start in [0, last / 3, last - 600.min(last)] {
                let count = 600.min(last - start) as usize;
                for (i, s) in simulation.observe(detector, start, count).iter().enumerate() {
                    let number = start + i as u64;
                    let p = reference::pointing(&config, detector, number).unwrap();
                    let n = direction(p.theta_rad, p.phi_rad);
                    assert!(worst(&s.direction, &n) < bound, "{detector} {number}");
                    // ψ itself is uncertain by the direction's error over sin θ.
                    let near_pole = bound * 4.0 / p.theta_rad.sin();
                    let (sin, cos) = (2.0 * p.psi_rad).sin_cos();
                    assert!((s.cos2psi - cos).abs() < near_pole);
                    assert!((s.sin2psi - sin).abs() < near_pole);
                    let v = to_frame.apply(reference::velocity_km_s(&config, number).unwrap());
                    let dipole = &config.dipole;
                    let literal = reference::dipole_k(dipole.model, dipole.monopole_k, n, v);
                    assert!((s.dipole_k - literal).abs() < 4e-15 + 0.02 * bound, "{number}");
                }
            }
        }
        // Must fail: the literal sample after.
        let s = simulation.observe(0, 10, 1)[0];
        let p = reference::pointing(&config, 0, 11).unwrap();
        assert!(worst(&s.direction, &direction(p.theta_rad, p.phi_rad)) > bound);
    }
}

#[test]
fn the_first_sample_is_where_the_formula_puts_it() {
    let mut config = Config::campeti2025();
    config.maps.frame = SkyFrame::Ecliptic;
    config.maps.ecliptic_to_frame = None;
    let p = reference::pointing(&config, 0, 0).unwrap();
    assert!((p.theta_rad.to_degrees() - 167.5).abs() < 1e-12);
    assert!((p.phi_rad - 1.745942801448446).abs() < 1e-13);
    assert!((p.psi_rad + std::f64::consts::FRAC_PI_2).abs() < 1e-13);
}
