//! Binned maps: the peer's short missions, skies that come back, both routes, bits.

use super::{first_day, par, realisation, rms, with_gains, with_tables, worst};
use ndarray::{Array3, Axis};
use ndarray_npy::NpzReader;
use skyscat_healpix::{MapSet, Nside, Ordering, is_unseen, ud_grade};
use skyscat_num::{Par, Seed};
use skyscat_sim::{
    BinnedMap, Channels, Config, Content, Convention, Detector, Placement, Run, Simulation, Sky,
    SystematicConfig, Velocity,
};
use skyscat_tests::{reals, shared_npz};
use std::fs::File;

fn made(config: Config) -> BinnedMap {
    Simulation::new(config).unwrap().map(realisation(0), Run::quiet(&par())).unwrap()
}

/// T, Q, U of a map at these pixels, one after another.
fn at(map: &BinnedMap, pixels: &[usize]) -> Vec<f64> {
    let data = map.maps.data();
    (0..3).flat_map(|k| pixels.iter().map(move |&p| data[[0, k, p]])).collect()
}

/// One of the peer's short missions; `pixels` is the name of the array of pixels.
fn check_mission(npz: &mut NpzReader<File>, mut config: Config, days: f64, pixels: &str) {
    /// Pixels of samples that the peer's interpolation moves in ten days.
    const MOVED: f64 = 10.0;
    config.mission.days = days;
    config.maps.nside_out = 128;
    let config = with_gains(config, &reals(npz, "gain"));
    let pixels: Vec<usize> = reals(npz, pixels).iter().map(|&p| p as usize).collect();
    let hits = reals(npz, "hits");
    let (full, gd) = (reals(npz, "map_full_TQU_K"), reals(npz, "map_gd_TQU_K"));
    let systematics = made(config.clone());
    let own = systematics.coverage.hits();
    let moved: f64 = pixels.iter().zip(&hits).map(|(&p, h)| (f64::from(own[p]) - h).abs()).sum();
    assert!(moved <= MOVED, "hits differ by {moved}");
    let equal: Vec<bool> =
        pixels.iter().zip(&hits).map(|(&p, h)| f64::from(own[p]) == *h).collect();
    let kept = |values: &[f64]| -> Vec<f64> {
        values.iter().enumerate().filter(|(i, _)| equal[i % equal.len()]).map(|(_, v)| *v).collect()
    };
    let total = made(Config {
        maps: skyscat_sim::MapsConfig { content: Content::Total, ..config.maps.clone() },
        ..config.clone()
    });
    // The peer's interpolated directions are off by 4e-8 at most: for what the gains
    // add, 4e-7 K, below 3e-14 K; for the dipole itself, 3.7e-3 K, below 1.5e-10 K.
    let third = equal.iter().filter(|e| **e).count();
    let errors = |map: &BinnedMap, peer: &[f64]| {
        let (own, peer) = (kept(&at(map, &pixels)), kept(peer));
        (worst(&own[..third], &peer[..third]), worst(&own[third..], &peer[third..]))
    };
    let (t, qu) = errors(&systematics, &gd);
    assert!(t <= 3e-14 && qu <= 3e-14, "{t:e} {qu:e}");
    let (t, qu) = errors(&total, &full);
    assert!(t <= 1.5e-10 && qu <= 3e-14, "{t:e} {qu:e}");
    // Must fail: one gain off by 1e-4 of itself, the other sign of ψ, chunks shifted.
    let wrong = |change: &dyn Fn(&mut Config)| {
        let mut config = config.clone();
        change(&mut config);
        worst(&kept(&at(&made(config), &pixels)), &kept(&gd))
    };
    let gains = |c: &mut Config, change: &dyn Fn(&mut Vec<Vec<f64>>)| match &mut c.systematics[0] {
        SystematicConfig::GainTable { gains } => change(gains),
        _ => unreachable!("a table"),
    };
    assert!(wrong(&|c| gains(c, &|g| g[0][0] *= 1.0 + 1e-4)) > 3e-14);
    assert!(wrong(&|c| gains(c, &|g| g.rotate_left(1))) > 3e-14);
    assert!(wrong(&|c| c.maps.convention = Convention::Iau) > 3e-14);
}

#[test]
fn a_quarter_of_the_first_day_is_that_of_litebird_sim() {
    let mut npz = first_day();
    let config = with_tables(&mut npz);
    check_mission(&mut npz, config, 1.0, "pixel");
}

#[test]
fn one_and_ten_days_are_those_of_litebird_sim() {
    let scan = "fixtures/litebird_sim/golden_scan.npz";
    let Some(mut tables) = shared_npz("one_and_ten_days", scan) else { return };
    let config = with_tables(&mut tables);
    for (days, name) in [(1.0, "mini_1day"), (10.0, "mini_10day")] {
        let file = format!("fixtures/litebird_sim/{name}.npz");
        let Some(mut npz) = shared_npz("one_and_ten_days", &file) else { return };
        check_mission(&mut npz, config.clone(), days, "pix128_gal_ring");
    }
}

