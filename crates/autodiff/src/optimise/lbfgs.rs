//! Limited-memory BFGS (Nocedal & Wright 2006, Algorithms 7.4 and 7.5).

use super::wolfe::{Point, Wolfe};
use super::{Objective, Vector};
use std::collections::VecDeque;

/// Settings of [`Lbfgs`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LbfgsConfig {
    /// Pairs (s, y) kept.
    pub memory: usize,
    /// Sufficient decrease, the first Wolfe constant.
    pub decrease: f64,
    /// Curvature, the second Wolfe constant.
    pub curvature: f64,
    /// Evaluations allowed in one line search.
    pub max_line_search: usize,
}

impl LbfgsConfig {
    /// Memory 10 with strong-Wolfe constants 1e-4 and 0.9, as in Campeti et al. (2025).
    pub fn campeti2025() -> Self {
        Self { memory: 10, decrease: 1e-4, curvature: 0.9, max_line_search: 20 }
    }
}

/// Why the descent stopped before it was told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// The gradient is exactly zero.
    ZeroGradient,
    /// No step decreases the value, not even along the gradient.
    LineSearch,
    /// As before, and value or gradient are not finite however short the step.
    NotFinite,
}

/// A descent that cannot go on.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LbfgsError {
    /// The first value or gradient is not finite.
    #[error("the loss at the start is not finite: value {value}, gradient norm {gradient_norm}")]
    NotFinite {
        /// The value.
        value: f64,
        /// The norm of the gradient.
        gradient_norm: f64,
    },
}

/// The state of a descent; all of it is public, so that it can be saved.
#[derive(Clone, Debug)]
pub struct Lbfgs<V> {
    /// Settings.
    pub config: LbfgsConfig,
    /// Current variables.
    pub x: V,
    /// Gradient at `x`.
    pub gradient: V,
    /// Value at `x`.
    pub value: f64,
    /// Pairs (s, y, 1/⟨s,y⟩), oldest first.
    pub pairs: VecDeque<(V, V, f64)>,
    /// Evaluations made so far.
    pub evaluations: u64,
    direction: V,
    trial_x: V,
    trial_gradient: V,
    spare: Vec<(V, V)>,
    /// Whether value and gradient of the last trial were.
    finite: bool,
}

impl<V: Vector> Lbfgs<V> {
    /// Evaluates the objective at `x` and stands ready to descend.
    ///
    /// # Errors
    /// [`LbfgsError::NotFinite`] if value or gradient is not finite there.
    pub fn start(
        config: LbfgsConfig,
        x: V,
        objective: &mut dyn Objective<V>,
    ) -> Result<Self, LbfgsError> {
        let mut gradient = x.zeros_like();
        let value = objective.value_and_gradient(&x, &mut gradient);
        let gradient_norm = gradient.dot(&gradient).sqrt();
        if !value.is_finite() || !gradient_norm.is_finite() {
            return Err(LbfgsError::NotFinite { value, gradient_norm });
        }
        Ok(Self::resume(config, x, gradient, value, VecDeque::new(), 1))
    }

    /// The state saved earlier; the descent goes on with the same bits.
    pub fn resume(
        config: LbfgsConfig,
        x: V,
        gradient: V,
        value: f64,
        pairs: VecDeque<(V, V, f64)>,
        evaluations: u64,
    ) -> Self {
        let zeros = x.zeros_like();
        Self {
            config,
            gradient,
            value,
            pairs,
            evaluations,
            direction: zeros.clone(),
            trial_x: zeros.clone(),
            trial_gradient: zeros,
            spare: Vec::new(),
            finite: true,
            x,
        }
    }

    /// One iteration. A line search that fails is tried once more from the
    /// steepest descent; `Some` tells why no step was taken, and leaves point and
    /// pairs as they were.
    pub fn step(&mut self, objective: &mut dyn Objective<V>) -> Option<Stop> {
        let norm = self.gradient.dot(&self.gradient).sqrt();
        if norm == 0.0 {
            return Some(Stop::ZeroGradient);
        }
        self.set_direction();
        if self.line_search(objective, norm) {
            return None;
        }
        let pairs = std::mem::take(&mut self.pairs);
        if !pairs.is_empty() {
            self.set_direction();
            if self.line_search(objective, norm) {
                return None;
            }
            self.pairs = pairs;
        }
        Some(if self.finite { Stop::LineSearch } else { Stop::NotFinite })
    }

    /// direction ← −H·gradient by the two-loop recursion.
    fn set_direction(&mut self) {
        self.direction.set_neg(&self.gradient);
        let mut alphas = Vec::with_capacity(self.pairs.len());
        for (s, y, rho) in self.pairs.iter().rev() {
            let alpha = rho * s.dot(&self.direction);
            self.direction.axpy(-alpha, y);
            alphas.push(alpha);
        }
        if let Some((_, y, rho)) = self.pairs.back() {
            self.direction.scale(1.0 / (rho * y.dot(y)));
        }
        for ((s, y, rho), alpha) in self.pairs.iter().zip(alphas.into_iter().rev()) {
            let beta = rho * y.dot(&self.direction);
            self.direction.axpy(alpha - beta, s);
        }
    }

    fn line_search(&mut self, objective: &mut dyn Objective<V>, norm: f64) -> bool {
        let slope = self.direction.dot(&self.gradient);
        if !slope.is_finite() || slope >= 0.0 {
            return false;
        }
        let start = Point { step: 0.0, value: self.value, slope };
        let first = if self.pairs.is_empty() { (1.0 / norm).min(1.0) } else { 1.0 };
        let wolfe = Wolfe {
            decrease: self.config.decrease,
            curvature: self.config.curvature,
            max_evaluations: self.config.max_line_search,
        };
        let Self { x, direction, trial_x, trial_gradient, evaluations, finite, .. } = self;
        let found = wolfe.search(start, first, &mut |step| {
            trial_x.set_sum(x, step, direction);
            let value = objective.value_and_gradient(trial_x, trial_gradient);
            *evaluations += 1;
            let slope = trial_gradient.dot(direction);
            *finite = value.is_finite() && slope.is_finite();
            Point { step, value, slope }
        });
        found.map(|point| self.accept(point.value)).is_some()
    }

