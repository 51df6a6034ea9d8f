//! Settings of an emulation, and what can be wrong with it.

use ndarray::Array3;
use skyscat_autodiff::LbfgsConfig;
use skyscat_scattering::{Definition, OrientationConfig};

/// How maps are brought to zero mean and unit variance before the descent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Standardise {
    /// Mean and standard deviation of each pixel over the set.
    PerPixel,
    /// As per pixel, with the log-variance map smoothed by a Gaussian of this
    /// full width at half maximum in degrees; `None` chooses the width by
    /// leave-one-out likelihood.
    SmoothedPerPixel {
        /// Full width at half maximum, degrees.
        fwhm_deg: Option<f64>,
    },
    /// One mean and standard deviation a channel.
    Global,
}

/// What the mean statistics of a batch are moved to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetMode {
    /// The mean over all inputs.
    Average,
    /// One input for each batch.
    Single,
}

/// Where a batch starts.
#[derive(Clone, Debug, PartialEq)]
pub enum Init {
    /// White noise with the target's standard deviation in each channel.
    Noise,
    /// Isotropic Gaussian fields with the mean spectra of the inputs.
    Gaussian,
    /// The given maps in physical units and NEST ordering, (map, channel, pixel);
    /// batches take them in turn, from the first again at the end.
    Maps(Array3<f64>),
}

/// What a coefficient's residual is divided by.
#[derive(Clone, Debug, PartialEq)]
pub enum Sigma {
    /// Its standard deviation over the inputs; coefficients that do not vary are
    /// left out, and listed.
    Inputs,
    /// The root mean square of the target's block (S1, S2, S3 or S4), so that the
    /// term is the mean over blocks of ‖ΔΦ‖²/‖Φ‖², where S4 counts eight times and
    /// S1 twice.
    Blocks,
    /// 1.
    One,
    /// Given numbers, one for each real coefficient in the loss, by term name.
    Given(std::collections::BTreeMap<String, Vec<f64>>),
}

/// Which spectrum term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpectrumLoss {
    /// Campeti et al. (2025), Eq. 6, relative to the inputs' own Σ(Ave/Std)²; and,
    /// since a ratio does not fix the level, the mean of (Ave C/Ave C_inputs − 1)²
    /// over ℓ, EE, BB (TT) and p = 1, 2 as a second term of a tenth of the weight.
    /// p = 1 of EB (TE, TB) is left out: its summands jump where Re(a b*) changes
    /// sign, so that line searches fail (three times the evaluations).
    Ratio,
    /// Campeti et al. (2025), Eq. 6, as written: undivided, with p = 1 of every
    /// spectrum, and nothing about the level.
    Equation6,
    /// CMBSCAT 0.0.3: mean_ℓ (Σ_j C − m C_ref)²/σ², with sgn(C)√|C| for p = 1.
    SumOverBatch,
}

/// Terms of the loss and their weights; a weight of 0 leaves a term out.
#[derive(Clone, Debug, PartialEq)]
pub struct LossConfig {
    /// Weight of each field's own scattering covariances.
    pub auto: f64,
    /// Weight of each pair's.
    pub cross: f64,
    /// Weight of the spectra.
    pub spectrum: f64,
    /// Weight of the within-batch variance of the scattering covariances.
    pub variance: f64,
    /// Within-batch variance aimed at, as a fraction of the inputs' variance.
    pub variance_fraction: f64,
    /// Residuals are divided by this.
    pub sigma: Sigma,
    /// Which spectrum term.
    pub spectrum_loss: SpectrumLoss,
    /// Include S3 with the fields exchanged in pairs.
    pub exchanged_s3: bool,
}

/// Settings of an emulation.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The statistics.
    pub scattering: skyscat_scattering::Config,
    /// How dominant orientations are found, if statistics are relative to them.
    pub orientation: Option<OrientationConfig>,
    /// Standardisation; `None` chooses by the number of inputs.
    pub standardise: Option<Standardise>,
    /// Floor of the standard deviation, as a fraction of its mean; 0 refuses
    /// constant pixels.
    pub std_floor: f64,
    /// The target; `None` chooses by the number of inputs.
    pub target: Option<TargetMode>,
    /// Maps moved together.
    pub batch: usize,
    /// Maps of a batch whose fields are in memory at a time on the CPU; `None` is all of
    /// them. Fewer take less memory, and the forward half of an evaluation twice.
    pub at_once: Option<usize>,
    /// Iterations of the descent.
    pub steps: u64,
    /// The optimiser.
    pub lbfgs: LbfgsConfig,
    /// Stop early when the loss fell by less than this fraction over 50
    /// iterations; 0 never does.
    pub plateau: f64,
    /// The loss.
    pub loss: LossConfig,
    /// Where batches start.
    pub init: Init,
}

/// From this many inputs on, single targets are the default (paper, section 4).
pub(crate) const SINGLE_TARGET_FROM: usize = 50;

