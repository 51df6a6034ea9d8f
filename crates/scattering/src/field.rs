//! Everything computed once for a field: bands, moduli, and moduli convolved again.

use crate::plan::Scattering;
use crate::{Definition, Orientation, ScatteringError};
use skyscat_autodiff::{Graph, Node, Operator};
use skyscat_wavelet::{MaskedMean, Modulus, Rotate};
use std::sync::Arc;

/// Nodes of one field, by scale. `moduli_convolved[j3][j2]` is D_{j2} at scale j3.
#[derive(Debug)]
pub(crate) struct FieldNodes {
    pub(crate) image: Node,
    pub(crate) bands: Vec<Node>,
    pub(crate) moduli: Vec<Node>,
    pub(crate) powers: Vec<Node>,
    pub(crate) moduli_convolved: Vec<Vec<Node>>,
    pub(crate) band_means: Vec<Node>,
    pub(crate) convolved_means: Vec<Vec<Node>>,
}

impl Scattering {
    /// Adds the bands and moduli of a field to a graph.
    pub(crate) fn add_field(
        &self,
        graph: &mut Graph,
        field: Node,
        orientation: Option<&Orientation>,
    ) -> Result<FieldNodes, ScatteringError> {
        let image = match &self.upgrade {
            Some(upgrade) => graph.apply_shared(upgrade.clone(), &[field])?,
            None => field,
        };
        let mut nodes = FieldNodes {
            image,
            bands: Vec::new(),
            moduli: Vec::new(),
            powers: Vec::new(),
            moduli_convolved: Vec::new(),
            band_means: Vec::new(),
            convolved_means: Vec::new(),
        };
        let mut current = image;
        let mut stored: Vec<Node> = Vec::new();
        for (scale, level) in self.levels.iter().enumerate() {
            let masks = &level.masks;
            let mut band = graph.apply_shared(level.convolve.clone(), &[current])?;
            if let Some(orientation) = orientation {
                band = graph.apply(Rotate::new(orientation.first[scale].clone()), &[band])?;
            }
            let modulus = graph.apply(self.modulus(), &[band])?;
            stored.push(modulus);
            let mut convolved = Vec::new();
            for &m in &stored {
                convolved.push(self.convolve_modulus(graph, m, scale, orientation)?);
            }
            nodes.powers.push(graph.apply(MaskedMean::of_squares(masks.clone()), &[modulus])?);
            if self.config.definition == Definition::Paper {
                let mean = |g: &mut Graph, n| g.apply(MaskedMean::of_values(masks.clone()), &[n]);
                nodes.band_means.push(mean(graph, band)?);
                let means: Result<Vec<Node>, _> =
                    convolved.iter().map(|&d| mean(graph, d)).collect();
                nodes.convolved_means.push(means?);
            }
            nodes.bands.push(band);
            nodes.moduli.push(modulus);
            nodes.moduli_convolved.push(convolved);
            if let Some(down) = &level.down {
                current = graph.apply_shared(down.clone(), &[current])?;
                for m in &mut stored {
                    *m = graph.apply_shared(down.clone(), &[*m])?;
                }
            }
        }
        Ok(nodes)
    }

    fn modulus(&self) -> Modulus {
        match self.config.modulus_epsilon {
            0.0 => Modulus::exact(),
            epsilon => Modulus::softened(epsilon),
        }
    }

    /// D = rotate₂(M ⋆ ψ) of a modulus that lives at `scale`.
    pub(crate) fn convolve_modulus(
        &self,
        graph: &mut Graph,
        modulus: Node,
        scale: usize,
        orientation: Option<&Orientation>,
    ) -> Result<Node, ScatteringError> {
        let operator: Arc<dyn Operator> = self.levels[scale].convolve.clone();
        let convolved = graph.apply_shared(operator, &[modulus])?;
        Ok(match orientation {
            Some(o) => graph.apply(Rotate::new(o.second[scale].clone()), &[convolved])?,
            None => convolved,
        })
    }
}
