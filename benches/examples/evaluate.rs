//! Times one evaluation of loss and gradient at any resolution, and what it holds.
//!
//! `cargo run --release -p skyscat-benches --example evaluate nside=16 maps=10`
//!
//! Prints one JSON line; other words are `precision=f64`, `threads=0` (all cores),
//! `inputs=10`, `budget=5` (seconds of evaluations; three at least) and `operators=yes`
//! (each operator at its best, in milliseconds). The result is verified before it is
//! timed: a step along −∇ falls as the gradient says.

#![allow(clippy::print_stdout, reason = "an example reports what it measured")]

use serde_json::{Map, Value, json};
use skyscat::emulator::{BatchId, Config, Emulator, Precision};
use skyscat::healpix::Nside;
use skyscat::num::Par;
use skyscat_benches::{Ceilings, check_descent, emulator, variables};
use std::error::Error;
use std::time::Instant;

const ID: BatchId = BatchId { target: None, number: 0 };

type Outcome<T> = Result<T, Box<dyn Error>>;

struct Case {
    nside: Nside,
    maps: usize,
    inputs: usize,
    threads: usize,
    single: bool,
    budget: f64,
    operators: bool,
}

impl Case {
    fn parse(words: impl Iterator<Item = String>) -> Outcome<Self> {
        let (mut nside, mut maps, mut inputs, mut threads) = (16, 10, 10, 0);
        let (mut single, mut budget, mut operators) = (false, 5.0, false);
        for word in words {
            let (name, value) = word.split_once('=').ok_or("words are name=value")?;
            match name {
                "nside" => nside = value.parse()?,
                "maps" => maps = value.parse()?,
                "inputs" => inputs = value.parse()?,
                "threads" => threads = value.parse()?,
                "budget" => budget = value.parse()?,
                "precision" => single = value == "f32",
                "operators" => operators = value == "yes",
                _ => return Err(format!("unknown word {word}").into()),
            }
        }
        Ok(Self { nside: Nside::new(nside)?, maps, inputs, threads, single, budget, operators })
    }
}

fn main() -> Outcome<()> {
    let case = Case::parse(std::env::args().skip(1))?;
    let par = Par::new(case.threads)?;
    let ceilings = Ceilings::measure(par.threads());
    let start = Instant::now();
    let config = Config { batch: case.maps, ..Config::campeti2025() };
    let emulator = emulator(case.nside, case.inputs, config, &par)?;
    let tables = start.elapsed().as_secs_f64();
    let mut line = match case.single {
        true => measure::<f32>(&case, &emulator, ceilings)?,
        false => measure::<f64>(&case, &emulator, ceilings)?,
    };
    let mut add = |name: &str, value: Value| line.insert(name.to_owned(), value);
    add("nside", json!(case.nside.get()));
    add("maps", json!(case.maps));
    add("threads", json!(par.threads()));
    add("setup_s", json!(tables));
    add("gflops_f64_ceiling", json!(ceilings.flops_f64 / 1e9));
    add("copy_gbs_ceiling", json!(ceilings.bytes / 1e9));
    add("resident_peak_bytes", json!(resident_peak()));
    println!("{}", Value::Object(line));
    Ok(())
}

fn measure<T: Precision>(
    case: &Case,
    emulator: &Emulator,
    ceilings: Ceilings,
) -> Outcome<Map<String, Value>> {
    let mut program = emulator.program::<T>(ID)?;
    let x = variables(&program);
    let mut gradient = vec![T::default(); x.len()];
    check_descent(&mut program, &x, &mut gradient);
    let (mut best, mut total, mut count) = (f64::INFINITY, 0.0, 0u32);
    while count < 3 || total < case.budget {
        let start = Instant::now();
        program.value_and_gradient(&x, &mut gradient);
        let time = start.elapsed().as_secs_f64();
        (best, total, count) = (best.min(time), total + time, count + 1);
    }
    let mut line = Map::new();
    let mut add = |name: &str, value: Value| line.insert(name.to_owned(), value);
    let (floor, plan) = (program.floor(), emulator.plan::<T>()?);
    let rate = ceilings.flops_f64 * 8.0 / std::mem::size_of::<T>() as f64;
    add("precision", json!(T::NAME));
    add("evaluations", json!(count));
    add("best_ms", json!(1e3 * best));
    add("mean_ms", json!(1e3 * total / f64::from(count)));
    add("floor_arithmetic_ms", json!(1e3 * floor.flops / rate));
    add("floor_memory_ms", json!(1e3 * floor.bytes / ceilings.bytes));
    add("predicted_iteration_ms", json!(1e3 * plan.iteration(&ceilings).as_secs_f64()));
    add("planned_bytes", json!(plan.bytes()));
    add("bytes_a_map_pixel", json!(plan.bytes() as f64 / plan.variables as f64));
    if case.operators {
        let mut times: Map<String, Value> = Map::new();
        for _ in 0..20 {
            for t in program.profile(&x) {
                let name = format!("{}{}", t.operator, if t.backward { " back" } else { "" });
                let ms = 1e3 * t.time.as_secs_f64();
                let least = times.get(&name).and_then(Value::as_f64).map_or(ms, |b| b.min(ms));
                times.insert(name, json!(least));
            }
        }
        let sum: f64 = times.values().filter_map(Value::as_f64).sum();
        add("operators_ms", json!(sum));
        add("operators", Value::Object(times));
    }
    Ok(line)
}

/// Largest memory of this process, where the system tells.
fn resident_peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kb| 1024 * kb)
}
