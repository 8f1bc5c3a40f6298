//! The results as tables for people: means over seeds with their intervals.

use std::collections::BTreeMap;
use std::fmt::Write;

use understudy_eval::interval;

use crate::claims::{Difference, Finding};
use crate::experiment::{Cell, Experiment};
use crate::experiments;
use crate::provenance::RunRecord;
use crate::runner::Tally;
use crate::store::Finished;

/// One experiment's table: a row per data set, method and setting, in grid order, and a column per metric.
pub struct Table {
    /// Name of the experiment.
    pub experiment: String,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    notes: Vec<String>,
}

impl Table {
    /// The table of one experiment's finished cells.
    pub fn new(experiment: &dyn Experiment, finished: &[Finished]) -> anyhow::Result<Self> {
        let cells: Vec<_> = finished.iter().filter(|done| done.cell.experiment == experiment.name()).collect();
        let metrics = experiment.columns();
        let settings = cells.iter().any(|done| !done.cell.setting.is_empty());
        let optional = if settings { vec!["setting"] } else { vec![] };
        let header = ["dataset", "method"].into_iter().chain(optional).chain(["seeds"]).map(str::to_owned);
        let header = header.chain(metrics.iter().map(|&name| name.to_owned())).chain(["s per cell".into()]).collect();
        let mut rows = Vec::new();
        for (key, group) in groups(&cells) {
            let mut row = vec![key[0].clone(), key[1].clone()];
            row.extend(settings.then(|| key[2].clone()));
            row.push(group.len().to_string());
            for &metric in metrics {
                let values: Vec<f64> =
                    group.iter().filter_map(|done| done.outcome.metrics.get(metric).copied()).collect();
                row.push(if values.is_empty() { "–".into() } else { interval::student_t(&values)?.to_string() });
            }
            row.push(format!("{:.1}", group.iter().map(|done| done.seconds).sum::<f64>() / group.len() as f64));
            rows.push(row);
        }
        Ok(Self { experiment: experiment.name().into(), header, rows, notes: experiment.notes() })
    }

    /// For the terminal.
    pub fn plain(&self) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
        table.set_header(&self.header);
        table.add_rows(&self.rows);
        let notes: String = self.notes.iter().map(|note| format!("\n* {note}")).collect();
        format!("{}\n{table}{notes}", self.experiment)
    }

    fn markdown(&self) -> String {
        let mut text =
            format!("## {}\n\n{}|{}\n", self.experiment, line(&self.header), "---|".repeat(self.header.len()));
        text.extend(self.rows.iter().map(|row| line(row)));
        text.push('\n');
        text.extend(self.notes.iter().map(|note| format!("* {note}\n")));
        text
    }
}

/// The claims ledger: a row for every claim.
pub struct Ledger {
    rows: Vec<[String; 4]>,
}

const LEDGER: [&str; 4] = ["claim", "source", "verdict", "by how much ours is better than the rival"];
const LEDGER_NOTE: &str = "Differences are paired by seed, with 95% interval and p: of the corrected resampled t-test (Nadeau & Bengio 2003) \
    where seeds are splits that share users or test sessions (a test set that is the same for all is not in the interval), of the paired t-test where each has simulated users of its own; not corrected for the number of \
    claims. Above 0 ours is better, by more of the metric or, where the claim says so, by less of it or less spread. Reproduced: better, \
    interval above 0, in every comparison; not reproduced: worse in one; inconclusive: the rest. The best rival is the one with the best mean.";

impl Ledger {
    /// The ledger of what was found.
    pub fn new(findings: &[Finding]) -> Self {
        let row = |finding: &Finding| {
            let several = finding.differences.iter().any(|one| one.rival.method != finding.differences[0].rival.method);
            let settings =
                finding.differences.iter().any(|one| one.ours.setting != finding.differences[0].ours.setting);
            let shown = |difference: &Difference| {
                let setting = if settings { format!(" {}", difference.ours.setting) } else { String::new() };
                let rival = if several { format!(" (to {})", difference.rival.method) } else { String::new() };
                let p = difference.p.map_or(String::new(), |p| format!(", p {p:.2}"));
                format!("{}{setting} {}{p}{rival}", difference.dataset, difference.estimate)
            };
            let differences: Vec<_> = finding.differences.iter().map(shown).collect();
            [finding.sentence.clone(), finding.source.clone(), finding.verdict.to_string(), differences.join("; ")]
        };
        Self { rows: findings.iter().map(row).collect() }
    }

