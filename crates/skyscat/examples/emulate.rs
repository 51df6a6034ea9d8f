//! Emulates maps of an npy cube: `cargo run --release --example emulate -- maps.npy`.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use skyscat::emulator::{BatchId, Config, Emulator, Progress};
use skyscat::healpix::Ordering;
use skyscat::io::{ReadOptions, read_maps};
use skyscat::num::{Par, Seed};
use std::sync::Arc;
use std::time::Instant;

struct Lines;

impl Progress for Lines {
    fn step(&self, iteration: u64, loss: f64, terms: &[skyscat::autodiff::TermValue]) {
        if iteration.is_multiple_of(100) || iteration < 5 {
            let terms: Vec<String> =
                terms.iter().map(|t| format!("{} {:.3e}", t.name, t.value)).collect();
            println!("{iteration:5} {loss:.4e}  {}", terms.join("  "));
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let steps: u64 = args.get(2).map_or(Ok(200), |s| s.parse())?;
    let maps = read_maps(&[&args[1]], &ReadOptions::assuming(Ordering::Ring))?;
    let maps = maps.select_maps(&(0..10).collect::<Vec<_>>())?;
    let mut config = Config { steps, ..Config::campeti2025() };
    let which = args.get(3).map_or("own", |s| s.as_str());
    if which.contains("none") {
        config.scattering.normalisation = skyscat::scattering::Normalisation::None;
    }
    if which.contains("pixel") {
        config.standardise = Some(skyscat::emulator::Standardise::PerPixel);
    }
    if which.contains("sc") {
        config.loss.spectrum = 0.0;
    }
    let clock = Instant::now();
    let emulator = Emulator::new(&maps, &[], config, Seed(1), &Par::new(2)?)?;
    println!("measured in {:?}; fwhm {:?}", clock.elapsed(), emulator.standardiser().fwhm_deg);
    println!("{:?}", emulator.plan::<f64>()?);
    let clock = Instant::now();
    let id = BatchId { target: None, number: 0 };
    let batch = if which.contains("f32") {
        emulator.run::<f32>(id, None, Arc::new(Lines))?
    } else {
        emulator.run::<f64>(id, None, Arc::new(Lines))?
    };
    let seconds = clock.elapsed().as_secs_f64();
    println!(
        "{} evaluations, {seconds:.1} s, {:.4} s each; {}",
        batch.evaluations,
        seconds / batch.evaluations as f64,
        batch.stop
    );
    println!("loss {:.3e} -> {:.3e}", batch.history[0], batch.history.last().unwrap());
    for block in emulator.block_matches(&batch)? {
        println!("{:4} {:3} {:.2e}", block.field, block.kind.to_string(), block.relative_rms);
    }
    Ok(())
}
