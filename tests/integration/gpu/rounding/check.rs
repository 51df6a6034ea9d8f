//! The bounds themselves: against f32 arithmetic of the CPU, and against Higham's.

use super::super::cases::normals;
use super::number::{Affine, Number, Rounding, Running};

const UNIT: f64 = 1.0 / (1 << 24) as f64;

/// Σ ab in f32 from left to right, the same in f64, and what is claimed of it.
fn dot(at: usize, terms: usize) -> (f64, f64, Running, f64) {
    let numbers = normals("bounds", 2000 * 2 * 64);
    let numbers: Vec<f32> = numbers[at * 128..][..2 * terms].iter().map(|&x| x as f32).collect();
    let mut rounding = Rounding::SINGLE;
    let (mut single, mut double, mut size) = (0.0f32, 0.0f64, 0.0);
    let mut bounded = Running::new(0.0, 0.0);
    for pair in numbers.chunks_exact(2) {
        let [a, b] = [f64::from(pair[0]), f64::from(pair[1])];
        single += pair[0] * pair[1];
        double += a * b;
        size += (a * b).abs();
        let product = Running::new(a, 0.0).multiply(&Running::new(b, 0.0), &mut rounding);
        bounded = bounded.add(&product, &mut rounding);
    }
    (f64::from(single), double, bounded, size)
}

#[test]
fn bounds_of_sums_hold_and_are_no_larger_than_highams() {
    let mut worst = 0.0f64;
    for (at, terms) in (0..1000).map(|i| (i, 2 + i % 63)) {
        let (single, double, bounded, size) = dot(at, terms);
        let fraction = (single - double).abs() / bounded.error();
        worst = worst.max(fraction);
        assert!(fraction <= 1.0, "{terms} terms: {fraction}");
        // γ_n Σ|ab| of n products added one after the other.
        let n = terms as f64 * UNIT;
        assert!(bounded.error() <= 1.001 * n / (1.0 - n) * size, "{terms} terms");
    }
    // Must fail: a bound for less than half of the roundings.
    assert!(worst > 0.5, "half of the bound would hold: {worst}");
}

#[test]
fn roots_and_quotients_carry_their_operands_errors() {
    let mut worst = 0.0f64;
    for (at, terms) in (0..1000).map(|i| (i, 2 + i % 31)) {
        let mut rounding = Rounding::SINGLE;
        let (single, double, bounded, _) = dot(at, terms);
        let one = Running::new(1.0, 0.0);
        let root = bounded.magnitude().root(&mut rounding);
        let inverse = one.divide(&root, &mut rounding);
        let exact = [double.abs().sqrt(), 1.0 / double.abs().sqrt()];
        let found = [(single as f32).abs().sqrt(), 1.0 / (single as f32).abs().sqrt()];
        for ((exact, found), bound) in exact.iter().zip(found).zip([root, inverse]) {
            let fraction = (f64::from(found) - exact).abs() / bound.error();
            assert!(fraction <= 1.0, "{terms} terms: {fraction}");
            worst = worst.max(fraction);
        }
    }
    // WGSL allows more than a CPU takes: 9 u and 5 u, not 1 u.
    assert!(worst > 0.1, "a tenth of the bound would hold: {worst}");
}

/// x_{k+1} = 2 cos θ x_k − x_{k−1} for 16 steps, in f32 and with its bound.
fn recurrence<N: Number>(cosine: f32) -> (f64, f64, N) {
    let mut rounding = Rounding::SINGLE;
    let theta = f64::from(cosine).acos();
    // Started exactly, and the truth continues from what f32 started with.
    let (x0, x1) = (1.0f32, cosine);
    let (mut single, mut before) = (x1, x0);
    let (mut bounded, mut old) = (N::new(f64::from(x1), 0.0), N::new(1.0, 0.0));
    let factor = N::new(2.0 * f64::from(cosine), 0.0);
    for _ in 0..16 {
        let next = 2.0 * cosine * single - before;
        (before, single) = (single, next);
        let product = factor.multiply(&bounded, &mut rounding);
        let next = product.add(&old.negated(), &mut rounding);
        (old, bounded) = (bounded, next);
    }
    (f64::from(single), (17.0 * theta).cos(), bounded)
}

#[test]
fn signs_of_errors_are_followed_through_recurrences() {
    for at in 1..100 {
        let cosine = (0.03 * f64::from(at)).cos() as f32;
        let (single, exact, affine) = recurrence::<Affine>(cosine);
        let error = (single - exact).abs();
        assert!(error <= affine.error(), "{cosine}: {error:e} of {:e}", affine.error());
        let running = recurrence::<Running>(cosine).2;
        // Without their signs errors grow by 1 + √2 a step where 2 cos θ is near 2.
        if at == 10 {
            assert!(running.error() > 100.0 * affine.error());
        }
    }
}
