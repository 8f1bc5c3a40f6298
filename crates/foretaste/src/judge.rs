//! `foretaste judge`: what a recommender would have earned, from a log of one's own.

mod reward_model;
mod rows;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use comfy_table::{Table, presets};
use foretaste_console::terminal::eprint_line;
use foretaste_data::{Dataset, Mapping, Origin, PropensityKind, UnknownItems};
use foretaste_eval::counterfactual::PolicyValue;
use foretaste_eval::text::significant;
use foretaste_nn::DeviceKind;
use foretaste_recommender::Recommender;
use indicatif::MultiProgress;
use serde_json::{Value, json};

use self::rows::{Found, Rows};
use crate::answer::Answer;
use crate::log::LogArgs;
use crate::progress::Progress;

/// Options of `judge`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Log with propensities in any format: a file, a cached log, a pipe, - for the standard input,
    /// or bundled:NAME.
    #[arg(long)]
    log: PathBuf,
    /// What `foretaste train` wrote: a recommender of any kind.
    #[arg(long, value_name = "RECOMMENDER")]
    policy: PathBuf,
    /// Judge by the sessions after the first so many percent; refused if the recommender learned
    /// from any of them [default: judge by all sessions that it did not learn from].
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..100))]
    percent: Option<u8>,
    /// What becomes of items that the recommender does not know: refuse, drop-steps (it never shows
    /// them, so that slates with them weigh nothing, and clicks on them are no part of its history)
    /// or as-unknown (for recommenders that have an entry for them).
    #[arg(long, value_name = "RULE", default_value_t)]
    unknown_items: UnknownItems,
    /// Weights are clipped here in the estimators that clip.
    #[arg(long, default_value_t = 10.0)]
    cap: f64,
    /// Where networks run: auto, cpu, cuda or metal.
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceKind::Auto)]
    device: DeviceKind,
}

/// Estimates what the recommender would have earned, with what speaks against it.
pub fn run(args: &Args, bars: &MultiProgress, quiet: bool) -> anyhow::Result<Answer> {
    let (dataset, _) = LogArgs::of(&args.log).read(None, quiet)?;
    let device = args.device.resolve()?.open()?;
    let policy = Recommender::load_knowing(&args.policy, &dataset.catalogue, &device)
        .with_context(|| format!("cannot load the recommender {}", args.policy.display()))?;
    let (chosen, others) = sessions(&dataset, policy.origin(), args)?;
    let (judged, others) = (dataset.log.select(&chosen), dataset.log.select(&others));
    if judged.facts().propensity == PropensityKind::Marginal {
        bail!(
            "{}: the propensities are of each place whatever stands at the others (marginal), and \
             the estimators here need those of slates, or of each place given those before it",
            args.log.display()
        );
    }

    let mapping = Mapping::new(&dataset.catalogue, policy.catalogue());
    let unknown = mapping.unknown(&judged);
    args.unknown_items.check(&dataset.name, unknown)?;
    if unknown.any() {
        eprint_line(format_args!(
            "warning: the recommender does not know {unknown}; it never shows these, so such \
             slates weigh nothing"
        ));
    }
    let name = |session: usize| dataset.session_name(chosen[session]).into_owned();
    let mut shown = Progress::new(bars, quiet, 0, judged.sessions() as u64);
    let rows = Rows::new(&policy, &judged, &others, &mapping, name, || shown.advance("sessions"));
    shown.end();
    let rows =
        rows.with_context(|| format!("cannot judge the recommender {}", args.policy.display()))?;
    let mut found = rows.judge(args.cap)?;
    if judged.iter().any(|session| session.len() > 1) {
        let independent = "slates of one session are taken as independent; where they are not, \
                           intervals are too narrow";
        found.remarks.push(independent.into());
    }
    let (slates, sessions, earned) = (rows.slates(), judged.sessions(), rows.earned());
    let text = format!(
        "{slates} slates in {sessions} sessions, on which the logging policy earned {} a slate\n{}",
        reward_text(earned),
        text(&found)
    );
    let mut json = json(&found);
    json["slates"] = slates.into();
    json["sessions"] = sessions.into();
    json["logging_policy_earned"] = earned.into();
    Ok(Answer { text, json })
}

