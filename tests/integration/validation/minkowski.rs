//! Minkowski functionals against exact derivatives, pynkowski and analytic fields.

use ndarray::{Array2, Axis};
use num_complex::Complex64;
use skyscat_harmonic::Plan;
use skyscat_healpix::{MapSet, Nside, Ordering};
use skyscat_num::Par;
use skyscat_tests::{complexes, reals, relative_error, shared_npz};
use skyscat_validation::{
    HarmonicConfig, MinkowskiConfig, ScalarFunctionals, So3Functionals, So3Method, ValidationError,
    gaussian_scalar, gaussian_v0, reference, scalar_mu, so3_derivatives,
};

fn nside(n: usize) -> Nside {
    Nside::new(n).unwrap()
}

fn par() -> Par {
    Par::new(2).unwrap()
}

/// The E and B of the spheres fixture, `[(ℓ, m)][E, B][re, im]`.
fn alm(test: &str, n: usize) -> Option<Vec<f64>> {
    let mut npz = shared_npz(test, &format!("fixtures/healpy/spheres_nside{n:03}.npz"))?;
    let alm: Array2<Complex64> = npz.by_name("alm_in_0").unwrap();
    let columns = alm.axis_iter(Axis(1));
    Some(columns.flat_map(|a| [a[1].re, a[1].im, a[2].re, a[2].im]).collect())
}

/// Error below `bound`, and an error of 1e-4 of the peak caught.
fn assert_close(what: &str, found: &[f64], expected: &[f64], bound: f64) {
    let error = relative_error(found, expected);
    assert!(error <= bound, "{what}: {error:e} of {bound:e}");
    let peak = expected.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    let mut off = found.to_vec();
    let at = off.len() / 2;
    off[at] += 1e-4 * peak;
    assert!(relative_error(&off, expected) > bound, "{what} cannot fail");
}

#[test]
fn derivatives_are_exact() {
    let test = "validation::derivatives_are_exact";
    let Some(alm) = alm(test, 16) else { return };
    let mut npz = shared_npz(test, "fixtures/minkowski/mf_nside016.npz").unwrap();
    let (found, sigma) = so3_derivatives(nside(16), 47, &alm).unwrap();
    let norm = reals(&mut npz, "exact_norm_0")[0];
    assert!((sigma / norm - 1.0).abs() < 1e-12, "{sigma} {norm}");
    let parts = |z: Vec<Complex64>| z.iter().flat_map(|z| [z.re, z.im]).collect::<Vec<_>>();
    let p: Vec<Complex64> = found.iter().map(|d| d.p).collect();
    assert_close("P", &parts(p), &parts(complexes(&mut npz, "exact_P_0")), 1e-10);
    let first = complexes(&mut npz, "exact_first_0");
    let second = complexes(&mut npz, "exact_hess_0");
    for (i, expected) in first.chunks_exact(3072).enumerate() {
        let ours = found.iter().map(|d| d.gradient[i]).collect();
        assert_close(&format!("gradient {i}"), &parts(ours), &parts(expected.to_vec()), 1e-10);
    }
    for (i, expected) in second.chunks_exact(3072).enumerate() {
        let ours = found.iter().map(|d| d.hessian[i]).collect();
        assert_close(&format!("Hessian {i}"), &parts(ours), &parts(expected.to_vec()), 1e-10);
    }
}

#[test]
fn rotations_match_both_methods() {
    for n in [16, 64] {
        let test = "validation::rotations_match_both_methods";
        let Some(alm) = alm(test, n) else { return };
        let mut npz = shared_npz(test, &format!("fixtures/minkowski/mf_nside{n:03}.npz")).unwrap();
        for (method, name) in [
            (So3Method::Roots, "exact_V_compatformula_exactderiv_0"),
            (So3Method::Volume { samples: 48 }, "exact_V_true_binned_K48_0"),
        ] {
            let config = MinkowskiConfig::campeti2025(n);
            let so3 = So3Functionals::new(nside(n), config, method).unwrap();
            let found = so3.of_alm(std::slice::from_ref(&alm), &par()).unwrap();
            assert_eq!((found.labels[0].as_str(), found.labels.len()), ("V0(-3.00)", 124));
            let expected = reals(&mut npz, name);
            let found = found.values.row(0).to_vec();
            if method == So3Method::Roots && n == 16 {
                let (pixels, _) = so3_derivatives(nside(n), 3 * n - 1, &alm).unwrap();
                for at in [3, 15, 24] {
                    let literal = reference::so3_functionals(&pixels, 0.2 * (at as f64 - 15.0));
                    let ours: Vec<f64> = (1..4).map(|v| found[31 * v + at]).collect();
                    assert_close("literal", &ours, &literal, 1e-12);
                }
            }
            for (v, (found, expected)) in found.chunks(31).zip(expected.chunks(31)).enumerate() {
                assert_close(&format!("{method:?} V{v} {n}"), found, expected, 1e-9);
            }
        }
    }
}

