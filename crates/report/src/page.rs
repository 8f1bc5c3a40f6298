//! `report.html`: one file, plots inside, no network.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::chart::STYLE;
use crate::claims::Verdict;
use crate::report::{FIGURES, Section};
use crate::{Plot, Report};

const LOOK: &str = include_str!("page.css");
/// Whatever a page may come to hold, a browser asks for nothing on its behalf.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

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
                    (verdicts(report))
                    nav {
                        @for section in &report.sections { a href={ "#" (section.name) } { (section.name) } " " }
                        a href="#claims" { "claims" }
                    }
                    dl { @for (name, value) in &facts.facts { div { dt { (name) } dd { (value) } } } }
                    p.note { (FIGURES) }
                    @for remark in &facts.remarks { p.note { (remark) } }
                }
                main {
                    @for section in &report.sections { (of_section(section)) }
                    section id="claims" {
                        h2 { "Claims" }
                        p { "What the papers say, and what these results make of it." }
                        (report.ledger.html())
                    }
                    @if !facts.failed.is_empty() {
                        section { h2 { "Failed cells" } ul { @for failed in &facts.failed { li { (failed) } } } }
                    }
                }
            }
        }
    }
}

fn verdicts(report: &Report) -> Markup {
    let counts = report.ledger.counts();
    let of = |verdict: Verdict| verdict.to_string().replace(' ', "-");
    html! {
        p.verdicts {
            @for (verdict, count) in counts {
                a href="#claims" class={ "verdict " (of(verdict)) } { (count) " " (verdict) } " "
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
            @for table in &section.views { h3 { (table.title) } (table.html()) }
            details open[section.plots.is_empty()] { summary { "All figures" } (section.table.html()) }
            @if !section.learning.is_empty() {
                details { summary { "Learning curves" } @for plot in &section.learning { (figure(plot)) } }
            }
            @if !section.notes.is_empty() { ul.note { @for note in &section.notes { li { (note) } } } }
        }
    }
}

fn figure(plot: &Plot) -> Markup {
    html! {
        figure id={ "plot-" (plot.name) } role="img" aria-label=(plot.caption) {
            (PreEscaped(scalable(&plot.bare)))
            figcaption { (plot.caption) }
        }
    }
}

/// An SVG that shrinks with the page: its size becomes the frame of its coordinates.
fn scalable(svg: &str) -> String {
    let Some((head, body)) = svg.split_once('>') else { return svg.to_owned() };
    let size = |name: &str| {
        head.split_once(&format!("{name}=\""))
            .and_then(|(_, rest)| rest.split_once('"'))
            .map(|(value, _)| value)
    };
    match (size(" width"), size(" height")) {
        (Some(width), Some(height)) => {
            format!(
                "<svg viewBox=\"0 0 {width} {height}\" style=\"max-width:{width}px\" \
                 xmlns=\"http://www.w3.org/2000/svg\">{body}"
            )
        }
        _ => svg.to_owned(),
    }
}
