//! Graphs that hold every operator: what kernels are compared on.

use skyscat_autodiff::{Affine, Channels, Graph, Join, Shape, Stack};
use skyscat_harmonic::{Analysis, SpectraOperator, SpectrumPower};
use skyscat_healpix::{Nside, ring_to_nest_table, rings};
use skyscat_num::Seed;
use skyscat_scattering::{Config, Normalisation, Scattering, Selection};
use skyscat_wavelet::{
    Convolve, Covariance, CovarianceConfig, Gather, MaskedMean, Masks, Modulus, Part, Rotate,
    RotationTable, Sparse, Stencil,
};
use std::sync::Arc;

pub(crate) fn normals(purpose: &'static str, len: usize) -> Vec<f64> {
    Seed(11).stream(purpose).index(0, 0).normals(len)
}

/// A graph, and for how many maps.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) graph: Graph,
    pub(crate) maps: usize,
}

/// Every operator in the shapes that the product has.
pub(crate) fn cases(nside: usize) -> Vec<Case> {
    let own = Config { normalisation: Normalisation::Own, ..Config::campeti2025() };
    let case = |name, graph, maps| Case { name, graph, maps };
    vec![
        case("own", statistics(nside, own, &[]), 3),
        case("healpixml", statistics(nside, Config::healpixml(), &[]), 2),
        case("masks", statistics(4, own, &masks(12 * 16)), 2),
        case("harmonic", harmonic(nside), 3),
        case("turned", turned(true), 2),
        case("turned, not centred", turned(false), 3),
    ]
}

fn statistics(nside: usize, config: Config, masks: &[Vec<f64>]) -> Graph {
    let nside = Nside::new(nside).unwrap();
    let scattering = Scattering::new(nside, config, masks).unwrap();
    let mut graph = Graph::new();
    let fields: Vec<_> = (0..2).map(|_| graph.input(Shape::real(nside.npix(), 1))).collect();
    let names = ["Q".to_owned(), "U".to_owned()];
    let selection = Selection { autos: vec![0, 1], pairs: vec![(0, 1)] };
    let known = std::collections::BTreeMap::new();
    scattering.describe(&mut graph, &names, &fields, &selection, &known).unwrap();
    graph
}

fn harmonic(nside: usize) -> Graph {
    let nside = Nside::new(nside).unwrap();
    let (pixels, lmax) = (nside.npix(), 3 * nside.get() - 1);
    let mut graph = Graph::new();
    let fields: Vec<_> = (0..3).map(|_| graph.input(Shape::real(pixels, 1))).collect();
    let scale = (0..pixels).map(|i| 1.0 + 0.1 * (i as f64).sin()).collect();
    let t = graph.apply(Affine::new(scale, vec![0.2; pixels]), &fields[..1]).unwrap();
    let order = ring_to_nest_table(nside);
    let t = graph.apply(Stack::new(order.clone()), &[t]).unwrap();
    let p = graph.apply(Stack::new(order), &fields[1..]).unwrap();
    let t = graph.apply(Analysis::new(nside, lmax, 0).unwrap(), &[t]).unwrap();
    let p = graph.apply(Analysis::new(nside, lmax, 2).unwrap(), &[p]).unwrap();
    // One pixel a ring: sums so short that one seed of λ is seen in them.
    let first: Vec<usize> = rings(nside).map(|ring| ring.first).collect();
    let chosen = |p: usize| if first.contains(&p) { 1.0 } else { 0.0 };
    let few = Affine::new((0..pixels).map(chosen).collect(), vec![0.0; pixels]);
    let few = graph.apply(few, &fields[1..2]).unwrap();
    let few = graph.apply(Stack::new((0..pixels as u32).collect()), &[few, few]).unwrap();
    graph.apply(Analysis::new(nside, lmax, 2).unwrap(), &[few]).unwrap();
    for power in [SpectrumPower::One, SpectrumPower::Two, SpectrumPower::SignedRoot] {
        for inputs in [&[t][..], &[p], &[t, p]] {
            graph.apply(SpectraOperator::new(lmax, power), inputs).unwrap();
        }
    }
    graph
}

