//! The four functionals of f(n, ψ) = Re(P e^{−2iψ}) on the rotations.

use super::MinkowskiConfig;
use super::derivatives::{Ladder, SpinFields};
use super::kernel::{Bins, roots, volume};
use crate::error::{Result, ValidationError};
use crate::sets::{batch, check_qu_ring, matrix};
use crate::table::LabelledTable;
use ndarray::{Array2, Axis};
use rayon::prelude::*;
use skyscat_healpix::{MapSet, Nside};
use skyscat_num::Par;
use std::f64::consts::PI;

/// How the angle ψ is integrated over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum So3Method {
    /// The functionals of the volume: densities at sampled angles, binned by f.
    Volume {
        /// Angles ψ = π(k + ½)/samples.
        samples: usize,
    },
    /// Densities at the roots of f = u, without the Jacobian 1/|∂_ψ f|.
    ///
    /// What pynkowski computes and the paper's Fig. C.2 shows; not the functionals of a
    /// volume, and without a Gaussian expectation of its own. Compare data with data.
    Roots,
}

/// V0 to V3 of Q/U maps; transforms are planned once a call.
///
/// P is normalised by √(⟨|P|²⟩/2) of each map; the prefactors of V1, V2, V3 are 1/6,
/// 1/(6π), 1/(4π) (Carrón Duque et al. 2024). Derivatives are those of the
/// maps' coefficients at lmax, to rounding.
#[derive(Debug)]
pub struct So3Functionals {
    nside: Nside,
    config: MinkowskiConfig,
    method: So3Method,
}

const PREFACTORS: [f64; 4] = [1.0, 1.0 / 6.0, 1.0 / (6.0 * PI), 1.0 / (4.0 * PI)];

impl So3Functionals {
    /// A plan for maps of `nside`.
    ///
    /// # Errors
    /// [`ValidationError::Setting`] for thresholds that do not rise in equal steps or no
    /// samples.
    pub fn new(nside: Nside, config: MinkowskiConfig, method: So3Method) -> Result<Self> {
        config.check()?;
        if let So3Method::Volume { samples: 0 } = method {
            let (name, given) = ("samples", "0".to_owned());
            return Err(ValidationError::Setting { name, given, allowed: "1 or more" });
        }
        Ok(Self { nside, config, method })
    }

    /// Functionals of every map of a Q/U set, labelled "V0(−3.00)", ….
    ///
    /// # Errors
    /// [`ValidationError::Channels`], [`ValidationError::Ordering`],
    /// [`ValidationError::Mismatch`] for another Nside, [`ValidationError::Variance`] for
    /// a map of zeros.
    pub fn of_maps(&self, set: &MapSet, par: &Par) -> Result<LabelledTable> {
        check_qu_ring("Minkowski functionals", set)?;
        if set.nside() != self.nside {
            let (given, allowed) = (set.nside().get().to_string(), self.nside.get().to_string());
            return Err(ValidationError::Mismatch { what: "Nside", set: "judged", given, allowed });
        }
        let maps = matrix(set);
        let size = self.config.harmonic.batch;
        let mut values = Array2::zeros((set.n_maps(), 4 * self.config.thresholds.len()));
        let (mut slice, mut ladder) = (Vec::new(), None::<Ladder>);
        par.install(|| {
            let blocks = maps.axis_chunks_iter(Axis(0), size);
            for (block, mut out) in blocks.zip(values.axis_chunks_iter_mut(Axis(0), size)) {
                let count = block.nrows();
                let ladder = match &mut ladder {
                    Some(ladder) if count == size => ladder,
                    slot => slot.insert(Ladder::new(self.nside, self.config.harmonic.lmax, count)?),
                };
                batch(block, &mut slice);
                let alm = ladder.analyse(&slice, self.config.harmonic.iterations);
                let mut fields = ladder.fields(&alm);
                // The field itself is the map; its derivatives are those of its modes.
                fields.p.copy_from_slice(&slice);
                for (mut row, found) in
                    out.rows_mut().into_iter().zip(self.measure(&fields, count)?)
                {
                    row.assign(&ndarray::ArrayView1::from(&found));
                }
            }
            Ok::<(), ValidationError>(())
        })?;
        LabelledTable::new(self.config.labels(4), values)
    }

    /// Functionals of fields given by coefficients (E, B), one a row.
    ///
    /// Rows are `[(ℓ, m)][E, B][re, im]` in the order of [`skyscat_harmonic::Modes`].
    ///
    /// # Errors
    /// [`ValidationError::Shape`], [`ValidationError::Variance`] for a field of zeros.
    pub fn of_alm(&self, rows: &[Vec<f64>], par: &Par) -> Result<LabelledTable> {
        let mut values = Vec::new();
        par.install(|| {
            let mut ladder = Ladder::new(self.nside, self.config.harmonic.lmax, 1)?;
            let allowed = ladder.plan().alm_len(1);
            for alm in rows {
                if alm.len() != allowed {
                    let (given, allowed) = (vec![alm.len()], vec![allowed]);
                    return Err(ValidationError::Shape { what: "coefficients", given, allowed });
                }
                let fields = ladder.fields(alm);
                values.extend(self.measure(&fields, 1)?.remove(0));
            }
            Ok(())
        })?;
        let shape = (rows.len(), 4 * self.config.thresholds.len());
        let values = Array2::from_shape_vec(shape, values).expect("as many");
        LabelledTable::new(self.config.labels(4), values)
    }

    /// `[V0..V3][threshold]` of each of `count` maps.
    fn measure(&self, fields: &SpinFields, count: usize) -> Result<Vec<Vec<f64>>> {
        (0..count).into_par_iter().map(|map| self.measure_one(fields, map)).collect()
    }

    fn measure_one(&self, fields: &SpinFields, map: usize) -> Result<Vec<f64>> {
        let sigma = fields.sigma(map);
        if sigma <= 0.0 || sigma.is_nan() {
            return Err(ValidationError::Variance { what: "a map", index: map, given: sigma });
        }
        let (u, pixels) = (&self.config.thresholds, self.nside.npix());
        let each = (0..pixels).map(|pixel| fields.at(pixel, map, sigma));
        let step = self.config.step();
        // What V0 and the densities are divided by.
        let (mut sums, shares) = match self.method {
            So3Method::Roots => (roots(each, u), [1.0, PI]),
            So3Method::Volume { samples } => {
                let bins = Bins { first: u[0] - 0.5 * step, step };
                let samples_f = samples as f64;
                (volume(each, u, bins, samples), [samples_f, samples_f * step])
            }
        };
        for (functional, row) in sums.chunks_exact_mut(u.len()).enumerate() {
            let scale = PREFACTORS[functional] / (pixels as f64 * shares[functional.min(1)]);
            row.iter_mut().for_each(|v| *v *= scale);
        }
        Ok(sums)
    }
}
