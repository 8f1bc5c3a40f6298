//! The rows of a file, CSV or Parquet, as cells of the columns that are asked for.

use std::path::Path;

use arrow_array::Array;
use foretaste_data::Fault;

use crate::limits::Limits;
use crate::reader::arrow_columns::{Ids, Lists, Typed, is_list};
use crate::reader::parquet::{Batch, column_names, for_each_row};
use crate::reader::record::{List, whole};
use crate::reader::{Checked, Source, Table, Text, WHOLE};
use crate::{Error, Input, Result};

/// A field of a row: text, or the list that Parquet has there.
#[derive(Clone)]
pub(super) enum Cell<'r> {
    Text(&'r str),
    List(List<'r>),
}

impl<'r> Cell<'r> {
    pub(super) fn text(&self) -> Checked<&'r str> {
        match self {
            Self::Text(text) => Ok(text),
            Self::List(_) => Err(Fault::new("row", "one value", "a list")),
        }
    }

    pub(super) fn id(&self, field: &'static str) -> Checked<String> {
        match whole(self.text()?) {
            "" => Err(Fault::value(field, "an id", "")),
            id => Ok(id.to_owned()),
        }
    }

    pub(super) fn whole(&self, field: &'static str) -> Checked<i64> {
        let text = self.text()?.trim_ascii();
        whole(text).parse().map_err(|_| Fault::value(field, WHOLE, text))
    }

    pub(super) fn place(&self) -> Checked<usize> {
        let place = self.whole("place")?;
        usize::try_from(place)
            .map_err(|_| Fault::new("place", "a place, counted from 0", place.to_string()))
    }

    pub(super) fn number(&self, field: &'static str) -> Checked<f64> {
        let text = self.text()?;
        let number: Option<f64> = text.trim_ascii().parse().ok();
        let finite = number.filter(|number| number.is_finite());
        finite.ok_or_else(|| Fault::value(field, "a finite number", text))
    }

    pub(super) fn list(&self) -> List<'r> {
        match self {
            Self::Text(text) => List::of_field(text, None),
            Self::List(list) => list.clone(),
        }
    }

    /// Distinct ids.
    pub(super) fn ids(&self, field: &'static str) -> Checked<Vec<String>> {
        let mut ids = Vec::new();
        self.list().each(field, |id| {
            if ids.iter().any(|other| other == id) {
                return Err(Fault::new(field, "every item once", format!("{id:?} twice")));
            }
            ids.push(id.to_owned());
            Ok(())
        })?;
        Ok(ids)
    }
}

/// What `read` makes of a file that may come through a pipe; errors name what was given.
pub(super) fn of_input<T>(path: &Path, read: impl Fn(&Path) -> Result<T>) -> Result<T> {
    let input = Input::open(path)?;
    let mut paths = input.paths();
    let (Some(only), None) = (paths.next(), paths.next()) else {
        return Err(Error::file(path, "holds several files, expected one"));
    };
    read(only).map_err(|mut error| {
        error.path_mut().iter_mut().for_each(|of| path.clone_into(of));
        error
    })
}

fn is_parquet(path: &Path) -> Result<bool> {
    Ok(Source::open(path, None)?.start(path)?.starts_with(b"PAR1"))
}

fn table_of(path: &Path) -> Result<Table<'static>> {
    let (source, delimiter) = Source::open(path, None)?.delimiter()?;
    Table::open(source, delimiter as u8, true, &[])
}

pub(super) fn names(path: &Path) -> Result<Vec<String>> {
    match is_parquet(path)? {
        true => column_names(path),
        false => Ok(table_of(path)?.header().to_vec()),
    }
}

/// What `take` makes of every row, of its line and of the cells of these columns.
pub(super) fn rows<const N: usize, T>(
    path: &Path,
    columns: [&'static str; N],
    mut take: impl FnMut(u64, [Cell<'_>; N]) -> Checked<T>,
) -> Result<Vec<T>> {
    let mut taken = Vec::new();
    if is_parquet(path)? {
        let read = |batch: &Batch<'_>| -> Result<Vec<Column>> {
            columns.iter().map(|name| batch.required(name, Column::new)).collect()
        };
        for_each_row(
            path,
            &Limits::default(),
            None,
            |_| Ok(()),
            read,
            |cells, index, row, _| {
                let cells = std::array::from_fn(|at| cells[at].get(index));
                taken.push(take(row, cells).map_err(|fault| Error::row(path, row, &fault, None))?);
                Ok(())
            },
        )?;
    } else {
        let mut table = table_of(path)?;
        let places = table.columns(columns)?;
        // The header is line 1.
        let mut line = 1;
        while let Some(row) = table.next()? {
            line += 1;
            let mut made = |text: Text<'_>| -> Checked<T> {
                let mut cells = std::array::from_fn(|_| Cell::Text(""));
                for ((cell, place), name) in cells.iter_mut().zip(places).zip(columns) {
                    *cell = Cell::Text(text.field(place, name)?);
                }
                take(line, cells)
            };
            let made = row.text().and_then(&mut made);
            taken.push(made.map_err(|fault| Error::row(path, line, &fault, None))?);
        }
    }
    match taken.is_empty() {
        true => Err(Error::file(path, "has no rows")),
        false => Ok(taken),
    }
}

/// A column of a batch.
struct Column {
    lists: Option<Lists>,
    values: Ids,
}

impl Column {
    fn new(array: &dyn Array) -> Typed<Self> {
        if !is_list(array) {
            return Ok(Self { lists: None, values: Ids::new(array)? });
        }
        let lists = Lists::new(array)?;
        let values = Ids::new(&lists.values)?;
        Ok(Self { lists: Some(lists), values })
    }

    fn get(&self, row: usize) -> Cell<'_> {
        match &self.lists {
            None => Cell::Text(self.values.get(row).unwrap_or_default()),
            Some(lists) => Cell::List(
                lists.get(row).map_or(List::Empty, |range| List::Column(&self.values, range)),
            ),
        }
    }
}