/// As `describe` writes it.
fn reward_text(earned: f64) -> String {
    let tiny = earned != 0.0 && earned.abs() < 5e-5;
    if tiny { significant(earned, 2) } else { format!("{earned:.4}") }
}

/// The sessions to judge by, and the others.
fn sessions(
    dataset: &Dataset,
    origin: Option<&Origin>,
    args: &Args,
) -> anyhow::Result<(Vec<usize>, Vec<usize>)> {
    let all = dataset.log.sessions();
    let shown = args.log.display();
    let overlap = origin.map(|origin| origin.overlap(dataset));
    let alike = overlap.as_ref().map_or(0, |overlap| overlap.alike);
    let seen = overlap.map(|overlap| overlap.seen);
    let learned = seen.as_ref().map_or(0, |seen| seen.iter().filter(|&&seen| seen).count());
    let judged: Vec<usize> = match (args.percent, &seen) {
        (Some(percent), _) => (all * usize::from(percent) / 100..all).collect(),
        (None, Some(seen)) => (0..all).filter(|&session| !seen[session]).collect(),
        (None, None) => bail!(
            "{}: the recommender does not say what it learned from, since an earlier version \
             wrote it; name with --percent how many percent of the sessions, the first ones, are \
             not to judge it",
            args.policy.display()
        ),
    };
    if judged.is_empty() && learned == all {
        bail!(
            "{shown}: the recommender learned from all {all} sessions; judge it by a log that \
             holds others"
        );
    }
    if judged.is_empty() {
        bail!(
            "{shown}: {all} sessions are too few to leave out the first {}%",
            args.percent.unwrap_or_default()
        );
    }
    match &seen {
        None => eprint_line(
            "warning: the recommender does not say what it learned from: that it did not learn \
             from these sessions is not checked",
        ),
        Some(seen) => {
            let overlap = judged.iter().filter(|&&session| seen[session]).count();
            if overlap > 0 {
                bail!(
                    "{shown}: the recommender learned from {overlap} of the {} sessions after the \
                     first {}%; without --percent it is judged by the {} sessions that it did not \
                     learn from",
                    judged.len(),
                    args.percent.unwrap_or_default(),
                    all - learned
                );
            }
        }
    }
    if alike > 0 {
        eprint_line(format_args!(
            "warning: {alike} sessions show and choose the same as sessions that the recommender \
             learned from, under other ids; short sessions are often alike by chance, but if \
             these are the same, the figures flatter"
        ));
    }
    let learned = if seen.is_some() {
        format!("; the recommender learned from {learned} of them")
    } else {
        String::new()
    };
    eprint_line(format_args!("judged by {} of {all} sessions{learned}", judged.len()));
    let others = (0..all).filter(|session| judged.binary_search(session).is_err()).collect();
    Ok((with_propensities(dataset, judged, &args.log)?, others))
}

/// Those of the sessions whose every slate has propensities.
fn with_propensities(
    dataset: &Dataset,
    sessions: Vec<usize>,
    log: &Path,
) -> anyhow::Result<Vec<usize>> {
    let all = sessions.len();
    let has = |&session: &usize| {
        dataset.log.session(session).steps().all(|step| step.propensity.is_some())
    };
    let kept: Vec<usize> = sessions.into_iter().filter(has).collect();
    if kept.is_empty() {
        let whose = match dataset.log.sessions_with_propensities() {
            0 => "the log has no propensities".to_owned(),
            some => format!("{some} sessions have propensities, but none of the {all} to judge by"),
        };
        bail!(
            "{}: {whose}; without the probability of what was shown, nothing can be said of what \
             was not",
            log.display()
        );
    }
    if kept.len() < all {
        eprint_line(format_args!(
            "warning: {} sessions have no propensities and are left out",
            all - kept.len()
        ));
    }
    Ok(kept)
}

