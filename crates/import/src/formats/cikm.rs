//! CIKM Cup 2016, Track 2 (DIGINETICA): the raw search log, joined, filtered and split as the
//! IRecGAN authors do.
//!
//! Bai, Guan, Wang, "A Model-Based Reinforcement Learning with Adversarial Training for Online
//! Recommendation", NeurIPS 2019, section 7.2. `docs/data-formats.md` gives every rule.

use std::cmp::Reverse;

use foretaste_data::{Fault, Split, Vocabulary};
use foretaste_random::Seed;
use hashbrown::{HashMap, HashSet};

use crate::Result;
use crate::reader::{Answer, Checked, Collector, Source, Table, Text, WHOLE, date};

/// Items that keep their own number: those with the most clicks in training.
const ITEMS: usize = 40_000;

/// Steps of a session that is kept.
const LENGTHS: std::ops::RangeInclusive<usize> = 2..=40;
/// The folds of the split, and those of them for training and for validation.
const FOLDS: [usize; 3] = [40, 38, 1];
/// The raw id under which all other items stand. Those of the files are numbers.
const OTHER: &str = "other";

/// The columns that are read, of ten.
const QUERIES: [&str; 5] = ["queryId", "sessionId", "timeframe", "eventdate", "items"];
/// Of three.
const CLICKS: [&str; 2] = ["queryId", "itemId"];
/// Of six.
const PURCHASES: [&str; 2] = ["sessionId", "itemId"];

/// What is next to the queries.
pub(crate) const CLICKS_FILE: &str = "train-clicks.csv";
pub(crate) const PURCHASES_FILE: &str = "train-purchases.csv";

/// Reads the queries, with the clicks and purchases in other files.
pub(crate) fn read(source: Source<'_>, seed: Seed, collector: &mut Collector) -> Result<Split> {
    let mut queries = Queries::default();
    queries.read_clicks(collector)?;
    queries.read_purchases(collector)?;
    let mut steps = queries.read(source, collector)?;
    // The file is in no order; of queries of one moment its order stays.
    steps.sort_by_key(|step| (step.session, step.time));
    let mut sessions: Vec<&[Query]> = steps.chunk_by(|a, b| a.session == b.session).collect();
    let count = sessions.len();
    sessions.retain(|session| LENGTHS.contains(&session.len()));
    let (kept, least, most) = (sessions.len(), LENGTHS.start(), LENGTHS.end());
    collector.note(format!("{kept} of {count} sessions have {least} to {most} such queries"));
    let [folds, train, validation] = FOLDS;
    let split = Split::by_fold(sessions.len(), folds, train, validation, seed)?;
    let clicks = split.train.iter().flat_map(|&session| sessions[session]).map(|step| step.clicked);
    let own = most_clicked(clicks, queries.items.len(), ITEMS);
    queries.collect(&sessions, &own, collector)?;
    Ok(split)
}

/// A query with exactly one click.
struct Query {
    session: u64,
    clicked: u32,
    bought: bool,
    /// Milliseconds since 1970.
    time: i64,
    /// Where its list begins and ends in [`Queries::lists`].
    list: (usize, usize),
}

/// What the three files say.
#[derive(Default)]
struct Queries {
    items: Vocabulary,
    /// By query.
    clicks: HashMap<u64, Click>,
    /// Sessions with the items bought in them.
    purchases: HashSet<(u64, u32)>,
    /// The lists of all queries with one click, one after another.
    lists: Vec<u32>,
    /// Clicks that were not on their list.
    appended: u64,
}

struct Click {
    item: u32,
    /// Whether there is no other click of the query.
    only: bool,
    /// Whether the query was read.
    met: bool,
}

impl Queries {
    fn read_clicks(&mut self, collector: &mut Collector) -> Result<()> {
        beside(CLICKS_FILE, CLICKS, collector, |row, [query, item]| {
            let query = row.number(query, CLICKS[0], WHOLE)?;
            let item = self.items.intern(item_id(row.field(item, CLICKS[1])?, CLICKS[1])?);
            let first = Click { item, only: true, met: false };
            self.clicks.entry(query).and_modify(|click| click.only = false).or_insert(first);
            Ok(())
        })
    }

    fn read_purchases(&mut self, collector: &mut Collector) -> Result<()> {
        beside(PURCHASES_FILE, PURCHASES, collector, |row, [session, item]| {
            let session = row.number(session, PURCHASES[0], WHOLE)?;
            let item = self.items.intern(item_id(row.field(item, PURCHASES[1])?, PURCHASES[1])?);
            self.purchases.insert((session, item));
            Ok(())
        })
    }

    fn read(&mut self, source: Source<'_>, collector: &mut Collector) -> Result<Vec<Query>> {
        let mut table = Table::open(source, b';', false, &QUERIES)?;
        let columns = table.columns(QUERIES)?;
        let (mut steps, mut count) = (Vec::new(), 0_u64);
        while let Some(row) = table.next()? {
            collector.count_row(row.fraction);
            count += 1;
            match row.text().and_then(|text| self.take(text, columns)) {
                Ok(step) => steps.extend(step),
                Err(fault) => collector.reject(row.place(), 1, None, fault)?,
            }
        }
        collector.note(format!("{} of {count} queries have exactly one click", steps.len()));
        collector.note(format!(
            "{} of these clicks are not on their list, and were added at its end",
            self.appended
        ));
        Ok(steps)
    }

