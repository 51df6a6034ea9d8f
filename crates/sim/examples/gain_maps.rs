//! Ten days of the paper's scan: templates, maps, and the spread they should have.
//!
//! `cargo run --release -p skyscat-sim --example gain_maps`

#![allow(clippy::print_stdout, reason = "an example reports what it found")]

use skyscat_num::{Par, Seed};
use skyscat_sim::{Channels, Config, Realisation, Run, Simulation};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut config = Config::campeti2025();
    config.mission.days = 10.0;
    let sigma = config.gain_sigma().ok_or("the preset has a gain drift")?;
    let simulation = Simulation::new(config)?;
    let par = Par::new(0)?;

    let coverage = simulation.coverage(Run::quiet(&par))?;
    let masked = coverage.masked();
    println!(
        "{} of {} pixels never hit, worst condition number {:.2}",
        masked.never_hit,
        coverage.nside().npix(),
        masked.worst.condition
    );
    let templates = simulation.templates_on(&coverage, Run::quiet(&par))?;
    println!("{} chunks, {} entries", templates.chunks(), templates.entries());

    let realisations: Vec<_> =
        (0..400).map(|number| Realisation { seed: Seed(1), set: "example", number }).collect();
    let maps = templates.draw(sigma, &realisations, Channels::Qu, &par)?;
    let exact = templates.covariance(sigma, Channels::Qu).diagonal();
    let pixel = (0..exact.len() / 2).find(|&p| exact[p] > 0.0).ok_or("no pixel was seen")?;
    let square = |map: usize| maps.data()[[map, 0, pixel]].powi(2);
    let found = ((0..400).map(square).sum::<f64>() / 400.0).sqrt();
    println!(
        "Q of pixel {pixel}: {:.2} nK over 400 maps, exactly {:.2} nK",
        1e9 * found,
        1e9 * exact[pixel].sqrt()
    );
    Ok(())
}
