//! Means over seeds along the iterations of a run, with bands.

use std::collections::BTreeMap;

use foretaste_eval::interval;
use foretaste_eval::text::significant;
use plotters::prelude::*;

use super::style::{
    Area, Canvas, Drawn, Look, Mark, color, columns, failed, framed, line, range, small, tick,
};
use crate::plan::Plan;
use crate::{Curves, Design, Error, Result, View};

/// What the points of a curve are numbered by.
pub const ITERATION: &str = "iteration";

const WIDTH: u32 = 960;
const PANEL: u32 = 270;

/// A panel: a line for every series that has one.
pub struct Panel {
    title: String,
    /// By series.
    pub lines: Vec<Option<Line>>,
}

/// A mean over seeds.
pub struct Line {
    /// Iteration, mean, lower and upper end of the interval.
    points: Vec<(f64, f64, f64, f64)>,
    /// The most seeds that a point has.
    pub seeds: usize,
}

/// The series and panels of a plan of curves; those without lines are left out.
///
/// # Errors
/// Where a point has no mean.
pub fn panels(plan: &Plan, design: &Design, curves: &Curves) -> Result<(Vec<String>, Vec<Panel>)> {
    let mut panels = Vec::new();
    for panel in &plan.panels {
        let mut lines = Vec::new();
        for (arm, metric) in panel.groups.iter().flat_map(|group| &group.members) {
            let mut points: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
            for point in curves.of(&design.experiment, arm).into_iter().flatten() {
                if let (Some(&at), Some(&value)) = (point.get(ITERATION), point.get(metric.name()))
                {
                    points.entry(at as u64).or_default().push(value);
                }
            }
            lines.push(mean(&points, || {
                format!("curve of {} {} {}", design.experiment, arm.dataset, arm.method)
            })?);
        }
        if lines.iter().any(Option::is_some) {
            panels.push(Panel { title: panel.title.clone(), lines });
        }
    }
    let some = |series: &usize| panels.iter().any(|panel: &Panel| panel.lines[*series].is_some());
    let there: Vec<usize> = (0..plan.series.len()).filter(some).collect();
    for panel in &mut panels {
        panel.lines = there.iter().map(|&series| panel.lines[series].take()).collect();
    }
    Ok((there.iter().map(|&series| plan.series[series].clone()).collect(), panels))
}

fn mean(points: &BTreeMap<u64, Vec<f64>>, what: impl Fn() -> String) -> Result<Option<Line>> {
    let mut line = Line { points: Vec::new(), seeds: 0 };
    for (&at, values) in points {
        let found =
            interval::student_t(values).map_err(|source| Error::Figure { what: what(), source })?;
        let (low, high) =
            found.interval.map_or((found.mean, found.mean), |ends| (ends.low, ends.high));
        line.points.push((at as f64, found.mean, low, high));
        line.seeds = line.seeds.max(values.len());
    }
    Ok((!line.points.is_empty()).then_some(line))
}

/// In words: the last mean of every line.
pub fn in_words(series: &[String], panels: &[Panel]) -> String {
    let of_panel = |panel: &Panel| {
        let last = panel.lines.iter().zip(series).filter_map(|(line, name)| {
            let (_, mean, ..) = line.as_ref()?.points.last()?;
            Some(format!("{name} {}", significant(*mean, 3)))
        });
        let last: Vec<_> = last.map(|text| text.trim().to_owned()).collect();
        let title = if panel.title.is_empty() { "" } else { &format!("{}, ", panel.title) };
        format!(" At the end of {title}{}.", last.join(", "))
    };
    panels.iter().map(of_panel).collect()
}

/// Draws the panels, on one scale.
pub fn draw(
    canvas: &mut Canvas,
    view: &View,
    legend: &[(String, Look)],
    panels: &[Panel],
) -> Drawn {
    let (across, down) = columns(panels.len(), 2);
    let wide = if across == 1 { WIDTH * 2 / 3 } else { WIDTH };
    canvas.size = (wide, PANEL * down as u32);
    canvas.legend = legend.to_vec();
    canvas.mark = Mark::Line;
    let Some(area) = &canvas.area else { return Ok(()) };
    let points =
        || panels.iter().flat_map(|panel| &panel.lines).flatten().flat_map(|line| &line.points);
    let heights = range(points().flat_map(|&(_, mean, low, high)| [mean, low, high]), false);
    let looks: Vec<Look> = legend.iter().map(|(_, look)| *look).collect();
    for (area, panel) in area.split_evenly((down, across)).iter().zip(panels) {
        draw_panel(area, view, panel, &looks, heights)?;
    }
    Ok(())
}

fn draw_panel(
    area: &Area,
    view: &View,
    panel: &Panel,
    looks: &[Look],
    (low, high): (f64, f64),
) -> Drawn {
    let last = panel
        .lines
        .iter()
        .flatten()
        .flat_map(|line| &line.points)
        .map(|point| point.0)
        .fold(1.0, f64::max);
    let mut chart = framed(area, &panel.title, (38, 56))
        .build_cartesian_2d(0.0..last, low..high)
        .map_err(failed)?;
    let mut mesh = chart.configure_mesh();
    mesh.x_labels(6)
        .y_labels(6)
        .x_desc(view.over)
        .y_desc(view.axis)
        .x_label_formatter(&|at| format!("{at:.0}"));
    let tick = |value: &f64| tick(*value, high - low);
    mesh.y_label_formatter(&tick);
    mesh.light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.1))
        .label_style(small(BLACK))
        .draw()
        .map_err(failed)?;
    let lines =
        || panel.lines.iter().zip(looks).filter_map(|(line, look)| Some((*look, line.as_ref()?)));
    for (look, Line { points, .. }) in lines() {
        let there = points.iter().map(|&(at, _, low, _)| (at, low));
        let back = points.iter().rev().map(|&(at, _, _, high)| (at, high));
        let band =
            Polygon::new(there.chain(back).collect::<Vec<_>>(), color(look).mix(0.15).filled());
        chart.draw_series(std::iter::once(band)).map_err(failed)?;
    }
    for (look, Line { points, .. }) in lines() {
        let means = points.iter().map(|&(at, mean, ..)| (at, mean)).collect();
        chart.draw_series(std::iter::once(line(look, means))).map_err(failed)?;
    }
    Ok(())
}
