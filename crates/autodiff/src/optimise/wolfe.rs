//! A line search for the strong Wolfe conditions.
//!
//! Nocedal & Wright, Numerical Optimization (2006), Algorithms 3.5 and 3.6, with
//! safeguarded cubic interpolation inside the bracket. A value that is not
//! finite counts as too long a step.

/// A point of the line: step, value and directional derivative.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    pub(crate) step: f64,
    pub(crate) value: f64,
    pub(crate) slope: f64,
}

/// Constants of the conditions, 0 < `decrease` < `curvature` < 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wolfe {
    pub(crate) decrease: f64,
    pub(crate) curvature: f64,
    pub(crate) max_evaluations: usize,
}

impl Wolfe {
    fn decreases(&self, start: Point, p: Point) -> bool {
        p.value <= start.value + self.decrease * p.step * start.slope
    }

    fn flat(&self, start: Point, p: Point) -> bool {
        p.slope.abs() <= -self.curvature * start.slope
    }

    /// Finds an acceptable point, first trying `first`. `at(step)` evaluates the
    /// line, or tells that it cannot, and the last call made is at the point returned.
    /// `None` if the evaluations run out with no decrease found.
    pub(crate) fn search(
        &self,
        start: Point,
        first: f64,
        at: &mut dyn FnMut(f64) -> Option<Point>,
    ) -> Option<Point> {
        let mut low = start;
        let mut high: Option<Point> = None;
        let mut step = first;
        let mut last = start;
        for _ in 0..self.max_evaluations {
            let p = at(step)?;
            last = p;
            if !p.value.is_finite() || !p.slope.is_finite() {
                // Outside the domain: halve towards the best point known.
                high = Some(Point { step, value: f64::INFINITY, slope: f64::NAN });
                step = low.step + 0.5 * (step - low.step);
                continue;
            }
            let worse = !self.decreases(start, p) || (low.step > 0.0 && p.value >= low.value);
            if worse {
                high = Some(p);
            } else if self.flat(start, p) {
                return Some(p);
            } else {
                let towards = high.map_or(1.0, |h| h.step - low.step);
                if p.slope * towards >= 0.0 {
                    high = Some(low);
                }
                low = p;
            }
            step = match high {
                None => 2.5 * p.step,
                Some(high) if (high.step - low.step).abs() <= 1e-14 * high.step.abs() => break,
                Some(high) => inside(low, high),
            };
        }
        // No point meets both conditions in the budget: any decrease is still progress.
        match low.step > 0.0 && low.value < start.value {
            true if last.step == low.step => Some(low),
            true => at(low.step),
            false => None,
        }
    }
}

/// Minimiser of the cubic through two points, kept well inside their interval.
fn inside(low: Point, high: Point) -> f64 {
    let width = high.step - low.step;
    let fallback = low.step + 0.5 * width;
    if !high.value.is_finite() || !high.slope.is_finite() {
        return fallback;
    }
    let d1 = low.slope + high.slope - 3.0 * (high.value - low.value) / width;
    let root = d1 * d1 - low.slope * high.slope;
    if root < 0.0 {
        return fallback;
    }
    let d2 = root.sqrt().copysign(width);
    let t = (high.slope + d2 - d1) / (high.slope - low.slope + 2.0 * d2);
    let fraction = 1.0 - t;
    if fraction.is_finite() { low.step + fraction.clamp(0.1, 0.9) * width } else { fallback }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(f: impl Fn(f64) -> (f64, f64), first: f64) {
        let wolfe = Wolfe { decrease: 1e-4, curvature: 0.9, max_evaluations: 30 };
        let point = |s: f64| {
            let (value, slope) = f(s);
            Point { step: s, value, slope }
        };
        let start = point(0.0);
        let mut last = f64::NAN;
        let found = wolfe
            .search(start, first, &mut |s| {
                last = s;
                Some(point(s))
            })
            .expect("found");
        assert!(wolfe.decreases(start, found) && wolfe.flat(start, found), "{found:?}");
        assert_eq!(last, found.step, "the last evaluation is at the point returned");
    }

    #[test]
    fn finds_strong_wolfe_points_from_short_and_long_first_steps() {
        for first in [1e-3, 1.0, 10.0, 1e3] {
            check(|s| ((s - 2.0).powi(2), 2.0 * (s - 2.0)), first);
            check(|s| (-s / (s * s + 2.0), (s * s - 2.0) / (s * s + 2.0).powi(2)), first);
        }
    }

    #[test]
    fn comes_back_from_outside_the_domain() {
        check(|s| (-(4.0 - s).ln() - 2.0 * s, 1.0 / (4.0 - s) - 2.0), 8.0);
    }

    #[test]
    fn reports_failure_where_there_is_no_descent() {
        let wolfe = Wolfe { decrease: 1e-4, curvature: 0.9, max_evaluations: 20 };
        let start = Point { step: 0.0, value: 0.0, slope: -1.0 };
        let uphill = |s: f64| Some(Point { step: s, value: s, slope: 1.0 });
        assert!(wolfe.search(start, 1.0, &mut { uphill }).is_none());
        // An evaluation that cannot be made is the last one.
        let mut calls = 0;
        let mut nothing = |_| {
            calls += 1;
            None
        };
        assert!(wolfe.search(start, 1.0, &mut nothing).is_none());
        assert_eq!(calls, 1);
    }
}