    fn accept(&mut self, value: f64) {
        let (mut s, mut y) = if self.pairs.len() >= self.config.memory.max(1) {
            let (s, y, _) = self.pairs.pop_front().expect("memory is not empty");
            (s, y)
        } else {
            self.spare.pop().unwrap_or_else(|| (self.x.zeros_like(), self.x.zeros_like()))
        };
        s.set_sum(&self.trial_x, -1.0, &self.x);
        y.set_sum(&self.trial_gradient, -1.0, &self.gradient);
        let (sy, yy) = (s.dot(&y), y.dot(&y));
        // A pair without curvature would spoil the metric.
        if sy > f64::EPSILON * yy {
            self.pairs.push_back((s, y, 1.0 / sy));
        } else {
            self.spare.push((s, y));
        }
        std::mem::swap(&mut self.x, &mut self.trial_x);
        std::mem::swap(&mut self.gradient, &mut self.trial_gradient);
        self.value = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Rosenbrock;

    impl Objective<Vec<f64>> for Rosenbrock {
        fn value_and_gradient(&mut self, x: &Vec<f64>, g: &mut Vec<f64>) -> f64 {
            g.fill(0.0);
            let mut f = 0.0;
            for i in 0..x.len() - 1 {
                let (a, b) = (1.0 - x[i], x[i + 1] - x[i] * x[i]);
                f += a * a + 100.0 * b * b;
                g[i] += -2.0 * a - 400.0 * x[i] * b;
                g[i + 1] += 200.0 * b;
            }
            f
        }
    }

    #[test]
    fn solves_rosenbrock_in_twenty_dimensions() {
        let x: Vec<f64> = (0..20).map(|i| if i % 2 == 0 { -1.2 } else { 1.0 }).collect();
        let mut descent = Lbfgs::start(LbfgsConfig::campeti2025(), x, &mut Rosenbrock).unwrap();
        for _ in 0..400 {
            if descent.value < 1e-20 || descent.step(&mut Rosenbrock).is_some() {
                break;
            }
        }
        assert!(descent.value < 1e-18, "{}", descent.value);
        assert!(descent.x.iter().all(|x| (x - 1.0).abs() < 1e-8));
        assert!(descent.evaluations < 300, "{}", descent.evaluations);
    }

    #[test]
    fn a_resumed_descent_has_the_same_bits() {
        let mut whole =
            Lbfgs::start(LbfgsConfig::campeti2025(), vec![-1.2; 6], &mut Rosenbrock).unwrap();
        for _ in 0..12 {
            whole.step(&mut Rosenbrock);
        }
        let (x, g) = (whole.x.clone(), whole.gradient.clone());
        let mut resumed =
            Lbfgs::resume(whole.config, x, g, whole.value, whole.pairs.clone(), whole.evaluations);
        for _ in 0..12 {
            whole.step(&mut Rosenbrock);
            resumed.step(&mut Rosenbrock);
        }
        assert_eq!(whole.x, resumed.x);
        assert_eq!(whole.evaluations, resumed.evaluations);
    }

    #[test]
    fn refuses_a_start_that_is_not_finite() {
        let error = Lbfgs::start(LbfgsConfig::campeti2025(), vec![f64::NAN; 2], &mut Rosenbrock);
        assert!(matches!(error, Err(LbfgsError::NotFinite { .. })));
    }

    /// Rosenbrock's banana whose value is infinite at some evaluations.
    struct Moody {
        evaluations: u64,
        lost: std::ops::Range<u64>,
    }

    impl Objective<Vec<f64>> for Moody {
        fn value_and_gradient(&mut self, x: &Vec<f64>, g: &mut Vec<f64>) -> f64 {
            self.evaluations += 1;
            let value = Rosenbrock.value_and_gradient(x, g);
            if self.lost.contains(&self.evaluations) { f64::INFINITY } else { value }
        }
    }

    #[test]
    fn a_failed_line_search_restarts_once_from_the_steepest_descent() {
        let config = LbfgsConfig::campeti2025();
        let budget = config.max_line_search as u64;
        // One search fails: the restart steps along the gradient and forgets the pairs.
        for (lost, stop) in [(budget, None), (2 * budget, Some(Stop::NotFinite))] {
            let mut objective = Moody { evaluations: 0, lost: 0..0 };
            let mut descent = Lbfgs::start(config, vec![-1.2, 1.0, 0.3], &mut objective).unwrap();
            for _ in 0..5 {
                assert_eq!(descent.step(&mut objective), None);
            }
            let (x, gradient, pairs) =
                (descent.x.clone(), descent.gradient.clone(), descent.pairs.clone());
            assert!(pairs.len() > 1);
            objective.lost = objective.evaluations + 1..objective.evaluations + 1 + lost;
            assert_eq!(descent.step(&mut objective), stop);
            if stop.is_none() {
                let moved: Vec<f64> = descent.x.iter().zip(&x).map(|(a, b)| a - b).collect();
                let along =
                    moved.dot(&gradient) / (moved.dot(&moved) * gradient.dot(&gradient)).sqrt();
                assert!((along + 1.0).abs() < 1e-12, "{along}");
                assert_eq!(descent.pairs.len(), 1);
            } else {
                assert_eq!((descent.x, descent.pairs), (x, pairs), "the last good state");
            }
        }
    }
}
