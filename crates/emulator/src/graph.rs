//! The statistics of a batch as a graph, in named blocks, and the loss over them.

use crate::loss::{MatchMean, MatchRatio, MatchSum, MatchVariance, mean, mean_and_variance};
use crate::{EmulatorError, LossConfig, Sigma, SpectrumLoss, Standardiser};
use ndarray::{Array2, ArrayView3, Axis};
use skyscat_autodiff::{Affine, Graph, Node, Program, Purpose, Shape, Stack};
use skyscat_harmonic::{Analysis, SpectraOperator, SpectrumPower};
use skyscat_healpix::{Nside, ring_to_nest_table};
use skyscat_num::Par;
use skyscat_scattering::{Coefficients, Kind, Orientation, Scattering, Selection};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Weight of the level of the spectra beside Eq. 6: it is met to a tenth of a per
/// cent long before the scattering terms are, and more would slow those.
const LEVEL_WEIGHT: f64 = 0.1;

/// What a graph of statistics is built from.
pub(crate) struct Parts<'a> {
    pub(crate) scattering: &'a Scattering,
    pub(crate) channels: &'a [String],
    pub(crate) selection: &'a Selection,
    pub(crate) orientations: &'a BTreeMap<String, Orientation>,
    pub(crate) standardiser: &'a Standardiser,
    pub(crate) loss: &'a LossConfig,
    pub(crate) transforms: &'a Transforms,
}

/// The harmonic operators, planned once and shared by all graphs.
pub(crate) struct Transforms {
    order: Vec<u32>,
    spin: Option<(Arc<Analysis>, usize, usize)>,
    scalar: Option<(Arc<Analysis>, usize)>,
    lmax: usize,
}

impl Transforms {
    /// Transforms of the channels named T, and Q with U.
    pub(crate) fn new(nside: Nside, channels: &[String]) -> Result<Self, EmulatorError> {
        let lmax = 3 * nside.get() - 1;
        let at = |name: &str| channels.iter().position(|c| c == name);
        let plan = |spin| {
            Analysis::new(nside, lmax, spin)
                .map(Arc::new)
                .map_err(|e| EmulatorError::Harmonic(e.to_string()))
        };
        let spin = match (at("Q"), at("U")) {
            (Some(q), Some(u)) => Some((plan(2)?, q, u)),
            _ => None,
        };
        let scalar = at("T").map(|t| plan(0).map(|p| (p, t))).transpose()?;
        Ok(Self { order: ring_to_nest_table(nside), spin, scalar, lmax })
    }

    /// Whether there is any spectrum to match.
    pub(crate) fn any(&self) -> bool {
        self.spin.is_some() || self.scalar.is_some()
    }
}

/// What a block of statistics is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockKind {
    Auto,
    Cross,
    Spectrum,
}

/// A block of statistics that becomes one term of the loss.
pub(crate) struct StatBlock {
    pub(crate) name: String,
    pub(crate) kind: BlockKind,
    nodes: Vec<Node>,
    /// Which of S1 to S4 each node belongs to.
    kinds: Vec<Kind>,
}

/// A graph of all statistics of a batch of standardised maps.
pub(crate) struct StatGraph {
    pub(crate) graph: Graph,
    pub(crate) blocks: Vec<StatBlock>,
}

impl StatGraph {
    pub(crate) fn build(parts: &Parts<'_>) -> Result<Self, EmulatorError> {
        let mut graph = Graph::new();
        let pixels = parts.scattering.nside().npix();
        let fields: Vec<Node> =
            parts.channels.iter().map(|_| graph.input(Shape::real(pixels, 1))).collect();
        let list = parts.scattering.describe(
            &mut graph,
            parts.channels,
            &fields,
            parts.selection,
            parts.orientations,
        )?;
        let autos = parts.selection.autos.len();
        let mut blocks: Vec<StatBlock> = list
            .iter()
            .enumerate()
            .map(|(i, c)| {
                let kind = if i < autos { BlockKind::Auto } else { BlockKind::Cross };
                let (kinds, nodes) = loss_nodes(c, parts.loss.exchanged_s3).into_iter().unzip();
                StatBlock { name: format!("SC({})", c.name), kind, nodes, kinds }
            })
            .collect();
        if parts.loss.spectrum > 0.0 && parts.transforms.any() {
            blocks.push(add_spectra(&mut graph, &fields, parts)?);
        }
        for (b, block) in blocks.iter().enumerate() {
            for (i, &node) in block.nodes.iter().enumerate() {
                graph.output(format!("{b}/{i}"), node);
            }
        }
        Ok(Self { graph, blocks })
    }

