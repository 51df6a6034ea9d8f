//! Vectors of a descent on a device against f64: sums, products, steps along a line.
//!
//! u = 2⁻²⁴, and every operation rounds once; a fused multiply-add may round its product
//! too. n roundings one after the other are at most γ_n = n u/(1 − n u) of what they
//! round (Higham, Accuracy and Stability of Numerical Algorithms, lemma 3.1). What must
//! fail: the least power of two by which one number may be off and be seen.

use super::device;
use super::loss::{ID, emulator, start};
use skyscat_autodiff::{At, GpuPairs, GpuVector, Objective, Pairs, Vector};
use skyscat_gpu::Device;
use skyscat_num::Seed;
use std::sync::Arc;

/// The kernels that are compared here.
pub(super) const KERNELS: &[&str] = &["advance", "combine", "gram", "line"];

const U: f64 = 1.0 / (1 << 24) as f64;

pub(super) fn gamma(roundings: usize) -> f64 {
    let n = roundings as f64 * U;
    n / (1.0 - n)
}

/// Normal numbers that f32 holds.
fn numbers(purpose: &'static str, len: usize) -> Vec<f64> {
    let normals = Seed(6).stream(purpose).index(0, 0).normals(len);
    normals.into_iter().map(|x| f64::from(x as f32)).collect()
}

fn vector(numbers: &[f64], device: &Arc<Device>) -> GpuVector {
    GpuVector::new(device, numbers).unwrap()
}

/// How many numbers are off by more than they may be.
fn off(found: &[f64], exact: &[f64], allowed: &[f64]) -> usize {
    assert_eq!(found.len(), exact.len());
    let pairs = found.iter().zip(exact).zip(allowed);
    // What is no number is not within.
    let within = pairs.filter(|((found, exact), allowed)| (*found - *exact).abs() <= **allowed);
    found.len() - within.count()
}

/// `x` with one number changed by the least power of two that moves the result by more
/// than twice what it may be off: `factor` is what a change of `x` is there.
fn changed(x: &[f64], at: usize, factor: f64, allowed: f64) -> Vec<f64> {
    let steps = (-60..60).map(|k| 2.0f64.powi(k));
    let fits = |step: &f64| {
        let sum = f64::from((x[at] + step) as f32);
        (sum - x[at]).abs() * factor.abs() > 2.0 * allowed
    };
    let least = steps.clone().find(fits).expect("some change is seen");
    assert!(least < 1e-2, "{least} is no small change");
    let mut other = x.to_vec();
    other[at] = f64::from((x[at] + least) as f32);
    other
}

/// Roundings that a product of two vectors passes on its way into the sum, by `gram.wgsl`:
/// its own and those of the fused sums of sixteen; sums of such blocks of an invocation;
/// six levels of the workgroup; sums of parts 64 apart; and six levels of those.
pub(super) fn product_roundings(numbers: usize) -> usize {
    let chunk = numbers.div_ceil(256).next_multiple_of(64).max(1024);
    let parts = numbers.div_ceil(chunk);
    16 + (chunk.div_ceil(1024) - 1) + 6 + (parts.div_ceil(64) - 1) + 6
}

#[test]
fn products_keep_their_bound_and_a_number_that_is_off_is_seen() {
    let Some(device) = device("products") else { return };
    // Less than a workgroup; parts of one block; parts of two blocks, four sums of parts.
    for (length, roundings) in [(37, 28), (5000, 28), (300_000, 32)] {
        assert_eq!(product_roundings(length), roundings);
        let (a, b) = (numbers("one", length), numbers("other", length));
        let (x, y) = (vector(&a, &device), vector(&b, &device));
        let exact = |b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let size: f64 = a.iter().zip(&b).map(|(a, b)| (a * b).abs()).sum();
        let allowed = gamma(roundings) * size;
        let error = (x.dot(&y) - exact(&b)).abs();
        assert!(error <= allowed, "{length}: {error:e} of {allowed:e}");
        assert_eq!(x.dot(&y).to_bits(), y.dot(&x).to_bits(), "whichever comes first");
        // The first number, the last, and one in the middle; far enough from zero.
        for near in [0, length / 3, length - 20] {
            let at = (near..near + 20).max_by(|&i, &j| a[i].abs().total_cmp(&a[j].abs())).unwrap();
            let mut other = b.clone();
            let step = (-30..30).map(|k| 2.0f64.powi(k));
            let step = step.clone().find(|s| s * a[at].abs() > 2.1 * allowed).unwrap();
            other[at] = f64::from((b[at] + step) as f32);
            let error = (x.dot(&vector(&other, &device)) - exact(&b)).abs();
            assert!(error > allowed, "{length}: number {at} off by {step:e} passed");
        }
    }
}

#[test]
fn sums_keep_their_bound_and_a_number_that_is_off_is_seen() {
    let Some(device) = device("sums of vectors") else { return };
    let (x, y) = (numbers("one", 1000), numbers("other", 1000));
    let a = 0.3;
    let sum = |x: &[f64], y: &[f64]| {
        let (x, y) = (vector(x, &device), vector(y, &device));
        let mut sum = x.zeros_like().unwrap();
        sum.set_sum(&x, a, &y);
        sum.numbers().unwrap()
    };
    let exact: Vec<f64> = x.iter().zip(&y).map(|(x, y)| x + a * y).collect();
    // x passes the sum; y its coefficient, rounded to f32, its product, and the sum.
    let allowed: Vec<f64> =
        x.iter().zip(&y).map(|(x, y)| gamma(1) * x.abs() + gamma(3) * (a * y).abs()).collect();
    assert_eq!(off(&sum(&x, &y), &exact, &allowed), 0);
    for at in [0, 500, 999] {
        assert_eq!(off(&sum(&changed(&x, at, 1.0, allowed[at]), &y), &exact, &allowed), 1);
        assert_eq!(off(&sum(&x, &changed(&y, at, a, allowed[at])), &exact, &allowed), 1);
    }
}

