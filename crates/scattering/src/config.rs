//! What is computed, and how it is normalised.

use skyscat_wavelet::{FilterBank, Frame, WaveletError};

/// Which definition of the coefficients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Definition {
    /// Campeti et al. (2025), Eqs. 1–7 and B.1, computed as written.
    Paper,
    /// What HealpixML 1.0.0 and CMBSCAT 0.0.3 compute: plain second moments, a
    /// signed root as cross S1, the real part as cross S2, and in cross
    /// statistics every stored modulus of the second field replaced at each
    /// degradation by that of the current level.
    HealpixMl,
}

/// Power by which coefficients are divided: an argument, never remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Normalisation {
    /// Coefficients as they are.
    None,
    /// By the field's own S2: S1/√S2, S3/√(S2 S2), S4/√(S2 S2); S2 stays.
    Own,
    /// The same, by a given S2 (see [`ReferencePower`]).
    Reference,
}

/// A given S2 for [`Normalisation::Reference`]: `[scale][mask][orientation]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ReferencePower(pub Vec<Vec<Vec<f64>>>);

/// Settings of the statistics.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// The wavelets.
    pub bank: FilterBank,
    /// Number of scales J; `None` for log2 Nside.
    pub scales: Option<usize>,
    /// Which definition.
    pub definition: Definition,
    /// Normalisation.
    pub normalisation: Normalisation,
    /// Cross S4 for every (j1, j2) instead of j1 ≤ j2.
    pub all_cross_pairs: bool,
    /// ε of √(|z|² + ε²) in place of the modulus; 0 for the modulus itself.
    pub modulus_epsilon: f64,
}

impl Config {
    /// The paper's statistics, normalised by their own S2.
    pub fn campeti2025() -> Self {
        Self {
            bank: FilterBank::campeti2025(),
            scales: None,
            definition: Definition::Paper,
            normalisation: Normalisation::Own,
            all_cross_pairs: false,
            modulus_epsilon: 0.0,
        }
    }

    /// The statistics of HealpixML 1.0.0 as CMBSCAT 0.0.3 calls it.
    pub fn healpixml() -> Self {
        Self {
            bank: FilterBank::healpixml(),
            definition: Definition::HealpixMl,
            normalisation: Normalisation::None,
            ..Self::campeti2025()
        }
    }

    pub(crate) fn check(&self) -> Result<(), ScatteringError> {
        self.bank.check()?;
        let peer = self.definition == Definition::HealpixMl;
        if peer && self.normalisation != Normalisation::None {
            return Err(ScatteringError::Combination {
                reason: "the healpixml definition never normalises; use normalisation none",
            });
        }
        if peer && self.bank.frame != Frame::Neighbour {
            return Err(ScatteringError::Combination {
                reason: "the healpixml definition needs the neighbour frame",
            });
        }
        if !self.modulus_epsilon.is_finite() || self.modulus_epsilon < 0.0 {
            return Err(ScatteringError::Combination {
                reason: "the modulus softening must be finite and not negative",
            });
        }
        Ok(())
    }
}

/// What can be wrong with a request for statistics.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ScatteringError {
    /// A number of scales that the resolution does not have.
    #[error("{given} scales are not possible at nside {nside}: allowed are 1 to {allowed}")]
    Scales {
        /// The number given.
        given: usize,
        /// The resolution.
        nside: usize,
        /// The largest number.
        allowed: usize,
    },
    /// Settings that contradict each other.
    #[error("{reason}")]
    Combination {
        /// What does not fit.
        reason: &'static str,
    },
    /// Input whose size or content does not fit the plan.
    #[error("{what} does not fit: given {given}, expected {expected}")]
    Size {
        /// What was given.
        what: &'static str,
        /// Its size.
        given: String,
        /// The size expected.
        expected: String,
    },
    /// Wavelets or masks that cannot be made.
    #[error(transparent)]
    Wavelet(#[from] WaveletError),
    /// A graph that does not fit together.
    #[error(transparent)]
    Graph(#[from] skyscat_autodiff::GraphError),
}
