//! `report.html`: one file, plots inside, no network.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::chart::STYLE;
use crate::opening::opening;
use crate::report::{FIGURES, Section};
use crate::{Plot, Report, Table, guide};

const LOOK: &str = include_str!("page.css");
/// Whatever a page may come to hold, a browser asks for nothing on its behalf.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";
/// The share of its own width below which a plot does not shrink, so that its text stays readable;
/// on a narrow window it scrolls.
const LEAST: f64 = 0.8;
/// What a table of all figures is.
const ALL: &str = "A row is a method on a data set, in a setting; a column is a metric. Look up a \
    figure that a plot shows, or that no plot shows. The last column is the time that one seed \
    took.";
/// What the ledger is.
const CLAIMS: &str = "Each row is a sentence that a paper, or this project, claims. Look at the \
    verdict, and then at the intervals: one that contains 0 leaves open which method is better.";

impl Report {
    /// `report.html`: one file with its plots, light or dark as the reader prefers, that asks for
    /// nothing from the network.
    pub fn html(&self) -> String {
        page(self).into_string()
    }
}

fn page(report: &Report) -> Markup {
    let facts = &report.facts;
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Foretaste: results" }
                style { (PreEscaped(LOOK)) (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "Results" }
                    @for warning in &facts.warnings { p.warning { (warning) } }
                    (opening(report))
                }
                main {
                    section id="run" {
                        h2 { "The run" }
                        dl { @for (name, value) in &facts.facts { div { dt { (name) } dd { (value) } } } }
                        @for remark in &facts.remarks { p.note { (remark) } }
                        p.note { (FIGURES) }
                    }
                    @for section in &report.sections { (of_section(section)) }
                    section id="claims" {
                        h2 { "Claims" }
                        p { (CLAIMS) }
                        (scrolled("Claims", &report.ledger.html()))
                        p.note { (report.ledger.note()) }
                    }
                    @if !facts.failed.is_empty() {
                        section { h2 { "Failed cells" } ul { @for failed in &facts.failed { li { (failed) } } } }
                    }
                }
            }
        }
    }
}

fn of_section(section: &Section) -> Markup {
    html! {
        section id=(section.name) {
            h2 { (section.name) }
            p { (section.question) }
            @for plot in &section.plots { (figure(plot)) }
            @for (shown, guide) in &section.views {
                h3 { (shown.title) }
                @if !guide.is_empty() { p.note { (guide) } }
                (table(shown))
            }
            details open[section.plots.is_empty()] {
                summary { "All figures" }
                p.note { (ALL) }
                (table(&section.table))
                dl.metrics { @for metric in &section.metrics { div {
                    dt { (metric.name()) } dd { (guide::metric(*metric)) }
                } } }
            }
            @if !section.learning.is_empty() {
                details { summary { "Learning curves" } @for plot in &section.learning { (figure(plot)) } }
            }
            @if !section.notes.is_empty() { ul.note { @for note in &section.notes { li { (note) } } } }
        }
    }
}

fn table(table: &Table) -> Markup {
    scrolled(&table.title, &table.html())
}

/// What may be wider than the window; the keyboard scrolls it too.
fn scrolled(name: &str, content: &Markup) -> Markup {
    html! { div.wide role="group" aria-label=(name) tabindex="0" { (content) } }
}

fn figure(plot: &Plot) -> Markup {
    html! {
        figure id={ "plot-" (plot.name) } {
            (scrolled(&plot.caption, &scalable(&plot.bare, &plot.alternative)))
            figcaption { (plot.caption) }
        }
    }
}

/// An SVG that shrinks with the page, with its alternative text: its size becomes the frame of its
/// coordinates.
fn scalable(svg: &str, alternative: &str) -> Markup {
    let whole = || PreEscaped(svg.to_owned());
    let Some((head, body)) = svg.split_once('>') else { return whole() };
    let size = |name: &str| {
        head.split_once(&format!("{name}=\""))
            .and_then(|(_, rest)| rest.split_once('"'))
            .and_then(|(value, _)| value.parse::<f64>().ok())
    };
    let (Some(width), Some(height)) = (size(" width"), size(" height")) else { return whole() };
    let Some((body, _)) = body.rsplit_once("</svg>") else { return whole() };
    let style = format!("min-width:{:.0}px;max-width:{width}px", LEAST * width);
    html! {
        svg viewBox={ "0 0 " (width) " " (height) } style=(style) role="img"
            aria-label=(alternative) xmlns="http://www.w3.org/2000/svg" {
            (PreEscaped(body))
        }
    }
}

#[cfg(test)]
mod tests;
