//! Contracts of the healpix layer.
//!
//! Every array of the healpy geometry fixtures is compared, with a companion
//! that shifts one number and asks the same comparison to notice. An
//! independent crate is the oracle for indices at higher resolutions.

use ndarray::{Array1, Array2, Array3};
use ndarray_npy::{NpzReader, ReadableElement};
use skyscat_healpix::{
    Nside, Ordering, UNSEEN, ang2pix, centres, corners, interpolation, is_seen, max_pixel_radius,
    neighbours, nest_to_ring_table, nest2ring, pix2vec, query_disc, ring_to_nest_table, ring2nest,
    ud_grade, vec2pix,
};
use std::fs::File;

const ORDERINGS: [(&str, Ordering); 2] = [("ring", Ordering::Ring), ("nest", Ordering::Nest)];

/// A fixture file and the name of the test that reads it.
struct Fixture {
    npz: NpzReader<File>,
    nside: Nside,
}

impl Fixture {
    /// The golden file, and the larger ones if they are there.
    fn all(test: &str) -> Vec<Self> {
        let golden = File::open(skyscat_tests::golden("healpix_geometry_nside002.npz"));
        let golden = NpzReader::new(golden.expect("golden file opens")).expect("golden is npz");
        let mut all = vec![Self { npz: golden, nside: Nside::new(2).unwrap() }];
        for n in [1, 4, 8, 16, 32] {
            let path = format!("fixtures/healpy/geometry_nside{n:03}.npz");
            let Some(npz) = skyscat_tests::shared_npz(test, &path) else {
                break;
            };
            let nside = Nside::new(n).unwrap();
            all.push(Self { npz, nside });
        }
        all
    }

    fn vector<T: ReadableElement + Clone>(&mut self, name: &str) -> Vec<T> {
        let array: Array1<T> = self.npz.by_name(&format!("{name}.npy")).expect(name);
        array.to_vec()
    }

    fn table<T: ReadableElement + Clone>(&mut self, name: &str) -> Array2<T> {
        self.npz.by_name(&format!("{name}.npy")).expect(name)
    }
}

/// Every index equal, or where the first differs.
fn same_indices(found: &[i64], wanted: &[i64]) -> Result<(), String> {
    if found.len() != wanted.len() {
        return Err(format!("{} against {} values", found.len(), wanted.len()));
    }
    match found.iter().zip(wanted).position(|(a, b)| a != b) {
        Some(at) => Err(format!("[{at}]: {} against {}", found[at], wanted[at])),
        None => Ok(()),
    }
}

/// Every number within `tolerance`, or where the worst departs.
fn close(found: &[f64], wanted: &[f64], tolerance: f64) -> Result<(), String> {
    if found.len() != wanted.len() {
        return Err(format!("{} against {} values", found.len(), wanted.len()));
    }
    for (at, (a, b)) in found.iter().zip(wanted).enumerate() {
        let fine = (a - b).abs() <= tolerance;
        if !fine {
            return Err(format!("[{at}]: {a} against {b}, allowed {tolerance:e}"));
        }
    }
    Ok(())
}

/// Asserts that indices agree, and that one index off by one is noticed.
fn assert_indices(what: &str, found: &[i64], wanted: &[i64]) {
    same_indices(found, wanted).unwrap_or_else(|why| panic!("{what}{why}"));
    let mut shifted = found.to_vec();
    shifted[found.len() / 2] += 1;
    assert!(same_indices(&shifted, wanted).is_err(), "{what}: not noticed");
}

/// Asserts that numbers agree, and that one off by three tolerances is noticed.
fn assert_close(what: &str, found: &[f64], wanted: &[f64], tolerance: f64) {
    close(found, wanted, tolerance).unwrap_or_else(|why| panic!("{what}{why}"));
    let mut shifted = found.to_vec();
    shifted[found.len() / 2] += 3.0 * tolerance;
    assert!(close(&shifted, wanted, tolerance).is_err(), "{what}: not noticed");
}

fn indices<T: Copy + TryInto<i64>>(values: impl IntoIterator<Item = T>) -> Vec<i64> {
    let signed = |v: T| v.try_into().ok().expect("index fits");
    values.into_iter().map(signed).collect()
}