    /// Statistics of every input, one table a block.
    pub(crate) fn measure(
        self,
        maps: ArrayView3<'_, f64>,
        par: &Par,
    ) -> Result<Vec<BlockStats>, EmulatorError> {
        let graph = Arc::new(self.graph);
        let mut stats: Vec<BlockStats> = self.blocks.iter().map(BlockStats::empty).collect();
        let mut program: Option<Program<f64>> = None;
        for chunk in maps.axis_chunks_iter(Axis(0), 16) {
            let size = chunk.len_of(Axis(0));
            if program.as_ref().is_none_or(|p| p.maps() != size) {
                program = Some(Program::compile(graph.clone(), size, Purpose::Values, par)?);
            }
            let program = program.as_mut().expect("compiled above");
            let variables: Vec<f64> = chunk.permuted_axes([1, 2, 0]).iter().copied().collect();
            program.evaluate(&variables);
            for (b, (block, stats)) in self.blocks.iter().zip(&mut stats).enumerate() {
                stats.append(program, b, block);
            }
        }
        Ok(stats)
    }
}

/// Nodes of S1 to S4 in the loss; S0 is a matter of standardisation.
fn loss_nodes(coefficients: &Coefficients, exchanged_s3: bool) -> Vec<(Kind, Node)> {
    let wanted = |kind: Kind| kind != Kind::S0 && (exchanged_s3 || kind != Kind::S3P);
    let blocks = coefficients.blocks.iter().filter(|b| wanted(b.kind));
    blocks.flat_map(|b| b.pieces.iter().map(|p| (b.kind, p.node))).collect()
}

/// Spectra p = 1, 2 of the maps in their own units, divided by one overall number.
fn add_spectra(
    graph: &mut Graph,
    fields: &[Node],
    parts: &Parts<'_>,
) -> Result<StatBlock, EmulatorError> {
    let s = parts.standardiser;
    let unit = s.std.mapv(|x| x * x).mean().expect("pixels").sqrt();
    let physical: Result<Vec<Node>, _> = fields
        .iter()
        .enumerate()
        .map(|(c, &field)| {
            let scale = s.std.row(c).iter().map(|x| x / unit).collect();
            let shift = s.mean.row(c).iter().map(|x| x / unit).collect();
            graph.apply(Affine::new(scale, shift), &[field])
        })
        .collect();
    let physical = physical?;
    let t = parts.transforms;
    let stack = || Stack::new(t.order.clone());
    let mut alms = Vec::new();
    if let Some((analysis, temperature)) = &t.scalar {
        let ring = graph.apply(stack(), &[physical[*temperature]])?;
        alms.push(graph.apply_shared(analysis.clone(), &[ring])?);
    }
    if let Some((analysis, q, u)) = &t.spin {
        let ring = graph.apply(stack(), &[physical[*q], physical[*u]])?;
        alms.push(graph.apply_shared(analysis.clone(), &[ring])?);
    }
    let first = match parts.loss.spectrum_loss {
        SpectrumLoss::Ratio | SpectrumLoss::Equation6 => SpectrumPower::One,
        SpectrumLoss::SumOverBatch => SpectrumPower::SignedRoot,
    };
    let mut nodes = Vec::new();
    for power in [SpectrumPower::Two, first] {
        nodes.push(graph.apply(SpectraOperator::new(t.lmax, power), &alms)?);
    }
    let kinds = Vec::new();
    Ok(StatBlock { name: "spectra".to_owned(), kind: BlockKind::Spectrum, nodes, kinds })
}

/// Statistics of the inputs: for each real number its values over the inputs.
pub(crate) struct BlockStats {
    name: String,
    kind: BlockKind,
    values: Vec<Vec<f64>>,
    /// Whether a number is the real part of a complex one; the next is its
    /// imaginary part.
    starts_complex: Vec<bool>,
    /// Which of S1 to S4 a number belongs to; empty for spectra.
    kinds: Vec<Kind>,
    rows: usize,
}

impl BlockStats {
    fn empty(block: &StatBlock) -> Self {
        Self {
            name: block.name.clone(),
            kind: block.kind,
            values: Vec::new(),
            starts_complex: Vec::new(),
            kinds: Vec::new(),
            rows: 0,
        }
    }

    fn append(&mut self, program: &Program<f64>, index: usize, block: &StatBlock) {
        let first = self.values.is_empty();
        let mut at = 0;
        for node in 0..block.nodes.len() {
            let (shape, data) = program.output(&format!("{index}/{node}")).expect("named");
            self.rows = shape.rows;
            for (i, values) in data.chunks_exact(program.maps()).enumerate() {
                if first {
                    self.values.push(Vec::new());
                    self.starts_complex.push(shape.complex && i % 2 == 0);
                    self.kinds.extend(block.kinds.get(node));
                }
                self.values[at].extend_from_slice(values);
                at += 1;
            }
        }
    }

    /// Mean over the inputs, or the numbers of one input.
    fn target(&self, input: Option<usize>) -> Vec<f64> {
        self.values.iter().map(|v| input.map_or_else(|| mean(v), |i| v[i])).collect()
    }

