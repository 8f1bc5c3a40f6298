//! Parquet files, batch by batch.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use arrow_array::{Array, RecordBatch};
use arrow_schema::Schema;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::Progress;
use super::arrow_columns::{Mistyped, Typed};
use super::column;
use super::source::open_file;
use crate::{Error, Result};

/// Some rows of a file, by columns.
pub(crate) struct Batch<'b> {
    path: &'b Path,
    batch: &'b RecordBatch,
}

impl Batch<'_> {
    /// What `read` makes of a column that must be there.
    pub(crate) fn required<T>(
        &self,
        name: &str,
        read: impl Fn(&dyn Array) -> Typed<T>,
    ) -> Result<T> {
        column(self.path, &names(&self.batch.schema()), name)
            .and_then(|at| self.read(name, self.batch.column(at), read))
    }

    /// The same of the column at a place, which errors call so.
    pub(crate) fn at<T>(
        &self,
        place: usize,
        name: &str,
        read: impl Fn(&dyn Array) -> Typed<T>,
    ) -> Result<T> {
        self.read(name, self.batch.column(place), read)
    }

    fn read<T>(
        &self,
        name: &str,
        array: &dyn Array,
        read: impl Fn(&dyn Array) -> Typed<T>,
    ) -> Result<T> {
        read(array).map_err(|Mistyped { found, expected }| {
            let problem = format!("column {name:?} has type {found}, expected {expected}");
            Error::file(self.path, problem)
        })
    }
}

/// The names of a file's columns.
pub(crate) fn column_names(path: &Path) -> Result<Vec<String>> {
    let builder = open(path, open_file(path)?.0)?;
    Ok(names(builder.schema()).into_iter().map(str::to_owned).collect())
}

/// Reads a file the names of whose columns `check` accepts: what `columns` makes of each batch goes
/// to `take`, row by row. `take` is given the row of the batch, the row of the file from 1, and how
/// much of the file has been read by then.
pub(crate) fn for_each_row<C>(
    path: &Path,
    mut progress: Option<Progress<'_>>,
    check: impl FnOnce(&[&str]) -> Result<()>,
    columns: impl Fn(&Batch<'_>) -> Result<C>,
    mut take: impl FnMut(&C, usize, u64, f64) -> Result<()>,
) -> Result<()> {
    let (file, bytes) = open_file(path)?;
    let builder = open(path, file)?;
    check(&names(builder.schema()))?;
    let total = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0).max(1);
    let mut reader = guarded(path, || {
        builder.with_batch_size(8192).build().map_err(|error| damaged(path, &error))
    })?;
    let mut row = 0;
    let mut next = || -> Result<_> {
        let batch = reader.next().transpose().map_err(|error| damaged(path, &error))?;
        let read =
            |batch| Ok((RecordBatch::num_rows(&batch), columns(&Batch { path, batch: &batch })?));
        batch.map(read).transpose()
    };
    while let Some((rows, columns)) = guarded(path, &mut next)? {
        let fraction = (row + rows as u64) as f64 / total as f64;
        for index in 0..rows {
            row += 1;
            take(&columns, index, row, fraction)?;
        }
        if let Some(progress) = &mut progress {
            progress((bytes as f64 * fraction) as u64, bytes);
        }
    }
    Ok(())
}

fn names(schema: &Schema) -> Vec<&str> {
    schema.fields().iter().map(|field| field.name().as_str()).collect()
}

fn open(path: &Path, file: File) -> Result<ParquetRecordBatchReaderBuilder<File>> {
    guarded(path, || {
        ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| damaged(path, &error))
    })
}

fn damaged(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::file(path, format!("is no whole Parquet file: {error}"))
}

/// Reads a part of the file. On some damaged files the decoder panics where it should fail; nothing
/// that it leaves half done is used afterwards.
fn guarded<T>(path: &Path, read: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
        Err(Error::file(path, "is no whole Parquet file: it cannot be decoded"))
    })
}
