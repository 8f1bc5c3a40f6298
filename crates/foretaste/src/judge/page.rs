//! What was found, for people and for programs.

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{LineStyle, Table};
use foretaste_eval::counterfactual::{Drift, PolicyValue};
use foretaste_eval::text::significant;
use foretaste_eval::{Estimate, Interval, NoInterval};
use serde_json::{Value, json};

use super::compare::{Compared, Comparison, DRIFT, Decided, Verdict, assumption};
use super::estimates::{Assume, Estimated, Estimates};
use super::logged::Logged;
use super::overlap::Overlap;
use super::simulated::{self, Length, Simulated, Word};
use crate::answer::Answer;

/// A policy and what was found of it.
pub struct Judged {
    /// What it is called.
    pub name: String,
    /// What every estimator makes of it.
    pub estimates: Estimates,
    /// How much of the log speaks for it.
    pub overlap: Overlap,
    /// What a reader must know in addition to the figures.
    pub notes: Vec<String>,
    /// What speaks against deciding, in addition to the weights.
    pub against: Vec<String>,
    /// What learned users say of it, if any are asked.
    pub word: Option<Word>,
}

/// Learned users that are used in addition to the log, and the sessions that are simulated with
/// them.
pub type Asked<'a> = Option<(&'a Simulated, Length)>;

/// The whole answer.
pub fn answer(
    logged: &Logged<'_>,
    policies: &[Judged],
    comparison: &Comparison,
    assume: Assume,
    users: Asked<'_>,
) -> Answer {
    Answer {
        text: text(logged, policies, comparison, assume, users),
        json: object(logged, policies, comparison, assume, users),
    }
}

fn text(
    logged: &Logged<'_>,
    policies: &[Judged],
    comparison: &Comparison,
    assume: Assume,
    users: Asked<'_>,
) -> String {
    let (slates, sessions) = (logged.slates(), logged.log.sessions());
    let mut lines = vec![
        format!(
            "{slates} slates in {sessions} sessions, on which the logging policy earned {} a slate",
            reward(logged.mean())
        ),
        summary(logged, policies, comparison).to_string(),
    ];
    lines.extend(differences(policies, comparison));
    let drift = comparison.drift.as_ref().map(|drift| drifting(drift, comparison.by_time));
    lines.extend(drift.map(|line| format!("logger, {line}")));
    for (judged, compared) in policies.iter().zip(&comparison.policies) {
        lines.push(String::new());
        lines.extend(section(judged, compared, comparison.by_time));
    }
    if let Some((users, length)) = users {
        let words = policies.iter().filter_map(|of| Some((of.name.as_str(), of.word.as_ref()?)));
        let words: Vec<(&str, &Word)> = words.collect();
        lines.push(String::new());
        lines.extend(users.section(&words, length, &comparison.logger));
    }
    if !policies.is_empty() {
        lines.push(String::new());
    }
    for (judged, compared) in policies.iter().zip(&comparison.policies) {
        lines.push(format!("verdict: {}: {}", judged.name, verdict(compared, assume)));
    }
    lines.join("\n")
}

/// In the style of the page.
pub fn table() -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none()));
    table
}

fn summary(logged: &Logged<'_>, policies: &[Judged], comparison: &Comparison) -> Table {
    let mut table = table();
    table.set_header([
        "policy",
        "reward a slate",
        "minus the logger's",
        "weights' worth",
        "verdict",
    ]);
    let all = logged.slates().to_string();
    table.add_row(["logger", &comparison.logger.to_string(), "", &all, ""]);
    for (judged, compared) in policies.iter().zip(&comparison.policies) {
        let (value, difference) = match &compared.decided {
            Ok(decided) => (decided.value.to_string(), signed(&decided.difference)),
            Err(_) => ("not known".to_owned(), String::new()),
        };
        let worth = judged.overlap.diagnostics.as_ref().map_or(String::new(), |diagnostics| {
            format!("{:.0} of {}", diagnostics.effective_sample_size.floor(), diagnostics.rows)
        });
        table.add_row([
            judged.name.clone(),
            value,
            difference,
            worth,
            compared.verdict.name().to_owned(),
        ]);
    }
    table
}

