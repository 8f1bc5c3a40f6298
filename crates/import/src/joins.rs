//! Clicks and orders that lie in files of their own, joined to the slates that they are of: a merge
//! of what was sorted, in bounded memory.

use std::path::{Path, PathBuf};

use foretaste_data::TimeUnit;
use hashbrown::HashMap;

use crate::guess::alias;
use crate::limits::beyond;
use crate::reader::cells::Rows;
use crate::reader::record::{Record, Strings, whole};
use crate::reader::runs::{Runs, damaged};
use crate::reader::sort::{Decoded, Sorted, put_row, put_text, take, take_row, take_text};
use crate::reader::times::Times;
use crate::reader::{Checked, Place};
use crate::{Error, Layout, Result};

/// Milliseconds where the unit is known, else the log's own.
type Moment = i64;

/// Rows of slates, to be given their clicks, and these their orders.
///
/// Three sorts do it, each of which holds at most the limit in memory: by slate, its clicks before
/// its rows; by owner and item, its orders before its clicks; and by row, the row before its
/// clicks.
pub(crate) struct Joins {
    by_slate: Runs<u64>,
    orders: Option<Orders>,
    by_row: Runs<u64>,
    rows: u64,
    clicks: u64,
    clicks_file: PathBuf,
    /// The most items that may be clicked on a slate.
    most: usize,
}

struct Orders {
    by_owner: Runs<u64>,
    file: PathBuf,
    /// Whether orders name sessions; else they name users.
    by_session: bool,
    window: Option<Moment>,
}

/// The most orders of one item by one owner: they are held in memory together.
const MOST_ORDERS: usize = 1_000_000;

/// What stands first in a group, and what is joined to it.
const FIRST: u8 = 0;
const SECOND: u8 = 1;

impl Joins {
    /// Bytes of each of the three sorts that are held in memory.
    const LIMIT: usize = 64 << 20;

    /// Reads what the layout names; `None` if it names no clicks.
    ///
    /// # Errors
    /// [`Error::File`] for a file without the columns that it needs, or with a time that is none.
    pub(crate) fn read(layout: &Layout) -> Result<Option<Self>> {
        Self::within(layout, Self::LIMIT)
    }

    fn within(layout: &Layout, limit: usize) -> Result<Option<Self>> {
        let Some(path) = &layout.clicks_file else { return Ok(None) };
        let (mut by_slate, mut clicks) = (Runs::new(limit), 0_u64);
        let rows = Rows::open(path)?;
        let names = rows.names();
        let slate = needed(path, names, layout, "slate")?;
        let item = needed(path, names, layout, "item")?;
        let time = place(names, layout, "timestamp");
        let columns: Vec<usize> = [slate, item].into_iter().chain(time).collect();
        let mut times = Times::new(layout)?;
        rows.each(&columns, |row, cells| {
            let (slate, item) = (whole(cells.get(0)), whole(cells.get(1)));
            let time = match time {
                Some(_) => moment(&mut times, path, row, cells.get(2))?,
                // The order of the file counts.
                None => 0,
            };
            clicks += 1;
            put(&mut by_slate, prefix(slate), |to| {
                put_text(to, Some(slate));
                to.push(FIRST);
                to.extend(rising(time));
                to.extend(clicks.to_be_bytes());
                put_text(to, Some(item));
            })
        })?;
        let orders = layout
            .orders_file
            .as_ref()
            .map(|path| Orders::read(path, layout, limit))
            .transpose()?;
        Ok(Some(Self {
            by_slate,
            orders,
            by_row: Runs::new(limit),
            rows: 0,
            clicks,
            clicks_file: path.clone(),
            most: layout.limits.slate_items,
        }))
    }

