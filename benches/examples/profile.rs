//! Where an evaluation goes on a GPU, what the device could do at best, and what the CPU
//! takes for the same.
//!
//! `cargo run --release -p skyscat-benches --features gpu --example profile -- 16 8 gpu`
//!
//! Arguments: Nside, maps of the batch, device, and how many evaluations are timed (5);
//! with one, operators and ceilings are left out; with none, one evaluation of each path
//! is compared, which is all that a large sky has time for.
#![allow(clippy::print_stdout, reason = "an example shows its result")]

use ndarray::Array3;
use skyscat::autodiff::{GpuProgram, Precision, Program};
use skyscat::emulator::{BatchId, Config, Emulator};
use skyscat::gpu::{Access, Bound, Choice, Commands, Device, DeviceError, Entry, Recording};
use skyscat::healpix::{MapSet, Nside, Ordering};
use skyscat::num::{Par, Seed};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a device can do at best: multiply-adds without memory, and loads of numbers that
/// stay in the nearest cache, neighbours side by side.
const CEILINGS: &str = "
@group(0) @binding(0) var<uniform> rounds: u32;
@group(0) @binding(1) var<storage, read> few: array<f32>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;
@compute @workgroup_size(64)
fn multiply_adds(@builtin(global_invocation_id) id: vec3<u32>) {
    var a = vec4(sums[id.x]);
    var b = a + 1.0;
    for (var i = 0u; i < rounds; i++) {
        a = fma(a, vec4(0.5), vec4(1.0));
        b = fma(b, vec4(0.5), vec4(1.0));
    }
    sums[id.x] = dot(a + b, vec4(1.0));
}
@compute @workgroup_size(64)
fn loads(@builtin(global_invocation_id) id: vec3<u32>) {
    var sum = sums[id.x];
    for (var i = 0u; i < rounds; i++) {
        let at = (id.x + 64u * i) % 1024u;
        sum += few[at] + few[at + 1024u] + few[at + 2048u] + few[at + 3072u];
    }
    sums[id.x] = sum;
}";

/// Times a second that each of 2¹⁷ invocations does `each` things in each of its rounds.
fn rate(device: &Device, name: &str, each: f64) -> Result<f64, DeviceError> {
    const INVOCATIONS: usize = 1 << 17;
    const ROUNDS: u32 = 500;
    let bindings = &[Access::Uniform, Access::Read, Access::Write];
    let entry = Entry { kernel: "ceilings", source: CEILINGS, name, bindings };
    let pipeline = device.pipeline(&entry)?;
    let rounds = device.uniforms("rounds", &[ROUNDS, 0, 0, 0])?;
    let few = device.table("few", &[1.0f32; 4096])?;
    let sums = device.storage("sums", INVOCATIONS)?;
    let bindings: [Bound<'_>; 3] = [(&rounds).into(), (&few).into(), (&sums).into()];
    let mut recording = Recording::default();
    recording.dispatch(device.dispatch(&pipeline, &bindings, INVOCATIONS as u64)?);
    let timed = spent(5, || {
        device.submit(&recording);
        device.wait().expect("a device that works");
    });
    Ok(each * f64::from(ROUNDS) * INVOCATIONS as f64 / timed.best.as_secs_f64())
}

/// What some calls take.
struct Spent {
    /// The shortest.
    best: Duration,
    /// Seconds of processors in each, user and system: what other work does not lengthen.
    processor: f64,
}

fn spent<T>(times: u32, mut call: impl FnMut() -> T) -> Spent {
    let before = processor_seconds();
    let time = |_| {
        let start = Instant::now();
        let _ = call();
        start.elapsed()
    };
    let best = (0..times).map(time).min().expect("a call");
    Spent { best, processor: (processor_seconds() - before) / f64::from(times) }
}

/// Seconds of processors that this process has had, where Linux counts them; else NaN.
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let Some((_, rest)) = text.rsplit_once(')') else { return f64::NAN };
    let ticks: Vec<f64> = rest.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    // After the name and the state come ten numbers, then user and system, 100 a second.
    ticks.get(10..12).map_or(f64::NAN, |two| (two[0] + two[1]) / 100.0)
}

impl std::fmt::Display for Spent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2?} at best, {:.3} s of processors", self.best, self.processor)
    }
}

