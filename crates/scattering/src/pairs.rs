//! S3 and S4 of all statistics: one covariance operator a scale.

use crate::coefficients::{Kind, Piece};
use crate::describe::{Describer, Power, Raw, Request};
use crate::{Definition, Normalisation, ScatteringError};
use skyscat_autodiff::{Channels, Node};
use skyscat_wavelet::{Covariance, CovarianceConfig, Part};
use std::collections::BTreeMap;
use std::ops::Range;

/// Pieces of one statistic by kind.
pub(crate) type Pieces = BTreeMap<Kind, Vec<Piece>>;

/// One side of a pair.
#[derive(Clone, Copy, Debug)]
struct Side {
    /// Which field of the request, and which known field it is taken from.
    field: usize,
    known: usize,
    /// The scale of the modulus; `None` for the band.
    modulus: Option<usize>,
}

/// The covariances of a scale.
struct Scale {
    wanted: Vec<Wanted>,
    /// Channels of each of them.
    ranges: Vec<Range<usize>>,
    node: Node,
}

/// A pair of fields that is wanted at a scale.
struct Wanted {
    request: usize,
    kind: Kind,
    scales: Vec<usize>,
    x: Side,
    y: Side,
}

impl Describer<'_, '_> {
    /// S3 and S4 of every request.
    pub(crate) fn covariances(
        &mut self,
        requests: &[Request<'_, '_>],
    ) -> Result<Vec<Pieces>, ScatteringError> {
        let own = self.scattering.config.normalisation == Normalisation::Own;
        let mut scales = Vec::new();
        for joined in components(requests) {
            for j3 in 0..self.scattering.scales() {
                let wanted: Vec<Wanted> =
                    joined.iter().flat_map(|&i| self.wanted(i, &requests[i], j3)).collect();
                scales.push(self.scale(j3, wanted)?);
            }
        }
        let mut firsts = vec![0; scales.len()];
        if own && !scales.is_empty() {
            let all = scales.iter().map(|Scale { wanted, node, .. }| Raw {
                node: *node,
                powers: wanted.iter().flat_map(|w| self.powers_of(w)).collect(),
                fields: Vec::new(),
            });
            let all: Vec<_> = all.collect();
            let node;
            (node, firsts) = self.divide_by_own(&all)?;
            scales.iter_mut().for_each(|scale| scale.node = node);
        }
        let mut pieces: Vec<Pieces> = requests.iter().map(|_| Pieces::new()).collect();
        for (Scale { wanted, ranges, node }, first) in scales.into_iter().zip(firsts) {
            for (w, range) in wanted.into_iter().zip(ranges) {
                let range = first + range.start..first + range.end;
                let mut piece = self.graph.apply(Channels::new(range), &[node])?;
                if !own {
                    let sides = [w.x, w.y];
                    let fields = sides.map(|side| requests[w.request].fields[side.field]).to_vec();
                    let raw = Raw { node: piece, powers: self.powers_of(&w), fields };
                    piece = self.normalise(&[raw])?[0];
                }
                let list = pieces[w.request].entry(w.kind).or_default();
                list.push(Piece { node: piece, scales: w.scales });
            }
        }
        Ok(pieces)
    }

    /// The pairs of a request at scale j3, in the order of its coefficients.
    fn wanted(&self, index: usize, request: &Request<'_, '_>, j3: usize) -> Vec<Wanted> {
        let [a, b] = request.nodes;
        let side = |field, known, modulus| Side { field, known, modulus };
        let second = if request.auto { 0 } else { 1 };
        let mut list = Vec::new();
        let mut push = |kind, scales, x, y| {
            list.push(Wanted { request: index, kind, scales, x, y });
        };
        for j2 in 0..=j3 {
            let y = side(second, request.second_moduli, Some(j2));
            push(Kind::S3, vec![j3, j2], side(0, a, None), y);
            if !request.auto {
                let y = side(0, a, Some(j2));
                push(Kind::S3P, vec![j3, j2], side(1, b, None), y);
            }
            let all = !request.auto && self.scattering.config.all_cross_pairs;
            for j1 in 0..=if all { j3 } else { j2 } {
                push(Kind::S4, vec![j3, j2, j1], side(0, a, Some(j1)), y);
            }
        }
        list
    }

    fn scale(&mut self, j3: usize, wanted: Vec<Wanted>) -> Result<Scale, ScatteringError> {
        let mut bands: Vec<Node> = Vec::new();
        let mut moduli: Vec<Node> = Vec::new();
        let mut turns = Vec::new();
        let mut part = |describer: &Self, side: &Side| {
            let (_, orientation, nodes) = &describer.known[side.known];
            match side.modulus {
                None => Part::Band(place(&mut bands, nodes.bands[j3])),
                Some(j) => {
                    let at = place(&mut moduli, nodes.moduli[j3][j]);
                    if at == turns.len() {
                        turns.push(orientation.map(|o| o.second[j3].clone()));
                    }
                    Part::Modulus(at)
                }
            }
        };
        let pairs = wanted.iter().map(|w| (part(self, &w.x), part(self, &w.y))).collect();
        let level = &self.scattering.levels[j3];
        let config = CovarianceConfig {
            bands: bands.len(),
            moduli: turns,
            pairs,
            centred: self.scattering.config.definition == Definition::Paper,
        };
        let operator = Covariance::new(level.stencil.clone(), level.masks.clone(), config)?;
        let ranges = (0..wanted.len()).map(|i| operator.channels(i)).collect();
        let node = self.graph.apply(operator, &[bands, moduli].concat())?;
        Ok(Scale { wanted, ranges, node })
    }

    /// The powers of the two sides, for every channel of a pair: (l3·n_y + y)·n_x + x.
    fn powers_of(&self, wanted: &Wanted) -> Vec<(Power, Option<Power>)> {
        let (r, j3) = (self.scattering.orientations(), wanted.scales[0]);
        let power = |side: Side, group: usize, own: usize| {
            let (scale, orientation) = side.modulus.map_or((j3, group), |j| (j, own));
            Power { known: side.known, scale, orientation }
        };
        let width = |side: Side| if side.modulus.is_some() { r } else { 1 };
        let (nx, ny) = (width(wanted.x), width(wanted.y));
        let channels = (0..r * nx * ny).map(|c| (c / (nx * ny), c / nx % ny, c % nx));
        let both = |(g, y, x)| (power(wanted.x, g, x), Some(power(wanted.y, g, y)));
        channels.map(both).collect()
    }
}

/// Index of a node in a list, to which it is added if it is new.
fn place(list: &mut Vec<Node>, node: Node) -> usize {
    list.iter().position(|&n| n == node).unwrap_or_else(|| {
        list.push(node);
        list.len() - 1
    })
}

/// Requests that share fields, by index.
fn components(requests: &[Request<'_, '_>]) -> Vec<Vec<usize>> {
    let mut groups: Vec<(Vec<usize>, Vec<usize>)> = Vec::new();
    for (i, request) in requests.iter().enumerate() {
        let mut fields = vec![request.nodes[0], request.nodes[1], request.second_moduli];
        let mut members = vec![i];
        groups.retain(|(known, others)| {
            let shared = known.iter().any(|k| fields.contains(k));
            if shared {
                fields.extend(known);
                members.extend(others);
            }
            !shared
        });
        members.sort_unstable();
        groups.push((fields, members));
    }
    groups.into_iter().map(|(_, members)| members).collect()
}
