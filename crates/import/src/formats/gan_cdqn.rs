//! The GAN-CDQN authors' tab-separated files: one row per item shown; rows with the same
//! `session_new_index` and `Time` are one slate, in which exactly one item is clicked.

use std::io::Write;
use std::path::Path;

use foretaste_data::{Dataset, Fault, Split, Subset};
use hashbrown::HashSet;

use super::writing::{check_ids, session_number, unheld};
use crate::Result;
use crate::reader::{Answer, Checked, Collector, Place, Source, Table, Text, WHOLE};

/// The header, in the order of the files.
const HEADER: [&str; 8] = [
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

/// How the column `tr_val_tst` writes the subsets of a split.
const SUBSETS: [(Subset, &str); 3] =
    [(Subset::Train, "0"), (Subset::Validation, "1"), (Subset::Test, "2")];

pub(crate) fn read(source: Source<'_>, collector: &mut Collector) -> Result<Split> {
    let mut table = Table::open(source, b'\t', false, &HEADER)?;
    let columns = table.columns(HEADER)?;
    let mut user = User::default();
    let mut subsets = Vec::new();
    // Whether a row was lost since the last one of which the session is known: it may belong to the
    // next session too.
    let mut lost_row = false;
    while let Some(row) = table.next()? {
        collector.count_row(row.fraction);
        let place = row.place();
        let text = row.text();
        let text =
            text.and_then(|text| Ok((text, text.number::<u64>(columns[5], SESSION, WHOLE)?)));
        let (text, session) = match text {
            Ok(text) => text,
            Err(fault) => {
                (user.lost_row, lost_row) = (true, true);
                let named = row.lone_number(columns[5]).map(|session| session.to_string());
                collector.reject(place, 1, named.as_deref(), fault)?;
                continue;
            }
        };
        if user.session != Some(session) {
            subsets.extend(user.close(collector)?);
            (user.session, user.lost_row) = (Some(session), lost_row);
            user.refused = collector.open(&session.to_string()).err();
        }
        lost_row = false;
        let taken = match &user.refused {
            Some(fault) => Err(fault.clone()),
            None => user.take(text, columns, place),
        };
        if let Err(fault) = taken {
            collector.reject(place, 1, Some(&session.to_string()), fault)?;
        }
    }
    subsets.extend(user.close(collector)?);
    Ok(subsets.into_iter().collect())
}

/// The rows of the user being read: one session. They are held until the user ends, because
/// slates are put into the order of their times.
#[derive(Default)]
struct User {
    session: Option<u64>,
    refused: Option<Fault>,
    name: String,
    subset: Option<Subset>,
    names: String,
    rows: Vec<Row>,
    /// Times of slates that lost a row.
    spoiled: HashSet<i64>,
    /// Whether a row was lost that may have belonged to any slate.
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
        row: Text<'_>,
        [session_id, time, item, is_click, raw_index, _, item_index, subset]: [usize; HEADER.len()],
        place: Place,
    ) -> Checked {
        let time = row.number(time, "Time", WHOLE).inspect_err(|_| self.lost_row = true)?;
        let parsed = (|| {
            let name = row.id(session_id, "SessionId")?;
            let item = row.id(item, "ItemId")?;
            let clicked = row.flag(is_click, "is_click")?;
            row.number::<u64>(raw_index, "raw_index", WHOLE)?;
            row.number::<u64>(item_index, "item_new_index", WHOLE)?;
            let found = row.field(subset, "tr_val_tst")?;
            let subset = SUBSETS.into_iter().find(|(_, code)| *code == found);
            let Some((subset, _)) = subset else {
                return Err(Fault::value("tr_val_tst", "0, 1 or 2", found));
            };
            if self.subset.is_some_and(|known| known != subset) {
                return Err(Fault::new(
                    "tr_val_tst",
                    "the same number for all rows of a user",
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
            Ok((name, item, clicked, subset))
        })();
        let (name, item, clicked, subset) = parsed.inspect_err(|_| self.spoiled.extend([time]))?;
        if self.name.is_empty() {
            self.name.push_str(name);
        }
        self.subset = Some(subset);
        let start = self.names.len();
        self.names.push_str(item);
        self.rows.push(Row { place, time, start, end: self.names.len(), clicked });
        Ok(())
    }

    /// Collects the slates in the order of their times; the user's subset of the split, if a
    /// slate was left.
    fn close(&mut self, collector: &mut Collector) -> Result<Option<Subset>> {
        let user = std::mem::take(self);
        let Some(session) = user.session.filter(|_| user.refused.is_none()) else {
            return Ok(None);
        };
        let User { name, subset, names, mut rows, spoiled, lost_row, .. } = user;
        rows.sort_by_key(|row| row.time);
        let (mut kept, mut shown) = (false, HashSet::new());
        for slate in rows.chunk_by(|a, b| a.time == b.time) {
            let first = &slate[0];
            let pushed = if lost_row || spoiled.contains(&first.time) {
                Err(Fault::new(
                    "row",
                    "a slate whose rows can all be read",
                    "a slate that lost one",
                ))
            } else {
                push(collector, &names, slate, &mut shown)
            };
            match pushed {
                Ok(()) => kept = true,
                Err(fault) => {
                    collector.reject(
                        first.place,
                        slate.len() as u64,
                        Some(&session.to_string()),
                        fault,
                    )?;
                }
            }
        }
        collector.close(Some(&name))?;
        Ok(subset.filter(|_| kept))
    }
}

/// Collects one slate: repeated rows of an item are one, clicked if any of them is.
fn push<'n>(
    collector: &mut Collector,
    names: &'n str,
    slate: &[Row],
    shown: &mut HashSet<&'n str>,
) -> Checked {
    let name = |row: &Row| &names[row.start..row.end];
    let mut clicked = None;
    collector.begin_slate();
    shown.clear();
    for row in slate {
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
                    "one clicked item in a slate, found a second",
                    item,
                ));
            }
        }
    }
    let Some(clicked) = clicked else {
        return Err(Fault::new("is_click", "one clicked item in a slate", "none"));
    };
    let timestamp = slate.first().map(|row| row.time);
    collector.push(&Answer { choice: Ok(clicked), reward: 1.0, propensity: None, timestamp })
}

