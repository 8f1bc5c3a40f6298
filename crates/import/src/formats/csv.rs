//! Our schema as delimited text: lists are separated by blanks inside one field, an empty `chosen`
//! is no choice.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

use foretaste_data::{Choice, Dataset, Fault, ItemId, Part};

use super::schema::{COLUMNS, Column, Places, Stands};
use super::steps::{Key, Steps};
use super::writing::{
    check_ids, context_columns, context_texts, not_written, own_rewards, propensity_column,
    written_propensity,
};
use crate::parts::Part as File;
use crate::reader::record::{List, Record, Strings, whole};
use crate::reader::times::Times;
use crate::reader::{Checked, Collector, Source, Table, Text, WHOLE, ahead};
use crate::{Error, Layout, Result};

pub(crate) fn read(
    source: Source<'_>,
    part: &File,
    layout: &Layout,
    times: &mut Times,
    steps: &mut Steps<'_>,
    collector: &mut Collector,
) -> Result<()> {
    let (source, delimiter) = match layout.delimiter {
        Some(delimiter) => (source, delimiter),
        None => source.delimiter()?,
    };
    let delimiter = u8::try_from(delimiter).map_err(|_| {
        Error::file(&part.path, format!("cannot be split at {delimiter:?}, which is not ASCII"))
    })?;
    let mut table = Table::open(source, delimiter, true, &COLUMNS)?;
    let mut places = Places::find(table.path(), table.header(), &part.partition, layout)?;
    table.rename(|at| places.name_at(at));
    collector.ignore(&places.ignored);
    if let Some(kind) = places.propensities {
        steps.declare(kind).map_err(|fault| Error::file(&part.path, fault.to_string()))?;
    }
    let context = collector.in_order(std::mem::take(&mut places.context));
    let named_by = places.of(Column::Session).or(places.of(Column::User));
    let mut scratch = Scratch {
        times,
        numbers: Default::default(),
        flags: Vec::new(),
        context,
        texts: Strings::default(),
    };
    ahead::for_each(table, |row| {
        collector.count_row(row.fraction);
        let text = row.text();
        let key = text.clone().and_then(|text| key(text, &places));
        let named = match &key {
            Ok(_) => None,
            Err(_) => named_by.and_then(|column| row.lone_field(column)),
        };
        steps.row(collector, row.place(), key, named, |record| {
            scratch.fill(record, text?, &places, layout)
        })
    })?;
    steps.set_unit(times.unit());
    Ok(())
}

/// What of a row is no text of the file.
struct Scratch<'t> {
    times: &'t mut Times,
    /// Rewards and propensities.
    numbers: [Vec<f32>; 2],
    flags: Vec<bool>,
    /// Where the columns of the context stand, in the order of their numbers.
    context: Vec<Option<Stands>>,
    texts: Strings,
}

/// What programs write for a number that is none.
const NULLS: [&str; 8] = ["nan", "null", "none", "na", "<na>", "\\n", "nat", "n/a"];

fn key<'r>(row: Text<'r>, places: &'r Places) -> Checked<Key<'r>> {
    let field = |column: Column| match places.of(column) {
        None => Ok(places.constant(column)),
        at => optional(row, at, column),
    };
    Ok(Key { session: field(Column::Session)?, user: field(Column::User)? })
}

/// A field, if it holds something: `\\N` is what Hive and MySQL write for nothing.
fn optional<'r>(row: Text<'r>, at: Option<usize>, column: Column) -> Checked<Option<&'r str>> {
    let field = row.optional(at, COLUMNS[column as usize])?;
    Ok(field.filter(|field| *field != "\\N"))
}

