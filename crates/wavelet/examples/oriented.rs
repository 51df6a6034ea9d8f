//! Power of a map in four orientations, from a table of wavelets.
#![allow(clippy::print_stdout, reason = "an example shows its result")]

use skyscat_autodiff::{Graph, Program, Purpose, Shape};
use skyscat_healpix::{Nside, Ordering, pix2ang};
use skyscat_num::Par;
use skyscat_wavelet::{Convolve, FilterBank, MaskedMean, Masks, Modulus, sphere};
use std::sync::Arc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let nside = Nside::new(16)?;
    let bank = FilterBank::campeti2025();
    let stencil = Arc::new(sphere::wavelets(nside, &bank)?);
    println!(
        "{} pixels, {:.2} entries a row, {} orientations",
        stencil.rows(),
        stencil.entries() as f64 / stencil.rows() as f64,
        stencil.orientations()
    );

    // |I⋆ψ|, and its mean square over the sky, for every orientation.
    let mut graph = Graph::new();
    let image = graph.input(Shape::real(nside.npix(), 1));
    let bands = graph.apply(Convolve::new(stencil), &[image])?;
    let moduli = graph.apply(Modulus::exact(), &[bands])?;
    let masks = Arc::new(Masks::full(nside.npix()));
    let power = graph.apply(MaskedMean::of_squares(masks), &[moduli])?;
    graph.output("power", power);

    // Stripes along meridians, NEST ordering as all wavelet tables.
    let stripes: Vec<f64> = (0..nside.npix())
        .map(|pixel| (16.0 * pix2ang(nside, Ordering::Nest, pixel).1).cos())
        .collect();
    let mut program = Program::<f64>::compile(Arc::new(graph), 1, Purpose::Values, &Par::new(1)?)?;
    program.evaluate(&stripes);
    let (shape, values) = program.output("power").expect("named above");
    println!("{} orientations: {values:.4?}", shape.channels);
    Ok(())
}
