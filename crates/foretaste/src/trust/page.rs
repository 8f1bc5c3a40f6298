//! What was found of users, for people and for programs.

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{LineStyle, Table};
use foretaste_data::Catalogue;
use foretaste_eval::{Estimate, text};
use foretaste_user_model::trust::{
    Compared, Condition, Evidence, Group, ItemRates, Pair, Replay, Value,
};
use serde_json::{Value as Json, json};

use super::Known;
use super::case::Case;
use super::examine::{Chances, OTHER_FORM, Report};
use super::other::{Other, Source};
use crate::answer::Answer;
use crate::fit::page as fitted;

/// Items that a list names at most.
const NAMED: usize = 5;

/// The whole answer.
pub fn answer(case: &Case, report: &Report) -> Answer {
    Answer { text: lines(case, report).join("\n"), json: object(case, report) }
}

fn lines(case: &Case, report: &Report) -> Vec<String> {
    let mut lines = vec![format!(
        "{}, learned from {} sessions of the log; judged by {} others",
        case.name,
        case.learned.len(),
        case.held_out.len()
    )];
    let mut section = |title: &str, found: Known<Vec<String>>| {
        lines.push(format!("\n{title}"));
        match found {
            Ok(found) => lines.extend(found),
            Err(why) => lines.push(format!("left out: {why}")),
        }
    };
    let own = |why: &String| why.clone();
    section(
        "predicted clicks",
        report.comparison.as_ref().map_err(own).map(|comparison| {
            let mut lines = vec![fitted::table(comparison).to_string()];
            lines.extend(fitted::verdicts(comparison));
            lines
        }),
    );
    section("chances and shares", report.chances.as_ref().map_err(own).map(chances));
    section("held-out slates, replayed", report.replay.as_ref().map_err(own).map(replayed));
    section("slates of all sessions, replayed", report.all.as_ref().map_err(own).map(replayed));
    section(
        "simulated sessions against real ones",
        report.told_apart.as_ref().map_err(own).map(|[told, null]| {
            vec![
                format!("distinguished with an AUC of {}", told),
                format!("two halves of the real sessions: {}", null),
            ]
        }),
    );
    section("policies", report.values.as_ref().map_err(own).map(|values| policies(values, report)));
    let halves = report.halves.as_ref().map_err(own);
    section("two halves", halves.map(|halves| agreement(halves, &case.dataset.catalogue)));
    section("a model of another form", report.forms.as_ref().map_err(own).map(other_form));
    section("another policy's log", Ok(other(&report.other)));
    let (wrong, worlds) = Evidence::RECORD;
    lines.push(format!("\nverdict: {}", report.evidence.verdict()));
    lines.push(format!(
        "in {wrong} of {worlds} simulated worlds of known truth this rule permitted too much: \
         docs/trust.md"
    ));
    lines.push(conditions(&report.evidence.conditions()).to_string());
    lines
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none()));
    table.set_header(header);
    table
}

fn number(value: Option<f64>) -> String {
    value.map_or("not known".into(), |value| text::significant(value, 3))
}

fn chances(chances: &Chances) -> Vec<String> {
    let listed = |groups: &[(usize, Group)]| {
        let of = |(key, group): &(usize, Group)| {
            format!("{key}: {:.3} {:.3}", group.predicted, group.observed)
        };
        groups.iter().map(of).collect::<Vec<_>>().join(", ")
    };
    let deciles: Vec<(usize, Group)> = chances.all.groups.iter().copied().enumerate().collect();
    vec![
        format!("calibration error of an item's chance: {:.4}", chances.all.error),
        format!("by tenth of the items, chance and share: {}", listed(&deciles)),
        format!("by place on the slate: {}", listed(&chances.by_place)),
        format!("by clicks before, from: {}", listed(&chances.by_history)),
    ]
}

fn replayed(replay: &Replay) -> Vec<String> {
    let mut table = table(["of each slate", "users", "log", "difference"]);
    let rows = [
        ("clicks", Some(replay.click_rate)),
        ("reward", Some(replay.reward)),
        ("slates a session", replay.length),
    ];
    for (name, compared) in rows {
        if let Some(Compared { users, log, difference }) = compared {
            let row = [format!("{users:.4}"), format!("{log:.4}"), difference.to_string()];
            table.add_row([name.to_owned()].into_iter().chain(row));
        }
    }
    let mut lines = vec![format!("{} sessions", replay.sessions.len()), table.to_string()];
    if replay.length.is_none() {
        lines.push(
            "length of a session: not compared, because the log does not show when users left"
                .into(),
        );
    }
    lines
}

