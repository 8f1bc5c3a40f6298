//! How comparisons make a verdict.

use std::fmt;

use foretaste_eval::Equivalence;
use foretaste_eval::power::Goal;
use serde::Deserialize;

use super::Difference;

/// How comparisons make a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Rule {
    /// The paper says that ours is better than the best rival: reproduced if it is in every
    /// comparison, not reproduced if it is worse in one, inconclusive otherwise.
    #[serde(rename = "beats the best")]
    BeatsBest,
    /// The same of every single rival.
    #[serde(rename = "beats each")]
    BeatsEach,
    /// The paper names no winner: ours or the rival's if one is better somewhere and worse nowhere,
    /// else inconclusive.
    #[serde(rename = "which is better")]
    Open,
    /// Ours and every rival differ by less than the margin δ: equivalent if the 90% interval lies
    /// within ±δ in every comparison, not equivalent if it lies beyond in one, inconclusive
    /// otherwise.
    #[serde(rename = "equals")]
    Equals,
    /// Ours is not worse than any rival by the margin δ: reproduced if the 90% interval lies above
    /// -δ in every comparison, not reproduced if it lies below in one, inconclusive otherwise.
    #[serde(rename = "is not worse than")]
    NotWorse,
}

/// The end of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The numbers say what the paper says.
    Reproduced,
    /// They say otherwise.
    NotReproduced,
    /// The paper names no winner; ours is better.
    OursBetter,
    /// The paper names no winner; the rival is better.
    RivalBetter,
    /// There is no difference as large as the claim's margin: what the claim says, or all that is
    /// known where it says that one is better.
    Equivalent,
    /// The claim says that there is none, and there is.
    NotEquivalent,
    /// They do not decide.
    Inconclusive,
    /// No data set has what the claim needs.
    NotDecidable,
    /// Some comparison has no runs.
    NotRun,
}

impl Rule {
    /// The verdict on at least one comparison. What is left open but shown to lie within the margin
    /// is equivalent.
    pub(super) fn verdict(self, differences: &[Difference]) -> Verdict {
        let verdict = self.of_claim(differences);
        if verdict == Verdict::Inconclusive && all(differences, Equivalence::is_equivalent) {
            Verdict::Equivalent
        } else {
            verdict
        }
    }

    fn of_claim(self, differences: &[Difference]) -> Verdict {
        let count =
            |sign: i8| differences.iter().filter(|difference| difference.sign() == sign).count();
        let (better, worse) = (count(1), count(-1));
        match self {
            Self::BeatsBest | Self::BeatsEach if worse > 0 => Verdict::NotReproduced,
            Self::BeatsBest | Self::BeatsEach if better == differences.len() => Verdict::Reproduced,
            Self::Open if better > 0 && worse == 0 => Verdict::OursBetter,
            Self::Open if worse > 0 && better == 0 => Verdict::RivalBetter,
            Self::Equals if any(differences, Equivalence::is_different) => Verdict::NotEquivalent,
            Self::NotWorse if any(differences, Equivalence::is_worse) => Verdict::NotReproduced,
            Self::NotWorse if all(differences, Equivalence::is_not_worse) => Verdict::Reproduced,
            _ => Verdict::Inconclusive,
        }
    }

    /// Whether a comparison decides nothing, so that more seeds may change the verdict.
    pub(super) fn leaves_open(self, difference: &Difference) -> bool {
        let shown =
            |test: fn(&Equivalence) -> bool| difference.equivalence.as_ref().is_some_and(test);
        match self {
            Self::BeatsBest | Self::BeatsEach | Self::Open => difference.sign() == 0,
            Self::Equals => !shown(Equivalence::is_equivalent) && !shown(Equivalence::is_different),
            Self::NotWorse => !shown(Equivalence::is_not_worse) && !shown(Equivalence::is_worse),
        }
    }

    /// Whether it compares ours with every rival, or with the best of them.
    pub(super) fn takes_each_rival(self) -> bool {
        matches!(self, Self::BeatsEach | Self::Equals | Self::NotWorse)
    }

    /// Whether it is about a margin.
    pub(super) fn needs_margin(self) -> bool {
        matches!(self, Self::Equals | Self::NotWorse)
    }

    /// What a comparison has to show: the effect that matters, or where none is given what the rule
    /// says of its margin.
    pub(super) fn goal(self, effect: Option<f64>, margin: Option<f64>) -> Option<Goal> {
        match (self, effect) {
            (_, Some(effect)) => Some(Goal::Difference(effect)),
            (Self::Equals, None) => margin.map(Goal::Equivalence),
            (Self::NotWorse, None) => margin.map(Goal::NotWorse),
            (Self::BeatsBest | Self::BeatsEach | Self::Open, None) => None,
        }
    }

    /// The name in the ledger's file.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::BeatsBest => "beats the best",
            Self::BeatsEach => "beats each",
            Self::Open => "which is better",
            Self::Equals => "equals",
            Self::NotWorse => "is not worse than",
        }
    }
}

fn all(differences: &[Difference], test: fn(&Equivalence) -> bool) -> bool {
    differences.iter().all(|one| one.equivalence.as_ref().is_some_and(test))
}

fn any(differences: &[Difference], test: fn(&Equivalence) -> bool) -> bool {
    differences.iter().any(|one| one.equivalence.as_ref().is_some_and(test))
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Reproduced,
        Self::NotReproduced,
        Self::OursBetter,
        Self::RivalBetter,
        Self::Equivalent,
        Self::NotEquivalent,
        Self::Inconclusive,
        Self::NotDecidable,
        Self::NotRun,
    ];
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reproduced => "reproduced",
            Self::NotReproduced => "not reproduced",
            Self::OursBetter => "the first is better",
            Self::RivalBetter => "the second is better",
            Self::Equivalent => "equivalent within δ",
            Self::NotEquivalent => "not equivalent",
            Self::Inconclusive => "inconclusive",
            Self::NotDecidable => "not decidable",
            Self::NotRun => "not run",
        })
    }
}
