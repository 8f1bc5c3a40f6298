//! `summary.md`.

use std::fmt::Write;

use crate::Report;
use crate::report::{FIGURES, Section};

impl Report {
    /// `summary.md`.
    pub fn summary(&self) -> String {
        let facts = &self.facts;
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
        text.extend(self.sections.iter().map(section));
        text.push_str(&self.ledger.markdown());
        if !facts.failed.is_empty() {
            text.push_str("\n## Failed cells\n\n");
            text.extend(facts.failed.iter().map(|failed| format!("* {failed}\n")));
        }
        text
    }
}

fn section(section: &Section) -> String {
    let mut text = format!("## {}\n\n{}\n\n", section.name, section.question);
    for (table, guide) in &section.views {
        let _ = writeln!(text, "{}:\n\n{guide}\n\n{}", table.title, table.markdown());
    }
    let _ = writeln!(text, "All figures:\n\n{}", section.table.markdown());
    text.extend(section.notes.iter().map(|note| format!("* {note}\n")));
    for plot in &section.plots {
        let _ = write!(text, "\n![{}](plots/{}.svg)\n", plot.caption, plot.name);
    }
    text.push('\n');
    text
}
