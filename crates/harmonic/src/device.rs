//! Tables of a transform for a GPU: seeds and steps of λ on the northern rings, angles,
//! rings.

use crate::Modes;
use crate::recurrence::{Colatitudes, Eight, Ladder, RINGS, Steps};
use skyscat_healpix::{Nside, rings};
use skyscat_num::Real;
use std::collections::BTreeMap;
use std::ops::Range;

/// What `analysis.wgsl` and `legendre.wgsl` read.
#[derive(Debug)]
pub(crate) struct DeviceTables<T> {
    /// `[ring][first pixel, pixels, shifted, first of trig]`.
    pub(crate) rings: Vec<u32>,
    /// `[mode][ℓ, m]`.
    pub(crate) modes: Vec<u32>,
    /// Ring of each pixel.
    pub(crate) homes: Vec<u32>,
    /// `[cos, sin]` of 2πj/2n for each number n of pixels.
    pub(crate) trig: Vec<T>,
    /// 1 − cos θ of the northern rings.
    pub(crate) heights: Vec<T>,
    /// All orders, some at a time.
    pub(crate) slabs: Vec<Slab<T>>,
}

impl<T: Real> DeviceTables<T> {
    pub(crate) fn new(nside: Nside, modes: Modes, spin: usize) -> Self {
        let mut starts = BTreeMap::new();
        let (mut list, mut homes, mut trig) = (Vec::new(), Vec::new(), Vec::new());
        for (at, ring) in rings(nside).enumerate() {
            let start = *starts.entry(ring.n_phi).or_insert_with(|| {
                let start = trig.len();
                let angle = |j: usize| std::f64::consts::PI * j as f64 / ring.n_phi as f64;
                let angles = (0..2 * ring.n_phi).map(angle);
                trig.extend(angles.flat_map(|a| [a.cos(), a.sin()].map(T::from_f64)));
                start
            });
            let shifted = usize::from(ring.phi0_rad != 0.0);
            list.extend([ring.first, ring.n_phi, shifted, start].map(|n| n as u32));
            homes.extend(std::iter::repeat_n(at as u32, ring.n_phi));
        }
        Self {
            rings: list,
            modes: modes.iter().flat_map(|(_, l, m)| [l as u32, m as u32]).collect(),
            homes,
            trig,
            heights: heights(nside)
                .into_iter()
                .map(|(below_one, _)| T::from_f64(below_one))
                .collect(),
            slabs: slabs(nside, modes, spin, SLAB_BYTES),
        }
    }
}

/// Bytes of the λ that stand on a device at once.
const SLAB_BYTES: usize = 64 << 20;

/// Degrees between seeds. Each step adds a few roundings of what λ is there: 16 of them
/// keep λ to 10⁻⁶ of its size, and seeds take an eighth of what λ would.
const BLOCK: usize = 16;

/// Some orders, whose λ stand on the device together.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    /// First order and the one after the last.
    pub(crate) orders: Range<usize>,
    /// First mode and the one after the last.
    pub(crate) modes: Range<usize>,
    /// `[block][first degree, last degree + 1, order, first mode of the order]`, modes
    /// counted from those of the slab.
    pub(crate) blocks: Vec<u32>,
    /// `[mode of the slab][κ at the pole of λ⁺, of λ⁻, α, γ]`.
    pub(crate) steps: Vec<T>,
    /// `[block][northern ring][λ⁺, λ⁻, d⁺, d⁻]`.
    pub(crate) seeds: Vec<T>,
}

/// The orders in slabs of at most `bytes`, or of one order.
pub(crate) fn slabs<T: Real>(
    nside: Nside,
    modes: Modes,
    spin: usize,
    bytes: usize,
) -> Vec<Slab<T>> {
    let heights = heights(nside);
    let most = bytes / (8 * heights.len());
    let first_mode = |m: usize| if m > modes.mmax() { modes.len() } else { modes.index(m, m) };
    let mut slabs = Vec::new();
    let mut start = 0;
    while start <= modes.mmax() {
        let fits = |end: &usize| first_mode(*end) - first_mode(start) <= most;
        let end = (start + 1..=modes.mmax() + 1).take_while(fits).last().unwrap_or(start + 1);
        let mut steps = Steps::new(spin, modes.lmax());
        let mut slab = Slab {
            orders: start..end,
            modes: first_mode(start)..first_mode(end),
            blocks: Vec::new(),
            steps: Vec::new(),
            seeds: Vec::new(),
        };
        for m in slab.orders.clone() {
            slab.add(m, (spin, &mut steps), modes, &heights);
        }
        slabs.push(slab);
        start = end;
    }
    slabs
}

