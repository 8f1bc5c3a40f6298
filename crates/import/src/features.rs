//! Features of items and users, in files of their own: numbers, and categories as one number each.

use std::collections::HashMap;
use std::path::Path;

use foretaste_data::{Dataset, Features, Vocabulary};

use crate::formats::check_ids;
use crate::reader::cells::Cells;
use crate::reader::record::whole;
use crate::{Error, Result};

/// A column of more different texts than this is no category.
pub(crate) const CATEGORIES: usize = 64;

/// What pandas calls the column of a table's row numbers.
const INDEX: [&str; 3] = ["", "Unnamed: 0", "__index_level_0__"];

/// Whose features a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The items'.
    Items,
    /// The users'.
    Users,
}

impl Whose {
    /// One of them.
    fn one(self) -> &'static str {
        match self {
            Self::Items => "item",
            Self::Users => "user",
        }
    }

    /// The names of the column that tells them apart; without any of them it is the first.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Items => &["item", "item_id", "itemid", "id"],
            Self::Users => &["user", "user_id", "userid", "uid", "id"],
        }
    }
}

/// Gives a data set the features of a CSV or Parquet file, a row per item or user; what is to be
/// said of them. A column of numbers is a feature; of a column of at most `most` texts each is one,
/// which is 1 for those that have it. What is empty is 0, and so are all features of an item or
/// user that has no row; rows of others are not used.
///
/// # Errors
/// [`Error::File`] for a file without other columns, with an item or user twice, or with a column
/// of too many texts, and for users of a log that names none; [`Error::Files`] when the system
/// refuses.
pub(crate) fn add(
    path: &Path,
    whose: Whose,
    most: usize,
    dataset: &mut Dataset,
) -> Result<Vec<String>> {
    let one = whose.one();
    if whose == Whose::Users && dataset.users.is_empty() {
        let problem = "has features of users, but the log has no users: name their column with \
                       --column user=NAME";
        return Err(Error::file(path, problem));
    }
    let names = match whose {
        Whose::Items => dataset.catalogue.names(),
        Whose::Users => &dataset.users,
    };
    let Read { features, columns, missing } = read(path, whose, most, names)?;
    let (count, dim) = (names.len(), features.dim());
    match whose {
        Whose::Items => {
            let catalogue = std::mem::take(&mut dataset.catalogue);
            dataset.catalogue = catalogue.with_features(features.values().to_vec(), dim)?;
        }
        Whose::Users => dataset.user_features = Some(features),
    }
    const SHOWN: usize = 12;
    let more = if columns.len() > SHOWN { ", …" } else { "" };
    let shown = columns[..columns.len().min(SHOWN)].join(", ");
    let mut notes = vec![format!("features of every {one}, {dim} in all: {shown}{more}")];
    if missing > 0 {
        notes.push(format!(
            "{missing} of {count} {one}s have no row in {}: their features are 0",
            path.display()
        ));
    }
    Ok(notes)
}

struct Read {
    features: Features,
    /// The columns, each with how many categories it has, if it has any.
    columns: Vec<String>,
    /// How many have no row.
    missing: usize,
}

