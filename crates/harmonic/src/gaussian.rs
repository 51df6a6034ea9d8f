//! Gaussian coefficients of given spectra, and smoothing by functions of ℓ.

use crate::{HarmonicError, Modes};
use ndarray::Array2;
use num_complex::Complex64;

/// Input spectra C_ℓ, ℓ = 0..=lmax; absent ones (and degrees past the end) are zero.
#[derive(Clone, Copy, Debug, Default)]
pub struct InputSpectra<'a> {
    /// ⟨T T⟩.
    pub tt: &'a [f64],
    /// ⟨E E⟩.
    pub ee: &'a [f64],
    /// ⟨B B⟩.
    pub bb: &'a [f64],
    /// ⟨T E⟩.
    pub te: &'a [f64],
    /// ⟨E B⟩.
    pub eb: &'a [f64],
    /// ⟨T B⟩.
    pub tb: &'a [f64],
}

/// Gaussian a_ℓm of T, E, B with the given covariance, `(3, n_modes)`.
///
/// ⟨a^X_ℓm a^Y*_ℓm⟩ = C^{XY}_ℓ: real at m = 0; half the variance in each part at m > 0.
/// `normal` returns independent standard normal deviates; six (three at m = 0) are drawn
/// for every coefficient in storage order, whatever the spectra.
///
/// # Errors
/// [`HarmonicError::Covariance`] if the spectra of some degree are not positive
/// semi-definite.
pub fn gaussian_alm(
    modes: Modes,
    spectra: InputSpectra<'_>,
    normal: &mut impl FnMut() -> f64,
) -> Result<Array2<Complex64>, HarmonicError> {
    let factors =
        (0..=modes.lmax()).map(|l| cholesky(&spectra, l)).collect::<Result<Vec<_>, _>>()?;
    let mut alm = Array2::zeros((3, modes.len()));
    for (index, l, m) in modes.iter() {
        let mut white = [Complex64::ZERO; 3];
        for white in &mut white {
            *white = if m == 0 {
                Complex64::new(normal(), 0.0)
            } else {
                let (re, im) = (normal(), normal());
                Complex64::new(re, im) * std::f64::consts::FRAC_1_SQRT_2
            };
        }
        for (row, factor) in factors[l].iter().enumerate() {
            alm[[row, index]] = factor.iter().zip(&white).map(|(&f, &w)| f * w).sum();
        }
    }
    Ok(alm)
}

/// Lower Cholesky factor of the covariance of (T, E, B) at degree ℓ; zero pivots allowed.
fn cholesky(spectra: &InputSpectra<'_>, l: usize) -> Result<[[f64; 3]; 3], HarmonicError> {
    let at = |c: &[f64]| c.get(l).copied().unwrap_or(0.0);
    let (te, eb, tb) = (at(spectra.te), at(spectra.eb), at(spectra.tb));
    let matrix = [[at(spectra.tt), te, tb], [te, at(spectra.ee), eb], [tb, eb, at(spectra.bb)]];
    let largest = (0..3).map(|i| matrix[i][i].abs()).fold(0.0, f64::max);
    let slack = 1e-12 * largest;
    let refuse = |given| Err(HarmonicError::Covariance { degree: l, given, allowed: -slack });
    let mut factor = [[0.0; 3]; 3];
    for i in 0..3 {
        for j in 0..=i {
            let rest: f64 = matrix[i][j] - (0..j).map(|k| factor[i][k] * factor[j][k]).sum::<f64>();
            if i == j {
                if rest < -slack || rest.is_nan() {
                    return refuse(rest);
                }
                factor[i][i] = if rest <= slack { 0.0 } else { rest.sqrt() };
            } else if factor[j][j] > 0.0 {
                factor[i][j] = rest / factor[j][j];
            } else if rest.abs() > 1e-6 * largest {
                return refuse(-rest.abs());
            }
        }
    }
    Ok(factor)
}

