//! The coefficients themselves, as nodes of a graph.

use crate::coefficients::{Block, Coefficients, Kind, Piece};
use crate::field::FieldNodes;
use crate::operators::{Normalise, RealProduct, Spread};
use crate::plan::Scattering;
use crate::{Definition, Normalisation, Orientation, ReferencePower, ScatteringError};
use skyscat_autodiff::{Affine, Graph, Node};
use skyscat_wavelet::{
    Centre, ConjugateProduct, MaskedMean, Modulus, Moment, MomentShape, RealPart, SignedRoot,
};
use std::rc::Rc;

/// A field of a [`Describer`]: a node and the orientations it is turned to.
#[derive(Clone)]
pub struct Field<'o> {
    /// Name, "Q".
    pub name: String,
    /// One real channel of NEST pixels.
    pub node: Node,
    /// Dominant orientations, if coefficients are taken relative to them.
    pub orientation: Option<&'o Orientation>,
    /// The power that [`Normalisation::Reference`] divides by.
    pub reference: Option<&'o ReferencePower>,
}

/// Adds statistics to a graph; fields used several times are computed once.
pub struct Describer<'a> {
    scattering: &'a Scattering,
    graph: &'a mut Graph,
    fields: Vec<(Node, Option<*const Orientation>, Rc<FieldNodes>)>,
}

