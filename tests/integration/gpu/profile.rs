//! Timestamps of a device, and the profile of a program that is made of them.

use super::device;
use super::loss::{ID, emulator, start};
use skyscat_autodiff::{Floor, GpuOperatorTime};
use skyscat_gpu::{Access, Bound, Entry, Recording};
use std::time::{Duration, Instant};

const SUM: &str = "
@group(0) @binding(0) var<uniform> count: u32;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;
@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>) {
    var sum = sums[id.x];
    for (var i = 0u; i < count; i++) {
        sum = fma(sum, 0.5, 1.0);
    }
    sums[id.x] = sum;
}";

#[test]
fn timestamps_tell_long_dispatches_from_short_ones() {
    let Some(device) = device("timestamps") else { return };
    if !device.adapter().timestamps {
        return skyscat_tests::skip("timestamps", "the adapter has none");
    }
    let bindings = &[Access::Uniform, Access::Write];
    let entry = Entry { kernel: "sum", source: SUM, name: "forward", bindings };
    let pipeline = device.pipeline(&entry).unwrap();
    let sums = device.storage("sums", 4096).unwrap();
    let mut recording = Recording::default();
    let counts = [100, 100_000];
    let sizes = counts.map(|n| device.uniforms("count", &[n, 0, 0, 0]).unwrap());
    let dispatch = |at: usize| {
        let bindings: [Bound<'_>; 2] = [(&sizes[at]).into(), (&sums).into()];
        device.dispatch(&pipeline, &bindings, 4096).unwrap()
    };
    // Without a mark nothing is timed.
    recording.dispatch(dispatch(0));
    assert_eq!(device.time(&recording).unwrap(), []);
    for (mark, at) in [(7, 0), (8, 1), (9, 0)] {
        recording.mark(mark);
        recording.clear(&sums, 4096);
        recording.dispatch(dispatch(at));
        recording.dispatch(dispatch(at));
    }
    let start = Instant::now();
    let timings = device.time(&recording).unwrap();
    let wall = start.elapsed();
    let marks: Vec<_> = timings.iter().map(|t| (t.mark, t.dispatches)).collect();
    assert_eq!(marks, [(7, 2), (8, 2), (9, 2)]);
    // A thousand times the work; a machine under load stalls for less than a hundredth.
    assert!(timings[1].time > 10 * timings[0].time, "{timings:?}");
    assert!(timings.iter().map(|t| t.time).sum::<Duration>() <= wall, "{timings:?} {wall:?}");
}

#[allow(clippy::print_stdout, reason = "the table of a test that is asked for it")]
fn print(profile: &[GpuOperatorTime]) {
    println!("operator            way calls dispatches      ms  Gflop/s   GB/s");
    for t in profile {
        let (way, s) = (if t.backward { "back" } else { "" }, t.time.as_secs_f64());
        let (flops, bytes) = (1e-9 * t.floor.flops / s, 1e-9 * t.floor.bytes / s);
        let (name, calls, runs, ms) = (t.operator, t.calls, t.dispatches, 1e3 * s);
        println!("{name:20}{way:4}{calls:5}{runs:11}{ms:9.2}{flops:9.2}{bytes:7.2}");
    }
}

#[test]
fn a_profile_names_every_operator_and_its_work() {
    let Some(device) = device("profile") else { return };
    if !device.adapter().timestamps {
        return skyscat_tests::skip("profile", "the adapter has none");
    }
    let emulator = emulator(8, 4, 1);
    let mut gpu = emulator.gpu_program(&[ID], &device).unwrap();
    let x = start(&emulator);
    let profile = gpu.profile(&x).unwrap();
    print(&profile);
    let mut cpu = emulator.program::<f32>(ID).unwrap();
    let mut floor = Floor::default();
    for t in &profile {
        floor.flops += t.floor.flops;
        floor.bytes += t.floor.bytes;
        assert!(t.time > Duration::ZERO && t.dispatches >= t.calls, "{t:?}");
        // Its kernels share all of it.
        assert_eq!(t.kernels.iter().map(|k| k.time).sum::<Duration>(), t.time, "{t:?}");
        assert_eq!(t.kernels.iter().map(|k| k.dispatches).sum::<usize>(), t.dispatches, "{t:?}");
        for k in &t.kernels {
            let kernel = skyscat_shaders::kernel(k.kernel).expect("a kernel of that name");
            assert!(kernel.entry(k.entry).is_some(), "{k:?}");
        }
    }
    // The same steps as on the CPU, and the same count of their work.
    let own = cpu.floor();
    assert!((floor.flops / own.flops - 1.0).abs() < 1e-12, "{floor:?} {own:?}");
    assert!((floor.bytes / own.bytes - 1.0).abs() < 1e-12, "{floor:?} {own:?}");
    let mut calls: Vec<_> = profile.iter().map(|t| (t.operator, t.backward, t.calls)).collect();
    let on_cpu = cpu.profile(&x).into_iter().map(|t| (t.operator, t.backward, t.calls));
    let mut on_cpu: Vec<_> = on_cpu.filter(|t| !["input", "terms"].contains(&t.0)).collect();
    calls.sort_unstable();
    on_cpu.sort_unstable();
    assert_eq!(calls, on_cpu);
}
