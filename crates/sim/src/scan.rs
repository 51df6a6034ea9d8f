//! The fast path: directions, ψ, dipole and pixels of a block of samples.
//!
//! With H = G Rz(λ₀), λ₀ the longitude at the block's first sample and G the frame
//! of the maps, R = H Rz(δ) Rx(p) Ry(π/2 − α) Rz(s) Ry(β). Phases at the first
//! sample come from remainders; within the block, p and s turn by tables of cos and
//! sin of whole steps, δ by a short series. Of R only n = R ẑ and the third row are
//! formed: with (x_z, y_z) from that row, tan ψ = x_z/y_z.

use crate::SimError;
use crate::config::Config;
use crate::dipole::{Dipole, DipoleLanes, doppler};
use crate::focal_plane::Horn;
use crate::orbit::{Drift, Longitude, Motion, turns};
use crate::pixels::{Grid, nest_pixel};
use skyscat_healpix::{Nside, Rotation};
use skyscat_num::{Arch, Simd, WithSimd};
use std::f64::consts::{FRAC_PI_2, TAU};

/// Samples of a block at most: phases are seeded anew as often as this.
pub(crate) const BLOCK: usize = 256;
/// A number for each sample of a block.
pub(crate) type Lane = [f64; BLOCK];
/// Samples are computed in groups of this size; what is too much is not read.
const GROUP: usize = 8;
/// Longest arc of the orbit in a block: the series of its sine is exact below it.
const MAX_ARC_RAD: f64 = 0.05;

/// A constant rate: its phase at any sample, and the cosines within a block.
#[derive(Clone, Debug)]
struct Rate {
    turns_num: f64,
    turns_den: f64,
    cos: Box<Lane>,
    sin: Box<Lane>,
}

impl Rate {
    /// `num/den` turns a sample.
    fn new(turns_num: f64, turns_den: f64) -> Self {
        let angle = |j: usize| TAU * turns(j as u64, turns_num, turns_den);
        Self {
            turns_num,
            turns_den,
            cos: Box::new(std::array::from_fn(|j| angle(j).cos())),
            sin: Box::new(std::array::from_fn(|j| angle(j).sin())),
        }
    }

    /// Cosine and sine at a sample.
    fn phase(&self, sample: u64) -> (f64, f64) {
        let (sin, cos) = (TAU * turns(sample, self.turns_num, self.turns_den)).sin_cos();
        (cos, sin)
    }
}

/// What depends on the configuration alone.
#[derive(Clone, Debug)]
pub(crate) struct Scan {
    longitude: Longitude,
    motion: Motion,
    dipole: Dipole,
    to_frame: Rotation,
    spin: Rate,
    precession: Rate,
    /// Cosine and sine of π/2 − α.
    tilt: (f64, f64),
    opening: Rotation,
    grid: Grid,
}

/// Columns x̂, ŷ, ẑ of a horn's frame, after Ry(β).
pub(crate) type Line = [[f64; 3]; 3];

impl Scan {
    pub(crate) fn new(config: &Config, to_frame: Rotation) -> Result<Self, SimError> {
        let (rate_hz, scan) = (config.mission.rate_hz, &config.scan);
        let tilt = FRAC_PI_2 - scan.spin_sun_angle_deg.to_radians();
        Ok(Self {
            longitude: Longitude::new(&config.orbit, &config.mission.start, rate_hz)?,
            motion: Motion::new(&config.dipole.velocity, to_frame, rate_hz),
            dipole: Dipole::new(&config.dipole),
            to_frame,
            spin: Rate::new(scan.spin_rate_rpm, 60.0 * rate_hz),
            precession: Rate::new(1.0, 60.0 * scan.precession_period_min * rate_hz),
            tilt: (tilt.cos(), tilt.sin()),
            opening: Rotation::about_y(scan.opening_angle_deg.to_radians()),
            grid: Grid::new(Nside::new(config.maps.nside)?),
        })
    }

    pub(crate) fn line(&self, horn: &Horn) -> Line {
        horn.axes.map(|axis| self.opening.apply(axis))
    }