#[test]
fn a_step_becomes_a_pair_within_one_rounding() {
    let Some(device) = device("advance") else { return };
    let from = [numbers("x", 1000), numbers("g", 1000)];
    let by = [numbers("s", 1000), numbers("t", 1000)];
    // Curvature: y is s and a little more.
    let by = [by[0].clone(), by[0].iter().zip(&by[1]).map(|(s, t)| s + 0.1 * t).collect()];
    let sum = |i: usize| -> Vec<f64> {
        from[i].iter().zip(&by[i]).map(|(a, b)| f64::from((a + 0.1 * b) as f32)).collect()
    };
    let to: [Vec<f64>; 2] = [sum(0), sum(1)];
    let advance = |to: &[Vec<f64>; 2]| {
        let [mut x, mut g] = from.each_ref().map(|v| vector(v, &device));
        let [mut x1, mut g1] = to.each_ref().map(|v| vector(v, &device));
        let mut pairs = GpuPairs::new(3, &x).unwrap();
        let here = At { x: &mut x, gradient: &mut g };
        pairs.advance(here, At { x: &mut x1, gradient: &mut g1 }).unwrap();
        let (s, y, _) = pairs.save().unwrap().pop().expect("a pair with curvature");
        ([s, y], [x.numbers().unwrap(), g.numbers().unwrap()])
    };
    let (pair, arrived) = advance(&to);
    assert_eq!(arrived, to, "the point and its gradient are copies");
    let difference =
        |i: usize| -> Vec<f64> { to[i].iter().zip(&from[i]).map(|(to, from)| to - from).collect() };
    let exact = [difference(0), difference(1)];
    let allowed = exact.each_ref().map(|list| list.iter().map(|d| U * d.abs()).collect::<Vec<_>>());
    for i in 0..2 {
        assert_eq!(off(&pair[i], &exact[i], &allowed[i]), 0);
        for at in [0, 500, 999] {
            let mut other = to.clone();
            other[i] = changed(&to[i], at, 1.0, allowed[i][at]);
            assert_eq!(off(&advance(&other).0[i], &exact[i], &allowed[i]), 1);
        }
    }
}

#[test]
fn a_point_of_a_line_keeps_its_bound_and_its_gradient_its_bits() {
    let Some(device) = device("lines") else { return };
    // Three maps of four lanes.
    let emulator = emulator(4, 3, 1);
    let mut program = emulator.gpu_program(&[ID], &device).unwrap();
    let x: Vec<f64> = start(&emulator).into_iter().map(f64::from).collect();
    let direction = numbers("direction", x.len());
    let step = 0.01;
    let probe = |x: &[f64], direction: &[f64]| {
        let mut seat = emulator.gpu_program(&[ID], &device).unwrap().seats().pop().unwrap();
        let [x, direction] = [x, direction].map(|v| vector(v, &device));
        let [mut trial, mut gradient] = [x.zeros_like().unwrap(), x.zeros_like().unwrap()];
        let at = At { x: &mut trial, gradient: &mut gradient };
        let (value, slope) = seat.probe(&x, &direction, step, at);
        (trial.numbers().unwrap(), gradient.numbers().unwrap(), value, slope)
    };
    let (trial, gradient, value, slope) = probe(&x, &direction);
    let exact: Vec<f64> = x.iter().zip(&direction).map(|(x, d)| x + step * d).collect();
    // As a sum of two vectors.
    let allowed: Vec<f64> = x
        .iter()
        .zip(&direction)
        .map(|(x, d)| gamma(1) * x.abs() + gamma(3) * (step * d).abs())
        .collect();
    assert_eq!(off(&trial, &exact, &allowed), 0);
    for at in [0, x.len() / 2, x.len() - 1] {
        let other = probe(&changed(&x, at, 1.0, allowed[at]), &direction).0;
        assert_eq!(off(&other, &exact, &allowed), 1, "point {at}");
        let other = probe(&x, &changed(&direction, at, step, allowed[at])).0;
        assert_eq!(off(&other, &exact, &allowed), 1, "direction {at}");
    }
    // The lanes of the program hold that point, and its gradient comes back unchanged.
    let mut bits = vec![0.0; x.len()];
    assert_eq!(program.value_and_gradient(&trial, &mut bits).unwrap(), value);
    assert_eq!(gradient, bits);
    let along = |g: &[f64]| g.iter().zip(&direction).map(|(g, d)| g * d).sum::<f64>();
    let size: f64 = gradient.iter().zip(&direction).map(|(g, d)| (g * d).abs()).sum();
    let allowed = gamma(product_roundings(x.len())) * size;
    assert!((slope - along(&gradient)).abs() <= allowed, "{slope} {}", along(&gradient));
    // The start is another point, with another gradient.
    program.value_and_gradient(&x, &mut bits).unwrap();
    assert_ne!(gradient, bits);
    assert!((slope - along(&bits)).abs() > allowed);
}
