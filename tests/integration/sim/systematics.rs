//! Each systematic against its formula.

use super::{par, realisation, rms};
use rustfft::FftPlanner;
use rustfft::num_complex::Complex64;
use skyscat_healpix::is_unseen;
use skyscat_sim::systematics::{GainDrift, NonLinearity, OneOverF, Span, Systematic, WhiteNoise};
use skyscat_sim::{Config, Content, Run, Simulation, SystematicConfig};

fn span(chunk: u64, detector: usize) -> Span<'static> {
    Span {
        detector,
        chunk,
        first_sample: 0,
        rate_hz: 10.0,
        net_k_rts: 3e-5,
        realisation: realisation(0),
    }
}

/// What a systematic adds to silence.
fn added(systematic: &dyn Systematic, span: &Span<'_>, samples: usize) -> Vec<f64> {
    let mut excess = vec![0.0; samples];
    systematic.apply(span, &vec![0.0; samples], &mut excess);
    excess
}

#[test]
fn white_noise_has_its_level_and_no_memory() {
    let n = 200_000;
    let noise = added(&WhiteNoise, &span(0, 0), n);
    let sigma = 3e-5 * 10f64.sqrt();
    // The variance of n normals is uncertain by √(2/n), a correlation by 1/√n.
    let five = 5.0 / (n as f64).sqrt();
    assert!((rms(&noise).powi(2) / sigma.powi(2) - 1.0).abs() < five * 2f64.sqrt());
    let pairs = |other: &[f64]| {
        noise.iter().zip(other).map(|(a, b)| a * b).sum::<f64>() / (n as f64 * sigma * sigma)
    };
    assert!(pairs(&noise[1..]).abs() < five);
    for other in [span(1, 0), span(0, 1)] {
        assert!(pairs(&added(&WhiteNoise, &other, n)).abs() < five, "streams are independent");
    }
    // Must fail: the same stream.
    assert!(pairs(&added(&WhiteNoise, &span(0, 0), n)) > five);
}

/// Mean periodogram of `chunks` chunks of `n` samples over NET² (knee/f)^slope.
fn periodogram(noise: &OneOverF, n: usize, chunks: u64, slope: f64) -> Vec<f64> {
    let plan = FftPlanner::new().plan_fft_forward(n);
    let mut power = vec![0.0; n / 2 + 1];
    for chunk in 0..chunks {
        let span = span(chunk, 0);
        let mut spectrum: Vec<Complex64> =
            added(noise, &span, n).into_iter().map(|x| Complex64::new(x, 0.0)).collect();
        plan.process(&mut spectrum);
        for (k, power) in power.iter_mut().enumerate().skip(1) {
            let frequency = k as f64 * span.rate_hz / n as f64;
            let expected = span.net_k_rts.powi(2) * (0.1 / frequency).powf(slope);
            *power += spectrum[k].norm_sqr() / (n as f64 * span.rate_hz) / expected / chunks as f64;
        }
        assert!(spectrum[0].norm() < 1e-9, "a mean of 0");
    }
    power[1..].to_vec()
}

#[test]
fn one_over_f_noise_has_its_power_at_every_frequency() {
    let (chunks, slope) = (2000, 1.3);
    for n in [256, 255] {
        let power = periodogram(&OneOverF::new(0.1, slope, &[n]), n, chunks, slope);
        // |X|² of a bin is exponential: 1/√chunks; the unpaired one is χ²: √2 of it.
        let spread = 1.0 / (chunks as f64).sqrt();
        for (i, p) in power.iter().enumerate() {
            let unpaired = if 2 * (i + 1) == n { 2f64.sqrt() } else { 1.0 };
            assert!((p - 1.0).abs() < 5.0 * spread * unpaired, "bin {i} of {n}: {p}");
        }
        let mean = |p: &[f64]| p.iter().sum::<f64>() / p.len() as f64;
        let bound = 5.0 * spread / (power.len() as f64).sqrt();
        assert!((mean(&power) - 1.0).abs() < bound);
        // Must fail: another slope.
        let other = periodogram(&OneOverF::new(0.1, slope, &[n]), n, chunks, slope + 0.05);
        assert!((mean(&other) - 1.0).abs() > bound);
    }
}

#[test]
fn a_non_linearity_bends_a_ramp_exactly() {
    let adc = NonLinearity { quadratic_per_k: 0.25, ripple_k: 1e-3, ripple_period_k: 0.5 };
    let ideal: Vec<f64> = (0..100).map(|i| f64::from(i) / 64.0).collect();
    // Half of the signal is there as excess already: only the sum counts.
    let half: Vec<f64> = ideal.iter().map(|d| d / 2.0).collect();
    let mut excess = half.clone();
    adc.apply(&span(0, 0), &half, &mut excess);
    for (i, d) in ideal.iter().enumerate() {
        let total = half[i] + excess[i];
        let wanted = d + 0.25 * d * d + 1e-3 * (4.0 * std::f64::consts::PI * d).sin();
        assert!((total - wanted).abs() < 1e-15, "{d}");
        assert!(i == 0 || (total - d).abs() > 1e-5, "must fail: the ramp itself");
    }
}