fn read(path: &Path, whose: Whose, most: usize, names: &Vocabulary) -> Result<Read> {
    let one = whose.one();
    let table = Cells::read(path)?;
    let is_key = |name: &String| whose.keys().contains(&&*name.to_ascii_lowercase());
    let key = table.names.iter().position(is_key).unwrap_or_default();
    let (mut row_of, mut row_of_whole) = (HashMap::new(), HashMap::new());
    for (row, id) in table.columns[key].iter().enumerate() {
        if row_of.insert(id.as_str(), row).is_some() {
            return Err(Error::file(path, format!("has two rows of {one} {id:?}")));
        }
        row_of_whole.entry(whole(id)).or_insert(row);
    }
    let (mut features, mut columns) = (Vec::<Vec<f32>>::new(), Vec::new());
    for (at, cells) in table.columns.iter().enumerate() {
        let name = &table.names[at];
        if at != key && !INDEX.contains(&&**name) {
            let (column, of_column) = features_of(path, name, most, cells)?;
            columns.push(column);
            features.extend(of_column);
        }
    }
    if features.is_empty() {
        return Err(Error::file(path, format!("has no column in addition to the {one}s")));
    }
    let (mut values, mut missing) = (Vec::new(), 0);
    for name in names.iter() {
        match row_of.get(name).or_else(|| row_of_whole.get(name)) {
            Some(&row) => values.extend(features.iter().map(|feature| feature[row])),
            None => {
                missing += 1;
                values.resize(values.len() + features.len(), 0.0);
            }
        }
    }
    let features = Features::new(values, features.len(), names.len(), one)?;
    Ok(Read { features, columns, missing })
}

/// Writes the features of the items or users of a data set as CSV, atomically: a row for each, as
/// [`Options::item_features`](crate::Options::item_features) and
/// [`Options::user_features`](crate::Options::user_features) read it.
///
/// # Errors
/// [`Error::File`] if there are none, or an id is empty or holds a line break; [`Error::Files`] if
/// `path` is no place for a file, or when the system refuses.
pub fn export_features(dataset: &Dataset, whose: Whose, path: &Path) -> Result<()> {
    let one = whose.one();
    let (names, features) = match whose {
        Whose::Items => (dataset.catalogue.names(), dataset.catalogue.features()),
        Whose::Users => {
            let features = dataset.user_features.as_ref();
            (&dataset.users, features.map(|features| (features.values(), features.dim())))
        }
    };
    let Some((values, dim)) = features else {
        let problem = format!("cannot be written: the data set has no features of {one}s");
        return Err(Error::file(path, problem));
    };
    check_ids(path, names.iter(), |c| matches!(c, '\n' | '\r'))?;
    foretaste_files::write_with(path, |file| {
        let mut write = || -> csv::Result<()> {
            let mut writer = csv::Writer::from_writer(&mut *file);
            writer.write_field(one)?;
            (0..dim).try_for_each(|at| writer.write_field(format!("feature_{at}")))?;
            writer.write_record(None::<&[u8]>)?;
            for (name, row) in names.iter().zip(values.chunks(dim)) {
                writer.write_field(name)?;
                row.iter().try_for_each(|value| writer.write_field(value.to_string()))?;
                writer.write_record(None::<&[u8]>)?;
            }
            Ok(writer.flush()?)
        };
        write().map_err(|error| Error::file(path, format!("cannot be written: {error}")))
    })
}

/// What a column is called, and the features that it makes: one of numbers, or one for each text,
/// in the order of the texts.
fn features_of(
    path: &Path,
    name: &str,
    most: usize,
    cells: &[String],
) -> Result<(String, Vec<Vec<f32>>)> {
    let number = |cell: &String| match cell.as_str() {
        "" => Some(0.0),
        "true" | "True" => Some(1.0),
        "false" | "False" => Some(0.0),
        text => text.trim().parse::<f32>().ok().filter(|number| number.is_finite()),
    };
    if let Some(numbers) = cells.iter().map(number).collect::<Option<Vec<f32>>>() {
        return Ok((name.to_owned(), vec![numbers]));
    }
    let mut texts: Vec<&str> =
        cells.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
    texts.sort_unstable();
    texts.dedup();
    if texts.len() > most {
        let problem = format!(
            "column {name:?} has {} different texts, expected numbers or at most {most} \
             categories; take it out of the file, or make groups of them",
            texts.len()
        );
        return Err(Error::file(path, problem));
    }
    let one = |text: &&str| cells.iter().map(|cell| f32::from(u8::from(cell == text))).collect();
    let column = format!("{name} ({} categories)", texts.len());
    Ok((column, texts.iter().map(one).collect()))
}