fn policies(values: &[Value], report: &Report) -> Vec<String> {
    let mut table =
        table(["policy", "reward of a session", "clicks", "never shown", "in two halves"]);
    let of_half = |half: usize, policy: &str| {
        let halves = report.halves.as_ref().ok()?;
        let value = halves.values[half].iter().find(|value| value.policy == policy)?;
        Some(format!("{:.3}", value.reward.mean))
    };
    let share = |share: f64| format!("{:.1}%", 100.0 * share);
    for value in values {
        let halves = [of_half(0, &value.policy), of_half(1, &value.policy)];
        let halves = match halves {
            [Some(first), Some(second)] => format!("{first}, {second}"),
            _ => String::new(),
        };
        table.add_row([
            value.policy.clone(),
            value.reward.to_string(),
            share(value.click_rate),
            share(value.unseen),
            halves,
        ]);
    }
    vec![table.to_string()]
}

fn correlation(models: &Pair) -> String {
    let correlation = models.agreement.correlation;
    let correlation = correlation.map_or("none".into(), |correlation| correlation.to_string());
    format!("rank correlation of the chances of held-out items: {correlation}")
}

/// What the users say, held against the other form.
fn other_form(forms: &Pair) -> Vec<String> {
    let nll = forms.nll_difference.map_or("not known".into(), |nll| nll.to_string());
    vec![
        correlation(forms),
        format!("its NLL given a click, less that of the users: {nll}"),
        format!("Kendall's τ of the values of policies: {}", number(forms.order_in(OTHER_FORM))),
        format!(
            "regret of the policy that is best in the users: {:.3}",
            forms.regret_in(OTHER_FORM)
        ),
        format!(
            "the greedy policy of the users, over the best that knows neither: {:.3}",
            forms.greed_in(OTHER_FORM)
        ),
    ]
}

fn agreement(halves: &Pair, items: &Catalogue) -> Vec<String> {
    let named: Vec<String> = halves
        .agreement
        .by_item
        .iter()
        .take(NAMED)
        .map(|of| format!("{} {:.3} of {:.3}", items.raw(of.of), of.distance, of.chance))
        .collect();
    let histories: Vec<String> = halves
        .agreement
        .by_history
        .iter()
        .map(|of| format!("{} {:.3} of {:.3}", of.of, of.distance, of.chance))
        .collect();
    vec![
        correlation(halves),
        format!("mean distance of the chances: {:.4}", halves.agreement.distance),
        format!("furthest apart, distance of mean chance: {}", named.join(", ")),
        format!("by clicks before, from: {}", histories.join(", ")),
        format!("Kendall's τ of the values of policies: {}", number(halves.order())),
        format!("regret of the best policy of one in the other: {:.3}", halves.regret()),
        format!(
            "greed of one in the other, over the best that knows neither: {:.3}",
            halves.greed()
        ),
        format!("greed's places that the log never shows: {:.1}%", 100.0 * halves.unseen()),
    ]
}

fn other(other: &Other) -> Vec<String> {
    let mut lines = Vec::new();
    if other.source != Source::Log {
        lines.push(format!(
            "missing: a log of another policy, which --against names; in its place {} is used, \
             which is of the same policy and which the users did not learn from",
            other.source.name()
        ));
    }
    match &other.replay {
        Ok(replay) => lines.extend(replayed(replay)),
        Err(why) => lines.push(format!("left out: {why}")),
    }
    match &other.items {
        Ok(rates) => lines.push(items("click rates", rates)),
        Err(why) => lines.push(format!("click rates of items left out: {why}")),
    }
    lines.extend(other.rewards.as_ref().map(|rates| items("rewards per showing", rates)));
    lines
}

fn items(what: &str, rates: &ItemRates) -> String {
    let ItemRates { items, correlation, ceiling, distance } = rates;
    let shown = correlation.map_or("none".into(), |correlation| correlation.to_string());
    format!(
        "{what} of {items} items that are shown 20 times: rank correlation {shown}, of two halves \
         of the log {}; mean distance {}",
        number(*ceiling),
        number(*distance)
    )
}

fn conditions(conditions: &[Condition]) -> Table {
    let mut table = table(["for", "asked", "found", "limit", "holds"]);
    for condition in conditions {
        let limit = if condition.least { "at least" } else { "at most" };
        table.add_row([
            condition.verdict.to_string(),
            condition.what.to_owned(),
            number(condition.found),
            format!("{limit} {}", condition.limit),
            if condition.holds() { "yes" } else { "no" }.to_owned(),
        ]);
    }
    table
}

