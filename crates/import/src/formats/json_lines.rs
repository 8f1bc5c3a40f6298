//! Our schema as JSON Lines: one object per step and line.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use foretaste_data::{Choice, Dataset, Fault, PropensityKind};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::schema::{COLUMNS, CONTEXT, Column, Names, SHOWN_ADVICE, context_name, meaning};
use super::steps::{Key, Steps};
use super::writing::{
    check_ids, context_columns, context_texts, own_rewards, propensity_column, written_propensity,
};
use crate::limits::beyond;
use crate::parts::Part as File;
use crate::reader::record::{List, Record, Strings, json_id, whole};
use crate::reader::times::Times;
use crate::reader::{Checked, Collector, Place, Source, WHOLE, read_error, row_error};
use crate::{Error, Layout, Propensities, Result};

/// What some programs write before UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

pub(crate) fn read(
    source: Source<'_>,
    part: &File,
    layout: &Layout,
    times: &mut Times,
    steps: &mut Steps<'_>,
    collector: &mut Collector,
    found: &mut Found,
) -> Result<()> {
    let path = source.path().to_owned();
    let names = Names::new(&path, layout)?;
    let (fraction, rows, limits) = (source.fraction(), source.rows(), *source.limits());
    let mut reader = BufReader::with_capacity(1 << 18, source);
    let mut line = Vec::new();
    let folders = part
        .partition
        .iter()
        .filter_map(|(key, value)| Some((context_name(key, layout)?.to_owned(), value.clone())));
    let folders = collector.in_order(folders.collect());
    let mut scratch = Scratch {
        times,
        folders,
        numbers: Default::default(),
        flags: Vec::new(),
        texts: Default::default(),
        context: Strings::default(),
        chosen: String::new(),
        rewarded: false,
    };
    let mut ignored = Vec::new();
    let array = is_array(&mut reader).map_err(|source| read_error(&path, source))?;
    for number in 1.. {
        line.clear();
        rows.begin();
        let read = match array {
            true => next_object(&mut reader, &mut line),
            false => reader.read_until(b'\n', &mut line),
        };
        if read.map_err(|source| row_error(&path, || number, source))? == 0 {
            break;
        }
        if number == 1 && line.starts_with(BYTE_ORDER_MARK) {
            line.drain(..BYTE_ORDER_MARK.len());
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        collector.count_row(fraction.get());
        let mut fields = Fields::default();
        let read = fields.read(&line, &names, layout, &mut ignored, collector);
        found.add(&fields);
        let read = read.and_then(|()| fields.check_sizes(line.len(), limits.field_bytes));
        let ids = read.and_then(|()| {
            fields.propensities.map_or(Ok(()), |kind| steps.declare(kind))?;
            fields.key(part)
        });
        let key = ids
            .as_ref()
            .map_err(Clone::clone)
            .map(|(session, user)| Key { session: session.as_deref(), user: user.as_deref() });
        let named = match key.is_err() {
            true => session_of(&line, &names),
            false => None,
        };
        let place = Place::Line(number);
        steps
            .row(collector, place, key, named.as_deref(), |record| scratch.fill(record, &fields))?;
    }
    collector.ignore(&ignored);
    found.unread.extend(ignored);
    found.folders.extend(part.partition.iter().map(|(key, _)| key.clone()));
    steps.set_unit(scratch.times.unit());
    Ok(())
}

/// Whether the file is one array of objects, as pandas writes it, and not a line each; an array's
/// bracket is then behind.
fn is_array(reader: &mut impl BufRead) -> io::Result<bool> {
    let start = reader.fill_buf()?;
    let blank = |byte: &&u8| byte.is_ascii_whitespace() || BYTE_ORDER_MARK.contains(byte);
    let before = start.iter().take_while(blank).count();
    let array = start.get(before) == Some(&b'[');
    if array {
        reader.consume(before + 1);
    }
    Ok(array)
}

/// The next object of an array; 0 bytes at its end.
fn next_object(reader: &mut impl BufRead, object: &mut Vec<u8>) -> io::Result<usize> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(object.len());
        }
        let mut used = 0;
        let mut whole = false;
        for &byte in bytes {
            used += 1;
            if depth == 0 && byte != b'{' {
                continue;
            }
            object.push(byte);
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => quoted = !quoted,
                b'{' if !quoted => depth += 1,
                b'}' if !quoted => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                whole = true;
                break;
            }
        }
        reader.consume(used);
        if whole {
            return Ok(object.len());
        }
    }
}