impl Config {
    /// The paper: scattering covariances of Q, U and Q×U and spectra, all with
    /// weight 1, batches of 10, 1000 iterations. Residuals are relative to their
    /// block and L-BFGS keeps 20 pairs: both bring every block below 1 % in those
    /// iterations (see `benches/README.md`).
    pub fn campeti2025() -> Self {
        Self {
            scattering: skyscat_scattering::Config::campeti2025(),
            orientation: None,
            standardise: None,
            std_floor: 0.0,
            target: None,
            batch: 10,
            at_once: None,
            steps: 1000,
            lbfgs: LbfgsConfig { memory: 20, ..LbfgsConfig::campeti2025() },
            plateau: 0.0,
            loss: LossConfig {
                auto: 1.0,
                cross: 1.0,
                spectrum: 1.0,
                variance: 0.0,
                variance_fraction: 0.0,
                sigma: Sigma::Blocks,
                spectrum_loss: SpectrumLoss::Ratio,
                exchanged_s3: true,
            },
            init: Init::Noise,
        }
    }

    /// What CMBSCAT 0.0.3 does: its statistics, per-pixel standardisation, the
    /// average of four terms, and sums over the batch in place of means.
    pub fn cmbscat(batch: usize) -> Self {
        let sums = (batch * batch) as f64;
        let paper = Self::campeti2025();
        Self {
            scattering: skyscat_scattering::Config::healpixml(),
            standardise: Some(Standardise::PerPixel),
            batch,
            loss: LossConfig {
                auto: 0.25 * sums,
                cross: 0.25 * sums,
                spectrum: 0.25,
                spectrum_loss: SpectrumLoss::SumOverBatch,
                sigma: Sigma::Inputs,
                exchanged_s3: false,
                ..paper.loss.clone()
            },
            ..paper
        }
    }

    /// The settings that go with a definition.
    pub fn of(definition: Definition, batch: usize) -> Self {
        match definition {
            Definition::Paper => Self { batch, ..Self::campeti2025() },
            Definition::HealpixMl => Self::cmbscat(batch),
        }
    }

    /// The target for a number of inputs.
    pub fn target_for(&self, inputs: usize) -> TargetMode {
        self.target.unwrap_or(match inputs {
            SINGLE_TARGET_FROM.. => TargetMode::Single,
            _ => TargetMode::Average,
        })
    }

    /// The standardisation for a number of inputs: smoothed per pixel from 2 to
    /// 49, where the variance of each pixel is a noisy estimate, per pixel from
    /// 50 on, and global for 1.
    pub fn standardise_for(&self, inputs: usize) -> Standardise {
        self.standardise.unwrap_or(match inputs {
            1 => Standardise::Global,
            SINGLE_TARGET_FROM.. => Standardise::PerPixel,
            _ => Standardise::SmoothedPerPixel { fwhm_deg: None },
        })
    }
}

/// What can be wrong with an emulation.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EmulatorError {
    /// A setting outside its range.
    #[error("{name} = {given} is not allowed: {allowed}")]
    Setting {
        /// Name of the setting.
        name: &'static str,
        /// The value given.
        given: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// Too few inputs for what was asked.
    #[error("{what} needs at least {allowed} input maps, {given} given")]
    TooFewInputs {
        /// What needs them.
        what: &'static str,
        /// The number given.
        given: usize,
        /// The number needed.
        allowed: usize,
    },
    /// A pixel that has the same value in every input.
    #[error(
        "channel {channel}, pixel {pixel} (NEST) has the same value {value:e} in all {inputs} \
         inputs ({count} such pixels): per-pixel standardisation cannot divide by its spread; \
         use another standardisation or a floor"
    )]
    ConstantPixel {
        /// The channel's name.
        channel: String,
        /// The first such pixel, NEST.
        pixel: usize,
        /// Its value.
        value: f64,
        /// Number of inputs.
        inputs: usize,
        /// Number of such pixels in the channel.
        count: usize,
    },
    /// A channel without any variation.
    #[error("channel {channel} has the same value in every pixel of every input")]
    ConstantChannel {
        /// The channel's name.
        channel: String,
    },
    /// A saved descent that does not belong to this emulation.
    #[error("the saved descent does not fit: {what} is {given}, expected {expected}")]
    Saved {
        /// What differs.
        what: &'static str,
        /// As saved.
        given: usize,
        /// As needed.
        expected: usize,
    },
    /// The inputs.
    #[error(transparent)]
    Healpix(#[from] skyscat_healpix::HealpixError),
    /// The statistics.
    #[error(transparent)]
    Scattering(#[from] skyscat_scattering::ScatteringError),
    /// The spectra.
    #[error("spectra: {0}")]
    Harmonic(String),
    /// The graph.
    #[error(transparent)]
    Graph(#[from] skyscat_autodiff::GraphError),
    /// The graph on a GPU.
    #[cfg(feature = "gpu")]
    #[error(transparent)]
    Gpu(#[from] skyscat_autodiff::GpuError),
    /// What computed the loss is gone, in the middle of a descent.
    #[error("batch {batch}: {reason}")]
    Lost {
        /// Which batch.
        batch: String,
        /// What happened.
        reason: String,
    },
    /// The descent.
    #[error("batch {batch}: {reason}")]
    Descent {
        /// Which batch.
        batch: String,
        /// What happened.
        reason: String,
    },
}
