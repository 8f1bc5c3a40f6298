//! MIND, news impressions: `behaviors.tsv`, one row per impression, without a header: its id, the
//! user, the time, the news that the user read before, and the news shown, each with whether it was
//! clicked.
//!
//! Wu et al., "MIND: a large-scale dataset for news recommendation", ACL 2020.

use foretaste_data::Fault;
use hashbrown::HashSet;

use super::steps::{Key, Steps};
use crate::reader::record::{List, Record, Strings};
use crate::reader::times::Times;
use crate::reader::{Checked, Collector, Source, Table, Text};
use crate::{Layout, Result};

const COLUMNS: [&str; 5] = ["impression id", "user id", "time", "history", "impressions"];

pub(crate) fn read(source: Source<'_>, collector: &mut Collector) -> Result<()> {
    // Rows are in no order; a user's are a session, in the order of their times.
    let layout = Layout { sort: true, ..Layout::default() };
    let (mut steps, mut times) = (Steps::new(&layout), Times::new(&layout)?);
    let mut table = Table::without_header(source, b'\t', &COLUMNS);
    let (mut known, mut slate) = (HashSet::new(), Slate::default());
    while let Some(row) = table.next()? {
        collector.count_row(row.fraction);
        let text = row.text().and_then(|text| Ok((text, text.id(1, COLUMNS[1])?)));
        let (text, user) = match text {
            Ok(text) => text,
            Err(fault) => {
                collector.reject(row.place(), 1, row.lone_field(1), fault)?;
                continue;
            }
        };
        let key = || Ok(Key { session: Some(user), user: Some(user) });
        // What a user read before is the same on all rows.
        if known.insert(user.to_owned()) {
            let history = text.field(3, COLUMNS[3]).map(|history| Record {
                event: Some("history"),
                chosen: List::Words(history),
                ..Record::default()
            });
            if history.as_ref().is_ok_and(|history| !history.chosen.is_empty()) {
                steps.row(collector, row.place(), key(), None, |record| {
                    *record = history?;
                    Ok(())
                })?;
            }
        }
        match slate.take(text, &mut times) {
            Ok(None) => collector.leave_out(&Fault::value(
                "impressions",
                "what was clicked, which a test file withholds",
                "",
            )),
            Ok(Some(time)) => {
                steps.row(collector, row.place(), key(), None, |record| {
                    *record = slate.record(time);
                    Ok(())
                })?;
            }
            Err(fault) => collector.reject(row.place(), 1, Some(user), fault)?,
        }
    }
    steps.set_unit(times.unit());
    steps.finish(collector)
}

/// The news of an impression.
#[derive(Default)]
struct Slate {
    items: Strings,
    clicked: Vec<bool>,
}

impl Slate {
    /// Reads a row; its time, and nothing where clicks are withheld.
    fn take(&mut self, row: Text<'_>, times: &mut Times) -> Checked<Option<i64>> {
        let time = times.parse(row.field(2, COLUMNS[2])?, COLUMNS[2])?;
        self.items.clear();
        self.clicked.clear();
        for shown in row.field(4, COLUMNS[4])?.split_ascii_whitespace() {
            match shown.rsplit_once('-') {
                Some((item, flag @ ("0" | "1"))) => {
                    self.items.push(item);
                    self.clicked.push(flag == "1");
                }
                _ if self.items.len() == 0 => return Ok(None),
                _ => {
                    let expected = "news with 0 or 1, such as N1-0";
                    return Err(Fault::value("impressions", expected, shown));
                }
            }
        }
        Ok(Some(time))
    }

    fn record(&self, time: i64) -> Record<'_> {
        Record {
            time: Some(time),
            shown: List::Owned(&self.items),
            clicked: Some(&self.clicked),
            ..Record::default()
        }
    }
}
