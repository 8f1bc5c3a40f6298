//! The columns of our own schema, and where they stand in a file.

use std::borrow::Borrow;
use std::cell::Cell;
use std::path::Path;

use crate::{Error, Layout, Propensities, Result};

/// The schema's columns.
pub(crate) const COLUMNS: [&str; 15] = [
    "session",
    "step",
    "shown",
    "chosen",
    "reward",
    "timestamp",
    "user",
    "propensity",
    "left",
    "clicked",
    "candidates",
    "event",
    "item",
    "slate",
    "position",
];

/// What the names of columns begin with that are context.
pub(crate) const CONTEXT: &str = "context_";

/// The columns of propensities whose names say what they are.
pub(crate) const MEANING: [&str; 2] = ["slate_propensity", "marginal_propensity"];

/// A column of the schema, as an index into [`COLUMNS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Column {
    Session,
    Step,
    Shown,
    Chosen,
    Reward,
    Timestamp,
    User,
    Propensity,
    Left,
    Clicked,
    Candidates,
    Event,
    Item,
    Slate,
    Position,
}

/// Where the schema's columns stand in a file.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    places: [Option<usize>; COLUMNS.len()],
    /// What the folders above the file say of a column that it lacks.
    constants: [Option<String>; COLUMNS.len()],
    rare: bool,
    /// The file's columns that are not read.
    pub(crate) ignored: Vec<String>,
    /// What the propensities are, where the file has any.
    pub(crate) propensities: Option<Propensities>,
    /// The columns of the context by their names.
    pub(crate) context: Vec<(String, Stands)>,
}

/// Where a column of the context stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stands {
    /// In the file.
    At(usize),
    /// In the names of its folders.
    Says(String),
}

impl Places {
    /// Finds the columns among those of a file, whose folders say `partition`.
    ///
    /// # Errors
    /// [`Error::File`] for a column that stands twice or whose name looks like a slip, and where
    /// there is no telling sessions, slates or choices.
    pub(crate) fn find(
        path: &Path,
        found: &[impl Borrow<str>],
        partition: &[(String, String)],
        layout: &Layout,
    ) -> Result<Self> {
        check_names(path, layout)?;
        let found: Vec<&str> = found.iter().map(|name| name.borrow().trim()).collect();
        let ignored = |name: &str| layout.ignore_columns.iter().any(|ignored| ignored == name);
        let mut places = [None; COLUMNS.len()];
        let mut constants = [const { None }; COLUMNS.len()];
        for (column, name) in COLUMNS.iter().enumerate() {
            let named = layout.columns.get(*name);
            let mut wanted = named.map_or(*name, String::as_str);
            if named.is_none() && taken(layout, wanted) {
                continue;
            }
            if column == Column::Propensity as usize && named.is_none() {
                let names = [&[*name][..], &MEANING].concat();
                let here = |name: &&str| found.contains(name) && !taken(layout, name);
                let here: Vec<&str> =
                    names.into_iter().filter(here).filter(|name| !ignored(name)).collect();
                if let [first, second, ..] = here[..] {
                    let problem = format!(
                        "has the columns {first:?} and {second:?}, but a log has one kind of \
                         propensities: leave one out with --ignore-columns"
                    );
                    return Err(Error::file(path, problem));
                }
                wanted = here.first().copied().unwrap_or(wanted);
            }
            let mut at = (0..found.len()).filter(|&at| found[at] == wanted && !ignored(wanted));
            places[column] = at.next();
            if at.next().is_some() {
                return Err(Error::file(path, format!("has the column {wanted:?} twice")));
            }
            if places[column].is_none() {
                constants[column] =
                    partition.iter().find(|(key, _)| key == wanted).map(|(_, value)| value.clone());
            }
            if named.is_some() && places[column].is_none() && constants[column].is_none() {
                let problem = format!(
                    "has no column {wanted:?}, which was given as {name}; its columns are {}",
                    found.join(", ")
                );
                return Err(Error::file(path, problem));
            }
        }
        let context = context(path, &found, partition, layout)?;
        let read = |at: usize| {
            places.contains(&Some(at)) || context.iter().any(|(_, is)| *is == Stands::At(at))
        };
        let rest: Vec<String> =
            (0..found.len()).filter(|&at| !read(at)).map(|at| found[at].to_owned()).collect();
        if let Some((name, column)) = rest
            .iter()
            .filter(|name| !ignored(name))
            .find_map(|name| Some((name, slip(name, &places)?)))
        {
            let problem = format!(
                "has the column {name:?}, which looks like {column}: --column {column}={name} \
                 reads it as that, and --ignore-columns {name} leaves it out"
            );
            return Err(Error::file(path, problem));
        }
        let mut rest = rest;
        let read = |value: &String| {
            constants.iter().flatten().any(|constant| constant == value)
                || context.iter().any(|(_, is)| *is == Stands::Says(value.clone()))
        };
        rest.extend(partition.iter().filter(|(_, value)| !read(value)).map(|(key, _)| key.clone()));
        let rare = places[Column::Clicked as usize..].iter().any(Option::is_some);
        let propensities = places[Column::Propensity as usize]
            .map(|at| meaning(found[at], layout))
            .transpose()
            .map_err(|problem| Error::file(path, problem))?;
        let places = Self { places, constants, rare, ignored: rest, propensities, context };
        places.check(path, &found, layout)?;
        Ok(places)
    }

