//! Fourier transforms along rings: a northern ring and its mirror in one complex FFT.
//!
//! With z = north + i·south, the spectrum of z is Z_k = N_k + iS_k, where N and S are
//! Hermitian. Orders beyond the ring's Nyquist frequency fold. Only forward FFTs are
//! planned: the inverse is the forward one with real and imaginary parts exchanged.

use crate::abreast::{Abreast, Arrays};
use crate::fft::{Bin, LaneFft, turned};
use crate::legendre::Lanes;
use crate::sample::Sample;
use num_complex::Complex;
use pulp::{Simd, WithSimd};
use rustfft::{Fft, FftPlanner};
use skyscat_num::Aligned;
use std::f64::consts::PI;
use std::sync::Arc;

/// Most signals transformed together, those of the widest register.
const MOST: usize = 16;

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
    bins: Aligned<T>,
    spare: Aligned<T>,
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
            bins: Aligned::zeros(longest * 2 * MOST),
            spare: Aligned::zeros(longest * 2 * MOST),
            lines: vec![zero; longest * MOST],
            scratch: vec![zero; scratch.unwrap_or(0)],
        }
    }
}

/// Signals from which on they are transformed side by side.
const ABREAST: usize = 4;

impl<T: Sample> RingBuffer<T> {
    /// The bins of a ring, to be filled and transformed.
    #[inline(always)]
    fn bins<A: Abreast<T>>(&mut self, on: A, n: usize) -> &mut [Bin<A::Row>] {
        bins_of(on, &mut self.bins, n)
    }

    /// Forward FFT of the bins.
    #[inline(always)]
    fn forward<A: Abreast<T>>(&mut self, on: A, length: &Length<T>) -> &[Bin<A::Row>] {
        let n = length.phases.len();
        if let (Some(fft), ABREAST..) = (&length.lanes, A::WIDTH) {
            let bins = bins_of(on, &mut self.bins, n);
            return fft.forward(on, bins, bins_of(on, &mut self.spare, n));
        }
        let (lines, bins) = (&mut self.lines[..A::WIDTH * n], &mut self.bins);
        for (signal, line) in lines.chunks_exact_mut(n).enumerate() {
            for (value, bin) in line.iter_mut().zip(bins.chunks_exact(2 * A::WIDTH)) {
                *value = Complex::new(bin[signal], bin[A::WIDTH + signal]);
            }
        }
        length.fft.process_with_scratch(lines, &mut self.scratch);
        for (signal, line) in lines.chunks_exact(n).enumerate() {
            for (value, bin) in line.iter().zip(bins.chunks_exact_mut(2 * A::WIDTH)) {
                (bin[signal], bin[A::WIDTH + signal]) = (value.re, value.im);
            }
        }
        bins_of(on, bins, n)
    }
}

