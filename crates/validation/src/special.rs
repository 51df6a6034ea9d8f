//! Special functions of sampling theory: digamma, trigamma, normal and Kolmogorov tails.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// ψ(x) = d ln Γ/dx for x > 0: recurrence up to 10, then the asymptotic series
/// (Abramowitz & Stegun 6.3.5, 6.3.18).
pub(crate) fn digamma(mut x: f64) -> f64 {
    let mut sum = 0.0;
    while x < 10.0 {
        sum -= 1.0 / x;
        x += 1.0;
    }
    let y = 1.0 / (x * x);
    let terms =
        [1.0 / 12.0, -1.0 / 120.0, 1.0 / 252.0, -1.0 / 240.0, 1.0 / 132.0, -691.0 / 32760.0];
    sum + x.ln() - 0.5 / x - terms.iter().rev().fold(0.0, |s, t| (s + t) * y)
}

/// ψ'(x) for x > 0 (Abramowitz & Stegun 6.4.6, 6.4.12).
pub(crate) fn trigamma(mut x: f64) -> f64 {
    let mut sum = 0.0;
    while x < 10.0 {
        sum += 1.0 / (x * x);
        x += 1.0;
    }
    let y = 1.0 / (x * x);
    let terms = [1.0 / 6.0, -1.0 / 30.0, 1.0 / 42.0, -1.0 / 30.0, 5.0 / 66.0, -691.0 / 2730.0];
    sum + 1.0 / x + 0.5 * y + terms.iter().rev().fold(0.0, |s, t| (s + t) * y) / x
}

/// P(N > x) of a standard normal number, by series or continued fraction.
pub(crate) fn normal_tail(x: f64) -> f64 {
    if x < 0.0 {
        return 1.0 - normal_tail(-x);
    }
    let z = x * FRAC_1_SQRT_2;
    if z < 2.0 {
        // erf z = 2/√π Σ (−1)^k z^{2k+1}/(k!(2k+1)) (7.1.5).
        let (mut term, mut sum) = (z, z);
        for k in 1..60 {
            let k = k as f64;
            term *= -z * z / k;
            sum += term / (2.0 * k + 1.0);
        }
        return 0.5 - sum / PI.sqrt();
    }
    // √π e^{z²} erfc z = 1/(z + ½/(z + 1/(z + 3/2/(z + …)))) (7.1.14).
    let tail = (1..120).rev().fold(z, |below, k| z + 0.5 * f64::from(k) / below);
    0.5 * (-z * z).exp() / (tail * PI.sqrt())
}

/// P(K > x) = 2 Σ (−1)^{k−1} e^{−2k²x²}, after Kolmogorov (Smirnov 1948).
pub(crate) fn kolmogorov_tail(x: f64) -> f64 {
    if x < 0.2 {
        return 1.0;
    }
    let term = |k: i32| {
        let k = f64::from(k);
        (-2.0 * k * k * x * x).exp()
    };
    let sum: f64 = (1..60).map(|k| if k % 2 == 1 { term(k) } else { -term(k) }).sum();
    (2.0 * sum).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        let gamma = 0.577_215_664_901_532_9;
        assert!((digamma(1.0) + gamma).abs() < 1e-13);
        assert!((digamma(0.5) + gamma + 2.0 * 2.0_f64.ln()).abs() < 1e-13);
        assert!((trigamma(1.0) - PI * PI / 6.0).abs() < 1e-13);
        assert!((trigamma(0.5) - PI * PI / 2.0).abs() < 1e-12);
        // scipy 1.17.1: norm.sf(1), norm.sf(4), kstwobign.sf(1).
        assert!((normal_tail(1.0) - 0.158_655_253_931_457_05).abs() < 1e-15);
        assert!((normal_tail(4.0) / 3.167_124_183_311_986e-5 - 1.0).abs() < 1e-12);
        assert!((normal_tail(-1.0) - 0.841_344_746_068_542_9).abs() < 1e-15);
        assert!((kolmogorov_tail(1.0) - 0.269_999_671_677_354_56).abs() < 1e-14);
    }
}
