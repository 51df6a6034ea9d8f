//! Files that are cut, damaged or claim more than they hold.

use super::{RING, cards, fits, options, put, read_fits, sample};
use flate2::{Compression, write::GzEncoder};
use ndarray::{Array1, ArrayD};
use proptest::prelude::*;
use serde_json::json;
use skyscat_healpix::Ordering;
use skyscat_io::{
    IoError, Overwrite, Precision, ReadOptions, read_checkpoint, read_map_file, read_npy, read_npz,
    write_checkpoint, write_fits, write_maps, write_npz,
};
use std::fs;
use std::io::Write;

#[test]
fn claims_beyond_the_file_are_refused_before_allocation() {
    let claims =
        [("D", 8, 1_000_000_000_000), ("1000000000000D", 8_000_000_000_000, 1), ("D", 8, 13_000)];
    for (form, row, rows) in claims {
        let file = fits(&cards(form, row, rows, &["NSIDE   = 1", RING]), &[0; 96]);
        let result = read_fits(&file);
        assert!(matches!(result, Err(IoError::Truncated { .. })), "{result:?}");
        // Gzipped, the length is unknown: the claim must fail all the same.
        let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
        gz.write_all(&file).unwrap();
        let result = read_fits(&gz.finish().unwrap());
        assert!(result.is_err());
    }
    let overflow = cards("D", 8, u64::MAX / 4, &[RING]);
    assert!(read_fits(&fits(&overflow, &[0; 96])).is_err());
    let folder = tempfile::tempdir().unwrap();
    for shape in
        ["(1000000, 1000000, 3072)", "(99999999999999999999,)", "(1152921504606846976, 16)"]
    {
        let text = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        let result = read_npy(&put(folder.path(), "a.npy", &bytes));
        assert!(result.is_err(), "{shape}");
    }
}

#[test]
fn files_cut_short_are_refused_at_any_length() {
    let folder = tempfile::tempdir().unwrap();
    let maps = sample(4, 1, &["Q", "U"], Ordering::Ring);
    let array = ArrayD::from_elem(vec![3, 2], 1.5);
    write_maps(&folder.path().join("a.fits"), &maps, &options(Precision::F64)).unwrap();
    write_maps(&folder.path().join("a.fits.gz"), &maps, &options(Precision::F64)).unwrap();
    write_maps(&folder.path().join("a.npy"), &maps, &options(Precision::F32)).unwrap();
    let npz = folder.path().join("a.npz");
    write_npz(&npz, &[("x", array.view())], Precision::F64, Overwrite::Refuse).unwrap();
    let state = Array1::linspace(0.0, 1.0, 50);
    let checkpoint = folder.path().join("a.ckpt");
    write_checkpoint(&checkpoint, &json!({"step": 3}), &[("x", state.view())]).unwrap();
    let read = ReadOptions::assuming(Ordering::Ring);
    for name in ["a.fits", "a.fits.gz", "a.npy", "a.npz", "a.ckpt"] {
        let bytes = fs::read(folder.path().join(name)).unwrap();
        // The data of the FITS table end before its padding does.
        let end = if name == "a.fits" { 5760 + 2 * 192 * 8 } else { bytes.len() };
        for length in (0..end).step_by(1 + end / 400).chain([end - 1]) {
            let path = put(folder.path(), &format!("cut-{name}"), &bytes[..length]);
            let failed = match name {
                "a.ckpt" => read_checkpoint(&path).is_err(),
                "a.npz" => read_npz(&path).is_err(),
                _ => read_map_file(&path, &read).is_err(),
            };
            assert!(failed, "{name} cut to {length} of {}", bytes.len());
        }
    }
}

#[test]
fn damaged_checkpoints_are_refused_and_whole_ones_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ckpt");
    let (x, g) = (Array1::linspace(-1.0, 1.0, 33), Array1::from_elem(7, f64::MIN_POSITIVE));
    let header = json!({"step": 12, "seed": "18446744073709551615"});
    write_checkpoint(&path, &header, &[("x", x.view()), ("g", g.view())]).unwrap();
    let found = read_checkpoint(&path).unwrap();
    assert_eq!(found.header, header);
    assert_eq!(found.array("x"), x.as_slice());
    assert_eq!(found.array("g"), g.as_slice());
    assert_eq!(found.array("y"), None);
    let bytes = fs::read(&path).unwrap();
    for at in (0..bytes.len()).step_by(7) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let result = read_checkpoint(&put(folder.path(), "b.ckpt", &damaged));
        assert!(matches!(result, Err(IoError::Checkpoint { .. })), "byte {at}");
    }
}

#[test]
fn a_flipped_bit_in_a_gzipped_map_is_caught() {
    let folder = tempfile::tempdir().unwrap();
    let maps = sample(2, 1, &["T"], Ordering::Ring);
    let path = folder.path().join("a.fits.gz");
    write_fits(&path, &maps, &options(Precision::F64)).unwrap();
    let bytes = fs::read(&path).unwrap();
    for at in 10..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 4;
        let found = read_map_file(&put(folder.path(), "b.gz", &damaged), &ReadOptions::as_stated());
        // A bit of no meaning to the stream may flip; other values may not appear.
        if let Ok(found) = found {
            assert_eq!(found, maps, "byte {at}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_corrupted_file_never_panics(at in 0usize..8640, value in any::<u8>(), gz in any::<bool>()) {
        let maps = sample(2, 1, &["T"], Ordering::Ring);
        let folder = tempfile::tempdir().unwrap();
        let name = if gz { "a.fits.gz" } else { "a.fits" };
        let path = folder.path().join(name);
        write_fits(&path, &maps, &options(Precision::F64)).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let at = at % bytes.len();
        bytes[at] = value;
        // Whatever comes back is a valid set or a typed error.
        let _ = read_map_file(&put(folder.path(), "b", &bytes), &ReadOptions::as_stated());
    }

    #[test]
    fn any_shape_claimed_is_checked(row in 0u64..1 << 40, rows in any::<u32>(), repeat in any::<u32>()) {
        let file = fits(&cards(&format!("{repeat}D"), row, u64::from(rows), &[RING]), &[0; 96]);
        prop_assert!(read_fits(&file).is_err());
    }
}