    /// Adds a row of the log.
    pub(crate) fn push(
        &mut self,
        session: &str,
        user: Option<&str>,
        part: usize,
        place: Place,
        record: &Record<'_>,
    ) -> Result<Checked> {
        let number = self.rows;
        let pushed = self.by_row.push(number, |to| {
            to.push(FIRST);
            put_row(to, session, user, part, place, record)
        })?;
        if pushed.is_err() {
            return Ok(pushed);
        }
        self.rows += 1;
        if let Some(slate) = record.slate.map(whole) {
            let by_session = self.orders.as_ref().is_none_or(|orders| orders.by_session);
            let owner = if by_session { session } else { user.unwrap_or(session) };
            // Of a row of one item, only the clicks on this item are its.
            let only = record.item.filter(|_| record.shown.is_empty()).map(whole);
            put(&mut self.by_slate, prefix(slate), |to| {
                put_text(to, Some(slate));
                to.push(SECOND);
                to.extend(number.to_be_bytes());
                put_text(to, Some(owner));
                put_text(to, only);
            })?;
        }
        Ok(Ok(()))
    }

    /// Passes every row to `give`, in the order in which they were added, with what was clicked on
    /// its slate, in order, and what each click earned: the orders of its item from the click on,
    /// within the window, or 1 where there are no orders. Says how much found its slate.
    pub(crate) fn replay(
        mut self,
        mut give: impl FnMut(Sorted<'_>, &Strings, &[f32]) -> Result<()>,
    ) -> Result<String> {
        let joined = self.join_clicks()?;
        if let Some(orders) = self.orders.take() {
            orders.join(&mut self.by_row)?;
        }
        let mut merged = self.by_row.merge()?;
        let (mut row, mut decoded) = (Vec::new(), Decoded::default());
        let (mut chosen, mut rewards) = (Strings::default(), Vec::new());
        loop {
            let next = merged.next()?.map(|(_, entry)| entry);
            match next.and_then(<[u8]>::split_first) {
                Some((&SECOND, mut click)) => {
                    let (item, reward) = earned(&mut click).ok_or_else(damaged)?;
                    chosen.push(item);
                    rewards.push(reward);
                }
                first => {
                    if !row.is_empty() {
                        let sorted = take_row(&row, &mut decoded).ok_or_else(damaged)?;
                        give(sorted, &chosen, &rewards)?;
                    }
                    let Some((_, next)) = first else { break };
                    row.clear();
                    row.extend_from_slice(next);
                    chosen.clear();
                    rewards.clear();
                }
            }
        }
        Ok(format!("{joined} of {} clicks are of a slate of the log", self.clicks))
    }

    /// Gives every row the clicks on its slate, or passes these to the orders; how many there are.
    fn join_clicks(&mut self) -> Result<u64> {
        let by_slate = std::mem::replace(&mut self.by_slate, Runs::new(0));
        let mut merged = by_slate.merge()?;
        let (mut slate, mut clicks) = (None::<String>, Clicks::default());
        let mut joined = 0;
        while let Some((_, mut entry)) = merged.next()? {
            let from = &mut entry;
            let of = text(from)?;
            if slate.as_deref() != Some(of) {
                slate = Some(of.to_owned());
                clicks.clear();
            }
            if take(from, 1) == Some(&[FIRST]) {
                let time = risen(from).ok_or_else(damaged)?;
                number(from).ok_or_else(damaged)?;
                clicks.add(time, text(from)?);
                if clicks.items.len() > self.most {
                    let found = format!("{} on slate {of:?}", clicks.items.len());
                    let fault = beyond("item", found, self.most, "--max-slate-items");
                    return Err(Error::file(&self.clicks_file, fault.to_string()));
                }
                continue;
            }
            let row = number(from).ok_or_else(damaged)?;
            let (owner, only) = (text(from)?, take_text(from).ok_or_else(damaged)?);
            for (place, (time, item, times)) in clicks.items.iter().enumerate() {
                if only.is_some_and(|only| only != item) {
                    continue;
                }
                joined += times;
                let place = place as u64;
                match &mut self.orders {
                    None => put_earned(&mut self.by_row, row, place, item, 1.0)?,
                    Some(orders) => put(&mut orders.by_owner, prefix(owner), |to| {
                        put_text(to, Some(owner));
                        put_text(to, Some(item));
                        to.push(SECOND);
                        to.extend(rising(*time));
                        to.extend(row.to_be_bytes());
                        to.extend(place.to_be_bytes());
                    })?,
                }
            }
        }
        Ok(joined)
    }
}

/// The clicks on a slate: of an item the first counts.
#[derive(Default)]
struct Clicks {
    /// Each with how often it was clicked.
    items: Vec<(Moment, String, u64)>,
    places: HashMap<String, usize>,
}

impl Clicks {
    fn add(&mut self, time: Moment, item: &str) {
        match self.places.get(item) {
            Some(&place) => self.items[place].2 += 1,
            None => {
                self.places.insert(item.to_owned(), self.items.len());
                self.items.push((time, item.to_owned(), 1));
            }
        }
    }

