//! The set of (ℓ, m) coefficients and their order.

/// Degrees ℓ ≤ `lmax` and orders 0 ≤ m ≤ min(ℓ, `mmax`), m outermost.
///
/// Coefficient (ℓ, m) has index m(2·lmax + 1 − m)/2 + ℓ: all degrees of m = 0,
/// then all of m = 1, … (the order of healpy). Orders m < 0 of a real field
/// follow from a_{ℓ,−m} = (−1)^m a*_{ℓm} and are not stored.
///
/// ```
/// use skyscat_harmonic::Modes;
/// let modes = Modes::new(3, 3);
/// assert_eq!((modes.len(), modes.index(3, 0), modes.index(1, 1)), (10, 3, 4));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Modes {
    lmax: usize,
    mmax: usize,
}

impl Modes {
    /// All modes up to degree `lmax` and order `mmax`.
    ///
    /// # Panics
    /// If `mmax > lmax`.
    pub fn new(lmax: usize, mmax: usize) -> Self {
        assert!(mmax <= lmax, "mmax {mmax} above lmax {lmax}");
        Self { lmax, mmax }
    }

    /// Largest degree.
    pub fn lmax(self) -> usize {
        self.lmax
    }

    /// Largest order.
    pub fn mmax(self) -> usize {
        self.mmax
    }

    /// Number of coefficients, (mmax + 1)(lmax + 1) − mmax(mmax + 1)/2.
    #[allow(clippy::len_without_is_empty, reason = "there is always the monopole")]
    pub fn len(self) -> usize {
        (self.mmax + 1) * (self.lmax + 1) - self.mmax * (self.mmax + 1) / 2
    }

    /// Index of (ℓ, m), for m ≤ ℓ ≤ lmax and m ≤ mmax.
    pub fn index(self, l: usize, m: usize) -> usize {
        debug_assert!(m <= l && l <= self.lmax && m <= self.mmax);
        m * (2 * self.lmax + 1 - m) / 2 + l
    }

    /// Indices of the degrees m..=lmax of order `m`.
    pub(crate) fn column(self, m: usize) -> std::ops::Range<usize> {
        let first = self.index(m, m);
        first..first + self.lmax + 1 - m
    }

    /// Every (index, ℓ, m), in storage order.
    pub fn iter(self) -> impl Iterator<Item = (usize, usize, usize)> {
        (0..=self.mmax).flat_map(move |m| (m..=self.lmax).map(move |l| (self.index(l, m), l, m)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_count_up() {
        for (lmax, mmax) in [(0, 0), (5, 5), (7, 3)] {
            let modes = Modes::new(lmax, mmax);
            let indices: Vec<_> = modes.iter().map(|(i, _, _)| i).collect();
            assert_eq!(indices, (0..modes.len()).collect::<Vec<_>>());
        }
    }
}
