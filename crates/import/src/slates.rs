//! Slates for logs that recorded choices and no slates.

use std::collections::HashSet;

use foretaste_data::Vocabulary;
use foretaste_random::Seed;
use foretaste_settings::Setting;
use rand::seq::SliceRandom;

use crate::nearest::Pool;
use crate::reader::{Answer, Checked, Collector, Table, Text, date};
use crate::{Error, Format, Result};

/// How slates are simulated for a log that recorded choices and no slates: MovieLens and LastFM,
/// as in experiment A of the GAN-CDQN paper, and YooChoose.
///
/// The slate of a choice holds the chosen item and the others that lie nearest in time, in an order
/// drawn at random. Where no user of the file chooses an item twice, a slate shows none that its
/// user chose before: that it is not chosen again would give it away. `docs/data-formats.md` gives
/// the rule, and says what such slates cannot show.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SimulatedSlates {
    /// Items of a slate, the chosen one included; at least 1. A slate is smaller where the file
    /// has fewer items.
    pub size: usize,
    /// How many of the active users to keep, drawn at random; `None` keeps all.
    pub users: Option<usize>,
    /// Fewest choices of an active user. The choices of other users still date and fill slates.
    pub min_choices: usize,
    /// What the others are near to.
    pub around: Around,
    /// What users, items at equal distances, the order of a slate, and the order of simultaneous
    /// choices are drawn from.
    pub seed: Seed,
}

/// The day around which a slate is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Around {
    /// The day of the choice: the paper's.
    Choice,
    /// The day on which the chosen item was released, where items have one (MovieLens): slates of
    /// items of an age.
    Release,
}

impl SimulatedSlates {
    /// The paper's slates for a format; `None` for a format that holds slates.
    ///
    /// MovieLens: 40 films, 1,000 users, who have rated 20 films at least (as all have in the
    /// published files); of 1M all users. LastFM: 10 artists, all users. YooChoose, OTTO,
    /// RetailRocket and RecBole's files, of which the paper says nothing: 10 items, all sessions or
    /// users. The seed is 1.
    pub fn of(format: Format) -> Option<Self> {
        match format {
            Format::MovieLens100k | Format::MovieLens => Some(Self::movielens()),
            Format::MovieLens1M => Some(Self { users: None, min_choices: 1, ..Self::movielens() }),
            Format::LastFm
            | Format::YooChoose
            | Format::Otto
            | Format::RetailRocket
            | Format::RecBole
            | Format::Events => Some(Self::ten()),
            _ => None,
        }
    }

    /// Whether every user of the file is kept.
    pub(crate) fn keep_all(&self) -> bool {
        self.users.is_none() && self.min_choices <= 1
    }

    pub(crate) fn movielens() -> Self {
        Self {
            size: 40,
            users: Some(1000),
            min_choices: 20,
            around: Around::Choice,
            seed: Seed::new(1),
        }
    }

    pub(crate) fn ten() -> Self {
        Self { size: 10, users: None, min_choices: 1, around: Around::Choice, seed: Seed::new(1) }
    }
}

/// A user's choice of an item; the order is by user, then time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Pick {
    pub(crate) user: u32,
    /// Seconds since 1970.
    time: i64,
    pub(crate) item: u32,
}

impl Pick {
    pub(crate) fn day(&self) -> i64 {
        date::of_seconds(self.time)
    }
}

/// All choices of a file, by user and time, each once: 16 bytes a choice.
#[derive(Default)]
pub(crate) struct Choices {
    pub(crate) users: Vocabulary,
    pub(crate) items: Vocabulary,
    pub(crate) picks: Vec<Pick>,
}

