//! Tables that operators read: oriented stencils, sparse matrices and masks.

use crate::WaveletError;
use skyscat_autodiff::device::{Binding, DeviceCall, DeviceNumber, DevicePass};
use skyscat_num::{Real, Table};
use std::sync::OnceLock;

/// Rows of a sparse matrix: which entries belong to a row, and their columns.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pattern {
    pub(crate) offsets: Vec<u32>,
    pub(crate) columns: Vec<u32>,
}

impl Pattern {
    pub(crate) fn rows(&self) -> usize {
        self.offsets.len() - 1
    }

    pub(crate) fn entries(&self, row: usize) -> std::ops::Range<usize> {
        self.offsets[row] as usize..self.offsets[row + 1] as usize
    }

    /// The pattern of the transpose, and for each of its entries the index of
    /// the same entry in `self`. Rows stay in ascending order of columns.
    fn transpose(&self, columns: usize) -> (Pattern, Vec<u32>) {
        let mut offsets = vec![0u32; columns + 1];
        for &c in &self.columns {
            offsets[c as usize + 1] += 1;
        }
        for c in 0..columns {
            offsets[c + 1] += offsets[c];
        }
        let mut next = offsets.clone();
        let mut rows = vec![0; self.columns.len()];
        let mut source = vec![0; self.columns.len()];
        for row in 0..self.rows() {
            for e in self.entries(row) {
                let at = &mut next[self.columns[e] as usize];
                rows[*at as usize] = row as u32;
                source[*at as usize] = e as u32;
                *at += 1;
            }
        }
        (Pattern { offsets, columns: rows }, source)
    }
}

/// Complex weights of R oriented wavelets on one support a pixel.
///
/// Pixels that a rotation by quarter turns about the poles carries into each other have
/// the same weights, but for which orientation is which; those may stand once in the
/// table, in a quarter of the memory.
#[derive(Debug)]
pub struct Stencil {
    pub(crate) forward: Pattern,
    pub(crate) backward: Pattern,
    /// For each entry of `backward`, where its weights stand.
    pub(crate) backward_entry: Vec<u32>,
    /// `[entry][orientation][re, im]`.
    pub(crate) weights: Table,
    pub(crate) orientations: usize,
    /// For each row, the entry of the table where its weights begin.
    first: Vec<u32>,
    /// For each row, the quarter turns that its orientations are ahead of the table's.
    turns: Vec<u8>,
    /// For each number of quarter turns, which orientation one of the table is.
    targets: [Vec<Turned>; 4],
    expanded: Expanded,
}

/// What a row of the table stands for at a turned pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turned {
    pub(crate) orientation: usize,
    /// Whether the weights are conjugated.
    pub(crate) conjugate: bool,
}

/// Rows that share no weights, for devices, in the precision that is asked for.
#[derive(Debug, Default)]
struct Expanded {
    single: OnceLock<Vec<f32>>,
    double: OnceLock<Vec<f64>>,
    forward: OnceLock<Vec<u32>>,
    backward: OnceLock<Vec<u32>>,
}

/// A row of a stencil that takes its weights from another.
#[derive(Clone, Debug)]
pub(crate) struct TurnedRow {
    /// Columns, in the order of the entries whose weights they take.
    pub(crate) columns: Vec<u32>,
    /// Which row of weights.
    pub(crate) weights: usize,
    /// Quarter turns ahead of it.
    pub(crate) turns: u8,
}

impl Stencil {
    /// A square stencil from rows of (column, weights of all orientations as
    /// re, im pairs).
    pub fn new(orientations: usize, rows: &[Vec<(u32, Vec<f64>)>]) -> Self {
        let weights: Vec<Vec<f64>> =
            rows.iter().map(|row| row.iter().flat_map(|e| e.1.clone()).collect()).collect();
        let rows = rows.iter().enumerate().map(|(weights, row)| TurnedRow {
            columns: row.iter().map(|e| e.0).collect(),
            weights,
            turns: 0,
        });
        Self::turned(orientations, &weights, rows)
    }

