//! Any text as a configuration: read, laid over the defaults, written, read again.
#![no_main]
#![allow(dead_code, reason = "the files of the command line are taken as they are")]

// The command line knows its libraries as parts of one.
extern crate self as skyscat;
pub use skyscat_healpix as healpix;

#[path = "../../../crates/cli/src/choices.rs"]
mod choices;
#[path = "../../../crates/cli/src/settings.rs"]
mod settings;

use libfuzzer_sys::fuzz_target;
use settings::Settings;

/// All sections that a command may use.
const SECTIONS: &[&str] = &["input", "statistics", "emulate", "output", "run", "simulate"];

fuzz_target!(|bytes: &[u8]| {
    skyscat_fuzz::with_file(".toml", bytes, |path| {
        let Ok(read) = Settings::read(path) else { return };
        let text = read.to_toml().expect("what was read can be written");
        let again = Settings::default().over(Some(path), SECTIONS).expect("fits the defaults");
        again.to_toml().expect("what was read can be written");
        let read_back: Settings = toml::from_str(&text).expect("what was written can be read");
        assert_eq!(text, read_back.to_toml().expect("written once already"));
    });
});
