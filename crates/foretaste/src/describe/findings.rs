//! What speaks for and against a log, each with what to do.

use foretaste_data::{Dataset, PropensityKind};
use foretaste_import::time_text;
use serde::Serialize;

use super::profile::Profile;
use super::propensities;

/// Something found in a log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// A short name for programs.
    pub code: &'static str,
    /// Whether the log cannot be trusted as it is.
    pub wrong: bool,
    /// What was found.
    pub found: String,
    /// What to do.
    pub advice: String,
}

impl Finding {
    pub(super) fn note(
        code: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { code, wrong: false, found: found.into(), advice: advice.into() }
    }

    pub(super) fn wrong(
        code: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { wrong: true, ..Self::note(code, found, advice) }
    }
}

/// All findings, those first that are wrong.
pub fn of(dataset: &Dataset, profile: &Profile) -> Vec<Finding> {
    let mut findings = propensities::findings(dataset);
    sessions(dataset, profile, &mut findings);
    choices(dataset, profile, &mut findings);
    rewards(dataset, profile, &mut findings);
    times(dataset, profile, &mut findings);
    findings.sort_by_key(|finding| !finding.wrong);
    findings
}

fn sessions(dataset: &Dataset, profile: &Profile, to: &mut Vec<Finding>) {
    const BOTS: usize = 100;
    let log = &dataset.log;
    let [_, median, longest] = profile.lengths.quantiles;
    if longest > BOTS * median.max(1) {
        let session = log.iter().max_by_key(|session| session.len());
        let name = session.map(|session| dataset.session_name(session.index())).unwrap_or_default();
        to.push(Finding::wrong(
            "long-session",
            format!(
                "session {name:?} has {longest} steps, more than {BOTS} times the median of \
                 {median}: it is a bot, or several sessions that were not separated"
            ),
            format!(
                "--max-session-steps {} leaves out sessions that are longer; --session-gap 30m \
                 separates sessions at pauses",
                BOTS * median.max(1)
            ),
        ));
    }
    let left = log.iter().filter(|session| session.left()).count();
    if left == 0 {
        to.push(Finding::note(
            "no-leaving",
            "no session shows when its user left",
            "how long users stay cannot be learned from this log: record the last slate too, which \
             was not clicked",
        ));
    }
    if longest == 1 {
        to.push(Finding::note(
            "single-steps",
            "every session has only one step",
            "there is no history to learn from: how a slate affects later ones cannot be learned",
        ));
    }
    let share = profile.repeated_slates as f64 / log.steps().max(1) as f64;
    if share > 0.2 {
        to.push(Finding::note(
            "repeated-slates",
            format!("{:.0} % of the slates repeat the slate before them", 100.0 * share),
            "if reloaded pages were logged as new slates, leave them out",
        ));
    }
}

fn choices(dataset: &Dataset, profile: &Profile, to: &mut Vec<Finding>) {
    if profile.place_tells() {
        let share = profile.at_best_place as f64 / profile.clicked as f64;
        to.push(Finding::wrong(
            "place-tells",
            format!("one place of the slate has {:.1} % of the clicks", 100.0 * share),
            "the order of the items gives the click away: restore the order in which items were \
             shown, or shuffle the slates",
        ));
    }
    let steps = dataset.log.steps();
    let clicks: u64 = profile.clicks_by_place.iter().sum();
    if clicks == 0 {
        to.push(Finding::wrong(
            "no-clicks",
            "no item is ever chosen",
            "check which column is read as chosen, and which value means that nothing was chosen",
        ));
    } else if profile.clicked == steps as u64 {
        to.push(Finding::note(
            "always-clicked",
            "every slate is clicked",
            "slates without a click were not logged, so click rates cannot be learned from this \
             log",
        ));
    }
    if profile.items_shown > 0 {
        let never = 100.0 * profile.never_chosen as f64 / profile.items_shown as f64;
        if never > 50.0 {
            to.push(Finding::note(
                "never-chosen",
                format!("{never:.0} % of the {} items shown are never chosen", profile.items_shown),
                "little can be learned about these items from their identity alone; item features \
                 let models use what they know about similar items",
            ));
        }
    }
}