/// Maps go through the analysis; at lmax = 2 Nside it recovers their coefficients.
#[test]
fn maps_and_coefficients_agree() {
    let n = nside(16);
    let lmax = 32;
    let plan = Plan::<f64>::new(n, lmax, 2).unwrap();
    let mut alm = vec![0.0; plan.alm_len(1)];
    for (i, l, m) in plan.modes().iter().filter(|(_, l, _)| (2..=24).contains(l)) {
        for part in 0..4 {
            let phase = (i * 4 + part) as f64;
            alm[4 * i + part] =
                if m == 0 && part % 2 == 1 { 0.0 } else { (phase * 1.7).sin() / (l * l) as f64 };
        }
    }
    let mut map = vec![0.0; plan.map_len(1)];
    plan.synthesis(&alm, &mut map, &mut plan.scratch(1));
    let one = plan.batch_to_maps(&map);
    let two = ndarray::concatenate(Axis(0), &[one.view(), one.view(), one.view()]).unwrap();
    let set = MapSet::new(Ordering::Ring, &["Q", "U"], two).unwrap();
    let config = MinkowskiConfig {
        thresholds: (0..9).map(|i| -2.0 + 0.5 * f64::from(i)).collect(),
        harmonic: HarmonicConfig { lmax, iterations: 12, batch: 2 },
    };
    for method in [So3Method::Roots, So3Method::Volume { samples: 16 }] {
        let so3 = So3Functionals::new(n, config.clone(), method).unwrap();
        let direct = so3.of_alm(std::slice::from_ref(&alm), &par()).unwrap();
        let found = so3.of_maps(&set, &par()).unwrap();
        for threads in [1, 7] {
            let again = so3.of_maps(&set, &Par::new(threads).unwrap()).unwrap();
            assert_eq!(again, found, "the bits on {threads} threads");
        }
        for row in found.values.rows() {
            for (v, (f, d)) in
                row.to_vec().chunks(9).zip(direct.values.row(0).to_vec().chunks(9)).enumerate()
            {
                assert_close(&format!("{method:?} V{v}"), f, d, 1e-5);
            }
        }
    }
    // The set in the other order, or with other channels, is refused by name.
    let so3 = So3Functionals::new(n, config.clone(), So3Method::Roots).unwrap();
    let nested = so3.of_maps(&set.reordered(Ordering::Nest), &par());
    assert!(matches!(nested, Err(ValidationError::Ordering { given: "NEST", .. })));
    let uq = so3.of_maps(&set.select(&["U", "Q"]).unwrap(), &par());
    assert!(matches!(uq, Err(ValidationError::Channels { .. })));
    let coarse = so3.of_maps(&set.ud_graded(nside(8)), &par());
    assert!(matches!(coarse, Err(ValidationError::Mismatch { what: "Nside", .. })));
    let zero = MapSet::new(Ordering::Ring, &["Q", "U"], ndarray::Array3::zeros((1, 2, 3072)));
    let zero = so3.of_maps(&zero.unwrap(), &par());
    assert!(matches!(zero, Err(ValidationError::Variance { .. })));
    for thresholds in [vec![], vec![0.0], vec![0.0, 1.0, 1.5], vec![1.0, 0.0], vec![0.0, f64::NAN]]
    {
        let config = MinkowskiConfig { thresholds, ..config.clone() };
        let refused = So3Functionals::new(n, config, So3Method::Roots);
        assert!(matches!(refused, Err(ValidationError::Setting { .. })));
    }
}

