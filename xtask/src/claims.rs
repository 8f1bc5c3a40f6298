//! The claims ledger: what the papers say, and what a run's numbers make of it, by rules that nobody types in.

use std::fmt;

use understudy_eval::interval::{self, Estimate};

use crate::store::Finished;

/// A sentence of a paper that results can speak to.
pub struct Claim {
    /// The paper and its part.
    pub source: String,
    /// The sentence, in our words.
    pub sentence: String,
    /// How the comparisons make a verdict.
    pub rule: Rule,
    /// How runs of equal seed belong together.
    pub pairing: Pairing,
    /// The comparisons, at least one.
    pub comparisons: Vec<Comparison>,
}

/// How comparisons make a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The paper says that ours is better: reproduced if it is in every comparison, not reproduced if it is worse in one,
    /// inconclusive otherwise.
    Better,
    /// Our source names no winner: ours or the rival's if one is better somewhere and worse nowhere, else inconclusive.
    Open,
}

/// How runs of equal seed belong together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pairing {
    /// They share a random split of the same users, with so many test users per training user.
    Resplit {
        /// Test users per training user.
        test_per_train: f64,
    },
    /// They share simulated users and a log of their own.
    Independent,
}

/// One arm against the best of others on one data set.
pub struct Comparison {
    /// The data set.
    pub dataset: String,
    /// The metric.
    pub metric: &'static str,
    /// What is better.
    pub better: Better,
    /// The arm that the claim is about.
    pub ours: Arm,
    /// The arms that it is to beat: the one with the best mean counts.
    pub rivals: Vec<Arm>,
}

/// What is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// More of the metric.
    Larger,
    /// Less of it.
    Smaller,
    /// Less spread over seeds: what is compared, in pairs, is the distance from the arm's median, after Brown & Forsythe (1974).
    Steadier,
}

impl Better {
    /// The name in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Larger => "larger",
            Self::Smaller => "smaller",
            Self::Steadier => "steadier",
        }
    }
}

/// A method in a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arm {
    /// The method.
    pub method: String,
    /// The setting.
    pub setting: String,
}

/// What the results say of a claim.
pub struct Finding {
    /// The claim's source.
    pub source: String,
    /// The claim's sentence.
    pub sentence: String,
    /// What the rule makes of the differences.
    pub verdict: Verdict,
    /// One for each comparison whose cells are there, in order.
    pub differences: Vec<Difference>,
}

/// What came of one comparison.
pub struct Difference {
    /// The data set.
    pub dataset: String,
    /// The metric.
    pub metric: &'static str,
    /// What is better.
    pub better: Better,
    /// The arm that the claim is about.
    pub ours: Arm,
    /// The best of its rivals.
    pub rival: Arm,
    /// By how much ours is better, over the seeds that both have: ours less the rival's, or the other way round where less is better.
    pub estimate: Estimate,
    /// Two-sided; `None` for one seed.
    pub p: Option<f64>,
}

/// The end of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The numbers say what the paper says.
    Reproduced,
    /// They say otherwise.
    NotReproduced,
    /// The paper names no winner; ours is better.
    OursBetter,
    /// The paper names no winner; the rival is better.
    RivalBetter,
    /// They do not decide.
    Inconclusive,
    /// Some comparison has no cells.
    NotRun,
}

impl Claim {
    /// Decides the claim by the finished cells of its experiment.
    ///
    /// # Errors
    /// Where a difference is not a number.
    pub fn decide(self, finished: &[&Finished]) -> anyhow::Result<Finding> {
        let test_per_train = match self.pairing {
            Pairing::Resplit { test_per_train } => test_per_train,
            Pairing::Independent => 0.0,
        };
        let wanted = self.comparisons.len();
        let mut differences = Vec::new();
        for comparison in self.comparisons {
            differences.extend(comparison.difference(finished, test_per_train)?);
        }
        let verdict = if differences.len() < wanted { Verdict::NotRun } else { self.rule.verdict(&differences) };
        Ok(Finding { source: self.source, sentence: self.sentence, verdict, differences })
    }
}

