//! Contracts of the simulation layer, and what they share.

mod maps;
mod refusals;
mod scan;
mod systematics;
mod year;

use ndarray_npy::NpzReader;
use skyscat_num::{Par, Seed};
use skyscat_sim::{Config, Orbit, Realisation, SystematicConfig, Velocity};
use skyscat_tests::{golden, reals};
use std::fs::File;

/// A realisation of the set "test".
pub(crate) fn realisation(number: u64) -> Realisation<'static> {
    Realisation { seed: Seed(20_261_121), set: "test", number }
}

/// Two threads.
pub(crate) fn par() -> Par {
    Par::new(2).expect("two threads")
}

/// The paper's preset with the peer's hourly longitudes and daily velocities.
pub(crate) fn with_tables(npz: &mut NpzReader<File>) -> Config {
    let velocities = reals(npz, "velocity_table_km_s");
    let mut config = Config::campeti2025();
    config.orbit =
        Orbit::Table { step_s: 3600.0, longitude_rad: reals(npz, "sun_earth_angle_rad") };
    config.dipole.velocity = Velocity::Table {
        step_s: 86_400.0,
        km_s: velocities.chunks_exact(3).map(|v| [v[0], v[1], v[2]]).collect(),
    };
    config
}

/// The systematics replaced by a table of gains, (chunk, detector).
pub(crate) fn with_gains(mut config: Config, gains: &[f64]) -> Config {
    let detectors = config.detectors.len();
    let gains = gains.chunks_exact(detectors).map(<[f64]>::to_vec).collect();
    config.systematics = vec![SystematicConfig::GainTable { gains }];
    config
}

/// The committed subset of the fixtures.
pub(crate) fn first_day() -> NpzReader<File> {
    let file = File::open(golden("sim_first_day.npz")).expect("golden file is there");
    NpzReader::new(file).expect("golden file is npz")
}

/// max |a − b|; infinite for a NaN.
pub(crate) fn worst(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "lengths of the arrays compared");
    let difference = |(a, b): (&f64, &f64)| (a - b).abs();
    a.iter()
        .zip(b)
        .map(difference)
        .fold(0.0, |m, d| if d.is_nan() { f64::INFINITY } else { m.max(d) })
}

/// Root mean square.
pub(crate) fn rms(values: &[f64]) -> f64 {
    (values.iter().map(|x| x * x).sum::<f64>() / values.len() as f64).sqrt()
}
