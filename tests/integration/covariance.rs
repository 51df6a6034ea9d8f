//! The covariance operator against its formula, written out from single operators.

use num_complex::Complex64;
use skyscat_autodiff::{Graph, Precision, Program, Purpose, Shape, Stat, Term, check};
use skyscat_healpix::Nside;
use skyscat_num::{Par, Seed};
use skyscat_wavelet::{
    Convolve, Covariance, CovarianceConfig, FilterBank, Frame, KernelSize, Masks, Part, Rotate,
    RotationTable, Stencil, WaveletError, sphere,
};
use std::sync::Arc;

const PIXELS: usize = 192;

fn stencil(orientations: usize) -> Arc<Stencil> {
    let bank = FilterBank { orientations, kernel: KernelSize::Three, frame: Frame::Centre };
    Arc::new(sphere::wavelets(Nside::new(4).unwrap(), &bank).unwrap())
}

fn two_masks() -> Arc<Masks> {
    let half = (0..PIXELS).map(|p| f64::from(u8::from(p % 3 == 0))).collect();
    let graded = (0..PIXELS).map(|p| p as f64 / 7.0).collect();
    Arc::new(Masks::new(&[half, graded]).unwrap())
}

fn turn(orientations: usize) -> Arc<RotationTable> {
    let phases: Vec<f64> =
        (0..PIXELS * orientations).map(|i| (i as f64 * 0.37) % 6.3 - 0.1).collect();
    Arc::new(RotationTable::from_phases(orientations, orientations, &phases))
}

/// A case: two bands, three moduli of which the last may be turned, and pairs of every
/// kind: a band with a modulus both ways round, a modulus with itself and with others.
fn config(r: usize, turned: bool, centred: bool) -> CovarianceConfig {
    use Part::{Band, Modulus};
    CovarianceConfig {
        bands: 2,
        moduli: vec![None, None, turned.then(|| turn(r))],
        pairs: vec![
            (Band(0), Modulus(0)),
            (Band(1), Modulus(2)),
            (Modulus(1), Band(0)),
            (Modulus(0), Modulus(0)),
            (Modulus(0), Modulus(2)),
            (Modulus(2), Modulus(1)),
            (Band(0), Band(1)),
        ],
        centred,
    }
}

fn shapes(r: usize, config: &CovarianceConfig) -> Vec<Shape> {
    let bands = std::iter::repeat_n(Shape::complex(PIXELS, r), config.bands);
    bands.chain(config.moduli.iter().map(|_| Shape::real(PIXELS, r))).collect()
}

/// One channel `(group, member)` of a part at every pixel, for one map.
type Channel = Vec<Complex64>;

/// The parts of every group from operators of their own: `[part][group][member]`.
fn parts(
    r: usize,
    config: &CovarianceConfig,
    x: &[f64],
    maps: usize,
    map: usize,
) -> Vec<Vec<Vec<Channel>>> {
    let mut graph = Graph::new();
    let inputs: Vec<_> = shapes(r, config).iter().map(|&s| graph.input(s)).collect();
    for (i, &input) in inputs.iter().enumerate() {
        let mut node = input;
        if let Some(turn) = i.checked_sub(config.bands).map(|m| &config.moduli[m]) {
            node = graph.apply(Convolve::new(stencil(r)), &[node]).unwrap();
            if let Some(table) = turn {
                node = graph.apply(Rotate::new(table.clone()), &[node]).unwrap();
            }
        }
        graph.output(format!("{i}"), node);
    }
    let par = Par::new(1).unwrap();
    let mut program =
        Program::<f64>::compile(Arc::new(graph), maps, Purpose::Values, &par).unwrap();
    program.evaluate(x);
    (0..inputs.len())
        .map(|i| {
            let (shape, data) = program.output(&format!("{i}")).unwrap();
            let members = shape.channels / r;
            let at = |p: usize, c: usize| {
                let at = (p * shape.channels + c) * 2 * maps + map;
                Complex64::new(data[at], data[at + maps])
            };
            let channel = |c: usize| (0..PIXELS).map(|p| at(p, c)).collect::<Channel>();
            (0..r).map(|g| (0..members).map(|l| channel(g * members + l)).collect()).collect()
        })
        .collect()
}

