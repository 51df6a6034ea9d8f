//! Where the anti-Sun direction is, and how fast the observer moves.

use crate::config::{Orbit, Velocity};
use crate::{SPEED_OF_LIGHT_KM_S, SimError};
use skyscat_healpix::Rotation;
use std::f64::consts::TAU;

/// Length of the circular orbit's year, s.
pub(crate) const YEAR_S: f64 = 365.25 * 86_400.0;

/// Part of a turn after `sample` samples of `num/den` turns each, in [0, 1).
///
/// The number of turns is never formed: the remainder of a floating-point
/// division is exact, so a phase keeps all its digits after a million turns.
pub(crate) fn turns(sample: u64, num: f64, den: f64) -> f64 {
    let sample = sample as f64;
    let product = sample * num;
    // What rounding took from the product.
    let rest = sample.mul_add(num, -product);
    (product % den + rest) / den
}

/// Days from J2000.0 (2000-01-01 12h) to midnight of a date "YYYY-MM-DD".
///
/// # Errors
/// [`SimError::Setting`] for anything but a date between 1900 and 2199.
pub(crate) fn days_since_j2000(date: &str) -> Result<f64, SimError> {
    let refuse = || {
        let allowed = "a date as \"2027-01-01\", from 1900 to 2199";
        SimError::setting("mission.start", format!("{date:?}"), allowed)
    };
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = date.get(range)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let shaped = date.len() == 10 && date.get(4..5) == Some("-") && date.get(7..8) == Some("-");
    let (Some(year), Some(month), Some(day), true) =
        (number(0..4), number(5..7), number(8..10), shaped)
    else {
        return Err(refuse());
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, 28 + i64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let known = (1900..2200).contains(&year) && (1..=12).contains(&month);
    if !known || !(1..=lengths[month as usize - 1]).contains(&day) {
        return Err(refuse());
    }
    let leaps = |y: i64| y / 4 - y / 100 + y / 400;
    let years = 365 * (year - 2000) + leaps(year - 1) - leaps(1999);
    let months: i64 = lengths[..month as usize - 1].iter().sum();
    Ok((years + months + day - 1) as f64 - 0.5)
}

/// Ecliptic longitude (J2000) of the anti-Sun direction at the start, radians.
///
/// The Sun's longitude by the Astronomical Almanac's low-precision formula (page
/// C5, 0.01°), taken back to J2000 by the precession of 50.29″ a year, plus 180°.
///
/// ```
/// let longitude_rad = skyscat_sim::anti_sun_longitude("2027-01-01")?;
/// // Half a degree or less from the barycentric ephemeris of `campeti2025`.
/// assert!((longitude_rad - 1.745942801448446).abs() < 0.5f64.to_radians());
/// # Ok::<(), skyscat_sim::SimError>(())
/// ```
///
/// # Errors
/// [`SimError::Setting`] for anything but a date "YYYY-MM-DD" from 1900 to 2199.
pub fn anti_sun_longitude(date: &str) -> Result<f64, SimError> {
    let days = days_since_j2000(date)?;
    let anomaly = (357.528 + 0.985_600_3 * days).to_radians();
    let sun = 280.460 + 0.985_647_4 * days + 1.915 * anomaly.sin() + 0.020 * (2.0 * anomaly).sin();
    let precession = 50.29 / 3600.0 * days / 365.25;
    Ok((sun - precession + 180.0).rem_euclid(360.0).to_radians())
}

/// A stretch of samples over which the longitude is linear.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stretch {
    /// λ at the first sample, radians.
    pub(crate) longitude_rad: f64,
    /// λ from one sample to the next, radians.
    pub(crate) step_rad: f64,
    /// Samples, at least one.
    pub(crate) samples: u64,
}

/// λ(t), ready for use: a validated [`Orbit`] with its start resolved.
#[derive(Clone, Debug)]
pub(crate) enum Longitude {
    Circular { start_rad: f64, samples_per_year: f64 },
    Table { step_s: f64, longitude_rad: Vec<f64>, rate_hz: f64 },
}

impl Longitude {
    pub(crate) fn new(orbit: &Orbit, start: &str, rate_hz: f64) -> Result<Self, SimError> {
        Ok(match orbit {
            Orbit::Circular { longitude_rad } => Self::Circular {
                start_rad: longitude_rad.map_or_else(|| anti_sun_longitude(start), Ok)?,
                samples_per_year: YEAR_S * rate_hz,
            },
            Orbit::Table { step_s, longitude_rad } => {
                Self::Table { step_s: *step_s, longitude_rad: longitude_rad.clone(), rate_hz }
            }
        })
    }

    /// The stretch that begins at a sample.
    pub(crate) fn at(&self, sample: u64) -> Stretch {
        match self {
            Self::Circular { start_rad, samples_per_year } => Stretch {
                longitude_rad: start_rad + TAU * turns(sample, 1.0, *samples_per_year),
                step_rad: TAU / samples_per_year,
                samples: u64::MAX,
            },
            Self::Table { step_s, longitude_rad, rate_hz } => {
                let knot = Knot::at(sample, *rate_hz, *step_s, longitude_rad.len());
                let (a, b) = (longitude_rad[knot.index], longitude_rad[knot.index + 1]);
                let slope = (b - a) / step_s;
                Stretch {
                    longitude_rad: a + slope * knot.after_s,
                    step_rad: slope / rate_hz,
                    samples: knot.samples,
                }
            }
        }
    }
}

