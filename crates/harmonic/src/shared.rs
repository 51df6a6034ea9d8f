//! Sums over degrees through u_k: all rings of spin 0, rings of spin 2 off the poles.
//!
//! A northern ring and its mirror share u_k: with the folded coefficients (a, b) of
//! [`Order`], P = Σ u a and M = cos θ Σ u b, both over sin^sθ, give north = P + M and
//! south = P − M.

use crate::Modes;
use crate::climb::{Belt, Climb, State, UNIT, WIDE, Wide};
use crate::fused;
use crate::legendre::{Lanes, order_limit};
use crate::order::{BEFORE, Degrees, Order, sequence_len};
use crate::sample::Sample;
use pulp::Simd;
use skyscat_num::Aligned;
use std::ops::Range;

/// Members of the sequence per panel: a panel and its coefficients stay near the core.
const CHUNK: usize = 64;

/// The same in adjoints, which also write to what lies beside the panel.
const ADJOINT_CHUNK: usize = 32;

/// Sixteen rings and their mirrors.
#[derive(Debug)]
struct Block<T> {
    belt: Belt,
    /// Index of the first ring pair.
    first: usize,
    pairs: usize,
    /// First order that counts for none of them.
    m_end: usize,
    /// 1/sin^sθ and cos θ/sin^sθ.
    factors: [[T; WIDE]; 2],
}

/// Stored u_k of one order.
#[derive(Debug)]
struct Column<T> {
    order: Order<T>,
    values: Aligned<T>,
    /// For each block: first k that counts, offset of its row.
    blocks: Vec<(usize, usize)>,
}

/// Everything these sums need.
#[derive(Debug)]
pub(crate) struct Shared<T> {
    modes: Modes,
    spin: usize,
    degrees: Degrees,
    /// λ_mm/sin^mθ.
    starts: Vec<f64>,
    blocks: Vec<Block<T>>,
    columns: Option<Vec<Column<T>>>,
}

/// Working memory of one thread.
#[derive(Debug)]
pub(crate) struct SharedBuffer<T> {
    order: Order<T>,
    lambda: Aligned<T>,
    folded: Aligned<T>,
    /// Folded coefficients spread over rings, 64 bytes each.
    vectors: Aligned<T>,
    panel: Aligned<T>,
    /// One class after the other, of every block.
    sums: Aligned<T>,
    /// Where each block's sequence is.
    climbs: Vec<Climb>,
}

impl<T: Sample> SharedBuffer<T> {
    pub(crate) fn new(shared: &Shared<T>, lanes: Lanes) -> Self {
        let top = shared.modes.lmax() + shared.spin;
        let (len, kept) = (sequence_len(0, top), lanes.kept::<T>());
        let vectors = if lanes.by_rings::<T>() { ADJOINT_CHUNK * 2 * kept * T::PAD } else { 0 };
        let blocks = shared.blocks.len();
        Self {
            order: Order::default(),
            lambda: Aligned::zeros(if shared.spin == 2 { (BEFORE + top + 1) * kept } else { 0 }),
            folded: Aligned::zeros(len * 2 * kept),
            vectors: Aligned::zeros(vectors),
            panel: Aligned::zeros(2 * CHUNK * WIDE),
            sums: Aligned::zeros(2 * WIDE * kept * blocks),
            climbs: Vec::with_capacity(blocks),
        }
    }
}