/// A line before its values are looked at, so that a fault can name its field.
#[derive(Default)]
struct Fields<'a> {
    values: [Option<&'a RawValue>; COLUMNS.len()],
    /// The context by the numbers of its columns.
    context: Vec<Option<&'a RawValue>>,
    /// What the propensities are, if there are any.
    propensities: Option<Propensities>,
    /// The columns that the object has a field for, if it be null.
    found: [bool; COLUMNS.len()],
    /// The context that it has a field for, by the names of the fields.
    contexts: Vec<String>,
}

/// What the objects of a log have fields for.
#[derive(Default)]
pub(crate) struct Found {
    objects: bool,
    columns: [bool; COLUMNS.len()],
    contexts: BTreeSet<String>,
    /// Fields that are not read.
    unread: BTreeSet<String>,
    /// What the folders above the files say.
    folders: BTreeSet<String>,
}

impl Found {
    fn add(&mut self, fields: &Fields<'_>) {
        self.objects = true;
        self.columns.iter_mut().zip(fields.found).for_each(|(known, new)| *known |= new);
        self.contexts.extend(fields.contexts.iter().cloned());
    }

    /// Whether some object has each field that the layout names: one that no object has would be
    /// read as one without a value in all of them.
    pub(crate) fn check(&self, path: &Path, layout: &Layout) -> Result<()> {
        if !self.objects {
            return Ok(());
        }
        let has = |column: &str| {
            COLUMNS.iter().zip(self.columns).any(|(name, found)| found && *name == column)
        };
        let unread: Vec<&str> = self.unread.iter().map(String::as_str).collect();
        let unread = match &unread[..] {
            [] => "all other fields are read".to_owned(),
            names => format!("other fields are {}", names.join(", ")),
        };
        let columns = layout.columns.iter().map(|(column, field)| (field, &**column, has(column)));
        let contexts = layout.context.iter();
        let found = |field: &String| {
            self.contexts.contains(field) || self.contexts.contains(&format!("{CONTEXT}{field}"))
        };
        let contexts = contexts.map(|field| (field, "context", found(field)));
        for (field, given_as, found) in columns.chain(contexts) {
            if !found && !self.folders.contains(field) {
                let problem = format!(
                    "has no field {field:?} in any object, which was given as {given_as}; {unread}"
                );
                return Err(Error::file(path, problem));
            }
        }
        Ok(())
    }
}

type Ids<'a> = (Option<Cow<'a, str>>, Option<Cow<'a, str>>);

impl<'a> Fields<'a> {
    fn read(
        &mut self,
        line: &'a [u8],
        names: &Names,
        layout: &Layout,
        ignored: &mut Vec<String>,
        collector: &mut Collector,
    ) -> Checked {
        let text = std::str::from_utf8(line).map_err(|error| {
            let at = error.valid_up_to();
            let found = format!("byte 0x{:02x} at place {at} of the line", line[at]);
            Fault::new("row", "UTF-8 text", found)
        })?;
        let mut slip = None;
        let seed = Wanted { names, layout, ignored, collector, slip: &mut slip, fields: self };
        let mut reader = serde_json::Deserializer::from_str(text);
        let read = seed.deserialize(&mut reader).and_then(|()| reader.end());
        if let Some((name, column)) = slip {
            return Err(Fault::new("row", "the fields of the schema", format!("{name:?}")).advise(
                format!(
                    "it looks like {column}: --column {column}={name} reads it as that, and \
                     --ignore-columns {name} leaves it out"
                ),
            ));
        }
        read.map_err(|error| {
            Fault::new("row", "one JSON object with the schema's fields", error.to_string())
        })
    }

