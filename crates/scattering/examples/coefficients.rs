//! Labelled scattering covariances of two maps with Q and U.
#![allow(clippy::print_stdout, reason = "an example shows its result")]

use ndarray::{Array3, Axis};
use skyscat_healpix::Nside;
use skyscat_num::{Par, Seed};
use skyscat_scattering::{Config, Scattering, Selection};
use std::collections::BTreeMap;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let nside = Nside::new(16)?;
    let channels = ["Q".to_owned(), "U".to_owned()];
    let noise = Seed(1).stream("example").index(0, 0).normals(2 * 2 * nside.npix());
    // Axes (map, channel, pixel), NEST ordering.
    let maps = Array3::from_shape_vec((2, 2, nside.npix()), noise)?;

    let scattering = Scattering::new(nside, Config::campeti2025(), &[])?;
    let selection = Selection::all(channels.len());
    let how = (16, &Par::new(2)?);
    let tables = scattering.compute(&channels, maps.view(), &selection, &BTreeMap::new(), how)?;
    for table in &tables {
        let of_first = table.data.index_axis(Axis(0), 0);
        let rms =
            (of_first.iter().map(|z| z.norm_sqr()).sum::<f64>() / of_first.len() as f64).sqrt();
        println!(
            "{:7} {:5} numbers a map, scales {:?} to {:?}, rms {rms:.3e}",
            table.name(),
            of_first.len(),
            table.scales[0],
            table.scales[table.scales.len() - 1],
        );
    }
    Ok(())
}
