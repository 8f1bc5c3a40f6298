//! What `bench all` measured, as documents show it.

use std::path::Path;

use anyhow::bail;
use foretaste_eval::text;
use foretaste_report::Table;

use super::blocks::Block;
use super::kept::{short, wrapped};
use crate::bench::growth;
use crate::bench::record::{Case, Run};

/// Digits of the figures that are shown.
const DIGITS: usize = 3;

/// What the block shows of its file: how costs grow, or the other hot paths; and where it comes
/// from. `to_root` is the way from the document's folder to the root.
pub fn content(root: &Path, to_root: &str, block: &Block) -> anyhow::Result<String> {
    if let Some(name) = block.options.keys().next() {
        bail!("there is no option `{name}`: blocks of speed have no options");
    }
    let file = &block.run;
    let run = Run::read(&root.join(file))?;
    let (table, note) = match block.experiment.as_str() {
        "growth" => (growth::table(&run.cases)?, "Brackets are 95% intervals"),
        "paths" => (paths(&run.cases), "The range is that of all repetitions"),
        other => bail!("there is no part `{other}`, expected `growth` or `paths`"),
    };
    let origin = format!(
        "[{file}]({to_root}{file}), revision {}, {}, on {} cores of {}, by `cargo xtask bench all \
         --json {file} --force`. {note}.",
        short(&run.revision),
        run.date,
        run.machine.cores,
        run.machine.cpu,
    );
    Ok(format!("{}\n{}", table.markdown(), wrapped(&origin)))
}

/// All cases but those of growth.
fn paths(cases: &[Case]) -> Table {
    let figure = |value: f64| text::significant(value, DIGITS);
    let rows = cases.iter().filter(|case| !growth::is_ours(case)).map(|case| {
        let least = case.values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = case.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        vec![
            case.name.clone(),
            case.unit.clone(),
            figure(case.median()),
            format!("{} to {}", figure(least), figure(most)),
        ]
    });
    let header = ["hot path", "unit", "median", "range"].map(str::to_owned).into();
    Table { title: "Hot paths".into(), header, rows: rows.collect() }
}
