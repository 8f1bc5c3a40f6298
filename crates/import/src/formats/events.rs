//! Events of somebody's own, without slates: delimited text with a header, of which a layout names
//! the columns. Every event is a choice.

use foretaste_data::{EventKind, Fault};
use hashbrown::HashSet;

use super::shop_events::{kind, simulate};
use crate::reader::record::whole;
use crate::reader::times::Times;
use crate::reader::{Checked, Collector, Source, Table, Text};
use crate::slates::{Choices, SimulatedSlates};
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
    let (mut times, mut choices) = (Times::new(layout)?, Choices::default());
    let mut earned = HashSet::new();
    while let Some(row) = table.next()? {
        collector.count_row(row.fraction);
        match row.text().and_then(|text| take(text, [owner, item, time], event, &mut times)) {
            Ok((owner, item, time, order)) => {
                let pick = choices.add(owner, item, time);
                if order {
                    earned.insert(pick);
                }
            }
            Err(fault) => {
                let named = row.lone_field(owner).filter(|_| slates.keep_all());
                collector.reject(row.place(), 1, named, fault)?;
            }
        }
    }
    times.note().into_iter().for_each(|note| collector.note(note));
    simulate(choices, &earned, slates, collector)
}

/// Whose event it is, the item, the second, and whether it earns: an order, or any where there is
/// no word of what happened.
fn take<'r>(
    row: Text<'r>,
    [owner, item, time]: [usize; 3],
    event: Option<usize>,
    times: &mut Times,
) -> Checked<(&'r str, &'r str, i64, bool)> {
    let owner = whole(row.id(owner, "user")?);
    let item = whole(row.id(item, "item")?);
    let text = row.field(time, "timestamp")?;
    if text.is_empty() {
        return Err(Fault::value("timestamp", "a time", ""));
    }
    let time = times.parse(text, "timestamp")?;
    let seconds = times.unit().map_or(time, |unit| time.div_euclid(unit.per_second()));
    let order = match event {
        None => true,
        Some(at) => kind(row.field(at, "event")?, "event")? == EventKind::Order,
    };
    Ok((owner, item, seconds, order))
}
