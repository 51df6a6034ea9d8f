//! A year of the paper's scan against litebird_sim: hits, maps, templates, covariance.

use super::{par, realisation, rms, with_gains, with_tables, worst};
use ndarray::Axis;
use skyscat_healpix::{Nside, Ordering, ud_grade};
use skyscat_sim::{Channels, Config, Coverage, Run, Simulation, Templates};
use skyscat_tests::{reals, relative_error, shared_npy, shared_npz};
use std::sync::OnceLock;

const FOLDER: &str = "fixtures/litebird_sim";
const SIGMA: f64 = 1e-4;
/// Samples of the year that the peer's interpolation moves to another pixel.
const MOVED: i64 = 149;

struct Year {
    config: Config,
    coverage: Coverage,
    templates: Templates,
}

/// The year, made once for all tests; `None`, visibly, without the fixtures.
fn year(test: &str) -> Option<&'static Year> {
    static YEAR: OnceLock<Year> = OnceLock::new();
    let mut npz = shared_npz(test, &format!("{FOLDER}/golden_scan.npz"))?;
    Some(YEAR.get_or_init(|| {
        let config = with_tables(&mut npz);
        let simulation = Simulation::new(config.clone()).unwrap();
        let par = par();
        let run = Run::quiet(&par);
        let coverage = simulation.coverage(run).unwrap();
        let templates = simulation.templates_on(&coverage, run).unwrap();
        Year { config, coverage, templates }
    }))
}

#[test]
fn hits_of_the_year() {
    let Some(year) = year("hits_of_the_year") else { return };
    let file = format!("{FOLDER}/hits_nside128_galactic_ring.npz");
    let Some(mut npz) = shared_npz("hits_of_the_year", &file) else { return };
    let hits: Vec<i64> = year.coverage.hits().iter().map(|&h| i64::from(h)).collect();
    let peer: Vec<i64> = reals(&mut npz, "hits").iter().map(|&h| h as i64).collect();
    assert_eq!(hits.iter().sum::<i64>(), 220_752_000);
    let moved = |own: &[i64]| own.iter().zip(&peer).map(|(a, b)| (a - b).abs()).sum::<i64>();
    // A sample that moves is missing in one pixel and too many in another.
    assert!(moved(&hits) <= 2 * MOVED, "{}", moved(&hits));
    let mut shifted = hits.clone();
    shifted.rotate_left(1);
    assert!(moved(&shifted) > 2 * MOVED, "must fail: one pixel on");
    assert_eq!((hits.iter().min(), hits.iter().max()), (Some(&319), Some(&39_327)));
    let masked = year.coverage.masked();
    assert_eq!((masked.never_hit, masked.ill_conditioned), (0, 0));
    // M = n diag(4, 2, 2).
    assert!((masked.worst.condition - 2.0).abs() < 1e-12);
}

/// The peer's W: offsets by RING pixel, chunks, real and imaginary parts.
struct Peer {
    offsets: Vec<usize>,
    chunks: Vec<usize>,
    values: Vec<[f64; 2]>,
}

fn peer(test: &str) -> Option<Peer> {
    let offsets = shared_npy::<i32>(test, &format!("{FOLDER}/W16_indptr_i32.npy"))?;
    let chunks = shared_npy::<i16>(test, &format!("{FOLDER}/W16_chunk_i16.npy"))?;
    let values = shared_npy::<f64>(test, &format!("{FOLDER}/W16_re_im_f64.npy"))?;
    let values: Vec<f64> = values.iter().copied().collect();
    Some(Peer {
        offsets: offsets.iter().map(|&x| x as usize).collect(),
        chunks: chunks.iter().map(|&x| x as usize).collect(),
        values: values.chunks_exact(2).map(|v| [v[0], v[1]]).collect(),
    })
}

/// A dense row of the peer's W, over chunks.
fn row(peer: &Peer, pixel: usize) -> Vec<[f64; 2]> {
    let mut row = vec![[0.0; 2]; 2208];
    for entry in peer.offsets[pixel]..peer.offsets[pixel + 1] {
        row[peer.chunks[entry]] = peer.values[entry];
    }
    row
}

#[test]
fn the_template_is_the_peers_w() {
    let test = "the_template_is_the_peers_w";
    let (Some(year), Some(peer)) = (year(test), peer(test)) else { return };
    let parts = year.templates.to_parts();
    // ‖own − peer‖/‖peer‖ with the chunks shifted and Im W multiplied.
    let error = |shift: usize, sign: f64| {
        let (mut difference, mut norm, mut broken) = (0.0, 0.0, 0.0f64);
        for pixel in 0..3072 {
            let mut wanted = row(&peer, pixel);
            for entry in parts.indptr[pixel] as usize..parts.indptr[pixel + 1] as usize {
                let chunk = (parts.columns[entry] as usize + shift) % 2208;
                let v = |i: usize, k: usize| parts.values[[entry, i, k]];
                // V_Q = (·, Re W, −Im W), V_U = (·, Im W, Re W).
                broken = broken.max((v(1, 1) - v(2, 2)).abs()).max((v(1, 2) + v(2, 1)).abs());
                wanted[chunk][0] -= v(1, 1);
                wanted[chunk][1] -= sign * v(2, 1);
            }
            difference += wanted.iter().flatten().map(|x| x * x).sum::<f64>();
            norm += row(&peer, pixel).iter().flatten().map(|x| x * x).sum::<f64>();
        }
        assert!(broken < 1e-15 * norm.sqrt(), "the four detectors make V complex: {broken:e}");
        (difference / norm).sqrt()
    };
    let found = error(0, 1.0);
    assert!(found < 1e-4, "{found:e}");
    assert!(error(1, 1.0) > 0.1 && error(0, -1.0) > 0.1, "must fail: a chunk on, ψ mirrored");
}