fn rewards(dataset: &Dataset, profile: &Profile, to: &mut Vec<Finding>) {
    let [least, greatest] = profile.rewards;
    if least < 0.0 {
        to.push(Finding::note(
            "negative-rewards",
            format!("rewards range from {least} to {greatest}"),
            "the bounds of the estimators hold only if no reward is negative: use the intervals \
             instead",
        ));
    }
    if least == greatest && dataset.log.steps() > 1 {
        to.push(Finding::note(
            "constant-reward",
            format!("every step has the reward {least}"),
            "check which column is read as reward",
        ));
    }
    let without = profile.earned_without_choice;
    if without > 0 {
        to.push(Finding::note(
            "reward-without-choice",
            format!("{without} steps have a reward although nothing was chosen"),
            "estimators for single places ignore these rewards: use those for whole slates",
        ));
    }
}

fn times(dataset: &Dataset, profile: &Profile, to: &mut Vec<Finding>) {
    if profile.out_of_order > 0 {
        to.push(Finding::wrong(
            "time-falls",
            format!("times decrease within {} sessions", profile.out_of_order),
            "import the log again with --sort",
        ));
    }
    let Some([first, last]) = profile.times else {
        to.push(Finding::note(
            "no-times",
            "no session has times",
            "the log cannot be split by time, and changes of the users over time cannot be \
             detected",
        ));
        return;
    };
    let unit = dataset.log.facts().time_unit;
    to.push(Finding::note(
        "times",
        format!("from {} to {}", time_text(first, unit), time_text(last, unit)),
        match unit {
            Some(_) => "these times are in UTC; check that the log was recorded then",
            None => {
                "the unit of these times is not known; name it with --time-unit s, ms, us or ns"
            }
        },
    ));
    let middle = first + (last - first) / 2;
    let mut halves = [(0_u64, 0_u64); 2];
    for step in dataset.log.iter().flat_map(|session| session.steps()) {
        let Some(time) = step.timestamp else { continue };
        let half = &mut halves[usize::from(time > middle)];
        half.0 += u64::from(step.choice.item().is_some());
        half.1 += 1;
    }
    let [before, after] = halves.map(|(clicks, steps)| clicks as f64 / steps.max(1) as f64);
    let variance: f64 = halves
        .iter()
        .map(|&(clicks, steps)| {
            let (rate, steps) = (clicks as f64 / steps.max(1) as f64, steps.max(1) as f64);
            rate * (1.0 - rate) / steps
        })
        .sum();
    // One false alarm in 15,000 logs that do not drift.
    if halves.iter().all(|half| half.1 > 100) && (before - after).abs() > 4.0 * variance.sqrt() {
        to.push(Finding::note(
            "drift",
            format!(
                "the click rate is {before:.3} in the first half of the period and {after:.3} in \
                 the second"
            ),
            "judge recommenders by later sessions than those that they learned from",
        ));
    }
}

/// What can be done with a log that has, or lacks, propensities of this kind.
pub(super) fn answers(kind: Option<PropensityKind>) -> Finding {
    match kind {
        None => Finding::note(
            "no-propensities",
            "no session has propensities",
            "importance sampling is not possible, so `judge` cannot estimate what another \
             recommender would have earned; you can still fit models of the users, and train and \
             compare recommenders in them",
        ),
        Some(PropensityKind::Conditional) => Finding::note(
            "propensities",
            "propensities are given for each place, conditional on the items before it",
            "all estimators of `judge` can be used",
        ),
        Some(PropensityKind::Slate) => Finding::note(
            "propensities-of-slates",
            "propensities are given for whole slates",
            "the estimators of `judge` for whole slates (IPS, SNIPS, DR) can be used, but not \
             those for single places",
        ),
        Some(PropensityKind::Marginal) => Finding::note(
            "marginal-propensities",
            "propensities are given for each place, regardless of the items at the other places",
            "estimators that treat places as independent (IIPS, in the library) can be used; \
             `judge` needs propensities of whole slates, or of each place conditional on the items \
             before it",
        ),
    }
}
