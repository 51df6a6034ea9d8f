//! What a covariance asks of a GPU: group after group, its fields are convolved into
//! scratch, paired and forgotten; the pullback convolves them again.

use super::Covariance;
use skyscat_autodiff::device::Binding::{
    self, Cotangent, Gradient, Input, Output, Scratch, Unused,
};
use skyscat_autodiff::device::{DeviceCall, DeviceWork, Run};
use skyscat_num::chunk_rows;

/// Stands for the second factor of a mean.
const NONE: u32 = u32::MAX;

impl Covariance {
    pub(super) fn device_work<'a>(&'a self, call: &DeviceCall<'_>) -> DeviceWork<'a> {
        let tables = Tables::new(self);
        let fields = 2 * self.stencil.rows() * self.layout.slots * call.lanes;
        let mut runs = Vec::new();
        for group in 0..self.groups() {
            let at = Place { op: self, group, call };
            at.fill(&mut runs);
            match call.is_forward() {
                true => at.pair(&tables, &mut runs),
                false => {
                    at.spread(&tables, &mut runs);
                    at.give_back(&mut runs);
                }
            }
        }
        let masks = 2 * self.masks.masks * call.lanes;
        let scratch = match call.is_forward() {
            true => vec![fields, self.parts().1 * masks * (self.layout.products + self.means())],
            false => vec![fields, masks * (tables.link_count + self.layout.slots), fields],
        };
        DeviceWork { runs, scratch }
    }

    /// Pixels of a part, and parts.
    fn parts(&self) -> (usize, usize) {
        let rows = self.stencil.rows();
        (chunk_rows(rows), rows.div_ceil(chunk_rows(rows)))
    }

    /// Means of a group.
    fn means(&self) -> usize {
        if self.config.centred { self.layout.slots } else { 0 }
    }
}

/// The layout as a GPU reads it; the same for every group.
struct Tables {
    /// Six words a tile, as `covariance_products.wgsl` has them.
    tiles: Vec<u32>,
    picks: Vec<u32>,
    links: Vec<u32>,
    link_count: usize,
    parts: Vec<u32>,
}

impl Tables {
    fn new(op: &Covariance) -> Self {
        let layout = &op.layout;
        let products = layout.tiles.iter().flat_map(|&tile| {
            // Those of a GPU are at most two wide.
            (0..tile.nx).step_by(2).map(move |i| {
                let xs = (tile.nx - i).min(2);
                [tile.x + i, tile.y, tile.first + i, tile.nx, xs, tile.ny].map(|n| n as u32)
            })
        });
        let means = (0..op.means()).map(|slot| {
            let [slot, sum] = [slot, layout.products + slot].map(|n| n as u32);
            [slot, NONE, sum, 0, 1, 1]
        });
        let tiles = products.chain(means).flatten().collect();
        let channels = layout.pairs.iter().flat_map(|pair| {
            let pair = *pair;
            (0..pair.len()).map(move |c| {
                let (x, y) = (pair.x.first + c % pair.x.len, pair.y.first + c / pair.x.len);
                [pair.first + c, pair.len(), x, y]
            })
        });
        let picks = channels.zip(&layout.picks).flat_map(|([first, step, x, y], pick)| {
            [first, step, pick.0, usize::from(pick.1), x, y].map(|n| n as u32)
        });
        let picks = picks.collect();
        let (links, parts, link_count) = links(op);
        Self { tiles, picks, links, link_count, parts }
    }
}

/// Links and parts as `covariance_spread.wgsl` has them, and the number of links.
fn links(op: &Covariance) -> (Vec<u32>, Vec<u32>, usize) {
    let layout = &op.layout;
    let mut lists = vec![Vec::new(); layout.slots];
    for target in &layout.targets {
        let sources = &layout.sources[target.sources.0..target.sources.1];
        for (s, &source) in sources.iter().enumerate() {
            for i in 0..target.len {
                let parts = &layout.factors[target.first + s * target.len + i];
                if !parts.is_empty() {
                    lists[target.slot + i].push((source as u32, parts));
                }
            }
        }
    }
    let mut offsets = vec![0];
    let (mut sources, mut part_offsets, mut triples) = (Vec::new(), vec![0], Vec::new());
    for list in &lists {
        for (source, parts) in list {
            sources.push(*source);
            let triple = |p: &super::layout::Cotangent| {
                [p.first as u32, p.step as u32, u32::from(p.conjugate)]
            };
            triples.extend(parts.iter().flat_map(triple));
            part_offsets.push((triples.len() / 3) as u32);
        }
        offsets.push(sources.len() as u32);
    }
    let count = sources.len();
    (offsets.into_iter().chain(sources).collect(), [part_offsets, triples].concat(), count)
}

/// One group of one call.
struct Place<'a, 'c> {
    op: &'a Covariance,
    group: usize,
    call: &'c DeviceCall<'c>,
}

