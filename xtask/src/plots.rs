//! Learning curves as SVG: a file per experiment and data set, a panel per method and setting.

use std::collections::BTreeMap;

use anyhow::{Context, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::experiment::Experiment;
use crate::store::Finished;

const COLUMNS: usize = 4;
const PANEL: (u32, u32) = (300, 220);
const HEAD: u32 = 44;
/// Okabe and Ito's blue, orange and green, which the colour-blind tell apart.
const VALIDATION: RGBColor = RGBColor(0, 114, 178);
const TRAINING: RGBColor = RGBColor(230, 159, 0);
const CLICKS: RGBColor = RGBColor(0, 158, 115);
/// Figures that are drawn whole: the start of the name, what the legend says, and the colour.
const WHOLE: [(&str, &str, RGBColor); 3] = [
    ("click_rate", "click rate", CLICKS),
    ("coverage_1", "coverage@1", VALIDATION),
    ("coverage_10", "coverage@10", TRAINING),
];

/// What figures of validation begin with.
const VALIDATED: &str = "validation_";

/// A plot and the name of its file.
pub struct Plot {
    /// Name of the file, `.svg`.
    pub file: String,
    /// The SVG.
    pub svg: String,
}

type Panel<'a> = (String, Vec<&'a Finished>);

/// The learning curves of an experiment's finished cells; those without are left out.
///
/// Figures named `train_*` and `validation_*` are drawn over `iteration`, a thin line per seed, with a dot at the lowest
/// validation; a line at the rim of its panel has left it. Click rates and coverages are drawn whole, on one scale.
pub fn learning_curves(experiment: &dyn Experiment, finished: &[Finished]) -> anyhow::Result<Vec<Plot>> {
    let mut by_dataset: BTreeMap<&str, Vec<Panel>> = BTreeMap::new();
    for done in finished.iter().filter(|done| {
        done.cell.experiment == experiment.name()
            && WHOLE.map(|(name, ..)| name).iter().chain([&VALIDATED]).any(|prefix| !line(done, prefix).is_empty())
    }) {
        let title = format!("{}, {}", done.cell.method, done.cell.setting);
        let panels = by_dataset.entry(&done.cell.dataset).or_default();
        match panels.iter_mut().find(|(name, _)| *name == title) {
            Some((_, cells)) => cells.push(done),
            None => panels.push((title, vec![done])),
        }
    }
    let plot = |(dataset, panels): (&str, Vec<Panel>)| {
        let seeds = panels.iter().map(|(_, cells)| cells.len()).max().unwrap_or(0);
        let title = format!(
            "{} on {dataset}: {} by iteration, a line for each of {seeds} seeds",
            experiment.name(),
            experiment.curve_label()
        );
        let svg = draw(&title, &panels).with_context(|| format!("cannot plot {dataset}"))?;
        Ok(Plot { file: format!("{}-{dataset}.svg", experiment.name()), svg })
    };
    by_dataset.into_iter().map(plot).collect()
}

fn draw(title: &str, panels: &[Panel]) -> anyhow::Result<String> {
    let columns = panels.len().min(COLUMNS);
    let rows = panels.len().div_ceil(columns);
    let size = (PANEL.0 * columns.max(2) as u32, PANEL.1 * rows as u32 + HEAD);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&WHITE).map_err(failed)?;
        let (head, body) = root.split_vertically(HEAD);
        head.draw(&Text::new(title.to_owned(), (8, 4), ("sans-serif", 14))).map_err(failed)?;
        let shares = |name| panels.iter().flat_map(move |(_, cells)| cells.iter().map(move |done| line(done, name)));
        let there: Vec<_> = WHOLE.into_iter().filter(|(name, ..)| shares(name).any(|line| !line.is_empty())).collect();
        let rates = extent(&there.iter().flat_map(|(name, ..)| shares(name)).collect::<Vec<_>>());
        let losses = [
            ("validation", VALIDATION),
            ("training, in its own loss", TRAINING),
            ("dot: the lowest validation", BLACK),
        ];
        let legend = match rates {
            Some(_) => there.iter().map(|(_, label, colour)| (*label, *colour)).collect(),
            None => losses.to_vec(),
        };
        for (at, (name, colour)) in legend.into_iter().enumerate() {
            head.draw(&Text::new(name, (8 + 180 * at as i32, 24), ("sans-serif", 12).into_font().color(&colour)))
                .map_err(failed)?;
        }
        for (area, (title, cells)) in body.split_evenly((rows, columns)).iter().zip(panels) {
            panel(area, title, cells, rates)?;
        }
        root.present().map_err(failed)?;
    }
    Ok(svg)
}

