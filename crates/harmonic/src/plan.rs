//! Plans and scratch: everything computed once for a resolution, a band and a spin.

use crate::legendre::{DegreeBuffer, Lanes, Legendre};
use crate::ring::{Pair, RingBuffer, Rings};
use crate::sample::Sample;
use crate::{HarmonicError, Modes};
use skyscat_healpix::{Nside, rings};
use std::ops::Range;
use std::sync::Mutex;

/// How λ_ℓm(θ) reaches the sums over degrees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Engine {
    /// Tables when they fit in [`Config::TABLE_BYTES`], else recurrences.
    Auto,
    /// Tables computed once by the plan.
    Tables,
    /// Recurrences at every execution, shared by the whole batch.
    Recurrence,
}

/// Who does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Parallelism {
    /// The calling thread alone.
    Serial,
    /// The rayon pool of the calling thread; results are the same to the last bit.
    Rayon,
}

/// What a plan is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Resolution of the maps (RING ordering), at most [`Config::MAX_NSIDE`].
    pub nside: Nside,
    /// Largest degree.
    pub lmax: usize,
    /// Largest order.
    pub mmax: usize,
    /// Spin, 0..=4: one component per pixel for 0, else two.
    pub spin: usize,
    /// Tables or recurrences.
    pub engine: Engine,
    /// Who does the work.
    pub parallelism: Parallelism,
}

impl Config {
    /// Largest resolution planned.
    pub const MAX_NSIDE: usize = 1024;
    /// Largest spin planned.
    pub const MAX_SPIN: usize = 4;
    /// Largest degree planned.
    pub const MAX_LMAX: usize = 8192;
    /// Largest table that [`Engine::Auto`] builds, bytes: beyond a core's own cache
    /// recurrences are faster.
    pub const TABLE_BYTES: usize = 4 << 20;

    /// All orders up to `lmax`, automatic engine, rayon.
    pub fn full(nside: Nside, lmax: usize, spin: usize) -> Self {
        let (engine, parallelism) = (Engine::Auto, Parallelism::Rayon);
        Self { nside, lmax, mmax: lmax, spin, engine, parallelism }
    }

    fn check(&self) -> Result<(), HarmonicError> {
        let Self { nside, lmax, mmax, spin, .. } = *self;
        if nside.get() > Self::MAX_NSIDE {
            return Err(HarmonicError::Nside { given: nside.get(), allowed: Self::MAX_NSIDE });
        }
        if spin > Self::MAX_SPIN {
            return Err(HarmonicError::Spin { given: spin, allowed: Self::MAX_SPIN });
        }
        if lmax > Self::MAX_LMAX {
            return Err(HarmonicError::Lmax { given: lmax, allowed: Self::MAX_LMAX });
        }
        if mmax > lmax {
            return Err(HarmonicError::Mmax { given: mmax, allowed: lmax });
        }
        Ok(())
    }
}

/// A spherical harmonic transform, planned once and executed many times.
///
/// With K maps in a batch, slices have the batch innermost:
///
/// * maps `[pixel][component][map]`, RING order, [`Plan::map_len`] numbers;
/// * coefficients `[(ℓ, m)][component][re, im][map]`, in the order of [`Modes`],
///   [`Plan::alm_len`] numbers; rows with ℓ < s are ignored and come back zero, as
///   does the imaginary part of m = 0.
///
/// Components are one field for spin 0 and the pairs (Q, U) ↔ (E, B) for spin s > 0:
/// Q + iU = −Σ (E + iB) ₛY_ℓm, Q − iU = −(−1)^s Σ (E − iB) ₋ₛY_ℓm, the sign of
/// HEALPix (Zaldarriaga & Seljak 1997, Eqs. 6–7; COSMO polarisation). Harmonics are
/// orthonormal: ∫|ₛY_ℓm|² dΩ = 1.
///
/// ```
/// use skyscat_harmonic::Plan;
/// use skyscat_healpix::Nside;
/// let plan = Plan::<f64>::new(Nside::new(4)?, 8, 0)?;
/// let mut scratch = plan.scratch(1);
/// let mut alm = vec![0.0; plan.alm_len(1)];
/// alm[0] = (4.0 * std::f64::consts::PI).sqrt();
/// let mut map = vec![0.0; plan.map_len(1)];
/// plan.synthesis(&alm, &mut map, &mut scratch);
/// assert!(map.iter().all(|value| (value - 1.0).abs() < 1e-14));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Plan<T> {
    pub(crate) config: Config,
    pub(crate) modes: Modes,
    pub(crate) pairs: Vec<Pair>,
    pub(crate) legendre: Legendre<T>,
    /// First order that each ring pair does not need.
    pub(crate) m_ends: Vec<usize>,
    pub(crate) rings: Rings<T>,
    pub(crate) arch: pulp::Arch,
}

