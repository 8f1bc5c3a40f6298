//! Rows of our schema become steps: whatever file they stand in, one row per step or per item.

use foretaste_data::{Choice, Event, EventKind, Fault, ItemId, TimeUnit};

use crate::layout::{Layout, OffSlate, Propensities, Repeated};
use crate::reader::record::{List, Record, Strings, whole};
use crate::reader::sort::{Sorted, Sorter};
use crate::reader::{Checked, Collector, Place, Taken};
use crate::{Error, Result};

/// Collects rows into sessions. Each row goes to [`Steps::row`], the end to [`Steps::finish`].
///
/// A session's rows stand together and its steps rise, or else the layout has the rows sorted.
pub(crate) struct Steps<'l> {
    layout: &'l Layout,
    /// The unit of the times, known once one was read.
    unit: Option<TimeUnit>,
    sorter: Option<Sorter>,
    joiner: Joiner,
    sessions: Sessions<'l>,
}

/// What a row says of where it belongs.
pub(crate) struct Key<'a> {
    pub(crate) session: Option<&'a str>,
    pub(crate) user: Option<&'a str>,
}

impl<'l> Steps<'l> {
    pub(crate) fn new(layout: &'l Layout) -> Self {
        Self {
            layout,
            unit: None,
            sorter: layout.sorts().then(|| Sorter::new(Sorter::LIMIT)),
            joiner: Joiner::default(),
            sessions: Sessions::new(layout),
        }
    }

    /// The unit of the times of the rows that follow.
    pub(crate) fn set_unit(&mut self, unit: Option<TimeUnit>) {
        self.unit = unit;
    }

    /// Takes a row: its key, and then the rest of it, which `rest` fills in. `named` is the session that a row names whose
    /// key cannot be read.
    pub(crate) fn row<'a>(
        &mut self,
        collector: &mut Collector,
        place: Place,
        key: Checked<Key<'a>>,
        named: Option<&str>,
        rest: impl FnOnce(&mut Record<'a>) -> Checked,
    ) -> Result<()> {
        let (session, user) = match key.and_then(|key| self.owner(key)) {
            Ok(key) => key,
            Err(fault) => return self.sessions.reject(collector, place, named, fault),
        };
        let mut record = Record::default();
        if let Some(sorter) = &mut self.sorter {
            let pushed = match rest(&mut record) {
                Ok(()) => sorter.push(session, user, collector.part(), place, &record)?,
                Err(fault) => Err(fault),
            };
            return match pushed {
                Ok(()) => Ok(()),
                Err(fault) => collector.reject(place, 1, Some(session), fault),
            };
        }
        if self.joiner.open && self.joiner.session != session {
            self.joiner.flush(&mut self.sessions, collector)?;
        }
        match self.sessions.enter(collector, session, user)? {
            Ok(()) => match rest(&mut record) {
                Ok(()) => {
                    let (joiner, sessions) = (&mut self.joiner, &mut self.sessions);
                    joiner.take(sessions, collector, session, place, &record)
                }
                Err(fault) => self.sessions.reject(collector, place, Some(session), fault),
            },
            Err(fault) => self.sessions.reject(collector, place, Some(session), fault),
        }
    }

