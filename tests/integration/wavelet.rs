//! Contracts of the wavelet layer: kernels, pyramid, operators.

use ndarray::{Array2, Axis};
use num_complex::Complex64;
use skyscat_autodiff::{Graph, Operator, Program, Purpose, Shape, check};
use skyscat_healpix::{Nside, Ordering, centre_vectors, local_frame, pix2ang};
use skyscat_num::{Par, Seed};
use skyscat_tests::{complexes, reals, relative_error, relative_error_complex, shared_npz};
use skyscat_wavelet::{
    ConjugateProduct, Convolve, FilterBank, Frame, Gather, KernelSize, MaskedMean, Masks, Modulus,
    RealPart, Rotate, RotationTable, SignedRoot, Sparse, Stencil, WaveletError, sphere,
};
use std::collections::{BTreeMap, HashMap};
use std::f64::consts::{FRAC_1_SQRT_2, PI};
use std::sync::Arc;

fn nside(n: usize) -> Nside {
    Nside::new(n).unwrap()
}

/// Entries (row, column) → value of one triplet block of the peer's kernels.
fn triplets(
    npz: &mut ndarray_npy::NpzReader<std::fs::File>,
    name: &str,
) -> HashMap<(usize, u32), f64> {
    let row = reals(npz, &format!("{name}_row"));
    let col = reals(npz, &format!("{name}_col"));
    let val = reals(npz, &format!("{name}_val"));
    row.iter().zip(&col).zip(val).map(|((&r, &c), v)| ((r as usize, c as u32), v)).collect()
}

/// Largest difference of a stencil from the peer's, relative to the largest
/// weight; infinite where the supports differ.
fn stencil_error(stencil: &Stencil, re: &Triplets, im: &Triplets) -> f64 {
    let r = stencil.orientations();
    if stencil.entries() * r != re.len() {
        return f64::INFINITY;
    }
    let peak = re.values().chain(im.values()).fold(0.0f64, |m, v| m.max(v.abs()));
    let mut worst = 0.0f64;
    for pixel in 0..stencil.rows() {
        let (columns, weights) = stencil.row(pixel);
        for (c, w) in columns.iter().zip(weights.chunks_exact(2 * r)) {
            for l in 0..r {
                let key = (r * pixel + l, *c);
                let (Some(a), Some(b)) = (re.get(&key), im.get(&key)) else {
                    return f64::INFINITY;
                };
                worst = worst.max((w[2 * l] - a).abs()).max((w[2 * l + 1] - b).abs());
            }
        }
    }
    worst / peak
}

type Triplets = HashMap<(usize, u32), f64>;

fn sparse_error(matrix: &Sparse, peer: &Triplets) -> f64 {
    if matrix.entries() != peer.len() {
        return f64::INFINITY;
    }
    let mut worst = 0.0f64;
    for row in 0..matrix.rows() {
        let (columns, weights) = matrix.row(row);
        for (c, w) in columns.iter().zip(weights) {
            let Some(v) = peer.get(&(row, *c)) else { return f64::INFINITY };
            worst = worst.max((w - v).abs());
        }
    }
    worst / peer.values().fold(0.0f64, |m, v| m.max(v.abs()))
}

#[test]
fn kernels_are_the_peers_to_1e_12() {
    for (file, kernel, levels) in [
        ("fixtures/healpixml/kernels_k3.npz", KernelSize::Three, vec![2, 4, 8, 16]),
        ("fixtures/healpixml/kernels_k5.npz", KernelSize::Five, vec![2, 4]),
    ] {
        let Some(mut npz) = shared_npz("kernels", file) else { return };
        for n in levels {
            let bank = FilterBank { kernel, ..FilterBank::healpixml() };
            let stencil = sphere::wavelets(nside(n), &bank).unwrap();
            let mut re = triplets(&mut npz, &format!("re_{n}"));
            let im = triplets(&mut npz, &format!("im_{n}"));
            let error = stencil_error(&stencil, &re, &im);
            assert!(error <= 1e-12, "wavelets {kernel:?} at nside {n}: {error:e}");
            let smooth = triplets(&mut npz, &format!("smooth_{n}"));
            let error = sparse_error(&sphere::smoothing(nside(n), kernel), &smooth);
            assert!(error <= 1e-12, "smoothing {kernel:?} at nside {n}: {error:e}");
            // Must fail: one weight off by 1e-10 of the peak.
            let key = *re.keys().min().unwrap();
            *re.get_mut(&key).unwrap() += 1e-10;
            assert!(stencil_error(&stencil, &re, &im) > 1e-12);
            let other = FilterBank { frame: Frame::Centre, ..bank };
            let other = sphere::wavelets(nside(n), &other).unwrap();
            re.insert(key, re[&key] - 1e-10);
            assert!(stencil_error(&other, &re, &im) > 1e-6, "the frames differ at the equator");
        }
    }
}