    fn take(
        &mut self,
        row: Text<'_>,
        [query, session, timeframe, day, items]: [usize; QUERIES.len()],
    ) -> Checked<Option<Query>> {
        let query: u64 = row.number(query, QUERIES[0], WHOLE)?;
        let session = row.number(session, QUERIES[1], WHOLE)?;
        let milliseconds = i64::from(row.number::<i32>(timeframe, QUERIES[2], WHOLE)?);
        let day = row.field(day, QUERIES[3])?;
        let day = date::iso_day(day)
            .ok_or_else(|| Fault::value(QUERIES[3], "a date such as 2016-05-09", day))?;
        let list =
            row.field(items, QUERIES[4])?.split(',').map(str::trim).filter(|item| !item.is_empty());
        for item in list.clone() {
            item_id(item, QUERIES[4])?;
        }
        let Some(click) = self.clicks.get_mut(&query).filter(|click| click.only) else {
            return Ok(None);
        };
        if std::mem::replace(&mut click.met, true) {
            return Err(Fault::new(QUERIES[0], "a query once", query.to_string()));
        }
        let (clicked, start) = (click.item, self.lists.len());
        self.lists.extend(list.map(|item| self.items.intern(item)));
        if !self.lists[start..].contains(&clicked) {
            self.lists.push(clicked);
            self.appended += 1;
        }
        let bought = self.purchases.contains(&(session, clicked));
        let time = 1000 * date::seconds(day) + milliseconds;
        Ok(Some(Query { session, clicked, bought, time, list: (start, self.lists.len()) }))
    }

    /// Collects the sessions. `own` says of every item whether it keeps its own number.
    fn collect(
        &self,
        sessions: &[&[Query]],
        own: &[bool],
        collector: &mut Collector,
    ) -> Result<()> {
        let number = |item: u32| own[item as usize].then_some(item);
        let name = |item: u32| number(item).map_or(OTHER, |item| self.items.name(item));
        let (mut steps, mut others, mut shown) = (0_u64, 0_u64, HashSet::new());
        for session in sessions {
            collector.open(&session[0].session.to_string())?;
            for step in *session {
                steps += 1;
                others += u64::from(number(step.clicked).is_none());
                collector.begin_slate();
                shown.clear();
                for &item in &self.lists[step.list.0..step.list.1] {
                    if shown.insert(number(item)) {
                        collector.show(name(item));
                    }
                }
                let (choice, reward) = (Ok(name(step.clicked)), f32::from(u8::from(step.bought)));
                collector.push(&Answer {
                    choice,
                    reward,
                    propensity: None,
                    timestamp: Some(step.time.div_euclid(1000)),
                })?;
            }
            collector.close(None)?;
        }
        let share = 100.0 * others as f64 / steps.max(1) as f64;
        let items = own.iter().filter(|own| **own).count();
        collector.note(format!(
            "{share:.1} % of the clicks are on {OTHER:?}, all but the {items} items clicked most \
             in training"
        ));
        Ok(())
    }
}

/// Reads a file that is next to the queries.
fn beside<const N: usize>(
    name: &str,
    columns: [&'static str; N],
    collector: &mut Collector,
    mut take: impl FnMut(Text<'_>, [usize; N]) -> Checked,
) -> Result<()> {
    let source = super::open_beside(collector, &super::beside(collector, name))?;
    let table = Table::open(source, b';', false, &columns)?;
    let columns = table.columns(columns)?;
    collector.read_beside(table, |row| take(row.text()?, columns))
}

fn item_id<'r>(text: &'r str, field: &'static str) -> Checked<&'r str> {
    let number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    number
        .then_some(text)
        .ok_or_else(|| Fault::value(field, "an item, which is a whole number", text))
}

/// Which of the items `0 .. count` are the `most` with the most clicks; of items with as many,
/// those with the lowest numbers. One without a click is not among them.
fn most_clicked(clicked: impl Iterator<Item = u32>, count: usize, most: usize) -> Vec<bool> {
    let mut clicks = vec![0_u64; count];
    clicked.for_each(|item| clicks[item as usize] += 1);
    let mut order: Vec<usize> = (0..count).filter(|&item| clicks[item] > 0).collect();
    order.sort_by_key(|&item| Reverse(clicks[item]));
    let mut own = vec![false; count];
    order.into_iter().take(most).for_each(|item| own[item] = true);
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_clicked_items_keep_their_numbers() {
        let own = |most| most_clicked([3, 1, 1, 0, 3, 1].into_iter(), 5, most);
        assert_eq!(own(0), [false; 5]);
        assert_eq!(own(1), [false, true, false, false, false]);
        assert_eq!(own(2), [false, true, false, true, false]);
        assert_eq!(own(9), [true, true, false, true, false]);
        // Of items 0 and 2, with a click each, that of the lower number.
        assert_eq!(most_clicked([2, 0].into_iter(), 3, 1), [true, false, false]);
    }
}
