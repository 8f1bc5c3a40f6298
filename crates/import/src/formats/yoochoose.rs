//! YooChoose, RecSys Challenge 2015: `yoochoose-clicks.dat`, with what was bought in
//! `yoochoose-buys.dat` next to it.
//!
//! No slates were recorded: they are simulated around the clicks, sessions stand for users.

use foretaste_data::Fault;
use foretaste_settings::Setting;
use hashbrown::HashSet;

use crate::nearest::Pool;
use crate::reader::{Checked, Collector, Source, Table, Text, date};
use crate::slates::{Around, Choices, Pick, SimulatedSlates};
use crate::{Error, Result};

/// The files have no headers; these are the names of the challenge's description.
const CLICKS: [&str; 4] = ["Session ID", "Timestamp", "Item ID", "Category"];
const BUYS: [&str; 5] = ["Session ID", "Timestamp", "Item ID", "Price", "Quantity"];

/// What is next to the clicks.
pub(crate) const BUYS_FILE: &str = "yoochoose-buys.dat";

pub(crate) fn read(
    source: Source<'_>,
    slates: &SimulatedSlates,
    collector: &mut Collector,
) -> Result<()> {
    if slates.around == Around::Release {
        let problem = "YooChoose has no days of release: slates are made of items near the day of \
                       the click";
        return Err(Setting::new("slates", problem).into());
    }
    let table = Table::without_header(source, b',', &CLICKS);
    let choices = Choices::read(table, slates.keep_all().then_some(0), collector, event)?;
    let bought = bought(&choices, collector)?;
    let pool = Pool::new(choices.picks.iter().map(|pick| (pick.day(), pick.item)).collect());
    let reward = |pick: &Pick| f32::from(u8::from(bought.contains(&(pick.user, pick.item))));
    choices.simulate(pool, |pick| pick.day(), reward, slates, collector)
}

/// What was bought, as pairs of a session and an item.
fn bought(choices: &Choices, collector: &mut Collector) -> Result<HashSet<(u32, u32)>> {
    let path = super::beside(collector, BUYS_FILE);
    if !path.exists() {
        return Err(Error::file(
            &path,
            "is missing; expected it in the folder of the clicks, with what was bought",
        ));
    }
    let table = Table::without_header(super::open_beside(collector, &path)?, b',', &BUYS);
    let (mut bought, mut buys, mut unclicked) = (HashSet::new(), 0_u64, 0_u64);
    collector.read_beside(table, |row| {
        let (session, item, _) = event(row.text()?)?;
        buys += 1;
        match (choices.users.get(session), choices.items.get(item)) {
            (Some(session), Some(item)) => _ = bought.insert((session, item)),
            _ => unclicked += 1,
        }
        Ok(())
    })?;
    collector.note(format!(
        "{unclicked} of {buys} buys are of sessions or items without a click in this file"
    ));
    Ok(bought)
}

/// Session, item and time of a click or of a buy, which begin alike.
fn event(row: Text<'_>) -> Checked<(&str, &str, i64)> {
    let time = row.field(1, "Timestamp")?;
    let seconds = date::iso_seconds(time).ok_or_else(|| {
        Fault::value("Timestamp", "a time such as 2014-04-07T10:51:09.277Z", time)
    })?;
    Ok((row.id(0, "Session ID")?, row.id(2, "Item ID")?, seconds))
}
