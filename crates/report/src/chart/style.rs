//! What all plots have in common: colors, type, panels, axes.

use std::fmt::Display;

use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// What draws, and why it could not.
pub type Drawn = std::result::Result<(), String>;

/// An area of a plot.
pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Something to draw at coordinates `C`.
pub type Element<'a, C> = DynElement<'static, SVGBackend<'a>, C>;

/// What a plot asks for before it draws: its size and its legend.
#[derive(Default)]
pub struct Canvas<'a> {
    /// Where to draw, below caption and legend; `None` while only the size is asked for.
    pub area: Option<Area<'a>>,
    /// Width and height that the panels want.
    pub size: (u32, u32),
    /// The names of the series, and how each looks.
    pub legend: Vec<(String, Look)>,
    /// How the legend shows them.
    pub mark: Mark,
}

/// Which color, dashes and marker a series has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// The only series of a plot, in a color of its own.
    Alone,
    /// The look of this number.
    Nth(usize),
}

/// How a series is shown.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Mark {
    /// A filled square.
    #[default]
    Square,
    /// A line, with dashes that differ among series.
    Line,
    /// A marker.
    Marker,
}

/// The number of colors.
pub const COLORS: usize = PALETTE.len();

/// Okabe and Ito's colors, which color-blind readers can distinguish, without black and yellow, and
/// a gray.
const PALETTE: [RGBColor; 7] = [
    RGBColor(0x00, 0x72, 0xB2),
    RGBColor(0xD5, 0x5E, 0x00),
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xCC, 0x79, 0xA7),
    RGBColor(0xE6, 0x9F, 0x00),
    RGBColor(0x56, 0xB4, 0xE9),
    RGBColor(0x77, 0x77, 0x77),
];

/// The color of what is not distinguished by color.
const NEUTRAL: RGBColor = RGBColor(0x8A, 0x94, 0xA6);

/// How plots look in the dark: the same colors, lighter where they need it, on the page's ground.
pub const STYLE: &str = "@media (prefers-color-scheme: dark) {\
    svg [fill=\"#FFFFFF\"] { fill: #16181d } svg [fill=\"#000000\"] { fill: #e6e6e6 } svg [stroke=\"#000000\"] { stroke: #e6e6e6 }\
    svg [fill=\"#0072B2\"] { fill: #3d9be0 } svg [stroke=\"#0072B2\"] { stroke: #3d9be0 }\
    svg [fill=\"#D55E00\"] { fill: #f0803c } svg [stroke=\"#D55E00\"] { stroke: #f0803c }\
    svg [fill=\"#009E73\"] { fill: #2bc79a } svg [stroke=\"#009E73\"] { stroke: #2bc79a }\
    svg [fill=\"#777777\"] { fill: #a0a0a0 } svg [stroke=\"#777777\"] { stroke: #a0a0a0 } }";

/// The family of all text: DejaVu Sans where it is installed, as in the PNG.
pub const FONT: &str = "DejaVu Sans, system-ui, sans-serif";
/// Height of small text, and of the text of a caption.
pub const SMALL: i32 = 11;
const CAPTION: i32 = 13;
/// Width of a letter on average, as a share of its height.
const LETTER: f64 = 0.6;
const LINE: u32 = 18;

/// The color of a series.
pub fn color(look: Look) -> RGBColor {
    match look {
        Look::Alone => NEUTRAL,
        Look::Nth(look) => PALETTE[look % COLORS],
    }
}

/// What plotters says.
pub fn failed(error: impl Display) -> String {
    error.to_string()
}

/// The width of small text in pixels.
pub fn width(text: &str) -> u32 {
    (text.chars().count() as f64 * f64::from(SMALL) * LETTER).ceil() as u32
}

/// Small text.
pub fn small(color: RGBColor) -> TextStyle<'static> {
    (FONT, SMALL).into_font().color(&color)
}

/// Small text, anchored otherwise than by its upper left corner.
pub fn anchored(horizontal: HPos, vertical: VPos) -> TextStyle<'static> {
    small(BLACK).pos(Pos::new(horizontal, vertical))
}

/// A plot of what `draw` draws, below the caption, if there is one, and a legend, if there are
/// several series.
pub fn svg(
    caption: Option<&str>,
    draw: &impl Fn(&mut Canvas) -> Drawn,
) -> std::result::Result<String, String> {
    let mut wanted = Canvas::default();
    draw(&mut wanted)?;
    let (width, height) = wanted.size;
    let lines = caption.map_or(Vec::new(), |text| wrapped(text, width - 16));
    let legend = legend_places(&wanted.legend, width);
    let legend_rows = legend.iter().map(|(_, row)| row + 1).max().unwrap_or(0);
    let head = lines.len() as u32 * LINE + legend_rows as u32 * LINE + 6;
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, (width, height + head)).into_drawing_area();
        root.fill(&WHITE).map_err(failed)?;
        let (above, below) = root.split_vertically(head);
        for (at, line) in lines.iter().enumerate() {
            let place = (8, 6 + (at as u32 * LINE) as i32);
            above.draw(&Text::new(line.clone(), place, (FONT, CAPTION))).map_err(failed)?;
        }
        let top = 4 + (lines.len() as u32 * LINE) as i32;
        for ((left, row), (name, look)) in legend.into_iter().zip(&wanted.legend) {
            let corner = (left, top + row * LINE as i32);
            swatch(&above, *look, wanted.mark, corner)?;
            above
                .draw(&Text::new(name.clone(), (corner.0 + 28, corner.1 + 2), small(BLACK)))
                .map_err(failed)?;
        }
        draw(&mut Canvas { area: Some(below), ..wanted })?;
        root.present().map_err(failed)?;
    }
    Ok(text)
}

