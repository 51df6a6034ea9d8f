//! Statistics of fields and pairs, as nodes of a graph.

use crate::coefficients::{Block, Coefficients, Kind, Piece};
use crate::field::FieldNodes;
use crate::operators::{InverseRoot, Normalise, RealProduct, Spread};
use crate::pairs::Pieces;
use crate::plan::Scattering;
use crate::{Definition, Normalisation, Orientation, ReferencePower, ScatteringError};
use skyscat_autodiff::{Affine, Channels, Graph, Join, Node};
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

/// Fields that are joined at once: fewer than an operator may have inputs.
const MOST_JOINED: usize = 56;

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
        let covariances = describer.covariances(&requests)?;
        let powers = describer.powers(&requests)?;
        let all = requests.iter().zip(powers).zip(covariances);
        all.map(|((request, powers), pieces)| describer.coefficients(request, powers, pieces))
            .collect()
    }
}

/// Adds statistics to a graph.
pub(crate) struct Describer<'a, 'o> {
    pub(crate) scattering: &'a Scattering,
    pub(crate) graph: &'a mut Graph,
    /// Fields in the graph, with the orientations they are turned to.
    pub(crate) known: Vec<(Node, Option<&'o Orientation>, FieldNodes)>,
    roots: Option<Roots>,
}

/// The powers of all known fields at all scales, side by side.
#[derive(Clone, Debug)]
struct Roots {
    /// S2.
    powers: Node,
    /// 1/√S2.
    inverse: Node,
    /// First channel of a power.
    first: BTreeMap<Node, usize>,
}

/// Coefficients before they are normalised.
pub(crate) struct Raw<'f, 'o> {
    pub(crate) node: Node,
    /// What its first channels are divided by; the others are left out.
    pub(crate) powers: Vec<(Power, Option<Power>)>,
    pub(crate) fields: Vec<&'f Field<'o>>,
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
        Self { scattering, graph, known: Vec::new(), roots: None }
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

    /// S1 and S2 of every request.
    fn powers(
        &mut self,
        requests: &[Request<'_, 'o>],
    ) -> Result<Vec<[Vec<Piece>; 2]>, ScatteringError> {
        let scales = self.scattering.scales();
        let (mut firsts, mut seconds) = (Vec::new(), Vec::new());
        for request in requests {
            for j in 0..scales {
                let (first, second) = match request.auto {
                    true => self.power(request, j)?,
                    false => self.cross_power(request, j)?,
                };
                firsts.push(first);
                seconds.push(second);
            }
        }
        let firsts = self.normalise(&firsts)?;
        let pieces = |nodes: &[Node]| -> Vec<Piece> {
            nodes.iter().enumerate().map(|(j, &node)| Piece { node, scales: vec![j] }).collect()
        };
        let both = firsts.chunks_exact(scales).zip(seconds.chunks_exact(scales));
        Ok(both.map(|(first, second)| [pieces(first), pieces(second)]).collect())
    }

    fn coefficients(
        &mut self,
        request: &Request<'_, 'o>,
        [s1, s2]: [Vec<Piece>; 2],
        mut pieces: Pieces,
    ) -> Result<Coefficients, ScatteringError> {
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
    fn power<'f>(
        &mut self,
        request: &Request<'f, 'o>,
        j: usize,
    ) -> Result<(Raw<'f, 'o>, Node), ScatteringError> {
        let nodes = &self.known[request.nodes[0]].2;
        let (modulus, mut power) = (nodes.moduli[j][j], nodes.powers[j]);
        let masks = self.scattering.levels[j].masks.clone();
        let node = self.graph.apply(MaskedMean::of_values(masks), &[modulus])?;
        let own = |l| (self.power_of(request, 0, j, l), None);
        let powers = (0..self.scattering.orientations()).map(own).collect();
        if let Some(Roots { powers, first, .. }) = &self.roots {
            let range = first[&power]..first[&power] + self.scattering.orientations();
            power = self.graph.apply(Channels::new(range), &[*powers])?;
        }
        Ok((Raw { node, powers, fields: request.fields[..1].to_vec() }, power))
    }