/// Weights of one pixel by the letter of Appendix A.1, with no symmetry used.
fn literal_row(nside: Nside, bank: &FilterBank, pixel: usize) -> BTreeMap<(usize, u32), Complex64> {
    let vectors = centre_vectors(nside, Ordering::Nest);
    let frame = local_frame(nside, Ordering::Nest, pixel);
    let (_, phi) = pix2ang(nside, Ordering::Nest, pixel);
    let n = nside.get() as f64;
    let (p, p2, least) = match bank.kernel {
        KernelSize::Three => (FRAC_1_SQRT_2, 1.0, 1e-3),
        _ => (0.5, 0.5, 2e-4),
    };
    let dot = |a: [f64; 3], b: [f64; 3]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    let mut row = BTreeMap::new();
    for l in 0..bank.orientations {
        let base = l as f64 * PI / bank.orientations as f64;
        let beta = match bank.frame {
            Frame::Meridian => base,
            _ if frame.r[2] >= -1e-15 => base - phi,
            _ => base - (PI - phi),
        };
        let mut weights = Vec::new();
        for (k, v) in vectors.iter().enumerate() {
            let (x, y, z) = (dot(*v, frame.e_theta), dot(*v, frame.e_phi), dot(*v, frame.r));
            let g = (-p2 * n * n * (x * x + y * y + (z - 1.0).powi(2))).exp();
            if g * g > least {
                let phase = PI * p * n * (y * beta.cos() - x * beta.sin());
                weights.push((k as u32, Complex64::from_polar(g, phase)));
            }
        }
        let mean = weights.iter().map(|w| w.1).sum::<Complex64>() / weights.len() as f64;
        let norm: f64 = weights.iter().map(|w| (w.1 - mean).norm()).sum();
        row.extend(weights.into_iter().map(|(k, w)| ((l, k), (w - mean) / norm)));
    }
    row
}

/// Largest difference of a stencil from the literal formula.
fn literal_error(stencil: &Stencil, bank: &FilterBank, nside: Nside) -> f64 {
    let r = bank.orientations;
    let mut worst = 0.0f64;
    for pixel in 0..nside.npix() {
        let expected = literal_row(nside, bank, pixel);
        let (columns, weights) = stencil.row(pixel);
        assert_eq!(expected.len(), columns.len() * r, "the support of pixel {pixel}");
        for (c, w) in columns.iter().zip(weights.chunks_exact(2 * r)) {
            for (l, w) in w.chunks_exact(2).enumerate() {
                worst = worst.max((expected[&(l, *c)] - Complex64::new(w[0], w[1])).norm());
            }
        }
    }
    worst
}

#[test]
fn shared_weights_are_those_of_every_pixel() {
    for (n, orientations, kernel) in [
        (1, 4, KernelSize::Three),
        (2, 4, KernelSize::Five),
        (8, 4, KernelSize::Three),
        (4, 6, KernelSize::Three),
        (4, 2, KernelSize::Three),
        (4, 5, KernelSize::Three),
    ] {
        // A phase is below 6 and turns with an angle that is rounded to 2π ε: 38 ε; the
        // coordinates in it are rounded to some 2 ε and count πpn times: 9 n ε. A weight is
        // below 1, less a mean of such, over a norm above 1.
        let bound = 2.0 * (38.0 + 9.0 * n as f64) * f64::EPSILON;
        for frame in [Frame::Centre, Frame::Meridian] {
            let bank = FilterBank { kernel, orientations, frame };
            let stencil = sphere::wavelets(nside(n), &bank).unwrap();
            let error = literal_error(&stencil, &bank, nside(n));
            assert!(error <= bound, "{bank:?} at nside {n}: {error:e}");
            let even = orientations % 2 == 0;
            let whole = stencil.entries() / stencil.stored_entries();
            assert_eq!(whole, if even || frame == Frame::Meridian { 4 } else { 1 });
        }
        // Must fail: the other frame, whose orientations turn otherwise.
        let bank = FilterBank { kernel, orientations, frame: Frame::Centre };
        let stencil = sphere::wavelets(nside(n), &bank).unwrap();
        let other = FilterBank { frame: Frame::Meridian, ..bank };
        assert!(literal_error(&stencil, &other, nside(n)) > 1e-3);
    }
}

