//! Each operator of a loss by itself, forward and with its pullback, at Nside 16 with
//! ten maps, on one thread.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use criterion::{Criterion, criterion_group, criterion_main};
use skyscat::autodiff::{Affine, Floor, Graph, Operator, Program, Purpose, Shape};
use skyscat::emulator::Precision;
use skyscat::harmonic::{Analysis, SpectraOperator, SpectrumPower};
use skyscat::healpix::Nside;
use skyscat::num::Par;
use skyscat::wavelet::{
    ConjugateProduct, Convolve, Covariance, CovarianceConfig, FilterBank, Gather, KernelSize,
    MaskedMean, Masks, Modulus, Part, sphere,
};
use skyscat_benches::{Ceilings, Weighted, check_homogeneous, say_floor, variables};
use std::sync::Arc;

const MAPS: usize = 10;

/// An operator, and what it takes: homogeneous of degree 1 or 2, or a sum of such.
struct Case {
    name: String,
    operator: Arc<dyn Operator>,
    inputs: Vec<Shape>,
}

fn graph(case: &Case) -> Arc<Graph> {
    let mut graph = Graph::new();
    let inputs: Vec<_> = case.inputs.iter().map(|&shape| graph.input(shape)).collect();
    let out = graph.apply_shared(case.operator.clone(), &inputs).expect("shapes fit");
    graph.output("out", out);
    graph.term(Weighted, &[out], 1.0);
    Arc::new(graph)
}

fn time<T: Precision>(c: &mut Criterion, case: &Case, par: &Par, ceilings: Ceilings) {
    let compile = |purpose| {
        Program::<T>::compile(graph(case), MAPS, purpose, par).expect("the graph compiles")
    };
    let (mut values, mut both) = (compile(Purpose::Values), compile(Purpose::Gradient));
    let x = variables(&both);
    check_homogeneous(&mut both, &x);
    let mut gradient = vec![T::default(); x.len()];
    let id = |way: &str| format!("{}/{way}/{}", case.name, T::NAME);
    let forward: Floor = values.floor();
    say_floor::<T>(&id("forward"), forward, ceilings);
    c.bench_function(&id("forward"), |b| b.iter(|| values.evaluate(&x)));
    say_floor::<T>(&id("gradient"), both.floor(), ceilings);
    c.bench_function(&id("gradient"), |b| {
        b.iter(|| both.value_and_gradient(&x, &mut gradient));
    });
}

/// All pairs of two fields with `scales` moduli each, alone and together.
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

fn covariances(nside: Nside) -> impl Iterator<Item = Case> {
    (1..=nside.get().ilog2() as usize).map(move |scales| {
        let level = Nside::new(nside.get() >> (scales - 1)).expect("a power of two");
        let stencil = sphere::wavelets(level, &FilterBank::campeti2025()).expect("a known bank");
        let masks = Arc::new(Masks::full(level.npix()));
        let config = CovarianceConfig {
            bands: 2,
            moduli: vec![None; 2 * scales],
            pairs: pairs(scales),
            centred: true,
        };
        let bands = std::iter::repeat_n(Shape::complex(level.npix(), 4), 2);
        let moduli = std::iter::repeat_n(Shape::real(level.npix(), 4), 2 * scales);
        let operator = Covariance::new(Arc::new(stencil), masks, config).expect("pairs of inputs");
        Case {
            name: format!("covariance/scale{scales}"),
            operator: Arc::new(operator),
            inputs: bands.chain(moduli).collect(),
        }
    })
}

fn cases() -> Vec<Case> {
    let nside = Nside::new(16).expect("a power of two");
    let (pixels, lmax) = (nside.npix(), 47);
    let stencil = Arc::new(sphere::wavelets(nside, &FilterBank::campeti2025()).expect("known"));
    let masks = Arc::new(Masks::full(pixels));
    let down = sphere::degrading(nside).expect("a coarser one");
    let down = Arc::new(down.after(&sphere::smoothing(nside, KernelSize::Three)));
    let analysis = Analysis::new(nside, lmax, 2).expect("a full sky");
    let alm = Shape::complex((lmax + 1) * (lmax + 2) / 2, 2);
    let (real, complex) = (Shape::real(pixels, 1), Shape::complex(pixels, 4));
    let moduli = Shape::real(pixels, 4);
    let case = |name: &str, operator: Arc<dyn Operator>, inputs: Vec<Shape>| Case {
        name: name.to_owned(),
        operator,
        inputs,
    };
    let shift = Affine::new(vec![1.5; pixels], vec![0.0; pixels]);
    let mut list = vec![
        case("affine", Arc::new(shift), vec![real]),
        case("convolve", Arc::new(Convolve::new(stencil)), vec![real]),
        case("gather", Arc::new(Gather::new(down)), vec![moduli]),
        case("modulus", Arc::new(Modulus::exact()), vec![complex]),
        case("conjugate-product", Arc::new(ConjugateProduct), vec![complex; 2]),
        case("mean-square", Arc::new(MaskedMean::of_squares(masks.clone())), vec![moduli]),
        case("mean", Arc::new(MaskedMean::of_values(masks)), vec![complex]),
        case("analysis", Arc::new(analysis), vec![Shape::real(pixels, 2)]),
    ];
    for (name, power) in [("spectra/p1", SpectrumPower::One), ("spectra/p2", SpectrumPower::Two)] {
        let spectra = SpectraOperator::new(lmax, power);
        list.push(case(name, Arc::new(spectra), vec![alm]));
    }
    list.extend(covariances(nside));
    list
}

fn benches(c: &mut Criterion) {
    let par = Par::new(1).expect("one thread");
    let ceilings = Ceilings::measure(1);
    for case in cases() {
        time::<f64>(c, &case, &par, ceilings);
        time::<f32>(c, &case, &par, ceilings);
    }
}

criterion_group! {
    name = all;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1));
    targets = benches
}
criterion_main!(all);