/// Every policy less every one before it.
fn differences<'a>(
    policies: &'a [Judged],
    comparison: &'a Comparison,
) -> impl Iterator<Item = String> + 'a {
    pairs(policies.len()).filter_map(|(policy, other)| {
        let difference = comparison.difference(policy, other)?;
        let [policy, other] = [policy, other].map(|at| &policies[at].name);
        Some(format!("{policy} less {other}: {} a slate", signed(&difference)))
    })
}

fn pairs(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).flat_map(|policy| (0..policy).map(move |other| (policy, other)))
}

/// All that is known of one policy.
fn section(judged: &Judged, compared: &Compared, by_time: bool) -> Vec<String> {
    let Judged { name, estimates, overlap, notes, against, .. } = judged;
    let mut table = table();
    table.set_header(["estimator", "reward a slate", "standard error"]);
    for Estimated { name, value, mark, .. } in &estimates.values {
        let mark = mark.map_or(String::new(), |mark| format!(" ({mark})"));
        // The reason why there is no error is next to the estimate.
        let error = standard_error(value).map_or("n/a".into(), |error| significant(error, 2));
        table.add_row([name.clone(), value.estimate_text() + &mark, error]);
    }
    let mut lines = vec![format!("{name}")];
    if !estimates.values.is_empty() {
        lines.push(table.to_string());
    }
    for (reason, names) in by_reason(&estimates.left_out) {
        lines.push(format!("left out: {}: {reason}", names.join("; ")));
    }
    if let Ok(diagnostics) = &overlap.diagnostics {
        lines.push(format!(
            "{:.0} of {} weights' worth; largest weight {}; the largest 1% hold {:.0}%; smallest \
             propensity {:.2e}; mean weight {}",
            diagnostics.effective_sample_size.floor(),
            diagnostics.rows,
            significant(diagnostics.largest_weight, 2),
            100.0 * diagnostics.tail_share,
            diagnostics.smallest_propensity,
            diagnostics.mean_weight
        ));
    }
    lines.extend(overlap.lines());
    if let Ok(Decided { estimator, drift: Some(drift), .. }) = &compared.decided {
        lines.push(format!("{estimator}, {}", drifting(drift, by_time)));
    }
    let notes = [notes.clone(), overlap.notes()].concat();
    lines.extend(notes.iter().map(|note| format!("note: {note}")));
    let warnings = [overlap.warnings(), against.clone()].concat();
    let sound = warnings.is_empty() && compared.decided.is_ok();
    lines.extend(warnings.iter().map(|warning| format!("warning: {warning}")));
    if sound {
        lines.push(
            "no problem was found with these figures; wrong propensities cannot be found in a log"
                .to_owned(),
        );
    }
    lines
}

/// Reasons in the order of their first, each with all that it is the reason of.
fn by_reason(left_out: &[(String, String)]) -> Vec<(&str, Vec<&str>)> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for (name, reason) in left_out {
        match reasons.iter_mut().find(|(other, _)| other == reason) {
            Some((_, names)) => names.push(name),
            None => reasons.push((reason, vec![name])),
        }
    }
    reasons
}

fn drifting(Drift { parts, p }: &Drift, by_time: bool) -> String {
    let what = if by_time { "time" } else { "order" };
    let parts: Vec<String> = parts.iter().map(|part| part.to_string()).collect();
    let p = match p {
        None => "a part without spread is no evidence on drift".to_owned(),
        Some(p) if *p < DRIFT => {
            format!("the log drifts: the probability of such differences by chance is p = {p:.1e}")
        }
        Some(p) => format!("no more than chance, p = {p:.2}"),
    };
    format!("in five parts of the log's {what}: {}; {p}", parts.join(", "))
}

fn verdict(compared: &Compared, assume: Assume) -> String {
    let by = |decided: &Decided| {
        format!(
            "{} a slate by {}; {}",
            signed(&decided.difference),
            decided.estimator,
            assumption(assume)
        )
    };
    match (&compared.verdict, &compared.decided) {
        (Verdict::DoNotDecide(reasons), _) => {
            format!("DO NOT decide by this log: {}", reasons.join("; "))
        }
        (Verdict::CannotBeDistinguished, Ok(decided)) => {
            format!("cannot be distinguished from the logger: {}", by(decided))
        }
        (verdict, Ok(decided)) => format!("{} than the logger: {}", verdict.name(), by(decided)),
        (verdict, Err(why)) => format!("{}: {why}", verdict.name()),
    }
}

