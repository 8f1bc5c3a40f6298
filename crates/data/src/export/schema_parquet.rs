use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Float32Builder, Int64Builder, ListBuilder, StringBuilder, UInt32Builder, UInt64Builder,
};
use arrow_array::{ArrayRef, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::check_ids;
use crate::{Choice, Dataset, Error, Log, Result, Session};

const BATCH: usize = 16_384;

pub(super) fn write(dataset: &Dataset, path: &Path, file: &mut (impl Write + Send)) -> Result<()> {
    check_ids(path, dataset.catalogue.names().iter(), |_| false)?;
    let failed = |error: &dyn std::fmt::Display| Error::file(path, format!("cannot be written: {error}"));
    let mut rows = Rows::new(&dataset.log);
    let empty = rows.finish().map_err(|error| failed(&error))?;
    let properties =
        WriterProperties::builder().set_compression(Compression::SNAPPY).set_created_by("understudy".into());
    let writer = ArrowWriter::try_new(file, empty.schema(), Some(properties.build()));
    let mut writer = writer.map_err(|error| failed(&error))?;
    let mut pending = 0;
    for session in dataset.log.iter() {
        for t in 0..session.len() {
            rows.append(dataset, session, t);
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
    session: UInt64Builder,
    step: UInt32Builder,
    shown: ListBuilder<StringBuilder>,
    chosen: StringBuilder,
    reward: Float32Builder,
    left: BooleanBuilder,
    timestamp: Option<Int64Builder>,
    user: Option<StringBuilder>,
    propensity: Option<ListBuilder<Float32Builder>>,
}

impl Rows {
    fn new(log: &Log) -> Self {
        Self {
            session: UInt64Builder::new(),
            step: UInt32Builder::new(),
            shown: ListBuilder::new(StringBuilder::new()),
            chosen: StringBuilder::new(),
            reward: Float32Builder::new(),
            left: BooleanBuilder::new(),
            timestamp: log.has_timestamps().then(Int64Builder::new),
            user: log.has_users().then(StringBuilder::new),
            propensity: log.has_propensities().then(|| ListBuilder::new(Float32Builder::new())),
        }
    }

    fn append(&mut self, dataset: &Dataset, session: Session<'_>, t: usize) {
        let step = session.step(t);
        self.session.append_value(session.index() as u64);
        self.step.append_value(t as u32);
        step.slate.iter().for_each(|&item| self.shown.values().append_value(dataset.catalogue.raw(item)));
        self.shown.append(true);
        self.chosen.append_option(step.choice.item().map(|item| dataset.catalogue.raw(item)));
        self.reward.append_value(step.reward);
        self.left.append_value(step.choice == Choice::Leave);
        if let Some(column) = &mut self.timestamp {
            column.append_option(step.timestamp);
        }
        if let Some(column) = &mut self.user {
            column.append_option(session.user().map(|user| dataset.user_name(user)));
        }
        if let Some(column) = &mut self.propensity {
            column.values().append_slice(step.propensity.unwrap_or_default());
            column.append(true);
        }
    }

    /// The batch, and empty columns again.
    fn finish(&mut self) -> std::result::Result<RecordBatch, arrow_schema::ArrowError> {
        let mut columns: Vec<(&str, ArrayRef, bool)> = vec![
            ("session", Arc::new(self.session.finish()), false),
            ("step", Arc::new(self.step.finish()), false),
            ("shown", Arc::new(self.shown.finish()), false),
            ("chosen", Arc::new(self.chosen.finish()), true),
            ("reward", Arc::new(self.reward.finish()), false),
            ("left", Arc::new(self.left.finish()), false),
        ];
        if let Some(column) = &mut self.timestamp {
            columns.push(("timestamp", Arc::new(column.finish()), false));
        }
        if let Some(column) = &mut self.user {
            columns.push(("user", Arc::new(column.finish()), false));
        }
        if let Some(column) = &mut self.propensity {
            columns.push(("propensity", Arc::new(column.finish()), false));
        }
        RecordBatch::try_from_iter_with_nullable(columns)
    }
}
