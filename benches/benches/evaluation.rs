//! One evaluation of loss and gradient at Nside 16, batch 10, Q and U, four terms,
//! against the floor that the graph computes.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]
#![allow(clippy::print_stdout, reason = "a benchmark reports")]

use criterion::{Criterion, criterion_group, criterion_main};
use skyscat::autodiff::OperatorTime;
use skyscat::emulator::{BatchId, Config, Emulator, Precision};
use skyscat::healpix::{MapSet, Ordering};
use skyscat::num::{Par, Seed};
use skyscat_benches::Ceilings;

const ID: BatchId = BatchId { target: None, number: 0 };

fn emulator() -> Emulator {
    let noise = Seed(1).stream("bench").index(0, 0).normals(10 * 2 * 3072);
    let maps = ndarray::Array3::from_shape_vec((10, 2, 3072), noise).expect("as many");
    let set = MapSet::new(Ordering::Ring, &["Q", "U"], maps).expect("full sky");
    let par = Par::new(0).expect("threads");
    Emulator::new(&set, &[], Config::campeti2025(), Seed(1), &par).expect("inputs fit")
}

fn evaluate<T: Precision>(c: &mut Criterion, emulator: &Emulator, ceilings: Ceilings) {
    let mut program = emulator.program::<T>(ID).expect("terms");
    let normals = Seed(2).stream("x").index(0, 0).normals(program.variables());
    let x: Vec<T> = normals.iter().map(|&x| T::from_f64(x)).collect();
    let mut gradient = vec![T::default(); x.len()];
    let value = program.value_and_gradient(&x, &mut gradient);
    // A benchmark of something wrong is worth nothing: a step along −∇ descends.
    let norm2: f64 = gradient.iter().map(|g| g.to_f64() * g.to_f64()).sum();
    let step = 1e-3 * value / norm2;
    let moved: Vec<T> =
        x.iter().zip(&gradient).map(|(x, g)| T::from_f64(x.to_f64() - step * g.to_f64())).collect();
    let fall = value - program.value_and_gradient(&moved, &mut gradient);
    assert!((fall / (step * norm2) - 1.0).abs() < 0.2, "fell by {fall}, not {}", step * norm2);
    let floor = program.floor();
    let rate = ceilings.flops_f64 * 8.0 / std::mem::size_of::<T>() as f64;
    println!(
        "{}: {:.2} Gflop, {:.2} GB; floor {:.1} ms (arithmetic), {:.1} ms (memory)",
        T::NAME,
        floor.flops / 1e9,
        floor.bytes / 1e9,
        1e3 * floor.flops / rate,
        1e3 * floor.bytes / ceilings.bytes,
    );
    let mut best: Vec<OperatorTime> = program.profile(&x);
    for _ in 0..20 {
        let one = program.profile(&x);
        for time in &mut best {
            let same =
                |t: &&OperatorTime| (t.operator, t.backward) == (time.operator, time.backward);
            time.time = one.iter().find(same).map_or(time.time, |t| t.time.min(time.time));
        }
    }
    for t in &best {
        let way = if t.backward { "back" } else { "    " };
        println!("  {:7.3} ms {way} {} ({})", 1e3 * t.time.as_secs_f64(), t.operator, t.calls);
    }
    c.bench_function(&format!("evaluation/nside16/batch10/{}", T::NAME), |b| {
        b.iter(|| program.value_and_gradient(&x, &mut gradient));
    });
}

fn benches(c: &mut Criterion) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let ceilings = Ceilings::measure(threads);
    println!(
        "{threads} threads: {:.0} GFLOP/s f64, copy {:.1} GB/s",
        ceilings.flops_f64 / 1e9,
        ceilings.bytes / 1e9
    );
    let emulator = emulator();
    evaluate::<f64>(c, &emulator, ceilings);
    evaluate::<f32>(c, &emulator, ceilings);
}

criterion_group! {
    name = all;
    config = Criterion::default().sample_size(20);
    targets = benches
}
criterion_main!(all);
