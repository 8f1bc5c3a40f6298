//! The cells of a table that lies next to a log, CSV or Parquet, as texts.

use std::path::Path;

use super::arrow_columns::Ids;
use super::parquet::{Batch, column_names, for_each_row};
use super::record::Strings;
use super::{Source, Table};
use crate::limits::Limits;
use crate::{Error, Result};

/// A small table, by columns.
pub(crate) struct Cells {
    pub(crate) names: Vec<String>,
    pub(crate) columns: Vec<Vec<String>>,
}

impl Cells {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let rows = Rows::open(path)?;
        let names = rows.names().to_vec();
        let all: Vec<usize> = (0..names.len()).collect();
        let mut columns = vec![Vec::new(); names.len()];
        rows.each(&all, |_, cells| {
            for (column, cell) in columns.iter_mut().zip(cells.iter()) {
                column.push(cell.to_owned());
            }
            Ok(())
        })?;
        Ok(Self { names, columns })
    }
}

/// A table of any size, row by row.
pub(crate) struct Rows<'p> {
    path: &'p Path,
    names: Vec<String>,
    /// `None` for Parquet.
    table: Option<Table<'static>>,
}

impl<'p> Rows<'p> {
    pub(crate) fn open(path: &'p Path) -> Result<Self> {
        if Source::open(path, None)?.start(path)?.starts_with(b"PAR1") {
            return Ok(Self { path, names: column_names(path)?, table: None });
        }
        let (source, delimiter) = Source::open(path, None)?.delimiter()?;
        let table = Table::open(source, delimiter as u8, true, &[])?;
        Ok(Self { path, names: table.header().to_vec(), table: Some(table) })
    }

    /// The names of the columns.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Passes the cells of these columns in every row to `take`, with the number of the row from 1.
    pub(crate) fn each(
        self,
        columns: &[usize],
        mut take: impl FnMut(u64, &Strings) -> Result<()>,
    ) -> Result<()> {
        let Self { path, names, table } = self;
        let mut texts = Strings::default();
        let Some(mut table) = table else {
            let read = |batch: &Batch<'_>| -> Result<Vec<Ids>> {
                columns.iter().map(|&at| batch.at(at, &names[at], Ids::new)).collect()
            };
            let take = |cells: &Vec<Ids>, index, row, _| {
                texts.clear();
                cells.iter().for_each(|cell| texts.push(cell.get(index).unwrap_or_default()));
                take(row, &texts)
            };
            return for_each_row(path, &Limits::default(), None, |_| Ok(()), read, take);
        };
        let mut number = 0;
        while let Some(row) = table.next()? {
            number += 1;
            texts.clear();
            let read = row.text().and_then(|text| {
                columns.iter().try_for_each(|&at| {
                    texts.push(text.field(at, "row")?);
                    Ok(())
                })
            });
            // The header is line 1.
            read.map_err(|fault| Error::row(path, number + 1, &fault, None))?;
            take(number, &texts)?;
        }
        Ok(())
    }
}
