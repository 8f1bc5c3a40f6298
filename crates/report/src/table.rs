//! Tables for people: means over seeds with their intervals.

use std::collections::BTreeMap;

use comfy_table::LineStyle;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use maud::{Markup, html};

use crate::plan::Plan;
use crate::{Arm, Design, Result, Results, View};

/// A table of text.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// What it is about.
    pub title: String,
    /// The names of its columns.
    pub header: Vec<String>,
    /// As many cells as the header has.
    pub rows: Vec<Vec<String>>,
}

/// What is shown for a figure that is missing.
pub(crate) const NOTHING: &str = "–";

impl Table {
    /// The table of an experiment: a row for every arm that has finished runs, in the design's
    /// order, and a column for every metric. `seconds` are the mean times of a run of each arm.
    ///
    /// # Errors
    /// Where a figure has no mean.
    pub fn of(design: &Design, results: &Results, seconds: &BTreeMap<Arm, f64>) -> Result<Self> {
        let experiment = design.experiment.as_str();
        let arms: Vec<&Arm> =
            design.arms.iter().filter(|arm| results.seeds(experiment, arm) > 0).collect();
        let settings = arms.iter().any(|arm| !arm.setting.is_empty());
        let heads =
            ["dataset", "method"].into_iter().chain(settings.then_some("setting")).chain(["seeds"]);
        let heads =
            heads.chain(design.columns.iter().map(|metric| metric.name())).chain(["s per cell"]);
        let mut rows = Vec::new();
        for arm in arms {
            let mut row = vec![arm.dataset.clone(), arm.method.clone()];
            row.extend(settings.then(|| arm.setting.clone()));
            row.push(results.seeds(experiment, arm).to_string());
            for &metric in &design.columns {
                let figure = results.estimate(experiment, arm, metric)?;
                row.push(figure.map_or(NOTHING.into(), |figure| figure.to_string()));
            }
            row.push(seconds.get(arm).map_or(NOTHING.into(), |&seconds| time(seconds)));
            rows.push(row);
        }
        Ok(Self { title: experiment.into(), header: heads.map(str::to_owned).collect(), rows })
    }

    /// A view as a table: groups are rows; panels, and series in them, are columns. `None` where it
    /// has no figures.
    ///
    /// # Errors
    /// Where a figure has no mean.
    pub(crate) fn of_plan(
        view: &View,
        plan: &Plan,
        design: &Design,
        results: &Results,
    ) -> Result<Option<Self>> {
        let panels = plan.figures(design, results)?;
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in panels.iter().flat_map(|panel| &panel.groups) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        if names.is_empty() {
            return Ok(None);
        }
        let heads = panels.iter().flat_map(|panel| {
            plan.series.iter().map(|series| match (panel.title.as_str(), series.as_str()) {
                (title, "") => title.to_owned(),
                ("", series) => series.to_owned(),
                (title, series) => format!("{title}, {series}"),
            })
        });
        let header = [view.over.to_owned()].into_iter().chain(heads).collect();
        let row = |name: &&str| {
            let figures = panels.iter().flat_map(|panel| {
                let group = panel.groups.iter().find(|(group, _)| group == name);
                (0..plan.series.len()).map(move |at| {
                    let figure = group.and_then(|(_, figures)| figures[at]);
                    figure.map_or(NOTHING.into(), |figure| figure.to_string())
                })
            });
            [(*name).to_owned()].into_iter().chain(figures).collect()
        };
        Ok(Some(Self { title: view.title.into(), rows: names.iter().map(row).collect(), header }))
    }

    /// For the terminal.
    pub fn plain(&self) -> String {
        let mut table = self.ruled();
        table.load_style(UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none()));
        format!("{}\n{table}", self.title)
    }

    /// For the terminal, cells broken into lines so that it is no wider than so many columns.
    pub(crate) fn wrapped(&self, width: u16) -> String {
        let mut table = self.ruled();
        table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic).set_width(width);
        format!("{}\n{table}", self.title)
    }

    fn ruled(&self) -> comfy_table::Table {
        let mut table = comfy_table::Table::new();
        table.load_style(UTF8_HORIZONTAL_ONLY);
        table.set_header(&self.header);
        table.add_rows(&self.rows);
        table
    }

    /// The rows as Markdown.
    pub fn markdown(&self) -> String {
        let mut text = format!("{}|{}\n", line(&self.header), "---|".repeat(self.header.len()));
        text.extend(self.rows.iter().map(|row| line(row)));
        text
    }

    pub(crate) fn html(&self) -> Markup {
        html! {
            table {
                thead { tr { @for head in &self.header { th scope="col" { (head) } } } }
                tbody { @for row in &self.rows { tr { @for cell in row { td { (cell) } } } } }
            }
        }
    }
}

/// Seconds, to a tenth.
fn time(seconds: f64) -> String {
    if seconds < 0.05 { "< 0.05".into() } else { format!("{seconds:.1}") }
}

fn line(cells: &[String]) -> String {
    let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}

#[cfg(test)]
mod tests {
    use foretaste_eval::Metric;

    use super::*;
    use crate::{By, Key};

    fn arm(dataset: &str, method: &str) -> Arm {
        Arm { dataset: dataset.into(), method: method.into(), setting: String::new() }
    }

    fn results() -> (Design, Results) {
        let mut results = Results::default();
        for (dataset, method, value) in [("d", "b|1", 0.25), ("d", "a", 1.0), ("e", "a", 3.0)] {
            let key = Key { experiment: "e".into(), arm: arm(dataset, method), seed: 0 };
            results.insert(key, [(Metric::Reward, value)].into());
        }
        let arms = vec![arm("d", "b|1"), arm("d", "a"), arm("e", "b|1"), arm("e", "a")];
        let columns = vec![Metric::Reward, Metric::Ctr];
        (Design { experiment: "e".into(), arms, columns, ..Design::default() }, results)
    }

    #[test]
    fn arms_stand_in_the_order_of_the_design_and_those_without_runs_are_left_out() {
        let (design, results) = results();
        let table =
            Table::of(&design, &results, &[(arm("d", "a"), 1.25), (arm("d", "b|1"), 0.004)].into())
                .unwrap();
        assert_eq!(table.header, ["dataset", "method", "seeds", "reward", "ctr", "s per cell"]);
        assert_eq!(table.rows[0], ["d", "b|1", "1", "0.2500 ± n/a (n = 1)", "–", "< 0.05"]);
        assert_eq!(table.rows[1], ["d", "a", "1", "1.000 ± n/a (n = 1)", "–", "1.2"]);
        assert_eq!(table.rows[2], ["e", "a", "1", "3.000 ± n/a (n = 1)", "–", "–"]);
        assert_eq!(table.rows.len(), 3);
        assert!(table.markdown().contains("| d | b\\|1 | 1 |"));
    }

    #[test]
    fn a_view_can_be_a_table() {
        let (design, results) = results();
        let view = View {
            over: "x",
            metrics: vec![(Metric::Reward, "x")],
            panels: Some(By::Dataset),
            groups: Some(By::Method),
            ..View::default()
        };
        let plans = Plan::of(&view, &design);
        let table = Table::of_plan(&view, &plans[0], &design, &results).unwrap().unwrap();
        assert_eq!(table.header, ["x", "d", "e"]);
        assert_eq!(
            table.rows,
            [
                ["b|1", "0.2500 ± n/a (n = 1)", "–"],
                ["a", "1.000 ± n/a (n = 1)", "3.000 ± n/a (n = 1)"]
            ]
        );
    }
}
