//! Our schema as CSV: lists are separated by blanks inside one field, an empty `chosen` is no
//! choice.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

use foretaste_data::{Choice, Dataset, Fault, Part};

use super::schema::{COLUMNS, Step, Steps, check_columns};
use super::writing::check_ids;
use crate::reader::{Checked, Collector, Row, Source, Table, Text, WHOLE, ahead};
use crate::{Error, Result};

pub(crate) fn read(source: Source<'_>, collector: &mut Collector) -> Result<()> {
    let table = Table::open(source, b',', true, &COLUMNS)?;
    check_columns(table.path(), table.header())?;
    let mut rows = Rows {
        columns: COLUMNS.map(|name| table.header().iter().position(|field| field == name)),
        propensity: Vec::new(),
    };
    let [session, ..] = rows.columns;
    let mut steps = Steps::default();
    ahead::for_each(table, |row| {
        collector.count_row(row.fraction);
        match rows.take(row, &mut steps, collector)? {
            Ok(()) => Ok(()),
            Err(fault) => {
                let named = session.and_then(|column| row.lone_field(column));
                steps.reject(collector, row.place(), named, fault)
            }
        }
    })?;
    steps.finish(collector)
}

struct Rows {
    /// Where each of [`COLUMNS`] stands in the file.
    columns: [Option<usize>; COLUMNS.len()],
    propensity: Vec<f32>,
}

impl Rows {
    fn take(
        &mut self,
        row: Row<'_>,
        steps: &mut Steps,
        collector: &mut Collector,
    ) -> Result<Checked> {
        let (text, session, user) = match self.key(row) {
            Ok(key) => key,
            Err(fault) => return Ok(Err(fault)),
        };
        Ok(match steps.enter(collector, session, user)? {
            Ok(()) => self.step(text, steps, collector),
            fault => fault,
        })
    }

    fn key<'r>(&self, row: Row<'r>) -> Checked<(Text<'r>, &'r str, Option<&'r str>)> {
        let text = row.text()?;
        let [session, .., user, _, _] = self.columns;
        let session = text.optional(session, "session")?;
        let session = session.ok_or_else(|| Fault::value("session", "an id", ""))?;
        Ok((text, session, text.optional(user, "user")?))
    }

    fn step(&mut self, row: Text<'_>, steps: &mut Steps, collector: &mut Collector) -> Checked {
        let [_, step, shown, chosen, reward, timestamp, _, propensity, left] = self.columns;
        let step = parse(row.optional(step, "step")?.unwrap_or_default(), "step", WHOLE)?;
        let chosen = row.optional(chosen, "chosen")?;
        let reward = parse(
            row.optional(reward, "reward")?.unwrap_or_default(),
            "reward",
            "a finite number",
        )?;
        let timestamp = row.optional(timestamp, "timestamp")?;
        let timestamp = timestamp.map(|text| parse(text, "timestamp", WHOLE)).transpose()?;
        let left = row.optional(left, "left")?.map(parse_left).transpose()?;
        let propensity = row.optional(propensity, "propensity")?;
        self.propensity.clear();
        for number in propensity.unwrap_or_default().split_ascii_whitespace() {
            self.propensity.push(parse(number, "propensity", "numbers separated by blanks")?);
        }
        let propensity = propensity.map(|_| &self.propensity[..]);
        collector.begin_slate();
        collector.show_words(row.optional(shown, "shown")?.unwrap_or_default());
        steps.take(collector, &Step { number: step, chosen, reward, timestamp, propensity, left })
    }
}

fn parse<T: std::str::FromStr>(
    text: &str,
    field: &'static str,
    expected: &'static str,
) -> Checked<T> {
    text.trim_ascii().parse().map_err(|_| Fault::value(field, expected, text))
}

fn parse_left(text: &str) -> Checked<bool> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Fault::value("left", "true or false", text)),
    }
}

pub(crate) fn write(dataset: &Dataset, path: &Path, file: &mut impl Write) -> Result<()> {
    let failed = |error: csv::Error| Error::file(path, format!("cannot be written: {error}"));
    check_ids(path, dataset.catalogue.names().iter(), |c| c.is_ascii_whitespace())?;
    let breaks = |c| matches!(c, '\n' | '\r');
    check_ids(path, dataset.users.iter(), breaks)?;
    let log = &dataset.log;
    check_ids(
        path,
        (0..log.sessions()).filter_map(|session| dataset.sessions.get(session)),
        breaks,
    )?;
    let (timestamps, users) = (dataset.has(Part::Timestamps), dataset.has(Part::Users));
    let propensities = dataset.has(Part::Propensities);
    let mut header = vec!["session", "step", "shown", "chosen", "reward", "left"];
    header.extend(timestamps.then_some("timestamp"));
    header.extend(users.then_some("user"));
    header.extend(propensities.then_some("propensity"));
    let mut writer = csv::Writer::from_writer(file);
    writer.write_record(&header).map_err(failed)?;
    let (mut shown, mut propensity) = (String::new(), String::new());
    for session in log.iter() {
        let name = dataset.session_name(session.index());
        let user = session.user().map(|user| dataset.user_name(user)).unwrap_or_default();
        for (t, step) in session.steps().enumerate() {
            shown.clear();
            for (place, &item) in step.slate.iter().enumerate() {
                shown.push_str(if place == 0 { "" } else { " " });
                shown.push_str(dataset.catalogue.raw(item));
            }
            let chosen = step.choice.item().map_or("", |item| dataset.catalogue.raw(item));
            let left = if step.choice == Choice::Leave { "true" } else { "false" };
            let fields = [&*name, &t.to_string(), &shown, chosen, &step.reward.to_string(), left];
            fields.iter().try_for_each(|field| writer.write_field(field)).map_err(failed)?;
            if timestamps {
                let time = step.timestamp.map(|time| time.to_string()).unwrap_or_default();
                writer.write_field(time).map_err(failed)?;
            }
            if users {
                writer.write_field(&user).map_err(failed)?;
            }
            if propensities {
                propensity.clear();
                for (place, number) in step.propensity.unwrap_or_default().iter().enumerate() {
                    // Writing into a string cannot fail.
                    let _ = write!(propensity, "{}{number}", if place == 0 { "" } else { " " });
                }
                writer.write_field(&propensity).map_err(failed)?;
            }
            writer.write_record(None::<&[u8]>).map_err(failed)?;
        }
    }
    writer.flush().map_err(|source| foretaste_files::Error::io(path, source))?;
    Ok(())
}
