//! Bad input: refused before any work, by file, value and what is allowed.

use crate::{Bench, random};
use skyscat::healpix::{Ordering, UNSEEN};
use skyscat::io::{Overwrite, Precision, write_npy};

const RUN: &str = "--count 4 --seed 1 --batch 3 --steps 2";

#[test]
fn wrong_pixel_counts_name_the_count() {
    let bench = Bench::new();
    bench.write("short.npy", &ndarray::Array3::zeros((3, 2, 190)));
    bench.refused(
        &format!("emulate --input short.npy --output o.npy {RUN}"),
        &["short.npy", "190", "12·nside²"],
    );
    bench.write("planes.npy", &ndarray::Array3::zeros((3, 4, 192)));
    bench.refused("spectra --input planes.npy --output o.npz", &["planes.npy", "4", "1 (T)"]);
}

#[test]
fn a_glob_may_not_mix_resolutions_or_orderings() {
    let bench = Bench::new();
    bench.fits("a1.fits", 4, Ordering::Ring, 1);
    bench.fits("a2.fits", 8, Ordering::Ring, 2);
    let line = format!("emulate --input a*.fits --output o.npy {RUN}");
    bench.refused(&line, &["a2.fits", "nside 8", "a1.fits has 4"]);
    bench.fits("a2.fits", 4, Ordering::Nest, 2);
    bench.refused(&line, &["a2.fits", "ordering nest", "a1.fits has ring"]);
    bench.refused(
        &format!("emulate --input b*.fits --output o.npy {RUN}"),
        &["b*.fits", "no file matches"],
    );
    bench.refused(
        &format!("emulate --input gone.npy --output o.npy {RUN}"),
        &["gone.npy", "No such file"],
    );
}

#[test]
fn missing_pixels_are_located_by_file() {
    let bench = Bench::new();
    bench.cube("whole.npy", 4, 2);
    for (value, shown) in [(f64::NAN, "NaN"), (UNSEEN, "-1.6375e30")] {
        let mut data = random(4, 3);
        data[[1, 1, 17]] = value;
        bench.write("holed.npy", &data);
        for command in ["emulate", "statistics", "spectra"] {
            let rest = if command == "emulate" { RUN } else { "" };
            let output = if command == "emulate" { "o.npy" } else { "o.npz" };
            bench.refused(
                &format!("{command} --input whole.npy --input holed.npy --output {output} {rest}"),
                &["holed.npy: map 1, channel U", "pixel 17", shown, "full sky"],
            );
        }
    }
}

#[test]
fn constant_pixels_and_lonely_maps_need_another_standardisation() {
    let bench = Bench::new();
    let mut data = random(4, 4);
    for map in 0..4 {
        data[[map, 0, 5]] = 1.5e-8;
    }
    bench.write("constant.npy", &data);
    let line = format!("emulate --input constant.npy --output o.npy {RUN} --standardise per-pixel");
    bench.refused(&line, &["constant.npy", "channel Q", "1.5e-8", "floor"]);
    bench.cube("one.npy", 4, 1);
    let line = format!("emulate --input one.npy --output o.npy {RUN} --standardise per-pixel");
    bench.refused(&line, &["per-pixel", "at least 2", "1 given", "global"]);
}

#[test]
fn missing_channels_are_named_with_those_there_are() {
    let bench = Bench::new();
    bench.fits("qu.fits", 4, Ordering::Ring, 1);
    bench.cube("qu.npy", 4, 2);
    for file in ["qu.fits", "qu.npy"] {
        bench.refused(
            &format!("statistics --input {file} --channels T,Q --output o.npz"),
            &[file, "\"T\"", "Q, U"],
        );
    }
}

#[test]
fn damaged_and_compressed_files_are_told_apart() {
    let bench = Bench::new();
    bench.fits("good.fits", 4, Ordering::Ring, 1);
    let bytes = bench.bytes("good.fits");
    std::fs::write(bench.path("cut.fits"), &bytes[..bytes.len() - 2880]).unwrap();
    bench.refused(
        &format!("emulate --input cut.fits --output o.npy {RUN}"),
        &["cut.fits", "cut short", "bytes needed"],
    );
    let text = String::from_utf8_lossy(&bytes[2880..5760]).into_owned();
    let card = |text: &str| format!("{text:<80}");
    let at = text.find("PIXTYPE").unwrap();
    let mut packed = bytes.clone();
    packed[2880 + at..2880 + at + 80]
        .copy_from_slice(card("ZIMAGE  =                    T").as_bytes());
    std::fs::write(bench.path("packed.fits"), &packed).unwrap();
    bench.refused(
        &format!("emulate --input packed.fits --output o.npy {RUN}"),
        &["packed.fits", "ZIMAGE", "funpack"],
    );
    std::fs::write(bench.path("noise.fits"), b"not a fits file at all").unwrap();
    bench.refused("info noise.fits", &["noise.fits", "allowed are FITS"]);
}