impl<T: Sample> Plan<T> {
    /// All orders up to `lmax`, with tables if they are small, on the rayon pool.
    ///
    /// # Errors
    /// As [`Plan::with_config`].
    pub fn new(nside: Nside, lmax: usize, spin: usize) -> Result<Self, HarmonicError> {
        Self::with_config(Config::full(nside, lmax, spin))
    }

    /// A plan for `config`.
    ///
    /// # Errors
    /// [`HarmonicError::Nside`], [`HarmonicError::Spin`], [`HarmonicError::Lmax`] or
    /// [`HarmonicError::Mmax`] for values out of range.
    pub fn with_config(config: Config) -> Result<Self, HarmonicError> {
        config.check()?;
        let modes = Modes::new(config.lmax, config.mmax);
        let n = config.nside.get();
        let (mut pairs, mut heights) = (Vec::with_capacity(2 * n), Vec::with_capacity(2 * n));
        for (index, ring) in rings(config.nside).take(2 * n).enumerate() {
            let (shifted, has_south) = (ring.phi0_rad != 0.0, index + 1 < 2 * n);
            pairs.push(Pair { n_phi: ring.n_phi, shifted, has_south });
            // sin²θ/(1 + cos θ) keeps 1 − cos θ accurate near the pole.
            let below_one = ring.sin_theta * ring.sin_theta / (1.0 + ring.cos_theta);
            heights.push((below_one, ring.sin_theta));
        }
        let may_keep = config.engine != Engine::Recurrence;
        let mut legendre = Legendre::new(modes, config.spin, &heights, may_keep);
        let tables = match config.engine {
            Engine::Auto => legendre.table_bytes() <= Config::TABLE_BYTES,
            Engine::Tables => true,
            Engine::Recurrence => false,
        };
        if tables {
            legendre.tabulate();
        }
        let (rings, arch) = (Rings::new(n), pulp::Arch::new());
        let m_ends = legendre.m_ends();
        Ok(Self { config, modes, pairs, legendre, m_ends, rings, arch })
    }

    /// What the plan is for.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The coefficients and their order.
    pub fn modes(&self) -> Modes {
        self.modes
    }

    /// 1 for spin 0, else 2.
    pub fn components(&self) -> usize {
        if self.config.spin == 0 { 1 } else { 2 }
    }

    /// Length of a slice of `batch` maps, pixels × components × `batch`.
    pub fn map_len(&self, batch: usize) -> usize {
        self.config.nside.npix() * self.components() * batch
    }

    /// Length of `batch` coefficient sets, modes × components × 2 × `batch`.
    pub fn alm_len(&self, batch: usize) -> usize {
        self.modes.len() * self.components() * 2 * batch
    }

    /// Working memory for batches of `batch` maps.
    ///
    /// Reuse it: transforms allocate nothing, except that the first iterated
    /// analysis makes room for its residuals.
    ///
    /// # Panics
    /// If `batch` is zero.
    pub fn scratch(&self, batch: usize) -> Scratch<T> {
        assert!(batch > 0, "a batch has at least one map");
        let lanes = Lanes::new::<T>(self.components(), batch);
        let orders = self.modes.mmax() + 1;
        let rows =
            (orders * self.order_stride(lanes)).max(self.pairs.len() * self.pair_stride(lanes));
        let threads = if self.serial() { 1 } else { rayon::current_num_threads() };
        Scratch {
            config: self.config,
            lanes,
            rows: vec![T::zero(); rows],
            pool: Pool((0..threads).map(|_| self.buffer(lanes)).collect::<Vec<_>>().into()),
            map: Vec::new(),
            alm: [const { Vec::new() }; 3],
        }
    }