    fn clear(&mut self) {
        self.items.clear();
        self.places.clear();
    }
}

impl Orders {
    fn read(path: &Path, layout: &Layout, limit: usize) -> Result<Self> {
        let mut by_owner = Runs::new(limit);
        let rows = Rows::open(path)?;
        let names = rows.names();
        let session = place(names, layout, "session");
        let owner = session.map_or_else(|| needed(path, names, layout, "user"), Ok)?;
        let item = needed(path, names, layout, "item")?;
        let time = needed(path, names, layout, "timestamp")?;
        let reward = place(names, layout, "reward");
        let columns: Vec<usize> = [owner, item, time].into_iter().chain(reward).collect();
        let mut times = Times::new(layout)?;
        rows.each(&columns, |row, cells| {
            let time = moment(&mut times, path, row, cells.get(2))?;
            let reward: f32 = match reward.map(|_| cells.get(3).trim()) {
                None => 1.0,
                Some(text) => text.parse().map_err(|_| {
                    let problem = format!("row {row}: reward: expected a number, found {text:?}");
                    Error::file(path, problem)
                })?,
            };
            let (owner, item) = (whole(cells.get(0)), whole(cells.get(1)));
            put(&mut by_owner, prefix(owner), |to| {
                put_text(to, Some(owner));
                put_text(to, Some(item));
                to.push(FIRST);
                to.extend(row.to_be_bytes());
                to.extend(rising(time));
                to.extend(reward.to_le_bytes());
            })
        })?;
        let window = layout.order_window.map(|gap| gap.seconds.saturating_mul(1000));
        let (file, by_session) = (path.to_owned(), session.is_some());
        Ok(Self { by_owner, file, by_session, window })
    }

    /// Adds to its row what every click earned.
    fn join(self, by_row: &mut Runs<u64>) -> Result<()> {
        let mut merged = self.by_owner.merge()?;
        let (mut of, mut orders) = (None::<(String, String)>, Vec::<(Moment, f32)>::new());
        while let Some((_, mut entry)) = merged.next()? {
            let from = &mut entry;
            let (owner, item) = (text(from)?, text(from)?);
            let same = of.as_ref().is_some_and(|(of, ordered)| of == owner && ordered == item);
            if !same {
                of = Some((owner.to_owned(), item.to_owned()));
                orders.clear();
            }
            if take(from, 1) == Some(&[FIRST]) {
                number(from).ok_or_else(damaged)?;
                let time = risen(from).ok_or_else(damaged)?;
                orders.push((time, float(from).ok_or_else(damaged)?));
                if orders.len() > MOST_ORDERS {
                    let problem = format!(
                        "has more than {MOST_ORDERS} orders of item {item:?} by {owner:?}; \
                         expected the orders of one user or one session"
                    );
                    return Err(Error::file(&self.file, problem));
                }
                continue;
            }
            let clicked = risen(from).ok_or_else(damaged)?;
            let row = number(from).ok_or_else(damaged)?;
            let place = number(from).ok_or_else(damaged)?;
            let within = |ordered: Moment| {
                let after = ordered.saturating_sub(clicked);
                after >= 0 && self.window.is_none_or(|window| after <= window)
            };
            let reward = orders
                .iter()
                .filter(|(ordered, _)| within(*ordered))
                .fold(0.0, |sum, (_, reward)| sum + reward);
            put_earned(by_row, row, place, item, reward)?;
        }
        Ok(())
    }
}

fn put(runs: &mut Runs<u64>, key: u64, write: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
    let written = |to: &mut Vec<u8>| {
        write(to);
        Ok(())
    };
    runs.push(key, written).map(|_| ())
}

/// Adds a click to its row.
fn put_earned(by_row: &mut Runs<u64>, row: u64, place: u64, item: &str, reward: f32) -> Result<()> {
    put(by_row, row, |to| {
        to.push(SECOND);
        to.extend(place.to_be_bytes());
        to.extend(reward.to_le_bytes());
        put_text(to, Some(item));
    })
}

fn earned<'a>(from: &mut &'a [u8]) -> Option<(&'a str, f32)> {
    number(from)?;
    let reward = float(from)?;
    Some((take_text(from)??, reward))
}

