//! Rows in the order of their sessions and times, in bounded memory: sorted runs on disk, merged.

use foretaste_data::Vocabulary;

use super::record::{List, Record, Strings};
use super::runs::{self, Runs, damaged};
use super::{Checked, Place};
use crate::Result;

/// Where a row belongs: its session, by first appearance, then its time, its step, and its place
/// in the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    session: u32,
    time: i64,
    number: i64,
    row: u64,
}

impl runs::Key for Key {
    type Bytes = [u8; 28];

    fn to_bytes(self) -> [u8; 28] {
        let mut bytes = [0; 28];
        bytes[..4].copy_from_slice(&self.session.to_le_bytes());
        bytes[4..12].copy_from_slice(&self.time.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.number.to_le_bytes());
        bytes[20..].copy_from_slice(&self.row.to_le_bytes());
        bytes
    }

    fn of_bytes(bytes: [u8; 28]) -> Self {
        let word = |at: usize| std::array::from_fn(|byte| bytes[at + byte]);
        Self {
            session: u32::from_le_bytes(std::array::from_fn(|byte| bytes[byte])),
            time: i64::from_le_bytes(word(4)),
            number: i64::from_le_bytes(word(12)),
            row: u64::from_le_bytes(word(20)),
        }
    }
}

/// Collects rows, and gives them back in order.
pub(crate) struct Sorter {
    sessions: Vocabulary,
    users: Vocabulary,
    runs: Runs<Key>,
    count: u64,
}

/// The user of a row that names none.
const NOBODY: u32 = u32::MAX;

/// A row that comes back.
pub(crate) struct Sorted<'a> {
    pub(crate) session: &'a str,
    pub(crate) user: Option<&'a str>,
    pub(crate) part: usize,
    pub(crate) place: Place,
    pub(crate) record: Record<'a>,
}

/// What a decoded row borrows from.
#[derive(Default)]
pub(crate) struct Decoded {
    lists: [Strings; 3],
    context: Strings,
    floats: [Vec<f32>; 2],
    flags: Vec<bool>,
}

impl Sorter {
    /// Memory for rows and their keys.
    pub(crate) const LIMIT: usize = 256 << 20;

    pub(crate) fn new(limit: usize) -> Self {
        Self {
            sessions: Vocabulary::default(),
            users: Vocabulary::default(),
            runs: Runs::new(limit),
            count: 0,
        }
    }

    /// Adds a row of a session.
    pub(crate) fn push(
        &mut self,
        session: &str,
        user: Option<&str>,
        part: usize,
        place: Place,
        record: &Record<'_>,
    ) -> Result<Checked> {
        let key = Key {
            session: self.sessions.intern(session),
            time: record.time.unwrap_or(i64::MIN),
            number: record.number.unwrap_or(i64::MIN),
            row: self.count,
        };
        self.count += 1;
        let user = user.map_or(NOBODY, |user| self.users.intern(user));
        self.runs.push(key, |to| encode(to, user, part, place, record))
    }