    /// Refuses a value of more than so many bytes, of a line of these.
    fn check_sizes(&self, line: usize, most: usize) -> Checked {
        if line <= most {
            return Ok(());
        }
        let context = self.context.iter().map(|value| ("context", value));
        let values = COLUMNS.into_iter().zip(&self.values).chain(context);
        for (name, value) in values {
            let bytes = value.map_or(0, |value| value.get().len());
            if bytes > most {
                return Err(beyond(name, format!("{bytes} bytes"), most, "--max-field-bytes"));
            }
        }
        Ok(())
    }

    fn get(&self, column: Column) -> Option<&'a RawValue> {
        self.values[column as usize]
    }

    fn key(&self, part: &File) -> Checked<Ids<'a>> {
        let id = |column: Column| -> Checked<Option<Cow<'a, str>>> {
            let name = COLUMNS[column as usize];
            match self.get(column) {
                Some(raw) => json_id(raw, name).map(Some),
                None => {
                    let constant = part.partition.iter().find(|(key, _)| key == name);
                    Ok(constant.map(|(_, value)| Cow::Owned(value.clone())))
                }
            }
        };
        let (session, user) = (id(Column::Session)?, id(Column::User)?);
        if session.is_none() && !self.found[Column::Session as usize] && user.is_none() {
            let fault = Fault::new("session", "an id", "no such field");
            return Err(fault.advise(
                "name the field with --column session=NAME; `import --guess` proposes a layout",
            ));
        }
        Ok((session, user))
    }
}

/// Reads the fields of an object that the schema has.
struct Wanted<'w, 'a> {
    fields: &'w mut Fields<'a>,
    names: &'w Names,
    layout: &'w Layout,
    ignored: &'w mut Vec<String>,
    collector: &'w mut Collector,
    slip: &'w mut Option<(String, &'static str)>,
}

impl<'de> DeserializeSeed<'de> for Wanted<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(
        self,
        from: D,
    ) -> std::result::Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Wanted<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(
        self,
        mut map: A,
    ) -> std::result::Result<Self::Value, A::Error> {
        use serde::de::Error;

        let Self { fields, names, layout, ignored, collector, slip } = self;
        while let Some((column, name)) = map.next_key_seed(Field(names, layout))? {
            let value: &RawValue = map.next_value()?;
            let given = (value.get() != "null").then_some(value);
            let name = name.as_deref().unwrap_or_default();
            let context = context_name(name, layout);
            if let Some(context) = context {
                fields.contexts.push(name.to_owned());
                let at = collector.context_column(context);
                fields.context.resize(fields.context.len().max(at + 1), None);
                fields.context[at] = given;
            }
            match column {
                Some(column) => {
                    if column == Column::Propensity as usize && given.is_some() {
                        let kind = meaning(name, layout).map_err(A::Error::custom)?;
                        fields.propensities = Some(kind);
                    }
                    fields.found[column] = true;
                    let field = &mut fields.values[column];
                    if field.is_some() {
                        let problem = format!("duplicate field `{}`", COLUMNS[column]);
                        return Err(A::Error::custom(problem));
                    }
                    *field = given;
                }
                None if context.is_some() || ignored.iter().any(|known| known == name) => {}
                None => match Names::slip(name) {
                    Some(column) if !layout.ignore_columns.iter().any(|known| known == name) => {
                        *slip = Some((name.to_owned(), column));
                    }
                    _ => ignored.push(name.to_owned()),
                },
            }
        }
        Ok(())
    }
}

