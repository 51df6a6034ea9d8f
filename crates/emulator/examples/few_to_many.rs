//! Six maps from four, in a few steps at a low resolution.
#![allow(clippy::print_stdout, reason = "an example shows its result")]

use ndarray::Array3;
use skyscat_autodiff::TermValue;
use skyscat_emulator::{Config, Emulator, Progress, assemble};
use skyscat_healpix::{MapSet, Ordering};
use skyscat_num::{Par, Seed};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Says where the loss is, every ten iterations.
struct Lines;

impl Progress for Lines {
    fn step(&self, iteration: u64, loss: f64, terms: &[TermValue]) {
        if iteration.is_multiple_of(10) {
            let terms: Vec<String> =
                terms.iter().map(|term| format!("{} {:.2e}", term.name, term.value)).collect();
            println!("{iteration:4} {loss:.3e}  {}", terms.join("  "));
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let noise = Seed(1).stream("example").index(0, 0).normals(4 * 2 * 192);
    let data = Array3::from_shape_vec((4, 2, 192), noise)?;
    let inputs = MapSet::new(Ordering::Ring, &["Q", "U"], data)?;

    let config = Config { batch: 3, steps: 30, ..Config::campeti2025() };
    let emulator = Emulator::new(&inputs, &[], config, Seed(7), &Par::new(2)?)?;
    let schedule = emulator.schedule(6);
    let mut maps = BTreeMap::new();
    for &id in schedule.batches() {
        let batch = emulator.run::<f64>(id, None, Arc::new(Lines))?;
        println!("{id}: {} evaluations, {}", batch.evaluations, batch.stop);
        maps.insert(id, batch.maps);
    }
    let many = assemble(&schedule, &maps);
    println!("axes (map, channel, pixel), NEST: {:?}", many.dim());
    Ok(())
}