impl Scratch<'_> {
    fn fill<'r>(
        &'r mut self,
        record: &mut Record<'r>,
        row: Text<'r>,
        places: &Places,
        layout: &Layout,
    ) -> Checked {
        let Self { times, numbers: [rewards, propensities], flags, context, texts } = self;
        let field = |column: Column| -> Checked<Option<&'r str>> {
            match places.of(column) {
                None => Ok(None),
                at => optional(row, at, column),
            }
        };
        let list = |column: Column| -> Checked<List<'r>> {
            let text = field(column)?.unwrap_or_default();
            Ok(List::of_field(text, layout.list_separator))
        };
        record.shown = list(Column::Shown)?;
        record.number = match places.of(Column::Step) {
            Some(_) => Some(number(field(Column::Step)?.unwrap_or_default(), "step", WHOLE)?),
            None => None,
        };
        record.chosen = chosen(field(Column::Chosen)?.unwrap_or_default(), layout);
        if places.has_rare() {
            record.item = field(Column::Item)?.map(whole);
            record.event = field(Column::Event)?;
            record.slate = field(Column::Slate)?;
            record.candidates = list(Column::Candidates)?;
            if let Some(text) = field(Column::Clicked)? {
                flags.clear();
                List::of_field(text, layout.list_separator).each("clicked", |text| {
                    flags.push(flag(text, "clicked")?);
                    Ok(())
                })?;
                record.clicked = Some(flags);
            }
            if let Some(text) = field(Column::Position)? {
                record.position = Some(number(text, "position", WHOLE)?);
            }
        }
        if let Some(text) = field(Column::Timestamp)?.filter(|text| !is_null(text)) {
            record.time = Some(times.parse(text, "timestamp")?);
        }
        rewards.clear();
        match (places.of(Column::Reward), field(Column::Reward)?.filter(|text| !is_null(text))) {
            (Some(_), Some(text)) => floats(text, layout, "reward", "a finite number", rewards)?,
            (Some(_), None) => record.lacks_reward = true,
            _ => {}
        }
        record.reward = rewards;
        propensities.clear();
        if let Some(text) = field(Column::Propensity)?.filter(|text| !is_null(text)) {
            floats(text, layout, "propensity", "numbers separated by blanks", propensities)?;
            record.propensity = Some(propensities);
        }
        record.left = field(Column::Left)?.map(|text| flag(text, "left")).transpose()?;
        if !context.is_empty() {
            texts.clear();
            for stands in context {
                texts.push(match stands {
                    None => "",
                    Some(Stands::Says(text)) => text,
                    Some(Stands::At(at)) => row
                        .field(*at, "context")
                        .map(|text| if text == "\\N" { "" } else { text })?,
                });
            }
            record.context = Some(texts);
        }
        Ok(())
    }
}

/// What was chosen: one id, or several.
pub(super) fn chosen<'r>(text: &'r str, layout: &Layout) -> List<'r> {
    let plain = |byte: u8| !byte.is_ascii_whitespace() && !matches!(byte, b'[' | b'(');
    if layout.list_separator.is_none() && !text.is_empty() && text.bytes().all(plain) {
        return List::One(text);
    }
    match List::of_field(text, layout.list_separator) {
        List::Words(text) if !text.bytes().any(|byte| byte.is_ascii_whitespace()) => {
            List::One(text)
        }
        list => list,
    }
}

/// A whole number, be it written as a float.
fn number(text: &str, field: &'static str, expected: &'static str) -> Checked<i64> {
    let text = text.trim_ascii();
    let number = text.parse().or_else(|_| whole(text).parse());
    number.map_err(|_| Fault::value(field, expected, text))
}

/// One number, or a list of them.
fn floats(
    text: &str,
    layout: &Layout,
    field: &'static str,
    expected: &'static str,
    to: &mut Vec<f32>,
) -> Checked {
    let number = match text {
        // What most rewards are.
        "0" => Ok(0.0),
        "1" => Ok(1.0),
        text => text.trim_ascii().parse(),
    };
    if let Ok(number) = number {
        to.push(number);
        return Ok(());
    }
    List::of_field(text, layout.list_separator).each(field, |text| {
        let number = match text.parse() {
            Ok(number) => number,
            Err(_) => {
                f32::from(u8::from(truth(text).ok_or_else(|| Fault::value(field, expected, text))?))
            }
        };
        to.push(number);
        Ok(())
    })
}

fn is_null(text: &str) -> bool {
    text.len() < 5 && NULLS.iter().any(|null| text.trim_ascii().eq_ignore_ascii_case(null))
}

fn flag(text: &str, field: &'static str) -> Checked<bool> {
    truth(text.trim_ascii()).ok_or_else(|| Fault::value(field, "true or false", text))
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "1" | "1.0" => Some(true),
        "false" | "False" | "FALSE" | "0" | "0.0" => Some(false),
        _ => None,
    }
}