/// Runs a chain of operators on maps `[map][row][width]`; returns the same order.
fn run(x: &Array2<f64>, channels: usize, chain: Vec<Arc<dyn Operator>>) -> Vec<f64> {
    let maps = x.nrows();
    let mut graph = Graph::new();
    let mut node = graph.input(Shape::real(x.ncols() / channels, channels));
    for operator in chain {
        node = graph.apply_shared(operator, &[node]).unwrap();
    }
    graph.output("out", node);
    let par = Par::new(2).unwrap();
    let mut program =
        Program::<f64>::compile(Arc::new(graph), maps, Purpose::Values, &par).unwrap();
    let variables: Vec<f64> = x.t().iter().copied().collect();
    program.evaluate(&variables);
    let (shape, out) = program.output("out").unwrap();
    (0..maps)
        .flat_map(|m| (0..shape.reals()).map(move |i| (m, i)))
        .map(|(m, i)| out[i * maps + m])
        .collect()
}

fn to_complex(parts: &[f64]) -> Vec<Complex64> {
    parts.chunks_exact(2).map(|z| Complex64::new(z[0], z[1])).collect()
}

fn convolve(n: usize) -> Arc<dyn Operator> {
    let stencil = sphere::wavelets(nside(n), &FilterBank::healpixml()).unwrap();
    Arc::new(Convolve::new(Arc::new(stencil)))
}

fn gather(matrix: Sparse) -> Arc<dyn Operator> {
    Arc::new(Gather::new(Arc::new(matrix)))
}

#[test]
fn operators_are_the_peers_to_1e_12() {
    let Some(mut npz) = shared_npz("operators", "fixtures/healpixml/ops_k3.npz") else { return };
    let x = Array2::from_shape_vec((2, 3072), reals(&mut npz, "x")).unwrap();
    let smoothing = || sphere::smoothing(nside(16), KernelSize::Three);
    let ud2 = run(&x, 1, vec![gather(sphere::degrading(nside(16)).unwrap())]);
    assert!(relative_error(&ud2, &reals(&mut npz, "ud2")) <= 1e-12);
    let up = run(&x, 1, vec![gather(sphere::upgrading(nside(16), 1).unwrap())]);
    assert!(relative_error(&up, &reals(&mut npz, "up32")) <= 1e-12);
    let smooth = run(&x, 1, vec![gather(smoothing())]);
    assert!(relative_error(&smooth, &reals(&mut npz, "smooth")) <= 1e-12);
    assert!(relative_error(&ud2, &smooth[..ud2.len()]) > 1e-3, "must fail");

    let once = to_complex(&run(&x, 1, vec![convolve(16)]));
    assert!(relative_error_complex(&once, &complexes(&mut npz, "convol")) <= 1e-12);
    let modulus: Vec<Arc<dyn Operator>> =
        vec![convolve(16), Arc::new(Modulus::exact()), gather(smoothing())];
    let smooth4 = run(&x, 1, modulus);
    assert!(relative_error(&smooth4, &reals(&mut npz, "smooth4")) <= 1e-12);

    // The peer convolves complex fields: real and imaginary parts on their own.
    let fields = |part: fn(&Complex64) -> f64| {
        Array2::from_shape_vec((2, 3072 * 4), once.iter().map(part).collect()).unwrap()
    };
    let re = to_complex(&run(&fields(|z| z.re), 4, vec![convolve(16)]));
    let im = to_complex(&run(&fields(|z| z.im), 4, vec![convolve(16)]));
    let twice: Vec<Complex64> =
        re.iter().zip(&im).map(|(re, im)| re + Complex64::i() * im).collect();
    assert!(relative_error_complex(&twice, &complexes(&mut npz, "convol2")) <= 1e-12);
}

