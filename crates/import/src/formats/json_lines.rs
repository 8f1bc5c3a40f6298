//! Our schema as JSON Lines: one object per step and line.

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use foretaste_data::{Choice, Dataset, Fault};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::schema::{Step, Steps, show};
use super::writing::check_ids;
use crate::Result;
use crate::reader::{Checked, Collector, Place, Source, WHOLE, read_error};

/// A line before its values are looked at, so that a fault can name its field.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(borrow)]
    session: Option<&'a RawValue>,
    step: Option<&'a RawValue>,
    shown: Option<&'a RawValue>,
    chosen: Option<&'a RawValue>,
    reward: Option<&'a RawValue>,
    timestamp: Option<&'a RawValue>,
    user: Option<&'a RawValue>,
    propensity: Option<&'a RawValue>,
    left: Option<&'a RawValue>,
}

/// What some programs write before UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

pub(crate) fn read(source: Source<'_>, collector: &mut Collector) -> Result<()> {
    let path = source.path().to_owned();
    let fraction = source.fraction();
    let mut reader = BufReader::with_capacity(1 << 18, source);
    let mut steps = Steps::default();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(|source| read_error(&path, source))? == 0 {
            break;
        }
        if number == 1 && line.starts_with(BYTE_ORDER_MARK) {
            line.drain(..BYTE_ORDER_MARK.len());
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        collector.count_row(fraction.get());
        if let Err(fault) = take(&line, &mut steps, collector)? {
            steps.reject(collector, Place::Line(number), session_of(&line).as_deref(), fault)?;
        }
    }
    steps.finish(collector)
}

fn take(line: &[u8], steps: &mut Steps, collector: &mut Collector) -> Result<Checked> {
    let (row, session, user) = match key(line) {
        Ok(key) => key,
        Err(fault) => return Ok(Err(fault)),
    };
    Ok(match steps.enter(collector, &session, user.as_deref())? {
        Ok(()) => step(&row, steps, collector),
        fault => fault,
    })
}

type Key<'a> = (Line<'a>, Cow<'a, str>, Option<Cow<'a, str>>);

fn key(line: &[u8]) -> Checked<Key<'_>> {
    let text = std::str::from_utf8(line).map_err(|error| {
        let at = error.valid_up_to();
        Fault::new(
            "row",
            "UTF-8 text",
            format!("byte 0x{:02x} at place {at} of the line", line[at]),
        )
    })?;
    let row: Line<'_> = serde_json::from_str(text).map_err(|error| {
        Fault::new("row", "one JSON object with the schema's fields", error.to_string())
    })?;
    let session = id(required(row.session, "session")?, "session")?;
    let user = row.user.map(|raw| id(raw, "user")).transpose()?;
    Ok((row, session, user))
}

/// The session that a line names, whatever else is wrong with it.
fn session_of(line: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        session: &'a RawValue,
    }
    let named: Named<'_> = serde_json::from_slice(line).ok()?;
    id(named.session, "session").ok().filter(|id| !id.is_empty())
}

fn step(row: &Line<'_>, steps: &mut Steps, collector: &mut Collector) -> Checked {
    let step = number(required(row.step, "step")?, "step", WHOLE)?;
    let chosen = row.chosen.map(|raw| id(raw, "chosen")).transpose()?;
    let reward = number(required(row.reward, "reward")?, "reward", "a finite number")?;
    let timestamp = row.timestamp.map(|raw| number(raw, "timestamp", WHOLE)).transpose()?;
    let propensity = row.propensity.map(propensities).transpose()?;
    let left = row.left.map(left).transpose()?;
    let shown = list(required(row.shown, "shown")?, "shown", "a list of ids")?;
    collector.begin_slate();
    for item in shown {
        show(collector, &id(item, "shown")?)?;
    }
    let (chosen, propensity) = (chosen.as_deref(), propensity.as_deref());
    steps.take(collector, &Step { number: step, chosen, reward, timestamp, propensity, left })
}

