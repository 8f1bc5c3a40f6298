//! Our schema as Parquet, read by record batches.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Float32Builder, Int64Builder, ListBuilder, StringBuilder, UInt32Builder,
    UInt64Builder,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use foretaste_data::{Choice, Dataset, Fault, Part, Session};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::schema::{Step, Steps, check_columns, show};
use super::writing::check_ids;
use crate::reader::arrow_columns::{Ids, Lists, Typed, booleans, floats, integers};
use crate::reader::parquet::{Batch, for_each_row};
use crate::reader::{Checked, Collector, Place, Progress, WHOLE};
use crate::{Error, Result};

pub(crate) fn read(
    path: &Path,
    progress: Option<Progress<'_>>,
    collector: &mut Collector,
) -> Result<()> {
    let mut steps = Steps::default();
    let check = |names: &[&str]| check_columns(path, names);
    for_each_row(path, progress, check, Columns::new, |columns, index, row, fraction| {
        collector.count_row(fraction);
        match columns.take(index, &mut steps, collector)? {
            Ok(()) => Ok(()),
            Err(fault) => steps.reject(collector, Place::Line(row), None, fault),
        }
    })?;
    steps.finish(collector)
}

/// The columns of one batch.
struct Columns {
    session: Ids,
    step: Vec<Option<i64>>,
    shown: Lists,
    shown_ids: Ids,
    chosen: Ids,
    reward: Vec<Option<f32>>,
    timestamp: Option<Vec<Option<i64>>>,
    user: Option<Ids>,
    propensity: Option<(Lists, Vec<Option<f32>>)>,
    left: Option<Vec<Option<bool>>>,
}

impl Columns {
    fn new(batch: &Batch<'_>) -> Result<Self> {
        let (shown, shown_ids) = batch.required("shown", |array| {
            let lists = Lists::new(array)?;
            let ids = Ids::new(&lists.values)?;
            Ok((lists, ids))
        })?;
        Ok(Self {
            session: batch.required("session", Ids::new)?,
            step: batch.required("step", integers)?,
            shown,
            shown_ids,
            chosen: batch.required("chosen", Ids::new)?,
            reward: batch.required("reward", floats)?,
            timestamp: batch.optional("timestamp", integers)?,
            user: batch.optional("user", Ids::new)?,
            propensity: batch.optional("propensity", propensities)?,
            left: batch.optional("left", booleans)?,
        })
    }

    fn take(&self, index: usize, steps: &mut Steps, collector: &mut Collector) -> Result<Checked> {
        let Some(session) = self.session.get(index) else {
            return Ok(Err(Fault::new("session", "an id", "null")));
        };
        let user = self.user.as_ref().and_then(|ids| ids.get(index));
        if let Err(fault) = steps.enter(collector, session, user)? {
            return Ok(Err(fault));
        }
        Ok(self.step(index, steps, collector))
    }

    fn step(&self, index: usize, steps: &mut Steps, collector: &mut Collector) -> Checked {
        let step = self.step[index].ok_or_else(|| Fault::new("step", WHOLE, "null"))?;
        let reward =
            self.reward[index].ok_or_else(|| Fault::new("reward", "a finite number", "null"))?;
        let places =
            self.shown.get(index).ok_or_else(|| Fault::new("shown", "a list of ids", "null"))?;
        collector.begin_slate();
        for place in places {
            let item = self
                .shown_ids
                .get(place)
                .ok_or_else(|| Fault::new("shown", "a list of ids", "a null in it"))?;
            show(collector, item)?;
        }
        let propensity = self.propensity_of(index)?;
        let chosen = self.chosen.get(index);
        let timestamp = self.timestamp.as_ref().and_then(|column| column[index]);
        let left = self.left.as_ref().and_then(|column| column[index]);
        steps.take(
            collector,
            &Step {
                number: step,
                chosen,
                reward,
                timestamp,
                propensity: propensity.as_deref(),
                left,
            },
        )
    }

    fn propensity_of(&self, index: usize) -> std::result::Result<Option<Vec<f32>>, Fault> {
        let Some((lists, values)) = &self.propensity else { return Ok(None) };
        let Some(places) = lists.get(index) else { return Ok(None) };
        let numbers: Option<Vec<f32>> = values[places].iter().copied().collect();
        numbers
            .map(Some)
            .ok_or_else(|| Fault::new("propensity", "a list of numbers", "a null in it"))
    }
}

/// Lists of numbers, or one number for slates of one.
fn propensities(array: &dyn Array) -> Typed<(Lists, Vec<Option<f32>>)> {
    let list = matches!(
        array.data_type(),
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..)
    );
    let lists = if list { Lists::new(array)? } else { Lists::of_one(array) };
    let values = floats(&lists.values)?;
    Ok((lists, values))
}

/// Rows of a batch that is written.
const BATCH: usize = 16_384;