/// Cov[X, Y] = ⟨X Y*⟩ − ⟨X⟩⟨Y*⟩, literally.
fn covariance(x: &Channel, y: &Channel, weights: &[f64], centred: bool) -> Complex64 {
    let total: f64 = weights.iter().sum();
    let mean = |f: &dyn Fn(usize) -> Complex64| -> Complex64 {
        (0..PIXELS).map(|p| f(p) * weights[p]).sum::<Complex64>() / total
    };
    let product = mean(&|p| x[p] * y[p].conj());
    let means = mean(&|p| x[p]) * mean(&|p| y[p].conj());
    if centred { product - means } else { product }
}

/// How far two roundings of a covariance may be apart: sums of n products and of n
/// values, n ε of what they are without signs; fields themselves are wrong by at most
/// 20 ε of the largest input, as Σ|ψ| = 1 over some ten pixels, and turned after.
fn bound(x: &[Complex64], y: &[Complex64], weights: &[f64], largest: f64) -> f64 {
    let total: f64 = weights.iter().sum();
    let mean = |f: &dyn Fn(usize) -> f64| (0..PIXELS).map(|p| f(p) * weights[p]).sum::<f64>();
    let product = mean(&|p| x[p].norm() * y[p].norm()) / total;
    let (ax, ay) = (mean(&|p| x[p].norm()) / total, mean(&|p| y[p].norm()) / total);
    f64::EPSILON * (PIXELS as f64 * (product + ax * ay) + 2.0 * 20.0 * largest * (ax + ay))
}

/// What the operator gives: `[mask][channel]` of one map, and the pairs' channels.
fn run<T: Precision>(
    r: usize,
    config: &CovarianceConfig,
    masks: Arc<Masks>,
    (x, maps, map): (&[f64], usize, usize),
    threads: usize,
) -> (Vec<Vec<Complex64>>, Vec<std::ops::Range<usize>>) {
    let operator = Covariance::new(stencil(r), masks, config.clone()).unwrap();
    let ranges = (0..config.pairs.len()).map(|i| operator.channels(i)).collect();
    let mut graph = Graph::new();
    let inputs: Vec<_> = shapes(r, config).iter().map(|&s| graph.input(s)).collect();
    let node = graph.apply(operator, &inputs).unwrap();
    graph.output("out", node);
    let par = Par::new(threads).unwrap();
    let mut program = Program::<T>::compile(Arc::new(graph), maps, Purpose::Values, &par).unwrap();
    program.evaluate(&x.iter().map(|&x| T::from_f64(x)).collect::<Vec<T>>());
    let (shape, data) = program.output("out").unwrap();
    let at = |mask: usize, c: usize| {
        let at = (mask * shape.channels + c) * 2 * maps + map;
        Complex64::new(data[at], data[at + maps])
    };
    let rows = (0..shape.rows).map(|m| (0..shape.channels).map(|c| at(m, c)).collect()).collect();
    (rows, ranges)
}

fn noise(r: usize, config: &CovarianceConfig, maps: usize) -> Vec<f64> {
    let len: usize = shapes(r, config).iter().map(Shape::reals).sum();
    let mut x = Seed(4).stream("covariance-test").index(0, 0).normals(len * maps);
    // A mean that is worth taking off.
    x.iter_mut().for_each(|x| *x += 0.5);
    x
}

