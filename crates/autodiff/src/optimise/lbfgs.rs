//! Limited-memory BFGS (Nocedal & Wright 2006, Algorithms 7.4 and 7.5).

use super::wolfe::{Point, Wolfe};
use super::{Aim, At, Failure, Objective, Pairs, SavedPair, Vector};
use std::borrow::Cow;

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
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// The gradient is exactly zero.
    ZeroGradient,
    /// No step decreases the value, not even along the gradient.
    LineSearch,
    /// As before, and value or gradient are not finite however short the step.
    NotFinite,
    /// The objective has no value, or the vectors are out of reach.
    Failure(Failure),
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
    /// The vectors of the descent have no place, or cannot be reached.
    #[error("the vectors of the descent: {0}")]
    Vectors(Failure),
}

/// A descent on the host, as it is saved.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedLbfgs {
    /// Variables.
    pub x: Vec<f64>,
    /// Gradient there.
    pub gradient: Vec<f64>,
    /// Value there.
    pub value: f64,
    /// Pairs (s, y, 1/⟨s, y⟩), oldest first.
    pub pairs: Vec<SavedPair>,
    /// Evaluations made so far.
    pub evaluations: u64,
}

/// The state of a descent; [`Lbfgs::save`] has all of it.
#[derive(Debug)]
pub struct Lbfgs<V: Vector> {
    /// Settings.
    pub config: LbfgsConfig,
    /// Current variables.
    pub x: V,
    /// Gradient at `x`.
    pub gradient: V,
    /// Value at `x`.
    pub value: f64,
    /// What is remembered of the way here.
    pub pairs: V::Pairs,
    /// Evaluations made so far.
    pub evaluations: u64,
    direction: V,
    trial_x: V,
    trial_gradient: V,
    /// Whether value and slope of the last trial were.
    finite: bool,
}

impl<V: Vector> Lbfgs<V> {
    /// Evaluates the objective at `x` and stands ready to descend.
    ///
    /// # Errors
    /// [`LbfgsError::NotFinite`] if value or gradient is not finite there;
    /// [`LbfgsError::Vectors`] if there is no memory.
    pub fn start(
        config: LbfgsConfig,
        x: V,
        objective: &mut dyn Objective<V>,
    ) -> Result<Self, LbfgsError> {
        let mut gradient = x.zeros_like()?;
        let value = objective.value_and_gradient(&x, &mut gradient);
        let gradient_norm = gradient.dot(&gradient).sqrt();
        if !value.is_finite() || !gradient_norm.is_finite() {
            return Err(LbfgsError::NotFinite { value, gradient_norm });
        }
        Self::with(config, x, gradient, (value, 1))
    }

    /// The state saved earlier, on vectors like this one; the descent goes on with the
    /// same bits.
    ///
    /// # Errors
    /// [`LbfgsError::Vectors`] if there is no memory.
    pub fn resume(config: LbfgsConfig, saved: &SavedLbfgs, like: &V) -> Result<Self, LbfgsError> {
        let pairs = saved.pairs.iter().flat_map(|(s, y, _)| [s, y]);
        let all = [&saved.x, &saved.gradient].into_iter().chain(pairs);
        let vectors = all.map(|vector| Ok::<_, LbfgsError>(Cow::Borrowed(&vector[..])));
        Self::read(config, (saved.value, saved.evaluations), vectors, like)
    }

