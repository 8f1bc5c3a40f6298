//! Logs of events in shops, without slates: OTTO's sessions and RetailRocket's events. Every event
//! is a choice; an order earns 1.

use foretaste_data::{EventKind, Fault};
use hashbrown::HashSet;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Result;
use crate::nearest::Pool;
use crate::reader::lines::Lines;
use crate::reader::record::json_id;
use crate::reader::{Checked, Collector, Place, Source, Table, Text, WHOLE};
use crate::slates::{Choices, Pick, SimulatedSlates};

/// The columns of RetailRocket's `events.csv` that are read.
pub(crate) const RETAIL_ROCKET: [&str; 4] = ["timestamp", "visitorid", "event", "itemid"];

/// Milliseconds of a second: slates are simulated by seconds.
const MILLISECONDS: i64 = 1000;

/// Reads OTTO's JSON Lines: a session a line, with its events.
pub(crate) fn read_otto(
    source: Source<'_>,
    slates: &SimulatedSlates,
    collector: &mut Collector,
) -> Result<()> {
    let fraction = source.fraction();
    let (mut choices, mut orders) = (Choices::default(), HashSet::new());
    for line in Lines::of(source) {
        let (number, line) = line?;
        if line.trim().is_empty() {
            continue;
        }
        collector.count_row(fraction.get());
        if let Err(fault) = otto_session(&line, &mut choices, &mut orders) {
            collector.reject(Place::Line(number), 1, None, fault)?;
        }
    }
    simulate(choices, &orders, slates, collector)
}

#[derive(Deserialize)]
struct Session<'a> {
    #[serde(borrow)]
    session: &'a RawValue,
    events: Vec<Event<'a>>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    aid: &'a RawValue,
    ts: i64,
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
}

fn otto_session(line: &str, choices: &mut Choices, orders: &mut HashSet<Pick>) -> Checked {
    let session: Session<'_> = serde_json::from_str(line).map_err(|error| {
        Fault::new("row", "a session with events of aid, ts and type", error.to_string())
    })?;
    let id = json_id(session.session, "session")?;
    for event in &session.events {
        let pick = choices.add(&id, &json_id(event.aid, "aid")?, event.ts.div_euclid(MILLISECONDS));
        if kind(&event.kind, "type")? == EventKind::Order {
            orders.insert(pick);
        }
    }
    Ok(())
}

/// Reads RetailRocket's `events.csv`.
pub(crate) fn read_retail_rocket(
    source: Source<'_>,
    slates: &SimulatedSlates,
    collector: &mut Collector,
) -> Result<()> {
    let mut table = Table::open(source, b',', false, &RETAIL_ROCKET)?;
    let columns = table.columns(RETAIL_ROCKET)?;
    let (mut choices, mut orders) = (Choices::default(), HashSet::new());
    while let Some(row) = table.next()? {
        collector.count_row(row.fraction);
        match row.text().and_then(|text| event(text, columns)) {
            Ok((user, item, time, kind)) => {
                let pick = choices.add(user, item, time);
                if kind == EventKind::Order {
                    orders.insert(pick);
                }
            }
            Err(fault) => {
                let named = row.lone_field(columns[1]).filter(|_| slates.keep_all());
                collector.reject(row.place(), 1, named, fault)?;
            }
        }
    }
    simulate(choices, &orders, slates, collector)
}

fn event(
    row: Text<'_>,
    [time, user, event, item]: [usize; RETAIL_ROCKET.len()],
) -> Checked<(&str, &str, i64, EventKind)> {
    let time: i64 = row.number(time, "timestamp", WHOLE)?;
    let kind = kind(row.field(event, "event")?, "event")?;
    Ok((row.id(user, "visitorid")?, row.id(item, "itemid")?, time.div_euclid(MILLISECONDS), kind))
}

pub(super) fn kind(name: &str, field: &'static str) -> Checked<EventKind> {
    EventKind::of(name).ok_or_else(|| Fault::value(field, "a view, a cart or an order", name))
}

pub(super) fn simulate(
    choices: Choices,
    orders: &HashSet<Pick>,
    slates: &SimulatedSlates,
    collector: &mut Collector,
) -> Result<()> {
    let choices = choices.in_order();
    let pool = Pool::new(choices.picks.iter().map(|pick| (pick.day(), pick.item)).collect());
    let reward = |pick: &Pick| f32::from(u8::from(orders.contains(pick)));
    choices.simulate(pool, Pick::day, reward, slates, collector)
}