    /// For the terminal: claims and verdicts.
    pub fn plain(&self) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
        table.set_header(&LEDGER[..3]);
        table.add_rows(self.rows.iter().map(|row| &row[..3]));
        format!("claims\n{table}")
    }

    fn markdown(&self) -> String {
        let mut text = format!("## Claims\n\n{}|{}\n", line(&LEDGER), "---|".repeat(LEDGER.len()));
        text.extend(self.rows.iter().map(|row| line(row)));
        let _ = writeln!(text, "\n* {LEDGER_NOTE}");
        text
    }
}

fn line(cells: &[impl AsRef<str>]) -> String {
    let cells: Vec<_> = cells.iter().map(|cell| cell.as_ref().replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}

/// What a reader of the tables must know of the cells: which other revisions of the program made some, and which of
/// the `others` in the store the tables leave out.
pub fn remarks(finished: &[Finished], others: &[Cell], record: &RunRecord) -> Vec<String> {
    made_by(finished, record).into_iter().chain(left_out(others, record)).collect()
}

/// The content of `summary.md`.
pub fn markdown(tables: &[Table], ledger: &Ledger, remarks: &[String], tally: &Tally, record: &RunRecord) -> String {
    let config = &record.config;
    let mut text = "# Results\n\n".to_owned();
    if !tally.complete() {
        let _ = writeln!(text, "**Incomplete: {} of {} cells.**\n", tally.finished.len(), tally.total);
    }
    let data = config.data_dir.as_ref().map_or("bundled logs, simulated".into(), |dir| dir.display().to_string());
    let _ = writeln!(
        text,
        "Scale {}, {} seeds, data: {data}, device {}, revision {}.\n\n\
         A figure is the mean over seeds ± the half-width of Student's 95% t-interval; one seed has no interval.\n",
        config.scale, record.seeds, config.device, record.git_revision
    );
    for remark in remarks {
        let _ = writeln!(text, "{remark}\n");
    }
    text.push_str(&tables.iter().map(Table::markdown).chain([ledger.markdown()]).collect::<Vec<_>>().join("\n"));
    if !tally.failed.is_empty() {
        text.push_str("\n## Failed cells\n\n");
        for failed in &tally.failed {
            let _ = writeln!(text, "* {}: {}", failed.cell, failed.error);
        }
    }
    text
}

fn made_by(finished: &[Finished], record: &RunRecord) -> Option<String> {
    let mut revisions = BTreeMap::new();
    for done in finished {
        *revisions.entry(done.revision.as_str()).or_insert(0) += 1;
    }
    if revisions.keys().all(|&revision| revision == record.git_revision) {
        return None;
    }
    let counts: Vec<_> = revisions.iter().map(|(revision, cells)| format!("{revision} made {cells}")).collect();
    Some(format!(
        "Some cells are of another revision than this program, {}: {}.",
        record.git_revision,
        counts.join(", ")
    ))
}

fn left_out(others: &[Cell], record: &RunRecord) -> Option<String> {
    let runs = |name: &str| record.experiments.iter().any(|run| run == name);
    // What this run would have asked for, had it the same configuration, no run asks for any more.
    let left_out = |cell: &&Cell| {
        experiments::NAMES.contains(&cell.experiment.as_str()) && (!runs(&cell.experiment) || cell.seed >= record.seeds)
    };
    let cells: Vec<_> = others.iter().filter(left_out).collect();
    let seeds = cells.iter().map(|cell| cell.seed + 1).max()?.max(record.seeds);
    let named = |name: &&&str| runs(name) || cells.iter().any(|cell| cell.experiment == **name);
    let names: Vec<_> = experiments::NAMES.iter().filter(named).copied().collect();
    Some(format!(
        "Finished cells from before that these tables leave out: {}. To see them too, run `{}` with `--seeds {seeds}` and \
         the same other options.",
        cells.len(),
        names.join(" ")
    ))
}

/// The cells that differ in seed alone, in the order in which each first appears.
fn groups<'a>(cells: &[&'a Finished]) -> Vec<([&'a String; 3], Vec<&'a Finished>)> {
    let mut place = BTreeMap::new();
    let mut groups: Vec<([&String; 3], Vec<&Finished>)> = Vec::new();
    for &done in cells {
        let key = [&done.cell.dataset, &done.cell.method, &done.cell.setting];
        let at = *place.entry(key).or_insert(groups.len());
        if at == groups.len() {
            groups.push((key, Vec::new()));
        }
        groups[at].1.push(done);
    }
    groups
}
