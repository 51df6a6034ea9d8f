//! Leading modes of a large covariance, by restarted block Krylov iteration.

use crate::eigen::{Eigenmodes, decompose};
use crate::error::{Result, ValidationError};
use crate::linear::{check_covariance, product};
use ndarray::{Array2, ArrayView2, Axis, Slice, concatenate};
use skyscat_num::{Par, Seed};

/// How leading modes are searched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LeadingConfig {
    /// Modes asked for.
    pub modes: usize,
    /// Vectors that are multiplied by the matrix at once.
    pub block: usize,
    /// Largest number of vectors kept, at least `modes` + 3 `block`.
    pub subspace: usize,
    /// Restarts before giving up.
    pub restarts: usize,
    /// Largest ‖Cv − λv‖/λ of a mode; λ itself is then right to about its square.
    pub tolerance: f64,
    /// Seed of the first block.
    pub seed: Seed,
}

impl LeadingConfig {
    /// Measured to take the fewest products for 150 modes of 6144.
    pub fn of_modes(modes: usize, seed: Seed) -> Self {
        let subspace = modes + modes.max(96) * 2 + 64;
        Self { modes, block: 32, subspace, restarts: 30, tolerance: 1e-7, seed }
    }
}

/// The leading modes of a covariance `(n_variables, n_variables)`.
///
/// Block Lanczos with full reorthogonalisation and restarts by Ritz vectors (Golub &
/// Van Loan 2013, §10.3); the residual of every mode is computed and checked. Where the
/// subspace would hold most of the variables, it decomposes the whole matrix.
///
/// # Errors
/// As [`check_covariance`]; [`ValidationError::RankDeficient`],
/// [`ValidationError::NotConverged`], [`ValidationError::Setting`].
pub fn leading_modes(
    covariance: ArrayView2<'_, f64>,
    config: LeadingConfig,
    par: &Par,
) -> Result<Eigenmodes> {
    let LeadingConfig { modes, block, subspace, .. } = config;
    let what = "the covariance";
    if block == 0 || subspace < modes + 3 * block {
        let given = format!("{subspace}");
        let allowed = "at least modes + 3 block, block > 0";
        return Err(ValidationError::Setting { name: "subspace", given, allowed });
    }
    par.install(|| {
        check_covariance(what, covariance)?;
        if 2 * subspace >= covariance.nrows() {
            return decompose(covariance).first(what, modes);
        }
        Krylov::new(covariance, config).run()
    })
}

/// An orthonormal basis V, one vector a row, its image W = V C, and the next block.
struct Krylov<'a> {
    covariance: ArrayView2<'a, f64>,
    config: LeadingConfig,
    basis: Array2<f64>,
    image: Array2<f64>,
    next: Array2<f64>,
}

impl<'a> Krylov<'a> {
    fn new(covariance: ArrayView2<'a, f64>, config: LeadingConfig) -> Self {
        let p = covariance.nrows();
        let numbers = config.seed.stream("leading-modes").index(0, 0).normals(config.block * p);
        let start = Array2::from_shape_vec((config.block, p), numbers).expect("as many");
        let empty = Array2::zeros((0, p));
        let next = orthonormal(start);
        Self { covariance, config, basis: empty.clone(), image: empty, next }
    }

    fn run(mut self) -> Result<Eigenmodes> {
        let LeadingConfig { modes, block, subspace, restarts, tolerance, .. } = self.config;
        let mut worst = f64::INFINITY;
        for _ in 0..=restarts {
            while self.basis.nrows() + self.next.nrows() <= subspace && self.next.nrows() > 0 {
                self.expand();
            }
            self.restart(modes + 2 * block);
            let found = self.ritz();
            // Beyond the rank there is only rounding, which never converges.
            let known = found.first("the covariance", found.rank().clamp(1, modes))?;
            worst = self.residual(&known);
            if worst <= tolerance {
                return found.first("the covariance", modes);
            }
        }
        let what = "leading modes";
        let (rounds, given) = (restarts, worst);
        Err(ValidationError::NotConverged { what, rounds, given, allowed: tolerance })
    }

    /// Takes the next block into the basis; the one after is its image.
    fn expand(&mut self) {
        let mut image = product(self.next.view(), self.covariance);
        let scale = norm(&image);
        let join = |a: &Array2<f64>, b: &Array2<f64>| {
            concatenate(Axis(0), &[a.view(), b.view()]).expect("rows of one length")
        };
        self.basis = join(&self.basis, &self.next);
        self.image = join(&self.image, &image);
        for _ in 0..2 {
            let along = product(image.view(), self.basis.t());
            image -= &product(along.view(), self.basis.view());
        }
        let left = norm(&image);
        let done = left <= 1e-14 * scale.max(f64::MIN_POSITIVE);
        self.next = if done { Array2::zeros((0, image.ncols())) } else { orthonormal(image) };
    }

    /// Turns the basis to its leading Ritz vectors.
    fn restart(&mut self, keep: usize) {
        let small = product(self.image.view(), self.basis.t());
        let turned = decompose(small.view());
        let keep = keep.min(turned.len());
        let turn = turned.vectors.slice_axis(Axis(0), Slice::from(..keep));
        self.basis = product(turn, self.basis.view());
        self.image = product(turn, self.image.view());
    }

    /// The basis after [`Krylov::restart`], with Rayleigh quotients as values.
    fn ritz(&self) -> Eigenmodes {
        let rows = self.basis.rows().into_iter().zip(self.image.rows());
        Eigenmodes { values: rows.map(|(v, w)| v.dot(&w)).collect(), vectors: self.basis.clone() }
    }

    /// Largest ‖Cv − λv‖/λ.
    fn residual(&self, modes: &Eigenmodes) -> f64 {
        let rows = modes.vectors.rows().into_iter().zip(self.image.rows()).zip(&modes.values);
        let errors = rows.map(|((v, w), &value)| {
            let square: f64 = v.iter().zip(w).map(|(v, w)| (w - value * v).powi(2)).sum();
            square.sqrt() / value
        });
        errors.fold(0.0, f64::max)
    }
}

fn norm(rows: &Array2<f64>) -> f64 {
    rows.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// Orthonormal rows that span the same space; those lost in rounding are dropped.
fn orthonormal(mut rows: Array2<f64>) -> Array2<f64> {
    for _ in 0..3 {
        let modes = decompose(product(rows.view(), rows.t()).view());
        let floor = 1e-13 * modes.values[0];
        let kept = modes.values.iter().filter(|&&v| v > floor && v > 0.0).count();
        let mut turn = modes.vectors.slice_axis(Axis(0), Slice::from(..kept)).to_owned();
        for (mut row, value) in turn.rows_mut().into_iter().zip(&modes.values) {
            row /= value.sqrt();
        }
        rows = product(turn.view(), rows.view());
        if kept == 0 {
            break;
        }
    }
    rows
}