fn linear_operators() -> Vec<(Arc<dyn Operator>, Vec<Shape>)> {
    let mut list: Vec<(Arc<dyn Operator>, Vec<Shape>)> = Vec::new();
    for (r, kernel) in [(1, 3), (2, 5), (3, 3), (4, 7), (5, 3), (6, 3), (4, 3)] {
        let kernel = KernelSize::from_side(kernel).unwrap();
        let bank = FilterBank { orientations: r, kernel, frame: Frame::Centre };
        let stencil = Arc::new(sphere::wavelets(nside(4), &bank).unwrap());
        for c in [1, 3, 4] {
            list.push((Arc::new(Convolve::new(stencil.clone())), vec![Shape::real(192, c)]));
        }
    }
    let matrices = [
        sphere::smoothing(nside(4), KernelSize::Three),
        sphere::degrading(nside(4)).unwrap(),
        sphere::degrading(nside(4)).unwrap().after(&sphere::smoothing(nside(4), KernelSize::Five)),
        sphere::upgrading(nside(4), 1).unwrap(),
    ];
    for matrix in matrices.map(Arc::new) {
        list.push((Arc::new(Gather::new(matrix.clone())), vec![Shape::real(192, 3)]));
        list.push((Arc::new(Gather::new(matrix)), vec![Shape::complex(192, 4)]));
    }
    let masks = Arc::new(masks(192));
    list.push((Arc::new(MaskedMean::of_values(masks)), vec![Shape::complex(192, 3)]));
    for (r, groups) in [(4, 1), (4, 4), (3, 2), (1, 1)] {
        let phases: Vec<f64> = (0..192 * groups).map(|i| (i as f64 * 0.37) % 6.3 - 0.1).collect();
        let table = Arc::new(RotationTable::from_phases(r, groups, &phases));
        let shape = Shape::complex(192, r * groups);
        list.push((Arc::new(Rotate::new(table)), vec![shape]));
    }
    list.push((Arc::new(RealPart), vec![Shape::complex(192, 3)]));
    list
}

fn masks(pixels: usize) -> Masks {
    let half = (0..pixels).map(|p| f64::from(u8::from(p % 3 == 0))).collect();
    let graded = (0..pixels).map(|p| p as f64 / 7.0).collect();
    Masks::new(&[half, graded]).unwrap()
}

/// The maps from `first` on.
fn some_maps(x: &Array2<f64>, first: usize, maps: usize) -> Array2<f64> {
    x.select(Axis(0), &(first..first + maps).collect::<Vec<_>>())
}

#[test]
fn a_map_has_the_same_bands_and_moduli_alone_and_among_any_number() {
    same_alone(|| vec![convolve(4)]);
    same_alone(|| vec![convolve(4), Arc::new(Modulus::exact())]);
}

/// A map has the same bits alone and among up to 26.
fn same_alone(chain: impl Fn() -> Vec<Arc<dyn Operator>>) {
    let pixels = 192;
    let x = Seed(5).stream("bands").index(0, 0).normals(26 * pixels);
    let x = Array2::from_shape_vec((26, pixels), x).unwrap();
    let bands = |x: &Array2<f64>| run(x, 1, chain());
    let alone: Vec<f64> = (0..26).flat_map(|map| bands(&some_maps(&x, map, 1))).collect();
    let each = alone.len() / 26;
    for maps in 2..=26 {
        assert_eq!(bands(&some_maps(&x, 0, maps)), alone[..maps * each], "{maps} maps");
        // Must fail: the maps one further.
        if maps < 26 {
            assert_ne!(bands(&some_maps(&x, 1, maps)), alone[..maps * each], "{maps} maps");
        }
    }
}

#[test]
fn every_linear_operator_has_its_adjoint() {
    for (operator, shapes) in linear_operators() {
        // From 14 on a row is several blocks of registers, of which the last overlap.
        for maps in [1, 3, 10, 14, 18, 26] {
            let found = check::adjoint(operator.clone(), &shapes, maps).unwrap();
            let name = operator.name();
            assert!(found.relative() <= 1e-13, "{name} {shapes:?} × {maps}: {found:?}");
        }
    }
}

