//! `claims.csv` for those who cite it.

use std::fmt::{self, Display, Formatter};
use std::io::Read;
use std::ops::RangeInclusive;

use foretaste_eval::interval::{Estimate, Interval, Method, NoInterval};
use foretaste_eval::text;
use serde::Deserialize;

use super::DETECTS;
use crate::excerpt::Excerpt;
use crate::{Better, Error, Result, Table, Verdict};

/// The claims of a run with their verdicts, as its `claims.csv` has them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decided {
    claims: Vec<Entry>,
}

/// A claim.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    /// Paper, section, experiment and sentence.
    name: [String; 4],
    verdict: Verdict,
    /// Data sets that cannot decide, each with the reason.
    left_out: String,
    comparisons: Vec<Comparison>,
}

#[derive(Clone, Debug, PartialEq)]
struct Comparison {
    dataset: String,
    setting: String,
    metric: String,
    /// What the rival has otherwise than ours.
    rival: String,
    estimate: Estimate,
    margin: Option<f64>,
    smallest_effect: Option<f64>,
    /// A size, and how many seeds would show it.
    needed: Option<(Size, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Size {
    Effect(f64),
    Margin(f64),
}

/// A row of the file.
#[derive(Deserialize)]
struct Row {
    paper: String,
    section: String,
    experiment: String,
    claim: String,
    verdict: String,
    #[serde(default)]
    left_out: String,
    dataset: String,
    metric: String,
    better: Option<Better>,
    ours: String,
    ours_setting: String,
    rival: String,
    rival_setting: String,
    seeds: Option<usize>,
    difference: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    margin: Option<f64>,
    effect: Option<f64>,
    smallest_effect: Option<f64>,
    seeds_needed: String,
}

impl Decided {
    /// The claims in `reader`, which [`claims_csv`](super::claims_csv) wrote; `file` names it in
    /// errors.
    ///
    /// # Errors
    /// Where a row is not such a row.
    pub fn read(reader: impl Read, file: &str) -> Result<Self> {
        let mut claims: Vec<Entry> = Vec::new();
        for (row, line) in csv::Reader::from_reader(reader).deserialize::<Row>().zip(2..) {
            let row = row.map_err(|source| Error::Csv { file: file.into(), source })?;
            let wrong = |problem| Error::Table { file: file.into(), line, problem };
            let verdict = Verdict::ALL.into_iter().find(|one| one.to_string() == row.verdict);
            let verdict = verdict
                .ok_or_else(|| wrong(format!("`{}` is not a verdict of a claim", row.verdict)))?;
            let name = [&row.paper, &row.section, &row.experiment, &row.claim].map(String::clone);
            let left_out = row.left_out.clone();
            let comparison = row.comparison().map_err(wrong)?;
            match claims.last_mut() {
                Some(last) if last.name == name => last.comparisons.extend(comparison),
                _ => claims.push(Entry {
                    name,
                    verdict,
                    left_out,
                    comparisons: comparison.into_iter().collect(),
                }),
            }
        }
        Ok(Self { claims })
    }

    /// The claims of an experiment: sentence, verdict, by how much ours is better, and what an open
    /// claim's test could have found.
    ///
    /// The last is that of the comparison that is weakest compared with the effect or margin that
    /// the claim asks for, among those whose 95% interval holds 0. A comparison is named by what it
    /// does not share with the others: data set, setting and rival of those of the experiment, the
    /// metric of those of the claim.
    ///
    /// # Errors
    /// Where the experiment has no claims.
    pub fn table(&self, experiment: &str) -> Result<Excerpt> {
        let claims = self.of(experiment)?;
        let all: Vec<&Comparison> = claims.iter().flat_map(|claim| &claim.comparisons).collect();
        let differs = |of: fn(&Comparison) -> &String| all.iter().any(|one| of(one) != of(all[0]));
        let shown =
            [differs(|one| &one.dataset), differs(|one| &one.setting), differs(|one| &one.rival)];
        let row = |claim: &&Entry| {
            let differences: Vec<_> = claim
                .comparisons
                .iter()
                .map(|one| claim.place(one, shown) + &one.estimate.to_string())
                .chain(
                    (!claim.left_out.is_empty()).then(|| format!("left out: {}", claim.left_out)),
                )
                .collect();
            let weakest = claim.weakest();
            let detects =
                weakest.map_or(String::new(), |one| claim.place(one, shown) + &one.detects());
            let [.., sentence] = &claim.name;
            vec![sentence.clone(), claim.verdict(), differences.join("; "), detects]
        };
        let header = ["claim", "verdict", "by how much ours is better, 95% interval", DETECTS];
        let mut header: Vec<String> = header.map(str::to_owned).into();
        let mut rows: Vec<Vec<String>> = claims.iter().map(row).collect();
        if rows.iter().all(|row| row[3].is_empty()) {
            header.pop();
            rows.iter_mut().for_each(|row| row.truncate(3));
        }
        let seeds = || all.iter().map(|one| one.estimate.n);
        let seeds = seeds().min().unwrap_or(0)..=seeds().max().unwrap_or(0);
        Ok(Excerpt { table: Table { title: String::new(), header, rows }, seeds })
    }

    /// The claims of an experiment.
    fn of(&self, experiment: &str) -> Result<Vec<&Entry>> {
        let claims: Vec<&Entry> =
            self.claims.iter().filter(|claim| claim.experiment() == experiment).collect();
        if claims.is_empty() {
            let mut known: Vec<&str> = self.claims.iter().map(Entry::experiment).collect();
            known.dedup();
            return Err(Error::unknown("experiment with claims", experiment, &known));
        }
        Ok(claims)
    }

    /// How many claims of an experiment have which verdict, for each of their sources.
    ///
    /// # Errors
    /// Where the experiment has no claims.
    pub fn tallies(&self, experiment: &str) -> Result<Vec<Tally>> {
        let mut tallies: Vec<Tally> = Vec::new();
        for claim in self.of(experiment)? {
            let [paper, section, ..] = &claim.name;
            let source = [paper, section].map(String::clone);
            let at = tallies.iter().position(|tally| tally.source == source);
            let at = at.unwrap_or_else(|| {
                tallies.push(Tally { source, ..Tally::default() });
                tallies.len() - 1
            });
            let tally = &mut tallies[at];
            let of_verdict = Verdict::ALL.iter().position(|one| *one == claim.verdict);
            tally.counts[of_verdict.expect("all verdicts are listed")] += 1;
            for n in claim.comparisons.iter().map(|one| one.estimate.n) {
                let (fewest, most) = tally.seeds.clone().unwrap_or(n..=n).into_inner();
                tally.seeds = Some(fewest.min(n)..=most.max(n));
            }
        }
        Ok(tallies)
    }
}

/// How many claims from one source have which verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Paper and section.
    pub source: [String; 2],
    /// Claims, in the order of [`Verdict::ALL`].
    pub counts: [usize; Verdict::ALL.len()],
    /// The fewest and the most seeds of any comparison.
    pub seeds: Option<RangeInclusive<usize>>,
}

impl Tally {
    /// Whether a paper makes these claims.
    pub fn of_paper(&self) -> bool {
        self.source[1] != "ours"
    }
}

/// `4 not reproduced, 2 inconclusive`.
impl Display for Tally {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let counts = Verdict::ALL.iter().zip(self.counts).filter(|(_, count)| *count > 0);
        let words: Vec<_> = counts.map(|(verdict, count)| format!("{count} {verdict}")).collect();
        f.write_str(&words.join(", "))
    }
}

