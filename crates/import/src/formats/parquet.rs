//! Our schema as Parquet, read by record batches.

use std::borrow::Borrow;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Float32Builder, Int64Builder, ListBuilder, StringBuilder, UInt32Builder,
    UInt64Builder,
};
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchReader};
use arrow_array::{
    TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
    TimestampSecondArray,
};
use arrow_schema::{ArrowError, SchemaRef};
use foretaste_data::{Choice, Dataset, Event, Fault, Part, PropensityKind, Session, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::csv::chosen;
use super::schema::{COLUMNS, Column, Places, Stands};
use super::steps::{Key, Steps};
use super::writing::{
    check_ids, context_columns, context_texts, not_written, own_rewards, propensity_column,
    written_propensity,
};
use crate::parts::Part as File;
use crate::reader::arrow_columns::{
    Ids, Lists, Moments, Typed, booleans, floats, integers, is_list, is_text,
};
use crate::reader::parquet::{Batch, column_names, for_each_row};
use crate::reader::record::{List, Record, Strings};
use crate::reader::times::Times;
use crate::reader::{Checked, Collector, Place, Progress, WHOLE};
use crate::{Error, Layout, Result};

pub(crate) fn read(
    part: &File,
    progress: Option<Progress<'_>>,
    layout: &Layout,
    times: &mut Times,
    steps: &mut Steps<'_>,
    collector: &mut Collector,
) -> Result<()> {
    let path = &part.path;
    let mut places = Places::find(path, &column_names(path)?, &part.partition, layout)?;
    collector.ignore(&places.ignored);
    if let Some(kind) = places.propensities {
        steps.declare(kind).map_err(|fault| Error::file(path, fault.to_string()))?;
    }
    let context = collector.in_order(std::mem::take(&mut places.context));
    let texts = Strings::default();
    let numbers = Default::default();
    let mut scratch = Scratch { times, layout, numbers, flags: Vec::new(), texts };
    let columns = |batch: &Batch<'_>| Columns::new(batch, &places, &context);
    for_each_row(
        path,
        &layout.limits,
        progress,
        |_| Ok(()),
        columns,
        |columns, index, row, fraction| {
            collector.count_row(fraction);
            let constant = |column| places.constant(column);
            let key = Ok(Key {
                session: columns
                    .session
                    .as_ref()
                    .map_or(constant(Column::Session), |c| c.get(index)),
                user: columns.user.as_ref().map_or(constant(Column::User), |c| c.get(index)),
            });
            steps.row(collector, Place::Line(row), key, None, |record| {
                scratch.fill(record, columns, index)
            })
        },
    )?;
    steps.set_unit(scratch.times.unit());
    Ok(())
}

/// A column of lists, or of one value a row.
struct Values<T> {
    /// Where each row's values begin and end, where they are lists.
    lists: Option<Lists>,
    values: T,
}

impl<T> Values<T> {
    fn new(array: &dyn Array, read: impl Fn(&dyn Array) -> Typed<T>) -> Typed<Self> {
        match is_list(array) {
            true => Self::of_lists(array, read),
            false => Ok(Self { lists: None, values: read(array)? }),
        }
    }

    fn of_lists(array: &dyn Array, read: impl Fn(&dyn Array) -> Typed<T>) -> Typed<Self> {
        let lists = Lists::new(array)?;
        let values = read(&lists.values)?;
        Ok(Self { lists: Some(lists), values })
    }

    /// Where the values of a row stand; `None` for a null list.
    fn range(&self, row: usize) -> Option<Range<usize>> {
        self.lists.as_ref().map_or(Some(row..row + 1), |lists| lists.get(row))
    }
}

impl Values<Ids> {
    /// The ids of a row; `None` for a null.
    fn ids(&self, row: usize) -> Option<List<'_>> {
        match &self.lists {
            None => self.values.get(row).map(List::One),
            Some(lists) => Some(List::Column(&self.values, lists.get(row)?)),
        }
    }

    /// The same of a column whose texts are lists.
    fn ids_of_text(&self, row: usize, separator: Option<char>) -> Option<List<'_>> {
        match &self.lists {
            None => self.values.get(row).map(|text| List::of_field(text, separator)),
            Some(_) => self.ids(row),
        }
    }
}

