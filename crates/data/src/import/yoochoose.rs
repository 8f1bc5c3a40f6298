//! YooChoose, RecSys Challenge 2015: `yoochoose-clicks.dat`, with what was bought in
//! `yoochoose-buys.dat` beside it.
//!
//! No slates were recorded: displays are simulated around the clicks, sessions stand for users.

use hashbrown::HashSet;

use super::collector::{Collector, Place};
use super::displays::{Around, Choices, Displays, Pick, id};
use super::nearest::Pool;
use super::{Source, date, table};
use crate::error::Fault;
use crate::{Error, Result};

/// The files have no headers; these are the names of the challenge's description.
const CLICKS: [&str; 4] = ["Session ID", "Timestamp", "Item ID", "Category"];
const BUYS: [&str; 5] = ["Session ID", "Timestamp", "Item ID", "Price", "Quantity"];

/// What lies beside the clicks.
pub(super) const BUYS_FILE: &str = "yoochoose-buys.dat";

pub(super) fn read(
    source: Source<'_>,
    displays: &Displays,
    collector: &mut Collector,
) -> Result<()> {
    if displays.around == Around::Release {
        let problem = "YooChoose knows no day of release: displays lie around the day of the click";
        return Err(Error::Setting(problem.into()));
    }
    let fraction = source.fraction();
    let reader = table::open_without_header(source, b',');
    let choices = Choices::read(
        reader,
        &CLICKS,
        displays.keep_all().then_some(0),
        fraction,
        collector,
        event,
    )?;
    let bought = bought(&choices, collector)?;
    let pool = Pool::new(choices.picks.iter().map(|pick| (pick.day(), pick.item)).collect());
    let reward = |pick: &Pick| f32::from(u8::from(bought.contains(&(pick.user, pick.item))));
    choices.simulate(pool, |pick| pick.day(), reward, displays, collector)
}

/// What was bought, as pairs of a session and an item.
fn bought(choices: &Choices, collector: &mut Collector) -> Result<HashSet<(u32, u32)>> {
    let path = collector.beside(BUYS_FILE);
    if !path.exists() {
        return Err(Error::file(
            &path,
            "is missing: it lies beside the clicks and has what was bought",
        ));
    }
    let mut reader = table::open_without_header(Source::open(&path, None)?, b',');
    let (mut bought, mut buys, mut unclicked) = (HashSet::new(), 0_u64, 0_u64);
    let (mut bad, mut rows) = (collector.bad_rows_beside(&path), 0);
    let mut record = csv::ByteRecord::new();
    while table::next(&path, &mut reader, &mut record)? {
        rows += 1;
        match table::Text::new(&record, &BUYS).and_then(event) {
            Ok((session, item, _)) => {
                buys += 1;
                match (choices.users.get(session), choices.items.get(item)) {
                    (Some(session), Some(item)) => {
                        bought.insert((session, item));
                    }
                    _ => unclicked += 1,
                }
            }
            Err(fault) => bad.reject(Place::Byte(table::byte(&record)), 1, None, fault)?,
        }
    }
    collector.finish_beside(bad, rows)?;
    collector.note(format!(
        "{unclicked} of {buys} buys are of sessions or items without a click in this file"
    ));
    Ok(bought)
}

/// Session, item and time of a click or of a buy, which begin alike.
fn event(row: table::Text<'_>) -> std::result::Result<(&str, &str, i64), Fault> {
    let time = row.field(1, "Timestamp")?;
    let seconds = date::iso_seconds(time).ok_or_else(|| {
        Fault::value("Timestamp", "a time such as 2014-04-07T10:51:09.277Z", time)
    })?;
    Ok((id(row, 0, "Session ID")?, id(row, 2, "Item ID")?, seconds))
}
