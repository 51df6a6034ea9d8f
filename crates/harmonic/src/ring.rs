//! Fourier transforms along rings: a northern ring and its mirror in one complex FFT.
//!
//! With z = north + i·south, the spectrum of z is Z_k = N_k + iS_k, where N and S are
//! Hermitian. Orders beyond the ring's Nyquist frequency fold. Only forward FFTs are
//! planned: the inverse is the forward one with real and imaginary parts exchanged.

use crate::fft::{Bin, LaneFft};
use crate::legendre::Lanes;
use crate::sample::Sample;
use num_complex::Complex;
use pulp::{Simd, WithSimd};
use rustfft::{Fft, FftPlanner};
use std::f64::consts::PI;
use std::sync::Arc;

/// Most signals transformed together.
const OCTET: usize = 8;

/// A ring, and its mirror unless it is the equator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) n_phi: usize,
    pub(crate) shifted: bool,
    pub(crate) has_south: bool,
}

/// What rings of one length share.
struct Length<T> {
    /// For signals one after the other.
    fft: Arc<dyn Fft<T>>,
    /// For signals side by side, unless the length has a large prime factor.
    lanes: Option<LaneFft<T>>,
    /// e^{iπk/n} for k < n: e^{imφ₀} of shifted rings, φ₀ = π/n.
    phases: Vec<(T, T)>,
}

/// FFT plans and phases for ring lengths 4, 8, …, 4·nside.
pub(crate) struct Rings<T> {
    lengths: Vec<Length<T>>,
}

impl<T> std::fmt::Debug for Rings<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rings({} lengths)", self.lengths.len())
    }
}

/// Working memory of one thread.
#[derive(Debug)]
pub(crate) struct RingBuffer<T> {
    /// `[bin][re, im][signal]`.
    bins: Vec<T>,
    spare: Vec<T>,
    lines: Vec<Complex<T>>,
    scratch: Vec<Complex<T>>,
}

impl<T: Sample> Rings<T> {
    pub(crate) fn new(nside: usize) -> Self {
        let mut planner = FftPlanner::new();
        let lengths = (1..=nside)
            .map(|quarter| {
                let n = 4 * quarter;
                let phases = (0..n)
                    .map(|k| {
                        let (sin, cos) = (PI * k as f64 / n as f64).sin_cos();
                        (T::narrow(cos), T::narrow(sin))
                    })
                    .collect();
                Length { fft: planner.plan_fft_forward(n), lanes: LaneFft::new(n), phases }
            })
            .collect();
        Self { lengths }
    }

    pub(crate) fn buffer(&self) -> RingBuffer<T> {
        let longest = 4 * self.lengths.len();
        let zero = Complex::new(T::zero(), T::zero());
        let scratch = self.lengths.iter().map(|l| l.fft.get_inplace_scratch_len()).max();
        RingBuffer {
            bins: vec![T::zero(); longest * 2 * OCTET],
            spare: vec![T::zero(); longest * 2 * OCTET],
            lines: vec![zero; longest * OCTET],
            scratch: vec![zero; scratch.unwrap_or(0)],
        }
    }
}

/// Signals from which on they are transformed side by side.
const ABREAST: usize = 4;

impl<T: Sample> RingBuffer<T> {
    /// The bins of a ring, to be filled and transformed.
    #[inline(always)]
    fn bins<const W: usize>(&mut self, n: usize) -> &mut [Bin<T, W>] {
        bins_of(&mut self.bins, n)
    }

    /// Forward FFT of the bins.
    #[inline(always)]
    fn forward<const W: usize>(&mut self, length: &Length<T>) -> &[Bin<T, W>] {
        let n = length.phases.len();
        let bins = bins_of::<T, W>(&mut self.bins, n);
        if let (Some(fft), ABREAST..) = (&length.lanes, W) {
            return fft.forward(bins, bins_of(&mut self.spare, n));
        }
        let lines = &mut self.lines[..W * n];
        for (signal, line) in lines.chunks_exact_mut(n).enumerate() {
            for (value, bin) in line.iter_mut().zip(bins.iter()) {
                *value = Complex::new(bin[0][signal], bin[1][signal]);
            }
        }
        length.fft.process_with_scratch(lines, &mut self.scratch);
        for (signal, line) in lines.chunks_exact(n).enumerate() {
            for (value, bin) in line.iter().zip(bins.iter_mut()) {
                (bin[0][signal], bin[1][signal]) = (value.re, value.im);
            }
        }
        bins
    }
}

