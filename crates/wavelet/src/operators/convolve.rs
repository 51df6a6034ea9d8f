//! All oriented wavelets of one scale applied to real fields.

use crate::stencil::Stencil;
use skyscat_autodiff::device::{Binding, DeviceCall, DeviceWork, Run};
use skyscat_autodiff::{
    CpuKernel, Field, Forward, GraphError, Keeps, Kernel, Operator, Pullback, Shape, for_rows,
};
use skyscat_num::{Real, Simd, WithSimd, dispatch};
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
        let (pattern, entries, results) = match call.is_forward() {
            true => (&stencil.forward, Binding::Unused, stencil.orientations),
            false => (&stencil.backward, Binding::indices(stencil.backward_entries()), 1),
        };
        let bindings = vec![
            Binding::indices(&pattern.offsets),
            Binding::indices(&pattern.columns),
            entries,
            stencil.all_weights(call),
            from,
            to,
        ];
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
            dispatch::<T, _>(x.lanes, job);
        });
    }

    fn pullback<T: Real>(&self, call: Pullback<'_, T>) {
        let channels = call.inputs[0].shape.channels;
        let g = call.cotangent;
        for_rows(call.gradient, channels * g.lanes, |first, rows| {
            let job = BackwardRows { stencil: &self.stencil, g, channels, first, rows };
            dispatch::<T, _>(g.lanes, job);
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
        let stride = 2 * orientations * x.stride();
        for (i, out) in rows.chunks_exact_mut(stride).enumerate() {
            let row = Row { stencil, x, pixel: first + i };
            let mut l = 0;
            while l < orientations {
                match orientations - l {
                    1 => l += row.block::<S, 1>(simd, l, out),
                    2 => l += row.block::<S, 2>(simd, l, out),
                    3 => l += row.block::<S, 3>(simd, l, out),
                    _ => l += row.block::<S, 4>(simd, l, out),
                }
            }
        }
    }
}

struct Row<'a, T> {
    stencil: &'a Stencil,
    x: Field<'a, T>,
    pixel: usize,
}

impl<T: Real> Row<'_, T> {
    /// `N` orientations from `l` on, of all channels of one pixel.
    #[inline(always)]
    fn block<S: Simd, const N: usize>(&self, simd: S, l: usize, out: &mut [T]) -> usize {
        let registers = T::regs::<S>(&self.x.data[..self.x.lanes]).len();
        let columns = self.x.stride() / (self.x.lanes / registers);
        let mut c = 0;
        while S::REGISTER_COUNT >= 32 && c + 2 <= columns {
            self.columns::<S, N, 2>(simd, l, c, out);
            c += 2;
        }
        while c < columns {
            self.columns::<S, N, 1>(simd, l, c, out);
            c += 1;
        }
        N
    }

    /// `N` orientations of `B` neighbouring registers of a row.
    #[inline(always)]
    fn columns<S: Simd, const N: usize, const B: usize>(
        &self,
        simd: S,
        l: usize,
        c: usize,
        out: &mut [T],
    ) {
        let (pixels, weights) = self.stencil.table_row::<T>(self.pixel);
        let per = 2 * self.stencil.orientations;
        let stride = self.x.stride();
        let zero = T::splat(simd, T::default());
        let mut sum = [[[zero; B]; 2]; N];
        for (&k, w) in pixels.iter().zip(weights.chunks_exact(per)) {
            let x = T::regs::<S>(&self.x.data[k as usize * stride..][..stride]);
            let x: &[_; B] = x[c..].first_chunk().expect("neighbouring registers");
            let w: &[_; N] = w.as_chunks::<2>().0[l..].first_chunk().expect("orientations");
            for (sum, w) in sum.iter_mut().zip(w) {
                for (sum, w) in sum.iter_mut().zip(w) {
                    let w = T::splat(simd, *w);
                    for (sum, x) in sum.iter_mut().zip(x) {
                        *sum = T::mul_add(simd, w, *x, *sum);
                    }
                }
            }
        }
        let registers = T::regs::<S>(&self.x.data[..self.x.lanes]).len();
        let columns = T::regs::<S>(&self.x.data[..stride]).len();
        let out = T::regs_mut::<S>(out);
        let turn = &self.stencil.turn(self.pixel)[l..l + N];
        for (to, [re, im]) in turn.iter().zip(&sum) {
            for (b, (re, im)) in re.iter().zip(im).enumerate() {
                // Channel (l, c) holds its real registers, then its imaginary ones.
                let (channel, lane) = ((c + b) / registers, (c + b) % registers);
                let at = to.orientation * 2 * columns + channel * 2 * registers + lane;
                out[at] = *re;
                out[at + registers] = if to.conjugate { T::vsub(simd, zero, *im) } else { *im };
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
        let registers = T::regs::<S>(&rows[..g.lanes]).len();
        for (i, out) in rows.chunks_exact_mut(channels * g.lanes).enumerate() {
            let out = T::regs_mut::<S>(out);
            for (channel, out) in out.chunks_exact_mut(registers).enumerate() {
                let column = Column { stencil, g, channels, channel, row: first + i };
                let mut lane = 0;
                while lane < registers {
                    lane += match registers - lane {
                        1 => column.back::<S, 1>(simd, lane, out),
                        2 => column.back::<S, 2>(simd, lane, out),
                        _ => column.back::<S, 3>(simd, lane, out),
                    };
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
    fn back<S: Simd, const B: usize>(&self, simd: S, lane: usize, out: &mut [T::Reg<S>]) -> usize {
        let (stencil, stride) = (self.stencil, self.g.stride());
        let (r, registers) = (stencil.orientations, out.len());
        let weights = stencil.weights.get::<T>();
        let range = stencil.backward.entries(self.row);
        let entries = &stencil.backward_entry[range.clone()];
        let out: &mut [_; B] = out[lane..].first_chunk_mut().expect("neighbouring registers");
        let mut sum = [*out, [T::splat(simd, T::default()); B]];
        for (&p, &e) in stencil.backward.columns[range].iter().zip(entries) {
            let row = T::regs::<S>(&self.g.data[p as usize * stride..][..stride]);
            let w = &weights[2 * r * e as usize..][..2 * r];
            for (w, to) in w.as_chunks::<2>().0.iter().zip(stencil.turn(p as usize)) {
                let at = (to.orientation * self.channels + self.channel) * 2 * registers + lane;
                let re: &[_; B] = row[at..].first_chunk().expect("a real part");
                let im: &[_; B] = row[at + registers..].first_chunk().expect("an imaginary one");
                let w_im = if to.conjugate { -w[1] } else { w[1] };
                for (part, (w, g)) in sum.iter_mut().zip([(w[0], re), (w_im, im)]) {
                    let w = T::splat(simd, w);
                    part.iter_mut().zip(g).for_each(|(s, g)| *s = T::mul_add(simd, w, *g, *s));
                }
            }
        }
        for ((out, re), im) in out.iter_mut().zip(sum[0]).zip(sum[1]) {
            *out = T::vadd(simd, re, im);
        }
        B
    }
}
