//! The Open Bandit Dataset: one row per item shown at one of three positions, with the probability
//! that the policy showed it.
//!
//! Saito, Aihara, Matsutani, Narita, "Open Bandit Dataset and Pipeline", 2020 (arXiv 2008.07146).

use super::collector::{Answer, Collector, Place};
use super::{Source, date, table};
use crate::error::Fault;
use crate::{Choice, Result};

/// The columns that are read; the features of users and their affinities to items are not.
const COLUMNS: [&str; 5] = ["timestamp", "item_id", "position", "click", "propensity_score"];

/// What stands in a log for the user: that the places of one page are different problems must not
/// be lost.
const POSITIONS: [&str; 3] = ["position 1", "position 2", "position 3"];

pub(super) fn read(source: Source<'_>, collector: &mut Collector) -> Result<()> {
    let path = source.path();
    let fraction = source.fraction();
    let (mut reader, header) = table::open(source, b',', false)?;
    let (columns, names) = table::columns(&path, &header, COLUMNS)?;
    let mut shown = [0_u64; POSITIONS.len()];
    let mut record = csv::ByteRecord::new();
    for row in 0_u64.. {
        if !table::next(&path, &mut reader, &mut record)? {
            break;
        }
        collector.count_row(&fraction);
        collector.open(&row.to_string())?;
        match table::Text::new(&record, &names).and_then(|row| step(row, columns, collector)) {
            Ok(position) => {
                collector.close(Some(POSITIONS[position]))?;
                shown[position] += 1;
            }
            Err(fault) => {
                collector.reject(Place::Byte(table::byte(&record)), 1, None, fault)?;
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
    row: table::Text<'_>,
    [time, item, position, click, propensity]: [usize; COLUMNS.len()],
    collector: &mut Collector,
) -> std::result::Result<usize, Fault> {
    let time = row.field(time, "timestamp")?;
    let timestamp = date::iso_seconds(time).ok_or_else(|| {
        Fault::value("timestamp", "a time such as 2019-11-24 00:01:03.979311+00:00", time)
    })?;
    let item = row.field(item, "item_id")?;
    if item.is_empty() {
        return Err(Fault::value("item_id", "an id", item));
    }
    let position = match row.field(position, "position")? {
        "1" => 0,
        "2" => 1,
        "3" => 2,
        other => return Err(Fault::value("position", "1, 2 or 3", other)),
    };
    let (choice, reward) = match row.field(click, "click")? {
        "0" => (Err(Choice::Skip), 0.0),
        "1" => (Ok(item), 1.0),
        other => return Err(Fault::value("click", "0 or 1", other)),
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
