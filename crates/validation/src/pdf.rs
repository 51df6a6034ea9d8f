//! How pixel values are distributed, as the share of pixels of each map in each bin.

use crate::error::{Result, ValidationError};
use crate::table::LabelledTable;
use ndarray::Array2;
use serde::Serialize;
use skyscat_healpix::MapSet;

/// Bins that all sets share.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PixelBins {
    /// Names of the channels.
    pub channels: Vec<String>,
    /// Inner edges of each channel, rising, map units; the outer bins are open.
    pub edges: Vec<Vec<f64>>,
}

impl PixelBins {
    /// `bins` bins a channel, of which the inner ones divide mean ± `width` σ equally.
    ///
    /// Mean and σ are those of all pixels of the reference set.
    ///
    /// # Errors
    /// [`ValidationError::Setting`] for fewer than three bins or no width,
    /// [`ValidationError::Variance`] for a channel that does not vary.
    pub fn of(reference: &MapSet, bins: usize, width: f64) -> Result<Self> {
        if bins < 3 || !(width > 0.0 && width.is_finite()) {
            let (name, given) = ("pixel bins", format!("{bins} of ±{width} σ"));
            return Err(ValidationError::Setting {
                name,
                given,
                allowed: "3 or more of width > 0",
            });
        }
        let data = reference.data();
        let mut edges = Vec::new();
        for (index, channel) in data.axis_iter(ndarray::Axis(1)).enumerate() {
            let mean = channel.mean().expect("sets are not empty");
            let square = channel.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
            let std = (square / channel.len() as f64).sqrt();
            if std <= 0.0 || std.is_nan() {
                let (what, given) = ("a channel", std);
                return Err(ValidationError::Variance { what, index, given });
            }
            let step = 2.0 * width * std / (bins - 2) as f64;
            edges.push((0..bins - 1).map(|i| mean - width * std + i as f64 * step).collect());
        }
        Ok(Self { channels: reference.channels().to_vec(), edges })
    }

    /// The share of each map's pixels in each bin [lower, upper).
    ///
    /// Labels are "Q < …", "Q [lower, upper)", "Q ≥ …".
    ///
    /// # Errors
    /// [`ValidationError::Mismatch`] for other channels.
    pub fn measure(&self, set: &MapSet) -> Result<LabelledTable> {
        if set.channels() != self.channels {
            let (what, name) = ("the channels", "judged");
            let (given, allowed) = (set.channels().join(", "), self.channels.join(", "));
            return Err(ValidationError::Mismatch { what, set: name, given, allowed });
        }
        let bins: Vec<usize> = self.edges.iter().map(|e| e.len() + 1).collect();
        let mut values = Array2::zeros((set.n_maps(), bins.iter().sum()));
        let share = 1.0 / set.nside().npix() as f64;
        for (map, mut row) in set.data().outer_iter().zip(values.rows_mut()) {
            let mut first = 0;
            for ((pixels, edges), bins) in map.rows().into_iter().zip(&self.edges).zip(&bins) {
                for pixel in pixels {
                    row[first + edges.partition_point(|edge| edge <= pixel)] += share;
                }
                first += bins;
            }
        }
        LabelledTable::new(self.labels(), values)
    }

    fn labels(&self) -> Vec<String> {
        let mut labels = Vec::new();
        for (name, edges) in self.channels.iter().zip(&self.edges) {
            labels.push(format!("{name} < {:.4e}", edges[0]));
            labels.extend(edges.windows(2).map(|e| format!("{name} [{:.4e}, {:.4e})", e[0], e[1])));
            labels.push(format!("{name} ≥ {:.4e}", edges[edges.len() - 1]));
        }
        labels
    }
}
