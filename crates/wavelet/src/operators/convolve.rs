//! All oriented wavelets of one scale applied to real fields.

use super::blocks::{Starts, block_of, lanes_of, starts};
use crate::stencil::Stencil;
use skyscat_autodiff::device::{DeviceCall, DeviceWork, Run};
use skyscat_autodiff::{
    CpuKernel, Field, Forward, GraphError, Keeps, Kernel, Operator, Pullback, Shape, for_rows,
};
use skyscat_num::{Real, Simd, WithSimd, dispatch_overlapping};
use std::sync::Arc;

/// (I⋆ψ_l)(i) = Σ_k w_{ikl} I_k for every orientation l and every channel.
///
/// Input `[pixel][C]` real, output `[pixel][R·C]` complex with the new
/// orientation outermost: channel l·C + c.
#[derive(Debug)]
pub struct Convolve {
    stencil: Arc<Stencil>,
}

impl Convolve {
    /// The convolution with a stencil.
    pub fn new(stencil: Arc<Stencil>) -> Self {
        Self { stencil }
    }
}

impl Operator for Convolve {
    fn name(&self) -> &'static str {
        "convolve"
    }
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, GraphError> {
        match inputs {
            [x] if x.rows == self.stencil.rows() && !x.complex => {
                Ok(Shape::complex(x.rows, self.stencil.orientations * x.channels))
            }
            _ => Err(self.refuse(inputs, &format!("one real map of {} rows", self.stencil.rows()))),
        }
    }
    fn keeps(&self) -> Keeps {
        Keeps::Nothing
    }
    fn flops(&self, inputs: &[Shape]) -> f64 {
        let per_entry = 4 * self.stencil.orientations * inputs[0].channels;
        (self.stencil.entries() * per_entry) as f64
    }
    fn table_bytes(&self) -> f64 {
        self.stencil.bytes()
    }
    fn cpu(&self) -> &dyn CpuKernel {
        self
    }
    fn gpu(&self, call: &DeviceCall<'_>) -> Option<DeviceWork<'_>> {
        let x = call.inputs[0];
        let stencil = &*self.stencil;
        let (from, to) = call.ends();
        let sizes = [
            ("pixels", x.rows),
            ("channels", x.channels),
            ("orientations", stencil.orientations),
            ("quads", call.quads()),
        ];
        let results = if call.is_forward() { stencil.orientations } else { 1 };
        let bindings = vec![stencil.table(call.pass), stencil.all_weights(call), from, to];
        let invocations = x.reals() * results * call.quads();
        Some(DeviceWork::one(Run::new(("convolve", call.entry()), &sizes, bindings, invocations)))
    }
}

impl Kernel for Convolve {
    fn forward<T: Real>(&self, call: Forward<'_, T>) {
        let x = call.inputs[0];
        let orientations = self.stencil.orientations;
        let stride = 2 * orientations * x.stride();
        for_rows(call.output, stride, |first, rows| {
            let job = ForwardRows { stencil: &self.stencil, x, first, rows };
            dispatch_overlapping::<T, _>(x.lanes, job);
        });
    }

    fn pullback<T: Real>(&self, call: Pullback<'_, T>) {
        let channels = call.inputs[0].shape.channels;
        let g = call.cotangent;
        for_rows(call.gradient, channels * g.lanes, |first, rows| {
            let job = BackwardRows { stencil: &self.stencil, g, channels, first, rows };
            dispatch_overlapping::<T, _>(g.lanes, job);
        });
    }
}

struct ForwardRows<'a, T> {
    stencil: &'a Stencil,
    x: Field<'a, T>,
    first: usize,
    rows: &'a mut [T],
}

impl<T: Real> WithSimd for ForwardRows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { stencil, x, first, rows } = self;
        let orientations = stencil.orientations;
        let registers = x.lanes.div_ceil(lanes_of::<T, S>());
        let most = if S::REGISTER_COUNT >= 32 { 4 } else { 2 };
        for (i, out) in rows.chunks_exact_mut(2 * orientations * x.stride()).enumerate() {
            for channel in 0..x.shape.channels {
                let row = Row { stencil, x, channel, pixel: first + i };
                let mut l = 0;
                while l < orientations {
                    l += match most.min(orientations - l) {
                        1 => row.block::<S, 1>(simd, l, registers, out),
                        2 => row.block::<S, 2>(simd, l, registers, out),
                        3 => row.block::<S, 3>(simd, l, registers, out),
                        _ => row.block::<S, 4>(simd, l, registers, out),
                    };
                }
            }
        }
    }
}

/// One channel of one pixel.
struct Row<'a, T> {
    stencil: &'a Stencil,
    x: Field<'a, T>,
    channel: usize,
    pixel: usize,
}

