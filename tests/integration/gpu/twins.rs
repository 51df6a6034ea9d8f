//! Every kernel against its CPU twin in f64, and what must not pass.

use super::device;
use skyscat_autodiff::{
    Affine, Channels, GpuError, GpuProgram, Graph, Operator, Program, Purpose, Shape, Stack, check,
};
use skyscat_gpu::Device;
use skyscat_harmonic::{Analysis, SpectraOperator, SpectrumPower};
use skyscat_healpix::{Nside, ring_to_nest_table};
use skyscat_num::{Par, Seed};
use skyscat_scattering::{Config, Normalisation, Scattering, Selection};
use skyscat_wavelet::{
    Convolve, Covariance, CovarianceConfig, Gather, MaskedMean, Masks, Modulus, Part, Rotate,
    RotationTable, Sparse, Stencil,
};
use std::sync::Arc;

/// Units of ε, times what a sum is before it cancels: several roundings a number, and
/// as many more as the square root of the longest sum, some hundred terms.
const BOUND: f64 = 32.0;

fn normals(purpose: &'static str, len: usize) -> Vec<f64> {
    Seed(11).stream(purpose).index(0, 0).normals(len)
}

/// Fails on an operator whose error is neither below the bound nor what rounding to
/// f32 does on the CPU too: roots of differences have no bound of their own.
fn check_twins(name: &str, graph: &Graph, maps: usize, device: &Arc<Device>) -> Vec<&'static str> {
    let x = normals("twins", graph.variables() * maps);
    let twins = check::twins(graph, &x, maps, device).unwrap();
    for twin in &twins {
        let allowed = BOUND.max(4.0 * twin.mirror);
        assert!(twin.forward <= allowed && twin.pullback <= allowed, "{name}: {twin:?}");
    }
    let mut names: Vec<_> = twins.into_iter().map(|t| t.operator).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn statistics(config: Config) -> Graph {
    let nside = Nside::new(8).unwrap();
    let scattering = Scattering::new(nside, config, &[]).unwrap();
    let mut graph = Graph::new();
    let pixels = nside.npix();
    let fields: Vec<_> = (0..2).map(|_| graph.input(Shape::real(pixels, 1))).collect();
    let names = ["Q".to_owned(), "U".to_owned()];
    let selection = Selection { autos: vec![0, 1], pairs: vec![(0, 1)] };
    scattering
        .describe(&mut graph, &names, &fields, &selection, &std::collections::BTreeMap::new())
        .unwrap();
    graph
}

#[test]
fn scattering_agrees_with_the_cpu() {
    let Some(device) = device("scattering twins") else { return };
    let own = Config { normalisation: Normalisation::Own, ..Config::campeti2025() };
    let mut seen = Vec::new();
    for (name, config) in [("own", own), ("healpixml", Config::healpixml())] {
        seen.extend(check_twins(name, &statistics(config), 3, &device));
    }
    for name in ["convolve", "covariance", "gather", "inverse-root", "mean-square", "normalise"] {
        assert!(seen.contains(&name), "{name} was not compared");
    }
    for name in ["spread", "real-product", "signed-root", "mean", "modulus", "channels"] {
        assert!(seen.contains(&name), "{name} was not compared");
    }
}

#[test]
fn transforms_and_spectra_agree_with_the_cpu() {
    let Some(device) = device("harmonic twins") else { return };
    let nside = Nside::new(8).unwrap();
    let (pixels, lmax) = (nside.npix(), 23);
    let mut graph = Graph::new();
    let fields: Vec<_> = (0..3).map(|_| graph.input(Shape::real(pixels, 1))).collect();
    let scale = (0..pixels).map(|i| 1.0 + 0.1 * (i as f64).sin()).collect();
    let t = graph.apply(Affine::new(scale, vec![0.2; pixels]), &fields[..1]).unwrap();
    let order = ring_to_nest_table(nside);
    let t = graph.apply(Stack::new(order.clone()), &[t]).unwrap();
    let p = graph.apply(Stack::new(order), &fields[1..]).unwrap();
    let t = graph.apply(Analysis::new(nside, lmax, 0).unwrap(), &[t]).unwrap();
    let p = graph.apply(Analysis::new(nside, lmax, 2).unwrap(), &[p]).unwrap();
    for power in [SpectrumPower::One, SpectrumPower::Two, SpectrumPower::SignedRoot] {
        for inputs in [&[t][..], &[p], &[t, p]] {
            graph.apply(SpectraOperator::new(lmax, power), inputs).unwrap();
        }
    }
    let seen = check_twins("harmonic", &graph, 5, &device);
    assert_eq!(seen, ["affine", "analysis", "spectra", "stack"]);
}

const PIXELS: usize = 96;
const ORIENTATIONS: usize = 3;

