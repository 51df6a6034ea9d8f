//! What a covariance asks of a GPU: as many groups at a time as scratch has room for,
//! fields are convolved into it, paired and forgotten; the pullback convolves them again.

use super::Covariance;
use crate::RotationTable;
use skyscat_autodiff::device::Binding::{
    self, Cotangent, Gradient, Input, Output, Scratch, Unused,
};
use skyscat_autodiff::device::{DeviceCall, DevicePass, DeviceWork, Run};
use skyscat_num::chunk_rows;
use std::ops::Range;
use std::sync::Arc;

/// Pieces of scratch: fields; their gradients, or parts of sums; factors of gradients.
const FIELDS: Binding<'static> = Scratch(0);
const GRADIENTS: Binding<'static> = Scratch(1);
const PARTIALS: Binding<'static> = Scratch(1);
const FACTORS: Binding<'static> = Scratch(2);

/// Bands that a run copies.
const BANDS: usize = 3;

/// Moduli that a run convolves.
const MODULI: usize = 3;

/// How a modulus is turned, if it is.
type Turn = Option<Arc<RotationTable>>;

/// Stands for the second factor of a mean.
const NONE: u32 = u32::MAX;

impl Covariance {
    pub(super) fn device_work<'a>(&'a self, call: &DeviceCall<'_>) -> DeviceWork<'a> {
        let tables = Tables::new(self);
        let all = Place { op: self, groups: 0..self.groups(), call };
        let mut runs = Vec::new();
        if !call.is_forward() {
            all.spread(&tables, &["pack", "offset"], &mut runs);
        }
        let fields = 2 * self.stencil.rows() * self.layout.slots * call.lanes;
        let most = self.together(fields, call);
        for first in (0..self.groups()).step_by(most) {
            let groups = first..(first + most).min(self.groups());
            let at = Place { op: self, groups, call };
            at.fill(&mut runs);
            match call.is_forward() {
                true => at.pair(&tables, &["forward"], &mut runs),
                false => {
                    at.spread(&tables, &["pullback"], &mut runs);
                    at.give_back(&mut runs);
                }
            }
        }
        if call.is_forward() {
            all.pair(&tables, &["tree", "finish"], &mut runs);
        }
        let fields = most * fields;
        let each = 2 * self.masks.masks * self.groups() * call.lanes;
        let scratch = match call.is_forward() {
            true => vec![fields, self.parts().1 * each * (self.layout.products + self.means())],
            false => vec![fields, fields, each * (tables.link_count + self.layout.slots)],
        };
        DeviceWork { runs, scratch }
    }

