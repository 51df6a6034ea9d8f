//! S3 and S4 of all statistics: one covariance operator a scale.

use crate::coefficients::{Kind, Piece};
use crate::describe::{Describer, Field, Power, Request};
use crate::{Definition, Normalisation, ScatteringError};
use skyscat_autodiff::{Channels, Node};
use skyscat_wavelet::{Covariance, CovarianceConfig, Part};
use std::collections::BTreeMap;

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
        let mut pieces: Vec<Pieces> = requests.iter().map(|_| Pieces::new()).collect();
        for joined in components(requests) {
            for j3 in 0..self.scattering.scales() {
                let wanted: Vec<Wanted> =
                    joined.iter().flat_map(|&i| self.wanted(i, &requests[i], j3)).collect();
                self.scale(j3, &wanted, requests, &mut pieces)?;
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

    fn scale(
        &mut self,
        j3: usize,
        wanted: &[Wanted],
        requests: &[Request<'_, '_>],
        pieces: &mut [Pieces],
    ) -> Result<(), ScatteringError> {
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
        let ranges: Vec<_> = (0..wanted.len()).map(|i| operator.channels(i)).collect();
        let mut node = self.graph.apply(operator, &[bands, moduli].concat())?;
        if self.scattering.config.normalisation == Normalisation::Own {
            let powers: Vec<_> = wanted.iter().flat_map(|w| self.powers(w, j3)).collect();
            node = self.divide_by_own(node, &powers)?;
        }
        for (w, range) in wanted.iter().zip(ranges) {
            let mut piece = self.graph.apply(Channels::new(range), &[node])?;
            if self.scattering.config.normalisation == Normalisation::Reference {
                let fields =
                    [w.x, w.y].map(|side| -> &Field<'_> { requests[w.request].fields[side.field] });
                piece = self.normalise(piece, self.powers(w, j3), &fields)?;
            }
            let list = pieces[w.request].entry(w.kind).or_default();
            list.push(Piece { node: piece, scales: w.scales.clone() });
        }
        Ok(())
    }

    /// The powers of the two sides, for every channel of a pair: (l3·n_y + y)·n_x + x.
    fn powers(&self, wanted: &Wanted, j3: usize) -> Vec<(Power, Option<Power>)> {
        let r = self.scattering.orientations();
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
