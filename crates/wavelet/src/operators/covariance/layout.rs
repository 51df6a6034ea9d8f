//! Where the parts of a covariance stand, and which tiles of products cover its pairs.

use super::{CovarianceConfig, Part};
use crate::stencil::Stencil;
use std::collections::BTreeMap;
use std::ops::Range;

/// Slots of a part within a group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slots {
    pub(super) first: usize,
    pub(super) len: usize,
}

impl Slots {
    fn range(self) -> Range<usize> {
        self.first..self.first + self.len
    }
}

/// A wanted pair and its first output channel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) x: Slots,
    pub(super) y: Slots,
    pub(super) first: usize,
}

impl Pair {
    pub(super) fn len(self) -> usize {
        self.x.len * self.y.len
    }

    pub(super) fn channels(self, groups: usize) -> Range<usize> {
        self.first..self.first + groups * self.len()
    }

    /// Slots of X and Y of each channel of a group.
    pub(super) fn slots(self) -> impl Iterator<Item = (usize, usize)> {
        self.y.range().flat_map(move |y| self.x.range().map(move |x| (x, y)))
    }
}

/// Products of neighbouring slots that are summed in registers together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    pub(super) x: usize,
    pub(super) nx: usize,
    pub(super) y: usize,
    pub(super) ny: usize,
    /// Its first product; product (i, j) stands at `first + j·nx + i`.
    pub(super) first: usize,
}

/// Neighbouring slots whose gradients are summed in registers together, and the
/// slots that they are paired with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) slot: usize,
    pub(super) len: usize,
    /// First and last of `Layout::sources`.
    pub(super) sources: (usize, usize),
    /// First factor; that of source s and slot i stands at `first + s·len + i`.
    pub(super) first: usize,
}

/// A factor of a gradient: the cotangent of an output channel, `first + group·step`,
/// or its conjugate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cotangent {
    pub(super) first: usize,
    pub(super) step: usize,
    pub(super) conjugate: bool,
}

/// Rows that one task sums, and the rows that its gradients reach.
#[derive(Debug)]
pub(super) struct Parts {
    /// Rows of a part; the last may have fewer.
    pub(super) rows: usize,
    pub(super) count: usize,
    /// For each entry of the stencil: its column among those of the part.
    pub(super) local: Vec<u32>,
    /// Columns of every part, those of one after those of the other, in their order.
    columns: Vec<u32>,
    column_offsets: Vec<u32>,
    /// Most columns that a part reaches.
    pub(super) reach: usize,
    /// For each column, which (part, local column) hold gradients of it.
    pub(super) homes: Vec<(u32, u32)>,
    pub(super) home_offsets: Vec<u32>,
}

#[derive(Debug)]
pub(super) struct Layout {
    /// Slots of a group: the bands, then R of each modulus.
    pub(super) slots: usize,
    pub(super) pairs: Vec<Pair>,
    pub(super) tiles: Vec<Tile>,
    /// Products of all tiles.
    pub(super) products: usize,
    /// Pairs of slots that are wanted, conjugates counted once.
    pub(super) distinct: usize,
    /// For each channel of a group, in the order of the pairs: its product, and
    /// whether conjugated.
    pub(super) picks: Vec<(usize, bool)>,
    pub(super) targets: Vec<Target>,
    pub(super) sources: Vec<usize>,
    /// For each factor, the cotangents that add up to it.
    pub(super) factors: Vec<Vec<Cotangent>>,
    pub(super) parts: Parts,
}

impl Layout {
    pub(super) fn new(stencil: &Stencil, config: &CovarianceConfig) -> Self {
        let r = stencil.orientations;
        let slots = config.bands + r * config.moduli.len();
        let place = |part: Part| match part {
            Part::Band(i) => Slots { first: i, len: 1 },
            Part::Modulus(i) => Slots { first: config.bands + r * i, len: r },
        };
        let mut pairs = Vec::new();
        let mut first = 0;
        for &(x, y) in &config.pairs {
            let pair = Pair { x: place(x), y: place(y), first };
            first += r * pair.len();
            pairs.push(pair);
        }
        let wanted = wanted(&pairs);
        let (tiles, at) = tiles(slots, config.bands, &wanted);
        let picks =
            pairs.iter().flat_map(|pair| pair.slots()).map(|(x, y)| match at.get(&(x, y)) {
                Some(&product) => (product, false),
                None => (at[&(y, x)], true),
            });
        let picks = picks.collect();
        let (targets, sources, factors) = targets(slots, config.bands, &pairs);
        Self {
            slots,
            products: tiles.last().map_or(0, |t| t.first + t.nx * t.ny),
            distinct: wanted.len(),
            tiles,
            picks,
            targets,
            sources,
            factors,
            parts: Parts::new(stencil, first),
            pairs,
        }
    }

    /// Factors that are not always zero.
    pub(super) fn links(&self) -> usize {
        self.factors.iter().filter(|f| !f.is_empty()).count()
    }
}

/// Wanted pairs of slots, each in one order: the larger slot of a pair of moduli or of
/// bands first, the band of a mixed one.
fn wanted(pairs: &[Pair]) -> std::collections::BTreeSet<(usize, usize)> {
    let mut wanted = std::collections::BTreeSet::new();
    for (x, y) in pairs.iter().flat_map(|pair| pair.slots()) {
        if !wanted.contains(&(y, x)) || x == y {
            wanted.insert((x, y));
        }
    }
    wanted
}