fn object(case: &Case, report: &Report) -> Json {
    let items = &case.dataset.catalogue;
    let left_out = [
        ("predicted_clicks", report.comparison.as_ref().err()),
        ("calibration", report.chances.as_ref().err()),
        ("replay", report.replay.as_ref().err()),
        ("replay_of_all_sessions", report.all.as_ref().err()),
        ("told_apart", report.told_apart.as_ref().err()),
        ("halves", report.halves.as_ref().err()),
        ("other_form", report.forms.as_ref().err()),
        ("policies", report.values.as_ref().err()),
        ("other_log", report.other.replay.as_ref().err()),
    ];
    let left_out: serde_json::Map<String, Json> = left_out
        .into_iter()
        .filter_map(|(part, why)| Some((part.to_owned(), why?.clone().into())))
        .collect();
    let comparison = report.comparison.as_ref().ok().map(|comparison| {
        json!({
            "users": fitted::figures(&comparison.users),
            "simpler_models": fitted::others(comparison),
        })
    });
    let chances = report.chances.as_ref().ok().map(|chances| {
        json!({
            "error": chances.all.error,
            "by_tenth": chances.all.groups,
            "by_place": groups(&chances.by_place),
            "by_clicks_before": groups(&chances.by_history),
        })
    });
    let told = report.told_apart.as_ref().ok().map(
        |[told, null]| json!({ "auc": estimate(told), "two_halves_of_the_real": estimate(null) }),
    );
    let halves = report.halves.as_ref().ok().map(|halves| {
        let agreement = &halves.agreement;
        let by_item: Vec<Json> = agreement
            .by_item
            .iter()
            .map(|of| {
                json!({
                    "item": items.raw(of.of),
                    "shown": of.shown,
                    "chance": of.chance,
                    "distance": of.distance,
                })
            })
            .collect();
        json!({
            "correlation": agreement.correlation.as_ref().map(estimate),
            "distance": agreement.distance,
            "by_item": by_item,
            "by_clicks_before": agreement.by_history,
            "policies": halves.values.each_ref().map(|of| values(of)),
            "order": halves.order(),
            "regret": halves.regret(),
            "greed": halves.greed(),
            "never_shown": halves.unseen(),
        })
    });
    let other_form = report.forms.as_ref().ok().map(|forms| {
        json!({
            "correlation": forms.agreement.correlation.as_ref().map(estimate),
            "distance": forms.agreement.distance,
            "nll_difference": forms.nll_difference.as_ref().map(estimate),
            "policies": forms.values.each_ref().map(|of| values(of)),
            "order": forms.order_in(OTHER_FORM),
            "regret": forms.regret_in(OTHER_FORM),
            "greed": forms.greed_in(OTHER_FORM),
        })
    });
    json!({
        "sessions": { "learned": case.learned.len(), "held_out": case.held_out.len() },
        "predicted_clicks": comparison,
        "calibration": chances,
        "replay": report.replay.as_ref().ok().map(replay),
        "replay_of_all_sessions": report.all.as_ref().ok().map(replay),
        "told_apart": told,
        "policies": report.values.as_ref().ok().map(|of| values(of)),
        "halves": halves,
        "other_form": other_form,
        "other_log": {
            "source": report.other.source.name(),
            "is_of_another_policy": report.other.source == Source::Log,
            "replay": report.other.replay.as_ref().ok().map(replay),
            "items": report.other.items.as_ref().ok().map(item_rates),
            "rewards_of_items": report.other.rewards.as_ref().map(item_rates),
        },
        "left_out": left_out,
        "evidence": report.evidence,
        "conditions": report.evidence.conditions().iter().map(condition).collect::<Vec<_>>(),
        "verdict": report.evidence.verdict(),
    })
}

fn estimate(of: &Estimate) -> Json {
    let ends = of.interval.ok().map(|interval| [interval.low, interval.high]);
    json!({ "mean": of.mean, "interval": ends })
}

fn item_rates(rates: &ItemRates) -> Json {
    json!({
        "items": rates.items,
        "correlation": rates.correlation.as_ref().map(estimate),
        "two_halves_of_the_log": rates.ceiling,
        "distance": rates.distance,
    })
}

fn groups(groups: &[(usize, Group)]) -> Vec<Json> {
    groups.iter().map(|(from, group)| json!({ "from": from, "group": group })).collect()
}

fn replay(replay: &Replay) -> Json {
    let compared = |of: &Compared| {
        json!({
            "users": of.users,
            "log": of.log,
            "difference": estimate(&of.difference),
        })
    };
    json!({
        "sessions": replay.sessions.len(),
        "click_rate": compared(&replay.click_rate),
        "reward": compared(&replay.reward),
        "length": replay.length.as_ref().map(compared),
    })
}

fn values(values: &[Value]) -> Vec<Json> {
    let of = |value: &Value| {
        json!({
            "policy": value.policy,
            "reward": estimate(&value.reward),
            "click_rate": value.click_rate,
            "never_shown": value.unseen,
        })
    };
    values.iter().map(of).collect()
}

fn condition(condition: &Condition) -> Json {
    let Condition { verdict, what, found, limit, least } = condition;
    json!({
        "for": verdict,
        "asked": what,
        "found": found,
        "limit": limit,
        "limit_is": if *least { "least" } else { "most" },
        "holds": condition.holds(),
    })
}