#[test]
fn outputs_are_never_replaced_in_silence() {
    let bench = Bench::new();
    bench.cube("in.npy", 4, 3);
    std::fs::write(bench.path("there.npy"), b"mine").unwrap();
    std::fs::write(bench.path("there.npz"), b"mine").unwrap();
    std::fs::create_dir(bench.path("folder")).unwrap();
    std::fs::write(bench.path("folder/thesis.tex"), b"mine").unwrap();
    let words = ["the output exists", "--overwrite"];
    bench.refused(&format!("emulate --input in.npy --output there.npy {RUN}"), &words);
    bench.refused("statistics --input in.npy --output there.npz", &words);
    bench.refused("spectra --input in.npy --output there.npz", &words);
    bench.refused("simulate -n 1 --seed 1 --output there.npy", &words);
    bench.refused("plot map --input in.npy --output there.npz", &["there.npz", ".png"]);
    bench.refused(&format!("emulate --input in.npy --output folder {RUN}"), &words);
    bench.refused(
        &format!("emulate --input in.npy --output folder --overwrite {RUN}"),
        &["folder", "manifest.json", "allowed is a folder that skyscat wrote"],
    );
    bench.refused(
        &format!("emulate --input in.npy --output nowhere/o.npy {RUN}"),
        &["nowhere/o.npy", "no folder nowhere"],
    );
    bench.refused(
        &format!("emulate --input in.npy --output o.fits {RUN}"),
        &["o.fits", "ends in .npy, or a folder"],
    );
    assert_eq!(bench.bytes("there.npy"), b"mine");
}

#[test]
fn settings_out_of_range_name_the_value_and_the_range() {
    let bench = Bench::new();
    bench.cube("in.npy", 4, 3);
    let base = "emulate --input in.npy --output o.npy --seed 1 --steps 2 --batch 3";
    bench.refused(&format!("{base} --count 0"), &["--count 0", "1 to"]);
    bench.refused(base, &["no count", "1 or more"]);
    bench.refused("emulate --input in.npy --output o.npy --count 3", &["no seed", "--seed"]);
    bench.refused("emulate --count 3 --seed 1 --output o.npy", &["no input", "--input"]);
    let base = format!("{base} --count 3");
    bench.refused(&format!("{base} --kernel 4"), &["--kernel", "4", "3, 5 or 7"]);
    bench.refused(&format!("{base} --orientations 0"), &["--orientations", "0", "1 to 64"]);
    bench.refused(&format!("{base} --scales 9"), &["9 scales", "1 to 2"]);
    let with = |from: &str, to: &str| base.replace(from, to);
    bench.refused(&with("--steps 2", "--steps 0"), &["--steps 0", "1 to"]);
    bench.refused(&with("--batch 3", "--batch 1"), &["batch = 1", "at least 2"]);
    bench.refused(&format!("{base} --at-once 0"), &["--at-once 0", "1 map to all"]);
    bench.refused(&format!("{base} --at-once 4"), &["--at-once 4", "of the batch, 3"]);
    bench.refused(&format!("{base} --plateau 1.5"), &["plateau = 1.5", "0 (never) to below 1"]);
    bench.refused(&format!("{base} --fwhm 0"), &["--fwhm 0", "above 0"]);
    bench.refused(&format!("{base} --target both"), &["both", "average", "single"]);
    bench.refused(&format!("{base} --orientation x.npz"), &["x.npz", "none and from-input"]);
    bench.refused(
        &format!("{base} --definition healpixml --normalise own"),
        &["own", "allowed is none"],
    );
    bench.refused("spectra --input in.npy --output o.npz --lmax 99999", &["99999", "at most"]);
}

#[test]
fn unknown_configuration_keys_are_named_with_the_allowed_ones() {
    let bench = Bench::new();
    bench.cube("in.npy", 4, 3);
    std::fs::write(bench.path("run.toml"), "[emulate]\nstepps = 10\n").unwrap();
    let line = format!("emulate --config run.toml --input in.npy --output o.npy {RUN}");
    bench.refused(&line, &["run.toml", "stepps", "`steps`", "`batch`"]);
    std::fs::write(bench.path("run.toml"), "[emulation]\nsteps = 10\n").unwrap();
    bench.refused(&line, &["run.toml", "emulation", "`emulate`", "`statistics`"]);
    std::fs::write(bench.path("run.toml"), "[emulate]\ntarget = \"both\"\n").unwrap();
    bench.refused(&line, &["run.toml", "both", "`average`"]);
    bench.refused(&line.replace("run.toml", "gone.toml"), &["gone.toml"]);
}

#[test]
fn masks_must_fit_the_maps() {
    let bench = Bench::new();
    bench.cube("in.npy", 4, 3);
    let mask = |name: &str, values: Vec<f64>| {
        let values = ndarray::Array1::from(values);
        write_npy(&bench.path(name), &values.view().into_dyn(), Precision::F64, Overwrite::Allow)
            .unwrap();
    };
    mask("long.npy", vec![1.0; 768]);
    mask("negative.npy", vec![-1.0; 192]);
    mask("empty.npy", vec![0.0; 192]);
    for (name, words) in [
        ("long.npy", ["768", "192"]),
        ("negative.npy", ["-1", "weights are finite"]),
        ("empty.npy", ["empty", "above zero"]),
    ] {
        let words: Vec<&str> = words.into_iter().chain([name]).collect();
        bench.refused(&format!("statistics --input in.npy --mask {name} --output o.npz"), &words);
        bench
            .refused(&format!("emulate --input in.npy --mask {name} --output o.npy {RUN}"), &words);
    }
}
