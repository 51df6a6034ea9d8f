//! Devices: a list, a clear refusal, and emulations on a GPU where there is one.

use crate::Bench;
use skyscat::gpu::adapters;
use skyscat::io::read_npy;

const LINE: &str = "emulate --input in.npy --count 3 --seed 3 --batch 3 --steps 3";

#[test]
fn every_adapter_is_listed_with_limits_memory_and_copies() {
    let bench = Bench::new();
    let said = bench.good("devices");
    let list = adapters();
    if list.is_empty() {
        assert!(said.stdout.contains("no GPU was found"), "{}", said.stdout);
    }
    for adapter in &list {
        assert!(said.stdout.contains(&adapter.name), "{}", said.stdout);
    }
    let values = |text: &str, name: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(name));
        lines.map(|rest| rest.trim().to_owned()).collect()
    };
    for name in ["largest buffer", "seen by a kernel", "buffers a kernel", "memory", "copies"] {
        assert_eq!(values(&said.stdout, name).len(), list.len(), "{name}: {}", said.stdout);
    }
    for rate in values(&said.stdout, "copies") {
        let number: f64 = rate.split(' ').next().unwrap().parse().expect("it was measured");
        assert!(number > 0.1, "{rate}");
    }
    let said = bench.good("devices --no-measure");
    assert_eq!(values(&said.stdout, "copies").len(), 0, "{}", said.stdout);
}

/// Runs a line where the Vulkan loader knows no driver.
#[cfg(target_os = "linux")]
fn without_drivers(bench: &Bench, line: &str) -> crate::Said {
    let mut command = bench.command(line);
    let nowhere = bench.path("no-driver.json");
    command.env("VK_DRIVER_FILES", &nowhere).env("VK_ICD_FILENAMES", &nowhere);
    command.output().unwrap().into()
}

#[test]
#[cfg(target_os = "linux")]
fn without_an_adapter_a_sentence_says_so_and_the_cpu_runs() {
    let bench = Bench::new();
    bench.cube("in.npy", 4, 4);
    let said = without_drivers(&bench, "devices");
    assert!(said.stdout.contains("no GPU was found: no driver"), "{}", said.stdout);
    let line = format!("{LINE} --precision f32 --output a.npy --device auto");
    let said = without_drivers(&bench, &line);
    let words = "device: the CPU (no hardware GPU was found; see skyscat devices)";
    assert!(said.code == Some(0) && said.stderr.contains(words), "{}", said.stderr);
    let said = without_drivers(&bench, &format!("{LINE} --output b.npy --device gpu"));
    for words in ["--device gpu", "no adapter", "install a driver", "run on the CPU"] {
        assert!(said.stderr.contains(words), "{words}: {}", said.stderr);
    }
    assert!(said.code.is_some_and(|code| code != 0) && !bench.path("b.npy").exists());
}

#[test]
fn a_device_that_is_not_there_is_refused_before_any_work() {
    let bench = Bench::new();
    bench.cube("in.npy", 4, 4);
    bench.refused(&format!("{LINE} --output x.npy --device tpu"), &["tpu", "auto, cpu, gpu"]);
    let line = format!("{LINE} --output x.npy --device gpu:none-such");
    bench.refused(&line, &["none-such", "no adapter"]);
}

#[test]
fn automatic_means_the_cpu_unless_single_precision_and_hardware() {
    let bench = Bench::new();
    bench.cube("in.npy", 4, 4);
    let said = bench.good(&format!("{LINE} --output a.npy"));
    assert!(said.stderr.contains("device: the CPU"), "{}", said.stderr);
    let settings = String::from_utf8(bench.bytes("a.npy.toml")).unwrap();
    assert!(settings.contains("device = \"cpu\""), "{settings}");
    let report: serde_json::Value =
        serde_json::from_slice(&bench.bytes("a.npy.report.json")).unwrap();
    assert_eq!(report["device"], "cpu");
}

#[test]
fn an_emulation_on_a_gpu_is_named_and_repeats_its_bits() {
    if adapters().is_empty() {
        assert_ne!(std::env::var("SKYSCAT_REQUIRE_GPU").as_deref(), Ok("1"), "no adapter");
        return skyscat_tests::skip("an emulation on a GPU", "no adapter");
    }
    let bench = Bench::new();
    bench.cube("in.npy", 4, 4);
    let said = bench.good(&format!("{LINE} --output a.npy --device gpu --precision f32"));
    assert!(said.stderr.contains("loss and gradient in f32"), "{}", said.stderr);
    bench.good(&format!("{LINE} --output b.npy --device gpu --precision f32"));
    assert_eq!(bench.bytes("a.npy"), bench.bytes("b.npy"));
    let report: serde_json::Value =
        serde_json::from_slice(&bench.bytes("a.npy.report.json")).unwrap();
    assert_ne!(report["device"], "cpu");
    bench.good(&format!("{LINE} --output c.npy --device cpu --precision f64"));
    let (gpu, cpu) =
        (read_npy(&bench.path("a.npy")).unwrap(), read_npy(&bench.path("c.npy")).unwrap());
    let peak = cpu.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    let worst = gpu.iter().zip(&cpu).fold(0.0f64, |m, (a, b)| m.max((a - b).abs()));
    assert!(worst < 1e-2 * peak, "{worst:e} of {peak:e}");
}

