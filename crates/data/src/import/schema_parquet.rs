//! Our schema as Parquet, read by record batches.

use std::path::Path;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Schema};

use super::arrow_columns::{Ids, Lists, Mistyped, booleans, floats, integers};
use super::collector::{Collector, Place};
use super::schema::{COLUMNS, Entered, REQUIRED, Row, Steps, show};
use super::{Progress, parquet_batches};
use crate::error::Fault;
use crate::{Error, Result};

pub(super) fn read(
    path: &Path,
    progress: Option<Progress<'_>>,
    collector: &mut Collector,
) -> Result<()> {
    let mut steps = Steps::default();
    let check = |schema: &Schema| check_columns(path, schema);
    let columns = |batch: &RecordBatch| Columns::new(path, batch);
    parquet_batches::for_each_row(
        path,
        progress,
        check,
        columns,
        |columns, index, row, fraction| {
            collector.count_row(&|| fraction);
            match columns.take(index, &mut steps, collector)? {
                Ok(()) => Ok(()),
                Err(fault) => steps.reject(collector, Place::Line(row), None, fault),
            }
        },
    )?;
    steps.finish(collector)
}

fn check_columns(path: &Path, schema: &Schema) -> Result<()> {
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    if let Some(unknown) = names.iter().find(|name| !COLUMNS.contains(name)) {
        let known = COLUMNS.join(", ");
        return Err(Error::file(
            path,
            format!("has the unknown column {unknown:?}; the columns are {known}"),
        ));
    }
    if let Some(twice) =
        COLUMNS.iter().find(|name| names.iter().filter(|field| field == name).count() > 1)
    {
        return Err(Error::file(path, format!("has the column {twice:?} twice")));
    }
    match COLUMNS[..REQUIRED].iter().find(|name| !names.contains(name)) {
        Some(missing) => {
            Err(Error::file(path, format!("has no column {missing:?}; found {}", names.join(", "))))
        }
        None => Ok(()),
    }
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
    fn new(path: &Path, batch: &RecordBatch) -> Result<Self> {
        let mistyped = |name: &str, Mistyped { found, expected }: Mistyped| {
            Error::file(path, format!("column {name:?} has type {found}, expected {expected}"))
        };
        let optional = |name: &str| batch.column_by_name(name);
        let required = |name: &str| {
            optional(name).ok_or_else(|| Error::file(path, format!("has no column {name:?}")))
        };
        let shown = Lists::new(required("shown")?).map_err(|error| mistyped("shown", error))?;
        let propensity = optional("propensity").map(propensities).transpose();
        Ok(Self {
            session: Ids::new(required("session")?).map_err(|error| mistyped("session", error))?,
            step: integers(required("step")?).map_err(|error| mistyped("step", error))?,
            shown_ids: Ids::new(&shown.values).map_err(|error| mistyped("shown", error))?,
            shown,
            chosen: Ids::new(required("chosen")?).map_err(|error| mistyped("chosen", error))?,
            reward: floats(required("reward")?).map_err(|error| mistyped("reward", error))?,
            timestamp: optional("timestamp")
                .map(|array| integers(array).map_err(|error| mistyped("timestamp", error)))
                .transpose()?,
            user: optional("user")
                .map(|array| Ids::new(array).map_err(|error| mistyped("user", error)))
                .transpose()?,
            propensity: propensity.map_err(|error| mistyped("propensity", error))?,
            left: optional("left")
                .map(|array| booleans(array).map_err(|error| mistyped("left", error)))
                .transpose()?,
        })
    }

    fn take(&self, index: usize, steps: &mut Steps, collector: &mut Collector) -> Result<Entered> {
        let Some(session) = self.session.get(index) else {
            return Ok(Err(Fault::new("session", "an id", "null")));
        };
        let user = self.user.as_ref().and_then(|ids| ids.get(index));
        if let Err(fault) = steps.enter(collector, session, user)? {
            return Ok(Err(fault));
        }
        Ok(self.step(index, steps, collector))
    }

    fn step(&self, index: usize, steps: &mut Steps, collector: &mut Collector) -> Entered {
        let step = self.step[index].ok_or_else(|| Fault::new("step", "a whole number", "null"))?;
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
            &Row { step, chosen, reward, timestamp, propensity: propensity.as_deref(), left },
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
fn propensities(array: &ArrayRef) -> std::result::Result<(Lists, Vec<Option<f32>>), Mistyped> {
    let list = matches!(
        array.data_type(),
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..)
    );
    let lists = if list { Lists::new(array)? } else { Lists::of_one(array) };
    let values = floats(&lists.values)?;
    Ok((lists, values))
}