/// A column of the schema, and the name of a field of which the column does not say everything.
struct Field<'w>(&'w Names, &'w Layout);

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = (Option<usize>, Option<String>);

    fn deserialize<D: Deserializer<'de>>(
        self,
        from: D,
    ) -> std::result::Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Field<'_> {
    type Value = (Option<usize>, Option<String>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> std::result::Result<Self::Value, E> {
        let Self(names, layout) = self;
        let column = names.column(name);
        let known = column.is_some_and(|column| column != Column::Propensity as usize);
        let name = (!known || !layout.context.is_empty()).then(|| name.to_owned());
        Ok((column, name))
    }
}

/// The session that a line names, whatever else is wrong with it.
fn session_of(line: &[u8], names: &Names) -> Option<String> {
    let fields: std::collections::HashMap<Cow<'_, str>, &RawValue> =
        serde_json::from_slice(line).ok()?;
    let session =
        fields.iter().find(|(name, _)| names.column(name) == Some(Column::Session as usize));
    json_id(session?.1, "session").ok().filter(|id| !id.is_empty()).map(Cow::into_owned)
}

/// What of a line is no text of the file.
struct Scratch<'t> {
    times: &'t mut Times,
    numbers: [Vec<f32>; 2],
    flags: Vec<bool>,
    texts: [String; 3],
    context: Strings,
    /// What the folders above the file say of the context, by the numbers of its columns.
    folders: Vec<Option<String>>,
    chosen: String,
    /// Whether a line before had a reward.
    rewarded: bool,
}

impl Scratch<'_> {
    fn fill<'r>(&'r mut self, record: &mut Record<'r>, fields: &Fields<'r>) -> Checked {
        let Self {
            times,
            numbers: [rewards, propensities],
            flags,
            texts,
            context,
            folders,
            chosen,
            rewarded,
        } = self;
        let present = |column: Column| fields.get(column);
        if let Some(raw) = present(Column::Step) {
            record.number =
                Some(whole(raw.get()).parse().map_err(|_| Fault::new("step", WHOLE, raw.get()))?);
        }
        let [item, event, slate] = texts;
        for (text, column, to) in [
            (item, Column::Item, &mut record.item),
            (event, Column::Event, &mut record.event),
            (slate, Column::Slate, &mut record.slate),
        ] {
            if let Some(raw) = present(column) {
                text.clear();
                text.push_str(&json_id(raw, COLUMNS[column as usize])?);
                *to = Some(text);
            }
        }
        if let Some(raw) = present(Column::Chosen) {
            record.chosen = match raw.get().starts_with('[') {
                true => List::Json(raw.get()),
                false => {
                    chosen.clear();
                    chosen.push_str(&json_id(raw, "chosen")?);
                    List::One(chosen)
                }
            };
        }
        rewards.clear();
        if let Some(raw) = present(Column::Reward) {
            numbers(raw, "reward", "a finite number", rewards)?;
            record.reward = rewards;
            *rewarded = true;
        } else {
            record.lacks_reward = *rewarded;
        }
        if let Some(raw) = present(Column::Timestamp) {
            record.time = Some(match raw.get().starts_with('"') {
                true => times.parse(&json_id(raw, "timestamp")?, "timestamp")?,
                false => times.parse(raw.get(), "timestamp")?,
            });
        }
        if let Some(raw) = present(Column::Propensity) {
            propensities.clear();
            numbers(raw, "propensity", "a list of numbers, or one number", propensities)?;
            record.propensity = Some(propensities);
        }
        record.left = present(Column::Left).map(|raw| truth(raw, "left")).transpose()?;
        if let Some(raw) = present(Column::Clicked) {
            flags.clear();
            match raw.get().starts_with('[') {
                true => {
                    for raw in list(raw, "clicked", "a list of true and false")? {
                        flags.push(flag(raw, "clicked")?);
                    }
                }
                false => flags.push(flag(raw, "clicked")?),
            }
            record.clicked = Some(flags);
        }
        if let Some(raw) = present(Column::Position) {
            let position = whole(raw.get()).parse();
            record.position = Some(position.map_err(|_| Fault::new("position", WHOLE, raw.get()))?);
        }
        if let Some(raw) = present(Column::Candidates) {
            record.candidates = ids(raw, "candidates")?;
        }
        let columns = fields.context.len().max(folders.len());
        if columns > 0 {
            context.clear();
            for at in 0..columns {
                let folder = folders.get(at).and_then(Option::as_deref).unwrap_or_default();
                let given = fields.context.get(at).copied().flatten();
                context.push(&given.map_or(Ok(Cow::Borrowed(folder)), category)?);
            }
            record.context = Some(context);
        }
        match present(Column::Shown) {
            Some(raw) => record.shown = ids(raw, "shown")?,
            None if record.item.is_none() && record.event.is_none() => {
                let fault = Fault::new("shown", "a value", "nothing");
                return Err(match fields.found[Column::Shown as usize] {
                    true => fault,
                    false => fault.advise(SHOWN_ADVICE),
                });
            }
            None => {}
        }
        Ok(())
    }
}

