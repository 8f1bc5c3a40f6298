//! `foretaste claims`: the claims ledger on any table of results.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use foretaste_report::{Arm, Claim, Design, Difference, Finding, Ledger, Results};
use serde_json::{Value, json};

use crate::answer::Answer;

/// Options of `claims`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// CSV file of the claims, one per row, with the columns paper, section, experiment, sentence,
    /// metrics, better, ours, rivals, rule, datasets, settings, and optionally margin and effect.
    claims: PathBuf,
    /// CSV file of the results, one figure per row, with the columns experiment, dataset, method,
    /// setting, seed, metric and value. Metrics may have any names.
    #[arg(long, value_name = "FILE")]
    results: PathBuf,
    /// The number of test users per training user, if seeds are random splits of the same users. 0
    /// means that the runs of different seeds share nothing.
    #[arg(long, value_name = "RATIO", default_value_t = 0.0)]
    test_per_train: f64,
    /// Print how many seeds each claim needs, instead of its verdict.
    #[arg(long)]
    power: bool,
}

/// Decides every claim by the results, by the rules of the ledger.
///
/// # Errors
/// Where a file is not such a table, or a claim names what the results do not have.
pub fn run(args: &Args) -> anyhow::Result<Answer> {
    if !(args.test_per_train >= 0.0 && args.test_per_train.is_finite()) {
        bail!("--test-per-train {}: expected a number, 0 or larger", args.test_per_train);
    }
    let name = |path: &Path| path.display().to_string();
    let open =
        |path: &Path| File::open(path).with_context(|| format!("cannot read {}", name(path)));
    let claims = Claim::read_anyones(open(&args.claims)?, &name(&args.claims))?;
    let results = Results::read_anyones(open(&args.results)?, &name(&args.results))?;
    if claims.is_empty() {
        bail!(
            "{}: the file contains no claims; write one per row, below the header",
            name(&args.claims)
        );
    }
    let decide = |claim: &Claim| -> anyhow::Result<Finding> {
        let found = Design::found(&claim.experiment, &results, |_| args.test_per_train);
        let design = Design { metrics: results.metrics(&claim.experiment), ..found };
        if design.arms.is_empty() {
            bail!(
                "\"{}\": {} contains no run of the experiment `{}`",
                claim.sentence,
                name(&args.results),
                claim.experiment
            );
        }
        claim.check(&design)?;
        Ok(claim.decide(&design, &results)?)
    };
    let findings = claims.iter().map(decide).collect::<anyhow::Result<Vec<_>>>()?;
    let json = json!({ "claims": findings.iter().map(finding).collect::<Vec<_>>() });
    let ledger = Ledger::new(findings);
    let text = if args.power { ledger.seeds_needed() } else { ledger.plain() };
    Ok(Answer { text, json })
}

fn finding(finding: &Finding) -> Value {
    let claim = &finding.claim;
    json!({
        "paper": claim.paper,
        "section": claim.section,
        "experiment": claim.experiment,
        "claim": claim.sentence,
        "verdict": finding.verdict.to_string(),
        "left_out": finding.left_out,
        "comparisons": finding.differences.iter().map(difference).collect::<Vec<_>>(),
    })
}

fn difference(difference: &Difference) -> Value {
    let arm = |arm: &Arm| json!({ "method": arm.method, "setting": arm.setting });
    let estimate = &difference.estimate;
    let needed = difference.power.as_ref().and_then(|power| power.needed);
    json!({
        "dataset": difference.ours.dataset,
        "metric": difference.metric.name(),
        "better": difference.better.as_str(),
        "ours": arm(&difference.ours),
        "rival": arm(&difference.rival),
        "seeds": estimate.n,
        "difference": estimate.mean,
        "interval": estimate.interval.ok().map(|ends| [ends.low, ends.high]),
        "p": difference.p,
        "margin": difference.margin,
        "effect": difference.effect,
        "smallest_effect": difference.power.as_ref().map(|power| power.smallest_effect),
        "seeds_needed": needed.map(|(_, seeds)| seeds.to_string()),
    })
}
