//! A statistic as a graph, a loss over it, and a descent to its minimum.
#![allow(clippy::print_stdout, reason = "an example shows its result")]

use skyscat_autodiff::{
    Affine, Graph, Lbfgs, LbfgsConfig, Program, Purpose, Shape, Stack, Stat, Term, check,
};
use skyscat_num::{Par, Seed};
use std::sync::Arc;

const PIXELS: usize = 48;
const MAPS: usize = 4;

/// Σ over pixels of (mean over maps − target)²: only the mean is asked for.
#[derive(Debug)]
struct MatchMean {
    target: f64,
}

impl Term for MatchMean {
    fn name(&self) -> &str {
        "mean"
    }

    fn evaluate(&self, stats: &[Stat<'_>], gradients: &mut [&mut [f64]]) -> f64 {
        let stat = stats[0];
        let mut total = 0.0;
        let rows = stat.coefficients().zip(gradients[0].chunks_exact_mut(stat.maps));
        for (values, gradient) in rows {
            let residual = values.iter().sum::<f64>() / stat.maps as f64 - self.target;
            total += residual * residual;
            gradient.fill(2.0 * residual / stat.maps as f64);
        }
        total
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Two fields, scaled, side by side in the reverse order of pixels.
    let mut graph = Graph::new();
    let (a, b) = (graph.input(Shape::real(PIXELS, 1)), graph.input(Shape::real(PIXELS, 1)));
    let scaled = graph.apply(Affine::new(vec![2.0; PIXELS], vec![0.5; PIXELS]), &[a])?;
    let both = graph.apply(Stack::new((0..PIXELS as u32).rev().collect()), &[scaled, b])?;
    graph.term(MatchMean { target: 1.0 }, &[both], 1.0);

    let mut program =
        Program::<f64>::compile(Arc::new(graph), MAPS, Purpose::Gradient, &Par::new(2)?)?;
    println!("memory {:?}", program.memory());
    println!("floor  {:?}", program.floor());
    let start = Seed(1).stream("start").index(0, 0).normals(program.variables());
    let found = check::gradient(&mut program, &start, 1e-3);
    println!("gradient against central differences: {:.1e}", found.relative());

    let mut descent = Lbfgs::start(LbfgsConfig::campeti2025(), start, &mut program)?;
    println!("loss at the start {:.3}", descent.value);
    while descent.value > 1e-20 && descent.step(&mut program).is_none() {}
    println!("loss {:.1e} after {} evaluations", descent.value, descent.evaluations);
    Ok(())
}