fn stencil(change: f64) -> Arc<Stencil> {
    let w = normals("weights", PIXELS * 9 * 2 * ORIENTATIONS);
    let rows: Vec<Vec<(u32, Vec<f64>)>> = (0..PIXELS)
        .map(|p| {
            let entry = |k: usize| {
                let mut w = w[(p * 9 + k) * 2 * ORIENTATIONS..][..2 * ORIENTATIONS].to_vec();
                if (p, k) == (5, 3) {
                    w[0] *= 1.0 + change;
                }
                (((p + 7 * k) % PIXELS) as u32, w)
            };
            (0..9).map(entry).collect()
        })
        .collect();
    Arc::new(Stencil::new(ORIENTATIONS, &rows))
}

fn masks(change: f64) -> Arc<Masks> {
    let one = |first: usize| -> Vec<f64> {
        let weight = |p: usize| if (first..first + 8).contains(&p) { 1.0 } else { 0.0 };
        (0..PIXELS).map(weight).collect()
    };
    let mut list = [one(0), one(40)];
    list[1][43] *= 1.0 + change;
    Arc::new(Masks::new(&list).unwrap())
}

fn turn(groups: usize) -> Arc<RotationTable> {
    let phases: Vec<f64> = normals("phases", PIXELS * groups).iter().map(|x| 2.0 * x).collect();
    Arc::new(RotationTable::from_phases(ORIENTATIONS, groups, &phases))
}

/// Turned bands, and covariances of them and of turned moduli, with two masks.
fn turned(masks: Arc<Masks>, centred: bool) -> Graph {
    let mut graph = Graph::new();
    let x = graph.input(Shape::real(PIXELS, 1));
    let z = graph.apply(Convolve::new(stencil(0.0)), &[x]).unwrap();
    let z = graph.apply(Rotate::new(turn(1)), &[z]).unwrap();
    let m = graph.apply(Modulus::softened(0.1), &[z]).unwrap();
    let n = graph.apply(Modulus::exact(), &[z]).unwrap();
    let (band, first, second) = (Part::Band(0), Part::Modulus(0), Part::Modulus(1));
    let config = CovarianceConfig {
        bands: 1,
        moduli: vec![Some(turn(ORIENTATIONS)), None],
        pairs: vec![(band, first), (second, first), (first, first), (band, second)],
        centred,
    };
    let operator = Covariance::new(stencil(0.0), masks.clone(), config).unwrap();
    let c = graph.apply(operator, &[z, m, n]).unwrap();
    graph.apply(MaskedMean::of_squares(masks), &[m]).unwrap();
    graph.apply(Channels::new(2..7), &[c]).unwrap();
    graph
}

#[test]
fn turned_covariances_agree_with_the_cpu() {
    let Some(device) = device("turned twins") else { return };
    for centred in [true, false] {
        let seen = check_twins("turned", &turned(masks(0.0), centred), 6, &device);
        assert!(seen.contains(&"rotate-orientations") && seen.contains(&"covariance"));
    }
}

/// One operator with a functional of its output, named "out", and the functional.
fn alone(operator: Arc<dyn Operator>, shape: Shape, maps: usize) -> (Arc<Graph>, Vec<f64>) {
    let mut graph = Graph::new();
    let x = graph.input(shape);
    let out = graph.apply_shared(operator, &[x]).unwrap();
    let y = normals("functional", graph.shape(out).reals() * maps);
    let y: Vec<f64> = y.into_iter().map(|y| f64::from(y as f32)).collect();
    graph.term(check::Functional(y.clone()), &[out], 1.0);
    graph.output("out", out);
    (Arc::new(graph), y)
}

fn single(purpose: &'static str, len: usize) -> Vec<f32> {
    normals(purpose, len).into_iter().map(|x| x as f32).collect()
}

#[test]
fn linear_kernels_pass_the_adjoint_test_in_f32() {
    let Some(device) = device("adjoints") else { return };
    let nside = Nside::new(4).unwrap();
    let matrix: Vec<Vec<(u32, f64)>> =
        (0..24).map(|i| (0..4).map(|k| (4 * i + k, 0.2 + 0.1 * f64::from(k))).collect()).collect();
    let real = Shape::real(PIXELS, 2);
    let cases: Vec<(Arc<dyn Operator>, Shape)> = vec![
        (Arc::new(Convolve::new(stencil(0.0))), real),
        (Arc::new(Gather::new(Arc::new(Sparse::new(PIXELS, &matrix)))), real),
        (Arc::new(MaskedMean::of_values(masks(0.0))), Shape::complex(PIXELS, 2)),
        (Arc::new(Rotate::new(turn(2))), Shape::complex(PIXELS, 2 * ORIENTATIONS)),
        (Arc::new(Channels::new(1..2)), real),
        (Arc::new(Affine::new(vec![0.3; 2 * PIXELS], vec![0.0; 2 * PIXELS])), real),
        (Arc::new(Analysis::new(nside, 11, 0).unwrap()), Shape::real(nside.npix(), 1)),
        (Arc::new(Analysis::new(nside, 11, 2).unwrap()), Shape::real(nside.npix(), 2)),
    ];
    for (operator, shape) in cases {
        let name = operator.name();
        let (graph, y) = alone(operator, shape, 3);
        let mut gpu = GpuProgram::compile(graph, 3, Purpose::Gradient, device.clone()).unwrap();
        let x = single("adjoint", gpu.variables());
        let mut g = vec![0.0; x.len()];
        gpu.value_and_gradient(&x, &mut g).unwrap();
        let out = gpu.output("out").unwrap().unwrap().1;
        let there: Vec<f64> = out.iter().zip(&y).map(|(a, b)| f64::from(*a) * b).collect();
        let back: Vec<f64> = x.iter().zip(&g).map(|(a, b)| f64::from(*a) * f64::from(*b)).collect();
        let difference = (there.iter().sum::<f64>() - back.iter().sum::<f64>()).abs();
        let scale: f64 = there.iter().chain(&back).map(|p| p.abs()).sum();
        assert!(difference <= 8.0 * f64::from(f32::EPSILON) * scale, "{name}: {difference:e}");
    }
}

