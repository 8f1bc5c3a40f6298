//! RetailRocket's events in a shop, without slates: `events.csv`, a row per event.

use foretaste_data::TimeUnit;

use super::shop_events::{ShopEvents, is_order};
use crate::Result;
use crate::reader::{Checked, Collector, Source, Table, Text, WHOLE};
use crate::slates::SimulatedSlates;

/// The columns that are read.
pub(crate) const COLUMNS: [&str; 4] = ["timestamp", "visitorid", "event", "itemid"];

pub(crate) fn read(
    source: Source<'_>,
    slates: &SimulatedSlates,
    collector: &mut Collector,
) -> Result<()> {
    let table = Table::open(source, b',', false, &COLUMNS)?;
    let columns = table.columns(COLUMNS)?;
    let user = slates.keep_all().then_some(columns[1]);
    let mut events = ShopEvents::default();
    collector.read_rows(table, user, |row| add(row, columns, &mut events))?;
    events.simulate(slates, collector)
}

/// Adds the event of a row, whose time is in milliseconds since 1970.
fn add(
    row: Text<'_>,
    [time, user, event, item]: [usize; COLUMNS.len()],
    events: &mut ShopEvents,
) -> Checked {
    let time: i64 = row.number(time, "timestamp", WHOLE)?;
    let is_order = is_order(row.field(event, "event")?, "event")?;
    let seconds = time.div_euclid(TimeUnit::Milliseconds.per_second());
    events.add(row.id(user, "visitorid")?, row.id(item, "itemid")?, seconds, is_order);
    Ok(())
}
