//! Constants of a kernel, made once in f64 and rounded once to f32 on demand.

use crate::Real;
use std::sync::OnceLock;

/// Numbers kept in double precision, with a single-precision copy on demand.
///
/// ```
/// use skyscat_num::Table;
/// let table = Table::new(vec![0.5, 0.1]);
/// assert_eq!(table.get::<f64>()[1], 0.1);
/// assert_eq!(table.get::<f32>()[1], 0.1_f32);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Table {
    double: Vec<f64>,
    single: OnceLock<Vec<f32>>,
}

impl Table {
    /// A table of the given numbers.
    pub fn new(values: Vec<f64>) -> Self {
        Self { double: values, single: OnceLock::new() }
    }

    /// The numbers in precision `T`.
    pub fn get<T: Real>(&self) -> &[T] {
        T::table(self)
    }

    pub(crate) fn double(&self) -> &[f64] {
        &self.double
    }

    pub(crate) fn single(&self) -> &[f32] {
        self.single.get_or_init(|| self.double.iter().map(|&x| x as f32).collect())
    }
}
