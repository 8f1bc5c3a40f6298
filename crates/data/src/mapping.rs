//! A log in the items of a model, which were numbered by another log.

use std::fmt;
use std::str::FromStr;

use crate::{Catalogue, Choice, Dataset, Error, ItemId, LogBuilder, Result, Step};

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

impl Dataset {
    /// The data set in the items of `catalogue`, which are matched by their raw ids, and how much of it was unknown.
    ///
    /// The catalogue of the result is `catalogue`, with its features. A dropped step is dropped with its click, so that what
    /// follows it in its session has a shorter history.
    ///
    /// # Errors
    /// [`Error::Unknown`] if items are unknown and `unknown` is [`UnknownItems::Refuse`]; [`Error::Setting`] for
    /// [`UnknownItems::AsUnknown`], since no model so far has such an entry.
    pub fn mapped_to(self, catalogue: &Catalogue, unknown: UnknownItems) -> Result<(Self, Unknown)> {
        if self.catalogue.names() == catalogue.names() {
            let found = Unknown::among(&self, &vec![Some(ItemId(0)); self.catalogue.len()]);
            return Ok((Self { catalogue: catalogue.clone(), ..self }, found));
        }
        let places: Vec<Option<ItemId>> = self.catalogue.names().iter().map(|raw| catalogue.item(raw)).collect();
        let found = Unknown::among(&self, &places);
        match unknown {
            _ if !found.any() => {}
            UnknownItems::DropSteps => {}
            UnknownItems::Refuse => return Err(Error::Unknown { name: self.name, found }),
            UnknownItems::AsUnknown => {
                return Err(Error::Setting(
                    "the model has no entry for unknown items; drop-steps leaves them out".into(),
                ));
            }
        }
        let (mut builder, mut kept, mut slate) = (LogBuilder::default(), Vec::new(), Vec::new());
        for session in self.log.iter() {
            for step in session.steps() {
                slate.clear();
                slate.extend(step.slate.iter().map_while(|item| places[item.index()]));
                if slate.len() < step.slate.len() {
                    continue;
                }
                let choice = match step.choice {
                    Choice::Item(item) => places[item.index()].map_or(Choice::Skip, Choice::Item),
                    other => other,
                };
                builder.append(&Step { slate: &slate, choice, ..step });
            }
            if builder.open_steps() > 0 {
                builder.close_session(session.user());
                kept.push(session.index());
            }
        }
        let kept = if kept.len() < self.log.sessions() { self.select(&kept)? } else { self };
        Ok((Self { log: builder.build(), catalogue: catalogue.clone(), ..kept }, found))
    }
}

impl Unknown {
    /// `places` says where each item of the data set's catalogue is in the model's.
    fn among(dataset: &Dataset, places: &[Option<ItemId>]) -> Self {
        let mut shown = vec![false; places.len()];
        let (mut slates, mut clicks) = ((0, 0), (0, 0));
        let count = |counts: &mut (usize, usize), unknown: bool| {
            counts.0 += usize::from(unknown);
            counts.1 += 1;
        };
        let unknown = |item: &ItemId| places[item.index()].is_none();
        for step in dataset.log.iter().flat_map(|session| session.steps()) {
            step.slate.iter().for_each(|item| shown[item.index()] = true);
            count(&mut slates, step.slate.iter().any(unknown));
            step.choice.item().iter().for_each(|item| count(&mut clicks, unknown(item)));
        }
        let mut items = (0, 0);
        shown.iter().zip(places).filter(|(shown, _)| **shown).for_each(|(_, place)| count(&mut items, place.is_none()));
        Self { items, slates, clicks }
    }

    /// Whether a slate holds an unknown item.
    pub fn any(&self) -> bool {
        self.slates.0 > 0
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |(unknown, all): (usize, usize)| 100.0 * unknown as f64 / all.max(1) as f64;
        for (what, counts, end) in
            [("items", self.items, ", "), ("slates", self.slates, " and "), ("clicks", self.clicks, "")]
        {
            write!(f, "{} of {} {what} ({:.1}%){end}", counts.0, counts.1, share(counts))?;
        }
        Ok(())
    }
}

impl UnknownItems {
    /// All rules.
    pub const ALL: [Self; 3] = [Self::Refuse, Self::DropSteps, Self::AsUnknown];

    /// The rule's name on a command line: `refuse`, `drop-steps` or `as-unknown`.
    pub fn name(self) -> &'static str {
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
            Error::Setting(format!("{name:?} is no rule for unknown items; choose one of {names}"))
        })
    }
}