pub(crate) fn write(dataset: &Dataset, path: &Path, file: &mut impl Write) -> Result<()> {
    let io = |source| foretaste_files::Error::io(path, source);
    let separates = |c: char| matches!(c, '\t' | '\n' | '\r');
    check_ids(path, dataset.catalogue.names().iter().chain(dataset.users.iter()), separates)?;
    let log = &dataset.log;
    let split = dataset.split.clone().unwrap_or_default();
    let subsets = split.subsets(log.sessions());
    let numbers = dataset.sessions.are_numbers();
    writeln!(file, "{}", HEADER.join("\t")).map_err(io)?;
    let mut row = 0_u64;
    for session in log.iter() {
        let number = session_number(dataset, session, numbers);
        let subset = subsets[session.index()];
        let code = SUBSETS.iter().find(|(known, _)| *known == subset).map_or("", |(_, code)| code);
        let user = match session.user() {
            Some(user) => dataset.user_name(user),
            None if dataset.users.get(&number).is_some() => {
                let problem = format!(
                    "a session without a user, whose number {number:?} is also the id of a user"
                );
                return Err(unheld(dataset, path, session, 0, &problem));
            }
            None => number.to_string(),
        };
        let mut last = None;
        for (t, step) in session.steps().enumerate() {
            let Some(clicked) = step.choice.item() else {
                return Err(unheld(dataset, path, session, t, "a step without a click"));
            };
            if step.reward != 1.0 {
                return Err(unheld(dataset, path, session, t, "a reward other than 1"));
            }
            let time = step.timestamp.unwrap_or(t as i64);
            if last.is_some_and(|last| last >= time) {
                let problem = "a time that is not above the one before it";
                return Err(unheld(dataset, path, session, t, problem));
            }
            last = Some(time);
            for &item in step.slate {
                let (raw, click) = (dataset.catalogue.raw(item), u8::from(item == clicked));
                let index = item.0;
                writeln!(file, "{user}\t{time}\t{raw}\t{click}\t{row}\t{number}\t{index}\t{code}")
                    .map_err(io)?;
                row += 1;
            }
        }
    }
    Ok(())
}
