//! Any bytes as a map: FITS (also gzipped), read whole and by channel.
#![no_main]

use libfuzzer_sys::fuzz_target;
use skyscat_healpix::Ordering;
use skyscat_io::{ReadOptions, inspect, read_map_file};

fuzz_target!(|bytes: &[u8]| {
    skyscat_fuzz::with_file(".fits", bytes, |path| {
        let all = ReadOptions::assuming(Ordering::Ring);
        if let Ok(maps) = read_map_file(path, &all) {
            assert_eq!(maps.data().dim().2, maps.nside().npix());
        }
        let _ = read_map_file(path, &all.with_channels(&["Q", "U"]));
        let _ = inspect(path);
    });
});
