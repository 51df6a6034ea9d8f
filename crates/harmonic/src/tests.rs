//! Transforms against the literal reference, their adjoints, and their precisions.

use crate::*;
use num_complex::Complex64;
use skyscat_healpix::Nside;

/// A small deterministic stream of numbers in (−1, 1).
struct Stream(u64);

impl Stream {
    fn next(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }

    fn fill(&mut self, len: usize) -> Vec<f64> {
        (0..len).map(|_| self.next()).collect()
    }
}

fn peak(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |peak: f64, v| peak.max(v.abs()))
}

fn worst(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |worst: f64, (a, b)| worst.max((a - b).abs()))
}

fn plan(nside: usize, lmax: usize, mmax: usize, spin: usize, engine: Engine) -> Plan<f64> {
    let config = Config { mmax, engine, ..Config::full(Nside::new(nside).unwrap(), lmax, spin) };
    Plan::with_config(config).unwrap()
}

/// ⟨a, b⟩ = Σ_{m=0} ab + 2 Re Σ_{m>0} ab*, of one map of the batch.
fn inner(plan: &Plan<f64>, a: &[f64], b: &[f64], batch: usize, map: usize) -> f64 {
    let row = plan.components() * 2 * batch;
    plan.modes()
        .iter()
        .map(|(i, _, m)| {
            let parts = (0..2 * plan.components()).map(|part| i * row + part * batch + map);
            let sum: f64 = parts.map(|at| a[at] * b[at]).sum();
            if m == 0 { sum } else { 2.0 * sum }
        })
        .sum()
}

fn scalar_reference(plan: &Plan<f64>, alm: &ndarray::Array2<Complex64>) -> Vec<f64> {
    let (nside, modes) = (plan.config().nside, plan.modes());
    if plan.config().spin == 0 {
        return reference::synthesis_scalar(nside, modes, &alm.row(0).to_vec());
    }
    let (e, b) = (alm.row(0).to_vec(), alm.row(1).to_vec());
    let field = reference::synthesis_spin(nside, modes, plan.config().spin, &e, &b);
    let (q, u): (Vec<_>, Vec<_>) = field.iter().map(|f| (f.re, f.im)).unzip();
    [q, u].concat()
}

#[test]
fn synthesis_matches_the_reference() {
    let small = [(1, 7, 7), (2, 0, 0), (2, 1, 1), (2, 9, 4), (4, 12, 12)];
    // Rings from near the pole to the equator, where the two engines sum spin 2 in two ways.
    // (Of higher degrees the literal sum over factorials cancels.)
    let cases = small.map(|size| (size, 0..=4)).into_iter().chain([((16, 12, 12), 2..=2)]);
    for ((nside, lmax, mmax), spins) in cases {
        for spin in spins {
            for engine in [Engine::Tables, Engine::Recurrence] {
                let plan = plan(nside, lmax, mmax, spin, engine);
                let mut stream = Stream(7);
                let shape = (plan.components(), plan.modes().len());
                let mut alm = ndarray::Array2::from_shape_simple_fn(shape, || {
                    Complex64::new(stream.next(), stream.next())
                });
                let expected = scalar_reference(&plan, &alm);
                let found = plan.synthesis_of(alm.view()).unwrap();
                let scale = peak(&expected).max(1e-300);
                let error = worst(found.as_slice().unwrap(), &expected) / scale;
                assert!(error < 2e-13, "nside {nside} lmax {lmax} spin {spin}: {error:e}");
                // Must fail: one coefficient off by 1e-4 of the peak.
                if lmax > spin {
                    let at = plan.modes().index(lmax, 0);
                    alm[[0, at]] += 1e-4 * scale;
                    let off = plan.synthesis_of(alm.view()).unwrap();
                    assert!(worst(off.as_slice().unwrap(), &expected) / scale > 1e-6);
                }
            }
        }
    }
}

/// Every size and band of the adjoint tests: below 2N, 3N − 1, 4N.
fn cases() -> Vec<(usize, usize)> {
    let mut cases = Vec::new();
    for nside in [1, 2, 4, 16, 64] {
        for lmax in [2 * nside - 1, 3 * nside - 1, 4 * nside] {
            if nside < 64 || lmax == 3 * nside - 1 {
                cases.push((nside, lmax));
            }
        }
    }
    cases
}

