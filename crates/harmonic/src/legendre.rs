//! Sums over degrees at fixed order: coefficients to ring Fourier modes, and back.
//!
//! A northern ring and its mirror share λ up to sign, so sums run over ring pairs:
//! with the class (ℓ + m + s) mod 2, P = Σ_even W a + Σ_odd X a′ and
//! M = Σ_odd W a + Σ_even X a′ give north = P + M and south = P − M, where
//! a′ = (iB, −iE) is the twin of a = (E, B).

use crate::Modes;
use crate::order::{AFTER, BEFORE};
use crate::recurrence::{Colatitudes, Ladder, RINGS, Steps};
use crate::sample::{Kernels, Panel, Sample};
use crate::shared::{Shared, SharedBuffer};
use pulp::{Simd, WithSimd};
use skyscat_num::Aligned;

/// Spin-2 rings with a smaller sin θ are summed directly.
const POLAR: f64 = 0.1;

/// Spin-2 functions of all rings are kept and summed as they are up to this size, bytes:
/// while a core's own cache holds them, that costs less than the way by sin²θ (Q, U).
const DIRECT_BYTES: usize = 1 << 20;

/// Degrees per panel: a panel and its coefficient rows stay near the core.
const CHUNK: usize = 64;

/// Where the numbers of one batch lie: coefficients and modes of rings are
/// `[component][re, im][map]`, pixels `[component][map]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lanes {
    /// Maps in the batch.
    pub(crate) batch: usize,
    /// 1 for spin 0, else 2.
    pub(crate) components: usize,
    /// Numbers of a coefficient or a mode, components × (re, im) × batch.
    pub(crate) row: usize,
    /// The same, padded to whole registers.
    pub(crate) padded: usize,
    /// Numbers of a pixel, components × batch.
    pub(crate) signals: usize,
}

impl Lanes {
    pub(crate) fn new<T: Kernels>(components: usize, batch: usize) -> Self {
        let signals = components * batch;
        let padded = (2 * signals).next_multiple_of(T::PAD);
        Self { batch, components, row: 2 * signals, padded, signals }
    }

    /// The first map of a part (re or im) of a component in a row.
    #[inline(always)]
    pub(crate) fn lane(&self, component: usize, part: usize) -> usize {
        (2 * component + part) * self.batch
    }

    /// Numbers of one ring pair at one order: (north, south) × row.
    pub(crate) fn pair(&self) -> usize {
        2 * self.row
    }

    /// Whether a row is so short that registers hold rings instead of lanes.
    pub(crate) fn by_rings<T: Kernels>(&self) -> bool {
        self.row < T::PAD
    }

    /// Numbers in a row of folded coefficients.
    pub(crate) fn kept<T: Kernels>(&self) -> usize {
        if self.by_rings::<T>() { self.row } else { self.padded }
    }
}

/// Stored λ of one order.
#[derive(Debug)]
struct Column<T> {
    values: Vec<T>,
    /// For each block of rings: first degree index that counts, offset of its row.
    blocks: Vec<(usize, usize)>,
}

/// Everything the sums over degrees need.
#[derive(Debug)]
pub(crate) struct Legendre<T> {
    modes: Modes,
    spin: usize,
    pairs: usize,
    blocks: Vec<Colatitudes>,
    m_end: Vec<usize>,
    columns: Option<Vec<Column<T>>>,
    /// The ring pairs beyond `pairs`, if not all are here.
    shared: Option<Shared<T>>,
    arch: pulp::Arch,
}

/// Working memory of one thread.
#[derive(Debug)]
pub(crate) struct DegreeBuffer<T> {
    steps: Steps,
    coef: Aligned<T>,
    twin: Aligned<T>,
    panel: Aligned<T>,
    sums: Aligned<T>,
    shared: Option<SharedBuffer<T>>,
}

