//! `skyscat sample-data`: the embedded input maps.

use crate::args::SampleArgs;
use crate::settings::Settings;
use crate::{Ending, output, say};
use anyhow::{Result, ensure};
use ndarray::Array3;
use skyscat::io::{Precision, write_npy};

/// Two maps each; see data/README.md.
const PARTS: [&[u8]; 5] = [
    include_bytes!("../data/input10_0.npy"),
    include_bytes!("../data/input10_1.npy"),
    include_bytes!("../data/input10_2.npy"),
    include_bytes!("../data/input10_3.npy"),
    include_bytes!("../data/input10_4.npy"),
];
const SHAPE: (usize, usize, usize) = (10, 2, 3072);

pub(crate) fn run(args: SampleArgs) -> Result<Ending> {
    let given = Settings { output: args.output, ..Settings::default() };
    let settings = given.over(args.common.config.as_deref(), &["output"])?;
    let path = output::required(&settings.output.output, "a name that ends in .npy")?;
    output::check_extension(&path, &["npy"])?;
    output::check_file(&path, args.replace.overwrite)?;
    let maps = maps()?;
    let replace = output::replace(args.replace.overwrite);
    write_npy(&path, &maps.view().into_dyn(), Precision::F32, replace)?;
    if !args.common.quiet {
        say::note(&format!(
            "{}: 10 maps, channels Q U, Nside 16, RING, Galactic, K_CMB",
            path.display()
        ));
    }
    Ok(Ending::Done)
}

/// The embedded cube.
fn maps() -> Result<Array3<f64>> {
    let mut values = Vec::new();
    for part in PARTS {
        // Version 1 of npy: ten bytes, then a header of the length they end with.
        let start = 10 + usize::from(u16::from_le_bytes([part[8], part[9]]));
        let floats = part[start..].as_chunks().0.iter().map(|&b| f32::from_le_bytes(b));
        values.extend(floats.map(f64::from));
    }
    ensure!(values.len() == SHAPE.0 * SHAPE.1 * SHAPE.2, "the embedded maps are damaged");
    Ok(Array3::from_shape_vec(SHAPE, values)?)
}
