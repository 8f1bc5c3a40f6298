//! Events of somebody's own, without slates: delimited text with a header, of which a layout names
//! the columns. Every event is a choice.

use foretaste_data::Fault;

use super::shop_events::{ShopEvents, is_order};
use crate::reader::record::whole;
use crate::reader::times::Times;
use crate::reader::{Checked, Collector, Source, Table, Text};
use crate::slates::SimulatedSlates;
use crate::{Error, Layout, Result};

/// The columns of the schema that are read: one of the first two, and the event where it is there.
const COLUMNS: [&str; 5] = ["session", "user", "item", "timestamp", "event"];

pub(crate) fn read(
    source: Source<'_>,
    layout: &Layout,
    slates: &SimulatedSlates,
    collector: &mut Collector,
) -> Result<()> {
    let (source, delimiter) = match layout.delimiter {
        Some(delimiter) => (source, delimiter),
        None => source.delimiter()?,
    };
    let mut table = Table::open(source, delimiter as u8, true, &COLUMNS)?;
    let places = COLUMNS.map(|name| {
        let wanted = layout.columns.get(name).map_or(name, String::as_str);
        table.header().iter().position(|column| column == wanted)
    });
    let [session, user, item, time, event] = places;
    let (Some(owner), Some(item), Some(time)) = (session.or(user), item, time) else {
        let problem = format!(
            "has no column session or user, item, or timestamp; its columns are {}; --column \
             user=NAME, item=NAME and timestamp=NAME name them",
            table.header().join(", ")
        );
        return Err(Error::file(table.path(), problem));
    };
    let ignored: Vec<String> = (0..table.header().len())
        .filter(|at| ![Some(owner), Some(item), Some(time), event].contains(&Some(*at)))
        .map(|at| table.header()[at].clone())
        .collect();
    collector.ignore(&ignored);
    table.rename(|at| places.iter().position(|p| *p == Some(at)).map(|column| COLUMNS[column]));
    let owners = slates.keep_all().then_some(owner);
    let (mut times, mut events) = (Times::new(layout)?, ShopEvents::default());
    collector.read_rows(table, owners, |row| {
        add(row, [owner, item, time], event, &mut times, &mut events)
    })?;
    times.note().into_iter().for_each(|note| collector.note(note));
    events.simulate(slates, collector)
}

/// Adds the event of a row. Where there is no word of what happened, it earns as an order does.
fn add(
    row: Text<'_>,
    [owner, item, time]: [usize; 3],
    event: Option<usize>,
    times: &mut Times,
    events: &mut ShopEvents,
) -> Checked {
    let owner = whole(row.id(owner, "user")?);
    let item = whole(row.id(item, "item")?);
    let text = row.field(time, "timestamp")?;
    if text.is_empty() {
        return Err(Fault::value("timestamp", "a time", ""));
    }
    let time = times.parse(text, "timestamp")?;
    let seconds = times.unit().map_or(time, |unit| time.div_euclid(unit.per_second()));
    let is_order = match event {
        None => true,
        Some(at) => is_order(row.field(at, "event")?, "event")?,
    };
    events.add(owner, item, seconds, is_order);
    Ok(())
}