/// Neighbouring slots that may share a tile: two by two from the start of the bands
/// and from the start of the moduli.
fn runs(slots: usize, bands: usize, len: usize) -> impl Iterator<Item = Range<usize>> {
    let cut = move |range: Range<usize>| {
        let end = range.end;
        range.step_by(len).map(move |first| first..(first + len).min(end))
    };
    cut(0..bands).chain(cut(bands..slots))
}

/// Tiles of at most 4×2 products that cover the wanted pairs, and where each is.
fn tiles(
    slots: usize,
    bands: usize,
    wanted: &std::collections::BTreeSet<(usize, usize)>,
) -> (Vec<Tile>, BTreeMap<(usize, usize), usize>) {
    let mut tiles = Vec::new();
    let mut at = BTreeMap::new();
    let mut first = 0;
    for ys in runs(slots, bands, 2) {
        let needed = |x: usize| ys.clone().any(|y| wanted.contains(&(x, y)));
        for xs in runs(slots, bands, 4) {
            let mut x = xs.start;
            while x < xs.end {
                let run = (x..xs.end).take_while(|&x| needed(x)).count();
                let nx = [4, 2, 1].into_iter().find(|n| *n <= run).unwrap_or(0);
                if nx == 0 {
                    x += 1;
                    continue;
                }
                for (j, y) in ys.clone().enumerate() {
                    at.extend((0..nx).map(|i| ((x + i, y), first + j * nx + i)));
                }
                tiles.push(Tile { x, nx, y: ys.start, ny: ys.len(), first });
                first += nx * ys.len();
                x += nx;
            }
        }
    }
    (tiles, at)
}

type Targets = (Vec<Target>, Vec<usize>, Vec<Vec<Cotangent>>);

/// For two slots each: what they are paired with, and by which cotangents.
fn targets(slots: usize, bands: usize, pairs: &[Pair]) -> Targets {
    let mut matrix: BTreeMap<(usize, usize), Vec<Cotangent>> = BTreeMap::new();
    for pair in pairs {
        for (at, (x, y)) in pair.slots().enumerate() {
            let (first, step) = (pair.first + at, pair.len());
            let mut add = |to, from, conjugate| {
                matrix.entry((to, from)).or_default().push(Cotangent { first, step, conjugate });
            };
            add(x, y, false);
            add(y, x, true);
        }
    }
    let (mut targets, mut sources, mut factors) = (Vec::new(), Vec::new(), Vec::new());
    for run in runs(slots, bands, 2) {
        let (slot, len) = (run.start, run.len());
        let (from, first) = (sources.len(), factors.len());
        for source in 0..slots {
            let linked = |i: usize| matrix.get(&(slot + i, source));
            if (0..len).any(|i| linked(i).is_some()) {
                sources.push(source);
                factors.extend((0..len).map(|i| linked(i).cloned().unwrap_or_default()));
            }
        }
        targets.push(Target { slot, len, sources: (from, sources.len()), first });
    }
    (targets, sources, factors)
}

impl Parts {
    /// Parts of a size that depends on the scale alone: enough for many threads, few
    /// enough that the sums of `channels` numbers of each cost little.
    fn new(stencil: &Stencil, channels: usize) -> Self {
        let total = stencil.rows();
        let wished = (2 * total / channels.max(1)).clamp(4, 512);
        let rows = total.div_ceil(wished).next_multiple_of(4);
        let count = total.div_ceil(rows);
        let mut local = vec![0; stencil.entries()];
        let mut homes = vec![Vec::new(); total];
        let (mut all, mut offsets, mut reach) = (Vec::new(), vec![0], 0);
        for part in 0..count {
            let range = part * rows..(part * rows + rows).min(total);
            let entries = stencil.forward.offsets[range.start] as usize
                ..stencil.forward.offsets[range.end] as usize;
            let mut columns = stencil.forward.columns[entries.clone()].to_vec();
            columns.sort_unstable();
            columns.dedup();
            for (at, &column) in columns.iter().enumerate() {
                homes[column as usize].push((part as u32, at as u32));
            }
            for (local, column) in
                local[entries.clone()].iter_mut().zip(&stencil.forward.columns[entries])
            {
                *local = columns.binary_search(column).expect("collected above") as u32;
            }
            reach = reach.max(columns.len());
            all.extend(columns);
            offsets.push(all.len() as u32);
        }
        let mut home_offsets = vec![0];
        for list in &homes {
            home_offsets.push(home_offsets.last().expect("starts with 0") + list.len() as u32);
        }
        Self {
            rows,
            count,
            local,
            columns: all,
            column_offsets: offsets,
            reach,
            homes: homes.concat(),
            home_offsets,
        }
    }

    pub(super) fn range(&self, part: usize, total: usize) -> Range<usize> {
        part * self.rows..(part * self.rows + self.rows).min(total)
    }

    /// The columns that a part reaches.
    pub(super) fn columns(&self, part: usize) -> &[u32] {
        let range = self.column_offsets[part] as usize..self.column_offsets[part + 1] as usize;
        &self.columns[range]
    }

    /// Which (part, local column) hold gradients of a column.
    pub(super) fn homes(&self, column: usize) -> &[(u32, u32)] {
        let range = self.home_offsets[column] as usize..self.home_offsets[column + 1] as usize;
        &self.homes[range]
    }
}
