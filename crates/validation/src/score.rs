//! Scores by name, limits as data, and verdicts.

use crate::error::{Result, ValidationError};
use serde::{Deserialize, Serialize};

/// One number that can be judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Score {
    /// What is measured; limits name it. Parts are separated by a slash.
    pub name: String,
    /// The number; none if it cannot be measured, which counts as failed.
    pub value: Option<f64>,
    /// What sampling alone would give, where theory says.
    pub expected: Option<f64>,
    /// Where it was found, or why it could not be measured.
    pub remark: String,
}

impl Score {
    /// A number that was measured.
    pub fn measured(name: impl Into<String>, value: f64) -> Self {
        // A limit cannot be kept by what is not a number.
        let value = value.is_finite().then_some(value);
        Self { name: name.into(), value, expected: None, remark: String::new() }
    }

    /// A number that could not be measured, and why.
    pub fn missing(name: impl Into<String>, why: impl ToString) -> Self {
        Self { name: name.into(), value: None, expected: None, remark: why.to_string() }
    }

    /// The same with what sampling would give.
    pub fn expecting(mut self, expected: f64) -> Self {
        self.expected = Some(expected);
        self
    }

    /// The same with a remark.
    pub fn remarking(mut self, remark: impl Into<String>) -> Self {
        self.remark = remark.into();
        self
    }
}

/// The largest or smallest value that a score may have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Name of the score; a trailing `*` stands for any ending.
    pub score: String,
    /// Smallest allowed.
    pub min: Option<f64>,
    /// Largest allowed.
    pub max: Option<f64>,
    /// Where the limit comes from.
    pub reason: String,
    /// What the paper claims, with its place, where it does.
    pub claim: Option<String>,
}

/// What the judged maps can know of the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Known {
    /// All of it: they are to be draws of the reference distribution.
    Truth,
    /// What the inputs say: means and spreads may be off by the inputs' own scatter.
    Inputs,
}

/// What a set of maps must keep, stated before the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Where the judged maps have their knowledge from.
    pub known: Known,
    /// Covariance scores are in units of what this many reference draws would give
    /// (or, with [`Known::Truth`], as many as are judged if those are more).
    pub covariance_draws: usize,
    /// One a score, in any order; a score takes the first that names it.
    pub limits: Vec<Limit>,
}

impl Limits {
    /// The text of [`Limits::sampling`], to be copied and changed.
    pub const SAMPLING: &str = include_str!("../data/sampling.toml");
    /// The text of [`Limits::inputs`].
    pub const INPUTS: &str = include_str!("../data/inputs.toml");

    /// Maps that cannot be told from draws of the reference distribution.
    ///
    /// ```
    /// let limits = skyscat_validation::Limits::sampling();
    /// assert_eq!(limits.covariance_draws, 1000);
    /// ```
    pub fn sampling() -> Self {
        Self::from_toml(Self::SAMPLING).expect("embedded limits are valid")
    }

    /// Maps that a few inputs can teach.
    ///
    /// Means within the inputs' scatter, covariances as good as those of 1000 reference
    /// draws.
    ///
    /// ```
    /// use skyscat_validation::{Known, Limits};
    /// let limits = Limits::inputs();
    /// assert_eq!((limits.known, limits.covariance_draws), (Known::Inputs, 1000));
    /// ```
    pub fn inputs() -> Self {
        Self::from_toml(Self::INPUTS).expect("embedded limits are valid")
    }

    /// Draws that the covariance scores of `n_maps` maps are compared with.
    pub(crate) fn draws(&self, n_maps: usize) -> usize {
        match self.known {
            Known::Truth => n_maps.max(self.covariance_draws),
            Known::Inputs => self.covariance_draws,
        }
    }

