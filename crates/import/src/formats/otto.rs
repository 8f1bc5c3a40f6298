//! OTTO's sessions of events in a shop, without slates: JSON Lines, a session a line.

use std::borrow::Cow;

use foretaste_data::{Fault, TimeUnit};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::shop_events::{ShopEvents, is_order};
use crate::Result;
use crate::reader::lines::Lines;
use crate::reader::record::json_id;
use crate::reader::{Checked, Collector, Place, Source};
use crate::slates::SimulatedSlates;

pub(crate) fn read(
    source: Source<'_>,
    slates: &SimulatedSlates,
    collector: &mut Collector,
) -> Result<()> {
    let fraction = source.fraction();
    let mut events = ShopEvents::default();
    for line in Lines::of(source) {
        let (number, line) = line?;
        if line.trim().is_empty() {
            continue;
        }
        collector.count_row(fraction.get());
        if let Err(fault) = session(&line, &mut events) {
            collector.reject(Place::Line(number), 1, None, fault)?;
        }
    }
    events.simulate(slates, collector)
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
    /// Milliseconds since 1970.
    ts: i64,
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

fn session(line: &str, events: &mut ShopEvents) -> Checked {
    let session: Session<'_> = serde_json::from_str(line).map_err(|error| {
        Fault::new("row", "a session with events of aid, ts and type", error.to_string())
    })?;
    let id = json_id(session.session, "session")?;
    for event in &session.events {
        let item = json_id(event.aid, "aid")?;
        let seconds = event.ts.div_euclid(TimeUnit::Milliseconds.per_second());
        events.add(&id, &item, seconds, is_order(&event.kind, "type")?);
    }
    Ok(())
}