impl<T: Sample> Shared<T> {
    /// `pairs` gives (1 − cos θ, sin θ) of all ring pairs; those before `first` are left out.
    pub(crate) fn new(modes: Modes, spin: usize, pairs: &[(f64, f64)], first: usize) -> Self {
        let blocks = pairs[first..].chunks(WIDE).enumerate().map(|(at, chunk)| {
            let (mut sin, mut factors): (Wide, _) = ([1.0; WIDE], [[T::zero(); WIDE]; 2]);
            for (i, &(below_one, own)) in chunk.iter().enumerate() {
                sin[i] = own;
                let scale = own.powi(spin as i32).recip();
                (factors[0][i], factors[1][i]) =
                    (T::narrow(scale), T::narrow(scale * (1.0 - below_one)));
            }
            let &(below_one, lowest) = chunk.last().expect("chunks are not empty");
            let limit = order_limit(modes.lmax(), spin, 1.0 - below_one, lowest);
            Block {
                belt: Belt::new(sin, modes.mmax()),
                first: first + at * WIDE,
                pairs: chunk.len(),
                m_end: limit.min(modes.mmax()) + 1,
                factors,
            }
        });
        let mut square = 0.25 / std::f64::consts::PI;
        let starts = (0..=modes.mmax()).map(|m| {
            let start = square.sqrt() * if m % 2 == 0 { 1.0 } else { -1.0 };
            square *= (2 * m + 3) as f64 / (2 * m + 2) as f64;
            start
        });
        let (blocks, starts) = (blocks.collect(), starts.collect());
        let degrees = Degrees::new(spin, modes.lmax(), modes.mmax());
        Self { modes, spin, degrees, starts, blocks, columns: None }
    }

    /// First order that counts for each ring pair.
    pub(crate) fn m_ends(&self) -> impl Iterator<Item = usize> {
        self.blocks.iter().flat_map(|block| std::iter::repeat_n(block.m_end, block.pairs))
    }

    /// Bytes the tables would take.
    pub(crate) fn table_bytes(&self) -> usize {
        let top = self.modes.lmax() + self.spin;
        let rows: usize = (0..=self.modes.mmax())
            .map(|m| self.blocks.iter().filter(|b| b.m_end > m).count() * sequence_len(m, top))
            .sum();
        rows * WIDE * size_of::<T>()
    }

    /// Computes and keeps all u_k.
    pub(crate) fn tabulate(&mut self) {
        let mut room = vec![T::zero(); CHUNK * WIDE];
        let columns = (0..=self.modes.mmax()).map(|m| {
            let mut order = Order::default();
            order.fill(m, &self.degrees);
            let mut values = Vec::new();
            let blocks = self.blocks.iter().enumerate().map(|(at, block)| {
                let (mut kept, offset) = (0, values.len());
                if m < block.m_end {
                    let mut climb = self.start(m, at);
                    for range in panels(order.len(), CHUNK) {
                        let rows = self.panel(&order, (m, at), range, &mut climb, &mut room);
                        kept += rows.len() / WIDE;
                        values.extend_from_slice(rows);
                    }
                }
                (order.len() - kept, offset)
            });
            let blocks = blocks.collect();
            Column { order, values: Aligned::from(&values[..]), blocks }
        });
        self.columns = Some(columns.collect());
    }

    /// Where the sequence of a block begins; tables have no use for it.
    #[inline(always)]
    fn start(&self, m: usize, block: usize) -> Climb {
        if self.columns.is_some() {
            return Climb::IDLE;
        }
        Climb::start(&self.blocks[block].belt, m, self.starts[m])
    }