impl Choices {
    /// Reads a file of one choice per row, of which `take` makes user, item and time. `user` is the
    /// column of the users if all are kept, so that one of whom no row can be read is a session
    /// lost.
    pub(crate) fn read(
        table: Table<'_>,
        user: Option<usize>,
        collector: &mut Collector,
        take: impl for<'r> Fn(Text<'r>) -> Checked<(&'r str, &'r str, i64)>,
    ) -> Result<Self> {
        let mut choices = Self::default();
        collector.read_rows(table, user, |row| {
            let (user, item, time) = take(row)?;
            choices.add(user, item, time);
            Ok(())
        })?;
        Ok(choices.in_order())
    }

    /// Adds a choice, at a time in seconds since 1970.
    pub(crate) fn add(&mut self, user: &str, item: &str, time: i64) -> Pick {
        let pick = Pick { user: self.users.intern(user), time, item: self.items.intern(item) };
        self.picks.push(pick);
        pick
    }

    /// By user and time, each once.
    pub(crate) fn in_order(mut self) -> Self {
        self.picks.sort_unstable();
        self.picks.dedup();
        self
    }

    /// Collects one session per user that is kept: a slate around each choice, in the order of
    /// their times.
    ///
    /// `around` is the day around which a choice's slate is filled, `reward` what the choice
    /// earns. Of the streams under the seed, number `i` belongs to the file's `i`-th user, so that
    /// a user's slates do not depend on who else is kept.
    pub(crate) fn simulate(
        &self,
        mut pool: Pool,
        around: impl Fn(&Pick) -> i64,
        reward: impl Fn(&Pick) -> f32,
        slates: &SimulatedSlates,
        collector: &mut Collector,
    ) -> Result<()> {
        if slates.size == 0 {
            return Err(Setting::new("slate size", "0, expected at least 1").into());
        }
        let users = self.kept(slates);
        if users.is_empty() && !self.picks.is_empty() {
            let (users, least) = (self.users.len(), slates.min_choices);
            let problem = format!(
                "none of its {users} users is to be kept; active are those with {least} choices \
                 or more"
            );
            return Err(Error::file(collector.path(), problem));
        }
        let seed = slates.seed.derive("displays");
        let chosen_again = self.chosen_again();
        let mut unchosen = vec![false; self.items.len()];
        let (mut slate, mut chosen) = (Vec::new(), HashSet::new());
        for picks in &users {
            let user = picks[0].user;
            let name = self.users.name(user);
            let mut stream = seed.stream(u64::from(user));
            let mut picks = picks.to_vec();
            picks.shuffle(&mut stream);
            picks.sort_by_key(|pick| pick.time);
            collector.open(name)?;
            chosen.clear();
            for pick in &picks {
                slate.clear();
                slate.push(pick.item);
                let left_out = |item| !chosen_again && chosen.contains(&item);
                pool.fill(around(pick), slates.size, left_out, &mut slate, &mut stream);
                chosen.insert(pick.item);
                slate[1..].iter().for_each(|&item| unchosen[item as usize] = true);
                slate.shuffle(&mut stream);
                collector.begin_slate();
                slate.iter().for_each(|&item| collector.show(self.items.name(item)));
                let choice = Ok(self.items.name(pick.item));
                collector.push(&Answer {
                    choice,
                    reward: reward(pick),
                    propensity: None,
                    timestamp: Some(pick.time),
                })?;
            }
            collector.close(Some(name))?;
        }
        collector.note(format!(
            "simulated slates; {} of {} users kept",
            users.len(),
            self.users.len()
        ));
        let picks = || users.iter().copied().flatten();
        let only_chosen = picks().filter(|pick| !unchosen[pick.item as usize]).count();
        let share = only_chosen as f64 / picks().count().max(1) as f64;
        collector.note(format!(
            "{:.1} % of the choices are of items that are shown only where chosen",
            100.0 * share
        ));
        Ok(())
    }

    /// Whether any user chooses an item again.
    fn chosen_again(&self) -> bool {
        let mut of_user = HashSet::new();
        self.picks.chunk_by(|a, b| a.user == b.user).any(|picks| {
            of_user.clear();
            !picks.iter().all(|pick| of_user.insert(pick.item))
        })
    }

    /// The choices of every user that is kept, in the order of the users.
    fn kept(&self, slates: &SimulatedSlates) -> Vec<&[Pick]> {
        let users = self.picks.chunk_by(|a, b| a.user == b.user);
        let mut active: Vec<&[Pick]> =
            users.filter(|picks| picks.len() >= slates.min_choices).collect();
        if let Some(most) = slates.users.filter(|&most| most < active.len()) {
            active.shuffle(&mut slates.seed.derive("users").stream(0));
            active.truncate(most);
            active.sort_unstable_by_key(|picks| picks[0].user);
        }
        active
    }
}
