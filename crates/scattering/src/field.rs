//! Everything computed once for a field: bands, moduli and their powers.

use crate::plan::Scattering;
use crate::{Orientation, ScatteringError};
use skyscat_autodiff::{Graph, Node};
use skyscat_wavelet::{MaskedMean, Modulus, Rotate};

/// Nodes of one field, by scale.
#[derive(Clone, Debug)]
pub(crate) struct FieldNodes {
    pub(crate) image: Node,
    /// c at each scale.
    pub(crate) bands: Vec<Node>,
    /// M_j brought down to scale j3: `moduli[j3][j]`, j ≤ j3.
    pub(crate) moduli: Vec<Vec<Node>>,
    /// S2 of each scale.
    pub(crate) powers: Vec<Node>,
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
        let (mut bands, mut moduli, mut powers) = (Vec::new(), Vec::new(), Vec::new());
        let mut current = image;
        let mut stored: Vec<Node> = Vec::new();
        for (scale, level) in self.levels.iter().enumerate() {
            let mut band = graph.apply_shared(level.convolve.clone(), &[current])?;
            if let Some(orientation) = orientation {
                band = graph.apply(Rotate::new(orientation.first[scale].clone()), &[band])?;
            }
            let modulus = graph.apply(self.modulus(), &[band])?;
            stored.push(modulus);
            let power = MaskedMean::of_squares(level.masks.clone());
            powers.push(graph.apply(power, &[modulus])?);
            bands.push(band);
            moduli.push(stored.clone());
            if let Some(down) = &level.down {
                current = graph.apply_shared(down.clone(), &[current])?;
                for m in &mut stored {
                    *m = graph.apply_shared(down.clone(), &[*m])?;
                }
            }
        }
        Ok(FieldNodes { image, bands, moduli, powers })
    }

    fn modulus(&self) -> Modulus {
        match self.config.modulus_epsilon {
            0.0 => Modulus::exact(),
            epsilon => Modulus::softened(epsilon),
        }
    }

    /// HealpixML's second field of a pair: at each degradation every stored
    /// modulus becomes the plain mean of the current level's one.
    pub(crate) fn replace_moduli(
        &self,
        graph: &mut Graph,
        nodes: &FieldNodes,
    ) -> Result<FieldNodes, ScatteringError> {
        let mut replaced = nodes.clone();
        for j3 in 1..self.scales() {
            let degrade = self.levels[j3 - 1].degrade.clone().expect("a coarser level follows");
            let mean = graph.apply_shared(degrade, &[nodes.moduli[j3 - 1][j3 - 1]])?;
            replaced.moduli[j3][..j3].fill(mean);
        }
        Ok(replaced)
    }
}