const PIXELS: usize = 96;
const ORIENTATIONS: usize = 3;

fn stencil() -> Arc<Stencil> {
    let w = normals("weights", PIXELS * 9 * 2 * ORIENTATIONS);
    let entry = |p: usize, k: usize| {
        let w = &w[(p * 9 + k) * 2 * ORIENTATIONS..][..2 * ORIENTATIONS];
        (((p + 7 * k) % PIXELS) as u32, w.to_vec())
    };
    let row = |p| (0..9).map(|k| entry(p, k)).collect();
    let rows: Vec<Vec<(u32, Vec<f64>)>> = (0..PIXELS).map(row).collect();
    Arc::new(Stencil::new(ORIENTATIONS, &rows))
}

/// Two overlapping masks of a few pixels.
fn masks(pixels: usize) -> [Vec<f64>; 2] {
    masks_at(pixels, [0, 6])
}

/// Masks of eight pixels each, from these on.
fn masks_at<const N: usize>(pixels: usize, first: [usize; N]) -> [Vec<f64>; N] {
    first.map(|first| {
        let weight = |p: usize| match (first..first + 8).contains(&p) {
            true => 1.0 + 0.3 * (p as f64).sin(),
            false => 0.0,
        };
        (0..pixels).map(weight).collect()
    })
}

fn turn(groups: usize) -> Arc<RotationTable> {
    let phases: Vec<f64> = normals("phases", PIXELS * groups).iter().map(|x| 2.0 * x).collect();
    Arc::new(RotationTable::from_phases(ORIENTATIONS, groups, &phases))
}

/// Turned bands, and covariances of them and of turned moduli, with masks that overlap,
/// one in the middle, and one at the end.
fn turned(centred: bool) -> Graph {
    let masks = masks_at(PIXELS, [0, 6, PIXELS / 2 - 4, PIXELS - 8]);
    let masks = Arc::new(Masks::new(&masks).unwrap());
    let mut graph = Graph::new();
    let x = graph.input(Shape::real(PIXELS, 1));
    let z = graph.apply(Convolve::new(stencil()), &[x]).unwrap();
    let z = graph.apply(Rotate::new(turn(1)), &[z]).unwrap();
    let m = graph.apply(Modulus::softened(0.1), &[z]).unwrap();
    let n = graph.apply(Modulus::exact(), &[z]).unwrap();
    let o = graph.apply(Modulus::softened(0.2), &[z]).unwrap();
    // One band more than a run copies.
    let others = || graph.apply(Rotate::new(turn(1)), &[z]).unwrap();
    let others: Vec<_> = std::iter::repeat_with(others).take(3).collect();
    let (band, [first, third, second]) = (Part::Band, [0, 1, 2].map(Part::Modulus));
    let own = [(band(0), first), (second, first), (first, first), (third, first)];
    let table = turn(ORIENTATIONS);
    let config = CovarianceConfig {
        bands: 4,
        moduli: vec![Some(table.clone()), Some(table), None],
        pairs: own.into_iter().chain((0..4).map(|i| (band(i), second))).collect(),
        centred,
    };
    let c = Covariance::new(stencil(), masks.clone(), config).unwrap();
    let c = graph.apply(c, &[&[z], &others[..], &[m, o, n]].concat()).unwrap();
    graph.apply(MaskedMean::of_squares(masks.clone()), &[m]).unwrap();
    graph.apply(MaskedMean::of_values(masks), &[z]).unwrap();
    graph.apply(Channels::new(2..7), &[c]).unwrap();
    // As many as a run joins.
    let fields = |i: usize| graph.apply(Channels::new(3 * i..4 * i + 2), &[c]).unwrap();
    let fields: Vec<_> = (0..7).map(fields).collect();
    graph.apply(Join::new((1..8).collect()), &fields).unwrap();
    let matrix: Vec<Vec<(u32, f64)>> =
        (0..24).map(|i| (0..4).map(|k| (4 * i + k, 0.2 + 0.1 * f64::from(k))).collect()).collect();
    graph.apply(Gather::new(Arc::new(Sparse::new(PIXELS, &matrix))), &[z]).unwrap();
    graph
}