    /// Numbers from one order to the next where rows are `[m][pair]`.
    pub(crate) fn order_stride(&self, lanes: Lanes) -> usize {
        odd_lines::<T>(self.pairs.len() * lanes.pair())
    }

    /// Numbers from one ring pair to the next where rows are `[pair][m]`.
    pub(crate) fn pair_stride(&self, lanes: Lanes) -> usize {
        odd_lines::<T>((self.modes.mmax() + 1) * lanes.pair())
    }

    pub(crate) fn serial(&self) -> bool {
        self.config.parallelism == Parallelism::Serial || rayon::current_num_threads() == 1
    }

    fn buffer(&self, lanes: Lanes) -> Buffer<T> {
        Buffer { degrees: DegreeBuffer::new(&self.legendre, lanes), ring: self.rings.buffer() }
    }

    /// Runs `work` with a buffer of the pool (a new one if all are taken).
    pub(crate) fn with_buffer<R>(
        &self,
        lanes: Lanes,
        pool: &Pool<T>,
        work: impl FnOnce(&mut Buffer<T>) -> R,
    ) -> R {
        let taken = pool.0.lock().expect("no holder panics").pop();
        let mut buffer = taken.unwrap_or_else(|| self.buffer(lanes));
        let result = work(&mut buffer);
        pool.0.lock().expect("no holder panics").push(buffer);
        result
    }
}

/// The next odd number of cache lines: strides that are powers of two meet in few sets
/// of a cache and throw each other out.
fn odd_lines<T>(len: usize) -> usize {
    let line = 64 / size_of::<T>();
    (len.div_ceil(line) | 1) * line
}

/// Working memory of one thread.
#[derive(Debug)]
pub(crate) struct Buffer<T> {
    pub(crate) degrees: DegreeBuffer<T>,
    pub(crate) ring: RingBuffer<T>,
}

/// Working memory of all threads.
#[derive(Debug)]
pub(crate) struct Pool<T>(Mutex<Vec<Buffer<T>>>);

/// Working memory made by [`Plan::scratch`] for one batch size.
#[derive(Debug)]
pub struct Scratch<T> {
    config: Config,
    pub(crate) lanes: Lanes,
    /// Fourier modes of all rings: `[m][pair]…` in synthesis, `[pair][m]…` in adjoints,
    /// with the strides of the plan.
    pub(crate) rows: Vec<T>,
    pub(crate) pool: Pool<T>,
    pub(crate) map: Vec<T>,
    pub(crate) alm: [Vec<T>; 3],
}

impl<T> Scratch<T> {
    /// Maps in a batch.
    pub fn batch(&self) -> usize {
        self.lanes.batch
    }

    /// # Panics
    /// If made by a plan for another configuration.
    pub(crate) fn check(&self, config: &Config) {
        assert!(self.config == *config, "scratch made for {:?}", self.config);
    }
}

/// Splits a range in halves down to single items; runs them in parallel unless `serial`.
///
/// `cut` hands each half its part of the data.
pub(crate) fn split<D: Send>(
    serial: bool,
    range: Range<usize>,
    data: D,
    cut: &(impl Fn(D, &Range<usize>, usize) -> (D, D) + Sync),
    leaf: &(impl Fn(usize, D) + Sync),
) {
    match range.len() {
        0 => {}
        1 => leaf(range.start, data),
        len => {
            let middle = range.start + len / 2;
            let (left, right) = cut(data, &range, middle);
            let (first, second) = (range.start..middle, middle..range.end);
            if serial {
                split(serial, first, left, cut, leaf);
                split(serial, second, right, cut, leaf);
            } else {
                rayon::join(
                    || split(serial, first, left, cut, leaf),
                    || split(serial, second, right, cut, leaf),
                );
            }
        }
    }
}
