//! Contracts of the harmonic layer.

use ndarray::{Array1, Array2, Array3, ArrayView2, Axis, Slice};
use num_complex::Complex64;
use skyscat_harmonic::{AlmField, Modes, Plan, SpectrumPower, spectrum};
use skyscat_healpix::Nside;
use skyscat_tests::shared_npz;

type Npz = ndarray_npy::NpzReader<std::fs::File>;
type Alm = Array2<Complex64>;

fn plan(nside: usize, spin: usize) -> Plan<f64> {
    Plan::new(Nside::new(nside).unwrap(), 3 * nside - 1, spin).unwrap()
}

fn alm_of(npz: &mut Npz, name: &str) -> Alm {
    npz.by_name(name).unwrap()
}

fn map_of(npz: &mut Npz, name: &str) -> Array2<f64> {
    npz.by_name(name).unwrap()
}

/// Largest difference over the largest expected modulus.
fn relative<'a>(
    found: impl IntoIterator<Item = &'a Complex64>,
    expected: impl IntoIterator<Item = &'a Complex64> + Clone,
) -> f64 {
    let peak = expected.clone().into_iter().fold(0.0, |peak: f64, v| peak.max(v.norm()));
    let pairs = found.into_iter().zip(expected);
    pairs.fold(0.0, |worst: f64, (f, e)| worst.max((f - e).norm())) / peak
}

/// The rows `range` of an array.
fn rows<T, S: ndarray::Data<Elem = T>>(
    array: &ndarray::ArrayBase<S, ndarray::Ix2>,
    range: std::ops::Range<usize>,
) -> ArrayView2<'_, T> {
    array.slice_axis(Axis(0), Slice::from(range))
}

fn complex(map: ArrayView2<'_, f64>) -> Array2<Complex64> {
    map.mapv(|v| Complex64::new(v, 0.0))
}

/// Asserts agreement to `bound` of the peak, and that 1e-4 of the peak would be caught.
fn assert_close(what: &str, found: &Alm, expected: &Alm, bound: f64) {
    assert_eq!(found.dim(), expected.dim(), "{what}");
    for (row, (found, expected)) in found.rows().into_iter().zip(expected.rows()).enumerate() {
        let error = relative(found, expected);
        assert!(error <= bound, "{what} row {row}: {error:e} of {bound:e}");
        let peak = expected.iter().fold(0.0, |peak: f64, v| peak.max(v.norm()));
        let mut off = found.to_owned();
        let at = off.len() / 2;
        off[at] += 1e-4 * peak;
        assert!(relative(&off, expected) > bound, "{what} row {row} cannot fail");
    }
}

/// Analysis of T, Q, U into T, E, B.
fn analysis_tqu(nside: usize, map: ArrayView2<'_, f64>, iterations: usize) -> Alm {
    let t = plan(nside, 0).analysis_of(rows(&map, 0..1), iterations).unwrap();
    let eb = plan(nside, 2).analysis_of(rows(&map, 1..3), iterations).unwrap();
    ndarray::concatenate(Axis(0), &[t.view(), eb.view()]).unwrap()
}

