//! Parquet files, batch by batch.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, FieldRef, Schema};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

use super::Progress;
use super::arrow_columns::{Mistyped, Typed};
use super::column;
use super::guarded::guarded;
use super::pages::{Page, pages_of};
use super::source::open_file;
use crate::limits::Limits;
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
    limits: &Limits,
    mut progress: Option<Progress<'_>>,
    check: impl FnOnce(&[&str]) -> Result<()>,
    columns: impl Fn(&Batch<'_>) -> Result<C>,
    mut take: impl FnMut(&C, usize, u64, f64) -> Result<()>,
) -> Result<()> {
    let (mut batches, bytes) = Batches::open(path, limits, usize::MAX, check)?;
    let mut row = 0;
    while let Some((rows, columns)) = batches.next(&columns)? {
        let fraction = (row + rows as u64) as f64 / batches.rows as f64;
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

/// What `columns` makes of the first rows of a file, at most so many, batch by batch.
pub(crate) fn first_rows<C>(
    path: &Path,
    most: usize,
    columns: impl Fn(&Batch<'_>) -> Result<C>,
) -> Result<Vec<C>> {
    let (mut batches, _) = Batches::open(path, &Limits::default(), most, |_| Ok(()))?;
    let mut all = Vec::new();
    while let Some((_, read)) = batches.next(&columns)? {
        all.push(read);
    }
    Ok(all)
}

/// The batches of a file that are left.
struct Batches<'p> {
    path: &'p Path,
    limits: Limits,
    /// Rows of the whole file, at least 1.
    rows: u64,
    reader: ParquetRecordBatchReader,
}

impl<'p> Batches<'p> {
    /// The first rows, at most so many, of a file the names of whose columns `check` accepts; and
    /// the bytes of the file.
    fn open(
        path: &'p Path,
        limits: &Limits,
        most: usize,
        check: impl FnOnce(&[&str]) -> Result<()>,
    ) -> Result<(Self, u64)> {
        let (file, bytes) = open_file(path)?;
        let again = file.try_clone().map_err(|source| foretaste_files::Error::io(path, source))?;
        let builder = open(path, file)?;
        check(&names(builder.schema()))?;
        check_pages(path, again, bytes, builder.metadata(), limits)?;
        let rows = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0).max(1);
        let reader = whole(path, || {
            let builder = builder.with_batch_size(ROWS).with_limit(most);
            builder.build().map_err(|error| damaged(path, &error))
        })?;
        Ok((Self { path, limits: *limits, rows, reader }, bytes))
    }

    /// The rows of the next batch, and what `columns` makes of it.
    fn next<C>(&mut self, columns: impl Fn(&Batch<'_>) -> Result<C>) -> Result<Option<(usize, C)>> {
        let Self { path, limits, reader, .. } = self;
        whole(path, || {
            let batch = reader.next().transpose().map_err(|error| damaged(path, &error))?;
            let read = |batch: RecordBatch| {
                check_texts(path, &batch, limits)?;
                Ok((batch.num_rows(), columns(&Batch { path, batch: &batch })?))
            };
            batch.map(read).transpose()
        })
    }
}

/// Rows of a batch.
const ROWS: usize = 4_096;

fn names(schema: &Schema) -> Vec<&str> {
    schema.fields().iter().map(|field| field.name().as_str()).collect()
}

/// Texts are views: a text of a dictionary is there once, however many rows point to it.
fn open(path: &Path, file: File) -> Result<ParquetRecordBatchReaderBuilder<File>> {
    whole(path, || {
        let plain = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())
            .map_err(|error| damaged(path, &error))?;
        let fields: Vec<FieldRef> = plain.schema().fields().iter().map(as_views).collect();
        let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields)));
        let views = ArrowReaderMetadata::try_new(plain.metadata().clone(), options);
        Ok(ParquetRecordBatchReaderBuilder::new_with_metadata(file, views.unwrap_or(plain)))
    })
}

fn as_views(field: &FieldRef) -> FieldRef {
    let viewed = match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        DataType::List(value) => DataType::List(as_views(value)),
        DataType::LargeList(value) => DataType::LargeList(as_views(value)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(as_views).collect()),
        other => other.clone(),
    };
    Arc::new(field.as_ref().clone().with_data_type(viewed))
}