/// Left edge and row of every name of the legend; none where there is nothing to distinguish.
fn legend_places(series: &[(String, Look)], width_of_plot: u32) -> Vec<(i32, i32)> {
    if series.len() < 2 {
        return Vec::new();
    }
    let (mut left, mut row) = (8, 0);
    let place = |(name, _): &(String, Look)| {
        let wide = width(name) + 44;
        if left > 8 && left + wide > width_of_plot {
            (left, row) = (8, row + 1);
        }
        let place = (left as i32, row);
        left += wide;
        place
    };
    series.iter().map(place).collect()
}

fn swatch(area: &Area, look: Look, mark: Mark, (left, top): (i32, i32)) -> Drawn {
    let middle = top + 7;
    match mark {
        Mark::Square => {
            let square =
                Rectangle::new([(left + 8, top + 2), (left + 20, top + 14)], color(look).filled());
            area.draw(&square).map_err(failed)
        }
        Mark::Line => {
            area.draw(&line(look, vec![(left, middle), (left + 24, middle)])).map_err(failed)
        }
        Mark::Marker => area.draw(&marker(look, (left + 14, middle))).map_err(failed),
    }
}

/// A panel with a title, if it has one, and so much room for the labels below and to the left.
pub fn framed<'a, 'b>(
    area: &'a Area<'b>,
    title: &str,
    (below, beside): (u32, u32),
) -> ChartBuilder<'a, 'a, SVGBackend<'b>> {
    let mut chart = ChartBuilder::on(area);
    chart.margin(8).x_label_area_size(below).y_label_area_size(beside);
    if !title.is_empty() {
        chart.caption(title, small(BLACK));
    }
    chart
}

/// The line of a series.
pub fn line<'a, C: Clone + 'static>(look: Look, points: Vec<C>) -> Element<'a, C> {
    const DASHES: [Option<(i32, i32)>; 4] = [None, Some((8, 4)), Some((3, 3)), Some((12, 3))];
    let style = color(look).stroke_width(2);
    match DASHES[number(look) % DASHES.len()] {
        None => PathElement::new(points, style).into_dyn(),
        Some((on, off)) => DashedPathElement::new(points, on, off, style).into_dyn(),
    }
}

/// The marker of a series.
pub fn marker<'a, C: Clone + 'static>(look: Look, centre: C) -> Element<'a, C> {
    let style = color(look).filled();
    match number(look) % 3 {
        0 => Circle::new(centre, 4, style).into_dyn(),
        1 => TriangleMarker::new(centre, 5, style).into_dyn(),
        _ => Cross::new(centre, 4, color(look).stroke_width(3)).into_dyn(),
    }
}

fn number(look: Look) -> usize {
    if let Look::Nth(look) = look { look } else { 0 }
}

/// A number at an axis of this span: as short as distinguishes it from its neighbors.
pub fn tick(value: f64, span: f64) -> String {
    if value.abs() <= 1e-4 * span {
        return "0".into();
    }
    let near =
        |text: &String| text.parse().is_ok_and(|shown: f64| (shown - value).abs() <= 1e-4 * span);
    let plain = (1e-4..1e7)
        .contains(&span)
        .then(|| (0..9).map(|digits| format!("{value:.digits$}")).find(near));
    let text =
        plain.flatten().or_else(|| (0..17).map(|digits| format!("{value:.digits$e}")).find(near));
    text.unwrap_or_else(|| value.to_string())
}

/// The lines of a text that is no wider than so many pixels.
fn wrapped(text: &str, pixels: u32) -> Vec<String> {
    let most = (f64::from(pixels) / (f64::from(CAPTION) * LETTER)) as usize;
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.len() - 1;
        let longer = lines[last].chars().count() + 1 + word.chars().count();
        if !lines[last].is_empty() && longer > most {
            lines.push(word.to_owned());
        } else {
            let gap = if lines[last].is_empty() { "" } else { " " };
            lines[last] = format!("{}{gap}{word}", lines[last]);
        }
    }
    lines
}

/// Columns and rows of so many panels.
pub fn columns(panels: usize, most: usize) -> (usize, usize) {
    let columns = panels.min(most).max(1);
    // Four panels are two rows of two rather than three and one.
    let columns = if panels > most { panels.div_ceil(panels.div_ceil(most)) } else { columns };
    (columns, panels.div_ceil(columns))
}

/// A range that holds all of the values and a little more; from 0 where that is near.
pub fn range(values: impl Iterator<Item = f64>, from_zero: bool) -> (f64, f64) {
    let (low, high) = values
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), at| (low.min(at), high.max(at)));
    if low > high || (from_zero && low == 0.0 && high == 0.0) {
        return (0.0, 1.0);
    }
    let (low, high) = if from_zero { (low.min(0.0), high.max(0.0)) } else { (low, high) };
    let margin = if high > low { 0.05 * (high - low) } else { 0.05 * high.abs().max(1.0) };
    let edge = |value: f64, by: f64| if from_zero && value == 0.0 { 0.0 } else { value + by };
    (edge(low, -margin), edge(high, margin))
}
