//! Descents whose vectors lie on a device: against the host's, resumed, side by side.

use super::device;
use super::loss::{emulator_of, on_gpu};
use super::vectors::{gamma, product_roundings};
use skyscat_autodiff::{
    GpuVector, HostPairs, Lbfgs, LbfgsConfig, Objective, Pairs, SavedLbfgs, Vector,
};
use skyscat_emulator::{
    Batch, BatchId, BatchRun, Config, Emulator, Progress, SavedDescent, Saving, Silent, TargetMode,
};
use skyscat_gpu::Device;
use skyscat_num::Seed;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Long enough for several parts of a product, the last one short.
const LENGTH: usize = 5000;

const MEMORY: usize = 5;

/// A chain of Rosenbrock's valleys, weakly bent, in f64 wherever the vectors lie.
fn valley(x: &[f64], g: &mut [f64]) -> f64 {
    g.fill(0.0);
    let mut f = 0.0;
    for i in 0..x.len() - 1 {
        let (a, b) = (1.0 - x[i], x[i + 1] - x[i] * x[i]);
        f += a * a + 3.0 * b * b;
        g[i] += -2.0 * a - 12.0 * x[i] * b;
        g[i + 1] += 6.0 * b;
    }
    f
}

struct Valley;

impl<V: Vector> Objective<V> for Valley {
    fn value_and_gradient(&mut self, x: &V, gradient: &mut V) -> f64 {
        let x = x.numbers().unwrap();
        let mut g = vec![0.0; x.len()];
        let value = valley(&x, &mut g);
        let g = gradient.like(&g).unwrap();
        gradient.set_sum(&g, 0.0, &g);
        value
    }
}

fn start() -> Vec<f64> {
    let noise = Seed(5).stream("valley").index(0, 0).normals(LENGTH);
    noise.into_iter().map(|x| f64::from((0.3 * x) as f32)).collect()
}

fn config(memory: usize) -> LbfgsConfig {
    LbfgsConfig { memory, ..LbfgsConfig::campeti2025() }
}

fn history<V: Vector>(x: V, memory: usize, steps: usize) -> (Vec<f64>, Lbfgs<V>) {
    let mut descent = Lbfgs::start(config(memory), x, &mut Valley).unwrap();
    let mut values = vec![descent.value];
    for _ in 0..steps {
        assert_eq!(descent.step(&mut Valley), None);
        values.push(descent.value);
    }
    (values, descent)
}

/// Largest relative difference of two histories.
fn apart(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).fold(0.0f64, |m, (a, b)| m.max((a / b - 1.0).abs()))
}