fn text(Found { values, diagnostics, remarks }: &Found) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["estimator", "reward a slate", "standard error"]);
    for (name, value) in values {
        // The reason why there is no error stands beside the estimate.
        let error = standard_error(value).map_or("n/a".into(), |error| significant(error, 2));
        table.add_row([name.clone(), value.estimate_text(), error]);
    }
    let weights = format!(
        "{:.0} of {} weights' worth; largest weight {}; the largest 1% hold {:.0}%; smallest \
         propensity {:.2e}; mean weight {}",
        diagnostics.effective_sample_size.floor(),
        diagnostics.rows,
        significant(diagnostics.largest_weight, 2),
        100.0 * diagnostics.tail_share,
        diagnostics.smallest_propensity,
        diagnostics.mean_weight
    );
    let warnings = diagnostics.warnings();
    let mut lines = vec![table.to_string(), weights];
    lines.extend(remarks.iter().map(|remark| format!("note: {remark}")));
    lines.extend(warnings.iter().map(|warning| format!("warning: {warning}")));
    lines.push(match warnings.is_empty() {
        true => "nothing speaks against these figures but what no log can show: wrong propensities",
        false => {
            "DO NOT decide by these figures: the log cannot support an answer for this recommender"
        }
    }.into());
    lines.join("\n")
}

/// The interval, where there is a spread to tell it by.
fn interval(value: &PolicyValue) -> Option<[f64; 2]> {
    let interval = value.estimate.half_width().and(value.estimate.interval).ok()?;
    Some([interval.low, interval.high])
}

/// The standard error, where there is an interval.
fn standard_error(value: &PolicyValue) -> Option<f64> {
    interval(value).and(value.standard_error.ok())
}

fn json(Found { values, diagnostics, remarks }: &Found) -> Value {
    let estimator = |(name, value): &(String, PolicyValue)| {
        json!({
            "estimator": name,
            "reward_per_slate": value.estimate.mean,
            "interval": interval(value),
            "standard_error": standard_error(value),
            "text": value.estimate_text(),
        })
    };
    let warnings = diagnostics.warnings();
    json!({
        "estimators": values.iter().map(estimator).collect::<Vec<_>>(),
        "effective_sample_size": diagnostics.effective_sample_size,
        "largest_weight": diagnostics.largest_weight,
        "tail_share": diagnostics.tail_share,
        "smallest_propensity": diagnostics.smallest_propensity,
        "mean_weight": diagnostics.mean_weight.mean,
        "notes": remarks,
        "supported": warnings.is_empty(),
        "warnings": warnings,
    })
}

#[cfg(test)]
mod tests {
    use foretaste_eval::Estimate;
    use foretaste_eval::counterfactual::{ActionLog, ips};

    use super::*;

    #[test]
    fn json_has_no_interval_where_the_text_has_none() {
        let propensities = [0.5; 4];
        for (rewards, has_spread) in [([1.0; 4], false), ([1.0, 0.0, 1.0, 2.0], true)] {
            let log = ActionLog::new(&rewards, &propensities, &propensities).unwrap();
            let value = ips(&log).unwrap();
            let Estimate { mean, .. } = value.estimate;
            let diagnostics = log.diagnostics().unwrap();
            let found = Found { values: vec![("IPS".into(), value)], diagnostics, remarks: vec![] };
            let json = &json(&found)["estimators"][0];
            assert_eq!(json["reward_per_slate"], mean);
            assert_eq!(json["interval"].is_array(), has_spread, "{json}");
            assert_eq!(json["standard_error"].is_number(), has_spread, "{json}");
            let text = text(&found);
            let row = text.lines().find(|line| line.starts_with(" IPS ")).unwrap();
            assert_eq!(row.contains("n/a (no spread)"), !has_spread, "{row}");
        }
    }
}
