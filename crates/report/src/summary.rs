//! `summary.md`.

use std::fmt::Write;

use crate::Report;
use crate::report::Section;

/// What every table's figures are.
pub(crate) const FIGURES: &str = "A figure is the mean over seeds ± the half-width of Student's 95% t-interval. n/a: there is no interval, of one seed (n = 1) or \
     where all seeds have the same figure (no spread).";

/// The content of `summary.md`.
pub(crate) fn markdown(report: &Report) -> String {
    let facts = &report.facts;
    let mut text = "# Results\n\n".to_owned();
    for warning in &facts.warnings {
        let _ = writeln!(text, "**{warning}**\n");
    }
    for (name, value) in &facts.facts {
        let _ = writeln!(text, "* {name}: {value}");
    }
    let _ = writeln!(text, "\n{FIGURES}\n");
    for remark in &facts.remarks {
        let _ = writeln!(text, "{remark}\n");
    }
    text.extend(report.sections.iter().map(section));
    text.push_str(&report.ledger.markdown());
    if !facts.failed.is_empty() {
        text.push_str("\n## Failed cells\n\n");
        text.extend(facts.failed.iter().map(|failed| format!("* {failed}\n")));
    }
    text
}

fn section(section: &Section) -> String {
    let mut text = format!("## {}\n\n{}\n\n", section.name, section.question);
    for table in &section.views {
        let _ = writeln!(text, "{}:\n\n{}", table.title, table.markdown());
    }
    let _ = writeln!(text, "All figures:\n\n{}", section.table.markdown());
    text.extend(section.notes.iter().map(|note| format!("* {note}\n")));
    for plot in &section.plots {
        let _ = write!(text, "\n![{}](plots/{}.svg)\n", plot.caption, plot.name);
    }
    text.push('\n');
    text
}