/// 1 − cos θ and sin θ of the northern rings and the equator.
pub(crate) fn heights(nside: Nside) -> Vec<(f64, f64)> {
    let north = rings(nside).take(2 * nside.get());
    let below_one = |sin: f64, cos: f64| sin * sin / (1.0 + cos);
    north.map(|ring| (below_one(ring.sin_theta, ring.cos_theta), ring.sin_theta)).collect()
}

impl<T: Real> Slab<T> {
    /// Adds the blocks, steps and seeds of an order.
    fn add(
        &mut self,
        m: usize,
        (spin, steps): (usize, &mut Steps),
        modes: Modes,
        heights: &[(f64, f64)],
    ) {
        let (lmax, lowest) = (modes.lmax(), m.max(spin).min(modes.lmax() + 1));
        let mut starts: Vec<usize> = (lowest..=lmax).step_by(BLOCK).collect();
        // Below the spin there is nothing: seeds of zero.
        let empty = lowest - m;
        if empty > 0 {
            starts.insert(0, m);
        }
        let column = modes.index(m, m) - self.modes.start;
        let ends = starts[1..].iter().copied().chain([lmax + 1]);
        for (&start, end) in starts.iter().zip(ends) {
            self.blocks.extend([start, end, m, column].map(|n| n as u32));
        }
        steps.fill(m);
        self.steps.extend(std::iter::repeat_n(T::default(), 4 * empty));
        self.steps.extend(steps.rows.iter().flat_map(|&[sum, difference, alpha, gamma]| {
            [sum - 1.0 - gamma, difference - 1.0 - gamma, alpha, gamma].map(T::from_f64)
        }));
        let first = self.seeds.len();
        self.seeds.resize(first + 4 * heights.len() * starts.len(), T::default());
        let seeds = &mut self.seeds[first..][4 * heights.len() * usize::from(empty > 0)..];
        for (at, rings) in heights.chunks(RINGS).enumerate() {
            let mut colatitudes = Colatitudes { below_one: [1.0; RINGS], sin: [1.0; RINGS] };
            for (i, &(below_one, sin)) in rings.iter().enumerate() {
                (colatitudes.below_one[i], colatitudes.sin[i]) = (below_one, sin);
            }
            let mut ladder = Ladder::start(steps, &colatitudes);
            let mut before = [[0.0; RINGS]; 2];
            for l in lowest..=lmax {
                let now = both(ladder.rows(spin), spin);
                if l == lowest {
                    // γ is 0 there: nothing is taken from below.
                    before = now;
                }
                if (l - lowest).is_multiple_of(BLOCK) {
                    let first = (l - lowest) / BLOCK * heights.len() + at * RINGS;
                    for (i, seed) in
                        seeds[4 * first..].chunks_exact_mut(4).take(rings.len()).enumerate()
                    {
                        let ([p, q], [r, s]) = (now.map(|n| n[i]), before.map(|b| b[i]));
                        seed.copy_from_slice(&[p, q, p - r, q - s].map(T::from_f64));
                    }
                }
                before = now;
                ladder.advance(steps, &colatitudes);
            }
        }
    }
}

/// λ⁺ and λ⁻ from W and X, which are their sum and difference; λ alone for spin 0.
fn both([w, x]: [Eight; 2], spin: usize) -> [Eight; 2] {
    match spin {
        0 => [w, x],
        _ => [1.0, -1.0].map(|sign| std::array::from_fn(|i| 0.5 * (w[i] + sign * x[i]))),
    }
}