    /// The session and the user of a row. A user without a name is none.
    fn owner<'a>(&self, key: Key<'a>) -> Checked<(&'a str, Option<&'a str>)> {
        let user = key.user.filter(|user| !user.is_empty()).map(whole);
        let session = key.session.filter(|session| !session.is_empty());
        match (session.or(user.filter(|_| self.layout.session_gap.is_some())), user) {
            (Some(session), user) => Ok((session, user)),
            (None, _) => Err(Fault::value("session", "an id", "")),
        }
    }

    /// Puts rows into order that were collected for it, and closes the last session.
    pub(crate) fn finish(mut self, collector: &mut Collector) -> Result<()> {
        if let Some(sorter) = self.sorter.take() {
            let gap = self.layout.session_gap.map(|gap| self.gap(gap.seconds)).transpose()?;
            let mut cut = Cut { gap, ..Cut::default() };
            sorter.replay(|row| self.sorted(collector, row, &mut cut))?;
        }
        self.joiner.flush(&mut self.sessions, collector)?;
        self.sessions.close(collector)?;
        self.sessions.note(collector);
        Ok(())
    }

    fn gap(&self, seconds: i64) -> Result<i64> {
        let unit = self.unit.ok_or_else(|| {
            let problem = "needs times, and their unit: --column timestamp=NAME names them, \
                           --time-unit s, ms, us or ns their unit";
            Error::from(foretaste_settings::Setting::new("session gap", problem))
        })?;
        Ok(seconds.saturating_mul(unit.per_second()))
    }

    fn sorted(&mut self, collector: &mut Collector, row: Sorted<'_>, cut: &mut Cut) -> Result<()> {
        collector.set_part(row.part);
        let Sorted { session, user, place, record, .. } = row;
        let session = cut.session(session, record.time);
        if self.joiner.open && self.joiner.session != session {
            self.joiner.flush(&mut self.sessions, collector)?;
        }
        match self.sessions.enter(collector, session, user)? {
            Ok(()) => self.joiner.take(&mut self.sessions, collector, session, place, &record),
            Err(fault) => self.sessions.reject(collector, place, Some(session), fault),
        }
    }
}

/// Cuts the rows of a session, or a user, at long pauses.
#[derive(Default)]
struct Cut {
    /// In the unit of the times.
    gap: Option<i64>,
    of: String,
    last: Option<i64>,
    count: usize,
    name: String,
}

impl Cut {
    /// The session of a row: of the same rows without a pause, the same.
    fn session<'a>(&'a mut self, session: &'a str, time: Option<i64>) -> &'a str {
        let Some(gap) = self.gap else { return session };
        let same = self.count > 0 && self.of == session;
        let pause = match (self.last, time) {
            (Some(last), Some(time)) => time.saturating_sub(last) > gap,
            _ => false,
        };
        if !same || pause {
            self.count = if same { self.count + 1 } else { 1 };
            session.clone_into(&mut self.of);
            self.name = format!("{session}#{}", self.count);
        }
        self.last = time;
        &self.name
    }
}

/// Joins rows of one item into the slates that they were: rows of a session with the same slate,
/// step or time.
#[derive(Default)]
struct Joiner {
    open: bool,
    session: String,
    slate: Option<String>,
    number: Option<i64>,
    time: Option<i64>,
    place: Option<Place>,
    items: Vec<Shown>,
    propensities: bool,
    left: Option<bool>,
}

struct Shown {
    item: String,
    clicked: bool,
    reward: Option<f32>,
    propensity: f32,
    position: Option<i64>,
}

impl Joiner {
    fn take(
        &mut self,
        sessions: &mut Sessions<'_>,
        collector: &mut Collector,
        session: &str,
        place: Place,
        record: &Record<'_>,
    ) -> Result<()> {
        let event =
            record.event.filter(|name| !IMPRESSIONS.contains(&name.to_ascii_lowercase().as_str()));
        let organic = event.is_some() && record.shown.is_empty();
        let Some(item) = record.item.filter(|_| record.shown.is_empty() && !organic) else {
            self.flush(sessions, collector)?;
            let taken = match event.filter(|_| organic) {
                Some(event) => sessions.event(collector, event, record),
                None => sessions.step(collector, record),
            };
            return match taken {
                Ok(()) => {
                    sessions.entered = false;
                    Ok(())
                }
                Err(fault) => sessions.reject(collector, place, Some(session), fault),
            };
        };
        let same = self.open
            && self.session == session
            && match (&self.slate, record.slate) {
                (None, None) => (self.number, self.time) == (record.number, record.time),
                (ours, theirs) => ours.as_deref() == theirs,
            };
        if !same {
            self.flush(sessions, collector)?;
            session.clone_into(&mut self.session);
            self.slate = record.slate.map(str::to_owned);
            (self.number, self.time, self.place) = (record.number, record.time, Some(place));
            (self.open, self.propensities, self.left) = (true, false, None);
        }
        self.propensities |= record.propensity.is_some();
        self.left = self.left.or(record.left);
        self.items.push(Shown {
            item: item.to_owned(),
            clicked: match record.clicked {
                Some(flags) => flags.first() == Some(&true),
                None => !record.chosen.is_empty(),
            },
            reward: record.reward.first().copied(),
            propensity: record.propensity.and_then(|p| p.first()).copied().unwrap_or(f32::NAN),
            position: record.position,
        });
        sessions.entered = false;
        Ok(())
    }

