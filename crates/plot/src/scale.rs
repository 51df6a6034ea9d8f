//! Tick marks and units of a colour bar.

/// Round numbers between two limits, about `wanted` of them.
pub(crate) fn ticks((low, high): (f64, f64), wanted: usize) -> Vec<f64> {
    let rough = (high - low) / wanted.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|s| s * power);
    let step = steps.into_iter().find(|s| *s >= 0.999 * rough).unwrap_or(10.0 * power);
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).map(|i| i as f64 * step).collect()
}

/// A factor for the numbers and the unit that goes with it.
///
/// A unit that begins with K gets a prefix, others a power of ten.
pub(crate) fn engineering(largest: f64, unit: Option<&str>) -> (f64, String) {
    let unit = unit.unwrap_or("");
    if !(largest.is_finite() && largest > 0.0) || (0.1..1e4).contains(&largest) {
        return (1.0, unit.to_owned());
    }
    let power = 3 * (largest.log10() / 3.0).floor() as i32;
    let prefix = match power {
        -12 => Some("p"),
        -9 => Some("n"),
        -6 => Some("µ"),
        -3 => Some("m"),
        _ => None,
    };
    let factor = 10f64.powi(-power);
    match prefix {
        Some(prefix) if unit.starts_with('K') => (factor, format!("{prefix}{unit}")),
        _ => (factor, format!("×10^{{{}}} {unit}", sign(&power.to_string())).trim_end().to_owned()),
    }
}

/// A tick's number, with as many digits as its neighbours need.
pub(crate) fn label(value: f64, step: f64) -> String {
    let digits = (-(step.abs() * 1.0001).log10().floor()).max(0.0) as usize;
    let exact = (step * 10f64.powi(digits as i32)).fract().abs();
    let digits = if exact > 0.01 && exact < 0.99 { digits + 1 } else { digits };
    let value = if value.abs() < 1e-9 * step.abs() { 0.0 } else { value };
    sign(&format!("{value:.digits$}"))
}

/// A true minus in place of the hyphen.
pub(crate) fn sign(text: &str) -> String {
    text.replace('-', "\u{2212}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks((-1.0, 1.0), 4), [-1.0, -0.5, 0.0, 0.5, 1.0]);
        assert_eq!(ticks((0.0, 7.3), 4), [0.0, 2.0, 4.0, 6.0]);
        assert_eq!(label(-0.5, 0.5), "\u{2212}0.5");
        assert_eq!(label(2.5, 2.5), "2.5");
        assert_eq!(label(50.0, 25.0), "50");
    }

    #[test]
    fn units_take_a_prefix_or_a_power() {
        let (factor, unit) = engineering(8e-8, Some("K_CMB"));
        assert_eq!(((8e-8 * factor).round(), unit.as_str()), (80.0, "nK_CMB"));
        assert_eq!(engineering(3.0, Some("K")).1, "K");
        assert_eq!(engineering(2e-7, None).1, "×10^{\u{2212}9}");
    }
}
