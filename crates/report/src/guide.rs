//! What to look at in a table, in words.

use foretaste_eval::{Direction, Metric};

use crate::plan::{Panel, Plan};
use crate::{Design, Result, Results, View};

/// Most columns whose best rows are named.
const NAMED: usize = 4;

/// How to read a table whose rows compare.
const COMPARE: &str = "Rows whose intervals do not overlap differ. Where they overlap, a claim may \
    still be decided, because its test pairs the figures by seed.";

/// What is better in the table of a view, which row is best in each column, and when rows differ.
///
/// # Errors
/// Where a figure has no mean.
pub fn of_view(view: &View, plan: &Plan, design: &Design, results: &Results) -> Result<String> {
    let several = plan.panels.iter().any(|panel| panel.groups.len() > 1);
    if !several {
        return Ok(String::new());
    }
    let mut sentences: Vec<String> = direction(plan).map(str::to_owned).into_iter().collect();
    let mut best = Vec::new();
    for panel in &plan.panels {
        for (at, series) in plan.series.iter().enumerate() {
            best.extend(best_of(panel, at, series, design, results)?);
        }
    }
    if best.len() <= NAMED {
        let column = |(name, row): (String, String)| match name.as_str() {
            "" => format!("The best mean is that of {row}."),
            name => format!("The best mean of {name} is that of {row}."),
        };
        sentences.extend(best.into_iter().map(column));
    } else {
        sentences.push(format!("Compare the rows of a column: each is a {}.", view.over));
    }
    sentences.push(COMPARE.to_owned());
    Ok(sentences.join(" "))
}

/// What is better, if it is the same in all columns.
fn direction(plan: &Plan) -> Option<&'static str> {
    let members =
        plan.panels.iter().flat_map(|panel| &panel.groups).flat_map(|group| &group.members);
    let mut directions = members.map(|(_, metric)| metric.better());
    let first = directions.next()?;
    directions.all(|direction| direction == first).then_some(())?;
    better(first)
}

fn better(direction: Direction) -> Option<&'static str> {
    match direction {
        Direction::Larger => Some("More is better."),
        Direction::Smaller => Some("Less is better."),
        Direction::Neither | Direction::Unknown => None,
    }
}

/// The name of a column and that of its best row, if it has several rows of one metric that says
/// what is better.
fn best_of(
    panel: &Panel,
    series: usize,
    name: &str,
    design: &Design,
    results: &Results,
) -> Result<Option<(String, String)>> {
    let mut rows = Vec::new();
    for group in &panel.groups {
        let Some((arm, metric)) = group.members.get(series) else { continue };
        if let Some(figure) = results.estimate(&design.experiment, arm, *metric)? {
            rows.push((group.name.as_str(), *metric, figure.mean));
        }
    }
    let Some(&(_, first, _)) = rows.first() else { return Ok(None) };
    let sign = match first.better() {
        Direction::Larger => 1.0,
        Direction::Smaller => -1.0,
        Direction::Neither | Direction::Unknown => return Ok(None),
    };
    if rows.len() < 2 || rows.iter().any(|(_, metric, _)| *metric != first) {
        return Ok(None);
    }
    let best = rows.iter().max_by(|a, b| (sign * a.2).total_cmp(&(sign * b.2)));
    let names = [panel.title.as_str(), name];
    let names: Vec<_> = names.into_iter().filter(|name| !name.is_empty()).collect();
    Ok(best.map(|(row, ..)| (names.join(", "), (*row).to_owned())))
}

/// What a metric is, for readers of a page.
pub fn metric(metric: Metric) -> String {
    let better = better(metric.better()).map_or(String::new(), |better| format!(" {better}"));
    format!("{} Unit: {}.{better}", without_links(metric.description()), metric.unit())
}

/// A text of the docs of our code without its marks: ``[`a`](b) c`` is `a c`.
fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("](") {
        let (before, name) = before.rsplit_once('[').unwrap_or((before, ""));
        plain += before;
        plain += name;
        rest = after.split_once(')').map_or("", |(_, rest)| rest);
    }
    (plain + rest).replace('`', "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Arm, By, Key};

    /// The guide of a table with a row for each of two methods.
    fn guide(metric_of_view: Metric, datasets: &[&str]) -> String {
        let arm = |dataset: &str, method: &str| Arm {
            dataset: dataset.into(),
            method: method.into(),
            setting: String::new(),
        };
        let mut results = Results::default();
        let mut arms = Vec::new();
        for dataset in datasets {
            for (method, value) in [("a", 1.0), ("b", 2.0)] {
                let arm = arm(dataset, method);
                arms.push(arm.clone());
                let key = Key { experiment: "e".into(), arm, seed: 0 };
                results.insert(key, [(metric_of_view, value)].into());
            }
        }
        let design = Design { experiment: "e".into(), arms, ..Design::default() };
        let view = View {
            over: "method",
            metrics: vec![(metric_of_view, "x")],
            panels: Some(By::Dataset),
            groups: Some(By::Method),
            ..View::default()
        };
        of_view(&view, &Plan::of(&view, &design)[0], &design, &results).unwrap()
    }

    #[test]
    fn the_best_row_is_the_one_with_more_or_less_as_the_metric_has_it() {
        let more = guide(Metric::Reward, &["d"]);
        assert!(more.starts_with("More is better. The best mean of d is that of b. "), "{more}");
        let less = guide(Metric::Nll, &["d"]);
        assert!(less.starts_with("Less is better. The best mean of d is that of a. "), "{less}");
        let neither = guide(Metric::Level, &["d"]);
        assert!(!neither.contains("better") && !neither.contains("best"), "{neither}");
    }

    #[test]
    fn a_wide_table_names_no_best_rows() {
        let wide = guide(Metric::Reward, &["c", "d", "e", "f", "g"]);
        assert!(wide.contains("Compare the rows of a column: each is a method."), "{wide}");
    }

    #[test]
    fn metrics_are_explained_without_the_marks_of_our_code() {
        for &known in Metric::ALL {
            let text = metric(known);
            assert!(!text.contains(['`', '[', ']']) && !text.contains("::"), "{text}");
        }
        assert!(metric(Metric::PrecisionAt1).starts_with("precision_at 1 over slates with"));
    }
}
