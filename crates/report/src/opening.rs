//! The first screen of the page: what was asked, what came out, and how sure it is, in words.

use maud::{Markup, html};

use crate::Report;
use crate::claims::Verdict;

/// The three answers.
pub fn opening(report: &Report) -> Markup {
    html! {
        h2 { "What was asked" }
        nav aria-label="Experiments" { ul { @for section in &report.sections {
            li {
                a href={ "#" (section.name) } { (section.name) } ": " (section.question)
                @let verdicts = counted(&of_experiment(report, &section.name));
                @if !verdicts.is_empty() { " " small { "Claims: " (verdicts) "." } }
            }
        } } }
        h2 { "What came out" }
        p { (came_out(&report.ledger.counts())) }
        p.verdicts {
            @for (verdict, count) in report.ledger.counts() {
                a href="#claims" class={ "verdict " (class(verdict)) } { (count) " " (verdict) } " "
            }
        }
        h2 { "How sure it is" }
        @for sentence in how_sure(report) { p { (sentence) } }
    }
}

/// The verdicts as a class of the style.
pub fn class(verdict: Verdict) -> String {
    verdict.to_string().replace(' ', "-")
}

/// How many claims on an experiment have each verdict.
fn of_experiment(report: &Report, experiment: &str) -> Vec<(Verdict, usize)> {
    let findings =
        || report.ledger.findings().iter().filter(|finding| finding.claim.experiment == experiment);
    let count = |verdict| (verdict, findings().filter(|one| one.verdict == verdict).count());
    Verdict::ALL.into_iter().map(count).filter(|(_, count)| *count > 0).collect()
}

fn counted(counts: &[(Verdict, usize)]) -> String {
    let counts: Vec<_> =
        counts.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
    counts.join(", ")
}

fn came_out(counts: &[(Verdict, usize)]) -> String {
    let (run, not_run): (Vec<_>, Vec<_>) =
        counts.iter().partition(|(verdict, _)| *verdict != Verdict::NotRun);
    let total = |counts: &[(Verdict, usize)]| counts.iter().map(|(_, count)| count).sum::<usize>();
    let (judged, waiting) = (total(&run), total(&not_run));
    let claims = |number: usize| match number {
        1 => "1 claim".to_owned(),
        number => format!("{number} claims"),
    };
    let rest = match waiting {
        0 => String::new(),
        waiting => format!(" {} needs runs that are not here.", claims(waiting))
            .replace("claims needs", "claims need"),
    };
    match judged {
        0 => format!("These results decide no claim.{rest}"),
        judged => format!(
            "These results speak to {}: {}.{rest} Each verdict follows from the figures by the \
             rule that the claims file states.",
            claims(judged),
            counted(&run)
        ),
    }
}

fn how_sure(report: &Report) -> Vec<String> {
    let findings = report.ledger.findings();
    let seeds = || findings.iter().flat_map(|one| &one.differences).map(|one| one.estimate.n);
    let seeds = match (seeds().min(), seeds().max()) {
        (Some(few), Some(many)) if few == many => format!(" over {many} seeds"),
        (Some(few), Some(many)) => format!(" over {few} to {many} seeds"),
        _ => " over seeds".to_owned(),
    };
    let mut sentences = vec![format!(
        "Each figure is a mean{seeds} with a 95% interval, and each claim compares methods seed by \
         seed. If two methods were equal, about one such comparison in twenty would still look \
         decided: the intervals are not corrected for the number of claims."
    )];
    let open = findings.iter().filter(|one| one.verdict == Verdict::Inconclusive).count();
    if open > 0 {
        let are = if open == 1 { "claim is" } else { "claims are" };
        sentences.push(format!(
            "{open} {are} inconclusive, which does not mean that there is no difference: these \
             seeds could not show one. The last column of the claims says how large a difference \
             would have been found."
        ));
    }
    let mut caveats: Vec<&str> = Vec::new();
    for caveat in findings.iter().flat_map(|finding| &finding.caveats) {
        if !caveats.contains(&caveat.as_str()) {
            caveats.push(caveat);
        }
    }
    for reason in findings.iter().flat_map(|finding| &finding.left_out) {
        if !caveats.contains(&reason.as_str()) {
            caveats.push(reason);
        }
    }
    if !caveats.is_empty() {
        sentences.push(format!("What limits some claims: {}.", caveats.join("; ")));
    }
    sentences
}