/// What is drawn whole lies between `rates`, so that panels compare.
fn panel(
    area: &DrawingArea<SVGBackend, Shift>,
    title: &str,
    cells: &[&Finished],
    rates: Option<(f64, f64)>,
) -> anyhow::Result<()> {
    let lines = |prefix: &str| -> Vec<Vec<(f64, f64)>> { cells.iter().map(|done| line(done, prefix)).collect() };
    let (training, validation) = (lines("train_"), lines(VALIDATED));
    let whole = WHOLE.map(|(name, _, colour)| (lines(name), colour));
    let all = || training.iter().chain(&validation).chain(whole.iter().flat_map(|(lines, _)| lines)).flatten();
    let last = all().map(|point| point.0).fold(1.0, f64::max);
    // The panel shows what lies between the first validation and the best. What overfits leaves it.
    let first =
        validation.iter().filter_map(|line| line.first()).map(|point| point.1).fold(f64::NEG_INFINITY, f64::max);
    let lowest: Vec<(f64, f64)> = validation.iter().filter_map(|line| lowest(line)).collect();
    let best = lowest.iter().map(|point| point.1).fold(f64::INFINITY, f64::min);
    let height = (first - best).max(0.01);
    let (low, high) = rates.unwrap_or((best - 0.7 * height, first + 0.3 * height));
    let mut chart = ChartBuilder::on(area)
        .margin(6)
        .caption(title, ("sans-serif", 12))
        .x_label_area_size(22)
        .y_label_area_size(38)
        .build_cartesian_2d(0.0..last, low..high)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.1))
        .x_labels(4)
        .y_labels(5)
        .x_label_formatter(&|iteration| format!("{iteration:.0}"))
        .label_style(("sans-serif", 10))
        .draw()
        .map_err(failed)?;
    for (lines, colour) in [(training, TRAINING), (validation, VALIDATION)].into_iter().chain(whole) {
        for line in lines {
            let inside = line.into_iter().map(|(x, y)| (x, y.clamp(low, high)));
            chart.draw_series(LineSeries::new(inside, colour.mix(0.7))).map_err(failed)?;
        }
    }
    chart.draw_series(lowest.into_iter().map(|point| Circle::new(point, 2, BLACK.filled()))).map_err(failed)?;
    Ok(())
}

/// The points of the curve that have a figure whose name starts so.
fn line(done: &Finished, prefix: &str) -> Vec<(f64, f64)> {
    let point = |row: &BTreeMap<String, f64>| {
        Some((*row.get("iteration")?, *row.iter().find(|(name, _)| name.starts_with(prefix))?.1))
    };
    done.outcome.curve.iter().filter_map(point).collect()
}

/// The lowest and the highest figure, a little apart, if there are any.
fn extent(lines: &[Vec<(f64, f64)>]) -> Option<(f64, f64)> {
    let figures = || lines.iter().flatten().map(|point| point.1);
    let (low, high) = (figures().reduce(f64::min)?, figures().reduce(f64::max)?);
    Some((low, high.max(low + 0.01)))
}

fn lowest(line: &[(f64, f64)]) -> Option<(f64, f64)> {
    line.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1))
}

fn failed<E: std::error::Error>(error: E) -> anyhow::Error {
    anyhow!("{error}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::claims::Claim;
    use crate::experiment::{Cell, Outcome, Watch};

    struct Toy;

    impl Experiment for Toy {
        fn name(&self) -> &'static str {
            "toy"
        }

        fn cells(&self) -> &[Cell] {
            &[]
        }

        fn run(&self, _: &Cell, _: &Watch) -> anyhow::Result<Outcome> {
            unreachable!()
        }

        fn columns(&self) -> &'static [&'static str] {
            &[]
        }

        fn curve_label(&self) -> &'static str {
            "loss"
        }

        fn claims(&self) -> Vec<Claim> {
            Vec::new()
        }

        fn notes(&self) -> Vec<String> {
            Vec::new()
        }
    }

    fn finished(experiment: &str, dataset: &str, method: &str, seed: u64, points: u64) -> Finished {
        let cell = Cell {
            experiment: experiment.into(),
            dataset: dataset.into(),
            method: method.into(),
            setting: "s".into(),
            seed,
            config: json!({}),
        };
        let row = |at: u64| {
            let loss = 1.0 / (1.0 + at as f64);
            [("iteration", at as f64), ("train_x", loss), ("validation_x", loss + 0.1)]
                .map(|(name, value)| (name.to_owned(), value))
                .into()
        };
        let curve = (0..points).map(row).collect();
        Finished { cell, outcome: Outcome { metrics: BTreeMap::new(), curve }, seconds: 1.0, revision: "abc".into() }
    }

    #[test]
    fn click_rates_are_drawn_whole() {
        let mut done = finished("toy", "d", "m", 0, 0);
        let row = |at: u32| [("iteration", f64::from(at)), ("click_rate", 0.1 * f64::from(at))];
        done.outcome.curve = (1..=4).map(|at| row(at).map(|(name, value)| (name.to_owned(), value)).into()).collect();
        let svg = &learning_curves(&Toy, &[done]).unwrap()[0].svg;
        assert!(svg.contains("click rate") && !svg.contains("the lowest validation"), "{svg}");
        assert!(svg.contains("#009E73") && svg.matches("<circle").count() == 0, "{svg}");
    }

    #[test]
    fn every_data_set_with_curves_has_a_plot_with_a_panel_for_each_method() {
        let cells = [
            finished("toy", "b", "m<1", 0, 5),
            finished("toy", "b", "m<1", 1, 5),
            finished("toy", "b", "m2", 0, 1),
            finished("toy", "a", "m2", 0, 3),
            finished("toy", "c", "kNN", 0, 0),
            finished("other", "d", "m2", 0, 3),
        ];
        let plots = learning_curves(&Toy, &cells).unwrap();
        let files: Vec<_> = plots.iter().map(|plot| plot.file.as_str()).collect();
        assert_eq!(files, ["toy-a.svg", "toy-b.svg"]);
        let svg = &plots[1].svg;
        assert!(svg.contains("m&lt;1, s") && svg.contains("m2, s") && svg.contains("each of 2 seeds"), "{svg}");
        // Two seeds of training and validation, and a cell of a single point.
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(svg.matches("<polyline").count() >= 4);
    }
}
