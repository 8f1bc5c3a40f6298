//! Our schema as CSV: lists are separated by blanks inside one field, an empty `chosen` is no
//! choice.

use super::collector::{Collector, Place};
use super::schema::{COLUMNS, Entered, REQUIRED, Row, Steps};
use super::{Source, ahead, table};
use crate::error::Fault;
use crate::{Error, Result};

pub(super) fn read(source: Source<'_>, collector: &mut Collector) -> Result<()> {
    let path = source.path();
    let fraction = source.fraction();
    let (reader, header) = table::open(source, b',', true)?;
    if let Some(unknown) = header.iter().find(|name| !COLUMNS.contains(&name.as_str())) {
        let known = COLUMNS.join(", ");
        return Err(Error::file(
            &path,
            format!("its header has the unknown column {unknown:?}; the columns are {known}"),
        ));
    }
    if let Some(twice) =
        COLUMNS.iter().find(|name| header.iter().filter(|field| field == name).count() > 1)
    {
        return Err(Error::file(&path, format!("its header has the column {twice:?} twice")));
    }
    for name in &COLUMNS[..REQUIRED] {
        table::column(&path, &header, name)?;
    }
    let names: Vec<&'static str> = header
        .iter()
        .filter_map(|name| COLUMNS.into_iter().find(|column| column == name))
        .collect();
    let mut rows = Rows {
        columns: COLUMNS.map(|name| header.iter().position(|field| field == name)),
        propensity: Vec::new(),
    };
    let [session, ..] = rows.columns;
    let mut steps = Steps::default();
    ahead::for_each(&path, reader, fraction, |record, fraction| {
        collector.count_row(&|| fraction);
        match rows.take(record, &names, &mut steps, collector)? {
            Ok(()) => Ok(()),
            Err(fault) => {
                let named = session.and_then(|column| table::lone_field(record, column));
                steps.reject(collector, Place::Byte(table::byte(record)), named, fault)
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
        record: &csv::ByteRecord,
        names: &[&'static str],
        steps: &mut Steps,
        collector: &mut Collector,
    ) -> Result<Entered> {
        let (row, session, user) = match self.key(record, names) {
            Ok(key) => key,
            Err(fault) => return Ok(Err(fault)),
        };
        Ok(match steps.enter(collector, session, user)? {
            Ok(()) => self.step(row, steps, collector),
            fault => fault,
        })
    }

    fn key<'r>(
        &self,
        record: &'r csv::ByteRecord,
        names: &[&'static str],
    ) -> std::result::Result<(table::Text<'r>, &'r str, Option<&'r str>), Fault> {
        let row = table::Text::new(record, names)?;
        let [session, .., user, _, _] = self.columns;
        let session = row
            .optional(session, "session")?
            .ok_or_else(|| Fault::value("session", "an id", ""))?;
        Ok((row, session, row.optional(user, "user")?))
    }

    fn step(
        &mut self,
        row: table::Text<'_>,
        steps: &mut Steps,
        collector: &mut Collector,
    ) -> Entered {
        let [_, step, shown, chosen, reward, timestamp, _, propensity, left] = self.columns;
        let step =
            parse(row.optional(step, "step")?.unwrap_or_default(), "step", "a whole number")?;
        let chosen = row.optional(chosen, "chosen")?;
        let reward = parse(
            row.optional(reward, "reward")?.unwrap_or_default(),
            "reward",
            "a finite number",
        )?;
        let timestamp = row.optional(timestamp, "timestamp")?;
        let timestamp =
            timestamp.map(|text| parse(text, "timestamp", "a whole number")).transpose()?;
        let left = row.optional(left, "left")?.map(parse_left).transpose()?;
        let propensity = row.optional(propensity, "propensity")?;
        self.propensity.clear();
        for number in propensity.unwrap_or_default().split_ascii_whitespace() {
            self.propensity.push(parse(number, "propensity", "numbers separated by blanks")?);
        }
        let propensity = propensity.map(|_| &self.propensity[..]);
        collector.begin_slate();
        collector.show_words(row.optional(shown, "shown")?.unwrap_or_default());
        steps.take(collector, &Row { step, chosen, reward, timestamp, propensity, left })
    }
}

fn parse<T: std::str::FromStr>(
    text: &str,
    field: &'static str,
    expected: &'static str,
) -> std::result::Result<T, Fault> {
    text.trim_ascii().parse().map_err(|_| Fault::value(field, expected, text))
}

fn parse_left(text: &str) -> std::result::Result<bool, Fault> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Fault::value("left", "true or false", text)),
    }
}
