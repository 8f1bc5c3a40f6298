//! Sessions, step by step.

use foretaste_data::{Choice, Event, EventKind, Fault, ItemId};

use super::rules::{OFF_SLATE_REASON, advised, no_reward, of_places, off_slate, rewards};
use crate::Result;
use crate::layout::{Layout, OffSlate, Propensities, Repeated};
use crate::reader::record::{List, Record, whole};
use crate::reader::{Checked, Collector, Place, Taken};

/// Sessions, step by step.
pub(super) struct Sessions<'l> {
    layout: &'l Layout,
    /// What the propensities are.
    pub(super) propensities: Propensities,
    /// Whether slates are taken as they stand.
    plain: bool,
    session: String,
    user: Option<String>,
    open: Option<Open>,
    /// Whether the row being read has named the open session.
    pub(super) entered: bool,
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
    pub(super) fn new(layout: &'l Layout) -> Self {
        Self {
            layout,
            propensities: Propensities::default(),
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
    pub(super) fn enter(
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
    pub(super) fn event(
        &mut self,
        collector: &mut Collector,
        event: &str,
        record: &Record<'_>,
    ) -> Checked {
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
                let fault =
                    Fault::new("timestamp", "times that do not decrease within a session", found);
                Err(fault.advise("--sort puts rows into the order of their times"))
            }
            _ => Ok(()),
        }
    }

    /// Takes a slate of the session entered.
    pub(super) fn step(&mut self, collector: &mut Collector, record: &Record<'_>) -> Checked {
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
                of_places(
                    self.propensities,
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
                context: record.context,
            })
            .map_err(|fault| advised(fault, record.propensity.map(<[f32]>::len)))?;
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
        if record.lacks_reward && !clicks.is_empty() {
            return Err(no_reward());
        }
        rewards(record.reward, clicks, given, |item| {
            let place = collector.slate().iter().position(|other| *other == item)?;
            // The place in the row's list: as many are removed before it as it takes.
            (0..given).find(|&at| place_of(at) == Some(place))
        })
    }

    /// Drops the row that was being read. `named` is the session that it names, if it could not be
    /// entered.
    pub(super) fn reject(
        &mut self,
        collector: &mut Collector,
        place: Place,
        named: Option<&str>,
        fault: Fault,
    ) -> Result<()> {
        self.reject_rows(collector, place, 1, named, fault)
    }

    /// Drops the rows of a slate, of which one cannot be used.
    pub(super) fn reject_rows(
        &mut self,
        collector: &mut Collector,
        place: Place,
        rows: u64,
        named: Option<&str>,
        fault: Fault,
    ) -> Result<()> {
        let entered = std::mem::take(&mut self.entered);
        let session = if entered { Some(&self.session[..]) } else { named };
        if let Some(open) = &mut self.open {
            open.lost_last = true;
        }
        if self.layout.off_slate == OffSlate::Drop && fault.reason() == OFF_SLATE_REASON {
            collector.leave_out(&fault);
            return Ok(());
        }
        collector.reject(place, rows, session, fault)
    }

    pub(super) fn close(&mut self, collector: &mut Collector) -> Result<()> {
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

    pub(super) fn note(&self, collector: &mut Collector) {
        let notes = [
            (self.duplicates, "rows repeat the row before them exactly, and were left out"),
            (self.appended, "choices were not on their slate, and were added at its end"),
            (self.repeated, "slates showed an item more than once, whose first place counts"),
        ];
        for (count, what) in notes.into_iter().filter(|&(count, _)| count > 0) {
            collector.note(format!("{count} {what}"));
        }
    }
}