    /// Limits from TOML text, as `data/sampling.toml` has them.
    ///
    /// # Errors
    /// [`ValidationError::Limits`] for text that is no TOML, unknown keys, a limit without
    /// bounds or with bounds that are not numbers, no draws.
    pub fn from_toml(text: &str) -> Result<Self> {
        let limits: Self =
            toml::from_str(text).map_err(|error| ValidationError::Limits(error.to_string()))?;
        if limits.covariance_draws < 2 {
            return Err(ValidationError::Limits("covariance_draws must be 2 or more".to_owned()));
        }
        for limit in &limits.limits {
            let bounds = [limit.min, limit.max];
            let numbers = bounds.iter().flatten().all(|b| b.is_finite());
            if bounds == [None, None] || !numbers {
                let text = format!("{} needs min or max, finite numbers", limit.score);
                return Err(ValidationError::Limits(text));
            }
        }
        Ok(limits)
    }

    /// The limit of a score, if one names it.
    pub fn of(&self, score: &str) -> Option<&Limit> {
        self.limits.iter().find(|limit| match limit.score.strip_suffix('*') {
            Some(start) => score.starts_with(start),
            None => limit.score == score,
        })
    }
}

/// A score, its limit, and whether it was kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// Name of the score.
    pub name: String,
    /// What was measured; none if it could not be.
    pub measured: Option<f64>,
    /// Smallest allowed.
    pub min: Option<f64>,
    /// Largest allowed.
    pub max: Option<f64>,
    /// Whether it was measured and lies within the bounds.
    pub pass: bool,
    /// Where the limit comes from.
    pub reason: String,
    /// What the paper claims, where it does.
    pub claim: Option<String>,
    /// Where it was found, or why it could not be measured.
    pub remark: String,
}

/// Judges every score that has a limit, in the order of the scores.
///
/// Scores without a limit are reported, not judged; a score that could not be measured
/// fails.
pub fn judge(scores: &[Score], limits: &Limits) -> Vec<Verdict> {
    let judged =
        scores.iter().filter_map(|score| limits.of(&score.name).map(|limit| (score, limit)));
    judged
        .map(|(score, limit)| Verdict {
            name: score.name.clone(),
            measured: score.value,
            min: limit.min,
            max: limit.max,
            pass: score.value.is_some_and(|v| {
                v.is_finite()
                    && limit.min.is_none_or(|min| v >= min)
                    && limit.max.is_none_or(|max| v <= max)
            }),
            reason: limit.reason.clone(),
            claim: limit.claim.clone(),
            remark: score.remark.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_kept_on_both_sides() {
        let text = "known = \"truth\"\ncovariance_draws = 9\n\
            [[limits]]\nscore = \"a/*\"\nmin = 0.5\nmax = 2.0\nreason = \"why\"\n";
        let limits = Limits::from_toml(text).unwrap();
        let verdict = |score: Score| judge(&[score], &limits).first().map(|v| v.pass);
        assert_eq!(verdict(Score::measured("a/b", 0.5)), Some(true));
        assert_eq!(verdict(Score::measured("a/b", 2.0)), Some(true));
        assert_eq!(verdict(Score::measured("a/b", 2.1)), Some(false));
        assert_eq!(verdict(Score::measured("a/b", 0.4)), Some(false));
        assert_eq!(verdict(Score::measured("a/b", f64::NAN)), Some(false));
        assert_eq!(verdict(Score::missing("a/b", "too few maps")), Some(false));
        assert_eq!(verdict(Score::measured("b", 1.0)), None);
    }

    #[test]
    fn limits_say_what_is_wrong_with_them() {
        let one =
            "known = \"inputs\"\ncovariance_draws = 9\n[[limits]]\nscore = \"a\"\nreason = \"b\"\n";
        for (text, word) in [
            ("known = \"truth\"\ncovariance_draws = 9\nlimits = []\nlimit = 3\n", "limit"),
            ("known = \"all\"\ncovariance_draws = 9\nlimits = []\n", "known"),
            ("known = \"truth\"\ncovariance_draws = 1\nlimits = []\n", "covariance_draws"),
            (one, "a needs min or max"),
            (&format!("{one}max = nan\n"), "finite"),
            ("known = \"truth\"\nlimits = []", "covariance_draws"),
        ] {
            let error = Limits::from_toml(text).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