/// With its sign, also where it is a gain.
pub fn signed(difference: &Estimate) -> String {
    if difference.mean == 0.0 && difference.interval.is_err() {
        return "0".to_owned();
    }
    let sign = if difference.mean > 0.0 { "+" } else { "" };
    format!("{sign}{difference}")
}

/// As `describe` writes it.
fn reward(earned: f64) -> String {
    let tiny = earned != 0.0 && earned.abs() < 5e-5;
    if tiny { significant(earned, 2) } else { format!("{earned:.4}") }
}

/// The interval, where there is a spread to tell it by.
pub fn interval(estimate: &Estimate) -> Option<[f64; 2]> {
    let Interval { low, high, .. } = estimate.half_width().and(estimate.interval).ok()?;
    Some([low, high])
}

/// The standard error, which is 0 where all sessions say the same: that is no interval.
fn standard_error(value: &PolicyValue) -> Option<f64> {
    match value.estimate.half_width() {
        Err(NoInterval::NoSpread) => Some(0.0),
        _ => value.standard_error.ok(),
    }
}

fn object(
    logged: &Logged<'_>,
    policies: &[Judged],
    comparison: &Comparison,
    assume: Assume,
    users: Asked<'_>,
) -> Value {
    let policy = |(judged, compared): (&Judged, &Compared)| {
        let Judged { name, estimates, overlap, notes, against, word } = judged;
        let length = users.map(|(_, length)| length);
        let word = word.as_ref().zip(length);
        let word = word.map(|(word, length)| simulated::json(word, length, &comparison.logger));
        let left_out =
            |(name, reason): &(String, String)| json!({ "estimator": name, "reason": reason });
        let notes = [notes.clone(), overlap.notes()].concat();
        let warnings = [overlap.warnings(), against.clone()].concat();
        let reasons = match &compared.verdict {
            Verdict::DoNotDecide(reasons) => reasons.clone(),
            _ => Vec::new(),
        };
        json!({
            "policy": name,
            "estimators": estimates.values.iter().map(estimator).collect::<Vec<_>>(),
            "left_out": estimates.left_out.iter().map(left_out).collect::<Vec<_>>(),
            "overlap": overlap.json(),
            "notes": notes,
            "warnings": warnings,
            "supported": warnings.is_empty() && compared.decided.is_ok(),
            "decided": compared.decided.as_ref().ok().map(decided),
            "verdict": compared.verdict.name(),
            "reasons": reasons,
            "users": word,
        })
    };
    let difference = |(policy, other): (usize, usize)| {
        let difference = comparison.difference(policy, other)?;
        Some(json!({
            "policy": policies[policy].name,
            "other": policies[other].name,
            "difference": difference.mean,
            "interval": interval(&difference),
        }))
    };
    json!({
        "slates": logged.slates(),
        "sessions": logged.log.sessions(),
        "logging_policy_earned": logged.mean(),
        "logger": {
            "reward_per_slate": comparison.logger.mean,
            "interval": interval(&comparison.logger),
            "drift": comparison.drift.as_ref().map(drift),
        },
        "drift_by": if comparison.by_time { "time" } else { "order" },
        "assumed": assumption(assume),
        "policies": policies.iter().zip(&comparison.policies).map(policy).collect::<Vec<_>>(),
        "differences": pairs(policies.len()).filter_map(difference).collect::<Vec<_>>(),
    })
}

fn estimator(Estimated { name, value, by_place, mark }: &Estimated) -> Value {
    json!({
        "estimator": name,
        "reward_per_slate": value.estimate.mean,
        "by_place": by_place,
        "interval": interval(&value.estimate),
        "standard_error": standard_error(value),
        "text": value.estimate_text(),
        "mark": mark,
    })
}

fn decided(decided: &Decided) -> Value {
    json!({
        "estimator": decided.estimator,
        "reward_per_slate": decided.value.mean,
        "interval": interval(&decided.value),
        "less_the_logger": decided.difference.mean,
        "interval_of_difference": interval(&decided.difference),
        "drift": decided.drift.as_ref().map(drift),
    })
}

fn drift(Drift { parts, p }: &Drift) -> Value {
    let part =
        |part: &Estimate| json!({ "reward_per_slate": part.mean, "interval": interval(part) });
    json!({ "parts": parts.iter().map(part).collect::<Vec<_>>(), "p": p })
}