#[test]
fn adjoint_synthesis_is_the_transpose() {
    let batch = 3;
    for (nside, lmax) in cases() {
        for spin in 0..=4 {
            for engine in [Engine::Tables, Engine::Recurrence] {
                let plan = plan(nside, lmax, lmax, spin, engine);
                let mut scratch = plan.scratch(batch);
                let mut stream = Stream(11);
                let x = stream.fill(plan.alm_len(batch));
                let y = stream.fill(plan.map_len(batch));
                let (mut yx, mut ty) = (vec![0.0; y.len()], vec![0.0; x.len()]);
                plan.synthesis(&x, &mut yx, &mut scratch);
                plan.adjoint_synthesis(&y, &mut ty, &mut scratch);
                for map in 0..batch {
                    let pixels = (map..y.len()).step_by(batch);
                    let left: f64 = pixels.clone().map(|p| yx[p] * y[p]).sum();
                    let right = inner(&plan, &x, &ty, batch, map);
                    let size: f64 = pixels.map(|p| (yx[p] * y[p]).abs()).sum();
                    let error = (left - right).abs() / size.max(1e-300);
                    assert!(error < 1e-13, "nside {nside} lmax {lmax} spin {spin}: {error:e}");
                }
                // Must fail: one coefficient of the adjoint off by 1e-4 of its peak.
                let (last, peak) = (batch - 1, peak(&ty));
                if peak > 0.0 {
                    *ty.last_mut().expect("not empty") += 1e-4 * peak;
                    let pixels = (last..y.len()).step_by(batch);
                    let left: f64 = pixels.clone().map(|p| yx[p] * y[p]).sum();
                    let size: f64 = pixels.map(|p| (yx[p] * y[p]).abs()).sum();
                    let right = inner(&plan, &x, &ty, batch, last);
                    assert!((left - right).abs() / size > 1e-13);
                }
            }
        }
    }
}

#[test]
fn pullbacks_are_the_real_transposes() {
    let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    for (nside, lmax) in [(1, 4), (2, 5), (4, 7), (16, 31)] {
        for spin in 0..=4 {
            let plan = plan(nside, lmax, lmax, spin, Engine::Auto);
            let mut scratch = plan.scratch(2);
            let mut stream = Stream(13);
            let map = stream.fill(plan.map_len(2));
            let gradient = stream.fill(plan.alm_len(2));
            for iterations in [0, 1, 3] {
                let mut alm = vec![0.0; plan.alm_len(2)];
                let mut back = vec![0.0; plan.map_len(2)];
                plan.analysis(&map, &mut alm, iterations, &mut scratch);
                plan.analysis_pullback(&gradient, &mut back, iterations, &mut scratch);
                let (left, right) = (dot(&alm, &gradient), dot(&map, &back));
                let size = alm.iter().zip(&gradient).map(|(a, b)| (a * b).abs()).sum::<f64>();
                let error = (left - right).abs() / size.max(1e-300);
                assert!(error < 1e-13, "{nside} {lmax} {spin} K {iterations}: {error:e}");
                if iterations > 0 && size > 0.0 {
                    // Must fail: the pullback of another number of iterations.
                    plan.analysis_pullback(&gradient, &mut back, iterations - 1, &mut scratch);
                    assert!((left - dot(&map, &back)).abs() / size > 1e-10);
                }
            }
            let (mut field, mut back) = (map.clone(), gradient.clone());
            plan.synthesis(&gradient, &mut field, &mut scratch);
            plan.synthesis_pullback(&map, &mut back, &mut scratch);
            let size = field.iter().zip(&map).map(|(a, b)| (a * b).abs()).sum::<f64>();
            assert!((dot(&field, &map) - dot(&gradient, &back)).abs() <= 1e-13 * size);
            // Must fail: one number off by 1e-4 of the peak.
            if size > 0.0 {
                let at = plan.modes().index(lmax, lmax) * plan.components() * 4;
                back[at] += 1e-4 * peak(&back);
                assert!((dot(&field, &map) - dot(&gradient, &back)).abs() > 1e-13 * size);
            }
        }
    }
}

