//! The claims ledger: what the papers say, and what the results make of it, by rules that no one
//! types in.

mod amount;
mod check;
mod needs;
mod power;
mod row;
mod verdict;

use std::io::Read;

use foretaste_eval::interval::{self, Estimate, NoInterval};
use foretaste_eval::power::PairedTest;
use foretaste_eval::{Direction, Equivalence, Metric, equivalence};
use serde::Deserialize;

use self::amount::Amount;
use self::needs::Needs;
pub use self::power::{Power, Seeds};
use self::row::Row;
pub use self::verdict::{Rule, Verdict};
use crate::patterns::{Patterns, split};
use crate::results::Named;
use crate::{Arm, Design, Error, Result, Results};

/// A sentence of a paper that results can speak to: a row of the ledger's file.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The paper.
    pub paper: String,
    /// Its part.
    pub section: String,
    /// The experiment that can decide it.
    pub experiment: String,
    /// The sentence, in our words.
    pub sentence: String,
    /// How the comparisons make a verdict.
    pub rule: Rule,
    /// The margin δ: no smaller difference matters.
    pub(crate) margin: Option<Amount>,
    /// The difference that matters.
    effect: Option<Amount>,
    /// What a data set must show before its differences count.
    needs: Option<Needs>,
    /// Its line in the file.
    line: u64,
    metrics: Vec<Metric>,
    better: Better,
    ours: Vec<Contender>,
    rivals: Vec<Contender>,
    datasets: Patterns,
    settings: Patterns,
}

/// What is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// More of the metric.
    Larger,
    /// Less of it.
    Smaller,
    /// Less spread over seeds: what is compared, in pairs, is the distance from the arm's median,
    /// after Brown & Forsythe (1974).
    Steadier,
}

/// A method, in the settings of the claim or in one of its own: `METHOD` or `METHOD @ SETTING`.
#[derive(Clone, Debug, PartialEq)]
struct Contender {
    method: String,
    setting: Option<String>,
}

/// What the results say of a claim.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The claim.
    pub claim: Claim,
    /// What the rule makes of the differences.
    pub verdict: Verdict,
    /// One for each comparison whose runs are there and whose data set can decide, in order.
    pub differences: Vec<Difference>,
    /// Data sets that cannot decide, each with the reason.
    pub left_out: Vec<String>,
    /// What a reader must know of the data.
    pub caveats: Vec<String>,
}

/// What came of one comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The metric.
    pub metric: Metric,
    /// What is better.
    pub better: Better,
    /// The arm that the claim is about.
    pub ours: Arm,
    /// The best of its rivals.
    pub rival: Arm,
    /// By how much ours is better, over the seeds that both have: ours less the rival's, or the
    /// other way round where less is better. In the metric's unit.
    pub estimate: Estimate,
    /// The same as a share of the rival's mean; `None` where that is 0, and of spreads.
    pub relative: Option<f64>,
    /// Two-sided; `None` for one seed.
    pub p: Option<f64>,
    /// Test users per training user of the splits, see [`crate::DataSet::test_per_train`].
    pub test_per_train: f64,
    /// The claim's margin, in the metric's unit; `None` where it has none.
    pub margin: Option<f64>,
    /// The difference compared with the margin; `None` where there is no margin or no interval.
    pub equivalence: Option<Equivalence>,
    /// The effect that matters, in the metric's unit; `None` where the claim does not say.
    pub effect: Option<f64>,
    /// What the comparison can show; `None` where there is no interval or no spread.
    pub power: Option<Power>,
}

impl Claim {
    /// The claims of a ledger's file: CSV with the columns
    /// `paper,section,experiment,sentence,metrics,better,ours,rivals,rule,datasets,settings`.
    ///
    /// Lists are separated by ` | `. `better` is `larger`, `smaller` or `steadier`; `rule` is
    /// `beats the best`, `beats each`, `which is better`, `equals` or `is not worse than`. `ours`
    /// and `rivals` are methods, or `METHOD @ SETTING`. `datasets` and `settings` choose among
    /// those of the experiment: names, with `*` for any text, those with `!` before them left out,
    /// all where none is given. Every combination of data set, setting, metric and ours is a
    /// comparison.
    ///
    /// Three more columns may follow. `margin` and `effect`, written before the run: the margin δ
    /// below which no difference matters, which the last two rules need, and the difference that
    /// matters. Both are numbers in the metric's unit, shares of the rival's mean such as `1%`, or
    /// empty. `needs`, such as `transfer >= 0.5`: the least mean of a metric of ours, below which
    /// the differences of a data set are left out.
    ///
    /// # Errors
    /// Where a row is not such a row, names no metric, method or rival, lacks the margin that its
    /// rule needs, or calls better what of its metric is worse.
    pub fn read(reader: impl Read, file: &str) -> Result<Vec<Self>> {
        Self::rows(reader, file, |name| name.parse())
    }

