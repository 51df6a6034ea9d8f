//! Spectra of sets of maps as labelled tables, and the isotropic Gaussian baseline.

use crate::error::{Result, ValidationError};
use crate::sets::{batch, check_qu_ring, matrix};
use crate::table::LabelledTable;
use ndarray::{Array2, Array3, Axis, Slice};
use skyscat_harmonic::{
    AlmField, HarmonicError, InputSpectra, Plan, SpectrumPower, gaussian_alm, spectrum,
};
use skyscat_healpix::MapSet;
use skyscat_num::{Par, Seed};

/// How maps are turned to spherical harmonics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HarmonicConfig {
    /// Largest degree, at least 2.
    pub lmax: usize,
    /// Iterations of the analysis.
    pub iterations: usize,
    /// Maps that are transformed at once.
    pub batch: usize,
}

impl HarmonicConfig {
    /// lmax = 3 Nside − 1 and no iterations, as in Campeti et al. (2025, §5.2).
    pub fn campeti2025(nside: usize) -> Self {
        Self { lmax: 3 * nside - 1, iterations: 0, batch: 32 }
    }

    pub(crate) fn check(self) -> Result<()> {
        let refuse = |name, given: usize, allowed| {
            Err(ValidationError::Setting { name, given: given.to_string(), allowed })
        };
        match self {
            Self { lmax: 0 | 1, .. } => refuse("lmax", self.lmax, "2 or more"),
            Self { batch: 0, .. } => refuse("batch", 0, "1 or more"),
            _ => Ok(()),
        }
    }
}

/// The three spectra of Q and U, with the components that they multiply.
const KINDS: [(&str, usize, usize); 3] = [("EE", 0, 0), ("BB", 1, 1), ("EB", 0, 1)];

/// EE, BB and EB of every map of a Q/U set, ℓ = 2 to lmax.
///
/// Labels are "EE 2", "EE 3", …; values C_ℓ = Σ_m Re(a b*)/(2ℓ+1), map units².
///
/// # Errors
/// [`ValidationError::Channels`], [`ValidationError::Ordering`],
/// [`ValidationError::Setting`], [`ValidationError::Harmonic`].
pub fn measure_spectra(set: &MapSet, config: HarmonicConfig, par: &Par) -> Result<LabelledTable> {
    check_qu_ring("spectra", set)?;
    config.check()?;
    let HarmonicConfig { lmax, iterations, .. } = config;
    let plan = Plan::<f64>::new(set.nside(), lmax, 2)?;
    let maps = matrix(set);
    let degrees = lmax - 1;
    let mut values = Array2::zeros((set.n_maps(), KINDS.len() * degrees));
    let mut slice = Vec::new();
    par.install(|| {
        let blocks = maps.axis_chunks_iter(Axis(0), config.batch);
        for (block, mut out) in blocks.zip(values.axis_chunks_iter_mut(Axis(0), config.batch)) {
            let count = block.nrows();
            batch(block, &mut slice);
            let mut alm = vec![0.0; plan.alm_len(count)];
            plan.analysis(&slice, &mut alm, iterations, &mut plan.scratch(count));
            let field =
                |component| AlmField { values: &alm[..], components: 2, component, batch: count };
            let mut found = vec![0.0; (lmax + 1) * count];
            for (kind, (_, a, b)) in KINDS.into_iter().enumerate() {
                spectrum(plan.modes(), SpectrumPower::Two, field(a), field(b), &mut found);
                for (at, &c) in found[2 * count..].iter().enumerate() {
                    out[[at % count, kind * degrees + at / count]] = c;
                }
            }
        }
    });
    let labels = KINDS.iter().flat_map(|(kind, ..)| (2..=lmax).map(move |l| format!("{kind} {l}")));
    LabelledTable::new(labels.collect(), values)
}

/// Isotropic Gaussian maps with the spectra of each map of a Q/U set.
///
/// `members` maps follow for each input, in order of the inputs; EE, BB and EB are those
/// measured on the input (Campeti et al. 2025, §5.1). The numbers of a map depend on the
/// seed, the input and the member alone.
///
/// # Errors
/// As [`measure_spectra`]; [`ValidationError::Setting`] for no members.
pub fn isotropic_gaussian(
    inputs: &MapSet,
    members: usize,
    config: HarmonicConfig,
    seed: Seed,
    par: &Par,
) -> Result<MapSet> {
    if members == 0 {
        let (name, given) = ("members", "0".to_owned());
        return Err(ValidationError::Setting { name, given, allowed: "1 or more" });
    }
    let table = measure_spectra(inputs, config, par)?;
    let plan = Plan::<f64>::new(inputs.nside(), config.lmax, 2)?;
    let (pixels, degrees) = (inputs.nside().npix(), config.lmax - 1);
    let total = inputs.n_maps() * members;
    let mut maps = Array3::zeros((total, 2, pixels));
    let spectra: Vec<[Vec<f64>; 3]> = (table.values.rows().into_iter())
        .map(|row| {
            let kind = |k: usize| {
                [0.0, 0.0].into_iter().chain((0..degrees).map(|l| row[k * degrees + l])).collect()
            };
            [kind(0), kind(1), kind(2)]
        })
        .collect();
    par.install(|| -> std::result::Result<(), HarmonicError> {
        for (first, mut out) in
            (0..).step_by(config.batch).zip(maps.axis_chunks_iter_mut(Axis(0), config.batch))
        {
            let count = out.len_of(Axis(0));
            let mut alm = Array3::zeros((count, 2, plan.modes().len()));
            for (i, mut alm) in alm.outer_iter_mut().enumerate() {
                let (input, member) = ((first + i) / members, (first + i) % members);
                let mut stream =
                    seed.stream("isotropic-gaussian").index(input as u64, member as u64);
                let [ee, bb, eb] = &spectra[input];
                let spectra = InputSpectra { ee, bb, eb, ..InputSpectra::default() };
                let drawn = gaussian_alm(plan.modes(), spectra, &mut || stream.normal())?;
                alm.assign(&drawn.slice_axis(Axis(0), Slice::from(1..)));
            }
            let alm = plan.alm_to_batch(alm.view())?;
            let mut map = vec![0.0; plan.map_len(count)];
            plan.synthesis(&alm, &mut map, &mut plan.scratch(count));
            out.assign(&plan.batch_to_maps(&map));
        }
        Ok(())
    })?;
    let set = MapSet::new(inputs.ordering(), inputs.channels(), maps)
        .map_err(|source| ValidationError::Maps { set: "isotropic", source })?;
    Ok(set
        .with_unit(inputs.unit().map(str::to_owned))
        .with_coordsys(inputs.coordsys().map(str::to_owned))
        .with_polcconv(inputs.polcconv().map(str::to_owned)))
}