/// TT, EE, BB, TE, EB, TB of coefficients (T, E, B), `(6, lmax + 1)`.
fn six_spectra(modes: Modes, alm: &Alm) -> Array2<f64> {
    let rows: Vec<Vec<f64>> =
        alm.rows().into_iter().map(|row| row.iter().flat_map(|a| [a.re, a.im]).collect()).collect();
    let field = |i: usize| AlmField { values: &rows[i][..], components: 1, component: 0, batch: 1 };
    let mut out = Array2::zeros((6, modes.lmax() + 1));
    for (row, (a, b)) in [(0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (0, 2)].into_iter().enumerate() {
        let mut out = out.row_mut(row);
        let out = out.as_slice_mut().unwrap();
        spectrum(modes, SpectrumPower::Two, field(a), field(b), out);
    }
    out
}

/// Largest difference over the mean of the (geometric mean) auto power.
fn spectra_error(found: &Array2<f64>, expected: &Array2<f64>) -> f64 {
    let power: Vec<f64> = (0..3).map(|i| expected.row(i).mean().unwrap()).collect();
    let pairs = [(0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (0, 2)];
    let mut worst = 0.0_f64;
    for (row, (a, b)) in pairs.into_iter().enumerate() {
        let difference = &found.row(row) - &expected.row(row);
        let peak = difference.iter().fold(0.0, |peak: f64, v| peak.max(v.abs()));
        worst = worst.max(peak / (power[a] * power[b]).sqrt());
    }
    worst
}

fn sphere(test: &str, nside: usize) -> Option<Npz> {
    shared_npz(test, &format!("fixtures/healpy/spheres_nside{nside:03}.npz"))
}

#[test]
fn synthesis_matches_healpy() {
    for nside in [16, 64] {
        let Some(mut npz) = sphere("harmonic::synthesis_matches_healpy", nside) else {
            return;
        };
        let (alm, map) = (alm_of(&mut npz, "alm_in_0"), map_of(&mut npz, "map_0"));
        let t = plan(nside, 0).synthesis_of(rows(&alm, 0..1)).unwrap();
        let qu = plan(nside, 2).synthesis_of(rows(&alm, 1..3)).unwrap();
        assert_close("T", &complex(t.view()), &complex(rows(&map, 0..1)), 1e-12);
        assert_close("QU", &complex(qu.view()), &complex(rows(&map, 1..3)), 1e-12);
        let spin2 = map_of(&mut npz, "map_alm2map_spin2_0");
        assert_close("spin 2", &complex(qu.view()), &complex(spin2.view()), 1e-12);
    }
}

#[test]
fn analysis_matches_healpy() {
    for nside in [16, 64] {
        let Some(mut npz) = sphere("harmonic::analysis_matches_healpy", nside) else {
            return;
        };
        let map = map_of(&mut npz, "map_0");
        for iterations in [0, 3] {
            let found = analysis_tqu(nside, map.view(), iterations);
            let expected = alm_of(&mut npz, &format!("alm_map2alm_iter{iterations}_0"));
            assert_close("map2alm", &found, &expected, 1e-12);
        }
        let expected = alm_of(&mut npz, "alm_map2alm_spin2_0");
        let found = plan(nside, 2).analysis_of(rows(&map, 1..3), 0).unwrap();
        assert_close("spin 2", &found, &expected, 1e-12);
    }
}

/// (∂_θ T, ∂_φ T/sin θ) is the spin-1 field with E = √(ℓ(ℓ+1)) a.
#[test]
fn spin_one_is_the_gradient() {
    for nside in [16, 64] {
        let Some(mut npz) = sphere("harmonic::spin_one_is_the_gradient", nside) else {
            return;
        };
        let (alm, map) = (alm_of(&mut npz, "alm_in_0"), map_of(&mut npz, "map_der1_T_0"));
        let plan = plan(nside, 1);
        let mut gradient = Array2::zeros((2, plan.modes().len()));
        for (i, l, _) in plan.modes().iter() {
            gradient[[0, i]] = alm[[0, i]] * ((l * (l + 1)) as f64).sqrt();
        }
        let found = plan.synthesis_of(gradient.view()).unwrap();
        assert_close("gradient", &complex(found.view()), &complex(rows(&map, 1..3)), 1e-12);
    }
}

#[test]
fn spectra_match_anafast() {
    for nside in [16, 64] {
        let Some(mut npz) = sphere("harmonic::spectra_match_anafast", nside) else {
            return;
        };
        let map = map_of(&mut npz, "map_0");
        let mask: Array1<bool> = npz.by_name("mask").unwrap();
        let masked = &map * &mask.mapv(|inside| f64::from(u8::from(inside)));
        let modes = Modes::new(3 * nside - 1, 3 * nside - 1);
        for (map, suffix) in [(&map, ""), (&masked, "mask_")] {
            for (iterations, bound) in [(0, 1e-12), (3, 1e-11)] {
                let name = format!("cl_anafast_iter{iterations}_{suffix}0");
                let healpy: Array2<f64> = npz.by_name(&name).unwrap();
                let alm = analysis_tqu(nside, map.view(), iterations);
                let error = spectra_error(&six_spectra(modes, &alm), &healpy);
                assert!(error <= bound, "{name} at nside {nside}: {error:e}");
                // Must fail: one coefficient off by 1e-4 of the peak.
                let mut off = alm.clone();
                off[[1, modes.index(5, 2)]] *= 1.0 + 1e-4;
                assert!(spectra_error(&six_spectra(modes, &off), &healpy) > bound);
            }
        }
    }
}

/// NEST → RING: `ring[nest2ring[p]] = nest[p]`.
fn to_ring(nest: ArrayView2<'_, f64>, nest2ring: &Array1<i64>) -> Array2<f64> {
    let mut ring = Array2::zeros(nest.dim());
    for (p, &target) in nest2ring.iter().enumerate() {
        ring.column_mut(target as usize).assign(&nest.column(p));
    }
    ring
}

#[test]
fn spectra_match_the_peer_emulator() {
    let test = "harmonic::spectra_match_the_peer_emulator";
    let Some(mut maps) = shared_npz(test, "fixtures/healpixml/maps.npz") else {
        return;
    };
    let mut spectra = shared_npz(test, "fixtures/healpixml/spectra.npz").unwrap();
    let mut geometry = shared_npz(test, "fixtures/healpy/geometry_nside016.npz").unwrap();
    let nest: Array3<f64> = maps.by_name("raw_nest").unwrap();
    let nest2ring: Array1<i64> = geometry.by_name("nest2ring").unwrap();
    let plan = plan(16, 2);
    for (name, power) in [("cl_L2", SpectrumPower::Two), ("cl_L1", SpectrumPower::SignedRoot)] {
        let peer: Array3<f64> = spectra.by_name(name).unwrap();
        for (nest, peer) in nest.outer_iter().zip(peer.outer_iter()) {
            let alm = plan.analysis_of(to_ring(nest, &nest2ring).view(), 0).unwrap();
            let error = |alm: &Alm| {
                let batch = plan.alm_to_batch(alm.view().insert_axis(Axis(0))).unwrap();
                let field =
                    |component| AlmField { values: &batch[..], components: 2, component, batch: 1 };
                let mut worst = 0.0_f64;
                for (row, (a, b)) in [(0, 0), (1, 1), (0, 1)].into_iter().enumerate() {
                    let mut found = vec![0.0; 48];
                    spectrum(plan.modes(), power, field(a), field(b), &mut found);
                    let scale = (peer.row(a).mean().unwrap() * peer.row(b).mean().unwrap()).sqrt();
                    // A root amplifies the error of a small C_ℓ: compare its square.
                    let square = |v: f64| if name == "cl_L1" { v * v.abs() } else { v };
                    let scale = if name == "cl_L1" { scale * scale } else { scale };
                    for (&found, &peer) in found.iter().zip(peer.row(row)) {
                        worst = worst.max((square(found) - square(peer)).abs() / scale);
                    }
                }
                worst
            };
            let found = error(&alm);
            assert!(found <= 1e-12, "{name}: {found:e}");
            let mut off = alm.clone();
            off[[0, plan.modes().index(7, 3)]] *= 1.0 + 1e-4;
            assert!(error(&off) > 1e-12, "{name} cannot fail");
        }
    }
}

/// Needs no shared fixtures.
#[test]
fn golden_spectra_are_met() {
    let qu: Array2<f64> =
        ndarray_npy::read_npy(skyscat_tests::golden("harmonic_qu_nside016.npy")).unwrap();
    let healpy: Array2<f64> =
        ndarray_npy::read_npy(skyscat_tests::golden("harmonic_cl_nside016.npy")).unwrap();
    let modes = Modes::new(47, 47);
    let error = |qu: &Array2<f64>| {
        let mut teb = Array2::zeros((3, modes.len()));
        let eb = plan(16, 2).analysis_of(qu.view(), 0).unwrap();
        teb.slice_axis_mut(Axis(0), Slice::from(1..)).assign(&eb);
        let mut found = six_spectra(modes, &teb);
        for row in [0, 3, 5] {
            found.row_mut(row).assign(&healpy.row(row));
        }
        spectra_error(&found, &healpy)
    };
    let found = error(&qu);
    assert!(found <= 1e-11, "{found:e}");
    let mut off = qu.clone();
    let peak = qu.iter().fold(0.0, |peak: f64, v| peak.max(v.abs()));
    off[[0, 1500]] += 1e-4 * peak;
    assert!(error(&off) > 1e-11, "cannot fail");
}
