//! Isotropic Gaussian fields with the mean spectra of a set of maps.

use crate::EmulatorError;
use ndarray::{Array3, ArrayView3, Axis};
use skyscat_harmonic::{AlmField, Spectra, SpectrumPower};
use skyscat_harmonic::{InputSpectra, Plan, SpectrumKind, gaussian_alm};
use skyscat_healpix::{Nside, nest_to_ring_table, ring_to_nest_table};
use skyscat_num::Stream;

/// One field for each stream, axes (map, channel, pixel), NEST ordering.
///
/// Q and U come from E and B with their EE, BB and EB spectra, T from TT with TE
/// and TB; any other channel is refused.
///
/// # Errors
/// [`EmulatorError::Setting`] for channels without a transform,
/// [`EmulatorError::Harmonic`] if the spectra are no covariance.
pub(crate) fn fields(
    nside: Nside,
    channels: &[String],
    inputs: ArrayView3<'_, f64>,
    streams: Vec<Stream>,
) -> Result<Array3<f64>, EmulatorError> {
    let at = |name: &str| channels.iter().position(|c| c == name);
    let (t, polarisation) = (at("T"), at("Q").zip(at("U")));
    let known = usize::from(t.is_some()) + 2 * usize::from(polarisation.is_some());
    if known != channels.len() {
        return Err(EmulatorError::Setting {
            name: "init",
            given: format!("gaussian with channels {channels:?}"),
            allowed: "channels T, or Q and U, or all three",
        });
    }
    let failed = |e: skyscat_harmonic::HarmonicError| EmulatorError::Harmonic(e.to_string());
    let lmax = 3 * nside.get() - 1;
    let spin: Vec<(Plan<f64>, Vec<usize>)> =
        [t.map(|t| (0, vec![t])), polarisation.map(|(q, u)| (2, vec![q, u]))]
            .into_iter()
            .flatten()
            .map(|(spin, list)| Ok((Plan::new(nside, lmax, spin).map_err(failed)?, list)))
            .collect::<Result<_, EmulatorError>>()?;
    let spectra = mean_spectra(nside, &spin, inputs);
    let cl = |kind| spectra.get(kind).unwrap_or(&[]);
    let input = InputSpectra {
        tt: cl(SpectrumKind::TT),
        ee: cl(SpectrumKind::EE),
        bb: cl(SpectrumKind::BB),
        te: cl(SpectrumKind::TE),
        eb: cl(SpectrumKind::EB),
        tb: cl(SpectrumKind::TB),
    };
    let to_ring = nest_to_ring_table(nside);
    let mut out = Array3::zeros((streams.len(), channels.len(), nside.npix()));
    for (mut map, mut stream) in out.outer_iter_mut().zip(streams) {
        let alm =
            gaussian_alm(spin[0].0.modes(), input, &mut || stream.normal()).map_err(failed)?;
        for (plan, list) in &spin {
            let rows: &[usize] = if list.len() == 1 { &[0] } else { &[1, 2] };
            let pixels = plan.synthesis_of(alm.select(Axis(0), rows).view()).map_err(failed)?;
            for (&channel, ring) in list.iter().zip(pixels.outer_iter()) {
                for (p, value) in map.row_mut(channel).iter_mut().enumerate() {
                    *value = ring[to_ring[p] as usize];
                }
            }
        }
    }
    Ok(out)
}

/// Spectra of the inputs, averaged over them.
fn mean_spectra(
    nside: Nside,
    transforms: &[(Plan<f64>, Vec<usize>)],
    inputs: ArrayView3<'_, f64>,
) -> Spectra<f64> {
    let maps = inputs.len_of(Axis(0));
    let to_nest = ring_to_nest_table(nside);
    let alms: Vec<Vec<f64>> = transforms
        .iter()
        .map(|(plan, channels)| {
            let mut ring = Vec::with_capacity(plan.map_len(maps));
            for &pixel in &to_nest {
                for &channel in channels {
                    ring.extend((0..maps).map(|m| inputs[[m, channel, pixel as usize]]));
                }
            }
            let mut alm = vec![0.0; plan.alm_len(maps)];
            plan.analysis(&ring, &mut alm, 0, &mut plan.scratch(maps));
            alm
        })
        .collect();
    let field = |i: usize, component| AlmField {
        values: &alms[i],
        components: transforms[i].1.len(),
        component,
        batch: maps,
    };
    let temperature = (transforms[0].1.len() == 1).then(|| field(0, 0));
    let last = transforms.len() - 1;
    let polarisation = (transforms[last].1.len() == 2).then(|| (field(last, 0), field(last, 1)));
    let mut wanted = Vec::new();
    if let Some(t) = temperature {
        wanted.push((SpectrumKind::TT, t, t));
    }
    if let Some((e, b)) = polarisation {
        wanted.extend([
            (SpectrumKind::EE, e, e),
            (SpectrumKind::BB, b, b),
            (SpectrumKind::EB, e, b),
        ]);
    }
    if let (Some(t), Some((e, b))) = (temperature, polarisation) {
        wanted.extend([(SpectrumKind::TE, t, e), (SpectrumKind::TB, t, b)]);
    }
    let modes = transforms[0].0.modes();
    let all = Spectra::of(modes, SpectrumPower::Two, &wanted);
    let values = all.values.chunks_exact(maps).map(|c| c.iter().sum::<f64>() / maps as f64);
    Spectra { values: values.collect(), batch: 1, ..all.clone() }
}