#[test]
fn engines_threads_and_batches_agree() {
    // Engines sum alike, but for spin 2 where functions of all rings are kept: there one
    // takes them as they are and the other divides sums of some lmax roundings by
    // sin²θ ≥ 0.01. What is summed without signs is more than the peak.
    let (alike, two_ways) = (1e-14, 47.0 * f64::EPSILON / 0.01);
    let cases = [(4, 11, 0, alike), (16, 47, 2, two_ways), (32, 95, 2, alike), (64, 191, 2, alike)];
    for (nside, lmax, spin, bound) in cases {
        let tables = plan(nside, lmax, lmax, spin, Engine::Tables);
        let steps = plan(nside, lmax, lmax, spin, Engine::Recurrence);
        let serial = Plan::<f64>::with_config(Config {
            parallelism: Parallelism::Serial,
            ..*steps.config()
        })
        .unwrap();
        let alm = Stream(3).fill(tables.alm_len(5));
        let run = |plan: &Plan<f64>| {
            let mut scratch = plan.scratch(5);
            let (mut map, mut back) = (vec![0.0; plan.map_len(5)], vec![0.0; alm.len()]);
            plan.synthesis(&alm, &mut map, &mut scratch);
            plan.adjoint_synthesis(&map, &mut back, &mut scratch);
            (map, back)
        };
        let (map, back) = run(&tables);
        let (map_steps, back_steps) = run(&steps);
        let errors =
            [worst(&map, &map_steps) / peak(&map), worst(&back, &back_steps) / peak(&back)];
        assert!(errors.iter().all(|&e| e <= bound), "nside {nside}: {errors:?}");
        for threads in [1, 2, 7] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let found = pool.install(|| run(&steps));
            assert_eq!((&map_steps, &back_steps), (&found.0, &found.1), "threads change no bit");
        }
        assert_eq!((map_steps, back_steps), run(&serial), "threads change no bit");
        // A map alone, by rings as lanes, equals the same map in a batch.
        let one: Vec<f64> = alm.iter().skip(2).step_by(5).copied().collect();
        let mut alone = vec![0.0; tables.map_len(1)];
        tables.synthesis(&one, &mut alone, &mut tables.scratch(1));
        let member: Vec<f64> = map.iter().skip(2).step_by(5).copied().collect();
        assert!(worst(&alone, &member) <= 1e-14 * peak(&map));
        let mut back_alone = vec![0.0; tables.alm_len(1)];
        tables.adjoint_synthesis(&member, &mut back_alone, &mut tables.scratch(1));
        let back_member: Vec<f64> = back.iter().skip(2).step_by(5).copied().collect();
        // Another order of summation over rings.
        let error = worst(&back_alone, &back_member) / peak(&back);
        assert!(error <= 1e-13, "nside {nside}: {error:e}");
        // Must fail: one coefficient off by 1e-4 of the peak.
        let mut off = alm.clone();
        let at = (tables.modes().index(lmax / 2, 1) * tables.components() * 2) * 5 + 2;
        off[at] += 1e-4 * peak(&alm);
        let mut scratch = steps.scratch(5);
        let mut moved = vec![0.0; map.len()];
        steps.synthesis(&off, &mut moved, &mut scratch);
        assert!(worst(&map, &moved) > bound * peak(&map));
        let moved: Vec<f64> = moved.iter().skip(2).step_by(5).copied().collect();
        assert!(worst(&alone, &moved) > 1e-14 * peak(&map));
        back_alone[at / 5] += 1e-4 * peak(&back);
        assert!(worst(&back_alone, &back_member) > 1e-13 * peak(&back));
    }
}

/// |f32 − f64| ≤ ε₃₂ (√(2·lmax) + 2·log2 4N + 4) Σ|terms|, bounded through the norms.
#[test]
fn single_precision_stays_within_its_bound() {
    for (nside, lmax, spin) in [(4, 11, 0), (16, 47, 2), (64, 191, 0), (64, 191, 2)] {
        for engine in [Engine::Tables, Engine::Recurrence] {
            let double = plan(nside, lmax, lmax, spin, engine);
            let single = Plan::<f32>::with_config(*double.config()).unwrap();
            let alm32: Vec<f32> =
                Stream(5).fill(double.alm_len(4)).iter().map(|&v| v as f32).collect();
            let alm: Vec<f64> = alm32.iter().map(|&v| v.into()).collect();
            let (mut map, mut map32) = (vec![0.0; double.map_len(4)], vec![0.0; double.map_len(4)]);
            double.synthesis(&alm, &mut map, &mut double.scratch(4));
            single.synthesis(&alm32, &mut map32, &mut single.scratch(4));
            let map32: Vec<f64> = map32.iter().map(|&v| v.into()).collect();
            // Rounding of random sign in sums of 2·lmax terms: the field's own rms times
            // ε√(2·lmax), five sigma, against the peak (about four rms).
            let bound = f64::from(f32::EPSILON) * 1.25 * (2.0 * lmax as f64).sqrt();
            let error = worst(&map, &map32) / peak(&map);
            assert!(error < bound, "nside {nside} spin {spin}: {error:e} of {bound:e}");
        }
    }
}

#[test]
fn bad_requests_are_refused_with_their_range() {
    let nside = |n| Nside::new(n).unwrap();
    assert_eq!(
        Plan::<f64>::new(nside(2048), 8, 0).unwrap_err(),
        HarmonicError::Nside { given: 2048, allowed: 1024 }
    );
    assert_eq!(
        Plan::<f64>::new(nside(2), 8, 5).unwrap_err(),
        HarmonicError::Spin { given: 5, allowed: 4 }
    );
    let config = Config { mmax: 9, ..Config::full(nside(2), 8, 0) };
    assert_eq!(
        Plan::<f64>::with_config(config).unwrap_err(),
        HarmonicError::Mmax { given: 9, allowed: 8 }
    );
}
