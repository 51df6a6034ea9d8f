//! Files that are cut, damaged or claim more than they hold.

use super::{RING, cards, fits, options, put, read_fits, sample};
use flate2::{Compression, write::GzEncoder};
use ndarray::{Array1, ArrayD};
use proptest::prelude::*;
use serde_json::json;
use skyscat_healpix::Ordering;
use skyscat_io::{
    IoError, Overwrite, Precision, ReadOptions, read_checkpoint, read_checkpoint_part,
    read_map_file, read_npy, read_npz, write_checkpoint, write_fits, write_maps, write_npy,
    write_npz,
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
fn a_sky_out_of_proportion_to_its_file_is_refused() {
    let listed = |nside: u64, rows: u64| {
        let more = [RING, "TTYPE1  = 'PIXEL'", "INDXSCHM= 'EXPLICIT'"].map(String::from);
        let mut cards = cards("1K", 16, rows, &[]);
        cards.retain(|card| !card.starts_with("TFIELDS"));
        cards.extend(more);
        cards.extend([format!("NSIDE   = {nside}"), "TFIELDS = 2".into(), "TFORM2  = '1D'".into()]);
        let row = |pixel: u64| [pixel.to_be_bytes(), 1.5f64.to_be_bytes()].concat();
        read_fits(&fits(&cards, &(0..rows).flat_map(row).collect::<Vec<u8>>()))
    };
    let error = listed(8192, 1).unwrap_err().to_string();
    assert!(error.contains("NSIDE") && error.contains("1 of 805306368 pixels"), "{error}");
    // A thousandth of a sky of 2048² · 12 pixels, and one pixel less.
    let least = 12 * 2048 * 2048 / 1000 + 1;
    assert!(listed(2048, least - 1).is_err());
    assert_eq!(listed(2048, least).unwrap().data()[[0, 0, 7]], 1.5);
    // A small sky may have a single pixel.
    assert_eq!(listed(64, 1).unwrap().data()[[0, 0, 0]], 1.5);
}

#[test]
fn an_archive_whose_members_share_their_bytes_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    let zeros = ArrayD::<f64>::zeros(vec![1 << 20]);
    write_npz(&path, &[("a", zeros.view())], Precision::F64, Overwrite::Refuse).unwrap();
    assert_eq!(read_npz(&path).unwrap()["a"].len(), 1 << 20);
    // The central directory again and again, under other names, for the same member.
    let bytes = fs::read(&path).unwrap();
    let at = |mark: &[u8]| bytes.windows(4).rposition(|w| w == mark).unwrap();
    let (central, end) = (at(b"PK\x01\x02"), at(b"PK\x05\x06"));
    let copies = 60u16;
    let mut bomb = bytes[..central].to_vec();
    for copy in 0..copies {
        let mut entry = bytes[central..end].to_vec();
        entry[46] = b'0' + copy as u8;
        bomb.extend(entry);
    }
    let size = (bomb.len() - central) as u32;
    let mut tail = bytes[end..].to_vec();
    tail[8..10].copy_from_slice(&copies.to_le_bytes());
    tail[10..12].copy_from_slice(&copies.to_le_bytes());
    tail[12..16].copy_from_slice(&size.to_le_bytes());
    bomb.extend(tail);
    let result = read_npz(&put(folder.path(), "bomb.npz", &bomb)).map(|arrays| arrays.len());
    assert!(matches!(result, Err(IoError::Truncated { .. })), "{result:?}");
}

#[test]
fn a_part_of_a_checkpoint_is_what_the_whole_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ckpt");
    let (x, y) = (Array1::linspace(0.0, 9.0, 10), Array1::linspace(5.0, 7.0, 3));
    write_checkpoint(&path, &json!(1), &[("x", x.view()), ("y", y.view())]).unwrap();
    let part = |name, range| read_checkpoint_part(&path, name, range);
    assert_eq!(part("x", 2..5).unwrap(), [2.0, 3.0, 4.0]);
    assert_eq!(part("y", 0..3).unwrap(), [5.0, 6.0, 7.0]);
    for (name, range) in [("y", 0..4), ("z", 0..1), ("x", 10..11)] {
        let result = part(name, range);
        assert!(matches!(result, Err(IoError::Checkpoint { .. })), "{result:?}");
    }
}