/// Gains of the fixture's five maps.
fn gains(test: &str) -> Option<ndarray::Array3<f64>> {
    let gains = shared_npy::<f64>(test, &format!("{FOLDER}/gains_5x2208x4_f64.npy"))?;
    Some(gains.into_dimensionality().expect("three axes"))
}

#[test]
fn five_maps_of_the_year() {
    let test = "five_maps_of_the_year";
    let (Some(year), Some(peer), Some(gains)) = (year(test), peer(test), gains(test)) else {
        return;
    };
    let file = format!("{FOLDER}/lbs_full_5maps_TQU_nside16_K_f64.npy");
    let Some(full) = shared_npy::<f64>(test, &file) else { return };
    let maps = |gains: &ndarray::Array3<f64>| {
        let maps = year.templates.maps(gains.view(), Channels::Qu, &par()).unwrap();
        maps.into_data()
    };
    let own = maps(&gains);
    let errors = |own: &ndarray::Array3<f64>, map: usize| {
        let own: Vec<f64> = own.index_axis(Axis(0), map).iter().copied().collect();
        let wanted: Vec<f64> = full.index_axis(Axis(0), map).iter().skip(3072).copied().collect();
        // The peer's template with the same gains.
        let mut by_template = vec![0.0; 2 * 3072];
        for pixel in 0..3072 {
            for entry in peer.offsets[pixel]..peer.offsets[pixel + 1] {
                let g = |d: usize| gains[[map, peer.chunks[entry], d]];
                let (z_re, z_im) = (g(0) - g(1), g(2) - g(3));
                let [re, im] = peer.values[entry];
                by_template[pixel] += re * z_re - im * z_im;
                by_template[3072 + pixel] += re * z_im + im * z_re;
            }
        }
        let differences =
            |a: &[f64]| -> Vec<f64> { own.iter().zip(a).map(|(x, y)| x - y).collect() };
        let level = rms(&wanted);
        (rms(&differences(&wanted)) / level, rms(&differences(&by_template)) / level)
    };
    for map in 0..5 {
        let (from_maps, from_template) = errors(&own, map);
        assert!(from_maps < 1e-3, "map {map}: {from_maps:e} of the peer's rms");
        assert!(from_template < 1e-11, "map {map}: {from_template:e} from the peer's template");
    }
    // Must fail: one gain off by 1e-4 of itself, chunks shifted by one.
    let mut off = gains.clone();
    off[[0, 700, 2]] *= 1.0 + 1e-4;
    assert!(errors(&maps(&off), 0).1 > 1e-11);
    let mut shifted = gains.clone();
    for c in 0..2207 {
        shifted.index_axis_mut(Axis(1), c).assign(&gains.index_axis(Axis(1), c + 1));
    }
    assert!(errors(&maps(&shifted), 0).0 > 1e-3);
}

#[test]
fn the_first_map_at_full_resolution() {
    let test = "the_first_map_at_full_resolution";
    let (Some(year), Some(gains)) = (year(test), gains(test)) else { return };
    let file = format!("{FOLDER}/lbs_full_map0_QU_nside128_K_f32.npz");
    let Some(mut npz) = shared_npz(test, &file) else { return };
    let file = format!("{FOLDER}/hits_nside128_galactic_ring.npz");
    let Some(mut hits) = shared_npz(test, &file) else { return };
    let first: Vec<f64> = gains.index_axis(Axis(0), 0).iter().copied().collect();
    let mut config = with_gains(year.config.clone(), &first);
    config.maps.nside_out = 128;
    let simulation = Simulation::new(config).unwrap();
    let map = simulation.map(realisation(0), Run::quiet(&par())).unwrap();
    let (wanted, hits) = (reals(&mut npz, "qu"), reals(&mut hits, "hits"));
    let own: Vec<f64> = map.maps.data().iter().skip(196_608).copied().collect();
    let same = |i: usize| f64::from(map.coverage.hits()[i % 196_608]) == hits[i % 196_608];
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let equal: Vec<bool> = (0..196_608).map(same).collect();
    for i in (0..own.len()).filter(|i| equal[i % 196_608]) {
        ours.push(own[i]);
        theirs.push(wanted[i]);
    }
    assert!(equal.iter().filter(|e| !**e).count() as i64 <= 2 * MOVED);
    // Rounding to f32, half a unit in the last place of each number, and the peer's
    // angles, 4e-8 of the signal.
    let peak = theirs.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    let bound = (0.5 * f64::from(f32::EPSILON) + 4.0 * 4e-8) * peak;
    assert!(worst(&ours, &theirs) < bound, "{:e} of {bound:e}", worst(&ours, &theirs));
    ours[5] += 2.0 * bound;
    assert!(worst(&ours, &theirs) > bound, "must fail");

    // Both routes over the year.
    let templates = &year.templates;
    let maps = templates.maps(gains.view(), Channels::Tqu, &par()).unwrap();
    for k in 0..3 {
        let plane: Vec<f64> = map.maps.data().index_axis(Axis(0), 0).row(k).to_vec();
        let graded = ud_grade(&plane, Ordering::Ring, Nside::new(16).unwrap()).unwrap();
        let template: Vec<f64> = maps.data().index_axis(Axis(0), 0).row(k).to_vec();
        assert!(relative_error(&template, &graded) < 1e-12);
    }
}

