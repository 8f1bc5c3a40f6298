//! The GAN-CDQN authors' tab-separated files: one row per item shown; rows with the same
//! `session_new_index` and `Time` are one display, in which exactly one item is clicked.

use hashbrown::HashSet;

use super::collector::{Answer, Collector, Place};
use super::{Source, table};
use crate::error::Fault;
use crate::split::Side;
use crate::{Result, Split};

/// The header, in the order of the files.
pub(crate) const HEADER: [&str; 8] = [
    "SessionId",
    "Time",
    "ItemId",
    "is_click",
    "raw_index",
    "session_new_index",
    "item_new_index",
    "tr_val_tst",
];

const SESSION: &str = "session_new_index";

pub(super) fn read(source: Source<'_>, collector: &mut Collector) -> Result<Split> {
    let path = source.path();
    let fraction = source.fraction();
    let (mut reader, header) = table::open(source, b'\t', false)?;
    let (columns, names) = table::columns(&path, &header, HEADER)?;
    let mut user = User::default();
    let mut sides = Vec::new();
    // Whether a row was lost since the last one of which the session is known: it may belong to the
    // next session too.
    let mut lost_row = false;
    let mut record = csv::ByteRecord::new();
    while table::next(&path, &mut reader, &mut record)? {
        collector.count_row(&fraction);
        let place = Place::Byte(table::byte(&record));
        let row = table::Text::new(&record, &names)
            .and_then(|row| Ok((row, row.number::<u64>(columns[5], SESSION, "a whole number")?)));
        let (row, session) = match row {
            Ok(row) => row,
            Err(fault) => {
                (user.lost_row, lost_row) = (true, true);
                let named =
                    table::lone_number(&record, columns[5]).map(|session| session.to_string());
                collector.reject(place, 1, named.as_deref(), fault)?;
                continue;
            }
        };
        if user.session != Some(session) {
            sides.extend(user.close(collector)?);
            (user.session, user.lost_row) = (Some(session), lost_row);
            user.refused = collector.open(&session.to_string()).err();
        }
        lost_row = false;
        let taken = match &user.refused {
            Some(fault) => Err(fault.clone()),
            None => user.take(row, columns, place),
        };
        if let Err(fault) = taken {
            collector.reject(place, 1, Some(&session.to_string()), fault)?;
        }
    }
    sides.extend(user.close(collector)?);
    Ok(Split::from_sides(sides.len(), |session| sides[session]))
}

/// The rows of the user being read: one session. They are held until the user ends, because
/// displays are put into the order of their times.
#[derive(Default)]
struct User {
    session: Option<u64>,
    refused: Option<Fault>,
    name: String,
    side: Option<Side>,
    names: String,
    rows: Vec<Row>,
    /// Times of displays that lost a row.
    spoiled: HashSet<i64>,
    /// Whether a row was lost that may have belonged to any display.
    lost_row: bool,
}

struct Row {
    place: Place,
    time: i64,
    /// Where the item's raw id ends in `names`; it begins where the one before ends.
    start: usize,
    end: usize,
    clicked: bool,
}

impl User {
    fn take(
        &mut self,
        row: table::Text<'_>,
        [session_id, time, item, is_click, raw_index, _, item_index, side]: [usize; HEADER.len()],
        place: Place,
    ) -> std::result::Result<(), Fault> {
        let time =
            row.number(time, "Time", "a whole number").inspect_err(|_| self.lost_row = true)?;
        let parsed = (|| {
            let name = row.field(session_id, "SessionId")?;
            let item = row.field(item, "ItemId")?;
            if item.is_empty() || name.is_empty() {
                let field = if item.is_empty() { "ItemId" } else { "SessionId" };
                return Err(Fault::value(field, "an id", ""));
            }
            let clicked = match row.field(is_click, "is_click")? {
                "0" => false,
                "1" => true,
                other => return Err(Fault::value("is_click", "0 or 1", other)),
            };
            row.number::<u64>(raw_index, "raw_index", "a whole number")?;
            row.number::<u64>(item_index, "item_new_index", "a whole number")?;
            let side = match row.field(side, "tr_val_tst")? {
                "0" => Side::Train,
                "1" => Side::Validation,
                "2" => Side::Test,
                other => return Err(Fault::value("tr_val_tst", "0, 1 or 2", other)),
            };
            if self.side.is_some_and(|known| known != side) {
                let found = (side as usize).to_string();
                return Err(Fault::new(
                    "tr_val_tst",
                    "the same side for all rows of a user",
                    found,
                ));
            }
            if !self.name.is_empty() && self.name != name {
                return Err(Fault::value(
                    "SessionId",
                    "the same id for all rows of a session_new_index",
                    name,
                ));
            }
            Ok((name, item, clicked, side))
        })();
        let (name, item, clicked, side) = parsed.inspect_err(|_| self.spoiled.extend([time]))?;
        if self.name.is_empty() {
            self.name.push_str(name);
        }
        self.side = Some(side);
        let start = self.names.len();
        self.names.push_str(item);
        self.rows.push(Row { place, time, start, end: self.names.len(), clicked });
        Ok(())
    }

    /// Collects the displays in the order of their times; the user's side of the split, if a
    /// display was left.
    fn close(&mut self, collector: &mut Collector) -> Result<Option<Side>> {
        let user = std::mem::take(self);
        let Some(session) = user.session.filter(|_| user.refused.is_none()) else {
            return Ok(None);
        };
        let User { name, side, names, mut rows, spoiled, lost_row, .. } = user;
        rows.sort_by_key(|row| row.time);
        let (mut kept, mut shown) = (false, HashSet::new());
        for display in rows.chunk_by(|a, b| a.time == b.time) {
            let first = &display[0];
            let pushed = if lost_row || spoiled.contains(&first.time) {
                Err(Fault::new(
                    "row",
                    "a display whose rows can all be read",
                    "a display that lost one",
                ))
            } else {
                push(collector, &names, display, &mut shown)
            };
            match pushed {
                Ok(()) => kept = true,
                Err(fault) => {
                    collector.reject(
                        first.place,
                        display.len() as u64,
                        Some(&session.to_string()),
                        fault,
                    )?;
                }
            }
        }
        collector.close(Some(&name))?;
        Ok(side.filter(|_| kept))
    }
}

/// Collects one display: repeated rows of an item are one, clicked if any of them is.
fn push<'n>(
    collector: &mut Collector,
    names: &'n str,
    display: &[Row],
    shown: &mut HashSet<&'n str>,
) -> std::result::Result<(), Fault> {
    let name = |row: &Row| &names[row.start..row.end];
    let mut clicked = None;
    collector.begin_slate();
    shown.clear();
    for row in display {
        let item = name(row);
        if shown.insert(item) {
            collector.show(item);
        }
        match clicked {
            _ if !row.clicked => {}
            None => clicked = Some(item),
            Some(other) if other == item => {}
            Some(_) => {
                return Err(Fault::value(
                    "is_click",
                    "one clicked item in a display, found a second",
                    item,
                ));
            }
        }
    }
    let Some(clicked) = clicked else {
        return Err(Fault::new("is_click", "one clicked item in a display", "none"));
    };
    let timestamp = display.first().map(|row| row.time);
    collector.push(&Answer { choice: Ok(clicked), reward: 1.0, propensity: None, timestamp })
}
