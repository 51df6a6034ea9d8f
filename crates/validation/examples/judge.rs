//! Two sets of Gaussian maps, one as the reference and one too smooth, before the judge.
#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use ndarray::Array3;
use skyscat_healpix::{MapSet, Ordering};
use skyscat_num::{Par, Seed};
use skyscat_validation::{Limits, Sets, ValidationConfig, validate};

/// Nside 4; each pixel shares `shared` of its variance with the one before.
fn maps(set: u64, count: usize, shared: f64) -> Result<MapSet, Box<dyn std::error::Error>> {
    let mut numbers = Seed(1).stream("example").index(set, 0).normals(count * 2 * 192);
    for map in numbers.chunks_exact_mut(2 * 192) {
        for pixel in 1..map.len() {
            map[pixel] = shared.sqrt() * map[pixel - 1] + (1.0 - shared).sqrt() * map[pixel];
        }
    }
    let data = Array3::from_shape_vec((count, 2, 192), numbers)?;
    Ok(MapSet::new(Ordering::Ring, &["Q", "U"], data)?)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (reference, inputs) = (maps(0, 2000, 0.5)?, maps(1, 10, 0.5)?);
    let preset = ValidationConfig::campeti2025(4, Limits::sampling(), Seed(7));
    let config = ValidationConfig { modes: 40, zoom: None, ..preset };
    for (name, emulated) in [("draws", maps(2, 1000, 0.5)?), ("too smooth", maps(3, 1000, 0.6)?)] {
        let sets = Sets {
            reference: &reference,
            emulated: &emulated,
            inputs: &inputs,
            exact: None,
            coefficients: None,
        };
        let report = validate(sets, &config, &Par::new(0)?)?;
        let failed: Vec<_> = report.verdicts.iter().filter(|v| !v.pass).collect();
        println!("{name}: {} of {} failed", failed.len(), report.verdicts.len());
        for verdict in failed.iter().take(3) {
            println!("  {}: {:.2?}, {}", verdict.name, verdict.measured, verdict.remark);
        }
    }
    Ok(())
}
