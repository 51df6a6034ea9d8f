//! Tables on the full HEALPix sphere, NEST ordering.
//!
//! Kernels follow Campeti et al. (2025), Appendix A.1: around the centre i with
//! local basis (θ̂, φ̂, r̂), a neighbour v has X = v·θ̂, Y = v·φ̂, Z = v·r̂ and
//!
//! ```text
//! g = exp(−p₂ n² [X² + Y² + (Z−1)²]),   kept where g² > τ
//! w = g exp(iπ p n (Y cos β − X sin β)), made zero-mean over the support, Σ|w| = 1
//! ```

use crate::bank::{FilterBank, KernelSize, WaveletError};
use crate::stencil::{Sparse, Stencil};
use skyscat_healpix::{
    LocalFrame, Nside, Ordering, centre_vectors, children, interpolation, local_frame, pix2ang,
    query_disc,
};

/// A pixel of a kernel's support: index, envelope, and (X, Y).
struct Member {
    pixel: usize,
    envelope: f64,
    x: f64,
    y: f64,
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// Pixels of the support around a centre, in ascending order.
fn support(
    nside: Nside,
    frame: &LocalFrame,
    size: KernelSize,
    vectors: &[[f64; 3]],
) -> Vec<Member> {
    let n = nside.get() as f64;
    let radius = (2.0 * std::f64::consts::PI / n).min(std::f64::consts::PI);
    let mut members: Vec<Member> = query_disc(nside, Ordering::Nest, frame.r, radius)
        .into_iter()
        .filter_map(|pixel| {
            let v = vectors[pixel];
            let (x, y, z) = (dot(v, frame.e_theta), dot(v, frame.e_phi), dot(v, frame.r));
            let chord2 = x * x + y * y + (z - 1.0).powi(2);
            let envelope = (-size.envelope() * n * n * chord2).exp();
            (envelope * envelope > size.threshold()).then_some(Member { pixel, envelope, x, y })
        })
        .collect();
    members.sort_by_key(|m| m.pixel);
    members
}

/// The oriented wavelets of one resolution.
///
/// # Errors
/// [`WaveletError::Orientations`] if the bank does not hold together.
pub fn wavelets(nside: Nside, bank: &FilterBank) -> Result<Stencil, WaveletError> {
    bank.check()?;
    let vectors = centre_vectors(nside, Ordering::Nest);
    let scale = std::f64::consts::PI * bank.kernel.wave_number() * nside.get() as f64;
    let rows: Vec<Vec<(u32, Vec<f64>)>> = (0..nside.npix())
        .map(|pixel| {
            let frame = local_frame(nside, Ordering::Nest, pixel);
            let (_, phi) = pix2ang(nside, Ordering::Nest, pixel);
            let members = support(nside, &frame, bank.kernel, &vectors);
            let mut row: Vec<(u32, Vec<f64>)> =
                members.iter().map(|m| (m.pixel as u32, Vec::new())).collect();
            for orientation in 0..bank.orientations {
                let mut w: Vec<(f64, f64)> = members
                    .iter()
                    .map(|m| {
                        let (zc, zn) = (frame.r[2], vectors[m.pixel][2]);
                        let beta = bank.angle(orientation, phi, zc, zn);
                        let phase = scale * (m.y * beta.cos() - m.x * beta.sin());
                        (m.envelope * phase.cos(), m.envelope * phase.sin())
                    })
                    .collect();
                let count = w.len() as f64;
                let sum = w.iter().fold((0.0, 0.0), |s, w| (s.0 + w.0, s.1 + w.1));
                w.iter_mut().for_each(|w| *w = (w.0 - sum.0 / count, w.1 - sum.1 / count));
                let norm: f64 = w.iter().map(|w| w.0.hypot(w.1)).sum();
                for (entry, w) in row.iter_mut().zip(&w) {
                    entry.1.extend([w.0 / norm, w.1 / norm]);
                }
            }
            row
        })
        .collect();
    Ok(Stencil::new(bank.orientations, &rows))
}

/// The smoothing that goes with the wavelets: weights g/Σg on the same support.
pub fn smoothing(nside: Nside, size: KernelSize) -> Sparse {
    let vectors = centre_vectors(nside, Ordering::Nest);
    let rows: Vec<Vec<(u32, f64)>> = (0..nside.npix())
        .map(|pixel| {
            let frame = local_frame(nside, Ordering::Nest, pixel);
            let members = support(nside, &frame, size, &vectors);
            let total: f64 = members.iter().map(|m| m.envelope).sum();
            members.iter().map(|m| (m.pixel as u32, m.envelope / total)).collect()
        })
        .collect();
    Sparse::new(nside.npix(), &rows)
}

/// The mean of the four children, from `nside` to half of it.
///
/// # Errors
/// [`WaveletError::Healpix`] at nside 1, which has no coarser resolution.
pub fn degrading(nside: Nside) -> Result<Sparse, WaveletError> {
    let coarse = nside.coarser().ok_or(skyscat_healpix::HealpixError::Nside { given: 0 })?;
    let rows: Vec<Vec<(u32, f64)>> = (0..coarse.npix())
        .map(|pixel| children(pixel, 1).map(|child| (child as u32, 0.25)).collect())
        .collect();
    Ok(Sparse::new(nside.npix(), &rows))
}

/// Values at the centres of a finer resolution, by four-point interpolation.
///
/// # Errors
/// [`WaveletError::Healpix`] if `levels` doublings pass the largest resolution.
pub fn upgrading(nside: Nside, levels: u32) -> Result<Sparse, WaveletError> {
    let fine = Nside::new(nside.get() << levels)?;
    let rows: Vec<Vec<(u32, f64)>> = (0..fine.npix())
        .map(|pixel| {
            let (theta, phi) = pix2ang(fine, Ordering::Nest, pixel);
            let (pixels, weights) = interpolation(nside, Ordering::Nest, theta, phi);
            let mut row: Vec<(u32, f64)> = Vec::new();
            for (&p, &w) in pixels.iter().zip(&weights) {
                match row.iter_mut().find(|e| e.0 == p as u32) {
                    Some(entry) => entry.1 += w,
                    None => row.push((p as u32, w)),
                }
            }
            row.sort_by_key(|e| e.0);
            row
        })
        .collect();
    Ok(Sparse::new(nside.npix(), &rows))
}