impl<T: Real> Row<'_, T> {
    /// `N` orientations from `l` on.
    #[inline(always)]
    fn block<S: Simd, const N: usize>(
        &self,
        simd: S,
        l: usize,
        registers: usize,
        out: &mut [T],
    ) -> usize {
        let mut at = 0;
        while at < registers {
            let lanes = self.x.lanes;
            let block = block_of(registers - at);
            match block {
                1 => self.columns::<S, N, 1>(simd, l, starts::<T, S, 1>(at, lanes), out),
                2 => self.columns::<S, N, 2>(simd, l, starts::<T, S, 2>(at, lanes), out),
                _ => self.columns::<S, N, 3>(simd, l, starts::<T, S, 3>(at, lanes), out),
            }
            at += block;
        }
        N
    }

    /// `N` orientations of `B` registers.
    #[inline(always)]
    fn columns<S: Simd, const N: usize, const B: usize>(
        &self,
        simd: S,
        l: usize,
        starts: Starts<B>,
        out: &mut [T],
    ) {
        let (pixels, weights) = self.stencil.table_row::<T>(self.pixel);
        let per = 2 * self.stencil.orientations;
        let (lanes, stride) = (self.x.lanes, self.x.stride());
        let zero = T::splat(simd, T::default());
        let mut sum = [[[zero; B]; 2]; N];
        for (&k, w) in pixels.iter().zip(weights.chunks_exact(per)) {
            let x = &self.x.data[k as usize * stride + self.channel * lanes..][..lanes];
            let mut neighbour = [zero; B];
            for (register, &start) in neighbour.iter_mut().zip(&starts) {
                *register = T::load::<S>(&x[start..]);
            }
            let w: &[_; N] = w.as_chunks::<2>().0[l..].first_chunk().expect("orientations");
            for (sum, w) in sum.iter_mut().zip(w) {
                for (sum, w) in sum.iter_mut().zip(w) {
                    let w = T::splat(simd, *w);
                    for (sum, x) in sum.iter_mut().zip(&neighbour) {
                        *sum = T::mul_add(simd, w, *x, *sum);
                    }
                }
            }
        }
        let turn = &self.stencil.turn(self.pixel)[l..l + N];
        for (to, [re, im]) in turn.iter().zip(&sum) {
            let first = 2 * (to.orientation * stride + self.channel * lanes);
            let (out_re, out_im) = out[first..][..2 * lanes].split_at_mut(lanes);
            for ((&start, re), im) in starts.iter().zip(re).zip(im) {
                let im = if to.conjugate { T::vsub(simd, zero, *im) } else { *im };
                T::store::<S>(&mut out_re[start..], *re);
                T::store::<S>(&mut out_im[start..], im);
            }
        }
    }
}

struct BackwardRows<'a, T> {
    stencil: &'a Stencil,
    g: Field<'a, T>,
    channels: usize,
    first: usize,
    rows: &'a mut [T],
}

impl<T: Real> WithSimd for BackwardRows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { stencil, g, channels, first, rows } = self;
        let lanes = g.lanes;
        let registers = lanes.div_ceil(lanes_of::<T, S>());
        for (i, out) in rows.chunks_exact_mut(channels * lanes).enumerate() {
            for (channel, out) in out.chunks_exact_mut(lanes).enumerate() {
                let column = Column { stencil, g, channels, channel, row: first + i };
                let mut at = 0;
                while at < registers {
                    let block = block_of(registers - at);
                    match block {
                        1 => column.back::<S, 1>(simd, starts::<T, S, 1>(at, lanes), out),
                        2 => column.back::<S, 2>(simd, starts::<T, S, 2>(at, lanes), out),
                        _ => column.back::<S, 3>(simd, starts::<T, S, 3>(at, lanes), out),
                    }
                    at += block;
                }
            }
        }
    }
}

/// The gradient of one channel of a pixel.
struct Column<'a, T> {
    stencil: &'a Stencil,
    g: Field<'a, T>,
    channels: usize,
    channel: usize,
    row: usize,
}

impl<T: Real> Column<'_, T> {
    /// `B` neighbouring registers.
    #[inline(always)]
    fn back<S: Simd, const B: usize>(&self, simd: S, starts: Starts<B>, out: &mut [T]) {
        let (stencil, stride, lanes) = (self.stencil, self.g.stride(), out.len());
        let r = stencil.orientations;
        let weights = stencil.weights.get::<T>();
        let range = stencil.backward.entries(self.row);
        let entries = &stencil.backward_entry[range.clone()];
        // All are read before any is written, for two may share lanes.
        let mut sum = [[T::splat(simd, T::default()); B]; 2];
        for (sum, &start) in sum[0].iter_mut().zip(&starts) {
            *sum = T::load::<S>(&out[start..]);
        }
        for (&p, &e) in stencil.backward.columns[range].iter().zip(entries) {
            let row = &self.g.data[p as usize * stride..][..stride];
            let w = &weights[2 * r * e as usize..][..2 * r];
            for (w, to) in w.as_chunks::<2>().0.iter().zip(stencil.turn(p as usize)) {
                let at = (to.orientation * self.channels + self.channel) * 2 * lanes;
                let (re, im) = row[at..][..2 * lanes].split_at(lanes);
                let w_im = if to.conjugate { -w[1] } else { w[1] };
                for (part, (w, g)) in sum.iter_mut().zip([(w[0], re), (w_im, im)]) {
                    let w = T::splat(simd, w);
                    for (sum, start) in part.iter_mut().zip(starts) {
                        *sum = T::mul_add(simd, w, T::load::<S>(&g[start..]), *sum);
                    }
                }
            }
        }
        for ((start, re), im) in starts.into_iter().zip(sum[0]).zip(sum[1]) {
            T::store::<S>(&mut out[start..], T::vadd(simd, re, im));
        }
    }
}
