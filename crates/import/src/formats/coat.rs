//! The Coat data set: how users rated coats of their own choice (`train.ascii`) and coats drawn at
//! random (`test.ascii`).
//!
//! Schnabel, Swaminathan, Singh, Chandak, Joachims, "Recommendations as treatments", ICML 2016,
//! section 6.2. All files are matrices: numbers separated by blanks, a row per user, a column per
//! item.

use std::path::Path;

use foretaste_data::{Catalogue, Fault};

use crate::reader::{Answer, Checked, Collector, Place, Row, Source, Table};
use crate::{Error, Result};

/// What a rating may be; 0 is none.
pub(crate) const RATINGS: [&str; 6] = ["0", "1", "2", "3", "4", "5"];

/// What is next to the ratings.
pub(crate) const PROPENSITIES: &str = "propensities.ascii";
pub(crate) const ITEM_FEATURES: &str = "features/item_features.ascii";

/// Collects a session of one step per rating.
pub(crate) fn read(source: Source<'_>, collector: &mut Collector) -> Result<()> {
    let path = source.path().to_owned();
    let at_random =
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("test."));
    let mut ratings = Matrix::new(
        source,
        "rating",
        "a whole number from 0 to 5, where 0 means no rating",
        |rating| (0.0..=5.0).contains(&rating) && rating.fract() == 0.0,
    );
    let mut chances = None;
    if !at_random {
        let source = super::open_beside(collector, &super::beside(collector, PROPENSITIES))?;
        chances =
            Some(Matrix::new(source, "propensity", "a probability above 0 and at most 1", |p| {
                p > 0.0 && p <= 1.0
            }));
    }
    let mut bad_chances =
        chances.as_ref().map(|chances| collector.bad_rows_beside(chances.table.path()));
    let mut users = 0;
    for user in 0_usize.. {
        let rated = ratings.row()?;
        let chance = chances.as_mut().map(Matrix::row).transpose()?;
        if chance.as_ref().is_some_and(|chance| chance.is_some() != rated.is_some()) {
            let problem = format!("has not as many rows as {}, one per user", path.display());
            return Err(Error::file(&super::beside(collector, PROPENSITIES), problem));
        }
        let Some(rated) = rated else { break };
        users += 1;
        collector.count_row(ratings.fraction);
        let rated = match rated {
            Ok(rated) => rated,
            Err(fault) => {
                collector.reject(ratings.place, 1, None, fault)?;
                continue;
            }
        };
        let chance = match chance
            .flatten()
            .map(|row| row.and_then(|row| as_wide(row, &rated)))
            .transpose()
        {
            Ok(chance) => chance,
            Err(fault) => {
                if let (Some(chances), Some(bad)) = (&chances, &mut bad_chances) {
                    bad.reject(chances.place, 1, None, fault)?;
                }
                continue;
            }
        };
        // Of the test's coats the same number was drawn for every user.
        let drawn =
            rated.iter().filter(|&&rating| rating > 0.0).count() as f32 / rated.len() as f32;
        for (item, &reward) in rated.iter().enumerate().filter(|(_, rating)| **rating > 0.0) {
            let name = item.to_string();
            let propensity = chance.as_ref().map_or(drawn, |chance| chance[item]);
            collector.open(&(user * rated.len() + item).to_string())?;
            collector.begin_slate();
            collector.show(&name);
            collector.push(&Answer {
                choice: Ok(&name),
                reward,
                propensity: Some(&[propensity]),
                timestamp: None,
            })?;
            collector.close(Some(&user.to_string()))?;
        }
    }
    bad_chances.map_or(Ok(()), |bad| collector.finish_beside(bad, users))
}

/// The catalogue with the features of `features/item_features.ascii`, if it is there: a row per
/// item.
pub(crate) fn with_features(path: &Path, catalogue: Catalogue) -> Result<Catalogue> {
    let path = path.with_file_name(ITEM_FEATURES);
    if !path.exists() {
        return Ok(catalogue);
    }
    let mut matrix = Matrix::new(Source::open(&path, None)?, "feature", "0 or 1", |value| {
        value == 0.0 || value == 1.0
    });
    let mut rows = Vec::new();
    while let Some(row) = matrix.row()? {
        match row {
            Ok(row) => rows.push(row),
            Err(fault) => return Err(Error::row(&path, rows.len() as u64 + 1, &fault, None)),
        }
    }
    let mut values = Vec::new();
    for name in catalogue.names().iter() {
        let row = name.parse().ok().and_then(|item: usize| rows.get(item));
        values.extend(row.ok_or_else(|| {
            Error::file(&path, format!("has {} rows and none of item {name}", rows.len()))
        })?);
    }
    Ok(catalogue.with_features(values, rows.first().map_or(0, Vec::len))?)
}

/// A row of propensities, if there is one for each of the user's ratings.
fn as_wide(chance: Vec<f32>, rated: &[f32]) -> Checked<Vec<f32>> {
    if chance.len() == rated.len() {
        return Ok(chance);
    }
    let found = format!("{} for {} ratings", chance.len(), rated.len());
    Err(Fault::new("row", "a propensity for every rating", found))
}

/// A matrix, row by row.
struct Matrix<'a> {
    table: Table<'a>,
    /// What its numbers are, for every column.
    names: Vec<&'static str>,
    field: &'static str,
    expected: &'static str,
    valid: fn(f32) -> bool,
    /// Where the row stands that was read last, and how much of the file had been read by then.
    place: Place,
    fraction: f64,
}

impl<'a> Matrix<'a> {
    fn new(
        source: Source<'a>,
        field: &'static str,
        expected: &'static str,
        valid: fn(f32) -> bool,
    ) -> Self {
        let table = Table::without_header(source, b' ', &[]);
        let (names, place) = (Vec::new(), Place::Line(1));
        Self { table, names, field, expected, valid, place, fraction: 0.0 }
    }

    /// The next row, as long as the first; `None` at the end.
    fn row(&mut self) -> Result<Option<Checked<Vec<f32>>>> {
        let Self { table, names, field, expected, valid, .. } = self;
        let Some(row) = table.next()? else { return Ok(None) };
        if names.is_empty() {
            names.resize(row.len(), field);
        }
        (self.place, self.fraction) = (row.place(), row.fraction);
        Ok(Some(numbers(row, names, expected, *valid)))
    }
}

/// The numbers of a row, which are called `names`.
fn numbers(
    row: Row<'_>,
    names: &[&'static str],
    expected: &'static str,
    valid: fn(f32) -> bool,
) -> Checked<Vec<f32>> {
    let text = row.text_of(names)?;
    let number = |(column, &name): (usize, &&'static str)| {
        let number: f32 = text.number(column, name, expected)?;
        let fault = || Fault::new(name, expected, number.to_string());
        valid(number).then_some(number).ok_or_else(fault)
    };
    names.iter().enumerate().map(number).collect()
}
