//! All covariances of one scale: moduli are convolved, paired and forgotten, block by
//! block, so that no convolved modulus is ever stored.

mod factors;
mod fill;
mod gpu;
mod kernel;
mod layout;
mod linear;
mod local;
mod packing;
mod spread;
mod sums;

use crate::stencil::{Masks, Stencil};
use crate::{RotationTable, WaveletError};
use layout::Layout;
use skyscat_autodiff::device::{DeviceCall, DeviceWork};
use skyscat_autodiff::{CpuKernel, GraphError, Keeps, Operator, Shape};
use std::ops::Range;
use std::sync::Arc;

/// One of the fields that a [`Covariance`] pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// c_{l3} of the band with this index: one channel in the group l3.
    Band(usize),
    /// D[l3, l2] = rotate(M_{l2} ⋆ ψ_{l3}) of the modulus with this index: R channels
    /// in the group l3.
    Modulus(usize),
}

/// What a [`Covariance`] computes.
#[derive(Clone, Debug)]
pub struct CovarianceConfig {
    /// Number of bands, R complex channels each: the first inputs.
    pub bands: usize,
    /// For each modulus, R real channels: how D is turned, if it is. The inputs after
    /// the bands.
    pub moduli: Vec<Option<Arc<RotationTable>>>,
    /// The pairs (X, Y) that are wanted.
    pub pairs: Vec<(Part, Part)>,
    /// ⟨XY*⟩ − ⟨X⟩⟨Y*⟩ (true), or ⟨XY*⟩ alone.
    pub centred: bool,
}

/// Cov[X, Y] = ⟨X Y*⟩ − ⟨X⟩⟨Y*⟩ of bands and of moduli convolved a second time.
///
/// Output: a row a mask; complex channels, those of pair i at [`Covariance::channels`],
/// in the order (l3·n_y + y)·n_x + x; then, if centred, the means that were subtracted.
#[derive(Debug)]
pub struct Covariance {
    stencil: Arc<Stencil>,
    masks: Arc<Masks>,
    config: CovarianceConfig,
    layout: Layout,
}

impl Covariance {
    /// The covariances of one scale.
    ///
    /// # Errors
    /// [`WaveletError::Pair`] for no pair, or one of a part that is not an input.
    pub fn new(
        stencil: Arc<Stencil>,
        masks: Arc<Masks>,
        config: CovarianceConfig,
    ) -> Result<Self, WaveletError> {
        let known = |part: &Part| match *part {
            Part::Band(i) => i < config.bands,
            Part::Modulus(i) => i < config.moduli.len(),
        };
        if config.pairs.is_empty() {
            return Err(WaveletError::Pair { given: "no pair".to_owned() });
        }
        if let Some(pair) = config.pairs.iter().find(|(x, y)| !known(x) || !known(y)) {
            return Err(WaveletError::Pair { given: format!("{pair:?}") });
        }
        let layout = Layout::new(&stencil, &config);
        Ok(Self { stencil, masks, config, layout })
    }

    /// Output channels of a pair.
    ///
    /// # Panics
    /// If there is no such pair.
    pub fn channels(&self, pair: usize) -> Range<usize> {
        self.layout.pairs[pair].channels(self.stencil.orientations)
    }

    fn groups(&self) -> usize {
        self.stencil.orientations
    }

    /// Channels of all pairs, without the means.
    fn pair_channels(&self) -> usize {
        self.channels(self.config.pairs.len() - 1).end
    }

    fn mean_channels(&self) -> usize {
        if self.config.centred { self.groups() * self.layout.slots } else { 0 }
    }
}

impl Operator for Covariance {
    fn name(&self) -> &'static str {
        "covariance"
    }
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, GraphError> {
        let (rows, r) = (self.stencil.rows(), self.groups());
        let bands = self.config.bands;
        let fits = inputs.len() == bands + self.config.moduli.len()
            && self.masks.pixels == rows
            && inputs[..bands].iter().all(|x| *x == Shape::complex(rows, r))
            && inputs[bands..].iter().all(|x| *x == Shape::real(rows, r));
        if fits {
            let channels = self.pair_channels() + self.mean_channels();
            return Ok(Shape::complex(self.masks.masks, channels));
        }
        let moduli = self.config.moduli.len();
        let allowed = format!("{bands} bands and {moduli} moduli of {rows} rows, {r} channels");
        Err(self.refuse(inputs, &allowed))
    }
    fn keeps(&self) -> Keeps {
        Keeps::InputsAndOutput
    }
    fn joint(&self) -> bool {
        true
    }
    fn flops(&self, _inputs: &[Shape]) -> f64 {
        let products = 8 * self.layout.distinct * self.groups();
        let means = 4 * self.mean_channels();
        self.second_flops() + ((products + means) * self.masks.pixels * self.masks.masks) as f64
    }
    fn joint_flops(&self, _inputs: &[Shape]) -> f64 {
        // D once more, (G + Gᴴ) z, and the transposed convolution.
        let products = 8 * self.layout.links() * self.groups();
        2.0 * self.second_flops() + (products * self.masks.pixels * self.masks.masks) as f64
    }
    fn table_bytes(&self) -> f64 {
        self.stencil.bytes() + (8 * self.masks.pixels * self.masks.masks) as f64
    }
    fn cpu(&self) -> &dyn CpuKernel {
        self
    }
    fn gpu(&self, call: &DeviceCall<'_>) -> Option<DeviceWork<'_>> {
        Some(self.device_work(call))
    }
}

impl Covariance {
    /// Operations of the second convolution of every modulus.
    fn second_flops(&self) -> f64 {
        let per_entry = 4 * self.groups() * self.groups() * self.config.moduli.len();
        (self.stencil.entries() * per_entry) as f64
    }
}