impl<T: Sample> DegreeBuffer<T> {
    pub(crate) fn new(legendre: &Legendre<T>, lanes: Lanes) -> Self {
        let modes = legendre.modes;
        // Spin 0 works on the caller's coefficients, where it has no blocks of its own.
        let rows =
            if legendre.spin > 0 { (BEFORE + modes.lmax() + 1 + AFTER) * lanes.padded } else { 0 };
        let shared = legendre.shared.as_ref().map(|shared| SharedBuffer::new(shared, lanes));
        Self {
            steps: Steps::new(legendre.spin, modes.lmax()),
            coef: Aligned::zeros(rows),
            twin: Aligned::zeros(rows),
            panel: Aligned::zeros(CHUNK * 2 * RINGS),
            sums: Aligned::zeros(2 * RINGS * lanes.padded),
            shared,
        }
    }
}

impl<T: Sample> Legendre<T> {
    /// `pairs` gives (1 − cos θ, sin θ) of the northern rings and the equator; `tables`
    /// says that functions may be kept.
    pub(crate) fn new(modes: Modes, spin: usize, pairs: &[(f64, f64)], tables: bool) -> Self {
        let bytes = 2 * size_of::<T>() * modes.len() * pairs.len();
        let first = match spin {
            0 => 0,
            2 if tables && bytes <= DIRECT_BYTES => pairs.len(),
            2 => pairs.partition_point(|&(_, sin)| sin < POLAR).next_multiple_of(RINGS),
            _ => pairs.len(),
        }
        .min(pairs.len());
        let shared = (first < pairs.len()).then(|| Shared::new(modes, spin, pairs, first));
        let pairs = &pairs[..first];
        let blocks: Vec<_> = pairs
            .chunks(RINGS)
            .map(|chunk| {
                let mut block = Colatitudes { below_one: [1.0; RINGS], sin: [1.0; RINGS] };
                for (i, &(below_one, sin)) in chunk.iter().enumerate() {
                    (block.below_one[i], block.sin[i]) = (below_one, sin);
                }
                block
            })
            .collect();
        let m_end = pairs
            .chunks(RINGS)
            .map(|chunk| {
                let &(below_one, sin) = chunk.last().expect("chunks are not empty");
                order_limit(modes.lmax(), spin, 1.0 - below_one, sin).min(modes.mmax()) + 1
            })
            .collect();
        Self {
            modes,
            spin,
            pairs: pairs.len(),
            blocks,
            m_end,
            columns: None,
            shared,
            arch: pulp::Arch::new(),
        }
    }

    /// Bytes the tables would take.
    pub(crate) fn table_bytes(&self) -> usize {
        let degrees: usize = (0..=self.modes.mmax())
            .map(|m| {
                let blocks = self.m_end.iter().filter(|&&end| end > m).count();
                blocks * (self.modes.lmax() + 1).saturating_sub(m.max(self.spin))
            })
            .sum();
        let shared = self.shared.as_ref().map_or(0, Shared::table_bytes);
        degrees * self.height() * size_of::<T>() + shared
    }

    /// Computes and keeps all λ.
    pub(crate) fn tabulate(&mut self) {
        let mut steps = Steps::new(self.spin, self.modes.lmax());
        let columns = (0..=self.modes.mmax())
            .map(|m| {
                steps.fill(m);
                self.column(m, &steps)
            })
            .collect();
        self.columns = Some(columns);
        if let Some(shared) = &mut self.shared {
            shared.tabulate();
        }
    }

    fn column(&self, m: usize, steps: &Steps) -> Column<T> {
        let degrees = self.degrees(m);
        let mut values = Vec::new();
        let blocks = self
            .blocks
            .iter()
            .zip(&self.m_end)
            .map(|(block, &end)| {
                let offset = values.len();
                if m >= end || degrees == 0 {
                    return (degrees, offset);
                }
                let mut ladder = Ladder::start(steps, block);
                let mut first = 0;
                while first < degrees && !ladder.active() {
                    ladder.advance(steps, block);
                    first += 1;
                }
                for _ in first..degrees {
                    let rows = ladder.rows(self.spin);
                    let kept = &rows.as_flattened()[..self.height()];
                    values.extend(kept.iter().map(|&v| T::narrow(v)));
                    ladder.advance(steps, block);
                }
                (first, offset)
            })
            .collect();
        Column { values, blocks }
    }

    /// First order that each ring pair does not need.
    pub(crate) fn m_ends(&self) -> Vec<usize> {
        let own = (0..self.pairs).map(|pair| self.m_end[pair / RINGS]);
        own.chain(self.shared.iter().flat_map(Shared::m_ends)).collect()
    }

