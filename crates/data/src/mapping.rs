//! A log in the items of a model, which were numbered by another log.

use std::fmt;
use std::str::FromStr;

use foretaste_settings::Setting;

use crate::{
    Catalogue, Choice, Dataset, Entry, Error, Event, Extras, ItemId, Log, LogBuilder, Result, Step,
};

/// What becomes of the items of a log that a model does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownItems {
    /// A log that has any is refused.
    #[default]
    Refuse,
    /// Steps whose slate holds one are dropped, and sessions of which nothing is left.
    DropSteps,
    /// They are the model's entry for unknown items, where it has one.
    AsUnknown,
}

/// Where the items of one catalogue stand in another, by raw ids.
#[derive(Clone, Debug)]
pub struct Mapping {
    places: Vec<Option<ItemId>>,
}

/// How much of a log concerns items that a model does not know: counts of the unknown, and of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unknown {
    /// Items that the log shows.
    pub items: (usize, usize),
    /// Slates with at least one such item.
    pub slates: (usize, usize),
    /// Clicks on such items.
    pub clicks: (usize, usize),
}

impl Mapping {
    /// From the items of a log to those of a model, say.
    pub fn new(from: &Catalogue, to: &Catalogue) -> Self {
        Self { places: from.names().iter().map(|raw| to.item(raw)).collect() }
    }

    /// The item in the other catalogue, if that knows it.
    pub fn item(&self, item: ItemId) -> Option<ItemId> {
        self.places[item.index()]
    }

    /// How much of a log concerns items that the other catalogue does not know.
    pub fn unknown(&self, log: &Log) -> Unknown {
        let mut shown = vec![false; self.places.len()];
        let (mut slates, mut clicks, mut items) = ((0, 0), (0, 0), (0, 0));
        let count = |counts: &mut (usize, usize), unknown: bool| {
            counts.0 += usize::from(unknown);
            counts.1 += 1;
        };
        let unknown = |item: &ItemId| self.item(*item).is_none();
        for step in log.iter().flat_map(|session| session.steps()) {
            step.slate.iter().for_each(|item| shown[item.index()] = true);
            count(&mut slates, step.slate.iter().any(unknown));
            step.choice.item().iter().for_each(|item| count(&mut clicks, unknown(item)));
        }
        let places = self.places.iter().zip(shown).filter(|(_, shown)| *shown);
        places.for_each(|(place, _)| count(&mut items, place.is_none()));
        Unknown { items, slates, clicks }
    }
}

impl Dataset {
    /// The data set in the items of `catalogue`, which are matched by their raw ids, and how much
    /// of it was unknown.
    ///
    /// The catalogue of the result is `catalogue`, with its features. A dropped step is dropped
    /// with its click, so that what follows it in its session has a shorter history.
    ///
    /// # Errors
    /// As [`UnknownItems::check`].
    pub fn mapped_to(
        self,
        catalogue: &Catalogue,
        unknown: UnknownItems,
    ) -> Result<(Self, Unknown)> {
        let mapping = Mapping::new(&self.catalogue, catalogue);
        let found = mapping.unknown(&self.log);
        unknown.check(&self.name, found)?;
        if self.catalogue.names() == catalogue.names() {
            return Ok((Self { catalogue: catalogue.clone(), ..self }, found));
        }
        let mut builder = LogBuilder::new(self.log.facts());
        let (mut kept, mut slate) = (Vec::new(), Vec::new());
        for session in self.log.iter() {
            for entry in session.entries() {
                let (t, step) = match entry {
                    Entry::Event(event) => {
                        mapping.item(event.item).iter().for_each(|&item| {
                            builder.event(Event { item, ..event });
                        });
                        continue;
                    }
                    Entry::Step(t, step) => (t, step),
                };
                slate.clear();
                slate.extend(step.slate.iter().map_while(|&item| mapping.item(item)));
                if slate.len() < step.slate.len() {
                    continue;
                }
                let choice = match step.choice {
                    Choice::Item(item) => mapping.item(item).map_or(Choice::Skip, Choice::Item),
                    other => other,
                };
                let extras = session.extras(t);
                let clicks: Vec<_> = extras
                    .clicks
                    .iter()
                    .map_while(|&(item, reward)| Some((mapping.item(item)?, reward)))
                    .collect();
                let candidates: Vec<_> =
                    extras.candidates.iter().filter_map(|&item| mapping.item(item)).collect();
                let extras = Extras { clicks: &clicks, candidates: &candidates, ..extras };
                builder.append(&Step { slate: &slate, choice, ..step }, &extras);
            }
            if builder.open_steps() == 0 {
                builder.abandon_session();
            } else {
                builder.close_session(session.user());
                kept.push(session.index());
            }
        }
        let kept = if kept.len() < self.log.sessions() { self.select(&kept)? } else { self };
        Ok((Self { log: builder.build(), catalogue: catalogue.clone(), ..kept }, found))
    }
}

impl Unknown {
    /// Whether a slate holds an unknown item.
    pub fn any(&self) -> bool {
        self.slates.0 > 0
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |(unknown, all): (usize, usize)| 100.0 * unknown as f64 / all.max(1) as f64;
        for (what, counts, end) in [
            ("items", self.items, ", "),
            ("slates", self.slates, " and "),
            ("clicks", self.clicks, ""),
        ] {
            write!(f, "{} of {} {what} ({:.1}%){end}", counts.0, counts.1, share(counts))?;
        }
        Ok(())
    }
}

impl UnknownItems {
    const ALL: [Self; 3] = [Self::Refuse, Self::DropSteps, Self::AsUnknown];

    /// Whether the rule lets a log of this name pass that shows so many unknown items.
    ///
    /// # Errors
    /// [`Error::Unknown`] if there are any and they are to be refused; [`Error::Setting`] if they
    /// are to be the model's own entry, since no model so far has one.
    pub fn check(self, name: &str, found: Unknown) -> Result<()> {
        match self {
            _ if !found.any() => Ok(()),
            Self::DropSteps => Ok(()),
            Self::Refuse => Err(Error::Unknown { name: name.to_owned(), found }),
            Self::AsUnknown => {
                let problem =
                    "the model has no entry for unknown items; drop-steps leaves them out";
                Err(Setting::new("unknown items", problem).into())
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::DropSteps => "drop-steps",
            Self::AsUnknown => "as-unknown",
        }
    }
}

impl fmt::Display for UnknownItems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for UnknownItems {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|rule| rule.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Setting::new("unknown items", format!("{name:?}, expected one of {names}")).into()
        })
    }
}
