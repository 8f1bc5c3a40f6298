//! When films were released: the files that are next to the ratings.

use foretaste_data::{Fault, Vocabulary};

use crate::formats::beside;
use crate::reader::{Checked, Collector, Row, Table, date};
use crate::{Error, Result};

/// How errors name a film's id: as the README of 100k and the header of the CSV do.
const FILM: &str = "movie id";

/// What is next to the ratings.
pub(crate) const U_ITEM: &str = "u.item";
pub(crate) const MOVIES_CSV: &str = "movies.csv";
pub(crate) const MOVIES_DAT: &str = "movies.dat";

/// The days of release by `u.item`, which 100k always has: rows without a header, separated by
/// bars, whose titles are in Latin-1 and are not read. `None` for a film without a date.
pub(super) fn u_item(films: &Vocabulary, collector: &mut Collector) -> Result<Vec<Option<i64>>> {
    /// Movie id, title, release date, video release date, URL, and 19 genres.
    const FIELDS: usize = 24;
    let path = beside(collector, U_ITEM);
    if !path.exists() {
        return Err(Error::file(
            &path,
            "is missing; expected it in the folder of u.data, with the films' dates of release",
        ));
    }
    let table = Table::without_header(super::super::open_beside(collector, &path)?, b'|', &[]);
    read(table, films, collector, |row| {
        if row.len() != FIELDS {
            return Err(Fault::new("row", "24 fields separated by |", row.len().to_string()));
        }
        let date = String::from_utf8_lossy(row.bytes(2));
        let day = match date.trim() {
            "" => None,
            text => Some(written_out(text).ok_or_else(|| {
                Fault::value("release date", "a date such as 01-Jan-1995, or nothing", text)
            })?),
        };
        Ok((String::from_utf8_lossy(row.bytes(0)).into_owned(), day))
    })
}

/// The days of release by the years of the titles in `movies.dat`, as far as it is there: rows
/// without a header, separated by two colons, whose titles are in Latin-1 and hold colons too.
pub(super) fn movies_dat(
    films: &Vocabulary,
    collector: &mut Collector,
) -> Result<Vec<Option<i64>>> {
    let path = beside(collector, MOVIES_DAT);
    if !path.exists() {
        collector.note("there is no movies.dat in the folder of the ratings".to_owned());
        return Ok(vec![None; films.len()]);
    }
    let table = Table::without_header(super::super::open_beside(collector, &path)?, b':', &[]);
    read(table, films, collector, |row| {
        let film = row.lone_field(0).ok_or_else(|| Fault::value(FILM, "an id", ""))?;
        // Behind the title stand two colons and the genres.
        let last = row.len().saturating_sub(3);
        let title = String::from_utf8_lossy(row.bytes(last));
        Ok((film.to_owned(), year(&title).and_then(|year| date::day(year, 1, 1))))
    })
}

/// The days of release by the years of the titles in `movies.csv`, as far as it is there and they
/// name one: 1 January, as in most rows of `u.item`.
pub(super) fn movies_csv(
    films: &Vocabulary,
    collector: &mut Collector,
) -> Result<Vec<Option<i64>>> {
    let path = beside(collector, MOVIES_CSV);
    if !path.exists() {
        collector.note("there is no movies.csv in the folder of the ratings".to_owned());
        return Ok(vec![None; films.len()]);
    }
    let columns = ["movieId", "title"];
    let table = Table::open(super::super::open_beside(collector, &path)?, b',', true, &columns)?;
    let [movie, title] = table.columns(columns)?;
    read(table, films, collector, |row| {
        let row = row.text()?;
        let day = year(row.field(title, "title")?).and_then(|year| date::day(year, 1, 1));
        Ok((row.field(movie, "movieId")?.to_owned(), day))
    })
}

/// Reads a file of one film per row, of which `take` makes the film's id and day. Films that no one
/// rated are passed over.
fn read(
    table: Table<'_>,
    films: &Vocabulary,
    collector: &mut Collector,
    take: impl Fn(Row<'_>) -> Checked<(String, Option<i64>)>,
) -> Result<Vec<Option<i64>>> {
    // `None` until the film's row is met.
    let mut released: Vec<Option<Option<i64>>> = vec![None; films.len()];
    collector.read_beside(table, |row| {
        let (film, day) = take(row)?;
        let Some(number) = films.get(&film) else { return Ok(()) };
        match &mut released[number as usize] {
            Some(_) => Err(Fault::value(FILM, "a film once", &film)),
            unmet => {
                *unmet = Some(day);
                Ok(())
            }
        }
    })?;
    Ok(released.into_iter().map(Option::flatten).collect())
}

/// The day of a date such as `01-Jan-1995`.
fn written_out(text: &str) -> Option<i64> {
    let mut parts = text.split('-');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let month = date::month(month)?;
    parts
        .next()
        .is_none()
        .then(|| date::day(year.parse().ok()?, month, day.parse().ok()?))
        .flatten()
}

/// The year in which a title ends: `Toy Story (1995)`; the first of `Death Note (2006–2007)`.
fn year(title: &str) -> Option<u32> {
    let (_, last) = title.trim_end().strip_suffix(')')?.rsplit_once('(')?;
    let digits = last.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(last.len());
    last[..digits].parse().ok().filter(|_| digits == 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn years_of_titles() {
        let titles = [
            ("Toy Story (1995)", Some(1995)),
            ("Cité des enfants perdus, La (1995) ", Some(1995)),
            ("Death Note: Desu nôto (2006–2007)", Some(2006)),
            ("Big Bang Theory, The (2007-)", Some(2007)),
            ("2001: A Space Odyssey (1968)", Some(1968)),
            ("(500) Days of Summer (2009)", Some(2009)),
            ("Babylon 5", None),
            ("Ready Player One", None),
            ("Shining, The (director's cut)", None),
            ("M (20011)", None),
            ("", None),
        ];
        for (title, expected) in titles {
            assert_eq!(year(title), expected, "{title}");
        }
    }

    #[test]
    fn dates_written_out() {
        assert_eq!(written_out("01-Jan-1995"), date::day(1995, 1, 1));
        assert_eq!(written_out("4-Feb-1971"), date::day(1971, 2, 4));
        for text in
            ["1995", "01-01-1995", "30-Feb-1995", "01-Jan-1995-", "01-Jan-", "-Jan-1995", "Jan"]
        {
            assert_eq!(written_out(text), None, "{text}");
        }
    }
}