    /// Collects the slate that is open.
    fn flush(&mut self, sessions: &mut Sessions<'_>, collector: &mut Collector) -> Result<()> {
        if !std::mem::take(&mut self.open) {
            return Ok(());
        }
        if self.items.iter().all(|shown| shown.position.is_some()) {
            self.items.sort_by_key(|shown| shown.position);
        }
        let mut ids = Strings::default();
        self.items.iter().for_each(|shown| ids.push(&shown.item));
        let clicked: Vec<bool> = self.items.iter().map(|shown| shown.clicked).collect();
        let own = |shown: &Shown| shown.reward.unwrap_or(f32::from(u8::from(shown.clicked)));
        let reward: Vec<f32> = self.items.iter().map(own).collect();
        let propensity: Vec<f32> = self.items.iter().map(|shown| shown.propensity).collect();
        let record = Record {
            number: self.number,
            time: self.time,
            shown: List::Owned(&ids),
            clicked: Some(&clicked),
            reward: &reward,
            propensity: self.propensities.then_some(&propensity),
            left: self.left,
            ..Record::default()
        };
        let taken = sessions.step(collector, &record);
        self.items.clear();
        match (taken, self.place) {
            (Err(fault), Some(place)) => {
                sessions.reject(collector, place, Some(&self.session), fault)
            }
            _ => Ok(()),
        }
    }
}

/// What a column of events calls a slate.
const IMPRESSIONS: [&str; 7] = ["", "slate", "step", "impression", "display", "bandit", "shown"];

/// Sessions, step by step.
struct Sessions<'l> {
    layout: &'l Layout,
    /// Whether slates are taken as they stand.
    plain: bool,
    session: String,
    user: Option<String>,
    open: Option<Open>,
    /// Whether the row being read has named the open session.
    entered: bool,
    clicks: Vec<(ItemId, f32)>,
    propensity: Vec<f32>,
    /// Places of the row's list that are not on the slate.
    removed: Vec<usize>,
    duplicates: u64,
    appended: u64,
    repeated: u64,
}

#[derive(Default)]
struct Open {
    last_step: Option<i64>,
    last_time: Option<i64>,
    /// Whether the session says on which step its user left, as its first step decides.
    says_left: Option<bool>,
    /// Why the session as a whole was refused: its rows go by, each with this fault.
    refused: Option<Fault>,
    /// Whether the session's last row so far was dropped: whether the user left is then unknown.
    lost_last: bool,
}

impl<'l> Sessions<'l> {
    fn new(layout: &'l Layout) -> Self {
        Self {
            layout,
            plain: layout.padding.is_empty() && layout.repeated == Repeated::Refuse,
            session: String::new(),
            user: None,
            open: None,
            entered: false,
            clicks: Vec::new(),
            propensity: Vec::new(),
            removed: Vec::new(),
            duplicates: 0,
            appended: 0,
            repeated: 0,
        }
    }

    /// Goes to the session that the next row names.
    fn enter(
        &mut self,
        collector: &mut Collector,
        session: &str,
        user: Option<&str>,
    ) -> Result<Checked> {
        if let Some(open) = self.open.as_mut().filter(|_| self.session == session) {
            self.entered = true;
            if let Some(fault) = &open.refused {
                return Ok(Err(fault.clone()));
            }
            if self.user.as_deref() != user {
                let found = user.unwrap_or_default();
                let expected = "the same user throughout the session";
                return Ok(Err(Fault::value("user", expected, found)));
            }
            return Ok(Ok(()));
        }
        self.close(collector)?;
        self.session.clear();
        self.session.push_str(session);
        self.user = user.map(str::to_owned);
        self.entered = true;
        let entered =
            collector.open(session).map_err(|fault| fault.advise("--sort puts them together"));
        self.open = Some(Open { refused: entered.as_ref().err().cloned(), ..Open::default() });
        Ok(entered)
    }