impl Row {
    /// `None` of a claim that has none.
    fn comparison(self) -> std::result::Result<Option<Comparison>, String> {
        let numbers = [self.difference, self.low, self.high, self.margin, self.effect];
        let numbers = numbers.into_iter().chain([self.smallest_effect]);
        if numbers.flatten().any(|number| !number.is_finite()) {
            return Err("a number is not finite".into());
        }
        let (mean, n) = match (self.difference, self.seeds) {
            (None, None) => return Ok(None),
            (Some(mean), Some(n)) if n > 0 => (mean, n),
            _ => return Err("a difference needs seeds, and seeds a difference".into()),
        };
        let interval = match (self.low, self.high) {
            (Some(low), Some(high)) => Ok(Interval { low, high, method: Method::StudentT }),
            _ if self.better == Some(Better::Steadier) && n > 1 => Err(NoInterval::TwoDistances),
            _ => Err(NoInterval::OneValue),
        };
        let size = self.effect.map(Size::Effect).or(self.margin.map(Size::Margin));
        let needed = size.filter(|_| !self.seeds_needed.is_empty());
        let method = (self.rival != self.ours).then_some(self.rival);
        let setting = (self.rival_setting != self.ours_setting).then_some(self.rival_setting);
        Ok(Some(Comparison {
            dataset: self.dataset,
            setting: self.ours_setting,
            metric: self.metric,
            rival: method.into_iter().chain(setting).collect::<Vec<_>>().join(" "),
            estimate: Estimate { mean, n, interval },
            margin: self.margin,
            smallest_effect: self.smallest_effect,
            needed: needed.map(|size| (size, self.seeds_needed)),
        }))
    }
}