fn vector(numbers: &[f64], device: &Arc<Device>) -> GpuVector {
    let narrow: Vec<f32> = numbers.iter().map(|&x| x as f32).collect();
    GpuVector::new(device, &narrow).unwrap()
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// Coefficients of −H·g from the products of s₀, y₀, s₁, …, g.
fn coefficients(gram: &[Vec<f64>]) -> Vec<f64> {
    let last = gram.len() - 1;
    let mut c = vec![0.0; last + 1];
    c[last] = -1.0;
    let along = |c: &[f64], i: usize| -> f64 { c.iter().zip(&gram[i]).map(|(c, g)| c * g).sum() };
    let mut alphas = vec![0.0; last / 2];
    for k in (0..last / 2).rev() {
        alphas[k] = along(&c, 2 * k) / gram[2 * k][2 * k + 1];
        c[2 * k + 1] -= alphas[k];
    }
    let scale = gram[last - 2][last - 1] / gram[last - 1][last - 1];
    c.iter_mut().for_each(|c| *c *= scale);
    for k in 0..last / 2 {
        let beta = along(&c, 2 * k + 1) / gram[2 * k][2 * k + 1];
        c[2 * k] += alphas[k] - beta;
    }
    c
}

/// First-order bounds on the error of a direction: from products that are off by their
/// own bound, one after the other and all to the worse; and from rounding where vectors
/// are combined, once for each of them.
fn direction_bounds(saved: &SavedLbfgs) -> (f64, f64) {
    let pairs = saved.pairs.iter().flat_map(|(s, y, _)| [s, y]);
    let vectors: Vec<&Vec<f64>> = pairs.chain([&saved.gradient]).collect();
    let sum = |a: &[f64], b: &[f64], f: fn(f64) -> f64| -> f64 {
        a.iter().zip(b).map(|(a, b)| f(a * b)).sum()
    };
    let row = |a: &&Vec<f64>| vectors.iter().map(|b| sum(a, b, |x| x)).collect();
    let gram: Vec<Vec<f64>> = vectors.iter().map(row).collect();
    let exact = coefficients(&gram);
    let mut products = 0.0;
    for (i, a) in vectors.iter().enumerate() {
        for (j, b) in vectors.iter().enumerate().skip(i) {
            let mut other = gram.clone();
            other[i][j] += gamma(product_roundings(LENGTH)) * sum(a, b, f64::abs);
            other[j][i] = other[i][j];
            let changes = coefficients(&other).into_iter().zip(&exact).zip(&vectors);
            products += changes.map(|((c, e), v)| (c - e).abs() * norm(v)).sum::<f64>();
        }
    }
    let size: f64 = exact.iter().zip(&vectors).map(|(c, v)| c.abs() * norm(v)).sum();
    // The first passes its coefficient's rounding, its product's, and all other sums.
    (products, gamma(vectors.len() + 1) * size)
}

#[test]
fn iterates_are_those_of_the_host_and_a_shorter_memory_is_seen() {
    let Some(device) = device("L-BFGS") else { return };
    let steps = 25;
    let narrow: Vec<f32> = start().iter().map(|&x| x as f32).collect();
    let (wide, _) = history(start(), MEMORY, steps);
    let (single, _) = history(narrow, MEMORY, steps);
    let (found, mut descent) = history(vector(&start(), &device), MEMORY, steps);
    assert_eq!(descent.pairs.len(), MEMORY);
    // What f32 does to the vectors of the host, times the part that products in f32 have
    // beside it in the error of a direction.
    let saved = descent.save().unwrap();
    let (products, vectors) = direction_bounds(&saved);
    let allowed = (1.0 + products / vectors) * apart(&single, &wide);
    assert!(allowed < 1e-2, "{allowed:e}");
    // One direction against that of the host in f64.
    let mut exact = HostPairs::<Vec<f64>>::new(MEMORY, &saved.x).unwrap();
    exact.load(&saved.pairs).unwrap();
    let (mut there, mut here) = (saved.x.clone(), descent.x.zeros_like().unwrap());
    exact.aim(&saved.gradient, &mut there).unwrap();
    descent.pairs.aim(&descent.gradient, &mut here).unwrap();
    let difference =
        |a: &[f64]| norm(&a.iter().zip(&there).map(|(a, b)| a - b).collect::<Vec<_>>());
    let (off, bound) = (difference(&here.numbers().unwrap()), products + vectors);
    assert!(off <= bound && bound < 0.1 * norm(&there), "{off:e} of {bound:e}");
    exact.load(&saved.pairs[1..]).unwrap();
    let mut fewer = there.clone();
    exact.aim(&saved.gradient, &mut fewer).unwrap();
    assert!(difference(&fewer) > bound, "a pair less passed");
    assert!(apart(&found, &wide) <= allowed, "{:e} of {allowed:e}", apart(&found, &wide));
    let (other, _) = history(vector(&start(), &device), MEMORY - 1, steps);
    assert!(apart(&other, &wide) > allowed, "a memory of one pair less passed");
}

#[test]
fn a_saved_descent_goes_on_with_the_same_bits() {
    let Some(device) = device("resumed L-BFGS") else { return };
    // The ring of pairs has turned by then.
    let (_, mut whole) = history(vector(&start(), &device), MEMORY, 8);
    let saved: SavedLbfgs = whole.save().unwrap();
    assert_eq!(saved.pairs.len(), MEMORY);
    let mut resumed = Lbfgs::resume(config(MEMORY), &saved, &whole.x).unwrap();
    for _ in 0..7 {
        whole.step(&mut Valley);
        resumed.step(&mut Valley);
    }
    assert_eq!(whole.save().unwrap(), resumed.save().unwrap());
    // A pair less is another descent.
    let mut fewer = saved.clone();
    fewer.pairs.remove(0);
    let mut other = Lbfgs::resume(config(MEMORY), &fewer, &whole.x).unwrap();
    for _ in 0..7 {
        other.step(&mut Valley);
    }
    assert_ne!(whole.save().unwrap().x, other.save().unwrap().x);
}

/// Keeps every state, and stops after some iterations.
#[derive(Default)]
pub(super) struct Keeper {
    pub(super) saved: Mutex<Vec<SavedDescent>>,
    pub(super) stop_after: Option<u64>,
    pub(super) stop: Arc<AtomicBool>,
    /// Given up at this iteration.
    pub(super) lose: Option<(u64, Arc<Device>)>,
}

impl Progress for Keeper {
    fn step(&self, iteration: u64, _loss: f64, _terms: &[skyscat_autodiff::TermValue]) {
        if self.stop_after == Some(iteration) {
            self.stop.store(true, Ordering::SeqCst);
        }
        if let Some((when, device)) = &self.lose
            && *when == iteration
        {
            device.lose();
        }
    }
    fn save(&self, saving: &mut Saving<'_>) -> Result<(), String> {
        self.saved.lock().unwrap().push(saving.keep()?);
        Ok(())
    }
    fn save_every(&self) -> u64 {
        1
    }
    fn interrupt(&self) -> Arc<AtomicBool> {
        self.stop.clone()
    }
}

fn small(target: TargetMode, steps: u64) -> Emulator {
    let base = Config::campeti2025();
    let lbfgs = LbfgsConfig { memory: 4, ..base.lbfgs };
    emulator_of(4, Config { batch: 3, steps, target: Some(target), lbfgs, ..base })
}

#[test]
fn an_interrupted_emulation_goes_on_with_the_same_bits() {
    let Some(device) = device("resumed emulation") else { return };
    let emulator = small(TargetMode::Average, 12);
    let id = BatchId { target: None, number: 0 };
    let whole = on_gpu(&emulator, &device);
    let keeper = Arc::new(Keeper { stop_after: Some(7), ..Keeper::default() });
    let runs: Vec<BatchRun> = vec![(id, None, keeper)];
    let half = emulator.run_on_gpu(runs, &device).unwrap().pop().unwrap().unwrap();
    let saved = half.saved.unwrap();
    assert_eq!(saved.course.history, whole.history[..8]);
    let runs: Vec<BatchRun> = vec![(id, Some(saved), Arc::new(Silent))];
    let rest = emulator.run_on_gpu(runs, &device).unwrap().pop().unwrap().unwrap();
    assert_eq!(rest.maps, whole.maps);
    assert_eq!((rest.history, rest.evaluations), (whole.history, whole.evaluations));
}

fn together(emulator: &Emulator, ids: &[BatchId], device: &Arc<Device>) -> Vec<Batch> {
    let runs = ids.iter().map(|&id| (id, None, Arc::new(Silent) as Arc<dyn Progress>));
    let batches = emulator.run_on_gpu(runs.collect(), device).unwrap();
    batches.into_iter().map(Result::unwrap).collect()
}

#[test]
fn batches_side_by_side_have_the_bits_that_they_have_alone() {
    let Some(device) = device("side by side") else { return };
    let single = |target| BatchId { target: Some(target), number: 0 };
    let second = |number| BatchId { target: None, number };
    let cases = [
        (TargetMode::Single, vec![single(0), single(4), BatchId { target: Some(4), number: 1 }]),
        (TargetMode::Average, vec![second(0), second(1)]),
    ];
    for (target, ids) in cases {
        let emulator = small(target, 8);
        let all = together(&emulator, &ids, &device);
        for (batch, &id) in all.iter().zip(&ids) {
            let alone = together(&emulator, &[id], &device).pop().unwrap();
            assert_eq!(batch.id, id);
            assert_eq!(batch.maps, alone.maps, "{id}");
            assert_eq!(batch.history, alone.history, "{id}");
            assert_eq!(batch.evaluations, alone.evaluations, "{id}");
        }
        assert_ne!(all[0].maps, all[1].maps);
    }
}

#[test]
fn a_batch_that_ends_early_keeps_nobody_waiting() {
    let Some(device) = device("early end") else { return };
    let emulator = small(TargetMode::Average, 9);
    let id = |number| BatchId { target: None, number };
    let stops = Arc::new(Keeper { stop_after: Some(3), ..Keeper::default() });
    let runs: Vec<BatchRun> = vec![(id(0), None, stops), (id(1), None, Arc::new(Silent))];
    let mut ended = emulator.run_on_gpu(runs, &device).unwrap();
    let (second, first) = (ended.pop().unwrap().unwrap(), ended.pop().unwrap().unwrap());
    assert_eq!(first.saved.unwrap().course.history.len(), 4);
    let alone = together(&emulator, &[id(1)], &device).pop().unwrap();
    assert_eq!(second.maps, alone.maps);
}
