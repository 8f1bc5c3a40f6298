//! RecoGym: a log of its simulator as CSV, with organic views and recommendations of one product.
//!
//! Rohde, Bonner, Dunlop, Vasile, Karatzoglou, "RecoGym", 2018 (arXiv 1808.00720).

use foretaste_data::Fault;

use super::steps::{Key, Steps};
use crate::reader::record::{List, Record, whole};
use crate::reader::times::Times;
use crate::reader::{Checked, Collector, Source, Table, Text};
use crate::{Layout, Result};

/// Time, user, kind of the row, product viewed, product shown, click, propensity.
pub(crate) const COLUMNS: [&str; 7] = ["t", "u", "z", "v", "a", "c", "ps"];
/// What a recommendation earned, in the versions that have it.
const REWARD: &str = "r";

pub(crate) fn read(source: Source<'_>, collector: &mut Collector) -> Result<()> {
    let layout = Layout::default();
    let (mut steps, mut times) = (Steps::new(&layout), Times::new(&layout)?);
    let mut table = Table::open(source, b',', true, &COLUMNS)?;
    let columns = table.columns(COLUMNS)?;
    let reward = table.header().iter().position(|name| name == REWARD);
    let mut numbers = [[0.0; 1]; 2];
    while let Some(row) = table.next()? {
        collector.count_row(row.fraction);
        let text = row.text();
        let user = text.as_ref().ok().and_then(|text| text.field(columns[1], "u").ok());
        let user = user.map(whole);
        let key = text.clone().map(|_| Key { session: user, user });
        steps.row(collector, row.place(), key, None, |record| {
            *record = take(text?, columns, reward, &mut times, &mut numbers)?;
            Ok(())
        })?;
    }
    steps.set_unit(times.unit());
    steps.finish(collector)
}

fn take<'r>(
    row: Text<'r>,
    [time, _, kind, viewed, shown, click, propensity]: [usize; COLUMNS.len()],
    reward: Option<usize>,
    times: &mut Times,
    numbers: &'r mut [[f32; 1]; 2],
) -> Checked<Record<'r>> {
    let time = times.parse(row.field(time, "t")?, "t")?;
    let kind = row.field(kind, "z")?;
    if kind != "bandit" {
        let item = Some(whole(row.id(viewed, "v")?));
        return Ok(Record { time: Some(time), event: Some(kind), item, ..Record::default() });
    }
    let shown = whole(row.id(shown, "a")?);
    let clicked = match whole(row.field(click, "c")?) {
        "0" => false,
        "1" => true,
        other => return Err(Fault::value("c", "0 or 1", other)),
    };
    let [earned, chance] = numbers;
    *chance = [row.number(propensity, "ps", "a number")?];
    *earned = match row.optional(reward, REWARD)? {
        Some(_) => [row.number(reward.unwrap_or_default(), REWARD, "a number")?],
        None => [f32::from(u8::from(clicked))],
    };
    Ok(Record {
        time: Some(time),
        shown: List::One(shown),
        chosen: if clicked { List::One(shown) } else { List::Empty },
        reward: earned,
        propensity: Some(chance),
        ..Record::default()
    })
}
