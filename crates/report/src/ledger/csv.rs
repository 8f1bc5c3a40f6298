//! `claims.csv`.

use crate::Result;
use crate::claims::{Difference, Finding};
use crate::results::write;

/// A row for every comparison of every claim; a claim that was not run has one row.
///
/// # Errors
/// Where memory ends.
pub fn claims_csv(findings: &[Finding]) -> Result<Vec<u8>> {
    const HEADER: [&str; 26] = [
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
        "margin",
        "low_90",
        "high_90",
        "effect",
        "smallest_effect",
        "seeds_needed",
        "left_out",
    ];
    let rows =
        findings.iter().flat_map(|Finding { claim, verdict, differences, left_out, caveats }| {
            let head = [&claim.paper, &claim.section, &claim.experiment, &claim.sentence]
                .map(String::clone);
            let head: Vec<String> =
                head.into_iter().chain([verdict.to_string(), caveats.join("; ")]).collect();
            let left_out = left_out.join("; ");
            let nothing =
                differences.is_empty().then(|| vec![String::new(); HEADER.len() - head.len() - 1]);
            let tails: Vec<_> = nothing.into_iter().chain(differences.iter().map(fields)).collect();
            let row =
                move |tail| head.iter().cloned().chain(tail).chain([left_out.clone()]).collect();
            tails.into_iter().map(row)
        });
    write("claims.csv", &HEADER, rows)
}

fn fields(difference: &Difference) -> Vec<String> {
    let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    let Difference { ours, rival, estimate, .. } = difference;
    let needed = difference.power.and_then(|power| power.needed);
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
        .chain([
            number(difference.margin),
            number(difference.equivalence.map(|tests| tests.low)),
            number(difference.equivalence.map(|tests| tests.high)),
            number(difference.effect),
            number(difference.power.map(|power| power.smallest_effect)),
        ])
        .chain([needed.map_or(String::new(), |(_, seeds)| seeds.to_string())])
        .collect()
}
