//! Any bytes as a numpy array or archive, as maps and as arrays.
#![no_main]

use libfuzzer_sys::fuzz_target;
use skyscat_healpix::Ordering;
use skyscat_io::{ReadOptions, inspect, read_map_file, read_npy, read_npz};

fuzz_target!(|bytes: &[u8]| {
    skyscat_fuzz::with_file(".npy", bytes, |path| {
        if let Ok(array) = read_npy(path) {
            // Numbers are held at eight bytes, and the smallest in a file has one.
            assert!(array.len() <= bytes.len().max(1));
        }
        let _ = read_npz(path);
        let _ = read_map_file(path, &ReadOptions::assuming(Ordering::Nest));
        let _ = inspect(path);
    });
});