    /// Rows of u for those k of `range` that count, which are the last ones.
    #[inline(always)]
    fn panel<'p>(
        &'p self,
        order: &Order<T>,
        (m, block): (usize, usize),
        range: Range<usize>,
        climb: &mut Climb,
        room: &'p mut [T],
    ) -> &'p [T] {
        if let Some(columns) = &self.columns {
            let (first, offset) = columns[m].blocks[block];
            let rows = range.start.max(first) - first..range.end.max(first) - first;
            return &columns[m].values[offset + rows.start * WIDE..offset + rows.end * WIDE];
        }
        let (mut at, belt) = (range.start, &self.blocks[block].belt);
        while at < range.end && climb.state() == State::None {
            let end = range.end.min(at + UNIT);
            climb.skip(belt, &order.climb[at..end]);
            at = end;
        }
        let first = at;
        while at < range.end {
            let all = climb.state() == State::All;
            let end = if all { range.end } else { range.end.min(at + UNIT) };
            let out = &mut room[(at - first) * WIDE..(end - first) * WIDE];
            climb.keep(belt, &order.climb[at..end], out);
            at = end;
        }
        &room[..(range.end - first) * WIDE]
    }

    /// Modes of order `m` of the ring pairs from coefficient rows of degrees m..
    ///
    /// `coef` has rows of `lanes.row` numbers for spin 0; for spin 2 `coef` and `twin` have
    /// rows of `lanes.padded`, between [`BEFORE`] and [`AFTER`](crate::order::AFTER) of zeros. `rows` is `[pair][north, south][component][re, im][map]`.
    #[inline(always)]
    pub(crate) fn forward<S: Simd>(
        &self,
        simd: S,
        (lanes, m): (Lanes, usize),
        (coef, twin): (&[T], &[T]),
        rows: &mut [T],
        buffer: &mut SharedBuffer<T>,
    ) {
        let SharedBuffer { order: own, lambda, folded, panel, sums, .. } = buffer;
        let order = self.order(m, own);
        let kept = lanes.kept::<T>();
        if self.spin == 0 {
            order.fold(simd, (coef, lanes.row), kept, folded);
        } else {
            let lambda = &mut lambda[BEFORE * kept..][..(self.modes.lmax() + 3 - m) * kept];
            order.spread(simd, (coef, twin), (lanes.padded, kept), lambda);
            order.fold(simd, (lambda, kept), kept, folded);
        }
        for (at, block) in self.blocks.iter().enumerate().filter(|(_, block)| m < block.m_end) {
            let sums = &mut sums[..2 * WIDE * kept];
            sums.fill(T::zero());
            let mut climb = self.start(m, at);
            for range in panels(order.len(), CHUNK) {
                let end = range.end;
                if fused::serves::<S>()
                    && self.walks(2 * kept, [&climb])
                    && let Some(folded) = T::doubles(&folded[range.start * 2 * kept..])
                    && let Some(sums) = T::doubles_mut(sums)
                {
                    let steps = (&mut climb, &block.belt, &order.climb[range]);
                    match kept {
                        2 => fused::synthesis::<S, 4>(simd, steps, folded, sums),
                        _ => fused::synthesis::<S, 8>(simd, steps, folded, sums),
                    }
                    continue;
                }
                let table = self.panel(order, (m, at), range, &mut climb, panel);
                let folded = &folded[(end - table.len() / WIDE) * 2 * kept..end * 2 * kept];
                if lanes.by_rings::<T>() {
                    T::rings_synthesis(simd, table, folded, 2 * kept, sums);
                } else {
                    T::lanes_synthesis(simd, table, folded, kept, sums);
                }
            }
            let rows = &mut rows[block.first * lanes.pair()..][..block.pairs * lanes.pair()];
            if lanes.by_rings::<T>() {
                block.rows_from_rings(lanes, sums, rows);
            } else {
                block.rows_from_lanes(simd, lanes, sums, rows);
            }
        }
    }

    /// The transpose of [`Shared::forward`]: `pair(i)` gives the modes of ring pair i.
    ///
    /// Overwrites `coef` for spin 0 with `weight` times the sums; adds to `coef` and
    /// `twin` for spin 2.
    #[inline(always)]
    pub(crate) fn adjoint<'r, S: Simd>(
        &self,
        simd: S,
        (lanes, m): (Lanes, usize),
        pair: impl Fn(usize) -> &'r [T],
        (coef, twin, weight): (&mut [T], &mut [T], T),
        buffer: &mut SharedBuffer<T>,
    ) where
        T: 'r,
    {
        let SharedBuffer { order: own, lambda, folded, vectors, panel, sums, climbs } = buffer;
        let order = self.order(m, own);
        let (kept, by_rings) = (lanes.kept::<T>(), lanes.by_rings::<T>());
        let folded = &mut folded[..order.len() * 2 * kept];
        let blocks = || self.blocks.iter().enumerate().filter(|(_, block)| m < block.m_end);
        let own = |at: usize| at * 2 * WIDE * kept..(at + 1) * 2 * WIDE * kept;
        climbs.clear();
        climbs.extend((0..self.blocks.len()).map(|at| self.start(m, at)));
        for (at, block) in blocks() {
            if by_rings || block.pairs < WIDE {
                sums[own(at)].fill(T::zero());
            }
            if by_rings {
                block.rings_from_rows(lanes, &pair, &mut sums[own(at)]);
            } else {
                block.lanes_from_rows(simd, lanes, &pair, &mut sums[own(at)]);
            }
        }
        // Panels outside, blocks inside: what is added to stays in the first cache.
        folded.fill(T::zero());
        for range in panels(order.len(), ADJOINT_CHUNK) {
            let values = range.start * 2 * kept..range.end * 2 * kept;
            let folded = &mut folded[values];
            if by_rings {
                vectors.fill(T::zero());
                let mut some = blocks().map(|(at, _)| at);
                while let Some(at) = some.next() {
                    let places = (at, some.next());
                    let panels = (order, m, range.clone(), 2 * kept);
                    self.two_blocks(simd, panels, places, climbs, panel, (vectors, sums));
                }
                T::line_sums(simd, vectors, folded);
                continue;
            }
            for (at, _) in blocks() {
                let table = self.panel(order, (m, at), range.clone(), &mut climbs[at], panel);
                let skipped = (range.len() - table.len() / WIDE) * 2 * kept;
                T::lanes_adjoint(simd, table, &mut folded[skipped..], kept, &sums[own(at)]);
            }
        }
        let folded = (&folded[..], weight);
        if self.spin == 0 {
            order.unfold(simd, folded, kept, (coef, lanes.row));
        } else {
            let rows = (BEFORE + self.modes.lmax() + 3 - m) * kept;
            order.unfold(simd, folded, kept, (&mut lambda[BEFORE * kept..rows], kept));
            order.gather(simd, &lambda[..rows], (lanes.padded, kept), (coef, twin));
        }
    }

    /// Rings as lanes: what one panel of two blocks adds, while `vectors` is in registers
    /// for both.
    #[inline(always)]
    fn two_blocks<S: Simd>(
        &self,
        simd: S,
        (order, m, range, rows): (&Order<T>, usize, Range<usize>, usize),
        (first, second): (usize, Option<usize>),
        climbs: &mut [Climb],
        room: &mut [T],
        (vectors, sums): (&mut [T], &[T]),
    ) {
        let own = |at: usize| &sums[at * WIDE * rows..][..WIDE * rows];
        let vectors = &mut vectors[..range.len() * rows * T::PAD];
        if fused::serves::<S>()
            && let Some(second) = second
            && self.walks(rows, [&climbs[first], &climbs[second]])
            && let Some(vectors) = T::doubles_mut(vectors)
            && let [Some(one), Some(two)] = [T::doubles(own(first)), T::doubles(own(second))]
        {
            let (low, high) = climbs.split_at_mut(second);
            let belts = [&self.blocks[first].belt, &self.blocks[second].belt];
            let (climbs, steps) = ([&mut low[first], &mut high[0]], &order.climb[range]);
            if rows == 4 {
                fused::adjoint::<S, 4, 2>(simd, (climbs, belts, steps), vectors, [one, two]);
                return;
            }
            for ((climb, belt), sums) in climbs.into_iter().zip(belts).zip([one, two]) {
                fused::adjoint::<S, 8, 1>(simd, ([climb], [belt], steps), vectors, [sums]);
            }
            return;
        }
        let (room, other) = room.split_at_mut(CHUNK * WIDE);
        let table = self.panel(order, (m, first), range.clone(), &mut climbs[first], room);
        let Some(second) = second else {
            let skipped = (range.len() - table.len() / WIDE) * rows * T::PAD;
            T::rings_adjoint(simd, [table], &mut vectors[skipped..], rows, [own(first)]);
            return;
        };
        let next = self.panel(order, (m, second), range.clone(), &mut climbs[second], other);
        // Rows end together; what one has more of comes first.
        let both = table.len().min(next.len());
        let (longer, place) = if table.len() > both { (table, first) } else { (next, second) };
        let (alone, at) = (longer.len() - both, range.len() - longer.len() / WIDE);
        let (one, two) = vectors[at * rows * T::PAD..].split_at_mut(alone / WIDE * rows * T::PAD);
        T::rings_adjoint(simd, [&longer[..alone]], one, rows, [own(place)]);
        let tables = [&table[table.len() - both..], &next[next.len() - both..]];
        T::rings_adjoint(simd, tables, two, rows, [own(first), own(second)]);
    }

    /// Whether sums may be added up while these climb: nothing is kept, and all count.
    #[inline(always)]
    fn walks<const N: usize>(&self, rows: usize, climbs: [&Climb; N]) -> bool {
        self.columns.is_none()
            && matches!(rows, 4 | 8)
            && climbs.iter().all(|climb| climb.state() == State::All)
    }

    /// What is stored of an order, or `own` filled.
    #[inline(always)]
    fn order<'o>(&'o self, m: usize, own: &'o mut Order<T>) -> &'o Order<T> {
        match &self.columns {
            Some(columns) => &columns[m].order,
            None => {
                own.fill(m, &self.degrees);
                own
            }
        }
    }
}