/// A key by which equal texts are equal; those that begin differently stand apart.
fn prefix(text: &str) -> u64 {
    let mut first = [0; 8];
    first.iter_mut().zip(text.bytes()).for_each(|(to, byte)| *to = byte);
    u64::from_be_bytes(first)
}

/// Bytes whose order is that of the numbers.
fn rising(number: i64) -> [u8; 8] {
    (number as u64 ^ 1 << 63).to_be_bytes()
}

fn risen(from: &mut &[u8]) -> Option<i64> {
    Some((number(from)? ^ 1 << 63) as i64)
}

fn number(from: &mut &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(take(from, 8)?.try_into().ok()?))
}

fn float(from: &mut &[u8]) -> Option<f32> {
    Some(f32::from_le_bytes(take(from, 4)?.try_into().ok()?))
}

fn text<'a>(from: &mut &'a [u8]) -> Result<&'a str> {
    take_text(from).flatten().ok_or_else(damaged)
}

/// The column that is called so, as the layout says, as the schema does, or as others do: the three
/// files seldom have the same names.
fn place(names: &[String], layout: &Layout, name: &str) -> Option<usize> {
    let of = |wanted: &str| names.iter().position(|column| column == wanted);
    layout
        .columns
        .get(name)
        .and_then(|wanted| of(wanted))
        .or_else(|| of(name))
        .or_else(|| alias(names, name))
}

fn needed(path: &Path, names: &[String], layout: &Layout, name: &str) -> Result<usize> {
    place(names, layout, name).ok_or_else(|| {
        let problem = format!(
            "has no column {name:?} and none of its other common names; its columns are {}",
            names.join(", ")
        );
        Error::file(path, problem)
    })
}