    /// The same for claims from any source: a metric may be any that the results have.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_anyones(reader: impl Read, file: &str) -> Result<Vec<Self>> {
        Self::rows(reader, file, |name| Ok(Metric::of_anyone(name)))
    }

    fn rows(reader: impl Read, file: &str, named: Named) -> Result<Vec<Self>> {
        let mut table = csv::Reader::from_reader(reader);
        let rows = table.deserialize::<Row>().enumerate();
        rows.map(|(at, row)| {
            let row = row.map_err(|source| Error::Csv { file: file.into(), source })?;
            let empty = [("metrics", &row.metrics), ("ours", &row.ours), ("rivals", &row.rivals)];
            let line = at as u64 + 2;
            let wrong = |problem| Error::Table { file: file.into(), line, problem };
            if let Some((column, _)) = empty.iter().find(|(_, list)| split(list).next().is_none()) {
                return Err(wrong(format!("`{column}` of \"{}\" is empty", row.sentence)));
            }
            Self::new(row, line, named).map_err(wrong)
        })
        .collect()
    }

    /// Decides the claim by the results of its experiment, laid out as `design`. A comparison for
    /// which a run of the design is missing altogether leaves the claim "not run"; one whose data
    /// sets all lack what it needs is "not decidable".
    ///
    /// # Errors
    /// Where the experiment does not report a metric of the claim, or a difference is not a number.
    pub fn decide(&self, design: &Design, results: &Results) -> Result<Finding> {
        self.check_metrics(design)?;
        let comparisons = self.comparisons(design);
        let (mut differences, mut left_out, mut lacking) = (Vec::new(), Vec::new(), 0);
        for comparison in &comparisons {
            let Some(difference) = comparison.difference(self, design, results)? else {
                lacking += 1;
                continue;
            };
            let reason = match self.needs {
                Some(needs) => needs.lacking(&design.experiment, &difference.ours, results)?,
                None => None,
            };
            match reason {
                None => differences.push(difference),
                Some(reason) if left_out.contains(&reason) => {}
                Some(reason) => left_out.push(reason),
            }
        }
        let verdict = if comparisons.is_empty() || lacking > 0 {
            Verdict::NotRun
        } else if differences.is_empty() {
            Verdict::NotDecidable
        } else {
            self.rule.verdict(&differences)
        };
        let concerned =
            |name: &str| comparisons.iter().any(|comparison| comparison.ours.dataset == name);
        let mut caveats: Vec<String> = Vec::new();
        for data in
            design.datasets.iter().filter(|data| concerned(&data.name) && !data.caveat.is_empty())
        {
            if !caveats.contains(&data.caveat) {
                caveats.push(data.caveat.clone());
            }
        }
        Ok(Finding { claim: self.clone(), verdict, differences, left_out, caveats })
    }

    /// What the claim is when its experiment was not asked for.
    pub fn not_run(&self) -> Finding {
        Finding {
            claim: self.clone(),
            verdict: Verdict::NotRun,
            differences: Vec::new(),
            left_out: Vec::new(),
            caveats: Vec::new(),
        }
    }

    fn comparisons(&self, design: &Design) -> Vec<Comparison> {
        let mut comparisons = Vec::new();
        for data in design.datasets.iter().filter(|data| self.datasets.choose(&data.name)) {
            for ours in &self.ours {
                for setting in ours.settings(&self.settings, &data.name, design) {
                    let ours = ours.arm(&data.name, &setting);
                    let rivals: Vec<Arm> =
                        self.rivals.iter().map(|rival| rival.arm(&data.name, &setting)).collect();
                    let groups = if self.rule.takes_each_rival() { 1 } else { rivals.len() };
                    let comparison = |(metric, rivals): (Metric, &[Arm])| Comparison {
                        metric,
                        ours: ours.clone(),
                        rivals: rivals.to_vec(),
                        test_per_train: data.test_per_train,
                    };
                    let all = self
                        .metrics
                        .iter()
                        .flat_map(|&metric| rivals.chunks(groups).map(move |some| (metric, some)));
                    comparisons.extend(all.map(comparison));
                }
            }
        }
        comparisons
    }
}

impl Contender {
    fn arm(&self, dataset: &str, setting: &str) -> Arm {
        let setting = self.setting.as_deref().unwrap_or(setting);
        Arm { dataset: dataset.into(), method: self.method.clone(), setting: setting.into() }
    }

