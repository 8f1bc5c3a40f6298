//! MovieLens: the ratings of 100k (`u.data`), of 1M (`ratings.dat`) and of the releases that came
//! as CSV (`ratings.csv`: latest-small and its larger sisters), with the films' days of release
//! from the file next to it.
//!
//! A rating is a choice, whatever its value.

pub(crate) mod releases;

use foretaste_data::Fault;

use crate::Result;
use crate::nearest::Pool;
use crate::reader::{Checked, Collector, Source, Table, Text, WHOLE};
use crate::slates::{Around, Choices, SimulatedSlates};

/// `u.data` has no header; these are the names of its README.
const U_DATA: [&str; 4] = ["user id", "item id", "rating", "timestamp"];
const RATINGS_CSV: [&str; 4] = ["userId", "movieId", "rating", "timestamp"];

pub(crate) fn read_100k(
    source: Source<'_>,
    slates: &SimulatedSlates,
    collector: &mut Collector,
) -> Result<()> {
    let table = Table::without_header(source, b'\t', &U_DATA);
    let user = slates.keep_all().then_some(0);
    let columns = [0, 1, 2, 3];
    let choices = Choices::read(table, user, collector, |row| choice(row, U_DATA, columns))?;
    let released = releases::u_item(&choices.items, collector)?;
    simulate(&choices, released, slates, collector)
}

/// `ratings.dat` of 1M: separated by two colons, which are one with nothing between.
pub(crate) fn read_1m(
    source: Source<'_>,
    slates: &SimulatedSlates,
    collector: &mut Collector,
) -> Result<()> {
    const FIELDS: [&str; 7] = ["UserID", "", "MovieID", "", "Rating", "", "Timestamp"];
    const NAMES: [&str; 4] = ["UserID", "MovieID", "Rating", "Timestamp"];
    let table = Table::without_header(source, b':', &FIELDS);
    let user = slates.keep_all().then_some(0);
    let columns = [0, 2, 4, 6];
    let choices = Choices::read(table, user, collector, |row| choice(row, NAMES, columns))?;
    let released = releases::movies_dat(&choices.items, collector)?;
    simulate(&choices, released, slates, collector)
}

pub(crate) fn read_csv(
    source: Source<'_>,
    slates: &SimulatedSlates,
    collector: &mut Collector,
) -> Result<()> {
    let table = Table::open(source, b',', true, &RATINGS_CSV)?;
    let columns = table.columns(RATINGS_CSV)?;
    let user = slates.keep_all().then_some(columns[0]);
    let choices = Choices::read(table, user, collector, |row| choice(row, RATINGS_CSV, columns))?;
    let released = releases::movies_csv(&choices.items, collector)?;
    simulate(&choices, released, slates, collector)
}

fn choice<'r>(
    row: Text<'r>,
    names: [&'static str; 4],
    columns: [usize; 4],
) -> Checked<(&'r str, &'r str, i64)> {
    let user = row.id(columns[0], names[0])?;
    let item = row.id(columns[1], names[1])?;
    let rating: f64 = row.number(columns[2], names[2], "a number")?;
    if !rating.is_finite() {
        return Err(Fault::new(names[2], "a number", rating.to_string()));
    }
    Ok((user, item, row.number(columns[3], names[3], WHOLE)?))
}

/// The films are those that someone rated. One without a day of release has that of its first
/// rating.
fn simulate(
    choices: &Choices,
    released: Vec<Option<i64>>,
    slates: &SimulatedSlates,
    collector: &mut Collector,
) -> Result<()> {
    let undated = released.iter().filter(|day| day.is_none()).count();
    if undated > 0 {
        let films = released.len();
        collector
            .note(format!("{undated} of {films} films have no date of release, and take that of their first rating"));
    }
    let mut first = vec![i64::MAX; released.len()];
    for pick in &choices.picks {
        let first = &mut first[pick.item as usize];
        *first = pick.day().min(*first);
    }
    let days: Vec<i64> =
        released.into_iter().zip(first).map(|(day, first)| day.unwrap_or(first)).collect();
    let pool = Pool::new(days.iter().copied().zip(0..).collect());
    match slates.around {
        Around::Choice => choices.simulate(pool, |pick| pick.day(), |_| 1.0, slates, collector),
        Around::Release => {
            choices.simulate(pool, |pick| days[pick.item as usize], |_| 1.0, slates, collector)
        }
    }
}
