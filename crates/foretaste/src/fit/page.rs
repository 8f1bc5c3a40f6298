//! What was learned, for people and for programs.

use std::path::Path;

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{LineStyle, Table};
use foretaste_data::Split;
use serde_json::{Value, json};

use super::compare::{Beside, Better, Comparison, Figures};
use super::settings::Settings;
use crate::answer::Answer;

/// The settings that were tried.
pub struct Grid<'a> {
    pub points: &'a [Settings],
    /// The validation loss of each, where the training did not diverge.
    pub validation: &'a [Option<f64>],
    /// The point that was chosen.
    pub chosen: usize,
}

/// The whole answer.
pub fn answer(to: &Path, grid: &Grid<'_>, split: &Split, comparison: &Comparison) -> Answer {
    let [train, validation, test] = [&split.train, &split.validation, &split.test].map(Vec::len);
    let chosen = &grid.points[grid.chosen];
    let users = &comparison.users;
    let [expected, logged] = comparison.click_rate;
    let mut lines = vec![
        format!(
            "{} of {train} sessions; {validation} others chose among {} settings: {chosen}",
            users.name,
            grid.points.len()
        ),
        format!("{} clicks in {test} test sessions:", users.evaluation.choices),
        table(comparison).to_string(),
        format!("click rate on the slates of the test sessions: {expected:.4}, logged {logged:.4}"),
    ];
    lines.extend(verdicts(comparison));
    lines.push(format!("written to {}", to.display()));
    let tried = |(point, loss): (&Settings, &Option<f64>)| json!({ "settings": point.to_string(), "validation_loss": loss });
    let json = json!({
        "sessions": { "train": train, "validation": validation, "test": test },
        "grid": grid.points.iter().zip(grid.validation).map(tried).collect::<Vec<_>>(),
        "chosen": chosen.to_string(),
        "users": figures(users),
        "simpler_models": others(comparison),
        "predict_better": named(comparison, Better::Simpler),
        "click_rate": { "expected": expected, "logged": logged },
        "to": to.display().to_string(),
    });
    Answer { text: lines.join("\n"), json }
}

/// The simpler models with what they lack of the users, or have beyond them.
pub fn others(comparison: &Comparison) -> Vec<Value> {
    let other = |beside: &Beside| {
        let mut figures = figures(&beside.figures);
        figures["nll_less_the_users"] = beside.difference.mean.into();
        let ends = beside.difference.interval.ok().map(|interval| [interval.low, interval.high]);
        figures["interval"] = json!(ends);
        figures
    };
    comparison.others.iter().map(other).collect()
}

/// The users and the simpler models, a row each.
pub fn table(comparison: &Comparison) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none()));
    table.set_header([
        "model",
        "NLL given a click",
        "minus the users'",
        "precision@1",
        "precision@2",
        "calibration error",
    ]);
    let row = |figures: &Figures, difference: String| {
        let evaluation = &figures.evaluation;
        let number =
            |value: Option<f64>| value.map_or("none".into(), |value| format!("{value:.4}"));
        [
            figures.name.to_owned(),
            number(evaluation.nll_given_choice),
            difference,
            number(evaluation.precision_at_1),
            number(evaluation.precision_at_2),
            format!("{:.4}", figures.calibration.error),
        ]
    };
    table.add_row(row(&comparison.users, String::new()));
    for beside in &comparison.others {
        table.add_row(row(&beside.figures, beside.difference.to_string()));
    }
    table
}

/// Who predicts clicks better, in sentences.
pub fn verdicts(comparison: &Comparison) -> Vec<String> {
    let mut lines = Vec::new();
    let better = named(comparison, Better::Simpler);
    if !better.is_empty() {
        lines.push(format!(
            "a simpler model predicts clicks better than these users: {}",
            better.join(", ")
        ));
    }
    let alike = named(comparison, Better::CannotBeDistinguished);
    if !alike.is_empty() {
        lines.push(format!("cannot be distinguished from these users: {}", alike.join(", ")));
    }
    let worse = named(comparison, Better::Users);
    if !worse.is_empty() {
        lines.push(format!("these users predict clicks better than: {}", worse.join(", ")));
    }
    lines
}

/// The simpler models of which this is so.
pub fn named(comparison: &Comparison, better: Better) -> Vec<&'static str> {
    let of_kind = comparison.others.iter().filter(|beside| beside.better() == better);
    of_kind.map(|beside| beside.figures.name).collect()
}

/// The figures of a model.
pub fn figures(figures: &Figures) -> Value {
    let evaluation = &figures.evaluation;
    json!({
        "name": figures.name,
        "clicks": evaluation.choices,
        "nll": evaluation.nll,
        "nll_given_click": evaluation.nll_given_choice,
        "precision_at_1": evaluation.precision_at_1,
        "precision_at_2": evaluation.precision_at_2,
        "calibration_error": figures.calibration.error,
        "calibration": figures.calibration.groups,
    })
}