/// `n` bins of `W` signals.
#[inline(always)]
fn bins_of<T, const W: usize>(numbers: &mut [T], n: usize) -> &mut [Bin<T, W>] {
    &mut numbers.as_chunks_mut::<W>().0.as_chunks_mut::<2>().0[..n]
}

/// e^{imφ₀} for successive m.
struct Phase<'a, T> {
    table: Option<&'a [(T, T)]>,
    n: usize,
    /// m mod n.
    bin: usize,
    negative: bool,
}

impl<'a, T: Sample> Phase<'a, T> {
    #[inline(always)]
    fn new(length: &'a Length<T>, pair: Pair) -> Self {
        let table = pair.shifted.then_some(&length.phases[..]);
        Self { table, n: pair.n_phi, bin: 0, negative: false }
    }

    #[inline(always)]
    fn value(&self) -> (T, T) {
        match self.table {
            None => (T::one(), T::zero()),
            Some(table) => {
                let (cos, sin) = table[self.bin];
                if self.negative { (-cos, -sin) } else { (cos, sin) }
            }
        }
    }

    /// Bins of m and −m.
    #[inline(always)]
    fn bins(&self) -> (usize, usize) {
        (self.bin, if self.bin == 0 { 0 } else { self.n - self.bin })
    }

    #[inline(always)]
    fn advance(&mut self) {
        self.bin += 1;
        if self.bin == self.n {
            self.bin = 0;
            self.negative = !self.negative;
        }
    }
}

/// Fourier modes of one ring pair → its pixels.
pub struct RingSynthesis<'a, T> {
    pub(crate) rings: &'a Rings<T>,
    pub(crate) pair: Pair,
    pub(crate) lanes: Lanes,
    /// Number of orders to use.
    pub(crate) orders: usize,
    /// Modes of order 0; those of order m are `stride`·m further.
    pub(crate) rows: &'a [T],
    pub(crate) stride: usize,
    /// `[pixel][component][map]`.
    pub(crate) north: &'a mut [T],
    pub(crate) south: &'a mut [T],
    pub(crate) buffer: &'a mut RingBuffer<T>,
}

impl<T: Sample> WithSimd for RingSynthesis<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _simd: S) {
        for component in 0..self.lanes.components {
            let mut at = 0;
            while at < self.lanes.batch {
                at += match self.lanes.batch - at {
                    OCTET.. => self.run::<OCTET>(component, at),
                    4.. => self.run::<4>(component, at),
                    2.. => self.run::<2>(component, at),
                    _ => self.run::<1>(component, at),
                };
            }
        }
    }
}

impl<T: Sample> RingSynthesis<'_, T> {
    /// `W` maps of one component.
    #[inline(always)]
    fn run<const W: usize>(&mut self, component: usize, at: usize) -> usize {
        let Self { rings, pair, lanes, orders, rows, stride, .. } = *self;
        let n = pair.n_phi;
        let length = &rings.lengths[n / 4 - 1];
        let bins = self.buffer.bins::<W>(n);
        bins.fill([[T::zero(); W]; 2]);
        let [re, im] = [0, 1].map(|part| lanes.lane(component, part) + at);
        let mut phase = Phase::new(length, pair);
        for m in 0..orders {
            let (north, south) = rows[m * stride..][..lanes.pair()].split_at(lanes.row);
            let turn = phase.value();
            let north = rotated::<T, W>(signals(north, re), signals(north, im), turn);
            let south = rotated::<T, W>(signals(south, re), signals(south, im), turn);
            let (bin, mirror) = phase.bins();
            fold(bins, bin, mirror, m == 0, &north, &south);
            phase.advance();
        }
        let bins = self.buffer.forward::<W>(length);
        let first = component * lanes.batch + at;
        for (pixel, bin) in self.north.chunks_exact_mut(lanes.signals).zip(bins) {
            pixel[first..][..W].copy_from_slice(&bin[1]);
        }
        if pair.has_south {
            for (pixel, bin) in self.south.chunks_exact_mut(lanes.signals).zip(bins) {
                pixel[first..][..W].copy_from_slice(&bin[0]);
            }
        }
        W
    }
}

/// Pixels of one ring pair → its Fourier modes Σ_j value_j e^{−imφ_j}.
pub struct RingAdjoint<'a, T> {
    pub(crate) rings: &'a Rings<T>,
    pub(crate) pair: Pair,
    pub(crate) lanes: Lanes,
    /// Number of orders to fill.
    pub(crate) orders: usize,
    /// `[m][north, south][component][re, im][map]`.
    pub(crate) rows: &'a mut [T],
    /// `[pixel][component][map]`.
    pub(crate) north: &'a [T],
    pub(crate) south: &'a [T],
    pub(crate) buffer: &'a mut RingBuffer<T>,
}

