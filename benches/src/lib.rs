//! What benchmarks share: inputs, checks that a result is right, and floors.
//!
//! Every benchmark verifies its result before it is timed and prints a line
//! `floor ID SECONDS KIND` for each measurement that has one; `cargo xtask bench --record`
//! sets them beside what was measured.
#![allow(clippy::print_stdout, reason = "a benchmark reports")]

pub use skyscat::num::Ceilings;

use skyscat::autodiff::{Floor, Program, Stat, Term};
use skyscat::emulator::{Config, Emulator, Precision};
use skyscat::healpix::{MapSet, Nside, Ordering};
use skyscat::num::{Par, Seed};
use std::error::Error;

/// An emulator of as many noise maps (Q, U) as inputs, for batches of `maps`.
///
/// # Errors
/// As [`Emulator::new`].
pub fn emulator(
    nside: Nside,
    inputs: usize,
    config: Config,
    par: &Par,
) -> Result<Emulator, Box<dyn Error>> {
    let pixels = nside.npix();
    let noise = Seed(1).stream("bench").index(0, 0).normals(inputs * 2 * pixels);
    let maps = ndarray::Array3::from_shape_vec((inputs, 2, pixels), noise)?;
    let set = MapSet::new(Ordering::Ring, &["Q", "U"], maps)?;
    Ok(Emulator::new(&set, &[], config, Seed(1), par)?)
}

/// Standard normal variables of a program.
pub fn variables<T: Precision>(program: &Program<T>) -> Vec<T> {
    let normals = Seed(2).stream("x").index(0, 0).normals(program.variables());
    normals.into_iter().map(T::from_f64).collect()
}

/// A small step along −∇ must fall as the gradient says.
///
/// # Panics
/// If it does not, by a fifth.
pub fn check_descent<T: Precision>(program: &mut Program<T>, x: &[T], gradient: &mut [T]) {
    let value = program.value_and_gradient(x, gradient);
    let norm2: f64 = gradient.iter().map(|g| g.to_f64() * g.to_f64()).sum();
    let step = 1e-3 * value / norm2;
    let moved: Vec<T> = x
        .iter()
        .zip(&*gradient)
        .map(|(x, g)| T::from_f64(x.to_f64() - step * g.to_f64()))
        .collect();
    let fall = value - program.value_and_gradient(&moved, gradient);
    assert!((fall / (step * norm2) - 1.0).abs() < 0.2, "fell by {fall}, not {}", step * norm2);
}

/// Euler's theorem: ⟨∇f, x⟩ = f(2x)/2 for a sum of functions that are homogeneous of degree
/// 1 and of degree 2.
///
/// # Panics
/// If it does not hold to 2000 ε of Σ|∇f x|: sums of some thousand numbers.
pub fn check_homogeneous<T: Precision>(program: &mut Program<T>, x: &[T]) {
    let mut gradient = vec![T::default(); x.len()];
    let twice: Vec<T> = x.iter().map(|&x| x + x).collect();
    let half = program.value_and_gradient(&twice, &mut gradient) / 2.0;
    program.value_and_gradient(x, &mut gradient);
    let products = || x.iter().zip(&gradient).map(|(x, g)| x.to_f64() * g.to_f64());
    let (sum, size) = (products().sum::<f64>(), products().map(f64::abs).sum::<f64>());
    let (off, allowed) = ((sum - half).abs(), 2000.0 * T::EPSILON * size);
    assert!(off <= allowed, "⟨∇f, x⟩ is off f(2x)/2 by {off}, allowed are {allowed}");
}

/// Says the floor of a measurement: its arithmetic, and its bytes through memory.
pub fn say_floor<T: Precision>(id: &str, floor: Floor, ceilings: Ceilings) {
    let rate = ceilings.flops_f64 * 8.0 / std::mem::size_of::<T>() as f64;
    say_seconds(id, [floor.flops / rate, floor.bytes / ceilings.bytes]);
}

/// The same, in seconds of each.
pub fn say_seconds(id: &str, [arithmetic, memory]: [f64; 2]) {
    println!("floor {id} {arithmetic:e} arithmetic");
    println!("floor {id} {memory:e} memory");
}

/// Σ w·s of a statistic with fixed weights: a loss that asks for every number.
#[derive(Debug)]
pub struct Weighted;

impl Term for Weighted {
    fn name(&self) -> &str {
        "weighted sum"
    }
    fn evaluate(&self, stats: &[Stat<'_>], gradients: &mut [&mut [f64]]) -> f64 {
        gradients[0].iter_mut().enumerate().for_each(|(i, g)| *g = (i % 7) as f64 - 2.5);
        stats[0].data.iter().zip(&*gradients[0]).map(|(s, g)| s * g).sum()
    }
}