/// A day at low resolution of each preset: one horn, two horns, three frames.
fn small(name: &str) -> Config {
    let mut config = Config::preset(name).unwrap();
    config.mission.days = 0.6;
    (config.maps.nside, config.maps.nside_out) = (32, 8);
    config.systematics = vec![SystematicConfig::GainDrift { sigma: 1e-4 }];
    config
}

/// Largest difference of the two routes over the largest value, for T and for Q, U.
fn routes_differ(config: &Config, gain: impl Fn(f64, usize, usize) -> f64) -> [f64; 2] {
    let simulation = Simulation::new(config.clone()).unwrap();
    let par = par();
    let run = Run::quiet(&par);
    let map = simulation.map(realisation(3), run).unwrap();
    let templates = simulation.templates(run).unwrap();
    let mut gains = templates.draw_gains(1e-4, realisation(3));
    gains.indexed_iter_mut().for_each(|((c, d), g)| *g = gain(*g, c, d));
    let same = templates.maps(gains.insert_axis(Axis(0)).view(), Channels::Tqu, &par).unwrap();
    [0..1, 1..3].map(|range| {
        let (mut difference, mut peak) = (0.0f64, 0.0f64);
        for k in range {
            for p in 0..same.nside().npix() {
                let (a, b) = (map.maps.data()[[0, k, p]], same.data()[[0, k, p]]);
                assert_eq!(is_unseen(a), is_unseen(b));
                if !is_unseen(a) {
                    difference = difference.max((a - b).abs());
                    peak = peak.max(b.abs());
                }
            }
        }
        difference / peak
    })
}

#[test]
fn templates_and_full_path_give_the_same_maps() {
    for name in ["campeti2025", "planck", "litebird"] {
        let mut config = small(name);
        // Unequal weights and an angle of its own: M is not diagonal.
        config.detectors[1].weight = 0.7;
        config.detectors[2].placement =
            Placement::Angles { along_deg: 1.0, across_deg: -2.0, polarisation_deg: 20.0 };
        for config in [small(name), config] {
            // Rounding grows with the condition number, 1e3 at most, and with Σ s
            // over what is left of it after M⁻¹.
            for error in routes_differ(&config, |g, _, _| g) {
                assert!(error < 1e-12, "{name}: {error:e}");
            }
            // Must fail: one gain off by 1e-4 of itself.
            let off = |g: f64, c: usize, d: usize| if (c, d) == (0, 1) { g * 1.0001 } else { g };
            assert!(routes_differ(&config, off)[1] > 1e-10, "{name}");
        }
    }
}

/// A random sky T, Q, U at an Nside.
fn random_sky(nside: usize) -> MapSet {
    let nside = Nside::new(nside).unwrap();
    let normals = Seed(1).stream("sky").index(0, 0).normals(3 * nside.npix());
    let data = Array3::from_shape_vec((1, 3, nside.npix()), normals).unwrap();
    MapSet::new(Ordering::Ring, &["T", "Q", "U"], data).unwrap()
}

/// A scan of several angles a pixel, without dipole and systematics.
fn still(name: &str) -> Config {
    let mut config = small(name);
    config.maps.nside_out = config.maps.nside;
    config.maps.content = Content::Total;
    config.systematics.clear();
    config.dipole.velocity = Velocity::Circular { solar_km_s: [0.0; 3], orbital_km_s: 0.0 };
    config
}

#[test]
fn a_sky_comes_back_in_every_convention() {
    for (name, convention) in [
        ("campeti2025", Convention::East),
        ("planck", Convention::Cosmo),
        ("litebird", Convention::Iau),
    ] {
        let mut config = still(name);
        config.maps.convention = convention;
        let sky = random_sky(config.maps.nside);
        let run_with = |seen_in: Convention| {
            let settings = skyscat_sim::MapsConfig { convention: seen_in, ..config.maps.clone() };
            let seen = Sky::new(&sky, &settings).unwrap();
            let simulation = Simulation::new(config.clone()).unwrap().with_sky(seen);
            let map = simulation.map(realisation(0), Run::quiet(&par())).unwrap();
            let mut error = 0.0f64;
            for (found, wanted) in map.maps.data().iter().zip(sky.data()) {
                if !is_unseen(*found) {
                    error = error.max((found - wanted).abs());
                }
            }
            (error, map)
        };
        let (error, map) = run_with(convention);
        // Condition numbers are below 1e3, values below 5.
        assert!(error < 1e3 * 5.0 * 8.0 * f64::EPSILON, "{name}: {error:e}");
        assert_eq!(map.maps.polcconv(), convention.polcconv());
        assert!(map.masked().never_hit > 0);
        // Must fail: the sky read in another convention.
        let other = if convention == Convention::Iau { Convention::East } else { Convention::Iau };
        assert!(run_with(other).0 > 0.1);
    }
}

