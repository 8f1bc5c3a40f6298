//! Figures of named things: bars and dots with their intervals.

use foretaste_eval::interval::Estimate;
use foretaste_eval::text::significant;
use plotters::coord::types::RangedCoordf64;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::style::{
    Area, Canvas, Drawn, Element, Look, Mark, anchored, color, columns, failed, framed, marker,
    range, small, tick, width,
};
use crate::plan::Figures;
use crate::{By, Kind, View};

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Width of all panels side by side, and heights of a panel of bars and of a line of dots.
const WIDTH: u32 = 960;
const BARS: u32 = 240;
const ROW: u32 = 20;
/// Height of a panel's title and axis.
const AROUND: u32 = 64;
/// Share of a group's room that its bars take.
const FILLED: f64 = 0.8;
/// Widest names of groups on one line below bars.
const LEVEL: u32 = 4;

/// In words: the highest and the lowest figure of every panel.
pub fn in_words(series: &[String], panels: &[Figures]) -> String {
    let of_panel = |panel: &Figures| {
        let named = panel.groups.iter().flat_map(|(group, figures)| {
            figures.iter().zip(series).filter_map(move |(figure, series)| {
                let names = [group.as_str(), series.as_str()];
                let names: Vec<_> = names.into_iter().filter(|name| !name.is_empty()).collect();
                Some((names.join(", "), (*figure)?.mean))
            })
        });
        let named: Vec<(String, f64)> = named.collect();
        let (lowest, highest) = (
            named.iter().min_by(|a, b| a.1.total_cmp(&b.1))?,
            named.iter().max_by(|a, b| a.1.total_cmp(&b.1))?,
        );
        let title = if panel.title.is_empty() { "" } else { &format!("{}: ", panel.title) };
        let figure = |(name, mean): &(String, f64)| format!("{name}, {}", significant(*mean, 3));
        Some(if named.len() == 1 {
            format!(" {title}{}.", figure(highest))
        } else {
            format!(" {title}the highest is {}; the lowest is {}.", figure(highest), figure(lowest))
        })
    };
    panels.iter().filter_map(of_panel).collect()
}

/// Draws the panels of a view with their groups of figures, one for each series.
pub fn draw(
    canvas: &mut Canvas,
    view: &View,
    legend: &[(String, Look)],
    panels: &[Figures],
) -> Drawn {
    let upright = view.kind == Kind::Bars;
    let rows_of = |panel: &Figures| panel.groups.len() as u32 * ROW + AROUND;
    let height = if upright { BARS } else { panels.iter().map(rows_of).max().unwrap_or(ROW) };
    let (across, down) = columns(panels.len(), 3);
    let wide = if across == 1 { WIDTH * 2 / 3 } else { WIDTH };
    canvas.size = (wide, height * down as u32);
    canvas.legend = legend.to_vec();
    canvas.mark = if upright { Mark::Square } else { Mark::Marker };
    let Some(area) = &canvas.area else { return Ok(()) };
    // Panels of one metric on one data set compare; others have a scale of their own.
    let alone = matches!(view.panels, Some(By::Metric | By::Dataset));
    let whole = extent(panels.iter(), upright);
    for (area, panel) in area.split_evenly((down, across)).iter().zip(panels) {
        let scale = if alone { extent(std::iter::once(panel), upright) } else { whole };
        let looks: Vec<Look> = legend.iter().map(|(_, look)| *look).collect();
        if upright {
            bars(area, view, panel, &looks, scale)?;
        } else {
            dots(area, view.axis, panel, &looks, scale)?;
        }
    }
    Ok(())
}

/// What holds all figures with their intervals.
fn extent<'a>(panels: impl Iterator<Item = &'a Figures>, from_zero: bool) -> (f64, f64) {
    let of_panel = |panel: &'a Figures| {
        let groups = panel.groups.iter().flat_map(|(_, figures)| figures.iter().flatten());
        groups.chain(panel.references.iter().map(|(_, figure)| figure))
    };
    range(panels.flat_map(of_panel).flat_map(ends), from_zero)
}

fn ends(figure: &Estimate) -> [f64; 2] {
    figure.interval.map_or([figure.mean; 2], |interval| [interval.low, interval.high])
}