    /// Where a column stands.
    pub(crate) fn of(&self, column: Column) -> Option<usize> {
        self.places[column as usize]
    }

    /// What the folders say of a column.
    pub(crate) fn constant(&self, column: Column) -> Option<&str> {
        self.constants[column as usize].as_deref()
    }

    /// Whether the file has a column that few logs have: what stands behind `left`.
    pub(crate) fn has_rare(&self) -> bool {
        self.rare
    }

    /// The schema's name of a column of the file, if it has one.
    pub(crate) fn name_at(&self, place: usize) -> Option<&'static str> {
        self.places.iter().position(|at| *at == Some(place)).map(|column| COLUMNS[column])
    }

    fn has(&self, column: Column) -> bool {
        self.of(column).is_some() || self.constant(column).is_some()
    }

    fn check(&self, path: &Path, found: &[&str], layout: &Layout) -> Result<()> {
        let sessions =
            self.has(Column::Session) || layout.session_gap.is_some() && self.has(Column::User);
        let needed = [
            (sessions, "session"),
            (self.has(Column::Shown) || self.has(Column::Item), "shown"),
            (
                layout.clicks_file.is_some() && self.has(Column::Slate)
                    || self.has(Column::Chosen)
                    || self.has(Column::Clicked)
                    || self.has(Column::Item) && self.has(Column::Event),
                "chosen",
            ),
        ];
        let Some((_, missing)) = needed.iter().find(|(is_there, _)| !is_there) else {
            return Ok(());
        };
        let advice = match *missing {
            "session" if self.has(Column::User) => {
                "name it with --column session=NAME; or separate a user's rows into sessions with \
                 --session-gap 30m, or make them one session with --column session=USER"
            }
            "shown" => SHOWN_ADVICE,
            "chosen" => {
                "name what was chosen with --column chosen=NAME, or the flag of each item that \
                 says whether it was with --column clicked=NAME"
            }
            _ => "name it with --column session=NAME",
        };
        let problem = format!(
            "has no column {missing:?}; its columns are {}; {advice}; `import --guess` proposes a \
             layout",
            found.join(", ")
        );
        Err(Error::file(path, problem))
    }
}

/// What to do where nothing says what was shown.
pub(crate) const SHOWN_ADVICE: &str = "name the list of the slate with --column shown=NAME, or the \
                                       item of a file with one row per item shown with --column \
                                       item=NAME";