#[test]
fn links_are_replaced_and_never_written_through() {
    let folder = tempfile::tempdir().unwrap();
    let (target, link) = (put(folder.path(), "target", b"mine"), folder.path().join("link.npy"));
    #[cfg(unix)]
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let array = ArrayD::from_elem(vec![2], 1.0);
    write_npy(&link, &array.view(), Precision::F64, Overwrite::Allow).unwrap();
    assert_eq!(fs::read(&target).unwrap(), b"mine");
    assert!(link.symlink_metadata().unwrap().is_file());
    let left = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 2, "a temporary file was left");
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
    fn an_npy_shape_is_read_only_if_the_file_holds_it(
        shape in prop::collection::vec(prop_oneof![0u64..5, any::<u64>()], 0..5),
        kind in prop::sample::select(vec!["<f8", ">f4", "|b1", "<i2", "<c8", "|O", "<V9"]),
        fortran in any::<bool>(),
        held in 0usize..200,
    ) {
        let order = if fortran { "True" } else { "False" };
        let axes: String = shape.iter().map(|n| format!("{n}, ")).collect();
        let text = format!("{{'descr': '{kind}', 'fortran_order': {order}, 'shape': ({axes}), }}");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.resize(bytes.len() + held, 1);
        let folder = tempfile::tempdir().unwrap();
        if let Ok(array) = read_npy(&put(folder.path(), "a.npy", &bytes)) {
            let size = match kind { "<f8" => 8, ">f4" => 4, "<i2" => 2, "|b1" => 1, _ => 0 };
            let product: u64 = shape.iter().product();
            prop_assert_eq!(product as usize * size, held);
            prop_assert_eq!(array.len(), product as usize);
        }
    }

    #[test]
    fn a_header_of_any_combination_is_read_or_refused(
        nside in prop_oneof![Just(1i64), Just(2), Just(8192), any::<i64>()],
        rows in prop_oneof![Just(12u64), Just(48), 0u64..60, any::<u64>()],
        form in prop::sample::select(vec!["1D", "D", "2E", "0D", "12D", "1A", "1PD(3)", "1Q", ""]),
        scheme in prop::sample::select(vec!["IMPLICIT", "EXPLICIT", "OTHER", ""]),
        first in prop_oneof![Just(0i64), any::<i64>()],
        last in prop_oneof![Just(11i64), any::<i64>()],
    ) {
        let more = [
            format!("NSIDE   = {nside}"), format!("INDXSCHM= '{scheme}'"),
            format!("FIRSTPIX= {first}"), format!("LASTPIX = {last}"), RING.to_owned(),
        ];
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        let file = fits(&cards(form, 8, rows, &more), &[0; 96]);
        if let Ok(maps) = read_fits(&file) {
            prop_assert_eq!(maps.nside().get() as i64, nside);
            prop_assert!(maps.data().len() <= 1 << 24);
        }
    }

    #[test]
    fn any_shape_claimed_is_checked(row in 0u64..1 << 40, rows in any::<u32>(), repeat in any::<u32>()) {
        let file = fits(&cards(&format!("{repeat}D"), row, u64::from(rows), &[RING]), &[0; 96]);
        prop_assert!(read_fits(&file).is_err());
    }
}

#[test]
fn the_corpus_of_the_fuzzer_is_read_or_refused() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let (mut read, mut refused) = (0, 0);
    for target in ["fits", "npy", "checkpoint"] {
        for entry in fs::read_dir(corpus.join(target)).unwrap() {
            let path = entry.unwrap().path();
            let good = match target {
                "checkpoint" => read_checkpoint(&path).is_ok(),
                "fits" => read_map_file(&path, &ReadOptions::as_stated()).is_ok(),
                _ => read_npy(&path).is_ok() || read_npz(&path).is_ok(),
            };
            *(if good { &mut read } else { &mut refused }) += 1;
        }
    }
    assert!(read >= 5 && refused >= 5, "{read} were read, {refused} refused");
}
