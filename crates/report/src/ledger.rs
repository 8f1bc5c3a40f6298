//! The claims ledger for people and programs.

use foretaste_eval::text;
use maud::{Markup, html};

use crate::claims::{Difference, Finding, Verdict};
use crate::results::write;
use crate::{Arm, Result, Table};

/// The claims with what the results make of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    findings: Vec<Finding>,
}

/// Columns of the terminal that it takes.
const WIDTH: u16 = 150;

/// How to read it.
pub(crate) const NOTE: &str = "Differences are paired by seed, with 95% interval and p: of the \
    corrected resampled t-test (Nadeau & Bengio 2003) where seeds are splits that share users or \
    test sessions (a test set that is the same for all is not in the interval), of the paired \
    t-test where each has simulated users of its own; not corrected for the number of claims. \
    Above 0 ours is better, by more of the metric or, where the claim says so, by less of it or \
    less spread; percentages are of the rival's mean. Reproduced: better, interval above 0, in \
    every comparison; not reproduced: worse in one; inconclusive: the rest; not run: a comparison \
    has no runs. n/a: there is no interval (n: number of pairs). The best rival is the one with \
    the best mean.";

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

    /// For the terminal: the claims that some run speaks to, with the least favourable comparison
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
                finding.verdict.to_string(),
                effect,
            ]
        };
        let header = ["claim", "source", "verdict", "ours is better by"].map(str::to_owned).into();
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
            let shown: Vec<_> = finding.differences.iter().map(|one| shown(one, finding)).collect();
            vec![
                finding.claim.sentence.clone(),
                source(finding),
                finding.verdict.to_string(),
                shown.join("; "),
            ]
        };
        let header = ["claim", "source", "verdict", "by how much ours is better than the rival"]
            .map(str::to_owned)
            .into();
        let table =
            Table { title: "Claims".into(), header, rows: self.findings.iter().map(row).collect() };
        format!("## Claims\n\n{}\n* {NOTE}\n", table.markdown())
    }

    pub(crate) fn html(&self) -> Markup {
        html! {
            div.wide {
                table.ledger {
                    thead { tr {
                        @for head in ["claim", "verdict", "compared", "ours is better by", "p", "seeds"] { th scope="col" { (head) } }
                    } }
                    @for finding in &self.findings { (of_finding(finding)) }
                }
            }
            p.note { (NOTE) }
        }
    }
}

/// A row for every comparison, beside the claim.
fn of_finding(finding: &Finding) -> Markup {
    let rows = finding.differences.len().max(1);
    let class = finding.verdict.to_string().replace(' ', "-");
    let claim = html! {
        td rowspan=(rows) { (finding.claim.sentence) br; small { (source(finding)) } }
        td rowspan=(rows) { span class={ "verdict " (class) } { (mark(finding.verdict)) " " (finding.verdict) } }
    };
    let effect = |difference: &Difference| {
        html! {
            td { (arms(difference)) br; small { (difference.metric) ", " (difference.better.as_str()) " is better" } }
            td { (difference.estimate) @if let Some(share) = percent(difference) { br; small { (share) } } }
            td { (p(difference).unwrap_or_default()) }
            td { (difference.estimate.n) }
        }
    };
    html! {
        tbody {
            @if finding.differences.is_empty() { tr { (claim) td colspan="4" {} } }
            @for (at, difference) in finding.differences.iter().enumerate() {
                tr { @if at == 0 { (claim) } (effect(difference)) }
            }
        }
    }
}

/// A sign beside the words, for those who see no colours.
fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Reproduced => "✓",
        Verdict::NotReproduced => "✗",
        Verdict::OursBetter | Verdict::RivalBetter => "›",
        Verdict::Inconclusive => "~",
        Verdict::NotRun => "–",
    }
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
    let share = percent(difference).map_or(String::new(), |share| format!(" ({share})"));
    let p = p(difference).map_or(String::new(), |p| format!(", p {p}"));
    format!("{}{setting}{metric} {}{share}{p}{rival}", difference.ours.dataset, difference.estimate)
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

/// A row for every comparison of every claim; a claim that was not run has one row.
///
/// # Errors
/// Where memory ends.
pub fn claims_csv(findings: &[Finding]) -> Result<Vec<u8>> {
    const HEADER: [&str; 19] = [
        "paper",
        "section",
        "experiment",
        "claim",
        "verdict",
        "caveats",
        "dataset",
        "metric",
        "better",
        "ours",
        "ours_setting",
        "rival",
        "rival_setting",
        "seeds",
        "difference",
        "low",
        "high",
        "p",
        "test_per_train",
    ];
    let rows = findings.iter().flat_map(|Finding { claim, verdict, differences, caveats }| {
        let head =
            [&claim.paper, &claim.section, &claim.experiment, &claim.sentence].map(String::clone);
        let head: Vec<String> =
            head.into_iter().chain([verdict.to_string(), caveats.join("; ")]).collect();
        let nothing =
            differences.is_empty().then(|| vec![String::new(); HEADER.len() - head.len()]);
        let tails: Vec<_> = nothing.into_iter().chain(differences.iter().map(fields)).collect();
        tails.into_iter().map(move |tail| head.iter().cloned().chain(tail).collect())
    });
    write("claims.csv", &HEADER, rows)
}

