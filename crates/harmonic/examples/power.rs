//! A Gaussian E-mode sky, made and measured: spectra in, spectra out.
//!
//! `cargo run --release -p skyscat-harmonic --example power`

#![allow(clippy::print_stdout, reason = "an example shows its result")]

use skyscat_harmonic::{
    AlmField, InputSpectra, Plan, Spectra, SpectrumKind, SpectrumPower, gaussian_alm,
};
use skyscat_healpix::Nside;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let plan = Plan::<f64>::new(Nside::new(16)?, 32, 2)?;
    let ee: Vec<f64> = (0..=32).map(|l| if l < 2 { 0.0 } else { 1.0 / (l * l) as f64 }).collect();
    // A toy stream of deviates; programs pass a proper generator.
    let mut turn = 0.0_f64;
    let mut normal = || {
        turn += 0.618_033_988_749_894_9;
        (2.0_f64).sqrt() * (std::f64::consts::TAU * turn * turn).sin()
    };
    let alm =
        gaussian_alm(plan.modes(), InputSpectra { ee: &ee, ..Default::default() }, &mut normal)?;
    let polarised = alm.slice_axis(ndarray::Axis(0), (1..3).into());
    let map = plan.synthesis_of(polarised)?;
    let measured = plan.analysis_of(map.view(), 3)?;
    let batch = plan.alm_to_batch(measured.view().insert_axis(ndarray::Axis(0)))?;
    let field = |component| AlmField { values: &batch, components: 2, component, batch: 1 };
    let spectra = Spectra::of(
        plan.modes(),
        SpectrumPower::Two,
        &[(SpectrumKind::EE, field(0), field(0)), (SpectrumKind::BB, field(1), field(1))],
    );
    for (kind, values) in spectra.kinds.iter().zip(spectra.values.chunks(33)) {
        println!("{}: C_2 = {:.3e}, C_32 = {:.3e}", kind.label(), values[2], values[32]);
    }
    Ok(())
}