#[test]
fn centres_vectors_and_corners() {
    for mut f in Fixture::all("centres_vectors_and_corners") {
        let nside = f.nside;
        for (name, ordering) in ORDERINGS {
            let found = centres(nside, ordering);
            let what = format!("nside {nside} {name} ");
            let (theta, phi) =
                (f.vector(&format!("{name}_theta")), f.vector(&format!("{name}_phi")));
            assert_close(&what, &found.theta_rad, &theta, 2e-15);
            assert_close(&what, &found.phi_rad, &phi, 2e-15);
        }
        let wanted = f.table::<f64>("vec_ring");
        let found = (0..nside.npix()).map(|p| pix2vec(nside, Ordering::Ring, p));
        let found: Vec<f64> = found.flatten().collect();
        assert_close("vectors ", &found, &wanted.t().iter().copied().collect::<Vec<_>>(), 2e-15);
        let radius: ndarray::Array0<f64> = f.npz.by_name("max_pixrad.npy").unwrap();
        assert_close("radius ", &[max_pixel_radius(nside)], &[radius[()]], 2e-15);
        if nside.get() == 32 {
            continue; // that fixture holds no corners
        }
        let wanted: Array3<f64> = f.npz.by_name("boundaries_ring_step1.npy").unwrap();
        for corner in 0..4 {
            let found = (0..nside.npix()).map(|p| corners(nside, Ordering::Ring, p)[corner]);
            let found: Vec<f64> = found.flatten().collect();
            let wanted = wanted.index_axis(ndarray::Axis(2), corner);
            let wanted: Vec<f64> = wanted.iter().copied().collect();
            assert_close("corners ", &found, &wanted, 2e-15);
        }
    }
}

#[test]
fn numberings() {
    for mut f in Fixture::all("numberings") {
        let nside = f.nside;
        let to_ring: Vec<i64> = f.vector("nest2ring");
        let to_nest: Vec<i64> = f.vector("ring2nest");
        let all = 0..nside.npix();
        assert_indices("to ring ", &indices(all.clone().map(|p| nest2ring(nside, p))), &to_ring);
        assert_indices("to nest ", &indices(all.map(|p| ring2nest(nside, p))), &to_nest);
        assert_indices("table ", &indices(nest_to_ring_table(nside)), &to_ring);
        assert_indices("table ", &indices(ring_to_nest_table(nside)), &to_nest);
    }
}

#[test]
fn neighbour_tables() {
    for mut f in Fixture::all("neighbour_tables") {
        for (name, ordering) in ORDERINGS {
            let wanted = f.table::<i32>(&format!("neigh_{name}"));
            let found = indices(neighbours(f.nside, ordering).into_iter().flatten());
            let wanted = indices(wanted.t().iter().copied());
            assert_indices(&format!("nside {} {name} ", f.nside), &found, &wanted);
        }
    }
}

#[test]
fn points_and_interpolation() {
    for mut f in Fixture::all("points_and_interpolation") {
        let nside = f.nside;
        let (theta, phi): (Vec<f64>, Vec<f64>) = (f.vector("pts_theta"), f.vector("pts_phi"));
        let points: Vec<(f64, f64)> = theta.into_iter().zip(phi).collect();
        for (name, ordering) in ORDERINGS {
            let what = format!("nside {nside} {name} ");
            let wanted: Vec<i64> = f.vector(&format!("ang2pix_{name}"));
            let found = points.iter().map(|&(t, p)| ang2pix(nside, ordering, t, p));
            assert_indices(&what, &indices(found), &wanted);
            let by_vector = points.iter().map(|&(t, p)| {
                let (s, c) = (t.sin(), t.cos());
                vec2pix(nside, ordering, [2.0 * s * p.cos(), 2.0 * s * p.sin(), 2.0 * c])
            });
            let differ = indices(by_vector).iter().zip(&wanted).filter(|(a, b)| a != b).count();
            assert_eq!(differ, 0, "{what}vectors");

            let (pixels, weights): (Vec<_>, Vec<_>) =
                (points.iter().map(|&(t, p)| interpolation(nside, ordering, t, p))).unzip();
            let wanted = f.table::<i64>(&format!("interp_pix_{name}"));
            let wanted: Vec<i64> = wanted.t().iter().copied().collect();
            assert_indices(&what, &indices(pixels.into_iter().flatten()), &wanted);
            let wanted = f.table::<f64>(&format!("interp_wgt_{name}"));
            let wanted: Vec<f64> = wanted.t().iter().copied().collect();
            let weights: Vec<f64> = weights.into_iter().flatten().collect();
            assert_close(&what, &weights, &wanted, 1e-12);
        }
    }
}

