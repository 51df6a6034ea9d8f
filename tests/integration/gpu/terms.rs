//! Loss terms on a GPU against the same in f64, within bounds that are derived.

use super::device;
use skyscat_autodiff::{GpuError, GpuProgram, Graph, Program, Purpose, Shape, Stat, Term};
use skyscat_emulator::loss::{MatchMean, MatchRatio, MatchSum, MatchVariance};
use skyscat_gpu::Device;
use skyscat_num::{Par, Seed};
use std::sync::Arc;

/// Several parts of 64 coefficients, the last one short.
const ROWS: usize = 150;
/// More than a block of eight maps, and not a multiple of four.
const MAPS: usize = 10;
/// Unit roundoff of f32.
const U: f64 = f32::EPSILON as f64 / 2.0;
/// Roundings of a sum over the maps, in blocks of eight.
const SUM: f64 = 8.0 + 2.0;

fn numbers(purpose: &'static str, len: usize) -> Vec<f64> {
    let normals = Seed(31).stream(purpose).index(0, 0).normals(len);
    normals.into_iter().map(|x| f64::from(x as f32)).collect()
}

/// Statistics of ten maps each: 3 with a spread of 0.3, as f32 holds them.
fn statistics() -> Vec<f64> {
    numbers("statistics", ROWS * MAPS).iter().map(|x| f64::from((3.0 + 0.3 * x) as f32)).collect()
}

fn graph(term: impl Term + 'static) -> Arc<Graph> {
    let mut graph = Graph::new();
    let x = graph.input(Shape::real(ROWS, 1));
    graph.term(term, &[x], 0.7);
    Arc::new(graph)
}

fn on_cpu(graph: Arc<Graph>, x: &[f64]) -> (f64, Vec<f64>) {
    let par = Par::new(1).unwrap();
    let mut cpu = Program::<f64>::compile(graph, MAPS, Purpose::Gradient, &par).unwrap();
    let mut gradient = vec![0.0; x.len()];
    (cpu.value_and_gradient(x, &mut gradient), gradient)
}

fn on_gpu(graph: Arc<Graph>, x: &[f64], device: &Arc<Device>) -> (f64, Vec<f64>) {
    let mut gpu = GpuProgram::compile(graph, MAPS, Purpose::Gradient, device.clone()).unwrap();
    let narrow: Vec<f32> = x.iter().map(|&x| x as f32).collect();
    let mut gradient = vec![0.0; x.len()];
    let value = gpu.value_and_gradient(&narrow, &mut gradient).unwrap();
    (value, gradient.into_iter().map(f64::from).collect())
}

/// What f32 may do to a coefficient: |error| of its contribution and of its gradient.
type Bound<'a> = &'a dyn Fn(usize, &[f64], &[f64]) -> (f64, f64);

/// Largest errors of value and gradient, in units of what they may be.
fn errors(
    found: &(f64, Vec<f64>),
    expected: &(f64, Vec<f64>),
    x: &[f64],
    bound: Bound<'_>,
) -> (f64, f64) {
    let mut allowed = 0.0;
    let mut worst = 0.0f64;
    let rows = x.chunks_exact(MAPS).zip(expected.1.chunks_exact(MAPS));
    for (i, ((x, expected), found)) in rows.zip(found.1.chunks_exact(MAPS)).enumerate() {
        let (value, gradient) = bound(i, x, expected);
        allowed += value;
        for (a, b) in expected.iter().zip(found) {
            worst = worst.max((a - b).abs() / gradient.max(f64::MIN_POSITIVE));
        }
    }
    // The sum of positive contributions: eight and eight in a part, then two levels.
    allowed += 18.0 * U * expected.0;
    ((found.0 - expected.0).abs() / allowed, worst)
}

/// Checks a term that `make` makes with one number of its target off by a fraction.
fn check<T: Term + 'static>(name: &str, make: impl Fn(f64) -> T, bound: Bound<'_>) {
    let Some(device) = device(name) else { return };
    let x = statistics();
    let expected = on_cpu(graph(make(0.0)), &x);
    assert!(expected.0 > 0.0);
    let good = errors(&on_gpu(graph(make(0.0)), &x, &device), &expected, &x, bound);
    assert!(good.0 <= 1.0 && good.1 <= 1.0, "{name}: {good:?} of the bound");
    let bad = errors(&on_gpu(graph(make(1e-4)), &x, &device), &expected, &x, bound);
    assert!(bad.1 > 1.0, "{name}: a target off by 1e-4 passed: {bad:?} of the bound");
}