    /// The same from vectors that come one after the other, in the order of
    /// [`Lbfgs::vector`], so that no more than a pair of them is on the host.
    ///
    /// # Errors
    /// As [`Lbfgs::resume`], and whatever comes in place of a vector.
    ///
    /// # Panics
    /// If there are fewer than two vectors, or an odd number.
    pub fn read<'a, E: From<LbfgsError>>(
        config: LbfgsConfig,
        (value, evaluations): (f64, u64),
        mut vectors: impl Iterator<Item = Result<Cow<'a, [f64]>, E>>,
        like: &V,
    ) -> Result<Self, E> {
        let mut next = || vectors.next().transpose();
        let one = "variables, gradient, and two vectors of each pair";
        let (x, gradient) = (next()?.expect(one), next()?.expect(one));
        let (x, gradient) = (like.like(&x)?, like.like(&gradient)?);
        let mut state = Self::with(config, x, gradient, (value, evaluations))?;
        while let Some(s) = next()? {
            state.pairs.take_up(&s, &next()?.expect(one))?;
        }
        Ok(state)
    }

    fn with(
        config: LbfgsConfig,
        x: V,
        gradient: V,
        (value, evaluations): (f64, u64),
    ) -> Result<Self, LbfgsError> {
        Ok(Self {
            config,
            gradient,
            value,
            pairs: V::Pairs::new(config.memory, &x)?,
            evaluations,
            direction: x.zeros_like()?,
            trial_x: x.zeros_like()?,
            trial_gradient: x.zeros_like()?,
            finite: true,
            x,
        })
    }

    /// Vectors of the state: the variables, the gradient, and two of each pair.
    pub fn vectors(&self) -> usize {
        2 + 2 * self.pairs.len()
    }

    /// One of them, on the host: variables, gradient, then s and y of each pair, the oldest
    /// first.
    ///
    /// # Errors
    /// [`LbfgsError::Vectors`] if it cannot be read.
    pub fn vector(&self, at: usize) -> Result<Vec<f64>, LbfgsError> {
        match at {
            0 => self.x.numbers(),
            1 => self.gradient.numbers(),
            _ => self.pairs.vector(at - 2),
        }
    }

    /// All of the state, on the host.
    ///
    /// # Errors
    /// [`LbfgsError::Vectors`] if it cannot be read.
    pub fn save(&self) -> Result<SavedLbfgs, LbfgsError> {
        Ok(SavedLbfgs {
            x: self.x.numbers()?,
            gradient: self.gradient.numbers()?,
            value: self.value,
            pairs: self.pairs.save()?,
            evaluations: self.evaluations,
        })
    }

    /// One iteration. A line search that fails is tried once more from the
    /// steepest descent; `Some` tells why no step was taken, and leaves point and
    /// pairs as they were.
    pub fn step(&mut self, objective: &mut dyn Objective<V>) -> Option<Stop> {
        self.try_step(objective).unwrap_or_else(|failure| Some(Stop::Failure(failure)))
    }

    fn try_step(&mut self, objective: &mut dyn Objective<V>) -> Result<Option<Stop>, Failure> {
        let aim = self.pairs.aim(&self.gradient, &mut self.direction)?;
        if aim.norm == 0.0 {
            return Ok(Some(Stop::ZeroGradient));
        }
        if self.line_search(objective, aim, self.pairs.is_empty())? {
            return Ok(None);
        }
        if !self.pairs.is_empty() {
            // −gradient, as gradient − 2·gradient.
            self.direction.set_sum(&self.gradient, -2.0, &self.gradient);
            let steepest = Aim { norm: aim.norm, slope: -aim.norm * aim.norm };
            if self.line_search(objective, steepest, true)? {
                return Ok(None);
            }
        }
        Ok(Some(if self.finite { Stop::LineSearch } else { Stop::NotFinite }))
    }

    /// Whether a step was found, and taken; one along the gradient forgets all pairs.
    fn line_search(
        &mut self,
        objective: &mut dyn Objective<V>,
        aim: Aim,
        steepest: bool,
    ) -> Result<bool, Failure> {
        if !aim.slope.is_finite() || aim.slope >= 0.0 {
            return Ok(false);
        }
        let start = Point { step: 0.0, value: self.value, slope: aim.slope };
        let first = if steepest { (1.0 / aim.norm).min(1.0) } else { 1.0 };
        let wolfe = Wolfe {
            decrease: self.config.decrease,
            curvature: self.config.curvature,
            max_evaluations: self.config.max_line_search,
        };
        let Self { x, direction, trial_x, trial_gradient, evaluations, finite, .. } = self;
        let found = wolfe.search(start, first, &mut |step| {
            let trial = At { x: &mut *trial_x, gradient: &mut *trial_gradient };
            let (value, slope) = objective.probe(x, direction, step, trial);
            *evaluations += 1;
            *finite = value.is_finite() && slope.is_finite();
            objective.failure().is_none().then_some(Point { step, value, slope })
        });
        if let Some(failure) = objective.failure() {
            return Err(failure);
        }
        let Some(point) = found else { return Ok(false) };
        if steepest {
            self.pairs.clear();
        }
        self.pairs.advance(
            At { x: &mut self.x, gradient: &mut self.gradient },
            At { x: &mut self.trial_x, gradient: &mut self.trial_gradient },
        )?;
        self.value = point.value;
        Ok(true)
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
        let saved = whole.save().unwrap();
        let mut resumed = Lbfgs::resume(whole.config, &saved, &whole.x).unwrap();
        for _ in 0..12 {
            whole.step(&mut Rosenbrock);
            resumed.step(&mut Rosenbrock);
        }
        assert_eq!(whole.x, resumed.x);
        assert_eq!(whole.evaluations, resumed.evaluations);
    }

    #[test]
    fn pairs_are_kept_in_f32_and_multiplied_as_they_are_kept() {
        let mut descent =
            Lbfgs::start(LbfgsConfig::campeti2025(), vec![-1.2; 6], &mut Rosenbrock).unwrap();
        for _ in 0..12 {
            descent.step(&mut Rosenbrock);
        }
        let saved = descent.save().unwrap();
        let narrow = |v: &[f64]| v.iter().all(|&x| f64::from(x as f32) == x);
        assert!(!narrow(&saved.x) && !narrow(&saved.gradient));
        assert_eq!(saved.pairs.len(), 10);
        for (s, y, rho) in &saved.pairs {
            assert!(narrow(s) && narrow(y));
            let exact = s.dot(y);
            let size: f64 = s.iter().zip(y).map(|(s, y)| (s * y).abs()).sum();
            // Two sums of six products, each off by 3 ε at most, and two divisions.
            let off = |found: f64| (found - exact).abs() > 8.0 * f64::EPSILON * size;
            assert!(!off(1.0 / rho), "{rho} {exact}");
            // Must fail: a product that is off by 1e-14.
            assert!(off(1.0 / rho + 1e-14 * size));
        }
    }

    /// A bowl whose gradients are as large as wanted.
    struct Bowl(f64);

    impl Objective<Vec<f64>> for Bowl {
        fn value_and_gradient(&mut self, x: &Vec<f64>, g: &mut Vec<f64>) -> f64 {
            x.iter().zip(g).for_each(|(x, g)| *g = 2.0 * self.0 * x);
            self.0 * x.iter().map(|x| x * x).sum::<f64>()
        }
    }

    #[test]
    fn gradients_beyond_f32_are_descended_without_pairs() {
        for (scale, pairs) in [(1e60, false), (1e30, true), (1e-10, true)] {
            let mut bowl = Bowl(scale);
            let x = vec![1.0, -2.0, 0.5];
            let mut descent = Lbfgs::start(LbfgsConfig::campeti2025(), x, &mut bowl).unwrap();
            let before = descent.value;
            assert_eq!(descent.step(&mut bowl), None);
            assert!(descent.value < before && descent.value.is_finite(), "{scale:e}");
            assert_eq!(!descent.pairs.is_empty(), pairs, "{scale:e}");
        }
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