impl<T: Sample> WithSimd for RingAdjoint<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _simd: S) {
        for component in 0..self.lanes.components {
            let mut at = 0;
            while at < self.lanes.batch {
                at += match self.lanes.batch - at {
                    OCTET.. => self.run::<OCTET>(component, at),
                    4.. => self.run::<4>(component, at),
                    2.. => self.run::<2>(component, at),
                    _ => self.run::<1>(component, at),
                };
            }
        }
    }
}

impl<T: Sample> RingAdjoint<'_, T> {
    /// `W` maps of one component.
    #[inline(always)]
    fn run<const W: usize>(&mut self, component: usize, at: usize) -> usize {
        let Self { rings, pair, lanes, orders, north, south, .. } = *self;
        let n = pair.n_phi;
        let length = &rings.lengths[n / 4 - 1];
        let first = component * lanes.batch + at;
        let bins = self.buffer.bins::<W>(n);
        for (bin, pixel) in bins.iter_mut().zip(north.chunks_exact(lanes.signals)) {
            *bin = [signals(pixel, first), [T::zero(); W]];
        }
        if pair.has_south {
            for (bin, pixel) in bins.iter_mut().zip(south.chunks_exact(lanes.signals)) {
                bin[1] = signals(pixel, first);
            }
        }
        let bins = self.buffer.forward::<W>(length);
        let half = T::narrow(0.5);
        let [re, im] = [0, 1].map(|part| lanes.lane(component, part) + at);
        let mut phase = Phase::new(length, pair);
        for row in self.rows.chunks_exact_mut(lanes.pair()).take(orders) {
            let (bin, mirror) = phase.bins();
            let ([z_re, z_im], [w_re, w_im]) = (&bins[bin], &bins[mirror]);
            let parts: [[T; W]; 4] = [
                std::array::from_fn(|i| half * (z_re[i] + w_re[i])),
                std::array::from_fn(|i| half * (z_im[i] - w_im[i])),
                std::array::from_fn(|i| half * (z_im[i] + w_im[i])),
                std::array::from_fn(|i| half * (w_re[i] - z_re[i])),
            ];
            let (cos, sin) = phase.value();
            let (north_re, north_im) = rotated(parts[0], parts[1], (cos, -sin));
            let (south_re, south_im) = rotated(parts[2], parts[3], (cos, -sin));
            let (north, south) = row.split_at_mut(lanes.row);
            north[re..][..W].copy_from_slice(&north_re);
            north[im..][..W].copy_from_slice(&north_im);
            south[re..][..W].copy_from_slice(&south_re);
            south[im..][..W].copy_from_slice(&south_im);
            phase.advance();
        }
        W
    }
}

#[inline(always)]
fn signals<T: Sample, const W: usize>(row: &[T], at: usize) -> [T; W] {
    row[at..][..W].try_into().expect("as many signals")
}

/// (re + i·im)(cos + i·sin).
#[inline(always)]
fn rotated<T: Sample, const W: usize>(
    re: [T; W],
    im: [T; W],
    (cos, sin): (T, T),
) -> ([T; W], [T; W]) {
    let (mut out_re, mut out_im) = (re, im);
    for i in 0..W {
        out_re[i] = re[i].fused(cos, -(im[i] * sin));
        out_im[i] = re[i].fused(sin, im[i] * cos);
    }
    (out_re, out_im)
}

/// Adds order m ≥ 0 and its mirror −m, real and imaginary parts exchanged.
#[inline(always)]
fn fold<T: Sample, const W: usize>(
    bins: &mut [Bin<T, W>],
    bin: usize,
    mirror: usize,
    zeroth: bool,
    (n_re, n_im): &([T; W], [T; W]),
    (s_re, s_im): &([T; W], [T; W]),
) {
    let [re, im] = &mut bins[bin];
    if zeroth {
        for i in 0..W {
            im[i] = im[i] + n_re[i];
            re[i] = re[i] + s_re[i];
        }
        return;
    }
    for i in 0..W {
        im[i] = im[i] + (n_re[i] - s_im[i]);
        re[i] = re[i] + (n_im[i] + s_re[i]);
    }
    let [re, im] = &mut bins[mirror];
    for i in 0..W {
        im[i] = im[i] + (n_re[i] + s_im[i]);
        re[i] = re[i] + (s_re[i] - n_im[i]);
    }
}
