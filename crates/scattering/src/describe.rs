//! Statistics of fields and pairs, as nodes of a graph.

use crate::coefficients::{Block, Coefficients, Kind, Piece};
use crate::field::FieldNodes;
use crate::operators::{Factor, InverseRoot, Normalise, RealProduct, Spread};
use crate::pairs::Pieces;
use crate::plan::Scattering;
use crate::{Definition, Normalisation, Orientation, ReferencePower, ScatteringError};
use skyscat_autodiff::{Affine, Graph, Node};
use skyscat_wavelet::{ConjugateProduct, MaskedMean, Modulus, RealPart, SignedRoot};
use std::collections::BTreeMap;

/// A field of a [`Statistic`]: a node and the orientations it is turned to.
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

/// What is taken of a field, or of two.
#[derive(Clone)]
pub enum Statistic<'o> {
    /// S0 to S4 of one field.
    Auto(Field<'o>),
    /// S0 to S4 of a pair of fields (Campeti et al. 2025, Eq. B.1).
    Cross(Field<'o>, Field<'o>),
}

/// A statistic whose fields are in the graph.
pub(crate) struct Request<'s, 'o> {
    pub(crate) fields: [&'s Field<'o>; 2],
    /// Which of [`Describer::known`] the two fields are.
    pub(crate) nodes: [usize; 2],
    /// Where the moduli of the second field are taken from.
    pub(crate) second_moduli: usize,
    pub(crate) auto: bool,
}

impl Scattering {
    /// Adds statistics to a graph; what several of them need is computed once.
    ///
    /// # Errors
    /// [`ScatteringError`] if a field or its orientations do not fit the plan.
    pub fn add(
        &self,
        graph: &mut Graph,
        statistics: &[Statistic<'_>],
    ) -> Result<Vec<Coefficients>, ScatteringError> {
        let mut describer = Describer::new(self, graph);
        let requests: Result<Vec<_>, _> = statistics.iter().map(|s| describer.request(s)).collect();
        let requests = requests?;
        let mut pieces = describer.covariances(&requests)?;
        let all = requests.iter().enumerate();
        all.map(|(i, request)| describer.coefficients(request, &mut pieces[i])).collect()
    }
}

/// Adds statistics to a graph.
pub(crate) struct Describer<'a, 'o> {
    pub(crate) scattering: &'a Scattering,
    pub(crate) graph: &'a mut Graph,
    /// Fields in the graph, with the orientations they are turned to.
    pub(crate) known: Vec<(Node, Option<&'o Orientation>, FieldNodes)>,
    /// 1/√S2 of a known field at a scale.
    roots: BTreeMap<(usize, usize), Node>,
}

/// A power that a coefficient is divided by the root of: that of a known field at a
/// scale, and its orientation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Power {
    pub(crate) known: usize,
    pub(crate) scale: usize,
    pub(crate) orientation: usize,
}

impl<'a, 'o> Describer<'a, 'o> {
    fn new(scattering: &'a Scattering, graph: &'a mut Graph) -> Self {
        Self { scattering, graph, known: Vec::new(), roots: BTreeMap::new() }
    }

    fn request<'s>(
        &mut self,
        statistic: &'s Statistic<'o>,
    ) -> Result<Request<'s, 'o>, ScatteringError> {
        let (a, b, auto) = match statistic {
            Statistic::Auto(a) => (a, a, true),
            Statistic::Cross(a, b) => (a, b, false),
        };
        let nodes = [self.know(a)?, self.know(b)?];
        let mut second_moduli = nodes[1];
        if !auto && self.scattering.config.definition == Definition::HealpixMl {
            let (node, orientation, second) = &self.known[nodes[1]];
            let (node, orientation) = (*node, *orientation);
            let replaced = self.scattering.replace_moduli(self.graph, second)?;
            second_moduli = self.known.len();
            self.known.push((node, orientation, replaced));
        }
        Ok(Request { fields: [a, b], nodes, second_moduli, auto })
    }

    /// Index of a field, which is computed if it is new.
    fn know(&mut self, field: &Field<'o>) -> Result<usize, ScatteringError> {
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
        let same = |o: Option<&Orientation>| {
            o.map(std::ptr::from_ref) == field.orientation.map(std::ptr::from_ref)
        };
        if let Some(i) = self.known.iter().position(|k| k.0 == field.node && same(k.1)) {
            return Ok(i);
        }
        let nodes = self.scattering.add_field(self.graph, field.node, field.orientation)?;
        self.known.push((field.node, field.orientation, nodes));
        Ok(self.known.len() - 1)
    }

    fn coefficients(
        &mut self,
        request: &Request<'_, 'o>,
        pieces: &mut Pieces,
    ) -> Result<Coefficients, ScatteringError> {
        let (mut s1, mut s2) = (Vec::new(), Vec::new());
        for j in 0..self.scattering.scales() {
            let (first, second) = match request.auto {
                true => self.power(request, j)?,
                false => self.cross_power(request, j)?,
            };
            s1.push(Piece { node: first, scales: vec![j] });
            s2.push(Piece { node: second, scales: vec![j] });
        }
        let [a, b] = request.fields;
        let mut blocks = vec![
            Block { kind: Kind::S0, pieces: self.moments(request)? },
            Block { kind: Kind::S1, pieces: s1 },
            Block { kind: Kind::S2, pieces: s2 },
        ];
        let last = [Kind::S3, Kind::S3P, Kind::S4].into_iter();
        blocks.extend(
            last.filter_map(|kind| pieces.remove(&kind).map(|pieces| Block { kind, pieces })),
        );
        let name = if request.auto { a.name.clone() } else { format!("{}x{}", a.name, b.name) };
        Ok(Coefficients { name, blocks })
    }

