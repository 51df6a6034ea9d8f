//! Contracts of the io layer.
//!
//! Files written by others are read to known values, what is written is read
//! back bit by bit, and whatever is cut, corrupted or overstated is refused
//! with a typed error, before anything is allocated.

mod damage;

use ndarray::{Array3, ArrayD};
use proptest::prelude::*;
use skyscat_healpix::{MapSet, Nside, Ordering, UNSEEN};
use skyscat_io::{
    CsvValue, FileFormat, FileRecord, FitsOptions, HeaderCard, IoError, Manifest, Overwrite,
    Precision, ReadOptions, inspect, read_map_file, read_maps, read_npy, read_npz, sha256_bytes,
    write_csv, write_fits, write_maps, write_npy, write_npz,
};
use std::fs;
use std::path::{Path, PathBuf};

fn options(precision: Precision) -> FitsOptions {
    FitsOptions { precision, overwrite: Overwrite::Refuse, cards: Vec::new() }
}

fn sample(nside: usize, n_maps: usize, channels: &[&str], ordering: Ordering) -> MapSet {
    let npix = Nside::new(nside).unwrap().npix();
    // Values that f32 holds exactly, so that both precisions round-trip.
    let value = |(m, c, p): (usize, usize, usize)| (m * 64 + c * 8) as f64 + p as f64 / 1024.0;
    let mut data = Array3::from_shape_fn((n_maps, channels.len(), npix), value);
    data[[0, 0, 1]] = UNSEEN;
    MapSet::new(ordering, channels, data)
        .unwrap()
        .with_unit(Some("K_CMB".into()))
        .with_coordsys(Some("G".into()))
        .with_polcconv(Some("COSMO".into()))
}

fn put(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// A FITS file from its cards: an empty primary unit, then a table.
fn fits(cards: &[String], data: &[u8]) -> Vec<u8> {
    let primary = ["SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0"].map(String::from);
    let mut bytes = Vec::new();
    for unit in [primary.as_slice(), cards] {
        for card in unit.iter().map(String::as_str).chain(["END"]) {
            bytes.extend(format!("{card:<80}").into_bytes());
        }
        bytes.resize(bytes.len().next_multiple_of(2880), b' ');
    }
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(2880), 0);
    bytes
}

/// Cards of a table of nside 1, one column of numbers.
fn cards(form: &str, row_bytes: u64, rows: u64, more: &[&str]) -> Vec<String> {
    let mut cards: Vec<String> = [
        "XTENSION= 'BINTABLE'",
        "BITPIX  = 8",
        "NAXIS   = 2",
        "PCOUNT  = 0",
        "GCOUNT  = 1",
        "TFIELDS = 1",
    ]
    .map(String::from)
    .to_vec();
    cards.push(format!("NAXIS1  = {row_bytes}"));
    cards.push(format!("NAXIS2  = {rows}"));
    cards.push(format!("TFORM1  = '{form}'"));
    cards.extend(more.iter().map(|&c| c.to_owned()));
    cards
}

const RING: &str = "ORDERING= 'RING    '";

fn read_fits(bytes: &[u8]) -> Result<MapSet, IoError> {
    let folder = tempfile::tempdir().unwrap();
    read_map_file(&put(folder.path(), "a.fits", bytes), &ReadOptions::as_stated())
}

#[test]
fn files_of_healpy_are_read() {
    let path = skyscat_tests::golden("healpy_tqu_nside004_nest.fits.gz");
    let maps = read_map_file(&path, &ReadOptions::as_stated()).unwrap();
    assert_eq!(maps.ordering(), Ordering::Nest);
    assert_eq!(maps.channels(), ["T", "Q", "U"]);
    assert_eq!((maps.unit(), maps.coordsys()), (Some("uK"), Some("G")));
    for ((_, channel, pixel), &value) in maps.data().indexed_iter() {
        assert_eq!(value, (1000 * channel + pixel) as f64);
    }

    let path = skyscat_tests::golden("healpy_partial_nside016_ring.fits");
    let maps = read_map_file(&path, &ReadOptions::as_stated()).unwrap();
    assert_eq!((maps.nside().get(), maps.ordering()), (16, Ordering::Ring));
    for ((_, _, pixel), &value) in maps.data().indexed_iter() {
        let seen = (1500..1520).contains(&pixel);
        assert_eq!(value, if seen { pixel as f64 / 8.0 } else { UNSEEN });
    }
    let info = inspect(&path).unwrap();
    assert_eq!((info.format, info.columns[0].unseen), (FileFormat::Fits, 3072 - 20));
    assert!(info.header.iter().any(|card| card.keyword == "INDXSCHM"));
}