#[test]
fn covariances_are_the_formula() {
    let half: Vec<f64> = (0..PIXELS).map(|p| f64::from(u8::from(p % 3 == 0))).collect();
    let graded: Vec<f64> = (0..PIXELS).map(|p| p as f64 / 7.0).collect();
    for r in [1, 2, 3, 4, 5, 6, 8] {
        for (turned, centred) in [(false, true), (true, true), (true, false)] {
            let config = config(r, turned, centred);
            let maps = 3;
            let x = noise(r, &config, maps);
            let largest = x.iter().fold(0.0f64, |m, x| m.max(x.abs()));
            let list = parts(r, &config, &x, maps, 2);
            let of = |part: Part| match part {
                Part::Band(i) => &list[i],
                Part::Modulus(i) => &list[config.bands + i],
            };
            let (found, ranges) = run::<f64>(r, &config, two_masks(), (&x, maps, 2), 2);
            for (mask, weights) in [&half, &graded].into_iter().enumerate() {
                for (&(px, py), range) in config.pairs.iter().zip(&ranges) {
                    let mut channel = range.start;
                    for (gx, gy) in of(px).iter().zip(of(py)) {
                        for y in gy {
                            for x in gx {
                                let expected = covariance(x, y, weights, centred);
                                let error = (found[mask][channel] - expected).norm();
                                let bound = bound(x, y, weights, largest);
                                assert!(error <= bound, "R = {r}, {px:?} {py:?}: {error:e}");
                                // Must fail: the other definition, or the next channel.
                                let other = covariance(x, y, weights, !centred);
                                let differs = (found[mask][channel] - other).norm() > bound;
                                // A wavelet's own mean is nearly zero under a smooth mask.
                                assert!(differs, "R = {r}, {px:?} {py:?}: means play no part");
                                channel += 1;
                            }
                        }
                    }
                    assert_eq!(channel, range.end);
                }
            }
        }
    }
}

/// How far two orders of the same sums may be apart: each is wrong by at most (n + 3) ε/2
/// of what it sums without signs, for n additions, a product, a weight and a division.
fn orders_apart(x: &[Complex64], y: &[Complex64], weights: &[f64]) -> f64 {
    let total: f64 = weights.iter().sum();
    let mean = |f: &dyn Fn(usize) -> f64| (0..PIXELS).map(|p| f(p) * weights[p]).sum::<f64>();
    let product = mean(&|p| x[p].norm() * y[p].norm()) / total;
    let (ax, ay) = (mean(&|p| x[p].norm()) / total, mean(&|p| y[p].norm()) / total);
    // A part of a complex product sums two real ones, and the other part as many.
    2.0 * f64::EPSILON * (PIXELS as f64 + 3.0) * (product + 2.0 * ax * ay)
}

#[test]
fn maps_beside_a_map_change_its_covariances_by_the_rounding_of_sums() {
    let (r, maps, map) = (4, 7, 5);
    let config = config(r, true, true);
    let x = noise(r, &config, maps);
    let list = parts(r, &config, &x, maps, map);
    let of = |part: Part| match part {
        Part::Band(i) => &list[i],
        Part::Modulus(i) => &list[config.bands + i],
    };
    let half: Vec<f64> = (0..PIXELS).map(|p| f64::from(u8::from(p % 3 == 0))).collect();
    let graded: Vec<f64> = (0..PIXELS).map(|p| p as f64 / 7.0).collect();
    let of_all = run::<f64>(r, &config, two_masks(), (&x, maps, map), 1);
    // The largest difference in units of its bound, of one map taken out of all.
    let worst = |own: &[f64]| {
        let (found, ranges) = run::<f64>(r, &config, two_masks(), (own, 1, 0), 1);
        let mut worst = 0.0f64;
        for (mask, weights) in [&half, &graded].into_iter().enumerate() {
            for (&(px, py), range) in config.pairs.iter().zip(&ranges) {
                let pairs = of(px).iter().zip(of(py));
                let pairs = pairs.flat_map(|(gx, gy)| {
                    gy.iter().flat_map(move |y| gx.iter().map(move |x| (x, y)))
                });
                for (channel, (x, y)) in range.clone().zip(pairs) {
                    let off = (found[mask][channel] - of_all.0[mask][channel]).norm();
                    worst = worst.max(off / orders_apart(x, y, weights));
                }
            }
        }
        worst
    };
    let mut own: Vec<f64> = x.chunks_exact(maps).map(|maps| maps[map]).collect();
    assert!(worst(&own) <= 1.0, "{} of the bound", worst(&own));
    // Must fail: one number off by a billionth.
    own[1000] *= 1.0 + 1e-9;
    assert!(worst(&own) > 1.0, "{} of the bound", worst(&own));
}

