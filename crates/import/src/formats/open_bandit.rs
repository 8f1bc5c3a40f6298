//! The Open Bandit Dataset: one row per item shown at one of three positions, with the probability
//! that the policy showed it and features of the user.
//!
//! Saito, Aihara, Matsutani, Narita, "Open Bandit Dataset and Pipeline", 2020 (arXiv 2008.07146).

use std::path::Path;

use foretaste_data::{Choice, Dataset, Fault};

use crate::features;
use crate::reader::record::{List, Strings};
use crate::reader::{Checked, Collector, Source, Table, Taken, Text, date};
use crate::{Result, Whose};

/// The features of the items, which are next to a log.
pub(crate) const ITEM_CONTEXT: &str = "item_context.csv";

/// The columns that are read in addition to what is known of the user.
const COLUMNS: [&str; 5] = ["timestamp", "item_id", "position", "click", "propensity_score"];

/// What the columns begin with that say what is known of the user: hashes, and a number for each
/// item.
const FEATURE: &str = "user_feature_";
const AFFINITY: &str = "user-item_affinity_";

/// What stands in a log for the user: that the places of one page are different problems must not
/// be lost.
const POSITIONS: [&str; 3] = ["position 1", "position 2", "position 3"];

pub(crate) fn read(source: Source<'_>, collector: &mut Collector) -> Result<()> {
    let mut table = Table::open(source, b',', false, &COLUMNS)?;
    let columns = table.columns(COLUMNS)?;
    let known = table.header().iter().enumerate().filter_map(|(at, name)| {
        let is_affinity = name.starts_with(AFFINITY);
        (is_affinity || name.starts_with(FEATURE)).then(|| (name.clone(), (at, is_affinity)))
    });
    let known = collector.in_order(known.collect());
    let mut shown = [0_u64; POSITIONS.len()];
    let mut rows = 0_u64;
    while let Some(row) = table.next()? {
        collector.count_row(row.fraction);
        collector.open(&rows.to_string())?;
        rows += 1;
        match row.text().and_then(|text| step(text, columns, &known, collector)) {
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

/// Gives the items the features of the file next to the log, if it is there; what is to be said of
/// them. The largest campaign has 80 items, so that no column has more different texts.
pub(crate) fn add_features(path: &Path, dataset: &mut Dataset) -> Result<Vec<String>> {
    let path = path.with_file_name(ITEM_CONTEXT);
    if path.exists() { features::add(&path, Whose::Items, 80, dataset) } else { Ok(Vec::new()) }
}

/// Collects a step; its position, counted from 0.
fn step(
    row: Text<'_>,
    [time, item, position, click, propensity]: [usize; COLUMNS.len()],
    known: &[Option<(usize, bool)>],
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
    let clicked = row.flag(click, "click")?;
    let propensity = row.number::<f32>(propensity, "propensity_score", "a number")?;
    let mut context = Strings::default();
    for column in known {
        let Some((at, is_affinity)) = *column else {
            context.push("");
            continue;
        };
        let name = if is_affinity { "user-item_affinity" } else { "user_feature" };
        let text = row.field(at, name)?;
        if is_affinity && !text.is_empty() {
            row.number::<f32>(at, name, "a number")?;
        }
        context.push(text);
    }
    collector.begin_slate();
    collector.show(item);
    let choice = collector.at(0).filter(|_| clicked).map_or(Choice::Skip, Choice::Item);
    collector.collect(&Taken {
        choice,
        reward: f32::from(u8::from(clicked)),
        propensity: Some(&[propensity]),
        timestamp: Some(timestamp),
        clicks: &[],
        candidates: &List::Empty,
        context: Some(&context),
    })?;
    Ok(position)
}
