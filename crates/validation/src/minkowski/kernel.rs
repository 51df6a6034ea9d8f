//! The inner loops over thresholds and angles, compiled for the widest registers.

use super::derivatives::So3Derivatives;
use num_complex::Complex64;
use skyscat_num::Arch;
use std::f64::consts::{PI, SQRT_2};

/// Amplitudes over P: with P e^{−2iψ} = f + it a component is f Re r − t Im r.
#[derive(Clone, Copy)]
struct Ratios {
    gradient: [Complex64; 2],
    /// 11, 22, 12, 13, 23.
    hessian: [Complex64; 5],
}

impl Ratios {
    fn of(d: &So3Derivatives) -> Self {
        let inverse = d.p.inv();
        let h = &d.hessian;
        Self {
            gradient: [d.gradient[0] * inverse, d.gradient[1] * inverse],
            hessian: [h[0], h[1], h[3], h[4], h[5]].map(|h| h * inverse),
        }
    }

    /// |∇f|, nᵀHn − tr H and (nᵀ adj(H) n)/|∇f| where P e^{−2iψ} = f + it.
    #[inline(always)]
    fn densities(&self, f: f64, t: f64) -> [f64; 3] {
        let real = |r: &Complex64| f * r.re - t * r.im;
        let [g1, g2] = [real(&self.gradient[0]), real(&self.gradient[1])];
        let g3 = SQRT_2 * t;
        let [h11, h22, h12, h13, h23] = [
            real(&self.hessian[0]),
            real(&self.hessian[1]),
            real(&self.hessian[2]),
            real(&self.hessian[3]),
            real(&self.hessian[4]),
        ];
        let h33 = -2.0 * f;
        let square = g1 * g1 + g2 * g2 + g3 * g3;
        let along = g1 * g1 * h11
            + g2 * g2 * h22
            + g3 * g3 * h33
            + 2.0 * (g1 * g2 * h12 + g1 * g3 * h13 + g2 * g3 * h23);
        let adjugate = g1 * g1 * (h22 * h33 - h23 * h23)
            + g2 * g2 * (h11 * h33 - h13 * h13)
            + g3 * g3 * (h11 * h22 - h12 * h12)
            + 2.0
                * (g1 * g2 * (h13 * h23 - h12 * h33)
                    + g1 * g3 * (h12 * h23 - h13 * h22)
                    + g2 * g3 * (h12 * h13 - h11 * h23));
        let inverse2 = 1.0 / square;
        let norm = square.sqrt();
        // n = ∇f/|∇f|: the last one is adj(H) along ∇f over |∇f|³.
        [norm, along * inverse2 - (h11 + h22 + h33), adjugate * inverse2 * (norm * inverse2)]
    }
}

/// Adds a pixel's roots of f = u to `[V0..V3][threshold]`, without prefactors.
///
/// V0 takes arccos(u/|P|)/π, the others their densities at both roots.
fn add_roots(d: &So3Derivatives, thresholds: &[f64], sums: &mut [f64]) {
    let (square, count) = (d.p.norm_sqr(), thresholds.len());
    let size = square.sqrt();
    let low = thresholds.partition_point(|&u| u <= -size);
    let high = thresholds.partition_point(|&u| u < size);
    let (v0, rest) = sums.split_at_mut(count);
    v0[..low].iter_mut().for_each(|v| *v += 1.0);
    if low >= high {
        return;
    }
    for (v, u) in v0[low..high].iter_mut().zip(&thresholds[low..high]) {
        *v += (u / size).acos() / PI;
    }
    let ratios = Ratios::of(d);
    let (v1, rest) = rest.split_at_mut(count);
    let (v2, v3) = rest.split_at_mut(count);
    let (v1, v2, v3) = (&mut v1[low..high], &mut v2[low..high], &mut v3[low..high]);
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for (((u, v1), v2), v3) in thresholds[low..high].iter().zip(v1).zip(v2).zip(v3) {
                let t = (square - u * u).max(0.0).sqrt();
                let (a, b) = (ratios.densities(*u, t), ratios.densities(*u, -t));
                *v1 += a[0] + b[0];
                *v2 += a[1] + b[1];
                *v3 += a[2] + b[2];
            }
        },
    );
}

/// Equal bins around the thresholds.
#[derive(Clone, Copy)]
pub(super) struct Bins {
    /// Lower edge of the first bin.
    pub(super) first: f64,
    /// Width.
    pub(super) step: f64,
}

/// Scratch of [`add_volume`]: f and three densities at every angle.
pub(super) struct Angles {
    turn: Vec<Complex64>,
    values: [Vec<f64>; 4],
}

impl Angles {
    /// The middles of `samples` equal parts of a period, ψ = π(k + ½)/samples.
    pub(super) fn new(samples: usize) -> Self {
        let angle = |k: usize| 2.0 * PI * (k as f64 + 0.5) / samples as f64;
        let turn = (0..samples).map(|k| Complex64::from_polar(1.0, -angle(k))).collect();
        Self { turn, values: std::array::from_fn(|_| vec![0.0; samples]) }
    }
}

/// Adds a pixel's angles: V0 where f > u, densities into the bin of f.
fn add_volume(
    d: &So3Derivatives,
    thresholds: &[f64],
    bins: Bins,
    angles: &mut Angles,
    sums: &mut [f64],
) {
    let count = thresholds.len();
    if d.p.norm_sqr() == 0.0 {
        return;
    }
    let ratios = Ratios::of(d);
    let Angles { turn, values: [f, g1, g2, g3] } = angles;
    Arch::new().dispatch(
        #[inline(always)]
        || {
            let rows = f.iter_mut().zip(g1.iter_mut()).zip(g2.iter_mut()).zip(g3.iter_mut());
            for ((((f, g1), g2), g3), turn) in rows.zip(turn.iter()) {
                let (re, im) =
                    (d.p.re * turn.re - d.p.im * turn.im, d.p.re * turn.im + d.p.im * turn.re);
                *f = re;
                [*g1, *g2, *g3] = ratios.densities(re, im);
            }
        },
    );
    for (k, &f) in f.iter().enumerate() {
        let above = thresholds.partition_point(|&u| u < f);
        sums[..above].iter_mut().for_each(|v| *v += 1.0);
        let bin = ((f - bins.first) / bins.step).floor();
        if bin >= 0.0 && bin < count as f64 {
            let bin = bin as usize;
            sums[count + bin] += g1[k];
            sums[2 * count + bin] += g2[k];
            sums[3 * count + bin] += g3[k];
        }
    }
}

/// Sums over all pixels of the roots.
pub(super) fn roots(pixels: impl Iterator<Item = So3Derivatives>, thresholds: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; 4 * thresholds.len()];
    pixels.for_each(|d| add_roots(&d, thresholds, &mut sums));
    sums
}

/// Sums over all pixels and angles.
pub(super) fn volume(
    pixels: impl Iterator<Item = So3Derivatives>,
    thresholds: &[f64],
    bins: Bins,
    samples: usize,
) -> Vec<f64> {
    let mut sums = vec![0.0; 4 * thresholds.len()];
    let mut angles = Angles::new(samples);
    pixels.for_each(|d| add_volume(&d, thresholds, bins, &mut angles, &mut sums));
    sums
}
