//! A report: everything that a reader gets of a set of results.

use std::collections::BTreeMap;

use foretaste_eval::Metric;

use crate::chart::{Looks, learning_curves, plots};
use crate::claims::{Claim, Finding};
use crate::plan::Plan;
use crate::{Arm, Curves, Design, Kind, Ledger, Plot, Result, Results, Table, guide};

/// Tables, plots and ledger of a run.
#[derive(Clone, Debug)]
pub struct Report {
    pub(crate) facts: RunFacts,
    pub(crate) sections: Vec<Section>,
    pub(crate) ledger: Ledger,
}

/// What every table's figures are.
pub(crate) const FIGURES: &str = "A figure is the mean over seeds ± the half-width of Student's \
     95% t-interval. n/a: there is no interval, of one seed (n = 1) or where all seeds have the \
     same figure (no spread).";

/// What is to be said of the run itself.
#[derive(Clone, Debug, Default)]
pub struct RunFacts {
    /// Names and values: scale, seeds, data, machine, ..
    pub facts: Vec<(String, String)>,
    /// What a reader must know before all else: that cells are missing, say.
    pub warnings: Vec<String>,
    /// What a reader may want to know of the cells.
    pub remarks: Vec<String>,
    /// Cells that failed, and why.
    pub failed: Vec<String>,
}

/// An experiment in the report.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub name: String,
    pub question: String,
    /// Plots after those of the papers.
    pub plots: Vec<Plot>,
    /// Tables after those of the papers, and what to look at in each.
    pub views: Vec<(Table, String)>,
    /// Every arm with every metric.
    pub table: Table,
    /// The metrics of this table.
    pub metrics: Vec<Metric>,
    /// The learning curve of every run.
    pub learning: Vec<Plot>,
    pub notes: Vec<String>,
}

impl Report {
    /// The report of the results of the experiments that `designs` lay out. `seconds` are the mean
    /// times of a run of each arm, by experiment. Claims on other experiments are "not run".
    /// Methods without `looks` get some.
    ///
    /// # Errors
    /// Where a figure is not finite, or a plot cannot be drawn.
    pub fn new(
        designs: &[Design],
        results: &Results,
        curves: &Curves,
        seconds: &BTreeMap<String, BTreeMap<Arm, f64>>,
        claims: &[Claim],
        looks: Looks,
        facts: RunFacts,
    ) -> Result<Self> {
        let (nothing, looks) = (BTreeMap::new(), looks.with(designs));
        let section = |design: &Design| {
            let seconds = seconds.get(&design.experiment).unwrap_or(&nothing);
            Section::new(design, results, curves, seconds, &looks)
        };
        let finding = |claim: &Claim| -> Result<Finding> {
            let design = designs.iter().find(|design| design.experiment == claim.experiment);
            design.map_or_else(|| Ok(claim.not_run()), |design| claim.decide(design, results))
        };
        Ok(Self {
            facts,
            sections: designs.iter().map(section).collect::<Result<_>>()?,
            ledger: Ledger::new(claims.iter().map(finding).collect::<Result<_>>()?),
        })
    }

    /// For the terminal: a table for each experiment, then the ledger, then the remarks.
    pub fn plain(&self) -> String {
        let notes = |section: &Section| {
            section.notes.iter().map(|note| format!("\n* {note}")).collect::<String>()
        };
        let tables = self.sections.iter().map(|section| section.table.plain() + &notes(section));
        tables
            .chain([self.ledger.plain()])
            .chain(self.facts.remarks.iter().cloned())
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// All plots.
    pub fn plots(&self) -> impl Iterator<Item = &Plot> {
        self.sections.iter().flat_map(|section| section.plots.iter().chain(&section.learning))
    }

    /// The ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

impl Section {
    fn new(
        design: &Design,
        results: &Results,
        curves: &Curves,
        seconds: &BTreeMap<Arm, f64>,
        looks: &Looks,
    ) -> Result<Self> {
        let (mut drawn, mut views) = (Vec::new(), Vec::new());
        for view in &design.views {
            if view.kind == Kind::Table {
                for plan in Plan::of(view, design) {
                    if let Some(table) = Table::of_plan(view, &plan, design, results)? {
                        views.push((table, guide::of_view(view, &plan, design, results)?));
                    }
                }
            } else {
                drawn.extend(plots(view, design, results, curves, looks)?);
            }
        }
        Ok(Self {
            name: design.experiment.clone(),
            question: design.question.clone(),
            plots: drawn,
            views,
            table: Table::of(design, results, seconds)?,
            metrics: design.columns.clone(),
            learning: learning_curves(design, curves)?,
            notes: design.notes.clone(),
        })
    }
}
