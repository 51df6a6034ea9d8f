//! Tables of every scale of one resolution, made once.

use crate::{Config, ScatteringError};
use skyscat_autodiff::Operator;
use skyscat_healpix::Nside;
use skyscat_wavelet::{Convolve, Gather, Masks, Sparse, Stencil, sphere};
use std::sync::Arc;

/// The operators and masks of one scale.
#[derive(Clone, Debug)]
pub(crate) struct Level {
    pub(crate) stencil: Arc<Stencil>,
    pub(crate) convolve: Arc<dyn Operator>,
    /// Smooth, then the mean of the children; absent at the last scale.
    pub(crate) down: Option<Arc<dyn Operator>>,
    /// The mean of the children alone.
    pub(crate) degrade: Option<Arc<dyn Operator>>,
    pub(crate) masks: Arc<Masks>,
    pub(crate) pixels: usize,
    pub(crate) nside: Nside,
}

/// The planned statistics of full-sky NEST maps of one resolution.
///
/// Scale j lives at Nside_j = Nside·2^{upgrades}/2^j for j = 0..J−1; J is
/// log2 Nside unless given.
#[derive(Clone, Debug)]
pub struct Scattering {
    pub(crate) config: Config,
    pub(crate) nside: Nside,
    pub(crate) upgrade: Option<Arc<dyn Operator>>,
    pub(crate) levels: Vec<Level>,
}

impl Scattering {
    /// Plans the statistics; `masks` are weights `[mask][pixel]` in NEST
    /// ordering, or empty for the full sky.
    ///
    /// # Errors
    /// [`ScatteringError`] for settings that contradict each other, an impossible
    /// number of scales, or masks of a wrong length or without weight.
    pub fn new(nside: Nside, config: Config, masks: &[Vec<f64>]) -> Result<Self, ScatteringError> {
        config.check()?;
        let allowed = nside.order() as usize;
        let scales = config.scales.unwrap_or(allowed);
        if scales == 0 || scales > allowed {
            let nside = nside.get();
            return Err(ScatteringError::Scales { given: scales, nside, allowed });
        }
        if let Some(mask) = masks.iter().find(|m| m.len() != nside.npix()) {
            return Err(ScatteringError::Size {
                what: "a mask",
                given: format!("{} pixels", mask.len()),
                expected: format!("{} pixels", nside.npix()),
            });
        }
        let upgrades = config.bank.kernel.upgrades();
        let (upgrade, first, masks) = match upgrades {
            0 => (None, nside, masks.to_vec()),
            _ => {
                let matrix = sphere::upgrading(nside, upgrades)?;
                let masks = masks.iter().map(|m| matrix.apply(m)).collect();
                let fine = Nside::new(nside.get() << upgrades)
                    .map_err(skyscat_wavelet::WaveletError::from)?;
                let operator: Arc<dyn Operator> = Arc::new(Gather::new(Arc::new(matrix)));
                (Some(operator), fine, masks)
            }
        };
        let levels = plan_levels(first, scales, &config, masks)?;
        Ok(Self { config, nside, upgrade, levels })
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Resolution of the maps.
    pub fn nside(&self) -> Nside {
        self.nside
    }

    /// Number of scales J.
    pub fn scales(&self) -> usize {
        self.levels.len()
    }

    /// Number of orientations R.
    pub fn orientations(&self) -> usize {
        self.config.bank.orientations
    }

    /// Number of masks; 1 for the full sky.
    pub fn masks(&self) -> usize {
        self.levels[0].masks.masks()
    }
}

fn plan_levels(
    first: Nside,
    scales: usize,
    config: &Config,
    mut masks: Vec<Vec<f64>>,
) -> Result<Vec<Level>, ScatteringError> {
    let mut nside = first;
    let mut levels = Vec::new();
    for scale in 0..scales {
        let stencil = Arc::new(sphere::wavelets(nside, &config.bank)?);
        let weights = match masks.len() {
            0 => Masks::full(nside.npix()),
            _ => Masks::new(&masks)?,
        };
        let mut level = Level {
            convolve: Arc::new(Convolve::new(stencil.clone())),
            stencil,
            down: None,
            degrade: None,
            masks: Arc::new(weights),
            pixels: nside.npix(),
            nside,
        };
        if scale + 1 < scales {
            let degrade = sphere::degrading(nside)?;
            let down = degrade.after(&sphere::smoothing(nside, config.bank.kernel));
            masks = masks.iter().map(|m| degrade.apply(m)).collect();
            let operator = |m: Sparse| -> Option<Arc<dyn Operator>> {
                Some(Arc::new(Gather::new(Arc::new(m))))
            };
            level.down = operator(down);
            level.degrade = operator(degrade);
            nside = nside.coarser().expect("a coarser level remains");
        }
        levels.push(level);
    }
    Ok(levels)
}