    /// Takes an organic event of the session entered.
    fn event(&mut self, collector: &mut Collector, event: &str, record: &Record<'_>) -> Checked {
        self.check_time(record.time)?;
        let kind = EventKind::of(event).ok_or_else(|| {
            Fault::value("event", "view, cart or order, or what shops call these", event)
        })?;
        let mut taken = false;
        let mut take = |item: &str| {
            collector
                .event(item, Event { item: ItemId(0), kind, after: 0, timestamp: record.time });
            taken = true;
            Ok(())
        };
        match record.item {
            Some(item) => take(whole(item))?,
            None => record.chosen.each("chosen", take)?,
        }
        if !taken {
            return Err(Fault::value("item", "the item of the event", ""));
        }
        if let Some(open) = &mut self.open {
            open.last_time = record.time.or(open.last_time);
        }
        Ok(())
    }

    fn check_time(&self, time: Option<i64>) -> Checked {
        let last = self.open.as_ref().and_then(|open| open.last_time);
        match (last, time) {
            (Some(last), Some(time)) if time < last => {
                let found = format!("{time} after {last}");
                let fault = Fault::new("timestamp", "times that do not fall in a session", found);
                Err(fault.advise("--sort puts rows into the order of their times"))
            }
            _ => Ok(()),
        }
    }

    /// Takes a slate of the session entered.
    fn step(&mut self, collector: &mut Collector, record: &Record<'_>) -> Checked {
        self.check_time(record.time)?;
        self.show(collector, record)?;
        let total = self.choose(collector, record)?;
        let Some(open) = &mut self.open else { return Ok(()) };
        let choice = match (self.clicks.first(), record.left) {
            (Some(_), Some(true)) => {
                return Err(Fault::new("left", "false where an item was chosen", "true"));
            }
            (Some((item, _)), _) => Choice::Item(*item),
            (None, Some(true)) => Choice::Leave,
            (None, _) => Choice::Skip,
        };
        if !self.layout.sorts()
            && let (Some(number), Some(last)) = (record.number, open.last_step)
            && number <= last
        {
            if number == last && collector.repeats(choice, total, record.time) {
                self.duplicates += 1;
                return Ok(());
            }
            let found = format!("{number} after {last}");
            let fault = Fault::new("step", "a number above the one before it", found);
            return Err(fault.advise("--sort puts rows into the order of their steps"));
        }
        let unnumbered = record.number.is_none() || record.number == open.last_step;
        let same_time = record.time.is_some() && record.time == open.last_time;
        let told_apart = record.number.is_none() && !same_time;
        if unnumbered
            && !told_apart
            && open.says_left.is_some()
            && collector.repeats(choice, total, record.time)
        {
            self.duplicates += 1;
            return Ok(());
        }
        if open.says_left.is_some_and(|says| says != record.left.is_some()) {
            return Err(Fault::all_or_none("left", record.left.is_some()));
        }
        let propensity = match record.propensity {
            None => None,
            Some(numbers) => {
                propensities(
                    self.layout,
                    numbers,
                    &self.removed,
                    collector.places(),
                    &mut self.propensity,
                )?;
                Some(&self.propensity[..])
            }
        };
        collector
            .collect(&Taken {
                choice,
                reward: total,
                propensity,
                timestamp: record.time,
                clicks: if self.clicks.len() > 1 { &self.clicks } else { &[] },
                candidates: &record.candidates,
            })
            .map_err(repeated)?;
        open.says_left = Some(record.left.is_some());
        open.last_step = record.number.or(open.last_step);
        open.last_time = record.time.or(open.last_time);
        open.lost_last = false;
        Ok(())
    }

    /// Shows the slate.
    fn show(&mut self, collector: &mut Collector, record: &Record<'_>) -> Checked {
        collector.begin_slate();
        self.removed.clear();
        if self.plain {
            return match &record.shown {
                List::Words(list) => {
                    collector.show_words(list);
                    Ok(())
                }
                list => list.each("shown", |item| {
                    collector.show(item);
                    Ok(())
                }),
            };
        }
        let (layout, removed) = (self.layout, &mut self.removed);
        let (mut place, mut repeats) = (0, false);
        record.shown.each("shown", |item| {
            let is_padding = layout.padding.iter().any(|padding| padding == item);
            let again = layout.repeated == Repeated::First && collector.find(item).is_some();
            repeats |= again && !is_padding;
            match is_padding || again {
                true => removed.push(place),
                false => collector.show(item),
            }
            place += 1;
            Ok(())
        })?;
        self.repeated += u64::from(repeats);
        Ok(())
    }

