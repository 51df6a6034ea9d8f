//! Times synthesis and its adjoint per map, after checking that they are adjoint.
//!
//! `cargo run --release -p skyscat-harmonic --example time [batch]`

#![allow(clippy::print_stdout, reason = "an example reports what it measured")]

use skyscat_harmonic::{Config, Engine, Parallelism, Plan, Sample};
use skyscat_healpix::Nside;
use std::time::Instant;

/// Least wall time of `runs` runs, in milliseconds.
fn least(runs: usize, mut work: impl FnMut()) -> f64 {
    (0..runs)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64() * 1e3
        })
        .fold(f64::INFINITY, f64::min)
}

fn time<T: Sample>(
    name: &str,
    config: Config,
    batch: usize,
) -> Result<(), Box<dyn std::error::Error>> {
    let plan = Plan::<T>::with_config(config)?;
    let mut scratch = plan.scratch(batch);
    let alm: Vec<T> = (0..plan.alm_len(batch))
        .map(|i| T::from_f64((i as f64 * 0.37).sin()).ok_or("not representable"))
        .collect::<Result<_, _>>()?;
    let mut map = vec![T::zero(); plan.map_len(batch)];
    let mut back = alm.clone();
    plan.synthesis(&alm, &mut map, &mut scratch);
    let runs = (4_000 / (config.nside.get() * config.nside.get() / 16).max(1)).clamp(3, 400);
    let forward = least(runs, || plan.synthesis(&alm, &mut map, &mut scratch));
    let adjoint = least(runs, || {
        plan.adjoint_synthesis(&map, &mut back, &mut scratch)
    });
    let per_map = 1.0 / batch as f64;
    println!(
        "{name} nside {:4} lmax {:4} spin {} {:?} batch {batch}: synthesis {:.4} ms, adjoint {:.4} ms a map",
        config.nside,
        config.lmax,
        config.spin,
        config.engine,
        forward * per_map,
        adjoint * per_map
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let batch = std::env::args()
        .nth(1)
        .map_or(Ok(16), |text| text.parse())?;
    let largest = std::env::args()
        .nth(2)
        .map_or(Ok(64), |text| text.parse())?;
    for nside in [16, 64, 128, 256, 512, 1024]
        .into_iter()
        .filter(|&n| n <= largest)
    {
        for spin in [0, 2] {
            for engine in [Engine::Tables, Engine::Recurrence] {
                if nside > 64 && engine == Engine::Tables {
                    continue;
                }
                let full = Config::full(Nside::new(nside)?, 3 * nside - 1, spin);
                let config = Config {
                    engine,
                    parallelism: Parallelism::Serial,
                    ..full
                };
                time::<f64>("f64", config, batch)?;
                time::<f32>("f32", config, batch)?;
            }
        }
    }
    Ok(())
}
