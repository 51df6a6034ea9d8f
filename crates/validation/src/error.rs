//! What can be wrong with sets, matrices, tables and settings.

use skyscat_harmonic::HarmonicError;
use skyscat_healpix::HealpixError;

/// A judgement that cannot be made: what was given and what is allowed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ValidationError {
    /// Two sets that cannot be compared.
    #[error("{what} of the {set} set is {given}, but the reference set has {allowed}")]
    Mismatch {
        /// What differs: Nside, ordering, channels, unit, …
        what: &'static str,
        /// Which set differs from the reference.
        set: &'static str,
        /// What that set has.
        given: String,
        /// What the reference set has.
        allowed: String,
    },
    /// A score needs other channels, in this order.
    #[error("the maps have channels {given}; {score} needs exactly {allowed}")]
    Channels {
        /// The score.
        score: &'static str,
        /// Channels of the set.
        given: String,
        /// Channels needed.
        allowed: &'static str,
    },
    /// Maps that are not in RING order.
    #[error("the maps are in {given} order; {score} needs RING: reorder them first")]
    Ordering {
        /// The score.
        score: &'static str,
        /// Order of the set.
        given: &'static str,
    },
    /// Too few maps, or none.
    #[error("{score} of {given} maps: at least {allowed} are needed")]
    TooFewMaps {
        /// The score.
        score: &'static str,
        /// Maps given.
        given: usize,
        /// Maps needed.
        allowed: usize,
    },
    /// An array of another shape.
    #[error("{what} has shape {given:?}, allowed is {allowed:?}")]
    Shape {
        /// Which array.
        what: &'static str,
        /// Its shape.
        given: Vec<usize>,
        /// The shape needed.
        allowed: Vec<usize>,
    },
    /// A number that is NaN or infinite.
    #[error("{what} has a number that is not finite at row {row}, column {column}")]
    NotFinite {
        /// Which array.
        what: &'static str,
        /// Row of the first such number.
        row: usize,
        /// Its column.
        column: usize,
    },
    /// A covariance that is not symmetric.
    #[error(
        "{what} is not symmetric: [{row}, {column}] differs from its mirror by {given:e} of the \
         diagonal, allowed is {allowed:e}"
    )]
    NotSymmetric {
        /// Which matrix.
        what: &'static str,
        /// Row of the worst pair.
        row: usize,
        /// Its column.
        column: usize,
        /// |C_ij − C_ji|/√(C_ii C_jj).
        given: f64,
        /// Largest allowed.
        allowed: f64,
    },
    /// A variance that is not positive.
    #[error("variance {index} of {what} is {given:e}; it must be positive")]
    Variance {
        /// Which matrix or table.
        what: &'static str,
        /// Index of the variable.
        index: usize,
        /// The variance.
        given: f64,
    },
    /// More modes asked for than there are.
    #[error("{asked} modes asked of {what}, which has rank {rank}")]
    RankDeficient {
        /// Which matrix.
        what: &'static str,
        /// Modes asked for.
        asked: usize,
        /// Modes there are.
        rank: usize,
    },
    /// An iteration that did not reach its tolerance.
    #[error("{what}: residual {given:e} after {rounds} rounds, allowed is {allowed:e}")]
    NotConverged {
        /// The iteration.
        what: &'static str,
        /// Rounds made.
        rounds: usize,
        /// Largest residual left.
        given: f64,
        /// Tolerance.
        allowed: f64,
    },
    /// A setting out of range.
    #[error("{name} is {given}, allowed is {allowed}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        given: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// Labels of two tables that differ.
    #[error("coefficient {index} is {given:?} in one table and {allowed:?} in the other")]
    Labels {
        /// Index of the first that differs.
        index: usize,
        /// The label found, empty if there is none.
        given: String,
        /// The label of the reference.
        allowed: String,
    },
    /// Limits in TOML that cannot be read.
    #[error("limits: {0}")]
    Limits(String),
    /// A set of maps that is not complete.
    #[error("{set} set: {source}")]
    Maps {
        /// Which set.
        set: &'static str,
        /// What is wrong with it.
        source: HealpixError,
    },
    /// A transform that cannot be planned.
    #[error(transparent)]
    Harmonic(#[from] HarmonicError),
}

/// The result of a judgement.
pub type Result<T> = std::result::Result<T, ValidationError>;
