//! `cargo xtask evaluate`: what a trained recommender would have earned, from a log of one's own.

mod reward_model;
mod rows;

use std::path::{Path, PathBuf};

use anyhow::bail;
use candle_core::Device;
use comfy_table::{Table, presets};
use understudy_data::{Dataset, Origin, UnknownItems};
use understudy_irecgan::{Agent, AgentPolicy, Selection};

use self::rows::{Found, Rows};
use crate::terminal::{say, tell};

/// Options of `evaluate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Cached log, or log file in any format, with propensities.
    #[arg(long)]
    log: PathBuf,
    /// What `cargo xtask train` wrote.
    #[arg(long, value_name = "CHECKPOINT")]
    policy: PathBuf,
    /// Judge by the sessions after the first so many percent; refused if the recommender learned from any of them [default: judge by all
    /// sessions that it did not learn from].
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..100))]
    percent: Option<u8>,
    /// What becomes of items that the recommender does not know: refuse, drop-steps (leave out the steps that show them) or as-unknown
    /// (for recommenders that have an entry for them).
    #[arg(long, value_name = "RULE", default_value_t)]
    unknown_items: UnknownItems,
    /// Weights are clipped here in the estimators that clip.
    #[arg(long, default_value_t = 10.0)]
    cap: f64,
}

/// Prints the estimators and what speaks against them.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let dataset = crate::data::read(&args.log)?;
    let (agent, saved) = Agent::load(&args.policy, &dataset.catalogue, &Device::Cpu)?;
    let (judged, others) = sessions(&dataset, saved.origin.as_ref(), args)?;
    let (judged, unseen) = with_propensities(&dataset, judged, &args.log)?;

    let (others, _) = dataset.select(&others)?.mapped_to(&saved.catalogue, UnknownItems::DropSteps)?;
    let (judged, unknown) = dataset.select(&judged)?.mapped_to(&saved.catalogue, args.unknown_items)?;
    if unknown.any() {
        tell(format_args!("warning: the recommender does not know {unknown}; the steps that show them are left out"));
    }
    if unseen > 0 {
        tell(format_args!("warning: {unseen} sessions have no propensities and are left out"));
    }
    if judged.log.sessions() == 0 {
        bail!(
            "{}: every step of the sessions to judge by shows an item that the recommender does not know",
            args.log.display()
        );
    }
    let policy = AgentPolicy::new(&agent, Selection::Sampled)?;
    let rows = Rows::new(&policy, &judged.log, &others.log, saved.catalogue.len())?;
    say(format_args!(
        "{} slates in {} sessions, on which the logging policy earned {:.4} a slate",
        rows.slates(),
        judged.log.sessions(),
        rows.earned()
    ));
    print(&rows.judge(args.cap)?, judged.log.iter().any(|session| session.len() > 1));
    Ok(())
}

/// The sessions to judge by, and the others.
fn sessions(dataset: &Dataset, origin: Option<&Origin>, args: &Args) -> anyhow::Result<(Vec<usize>, Vec<usize>)> {
    let all = dataset.log.sessions();
    let shown = args.log.display();
    let seen = origin.map(|origin| origin.seen(dataset));
    let learned = seen.as_ref().map_or(0, |seen| seen.iter().filter(|&&seen| seen).count());
    let judged: Vec<usize> = match (args.percent, &seen) {
        (Some(percent), _) => (all * usize::from(percent) / 100..all).collect(),
        (None, Some(seen)) => (0..all).filter(|&session| !seen[session]).collect(),
        (None, None) => bail!(
            "{}: the recommender does not say what it learned from, since an earlier version wrote it; name with --percent how many \
             percent of the sessions, the first ones, are not to judge it",
            args.policy.display()
        ),
    };
    if judged.is_empty() && learned == all {
        bail!("{shown}: the recommender learned from all {all} sessions; judge it by a log that holds others");
    }
    if judged.is_empty() {
        bail!("{shown}: {all} sessions are too few to leave out the first {}%", args.percent.unwrap_or_default());
    }
    match &seen {
        None => tell(
            "warning: the recommender does not say what it learned from: that it did not learn from these sessions is not checked",
        ),
        Some(seen) => {
            let overlap = judged.iter().filter(|&&session| seen[session]).count();
            if overlap > 0 {
                bail!(
                    "{shown}: the recommender learned from {overlap} of the {} sessions after the first {}%; without --percent it is judged \
                     by the {} sessions that it did not learn from",
                    judged.len(),
                    args.percent.unwrap_or_default(),
                    all - learned
                );
            }
        }
    }
    tell(format_args!("judged by {} of {all} sessions; the recommender learned from {learned} of them", judged.len()));
    let others = (0..all).filter(|session| judged.binary_search(session).is_err()).collect();
    Ok((judged, others))
}

/// Those of the sessions whose every slate has propensities, and how many have not.
fn with_propensities(dataset: &Dataset, sessions: Vec<usize>, log: &Path) -> anyhow::Result<(Vec<usize>, usize)> {
    let all = sessions.len();
    let has = |&session: &usize| dataset.log.session(session).steps().all(|step| step.propensity.is_some());
    let kept: Vec<usize> = sessions.into_iter().filter(has).collect();
    if kept.is_empty() {
        bail!(
            "{}: the log has no propensities; without the probability of what was shown, nothing can be said of what was not",
            log.display()
        );
    }
    let left_out = all - kept.len();
    Ok((kept, left_out))
}

fn print(Found { values, diagnostics, remarks }: &Found, in_sessions: bool) {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["estimator", "reward a slate", "standard error"]);
    for (name, value) in values {
        // The reason why there is no error stands beside the estimate.
        let error = value.standard_error.map_or("n/a".into(), |_| value.standard_error_text());
        table.add_row([name.clone(), value.estimate_text(), error]);
    }
    say(table);
    say(format_args!(
        "{:.0} of {} weights' worth; largest weight {:.1}; the largest 1% hold {:.0}%; smallest propensity {:.2e}; mean weight {}",
        diagnostics.effective_sample_size,
        diagnostics.rows,
        diagnostics.largest_weight,
        100.0 * diagnostics.tail_share,
        diagnostics.smallest_propensity,
        diagnostics.mean_weight
    ));
    remarks.iter().for_each(|remark| say(format_args!("note: {remark}")));
    let warnings = diagnostics.warnings();
    warnings.iter().for_each(|warning| say(format_args!("warning: {warning}")));
    if in_sessions {
        say("note: slates of one session are taken as independent; where they are not, intervals are too narrow");
    }
    say(match warnings.is_empty() {
        true => "nothing speaks against these figures but what no log can show: wrong propensities",
        false => "DO NOT decide by these figures: the log cannot support an answer for this recommender",
    });
}