#[test]
fn input_maps_are_read() {
    let name = "input_maps_are_read";
    let Some(cube) = skyscat_tests::shared("data/sims110_QU_nside16_K_f32.npy") else {
        return skyscat_tests::skip(name, "no ../shared beside this checkout");
    };
    let maps = read_map_file(&cube, &ReadOptions::assuming(Ordering::Ring)).unwrap();
    assert_eq!(maps.data().dim(), (110, 2, 3072));
    maps.check_full_sky().unwrap();
    let plain: Array3<f32> = ndarray_npy::read_npy(&cube).unwrap();
    assert_eq!(maps.data(), plain.mapv(f64::from));

    let files = [0, 1, 2].map(|i| format!("data/lbs_full_map{i}_nside16.fits"));
    let files = files.map(|file| skyscat_tests::shared(&file).unwrap());
    let maps = read_maps(&files, &ReadOptions::as_stated()).unwrap();
    assert_eq!(maps.data().dim(), (3, 3, 3072));
    assert_eq!((maps.channels()[0].as_str(), maps.unit()), ("T", Some("K_CMB")));
    let u = read_maps(&files, &ReadOptions::as_stated().with_channels(&["U"])).unwrap();
    assert_eq!(u.data(), maps.select(&["U"]).unwrap().data());
    assert_eq!(inspect(&cube).unwrap().n_maps, Some(110));
}

#[test]
fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut count = 0;
    for (nside, ordering) in [(1, Ordering::Ring), (4, Ordering::Nest), (16, Ordering::Nest)] {
        for precision in [Precision::F32, Precision::F64] {
            for extension in ["fits", "fits.gz", "npy"] {
                let maps = sample(nside, 2, &["T", "Q", "U"], ordering);
                count += 1;
                let path = folder.path().join(format!("{count}.{extension}"));
                let files = write_maps(&path, &maps, &options(precision)).unwrap();
                let back = read_maps(&files, &ReadOptions::assuming(ordering)).unwrap();
                if extension == "npy" {
                    let exact = precision == Precision::F64;
                    assert_eq!(back.data() == maps.data(), exact, "UNSEEN in f32");
                } else {
                    assert_eq!(back, maps);
                }
                // Must fail: one value off by the last bit of f32.
                let mut data = maps.clone().into_data();
                data[[1, 2, 11]] *= 1.0 + f64::from(f32::EPSILON);
                assert_ne!(back.data(), data);
            }
        }
    }
    assert!(fs::read_dir(folder.path()).unwrap().all(|f| {
        let name = f.unwrap().file_name();
        !name.to_string_lossy().ends_with(".tmp")
    }));
}

#[test]
fn extra_cards_are_kept_and_structure_is_guarded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.fits");
    let maps = sample(2, 1, &["MASK'S"], Ordering::Ring);
    let mut options = options(Precision::F64);
    let hash = sha256_bytes(b"configuration");
    options.cards = vec![
        HeaderCard::integer("SEED", -7, "of the draw"),
        HeaderCard::text("CONFHASH", hash, "a comment that is cut, for the value is long"),
        HeaderCard::real("LOSS", 1.25e-30, ""),
        HeaderCard::text("NOTE", "it's / so", "quoted"),
    ];
    write_fits(&path, &maps, &options).unwrap();
    assert_eq!(read_map_file(&path, &ReadOptions::as_stated()).unwrap(), maps);
    let header = inspect(&path).unwrap().header;
    for card in &options.cards {
        let found = header.iter().find(|c| c.keyword == card.keyword).unwrap();
        assert_eq!(found.value, card.value);
    }
    for bad in [
        HeaderCard::integer("NAXIS2", 3, ""),
        HeaderCard::integer("lower", 3, ""),
        HeaderCard::text("LONG", "x".repeat(70), ""),
        HeaderCard::text("GREEK", "μK", ""),
        HeaderCard::real("NOTANUM", f64::NAN, ""),
    ] {
        options.cards = vec![bad];
        let result = write_fits(&folder.path().join("b.fits"), &maps, &options);
        assert!(matches!(result, Err(IoError::Header { .. })), "{result:?}");
    }
}