/// The columns of one batch; `None` where the file lacks one.
struct Columns {
    session: Option<Ids>,
    user: Option<Ids>,
    step: Option<Vec<Option<i64>>>,
    shown: Option<Values<Ids>>,
    chosen: Option<Values<Ids>>,
    candidates: Option<Values<Ids>>,
    reward: Option<Values<Vec<Option<f32>>>>,
    propensity: Option<Values<Vec<Option<f32>>>>,
    clicked: Option<Values<Vec<Option<bool>>>>,
    timestamp: Option<Moments>,
    left: Option<Vec<Option<bool>>>,
    item: Option<Ids>,
    event: Option<Ids>,
    slate: Option<Ids>,
    position: Option<Vec<Option<i64>>>,
    context: Vec<Texts>,
}

/// A column of the context.
enum Texts {
    Lacking,
    Says(String),
    Of(Ids),
}

impl Texts {
    fn get(&self, row: usize) -> &str {
        match self {
            Self::Lacking => "",
            Self::Says(text) => text,
            Self::Of(ids) => ids.get(row).unwrap_or_default(),
        }
    }
}

impl Columns {
    fn new(batch: &Batch<'_>, places: &Places, context: &[Option<Stands>]) -> Result<Self> {
        fn column<T>(
            batch: &Batch<'_>,
            places: &Places,
            column: Column,
            read: impl Fn(&dyn Array) -> Typed<T>,
        ) -> Result<Option<T>> {
            places.of(column).map(|at| batch.at(at, COLUMNS[column as usize], read)).transpose()
        }
        let ids = |array: &dyn Array| Values::new(array, Ids::new);
        let lists = |array: &dyn Array| match is_text(array.data_type()) {
            true => Values::new(array, Ids::new),
            false => Values::of_lists(array, Ids::new),
        };
        let numbers = |array: &dyn Array| Values::new(array, floats);
        let flags = |array: &dyn Array| Values::new(array, booleans);
        let texts = |stands: &Option<Stands>| {
            Ok(match stands {
                None => Texts::Lacking,
                Some(Stands::Says(text)) => Texts::Says(text.clone()),
                Some(Stands::At(at)) => Texts::Of(batch.at(*at, "context", Ids::new)?),
            })
        };
        Ok(Self {
            session: column(batch, places, Column::Session, Ids::new)?,
            user: column(batch, places, Column::User, Ids::new)?,
            step: column(batch, places, Column::Step, integers)?,
            shown: column(batch, places, Column::Shown, lists)?,
            chosen: column(batch, places, Column::Chosen, ids)?,
            candidates: column(batch, places, Column::Candidates, lists)?,
            reward: column(batch, places, Column::Reward, numbers)?,
            propensity: column(batch, places, Column::Propensity, numbers)?,
            clicked: column(batch, places, Column::Clicked, flags)?,
            timestamp: column(batch, places, Column::Timestamp, Moments::new)?,
            left: column(batch, places, Column::Left, booleans)?,
            item: column(batch, places, Column::Item, Ids::new)?,
            event: column(batch, places, Column::Event, Ids::new)?,
            slate: column(batch, places, Column::Slate, Ids::new)?,
            position: column(batch, places, Column::Position, integers)?,
            context: context.iter().map(texts).collect::<Result<_>>()?,
        })
    }
}

/// What of a row is not in its columns as it is needed.
struct Scratch<'t> {
    times: &'t mut Times,
    layout: &'t Layout,
    numbers: [Vec<f32>; 2],
    flags: Vec<bool>,
    texts: Strings,
}