fn moment(times: &mut Times, path: &Path, row: u64, text: &str) -> Result<Moment> {
    let time = times
        .parse(text, "timestamp")
        .map_err(|fault| Error::file(path, format!("row {row}: {}", fault.finding())))?;
    let scale = times.unit().map(TimeUnit::per_second);
    Ok(scale.map_or(time, |unit| (i128::from(time) * 1000 / i128::from(unit)) as i64))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use proptest::prelude::*;

    use super::*;
    use crate::Gap;

    #[derive(Clone, Debug)]
    struct Impression {
        session: u8,
        user: Option<u8>,
        slate: Option<u8>,
        item: Option<u8>,
    }

    fn impressions() -> impl Strategy<Value = Vec<Impression>> {
        let impression =
            (0..4_u8, proptest::option::of(0..3_u8), proptest::option::of(0..6_u8), 0..9_u8);
        let make = |(session, user, slate, item)| Impression {
            session,
            user,
            slate,
            item: (item < 4).then_some(item),
        };
        proptest::collection::vec(impression.prop_map(make), 0..30)
    }

    /// A row: what was clicked, and what each click earned.
    type Row = (String, Vec<String>, Vec<f32>);

    /// The same with everything in memory.
    fn in_memory(
        impressions: &[Impression],
        clicks: &[(u8, u8, i64)],
        orders: Option<&[(u8, u8, i64, f32)]>,
        by_session: bool,
        window: Option<i64>,
    ) -> Vec<Row> {
        let mut sorted = clicks.to_vec();
        sorted.sort_by_key(|click| click.2);
        let of = |row: &Impression| {
            let (mut chosen, mut rewards) = (Vec::<String>::new(), Vec::new());
            let user = row.user.filter(|_| !by_session);
            let owner = format!("o{}", user.unwrap_or(row.session));
            for (slate, item, time) in &sorted {
                let name = format!("item {item}");
                let other = row.item.is_some_and(|only| only != *item);
                if row.slate != Some(*slate) || other || chosen.contains(&name) {
                    continue;
                }
                chosen.push(name);
                rewards.push(orders.map_or(1.0, |orders| {
                    let mut sum = 0.0;
                    for (who, what, when, reward) in orders {
                        let after = when - time;
                        let counts = after >= 0 && window.is_none_or(|most| after <= 1000 * most);
                        if format!("o{who}") == owner && what == item && counts {
                            sum += reward;
                        }
                    }
                    sum
                }));
            }
            (format!("o{}", row.session), chosen, rewards)
        };
        impressions.iter().map(of).collect()
    }

    fn joined(layout: &Layout, limit: usize, impressions: &[Impression]) -> (Vec<Row>, usize) {
        let mut joins = Joins::within(layout, limit).unwrap().unwrap();
        for (line, row) in impressions.iter().enumerate() {
            let user = row.user.map(|user| format!("o{user}"));
            let slate = row.slate.map(|slate| format!("a long slate {slate}"));
            let item = row.item.map(|item| format!("item {item}"));
            let record =
                Record { slate: slate.as_deref(), item: item.as_deref(), ..Record::default() };
            let (session, place) = (format!("o{}", row.session), Place::Line(line as u64));
            let pushed = joins.push(&session, user.as_deref(), 0, place, &record).unwrap();
            assert_eq!(pushed, Ok(()));
        }
        let orders = joins.orders.as_ref().map_or(0, |orders| orders.by_owner.count());
        let on_disk = joins.by_slate.count() + joins.by_row.count() + orders;
        let mut rows = Vec::new();
        let said = joins.replay(|row, chosen, rewards| {
            assert!(matches!(row.place, Place::Line(line) if line == rows.len() as u64));
            let chosen = chosen.iter().map(str::to_owned).collect();
            rows.push((row.session.to_owned(), chosen, rewards.to_vec()));
            Ok(())
        });
        assert!(said.unwrap().contains("clicks are of a slate of the log"));
        (rows, on_disk)
    }

    proptest! {
        #[test]
        fn what_is_joined_by_merges_is_what_is_joined_in_memory(
            impressions in impressions(),
            clicks in proptest::collection::vec((0..7_u8, 0..4_u8, -3000..3000_i64), 1..40),
            orders in proptest::collection::vec(
                (0..4_u8, 0..4_u8, -3000..6000_i64, -2.0..2.0_f32), 0..40,
            ),
            with_orders: bool,
            by_session: bool,
            window in proptest::option::of(1..4_i64),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut text = "slate,item,timestamp\n".to_owned();
            for (slate, item, time) in &clicks {
                writeln!(text, "a long slate {slate},item {item},{time}").unwrap();
            }
            let clicks_file = folder.path().join("clicks.csv");
            std::fs::write(&clicks_file, text).unwrap();
            let owner = if by_session { "session" } else { "user" };
            let mut text = format!("{owner},item,timestamp,reward\n");
            for (who, item, time, reward) in &orders {
                writeln!(text, "o{who},item {item},{time},{reward}").unwrap();
            }
            let orders_file = folder.path().join("orders.csv");
            std::fs::write(&orders_file, text).unwrap();
            let layout = Layout {
                clicks_file: Some(clicks_file),
                orders_file: with_orders.then_some(orders_file),
                order_window: window.map(|seconds| Gap { seconds }),
                time_unit: Some(TimeUnit::Milliseconds),
                ..Layout::default()
            };
            let orders = with_orders.then_some(&orders[..]);
            let expected =
                in_memory(&impressions, &clicks, orders, with_orders && by_session, window);
            for limit in [1, 300, Joins::LIMIT] {
                let (found, on_disk) = joined(&layout, limit, &impressions);
                prop_assert_eq!(&found, &expected);
                prop_assert!(limit > 1 || on_disk > 0);
                prop_assert!(limit < Joins::LIMIT || on_disk == 0);
            }
        }
    }
}