fn ids<'a>(raw: &'a RawValue, field: &'static str) -> Checked<List<'a>> {
    match raw.get() {
        text if text.starts_with('[') => Ok(List::Json(text)),
        text => Err(Fault::value(field, "a list of ids", text)),
    }
}

fn list<'a>(
    raw: &'a RawValue,
    field: &'static str,
    expected: &'static str,
) -> Checked<Vec<&'a RawValue>> {
    serde_json::from_str(raw.get()).map_err(|_| Fault::value(field, expected, raw.get()))
}

/// One number, or a list of them.
fn numbers(
    raw: &RawValue,
    field: &'static str,
    expected: &'static str,
    to: &mut Vec<f32>,
) -> Checked {
    // A number, from its own digits: no detour over another width that could round twice.
    let number = |raw: &RawValue| match raw.get() {
        "true" => Ok(1.0),
        "false" => Ok(0.0),
        text => text.parse().map_err(|_| Fault::new(field, expected, text)),
    };
    if !raw.get().starts_with('[') {
        to.push(number(raw)?);
        return Ok(());
    }
    for raw in list(raw, field, expected)? {
        to.push(number(raw)?);
    }
    Ok(())
}

/// A text, or the digits of a number, or a truth value.
fn category(raw: &RawValue) -> Checked<Cow<'_, str>> {
    match raw.get() {
        text if text.starts_with('"') => json_id(raw, "context"),
        text if text.starts_with(['{', '[']) => {
            Err(Fault::value("context", "a text, a number or a truth value", text))
        }
        text => Ok(Cow::Borrowed(whole(text))),
    }
}

fn truth(raw: &RawValue, field: &'static str) -> Checked<bool> {
    match raw.get() {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(Fault::new(field, "true or false", other)),
    }
}

/// A truth value, be it written as a number.
fn flag(raw: &RawValue, field: &'static str) -> Checked<bool> {
    match whole(raw.get()) {
        "1" => Ok(true),
        "0" => Ok(false),
        _ => truth(raw, field),
    }
}

/// A line as it is written.
#[derive(Serialize)]
struct Written<'a> {
    session: Id<'a>,
    step: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    shown: Option<&'a [&'a str]>,
    chosen: OneOrMore<'a, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reward: Option<OneOrMore<'a, f32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    /// Under the name that says what they are.
    #[serde(flatten)]
    propensity: Named<'a, Numbers<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    candidates: Option<&'a [&'a str]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'static str>,
    #[serde(flatten)]
    context: Named<'a, Option<&'a str>>,
}

/// Fields whose names the log decides.
struct Named<'a, T>(Vec<(&'a str, T)>);