impl Rule {
    fn verdict(self, differences: &[Difference]) -> Verdict {
        let count = |sign: i8| differences.iter().filter(|difference| difference.sign() == sign).count();
        let (better, worse) = (count(1), count(-1));
        match self {
            Self::Better if worse > 0 => Verdict::NotReproduced,
            Self::Better if better == differences.len() => Verdict::Reproduced,
            Self::Open if better > 0 && worse == 0 => Verdict::OursBetter,
            Self::Open if worse > 0 && better == 0 => Verdict::RivalBetter,
            _ => Verdict::Inconclusive,
        }
    }
}

impl Difference {
    /// 1 if ours is better, -1 if it is worse, 0 if the 95% interval holds 0 or there is none.
    pub fn sign(&self) -> i8 {
        match self.estimate.interval {
            Some(interval) if interval.low > 0.0 => 1,
            Some(interval) if interval.high < 0.0 => -1,
            _ => 0,
        }
    }
}

/// A value for each seed.
type BySeed = Vec<(u64, f64)>;

impl Comparison {
    /// `None` where ours or a rival has no cell, or no seed is common.
    fn difference(self, finished: &[&Finished], test_per_train: f64) -> anyhow::Result<Option<Difference>> {
        let Some(ours) = self.values(&self.ours, finished) else { return Ok(None) };
        let mut best: Option<(f64, &Arm, BySeed)> = None;
        for rival in &self.rivals {
            let Some(values) = self.values(rival, finished) else { return Ok(None) };
            let mean = values.iter().map(|(_, value)| value).sum::<f64>() / values.len() as f64;
            if best.as_ref().is_none_or(|(highest, ..)| mean > *highest) {
                best = Some((mean, rival, values));
            }
        }
        let Some((_, rival, theirs)) = best else { return Ok(None) };
        let pairs = ours.iter().filter_map(|(seed, a)| Some((*a, theirs.iter().find(|(other, _)| other == seed)?.1)));
        let (a, b): (Vec<f64>, Vec<f64>) = pairs.unzip();
        if a.is_empty() {
            return Ok(None);
        }
        let (estimate, p) = interval::resampled_difference(&a, &b, test_per_train)?;
        let rival = rival.clone();
        let Self { dataset, metric, better, ours, .. } = self;
        Ok(Some(Difference { dataset, metric, better, ours, rival, estimate, p }))
    }

    /// The metric of an arm by seed, turned so that larger is better; `None` if it has none.
    fn values(&self, arm: &Arm, finished: &[&Finished]) -> Option<BySeed> {
        let of_arm = finished.iter().filter(|Finished { cell, .. }| {
            cell.dataset == self.dataset && cell.method == arm.method && cell.setting == arm.setting
        });
        let values = of_arm.filter_map(|done| Some((done.cell.seed, *done.outcome.metrics.get(self.metric)?)));
        let values: BySeed = values.collect();
        if values.is_empty() {
            return None;
        }
        let turn: Box<dyn Fn(f64) -> f64> = match self.better {
            Better::Larger => Box::new(|value| value),
            Better::Smaller => Box::new(|value: f64| -value),
            Better::Steadier => {
                let centre = median(&values);
                Box::new(move |value| -(value - centre).abs())
            }
        };
        Some(values.into_iter().map(|(seed, value)| (seed, turn(value))).collect())
    }
}