    fn variances(&self) -> Vec<f64> {
        self.values.iter().map(|v| mean_and_variance(v).1).collect()
    }

    /// 1/σ of each number and the count of coefficients that vary. A complex
    /// coefficient has one σ for both parts.
    fn inverse_sigma(
        &self,
        sigma: &Sigma,
        target: &[f64],
    ) -> Result<(Vec<f64>, usize), EmulatorError> {
        let len = self.values.len();
        match sigma {
            Sigma::Given(given) => {
                let found = given.get(&self.name).filter(|g| g.len() == len);
                let sigma = found.ok_or_else(|| EmulatorError::Setting {
                    name: "sigma",
                    given: format!(
                        "{:?} numbers for {}",
                        given.get(&self.name).map(Vec::len),
                        self.name
                    ),
                    allowed: "one positive number for each real coefficient of every term",
                })?;
                let inverse: Vec<f64> =
                    sigma.iter().map(|s| if *s > 0.0 { s.recip() } else { 0.0 }).collect();
                let count = self.count(|i| inverse[i] > 0.0);
                Ok((inverse, count))
            }
            Sigma::Blocks => {
                let inverse = self.inverse_block_rms(target);
                let count = self.count(|i| inverse[i] > 0.0);
                Ok((inverse, count))
            }
            Sigma::One => Ok((vec![1.0; len], self.count(|_| true))),
            Sigma::Inputs => {
                let inverse: Vec<f64> = self.scatter().iter().map(|v| inverse_root(*v)).collect();
                let count = self.count(|i| inverse[i] > 0.0);
                Ok((inverse, count))
            }
        }
    }

    /// Variance over the inputs of each coefficient, both parts of a complex one
    /// together; 0 where only rounding varies.
    fn scatter(&self) -> Vec<f64> {
        let variance = self.variances();
        let mut scatter = vec![0.0; variance.len()];
        for i in 0..variance.len() {
            if i > 0 && self.starts_complex[i - 1] {
                scatter[i] = scatter[i - 1];
                continue;
            }
            let imaginary = self.starts_complex[i].then(|| i + 1);
            let total = variance[i] + imaginary.map_or(0.0, |k| variance[k]);
            let size = self.values[i][0].hypot(imaginary.map_or(0.0, |k| self.values[k][0]));
            scatter[i] = if total.sqrt() > 1e-12 * size { total } else { 0.0 };
        }
        scatter
    }

    /// 1/rms of each number's block, weighted so that blocks count alike.
    fn inverse_block_rms(&self, target: &[f64]) -> Vec<f64> {
        let mut powers: BTreeMap<Kind, f64> = BTreeMap::new();
        for (kind, value) in self.kinds.iter().zip(target) {
            *powers.entry(*kind).or_default() += value * value;
        }
        // S4 holds nine tenths of the coefficients and converges last, S1 next to
        // last: counted so, all blocks pass 1 % at about the same step.
        let times = |kind: &Kind| match kind {
            Kind::S4 => 8.0,
            Kind::S1 => 2.0,
            _ => 1.0,
        };
        let all: f64 = powers.keys().map(times).sum();
        let share = self.count(|_| true) as f64 / all;
        let weight = |kind: &Kind| match powers[kind] {
            power if power > 0.0 => (times(kind) * share / power).sqrt(),
            _ => 0.0,
        };
        self.kinds.iter().map(weight).collect()
    }

    /// Coefficients for which `keep` holds, a complex one counted once.
    fn count(&self, keep: impl Fn(usize) -> bool) -> usize {
        let second = |i: usize| i > 0 && self.starts_complex[i - 1];
        (0..self.values.len()).filter(|&i| !second(i) && keep(i)).count()
    }

    pub(crate) fn is_scattering(&self) -> bool {
        self.kind != BlockKind::Spectrum
    }

    /// Names of the coefficients that the loss leaves out.
    pub(crate) fn left_out(&self, sigma: &Sigma) -> Result<Vec<String>, EmulatorError> {
        let (inverse, _) = self.inverse_sigma(sigma, &self.target(None))?;
        let numbers = (0..inverse.len()).filter(|&i| inverse[i] == 0.0);
        Ok(numbers.map(|i| format!("{} number {i}", self.name)).collect())
    }