/// V0 and V1 are pynkowski's; its V2 is measured, not matched: it differentiates twice
/// through two analyses at lmax = 3 Nside − 1, each wrong by a seventh for single modes.
#[test]
fn scalar_functionals_of_a_temperature_map() {
    for (n, known) in [(16, 0.130), (64, 0.0126)] {
        let test = "validation::scalar_functionals_of_a_temperature_map";
        let path = format!("fixtures/healpy/spheres_nside{n:03}.npz");
        let Some(mut sphere) = shared_npz(test, &path) else { return };
        let mut npz = shared_npz(test, &format!("fixtures/minkowski/mf_nside{n:03}.npz")).unwrap();
        let map: Array2<f64> = sphere.by_name("map_0").unwrap();
        let config = MinkowskiConfig::campeti2025(n);
        let scalar = ScalarFunctionals::new(nside(n), config).unwrap();
        let t = map.select(Axis(0), &[0]);
        let found = scalar.of_maps(t.view(), &par()).unwrap().values.row(0).to_vec();
        assert_close("V0", &found[..31], &reals(&mut npz, "mfT_V0_0"), 1e-12);
        assert_close("V1", &found[31..62], &reals(&mut npz, "mfT_V1_0"), 1e-12);
        let error = relative_error(&found[62..], &reals(&mut npz, "mfT_V2_0"));
        assert!((error - known).abs() < 0.001, "{error}");
    }
}

/// A cubic polynomial on the sphere: its covariant Hessian is eᵢᵀ H eⱼ − (n·∇F) δᵢⱼ.
#[test]
fn scalar_functionals_of_a_polynomial_are_exact() {
    let n = nside(16);
    let pixels: Vec<[f64; 3]> =
        (0..n.npix()).map(|p| skyscat_healpix::pix2vec(n, Ordering::Ring, p)).collect();
    let value = |[x, y, z]: [f64; 3]| x * y * z + 0.7 * z * z * x + 0.4 * y * z + 0.3 * x;
    let gradient = |[x, y, z]: [f64; 3]| {
        [y * z + 0.7 * z * z + 0.3, x * z + 0.4 * z, x * y + 1.4 * z * x + 0.4 * y]
    };
    let hessian = |[x, y, z]: [f64; 3]| {
        [[0.0, z, y + 1.4 * z], [z, 0.0, x + 0.4], [y + 1.4 * z, x + 0.4, 1.4 * x]]
    };
    let map: Vec<f64> = pixels.iter().map(|&n| value(n)).collect();
    let count = map.len() as f64;
    let mean = map.iter().sum::<f64>() / count;
    let sigma = (map.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count).sqrt();
    let config = MinkowskiConfig {
        thresholds: (0..9).map(|i| -2.05 + 0.5 * f64::from(i)).collect(),
        harmonic: HarmonicConfig { lmax: 16, iterations: 20, batch: 1 },
    };
    let mut expected = vec![0.0; 27];
    for (n, f) in pixels.iter().zip(&map) {
        let f = f / sigma;
        let [x, y, z] = *n;
        let r = x.hypot(y);
        let frame = [[x * z / r, y * z / r, -r], [-y / r, x / r, 0.0]];
        let dot = |a: [f64; 3], b: [f64; 3]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (g, h) = (gradient(*n), hessian(*n));
        let [f1, f2] = frame.map(|e| dot(e, g) / sigma);
        let along = |i: usize, j: usize| {
            let image = h.map(|row| dot(row, frame[j]));
            (dot(frame[i], image) - if i == j { dot(*n, g) } else { 0.0 }) / sigma
        };
        let square = f1 * f1 + f2 * f2;
        let kappa =
            (2.0 * f1 * f2 * along(0, 1) - f1 * f1 * along(1, 1) - f2 * f2 * along(0, 0)) / square;
        for (i, u) in config.thresholds.iter().enumerate() {
            expected[i] += f64::from(u8::from(f > *u)) / count;
            if f >= u - 0.25 && f < u + 0.25 {
                expected[9 + i] += 0.25 * square.sqrt() / (0.5 * count);
                expected[18 + i] += kappa / (std::f64::consts::TAU * 0.5 * count);
            }
        }
    }
    let scalar = ScalarFunctionals::new(n, config).unwrap();
    let map = Array2::from_shape_vec((1, 3072), map).unwrap();
    let found = scalar.of_maps(map.view(), &par()).unwrap().values.row(0).to_vec();
    for (v, (found, expected)) in found.chunks(9).zip(expected.chunks(9)).enumerate() {
        // Twenty iterations of the analysis at lmax = Nside leave 1e-13 of a mode.
        assert_close(&format!("V{v}"), found, expected, 1e-9);
    }
    let refused = scalar.of_maps(Array2::zeros((1, 3072)).view(), &par());
    assert!(matches!(refused, Err(ValidationError::Variance { .. })));
    let refused = scalar.of_maps(Array2::zeros((1, 12)).view(), &par());
    assert!(matches!(refused, Err(ValidationError::Shape { .. })));
}