/// `n` bins.
#[inline(always)]
fn bins_of<T, A: Abreast<T>>(on: A, numbers: &mut [T], n: usize) -> &mut [Bin<A::Row>] {
    &mut on.rows(numbers).as_chunks_mut::<2>().0[..n]
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
    fn value(&self) -> Option<(T, T)> {
        let (cos, sin) = self.table?[self.bin];
        Some(if self.negative { (-cos, -sin) } else { (cos, sin) })
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
    fn with_simd<S: Simd>(mut self, simd: S) {
        let registers = T::registers(simd);
        for component in 0..self.lanes.components {
            let mut at = 0;
            while at < self.lanes.batch {
                let left = self.lanes.batch - at;
                at += match left {
                    _ if left >= width_of::<T, _>(registers) => self.run(registers, component, at),
                    8.. => self.run(Arrays::<8>, component, at),
                    4.. => self.run(Arrays::<4>, component, at),
                    2.. => self.run(Arrays::<2>, component, at),
                    _ => self.run(Arrays::<1>, component, at),
                };
            }
        }
    }
}

impl<T: Sample> RingSynthesis<'_, T> {
    /// Some maps of one component; returns how many.
    #[inline(always)]
    fn run<A: Abreast<T>>(&mut self, on: A, component: usize, at: usize) -> usize {
        let Self { rings, pair, lanes, orders, rows, stride, .. } = *self;
        let n = pair.n_phi;
        let length = &rings.lengths[n / 4 - 1];
        let bins = self.buffer.bins(on, n);
        let [re, im] = [0, 1].map(|part| lanes.lane(component, part) + at);
        let mut phase = Phase::new(length, pair);
        // Those of the first orders are written, not added to.
        let fresh = orders.min(n / 2);
        let zero = [on.zero(); 2];
        for bin in &mut bins[fresh..=n - fresh] {
            *bin = zero;
        }
        for m in 0..orders {
            let (north, south) = rows[m * stride..][..lanes.pair()].split_at(lanes.row);
            let mut north = [on.load(&north[re..]), on.load(&north[im..])];
            let mut south = [on.load(&south[re..]), on.load(&south[im..])];
            if let Some(turn) = phase.value() {
                north = turned(on, north, turn);
                south = turned(on, south, turn);
            }
            let (bin, mirror) = phase.bins();
            let [own, other] = folded(on, north, south);
            if m == 0 {
                bins[0] = [south[0], north[0]];
            } else if m < fresh {
                (bins[bin], bins[mirror]) = (own, other);
            } else {
                for (at, more) in [(bin, own), (mirror, other)] {
                    let [re, im] = bins[at];
                    bins[at] = [on.add(re, more[0]), on.add(im, more[1])];
                }
            }
            phase.advance();
        }
        let bins = self.buffer.forward(on, length);
        let first = component * lanes.batch + at;
        for (pixel, bin) in self.north.chunks_exact_mut(lanes.signals).zip(bins) {
            on.store(&mut pixel[first..], bin[1]);
        }
        if pair.has_south {
            for (pixel, bin) in self.south.chunks_exact_mut(lanes.signals).zip(bins) {
                on.store(&mut pixel[first..], bin[0]);
            }
        }
        A::WIDTH
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
    fn with_simd<S: Simd>(mut self, simd: S) {
        let registers = T::registers(simd);
        for component in 0..self.lanes.components {
            let mut at = 0;
            while at < self.lanes.batch {
                let left = self.lanes.batch - at;
                at += match left {
                    _ if left >= width_of::<T, _>(registers) => self.run(registers, component, at),
                    8.. => self.run(Arrays::<8>, component, at),
                    4.. => self.run(Arrays::<4>, component, at),
                    2.. => self.run(Arrays::<2>, component, at),
                    _ => self.run(Arrays::<1>, component, at),
                };
            }
        }
    }
}

impl<T: Sample> RingAdjoint<'_, T> {
    /// Some maps of one component; returns how many.
    #[inline(always)]
    fn run<A: Abreast<T>>(&mut self, on: A, component: usize, at: usize) -> usize {
        let Self { rings, pair, lanes, orders, north, south, .. } = *self;
        let n = pair.n_phi;
        let length = &rings.lengths[n / 4 - 1];
        let first = component * lanes.batch + at;
        let bins = self.buffer.bins(on, n);
        for (bin, pixel) in bins.iter_mut().zip(north.chunks_exact(lanes.signals)) {
            *bin = [on.load(&pixel[first..]), on.zero()];
        }
        if pair.has_south {
            for (bin, pixel) in bins.iter_mut().zip(south.chunks_exact(lanes.signals)) {
                bin[1] = on.load(&pixel[first..]);
            }
        }
        let bins = self.buffer.forward(on, length);
        let half = T::narrow(0.5);
        let [re, im] = [0, 1].map(|part| lanes.lane(component, part) + at);
        let mut phase = Phase::new(length, pair);
        for row in self.rows.chunks_exact_mut(lanes.pair()).take(orders) {
            let (bin, mirror) = phase.bins();
            let ([z_re, z_im], [w_re, w_im]) = (bins[bin], bins[mirror]);
            let modes = [
                [on.add(z_re, w_re), on.sub(z_im, w_im)],
                [on.add(z_im, w_im), on.sub(w_re, z_re)],
            ];
            let (cos, sin) = phase.value().unwrap_or((T::one(), T::zero()));
            let (north, south) = row.split_at_mut(lanes.row);
            for (side, mode) in [north, south].into_iter().zip(modes) {
                let [mode_re, mode_im] = turned(on, mode, (half * cos, -half * sin));
                on.store(&mut side[re..], mode_re);
                on.store(&mut side[im..], mode_im);
            }
            phase.advance();
        }
        A::WIDTH
    }
}

/// Signals side by side.
#[inline(always)]
fn width_of<T, A: Abreast<T>>(_: A) -> usize {
    A::WIDTH
}

/// What order m > 0 of the north and the south adds to its bin and to that of −m, real and
/// imaginary parts exchanged.
#[inline(always)]
fn folded<T, A: Abreast<T>>(
    on: A,
    [n_re, n_im]: Bin<A::Row>,
    [s_re, s_im]: Bin<A::Row>,
) -> [Bin<A::Row>; 2] {
    [[on.add(n_im, s_re), on.sub(n_re, s_im)], [on.sub(s_re, n_im), on.add(n_re, s_im)]]
}