    /// A square stencil whose rows share rows of weights, `[entry][orientation][re, im]`.
    ///
    /// Orientation l of the table is l + turns·R/2 at a turned row, and the conjugate of
    /// orientation l − R is orientation l: a turn by π reverses a wave.
    pub(crate) fn turned(
        orientations: usize,
        weights: &[Vec<f64>],
        rows: impl Iterator<Item = TurnedRow>,
    ) -> Self {
        let per = 2 * orientations;
        let mut starts = vec![0];
        for row in weights {
            starts.push(starts.last().expect("starts with 0") + (row.len() / per) as u32);
        }
        let mut forward = Pattern { offsets: vec![0], columns: Vec::new() };
        let (mut first, mut turns) = (Vec::new(), Vec::new());
        for row in rows {
            forward.columns.extend(row.columns);
            forward.offsets.push(forward.columns.len() as u32);
            first.push(starts[row.weights]);
            turns.push(row.turns);
        }
        let (backward, mut backward_entry) = forward.transpose(first.len());
        for (entry, &row) in backward_entry.iter_mut().zip(&backward.columns) {
            *entry = *entry - forward.offsets[row as usize] + first[row as usize];
        }
        let targets = std::array::from_fn(|turns| {
            let target = |l: usize| {
                let half_turns = 2 * l + turns * orientations;
                Turned {
                    orientation: half_turns / 2 % orientations,
                    conjugate: half_turns / (2 * orientations) % 2 == 1,
                }
            };
            (0..orientations).map(target).collect()
        });
        Self {
            forward,
            backward,
            backward_entry,
            weights: Table::new(weights.concat()),
            orientations,
            first,
            turns,
            targets,
            expanded: Expanded::default(),
        }
    }

    /// Number of pixels.
    pub fn rows(&self) -> usize {
        self.forward.rows()
    }

    /// Number of entries, all orientations counted once.
    pub fn entries(&self) -> usize {
        self.forward.columns.len()
    }

    /// Number of entries whose weights are stored: rows may share them.
    pub fn stored_entries(&self) -> usize {
        self.weights.get::<f64>().len() / (2 * self.orientations)
    }

    /// Bytes of columns and weights in double precision.
    pub(crate) fn bytes(&self) -> f64 {
        (4 * self.entries() + 16 * self.orientations * self.stored_entries()) as f64
    }

    /// Number of orientations.
    pub fn orientations(&self) -> usize {
        self.orientations
    }

    /// Columns and weights (`[entry][orientation][re, im]`) of a row.
    pub fn row(&self, row: usize) -> (&[u32], Vec<f64>) {
        let (columns, weights) = self.table_row::<f64>(row);
        let mut out = vec![0.0; weights.len()];
        let per = 2 * self.orientations;
        for (out, w) in out.chunks_exact_mut(per).zip(weights.chunks_exact(per)) {
            for (w, to) in w.chunks_exact(2).zip(self.turn(row)) {
                let sign = if to.conjugate { -1.0 } else { 1.0 };
                out[2 * to.orientation..][..2].copy_from_slice(&[w[0], sign * w[1]]);
            }
        }
        (columns, out)
    }

    /// Columns of a row and the weights in the table, whose orientation l is the row's
    /// `turn(row)[l]`.
    #[inline(always)]
    pub(crate) fn table_row<T: Real>(&self, row: usize) -> (&[u32], &[T]) {
        let columns = &self.forward.columns[self.forward.entries(row)];
        let per = 2 * self.orientations;
        let first = self.first[row] as usize * per;
        (columns, &self.weights.get::<T>()[first..first + columns.len() * per])
    }

    /// What the orientations of the table are at a row.
    #[inline(always)]
    pub(crate) fn turn(&self, row: usize) -> &[Turned] {
        &self.targets[usize::from(self.turns[row])]
    }

    /// All weights of all rows for a device, `[entry][orientation][re, im]`, in the order
    /// of the forward entries.
    pub(crate) fn all_weights(&self, call: &DeviceCall<'_>) -> Binding<'_> {
        let all = || (0..self.rows()).flat_map(|row| self.row(row).1);
        let Expanded { single, double, .. } = &self.expanded;
        match call.double {
            false => f32::binding(single.get_or_init(|| all().map(|w| w as f32).collect())),
            true => f64::binding(double.get_or_init(|| all().collect())),
        }
    }

    /// Offsets of the rows for a device, then the column of each entry; for a pullback
    /// those of the columns, then a row and an entry for each.
    pub(crate) fn table(&self, pass: DevicePass) -> Binding<'_> {
        let Expanded { forward, backward, .. } = &self.expanded;
        let entry = |(&at, &row): (&u32, &u32)| {
            [row, at - self.first[row as usize] + self.forward.offsets[row as usize]]
        };
        Binding::indices(match pass {
            DevicePass::Forward => forward.get_or_init(|| {
                let Pattern { offsets, columns } = &self.forward;
                [&offsets[..], columns].concat()
            }),
            _ => backward.get_or_init(|| {
                let entries = self.backward_entry.iter().zip(&self.backward.columns);
                self.backward.offsets.iter().copied().chain(entries.flat_map(entry)).collect()
            }),
        })
    }
}

/// A real sparse matrix with its transpose.
#[derive(Debug)]
pub struct Sparse {
    pub(crate) forward: Pattern,
    pub(crate) weights: Table,
    pub(crate) backward: Pattern,
    pub(crate) backward_weights: Table,
}