impl<T: Sample> Block<T> {
    /// From sums `[class][ring][lane]`.
    #[inline(always)]
    fn rows_from_lanes<S: Simd>(&self, simd: S, lanes: Lanes, sums: &[T], rows: &mut [T]) {
        let (even, odd) = sums.split_at(WIDE * lanes.padded);
        let sums = even.chunks_exact(lanes.padded).zip(odd.chunks_exact(lanes.padded));
        for (i, (pair, (even, odd))) in rows.chunks_exact_mut(lanes.pair()).zip(sums).enumerate() {
            let (p, m) = (self.factors[0][i], self.factors[1][i]);
            let (north, south) = pair.split_at_mut(lanes.row);
            T::mix(simd, [north, south], [even, odd], [[p, m], [p, -m]]);
        }
    }

    /// The transpose of [`Block::rows_from_lanes`].
    #[inline(always)]
    fn lanes_from_rows<'r, S: Simd>(
        &self,
        simd: S,
        lanes: Lanes,
        pair: &impl Fn(usize) -> &'r [T],
        sums: &mut [T],
    ) where
        T: 'r,
    {
        let (even, odd) = sums.split_at_mut(WIDE * lanes.padded);
        let sums = even.chunks_exact_mut(lanes.padded).zip(odd.chunks_exact_mut(lanes.padded));
        for (i, (even, odd)) in sums.take(self.pairs).enumerate() {
            let (p, m) = (self.factors[0][i], self.factors[1][i]);
            let (north, south) = pair(self.first + i).split_at(lanes.row);
            let sums = [&mut even[..lanes.row], &mut odd[..lanes.row]];
            T::mix(simd, sums, [north, south], [[p, p], [m, -m]]);
        }
    }

    /// From sums `[class][lane][ring]`.
    #[inline(always)]
    fn rows_from_rings(&self, lanes: Lanes, sums: &mut [T], rows: &mut [T]) {
        let (even, odd) = sums.split_at_mut(WIDE * lanes.row);
        let pairs = even.chunks_exact_mut(WIDE).zip(odd.chunks_exact_mut(WIDE));
        for (even, odd) in pairs {
            for i in 0..WIDE {
                let m = self.factors[1][i] * odd[i];
                odd[i] = self.factors[0][i].fused(even[i], -m);
                even[i] = self.factors[0][i].fused(even[i], m);
            }
        }
        let sums = even.chunks_exact(WIDE).zip(odd.chunks_exact(WIDE));
        for (lane, (even, odd)) in sums.enumerate() {
            let pairs = rows.chunks_exact_mut(lanes.pair());
            for (pair, (&even, &odd)) in pairs.zip(even.iter().zip(odd)) {
                (pair[lane], pair[lanes.row + lane]) = (even, odd);
            }
        }
    }

    /// The transpose of [`Block::rows_from_rings`].
    #[inline(always)]
    fn rings_from_rows<'r>(&self, lanes: Lanes, pair: &impl Fn(usize) -> &'r [T], sums: &mut [T])
    where
        T: 'r,
    {
        let (even, odd) = sums.split_at_mut(WIDE * lanes.row);
        for i in 0..self.pairs {
            let (p, m) = (self.factors[0][i], self.factors[1][i]);
            let (north, south) = pair(self.first + i).split_at(lanes.row);
            let sums = even.chunks_exact_mut(WIDE).zip(odd.chunks_exact_mut(WIDE));
            for ((even, odd), (&north, &south)) in sums.zip(north.iter().zip(south)) {
                (even[i], odd[i]) = (p * (north + south), m * (north - south));
            }
        }
    }
}