    /// Adds this block's terms to a graph of the same statistics.
    pub(crate) fn add_terms(
        &self,
        graph: &mut Graph,
        block: &StatBlock,
        loss: &LossConfig,
        input: Option<usize>,
    ) -> Result<(), EmulatorError> {
        let name = self.name.clone();
        let target = self.target(input);
        match self.kind {
            BlockKind::Spectrum => {
                self.add_spectrum_term(graph, block, loss, target);
            }
            BlockKind::Auto | BlockKind::Cross => {
                let weight = if self.kind == BlockKind::Auto { loss.auto } else { loss.cross };
                let (inverse, count) = self.inverse_sigma(&loss.sigma, &target)?;
                if weight > 0.0 && count > 0 {
                    let term = MatchMean::new(name.clone(), target, inverse, count);
                    graph.term(term, &block.nodes, weight);
                }
                if loss.variance > 0.0 {
                    let variance = self.variances();
                    let aim = variance.iter().map(|v| loss.variance_fraction * v).collect();
                    let scatter = self.scatter();
                    let scale =
                        scatter.iter().map(|v| if *v > 0.0 { v.recip() } else { 0.0 }).collect();
                    let term = MatchVariance::new(format!("Var {name}"), aim, scale);
                    graph.term(term, &block.nodes, loss.variance);
                }
            }
        }
        Ok(())
    }

    /// Ave C/Std C of each number, NaN where it is left out: ℓ below the spin, which
    /// has no scatter, and p = 1 of pairs of fields unless asked for.
    fn ratios(&self, target: &[f64], first_power_of_pairs: bool) -> Vec<f64> {
        let first_power = |number: usize| number >= self.values.len() / 2;
        let left_out = |i: usize| !first_power_of_pairs && first_power(i) && self.is_pair(i);
        (target.iter().zip(self.variances()).enumerate())
            .map(|(i, (t, v))| if v > 0.0 && !left_out(i) { t / v.sqrt() } else { f64::NAN })
            .collect()
    }

    /// Whether a number of the spectra belongs to a pair of fields.
    fn is_pair(&self, number: usize) -> bool {
        match self.values.len() / (2 * self.rows) {
            3 => number % 3 == 2,
            6 => number % 6 >= 3,
            _ => false,
        }
    }

    /// 1/C of each spectrum of one field with itself, 0 for pairs and for ℓ
    /// without power, and how many are not 0.
    fn inverse_level(&self, target: &[f64]) -> (Vec<f64>, usize) {
        let inverse: Vec<f64> = target
            .iter()
            .enumerate()
            .map(|(i, c)| if *c > 0.0 && !self.is_pair(i) { c.recip() } else { 0.0 })
            .collect();
        let count = inverse.iter().filter(|w| **w > 0.0).count();
        (inverse, count)
    }

    fn add_spectrum_term(
        &self,
        graph: &mut Graph,
        block: &StatBlock,
        loss: &LossConfig,
        target: Vec<f64>,
    ) {
        let name = self.name.clone();
        let inputs = self.values[0].len();
        if inputs < 2 {
            // One input has no scatter: relative residuals.
            let inverse: Vec<f64> =
                target.iter().map(|t| if *t != 0.0 { t.abs().recip() } else { 0.0 }).collect();
            let count = inverse.iter().filter(|w| **w > 0.0).count();
            if count > 0 {
                graph.term(
                    MatchMean::new(name, target, inverse, count),
                    &block.nodes,
                    loss.spectrum,
                );
            }
            return;
        }
        match loss.spectrum_loss {
            SpectrumLoss::Ratio => {
                let ratio = MatchRatio::relative(name.clone(), self.ratios(&target, false));
                graph.term(ratio, &block.nodes, loss.spectrum);
                let (inverse, count) = self.inverse_level(&target);
                if count > 0 {
                    let level = MatchMean::new(format!("{name} level"), target, inverse, count);
                    graph.term(level, &block.nodes, LEVEL_WEIGHT * loss.spectrum);
                }
            }
            SpectrumLoss::Equation6 => {
                let ratio = MatchRatio::undivided(name, self.ratios(&target, true));
                graph.term(ratio, &block.nodes, loss.spectrum);
            }
            SpectrumLoss::SumOverBatch => {
                let per_multipole = self.values.len() / block.nodes.len() / self.rows;
                let inverse = (self.variances().iter().enumerate())
                    .map(|(i, &v)| {
                        let l = i / per_multipole % self.rows;
                        if l < 2 || v <= 0.0 { 1.0 } else { inverse_root(v) }
                    })
                    .collect();
                let term = MatchSum::new(name, target, inverse, self.rows);
                graph.term(term, &block.nodes, loss.spectrum);
            }
        }
    }
}

/// 1/√v, or 0.
fn inverse_root(v: f64) -> f64 {
    if v > 0.0 { v.sqrt().recip() } else { 0.0 }
}

/// Variables of a program from maps of axes (map, channel, pixel).
pub(crate) fn variables(maps: ArrayView3<'_, f64>) -> Vec<f64> {
    maps.permuted_axes([1, 2, 0]).iter().copied().collect()
}

/// The standard deviation of each channel of each map.
pub(crate) fn channel_std(maps: ArrayView3<'_, f64>) -> Array2<f64> {
    maps.std_axis(Axis(2), 0.0)
}
