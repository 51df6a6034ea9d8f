//! Statistics of every map of a set, and which fields and pairs are wanted.

use crate::coefficients::{CoefficientTable, Coefficients};
use crate::describe::{Field, Statistic};
use crate::plan::Scattering;
use crate::{Orientation, ScatteringError};
use ndarray::{ArrayView3, Axis, concatenate};
use skyscat_autodiff::{Graph, Node, Program, Purpose, Shape};
use skyscat_num::Par;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which channels are taken alone and which in pairs, by index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Channels taken alone.
    pub autos: Vec<usize>,
    /// Pairs of channels.
    pub pairs: Vec<(usize, usize)>,
}

impl Selection {
    /// Every channel and every pair of `channels` channels.
    pub fn all(channels: usize) -> Self {
        let pairs = (0..channels).flat_map(|a| (a + 1..channels).map(move |b| (a, b)));
        Self { autos: (0..channels).collect(), pairs: pairs.collect() }
    }

    /// Names of the fields and pairs, "Q", "U", "QxU".
    pub fn names(&self, channels: &[String]) -> Vec<String> {
        let autos = self.autos.iter().map(|&a| channels[a].clone());
        let pairs = self.pairs.iter().map(|&(a, b)| format!("{}x{}", channels[a], channels[b]));
        autos.chain(pairs).collect()
    }
}

impl Scattering {
    /// Adds the coefficients of all selected fields and pairs to a graph.
    ///
    /// `fields` gives one node (real, NEST, one channel) for each channel;
    /// `orientations` holds those found for "Q", "U", "QxU", or nothing.
    ///
    /// # Errors
    /// [`ScatteringError`] if a field or orientation does not fit the plan.
    pub fn describe(
        &self,
        graph: &mut Graph,
        channels: &[String],
        fields: &[Node],
        selection: &Selection,
        orientations: &BTreeMap<String, Orientation>,
    ) -> Result<Vec<Coefficients>, ScatteringError> {
        let field = |c: usize, owner: &str| Field {
            name: channels[c].clone(),
            node: fields[c],
            orientation: orientations.get(owner),
            reference: None,
        };
        let autos = selection.autos.iter().map(|&a| Statistic::Auto(field(a, &channels[a])));
        let pairs = selection.pairs.iter().map(|&(a, b)| {
            let owner = format!("{}x{}", channels[a], channels[b]);
            Statistic::Cross(field(a, &owner), field(b, &owner))
        });
        self.add(graph, &autos.chain(pairs).collect::<Vec<_>>())
    }

    /// Coefficients of every map, in blocks with labels.
    ///
    /// `maps` has axes (map, channel, pixel) in NEST ordering; `batch` maps are
    /// computed at once.
    ///
    /// # Errors
    /// [`ScatteringError`] for a wrong number of pixels or channels, or no maps.
    pub fn compute(
        &self,
        channels: &[String],
        maps: ArrayView3<'_, f64>,
        selection: &Selection,
        orientations: &BTreeMap<String, Orientation>,
        (batch, par): (usize, &Par),
    ) -> Result<Vec<CoefficientTable>, ScatteringError> {
        let (count, given_channels, pixels) = maps.dim();
        if pixels != self.nside().npix() || given_channels != channels.len() || count == 0 {
            return Err(ScatteringError::Size {
                what: "a set of maps",
                given: format!("{count} maps × {given_channels} channels × {pixels} pixels"),
                expected: format!("maps × {} × {}", channels.len(), self.nside().npix()),
            });
        }
        let mut graph = Graph::new();
        let fields: Vec<Node> =
            channels.iter().map(|_| graph.input(Shape::real(pixels, 1))).collect();
        let list = self.describe(&mut graph, channels, &fields, selection, orientations)?;
        list.iter().for_each(|c| c.output(&mut graph));
        let graph = Arc::new(graph);
        let mut parts: Vec<Vec<CoefficientTable>> = Vec::new();
        let mut program: Option<Program<f64>> = None;
        for chunk in maps.axis_chunks_iter(Axis(0), batch.max(1)) {
            let size = chunk.len_of(Axis(0));
            if program.as_ref().is_none_or(|p| p.maps() != size) {
                program = Some(Program::compile(graph.clone(), size, Purpose::Values, par)?);
            }
            let program = program.as_mut().expect("compiled above");
            let order = chunk.permuted_axes([1, 2, 0]);
            program.evaluate(&order.iter().copied().collect::<Vec<f64>>());
            parts.push(list.iter().flat_map(|c| c.read(program)).collect());
        }
        let mut tables = parts[0].clone();
        for (i, table) in tables.iter_mut().enumerate() {
            let views: Vec<_> = parts.iter().map(|p| p[i].data.view()).collect();
            table.data = concatenate(Axis(0), &views).expect("blocks of one shape");
        }
        Ok(tables)
    }
}