/// 0..len in pieces of at most `chunk`.
#[inline(always)]
fn panels(len: usize, chunk: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(chunk).map(move |at| at..len.min(at + chunk))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulp::Scalar;

    /// Σ_m |ₛY_ℓm(θ)|² = (2ℓ+1)/4π at the largest size planned, where these sums serve.
    #[test]
    fn addition_theorem_holds_at_high_degree() {
        let lmax = 3071;
        let modes = Modes::new(lmax, lmax);
        for (spin, lowest) in [(0, 1e-3_f64), (2, 0.1)] {
            // sin θ from `lowest` to the equator.
            let sines = (0..WIDE).map(|i| lowest.powf(1.0 - i as f64 / (WIDE - 1) as f64));
            let pairs: Vec<_> =
                sines.map(|sin| (sin * sin / (1.0 + (1.0 - sin * sin).sqrt()), sin)).collect();
            let shared = Shared::<f64>::new(modes, spin, &pairs, 0);
            let (mut sums, mut largest) = ([0.0; WIDE], [0.0_f64; WIDE]);
            let mut order = Order::default();
            let mut room = vec![0.0; CHUNK * WIDE];
            for m in 0..=lmax {
                order.fill(m, &shared.degrees);
                // E of the last degree alone, and its twin −iE.
                let (mut coef, mut twin) = (vec![0.0; (lmax + 7) * 2], vec![0.0; (lmax + 7) * 2]);
                let last = 2 * (lmax - m + if spin == 2 { BEFORE } else { 0 });
                (coef[last], twin[last + 1]) = (1.0, -1.0);
                let mut lambda = vec![0.0; (lmax + spin + 1 - m) * 2];
                let mut folded = vec![0.0; order.len() * 4];
                if spin == 2 {
                    order.spread(Scalar::new(), (&coef, &twin), (2, 2), &mut lambda);
                } else {
                    let len = lambda.len();
                    lambda.copy_from_slice(&coef[..len]);
                }
                order.fold(Scalar::new(), (&lambda, 2), 2, &mut folded);
                let (mut climb, mut values) = (shared.start(m, 0), [[0.0; 2]; WIDE]);
                for range in panels(order.len(), CHUNK) {
                    let end = range.end;
                    let table = shared.panel(&order, (m, 0), range, &mut climb, &mut room);
                    let folded = &folded[(end - table.len() / WIDE) * 4..];
                    for (us, folded) in table.chunks_exact(WIDE).zip(folded.chunks_exact(4)) {
                        for (i, u) in us.iter().enumerate() {
                            let [p, q] = shared.blocks[0].factors.map(|factors| factors[i]);
                            values[i][0] += u * (p * folded[0] + q * folded[2]);
                            values[i][1] += u * (p * folded[1] + q * folded[3]);
                        }
                    }
                }
                let count = if m == 0 { 1.0 } else { 2.0 };
                for (i, [w, x]) in values.into_iter().enumerate() {
                    let term = count * (w * w + x * x);
                    (sums[i], largest[i]) = (sums[i] + term, largest[i].max(term));
                }
            }
            let expected = (2 * lmax + 1) as f64 / (4.0 * std::f64::consts::PI);
            for (sum, largest) in sums.into_iter().zip(largest) {
                let error = (sum / expected - 1.0).abs();
                assert!(error < 1e-10, "spin {spin}: {error:e}");
                // Must fail: one value off by 1e-4 of itself.
                assert!(((sum + 2e-4 * largest) / expected - 1.0).abs() > 1e-10);
            }
        }
    }
}
