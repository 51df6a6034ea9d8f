//! Every bad input is refused with an error that names it.

use ndarray::{Array3, array};
use skyscat_healpix::{HealpixError, MapSet, Ordering};
use skyscat_sim::{
    Channels, Config, DipoleModel, Orbit, Placement, Run, SimError, Simulation, Sky,
    SystematicConfig, Velocity,
};

/// The error of the paper's preset after a change.
fn refused(change: impl FnOnce(&mut Config)) -> SimError {
    let mut config = Config::campeti2025();
    change(&mut config);
    let error = config.check().expect_err("must be refused");
    assert_eq!(Simulation::new(config).expect_err("must be refused"), error);
    error
}

/// The name and the value in the error of a setting.
fn setting(change: impl FnOnce(&mut Config)) -> (String, String) {
    match refused(change) {
        SimError::Setting { name, given, .. } => (name, given),
        other => panic!("{other}"),
    }
}

#[test]
fn unphysical_scans_are_refused() {
    for (name, given, change) in [
        ("mission.days", "0", (|c| c.mission.days = 0.0) as fn(&mut Config)),
        ("mission.days", "NaN", |c| c.mission.days = f64::NAN),
        ("mission.rate_hz", "-7", |c| c.mission.rate_hz = -7.0),
        ("mission.chunk_samples", "0", |c| c.mission.chunk_samples = 0),
        ("scan.spin_sun_angle_deg", "91", |c| c.scan.spin_sun_angle_deg = 91.0),
        ("scan.spin_sun_angle_deg", "-1", |c| c.scan.spin_sun_angle_deg = -1.0),
        ("scan.opening_angle_deg", "0", |c| c.scan.opening_angle_deg = 0.0),
        ("scan.opening_angle_deg", "90.5", |c| c.scan.opening_angle_deg = 90.5),
        ("scan.precession_period_min", "0", |c| c.scan.precession_period_min = 0.0),
        ("scan.spin_rate_rpm", "inf", |c| c.scan.spin_rate_rpm = f64::INFINITY),
        ("mission.start", "\"2027-02-30\"", |c| c.mission.start = "2027-02-30".into()),
        ("dipole.monopole_k", "0", |c| c.dipole.monopole_k = 0.0),
        ("dipole.model.frequency_ghz", "0", |c| {
            c.dipole.model = DipoleModel::TotalFromLinearT { frequency_ghz: 0.0 };
        }),
        ("dipole.velocity", "3000", |c| {
            c.dipole.velocity =
                Velocity::Circular { solar_km_s: [3000.0, 0.0, 0.0], orbital_km_s: 0.0 };
        }),
        ("maps.nside_out", "256", |c| c.maps.nside_out = 256),
        ("maps.condition_limit", "1", |c| c.maps.condition_limit = 1.0),
        ("orbit", "1 entries", |c| {
            c.orbit = Orbit::Table { step_s: 3600.0, longitude_rad: vec![0.0] };
        }),
        ("gain-drift.sigma", "-1", |c| {
            c.systematics = vec![SystematicConfig::GainDrift { sigma: -1.0 }];
        }),
        ("detectors \"0\": net_k_rts", "0", |c| {
            c.systematics = vec![SystematicConfig::WhiteNoise];
        }),
        ("detectors \"0\": weight", "0", |c| c.detectors[0].weight = 0.0),
        ("detectors \"0\": across_deg", "100", |c| {
            c.detectors[0].placement =
                Placement::Angles { along_deg: 0.0, across_deg: 100.0, polarisation_deg: 0.0 };
        }),
        ("non-linearity.ripple_period_k", "0", |c| {
            c.systematics = vec![SystematicConfig::NonLinearity {
                quadratic_per_k: 0.0,
                ripple_k: 0.0,
                ripple_period_k: 0.0,
            }];
        }),
    ] {
        assert_eq!(setting(change), (name.to_owned(), given.to_owned()));
    }
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let short = refused(|c| c.mission.days = 0.1);
    assert_eq!(short, SimError::ShortMission { given: 100_000, allowed: 60_480 });
    assert_eq!(refused(|c| c.detectors.clear()), SimError::NoDetectors);
    let twice = refused(|c| c.detectors[2].name = "0".into());
    assert_eq!(twice, SimError::DuplicateDetector { name: "0".into() });
    let nside = refused(|c| c.maps.nside = 100);
    assert_eq!(nside, SimError::Healpix(HealpixError::Nside { given: 100 }));
    let nside = refused(|c| c.maps.nside_out = 16_384);
    assert_eq!(nside, SimError::Healpix(HealpixError::Nside { given: 16_384 }));
    let long = refused(|c| c.detectors[3].placement = Placement::Quaternion([0.0, 0.0, 0.0, 2.0]));
    assert_eq!(long, SimError::Quaternion { detector: "135".into(), given: 2.0 });
    let rotation = refused(|c| c.maps.ecliptic_to_frame = Some([[1.0; 3]; 3]));
    assert!(matches!(rotation, SimError::Healpix(HealpixError::NotRotation { .. })));
    let table = refused(|c| {
        c.orbit = Orbit::Table { step_s: 86_400.0, longitude_rad: vec![0.0, 0.1] };
    });
    assert!(
        matches!(table, SimError::ShortTable { table: "orbit", given, .. } if given == 86_400.0)
    );
    let gains = refused(|c| {
        c.systematics = vec![SystematicConfig::GainTable { gains: vec![vec![0.0; 4]; 2207] }];
    });
    assert!(gains.to_string().contains("2207 chunks of 4") && gains.to_string().contains("2208"));
}