/// The columns of a file, and the folders above it, that are context.
fn context(
    path: &Path,
    found: &[&str],
    partition: &[(String, String)],
    layout: &Layout,
) -> Result<Vec<(String, Stands)>> {
    let in_file = found.iter().enumerate().map(|(at, name)| (*name, Stands::At(at)));
    let in_folders = partition.iter().map(|(key, value)| (&**key, Stands::Says(value.clone())));
    let mut context: Vec<(String, Stands)> = Vec::new();
    for (column, stands) in in_file.chain(in_folders) {
        let Some(name) = context_name(column, layout) else { continue };
        if context.iter().any(|(other, _)| other == name) {
            return Err(Error::file(path, format!("has the context {name:?} twice")));
        }
        context.push((name.to_owned(), stands));
    }
    let lacks = |name: &&String| {
        let folder = partition.iter().any(|(key, _)| key == *name);
        let known = context.iter().any(|(known, _)| known == *name);
        !found.contains(&name.as_str()) && !folder && !known
    };
    match layout.context.iter().find(lacks) {
        None => Ok(context),
        Some(name) => {
            let problem = format!(
                "has no column {name:?}, which was given as context; its columns are {}",
                found.join(", ")
            );
            Err(Error::file(path, problem))
        }
    }
}

/// What the context in a column is called; `None` for a column that is none.
pub(crate) fn context_name<'c>(column: &'c str, layout: &Layout) -> Option<&'c str> {
    let own = column.strip_prefix(CONTEXT).filter(|name| !name.is_empty());
    let listed = |names: &[String]| names.iter().any(|name| name == column);
    match own {
        _ if listed(&layout.context) => Some(own.unwrap_or(column)),
        own => own.filter(|_| !listed(&layout.ignore_columns) && !taken(layout, column)),
    }
}

/// What the propensities in a column are, or what is wrong with what is said of them.
pub(crate) fn meaning(column: &str, layout: &Layout) -> std::result::Result<Propensities, String> {
    match (Propensities::of_column(column), layout.propensities) {
        (Some(own), Some(said)) if own != said => Err(format!(
            "has {own} propensities in the column {column:?}, and they are said to be {said}"
        )),
        (own, said) => Ok(own.or(said).unwrap_or_default()),
    }
}

/// The schema's columns by the names that a file without a header gives its fields.
pub(crate) struct Names {
    names: [Option<String>; COLUMNS.len()],
    /// The fields that are propensities, too, and say of which kind.
    meaning: Vec<&'static str>,
    /// The column behind the last one that was found: objects mostly have one order.
    next: Cell<usize>,
}

impl Names {
    /// # Errors
    /// [`Error::File`] if the layout names a column that the schema lacks.
    pub(crate) fn new(path: &Path, layout: &Layout) -> Result<Self> {
        check_names(path, layout)?;
        let of = |name: &str| match layout.columns.get(name) {
            Some(field) => Some(field.clone()),
            None => (!taken(layout, name)).then(|| name.to_owned()),
        };
        let ignored = |field: &String| layout.ignore_columns.contains(field);
        let names = COLUMNS.map(|name| of(name).filter(|field| !ignored(field)));
        let named = layout.columns.contains_key(COLUMNS[Column::Propensity as usize]);
        let known = |name: &&str| !named && !taken(layout, name) && !ignored(&(*name).to_owned());
        let meaning = MEANING.into_iter().filter(known).collect();
        Ok(Self { names, meaning, next: Cell::new(0) })
    }

    /// The column that a field is.
    pub(crate) fn column(&self, field: &str) -> Option<usize> {
        let is_at =
            |at: usize| self.names.get(at).is_some_and(|name| name.as_deref() == Some(field));
        let next = self.next.get();
        let found = if is_at(next) { Some(next) } else { (0..COLUMNS.len()).find(|&at| is_at(at)) };
        let meaning = || self.meaning.contains(&field).then_some(Column::Propensity as usize);
        let found = found.or_else(meaning);
        self.next.set(found.map_or(next, |at| at + 1));
        found
    }

    /// The column that the name of a field which is none looks like.
    pub(crate) fn slip(field: &str) -> Option<&'static str> {
        slip(field, &[None; COLUMNS.len()])
    }
}

/// Whether a column of the file is read as another one than its name says.
fn taken(layout: &Layout, name: &str) -> bool {
    layout.columns.values().any(|column| column == name)
}

