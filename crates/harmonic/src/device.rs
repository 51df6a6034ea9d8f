//! Tables of a transform for a GPU: λ of every mode and northern ring, angles, rings.

use crate::Modes;
use crate::recurrence::{Colatitudes, Ladder, RINGS, Steps};
use skyscat_healpix::{Nside, rings};
use std::collections::BTreeMap;

/// What `analysis.wgsl` reads.
#[derive(Debug)]
pub(crate) struct DeviceTables {
    /// `[ring][first pixel, pixels, shifted, first of trig]`.
    pub(crate) rings: Vec<u32>,
    /// `[mode][ℓ, m]`.
    pub(crate) modes: Vec<u32>,
    /// Ring of each pixel.
    pub(crate) homes: Vec<u32>,
    /// `[cos, sin]` of 2πj/2n for each number n of pixels.
    pub(crate) trig: Vec<f32>,
    /// `[mode][northern ring][W, X]`.
    pub(crate) legendre: Vec<f32>,
}

impl DeviceTables {
    pub(crate) fn new(nside: Nside, modes: Modes, spin: usize) -> Self {
        let mut starts = BTreeMap::new();
        let (mut list, mut homes, mut trig) = (Vec::new(), Vec::new(), Vec::new());
        for (at, ring) in rings(nside).enumerate() {
            let start = *starts.entry(ring.n_phi).or_insert_with(|| {
                let start = trig.len();
                let angle = |j: usize| std::f64::consts::PI * j as f64 / ring.n_phi as f64;
                let angles = (0..2 * ring.n_phi).map(angle);
                trig.extend(angles.flat_map(|a| [a.cos() as f32, a.sin() as f32]));
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
            legendre: legendre(nside, modes, spin),
        }
    }
}

/// λ in f64, rounded once; 0 below the spin.
fn legendre(nside: Nside, modes: Modes, spin: usize) -> Vec<f32> {
    let north = 2 * nside.get();
    let heights: Vec<(f64, f64)> = rings(nside)
        .take(north)
        .map(|ring| (ring.sin_theta * ring.sin_theta / (1.0 + ring.cos_theta), ring.sin_theta))
        .collect();
    let mut table = vec![0.0; 2 * modes.len() * north];
    let mut steps = Steps::with_capacity(modes.lmax());
    for m in 0..=modes.mmax() {
        steps.fill(m, spin, modes.lmax());
        for (block, heights) in heights.chunks(RINGS).enumerate() {
            let mut colatitudes = Colatitudes { below_one: [1.0; RINGS], sin: [1.0; RINGS] };
            for (i, &(below_one, sin)) in heights.iter().enumerate() {
                (colatitudes.below_one[i], colatitudes.sin[i]) = (below_one, sin);
            }
            let mut ladder = Ladder::start(&steps, &colatitudes);
            for l in m.max(spin)..=modes.lmax() {
                let [w, x] = ladder.rows(spin);
                let first = 2 * (modes.index(l, m) * north + block * RINGS);
                for i in 0..heights.len() {
                    table[first + 2 * i] = w[i] as f32;
                    table[first + 2 * i + 1] = x[i] as f32;
                }
                ladder.advance(&steps, &colatitudes);
            }
        }
    }
    table
}