    /// Finds out what was chosen; the reward of the slate.
    fn choose(&mut self, collector: &mut Collector, record: &Record<'_>) -> Checked<f32> {
        let Self { layout, clicks, removed, .. } = self;
        clicks.clear();
        // What most rows are: one choice, or none, and one reward.
        if let ([reward], None) = (record.reward, record.clicked) {
            match record.chosen {
                List::Empty => return Ok(*reward),
                List::One(raw) if layout.no_click.is_empty() => {
                    if let Some(item) = collector.find(raw) {
                        clicks.push((item, *reward));
                        return Ok(*reward);
                    }
                }
                _ => {}
            }
        }
        let given = collector.places() + removed.len();
        // Where the place of a row's list stands on the slate.
        let place_of = |place: usize| match removed.binary_search(&place) {
            Ok(_) => None,
            Err(before) => Some(place - before),
        };
        if let Some(flags) = record.clicked {
            if flags.len() != given {
                let found = format!("{} for {given} items", flags.len());
                return Err(Fault::new("clicked", "one value for each item of the slate", found));
            }
            let chosen = flags.iter().enumerate().filter(|(_, flag)| **flag);
            let items = chosen.filter_map(|(place, _)| collector.at(place_of(place)?));
            clicks.extend(items.map(|item| (item, 0.0)));
        } else {
            let mut appended = 0;
            record.chosen.each("chosen", |raw| {
                let none = layout.no_click.iter().chain(&layout.padding).any(|none| none == raw);
                if none {
                    return Ok(());
                }
                let item = match collector.find(raw) {
                    Some(item) => item,
                    None if given == 0 => return Ok(()),
                    None if layout.off_slate == OffSlate::Append => {
                        appended += 1;
                        collector.show(raw);
                        collector.find(raw).unwrap_or(ItemId(u32::MAX))
                    }
                    None => return Err(off_slate(raw, record, layout)),
                };
                if clicks.iter().all(|(other, _)| *other != item) {
                    clicks.push((item, 0.0));
                }
                Ok(())
            })?;
            self.appended += appended;
        }
        rewards(record.reward, clicks, given, |item| {
            let place = collector.slate().iter().position(|other| *other == item)?;
            // The place in the row's list: as many are removed before it as it takes.
            (0..given).find(|&at| place_of(at) == Some(place))
        })
    }

    /// Drops the row that was being read. `named` is the session that it names, if it could not be
    /// entered.
    fn reject(
        &mut self,
        collector: &mut Collector,
        place: Place,
        named: Option<&str>,
        fault: Fault,
    ) -> Result<()> {
        let entered = std::mem::take(&mut self.entered);
        let session = if entered { Some(&self.session[..]) } else { named };
        if self.layout.off_slate == OffSlate::Drop && fault.reason() == OFF_SLATE_REASON {
            collector.leave_out(&fault);
            return Ok(());
        }
        if let Some(open) = &mut self.open {
            open.lost_last = true;
        }
        collector.reject(place, 1, session, fault)
    }

    fn close(&mut self, collector: &mut Collector) -> Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        if open.says_left == Some(false) && !open.lost_last {
            collector.leave_on_last_step();
        }
        // The rows of a session that reappears belong to one that was closed already: no session is
        // lost here.
        if open.refused.is_none() {
            collector.close(self.user.as_deref())?;
        }
        Ok(())
    }

    fn note(&self, collector: &mut Collector) {
        let notes = [
            (self.duplicates, "rows repeat the row before them exactly, and were left out"),
            (self.appended, "choices were not on their slate, and were put at its end"),
            (self.repeated, "slates showed an item more than once, whose first place counts"),
        ];
        for (count, what) in notes.into_iter().filter(|&(count, _)| count > 0) {
            collector.note(format!("{count} {what}"));
        }
    }
}

const OFF_SLATE: &str = "an item of the slate";
const OFF_SLATE_REASON: &str = "chosen: expected an item of the slate";