fn median(values: &BySeed) -> f64 {
    let mut sorted: Vec<f64> = values.iter().map(|(_, value)| *value).collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reproduced => "reproduced",
            Self::NotReproduced => "not reproduced",
            Self::OursBetter => "the first is better",
            Self::RivalBetter => "the second is better",
            Self::Inconclusive => "inconclusive",
            Self::NotRun => "not run",
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::experiment::{Cell, Outcome};

    fn cells(dataset: &str, method: &str, values: &[f64]) -> Vec<Finished> {
        let cell = |(seed, &value): (usize, &f64)| Finished {
            cell: Cell {
                experiment: "e".into(),
                dataset: dataset.into(),
                method: method.into(),
                setting: "s".into(),
                seed: seed as u64,
                config: json!({}),
            },
            outcome: Outcome { metrics: [("m".to_owned(), value)].into(), curve: vec![] },
            seconds: 1.0,
            revision: "abc".into(),
        };
        values.iter().enumerate().map(cell).collect()
    }

    fn decide(rule: Rule, finished: &[Finished], datasets: &[&str], rivals: &[&str]) -> Finding {
        let arm = |method: &str| Arm { method: method.into(), setting: "s".into() };
        let comparison = |dataset: &&str| Comparison {
            dataset: dataset.to_string(),
            metric: "m",
            better: Better::Larger,
            ours: arm("ours"),
            rivals: rivals.iter().map(|rival| arm(rival)).collect(),
        };
        let comparisons = datasets.iter().map(comparison).collect();
        let pairing = Pairing::Resplit { test_per_train: 0.5 };
        let claim = Claim { source: "p".into(), sentence: "x".into(), rule, pairing, comparisons };
        claim.decide(&finished.iter().collect::<Vec<_>>()).unwrap()
    }

    fn better() -> Vec<Finished> {
        [
            cells("a", "ours", &[0.9, 0.8, 0.91]),
            cells("a", "r1", &[0.1, 0.0, 0.1]),
            cells("a", "r2", &[0.5, 0.41, 0.5]),
            cells("b", "ours", &[0.5, 0.7, 0.6]),
            cells("b", "r1", &[0.6, 0.5, 0.62]),
            cells("c", "ours", &[0.1, 0.2, 0.1]),
            cells("c", "r1", &[0.9, 1.0, 0.91]),
        ]
        .concat()
    }

    #[test]
    fn a_verdict_needs_every_comparison_to_be_clear() {
        let verdict = |rule, datasets: &[&str]| decide(rule, &better(), datasets, &["r1"]).verdict;
        assert_eq!(verdict(Rule::Better, &["a"]), Verdict::Reproduced);
        assert_eq!(verdict(Rule::Better, &["a", "b"]), Verdict::Inconclusive);
        assert_eq!(verdict(Rule::Better, &["a", "b", "c"]), Verdict::NotReproduced);
        assert_eq!(verdict(Rule::Better, &["a", "d"]), Verdict::NotRun);
        assert_eq!(verdict(Rule::Open, &["a", "b"]), Verdict::OursBetter);
        assert_eq!(verdict(Rule::Open, &["b", "c"]), Verdict::RivalBetter);
        assert_eq!(verdict(Rule::Open, &["a", "c"]), Verdict::Inconclusive);
        assert_eq!(verdict(Rule::Open, &["b"]), Verdict::Inconclusive);
    }

    #[test]
    fn the_best_rival_counts_and_a_missing_one_leaves_the_claim_open() {
        let found = decide(Rule::Better, &better(), &["a"], &["r1", "r2"]);
        assert_eq!(found.differences[0].rival.method, "r2");
        assert!((found.differences[0].estimate.mean - 0.4).abs() < 1e-12);
        assert_eq!(decide(Rule::Better, &better(), &["a"], &["r1", "absent"]).verdict, Verdict::NotRun);
    }

    #[test]
    fn less_may_be_better_and_so_may_less_spread() {
        let finished = better();
        let finished: Vec<_> = finished.iter().collect();
        let difference = |better, rival: &str| {
            let arm = |method: &str| Arm { method: method.into(), setting: "s".into() };
            let (ours, rivals) = (arm("ours"), vec![arm(rival)]);
            let comparison = Comparison { dataset: "a".into(), metric: "m", better, ours, rivals };
            comparison.difference(&finished, 0.0).unwrap().unwrap().estimate.mean
        };
        assert!((difference(Better::Smaller, "r1") - (0.2 - 2.61) / 3.0).abs() < 1e-12);
        // Distances from the medians 0.9 and 0.1: 0, 0.1, 0.01 and 0, 0.1, 0.
        assert!((difference(Better::Steadier, "r1") - (0.1 - 0.11) / 3.0).abs() < 1e-12);
    }

    #[test]
    fn seeds_are_paired_by_number_and_one_alone_decides_nothing() {
        let mut finished = better();
        finished.retain(|done| done.cell.method != "ours" || done.cell.seed != 1);
        finished.reverse();
        let found = decide(Rule::Better, &finished, &["a"], &["r1"]);
        assert_eq!(found.differences[0].estimate.n, 2);
        assert!((found.differences[0].estimate.mean - 0.805).abs() < 1e-12);
        finished.retain(|done| done.cell.seed == 0);
        let found = decide(Rule::Better, &finished, &["a"], &["r1"]);
        assert_eq!((found.verdict, found.differences[0].p), (Verdict::Inconclusive, None));
    }
}