fn required<'a>(value: Option<&'a RawValue>, field: &'static str) -> Checked<&'a RawValue> {
    value.ok_or_else(|| Fault::new(field, "a value", "nothing"))
}

/// A string, or an integer as its digits.
fn id<'a>(raw: &'a RawValue, field: &'static str) -> Checked<Cow<'a, str>> {
    let text = raw.get();
    let fault = || Fault::new(field, "a string or an integer", text);
    if text.starts_with('"') {
        // Without an escape the text between the quotes is the string.
        let inside = &text[1..text.len() - 1];
        return if inside.contains('\\') {
            serde_json::from_str(text).map(Cow::Owned).map_err(|_| fault())
        } else {
            Ok(Cow::Borrowed(inside))
        };
    }
    let integer = text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok();
    if integer && text != "-0" { Ok(Cow::Borrowed(text)) } else { Err(fault()) }
}

/// A list of numbers, or one number for a slate of one.
fn propensities(raw: &RawValue) -> Checked<Vec<f32>> {
    const EXPECTED: &str = "a list of numbers, or one number";
    if !raw.get().starts_with('[') {
        return Ok(vec![number(raw, "propensity", EXPECTED)?]);
    }
    list(raw, "propensity", EXPECTED)?
        .into_iter()
        .map(|item| number(item, "propensity", EXPECTED))
        .collect()
}

fn list<'a>(
    raw: &'a RawValue,
    field: &'static str,
    expected: &'static str,
) -> Checked<Vec<&'a RawValue>> {
    serde_json::from_str(raw.get()).map_err(|_| Fault::value(field, expected, raw.get()))
}

/// A number, from its own digits: no detour over another width that could round twice.
fn number<T: std::str::FromStr>(
    raw: &RawValue,
    field: &'static str,
    expected: &'static str,
) -> Checked<T> {
    raw.get().parse().map_err(|_| Fault::new(field, expected, raw.get()))
}

fn left(raw: &RawValue) -> Checked<bool> {
    match raw.get() {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(Fault::new("left", "true or false", other)),
    }
}

/// A line as it is written.
#[derive(Serialize)]
struct Written<'a> {
    session: Id<'a>,
    step: usize,
    shown: &'a [&'a str],
    chosen: Option<&'a str>,
    reward: f32,
    left: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    propensity: Option<&'a [f32]>,
}

/// A number where the ids of all sessions are.
#[derive(Clone, Copy, Serialize)]
#[serde(untagged)]
enum Id<'a> {
    Number(u64),
    Text(&'a str),
}

pub(crate) fn write(dataset: &Dataset, path: &Path, file: &mut impl Write) -> Result<()> {
    let io = |source| foretaste_files::Error::io(path, source);
    check_ids(path, dataset.catalogue.names().iter().chain(dataset.users.iter()), |_| false)?;
    let numbers = dataset.sessions.are_numbers();
    let mut shown = Vec::new();
    for session in dataset.log.iter() {
        let name = dataset.session_name(session.index());
        let id = match name.parse() {
            Ok(number) if numbers => Id::Number(number),
            _ => Id::Text(&name),
        };
        let user = session.user().map(|user| dataset.user_name(user));
        for (t, step) in session.steps().enumerate() {
            shown.clear();
            shown.extend(step.slate.iter().map(|&item| dataset.catalogue.raw(item)));
            let line = Written {
                session: id,
                step: t,
                shown: &shown,
                chosen: step.choice.item().map(|item| dataset.catalogue.raw(item)),
                reward: step.reward,
                left: step.choice == Choice::Leave,
                timestamp: step.timestamp,
                user: user.as_deref(),
                propensity: step.propensity,
            };
            serde_json::to_writer(&mut *file, &line).map_err(|error| io(error.into()))?;
            file.write_all(b"\n").map_err(io)?;
        }
    }
    Ok(())
}