#[test]
fn gains_have_their_spread_and_one_value_a_chunk() {
    let drift = GainDrift { sigma: 1e-4 };
    let chunks = 2000;
    let gains: Vec<f64> = (0..chunks)
        .map(|chunk| {
            let mut excess = [0.0; 3];
            drift.apply(&span(chunk, 1), &[1.0, 2.0, -4.0], &mut excess);
            assert_eq!((excess[1], excess[2]), (2.0 * excess[0], -4.0 * excess[0]));
            excess[0]
        })
        .collect();
    let five = 5.0 / (chunks as f64).sqrt();
    assert!((rms(&gains) / 1e-4 - 1.0).abs() < five / 2f64.sqrt());
    assert!((gains.iter().sum::<f64>() / (1e-4 * chunks as f64)).abs() < five);
}

fn day(content: Content, systematics: Vec<SystematicConfig>) -> Vec<f64> {
    let mut config = Config::campeti2025();
    config.mission.days = 0.5;
    (config.maps.nside, config.maps.nside_out) = (64, 16);
    config.maps.content = content;
    config.systematics = systematics;
    config.detectors.iter_mut().for_each(|d| d.net_k_rts = 1e-4);
    let simulation = Simulation::new(config).unwrap();
    let map = simulation.map(realisation(0), Run::quiet(&par())).unwrap();
    map.maps.data().iter().copied().filter(|v| !is_unseen(*v)).collect()
}

#[test]
fn without_gain_the_map_is_the_plain_dipole() {
    let still = vec![SystematicConfig::GainDrift { sigma: 0.0 }];
    let plain = day(Content::Total, Vec::new());
    assert_eq!(day(Content::Total, still.clone()), plain);
    assert!(day(Content::Systematics, still).iter().all(|&v| v == 0.0));
    // T is the dipole, Q and U are what rounding leaves of it.
    let third = plain.len() / 3;
    assert!(rms(&plain[..third]) > 1e-4);
    assert!(plain[third..].iter().all(|v| v.abs() < 1e-17));
    // Must fail: a drift.
    let drift = vec![SystematicConfig::GainDrift { sigma: 1e-4 }];
    assert_ne!(day(Content::Total, drift), plain);
}

#[test]
fn systematics_add_up_in_their_order() {
    use SystematicConfig::{GainDrift, NonLinearity, OneOverF, WhiteNoise};
    let adc = NonLinearity { quadratic_per_k: 0.1, ripple_k: 0.0, ripple_period_k: 1.0 };
    let one_over_f = OneOverF { knee_hz: 0.1, slope: 1.0 };
    let all = vec![GainDrift { sigma: 1e-4 }, WhiteNoise, one_over_f.clone(), adc.clone()];
    let together = day(Content::Systematics, all.clone());
    // Noises are additive and come from streams of their own.
    let noise = day(Content::Systematics, vec![WhiteNoise, one_over_f]);
    let drift = day(Content::Systematics, vec![GainDrift { sigma: 1e-4 }]);
    let bent = day(Content::Systematics, vec![adc]);
    let sum: Vec<f64> = (0..noise.len()).map(|i| noise[i] + drift[i] + bent[i]).collect();
    // What is left are products: 2·0.1/K · 3e-3 K of the noise, and its square.
    let left: Vec<f64> = together.iter().zip(&sum).map(|(a, b)| a - b).collect();
    assert!(rms(&left) < 2e-3 * rms(&together) && rms(&left) > 0.0);
    // Must fail: without one of them, or in another order.
    let reversed: Vec<_> = all.into_iter().rev().collect();
    assert_ne!(day(Content::Systematics, reversed), together);
    let without: Vec<f64> = together.iter().zip(&drift).map(|(a, b)| a - b).collect();
    assert_ne!(without, noise);
}

/// An offset of one detector, written by a user.
#[derive(Debug)]
struct Offset;

impl Systematic for Offset {
    fn name(&self) -> &'static str {
        "offset"
    }

    fn apply(&self, span: &Span<'_>, _ideal: &[f64], excess: &mut [f64]) {
        if span.detector == 0 {
            excess.iter_mut().for_each(|e| *e += 4.0);
        }
    }
}

#[test]
fn a_users_systematic_reaches_the_map() {
    let mut config = Config::campeti2025();
    config.mission.days = 0.5;
    (config.maps.nside, config.maps.nside_out) = (64, 64);
    config.systematics.clear();
    let simulation = Simulation::new(config).unwrap().with_systematic(Box::new(Offset));
    let map = simulation.map(realisation(0), Run::quiet(&par())).unwrap();
    let data = map.maps.data();
    for p in 0..map.maps.nside().npix() {
        let [t, q, u] = [0, 1, 2].map(|k| data[[0, k, p]]);
        if is_unseen(t) {
            continue;
        }
        // An offset o of one detector of four: T = o/4, and Q + iU = o/2 times the
        // mean of e^{2iψ}, which is no longer than 1.
        assert!((t - 1.0).abs() < 1e-13 && q.hypot(u) < 2.0 + 1e-13);
    }
}