#[test]
fn discs() {
    for mut f in Fixture::all("discs") {
        let nside = f.nside;
        let centre = f.table::<f64>("disc_center");
        let radius: Vec<f64> = f.vector("disc_radius");
        let offset: Vec<i64> = f.vector("disc_off");
        let wanted: Vec<i64> = f.vector("disc_pix");
        let (mut found, mut offsets) = (Vec::new(), vec![0]);
        for (angles, &radius) in centre.rows().into_iter().zip(&radius) {
            let (theta, phi) = (angles[0], angles[1]);
            let (s, c) = theta.sin_cos();
            let v = [s * phi.cos(), s * phi.sin(), c];
            let ring = query_disc(nside, Ordering::Ring, v, radius);
            let mut nest: Vec<usize> = ring.iter().map(|&p| ring2nest(nside, p)).collect();
            nest.sort_unstable();
            assert_eq!(query_disc(nside, Ordering::Nest, v, radius), nest);
            found.extend(indices(ring));
            offsets.push(found.len() as i64);
        }
        assert_indices(&format!("nside {nside} counts "), &offsets, &offset);
        assert_indices(&format!("nside {nside} discs "), &found, &wanted);
    }
}

#[test]
fn resampling() {
    for mut f in Fixture::all("resampling") {
        let source: Vec<f64> = f.vector("ud_in_ring");
        for to in [1, 2, 4, 8, 16, 32, 64] {
            let Ok(wanted) = f
                .npz
                .by_name::<ndarray::OwnedRepr<f64>, ndarray::Ix1>(&format!("ud_grade_to_{to}.npy"))
            else {
                continue;
            };
            let wanted = wanted.to_vec();
            let what = format!("nside {} to {to} ", f.nside);
            let to = Nside::new(to).unwrap();
            let found = ud_grade(&source, Ordering::Ring, to).unwrap();
            assert_eq!(
                found.iter().filter(|&&v| v == UNSEEN).count(),
                wanted.iter().filter(|&&v| v == UNSEEN).count(),
            );
            let seen =
                |v: &[f64]| v.iter().map(|&v| if is_seen(v) { v } else { 0.0 }).collect::<Vec<_>>();
            assert_close(&what, &seen(&found), &seen(&wanted), 1e-14);

            let power: Vec<f64> = f.vector(&format!("ud_grade_to_{}_power-2", to.get()));
            let factor = (to.get() as f64 / f.nside.get() as f64).powi(-2);
            // healpy scales UNSEEN too on the way up: only seen pixels are compared.
            let scale = |(&v, &p): (&f64, &f64)| is_seen(v).then_some((v * factor, p));
            let (scaled, power): (Vec<f64>, Vec<f64>) =
                found.iter().zip(&power).filter_map(scale).unzip();
            assert_close(&what, &scaled, &power, 1e-14 * factor.max(1.0));

            let nested = skyscat_healpix::reorder(&source, Ordering::Ring, Ordering::Nest).unwrap();
            let nested = ud_grade(&nested, Ordering::Nest, to).unwrap();
            let back = skyscat_healpix::reorder(&nested, Ordering::Nest, Ordering::Ring).unwrap();
            assert_eq!(back, found, "{what}");
        }
    }
}

#[test]
fn oracle_agrees_on_numberings_and_points() {
    use cdshealpix::nested;
    for n in [64u32, 128, 256] {
        let nside = Nside::new(n as usize).unwrap();
        let layer = nested::get(n.trailing_zeros() as u8);
        let found = indices(nest_to_ring_table(nside));
        let wanted: Vec<i64> = indices((0..nside.npix()).map(|p| layer.to_ring(p as u64)));
        assert_indices(&format!("nside {n} "), &found, &wanted);
        // A deterministic sequence that fills the sphere.
        let points = (0..20_000).map(|k| {
            let z = 1.0 - (2.0 * k as f64 + 1.0) / 20_000.0;
            (z.acos(), (k as f64 * 2.399_963_229_728_653).rem_euclid(std::f64::consts::TAU))
        });
        let (found, wanted): (Vec<i64>, Vec<i64>) = points
            .map(|(theta, phi)| {
                let latitude = std::f64::consts::FRAC_PI_2 - theta;
                let wanted = layer.hash(phi, latitude);
                (ang2pix(nside, Ordering::Nest, theta, phi) as i64, wanted as i64)
            })
            .unzip();
        assert_indices(&format!("nside {n} points "), &found, &wanted);
    }
}

#[test]
fn oracle_agrees_on_neighbours() {
    use cdshealpix::compass_point::MainWind::{E, N, NE, NW, S, SE, SW, W};
    for n in [64u32, 128] {
        let nside = Nside::new(n as usize).unwrap();
        let layer = cdshealpix::nested::get(n.trailing_zeros() as u8);
        let table = neighbours(nside, Ordering::Nest);
        let wanted = (0..nside.npix()).flat_map(|p| {
            let map = layer.neighbours(p as u64, false);
            [SW, W, NW, N, NE, E, SE, S].map(|wind| map.get(wind).map_or(-1, |&q| q as i64))
        });
        let wanted: Vec<i64> = wanted.collect();
        assert_indices(&format!("nside {n} "), &indices(table.into_iter().flatten()), &wanted);
    }
}
