//! Features of items from a file of somebody's own: numbers, and categories as one number each.

use std::collections::BTreeMap;
use std::path::Path;

use foretaste_data::Catalogue;

use crate::reader::arrow_columns::Ids;
use crate::reader::parquet::{column_names, for_each_row};
use crate::reader::record::whole;
use crate::reader::{Source, Table};
use crate::{Error, Result};

/// A column of more different texts than this is no category.
const CATEGORIES: usize = 64;

/// The names of the column that tells items apart; without any of them it is the first.
const KEYS: [&str; 4] = ["item", "item_id", "itemid", "id"];

/// The catalogue with the features of a CSV or Parquet file, a row per item. A column of numbers is
/// a feature; of a column of at most 64 texts each is one, which is 1 for the items that have it.
/// What is empty is 0, and so are all features of an item that has no row; the count of these is
/// returned.
///
/// # Errors
/// [`Error::File`] for a file without other columns, with an item twice, or with a column of too
/// many texts; [`Error::Files`] when the system refuses.
pub(crate) fn with_features(path: &Path, catalogue: Catalogue) -> Result<(Catalogue, usize)> {
    let table = Cells::read(path)?;
    let key = table
        .names
        .iter()
        .position(|name| KEYS.contains(&&*name.to_ascii_lowercase()))
        .unwrap_or_default();
    let mut row_of: BTreeMap<&str, usize> = BTreeMap::new();
    for (row, id) in table.columns[key].iter().enumerate() {
        if row_of.insert(whole(id), row).is_some() {
            return Err(Error::file(path, format!("has two rows of item {id:?}")));
        }
    }
    let mut features: Vec<Vec<f32>> = Vec::new();
    for (at, cells) in table.columns.iter().enumerate().filter(|(at, _)| *at != key) {
        features.extend(columns(path, &table.names[at], cells)?);
    }
    if features.is_empty() {
        return Err(Error::file(path, "has no column beside the items"));
    }
    let (mut values, mut missing) = (Vec::new(), 0);
    for name in catalogue.names().iter() {
        match row_of.get(name) {
            Some(&row) => values.extend(features.iter().map(|feature| feature[row])),
            None => {
                missing += 1;
                values.resize(values.len() + features.len(), 0.0);
            }
        }
    }
    Ok((catalogue.with_features(values, features.len())?, missing))
}

/// The features that a column makes: one of numbers, or one for each text.
fn columns(path: &Path, name: &str, cells: &[String]) -> Result<Vec<Vec<f32>>> {
    let number = |cell: &String| match cell.as_str() {
        "" => Some(0.0),
        "true" | "True" => Some(1.0),
        "false" | "False" => Some(0.0),
        text => text.trim().parse::<f32>().ok().filter(|number| number.is_finite()),
    };
    if let Some(numbers) = cells.iter().map(number).collect::<Option<Vec<f32>>>() {
        return Ok(vec![numbers]);
    }
    let mut texts: Vec<&str> =
        cells.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
    texts.sort_unstable();
    texts.dedup();
    if texts.len() > CATEGORIES {
        let problem = format!(
            "column {name:?} has {} different texts, expected numbers or at most {CATEGORIES} \
             categories; take it out of the file, or make groups of them",
            texts.len()
        );
        return Err(Error::file(path, problem));
    }
    let one = |text: &&str| cells.iter().map(|cell| f32::from(u8::from(cell == text))).collect();
    Ok(texts.iter().map(one).collect())
}

/// A small table, by columns.
pub(crate) struct Cells {
    pub(crate) names: Vec<String>,
    pub(crate) columns: Vec<Vec<String>>,
}

impl Cells {
    /// The number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.columns.first().map_or(0, Vec::len)
    }

    pub(crate) fn read(path: &Path) -> Result<Self> {
        if Source::open(path, None)?.start(path)?.starts_with(b"PAR1") {
            return Self::of_parquet(path);
        }
        let (source, delimiter) = Source::open(path, None)?.delimiter()?;
        let mut table = Table::open(source, delimiter as u8, true, &[])?;
        let names = table.header().to_vec();
        let mut columns = vec![Vec::new(); names.len()];
        let mut line = 1;
        while let Some(row) = table.next()? {
            line += 1;
            let text = row.text().map_err(|fault| Error::row(path, line, &fault, None))?;
            for (at, column) in columns.iter_mut().enumerate() {
                let cell = text.field(at, "row");
                column.push(cell.map_err(|fault| Error::row(path, line, &fault, None))?.to_owned());
            }
        }
        Ok(Self { names, columns })
    }

    fn of_parquet(path: &Path) -> Result<Self> {
        let names = column_names(path)?;
        let mut columns = vec![Vec::new(); names.len()];
        let read = |batch: &crate::reader::parquet::Batch<'_>| -> Result<Vec<Ids>> {
            (0..names.len()).map(|at| batch.at(at, &names[at], Ids::new)).collect()
        };
        for_each_row(
            path,
            None,
            |_| Ok(()),
            read,
            |cells, index, _, _| {
                for (column, cell) in columns.iter_mut().zip(cells) {
                    column.push(cell.get(index).unwrap_or_default().to_owned());
                }
                Ok(())
            },
        )?;
        Ok(Self { names, columns })
    }
}