fn operators(gpu: &mut GpuProgram, x: &[f32]) -> Result<(), Box<dyn std::error::Error>> {
    println!("operator            way calls dispatches       ms  Gflop/s     GB/s");
    for t in gpu.profile(x)? {
        let (way, s) = (if t.backward { "back" } else { "" }, t.time.as_secs_f64());
        let (flops, bytes) = (1e-9 * t.floor.flops / s, 1e-9 * t.floor.bytes / s);
        let (name, calls, runs, ms) = (t.operator, t.calls, t.dispatches, 1e3 * s);
        println!("{name:20}{way:4}{calls:5}{runs:11}{ms:9.2}{flops:9.2}{bytes:9.2}");
        for k in t.kernels {
            let (name, runs) = (format!("{} {}", k.kernel, k.entry), k.dispatches);
            println!("    {name:29}{runs:7}{:9.2}", 1e3 * k.time.as_secs_f64());
        }
    }
    let device = gpu.device();
    let flops = 1e-9 * rate(device, "multiply_adds", 16.0)?;
    let loads = 1e-9 * rate(device, "loads", 4.0)?;
    let bytes = 1e-9 * device.copy_bandwidth(16 << 20)?;
    println!("the device: {flops:.1} Gflop/s of multiply-adds at best, {loads:.2} G loads/s");
    println!("from its caches, copies at {bytes:.1} GB/s");
    Ok(())
}

/// Loss and gradient of the CPU, and what an evaluation takes.
fn on_cpu<T: Precision>(cpu: &mut Program<T>, times: u32, x: &[f32]) -> (f64, Vec<f64>, Spent) {
    let x: Vec<T> = x.iter().map(|&x| T::from_f64(f64::from(x))).collect();
    let mut gradient = vec![T::default(); x.len()];
    let mut value = 0.0;
    let spent = spent(times, || value = cpu.value_and_gradient(&x, &mut gradient));
    (value, gradient.into_iter().map(|g| g.to_f64()).collect(), spent)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let nside = Nside::new(arguments.next().map_or(Ok(16), |n| n.parse())?)?;
    let batch: usize = arguments.next().map_or(Ok(8), |n| n.parse())?;
    let choice: Choice = arguments.next().unwrap_or_else(|| "gpu".to_owned()).parse()?;
    let times: u32 = arguments.next().map_or(Ok(5), |n| n.parse())?;
    let noise = Seed(1).stream("example").index(0, 0).normals(4 * 2 * nside.npix());
    let inputs = Array3::from_shape_vec((4, 2, nside.npix()), noise)?;
    let inputs = MapSet::new(Ordering::Nest, &["Q", "U"], inputs)?;
    let config = Config { batch, ..Config::campeti2025() };
    let par = Par::new(std::thread::available_parallelism()?.get())?;
    let emulator = Emulator::new(&inputs, &[], config, Seed(7), &par)?;
    let id = BatchId { target: None, number: 0 };
    let maps = emulator.start(id)?;
    let x: Vec<f32> =
        maps.view().permuted_axes([1, 2, 0]).iter().map(|&x: &f64| x as f32).collect();

    println!("Nside {}, {batch} maps", nside.get());
    let timed = times.max(1);
    let (value, exact, double) = on_cpu(&mut emulator.program::<f64>(id)?, timed, &x);
    let mut cpu = emulator.program::<f32>(id)?;
    let (_, _, single) = on_cpu(&mut cpu, timed, &x);
    let floor = cpu.floor();
    drop(cpu);
    println!("the CPU in f64: {double}; in f32: {single}");
    println!("at least {:.4} Gflop and {:.4} GB", 1e-9 * floor.flops, 1e-9 * floor.bytes);

    let device = Arc::new(Device::open(&choice)?);
    let mut gpu = emulator.gpu_program(&[id], &device)?;
    let (mut gradient, mut found) = (vec![0.0; x.len()], 0.0);
    if times > 0 {
        gpu.value_and_gradient(&x, &mut gradient)?;
    }
    let on_gpu = spent(timed, || found = gpu.value_and_gradient(&x, &mut gradient).unwrap());
    let largest = |list: &mut dyn Iterator<Item = f64>| list.fold(0.0f64, |m, x| m.max(x.abs()));
    let off = largest(&mut gradient.iter().zip(&exact).map(|(a, b)| f64::from(*a) - b));
    let (loss, off) = ((found / value - 1.0).abs(), off / largest(&mut exact.iter().copied()));
    println!("{} in f32: {on_gpu}", device.adapter().name);
    let Commands { dispatches, transfers, stretches } = gpu.commands();
    println!("{dispatches} dispatches, {transfers} transfers in {stretches} stretches");
    println!("in {} parts; off by {loss:.1e}, the gradient by {off:.1e}", gpu.parts());
    if loss > 1e-5 || off > 1e-4 {
        return Err("the device does not compute what the CPU does".into());
    }
    if times > 1 {
        operators(&mut gpu, &x)?;
    }
    Ok(())
}