    fn height(&self) -> usize {
        if self.spin > 0 { 2 * RINGS } else { RINGS }
    }

    fn degrees(&self, m: usize) -> usize {
        (self.modes.lmax() + 1).saturating_sub(m.max(self.spin))
    }

    /// Calls `work(panel, degree index)` for the panels of one order and block.
    #[inline(always)]
    fn each_panel(
        &self,
        (m, block): (usize, usize),
        lanes: usize,
        steps: &Steps,
        room: &mut [T],
        mut work: impl FnMut(Panel<'_, T>, usize),
    ) {
        let (degrees, height) = (self.degrees(m), self.height());
        let (spin, first_class) = (self.spin > 0, m.max(self.spin) + m + self.spin);
        if let Some(columns) = &self.columns {
            let (mut at, mut offset) = columns[m].blocks[block];
            while at < degrees {
                let count = CHUNK.min(degrees - at);
                let table = &columns[m].values[offset..][..count * height];
                work(
                    Panel { table, spin, parity: (first_class + at) % 2, lanes, fresh: false },
                    at,
                );
                (at, offset) = (at + count, offset + count * height);
            }
            return;
        }
        let colatitudes = &self.blocks[block];
        let mut ladder = Ladder::start(steps, colatitudes);
        let mut at = 0;
        while at < degrees && !ladder.active() {
            ladder.advance(steps, colatitudes);
            at += 1;
        }
        while at < degrees {
            let count = CHUNK.min(degrees - at);
            for row in room.chunks_exact_mut(height).take(count) {
                let values = ladder.rows(self.spin);
                for (kept, values) in row.chunks_exact_mut(RINGS).zip(&values) {
                    for i in 0..RINGS {
                        kept[i] = T::narrow(values[i]);
                    }
                }
                ladder.advance(steps, colatitudes);
            }
            let table = &room[..count * height];
            work(Panel { table, spin, parity: (first_class + at) % 2, lanes, fresh: false }, at);
            at += count;
        }
    }
}

/// Largest order with a value above rounding at this colatitude.
///
/// m² − 2ms|cos θ| + s² = (lmax sin θ + max(100, 0.01 lmax))².
pub(crate) fn order_limit(lmax: usize, spin: usize, cos: f64, sin: f64) -> usize {
    let (l, s) = (lmax as f64, spin as f64);
    let reach = l * sin + (0.01 * l).max(100.0);
    (s * cos + (reach * reach - s * s * sin * sin).sqrt()).ceil() as usize
}

/// Coefficients of one order → Fourier modes of all ring pairs.
pub struct Forward<'a, T> {
    pub(crate) legendre: &'a Legendre<T>,
    pub(crate) lanes: Lanes,
    pub(crate) m: usize,
    /// Coefficients ℓ = m..=lmax: `[ℓ][component][re, im][map]`.
    pub(crate) coefficients: &'a [T],
    /// `[pair][north, south][component][re, im][map]`.
    pub(crate) rows: &'a mut [T],
    pub(crate) buffer: &'a mut DegreeBuffer<T>,
}

impl<T: Sample> WithSimd for Forward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { legendre, lanes, m, coefficients, rows, buffer } = self;
        let DegreeBuffer { steps, coef, twin, panel: room, sums, shared } = buffer;
        if legendre.spin == 0 {
            if let (Some(own), Some(buffer)) = (&legendre.shared, shared) {
                own.forward(simd, (lanes, m), (coefficients, &[]), rows, buffer);
            }
            return;
        }
        if legendre.columns.is_none() && legendre.m_end.iter().any(|&end| m < end) {
            steps.fill(m);
        }
        // Whole registers of blocks here are read where the caller has them.
        let copied = legendre.shared.is_some() || lanes.row < lanes.padded;
        turned_rows(simd, (legendre, lanes, m), coefficients, (copied.then_some(&mut *coef), twin));
        if let (Some(own), Some(buffer)) = (&legendre.shared, shared) {
            own.forward(simd, (lanes, m), (coef, twin), rows, buffer);
        }
        let blank = m.max(legendre.spin) - m;
        let (coef, first): (&[T], _) =
            if copied { (coef, BEFORE + blank) } else { (coefficients, blank) };
        for block in 0..legendre.blocks.len() {
            if m >= legendre.m_end[block] {
                continue;
            }
            let mut fresh = true;
            legendre.each_panel((m, block), lanes.padded, steps, room, |panel, at| {
                let panel = Panel { fresh, ..panel };
                let coef = &coef[(first + at) * lanes.padded..];
                let twin = &twin[(BEFORE + blank + at) * lanes.padded..];
                T::synthesis(legendre.arch, panel, coef, twin, sums);
                fresh = false;
            });
            if fresh {
                sums.fill(T::zero());
            }
            let rows = &mut rows[block * RINGS * lanes.pair()..];
            rows_from_sums(simd, lanes, sums, rows);
        }
    }
}