fn check_names(path: &Path, layout: &Layout) -> Result<()> {
    match layout.columns.keys().find(|name| !COLUMNS.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let problem = format!(
                "cannot be read with --column {name}=…: the schema has no column {name:?}, only {}",
                COLUMNS.join(", ")
            );
            Err(Error::file(path, problem))
        }
    }
}

/// The column of the schema, if the file lacks it, of which a name is a plural or a slip of the
/// pen: of those without which a log would be read as another one, with no word of it.
fn slip(name: &str, places: &[Option<usize>; COLUMNS.len()]) -> Option<&'static str> {
    const SILENT: [Column; 4] =
        [Column::Reward, Column::Timestamp, Column::Propensity, Column::Candidates];
    let name = name.to_ascii_lowercase();
    let lacking = SILENT.iter().filter(|&&column| places[column as usize].is_none());
    lacking
        .map(|&column| COLUMNS[column as usize])
        .find(|column| distance(column, &name) <= column.len() / 3)
}

/// How many letters must be put in, taken out or changed to make one word the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(columns: &[&str], layout: &Layout) -> Result<Places> {
        Places::find(Path::new("shop.csv"), columns, &[], layout)
    }

    const GOOD: [&str; 5] = ["session", "step", "shown", "chosen", "reward"];

    #[test]
    fn columns_are_found_by_their_own_names_and_by_those_that_are_given() {
        let columns =
            [("session".to_owned(), "sid".to_owned()), ("user".to_owned(), "session".to_owned())];
        let layout = Layout { columns: columns.into(), ..Layout::default() };
        let places = find(&["sid", "session", "shown", "chosen", "price"], &layout).unwrap();
        assert_eq!((places.of(Column::Session), places.of(Column::User)), (Some(0), Some(1)));
        assert_eq!(
            (places.of(Column::Step), &places.ignored[..]),
            (None, &["price".to_owned()][..])
        );
    }

    #[test]
    fn a_slip_of_the_pen_is_not_ignored() {
        for (slip, column) in [
            ("propensities", "propensity"),
            ("Timestamps", "timestamp"),
            ("candidate", "candidates"),
        ] {
            let columns = [&GOOD[..], &[slip]].concat();
            let error = find(&columns, &Layout::default()).unwrap_err().to_string();
            assert!(error.contains(&format!("--column {column}={slip}")), "{error}");
            let layout = Layout { ignore_columns: vec![slip.into()], ..Layout::default() };
            assert_eq!(find(&columns, &layout).unwrap().ignored, [slip]);
        }
        for other in ["price", "query", "__index_level_0__", "Unnamed: 0", "click", "time", ""] {
            assert!(find(&[&GOOD[..], &[other]].concat(), &Layout::default()).is_ok(), "{other}");
        }
    }

    #[test]
    fn what_is_missing_is_named_with_the_option_that_names_it() {
        for (columns, expected) in [
            (&["user", "shown", "chosen"][..], "--session-gap 30m"),
            (&["session", "chosen"][..], "--column item=NAME"),
            (&["session", "shown"][..], "--column clicked=NAME"),
        ] {
            let error = find(columns, &Layout::default()).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("--guess"), "{error}");
        }
        let columns = [("sessions".to_owned(), "sid".to_owned())].into();
        let layout = Layout { columns, ..Layout::default() };
        assert!(find(&GOOD, &layout).unwrap_err().to_string().contains("no column \"sessions\""));
    }

    #[test]
    fn folders_say_what_the_file_lacks() {
        let partition = [("user".to_owned(), "ann".to_owned())];
        let path = Path::new("user=ann/part-0.csv");
        let places = Places::find(path, &GOOD, &partition, &Layout::default()).unwrap();
        assert_eq!(places.constant(Column::User), Some("ann"));
        assert_eq!((places.constant(Column::Session), places.ignored.len()), (None, 0));
        let partition = [("day".to_owned(), "2024-03-10".to_owned())];
        let places = Places::find(path, &GOOD, &partition, &Layout::default()).unwrap();
        assert_eq!(places.ignored, ["day"]);
    }
}
