//! Where an evaluation goes on a GPU, and what the CPU takes for the same.
//!
//! `cargo run --release -p skyscat-emulator --features gpu --example profile -- 16 8 gpu`
#![allow(clippy::print_stdout, reason = "an example shows its result")]

use ndarray::Array3;
use skyscat_emulator::{BatchId, Config, Emulator};
use skyscat_gpu::{Choice, Device};
use skyscat_healpix::{MapSet, Nside, Ordering};
use skyscat_num::{Par, Seed};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The shortest of some calls.
fn best<T>(mut call: impl FnMut() -> T) -> Duration {
    let time = |_| {
        let start = Instant::now();
        let _ = call();
        start.elapsed()
    };
    (0..5).map(time).min().expect("five calls")
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let nside = Nside::new(arguments.next().map_or(Ok(16), |n| n.parse())?)?;
    let batch: usize = arguments.next().map_or(Ok(8), |n| n.parse())?;
    let choice: Choice = arguments.next().unwrap_or_else(|| "gpu".to_owned()).parse()?;
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
    let mut gradient = vec![0.0; x.len()];

    let device = Arc::new(Device::open(&choice)?);
    let mut gpu = emulator.gpu_program(&[id], &device)?;
    println!("{}", device.adapter().name);
    println!("operator            way calls dispatches       ms  Gflop/s     GB/s");
    for t in gpu.profile(&x)? {
        let (way, s) = (if t.backward { "back" } else { "" }, t.time.as_secs_f64());
        let (flops, bytes) = (1e-9 * t.floor.flops / s, 1e-9 * t.floor.bytes / s);
        let (name, calls, runs, ms) = (t.operator, t.calls, t.dispatches, 1e3 * s);
        println!("{name:20}{way:4}{calls:5}{runs:11}{ms:9.2}{flops:9.2}{bytes:9.2}");
    }
    let on_gpu = best(|| gpu.value_and_gradient(&x, &mut gradient));
    let mut cpu = emulator.program::<f32>(id)?;
    let on_cpu = best(|| cpu.value_and_gradient(&x, &mut gradient));
    let floor = cpu.floor();
    println!("an evaluation: {on_gpu:.2?} on the device, {on_cpu:.2?} on the CPU;");
    println!("at least {:.3} Gflop and {:.3} GB", 1e-9 * floor.flops, 1e-9 * floor.bytes);
    Ok(())
}