    /// ⟨|c^A c^B*|⟩ and ⟨c^A c^B*⟩, or what HealpixML computes in their place.
    fn cross_power<'f>(
        &mut self,
        request: &Request<'f, 'o>,
        j: usize,
    ) -> Result<(Raw<'f, 'o>, Node), ScatteringError> {
        let masks = self.scattering.levels[j].masks.clone();
        let bands = request.nodes.map(|i| self.known[i].2.bands[j]);
        let product = self.graph.apply(ConjugateProduct, &bands)?;
        let mean = self.graph.apply(MaskedMean::of_values(masks.clone()), &[product])?;
        let both = |l| (self.power_of(request, 0, j, l), Some(self.power_of(request, 1, j, l)));
        let powers = (0..self.scattering.orientations()).map(both).collect();
        let fields = request.fields.to_vec();
        if self.scattering.config.definition == Definition::HealpixMl {
            let root = self.graph.apply(SignedRoot, &[product])?;
            let node = self.graph.apply(MaskedMean::of_values(masks), &[root])?;
            return Ok((Raw { node, powers, fields }, self.graph.apply(RealPart, &[mean])?));
        }
        let modulus = self.graph.apply(Modulus::exact(), &[product])?;
        let node = self.graph.apply(MaskedMean::of_values(masks), &[modulus])?;
        Ok((Raw { node, powers, fields }, mean))
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

    /// Divides by the square root of one power a channel, or of the product of two, as
    /// the settings say.
    pub(crate) fn normalise(&mut self, list: &[Raw<'_, '_>]) -> Result<Vec<Node>, ScatteringError> {
        match self.scattering.config.normalisation {
            Normalisation::None => Ok(list.iter().map(|raw| raw.node).collect()),
            Normalisation::Reference => {
                list.iter().map(|raw| self.divide_by_reference(raw)).collect()
            }
            Normalisation::Own => {
                let (node, firsts) = self.divide_by_own(list)?;
                let own = list.iter().zip(firsts).map(|(raw, first)| {
                    let range = first..first + raw.powers.len();
                    Ok(self.graph.apply(Channels::new(range), &[node])?)
                });
                own.collect()
            }
        }
    }

    /// Divides by the fields' own powers, all side by side: the node that has them all,
    /// and the first channel of each there.
    pub(crate) fn divide_by_own(
        &mut self,
        list: &[Raw<'_, '_>],
    ) -> Result<(Node, Vec<usize>), ScatteringError> {
        let roots = self.roots()?;
        let channel =
            |p: &Power| roots.first[&self.known[p.known].2.powers[p.scale]] + p.orientation;
        // The last first: gradients of the powers are then added from the first on.
        let last = || list.iter().rev();
        let factors: Vec<(usize, Option<usize>)> = last()
            .flat_map(|raw| &raw.powers)
            .map(|(a, b)| (channel(a), b.as_ref().map(channel)))
            .collect();
        let fields: Vec<_> = last().map(|raw| (raw.node, raw.powers.len())).collect();
        let joined = self.join(&fields)?;
        let node = self.graph.apply(Normalise { factors }, &[joined, roots.inverse])?;
        let mut end = self.graph.shape(node).channels;
        let firsts = list.iter().map(|raw| {
            end -= raw.powers.len();
            end
        });
        Ok((node, firsts.collect()))
    }

    /// The powers of all known fields, joined when they are first asked for.
    fn roots(&mut self) -> Result<Roots, ScatteringError> {
        if let Some(roots) = &self.roots {
            return Ok(roots.clone());
        }
        let (mut first, mut fields, mut end) = (BTreeMap::new(), Vec::new(), 0);
        for &power in self.known.iter().flat_map(|(_, _, nodes)| &nodes.powers) {
            first.entry(power).or_insert_with(|| {
                let channels = self.graph.shape(power).channels;
                fields.push((power, channels));
                end += channels;
                end - channels
            });
        }
        let powers = self.join(&fields)?;
        let inverse = self.graph.apply(InverseRoot, &[powers])?;
        Ok(self.roots.insert(Roots { powers, inverse, first }).clone())
    }

    /// So many channels of each node, side by side.
    fn join(&mut self, fields: &[(Node, usize)]) -> Result<Node, ScatteringError> {
        let mut fields = fields.to_vec();
        while fields.len() > 1 || fields[0].1 < self.graph.shape(fields[0].0).channels {
            let joined = fields.chunks(MOST_JOINED).map(|part| {
                let (nodes, channels): (Vec<Node>, Vec<usize>) = part.iter().copied().unzip();
                let all = channels.iter().sum();
                Ok((self.graph.apply(Join::new(channels), &nodes)?, all))
            });
            fields = joined.collect::<Result<_, ScatteringError>>()?;
        }
        Ok(fields[0].0)
    }

    fn divide_by_reference(&mut self, raw: &Raw<'_, '_>) -> Result<Node, ScatteringError> {
        let Raw { node, powers, fields } = raw;
        let shape = self.graph.shape(*node);
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
        Ok(self.graph.apply(Affine::new(scale, shift), &[*node])?)
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