    /// Passes every row to `take`, in order.
    pub(crate) fn replay(self, mut take: impl FnMut(Sorted<'_>) -> Result<()>) -> Result<()> {
        let (sessions, users) = (self.sessions, self.users);
        let (mut merged, mut decoded) = (self.runs.merge()?, Decoded::default());
        while let Some((key, row)) = merged.next()? {
            let user = |user| (user != NOBODY).then(|| users.name(user));
            let sorted = decode(row, sessions.name(key.session), user, key, &mut decoded);
            take(sorted.ok_or_else(damaged)?)?;
        }
        Ok(())
    }
}

/// Writes a row with its session and its user.
pub(crate) fn put_row(
    to: &mut Vec<u8>,
    session: &str,
    user: Option<&str>,
    part: usize,
    place: Place,
    record: &Record<'_>,
) -> Checked {
    put_text(to, Some(session));
    put_text(to, user);
    for number in [record.time, record.number] {
        to.extend(number.unwrap_or(i64::MIN).to_le_bytes());
    }
    encode(to, NOBODY, part, place, record)
}

/// The row that [`put_row`] wrote.
pub(crate) fn take_row<'a>(mut row: &'a [u8], to: &'a mut Decoded) -> Option<Sorted<'a>> {
    let session = take_text(&mut row)??;
    let user = take_text(&mut row)?;
    let mut number = || Some(i64::from_le_bytes(take(&mut row, 8)?.try_into().ok()?));
    let key = Key { session: 0, time: number()?, number: number()?, row: 0 };
    decode(row, session, |_| user, key, to)
}

fn encode(to: &mut Vec<u8>, user: u32, part: usize, place: Place, record: &Record<'_>) -> Checked {
    let (kind, at) = match place {
        Place::Line(line) => (0, line),
        Place::Byte(byte) => (1, byte),
    };
    for number in [u64::from(user), part as u64, kind, at] {
        put_number(to, number);
    }
    put_list(to, &record.shown, "shown")?;
    put_list(to, &record.chosen, "chosen")?;
    put_list(to, &record.candidates, "candidates")?;
    put_floats(to, Some(record.reward));
    put_floats(to, record.propensity);
    match record.clicked {
        None => put_number(to, 0),
        Some(flags) => {
            put_number(to, flags.len() as u64 + 1);
            to.extend(flags.iter().map(|&flag| u8::from(flag)));
        }
    }
    put_number(to, record.left.map_or(0, |left| 1 + u64::from(left)));
    put_number(to, u64::from(record.lacks_reward));
    put_number(to, u64::from(record.position.is_some()));
    put_number(to, record.position.unwrap_or(0) as u64);
    for text in [record.event, record.item, record.slate] {
        put_text(to, text);
    }
    put_number(to, record.context.map_or(0, |texts| texts.len() as u64 + 1));
    for text in record.context.into_iter().flat_map(Strings::iter) {
        put_number(to, text.len() as u64);
        to.extend(text.bytes());
    }
    Ok(())
}

/// Seven bits a byte, the lowest first: most numbers are small.
fn put_number(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

pub(crate) fn put_text(to: &mut Vec<u8>, text: Option<&str>) {
    put_number(to, text.map_or(0, |text| text.len() as u64 + 1));
    to.extend(text.unwrap_or_default().bytes());
}

fn put_floats(to: &mut Vec<u8>, floats: Option<&[f32]>) {
    put_number(to, floats.map_or(0, |floats| floats.len() as u64 + 1));
    floats.iter().copied().flatten().for_each(|float| to.extend(float.to_le_bytes()));
}

fn put_list(to: &mut Vec<u8>, list: &List<'_>, field: &'static str) -> Checked {
    list.each(field, |id| {
        put_number(to, id.len() as u64);
        to.extend(id.bytes());
        Ok(())
    })?;
    // No id is empty.
    put_number(to, 0);
    Ok(())
}

pub(crate) fn take<'a>(from: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(taken)
}

fn take_number(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *from.split_off_first()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn take_word<'a>(from: &mut &'a [u8], length: usize) -> Option<&'a str> {
    std::str::from_utf8(take(from, length)?).ok()
}

/// What [`put_text`] wrote.
pub(crate) fn take_text<'a>(from: &mut &'a [u8]) -> Option<Option<&'a str>> {
    match take_number(from)?.checked_sub(1) {
        None => Some(None),
        Some(length) => take_word(from, length as usize).map(Some),
    }
}

fn take_floats(from: &mut &[u8], to: &mut Vec<f32>) -> Option<bool> {
    to.clear();
    let Some(count) = take_number(from)?.checked_sub(1) else { return Some(false) };
    for chunk in take(from, 4 * count as usize)?.chunks_exact(4) {
        to.push(f32::from_le_bytes(chunk.try_into().ok()?));
    }
    Some(true)
}

