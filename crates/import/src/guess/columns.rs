//! The cells of a Parquet file as the texts that they would be in a text file.

use std::path::Path;

use arrow_array::Array;

use crate::Result;
use crate::reader::arrow_columns::{Ids, Lists, Moments, Typed, is_list};
use crate::reader::parquet::{Batch, column_names, first_rows};

/// The names of the columns, and the cells of the first rows, `[columns][rows]`. Cells of types
/// that no column of the schema has are empty.
pub(super) fn of_parquet(path: &Path, rows: usize) -> Result<(Vec<String>, Vec<Vec<String>>)> {
    let names = column_names(path)?;
    let cells = |batch: &Batch<'_>| -> Result<Vec<Vec<String>>> {
        (0..names.len()).map(|at| batch.at(at, &names[at], |array| Ok(texts(array)))).collect()
    };
    let mut values = vec![Vec::new(); names.len()];
    for batch in first_rows(path, rows, cells)? {
        values.iter_mut().zip(batch).for_each(|(column, cells)| column.extend(cells));
    }
    Ok((names, values))
}

fn texts(array: &dyn Array) -> Vec<String> {
    let texts = match is_list(array) {
        true => lists(array),
        false => one_a_row(array),
    };
    texts.unwrap_or_else(|_| vec![String::new(); array.len()])
}

fn one_a_row(array: &dyn Array) -> Typed<Vec<String>> {
    let ids = match Moments::new(array) {
        Ok(Moments::Numbers(times, _)) => {
            let text = |time: Option<i64>| time.map_or_else(String::new, |time| time.to_string());
            return Ok(times.into_iter().map(text).collect());
        }
        _ => Ids::new(array)?,
    };
    Ok((0..array.len()).map(|row| ids.get(row).unwrap_or_default().to_owned()).collect())
}

/// Lists in brackets, whose ids are quoted.
fn lists(array: &dyn Array) -> Typed<Vec<String>> {
    let lists = Lists::new(array)?;
    let ids = Ids::new(&lists.values)?;
    let text = |row: usize| {
        let places = lists.get(row).into_iter().flatten();
        let ids: Vec<&str> = places.map(|place| ids.get(place).unwrap_or_default()).collect();
        serde_json::to_string(&ids).unwrap_or_default()
    };
    Ok((0..array.len()).map(text).collect())
}