    /// S0: mean and spread of a field, or of the product of two.
    fn moments(&mut self, request: &Request<'_, '_>) -> Result<Vec<Piece>, ScatteringError> {
        let images = request.nodes.map(|i| self.known[i].2.image);
        if request.auto {
            return self.spread(images[0]);
        }
        let mut product = self.graph.apply(RealProduct, &images)?;
        if self.scattering.config.definition == Definition::HealpixMl {
            product = self.graph.apply(SignedRoot, &[product])?;
        }
        self.spread(product)
    }

    /// ⟨|c|⟩ and ⟨|c|²⟩.
    fn power(
        &mut self,
        request: &Request<'_, 'o>,
        j: usize,
    ) -> Result<(Node, Node), ScatteringError> {
        let nodes = &self.known[request.nodes[0]].2;
        let (modulus, power) = (nodes.moduli[j][j], nodes.powers[j]);
        let masks = self.scattering.levels[j].masks.clone();
        let mean = self.graph.apply(MaskedMean::of_values(masks), &[modulus])?;
        let own = |l| (self.power_of(request, 0, j, l), None);
        let powers = (0..self.scattering.orientations()).map(own).collect();
        Ok((self.normalise(mean, powers, &request.fields[..1])?, power))
    }

    /// ⟨|c^A c^B*|⟩ and ⟨c^A c^B*⟩, or what HealpixML computes in their place.
    fn cross_power(
        &mut self,
        request: &Request<'_, 'o>,
        j: usize,
    ) -> Result<(Node, Node), ScatteringError> {
        let masks = self.scattering.levels[j].masks.clone();
        let bands = request.nodes.map(|i| self.known[i].2.bands[j]);
        let product = self.graph.apply(ConjugateProduct, &bands)?;
        let mean = self.graph.apply(MaskedMean::of_values(masks.clone()), &[product])?;
        if self.scattering.config.definition == Definition::HealpixMl {
            let root = self.graph.apply(SignedRoot, &[product])?;
            let first = self.graph.apply(MaskedMean::of_values(masks), &[root])?;
            return Ok((first, self.graph.apply(RealPart, &[mean])?));
        }
        let modulus = self.graph.apply(Modulus::exact(), &[product])?;
        let first = self.graph.apply(MaskedMean::of_values(masks), &[modulus])?;
        let both = |l| (self.power_of(request, 0, j, l), Some(self.power_of(request, 1, j, l)));
        let powers = (0..self.scattering.orientations()).map(both).collect();
        Ok((self.normalise(first, powers, &request.fields)?, mean))
    }

    fn power_of(
        &self,
        request: &Request<'_, '_>,
        field: usize,
        scale: usize,
        orientation: usize,
    ) -> Power {
        Power { known: request.nodes[field], scale, orientation }
    }

    /// Divides by the square root of one power, or of the product of two, as the
    /// settings say; `powers` has one entry a channel of `fields`.
    pub(crate) fn normalise(
        &mut self,
        node: Node,
        powers: Vec<(Power, Option<Power>)>,
        fields: &[&Field<'_>],
    ) -> Result<Node, ScatteringError> {
        match self.scattering.config.normalisation {
            Normalisation::None => Ok(node),
            Normalisation::Own => self.divide_by_own(node, &powers),
            Normalisation::Reference => self.divide_by_reference(node, &powers, fields),
        }
    }

    /// Divides by the fields' own powers; channels without powers are left out.
    pub(crate) fn divide_by_own(
        &mut self,
        node: Node,
        powers: &[(Power, Option<Power>)],
    ) -> Result<Node, ScatteringError> {
        let mut inputs = vec![node];
        let mut factor = |describer: &mut Self, power: &Power| -> Result<Factor, ScatteringError> {
            let root = describer.root(power.known, power.scale)?;
            let input = inputs[1..].iter().position(|&n| n == root).unwrap_or_else(|| {
                inputs.push(root);
                inputs.len() - 2
            });
            Ok(Factor { input, channel: power.orientation })
        };
        let mut factors = Vec::with_capacity(powers.len());
        for (a, b) in powers {
            let a = factor(self, a)?;
            factors.push((a, b.as_ref().map(|b| factor(self, b)).transpose()?));
        }
        Ok(self.graph.apply(Normalise { factors }, &inputs)?)
    }

    fn root(&mut self, known: usize, scale: usize) -> Result<Node, ScatteringError> {
        if let Some(&node) = self.roots.get(&(known, scale)) {
            return Ok(node);
        }
        let node = self.graph.apply(InverseRoot, &[self.known[known].2.powers[scale]])?;
        self.roots.insert((known, scale), node);
        Ok(node)
    }

    fn divide_by_reference(
        &mut self,
        node: Node,
        powers: &[(Power, Option<Power>)],
        fields: &[&Field<'_>],
    ) -> Result<Node, ScatteringError> {
        let shape = self.graph.shape(node);
        let missing = || ScatteringError::Combination {
            reason: "reference normalisation needs the reference power of every field",
        };
        let mut scale = Vec::with_capacity(shape.reals());
        for mask in 0..shape.rows {
            for (a, b) in powers {
                let mut total = 1.0;
                for (field, power) in fields.iter().zip([Some(a), b.as_ref()]) {
                    let Some(power) = power else { continue };
                    let given = &field.reference.ok_or_else(missing)?.0;
                    total *= *given
                        .get(power.scale)
                        .and_then(|p| p.get(mask))
                        .and_then(|p| p.get(power.orientation))
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
}
