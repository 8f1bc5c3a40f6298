//! trivago's RecSys Challenge 2019: one row per action of a user; a click-out has the list that was
//! shown.
//!
//! Adamczak et al., "Session-based hotel recommendations dataset", ACM TIST 12(1), 2020.

use std::path::Path;

use foretaste_data::Fault;

use crate::Result;
use crate::reader::arrow_columns::{Ids, integers};
use crate::reader::parquet::{Batch, for_each_row};
use crate::reader::{Answer, Checked, Collector, Place, Progress, Source, Table, WHOLE, column};

/// The columns that are read, of twelve.
pub(crate) const COLUMNS: [&str; 7] =
    ["user_id", "session_id", "timestamp", "step", "action_type", "reference", "impressions"];

const CLICK_OUT: &str = "clickout item";

pub(crate) fn read(
    path: &Path,
    progress: Option<Progress<'_>>,
    collector: &mut Collector,
) -> Result<()> {
    match Source::open(path, None)?.start(path)?.starts_with(b"PAR1") {
        true => read_parquet(path, progress, collector),
        false => read_csv(Source::open(path, progress)?.within(collector.limits()), collector),
    }
}

fn read_csv(source: Source<'_>, collector: &mut Collector) -> Result<()> {
    let mut table = Table::open(source, b',', true, &COLUMNS)?;
    let [user, session, timestamp, step, action, reference, impressions] =
        table.columns(COLUMNS)?;
    let mut sessions = Sessions::default();
    while let Some(row) = table.next()? {
        collector.count_row(row.fraction);
        let action = row.text().and_then(|text| {
            text.number::<u64>(step, "step", WHOLE)?;
            Ok(Action {
                user: text.field(user, "user_id")?,
                session: text.field(session, "session_id")?,
                timestamp: text.number(timestamp, "timestamp", WHOLE)?,
                action: text.field(action, "action_type")?,
                reference: text.field(reference, "reference")?,
                impressions: text.field(impressions, "impressions")?,
            })
        });
        let named = || id(row.lone_field(user)?, row.lone_field(session)?);
        sessions.take(action, named, row.place(), collector)?;
    }
    sessions.finish(collector)
}

fn read_parquet(
    path: &Path,
    progress: Option<Progress<'_>>,
    collector: &mut Collector,
) -> Result<()> {
    let mut sessions = Sessions::default();
    let check =
        |names: &[&str]| COLUMNS.iter().try_for_each(|name| column(path, names, name).map(drop));
    let limits = *collector.limits();
    for_each_row(path, &limits, progress, check, Columns::new, |columns, index, row, fraction| {
        collector.count_row(fraction);
        sessions.take(columns.row(index), || columns.id(index), Place::Line(row), collector)
    })?;
    sessions.finish(collector)
}

/// The columns of one batch of a Parquet file.
struct Columns {
    text: [Ids; 5],
    timestamp: Vec<Option<i64>>,
    step: Vec<Option<i64>>,
}

impl Columns {
    fn new(batch: &Batch<'_>) -> Result<Self> {
        let text = |name| batch.required(name, Ids::new);
        let number = |name| batch.required(name, integers);
        let text = [
            text("user_id")?,
            text("session_id")?,
            text("action_type")?,
            text("reference")?,
            text("impressions")?,
        ];
        Ok(Self { text, timestamp: number("timestamp")?, step: number("step")? })
    }

    fn id(&self, index: usize) -> Option<String> {
        let [user, session, ..] = &self.text;
        id(user.get(index)?, session.get(index)?)
    }

    fn row(&self, index: usize) -> Checked<Action<'_>> {
        let [user, session, action, reference, impressions] =
            self.text.each_ref().map(|column| column.get(index).unwrap_or_default());
        let number = |column: &[Option<i64>], name| {
            column[index].ok_or_else(|| Fault::new(name, WHOLE, "null"))
        };
        number(&self.step, "step")?;
        Ok(Action {
            user,
            session,
            timestamp: number(&self.timestamp, "timestamp")?,
            action,
            reference,
            impressions,
        })
    }
}

/// An action; what the file does not give is empty.
struct Action<'a> {
    user: &'a str,
    session: &'a str,
    timestamp: i64,
    action: &'a str,
    reference: &'a str,
    impressions: &'a str,
}

/// The id of a session in the log; `None` if either part is missing.
fn id(user: &str, session: &str) -> Option<String> {
    (!user.is_empty() && !session.is_empty()).then(|| format!("{user} {session}"))
}

/// Collects the click-outs of sessions whose rows stand together.
#[derive(Default)]
struct Sessions {
    open: Option<Open>,
    /// Rows of other actions.
    others: u64,
}

struct Open {
    user: String,
    session: String,
    /// Why the session as a whole was refused: its rows go by, each with this fault.
    refused: Option<Fault>,
}

impl Sessions {
    fn take(
        &mut self,
        row: Checked<Action<'_>>,
        named: impl Fn() -> Option<String>,
        place: Place,
        collector: &mut Collector,
    ) -> Result<()> {
        let row = match row {
            Ok(row) => row,
            Err(fault) => return collector.reject(place, 1, named().as_deref(), fault),
        };
        let taken = self.enter(&row, collector)?.and_then(|()| self.step(&row, collector));
        taken.or_else(|fault| collector.reject(place, 1, named().as_deref(), fault))
    }

    /// Goes to the session of a row. Session ids are a user's own: another may have the same.
    fn enter(&mut self, row: &Action<'_>, collector: &mut Collector) -> Result<Checked> {
        for (field, id) in [("user_id", row.user), ("session_id", row.session)] {
            if id.is_empty() {
                return Ok(Err(Fault::value(field, "an id", "")));
            }
        }
        if let Some(open) = &self.open
            && open.user == row.user
            && open.session == row.session
        {
            return Ok(open.refused.clone().map_or(Ok(()), Err));
        }
        self.close(collector)?;
        let entered = collector.open(&format!("{} {}", row.user, row.session));
        let refused = entered.clone().err();
        self.open =
            Some(Open { user: row.user.to_owned(), session: row.session.to_owned(), refused });
        Ok(entered)
    }

    fn step(&mut self, row: &Action<'_>, collector: &mut Collector) -> Checked {
        if row.action != CLICK_OUT {
            self.others += 1;
            return Ok(());
        }
        if row.impressions.is_empty() {
            return Err(Fault::value("impressions", "the items shown, separated by |", ""));
        }
        if row.reference.is_empty() {
            collector.leave_out(&Fault::value(
                "reference",
                "the item clicked, which a test file withholds",
                "",
            ));
            return Ok(());
        }
        if !row.impressions.split('|').any(|item| item == row.reference) {
            collector.leave_out(&Fault::value(
                "reference",
                "an item of the impressions",
                row.reference,
            ));
            return Ok(());
        }
        collector.begin_slate();
        for item in row.impressions.split('|') {
            if item.is_empty() {
                return Err(Fault::value("impressions", "ids that are not empty", row.impressions));
            }
            collector.show(item);
        }
        let (choice, timestamp) = (Ok(row.reference), Some(row.timestamp));
        collector.push(&Answer { choice, reward: 1.0, propensity: None, timestamp })
    }

    fn close(&mut self, collector: &mut Collector) -> Result<()> {
        match self.open.take() {
            Some(Open { user, refused: None, .. }) => collector.close(Some(&user)),
            _ => Ok(()),
        }
    }

    fn finish(mut self, collector: &mut Collector) -> Result<()> {
        self.close(collector)?;
        collector.note(format!("{} rows are of other actions than click-outs", self.others));
        Ok(())
    }
}