impl Scratch<'_> {
    fn fill<'r>(
        &'r mut self,
        record: &mut Record<'r>,
        columns: &'r Columns,
        index: usize,
    ) -> Checked {
        let Self { times, layout, numbers: [rewards, propensities], flags, texts } = self;
        if let Some(step) = &columns.step {
            let number = step[index].ok_or_else(|| Fault::new("step", WHOLE, "null"))?;
            record.number = Some(number);
        }
        let is_event = columns.event.as_ref().and_then(|ids| ids.get(index));
        record.event = is_event.filter(|event| !event.is_empty());
        let list = |column: &'r Option<Values<Ids>>| {
            column.as_ref()?.ids_of_text(index, layout.list_separator)
        };
        if columns.shown.is_some() {
            match list(&columns.shown) {
                Some(shown) => record.shown = shown,
                None if record.event.is_some() => {}
                None => return Err(Fault::new("shown", "a list of ids", "null")),
            }
        }
        // Next to slates that are text, what was chosen is written as they are.
        let as_text = columns.shown.as_ref().is_some_and(|shown| shown.lists.is_none());
        record.chosen = match columns.chosen.as_ref().and_then(|chosen| chosen.ids(index)) {
            Some(List::One(text)) if as_text => chosen(text, layout),
            ids => ids.unwrap_or_default(),
        };
        record.candidates = list(&columns.candidates).unwrap_or_default();
        rewards.clear();
        if let Some(column) = &columns.reward {
            match numbers(column, index, "reward", rewards)? {
                true => record.reward = rewards,
                false => record.lacks_reward = true,
            }
        }
        propensities.clear();
        if let Some(column) = &columns.propensity
            && numbers(column, index, "propensity", propensities)?
        {
            record.propensity = Some(propensities);
        }
        if let Some(column) = &columns.clicked
            && let Some(range) = column.range(index)
        {
            flags.clear();
            flags.extend(column.values[range].iter().map(|flag| flag.unwrap_or(false)));
            record.clicked = Some(flags);
        }
        record.time = match &columns.timestamp {
            None => None,
            Some(Moments::Numbers(column, unit)) => {
                column[index].map(|time| times.number(time, *unit))
            }
            Some(Moments::Fractions(column)) => column[index]
                .map(|time| times.parse(&format!("{time:?}"), "timestamp"))
                .transpose()?,
            Some(Moments::Text(ids)) => {
                ids.get(index).map(|text| times.parse(text, "timestamp")).transpose()?
            }
        };
        record.left = columns.left.as_ref().and_then(|column| column[index]);
        record.item = columns.item.as_ref().and_then(|ids| ids.get(index));
        record.slate = columns.slate.as_ref().and_then(|ids| ids.get(index));
        record.position = columns.position.as_ref().and_then(|column| column[index]);
        if !columns.context.is_empty() {
            texts.clear();
            columns.context.iter().for_each(|column| texts.push(column.get(index)));
            record.context = Some(texts);
        }
        Ok(())
    }
}

/// The numbers of a row; whether there are any.
fn numbers(
    column: &Values<Vec<Option<f32>>>,
    row: usize,
    field: &'static str,
    to: &mut Vec<f32>,
) -> Checked<bool> {
    if column.lists.is_none() {
        to.extend(column.values[row]);
        return Ok(column.values[row].is_some());
    }
    let Some(range) = column.range(row) else { return Ok(false) };
    for value in &column.values[range] {
        to.push(value.ok_or_else(|| Fault::new(field, "a list of numbers", "a null in it"))?);
    }
    Ok(true)
}

/// Rows of a batch that is written, at least, but for the last.
const BATCH: usize = 16_384;

pub(crate) fn write(
    dataset: &Dataset,
    path: &std::path::Path,
    file: &mut (impl Write + Send),
) -> Result<()> {
    check_ids(path, dataset.catalogue.names().iter().chain(dataset.users.iter()), |_| false)?;
    let failed = |error: ParquetError| not_written(path, cause(error));
    let batches = Batches::new(dataset).map_err(|error| failed(error.into()))?;
    write_batches(batches, file, Compression::SNAPPY).map_err(failed)
}

