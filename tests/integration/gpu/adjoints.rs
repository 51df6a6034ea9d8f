//! ⟨Ax, y⟩ = ⟨x, Aᵀy⟩ of every linear operator, both sides computed on the device in f32.

use super::cases::{cases, normals};
use super::device;
use super::rounding::{Bounded, Tables, bounds};
use super::twins::OPERATORS;
use skyscat_autodiff::Keeps;
use skyscat_autodiff::check::{self, Results, Twin};
use std::collections::BTreeSet;

fn dot(a: &[f32], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * b).sum()
}

/// ⟨Ax, y⟩ − ⟨x, Aᵀy⟩, the products summed in f64; affine shifts are taken off.
fn mismatch(twin: &Twin, found: &Results, shift: &[f64]) -> f64 {
    let output: Vec<f64> = found.output.iter().zip(shift).map(|(a, b)| a - b).collect();
    let back = twin.inputs.iter().zip(&found.gradients).map(|(x, g)| dot(x, g));
    dot(&twin.cotangent, &output) - back.sum::<f64>()
}

/// Σ|y| e + Σ|x| e, with e what the interpreter allows each number if tables are exact:
/// both sides have the same tables. The sums themselves round in f64, n terms by no more
/// than n·2⁻⁵³ of their absolute values.
fn allowed(twin: &Twin) -> f64 {
    let bounds = bounds(twin, Tables::Exact);
    let sum = |x: &[f32], bound: &Bounded| -> f64 {
        let sums = x.len() as f64 * f64::EPSILON / 2.0;
        let term = |(x, (c, e)): (&f32, &(f64, f64))| f64::from(x.abs()) * (e + sums * c.abs());
        x.iter().zip(bound).map(term).sum()
    };
    let back = twin.inputs.iter().zip(&bounds.gradients).map(|(x, b)| sum(x, b));
    sum(&twin.cotangent, &bounds.output) + back.sum::<f64>()
}

/// What the operator makes of zeros: zeros, but for affine ones.
fn shift(twin: &Twin) -> Vec<f64> {
    let mut zeros = twin.clone();
    zeros.inputs.iter_mut().flatten().for_each(|x| *x = 0.0);
    bounds(&zeros, Tables::Exact).output.into_iter().map(|(centre, _)| centre).collect()
}

#[test]
fn linear_operators_are_adjoint_to_their_pullbacks_on_the_device() {
    let Some(device) = device("adjoints") else { return };
    let mut seen = BTreeSet::new();
    for case in cases(4) {
        let x = normals("adjoints", case.graph.variables() * case.maps);
        for mut twin in check::twins(&case.graph, &x, case.maps).unwrap() {
            let name = twin.operator.name();
            if twin.operator.keeps() != Keeps::Nothing || !seen.insert(name) {
                continue;
            }
            // x = Aᵀy: nothing cancels in ⟨x, Aᵀy⟩ = ‖Aᵀy‖².
            for (x, g) in twin.inputs.iter_mut().zip(&twin.exact.gradients) {
                x.iter_mut().zip(g).for_each(|(x, g)| *x = *g as f32);
            }
            let mut found = twin.on_gpu(twin.operator.clone(), &device).unwrap();
            let (shift, allowed) = (shift(&twin), allowed(&twin));
            let difference = mismatch(&twin, &found, &shift).abs();
            assert!(difference <= allowed, "{name}: {difference:e} of {allowed:e}");
            // Must fail: a pullback whose weights are off by 1e-4.
            found.gradients.iter_mut().flatten().for_each(|g| *g *= 1.0 + 1e-4);
            let difference = mismatch(&twin, &found, &shift).abs();
            assert!(difference > allowed, "{name}: {difference:e} passed, {allowed:e}");
        }
    }
    let linear = ["affine", "analysis", "channels", "convolve", "gather", "join", "mean"];
    assert!(linear.iter().all(|name| seen.contains(name)), "{seen:?}");
    let linear = ["real-part", "rotate-orientations", "stack"];
    assert!(linear.iter().all(|name| seen.contains(name)), "{seen:?}");
    assert!(seen.iter().all(|name| OPERATORS.contains(name)), "{seen:?}");
}