impl Entry {
    fn experiment(&self) -> &str {
        &self.name[2]
    }

    /// With the margin of what is equivalent, in the metric's unit.
    fn verdict(&self) -> String {
        let margins = || self.comparisons.iter().filter_map(|one| one.margin);
        let (least, most) = (margins().min_by(f64::total_cmp), margins().max_by(f64::total_cmp));
        let size = |margin| text::significant(margin, 2);
        match (self.verdict, least, most) {
            (verdict @ Verdict::Equivalent, Some(least), Some(most)) if least < most => {
                format!("{verdict} = {} to {}", size(least), size(most))
            }
            (verdict @ Verdict::Equivalent, Some(margin), _) => {
                format!("{verdict} = {}", size(margin))
            }
            (verdict, ..) => verdict.to_string(),
        }
    }

    /// How a comparison is named before its figure; `shown`: whether data set, setting and rival
    /// are.
    fn place(&self, one: &Comparison, shown: [bool; 3]) -> String {
        let [dataset, setting, rival] = shown;
        let metric = self.comparisons.iter().any(|other| other.metric != one.metric);
        let to = format!("to {}", one.rival);
        let parts = [
            (dataset, &one.dataset),
            (setting, &one.setting),
            (metric, &one.metric),
            (rival && !one.rival.is_empty(), &to),
        ];
        let parts = parts.into_iter().filter(|(shown, part)| *shown && !part.is_empty());
        parts.map(|(_, part)| format!("{part} ")).collect()
    }

    fn weakest(&self) -> Option<&Comparison> {
        if self.verdict != Verdict::Inconclusive {
            return None;
        }
        let (open, others): (Vec<_>, Vec<_>) = self
            .comparisons
            .iter()
            .filter(|one| one.smallest_effect.is_some())
            .partition(|one| one.holds_zero());
        let among = if open.is_empty() { others } else { open };
        among.into_iter().max_by(|a, b| a.weakness().total_cmp(&b.weakness()))
    }
}

impl Comparison {
    fn holds_zero(&self) -> bool {
        self.estimate.interval.map_or(true, |ends| ends.low <= 0.0 && 0.0 <= ends.high)
    }

    fn weakness(&self) -> f64 {
        let size = match self.needed {
            Some((Size::Effect(size) | Size::Margin(size), _)) => size,
            None => 1.0,
        };
        self.smallest_effect.unwrap_or(0.0) / size
    }

    /// `0.045; an effect of 0.02 needs 44 seeds`.
    fn detects(&self) -> String {
        let size = |size| text::significant(size, 2);
        let detected = self.smallest_effect.map_or(String::new(), size);
        match &self.needed {
            Some((Size::Effect(effect), seeds)) => {
                format!("{detected}; an effect of {} needs {seeds} seeds", size(*effect))
            }
            Some((Size::Margin(margin), seeds)) => {
                format!("{detected}; the margin of {} needs {seeds} seeds", size(*margin))
            }
            None => detected,
        }
    }
}

#[cfg(test)]
mod tests;