/// Writes batches as a Parquet file.
pub(crate) fn write_batches(
    batches: impl RecordBatchReader,
    file: &mut (impl Write + Send),
    compression: Compression,
) -> std::result::Result<(), ParquetError> {
    let properties =
        WriterProperties::builder().set_compression(compression).set_created_by("foretaste".into());
    let mut writer = ArrowWriter::try_new(file, batches.schema(), Some(properties.build()))?;
    for batch in batches {
        writer.write(&batch?)?;
    }
    writer.close()?;
    Ok(())
}

/// A data set as batches of our schema, some sessions at a time. Like every format of ours they
/// cannot hold its split and its features.
pub struct Batches<D> {
    dataset: D,
    schema: SchemaRef,
    rows: Rows,
    next: usize,
}

impl<D: Borrow<Dataset>> Batches<D> {
    /// The batches of a data set.
    ///
    /// # Errors
    /// None that a data set could cause: what Arrow says of columns.
    pub fn new(dataset: D) -> std::result::Result<Self, ArrowError> {
        let mut rows = Rows::new(dataset.borrow());
        let schema = rows.finish()?.schema();
        Ok(Self { dataset, schema, rows, next: 0 })
    }
}

impl<D: Borrow<Dataset>> Iterator for Batches<D> {
    type Item = std::result::Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let dataset = self.dataset.borrow();
        if self.next >= dataset.log.sessions() {
            return None;
        }
        let mut pending = 0;
        while pending < BATCH && self.next < dataset.log.sessions() {
            let session = dataset.log.session(self.next);
            let name = dataset.session_name(self.next);
            self.next += 1;
            let mut beside = session.events().peekable();
            for t in 0..=session.len() {
                while let Some(event) = beside.next_if(|event| event.after as usize <= t) {
                    self.rows.append_event(dataset, session, &name, t, &event);
                    pending += 1;
                }
                if t < session.len() {
                    self.rows.append(dataset, session, &name, t);
                    pending += 1;
                }
            }
        }
        Some(self.rows.finish())
    }
}

impl<D: Borrow<Dataset>> RecordBatchReader for Batches<D> {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

/// What the system said, where it was the system.
fn cause(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(said) => *said,
            Err(inner) => io::Error::other(inner),
        },
        other => io::Error::other(other),
    }
}

/// The columns of the batch being filled.
struct Rows {
    session: SessionColumn,
    step: UInt32Builder,
    shown: ListBuilder<StringBuilder>,
    chosen: Chosen,
    reward: Rewards,
    left: BooleanBuilder,
    timestamp: Optional<Int64Builder>,
    unit: Option<TimeUnit>,
    user: Optional<StringBuilder>,
    propensity: Option<Propensities>,
    propensity_column: &'static str,
    /// Whether some of the rows have none.
    unknown_propensity: bool,
    candidates: Option<ListBuilder<StringBuilder>>,
    event: Option<StringBuilder>,
    context: Vec<(String, StringBuilder)>,
}

/// Propensities: of slates one number each.
enum Propensities {
    OfSlates(Float32Builder),
    OfPlaces(ListBuilder<Float32Builder>),
}

impl Propensities {
    fn append(&mut self, numbers: Option<&[f32]>) {
        match self {
            Self::OfSlates(column) => {
                column.append_option(numbers.and_then(|n| n.first().copied()))
            }
            Self::OfPlaces(column) => {
                column.values().append_slice(numbers.unwrap_or_default());
                column.append(numbers.is_some());
            }
        }
    }
}

/// Numbers where the ids of all sessions are.
enum SessionColumn {
    Numbers(UInt64Builder),
    Text(StringBuilder),
}

/// Lists where a slate of the log has several clicks.
enum Chosen {
    One(StringBuilder),
    Several(ListBuilder<StringBuilder>),
}

/// Lists where a slate of the log has several clicks.
enum Rewards {
    One(Float32Builder),
    Several(ListBuilder<Float32Builder>),
}

/// A column that the log may lack, and whether some of its sessions do.
struct Optional<B> {
    column: Option<B>,
    nullable: bool,
}