pub(crate) fn write(dataset: &Dataset, path: &Path, file: &mut (impl Write + Send)) -> Result<()> {
    check_ids(path, dataset.catalogue.names().iter().chain(dataset.users.iter()), |_| false)?;
    let failed =
        |error: &dyn std::fmt::Display| Error::file(path, format!("cannot be written: {error}"));
    let mut rows = Rows::new(dataset);
    let empty = rows.finish().map_err(|error| failed(&error))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by("foretaste".into());
    let writer = ArrowWriter::try_new(file, empty.schema(), Some(properties.build()));
    let mut writer = writer.map_err(|error| failed(&error))?;
    let mut pending = 0;
    for session in dataset.log.iter() {
        let name = dataset.session_name(session.index());
        for t in 0..session.len() {
            rows.append(dataset, session, &name, t);
            pending += 1;
            if pending == BATCH {
                let batch = rows.finish().map_err(|error| failed(&error))?;
                writer.write(&batch).map_err(|error| failed(&error))?;
                pending = 0;
            }
        }
    }
    let batch = rows.finish().map_err(|error| failed(&error))?;
    writer.write(&batch).map_err(|error| failed(&error))?;
    writer.close().map_err(|error| failed(&error))?;
    Ok(())
}

/// The columns of the batch being filled.
struct Rows {
    session: SessionColumn,
    step: UInt32Builder,
    shown: ListBuilder<StringBuilder>,
    chosen: StringBuilder,
    reward: Float32Builder,
    left: BooleanBuilder,
    timestamp: Optional<Int64Builder>,
    user: Optional<StringBuilder>,
    propensity: Optional<ListBuilder<Float32Builder>>,
}

/// Numbers where the ids of all sessions are.
enum SessionColumn {
    Numbers(UInt64Builder),
    Text(StringBuilder),
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
        Self {
            session: match dataset.sessions.are_numbers() {
                true => SessionColumn::Numbers(UInt64Builder::new()),
                false => SessionColumn::Text(StringBuilder::new()),
            },
            step: UInt32Builder::new(),
            shown: ListBuilder::new(StringBuilder::new()),
            chosen: StringBuilder::new(),
            reward: Float32Builder::new(),
            left: BooleanBuilder::new(),
            timestamp: Optional::new(dataset, Part::Timestamps, log.has_timestamps()),
            user: Optional::new(dataset, Part::Users, log.has_users()),
            propensity: Optional::new(dataset, Part::Propensities, log.has_propensities()),
        }
    }

    fn append(&mut self, dataset: &Dataset, session: Session<'_>, name: &str, t: usize) {
        let step = session.step(t);
        match &mut self.session {
            // All ids are numbers, so none is null.
            SessionColumn::Numbers(column) => column.append_option(name.parse().ok()),
            SessionColumn::Text(column) => column.append_value(name),
        }
        self.step.append_value(t as u32);
        step.slate
            .iter()
            .for_each(|&item| self.shown.values().append_value(dataset.catalogue.raw(item)));
        self.shown.append(true);
        self.chosen.append_option(step.choice.item().map(|item| dataset.catalogue.raw(item)));
        self.reward.append_value(step.reward);
        self.left.append_value(step.choice == Choice::Leave);
        if let Some(column) = &mut self.timestamp.column {
            column.append_option(step.timestamp);
        }
        if let Some(column) = &mut self.user.column {
            column.append_option(session.user().map(|user| dataset.user_name(user)));
        }
        if let Some(column) = &mut self.propensity.column {
            column.values().append_slice(step.propensity.unwrap_or_default());
            column.append(step.propensity.is_some());
        }
    }

    /// The batch, and empty columns again.
    fn finish(&mut self) -> std::result::Result<RecordBatch, arrow_schema::ArrowError> {
        let session: ArrayRef = match &mut self.session {
            SessionColumn::Numbers(column) => Arc::new(column.finish()),
            SessionColumn::Text(column) => Arc::new(column.finish()),
        };
        let mut columns: Vec<(&str, ArrayRef, bool)> = vec![
            ("session", session, false),
            ("step", Arc::new(self.step.finish()), false),
            ("shown", Arc::new(self.shown.finish()), false),
            ("chosen", Arc::new(self.chosen.finish()), true),
            ("reward", Arc::new(self.reward.finish()), false),
            ("left", Arc::new(self.left.finish()), false),
        ];
        if let Optional { column: Some(column), nullable } = &mut self.timestamp {
            columns.push(("timestamp", Arc::new(column.finish()), *nullable));
        }
        if let Optional { column: Some(column), nullable } = &mut self.user {
            columns.push(("user", Arc::new(column.finish()), *nullable));
        }
        if let Optional { column: Some(column), nullable } = &mut self.propensity {
            columns.push(("propensity", Arc::new(column.finish()), *nullable));
        }
        RecordBatch::try_from_iter_with_nullable(columns)
    }
}