/// Outputs of a GPU and of the CPU in f64 for the same operator or two others.
fn outputs(
    on_gpu: Arc<dyn Operator>,
    on_cpu: Arc<dyn Operator>,
    shape: Shape,
    device: &Arc<Device>,
) -> (Vec<f32>, Vec<f32>, Vec<f64>) {
    let maps = 2;
    let x = single("bound", shape.reals() * maps);
    let graph = alone(on_gpu, shape, maps).0;
    let mut gpu = GpuProgram::compile(graph, maps, Purpose::Values, device.clone()).unwrap();
    gpu.evaluate(&x).unwrap();
    let par = Par::new(1).unwrap();
    let graph = alone(on_cpu, shape, maps).0;
    let mut cpu = Program::<f64>::compile(graph, maps, Purpose::Values, &par).unwrap();
    let wide: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
    cpu.evaluate(&wide);
    (x, gpu.output("out").unwrap().unwrap().1, cpu.output("out").unwrap().1)
}

/// Largest error of a convolution in units of kεΣ|wx|, k = terms of the sum.
fn convolution_error(change: f64, device: &Arc<Device>) -> f64 {
    let operator = |change| Arc::new(Convolve::new(stencil(change)));
    let shape = Shape::real(PIXELS, 1);
    let (x, found, expected) = outputs(operator(change), operator(0.0), shape, device);
    let table = stencil(0.0);
    let mut worst = 0.0f64;
    for p in 0..PIXELS {
        let (columns, weights) = table.row(p);
        for (part, map) in (0..2 * ORIENTATIONS).flat_map(|n| [(n, 0), (n, 1)]) {
            let terms = columns.iter().zip(weights.chunks_exact(2 * ORIENTATIONS));
            let sum: f64 =
                terms.map(|(&k, w)| (w[part] * f64::from(x[2 * k as usize + map])).abs()).sum();
            let at = (p * 2 * ORIENTATIONS + part) * 2 + map;
            let bound = columns.len() as f64 * f64::from(f32::EPSILON) * sum;
            worst = worst.max((f64::from(found[at]) - expected[at]).abs() / bound);
        }
    }
    worst
}

#[test]
fn convolution_keeps_its_derived_bound_and_one_weight_off_does_not() {
    let Some(device) = device("derived bound") else { return };
    let good = convolution_error(0.0, &device);
    assert!(good <= 1.0, "{good}");
    let bad = convolution_error(1e-4, &device);
    assert!(bad > 1.0, "a weight off by 1e-4 passed: {bad}");
}

#[test]
fn one_mask_weight_off_is_caught_in_means() {
    let Some(device) = device("must fail") else { return };
    let error = |change| {
        let mean = |change| Arc::new(MaskedMean::of_squares(masks(change)));
        let shape = Shape::real(PIXELS, 1);
        let (_, found, expected) = outputs(mean(change), mean(0.0), shape, &device);
        let pairs = found.iter().zip(&expected);
        pairs.fold(0.0f64, |m, (a, b)| m.max((f64::from(*a) - b).abs() / b))
            / f64::from(f32::EPSILON)
    };
    assert!(error(0.0) <= 8.0, "{}", error(0.0));
    assert!(error(1e-4) > 8.0, "a weight off by 1e-4 passed: {}", error(1e-4));
}

/// An operator that runs on the CPU alone.
#[derive(Debug)]
struct Lonely(Channels);

impl Operator for Lonely {
    fn name(&self) -> &'static str {
        "lonely"
    }
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, skyscat_autodiff::GraphError> {
        self.0.shape(inputs)
    }
    fn keeps(&self) -> skyscat_autodiff::Keeps {
        self.0.keeps()
    }
    fn flops(&self, inputs: &[Shape]) -> f64 {
        self.0.flops(inputs)
    }
    fn cpu(&self) -> &dyn skyscat_autodiff::CpuKernel {
        self.0.cpu()
    }
}

#[test]
fn an_operator_without_a_kernel_is_refused_by_name() {
    let Some(device) = device("no kernel") else { return };
    let (graph, _) = alone(Arc::new(Lonely(Channels::new(0..1))), Shape::real(4, 2), 1);
    let refused = GpuProgram::compile(graph, 1, Purpose::Values, device).unwrap_err();
    assert_eq!(refused, GpuError::Operator { operator: "lonely" });
}