impl Sparse {
    /// A matrix of `columns` columns from rows of (column, weight).
    pub fn new(columns: usize, rows: &[Vec<(u32, f64)>]) -> Self {
        let mut forward = Pattern { offsets: vec![0], columns: Vec::new() };
        let mut weights = Vec::new();
        for row in rows {
            forward.columns.extend(row.iter().map(|e| e.0));
            weights.extend(row.iter().map(|e| e.1));
            forward.offsets.push(forward.columns.len() as u32);
        }
        let (backward, entry) = forward.transpose(columns);
        let backward_weights = entry.iter().map(|&e| weights[e as usize]).collect();
        Self {
            forward,
            weights: Table::new(weights),
            backward,
            backward_weights: Table::new(backward_weights),
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.forward.rows()
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.backward.rows()
    }

    /// Number of stored entries.
    pub fn entries(&self) -> usize {
        self.forward.columns.len()
    }

    /// Columns and weights of a row.
    pub fn row(&self, row: usize) -> (&[u32], &[f64]) {
        let range = self.forward.entries(row);
        (&self.forward.columns[range.clone()], &self.weights.get::<f64>()[range])
    }

    /// The product with another matrix: `self` after `first`.
    ///
    /// # Panics
    /// If the sizes do not fit.
    pub fn after(&self, first: &Sparse) -> Sparse {
        assert_eq!(self.columns(), first.rows(), "sizes of a matrix product");
        let rows: Vec<Vec<(u32, f64)>> = (0..self.rows())
            .map(|r| {
                let mut sum = std::collections::BTreeMap::new();
                let (middle, outer) = self.row(r);
                for (&m, &a) in middle.iter().zip(outer) {
                    let (columns, inner) = first.row(m as usize);
                    for (&c, &b) in columns.iter().zip(inner) {
                        *sum.entry(c).or_insert(0.0) += a * b;
                    }
                }
                sum.into_iter().collect()
            })
            .collect();
        Sparse::new(first.columns(), &rows)
    }

    /// The matrix applied to one map.
    ///
    /// # Panics
    /// If `x` has not one number a column.
    pub fn apply(&self, x: &[f64]) -> Vec<f64> {
        assert_eq!(x.len(), self.columns(), "length of the map");
        (0..self.rows())
            .map(|r| {
                let (columns, weights) = self.row(r);
                columns.iter().zip(weights).map(|(&c, &w)| w * x[c as usize]).sum()
            })
            .collect()
    }
}

/// Weights of the pixels in means: one or several masks of one resolution.
#[derive(Debug)]
pub struct Masks {
    /// `[pixel][mask]`, each mask's weights sum to 1.
    pub(crate) weights: Table,
    pub(crate) masks: usize,
    pub(crate) pixels: usize,
    totals: Vec<f64>,
}

impl Masks {
    /// One mask that counts every pixel.
    pub fn full(pixels: usize) -> Self {
        Self::new(&[vec![1.0; pixels]]).expect("a full mask is usable")
    }

    /// Masks from non-negative weights of each pixel.
    ///
    /// # Errors
    /// [`WaveletError::Mask`] for no mask, masks of different lengths, a negative
    /// or non-finite weight, or a mask without a positive one.
    pub fn new(masks: &[Vec<f64>]) -> Result<Self, WaveletError> {
        let refuse = |mask, reason: &str| WaveletError::Mask { mask, reason: reason.to_owned() };
        let pixels = masks.first().ok_or_else(|| refuse(0, "there is none"))?.len();
        let mut totals = Vec::new();
        for (i, mask) in masks.iter().enumerate() {
            if mask.len() != pixels {
                return Err(refuse(i, "its length differs from the first mask's"));
            }
            if !mask.iter().all(|w| w.is_finite() && *w >= 0.0) {
                return Err(refuse(i, "a weight is negative or not finite"));
            }
            let total: f64 = mask.iter().sum();
            if total <= 0.0 {
                return Err(refuse(i, "no pixel has a positive weight"));
            }
            totals.push(total);
        }
        let weights = (0..pixels)
            .flat_map(|p| masks.iter().zip(&totals).map(move |(m, t)| m[p] / t))
            .collect();
        Ok(Self { weights: Table::new(weights), masks: masks.len(), pixels, totals })
    }

    /// Number of masks.
    pub fn masks(&self) -> usize {
        self.masks
    }

    /// Number of pixels.
    pub fn pixels(&self) -> usize {
        self.pixels
    }

    /// Sum of each mask's weights as given.
    pub fn totals(&self) -> &[f64] {
        &self.totals
    }
}