    /// The settings in which the design has it, of those that the claim is about.
    fn settings(&self, wanted: &Patterns, dataset: &str, design: &Design) -> Vec<String> {
        if let Some(setting) = &self.setting {
            return vec![setting.clone()];
        }
        let arms =
            design.arms.iter().filter(|arm| arm.dataset == dataset && arm.method == self.method);
        let settings: Vec<String> =
            arms.map(|arm| arm.setting.clone()).filter(|setting| wanted.choose(setting)).collect();
        // One that is laid out nowhere is missing, and so is its comparison.
        if settings.is_empty() { vec![String::new()] } else { settings }
    }
}

/// One arm against the best of others.
struct Comparison {
    metric: Metric,
    ours: Arm,
    rivals: Vec<Arm>,
    test_per_train: f64,
}

impl Comparison {
    /// `None` where no seed is common to ours and a rival.
    fn difference(
        &self,
        claim: &Claim,
        design: &Design,
        results: &Results,
    ) -> Result<Option<Difference>> {
        let values = |arm: &Arm| results.values(&design.experiment, arm, self.metric);
        let ours = values(&self.ours);
        let mut best: Option<(f64, &Arm, Vec<f64>, Vec<f64>)> = None;
        for rival in &self.rivals {
            let theirs = values(rival);
            let theirs = |seed: u64| {
                theirs.iter().find(|(other, _)| *other == seed).map(|(_, value)| *value)
            };
            let pairs = ours.iter().filter_map(|(seed, value)| Some((*value, theirs(*seed)?)));
            let (a, b): (Vec<f64>, Vec<f64>) = pairs.unzip();
            if a.is_empty() {
                return Ok(None);
            }
            let (a, b) = (claim.better.turned(a), claim.better.turned(b));
            let mean = b.iter().sum::<f64>() / b.len() as f64;
            if best.as_ref().is_none_or(|(highest, ..)| mean > *highest) {
                best = Some((mean, rival, a, b));
            }
        }
        let Some((mean, rival, a, b)) = best else { return Ok(None) };
        let ratio = self.test_per_train;
        let wrong =
            |source| Error::Figure { what: format!("claim \"{}\"", claim.sentence), source };
        let (mut estimate, mut p) = interval::resampled_difference(&a, &b, ratio).map_err(wrong)?;
        // The distances of two values from their median are the same, whatever the values.
        if claim.better == Better::Steadier && estimate.n == 2 {
            (estimate.interval, p) = (Err(NoInterval::TwoDistances), None);
        }
        // A spread has no share.
        let mean = if claim.better == Better::Steadier { 0.0 } else { mean };
        let relative = (mean != 0.0).then(|| estimate.mean / mean.abs());
        let in_unit = |amount: Option<Amount>| amount.and_then(|amount| amount.of(mean));
        let (margin, effect) = (in_unit(claim.margin), in_unit(claim.effect));
        let (mut tests, mut power) = (None, None);
        if estimate.interval.is_ok() {
            if let Some(margin) = margin {
                tests = equivalence(&a, &b, ratio, margin).map_err(wrong)?.ok();
            }
            let goal = claim.rule.goal(effect, margin);
            power = PairedTest::of(&a, &b, ratio)
                .map_err(wrong)?
                .ok()
                .map(|test| Power::new(test, estimate.n, mean, goal));
        }
        Ok(Some(Difference {
            metric: self.metric,
            better: claim.better,
            ours: self.ours.clone(),
            rival: rival.clone(),
            estimate,
            relative,
            p,
            test_per_train: ratio,
            margin,
            equivalence: tests,
            effect,
            power,
        }))
    }
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

    /// Whether it is what is better of a metric.
    fn suits(self, direction: Direction) -> bool {
        match self {
            Self::Larger => matches!(direction, Direction::Larger | Direction::Unknown),
            Self::Smaller => matches!(direction, Direction::Smaller | Direction::Unknown),
            Self::Steadier => true,
        }
    }

    /// The values, so that larger is better.
    fn turned(self, values: Vec<f64>) -> Vec<f64> {
        match self {
            Self::Larger => values,
            Self::Smaller => values.into_iter().map(|value| -value).collect(),
            Self::Steadier => {
                let centre = median(&values);
                values.into_iter().map(|value| -(value - centre).abs()).collect()
            }
        }
    }
}

impl Difference {
    /// 1 if ours is better, -1 if it is worse, 0 if the 95% interval holds 0 or there is none.
    pub fn sign(&self) -> i8 {
        match self.estimate.interval {
            Ok(interval) if interval.low > 0.0 => 1,
            Ok(interval) if interval.high < 0.0 => -1,
            _ => 0,
        }
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

#[cfg(test)]
mod tests;