/// Means over Gaussian fields against theory, within their scatter.
#[test]
fn gaussian_fields_follow_theory() {
    let (n, lmax, maps) = (nside(16), 24, 60);
    let mut cl = vec![0.0; lmax + 1];
    (2..=lmax).for_each(|l| cl[l] = 1.0 / (l * l) as f64);
    let (scalar_plan, spin_plan) =
        (Plan::<f64>::new(n, lmax, 0).unwrap(), Plan::<f64>::new(n, lmax, 2).unwrap());
    let (mut t, mut rows) = (Vec::new(), Vec::new());
    for map in 0..maps {
        let mut stream = skyscat_num::Seed(6).stream("fields").index(0, map);
        let spectra =
            skyscat_harmonic::InputSpectra { tt: &cl, ee: &cl, bb: &cl, ..Default::default() };
        let alm =
            skyscat_harmonic::gaussian_alm(spin_plan.modes(), spectra, &mut || stream.normal())
                .unwrap();
        let scalar = scalar_plan.synthesis_of(alm.select(Axis(0), &[0]).view()).unwrap();
        t.extend(scalar.iter().copied());
        rows.push(
            alm.axis_iter(Axis(1))
                .flat_map(|a| [a[1].re, a[1].im, a[2].re, a[2].im])
                .collect::<Vec<_>>(),
        );
    }
    let config = MinkowskiConfig {
        // Not 0, where V0 on the rotations is ½ without scatter.
        thresholds: (0..21).map(|i| -2.1 + 0.2 * f64::from(i)).collect(),
        harmonic: HarmonicConfig { lmax, iterations: 5, batch: 1 },
    };
    let t = Array2::from_shape_vec((maps as usize, 3072), t).unwrap();
    let scalar = ScalarFunctionals::new(n, config.clone()).unwrap();
    let summary = scalar.of_maps(t.view(), &par()).unwrap().summary().unwrap();
    let mu = scalar_mu(&cl);
    let sigmas =
        |found: f64, expected: f64, std: f64| (found - expected).abs() * (maps as f64).sqrt() / std;
    let mut worst = [0.0_f64; 3];
    for (i, &u) in config.thresholds.iter().enumerate() {
        for (v, expected) in gaussian_scalar(mu, u).into_iter().enumerate() {
            let at = 21 * v + i;
            worst[v] = worst[v].max(sigmas(summary.mean[at], expected, summary.std[at]));
        }
        assert!((gaussian_scalar(mu, u)[0] - gaussian_v0(u)).abs() < 1e-16);
    }
    // Sixty-three numbers within four and a half of their errors, bins of 0.2 included.
    assert!(worst.iter().all(|&w| w < 4.5), "{worst:?}");
    let so3 = So3Functionals::new(n, config.clone(), So3Method::Volume { samples: 24 }).unwrap();
    let summary = so3.of_alm(&rows, &par()).unwrap().summary().unwrap();
    for (i, &u) in config.thresholds.iter().enumerate() {
        let off = sigmas(summary.mean[i], gaussian_v0(u), summary.std[i]);
        assert!(off < 4.5, "V0({u}) on the rotations: {off}");
    }
}