#[test]
fn nothing_is_overwritten_unless_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = put(folder.path(), "a.fits", b"precious");
    let maps = sample(1, 1, &["Q", "U"], Ordering::Ring);
    let mut options = options(Precision::F64);
    let refused = write_fits(&path, &maps, &options);
    assert!(matches!(refused, Err(IoError::Exists { .. })));
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    options.overwrite = Overwrite::Allow;
    write_fits(&path, &maps, &options).unwrap();
    assert_eq!(read_map_file(&path, &ReadOptions::as_stated()).unwrap(), maps);
}

#[test]
fn values_beyond_single_precision_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut data = sample(1, 1, &["T"], Ordering::Ring).into_data();
    data[[0, 0, 5]] = 1e40;
    let maps = MapSet::new(Ordering::Ring, &["T"], data).unwrap();
    for name in ["a.fits", "a.npy"] {
        let path = folder.path().join(name);
        let result = write_maps(&path, &maps, &options(Precision::F32));
        assert!(matches!(result, Err(IoError::Precision { .. })));
        assert!(!path.exists());
        write_maps(&path, &maps, &options(Precision::F64)).unwrap();
    }
}

#[test]
fn every_number_type_is_read() {
    let scale = ["TSCAL1  = 0.5", "TZERO1  = 100", RING];
    for (form, row) in [
        ("B", vec![8u8]),
        ("I", 8i16.to_be_bytes().to_vec()),
        ("J", 8i32.to_be_bytes().to_vec()),
        ("1K", 8i64.to_be_bytes().to_vec()),
        ("E", 8f32.to_be_bytes().to_vec()),
        ("D", 8f64.to_be_bytes().to_vec()),
    ] {
        let file = fits(&cards(form, row.len() as u64, 12, &scale), &row.repeat(12));
        let maps = read_fits(&file).unwrap();
        assert!(maps.data().iter().all(|&v| v == 104.0), "{form}");
        assert_eq!(maps.channels(), ["COLUMN1"]);
    }
    let null = ["TNULL1  = 3", RING];
    let maps = read_fits(&fits(&cards("12B", 12, 1, &null), &[3; 12])).unwrap();
    assert!(maps.data().iter().all(|&v| v == UNSEEN));
    let maps = read_fits(&fits(&cards("12L", 12, 1, &[RING]), b"TFTFTFTFTFT\0")).unwrap();
    assert_eq!(maps.data()[[0, 0, 0]] + maps.data()[[0, 0, 1]], 1.0);
    assert_eq!(maps.data()[[0, 0, 11]], UNSEEN);
}

#[test]
fn what_a_header_may_not_say() {
    let zeros = [0u8; 96];
    let table = |more: &[&str]| read_fits(&fits(&cards("D", 8, 12, more), &zeros));
    table(&[RING]).unwrap();
    table(&[RING, "NSIDE   = 1", "PIXTYPE = 'HEALPIX'"]).unwrap();
    let error = table(&["ORDERING= 'SPIRAL'"]).unwrap_err();
    assert!(error.to_string().contains("a.fits: header ORDERING is \"SPIRAL\""), "{error}");
    for more in [
        "ORDERING= 3",
        "NSIDE   = 3",
        "NSIDE   = 1.5",
        "NSIDE   = 'one",
        "NSIDE   = what",
        "INDXSCHM= 'OTHER'",
        "PIXTYPE = 'HEALCART'",
        "TSCAL1  = 'x'",
    ] {
        let result = table(&[more, RING]);
        assert!(matches!(result, Err(IoError::Header { .. })), "{more}: {result:?}");
    }
    assert!(matches!(table(&[]), Err(IoError::OrderingUnstated { .. })));
    assert!(matches!(table(&[RING, "NSIDE   = 2"]), Err(IoError::PixelCount { .. })));
    for keyword in ["ZIMAGE  = T", "ZTABLE  = T"] {
        assert!(matches!(table(&[RING, keyword]), Err(IoError::Compressed { .. })));
    }
    for (form, row, rows) in [("D", 8, 11), ("F", 8, 12), ("D", 9, 12), ("2D", 8, 12), ("", 8, 12)]
    {
        let result = read_fits(&fits(&cards(form, row, rows, &[RING]), &zeros));
        assert!(matches!(result, Err(IoError::Header { .. })), "{form}: {result:?}");
    }
    let image = fits(&["XTENSION= 'IMAGE'", "BITPIX  = 8", "NAXIS   = 0"].map(String::from), &[]);
    assert!(matches!(read_fits(&image), Err(IoError::NoTable { .. })));
}