fn fields(difference: &Difference) -> Vec<String> {
    let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    let Difference { ours, rival, estimate, .. } = difference;
    let arms = [&ours.method, &ours.setting, &rival.method, &rival.setting].map(String::clone);
    [ours.dataset.clone(), difference.metric.name().into(), difference.better.as_str().into()]
        .into_iter()
        .chain(arms)
        .chain([estimate.n.to_string(), estimate.mean.to_string()])
        .chain([
            number(estimate.interval.ok().map(|ends| ends.low)),
            number(estimate.interval.ok().map(|ends| ends.high)),
        ])
        .chain([number(difference.p), difference.test_per_train.to_string()])
        .collect()
}

#[cfg(test)]
mod tests {
    use foretaste_eval::Metric;

    use super::*;
    use crate::{Claim, DataSet, Design, Key, Results};

    fn findings() -> Vec<Finding> {
        let text = "paper,section,experiment,sentence,metrics,better,ours,rivals,rule,datasets,settings\n\
                    A,§1,e,\"one, better\",reward,larger,m1,m2,beats the best,,\nA,§2,other,never run,reward,larger,m1,m2,beats the best,,\n";
        let claims = Claim::read(text.as_bytes(), "ledger.csv").unwrap();
        let arm = |dataset: &str, method: &str| Arm {
            dataset: dataset.into(),
            method: method.into(),
            setting: String::new(),
        };
        let mut results = Results::default();
        let metrics = vec![Metric::Reward];
        let mut design =
            Design { experiment: "e".into(), metrics: metrics.clone(), ..Design::default() };
        for (dataset, gap) in [("a", 2.0), ("b", 1.0)] {
            design.datasets.push(DataSet {
                name: dataset.into(),
                test_per_train: 0.0,
                caveat: "toy".into(),
            });
            for (method, base) in [("m1", 1.0 + gap), ("m2", 1.0)] {
                design.arms.push(arm(dataset, method));
                let spread = if (dataset, method) == ("b", "m1") { 0.03 } else { 0.01 };
                for seed in 0..3 {
                    let key = Key { experiment: "e".into(), arm: arm(dataset, method), seed };
                    results.insert(
                        key,
                        [(Metric::Reward, base * (1.0 + spread * seed as f64))].into(),
                    );
                }
            }
        }
        let elsewhere = Design { experiment: "other".into(), metrics, ..Design::default() };
        vec![
            claims[0].decide(&design, &results).unwrap(),
            claims[1].decide(&elsewhere, &results).unwrap(),
        ]
    }

    #[test]
    fn a_claim_that_was_not_run_is_in_every_form_and_decides_nothing() {
        let ledger = Ledger::new(findings());
        assert_eq!(ledger.counts(), [(Verdict::Reproduced, 1), (Verdict::NotRun, 1)]);
        assert!(
            ledger.plain().contains("claims not run: 1") && !ledger.plain().contains("never run")
        );
        assert!(ledger.markdown().contains("| never run | A, §2 | not run |  |"));
        assert!(ledger.html().into_string().contains("never run"));
    }

    #[test]
    fn the_effect_shown_is_the_one_that_speaks_least_for_the_claim() {
        let plain = Ledger::new(findings()).plain();
        assert!(plain.contains("b 1.05 ± 0.12, least of 2"), "{plain}");
        assert!(plain.contains("A, §1; toy"), "{plain}");
    }

    /// A finding of one comparison with these values of ours, and of the rival.
    fn finding(ours: &[f64], rival: &[f64]) -> Finding {
        let text = "paper,section,experiment,sentence,metrics,better,ours,rivals,rule,datasets,settings\n\
                    A,§1,e,s,reward,larger,m1,m2,beats the best,,\n";
        let arm = |method: &str| Arm {
            dataset: "a".into(),
            method: method.into(),
            setting: String::new(),
        };
        let datasets =
            vec![DataSet { name: "a".into(), test_per_train: 0.0, caveat: String::new() }];
        let arms = vec![arm("m1"), arm("m2")];
        let metrics = vec![Metric::Reward];
        let design =
            Design { experiment: "e".into(), datasets, arms, metrics, ..Design::default() };
        let mut results = Results::default();
        for (method, values) in [("m1", ours), ("m2", rival)] {
            for (seed, &value) in (0..).zip(values) {
                let key = Key { experiment: "e".into(), arm: arm(method), seed };
                results.insert(key, [(Metric::Reward, value)].into());
            }
        }
        Claim::read(text.as_bytes(), "ledger.csv").unwrap()[0].decide(&design, &results).unwrap()
    }

    #[test]
    fn small_effects_and_small_p_are_not_shown_as_zero() {
        let found = finding(&[1000.2, 1000.1, 1000.2], &[1000.0, 999.9, 1000.001]);
        let text = Ledger::new(vec![found]).markdown();
        assert!(text.contains("a 0.1997 ± 0.0014 (+0.02%), p < 0.001"), "{text}");
    }

    #[test]
    fn differences_without_spread_have_neither_interval_nor_p() {
        let text = Ledger::new(vec![finding(&[0.75, 0.5], &[0.5, 0.25])]).markdown();
        assert!(text.contains("| a 0.2500 ± n/a (no spread) (+66.7%) |"), "{text}");
        let text = Ledger::new(vec![finding(&[0.75], &[0.5])]).markdown();
        assert!(text.contains("| a 0.2500 ± n/a (n = 1) (+50.0%) |"), "{text}");
    }

    #[test]
    fn the_csv_has_a_row_for_every_comparison() {
        let text = String::from_utf8(claims_csv(&findings()).unwrap()).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(
            lines[1].starts_with(
                "A,§1,e,\"one, better\",reproduced,toy,a,reward,larger,m1,,m2,,3,2.02,"
            ),
            "{}",
            lines[1]
        );
        assert!(lines[3].starts_with("A,§2,other,never run,not run,,,"), "{}", lines[3]);
    }
}
