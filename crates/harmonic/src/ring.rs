//! Fourier transforms along rings: a northern ring and its mirror in one complex FFT.
//!
//! With z = north + i·south, the spectrum of z is Z_k = N_k + iS_k, where N and S are
//! Hermitian. Orders beyond the ring's Nyquist frequency fold. Only forward FFTs are
//! planned: the inverse is the forward one with real and imaginary parts exchanged.

use crate::legendre::Lanes;
use crate::sample::Sample;
use num_complex::Complex;
use pulp::{Simd, WithSimd};
use rustfft::{Fft, FftPlanner};
use std::f64::consts::PI;
use std::sync::Arc;

/// Most signals transformed together.
pub(crate) const OCTET: usize = 8;

/// Signals transformed together: 1, 2, 4 or 8.
pub(crate) fn width(signals: usize) -> usize {
    signals.next_power_of_two().min(OCTET)
}

/// Real and imaginary parts of one complex number a signal.
type Bin<T, const W: usize> = [[T; W]; 2];

/// A ring, and its mirror unless it is the equator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) n_phi: usize,
    pub(crate) shifted: bool,
    pub(crate) has_south: bool,
}

/// What rings of one length share.
struct Length<T> {
    fft: Arc<dyn Fft<T>>,
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
                Length { fft: planner.plan_fft_forward(n), phases }
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
            lines: vec![zero; longest * OCTET],
            scratch: vec![zero; scratch.unwrap_or(0)],
        }
    }
}

/// In-place forward FFT of the first `used` signals.
#[inline(always)]
fn forward<T: Sample, const W: usize>(
    length: &Length<T>,
    bins: &mut [Bin<T, W>],
    used: usize,
    lines: &mut [Complex<T>],
    scratch: &mut [Complex<T>],
) {
    let n = bins.len();
    let lines = &mut lines[..used * n];
    for (signal, line) in lines.chunks_exact_mut(n).enumerate() {
        for (value, bin) in line.iter_mut().zip(bins.iter()) {
            *value = Complex::new(bin[0][signal], bin[1][signal]);
        }
    }
    length.fft.process_with_scratch(lines, scratch);
    for (signal, line) in lines.chunks_exact(n).enumerate() {
        for (value, bin) in line.iter().zip(bins.iter_mut()) {
            (bin[0][signal], bin[1][signal]) = (value.re, value.im);
        }
    }
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
    /// `[pixel][signal]`.
    pub(crate) north: &'a mut [T],
    pub(crate) south: &'a mut [T],
    pub(crate) buffer: &'a mut RingBuffer<T>,
}

impl<T: Sample> WithSimd for RingSynthesis<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        match width(self.lanes.signals) {
            1 => self.run::<1>(),
            2 => self.run::<2>(),
            4 => self.run::<4>(),
            _ => self.run::<OCTET>(),
        }
    }
}

impl<T: Sample> RingSynthesis<'_, T> {
    #[inline(always)]
    fn run<const W: usize>(self) {
        let Self { rings, pair, lanes, orders, rows, stride, north, south, buffer } = self;
        let n = pair.n_phi;
        let length = &rings.lengths[n / 4 - 1];
        let RingBuffer { bins, lines, scratch } = buffer;
        let bins = &mut bins.as_chunks_mut::<W>().0.as_chunks_mut::<2>().0[..n];
        let padded = lanes.signals_padded;
        for at in (0..lanes.signals).step_by(W) {
            let used = W.min(lanes.signals - at);
            bins.fill([[T::zero(); W]; 2]);
            let mut phase = Phase::new(length, pair);
            for m in 0..orders {
                let row = &rows[m * stride..][..4 * padded];
                let part = |part: usize| signals::<T, W>(row, part * padded + at);
                let north = rotated(part(0), part(1), phase.value());
                let south = rotated(part(2), part(3), phase.value());
                let (bin, mirror) = phase.bins();
                fold(bins, bin, mirror, m == 0, &north, &south);
                phase.advance();
            }
            forward(length, bins, used, lines, scratch);
            for (pixel, bin) in north.chunks_exact_mut(lanes.signals).zip(bins.iter()) {
                store(&mut pixel[at..], &bin[1], used);
            }
            if pair.has_south {
                for (pixel, bin) in south.chunks_exact_mut(lanes.signals).zip(bins.iter()) {
                    store(&mut pixel[at..], &bin[0], used);
                }
            }
        }
    }
}

/// Pixels of one ring pair → its Fourier modes Σ_j value_j e^{−imφ_j}.
pub struct RingAdjoint<'a, T> {
    pub(crate) rings: &'a Rings<T>,
    pub(crate) pair: Pair,
    pub(crate) lanes: Lanes,
    /// Number of orders to fill.
    pub(crate) orders: usize,
    /// `[m][north, south][re, im][signal]`.
    pub(crate) rows: &'a mut [T],
    /// `[pixel][signal]`.
    pub(crate) north: &'a [T],
    pub(crate) south: &'a [T],
    pub(crate) buffer: &'a mut RingBuffer<T>,
}

impl<T: Sample> WithSimd for RingAdjoint<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        match width(self.lanes.signals) {
            1 => self.run::<1>(),
            2 => self.run::<2>(),
            4 => self.run::<4>(),
            _ => self.run::<OCTET>(),
        }
    }
}

impl<T: Sample> RingAdjoint<'_, T> {
    #[inline(always)]
    fn run<const W: usize>(self) {
        let Self { rings, pair, lanes, orders, rows, north, south, buffer } = self;
        let n = pair.n_phi;
        let length = &rings.lengths[n / 4 - 1];
        let RingBuffer { bins, lines, scratch } = buffer;
        let bins = &mut bins.as_chunks_mut::<W>().0.as_chunks_mut::<2>().0[..n];
        let padded = lanes.signals_padded;
        let half = T::narrow(0.5);
        for at in (0..lanes.signals).step_by(W) {
            let used = W.min(lanes.signals - at);
            for (bin, pixel) in bins.iter_mut().zip(north.chunks_exact(lanes.signals)) {
                *bin = [load(&pixel[at..], used), [T::zero(); W]];
            }
            if pair.has_south {
                for (bin, pixel) in bins.iter_mut().zip(south.chunks_exact(lanes.signals)) {
                    bin[1] = load(&pixel[at..], used);
                }
            }
            forward(length, bins, used, lines, scratch);
            let mut phase = Phase::new(length, pair);
            for row in rows.chunks_exact_mut(4 * padded).take(orders) {
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
                for (part, values) in [north_re, north_im, south_re, south_im].iter().enumerate() {
                    row[part * padded + at..][..W].copy_from_slice(values);
                }
                phase.advance();
            }
        }
    }
}

#[inline(always)]
fn signals<T: Sample, const W: usize>(row: &[T], at: usize) -> [T; W] {
    row[at..][..W].try_into().expect("as many signals")
}

#[inline(always)]
fn load<T: Sample, const W: usize>(pixel: &[T], used: usize) -> [T; W] {
    if used == W {
        return signals(pixel, 0);
    }
    let mut values = [T::zero(); W];
    values[..used].copy_from_slice(&pixel[..used]);
    values
}

#[inline(always)]
fn store<T: Sample, const W: usize>(pixel: &mut [T], values: &[T; W], used: usize) {
    if used == W {
        pixel[..W].copy_from_slice(values);
    } else {
        pixel[..used].copy_from_slice(&values[..used]);
    }
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