#[test]
fn the_covariance_of_the_year() {
    let test = "the_covariance_of_the_year";
    let Some(year) = year(test) else { return };
    let Some(mut npz) = shared_npz(test, &format!("{FOLDER}/C_checks.npz")) else { return };
    let covariance = year.templates.covariance(SIGMA, Channels::Qu);
    let dim = covariance.dim();
    assert_eq!(dim, 6144);
    let mut rows = vec![0.0; dim * dim];
    covariance.rows(0..dim, &mut rows, &par());
    let diagonal: Vec<f64> = (0..dim).map(|i| rows[i * dim + i]).collect();
    assert_eq!(diagonal, covariance.diagonal());
    assert!((0..dim).all(|i| (0..i).all(|j| rows[i * dim + j] == rows[j * dim + i])));
    let wanted = reals(&mut npz, "diag");
    assert!(relative_error(&diagonal, &wanted) < 1e-10);
    let lines: Vec<f64> = reals(&mut npz, "rows_idx")
        .iter()
        .flat_map(|&i| rows[i as usize * dim..][..dim].to_vec())
        .collect();
    let peer = reals(&mut npz, "rows");
    assert!(relative_error(&lines, &peer) < 1e-10);
    // Must fail: a σ off by 1e-4 of itself, and C_UQ with the other sign.
    let off = year.templates.covariance(SIGMA * (1.0 + 1e-4), Channels::Qu).diagonal();
    assert!(relative_error(&off, &wanted) > 1e-10);
    let mirrored: Vec<f64> =
        lines.iter().enumerate().map(|(i, x)| if i % dim < 3072 { *x } else { -x }).collect();
    assert!(relative_error(&mirrored, &peer) > 1e-10);

    // Every eigenvalue of the fixture counts twice: 4416 of 6144, 1728 are 0.
    let eigenvalues = reals(&mut npz, "eig_each_doubly_degenerate");
    assert_eq!(dim - 2 * eigenvalues.len(), 1728);
    let sum = |power: i32| 2.0 * eigenvalues.iter().map(|l| l.powi(power)).sum::<f64>();
    let trace: f64 = diagonal.iter().sum();
    assert!((trace / reals(&mut npz, "trace")[0] - 1.0).abs() < 1e-12);
    assert!((trace / sum(1) - 1.0).abs() < 1e-12);
    let frobenius: f64 = rows.iter().map(|x| x * x).sum();
    assert!((frobenius / sum(2) - 1.0).abs() < 1e-12);
    assert!((frobenius / (sum(2) - eigenvalues[50].powi(2)) - 1.0).abs() > 1e-12, "must fail");
    // Of H = W W† through the mean of √C_ii, as the paper's level.
    let mean = diagonal.iter().map(|v| v.sqrt()).sum::<f64>() / dim as f64;
    assert!((1e9 * mean - 15.5).abs() < 0.05, "{mean:e}");
}

#[test]
fn drawn_maps_have_the_exact_variance() {
    let Some(year) = year("drawn_maps_have_the_exact_variance") else { return };
    let n = 2000;
    let members: Vec<_> = (0..n).map(realisation).collect();
    let maps = year.templates.draw(SIGMA, &members, Channels::Qu, &par()).unwrap();
    let exact = year.templates.covariance(SIGMA, Channels::Qu).diagonal();
    let mut ratios = vec![0.0; exact.len()];
    for map in maps.data().outer_iter() {
        for (ratio, (value, variance)) in ratios.iter_mut().zip(map.iter().zip(&exact)) {
            *ratio += value * value / variance / n as f64;
        }
    }
    // A variance from n maps is uncertain by √(2/n) in each of 6144 pixels.
    let scatter = rms(&ratios.iter().map(|r| r - 1.0).collect::<Vec<_>>());
    let expected = (2.0 / n as f64).sqrt();
    assert!((scatter / expected - 1.0).abs() < 0.1, "{scatter} of {expected}");
    let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
    // Pixels are correlated: (Σλ²)/(Σλ)² gives the effective number, above 100.
    assert!((mean - 1.0).abs() < 5.0 * expected / 10.0);
    assert!((scatter / (expected * 1.25) - 1.0).abs() > 0.1, "must fail");
}