/// Refuses pages that say that they hold far more values, or bytes, than those of a file of so many
/// bytes can. None of them is unpacked before.
fn check_pages(
    path: &Path,
    file: File,
    bytes: u64,
    metadata: &ParquetMetaData,
    limits: &Limits,
) -> Result<()> {
    let refuse = |column: &ColumnChunkMetaData, problem: String| {
        let column = column.column_path().string();
        let problem = format!("column {column:?} {problem}; --max-unpacked raises the bound");
        Err(Error::file(path, problem))
    };
    let times = limits.unpacked;
    let most = times.saturating_mul(bytes).max(Limits::UNPACKED_ANYWAY / 8);
    let file = Arc::new(file);
    for group in metadata.row_groups() {
        let rows = usize::try_from(group.num_rows()).unwrap_or(0);
        for column in group.columns() {
            let (pages, values) = whole(path, || {
                pages_of(&file, column, rows).map_err(|error| damaged(path, &error))
            })?;
            if values > most {
                let problem = format!(
                    "holds {values} values in a row group, which is more than {times} for each of \
                     the file's bytes"
                );
                return refuse(column, problem);
            }
            for Page { unpacked, packed } in pages {
                if unpacked > times.saturating_mul(packed).max(Limits::UNPACKED_ANYWAY) {
                    let problem = format!(
                        "has a page of {packed} bytes that unpacks to {unpacked}, more than \
                         {times} times its size"
                    );
                    return refuse(column, problem);
                }
            }
        }
    }
    Ok(())
}

/// Refuses texts of more bytes than a field may have, and more of them than rows should have.
fn check_texts(path: &Path, batch: &RecordBatch, limits: &Limits) -> Result<()> {
    let most = limits.row_bytes.saturating_mul(8);
    let schema = batch.schema();
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        let Sizes { longest, all } = Sizes::of(column);
        let (name, longest_allowed) = (field.name(), limits.field_bytes);
        if longest > longest_allowed {
            let problem = format!(
                "column {name:?} has a value of {longest} bytes, expected at most \
                 {longest_allowed}; --max-field-bytes raises the bound"
            );
            return Err(Error::file(path, problem));
        }
        if all > most {
            let problem = format!(
                "column {name:?} has {all} bytes of text in {} rows, expected at most {most}; \
                 --max-row-bytes raises the bound",
                batch.num_rows()
            );
            return Err(Error::file(path, problem));
        }
    }
    Ok(())
}

/// Of the texts of an array, in bytes.
#[derive(Default)]
struct Sizes {
    longest: usize,
    all: u64,
}

impl Sizes {
    fn of(array: &dyn Array) -> Self {
        fn of_lengths(lengths: impl Iterator<Item = usize>) -> Sizes {
            lengths.fold(Sizes::default(), |sizes, length| Sizes {
                longest: sizes.longest.max(length),
                all: sizes.all + length as u64,
            })
        }
        // The lower half of a view is the length of its text.
        let views = |views: &[u128]| of_lengths(views.iter().map(|view| *view as u32 as usize));
        match array.data_type() {
            DataType::Utf8View => views(array.as_string_view().views()),
            DataType::BinaryView => views(array.as_binary_view().views()),
            DataType::List(_) => Self::of(array.as_list::<i32>().values()),
            DataType::LargeList(_) => Self::of(array.as_list::<i64>().values()),
            DataType::FixedSizeList(..) => Self::of(array.as_fixed_size_list().values()),
            DataType::Struct(_) => {
                let columns = array.as_struct().columns().iter();
                columns.map(|column| Self::of(column)).fold(Self::default(), |a, b| Self {
                    longest: a.longest.max(b.longest),
                    all: a.all + b.all,
                })
            }
            DataType::Dictionary(..) => Self::of(array.as_any_dictionary().values()),
            _ => Self::default(),
        }
    }
}

/// What the decoder says, up to where it shows values of its own types.
fn damaged(path: &Path, error: &dyn std::fmt::Display) -> Error {
    let said = error.to_string();
    let plain = said.split_once('{').map(|(before, _)| before);
    let plain = plain.map(|before| before.rsplit_once(": ").map_or(before, |(before, _)| before));
    let problem = plain.unwrap_or(&said).trim_end();
    Error::file(path, format!("is not a complete Parquet file: {problem}"))
}

/// Reads a part of the file, of which the decoder may make a panic.
fn whole<T>(path: &Path, read: impl FnOnce() -> Result<T>) -> Result<T> {
    guarded(read).unwrap_or_else(|| {
        Err(Error::file(path, "is not a complete Parquet file: it cannot be decoded"))
    })
}