#[test]
fn text_that_is_no_configuration_is_refused() {
    let text = Config::campeti2025().to_toml().unwrap();
    for (good, bad) in [
        ("[mission]\n", "[mission]\nlength = 3\n"),
        ("rate_hz = 7.0\n", ""),
        ("kind = \"circular\"\nlongitude_rad", "kind = \"circular\"\nlongitude"),
        ("kind = \"circular\"\nlongitude_rad", "kind = \"spiral\"\nlongitude_rad"),
        ("weight", "wait"),
        ("sigma", "sigmas"),
    ] {
        assert!(text.contains(good), "{good} in\n{text}");
        let error = Config::from_toml(&text.replace(good, bad)).expect_err(bad);
        assert!(matches!(error, SimError::Syntax { .. }));
    }
    let unknown = Config::preset("wmap").expect_err("no such preset");
    assert!(unknown.to_string().contains("campeti2025, planck, litebird"));
    for (name, _) in skyscat_sim::PRESETS {
        let config = Config::preset(name).unwrap();
        config.check().unwrap();
        assert_eq!(Config::from_toml(&config.to_toml().unwrap()).unwrap(), config);
    }
}

/// Half a day at low resolution.
fn small() -> Config {
    let mut config = Config::campeti2025();
    config.mission.days = 0.5;
    (config.maps.nside, config.maps.nside_out) = (16, 4);
    config
}

#[test]
fn a_map_without_solved_pixels_is_refused() {
    let mut config = small();
    // One angle in a pixel, or few: T, Q, U cannot be told apart.
    config.detectors.truncate(1);
    config.maps.condition_limit = 1.0 + 1e-9;
    let error = Simulation::new(config).unwrap().coverage(Run::quiet(&super::par()));
    assert!(matches!(error.unwrap_err(), SimError::NoPixel { ill_conditioned: 1.., .. }));
}

#[test]
fn skies_are_checked() {
    let config = small();
    let set = |channels: &[&str], value: f64| {
        let data = Array3::from_elem((1, channels.len(), 48), value);
        MapSet::new(Ordering::Ring, channels, data).unwrap()
    };
    let equatorial = set(&["T"], 0.0).with_coordsys(Some("C".into()));
    let error = Sky::new(&equatorial, &config.maps).unwrap_err();
    assert_eq!(error, SimError::SkyFrame { given: "C".into(), allowed: "G".into() });
    let hole = Sky::new(&set(&["T"], f64::NAN), &config.maps).unwrap_err();
    assert!(matches!(hole, SimError::Healpix(HealpixError::NotFullSky { bad: 48, .. })));
    assert!(Sky::new(&set(&["Q", "U"], 0.0), &config.maps).is_err());
    let polarised = Sky::new(&set(&["T", "Q", "U"], 0.0), &config.maps).unwrap();
    let simulation = Simulation::new(config).unwrap().with_sky(polarised);
    let error = simulation.templates(Run::quiet(&super::par())).unwrap_err();
    assert_eq!(error, SimError::PolarisedSky);
}

#[test]
fn damaged_templates_are_refused() {
    let par = super::par();
    let templates = Simulation::new(small()).unwrap().templates(Run::quiet(&par)).unwrap();
    let whole = templates.to_parts();
    let again = skyscat_sim::Templates::from_parts(whole.clone()).unwrap();
    assert_eq!(again, templates);
    for (at, damage) in [
        (|p| p.indptr.truncate(10)) as fn(&mut skyscat_sim::TemplatesParts),
        |p| p.indptr[0] = 1,
        |p| *p.indptr.last_mut().unwrap() += 1,
        |p| p.indptr[100] = u64::MAX / 2,
        |p| p.columns[0] = u32::MAX,
        |p| p.detector_horn[0] = 1,
        |p| p.values[[0, 0, 0]] = f64::NAN,
        |p| p.values = Array3::zeros((1, 3, 3)),
        |p| p.response = array![[1.0, 0.0, 0.0]],
        |p| p.solved.clear(),
        |p| p.chunks = 1,
        |p| p.nside = 3,
    ]
    .into_iter()
    .enumerate()
    {
        let mut parts = whole.clone();
        damage(&mut parts);
        assert!(skyscat_sim::Templates::from_parts(parts).is_err(), "damage {at}");
    }
    let gains = Array3::zeros((1, 4, 5));
    let error = templates.maps(gains.view(), Channels::Qu, &par).unwrap_err();
    assert!(matches!(error, SimError::Shape { what: "the array of gains", .. }));
}
