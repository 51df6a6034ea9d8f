//! Time of the covariance operator of each scale, single precision, one thread.
//!
//! ```sh
//! cargo run --release -p skyscat-wavelet --example covariance 16 16   # Nside, maps
//! ```
#![allow(clippy::print_stdout, reason = "an example prints")]

use skyscat_autodiff::{Graph, Operator, Precision, Program, Purpose, Shape, Stat, Term};
use skyscat_healpix::Nside;
use skyscat_num::{Par, Seed};
use skyscat_wavelet::{Covariance, CovarianceConfig, FilterBank, Masks, Part, sphere};
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
struct Sum;

impl Term for Sum {
    fn name(&self) -> &str {
        "sum"
    }
    fn evaluate(&self, stats: &[Stat<'_>], gradients: &mut [&mut [f64]]) -> f64 {
        gradients[0].iter_mut().enumerate().for_each(|(i, g)| *g = (0.3 * i as f64).sin());
        stats[0].data.iter().zip(&*gradients[0]).map(|(s, g)| s * g).sum()
    }
}

/// The pairs of two fields with `scales` moduli each, alone and together.
fn pairs(scales: usize) -> Vec<(Part, Part)> {
    use Part::{Band, Modulus};
    let mut list = Vec::new();
    for (a, b) in [(0, 0), (1, 1), (0, 1)] {
        for j2 in 0..scales {
            list.push((Band(a), Modulus(b * scales + j2)));
            if a != b {
                list.push((Band(b), Modulus(a * scales + j2)));
            }
            let x = |j1| Modulus(a * scales + j1);
            list.extend((0..=j2).map(|j1| (x(j1), Modulus(b * scales + j2))));
        }
    }
    list
}

fn time<T: Precision>(nside: usize, maps: usize) -> Result<(), Box<dyn std::error::Error>> {
    let mut total = [Duration::ZERO; 2];
    for scales in 1..=nside.ilog2() as usize {
        let level = Nside::new(nside >> (scales - 1))?;
        let stencil = Arc::new(sphere::wavelets(level, &FilterBank::campeti2025())?);
        let masks = Arc::new(Masks::full(level.npix()));
        let config = CovarianceConfig {
            bands: 2,
            moduli: vec![None; 2 * scales],
            pairs: pairs(scales),
            centred: true,
        };
        let operator = Covariance::new(stencil, masks, config)?;
        let mut graph = Graph::new();
        let mut inputs = vec![graph.input(Shape::complex(level.npix(), 4)); 2];
        inputs[1] = graph.input(Shape::complex(level.npix(), 4));
        inputs.extend((0..2 * scales).map(|_| graph.input(Shape::real(level.npix(), 4))));
        let shapes: Vec<Shape> = inputs.iter().map(|&n| graph.shape(n)).collect();
        let flops = [operator.flops(&shapes), operator.joint_flops(&shapes)];
        let node = graph.apply(operator, &inputs)?;
        graph.term(Sum, &[node], 1.0);
        let par = Par::new(1)?;
        let mut program = Program::<T>::compile(Arc::new(graph), maps, Purpose::Gradient, &par)?;
        let x = Seed(1).stream("x").index(0, 0).normals(program.variables());
        let x: Vec<T> = x.into_iter().map(T::from_f64).collect();
        let mut best = [Duration::MAX; 2];
        for _ in 0..30 {
            for t in program.profile(&x).iter().filter(|t| t.operator == "covariance") {
                let best = &mut best[usize::from(t.backward)];
                *best = t.time.min(*best);
            }
        }
        let rate = |way: usize| flops[way] * maps as f64 / best[way].as_secs_f64() / 1e9;
        println!(
            "{} nside {level}: forward {:.3?} ({:.0} GFLOP/s), back {:.3?} ({:.0} GFLOP/s)",
            T::NAME,
            best[0],
            rate(0),
            best[1],
            rate(1)
        );
        total.iter_mut().zip(best).for_each(|(t, b)| *t += b);
    }
    println!("{}: forward {:.3?}, back {:.3?}", T::NAME, total[0], total[1]);
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).map(|a| a.parse());
    let nside = arguments.next().transpose()?.unwrap_or(16);
    let maps = arguments.next().transpose()?.unwrap_or(16);
    time::<f32>(nside, maps)?;
    time::<f64>(nside, maps)
}
