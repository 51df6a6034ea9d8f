//! Tables on the full HEALPix sphere, NEST ordering.
//!
//! Kernels follow Campeti et al. (2025), Appendix A.1: around the centre i with
//! local basis (θ̂, φ̂, r̂), a neighbour v has X = v·θ̂, Y = v·φ̂, Z = v·r̂ and
//!
//! ```text
//! g = exp(−p₂ n² [X² + Y² + (Z−1)²]),   kept where g² > τ
//! w = g exp(iπ p n (Y cos β − X sin β)), made zero-mean over the support, Σ|w| = 1
//! ```

use crate::bank::{EQUATOR, FilterBank, Frame, KernelSize, WaveletError};
use crate::stencil::{Sparse, Stencil, TurnedRow};
use rayon::prelude::*;
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
/// The grid and its local bases repeat after a quarter turn about the poles: in NEST,
/// base pixels 4k to 4k + 3 are one after the other, pixel by pixel. Where β changes by
/// whole steps π/R in such a turn, or not at all, one base pixel of four is tabulated.
///
/// # Errors
/// [`WaveletError::Orientations`] if the bank does not hold together.
pub fn wavelets(nside: Nside, bank: &FilterBank) -> Result<Stencil, WaveletError> {
    bank.check()?;
    let vectors = centre_vectors(nside, Ordering::Nest);
    let shared = match bank.frame {
        Frame::Meridian => true,
        Frame::Centre => bank.orientations.is_multiple_of(2),
        Frame::Neighbour => false,
    };
    let face = nside.npix() / 12;
    let tabulated = if shared { 3 * face } else { 12 * face };
    // The row of a pixel in the table, and how many quarter turns it is ahead of it.
    let place = |pixel: usize| match shared {
        true => (pixel / (4 * face) * face + pixel % face, pixel / face % 4),
        false => (pixel, 0),
    };
    let rows: Vec<(Vec<usize>, Vec<f64>)> = (0..tabulated)
        .into_par_iter()
        .map(|row| {
            let pixel = if shared { row / face * 4 * face + row % face } else { row };
            wavelet_row(nside, bank, pixel, &vectors)
        })
        .collect();
    let (members, weights): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
    let rows = (0..nside.npix()).map(|pixel| {
        let (row, quarters) = place(pixel);
        let ahead = |p: usize| p / (4 * face) * 4 * face + (p + quarters * face) % (4 * face);
        let turns = match bank.frame {
            Frame::Centre if vectors[pixel][2] < -EQUATOR => (4 - quarters) % 4,
            Frame::Centre => quarters,
            Frame::Meridian | Frame::Neighbour => 0,
        };
        TurnedRow {
            columns: members[row].iter().map(|&p| ahead(p) as u32).collect(),
            weights: row,
            turns: turns as u8,
        }
    });
    Ok(Stencil::turned(bank.orientations, &weights, rows))
}

/// Columns and weights `[entry][orientation][re, im]` of one pixel.
fn wavelet_row(
    nside: Nside,
    bank: &FilterBank,
    pixel: usize,
    vectors: &[[f64; 3]],
) -> (Vec<usize>, Vec<f64>) {
    let scale = std::f64::consts::PI * bank.kernel.wave_number() * nside.get() as f64;
    let frame = local_frame(nside, Ordering::Nest, pixel);
    let (_, phi) = pix2ang(nside, Ordering::Nest, pixel);
    let members = support(nside, &frame, bank.kernel, vectors);
    let mut row = vec![0.0; 2 * bank.orientations * members.len()];
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
        for (entry, w) in row.chunks_exact_mut(2 * bank.orientations).zip(&w) {
            entry[2 * orientation..][..2].copy_from_slice(&[w.0 / norm, w.1 / norm]);
        }
    }
    (members.iter().map(|m| m.pixel).collect(), row)
}

/// The smoothing that goes with the wavelets: weights g/Σg on the same support.
pub fn smoothing(nside: Nside, size: KernelSize) -> Sparse {
    let vectors = centre_vectors(nside, Ordering::Nest);
    let rows: Vec<Vec<(u32, f64)>> = (0..nside.npix())
        .into_par_iter()
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