#[test]
fn every_pullback_agrees_with_central_differences() {
    let masks = Arc::new(masks(48));
    let list: Vec<(Arc<dyn Operator>, Vec<Shape>)> = vec![
        (Arc::new(Modulus::exact()), vec![Shape::complex(48, 3)]),
        (Arc::new(Modulus::softened(0.3)), vec![Shape::complex(48, 3)]),
        (Arc::new(ConjugateProduct), vec![Shape::complex(48, 2); 2]),
        (Arc::new(MaskedMean::of_squares(masks.clone())), vec![Shape::real(48, 3)]),
    ];
    for (operator, shapes) in list {
        // Registers of a row overlap from 3 maps on. Among those of 26 one modulus is so
        // near 0 that the step leads past the kink.
        for maps in [1, 3, 10, 14, 18] {
            let found = check::pullback(operator.clone(), &shapes, maps).unwrap();
            let name = operator.name();
            assert!(found.relative() <= 1e-7, "{name} {shapes:?} × {maps}: {found:?}");
        }
    }
    // The root is not smooth at zero: its own step, on values away from it.
    let found = check::pullback(Arc::new(SignedRoot), &[Shape::complex(3, 1)], 2).unwrap();
    assert!(found.relative() <= 1e-6, "{found:?}");
}

#[test]
fn bad_tables_are_refused() {
    let bank = FilterBank { orientations: 3, ..FilterBank::healpixml() };
    let error = sphere::wavelets(nside(4), &bank).unwrap_err();
    assert!(matches!(error, WaveletError::Orientations { given: 3, .. }), "{error}");
    let none = FilterBank { orientations: 0, ..FilterBank::campeti2025() };
    assert!(sphere::wavelets(nside(4), &none).is_err());
    assert!(matches!(KernelSize::from_side(4), Err(WaveletError::KernelSize { given: 4 })));
    for bad in [vec![], vec![vec![0.0; 12]], vec![vec![-1.0; 12]], vec![vec![f64::NAN; 12]]] {
        assert!(matches!(Masks::new(&bad), Err(WaveletError::Mask { .. })));
    }
}

#[test]
fn single_precision_agrees_within_its_rounding() {
    let (r, c) = (4, 4);
    let stencil = sphere::wavelets(nside(8), &FilterBank::campeti2025()).unwrap();
    let longest = (0..768).map(|p| stencil.row(p).0.len()).max().unwrap();
    let stencil = Arc::new(stencil);
    let mut graph = Graph::new();
    let x = graph.input(Shape::real(768, c));
    let z = graph.apply(Convolve::new(stencil.clone()), &[x]).unwrap();
    graph.output("z", z);
    let graph = Arc::new(graph);
    let par = Par::new(1).unwrap();
    let values = skyscat_num::Seed(5).stream("test").index(0, 0).normals(768 * c * 3);
    let single: Vec<f32> = values.iter().map(|&v| v as f32).collect();
    let rounded: Vec<f64> = single.iter().map(|&v| f64::from(v)).collect();
    let mut double = Program::<f64>::compile(graph.clone(), 3, Purpose::Values, &par).unwrap();
    double.evaluate(&rounded);
    let truth = double.output("z").unwrap().1;
    let mut program = Program::<f32>::compile(graph, 3, Purpose::Values, &par).unwrap();
    program.evaluate(&single);
    let found = program.output("z").unwrap().1;
    // |Δ| ≤ (k + 1) ε Σ|w x| for a sum of k products of rounded weights.
    let worst = found.iter().zip(&truth).enumerate().map(|(i, (a, b))| {
        let (map, channel, pixel) = (i % 3, i / 6 % (r * c), i / (6 * r * c));
        let (columns, weights) = stencil.row(pixel);
        let (l, input) = (channel / c, channel % c);
        let size: f64 = columns
            .iter()
            .zip(weights.chunks_exact(2 * r))
            .map(|(&k, w)| {
                let x = rounded[(k as usize * c + input) * 3 + map];
                (w[2 * l + i / 3 % 2] * x).abs()
            })
            .sum();
        let bound = (longest as f64 + 1.0) * f64::from(f32::EPSILON) / 2.0 * size;
        (a - b).abs() / bound
    });
    let worst = worst.fold(0.0, f64::max);
    assert!(worst < 1.0, "{worst} of the bound");
    assert!(worst > 1e-3, "a bound that is never approached says nothing: {worst}");
}
