//! The learning curve of every run: a plot for each data set, a panel for each method and setting,
//! a line for each seed.

use plotters::prelude::*;

use super::curves::ITERATION;
use super::style::{Area, Canvas, Drawn, Look, Mark, color, columns, failed, framed, small, tick};
use super::{Plot, slug};
use crate::{Arm, Curves, Design, Point, Result};

const COLUMNS: usize = 4;
const PANEL: (u32, u32) = (240, 190);
/// What figures of validation and of training begin with; they are the first and the second series.
const PARTS: [&str; 2] = ["validation_", "train_"];

type Line = Vec<(f64, f64)>;

/// The lines of a panel.
struct Panel {
    title: String,
    seeds: usize,
    /// Of validation, then of training: a line for each seed.
    parts: [Vec<Line>; 2],
}

/// The learning curves of an experiment's arms that have a validation figure.
///
/// A panel shows what lies between the first validation and the best; a line at its rim has left
/// it.
///
/// # Errors
/// Where a plot cannot be drawn.
pub fn learning_curves(design: &Design, curves: &Curves) -> Result<Vec<Plot>> {
    let plot = |dataset: &str| {
        let arms = design.arms.iter().filter(|arm| arm.dataset == dataset);
        let panels: Vec<Panel> = arms.filter_map(|arm| Panel::of(design, arm, curves)).collect();
        let seeds = panels.iter().map(|panel| panel.seeds).max()?;
        let lines = if seeds == 1 {
            "one seed".to_owned()
        } else {
            format!("a line for each of {seeds} seeds")
        };
        let caption = format!(
            "Learning curves of {} on {dataset}: {}, {lines}; dot: the lowest validation; \
             training is in its own loss.",
            design.experiment, design.curve
        );
        let name = slug(&["learning", &design.experiment, dataset].into_iter());
        Some(Plot::new(name, caption, "", |canvas: &mut Canvas| draw(canvas, &panels)))
    };
    design.datasets.iter().filter_map(|data| plot(&data.name)).collect()
}

impl Panel {
    fn of(design: &Design, arm: &Arm, curves: &Curves) -> Option<Self> {
        let runs = curves.of(&design.experiment, arm);
        let parts =
            PARTS.map(|part| runs.iter().map(|points| line(points, part)).collect::<Vec<_>>());
        let named = [&arm.method, &arm.setting].into_iter().filter(|name| !name.is_empty());
        let title = named.map(String::as_str).collect::<Vec<_>>().join(", ");
        parts[0].iter().any(|line| !line.is_empty()).then_some(Self {
            title,
            seeds: runs.len(),
            parts,
        })
    }
}

/// The points that have a figure whose name starts so.
fn line(points: &[Point], part: &str) -> Line {
    let point = |row: &Point| {
        Some((*row.get(ITERATION)?, *row.iter().find(|(name, _)| name.starts_with(part))?.1))
    };
    points.iter().filter_map(point).filter(|(_, value)| value.is_finite()).collect()
}

fn draw(canvas: &mut Canvas, panels: &[Panel]) -> Drawn {
    let (across, down) = columns(panels.len(), COLUMNS);
    canvas.size = (PANEL.0 * across.max(3) as u32, PANEL.1 * down as u32);
    canvas.legend =
        vec![("validation".to_owned(), Look::Nth(0)), ("training".to_owned(), Look::Nth(1))];
    canvas.mark = Mark::Square;
    let Some(area) = &canvas.area else { return Ok(()) };
    area.split_evenly((down, across))
        .iter()
        .zip(panels)
        .try_for_each(|(area, panel)| draw_panel(area, panel))
}

fn draw_panel(area: &Area, panel: &Panel) -> Drawn {
    let [validation, training] = &panel.parts;
    let last = validation.iter().chain(training).flatten().map(|point| point.0).fold(1.0, f64::max);
    let first = validation
        .iter()
        .filter_map(|line| line.first())
        .map(|point| point.1)
        .fold(f64::NEG_INFINITY, f64::max);
    let lowest: Line = validation.iter().filter_map(lowest).collect();
    let best = lowest.iter().map(|point| point.1).fold(f64::INFINITY, f64::min);
    let height = (first - best).max(0.01);
    let (low, high) = (best - 0.7 * height, first + 0.3 * height);
    let mut chart = framed(area, &panel.title, (34, 44))
        .build_cartesian_2d(0.0..last, low..high)
        .map_err(failed)?;
    let mut mesh = chart.configure_mesh();
    mesh.x_labels(4).y_labels(5).x_desc(ITERATION).x_label_formatter(&|at| format!("{at:.0}"));
    let tick = |value: &f64| tick(*value, high - low);
    mesh.y_label_formatter(&tick);
    mesh.light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.1))
        .label_style(small(BLACK))
        .draw()
        .map_err(failed)?;
    for (series, lines) in panel.parts.iter().enumerate().rev() {
        for line in lines {
            let inside = line.iter().map(|&(x, y)| (x, y.clamp(low, high)));
            chart
                .draw_series(LineSeries::new(inside, color(Look::Nth(series)).mix(0.7)))
                .map_err(failed)?;
        }
    }
    chart
        .draw_series(lowest.into_iter().map(|point| Circle::new(point, 2, BLACK.filled())))
        .map_err(failed)?;
    Ok(())
}

fn lowest(line: &Line) -> Option<(f64, f64)> {
    line.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1))
}