    /// Starts a block of at most `limit` samples at `first`; returns how many.
    pub(crate) fn start(&self, first: u64, limit: usize, block: &mut Block) -> usize {
        let stretch = self.longitude.at(first);
        let drift = self.motion.at(first, stretch.longitude_rad);
        // No step at all gives infinity, which becomes the largest integer.
        let arc = (MAX_ARC_RAD / stretch.step_rad.abs()) as u64 + 1;
        let len = (limit.min(BLOCK) as u64).min(stretch.samples).min(drift.samples).min(arc);
        block.len = len as usize;
        block.to_ecliptic_start =
            Rotation::about_z(stretch.longitude_rad).then(self.to_frame).matrix();
        Arch::new().dispatch(Shared {
            spin: self.spin.phase(first),
            precession: self.precession.phase(first),
            step_rad: stretch.step_rad,
            drift,
            scan: self,
            block,
        });
        len as usize
    }

    /// Pixels and ψ of one horn over the started block.
    pub(crate) fn look(&self, line: &Line, block: &mut Block) {
        Arch::new().dispatch(Look { scan: self, line, block });
    }

    /// The dipole that the horn of the last [`Scan::look`] sees.
    pub(crate) fn see(&self, block: &mut Block) {
        Arch::new().dispatch(See { scan: self, block });
    }
}

/// A block of samples: lanes that all horns share, then those of one horn.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    len: usize,
    /// H.
    to_ecliptic_start: [[f64; 3]; 3],
    spin: [Lane; 2],
    precession: [Lane; 2],
    orbit: [Lane; 2],
    /// Third row of R Ry(β)⁻¹.
    row: [Lane; 3],
    /// v/c and its square.
    velocity: [Lane; 3],
    speed2: Lane,
    /// Line of sight.
    n: [Lane; 3],
    cos2: Lane,
    sin2: Lane,
    pixel: [u32; BLOCK],
    dipole: DipoleLanes,
    signal: Lane,
}

impl Block {
    pub(crate) fn new() -> Box<Self> {
        const ZERO: Lane = [0.0; BLOCK];
        Box::new(Self {
            len: 0,
            to_ecliptic_start: [[0.0; 3]; 3],
            spin: [ZERO; 2],
            precession: [ZERO; 2],
            orbit: [ZERO; 2],
            row: [ZERO; 3],
            velocity: [ZERO; 3],
            speed2: ZERO,
            n: [ZERO; 3],
            cos2: ZERO,
            sin2: ZERO,
            pixel: [0; BLOCK],
            dipole: DipoleLanes { b: ZERO, u: ZERO },
            signal: ZERO,
        })
    }

    /// Samples computed: a whole number of groups.
    #[inline(always)]
    fn padded(&self) -> usize {
        self.len.next_multiple_of(GROUP).min(BLOCK)
    }

    /// NEST pixels at the resolution of map-making.
    pub(crate) fn pixel(&self) -> &[u32] {
        &self.pixel[..self.len]
    }

    /// cos 2ψ.
    pub(crate) fn cos2(&self) -> &[f64] {
        &self.cos2[..self.len]
    }

    /// sin 2ψ.
    pub(crate) fn sin2(&self) -> &[f64] {
        &self.sin2[..self.len]
    }

    /// The dipole, K.
    pub(crate) fn signal(&self) -> &[f64] {
        &self.signal[..self.len]
    }

    /// Line of sight of a sample.
    pub(crate) fn direction(&self, sample: usize) -> [f64; 3] {
        [self.n[0][sample], self.n[1][sample], self.n[2][sample]]
    }
}

/// (x, y) turned by the angle of (cos, sin).
#[inline(always)]
fn turn(cos: f64, sin: f64, x: f64, y: f64) -> (f64, f64) {
    (cos * x - sin * y, sin * x + cos * y)
}

/// Cosine and sine of an angle of at most [`MAX_ARC_RAD`].
#[inline(always)]
fn small_angle(a: f64) -> (f64, f64) {
    let a2 = a * a;
    let cos = 1.0 + a2 * (-0.5 + a2 * (1.0 / 24.0 + a2 * (-1.0 / 720.0 + a2 / 40_320.0)));
    let sin = a * (1.0 + a2 * (-1.0 / 6.0 + a2 * (1.0 / 120.0 - a2 / 5040.0)));
    (cos, sin)
}

/// Fills the lanes that all horns share.
struct Shared<'a> {
    scan: &'a Scan,
    spin: (f64, f64),
    precession: (f64, f64),
    step_rad: f64,
    drift: Drift,
    block: &'a mut Block,
}