#[test]
fn an_emulation_in_f64_on_a_gpu_is_that_of_the_cpu() {
    if !is_there("an emulation in f64 on a GPU") {
        return;
    }
    let bench = Bench::new();
    bench.cube("in.npy", 4, 4);
    let line = format!("{LINE} --precision f64 --device");
    // `gpu` is a hardware adapter where there is one.
    if !bench.run(&format!("{line} gpu --output a.npy")).stderr.contains("in f64") {
        bench.refused(&format!("{line} gpu --output a.npy"), &["no numbers of 64 bits"]);
        return skyscat_tests::skip("an emulation in f64 on a GPU", "the adapter has none");
    }
    bench.good(&format!("{line} cpu --output b.npy"));
    let single = LINE.to_owned() + " --precision f32 --device gpu --output c.npy";
    bench.good(&single);
    let maps = |name: &str| read_npy(&bench.path(name)).unwrap();
    let expected = maps("b.npy");
    let peak = expected.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    let off = |name: &str| {
        let found = maps(name);
        found.iter().zip(&expected).fold(0.0f64, |m, (a, b)| m.max((a - b).abs())) / peak
    };
    // What is asked of f32 above, 2⁻²⁹ of it, and twice for the rounding of the CPU.
    let allowed = 2.0 * 1e-2 / f64::from(1 << 29);
    assert!(off("a.npy") <= allowed, "{:e}", off("a.npy"));
    assert!(off("c.npy") > allowed, "f32 passed: {:e}", off("c.npy"));
}

/// Whether there is a device; says so if there is none.
pub(crate) fn is_there(test: &str) -> bool {
    let there = !adapters().is_empty();
    if !there {
        assert_ne!(std::env::var("SKYSCAT_REQUIRE_GPU").as_deref(), Ok("1"), "no adapter");
        skyscat_tests::skip(test, "no adapter");
    }
    there
}

#[test]
fn batches_side_by_side_give_the_bytes_of_one_after_the_other() {
    let bench = Bench::new();
    bench.cube("in.npy", 4, 4);
    let line = "emulate --input in.npy --count 8 --seed 3 --batch 3 --steps 4 --precision f32";
    bench.refused(&format!("{line} --output x.npy --device cpu --wide 2"), &["--wide 2", "cpu"]);
    bench.refused(&format!("{line} --output x.npy --wide 129"), &["--wide 129", "0", "128"]);
    if !is_there("batches side by side") {
        return;
    }
    for wide in [1, 2, 0] {
        bench.good(&format!("{line} --output w{wide}.npy --device gpu --wide {wide}"));
    }
    assert_eq!(bench.bytes("w1.npy"), bench.bytes("w2.npy"));
    assert_eq!(bench.bytes("w1.npy"), bench.bytes("w0.npy"));
    assert_eq!(bench.bytes("w1.npy.history.csv"), bench.bytes("w2.npy.history.csv"));
    bench.good(&format!("{} --output s.npy --device gpu", line.replace("--seed 3", "--seed 4")));
    assert_ne!(bench.bytes("w1.npy"), bench.bytes("s.npy"));
}

#[test]
fn shards_of_batches_side_by_side_make_the_bytes_of_the_whole() {
    if !is_there("shards on a device") {
        return;
    }
    let bench = Bench::new();
    bench.cube("in.npy", 4, 4);
    let line = "emulate --input in.npy --count 14 --seed 3 --batch 3 --steps 3 --precision f32 \
                --device gpu";
    bench.good(&format!("{line} --output whole.npy --wide 1"));
    // Batches 1, 3 and 5 in two turns; 2 and 4 together.
    bench.good(&format!("{line} --output s.npy --shard 2/2 --wide 0"));
    bench.good(&format!("{line} --output s.npy --shard 1/2 --wide 2"));
    bench.good("merge s.npy.shard-1-of-2 s.npy.shard-2-of-2 --output s.npy");
    for name in ["", ".history.csv"] {
        let (whole, shards) = (format!("whole.npy{name}"), format!("s.npy{name}"));
        assert_eq!(bench.bytes(&whole), bench.bytes(&shards), "{name}");
    }
    // A shard of another seed is no part of it.
    let other = line.replace("--seed 3", "--seed 4");
    bench.good(&format!("{other} --output t.npy --shard 2/2 --wide 2"));
    bench.refused(
        "merge s.npy.shard-1-of-2 t.npy.shard-2-of-2 --output t.npy",
        &["t.npy.shard-2-of-2", "seed"],
    );
}

#[test]
fn a_batch_that_does_not_fit_is_refused_before_the_run_with_one_that_does() {
    if !is_there("memory of a device") {
        return;
    }
    let bench = Bench::new();
    bench.cube("in.npy", 4, 4);
    let on = "--input in.npy --device gpu --precision f32";
    let said = bench.good(&format!("plan {on} --batch 3 --count 9"));
    for words in ["on the device", "it fits", "MiB for 3 batches side by side", "descent"] {
        assert!(said.stdout.contains(words), "{words}: {}", said.stdout);
    }
    let plan = |batch: usize| bench.good(&format!("plan {on} --batch {batch}")).stdout;
    const MANY: usize = 40_000;
    let said = plan(MANY);
    if said.contains("it fits") {
        return skyscat_tests::skip("memory of a device", "it has too much");
    }
    let words = "the largest batch that fits is --batch ";
    let (_, rest) = said.split_once(words).unwrap_or_else(|| panic!("{said}"));
    let fits: usize = rest.split_whitespace().next().unwrap().parse().unwrap();
    assert!(plan(fits).contains("it fits"), "{fits}");
    assert!(plan(fits + 1).contains("it does not fit"), "{fits}");
    let line = format!("emulate {on} --count 3 --seed 3 --steps 1 --batch {MANY} --output x.npy");
    bench.refused(&line, &["needs", "maps fit", words, &fits.to_string()]);
}