/// Where a sample lies in a table of equal steps.
struct Knot {
    index: usize,
    after_s: f64,
    /// Samples before the next entry, at least one.
    samples: u64,
}

impl Knot {
    fn at(sample: u64, rate_hz: f64, step_s: f64, entries: usize) -> Self {
        let time_s = sample as f64 / rate_hz;
        let index = ((time_s / step_s) as usize).min(entries - 2);
        let next = (((index + 1) as f64 * step_s * rate_hz).ceil() as u64).saturating_sub(sample);
        // Past the last entry, by rounding at most, the last slope goes on.
        let samples = if index == entries - 2 { u64::MAX } else { next.max(1) };
        Self { index, after_s: time_s - index as f64 * step_s, samples }
    }
}

/// v/c over a stretch of samples, in the frame of the maps:
/// `base + along·f + across·g` with (f, g) given by the motion.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drift {
    pub(crate) base: [f64; 3],
    pub(crate) along: [f64; 3],
    pub(crate) across: [f64; 3],
    /// Samples, at least one.
    pub(crate) samples: u64,
}

/// The observer's velocity, ready for use, in the frame of the maps over c.
#[derive(Clone, Debug)]
pub(crate) enum Motion {
    /// f, g = cos, sin of the longitude gained since the first sample.
    Circular { solar: [f64; 3], orbital: f64, to_frame: Rotation },
    /// f = number of samples since the first one, g unused.
    Table { step_s: f64, over_c: Vec<[f64; 3]>, rate_hz: f64 },
}

impl Motion {
    pub(crate) fn new(velocity: &Velocity, to_frame: Rotation, rate_hz: f64) -> Self {
        let over_c = |v: &[f64; 3]| to_frame.apply(v.map(|x| x / SPEED_OF_LIGHT_KM_S));
        match velocity {
            Velocity::Circular { solar_km_s, orbital_km_s } => Self::Circular {
                solar: over_c(solar_km_s),
                orbital: orbital_km_s / SPEED_OF_LIGHT_KM_S,
                to_frame,
            },
            Velocity::Table { step_s, km_s } => {
                Self::Table { step_s: *step_s, over_c: km_s.iter().map(over_c).collect(), rate_hz }
            }
        }
    }

    /// The drift that begins at a sample, where the longitude is `longitude_rad`.
    pub(crate) fn at(&self, sample: u64, longitude_rad: f64) -> Drift {
        match self {
            Self::Circular { solar, orbital, to_frame } => {
                let (sin, cos) = longitude_rad.sin_cos();
                let towards = |x, y| to_frame.apply([orbital * x, orbital * y, 0.0]);
                Drift {
                    base: *solar,
                    along: towards(-sin, cos),
                    across: towards(-cos, -sin),
                    samples: u64::MAX,
                }
            }
            Self::Table { step_s, over_c, rate_hz } => {
                let knot = Knot::at(sample, *rate_hz, *step_s, over_c.len());
                let (a, b) = (over_c[knot.index], over_c[knot.index + 1]);
                let slope: [f64; 3] = std::array::from_fn(|i| (b[i] - a[i]) / step_s);
                Drift {
                    base: std::array::from_fn(|i| a[i] + slope[i] * knot.after_s),
                    along: slope.map(|x| x / rate_hz),
                    across: [0.0; 3],
                    samples: knot.samples,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_keep_their_digits() {
        // One turn a minute at 7 Hz: every 420 samples, whatever the number of turns.
        for sample in [0u64, 1, 419, 420, 220_751_999] {
            let exact = (sample % 420) as f64 / 420.0;
            assert!((turns(sample, 1.0, 60.0 * 7.0) - exact).abs() < 2e-16);
        }
        // 0.05 rpm at 19 Hz: 22,800 samples a turn; 0.05 itself is off by 6e-17.
        let sample = 22_800 * 10_000 + 5_700;
        assert!((turns(sample, 0.05, 60.0 * 19.0) - 0.25).abs() < 1e4 * 6e-17);
        // Must fail: the rate as one number loses digits with every turn.
        let naive = (220_751_999.0f64 * (1.0 / 420.0)).fract();
        assert!((naive - 419.0 / 420.0).abs() > 1e-12);
    }

    #[test]
    fn days_are_counted() {
        assert_eq!(days_since_j2000("2000-01-01"), Ok(-0.5));
        assert_eq!(days_since_j2000("2027-01-01"), Ok(9861.5));
        assert_eq!(days_since_j2000("2000-03-01"), Ok(59.5));
        for bad in
            ["2027-13-01", "2027-02-29", "27-01-01", "2027/01/01", "1899-12-31", "+027-01-01"]
        {
            assert!(days_since_j2000(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn tables_are_interpolated_from_knot_to_knot() {
        let table =
            Longitude::Table { step_s: 10.0, longitude_rad: vec![1.0, 2.0, 4.0], rate_hz: 0.25 };
        // Samples at 0, 4, 8 | 12, 16 | 20 s: past the last knot the last slope goes on.
        let at = |i| table.at(i);
        assert_eq!((at(0).samples, at(2).samples), (3, 1));
        assert!(
            (at(2).longitude_rad - 1.8).abs() < 1e-15 && (at(3).longitude_rad - 2.4).abs() < 1e-15
        );
        assert!((at(3).step_rad - 0.8).abs() < 1e-15 && (at(5).longitude_rad - 4.0).abs() < 1e-15);
    }
}
