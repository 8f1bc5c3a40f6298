//! How many seeds the claims need.

use foretaste_eval::power::Goal;
use foretaste_eval::text;

use super::{DETECTS, Ledger, WIDTH, arms};
use crate::Table;
use crate::claims::{Difference, Finding, Verdict};

impl Ledger {
    /// To plan a run after a pilot, decided claims or not: of each claim the weakest
    /// comparison, the effect that it detects with the seeds that it has, and the seeds that it
    /// needs for the effect that matters, or for the margin of a claim that there is none.
    pub fn seeds_needed(&self) -> String {
        let row = |finding: &Finding| {
            let claim = &finding.claim;
            let [place, seeds, smallest, needed] = need(finding);
            vec![claim.sentence.clone(), claim.experiment.clone(), place, seeds, smallest, needed]
        };
        let header =
            ["claim", "experiment", "weakest comparison", "seeds", DETECTS, "seeds needed"];
        let header = header.map(str::to_owned).into();
        let rows = self.findings.iter().map(row).collect();
        Table { title: "seeds that claims need".into(), header, rows }.wrapped(WIDTH)
    }
}

/// The weakest comparison of a claim, its seeds, what it detects, and the seeds that it needs.
fn need(finding: &Finding) -> [String; 4] {
    let seeds = |difference: &Difference| difference.estimate.n.to_string();
    let Some((difference, power)) = finding.weakest(|_| true) else {
        let without = finding.differences.first();
        let reason = without.and_then(|difference| difference.estimate.half_width().err());
        let reason = reason.map_or("no runs".into(), |reason| format!("n/a ({reason})"));
        let place = without.map_or(String::new(), arms);
        return [place, without.map_or("0".into(), seeds), reason, String::new()];
    };
    let needed = power.needed.map_or("no effect given".into(), |(goal, seeds)| match goal {
        Goal::Difference(size) => format!("{seeds} for {}", text::significant(size, 2)),
        Goal::Equivalence(size) | Goal::NotWorse(size) => {
            format!("{seeds} for ±{}", text::significant(size, 2))
        }
    });
    let lacking = if finding.verdict == Verdict::NotRun { "; others have no runs" } else { "" };
    [arms(difference) + lacking, seeds(difference), power.detected(), needed]
}
