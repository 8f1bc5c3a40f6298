//! Plots as SVG.

mod categories;
mod curves;
mod learning;
mod looks;
mod style;

pub(crate) use self::learning::learning_curves;
pub use self::looks::Looks;
pub(crate) use self::style::STYLE;
use self::style::{Canvas, Drawn, Look};
use crate::plan::Plan;
use crate::{By, Curves, Design, Error, Kind, Result, Results, View, png};

/// A plot of results.
#[derive(Clone, Debug, PartialEq)]
pub struct Plot {
    /// Name of its files, without the ending.
    pub name: String,
    /// What it shows, of how many seeds, and what its intervals are.
    pub caption: String,
    /// What the plot shows, for those who do not see it: its caption, and its main figures.
    pub(crate) alternative: String,
    /// The SVG, without caption: it takes the colors of the page that contains it.
    pub(crate) bare: String,
    /// The SVG, with caption; light or dark, as the reader prefers.
    pub svg: String,
}

impl Plot {
    /// The plot as PNG, light, at twice its size.
    ///
    /// # Errors
    /// Where it cannot be drawn.
    pub fn png(&self) -> Result<Vec<u8>> {
        png::png(&self.svg).map_err(|problem| Error::Draw { plot: self.name.clone(), problem })
    }

    /// A plot of what `draw` draws below its caption; `in_words` are its main figures.
    fn new(
        name: String,
        caption: String,
        in_words: &str,
        draw: impl Fn(&mut Canvas) -> Drawn,
    ) -> Result<Self> {
        let at_fault = |problem| Error::Draw { plot: name.clone(), problem };
        let bare = style::svg(None, &draw).map_err(at_fault)?;
        let svg = style::svg(Some(&caption), &draw).map_err(at_fault)?;
        let svg = svg.replacen('>', &format!("><style>{STYLE}</style>"), 1);
        let alternative = format!("{caption}{in_words}");
        Ok(Self { name, caption, alternative, bare, svg })
    }
}

/// What is said where a figure is the same for all seeds.
const NO_SPREAD: &str = "No whisker: no spread over seeds.";

/// The plots of a view that is not a table, in the looks of the report; those without figures are
/// left out.
///
/// # Errors
/// Where a figure has no mean, or a plot cannot be drawn.
pub(crate) fn plots(
    view: &View,
    design: &Design,
    results: &Results,
    curves: &Curves,
    looks: &Looks,
) -> Result<Vec<Plot>> {
    let mut plots = Vec::new();
    for plan in Plan::of(view, design) {
        let name = slug(
            &[design.experiment.as_str(), view.name]
                .into_iter()
                .chain(plan.of.iter().map(String::as_str)),
        );
        let plot = match view.kind {
            Kind::Table => None,
            Kind::Bars | Kind::Dots => {
                let panels = plan.figures(design, results)?;
                let estimates = || {
                    panels.iter().flat_map(|panel| &panel.groups).flat_map(|(_, all)| all).flatten()
                };
                let caption = caption(view, &plan, estimates().map(|one| one.n), "whiskers");
                let without = estimates().any(|one| one.n > 1 && one.half_width().is_err());
                let caption = if without { format!("{caption} {NO_SPREAD}") } else { caption };
                let legend = legend(looks, view.series, &plan.series);
                let draw = |canvas: &mut Canvas| categories::draw(canvas, view, &legend, &panels);
                let words = categories::in_words(&plan.series, &panels);
                (!panels.is_empty()).then(|| Plot::new(name, caption, &words, draw)).transpose()?
            }
            Kind::Curves => {
                let (series, panels) = curves::panels(&plan, design, curves)?;
                let counts =
                    panels.iter().flat_map(|panel| &panel.lines).flatten().map(|line| line.seeds);
                let caption = caption(view, &plan, counts, "bands");
                let legend = legend(looks, view.series, &series);
                let draw = |canvas: &mut Canvas| curves::draw(canvas, view, &legend, &panels);
                let words = curves::in_words(&series, &panels);
                (!panels.is_empty()).then(|| Plot::new(name, caption, &words, draw)).transpose()?
            }
        };
        plots.extend(plot);
    }
    Ok(plots)
}

/// The series of a plot with their looks.
fn legend(looks: &Looks, part: Option<By>, series: &[String]) -> Vec<(String, Look)> {
    series.iter().cloned().zip(looks.of(part, series)).collect()
}

fn caption(
    view: &View,
    plan: &Plan,
    seeds: impl Iterator<Item = usize>,
    intervals: &str,
) -> String {
    let of = if plan.of.is_empty() { String::new() } else { format!(", {}", plan.of.join(", ")) };
    let (few, many) = seeds.fold((usize::MAX, 0), |(few, many), n| (few.min(n), many.max(n)));
    let seeds = match (few, many) {
        (1, 1) => "One seed, so no intervals.".to_owned(),
        (few, many) if few == many => {
            format!("Mean over {many} seeds; {intervals}: Student's 95% interval.")
        }
        (few, many) => {
            format!("Mean over {few} to {many} seeds; {intervals}: Student's 95% interval.")
        }
    };
    format!("{}{of}. {seeds}", view.title)
}

/// The parts as a file name: letters, digits, `.` and `-`.
fn slug<'a>(parts: &(impl Iterator<Item = &'a str> + Clone)) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let words: Vec<String> = parts
        .clone()
        .filter(|part| !part.is_empty())
        .map(|part| part.chars().map(plain).collect())
        .collect();
    words
        .join("-")
        .split('-')
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("-")
        .to_lowercase()
}

#[cfg(test)]
mod tests;
