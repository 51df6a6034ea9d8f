//! Writes a set of two maps as FITS and as npy, and reads both back.
#![allow(clippy::print_stdout, reason = "an example shows its result")]

use ndarray::Array3;
use skyscat_healpix::{MapSet, Ordering};
use skyscat_io::{
    HeaderCard, IoError, Overwrite, Precision, ReadOptions, WriteOptions, inspect, read_maps,
    write_maps,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let data = Array3::from_shape_fn((2, 2, 3072), |(m, c, p)| (m + c) as f64 + p as f64 * 1e-4);
    let maps = MapSet::new(Ordering::Ring, &["Q", "U"], data)?.with_unit(Some("K_CMB".into()));

    let mut options = WriteOptions {
        precision: Precision::F64,
        overwrite: Overwrite::Refuse,
        cards: vec![HeaderCard::integer("SEED", 7, "of the draw")],
    };
    let files = write_maps(&folder.path().join("sky.fits"), &maps, &options)?;
    assert_eq!(read_maps(&files, &ReadOptions::as_stated())?, maps);
    println!("{} FITS files, for example {:#?}", files.len(), inspect(&files[0])?.columns);

    options.cards.clear();
    let cube = write_maps(&folder.path().join("sky.npy"), &maps, &options)?;
    // npy states no ordering: the reader must say.
    let refused = read_maps(&cube, &ReadOptions::as_stated());
    assert!(matches!(refused, Err(IoError::OrderingUnstated { .. })));
    let back = read_maps(&cube, &ReadOptions::assuming(Ordering::Ring))?;
    assert_eq!(back.data(), maps.data());
    Ok(())
}
