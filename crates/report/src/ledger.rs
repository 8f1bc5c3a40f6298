//! The claims ledger for people and programs.

mod csv;
mod decided;
mod seeds;

use foretaste_eval::text;
use maud::{Markup, html};

pub use self::csv::claims_csv;
pub use self::decided::{Decided, Tally};
use crate::claims::{Difference, Finding, Verdict};
use crate::{Arm, Table};

/// The claims with what the results make of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    findings: Vec<Finding>,
}

/// Columns of the terminal that it takes.
const WIDTH: u16 = 150;

/// How to read it.
const NOTE: &str = "Differences are paired by seed, with 95% interval and p: of the \
    corrected resampled t-test (Nadeau & Bengio 2003) where seeds are splits that share users or \
    test sessions (a test set that is the same for all is not in the interval), of the paired \
    t-test where each has simulated users of its own; not corrected for the number of claims. \
    Above 0 ours is better, by more of the metric or, where the claim says so, by less of it or \
    less spread; percentages are of the rival's mean. Reproduced: better, interval above 0, in \
    every comparison; not reproduced: worse in one; inconclusive: the rest; not decidable: no data \
    set has what the claim says that it must have; not run: a comparison has no runs. n/a: there \
    is no interval (n: number of pairs). The best rival is the one with the best mean. Equivalent \
    within δ: no difference as large as δ, which was written down before \
    the run, in any comparison, by two one-sided tests at 5% (Schuirmann 1987): the 90% interval \
    is within ±δ; not equivalent: it is beyond in one. Detects at 80% power: the true \
    difference that the t-test with these seeds and this spread would find in 80 of 100 runs, of \
    the weakest comparison that leaves the claim open, and the seeds that it needs for the effect \
    that matters, where the claim names one; spreads of few seeds make both rough.";

/// The head of the column that says what an open claim's test could have found.
const DETECTS: &str = "detects at 80% power";

impl Ledger {
    /// The ledger of these findings, in order.
    pub fn new(findings: Vec<Finding>) -> Self {
        Self { findings }
    }

    /// The findings.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// How many claims have each verdict; verdicts of none are left out.
    pub fn counts(&self) -> Vec<(Verdict, usize)> {
        let count =
            |verdict| self.findings.iter().filter(|finding| finding.verdict == verdict).count();
        Verdict::ALL
            .map(|verdict| (verdict, count(verdict)))
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    /// For the terminal: the claims that some run speaks to, with the least favorable comparison
    /// of each; how many others there are.
    pub fn plain(&self) -> String {
        let (run, others): (Vec<_>, Vec<_>) =
            self.findings.iter().partition(|finding| finding.verdict != Verdict::NotRun);
        let row = |finding: &&Finding| {
            let effect = least(finding).map_or(String::new(), |(difference, of)| {
                let of = if of > 1 { format!(", least of {of}") } else { String::new() };
                format!("{} {}{of}", difference.ours.dataset, difference.estimate)
            });
            vec![
                finding.claim.sentence.clone(),
                source(finding),
                verdict(finding),
                effect,
                detects(finding),
            ]
        };
        let header = ["claim", "source", "verdict", "ours is better by", DETECTS];
        let header = header.map(str::to_owned).into();
        let table = Table { title: "claims".into(), header, rows: run.iter().map(row).collect() };
        let rest = if others.is_empty() {
            String::new()
        } else {
            format!("\n* claims not run: {}", others.len())
        };
        table.wrapped(WIDTH) + &rest
    }

    /// As Markdown, with all comparisons.
    pub fn markdown(&self) -> String {
        let row = |finding: &Finding| {
            let shown = finding.differences.iter().map(|one| shown(one, finding));
            let shown: Vec<_> = shown.chain(left_out(finding)).collect();
            vec![
                finding.claim.sentence.clone(),
                source(finding),
                verdict(finding),
                shown.join("; "),
                detects(finding),
            ]
        };
        let header =
            ["claim", "source", "verdict", "by how much ours is better than the rival", DETECTS];
        let header = header.map(str::to_owned).into();
        let table =
            Table { title: "Claims".into(), header, rows: self.findings.iter().map(row).collect() };
        format!("## Claims\n\n{}\n* {NOTE}\n", table.markdown())
    }

    pub(crate) fn html(&self) -> Markup {
        html! {
            table.ledger {
                thead { tr {
                    @for head in ["claim", "verdict", "compared", "ours is better by", "p", "seeds", DETECTS] { th scope="col" { (head) } }
                } }
                @for finding in &self.findings { (of_finding(finding)) }
            }
        }
    }

    /// How to read it.
    pub(crate) fn note(&self) -> &'static str {
        NOTE
    }
}