pub(crate) fn write(dataset: &Dataset, path: &Path, file: &mut impl Write) -> Result<()> {
    let failed = |error: csv::Error| not_written(path, error.into());
    let breaks = |c| matches!(c, '\n' | '\r');
    let log = &dataset.log;
    check_ids(path, dataset.catalogue.names().iter(), breaks)?;
    check_ids(path, dataset.users.iter(), breaks)?;
    check_ids(
        path,
        (0..log.sessions()).filter_map(|session| dataset.sessions.get(session)),
        breaks,
    )?;
    // Ids that hold blanks, or would be taken for lists, need lists in brackets.
    let in_brackets = dataset
        .catalogue
        .names()
        .iter()
        .any(|id| id.contains(|c: char| c.is_ascii_whitespace()) || id.starts_with(['[', '(']));
    let put = |text: &mut String, items: &mut dyn Iterator<Item = ItemId>| {
        text.clear();
        let ids: Vec<&str> = items.map(|item| dataset.catalogue.raw(item)).collect();
        if in_brackets && !ids.is_empty() {
            // Serializing strings cannot fail.
            text.push_str(&serde_json::to_string(&ids).unwrap_or_default());
        } else {
            ids.iter().enumerate().for_each(|(place, id)| {
                text.push_str(if place == 0 { "" } else { " " });
                text.push_str(id);
            });
        }
    };
    let [timestamps, users, propensities, candidates, events] =
        [Part::Timestamps, Part::Users, Part::Propensities, Part::Candidates, Part::Events]
            .map(|part| dataset.has(part));
    let context = context_columns(dataset);
    for column in &dataset.contexts {
        check_ids(path, column.values.iter().chain([&*column.name]), breaks)?;
    }
    let mut header = vec!["session", "step", "shown", "chosen", "reward", "left"];
    header.extend(timestamps.then_some("timestamp"));
    header.extend(users.then_some("user"));
    header.extend(propensities.then_some(propensity_column(dataset)));
    header.extend(candidates.then_some("candidates"));
    header.extend(events.then_some("event"));
    header.extend(context.iter().map(String::as_str));
    let mut writer = csv::Writer::from_writer(file);
    writer.write_record(&header).map_err(failed)?;
    let mut text = String::new();
    for session in log.iter() {
        let name = dataset.session_name(session.index());
        let user = session.user().map(|user| dataset.user_name(user)).unwrap_or_default();
        let mut beside = session.events().peekable();
        for t in 0..=session.len() {
            while let Some(event) = beside.next_if(|event| event.after as usize <= t) {
                put(&mut text, &mut [event.item].into_iter());
                let number = t.to_string();
                let mut fields = vec![&*name, &number, "", &text, "", ""];
                let time = event.timestamp.map(|time| time.to_string()).unwrap_or_default();
                fields.extend(timestamps.then_some(&*time));
                fields.extend(users.then_some(&*user));
                fields.extend(propensities.then_some(""));
                fields.extend(candidates.then_some(""));
                fields.push(event.kind.name());
                fields.extend(context.iter().map(|_| ""));
                writer.write_record(&fields).map_err(failed)?;
            }
            if t == session.len() {
                break;
            }
            let (step, extras) = (session.step(t), session.extras(t));
            writer.write_field(&*name).map_err(failed)?;
            writer.write_field(t.to_string()).map_err(failed)?;
            put(&mut text, &mut step.slate.iter().copied());
            writer.write_field(&text).map_err(failed)?;
            match extras.clicks {
                [] => put(&mut text, &mut step.choice.item().into_iter()),
                clicks => put(&mut text, &mut clicks.iter().map(|(item, _)| *item)),
            }
            writer.write_field(&text).map_err(failed)?;
            writer.write_field(joined(&mut text, &own_rewards(&step, &extras))).map_err(failed)?;
            let left = if step.choice == Choice::Leave { "true" } else { "false" };
            writer.write_field(left).map_err(failed)?;
            if timestamps {
                let time = step.timestamp.map(|time| time.to_string()).unwrap_or_default();
                writer.write_field(time).map_err(failed)?;
            }
            if users {
                writer.write_field(&user).map_err(failed)?;
            }
            if propensities {
                let numbers = written_propensity(dataset, &step).unwrap_or_default();
                writer.write_field(joined(&mut text, numbers)).map_err(failed)?;
            }
            if candidates {
                put(&mut text, &mut extras.candidates.iter().copied());
                writer.write_field(&text).map_err(failed)?;
            }
            if events {
                writer.write_field("").map_err(failed)?;
            }
            for text in context_texts(dataset, &extras) {
                writer.write_field(text.unwrap_or_default()).map_err(failed)?;
            }
            writer.write_record(None::<&[u8]>).map_err(failed)?;
        }
    }
    writer.flush().map_err(|source| foretaste_files::Error::io(path, source))?;
    Ok(())
}

/// Numbers separated by blanks.
fn joined<'t>(text: &'t mut String, numbers: &[f32]) -> &'t str {
    text.clear();
    for (place, number) in numbers.iter().enumerate() {
        // Writing into a string cannot fail.
        let _ = write!(text, "{}{number}", if place == 0 { "" } else { " " });
    }
    text
}