fn bars(
    area: &Area,
    view: &View,
    panel: &Figures,
    looks: &[Look],
    (low, high): (f64, f64),
) -> Drawn {
    let count = panel.groups.len();
    let mut chart = framed(area, &panel.title, (44, 52))
        .build_cartesian_2d(0.0..count as f64, low..high)
        .map_err(failed)?;
    let mut mesh = chart.configure_mesh();
    let tick = |value: &f64| tick(*value, high - low);
    mesh.disable_x_mesh()
        .x_labels(0)
        .y_labels(6)
        .x_desc(view.over)
        .y_desc(view.axis)
        .y_label_formatter(&tick);
    mesh.light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.1))
        .label_style(small(BLACK))
        .draw()
        .map_err(failed)?;
    let room = area.dim_in_pixel().0.saturating_sub(80) / count.max(1) as u32;
    let crowded = panel.groups.iter().any(|(name, _)| width(name) + LEVEL > room);
    for (at, (name, figures)) in panel.groups.iter().enumerate() {
        let place = |series: f64| at as f64 + 0.5 + (series / figures.len() as f64 - 0.5) * FILLED;
        for (series, figure) in
            figures.iter().enumerate().filter_map(|(series, figure)| Some((series, (*figure)?)))
        {
            let (left, right) = (place(series as f64), place(series as f64 + 1.0));
            let filled = color(looks[series]).filled();
            let bar = Rectangle::new([(left, 0.0), (right, figure.mean)], filled);
            one(&mut chart, bar.into_dyn())?;
            let middle = f64::midpoint(left, right);
            let [from, to] = ends(&figure);
            one(
                &mut chart,
                PathElement::new([(middle, from), (middle, to)], BLACK.stroke_width(1)).into_dyn(),
            )?;
        }
        // Names that would run into each other stand on two lines in turn.
        let step = if crowded && at % 2 == 1 { 18 } else { 4 };
        let style = anchored(HPos::Center, VPos::Top);
        label(&mut chart, (at as f64 + 0.5, low), name, (0, step), style)?;
    }
    for (at, (name, figure)) in panel.references.iter().enumerate() {
        let ends = vec![(0.0, figure.mean), (count as f64, figure.mean)];
        let dashes = DashedPathElement::new(ends, 2 + 3 * at as i32, 3, BLACK.mix(0.6));
        one(&mut chart, dashes.into_dyn())?;
        label(
            &mut chart,
            (count as f64, figure.mean),
            name,
            (-2, -2),
            anchored(HPos::Right, VPos::Bottom),
        )?;
    }
    Ok(())
}

fn dots(
    area: &Area,
    axis: &str,
    panel: &Figures,
    looks: &[Look],
    (low, high): (f64, f64),
) -> Drawn {
    let count = panel.groups.len();
    let names = panel.groups.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
    let mut chart = framed(area, &panel.title, (38, names + 8))
        .build_cartesian_2d(low..high, 0.0..count as f64)
        .map_err(failed)?;
    let mut mesh = chart.configure_mesh();
    let tick = |value: &f64| tick(*value, high - low);
    mesh.disable_y_mesh().y_labels(0).x_labels(5).x_desc(axis).x_label_formatter(&tick);
    mesh.light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.1))
        .label_style(small(BLACK))
        .draw()
        .map_err(failed)?;
    for (at, (name, figures)) in panel.groups.iter().enumerate() {
        let top = (count - at) as f64;
        label(&mut chart, (low, top - 0.5), name, (-6, 0), anchored(HPos::Right, VPos::Center))?;
        for (series, figure) in
            figures.iter().enumerate().filter_map(|(series, figure)| Some((series, (*figure)?)))
        {
            let height = top - (series as f64 + 1.0) / (figures.len() as f64 + 1.0);
            let [from, to] = ends(&figure);
            let style = color(looks[series]).stroke_width(2);
            let whisker = PathElement::new([(from, height), (to, height)], style);
            one(&mut chart, whisker.into_dyn())?;
            one(&mut chart, marker(looks[series], (figure.mean, height)))?;
        }
    }
    Ok(())
}

fn label(
    chart: &mut Chart,
    at: (f64, f64),
    text: &str,
    offset: (i32, i32),
    style: TextStyle<'static>,
) -> Drawn {
    chart
        .plotting_area()
        .draw(&(EmptyElement::at(at) + Text::new(text.to_owned(), offset, style)))
        .map_err(failed)
}

fn one<'b>(chart: &mut Chart<'_, 'b>, element: Element<'b, (f64, f64)>) -> Drawn {
    chart.plotting_area().draw(&element).map_err(failed)
}
