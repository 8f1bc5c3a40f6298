//! LastFM of HetRec 2011: `user_taggedartists.dat`, one row per tag that a user gave to an artist,
//! with the date.
//!
//! The tags of a user for an artist on one day are one choice. `user_artists.dat` has no times, and
//! is not read.

use super::collector::Collector;
use super::displays::{Around, Choices, Displays, id};
use super::nearest::Pool;
use super::{Source, date, table};
use crate::error::Fault;
use crate::{Error, Result};

const HEADER: [&str; 6] = ["userID", "artistID", "tagID", "day", "month", "year"];

pub(super) fn read(
    source: Source<'_>,
    displays: &Displays,
    collector: &mut Collector,
) -> Result<()> {
    if displays.around == Around::Release {
        let problem = "LastFM knows no day of release: displays lie around the day of the choice";
        return Err(Error::Setting(problem.into()));
    }
    let fraction = source.fraction();
    let (reader, header) = table::open(source, b'\t', false)?;
    let (columns, names) = table::columns(collector.path(), &header, HEADER)?;
    let user = displays.keep_all().then_some(columns[0]);
    let choices =
        Choices::read(reader, &names, user, fraction, collector, |row| choice(row, columns))?;
    let pool = Pool::new(choices.picks.iter().map(|pick| (pick.day(), pick.item)).collect());
    choices.simulate(pool, |pick| pick.day(), |_| 1.0, displays, collector)
}

fn choice(
    row: table::Text<'_>,
    [user, artist, tag, day, month, year]: [usize; HEADER.len()],
) -> std::result::Result<(&str, &str, i64), Fault> {
    let (user, artist) = (id(row, user, "userID")?, id(row, artist, "artistID")?);
    row.number::<u64>(tag, "tagID", "a whole number")?;
    let number = |column, name| row.number::<u32>(column, name, "a whole number");
    let (day, month, year) = (number(day, "day")?, number(month, "month")?, number(year, "year")?);
    let date = date::day(year, month, day).ok_or_else(|| {
        Fault::value("day", "a day of the calendar", &format!("{day}-{month}-{year}"))
    })?;
    Ok((user, artist, date::seconds(date)))
}