impl<B: Default> Optional<B> {
    fn new(dataset: &Dataset, part: Part, of_all: bool) -> Self {
        Self { column: dataset.has(part).then(B::default), nullable: !of_all }
    }
}

impl Rows {
    fn new(dataset: &Dataset) -> Self {
        let log = &dataset.log;
        let (several, events) = (dataset.has(Part::Clicks), dataset.has(Part::Events));
        Self {
            session: match dataset.sessions.are_numbers() {
                true => SessionColumn::Numbers(UInt64Builder::new()),
                false => SessionColumn::Text(StringBuilder::new()),
            },
            step: UInt32Builder::new(),
            shown: ListBuilder::new(StringBuilder::new()),
            chosen: match several {
                true => Chosen::Several(ListBuilder::new(StringBuilder::new())),
                false => Chosen::One(StringBuilder::new()),
            },
            reward: match several {
                true => Rewards::Several(ListBuilder::new(Float32Builder::new())),
                false => Rewards::One(Float32Builder::new()),
            },
            left: BooleanBuilder::new(),
            timestamp: Optional::new(dataset, Part::Timestamps, log.has_timestamps() && !events),
            unit: log.facts().time_unit,
            user: Optional::new(dataset, Part::Users, log.has_users()),
            propensity: dataset.has(Part::Propensities).then(|| match log.facts().propensity {
                PropensityKind::Slate => Propensities::OfSlates(Float32Builder::new()),
                _ => Propensities::OfPlaces(ListBuilder::new(Float32Builder::new())),
            }),
            unknown_propensity: events || !log.has_propensities(),
            candidates: dataset.has(Part::Candidates).then(ListBuilder::default),
            event: events.then(StringBuilder::new),
            context: context_columns(dataset)
                .into_iter()
                .map(|name| (name, StringBuilder::new()))
                .collect(),
            propensity_column: propensity_column(dataset),
        }
    }

    /// What slates and events have in common.
    fn append_key(
        &mut self,
        dataset: &Dataset,
        session: Session<'_>,
        name: &str,
        t: usize,
        timestamp: Option<i64>,
    ) {
        match &mut self.session {
            // All ids are numbers, so none is null.
            SessionColumn::Numbers(column) => column.append_option(name.parse().ok()),
            SessionColumn::Text(column) => column.append_value(name),
        }
        self.step.append_value(t as u32);
        if let Some(column) = &mut self.timestamp.column {
            column.append_option(timestamp);
        }
        if let Some(column) = &mut self.user.column {
            column.append_option(session.user().map(|user| dataset.user_name(user)));
        }
    }

