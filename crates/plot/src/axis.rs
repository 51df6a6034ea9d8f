//! An axis: its range, its marks and their numbers.

use crate::scale::{label, sign, ticks};

/// How numbers are spread along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Evenly.
    Linear,
    /// By their logarithm; only positive numbers are shown.
    Log,
}

/// One axis of a panel.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// What it shows, with its unit.
    pub label: String,
    /// Its ends; `None` takes them from the data.
    pub range: Option<(f64, f64)>,
    /// How numbers are spread.
    pub scale: Scale,
    /// Whether numbers and label are written; marks are drawn in any case.
    pub numbered: bool,
}

impl Axis {
    /// An axis with evenly spread numbers.
    pub fn linear(label: &str) -> Self {
        Self { label: label.to_owned(), range: None, scale: Scale::Linear, numbered: true }
    }

    /// A logarithmic axis.
    pub fn log(label: &str) -> Self {
        Self { scale: Scale::Log, ..Self::linear(label) }
    }

    /// The same axis from `low` to `high`.
    pub fn from_to(self, low: f64, high: f64) -> Self {
        Self { range: Some((low, high)), ..self }
    }

    /// The same axis without numbers and label.
    pub fn bare(self) -> Self {
        Self { numbered: false, ..self }
    }

    fn usable(&self, value: f64) -> bool {
        value.is_finite() && (self.scale == Scale::Linear || value > 0.0)
    }

    /// The ends for these values: as set, or the values with a margin.
    pub(crate) fn ends(&self, values: impl Iterator<Item = f64>) -> (f64, f64) {
        if let Some(range) = self.range {
            return range;
        }
        let (low, high) = (values.filter(|v| self.usable(*v)))
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        match self.scale {
            _ if low > high => (0.1, 1.0),
            Scale::Log => (low / 1.3, high * 1.3),
            Scale::Linear => {
                let margin = match high > low {
                    true => 0.05 * (high - low),
                    false => high.abs().max(1.0) * 0.5,
                };
                (low - margin, high + margin)
            }
        }
    }

    /// Where a value lies, 0 at the first end and 1 at the second.
    pub(crate) fn place(&self, value: f64, (low, high): (f64, f64)) -> f64 {
        match self.scale {
            Scale::Linear => (value - low) / (high - low),
            Scale::Log if value > 0.0 => (value / low).ln() / (high / low).ln(),
            Scale::Log => f64::NEG_INFINITY,
        }
    }

    /// Marks between these ends.
    pub(crate) fn marks(&self, (low, high): (f64, f64), wanted: usize) -> Marks {
        if self.scale == Scale::Log && high / low >= 30.0 {
            return decades(low, high, wanted);
        }
        let power = power_of(low.abs().max(high.abs()));
        let factor = 10f64.powi(-power);
        let steps = ticks((low * factor, high * factor), wanted);
        let step = if steps.len() > 1 { steps[1] - steps[0] } else { (high - low) * factor };
        let numbered = steps.iter().map(|s| (s / factor, label(*s, step))).collect();
        let unit = match power {
            0 => self.label.clone(),
            _ => format!("{} [10^{{{}}}]", self.label, sign(&power.to_string())),
        };
        Marks { numbered, small: Vec::new(), label: unit }
    }
}

/// The power of ten that is taken out of the numbers of an axis.
fn power_of(largest: f64) -> i32 {
    let plain = !largest.is_finite() || largest == 0.0 || (1e-2..1e4).contains(&largest);
    if plain { 0 } else { largest.log10().floor() as i32 }
}

/// Marks of an axis.
#[derive(Debug, PartialEq)]
pub(crate) struct Marks {
    /// Values with their numbers.
    pub(crate) numbered: Vec<(f64, String)>,
    /// Values in between.
    pub(crate) small: Vec<f64>,
    /// The axis's label, with the power of ten that was taken out.
    pub(crate) label: String,
}

fn decades(low: f64, high: f64, wanted: usize) -> Marks {
    let first = low.log10().ceil() as i32;
    let last = (high.log10() + 1e-9).floor() as i32;
    let every = (last - first + 1).div_euclid(wanted.max(1) as i32).max(1);
    let name = |power: i32| match power {
        0 => "1".to_owned(),
        1 => "10".to_owned(),
        2 => "100".to_owned(),
        _ => format!("10^{{{}}}", sign(&power.to_string())),
    };
    let mut numbered: Vec<(f64, String)> = (first..=last)
        .filter(|p| p.rem_euclid(every) == 0)
        .map(|p| (10f64.powi(p), name(p)))
        .collect();
    // Short axes between 1 and 1000 take numbers between the decades too.
    if last - first < 2 && (1.0..1e3).contains(&low) && high <= 1e4 {
        let between = (first - 1..=last).flat_map(|p| [2.0, 5.0].map(|d| d * 10f64.powi(p)));
        let inside = between.filter(|v| (low..=high).contains(v));
        numbered.extend(inside.map(|v| (v, format!("{v}"))));
    }
    let small = (first - 1..=last)
        .flat_map(|p| (1..10).map(move |d| f64::from(d) * 10f64.powi(p)))
        .filter(|v| (low..=high).contains(v))
        .collect();
    Marks { numbered, small, label: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_run_from_zero_to_one() {
        let (linear, log) = (Axis::linear("x"), Axis::log("x"));
        assert_eq!(linear.place(5.0, (0.0, 10.0)), 0.5);
        assert!((log.place(10.0, (1.0, 100.0)) - 0.5).abs() < 1e-15);
        assert_eq!(log.place(-1.0, (1.0, 100.0)), f64::NEG_INFINITY);
    }

    #[test]
    fn small_numbers_lend_their_power_to_the_label() {
        let marks = Axis::linear("C").marks((0.0, 4e-16), 4);
        assert_eq!(marks.label, "C [10^{\u{2212}16}]");
        let numbers: Vec<&str> = marks.numbered.iter().map(|m| m.1.as_str()).collect();
        assert_eq!(numbers, ["0", "1", "2", "3", "4"]);
        let marks = Axis::log("C").marks((1e-3, 2e2), 6);
        assert_eq!(marks.numbered[0].1, "10^{\u{2212}3}");
        assert!(marks.small.contains(&20.0) && !marks.small.contains(&300.0));
        let marks = Axis::log("ℓ").marks((1.9, 60.0), 3);
        let mut numbers: Vec<&str> = marks.numbered.iter().map(|m| m.1.as_str()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, ["10", "2", "20", "5", "50"]);
    }

    #[test]
    fn ends_come_from_what_can_be_shown() {
        let (low, high) = Axis::log("x").ends([0.0, -1.0, 10.0, 1000.0].into_iter());
        assert!(low < 10.0 && low > 5.0 && high > 1000.0);
        assert_eq!(Axis::linear("x").from_to(0.0, 1.0).ends([7.0].into_iter()), (0.0, 1.0));
        let (low, high) = Axis::linear("x").ends(std::iter::empty());
        assert!(low < high);
    }
}
