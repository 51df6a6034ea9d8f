//! Minkowski functionals against exact derivatives, pynkowski and analytic fields.

use ndarray::{Array2, Axis};
use num_complex::Complex64;
use skyscat_harmonic::Plan;
use skyscat_healpix::{MapSet, Nside, Ordering};
use skyscat_num::Par;
use skyscat_tests::{complexes, reals, relative_error, shared_npz};
use skyscat_validation::{
    HarmonicConfig, MinkowskiConfig, ScalarFunctionals, So3Functionals, So3Method, ValidationError,
    gaussian_scalar, gaussian_v0, so3_derivatives,
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

#[test]
fn scalar_functionals_of_a_temperature_map() {
    for n in [16, 64] {
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
        for v in 1..3 {
            let peer = reals(&mut npz, &format!("mfT_V{v}_0"));
            let error = relative_error(&found[31 * v..][..31], &peer);
            eprintln!("V{v} {n} {error:e}");
        }
    }
}