#[test]
fn a_coarser_sky_is_read_by_the_line_of_sight() {
    let config = still("campeti2025");
    let coarse = random_sky(4);
    let sky = Sky::new(&coarse, &config.maps).unwrap();
    let simulation = Simulation::new(config.clone()).unwrap().with_sky(sky);
    let map = simulation.map(realisation(0), Run::quiet(&par())).unwrap();
    let channel: Vec<f64> = coarse.data().index_axis(Axis(0), 0).row(0).to_vec();
    let fine = ud_grade(&channel, Ordering::Ring, Nside::new(config.maps.nside).unwrap()).unwrap();
    for (found, wanted) in map.maps.data().index_axis(Axis(0), 0).row(0).iter().zip(fine) {
        assert!(is_unseen(*found) || (found - wanted).abs() < 1e-12);
    }
}

#[test]
fn quaternions_and_angles_give_the_same_bits_of_hits_and_nearly_the_same_map() {
    let angles = small("litebird");
    let mut quaternions = angles.clone();
    for Detector { placement, .. } in &mut quaternions.detectors {
        *placement = Placement::Quaternion(placement.quaternion());
    }
    let (a, b) = (made(angles), made(quaternions));
    assert_eq!(a.coverage.hits(), b.coverage.hits());
    let difference = a.maps.data().to_owned() - b.maps.data();
    assert!(difference.iter().all(|d| d.abs() < 1e-18));
}

#[test]
fn ill_conditioned_pixels_are_masked_counted_and_named() {
    // One detector: T, Q, U come from the angles that a pixel is seen at.
    let mut config = small("litebird");
    config.detectors.truncate(1);
    config.maps.condition_limit = 50.0;
    let map = made(config.clone());
    let coverage = &map.coverage;
    let (hits, condition) = (coverage.hits(), coverage.condition());
    let never = hits.iter().filter(|&&h| h == 0).count();
    let bad = hits.iter().zip(&condition).filter(|(h, c)| **h > 0 && **c > 50.0).count();
    let masked = map.masked();
    assert_eq!((masked.never_hit, masked.ill_conditioned), (never, bad));
    assert!(bad > 0 && masked.worst.condition > 50.0);
    assert_eq!(condition[masked.worst.pixel], masked.worst.condition);
    // The mean of the children that were solved for is what healpy's ud_grade does.
    let mut fine = config.clone();
    fine.maps.nside_out = fine.maps.nside;
    let fine = made(fine);
    for k in 0..3 {
        let plane: Vec<f64> = fine.maps.data().index_axis(Axis(0), 0).row(k).to_vec();
        let graded = ud_grade(&plane, Ordering::Ring, Nside::new(8).unwrap()).unwrap();
        let own: Vec<f64> = map.maps.data().index_axis(Axis(0), 0).row(k).to_vec();
        let scale = rms(&plane.iter().copied().filter(|v| !is_unseen(*v)).collect::<Vec<_>>());
        for (a, b) in own.iter().zip(&graded) {
            assert_eq!(is_unseen(*a), is_unseen(*b));
            assert!(is_unseen(*a) || (a - b).abs() < 1e-12 * scale);
        }
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    let mut config = small("planck");
    config.systematics = Config::preset("planck").unwrap().systematics;
    // Fourteen chunks and a short one.
    config.mission.days = 0.25;
    config.mission.rate_hz = 7.0;
    config.mission.chunk_samples = 10_800;
    let simulation = Simulation::new(config).unwrap();
    let results: Vec<_> = [1, 2, 7]
        .map(|threads| {
            let par = Par::new(threads).unwrap();
            let run = Run::quiet(&par);
            let map = simulation.map(realisation(1), run).unwrap();
            let templates = simulation.templates(run).unwrap();
            let maps = templates.draw(1e-4, &[realisation(0); 11], Channels::Tqu, &par).unwrap();
            let covariance = templates.covariance(1e-4, Channels::Qu);
            let mut rows = vec![0.0; 30 * covariance.dim()];
            covariance.rows(100..130, &mut rows, &par);
            (map.maps, map.coverage.condition(), templates, maps, rows)
        })
        .into_iter()
        .collect();
    assert!(results[0] == results[1] && results[0] == results[2]);
    let other = simulation.map(realisation(2), Run::quiet(&par())).unwrap();
    assert!(other.maps != results[0].0, "must fail: another realisation");
}