/// Multiplies every coefficient by `window[ℓ]`; degrees past its end become zero.
///
/// `alm` is any batch slice whose outermost index is the mode.
///
/// # Panics
/// If the length of `alm` is not a multiple of the number of modes.
pub fn apply_window<T: crate::Sample>(modes: Modes, window: &[f64], alm: &mut [T]) {
    let row = alm.len() / modes.len();
    assert_eq!(row * modes.len(), alm.len(), "whole rows of modes");
    for ((_, l, _), row) in modes.iter().zip(alm.chunks_exact_mut(row)) {
        let factor = T::narrow(window.get(l).copied().unwrap_or(0.0));
        for value in row {
            *value = *value * factor;
        }
    }
}

/// Gaussian beam b_ℓ, ℓ = 0..=lmax, of full width at half maximum `fwhm_rad`.
///
/// b_ℓ = exp(−(ℓ(ℓ+1) − s²)σ²/2), σ = FWHM/√(8 ln 2) (Challinor et al. 2000, Eq. 24).
///
/// ```
/// let beam = skyscat_harmonic::gaussian_beam(0.1, 2, 0);
/// let sigma = 0.1 / (8.0 * 2.0_f64.ln()).sqrt();
/// assert_eq!(beam[0], 1.0);
/// assert!((beam[2] - (-3.0 * sigma * sigma).exp()).abs() < 1e-15);
/// ```
pub fn gaussian_beam(fwhm_rad: f64, lmax: usize, spin: usize) -> Vec<f64> {
    let variance = fwhm_rad * fwhm_rad / (8.0 * std::f64::consts::LN_2);
    let spin = (spin * spin) as f64;
    (0..=lmax).map(|l| (-0.5 * variance * ((l * (l + 1)) as f64 - spin)).exp()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaussian_modes_have_the_asked_covariance() {
        let modes = Modes::new(3, 3);
        let spectra = InputSpectra {
            tt: &[4.0; 4],
            ee: &[2.0; 4],
            bb: &[1.0; 4],
            te: &[-1.5; 4],
            eb: &[0.3; 4],
            tb: &[0.2; 4],
        };
        // Twelve uniform deviates make a normal one, well enough for second moments.
        let mut state = 1_u64;
        let mut normal = || {
            let sum: f64 = (0..12)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
                    (state >> 11) as f64 / (1_u64 << 53) as f64
                })
                .sum();
            sum - 6.0
        };
        let draws = 40_000;
        let mut sums = [[[0.0; 3]; 3]; 2];
        for _ in 0..draws {
            let alm = gaussian_alm(modes, spectra, &mut normal).unwrap();
            for (which, m) in [0, 2].into_iter().enumerate() {
                let at = modes.index(3, m);
                for i in 0..3 {
                    for j in 0..3 {
                        sums[which][i][j] += (alm[[i, at]] * alm[[j, at]].conj()).re;
                    }
                }
            }
        }
        let expected = [[4.0, -1.5, 0.2], [-1.5, 2.0, 0.3], [0.2, 0.3, 1.0]];
        for which in sums {
            for i in 0..3 {
                for j in 0..3 {
                    // Five standard errors of a product of normals.
                    let sigma = (2.0_f64 * expected[i][i] * expected[j][j] / draws as f64).sqrt();
                    let error = (which[i][j] / draws as f64 - expected[i][j]).abs();
                    assert!(error < 5.0 * sigma, "{i}{j}: {error} of {sigma}");
                }
            }
        }
    }

    #[test]
    fn impossible_spectra_are_refused() {
        let modes = Modes::new(1, 1);
        let spectra = InputSpectra {
            tt: &[1.0, 1.0],
            ee: &[1.0, 1.0],
            te: &[0.0, 1.5],
            ..Default::default()
        };
        let error = gaussian_alm(modes, spectra, &mut || 0.0).unwrap_err();
        assert!(matches!(error, HarmonicError::Covariance { degree: 1, .. }), "{error}");
    }
}
