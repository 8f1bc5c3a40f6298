//! LastFM of HetRec 2011: `user_taggedartists.dat`, one row per tag that a user gave to an artist,
//! with the date.
//!
//! The tags of a user for an artist on one day are one choice. `user_artists.dat` has no times, and
//! is not read.

use foretaste_data::Fault;
use foretaste_settings::Setting;

use crate::Result;
use crate::nearest::Pool;
use crate::reader::{Checked, Collector, Source, Table, Text, WHOLE, date};
use crate::slates::{Around, Choices, SimulatedSlates};

const HEADER: [&str; 6] = ["userID", "artistID", "tagID", "day", "month", "year"];

pub(crate) fn read(
    source: Source<'_>,
    slates: &SimulatedSlates,
    collector: &mut Collector,
) -> Result<()> {
    if slates.around == Around::Release {
        let problem = "LastFM has no days of release: slates are made of items near the day of the \
                       choice";
        return Err(Setting::new("slates", problem).into());
    }
    let table = Table::open(source, b'\t', false, &HEADER)?;
    let columns = table.columns(HEADER)?;
    let user = slates.keep_all().then_some(columns[0]);
    let choices = Choices::read(table, user, collector, |row| choice(row, columns))?;
    let pool = Pool::new(choices.picks.iter().map(|pick| (pick.day(), pick.item)).collect());
    choices.simulate(pool, |pick| pick.day(), |_| 1.0, slates, collector)
}

fn choice(
    row: Text<'_>,
    [user, artist, tag, day, month, year]: [usize; HEADER.len()],
) -> Checked<(&str, &str, i64)> {
    let (user, artist) = (row.id(user, "userID")?, row.id(artist, "artistID")?);
    row.number::<u64>(tag, "tagID", WHOLE)?;
    let number = |column, name| row.number::<u32>(column, name, WHOLE);
    let (day, month, year) = (number(day, "day")?, number(month, "month")?, number(year, "year")?);
    let date = date::day(year, month, day).ok_or_else(|| {
        Fault::value("day", "a day of the calendar", &format!("{day}-{month}-{year}"))
    })?;
    Ok((user, artist, date::seconds(date)))
}