impl<'a> Place<'a, '_> {
    /// Fields of the group into scratch 0.
    fn fill(&self, runs: &mut Vec<Run<'a>>) {
        let config = &self.op.config;
        for band in 0..config.bands {
            runs.push(self.second("bands", band, None, (Input(band), Scratch(0))));
        }
        for m in 0..config.moduli.len() {
            let input = Input(config.bands + m);
            let slot = config.bands + m * self.op.groups();
            runs.push(self.second("forward", slot, Some(m), (input, Scratch(0))));
        }
    }

    /// Gradients of the fields, scratch 2, to those of bands and moduli.
    fn give_back(&self, runs: &mut Vec<Run<'a>>) {
        let config = &self.op.config;
        for band in 0..config.bands {
            let ends = (Scratch(2), Gradient(band));
            runs.push(self.second("bands_pullback", band, None, ends));
        }
        for m in 0..config.moduli.len() {
            let ends = (Scratch(2), Gradient(config.bands + m));
            let slot = config.bands + m * self.op.groups();
            runs.push(self.second("pullback", slot, Some(m), ends));
        }
    }

    fn second(
        &self,
        entry: &'static str,
        slot: usize,
        modulus: Option<usize>,
        (from, to): (Binding<'a>, Binding<'a>),
    ) -> Run<'a> {
        let stencil = &*self.op.stencil;
        let turn = modulus.and_then(|m| self.op.config.moduli[m].as_ref());
        let sizes = [
            ("pixels", stencil.rows()),
            ("orientations", self.op.groups()),
            ("group", self.group),
            ("slots", self.op.layout.slots),
            ("slot", slot),
            ("quads", self.call.quads()),
            ("padding0", 0),
            ("padding1", 0),
        ];
        let entry = match (turn, entry) {
            (Some(_), "forward") => "forward_turned",
            (Some(_), "pullback") => "pullback_turned",
            _ => entry,
        };
        let table = match (modulus, entry) {
            (None, _) => [Unused, Unused, Unused, Unused],
            (_, "forward" | "forward_turned") => [
                Binding::indices(&stencil.forward.offsets),
                Binding::indices(&stencil.forward.columns),
                Unused,
                stencil.all_weights(self.call),
            ],
            _ => [
                Binding::indices(&stencil.backward.offsets),
                Binding::indices(&stencil.backward.columns),
                Binding::indices(stencil.backward_entries()),
                stencil.all_weights(self.call),
            ],
        };
        let turns = match turn {
            None => [Unused, Unused],
            Some(table) => [table.shift_binding(), table.weight_binding(self.call)],
        };
        let bindings = table.into_iter().chain(turns).chain([from, to]).collect();
        let channels = if modulus.is_some() { self.op.groups() } else { 2 };
        let invocations = stencil.rows() * channels * self.call.quads();
        Run::new(("covariance_second", entry), &sizes, bindings, invocations)
    }

    /// Output channels of the group from scratch 0, by partial sums in scratch 1.
    fn pair(&self, tables: &Tables, runs: &mut Vec<Run<'a>>) {
        let op = self.op;
        let (chunk, parts) = op.parts();
        let (masks, sums) = (op.masks.masks, op.layout.products + op.means());
        let (picked, tile_count) = (op.layout.picks.len(), tables.tiles.len() / 6);
        let sizes = [
            ("pixels", op.stencil.rows()),
            ("slots", op.layout.slots),
            ("masks", masks),
            ("chunk", chunk),
            ("parts", parts),
            ("products", op.layout.products),
            ("means", op.means()),
            ("quads", self.call.quads()),
            ("group", self.group),
            ("picked", picked),
            ("pairs", op.pair_channels()),
            ("channels", op.pair_channels() + op.mean_channels()),
            ("tiles", tile_count),
            ("padding0", 0),
            ("padding1", 0),
            ("padding2", 0),
        ];
        let run = |entry, [source, tiles, picks, to]: [Binding<'a>; 4], invocations: usize| {
            let weights = self.call.table(&op.masks.weights);
            let bindings = vec![weights, source, tiles, picks, Scratch(1), to];
            let invocations = masks * invocations * self.call.quads();
            Run::new(("covariance_products", entry), &sizes, bindings, invocations)
        };
        let tiles = Binding::made(tables.tiles.clone());
        let picks = Binding::made(tables.picks.clone());
        runs.push(run("forward", [Scratch(0), tiles, Unused, Unused], parts * tile_count));
        runs.push(run("tree", [Unused, Unused, Unused, Unused], 2 * sums));
        runs.push(run("finish", [Unused, Unused, picks, Output], picked + op.means()));
    }

    /// Gradients of the fields into scratch 2, by factors in scratch 1.
    fn spread(&self, tables: &Tables, runs: &mut Vec<Run<'a>>) {
        let op = self.op;
        let (masks, slots) = (op.masks.masks, op.layout.slots);
        let sizes = [
            ("pixels", op.stencil.rows()),
            ("slots", slots),
            ("masks", masks),
            ("links", tables.link_count),
            ("quads", self.call.quads()),
            ("group", self.group),
            ("pairs", op.pair_channels()),
            ("channels", op.pair_channels() + op.mean_channels()),
            ("centred", usize::from(op.config.centred)),
            ("padding0", 0),
            ("padding1", 0),
            ("padding2", 0),
        ];
        let run = |entry, [source, means, to]: [Binding<'a>; 3], invocations: usize| {
            let bindings = vec![
                self.call.table(&op.masks.weights),
                source,
                Binding::made(tables.links.clone()),
                Binding::made(tables.parts.clone()),
                Cotangent,
                means,
                Scratch(1),
                to,
            ];
            Run::new(
                ("covariance_spread", entry),
                &sizes,
                bindings,
                invocations * self.call.quads(),
            )
        };
        runs.push(run("pack", [Unused, Unused, Unused], masks * tables.link_count));
        runs.push(run("offset", [Unused, Output, Unused], masks * slots));
        let pairs = op.stencil.rows().div_ceil(2);
        runs.push(run("pullback", [Scratch(0), Unused, Scratch(2)], pairs * slots));
    }
}
