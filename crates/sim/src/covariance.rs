//! The exact covariance of the maps, row by row.

use crate::templates::{Block3, Channels, Templates};
use rayon::prelude::*;
use skyscat_num::Par;
use std::ops::Range;

/// The covariance of maps whose gains are independent N(0, σ²).
///
/// C = Σ_{c,h} V_{ch} K_h V_{ch}ᵀ with K_h = σ² Σ_{d∈h} r_d r_dᵀ and r = w (1, cos 2χ,
/// sin 2χ). Its rows and columns are the channels one after another, each in RING
/// order: (Q, U), or (T, Q, U). With L_h L_hᵀ = K_h, C is the sum of outer products
/// of the columns of V L, which only touch the pixels of one chunk; so it is exactly
/// symmetric, and its rank is at most three a chunk and horn. With fewer chunks than
/// pixels it is singular: do not invert it without regularisation.
///
/// Rows are made when asked for, so that a matrix of any size can be streamed.
#[derive(Clone, Debug)]
pub struct Covariance {
    channels: Channels,
    npix: usize,
    /// Entries by pixel, as in the templates.
    offsets: Vec<usize>,
    columns: Vec<u32>,
    /// V L of these entries, the channel outermost.
    factors: Vec<Block3>,
    /// Entries by column: `starts[c]..starts[c + 1]`, their pixels and factors.
    starts: Vec<usize>,
    pixels: Vec<u32>,
    by_column: Vec<Block3>,
}

impl Templates {
    /// The covariance for gains of standard deviation σ.
    pub fn covariance(&self, sigma: f64, channels: Channels) -> Covariance {
        let roots: Vec<Block3> = (0..self.horns).map(|h| root(self.gram(h, sigma))).collect();
        let factors: Vec<Block3> = self
            .columns
            .iter()
            .zip(&self.blocks)
            .map(|(&column, block)| {
                let l = roots[column as usize % self.horns];
                block.map(|v| std::array::from_fn(|k| (0..3).map(|m| v[m] * l[m][k]).sum()))
            })
            .collect();
        let mut starts = vec![0usize; self.chunks * self.horns + 1];
        self.columns.iter().for_each(|&c| starts[c as usize + 1] += 1);
        (1..starts.len()).for_each(|c| starts[c] += starts[c - 1]);
        let mut next = starts.clone();
        let mut pixels = vec![0; factors.len()];
        let mut by_column = vec![[[0.0; 3]; 3]; factors.len()];
        for pixel in 0..self.nside.npix() {
            for entry in self.offsets[pixel]..self.offsets[pixel + 1] {
                let place = &mut next[self.columns[entry] as usize];
                pixels[*place] = pixel as u32;
                by_column[*place] = factors[entry];
                *place += 1;
            }
        }
        Covariance {
            channels,
            npix: self.nside.npix(),
            offsets: self.offsets.clone(),
            columns: self.columns.clone(),
            factors,
            starts,
            pixels,
            by_column,
        }
    }

    /// K of a horn.
    fn gram(&self, horn: usize, sigma: f64) -> Block3 {
        let mut gram = [[0.0; 3]; 3];
        for (r, &h) in self.response.iter().zip(&self.detector_horn) {
            if h as usize == horn {
                for i in 0..3 {
                    for j in 0..3 {
                        gram[i][j] += sigma * sigma * r[i] * r[j];
                    }
                }
            }
        }
        gram
    }
}

/// Lower triangle L with L Lᵀ = K for K ≥ 0; a direction without variance gets a
/// zero column.
fn root(k: Block3) -> Block3 {
    let largest = k[0][0].max(k[1][1]).max(k[2][2]);
    let mut l = [[0.0; 3]; 3];
    for j in 0..3 {
        let rest = |i: usize, l: &Block3| k[i][j] - (0..j).map(|m| l[i][m] * l[j][m]).sum::<f64>();
        let pivot = rest(j, &l);
        if pivot <= 8.0 * f64::EPSILON * largest {
            continue;
        }
        l[j][j] = pivot.sqrt();
        for i in j + 1..3 {
            l[i][j] = rest(i, &l) / l[j][j];
        }
    }
    l
}

impl Covariance {
    /// Rows, and columns: channels times pixels.
    pub fn dim(&self) -> usize {
        self.channels.count() * self.npix
    }

    /// The channels that are stacked.
    pub fn channels(&self) -> Channels {
        self.channels
    }

    /// Rows `rows` into `out`, row after row, K².
    ///
    /// A row has the same bits whatever range it is asked for in, and for any number
    /// of threads.
    ///
    /// # Panics
    /// If `rows` ends beyond [`Covariance::dim`], or `out` is not rows × dim long.
    pub fn rows(&self, rows: Range<usize>, out: &mut [f64], par: &Par) {
        let dim = self.dim();
        assert!(rows.end <= dim, "row {} of {dim}", rows.end);
        assert_eq!(out.len(), rows.len() * dim, "rows times dim numbers");
        let first = rows.start;
        par.install(|| {
            out.par_chunks_mut(dim).enumerate().for_each(|(i, row)| self.row(first + i, row));
        });
    }

    fn row(&self, index: usize, out: &mut [f64]) {
        let (channel, pixel) = (index / self.npix, index % self.npix);
        let first = self.channels.first();
        out.fill(0.0);
        for entry in self.offsets[pixel]..self.offsets[pixel + 1] {
            let own = self.factors[entry][first + channel];
            let column = self.columns[entry] as usize;
            let range = self.starts[column]..self.starts[column + 1];
            for (&p, other) in self.pixels[range.clone()].iter().zip(&self.by_column[range]) {
                for (plane, f) in other[first..].iter().enumerate() {
                    out[plane * self.npix + p as usize] += dot(own, *f);
                }
            }
        }
    }

    /// The diagonal, K²: the same bits as in the rows.
    pub fn diagonal(&self) -> Vec<f64> {
        (0..self.dim())
            .map(|index| {
                let (channel, pixel) = (index / self.npix, index % self.npix);
                let entries = &self.factors[self.offsets[pixel]..self.offsets[pixel + 1]];
                entries.iter().fold(0.0, |sum, f| {
                    let own = f[self.channels.first() + channel];
                    sum + dot(own, own)
                })
            })
            .collect()
    }
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_square_to_the_matrix_also_when_it_is_singular() {
        let full = [[4.0, 1.0, -0.5], [1.0, 2.0, 0.25], [-0.5, 0.25, 2.0]];
        // One detector: r rᵀ.
        let r: [f64; 3] = [2.0, -1.2, 1.6];
        let single = r.map(|a| r.map(|b| a * b));
        for k in [full, single, [[0.0; 3]; 3]] {
            let l = root(k);
            for i in 0..3 {
                for j in 0..3 {
                    assert!((dot(l[i], l[j]) - k[i][j]).abs() < 1e-14);
                }
            }
        }
    }
}