impl WithSimd for Shared<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { scan, spin, precession, step_rad, drift, block } = self;
        let (tilt_cos, tilt_sin) = scan.tilt;
        let third = block.to_ecliptic_start[2];
        for j in 0..block.padded() {
            let (sc, ss) = turn(scan.spin.cos[j], scan.spin.sin[j], spin.0, spin.1);
            let (pc, ps) =
                turn(scan.precession.cos[j], scan.precession.sin[j], precession.0, precession.1);
            let (oc, os) = small_angle(j as f64 * step_rad);
            // The third row of H, carried through the inverse rotations.
            let (x, y) = turn(oc, -os, third[0], third[1]);
            let (y, z) = turn(pc, -ps, y, third[2]);
            let (z, x) = turn(tilt_cos, -tilt_sin, z, x);
            let (x, y) = turn(sc, -ss, x, y);
            block.spin[0][j] = sc;
            block.spin[1][j] = ss;
            block.precession[0][j] = pc;
            block.precession[1][j] = ps;
            block.orbit[0][j] = oc;
            block.orbit[1][j] = os;
            block.row[0][j] = x;
            block.row[1][j] = y;
            block.row[2][j] = z;
        }
        let circular = matches!(scan.motion, Motion::Circular { .. });
        for j in 0..block.padded() {
            let (f, g) =
                if circular { (block.orbit[0][j], block.orbit[1][j]) } else { (j as f64, 0.0) };
            let v: [f64; 3] =
                std::array::from_fn(|i| drift.base[i] + drift.along[i] * f + drift.across[i] * g);
            block.velocity.iter_mut().zip(v).for_each(|(lane, v)| lane[j] = v);
            block.speed2[j] = v[0] * v[0] + v[1] * v[1] + v[2] * v[2];
        }
    }
}

/// Fills pixels and ψ of one horn.
struct Look<'a> {
    scan: &'a Scan,
    line: &'a Line,
    block: &'a mut Block,
}

impl WithSimd for Look<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { scan, line: &[kx, ky, kz], block } = self;
        let ((tilt_cos, tilt_sin), grid) = (scan.tilt, scan.grid);
        let h = block.to_ecliptic_start;
        for j in 0..block.padded() {
            let (x, y) = turn(block.spin[0][j], block.spin[1][j], kz[0], kz[1]);
            let (z, x) = turn(tilt_cos, tilt_sin, kz[2], x);
            let (y, z) = turn(block.precession[0][j], block.precession[1][j], y, z);
            let (x, y) = turn(block.orbit[0][j], block.orbit[1][j], x, y);
            for (lane, row) in block.n.iter_mut().zip(&h) {
                lane[j] = row[0] * x + row[1] * y + row[2] * z;
            }
            let r = [block.row[0][j], block.row[1][j], block.row[2][j]];
            let x_z = r[0] * kx[0] + r[1] * kx[1] + r[2] * kx[2];
            let y_z = r[0] * ky[0] + r[1] * ky[1] + r[2] * ky[2];
            // cos 2ψ = (y_z² − x_z²)/(y_z² + x_z²), sin 2ψ = 2 x_z y_z/(…); at a
            // pole itself, where ψ has no meaning, both are 0.
            let norm = 1.0 / (x_z * x_z + y_z * y_z).max(f64::MIN_POSITIVE);
            block.cos2[j] = (y_z * y_z - x_z * x_z) * norm;
            block.sin2[j] = 2.0 * x_z * y_z * norm;
        }
        for j in 0..block.padded() {
            let n = [block.n[0][j], block.n[1][j], block.n[2][j]];
            block.pixel[j] = nest_pixel(grid, n);
        }
    }
}

/// Fills the dipole.
struct See<'a> {
    scan: &'a Scan,
    block: &'a mut Block,
}

impl WithSimd for See<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { scan, block } = self;
        let padded = block.padded();
        for j in 0..padded {
            let b = block.n[0][j] * block.velocity[0][j]
                + block.n[1][j] * block.velocity[1][j]
                + block.n[2][j] * block.velocity[2][j];
            block.dipole.b[j] = b;
            block.dipole.u[j] = doppler(b, block.speed2[j]);
        }
        let DipoleLanes { b, u } = &block.dipole;
        scan.dipole.fill(&b[..padded], &u[..padded], &mut block.signal[..padded]);
    }
}