impl<T: Serialize> Serialize for Named<'_, T> {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Propensities: of slates one number.
#[derive(Serialize)]
#[serde(untagged)]
enum Numbers<'a> {
    OfSlate(Option<f32>),
    OfPlaces(&'a [f32]),
}

/// A number where the ids of all sessions are.
#[derive(Clone, Copy, Serialize)]
#[serde(untagged)]
enum Id<'a> {
    Number(u64),
    Text(&'a str),
}

/// One value is no list.
#[derive(Serialize)]
#[serde(untagged)]
enum OneOrMore<'a, T> {
    One(Option<T>),
    More(&'a [T]),
}

impl<'a, T: Copy> OneOrMore<'a, T> {
    fn new(values: &'a [T]) -> Self {
        match values {
            [] => Self::One(None),
            [one] => Self::One(Some(*one)),
            more => Self::More(more),
        }
    }
}

pub(crate) fn write(dataset: &Dataset, path: &Path, file: &mut impl Write) -> Result<()> {
    let io = |source| foretaste_files::Error::io(path, source);
    check_ids(path, dataset.catalogue.names().iter().chain(dataset.users.iter()), |_| false)?;
    let numbers = dataset.sessions.are_numbers();
    let raw = |item| dataset.catalogue.raw(item);
    let of_slates = dataset.log.facts().propensity == PropensityKind::Slate;
    let columns = context_columns(dataset);
    let mut line = |line: &Written<'_>| -> Result<()> {
        serde_json::to_writer(&mut *file, line).map_err(|error| io(error.into()))?;
        Ok(file.write_all(b"\n").map_err(io)?)
    };
    for session in dataset.log.iter() {
        let name = dataset.session_name(session.index());
        let id = match name.parse() {
            Ok(number) if numbers => Id::Number(number),
            _ => Id::Text(&name),
        };
        let user = session.user().map(|user| dataset.user_name(user));
        let mut beside = session.events().peekable();
        for t in 0..=session.len() {
            while let Some(event) = beside.next_if(|event| event.after as usize <= t) {
                line(&Written {
                    session: id,
                    step: t,
                    shown: None,
                    chosen: OneOrMore::One(Some(raw(event.item))),
                    reward: None,
                    left: None,
                    timestamp: event.timestamp,
                    user: user.as_deref(),
                    propensity: Named(Vec::new()),
                    candidates: None,
                    event: Some(event.kind.name()),
                    context: Named(Vec::new()),
                })?;
            }
            if t == session.len() {
                break;
            }
            let (step, extras) = (session.step(t), session.extras(t));
            let shown: Vec<&str> = step.slate.iter().map(|&item| raw(item)).collect();
            let chosen: Vec<&str> = match extras.clicks {
                [] => step.choice.item().map(raw).into_iter().collect(),
                clicks => clicks.iter().map(|&(item, _)| raw(item)).collect(),
            };
            let reward = own_rewards(&step, &extras);
            let pool: Vec<&str> = extras.candidates.iter().map(|&item| raw(item)).collect();
            let propensity = written_propensity(dataset, &step).map(|numbers| match of_slates {
                true => Numbers::OfSlate(numbers.first().copied()),
                false => Numbers::OfPlaces(numbers),
            });
            let context = columns.iter().map(String::as_str);
            line(&Written {
                session: id,
                step: t,
                shown: Some(&shown),
                chosen: OneOrMore::new(&chosen),
                reward: Some(OneOrMore::new(&reward)),
                left: Some(step.choice == Choice::Leave),
                timestamp: step.timestamp,
                user: user.as_deref(),
                propensity: Named(
                    propensity
                        .map(|numbers| (propensity_column(dataset), numbers))
                        .into_iter()
                        .collect(),
                ),
                candidates: (!pool.is_empty()).then_some(&pool),
                event: None,
                context: Named(context.zip(context_texts(dataset, &extras)).collect()),
            })?;
        }
    }
    Ok(())
}
