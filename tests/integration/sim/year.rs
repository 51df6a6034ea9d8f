//! A year of the paper's scan against litebird_sim: hits, maps, templates, covariance.

use super::{par, realisation, rms, with_gains, with_tables, worst};
use ndarray::{Array3, Axis, array};
use skyscat_healpix::{Nside, Ordering, ud_grade};
use skyscat_sim::{
    Channels, Config, Convention, Coverage, Run, Simulation, SkyFrame, Templates, TemplatesParts,
};
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

/// The peer's W as templates of ours: V_Q = (·, Re W, −Im W), V_U = (·, Im W, Re W).
/// It was made from the peer's own pointings, so it holds the 149 moved samples.
fn as_templates(peer: &Peer) -> Templates {
    let block = |[re, im]: [f64; 2]| [0.0, 0.0, 0.0, 0.0, re, -im, 0.0, im, re];
    let values: Vec<f64> = peer.values.iter().flat_map(|&v| block(v)).collect();
    Templates::from_parts(TemplatesParts {
        nside: 16,
        chunks: 2208,
        horns: 1,
        indptr: peer.offsets.iter().map(|&o| o as u64).collect(),
        columns: peer.chunks.iter().map(|&c| c as u32).collect(),
        values: Array3::from_shape_vec((peer.chunks.len(), 3, 3), values).unwrap(),
        detector_horn: vec![0; 4],
        response: array![[1.0, 1.0, 0.0], [1.0, -1.0, 0.0], [1.0, 0.0, 1.0], [1.0, 0.0, -1.0]],
        solved: vec![1; 3072],
        frame: SkyFrame::Galactic,
        convention: Convention::East,
    })
    .unwrap()
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
    let peer = as_templates(&peer);
    // rms of what a map of these gains is off by, over the rms of the peer's map.
    let error = |templates: &Templates, gains: &Array3<f64>, map: usize| {
        let maps = templates.maps(gains.view(), Channels::Qu, &par()).unwrap();
        let wanted: Vec<f64> = full.index_axis(Axis(0), map).iter().skip(3072).copied().collect();
        let own = maps.data();
        let off: Vec<f64> =
            own.index_axis(Axis(0), map).iter().zip(&wanted).map(|(a, b)| a - b).collect();
        rms(&off) / rms(&wanted)
    };
    for map in 0..5 {
        let own = error(&year.templates, &gains, map);
        assert!(own < 1e-3, "map {map}: {own:e} of the peer's rms");
        // The peer's template in our hands: what the peer's own cancellation leaves.
        let theirs = error(&peer, &gains, map);
        assert!(theirs < 2e-11, "map {map}: {theirs:e} from the peer's template");
    }
    // Must fail: one gain off by 1e-4 of itself, chunks shifted by one.
    let mut off = gains.clone();
    off[[0, 700, 2]] *= 1.0 + 1e-4;
    assert!(error(&peer, &off, 0) > 2e-11);
    let mut shifted = gains.clone();
    for c in 0..2207 {
        shifted.index_axis_mut(Axis(1), c).assign(&gains.index_axis(Axis(1), c + 1));
    }
    assert!(error(&year.templates, &shifted, 0) > 1e-3);
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
    let seen = map.coverage.hits();
    let equal: Vec<bool> = seen.iter().zip(&hits).map(|(a, b)| f64::from(*a) == *b).collect();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
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

/// All of a covariance, row after row.
fn whole(templates: &Templates) -> Vec<f64> {
    let covariance = templates.covariance(SIGMA, Channels::Qu);
    let dim = covariance.dim();
    assert_eq!(dim, 6144);
    let mut rows = vec![0.0; dim * dim];
    covariance.rows(0..dim, &mut rows, &par());
    let diagonal: Vec<f64> = (0..dim).map(|i| rows[i * dim + i]).collect();
    assert_eq!(diagonal, covariance.diagonal());
    assert!((0..dim).all(|i| (0..i).all(|j| rows[i * dim + j] == rows[j * dim + i])));
    rows
}

#[test]
fn the_covariance_of_the_peers_template() {
    let test = "the_covariance_of_the_peers_template";
    let Some(peer) = peer(test) else { return };
    let Some(mut npz) = shared_npz(test, &format!("{FOLDER}/C_checks.npz")) else { return };
    let templates = as_templates(&peer);
    let rows = whole(&templates);
    let dim = 6144;
    let diagonal: Vec<f64> = (0..dim).map(|i| rows[i * dim + i]).collect();
    let wanted = reals(&mut npz, "diag");
    assert!(relative_error(&diagonal, &wanted) < 1e-13);
    let lines: Vec<f64> = reals(&mut npz, "rows_idx")
        .iter()
        .flat_map(|&i| rows[i as usize * dim..][..dim].to_vec())
        .collect();
    let peer = reals(&mut npz, "rows");
    assert!(relative_error(&lines, &peer) < 1e-13);
    // Must fail: a σ off by 1e-12 of itself, and C_QU, C_UQ with the other sign.
    let off = templates.covariance(SIGMA * (1.0 + 1e-12), Channels::Qu).diagonal();
    assert!(relative_error(&off, &wanted) > 1e-13);
    let mirrored: Vec<f64> =
        lines.iter().enumerate().map(|(i, x)| if i % dim < 3072 { *x } else { -x }).collect();
    assert!(relative_error(&mirrored, &peer) > 1e-13);

    // Every eigenvalue of the fixture counts twice: 4416 of 6144, 1728 are 0.
    let eigenvalues = reals(&mut npz, "eig_each_doubly_degenerate");
    assert_eq!(dim - 2 * eigenvalues.len(), 1728);
    let sum = |power: i32| 2.0 * eigenvalues.iter().map(|l| l.powi(power)).sum::<f64>();
    let trace: f64 = diagonal.iter().sum();
    assert!((trace / reals(&mut npz, "trace")[0] - 1.0).abs() < 1e-12);
    assert!((trace / sum(1) - 1.0).abs() < 1e-12);
    let squares: f64 = rows.iter().map(|x| x * x).sum();
    assert!((squares / sum(2) - 1.0).abs() < 1e-12);
    assert!((squares / (sum(2) - eigenvalues[50].powi(2)) - 1.0).abs() > 1e-12, "must fail");
    // ‖C x‖²/‖x‖² for a power of C on one vector approaches the largest eigenvalue.
    let mut x = vec![1.0; dim];
    let mut largest = 0.0;
    for _ in 0..60 {
        let y: Vec<f64> =
            rows.chunks_exact(dim).map(|r| r.iter().zip(&x).map(|(a, b)| a * b).sum()).collect();
        largest = rms(&y) / rms(&x);
        let norm = rms(&y);
        x = y.iter().map(|v| v / norm).collect();
    }
    // The second eigenvalue is 0.82 of the first: 0.82^120 is left.
    assert!((largest / eigenvalues[0] - 1.0).abs() < 1e-9, "{largest:e}");
}

/// Eigenvalues of C, each once: 2σ² times those of W†W, largest first.
fn eigenvalues(templates: &Templates) -> Vec<f64> {
    let parts = templates.to_parts();
    // Close to 1, for eigenvalue solvers do not like 1e-14.
    let size = parts.values.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let mut gram = faer::Mat::<faer::c64>::zeros(parts.chunks, parts.chunks);
    for range in parts.indptr.windows(2).map(|w| w[0] as usize..w[1] as usize) {
        // V_Q = (·, Re W, −Im W), V_U = (·, Im W, Re W).
        let w = |e: usize| {
            faer::c64::new(parts.values[[e, 1, 1]] / size, parts.values[[e, 2, 1]] / size)
        };
        for a in range.clone() {
            let (row, conjugate) = (parts.columns[a] as usize, w(a).conj());
            for b in range.start..=a {
                gram[(row, parts.columns[b] as usize)] += conjugate * w(b);
            }
        }
    }
    let mut values = gram.self_adjoint_eigenvalues(faer::Side::Lower).unwrap();
    values.reverse();
    values.iter().map(|v| 2.0 * SIGMA * SIGMA * size * size * v).collect()
}

#[test]
fn every_eigenvalue_is_the_fixtures() {
    let test = "every_eigenvalue_is_the_fixtures";
    let (Some(peer), Some(year)) = (peer(test), year(test)) else { return };
    let Some(mut npz) = shared_npz(test, &format!("{FOLDER}/C_checks.npz")) else { return };
    let wanted = reals(&mut npz, "eig_each_doubly_degenerate");
    let own = eigenvalues(&as_templates(&peer));
    // Backward stable: errors are some n ε of the largest one.
    assert!(relative_error(&own, &wanted) < 2208.0 * f64::EPSILON);
    // Weyl: no eigenvalue moves by more than 2 ‖ΔW‖ ‖W‖, 1e-4 in the norm of both.
    let ours = eigenvalues(&year.templates);
    assert!(relative_error(&ours, &wanted) < 2e-4);
    let shifted: Vec<f64> = wanted.iter().skip(1).chain(&wanted[..1]).copied().collect();
    assert!(relative_error(&ours, &shifted) > 2e-4, "must fail: one place on");
}

#[test]
fn the_covariance_of_the_year() {
    let test = "the_covariance_of_the_year";
    let Some(year) = year(test) else { return };
    let Some(mut npz) = shared_npz(test, &format!("{FOLDER}/C_checks.npz")) else { return };
    let wanted = reals(&mut npz, "diag");
    let variance = |sigma: f64| year.templates.covariance(sigma, Channels::Qu).diagonal();
    // As the template itself: the peer's moved samples.
    assert!(relative_error(&variance(SIGMA), &wanted) < 1e-4);
    assert!(relative_error(&variance(SIGMA * 1.001), &wanted) > 1e-4, "must fail");
    let mean = variance(SIGMA).iter().map(|v| v.sqrt()).sum::<f64>() / wanted.len() as f64;
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
