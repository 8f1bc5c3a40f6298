//! What a comparison can show with the seeds that it has, and how many it needs.

use std::fmt;

use foretaste_eval::power::{Goal, MOST_PAIRS, PairedTest};
use foretaste_eval::text;

use super::{Difference, Finding, Verdict};

/// The power of a comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Power {
    /// The true difference that it detects with a power of 80%, see
    /// [`PairedTest::smallest_effect`]. In the metric's unit.
    pub smallest_effect: f64,
    /// The same as a share of the rival's mean; `None` where that is 0, and of spreads.
    pub relative: Option<f64>,
    /// What the claim asks of it, and the seeds that this needs; `None` where the claim names
    /// neither effect nor margin to show.
    pub needed: Option<(Goal, Seeds)>,
}

/// A number of seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seeds {
    /// So many.
    Number(usize),
    /// More than [`MOST_PAIRS`], or no number of them: see [`PairedTest::pairs_needed`].
    Beyond,
}

impl Power {
    /// Of so many seeds.
    pub(super) fn new(test: PairedTest, seeds: usize, mean: f64, goal: Option<Goal>) -> Self {
        let smallest_effect = test.smallest_effect(seeds);
        let relative = (mean != 0.0).then(|| smallest_effect / mean.abs());
        let needed =
            goal.map(|goal| (goal, test.pairs_needed(goal).map_or(Seeds::Beyond, Seeds::Number)));
        Self { smallest_effect, relative, needed }
    }

    /// The smallest effect for people: `0.045 (4.2%)`.
    pub(crate) fn detected(&self) -> String {
        let share = self
            .relative
            .map_or(String::new(), |share| format!(" ({}%)", text::significant(100.0 * share, 2)));
        text::significant(self.smallest_effect, 2) + &share
    }

    /// Of comparisons of one claim the weakest has the most: how far it is from what it is to show,
    /// or how much it overlooks where the claim does not say.
    fn weakness(&self) -> f64 {
        match self.needed {
            Some((goal, _)) => self.smallest_effect / size(goal),
            None => self.relative.unwrap_or(self.smallest_effect),
        }
    }
}

impl Finding {
    /// Of a claim that is inconclusive, the weakest of the comparisons that leave it open: more
    /// seeds have to make that one show something. `None` where no open comparison has a spread to
    /// judge by.
    pub fn deciding(&self) -> Option<(&Difference, &Power)> {
        self.weakest(|difference| self.leaves_open(difference))
    }

    /// Whether the claim is inconclusive because of this comparison.
    pub fn leaves_open(&self, difference: &Difference) -> bool {
        self.verdict == Verdict::Inconclusive && self.claim.rule.leaves_open(difference)
    }

    /// The weakest comparison, of those that have a spread to judge by.
    pub(crate) fn weakest(
        &self,
        among: impl Fn(&Difference) -> bool,
    ) -> Option<(&Difference, &Power)> {
        let some = self.differences.iter().filter(|&difference| among(difference));
        some.filter_map(|difference| Some((difference, difference.power.as_ref()?)))
            .max_by(|(_, a), (_, b)| a.weakness().total_cmp(&b.weakness()))
    }
}

fn size(goal: Goal) -> f64 {
    let (Goal::Difference(size) | Goal::Equivalence(size) | Goal::NotWorse(size)) = goal;
    size
}

/// `0.045 (4.2%); an effect of 0.02 needs 44 seeds`.
impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detected())?;
        let Some((goal, seeds)) = self.needed else { return Ok(()) };
        let size = text::significant(size(goal), 2);
        match goal {
            Goal::Difference(_) => write!(f, "; an effect of {size} needs {seeds} seeds"),
            Goal::Equivalence(_) => write!(f, "; equivalence within {size} needs {seeds} seeds"),
            Goal::NotWorse(_) => write!(f, "; not worse by {size} needs {seeds} seeds"),
        }
    }
}

/// `44`, or `> 10000`.
impl fmt::Display for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(seeds) => write!(f, "{seeds}"),
            Self::Beyond => write!(f, "> {MOST_PAIRS}"),
        }
    }
}