fn targets(change: f64) -> Vec<f64> {
    let mut list: Vec<f64> = numbers("targets", ROWS).iter().map(|x| 3.0 + 0.1 * x).collect();
    list[70] *= 1.0 + change;
    list
}

fn weights() -> Vec<f64> {
    let weight = |(i, x): (usize, &f64)| if i % 17 == 3 { 0.0 } else { 0.5 + x.abs() };
    numbers("weights", ROWS).iter().enumerate().map(weight).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// With residual r and an error δ of it, a contribution c = s·r² is off by at most
/// 2s|r|δ + sδ² and three roundings; the gradient 2sr·f by 2sδ|f| and six.
fn propagated(scale: f64, residual: f64, delta: f64, factor: f64) -> (f64, f64) {
    let value = scale * (2.0 * residual.abs() * delta + delta * delta + 3.0 * U * residual.powi(2));
    (value, 2.0 * scale * factor.abs() * (delta + 6.0 * U * residual.abs()))
}

/// r = mean(x − t)·w: a difference has two roundings, the sum of them [`SUM`], then
/// there are a division (three) and a product with a rounded weight (two).
fn bound_of_mean(scale: f64) -> impl Fn(usize, &[f64], &[f64]) -> (f64, f64) {
    let (targets, weights) = (targets(0.0), weights());
    move |i, x, _| {
        let residual = (mean(x) - targets[i]) * weights[i];
        let size = x.iter().map(|x| (x - targets[i]).abs()).sum::<f64>() / MAPS as f64;
        let delta = U * ((2.0 + SUM) * size * weights[i] + 5.0 * residual.abs());
        propagated(scale, residual, delta, weights[i] / MAPS as f64)
    }
}

#[test]
fn means_agree_with_f64_and_a_wrong_target_does_not() {
    let make = |change| MatchMean::new("mean".into(), targets(change), weights(), 140);
    check("mean", make, &bound_of_mean(0.7 / 140.0));
}

#[test]
fn sums_agree_with_f64_and_a_wrong_target_does_not() {
    let make = |change| MatchSum::new("sum".into(), targets(change), weights(), 50);
    check("sum", make, &bound_of_mean(0.7 * (MAPS * MAPS) as f64 / 50.0));
}

/// Mean and variance of maps, and the errors that they have: a mean one of its sum over
/// |x|, a variance that of a sum of squares, of rounded differences, and twice its
/// root times the error of the mean.
fn moments(x: &[f64], origin: f64) -> (f64, f64, f64, f64) {
    let m = mean(x);
    let v = x.iter().map(|x| (x - m).powi(2)).sum::<f64>() / MAPS as f64;
    let size = x.iter().map(|x| (x - origin).abs()).sum::<f64>() / MAPS as f64;
    let of_mean = U * (SUM + 4.0) * size;
    (m, v, of_mean, U * (SUM + 6.0) * v + 2.0 * v.sqrt() * (of_mean + U * size) + of_mean.powi(2))
}

#[test]
fn ratios_agree_with_f64_and_a_wrong_target_does_not() {
    let ratios = |change: f64| -> Vec<f64> {
        let mut list: Vec<f64> = targets(0.0).iter().map(|t| 3.0 * t).collect();
        list[20] = f64::NAN;
        list[70] *= 1.0 + change;
        list
    };
    let power: f64 = ratios(0.0).iter().filter(|t| t.is_finite()).map(|t| t * t).sum();
    let make = |change| MatchRatio::relative("ratio".into(), ratios(change));
    let target = ratios(0.0);
    check("ratio", make, &|i, x, _| {
        if !target[i].is_finite() {
            return (0.0, 0.0);
        }
        let (m, v, of_mean, of_variance) = moments(x, 0.0);
        let ratio = m / v.sqrt();
        // Division and root have three roundings each, the unit of the maps two.
        let delta = ratio * (of_mean / m + 0.5 * of_variance / v + 8.0 * U) + 2.0 * U * target[i];
        let n = MAPS as f64;
        // The factor 1 − m(x − m)/v, its largest value over the maps and its error.
        let pull = x.iter().fold(0.0f64, |most, x| most.max((m * (x - m) / v).abs()));
        let off = pull * (of_mean / m + of_variance / v + 10.0 * U) + m * of_mean / v;
        let residual = ratio - target[i];
        let (value, slope) =
            propagated(0.7 / power, residual, delta, (1.0 + pull) / (n * v.sqrt()));
        let more = 2.0 * (0.7 / power) * residual.abs() / (n * v.sqrt());
        (value, slope + more * (off + (1.0 + pull) * 0.5 * of_variance / v))
    });
}

#[test]
fn variances_agree_with_f64_and_a_wrong_target_does_not() {
    let aims = |change: f64| -> Vec<f64> {
        let mut list: Vec<f64> = targets(0.0).iter().map(|t| 0.02 * t).collect();
        list[70] *= 1.0 + change;
        list
    };
    let count = weights().iter().filter(|w| **w > 0.0).count() as f64;
    let make = |change| MatchVariance::new("variance".into(), aims(change), weights());
    let (aim, weight) = (aims(0.0), weights());
    check("variance", make, &|i, x, _| {
        let (m, v, of_mean, of_variance) = moments(x, x[0]);
        let residual = (v - aim[i]) * weight[i];
        let delta = weight[i] * (of_variance + 2.0 * U * (v + aim[i])) + 4.0 * U * residual.abs();
        let reach = x.iter().fold(0.0f64, |most, x| most.max((x - m).abs()));
        let factor = 2.0 * weight[i] / MAPS as f64;
        let (value, slope) = propagated(0.7 / count, residual, delta, factor * reach);
        // x − m itself is off by the error of the mean and a rounding of x.
        let off = of_mean + 2.0 * U * (reach + (x[0] - m).abs());
        (value, slope + 2.0 * (0.7 / count) * residual.abs() * factor * off)
    });
}

#[test]
fn groups_have_the_bits_that_they_have_alone() {
    let Some(device) = device("groups") else { return };
    let make = |change| graph(MatchMean::new("mean".into(), targets(change), weights(), 140));
    let graphs = [make(0.0), make(0.5), make(-0.3)];
    let x: Vec<f64> = (0..3)
        .flat_map(|i| statistics().into_iter().map(move |x| x + 0.1 * f64::from(i)))
        .collect();
    let x: Vec<f32> = x.into_iter().map(|x| x as f32).collect();
    let mut together = GpuProgram::compile_groups(&graphs, MAPS, device.clone()).unwrap();
    let mut gradient = vec![0.0; x.len()];
    let sum = together.value_and_gradient(&x, &mut gradient).unwrap();
    let mut values = Vec::new();
    for (group, graph) in graphs.iter().enumerate() {
        let range = group * ROWS * MAPS..(group + 1) * ROWS * MAPS;
        let wide: Vec<f64> = x[range.clone()].iter().map(|&x| f64::from(x)).collect();
        let (value, alone) = on_gpu(graph.clone(), &wide, &device);
        values.push(value);
        let together = gradient[range].iter().map(|&g| f64::from(g));
        assert!(together.eq(alone), "group {group}");
    }
    assert_eq!(sum, values.iter().sum::<f64>());
    assert!(values[0] != values[1] && values[1] != values[2], "groups with one loss");
}

/// A term that runs on the CPU alone.
#[derive(Debug)]
struct Lonely;

impl Term for Lonely {
    fn name(&self) -> &str {
        "lonely"
    }
    fn evaluate(&self, _stats: &[Stat<'_>], _gradients: &mut [&mut [f64]]) -> f64 {
        0.0
    }
}

#[test]
fn a_term_without_a_kernel_is_refused_by_name() {
    let Some(device) = device("no term kernel") else { return };
    let refused = GpuProgram::compile(graph(Lonely), MAPS, Purpose::Gradient, device).unwrap_err();
    assert_eq!(refused, GpuError::Term { term: "lonely".into() });
}