fn decode<'a>(
    mut row: &'a [u8],
    session: &'a str,
    user: impl FnOnce(u32) -> Option<&'a str>,
    key: Key,
    to: &'a mut Decoded,
) -> Option<Sorted<'a>> {
    let from = &mut row;
    let user = user(u32::try_from(take_number(from)?).ok()?);
    let part = take_number(from)? as usize;
    let kind = take_number(from)?;
    let at = take_number(from)?;
    let place = if kind == 0 { Place::Line(at) } else { Place::Byte(at) };
    for list in &mut to.lists {
        list.clear();
        loop {
            match take_number(from)? {
                0 => break,
                length => list.push(take_word(from, length as usize)?),
            }
        }
    }
    let has_reward = take_floats(from, &mut to.floats[0])?;
    let has_propensity = take_floats(from, &mut to.floats[1])?;
    to.flags.clear();
    let clicked = take_number(from)?.checked_sub(1);
    if let Some(count) = clicked {
        to.flags.extend(take(from, count as usize)?.iter().map(|&flag| flag == 1));
    }
    let left = take_number(from)?.checked_sub(1).map(|left| left == 1);
    let lacks_reward = take_number(from)? == 1;
    let has_position = take_number(from)? == 1;
    let position = take_number(from)? as i64;
    let mut texts = [None; 3];
    for text in &mut texts {
        *text = take_text(from)?;
    }
    let [event, item, slate] = texts;
    let context = take_number(from)?.checked_sub(1);
    to.context.clear();
    for _ in 0..context.unwrap_or(0) {
        let length = take_number(from)?;
        to.context.push(take_word(from, length as usize)?);
    }
    let [shown, chosen, candidates] = &to.lists;
    let record = Record {
        number: Some(key.number).filter(|&number| number != i64::MIN),
        time: Some(key.time).filter(|&time| time != i64::MIN),
        shown: List::Owned(shown),
        chosen: List::Owned(chosen),
        clicked: clicked.map(|_| &to.flags[..]),
        reward: if has_reward { &to.floats[0] } else { &[] },
        lacks_reward,
        propensity: has_propensity.then_some(&to.floats[1][..]),
        candidates: List::Owned(candidates),
        left,
        event,
        item,
        slate,
        position: has_position.then_some(position),
        context: context.map(|_| &to.context),
    };
    Some(Sorted { session, user, part, place, record })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_come_back_in_order_whatever_fits_in_memory(
            rows in proptest::collection::vec((0..5_u8, proptest::option::of(-3..3_i64), 0..3_i64), 0..40),
            limit in prop_oneof![Just(1_usize), Just(700), Just(Sorter::LIMIT)],
        ) {
            let mut sorter = Sorter::new(limit);
            let mut context = Strings::default();
            ["phone", "", "ü"].into_iter().for_each(|text| context.push(text));
            for (line, &(session, time, number)) in rows.iter().enumerate() {
                let item = format!("item {line}");
                let record = Record {
                    time,
                    number: Some(number),
                    shown: List::Split("a b|ü", '|'),
                    chosen: List::One(&item),
                    reward: &[0.5, -1.0],
                    propensity: (line.is_multiple_of(2)).then_some(&[0.25_f32][..]),
                    clicked: Some(&[true, false]),
                    left: Some(line.is_multiple_of(3)),
                    event: Some("view"),
                    position: Some(-4),
                    context: (line.is_multiple_of(2)).then_some(&context),
                    ..Record::default()
                };
                let user = (session > 2).then_some("ann");
                let pushed = sorter.push(&session.to_string(), user, 3, Place::Line(line as u64), &record);
                prop_assert_eq!(pushed.unwrap(), Ok(()));
            }
            let mut order: Vec<usize> = (0..rows.len()).collect();
            let first = |session| rows.iter().position(|row| row.0 == session);
            order.sort_by_key(|&at| (first(rows[at].0), rows[at].1.unwrap_or(i64::MIN), rows[at].2, at));
            let mut found = Vec::new();
            sorter.replay(|row| {
                let Place::Line(line) = row.place else { panic!("a line came back as another") };
                let mut ids = Vec::new();
                for list in [&row.record.shown, &row.record.chosen] {
                    list.each("shown", |id| { ids.push(id.to_owned()); Ok(()) }).unwrap();
                }
                let line = line as usize;
                assert_eq!(ids, ["a b".to_owned(), "ü".to_owned(), format!("item {line}")]);
                assert_eq!((row.session, row.part), (rows[line].0.to_string().as_str(), 3));
                assert_eq!(row.user, (rows[line].0 > 2).then_some("ann"));
                assert_eq!((row.record.reward, row.record.position), (&[0.5, -1.0][..], Some(-4)));
                assert_eq!(row.record.propensity, (line.is_multiple_of(2)).then_some(&[0.25_f32][..]));
                assert_eq!((row.record.left, row.record.event), (Some(line.is_multiple_of(3)), Some("view")));
                assert_eq!(row.record.clicked, Some(&[true, false][..]));
                let context = row.record.context.map(|texts| texts.iter().collect::<Vec<_>>());
                assert_eq!(context, (line.is_multiple_of(2)).then(|| vec!["phone", "", "ü"]));
                assert_eq!((row.record.time, row.record.number), (rows[line].1, Some(rows[line].2)));
                found.push(line);
                Ok(())
            }).unwrap();
            prop_assert_eq!(found, order);
        }
    }
}
