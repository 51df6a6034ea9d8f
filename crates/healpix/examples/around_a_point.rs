//! The pixels around a point of the sky, three ways.
#![allow(clippy::print_stdout, reason = "an example shows its result")]

use skyscat_healpix::{
    HealpixError, Nside, Ordering, ang2pix, interpolation, neighbours_of, pix2vec, query_disc,
};

fn main() -> Result<(), HealpixError> {
    let nside = Nside::new(16)?;
    let (theta_rad, phi_rad) = (1.2_f64, 0.7_f64);

    let pix = ang2pix(nside, Ordering::Ring, theta_rad, phi_rad);
    println!("the point lies in pixel {pix} of {}", nside.npix());
    println!(
        "its neighbours (SW, W, NW, N, NE, E, SE, S): {:?}",
        neighbours_of(nside, Ordering::Ring, pix)
    );
    let (pixels, weights) = interpolation(nside, Ordering::Ring, theta_rad, phi_rad);
    println!("a map is read there from {pixels:?} with weights {weights:.3?}");
    let centre = pix2vec(nside, Ordering::Ring, pix);
    let disc = query_disc(nside, Ordering::Ring, centre, 0.1);
    println!("{} pixel centres lie within 0.1 rad", disc.len());
    Ok(())
}