/// Coefficient rows, where they are asked for, and their twins, (E, B) and (iB, −iE),
/// between rows of zeros.
#[inline(always)]
fn turned_rows<T: Sample, S: Simd>(
    simd: S,
    (legendre, lanes, m): (&Legendre<T>, Lanes, usize),
    coefficients: &[T],
    (mut coef, twin): (Option<&mut [T]>, &mut [T]),
) {
    let (count, batch) = (legendre.modes.lmax() + 1 - m, lanes.batch);
    let blank = m.max(legendre.spin).min(legendre.modes.lmax() + 1) - m;
    let (start, end) = ((BEFORE + blank) * lanes.padded, (BEFORE + count) * lanes.padded);
    let blanks = [BEFORE * lanes.padded..start, end..end + AFTER * lanes.padded];
    for range in blanks {
        twin[range.clone()].fill(T::zero());
        if let Some(coef) = &mut coef {
            coef[range].fill(T::zero());
        }
    }
    let rows = || coefficients.chunks_exact(lanes.row).skip(blank);
    let one = T::one();
    for (twin, row) in twin[start..end].chunks_exact_mut(lanes.padded).zip(rows()) {
        if let &[e_re, e_im, b_re, b_im] = row {
            // Whole registers are read next: they are written whole.
            let zero = T::zero();
            twin[..8].copy_from_slice(&[-b_im, b_re, e_im, -e_re, zero, zero, zero, zero]);
            continue;
        }
        for (part, sign) in [-one, one, one, -one].into_iter().enumerate() {
            let source = &row[(3 - part) * batch..][..batch];
            T::combine(simd, &mut twin[part * batch..][..batch], [(sign, source)]);
        }
    }
    let Some(coef) = coef else { return };
    for (coef, row) in coef[start..end].chunks_exact_mut(lanes.padded).zip(rows()) {
        if let &[e_re, e_im, b_re, b_im] = row {
            let zero = T::zero();
            coef[..8].copy_from_slice(&[e_re, e_im, b_re, b_im, zero, zero, zero, zero]);
        } else {
            T::combine(simd, &mut coef[..lanes.row], [(one, row)]);
        }
    }
}

fn sum_and_difference<T: Sample>() -> [[T; 2]; 2] {
    [[T::one(), T::one()], [T::one(), -T::one()]]
}

/// North = P + M and south = P − M of the rings of a block.
#[inline(always)]
fn rows_from_sums<T: Sample, S: Simd>(simd: S, lanes: Lanes, sums: &[T], rows: &mut [T]) {
    let (plus, minus) = sums.split_at(RINGS * lanes.padded);
    let sums = plus.chunks_exact(lanes.padded).zip(minus.chunks_exact(lanes.padded));
    for (pair, (plus, minus)) in rows.chunks_exact_mut(lanes.pair()).zip(sums) {
        let (north, south) = pair.split_at_mut(lanes.row);
        T::mix(simd, [north, south], [plus, minus], sum_and_difference());
    }
}

/// Fourier modes of all ring pairs → coefficients of one order.
pub struct Adjoint<'a, T> {
    pub(crate) legendre: &'a Legendre<T>,
    pub(crate) lanes: Lanes,
    pub(crate) m: usize,
    /// All rows, `[pair][m][north, south][component][re, im][map]`.
    pub(crate) rows: &'a [T],
    /// Numbers from one pair to the next.
    pub(crate) stride: usize,
    /// Multiplies the result.
    pub(crate) weight: T,
    /// Coefficients ℓ = m..=lmax: `[ℓ][component][re, im][map]`.
    pub(crate) coefficients: &'a mut [T],
    pub(crate) buffer: &'a mut DegreeBuffer<T>,
}