    /// How many groups are worked on at a time, where one takes `fields` numbers: those
    /// that scratch has room for, in runs as even as can be.
    fn together(&self, fields: usize, call: &DeviceCall<'_>) -> usize {
        let room = match call.is_forward() {
            true => call.room(0),
            false => call.room(0).min(call.room(1)),
        };
        let most = (room / fields).clamp(1, self.groups());
        self.groups().div_ceil(self.groups().div_ceil(most))
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

/// Some groups of one call.
struct Place<'a, 'c> {
    op: &'a Covariance,
    groups: Range<usize>,
    call: &'c DeviceCall<'c>,
}

impl<'a> Place<'a, '_> {
    /// Fields of the groups.
    fn fill(&self, runs: &mut Vec<Run<'a>>) {
        self.bands("forward", (Input, FIELDS), runs);
        self.moduli(true, (Input, FIELDS), runs);
    }

    /// Gradients of the fields to those of bands and moduli.
    fn give_back(&self, runs: &mut Vec<Run<'a>>) {
        self.bands("pullback", (Gradient, GRADIENTS), runs);
        self.moduli(false, (Gradient, GRADIENTS), runs);
    }

    fn bands(
        &self,
        entry: &'static str,
        (end, fields): (fn(usize) -> Binding<'a>, Binding<'a>),
        runs: &mut Vec<Run<'a>>,
    ) {
        let (all, width) = (self.op.config.bands, 2 * self.call.quads());
        for slot in (0..all).step_by(BANDS) {
            let bands = BANDS.min(all - slot);
            let sizes = [
                ("pixels", self.op.stencil.rows()),
                ("orientations", self.op.groups()),
                ("first", self.groups.start),
                ("groups", self.groups.len()),
                ("slots", self.op.layout.slots),
                ("slot", slot),
                ("bands", bands),
                ("quads", self.call.quads()),
            ];
            let ends = (0..BANDS).map(|i| if i < bands { end(slot + i) } else { Unused });
            let bindings = ends.chain([fields.clone()]).collect();
            let invocations = self.op.stencil.rows() * self.groups.len() * bands * width;
            runs.push(Run::new(("covariance_bands", entry), &sizes, bindings, invocations));
        }
    }

    fn moduli(
        &self,
        forward: bool,
        (end, fields): (fn(usize) -> Binding<'a>, Binding<'a>),
        runs: &mut Vec<Run<'a>>,
    ) {
        let config = &self.op.config;
        let alike = |a: &Turn, b: &Turn| a.as_ref().map(Arc::as_ptr) == b.as_ref().map(Arc::as_ptr);
        let mut first = 0;
        for part in config.moduli.chunk_by(alike).flat_map(|alike| alike.chunks(MODULI)) {
            let one = |i| match i < part.len() {
                true => end(config.bands + first + i),
                false => Unused,
            };
            let ends = (0..MODULI).map(one).chain([fields.clone()]).collect();
            runs.push(self.second(forward, (first, part), ends));
            first += part.len();
        }
    }

    fn second(
        &self,
        forward: bool,
        (first, moduli): (usize, &'a [Turn]),
        ends: Vec<Binding<'a>>,
    ) -> Run<'a> {
        let (op, stencil) = (self.op, &*self.op.stencil);
        let sizes = [
            ("pixels", stencil.rows()),
            ("orientations", op.groups()),
            ("first", self.groups.start),
            ("groups", self.groups.len()),
            ("slots", op.layout.slots),
            ("slot", op.config.bands + first * op.groups()),
            ("moduli", moduli.len()),
            ("quads", self.call.quads()),
        ];
        let (entry, turns) = match (&moduli[0], forward) {
            (None, true) => ("forward", [Unused, Unused]),
            (None, false) => ("pullback", [Unused, Unused]),
            (Some(table), _) => {
                let entry = if forward { "forward_turned" } else { "pullback_turned" };
                (entry, [table.shift_binding(), table.weight_binding(self.call)])
            }
        };
        let pass = if forward { DevicePass::Forward } else { DevicePass::Joint };
        let tables = [stencil.table(pass), stencil.all_weights(self.call)];
        let bindings = tables.into_iter().chain(turns).chain(ends).collect();
        // A pullback adds up the groups itself.
        let groups = if forward { self.groups.len() } else { 1 };
        let numbers = stencil.rows() * groups * moduli.len() * op.groups();
        Run::new(("covariance_second", entry), &sizes, bindings, numbers * self.call.quads())
    }

    /// Parts of the sums of the groups' products; or, from those of all groups, the output.
    fn pair(&self, tables: &Tables, entries: &[&'static str], runs: &mut Vec<Run<'a>>) {
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
            ("first", self.groups.start),
            ("groups", self.groups.len()),
            ("orientations", op.groups()),
            ("picked", picked),
            ("pairs", op.pair_channels()),
            ("channels", op.pair_channels() + op.mean_channels()),
            ("tiles", tile_count),
            ("padding", 0),
        ];
        let run = |&entry: &&'static str| {
            let ([source, tiles, picks, to], each) = match entry {
                "forward" => {
                    let tiles = Binding::made(tables.tiles.clone());
                    ([FIELDS, tiles, Unused, Unused], parts * tile_count)
                }
                "tree" => ([Unused, Unused, Unused, Unused], 2 * sums),
                _ => {
                    let picks = Binding::made(tables.picks.clone());
                    ([Unused, Unused, picks, Output], picked + op.means())
                }
            };
            let weights = self.call.table(&op.masks.weights);
            let bindings = vec![weights, source, tiles, picks, PARTIALS, to];
            let invocations = masks * self.groups.len() * each * self.call.quads();
            Run::new(("covariance_products", entry), &sizes, bindings, invocations)
        };
        runs.extend(entries.iter().map(run));
    }

    /// Factors of the groups' gradients; or, from those of all groups, the gradients.
    fn spread(&self, tables: &Tables, entries: &[&'static str], runs: &mut Vec<Run<'a>>) {
        let op = self.op;
        let (masks, slots) = (op.masks.masks, op.layout.slots);
        let sizes = [
            ("pixels", op.stencil.rows()),
            ("slots", slots),
            ("masks", masks),
            ("links", tables.link_count),
            ("quads", self.call.quads()),
            ("first", self.groups.start),
            ("groups", self.groups.len()),
            ("orientations", op.groups()),
            ("pairs", op.pair_channels()),
            ("channels", op.pair_channels() + op.mean_channels()),
            ("centred", usize::from(op.config.centred)),
            ("padding", 0),
        ];
        let run = |&entry: &&'static str| {
            let ([source, means, to], each) = match entry {
                "pack" => ([Unused, Unused, Unused], masks * tables.link_count),
                "offset" => ([Unused, Output, Unused], masks * slots),
                _ => ([FIELDS, Unused, GRADIENTS], op.stencil.rows().div_ceil(2) * slots),
            };
            let bindings = vec![
                self.call.table(&op.masks.weights),
                source,
                Binding::made(tables.links.clone()),
                Binding::made(tables.parts.clone()),
                Cotangent,
                means,
                FACTORS,
                to,
            ];
            let invocations = self.groups.len() * each * self.call.quads();
            Run::new(("covariance_spread", entry), &sizes, bindings, invocations)
        };
        runs.extend(entries.iter().map(run));
    }
}