/// A row for every comparison, next to the claim.
fn of_finding(finding: &Finding) -> Markup {
    let rows = finding.differences.len().max(1);
    let class = crate::opening::class(finding.verdict);
    let claim = html! {
        td rowspan=(rows) { (finding.claim.sentence) br; small { (source(finding)) } }
        td rowspan=(rows) { span class={ "verdict " (class) } { (mark(finding.verdict)) " " (verdict(finding)) } }
    };
    let effect = |difference: &Difference| {
        html! {
            td { (arms(difference)) br; small { (difference.metric) ", " (difference.better.as_str()) " is better" } }
            td { (difference.estimate) @if let Some(share) = percent(difference) { br; small { (share) } } }
            td { (p(difference).unwrap_or_default()) }
            td { (difference.estimate.n) }
            td { @if finding.leaves_open(difference) { @if let Some(power) = &difference.power { (power) } } }
        }
    };
    html! {
        tbody {
            @if finding.differences.is_empty() {
                tr { (claim) td colspan="5" { @for reason in left_out(finding) { (reason) br; } } }
            }
            @for (at, difference) in finding.differences.iter().enumerate() {
                tr { @if at == 0 { (claim) } (effect(difference)) }
            }
        }
    }
}

/// The data sets that cannot decide.
fn left_out(finding: &Finding) -> impl Iterator<Item = String> {
    finding.left_out.iter().map(|reason| format!("left out: {reason}"))
}

/// A sign next to the words, for those who see no colors.
fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Reproduced => "✓",
        Verdict::NotReproduced => "✗",
        Verdict::OursBetter | Verdict::RivalBetter => "›",
        Verdict::Equivalent => "≈",
        Verdict::NotEquivalent => "≠",
        Verdict::Inconclusive => "~",
        Verdict::NotDecidable => "?",
        Verdict::NotRun => "–",
    }
}

/// With the margin of what is equivalent.
fn verdict(finding: &Finding) -> String {
    match (finding.verdict, finding.claim.margin) {
        (verdict @ Verdict::Equivalent, Some(margin)) => format!("{verdict} = {margin}"),
        (verdict, _) => verdict.to_string(),
    }
}

/// What the comparison that decides an open claim could have found; empty for other claims.
fn detects(finding: &Finding) -> String {
    finding.deciding().map_or(String::new(), |(difference, power)| {
        let [place, rival] = place(difference, finding);
        format!("{place}{rival} {power}")
    })
}

fn source(finding: &Finding) -> String {
    let place = format!("{}, {}", finding.claim.paper, finding.claim.section);
    [place].into_iter().chain(finding.caveats.iter().cloned()).collect::<Vec<_>>().join("; ")
}

fn arms(difference: &Difference) -> String {
    let Difference { ours, rival, .. } = difference;
    if ours.setting == rival.setting {
        let setting =
            if ours.setting.is_empty() { String::new() } else { format!(", {}", ours.setting) };
        return format!("{}{setting}: {} over {}", ours.dataset, ours.method, rival.method);
    }
    let arm = |arm: &Arm| format!("{} {}", arm.method, arm.setting);
    format!("{}: {} over {}", ours.dataset, arm(ours), arm(rival))
}

fn percent(difference: &Difference) -> Option<String> {
    let share = 100.0 * difference.relative?;
    let sign = if share > 0.0 { "+" } else { "" };
    let small = share.abs() < 0.05;
    Some(if small {
        format!("{sign}{}%", text::significant(share, 1))
    } else {
        format!("{share:+.1}%")
    })
}

/// The p-value; differences that are all equal have no chance to judge by.
fn p(difference: &Difference) -> Option<String> {
    difference.estimate.half_width().ok().and(difference.p).map(text::p_value)
}

/// A comparison in a list of those of a claim.
fn shown(difference: &Difference, finding: &Finding) -> String {
    let [place, rival] = place(difference, finding);
    let share = percent(difference).map_or(String::new(), |share| format!(" ({share})"));
    let p = p(difference).map_or(String::new(), |p| format!(", p {p}"));
    format!("{place} {}{share}{p}{rival}", difference.estimate)
}

/// Which of a claim's comparisons it is: its data set and what else differs among them, and the
/// rival if that does.
fn place(difference: &Difference, finding: &Finding) -> [String; 2] {
    let first = &finding.differences[0];
    let differs =
        |of: fn(&Difference) -> &String| finding.differences.iter().any(|one| of(one) != of(first));
    let setting = if differs(|one| &one.ours.setting) {
        format!(" {}", difference.ours.setting)
    } else {
        String::new()
    };
    let metric = finding.differences.iter().any(|one| one.metric != first.metric);
    let metric = if metric { format!(" {}", difference.metric) } else { String::new() };
    let rival = if differs(|one| &one.rival.method) {
        format!(" (to {})", difference.rival.method)
    } else {
        String::new()
    };
    [format!("{}{setting}{metric}", difference.ours.dataset), rival]
}

/// The comparison that speaks least for the claim, and how many there are.
fn least(finding: &Finding) -> Option<(&Difference, usize)> {
    let strength = |one: &Difference| {
        let half = one.estimate.interval.map_or(1.0, |ends| (ends.high - ends.low) / 2.0);
        one.estimate.mean / half.max(f64::MIN_POSITIVE)
    };
    let least = finding.differences.iter().min_by(|a, b| strength(a).total_cmp(&strength(b)))?;
    Some((least, finding.differences.len()))
}

#[cfg(test)]
mod tests;