impl<T: Sample> WithSimd for Adjoint<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { legendre, lanes, m, rows, stride, weight, coefficients, buffer } = self;
        let DegreeBuffer { steps, coef, twin, panel: room, sums, shared } = buffer;
        let pair = |pair: usize| &rows[pair * stride + m * lanes.pair()..][..lanes.pair()];
        if legendre.spin == 0 {
            if let (Some(own), Some(buffer)) = (&legendre.shared, shared) {
                own.adjoint(simd, (lanes, m), pair, (coefficients, &mut [], weight), buffer);
            }
            return;
        }
        if legendre.columns.is_none() && legendre.m_end.iter().any(|&end| m < end) {
            steps.fill(m);
        }
        let end = (BEFORE + legendre.modes.lmax() + 1 - m) * lanes.padded;
        coef[BEFORE * lanes.padded..end].fill(T::zero());
        twin[BEFORE * lanes.padded..end].fill(T::zero());
        let first = BEFORE + m.max(legendre.spin) - m;
        for block in 0..legendre.blocks.len() {
            if m >= legendre.m_end[block] {
                continue;
            }
            let inside = block * RINGS..legendre.pairs.min((block + 1) * RINGS);
            if inside.len() < RINGS {
                sums.fill(T::zero());
            }
            sums_from_rows(simd, lanes, inside.map(pair), sums);
            legendre.each_panel((m, block), lanes.padded, steps, room, |panel, at| {
                let from = (first + at) * lanes.padded;
                T::adjoint(legendre.arch, panel, sums, &mut coef[from..], &mut twin[from..]);
            });
        }
        if let (Some(own), Some(buffer)) = (&legendre.shared, shared) {
            own.adjoint(simd, (lanes, m), pair, (coef, twin, T::one()), buffer);
        }
        let kept = BEFORE * lanes.padded..end;
        turn_back(simd, lanes, (&coef[kept.clone()], &twin[kept]), weight, coefficients);
    }
}

/// P = north + south and M = north − south of the rings of a block.
#[inline(always)]
fn sums_from_rows<'r, T: Sample, S: Simd>(
    simd: S,
    lanes: Lanes,
    pairs: impl Iterator<Item = &'r [T]>,
    sums: &mut [T],
) {
    let (plus, minus) = sums.split_at_mut(RINGS * lanes.padded);
    let sums = plus.chunks_exact_mut(lanes.padded).zip(minus.chunks_exact_mut(lanes.padded));
    for (pair, (plus, minus)) in pairs.zip(sums) {
        let (north, south) = pair.split_at(lanes.row);
        let sums = [&mut plus[..lanes.row], &mut minus[..lanes.row]];
        T::mix(simd, sums, [north, south], sum_and_difference());
    }
}

/// `weight` times what comes back to (E, B) from rows and their twins (iB, −iE).
#[inline(always)]
fn turn_back<T: Sample, S: Simd>(
    simd: S,
    lanes: Lanes,
    (coef, twin): (&[T], &[T]),
    weight: T,
    out: &mut [T],
) {
    let batch = lanes.batch;
    let rows = coef.chunks_exact(lanes.padded).zip(twin.chunks_exact(lanes.padded));
    for (out, (coef, twin)) in out.chunks_exact_mut(lanes.row).zip(rows) {
        if let (&[a, b, c, d, ..], &[p, q, r, s, ..], 1) = (coef, twin, batch) {
            out.copy_from_slice(&[a - s, b + r, c + q, d - p].map(|value| weight * value));
            continue;
        }
        for (part, sign) in [-weight, weight, weight, -weight].into_iter().enumerate() {
            let turned = (sign, &twin[(3 - part) * batch..][..batch]);
            let out = &mut out[part * batch..][..batch];
            T::combine(simd, out, [(weight, &coef[part * batch..][..batch]), turned]);
        }
    }
}