#[test]
fn listed_pixels_are_checked() {
    let listed = |first: i32, second: i32, more: &[&str]| {
        let mut c = cards("J", 8, 2, more);
        c.retain(|card| !card.starts_with("TFIELDS"));
        c.extend(["TFIELDS = 2", "TFORM2  = 'E'", "TTYPE1  = 'PIXEL'", RING].map(String::from));
        let rows = [(first, 1.5f32), (second, 2.5)];
        let rows = rows.map(|(p, v)| [p.to_be_bytes(), v.to_be_bytes()].concat());
        read_fits(&fits(&c, &rows.concat()))
    };
    let maps = listed(3, 7, &["NSIDE   = 1"]).unwrap();
    assert_eq!(maps.data()[[0, 0, 7]], 2.5);
    assert_eq!(maps.data().iter().filter(|&&v| v == UNSEEN).count(), 10);
    for (a, b) in [(3, 3), (-1, 2), (0, 12)] {
        let result = listed(a, b, &["NSIDE   = 1"]);
        assert!(matches!(result, Err(IoError::Pixel { .. })));
    }
    assert!(matches!(listed(0, 1, &[]), Err(IoError::Header { .. })));
    // A range of pixels, from FIRSTPIX to LASTPIX.
    let range = ["NSIDE   = 1", "FIRSTPIX= 4", "LASTPIX = 6", RING];
    let maps = read_fits(&fits(&cards("B", 1, 3, &range), &[9; 3])).unwrap();
    assert_eq!((maps.data()[[0, 0, 3]], maps.data()[[0, 0, 6]]), (UNSEEN, 9.0));
}

#[test]
fn sets_of_unlike_files_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let base = sample(2, 1, &["Q", "U"], Ordering::Ring);
    let others = [
        ("nside", sample(4, 1, &["Q", "U"], Ordering::Ring)),
        ("ordering", sample(2, 1, &["Q", "U"], Ordering::Nest)),
        ("channels", sample(2, 1, &["T", "U"], Ordering::Ring)),
        ("unit", base.clone().with_unit(Some("uK".into()))),
        ("coordinate system", base.clone().with_coordsys(None)),
        ("polarisation convention", base.clone().with_polcconv(Some("IAU".into()))),
    ];
    let first = folder.path().join("first.fits");
    write_fits(&first, &base, &options(Precision::F64)).unwrap();
    for (kind, maps) in others {
        let second = folder.path().join(format!("{kind}.fits"));
        write_fits(&second, &maps, &options(Precision::F64)).unwrap();
        let error = read_maps(&[&first, &second], &ReadOptions::as_stated()).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, IoError::Mixed { what, .. } if what == kind), "{text}");
        assert!(text.contains("first.fits") && text.contains(&format!("{kind}.fits")));
    }
    let wanted = ReadOptions::as_stated().with_channels(&["T"]);
    let error = read_maps(&[&first], &wanted).unwrap_err();
    assert!(matches!(error, IoError::MissingChannel { .. }), "{error}");
    let none: [&Path; 0] = [];
    assert!(matches!(read_maps(&none, &wanted), Err(IoError::NoFiles { .. })));
    let absent = read_maps(&[folder.path().join("absent.fits")], &wanted);
    assert!(matches!(absent, Err(IoError::Os { .. })));
    let text = put(folder.path(), "a.txt", b"hello");
    assert!(matches!(read_map_file(&text, &wanted), Err(IoError::Format { .. })));
}