/// The fault of a choice that earned something which is not known.
pub(crate) fn no_reward(found: &'static str) -> Fault {
    Fault::value("reward", "a finite number where an item was chosen", found)
        .advise("without the column, --ignore-columns reward, a click earns 1")
}

/// The fault of a choice that is not on its slate, with what it looks like.
fn off_slate(raw: &str, record: &Record<'_>, layout: &Layout) -> Fault {
    const NOTHING: [&str; 9] = ["nan", "none", "null", "na", "<na>", "\\n", "-1", "0", "false"];
    let fault = Fault::value("chosen", OFF_SLATE, raw);
    let slate = record.shown.text();
    let separated = slate.contains(raw) || slate.contains(record.chosen.text());
    let separator = ['|', ',', ';', '\t'].into_iter().find(|&c| slate.contains(c));
    if let (Some(separator), true, None) = (separator, separated, layout.list_separator) {
        return fault.advise(format!(
            "the slate is {slate:?}: if {separator:?} separates its ids, say --list-separator \
             {separator:?}; ids that hold blanks need that, brackets as in [\"a b\", \"c\"], or \
             JSON Lines"
        ));
    }
    if NOTHING.contains(&raw.to_ascii_lowercase().as_str()) {
        return fault.advise(format!("if it stands for no choice, say --no-click {raw}"));
    }
    if record.chosen.text().contains(' ') && layout.list_separator.is_none() {
        return fault.advise(
            "ids that hold blanks need --list-separator, brackets as in [\"a b\", \"c\"], or JSON \
             Lines",
        );
    }
    fault.advise(
        "--off-slate drop leaves such rows out, --off-slate append puts the item at the end",
    )
}

/// What helps against an item that stands on a slate more than once.
fn repeated(fault: Fault) -> Fault {
    match &*fault.reason() {
        "shown: expected every item once" => fault.advise(
            "--repeated first keeps its first place, --padding takes an id out that is no item",
        ),
        _ => fault,
    }
}

/// Gives the clicks their rewards; the reward of the slate.
fn rewards(
    given: &[f32],
    clicks: &mut [(ItemId, f32)],
    places: usize,
    place_of: impl Fn(ItemId) -> Option<usize>,
) -> Checked<f32> {
    match *given {
        [] => {
            clicks.iter_mut().for_each(|(_, reward)| *reward = 1.0);
            Ok(clicks.len() as f32)
        }
        [total] => {
            if let Some((_, first)) = clicks.first_mut() {
                *first = total;
            }
            Ok(total)
        }
        _ if given.len() == clicks.len() => {
            clicks.iter_mut().zip(given).for_each(|((_, reward), own)| *reward = *own);
            Ok(given.iter().sum())
        }
        _ if given.len() == places => {
            for (item, reward) in clicks.iter_mut() {
                *reward = place_of(*item).map_or(0.0, |place| given[place]);
            }
            Ok(given.iter().sum())
        }
        _ => {
            let found = format!("{} for {} choices and {places} items", given.len(), clicks.len());
            Err(Fault::new("reward", "one number, or one for each choice or item", found))
        }
    }
}

/// The propensities of a slate, from those of the row's list.
fn propensities(
    layout: &Layout,
    numbers: &[f32],
    removed: &[usize],
    places: usize,
    to: &mut Vec<f32>,
) -> Checked {
    to.clear();
    if layout.propensities == Propensities::Slate {
        let [slate] = numbers else {
            let found = format!("{} numbers", numbers.len());
            return Err(Fault::new("propensity", "one number for the whole slate", found));
        };
        to.resize(places, 1.0);
        to.iter_mut().take(1).for_each(|first| *first = *slate);
        return Ok(());
    }
    if layout.propensities == Propensities::Cumulative {
        let mut before = 1.0;
        to.extend(numbers.iter().map(|&number| {
            let own = number / before;
            before = number;
            // Rounding in the file must not make a certainty more than certain.
            if own > 1.0 && own < 1.001 { 1.0 } else { own }
        }));
    } else {
        to.extend_from_slice(numbers);
    }
    if !removed.is_empty() && numbers.len() == places + removed.len() {
        let mut place = 0;
        to.retain(|_| {
            place += 1;
            removed.binary_search(&(place - 1)).is_err()
        });
    }
    Ok(())
}
