//! What a reader of the tables must know of the cells behind them.

use std::collections::BTreeMap;

use crate::Cell;
use crate::provenance::RunRecord;
use crate::store::Finished;

/// What a reader of the tables must know of the cells: which other revisions of the program made
/// some, and which of the `others` in the store the tables leave out; `known` are the names of the
/// program's experiments.
pub fn remarks(
    finished: &[Finished],
    others: &[Cell],
    record: &RunRecord,
    known: &[&str],
) -> Vec<String> {
    made_by(finished, record).into_iter().chain(left_out(others, record, known)).collect()
}

fn made_by(finished: &[Finished], record: &RunRecord) -> Option<String> {
    let mut revisions = BTreeMap::new();
    for done in finished {
        *revisions.entry(done.revision.as_str()).or_insert(0) += 1;
    }
    if revisions.keys().all(|&revision| revision == record.git_revision) {
        return None;
    }
    let counts: Vec<_> =
        revisions.iter().map(|(revision, cells)| format!("{revision} made {cells}")).collect();
    Some(format!(
        "Some cells are of another revision than this program, {}: {}.",
        record.git_revision,
        counts.join(", ")
    ))
}

fn left_out(others: &[Cell], record: &RunRecord, known: &[&str]) -> Option<String> {
    let runs = |name: &str| record.experiments.iter().any(|run| run == name);
    // What this run would have asked for, had it the same configuration, no run asks for any more.
    let left_out = |cell: &&Cell| {
        known.contains(&cell.experiment.as_str())
            && (!runs(&cell.experiment) || cell.seed >= record.seeds)
    };
    let cells: Vec<_> = others.iter().filter(left_out).collect();
    let seeds = cells.iter().map(|cell| cell.seed.saturating_add(1)).max()?.max(record.seeds);
    let named = |name: &&&str| runs(name) || cells.iter().any(|cell| cell.experiment == **name);
    let names: Vec<_> = known.iter().filter(named).copied().collect();
    Some(format!(
        "Finished cells of earlier runs that are not in these tables: {}. To include them, run \
         `{}` with `--seeds {seeds}` and the same other options.",
        cells.len(),
        names.join(" ")
    ))
}