#[test]
fn batches_that_fill_no_whole_register_in_f32_have_the_covariances_of_f64() {
    let (r, config) = (4, config(4, true, true));
    let half: Vec<f64> = (0..PIXELS).map(|p| f64::from(u8::from(p % 3 == 0))).collect();
    let graded: Vec<f64> = (0..PIXELS).map(|p| p as f64 / 7.0).collect();
    // One, two or three of twelve lanes hold no map, or four of sixteen.
    for maps in [9, 10, 11, 13] {
        // Numbers of f32, so that both precisions begin with the same.
        let narrow = |x: f64| f64::from(x as f32);
        let x: Vec<f64> = noise(r, &config, maps).into_iter().map(narrow).collect();
        let largest = x.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        for map in [0, 7, 8, maps - 1] {
            let list = parts(r, &config, &x, maps, map);
            let of = |part: Part| match part {
                Part::Band(i) => &list[i],
                Part::Modulus(i) => &list[config.bands + i],
            };
            let at = |map| (&x[..], maps, map);
            let (found, ranges) = run::<f32>(r, &config, two_masks(), at(map), 2);
            let (wide, _) = run::<f64>(r, &config, two_masks(), at(map), 2);
            let (other, _) = run::<f64>(r, &config, two_masks(), at((map + 1) % maps), 2);
            let mut differ = false;
            for (mask, weights) in [&half, &graded].into_iter().enumerate() {
                for (&(px, py), range) in config.pairs.iter().zip(&ranges) {
                    let pairs = of(px).iter().zip(of(py)).flat_map(|(gx, gy)| {
                        gy.iter().flat_map(move |y| gx.iter().map(move |x| (x, y)))
                    });
                    for (channel, (x, y)) in range.clone().zip(pairs) {
                        let scale = f64::from(f32::EPSILON) / f64::EPSILON;
                        let bound = scale * bound(x, y, weights, largest);
                        let error = (found[mask][channel] - wide[mask][channel]).norm();
                        assert!(error <= bound, "{maps} maps, {px:?} {py:?}: {error:e}");
                        differ |= (found[mask][channel] - other[mask][channel]).norm() > bound;
                    }
                }
            }
            assert!(differ, "the next map would pass");
        }
    }
}

#[test]
fn gradients_agree_with_central_differences() {
    for r in [1, 3, 4, 5, 8] {
        for (turned, centred) in [(false, true), (true, true), (true, false)] {
            for maps in [1, 10] {
                let config = config(r, turned, centred);
                let shapes = shapes(r, &config);
                let operator = Covariance::new(stencil(r), two_masks(), config).unwrap();
                let found = check::pullback(Arc::new(operator), &shapes, maps).unwrap();
                // A quadratic form: Richardson's formula is exact but for rounding.
                assert!(found.relative() <= 1e-8, "R = {r} × {maps}: {found:?}");
            }
        }
    }
}

#[test]
fn moduli_alone_have_gradients_too() {
    let config = CovarianceConfig {
        bands: 0,
        moduli: vec![None; 2],
        pairs: vec![(Part::Modulus(1), Part::Modulus(0))],
        centred: true,
    };
    let operator = Covariance::new(stencil(4), two_masks(), config.clone()).unwrap();
    let found = check::pullback(Arc::new(operator), &shapes(4, &config), 3).unwrap();
    assert!(found.relative() <= 1e-8, "{found:?}");
}

/// ⟨∇f, d⟩ of one operator and the difference of another along d, in units of the size of
/// the first: f is a quadratic form, so that differences are exact but for rounding.
fn mismatch(gradient_of: Covariance, differences_of: Covariance, shapes: &[Shape]) -> f64 {
    let par = Par::new(2).unwrap();
    let compile = |operator: Covariance| {
        let mut graph = Graph::new();
        let inputs: Vec<_> = shapes.iter().map(|&s| graph.input(s)).collect();
        let out = graph.apply(operator, &inputs).unwrap();
        graph.term(Waves, &[out], 1.0);
        Program::<f64>::compile(Arc::new(graph), 2, Purpose::Gradient, &par).unwrap()
    };
    let (mut one, mut other) = (compile(gradient_of), compile(differences_of));
    let normals = |which| Seed(6).stream("mismatch").index(which, 0).normals(one.variables());
    let (x, d) = (normals(0), normals(1));
    let mut g = vec![0.0; x.len()];
    one.value_and_gradient(&x, &mut g);
    let products: Vec<f64> = g.iter().zip(&d).map(|(g, d)| g * d).collect();
    let mut at = |h: f64| {
        let moved: Vec<f64> = x.iter().zip(&d).map(|(x, d)| x + h * d).collect();
        other.value_and_gradient(&moved, &mut g)
    };
    let difference = (at(1.0) - at(-1.0)) / 2.0;
    let size = products.iter().map(|p| p * p).sum::<f64>().sqrt();
    (products.iter().sum::<f64>() - difference).abs() / size
}

