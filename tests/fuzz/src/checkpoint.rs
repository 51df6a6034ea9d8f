//! Any bytes as a checkpoint, as they come and under a checksum that fits them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};
use skyscat_io::{Manifest, read_checkpoint};

fuzz_target!(|bytes: &[u8]| {
    skyscat_fuzz::with_file(".ckpt", bytes, |path| {
        let _ = read_checkpoint(path);
        let _ = Manifest::read(path);
    });
    // No mutation finds a checksum: without this the rest would never be reached.
    let body = &bytes[..bytes.len().saturating_sub(32)];
    let mut signed = body.to_vec();
    signed.extend(Sha256::digest(body));
    skyscat_fuzz::with_file(".ckpt", &signed, |path| {
        if let Ok(found) = read_checkpoint(path) {
            let held: usize = found.arrays.iter().map(|(_, values)| 8 * values.len()).sum();
            assert!(held <= signed.len());
        }
    });
});
