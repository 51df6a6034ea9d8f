//! Times the scan, the templates, their maps and covariance, and the full path.
//!
//! `cargo run --release -p skyscat-sim --example year [days] [threads]`
//!
//! The result is verified: hits add up to the samples, and the full path gives the
//! map of the templates.

#![allow(clippy::print_stdout, reason = "an example reports what it measured")]

use skyscat_num::{Par, Seed};
use skyscat_sim::{Channels, Config, Realisation, Run, Simulation};
use std::time::Instant;

/// Runs `work`, reports its time and rate, and returns what it made.
fn timed<T>(what: &str, count: f64, unit: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    let seconds = start.elapsed().as_secs_f64();
    println!("{what:34} {seconds:9.3} s   {:10.4e} {unit}/s", count / seconds);
    result
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut config = Config::campeti2025();
    config.mission.days = arguments.next().map_or(Ok(365.0), |text| text.parse())?;
    let par = Par::new(arguments.next().map_or(Ok(0), |text| text.parse())?)?;
    let sigma = config.gain_sigma().ok_or("the preset has a gain drift")?;
    let samples = config.samples()?;
    let simulation = Simulation::new(config)?;
    println!("{samples} samples of the boresight, {} threads", par.threads());

    let run = Run::quiet(&par);
    let n = samples as f64;
    let coverage = timed("coverage", n, "samples", || simulation.coverage(run))?;
    let hits: u64 = coverage.hits().iter().map(|&h| u64::from(h)).sum();
    assert_eq!(hits, samples, "every sample is in a pixel");
    let templates =
        timed("template matrix", n, "samples", || simulation.templates_on(&coverage, run))?;
    println!("{} entries, worst {:?}", templates.entries(), coverage.masked().worst);

    let first = Realisation { seed: Seed(1), set: "time", number: 0 };
    let map =
        timed("one map, full path, 4 detectors", n, "samples", || simulation.map(first, run))?;
    let gains = templates.draw_gains(sigma, first);
    let gains = gains.insert_axis(ndarray::Axis(0));
    let same = templates.maps(gains.view(), Channels::Tqu, &par)?;
    let pairs = || map.maps.data().into_iter().copied().zip(same.data().into_iter().copied());
    let seen: Vec<(f64, f64)> = pairs().filter(|(a, _)| *a > -1.0).collect();
    for (name, range) in [("T", 0..1), ("Q and U", 1..3)] {
        let part = &seen[range.start * seen.len() / 3..range.end * seen.len() / 3];
        let peak = part.iter().fold(0.0f64, |m, (_, b)| m.max(b.abs()));
        let worst = part.iter().fold(0.0f64, |m, (a, b)| m.max((a - b).abs()));
        println!("full path − templates, {name}: {:.2e} of the largest value", worst / peak);
        assert!(worst < 1e-10 * peak, "the two routes differ");
    }

    let many: Vec<_> = (0..1000).map(|number| Realisation { number, ..first }).collect();
    timed("1000 maps, gains drawn", 1e3, "maps", || {
        templates.draw(sigma, &many, Channels::Qu, &par)
    })?;
    let covariance = templates.covariance(sigma, Channels::Qu);
    let dim = covariance.dim();
    let mut rows = vec![0.0; dim * dim];
    timed("covariance of Q and U", (dim * dim) as f64, "numbers", || {
        covariance.rows(0..dim, &mut rows, &par);
    });
    let diagonal: Vec<f64> = (0..dim).map(|i| rows[i * dim + i]).collect();
    assert_eq!(diagonal, covariance.diagonal());
    Ok(())
}