/// A sum of all numbers with weights of both signs.
#[derive(Debug)]
struct Waves;

impl Term for Waves {
    fn name(&self) -> &str {
        "waves"
    }
    fn evaluate(&self, stats: &[Stat<'_>], gradients: &mut [&mut [f64]]) -> f64 {
        gradients[0].iter_mut().enumerate().for_each(|(i, g)| *g = (0.3 * i as f64).sin());
        stats[0].data.iter().zip(&*gradients[0]).map(|(s, g)| s * g).sum()
    }
}

#[test]
fn gradients_reach_every_part_of_a_larger_sphere() {
    // At Nside 8 these few channels are summed in more parts than are worked on at once.
    let nside = Nside::new(8).unwrap();
    let stencil = || sphere::wavelets(nside, &FilterBank::campeti2025()).unwrap();
    let config = CovarianceConfig {
        bands: 1,
        moduli: vec![None],
        pairs: vec![(Part::Band(0), Part::Band(0)), (Part::Band(0), Part::Modulus(0))],
        centred: true,
    };
    let shapes = [Shape::complex(768, 4), Shape::real(768, 4)];
    let with = |stencil| {
        let masks = Arc::new(Masks::full(768));
        Covariance::new(Arc::new(stencil), masks, config.clone()).unwrap()
    };
    // Rounding of sums of 768 numbers, of some 6000 variables.
    let bound = 768.0 * f64::EPSILON * 10.0;
    let found = mismatch(with(stencil()), with(stencil()), &shapes);
    assert!(found <= bound, "{found:e}");
    // Must fail: one weight of one pixel off by 1e-4.
    let (whole, mut rows) = (stencil(), Vec::new());
    for row in 0..768 {
        let (columns, weights) = whole.row(row);
        let entries = columns.iter().zip(weights.chunks_exact(8));
        rows.push(entries.map(|(&c, w)| (c, w.to_vec())).collect::<Vec<_>>());
    }
    rows[700][3].1[2] *= 1.0 + 1e-4;
    let found = mismatch(with(Stencil::new(4, &rows)), with(stencil()), &shapes);
    assert!(found > bound, "{found:e}");
}

#[test]
fn bits_do_not_depend_on_threads() {
    let config = config(4, true, true);
    let x = noise(4, &config, 3);
    let one = run::<f64>(4, &config, two_masks(), (&x, 3, 1), 1).0;
    for threads in [2, 7] {
        assert_eq!(run::<f64>(4, &config, two_masks(), (&x, 3, 1), threads).0, one);
    }
    let mut other = x.clone();
    other[7] *= 1.0 + 1e-12;
    assert_ne!(run::<f64>(4, &config, two_masks(), (&other, 3, 1), 1).0, one, "must fail");
}

#[test]
fn pairs_of_nothing_are_refused() {
    let empty = CovarianceConfig { bands: 1, moduli: vec![], pairs: vec![], centred: true };
    let error = Covariance::new(stencil(4), two_masks(), empty.clone()).unwrap_err();
    assert!(matches!(error, WaveletError::Pair { .. }), "{error}");
    let pairs = vec![(Part::Band(0), Part::Modulus(0))];
    let error = Covariance::new(stencil(4), two_masks(), CovarianceConfig { pairs, ..empty });
    assert!(error.unwrap_err().to_string().contains("Modulus(0)"));
    // A joint pullback cannot add to one gradient twice.
    let config = config(4, false, true);
    let operator = Covariance::new(stencil(4), two_masks(), config).unwrap();
    let mut graph = Graph::new();
    let band = graph.input(Shape::complex(PIXELS, 4));
    let modulus = graph.input(Shape::real(PIXELS, 4));
    let error = graph.apply(operator, &[band, band, modulus, modulus, modulus]).unwrap_err();
    assert!(error.to_string().contains("inputs that differ"), "{error}");
}