    fn append_chosen<'d>(&mut self, ids: impl Iterator<Item = &'d str>) {
        match &mut self.chosen {
            Chosen::One(column) => column.append_option({ ids }.next()),
            Chosen::Several(column) => {
                ids.for_each(|id| column.values().append_value(id));
                column.append(true);
            }
        }
    }

    fn append_event(
        &mut self,
        dataset: &Dataset,
        session: Session<'_>,
        name: &str,
        t: usize,
        event: &Event,
    ) {
        self.append_key(dataset, session, name, t, event.timestamp);
        self.shown.append(false);
        self.append_chosen([dataset.catalogue.raw(event.item)].into_iter());
        match &mut self.reward {
            Rewards::One(column) => column.append_null(),
            Rewards::Several(column) => column.append(false),
        }
        self.left.append_null();
        if let Some(column) = &mut self.propensity {
            column.append(None);
        }
        self.context.iter_mut().for_each(|(_, column)| column.append_null());
        if let Some(column) = &mut self.candidates {
            column.append(false);
        }
        if let Some(column) = &mut self.event {
            column.append_value(event.kind.name());
        }
    }

    fn append(&mut self, dataset: &Dataset, session: Session<'_>, name: &str, t: usize) {
        let (step, extras) = (session.step(t), session.extras(t));
        let raw = |item| dataset.catalogue.raw(item);
        self.append_key(dataset, session, name, t, step.timestamp);
        step.slate.iter().for_each(|&item| self.shown.values().append_value(raw(item)));
        self.shown.append(true);
        match extras.clicks {
            [] => self.append_chosen(step.choice.item().map(raw).into_iter()),
            clicks => self.append_chosen(clicks.iter().map(|&(item, _)| raw(item))),
        }
        match &mut self.reward {
            Rewards::One(column) => column.append_value(step.reward),
            Rewards::Several(column) => {
                column.values().append_slice(&own_rewards(&step, &extras));
                column.append(true);
            }
        }
        self.left.append_value(step.choice == Choice::Leave);
        if let Some(column) = &mut self.propensity {
            column.append(written_propensity(dataset, &step));
        }
        let texts = context_texts(dataset, &extras);
        self.context
            .iter_mut()
            .zip(texts)
            .for_each(|((_, column), text)| column.append_option(text));
        if let Some(column) = &mut self.candidates {
            extras.candidates.iter().for_each(|&item| column.values().append_value(raw(item)));
            column.append(!extras.candidates.is_empty());
        }
        if let Some(column) = &mut self.event {
            column.append_null();
        }
    }

    /// The batch, and empty columns again.
    fn finish(&mut self) -> std::result::Result<RecordBatch, arrow_schema::ArrowError> {
        let session: ArrayRef = match &mut self.session {
            SessionColumn::Numbers(column) => Arc::new(column.finish()),
            SessionColumn::Text(column) => Arc::new(column.finish()),
        };
        let chosen: ArrayRef = match &mut self.chosen {
            Chosen::One(column) => Arc::new(column.finish()),
            Chosen::Several(column) => Arc::new(column.finish()),
        };
        let reward: ArrayRef = match &mut self.reward {
            Rewards::One(column) => Arc::new(column.finish()),
            Rewards::Several(column) => Arc::new(column.finish()),
        };
        let beside = self.event.is_some();
        let mut columns: Vec<(&str, ArrayRef, bool)> = vec![
            ("session", session, false),
            ("step", Arc::new(self.step.finish()), false),
            ("shown", Arc::new(self.shown.finish()), beside),
            ("chosen", chosen, true),
            ("reward", reward, beside),
            ("left", Arc::new(self.left.finish()), beside),
        ];
        if let Optional { column: Some(column), nullable } = &mut self.timestamp {
            let numbers = column.finish();
            let (values, nulls) = (numbers.values().clone(), numbers.nulls().cloned());
            let column: ArrayRef = match self.unit {
                None => Arc::new(numbers),
                Some(TimeUnit::Seconds) => {
                    Arc::new(TimestampSecondArray::new(values, nulls).with_timezone("UTC"))
                }
                Some(TimeUnit::Milliseconds) => {
                    Arc::new(TimestampMillisecondArray::new(values, nulls).with_timezone("UTC"))
                }
                Some(TimeUnit::Microseconds) => {
                    Arc::new(TimestampMicrosecondArray::new(values, nulls).with_timezone("UTC"))
                }
                Some(TimeUnit::Nanoseconds) => {
                    Arc::new(TimestampNanosecondArray::new(values, nulls).with_timezone("UTC"))
                }
            };
            columns.push(("timestamp", column, *nullable));
        }
        if let Optional { column: Some(column), nullable } = &mut self.user {
            columns.push(("user", Arc::new(column.finish()), *nullable));
        }
        if let Some(column) = &mut self.propensity {
            let column: ArrayRef = match column {
                Propensities::OfSlates(column) => Arc::new(column.finish()),
                Propensities::OfPlaces(column) => Arc::new(column.finish()),
            };
            columns.push((self.propensity_column, column, self.unknown_propensity));
        }
        if let Some(column) = &mut self.candidates {
            columns.push(("candidates", Arc::new(column.finish()), true));
        }
        if let Some(column) = &mut self.event {
            columns.push(("event", Arc::new(column.finish()), true));
        }
        for (name, column) in &mut self.context {
            columns.push((name, Arc::new(column.finish()), true));
        }
        RecordBatch::try_from_iter_with_nullable(columns)
    }
}