/// Two fields of a covariance: the nodes, their means, and where their powers are.
struct Pair<'n> {
    x: (Node, Option<&'n Node>, usize),
    y: (Node, Option<&'n Node>, usize),
    shape: MomentShape,
}

impl<'a> Describer<'a> {
    /// Statistics of fields of `graph`.
    pub fn new(scattering: &'a Scattering, graph: &'a mut Graph) -> Self {
        Self { scattering, graph, fields: Vec::new() }
    }

    /// S0 to S4 of one field.
    ///
    /// # Errors
    /// [`ScatteringError`] if the field or its orientations do not fit the plan.
    pub fn auto(&mut self, field: &Field<'_>) -> Result<Coefficients, ScatteringError> {
        let nodes = self.nodes(field)?;
        let r = self.scattering.orientations();
        let mut s1 = Vec::new();
        let mut s2 = Vec::new();
        let mut s3 = Vec::new();
        let mut s4 = Vec::new();
        for j3 in 0..self.scattering.scales() {
            let masks = self.scattering.levels[j3].masks.clone();
            let mean = self.graph.apply(MaskedMean::of_values(masks), &[nodes.moduli[j3]])?;
            let pick = (0..r).map(|l| (l, l)).collect();
            let mean = self.normalise(mean, pick, &[(field, &nodes, j3)])?;
            s1.push(Piece { node: mean, scales: vec![j3] });
            s2.push(Piece { node: nodes.powers[j3], scales: vec![j3] });
            for j2 in 0..=j3 {
                let pair = self.band_with_modulus(&nodes, &nodes, j3, j2);
                let node = self.covariance(j3, pair, (field, &nodes), (field, &nodes))?;
                s3.push(Piece { node, scales: vec![j3, j2] });
                for j1 in 0..=j2 {
                    let pair = self.moduli(&nodes, &nodes, j3, j2, j1);
                    let node = self.covariance(j3, pair, (field, &nodes), (field, &nodes))?;
                    s4.push(Piece { node, scales: vec![j3, j2, j1] });
                }
            }
        }
        let s0 = self.spread(nodes.image)?;
        Ok(Coefficients {
            name: field.name.clone(),
            blocks: blocks([
                (Kind::S0, s0),
                (Kind::S1, s1),
                (Kind::S2, s2),
                (Kind::S3, s3),
                (Kind::S4, s4),
            ]),
        })
    }

    /// S0 to S4 of a pair of fields (Campeti et al. 2025, Eq. B.1).
    ///
    /// # Errors
    /// [`ScatteringError`] if a field or its orientations do not fit the plan.
    pub fn cross(&mut self, a: &Field<'_>, b: &Field<'_>) -> Result<Coefficients, ScatteringError> {
        let (na, nb) = (self.nodes(a)?, self.nodes(b)?);
        let replaced = self.peer_moduli(&nb, b.orientation)?;
        let nb4 = replaced.as_ref().unwrap_or(&nb);
        let mut s1 = Vec::new();
        let mut s2 = Vec::new();
        let mut s3 = Vec::new();
        let mut s3p = Vec::new();
        let mut s4 = Vec::new();
        for j3 in 0..self.scattering.scales() {
            let (first, second) = self.cross_power(j3, (a, &na), (b, &nb))?;
            s1.push(Piece { node: first, scales: vec![j3] });
            s2.push(Piece { node: second, scales: vec![j3] });
            for j2 in 0..=j3 {
                let pair = self.band_with_modulus(&na, nb4, j3, j2);
                let node = self.covariance(j3, pair, (a, &na), (b, &nb))?;
                s3.push(Piece { node, scales: vec![j3, j2] });
                let pair = self.band_with_modulus(&nb, &na, j3, j2);
                let node = self.covariance(j3, pair, (b, &nb), (a, &na))?;
                s3p.push(Piece { node, scales: vec![j3, j2] });
                let last = if self.scattering.config.all_cross_pairs { j3 } else { j2 };
                for j1 in 0..=last {
                    let pair = self.moduli(&na, nb4, j3, j2, j1);
                    let node = self.covariance(j3, pair, (a, &na), (b, &nb))?;
                    s4.push(Piece { node, scales: vec![j3, j2, j1] });
                }
            }
        }
        let mut product = self.graph.apply(RealProduct, &[na.image, nb.image])?;
        if self.scattering.config.definition == Definition::HealpixMl {
            product = self.graph.apply(SignedRoot, &[product])?;
        }
        let s0 = self.spread(product)?;
        Ok(Coefficients {
            name: format!("{}x{}", a.name, b.name),
            blocks: blocks([
                (Kind::S0, s0),
                (Kind::S1, s1),
                (Kind::S2, s2),
                (Kind::S3, s3),
                (Kind::S3P, s3p),
                (Kind::S4, s4),
            ]),
        })
    }

    fn nodes(&mut self, field: &Field<'_>) -> Result<Rc<FieldNodes>, ScatteringError> {
        let shape = self.graph.shape(field.node);
        let expected = self.scattering.nside.npix();
        if shape.rows != expected || shape.width() != 1 {
            return Err(ScatteringError::Size {
                what: "a field",
                given: format!("{} pixels × {} channels", shape.rows, shape.width()),
                expected: format!("{expected} pixels × 1 channel"),
            });
        }
        if let Some(orientation) = field.orientation {
            orientation.check(self.scattering)?;
        }
        let key = field.orientation.map(std::ptr::from_ref);
        if let Some(found) = self.fields.iter().find(|f| f.0 == field.node && f.1 == key) {
            return Ok(found.2.clone());
        }
        let nodes = self.scattering.add_field(self.graph, field.node, field.orientation)?;
        let nodes = Rc::new(nodes);
        self.fields.push((field.node, key, nodes.clone()));
        Ok(nodes)
    }

    /// c_{l3} with D_{j2}[l3, l2]: one group for each l3.
    fn band_with_modulus<'n>(
        &self,
        x: &'n FieldNodes,
        y: &'n FieldNodes,
        j3: usize,
        j2: usize,
    ) -> Pair<'n> {
        let r = self.scattering.orientations();
        Pair {
            x: (x.bands[j3], x.band_means.get(j3), j3),
            y: (y.moduli_convolved[j3][j2], y.convolved_means.get(j3).map(|m| &m[j2]), j2),
            shape: MomentShape { groups: r, nx: 1, ny: r },
        }
    }

    /// D_{j1}[l3, l1] with D_{j2}[l3, l2]: one group for each l3.
    fn moduli<'n>(
        &self,
        x: &'n FieldNodes,
        y: &'n FieldNodes,
        j3: usize,
        j2: usize,
        j1: usize,
    ) -> Pair<'n> {
        let r = self.scattering.orientations();
        Pair {
            x: (x.moduli_convolved[j3][j1], x.convolved_means.get(j3).map(|m| &m[j1]), j1),
            y: (y.moduli_convolved[j3][j2], y.convolved_means.get(j3).map(|m| &m[j2]), j2),
            shape: MomentShape { groups: r, nx: r, ny: r },
        }
    }

    fn covariance(
        &mut self,
        j3: usize,
        pair: Pair<'_>,
        (fx, nx): (&Field<'_>, &FieldNodes),
        (fy, ny): (&Field<'_>, &FieldNodes),
    ) -> Result<Node, ScatteringError> {
        let masks = self.scattering.levels[j3].masks.clone();
        let moment = Moment::new(pair.shape, masks);
        let mut node = self.graph.apply(moment, &[pair.x.0, pair.y.0])?;
        if let (Some(&mx), Some(&my)) = (pair.x.1, pair.y.1) {
            node = self.graph.apply(Centre::new(pair.shape), &[node, mx, my])?;
        }
        let MomentShape { groups, nx: width_x, ny: width_y } = pair.shape;
        // Power of the band's own orientation l3 (S3), or of l1 (S4); and of l2.
        let pick = (0..groups * width_x * width_y)
            .map(|c| {
                let (g, y, x) = (c / (width_x * width_y), c / width_x % width_y, c % width_x);
                (if width_x == 1 { g } else { x }, y)
            })
            .collect();
        self.normalise(node, pick, &[(fx, nx, pair.x.2), (fy, ny, pair.y.2)])
    }

    /// ⟨|c^A c^B*|⟩ and ⟨c^A c^B*⟩, or what HealpixML computes in their place.
    fn cross_power(
        &mut self,
        j: usize,
        (a, na): (&Field<'_>, &FieldNodes),
        (b, nb): (&Field<'_>, &FieldNodes),
    ) -> Result<(Node, Node), ScatteringError> {
        let masks = self.scattering.levels[j].masks.clone();
        let product = self.graph.apply(ConjugateProduct, &[na.bands[j], nb.bands[j]])?;
        let mean = self.graph.apply(MaskedMean::of_values(masks.clone()), &[product])?;
        if self.scattering.config.definition == Definition::HealpixMl {
            let root = self.graph.apply(SignedRoot, &[product])?;
            let first = self.graph.apply(MaskedMean::of_values(masks), &[root])?;
            return Ok((first, self.graph.apply(RealPart, &[mean])?));
        }
        let modulus = self.graph.apply(Modulus::exact(), &[product])?;
        let first = self.graph.apply(MaskedMean::of_values(masks), &[modulus])?;
        let pick = (0..self.scattering.orientations()).map(|l| (l, l)).collect();
        Ok((self.normalise(first, pick, &[(a, na, j), (b, nb, j)])?, mean))
    }

    /// Divides by the square root of one power, or of the product of two.
    fn normalise(
        &mut self,
        node: Node,
        pick: Vec<(usize, usize)>,
        powers: &[(&Field<'_>, &FieldNodes, usize)],
    ) -> Result<Node, ScatteringError> {
        match self.scattering.config.normalisation {
            Normalisation::None => Ok(node),
            Normalisation::Own => {
                let mut inputs = vec![node];
                inputs.extend(powers.iter().map(|(_, nodes, j)| nodes.powers[*j]));
                let operator = Normalise { pick, powers: powers.len() };
                Ok(self.graph.apply(operator, &inputs)?)
            }
            Normalisation::Reference => self.divide_by_reference(node, &pick, powers),
        }
    }

    fn divide_by_reference(
        &mut self,
        node: Node,
        pick: &[(usize, usize)],
        powers: &[(&Field<'_>, &FieldNodes, usize)],
    ) -> Result<Node, ScatteringError> {
        let shape = self.graph.shape(node);
        let missing = || ScatteringError::Combination {
            reason: "reference normalisation needs the reference power of every field",
        };
        let mut scale = Vec::with_capacity(shape.reals());
        for mask in 0..shape.rows {
            for &(a, b) in pick {
                let mut total = 1.0;
                for ((field, _, j), l) in powers.iter().zip([a, b]) {
                    let power = &field.reference.ok_or_else(missing)?.0;
                    total *= *power
                        .get(*j)
                        .and_then(|p| p.get(mask))
                        .and_then(|p| p.get(l))
                        .filter(|p| **p > 0.0)
                        .ok_or_else(missing)?;
                }
                let parts = shape.width() / shape.channels;
                scale.extend(std::iter::repeat_n(total.sqrt().recip(), parts));
            }
        }
        let shift = vec![0.0; scale.len()];
        Ok(self.graph.apply(Affine::new(scale, shift), &[node])?)
    }

    /// Mean and spread of a real field: the two numbers of S0.
    fn spread(&mut self, image: Node) -> Result<Vec<Piece>, ScatteringError> {
        let masks = &self.scattering.levels[0].masks;
        let mean = self.graph.apply(MaskedMean::of_values(masks.clone()), &[image])?;
        let square = self.graph.apply(MaskedMean::of_squares(masks.clone()), &[image])?;
        let spread = match self.scattering.config.definition {
            Definition::Paper => Spread::Variance,
            Definition::HealpixMl => Spread::StandardError(masks.totals().to_vec()),
        };
        let second = self.graph.apply(spread, &[square, mean])?;
        let piece = |node, i| Piece { node, scales: vec![i] };
        Ok(vec![piece(mean, 0), piece(second, 1)])
    }

    /// HealpixML's second field of a pair: at each degradation every stored
    /// modulus becomes the plain mean of the current level's one.
    fn peer_moduli(
        &mut self,
        nodes: &FieldNodes,
        orientation: Option<&Orientation>,
    ) -> Result<Option<FieldNodes>, ScatteringError> {
        if self.scattering.config.definition == Definition::Paper {
            return Ok(None);
        }
        let mut convolved: Vec<Vec<Node>> = Vec::new();
        for j3 in 0..self.scattering.scales() {
            let mut row = Vec::new();
            if j3 > 0 {
                let degrade = self.scattering.levels[j3 - 1].degrade.clone();
                let degrade = degrade.expect("a coarser level follows");
                let modulus = self.graph.apply_shared(degrade, &[nodes.moduli[j3 - 1]])?;
                let d = self.scattering.convolve_modulus(self.graph, modulus, j3, orientation)?;
                row = vec![d; j3];
            }
            row.push(nodes.moduli_convolved[j3][j3]);
            convolved.push(row);
        }
        Ok(Some(FieldNodes {
            image: nodes.image,
            bands: nodes.bands.clone(),
            moduli: nodes.moduli.clone(),
            powers: nodes.powers.clone(),
            moduli_convolved: convolved,
            band_means: Vec::new(),
            convolved_means: Vec::new(),
        }))
    }
}

fn blocks<const N: usize>(list: [(Kind, Vec<Piece>); N]) -> Vec<Block> {
    list.into_iter().map(|(kind, pieces)| Block { kind, pieces }).collect()
}
