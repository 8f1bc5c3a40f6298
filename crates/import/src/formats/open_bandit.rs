//! The Open Bandit Dataset: one row per item shown at one of three positions, with the probability
//! that the policy showed it.
//!
//! Saito, Aihara, Matsutani, Narita, "Open Bandit Dataset and Pipeline", 2020 (arXiv 2008.07146).

use foretaste_data::{Choice, Fault};

use crate::Result;
use crate::reader::{Answer, Checked, Collector, Source, Table, Text, date};

/// The columns that are read; the features of users and their affinities to items are not.
const COLUMNS: [&str; 5] = ["timestamp", "item_id", "position", "click", "propensity_score"];

/// What stands in a log for the user: that the places of one page are different problems must not
/// be lost.
const POSITIONS: [&str; 3] = ["position 1", "position 2", "position 3"];

pub(crate) fn read(source: Source<'_>, collector: &mut Collector) -> Result<()> {
    let mut table = Table::open(source, b',', false, &COLUMNS)?;
    let columns = table.columns(COLUMNS)?;
    let mut shown = [0_u64; POSITIONS.len()];
    let mut rows = 0_u64;
    while let Some(row) = table.next()? {
        collector.count_row(row.fraction);
        collector.open(&rows.to_string())?;
        rows += 1;
        match row.text().and_then(|text| step(text, columns, collector)) {
            Ok(position) => {
                collector.close(Some(POSITIONS[position]))?;
                shown[position] += 1;
            }
            Err(fault) => {
                collector.reject(row.place(), 1, None, fault)?;
                collector.close(None)?;
            }
        }
    }
    let counts: Vec<String> =
        POSITIONS.iter().zip(shown).map(|(name, count)| format!("{name}: {count}")).collect();
    collector
        .note(format!("the users of this log are positions on the page: {}", counts.join(", ")));
    Ok(())
}

/// Collects a step; its position, counted from 0.
fn step(
    row: Text<'_>,
    [time, item, position, click, propensity]: [usize; COLUMNS.len()],
    collector: &mut Collector,
) -> Checked<usize> {
    let time = row.field(time, "timestamp")?;
    let timestamp = date::iso_seconds(time).ok_or_else(|| {
        Fault::value("timestamp", "a time such as 2019-11-24 00:01:03.979311+00:00", time)
    })?;
    let item = row.id(item, "item_id")?;
    let position = match row.field(position, "position")? {
        "1" => 0,
        "2" => 1,
        "3" => 2,
        other => return Err(Fault::value("position", "1, 2 or 3", other)),
    };
    let (choice, reward) = match row.flag(click, "click")? {
        false => (Err(Choice::Skip), 0.0),
        true => (Ok(item), 1.0),
    };
    let propensity = row.number::<f32>(propensity, "propensity_score", "a number")?;
    collector.begin_slate();
    collector.show(item);
    collector.push(&Answer {
        choice,
        reward,
        propensity: Some(&[propensity]),
        timestamp: Some(timestamp),
    })?;
    Ok(position)
}
