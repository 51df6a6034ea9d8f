//! Times synthesis and its adjoint per map, after checking that they are adjoint.
//!
//! `cargo run --release -p skyscat-harmonic --example time nside=16 spin=2 batch=8`
//!
//! Prints one JSON line, in the shape of `benches/rivals/ducc.py`; other words are
//! `threads=1`, `precision=f64`, `engine=auto` (`tables`, `recurrence`), and
//! `budget=0.3`, seconds a measurement. `cargo xtask compare transforms` runs both.

#![allow(clippy::print_stdout, reason = "an example reports what it measured")]

use skyscat_harmonic::{Config, Engine, Parallelism, Plan, Sample};
use skyscat_healpix::{Nside, rings};
use std::error::Error;
use std::time::Instant;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What to time, from words `name=value`.
struct Case {
    config: Config,
    batch: usize,
    threads: usize,
    single: bool,
    budget: f64,
}

impl Case {
    fn parse(words: impl Iterator<Item = String>) -> Outcome<Self> {
        let (mut nside, mut spin, mut batch, mut threads) = (16, 2, 8, 1);
        let (mut single, mut budget, mut engine) = (false, 0.3, Engine::Auto);
        for word in words {
            let (name, value) = word.split_once('=').ok_or("words are name=value")?;
            match name {
                "nside" => nside = value.parse()?,
                "spin" => spin = value.parse()?,
                "batch" => batch = value.parse()?,
                "threads" => threads = value.parse()?,
                "budget" => budget = value.parse()?,
                "precision" => single = value == "f32",
                "engine" => {
                    engine = match value {
                        "tables" => Engine::Tables,
                        "recurrence" => Engine::Recurrence,
                        _ => Engine::Auto,
                    }
                }
                _ => return Err(format!("unknown word {word}").into()),
            }
        }
        let full = Config::full(Nside::new(nside)?, 3 * nside - 1, spin);
        let parallelism = if threads == 1 { Parallelism::Serial } else { Parallelism::Rayon };
        Ok(Self { config: Config { engine, parallelism, ..full }, batch, threads, single, budget })
    }
}

/// Number `i` of a stream in [−1, 1) that every program can make to the last bit.
fn uniform(i: usize) -> f64 {
    let mut x = (i as u64).wrapping_mul(2_654_435_761) & 0xFFFF_FFFF;
    x ^= x >> 15;
    x = x.wrapping_mul(2_246_822_519) & 0xFFFF_FFFF;
    x ^= x >> 13;
    x as f64 / f64::from(1u32 << 31) - 1.0
}

/// Coefficients of a batch, real at m = 0.
fn coefficients<T: Sample>(plan: &Plan<T>, batch: usize) -> Vec<T> {
    let (modes, components) = (plan.modes(), plan.components());
    let mut alm = Vec::with_capacity(plan.alm_len(batch));
    for (mode, _, m) in modes.iter() {
        for component in 0..components {
            for part in 0..2 {
                alm.extend((0..batch).map(|map| {
                    let at = (map * components + component) * modes.len() + mode;
                    T::narrow(if m == 0 && part == 1 { 0.0 } else { uniform(2 * at + part) })
                }));
            }
        }
    }
    alm
}

/// Pixels whose values are compared.
fn sampled(nside: Nside) -> Vec<usize> {
    let n = nside.get();
    let chosen = [0, 1, n / 4, n / 2, n - 1, 3 * n / 2, 2 * n - 1, 5 * n / 2, 4 * n - 2];
    let all: Vec<_> = rings(nside).map(|ring| ring.n_phi).collect();
    let first = |ring: usize| all[..ring].iter().sum::<usize>();
    chosen.iter().flat_map(|&ring| [first(ring), first(ring) + all[ring] / 3]).collect()
}

/// |⟨Ya, Ya⟩ / ⟨a, YᵀYa⟩ − 1| over the batch.
fn adjointness<T: Sample>(plan: &Plan<T>, alm: &[T], map: &[T], back: &[T]) -> f64 {
    let left: f64 = map.iter().map(|v| v.widen() * v.widen()).sum();
    let zeroth = (plan.modes().lmax() + 1) * alm.len() / plan.modes().len();
    let dot = |range: std::ops::Range<usize>| -> f64 {
        range.map(|i| alm[i].widen() * back[i].widen()).sum()
    };
    (left / (dot(0..zeroth) + 2.0 * dot(zeroth..alm.len())) - 1.0).abs()
}

/// Least milliseconds of three runs or more, up to `budget` seconds.
fn least(budget: f64, mut work: impl FnMut()) -> f64 {
    let (mut best, mut spent, mut runs) = (f64::INFINITY, 0.0, 0);
    while runs < 3 || spent < budget {
        let start = Instant::now();
        work();
        let took = start.elapsed().as_secs_f64();
        (best, spent, runs) = (best.min(took), spent + took, runs + 1);
    }
    1e3 * best
}

fn time<T: Sample>(case: &Case) -> Outcome<()> {
    let plan = Plan::<T>::with_config(case.config)?;
    let mut scratch = plan.scratch(case.batch);
    let alm = coefficients(&plan, case.batch);
    let mut map = vec![T::zero(); plan.map_len(case.batch)];
    let mut back = alm.clone();
    plan.synthesis(&alm, &mut map, &mut scratch);
    plan.adjoint_synthesis(&map, &mut back, &mut scratch);
    let error = adjointness(&plan, &alm, &map, &back);
    if error > if case.single { 1e-4 } else { 1e-12 } {
        return Err(format!("the adjoint is off by {error:e}").into());
    }
    let forward = least(case.budget, || plan.synthesis(&alm, &mut map, &mut scratch));
    let adjoint = least(case.budget, || plan.adjoint_synthesis(&map, &mut back, &mut scratch));
    let Config { nside, lmax, spin, engine, .. } = case.config;
    let sample: Vec<String> = sampled(nside)
        .into_iter()
        .map(|pixel| {
            let at = pixel * plan.components();
            let values = (at..at + plan.components()).map(|i| map[i * case.batch].widen());
            format!("[{}]", values.map(|v| format!("{v:e}")).collect::<Vec<_>>().join(", "))
        })
        .collect();
    println!(
        "{{\"program\": \"skyscat\", \"nside\": {nside}, \"lmax\": {lmax}, \"spin\": {spin}, \
         \"batch\": {}, \"threads\": {}, \"precision\": \"{}\", \"engine\": \"{engine:?}\", \
         \"synthesis_ms\": {}, \"adjoint_ms\": {}, \"adjointness\": {error:e}, \
         \"sample\": [{}]}}",
        case.batch,
        case.threads,
        if case.single { "f32" } else { "f64" },
        forward / case.batch as f64,
        adjoint / case.batch as f64,
        sample.join(", "),
    );
    Ok(())
}

fn main() -> Outcome<()> {
    let case = Case::parse(std::env::args().skip(1))?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(case.threads).build()?;
    pool.install(|| {
        let result = if case.single { time::<f32>(&case) } else { time::<f64>(&case) };
        result.map_err(|error| error.to_string())
    })?;
    Ok(())
}