#[test]
fn numpy_arrays_of_every_kind_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let npy = |descr: &str, fortran: &str, shape: &str, data: &[u8]| {
        let text =
            format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x02\x00".to_vec();
        bytes.extend((text.len() as u32).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.extend(data);
        put(folder.path(), "a.npy", &bytes)
    };
    let values = [-2.0, 3.0];
    let bytes = |f: &dyn Fn(f64) -> Vec<u8>| values.iter().flat_map(|&v| f(v)).collect::<Vec<u8>>();
    for (descr, data) in [
        ("<f4", bytes(&|v| (v as f32).to_le_bytes().to_vec())),
        (">f8", bytes(&|v| v.to_be_bytes().to_vec())),
        ("|i1", bytes(&|v| vec![v as i8 as u8])),
        (">i2", bytes(&|v| (v as i16).to_be_bytes().to_vec())),
        ("<i4", bytes(&|v| (v as i32).to_le_bytes().to_vec())),
        ("<i8", bytes(&|v| (v as i64).to_le_bytes().to_vec())),
    ] {
        let array = read_npy(&npy(descr, "False", "(2,)", &data)).unwrap();
        assert_eq!(array.as_slice().unwrap(), values, "{descr}");
    }
    let array = read_npy(&npy("|u1", "True", "(2, 3)", &[0, 3, 1, 4, 2, 5])).unwrap();
    assert_eq!(array.iter().copied().collect::<Vec<_>>(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    for (descr, fortran, shape) in [
        ("<f2", "False", "(2,)"),
        ("<c16", "False", "(2,)"),
        ("<f8", "Maybe", "(2,)"),
        ("|O", "False", "(2,)"),
        ("<f8", "False", "2"),
    ] {
        let result = read_npy(&npy(descr, fortran, shape, &[0; 64]));
        assert!(matches!(result, Err(IoError::Header { .. })), "{descr} {fortran} {shape}");
    }
    let flat = npy("|u1", "False", "(2, 12)", &[1; 24]);
    let result = read_map_file(&flat, &ReadOptions::assuming(Ordering::Ring));
    assert!(matches!(result, Err(IoError::Shape { .. })));
    let cube = npy("|u1", "True", "(1, 2, 12)", &[1; 24]);
    assert!(matches!(
        read_map_file(&cube, &ReadOptions::as_stated()),
        Err(IoError::OrderingUnstated { .. })
    ));
    let maps = read_map_file(&cube, &ReadOptions::assuming(Ordering::Nest)).unwrap();
    assert_eq!(maps.channels(), ["Q", "U"]);
}

#[test]
fn archives_tables_and_manifests() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let (a, b) = (ArrayD::from_elem(vec![2, 3], 0.1), ArrayD::from_elem(vec![], -4.0));
    let arrays = [("a", a.view()), ("b", b.view())];
    write_npz(&file("x.npz"), &arrays, Precision::F64, Overwrite::Refuse).unwrap();
    let back = read_npz(&file("x.npz")).unwrap();
    assert_eq!((&back["a"], &back["b"]), (&a, &b));
    write_npy(&file("a.npy"), &a.view(), Precision::F64, Overwrite::Refuse).unwrap();
    let theirs: ArrayD<f64> = ndarray_npy::read_npy(file("a.npy")).unwrap();
    assert_eq!(theirs, a);

    let rows = [
        [CsvValue::from("EE"), 2usize.into(), 1.5e-17.into()],
        ["a,\"b\"".into(), 3usize.into(), 0.25.into()],
    ];
    write_csv(&file("x.csv"), &["kind", "l", "value"], &rows, Overwrite::Refuse).unwrap();
    let text = fs::read_to_string(file("x.csv")).unwrap();
    assert_eq!(text, "kind,l,value\nEE,2,1.5e-17\n\"a,\"\"b\"\"\",3,0.25\n");
    let ragged = write_csv(&file("y.csv"), &["kind"], &rows, Overwrite::Refuse);
    assert!(matches!(ragged, Err(IoError::Shape { .. })));

    let manifest = Manifest {
        stage: "draw".into(),
        command: vec!["skyscat".into(), "draw".into()],
        version: "0.1.0".into(),
        seed: Some(u64::MAX),
        config_sha256: Some(sha256_bytes(b"")),
        inputs: vec![FileRecord::of(&file("x.npz")).unwrap()],
        outputs: vec![FileRecord::of(&file("x.csv")).unwrap()],
    };
    manifest.write(&file("m.json"), Overwrite::Refuse).unwrap();
    let back = Manifest::read(&file("m.json")).unwrap();
    assert_eq!(back, manifest);
    back.check_files().unwrap();
    fs::write(file("x.csv"), "changed").unwrap();
    assert!(matches!(back.check_files(), Err(IoError::Changed { .. })));
    let bad = put(folder.path(), "bad.json", br#"{"stage": "draw", "sead": 3}"#);
    assert!(matches!(Manifest::read(&bad), Err(IoError::Json { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_bits_survive_fits_and_npy(bits in prop::collection::vec(any::<u64>(), 24), nest in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        let ordering = if nest { Ordering::Nest } else { Ordering::Ring };
        let data = bits.iter().map(|&b| f64::from_bits(b)).collect();
        let data = Array3::from_shape_vec((1, 2, 12), data).unwrap();
        let maps = MapSet::new(ordering, &["Q", "U"], data).unwrap();
        for name in ["a.fits", "a.npy"] {
            let files = write_maps(&folder.path().join(name), &maps, &options(Precision::F64)).unwrap();
            let back = read_maps(&files, &ReadOptions::assuming(ordering)).unwrap();
            let found: Vec<u64> = back.data().iter().map(|v| v.to_bits()).collect();
            prop_assert_eq!(&found, &bits);
        }
    }
}
