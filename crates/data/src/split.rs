//! Which sessions a model is fitted to, chosen by and judged on. The subsets are disjoint by
//! construction, and splits by user keep all sessions of a user together.

use foretaste_random::Seed;
use foretaste_settings::Setting;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::{Error, LogSlice, Result, Session};

/// Which sessions are for training, validation and test: session numbers, rising, each session in
/// one of the three subsets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Sessions that models are fitted to.
    pub train: Vec<usize>,
    /// Sessions that choose among models.
    pub validation: Vec<usize>,
    /// Sessions that judge the chosen model.
    pub test: Vec<usize>,
}

/// One of the three subsets of a [`Split`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subset {
    /// Models are fitted to it.
    Train,
    /// It chooses among models.
    Validation,
    /// It judges the chosen model.
    Test,
}

/// How much of the data is for training and for validation; the rest is for test.
///
/// The default is 50 / 25 / 25, as in the GAN-CDQN paper's experiments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fractions {
    /// Share of training, from 0.
    pub train: f64,
    /// Share of validation, from 0; the two together are at most 1.
    pub validation: f64,
}

impl Default for Fractions {
    fn default() -> Self {
        Self { train: 0.5, validation: 0.25 }
    }
}

impl Split {
    /// Splits the users at random: all sessions of a user fall into the same subset. A session
    /// without a user is a user of its own.
    ///
    /// # Errors
    /// [`Error::Log`] if no session names a user, [`Error::Setting`] if the fractions are no
    /// fractions.
    pub fn by_user<'a>(
        log: impl Into<LogSlice<'a>>,
        fractions: Fractions,
        seed: Seed,
    ) -> Result<Self> {
        let log = log.into();
        if log.sessions() > 0 && log.iter().all(|session| session.user().is_none()) {
            return Err(Error::Log("a split by user needs a log with users".into()));
        }
        // Behind all numbers of users, which are 32 bits wide.
        let own = |session: usize| (1 << 32) + session as u64;
        let user =
            |session: Session<'_>| session.user().map_or_else(|| own(session.index()), u64::from);
        let session_users: Vec<u64> = log.iter().map(user).collect();
        let mut users = session_users.clone();
        users.sort_unstable();
        users.dedup();
        let bounds = Bounds::new(users.len(), fractions)?;
        let mut order: Vec<usize> = (0..users.len()).collect();
        order.shuffle(&mut seed.derive("split by user").stream(0));
        let mut subset_of_user = vec![Subset::Test; users.len()];
        for (rank, &user) in order.iter().enumerate() {
            subset_of_user[user] = bounds.subset(rank);
        }
        let subset = |user: &u64| match users.binary_search(user) {
            Ok(user) => subset_of_user[user],
            Err(_) => Subset::Test,
        };
        Ok(session_users.iter().map(subset).collect())
    }

    /// Splits the sessions at random.
    ///
    /// # Errors
    /// [`Error::Setting`] if the fractions are no fractions.
    pub fn by_session<'a>(
        log: impl Into<LogSlice<'a>>,
        fractions: Fractions,
        seed: Seed,
    ) -> Result<Self> {
        let log = log.into();
        let mut order: Vec<usize> = (0..log.sessions()).collect();
        order.shuffle(&mut seed.derive("split by session").stream(0));
        Self::from_order(&order, fractions)
    }

    /// Splits so many sessions at random into `folds` of one size, rounded down: the first `train`
    /// of them, the next `validation`, and for test the rest with the remainder.
    ///
    /// # Errors
    /// [`Error::Setting`] if there are fewer folds than asked for, or none.
    pub fn by_fold(
        sessions: usize,
        folds: usize,
        train: usize,
        validation: usize,
        seed: Seed,
    ) -> Result<Self> {
        let held_in =
            train.checked_add(validation).filter(|&held_in| folds > 0 && held_in <= folds);
        let Some(held_in) = held_in else {
            let problem =
                format!("{train} for training and {validation} for validation, of {folds}");
            return Err(Setting::new("folds", problem).into());
        };
        let size = sessions / folds;
        let mut order: Vec<usize> = (0..sessions).collect();
        order.shuffle(&mut seed.derive("split by fold").stream(0));
        Ok(Self::from_ranks(&order, &Bounds { train: size * train, validation: size * held_in }))
    }

    /// Splits the sessions by start time: training has the earliest, test the latest. Sessions that
    /// start together keep the order of the log.
    ///
    /// # Errors
    /// [`Error::Log`] if a session has no times, [`Error::Setting`] if the fractions are no
    /// fractions.
    pub fn by_time<'a>(log: impl Into<LogSlice<'a>>, fractions: Fractions) -> Result<Self> {
        let log = log.into();
        let sessions = log.sessions();
        let timed = log.iter().filter(|session| session.start().is_some()).count();
        if timed < sessions {
            let problem = format!(
                "a split by time needs timestamps of all sessions, found those of {timed} of \
                 {sessions}"
            );
            return Err(Error::Log(problem));
        }
        let mut order: Vec<usize> = (0..sessions).collect();
        order.sort_by_key(|&session| log.session(session).start());
        Self::from_order(&order, fractions)
    }

    /// Number of sessions of all subsets.
    pub fn sessions(&self) -> usize {
        self.train.len() + self.validation.len() + self.test.len()
    }

    /// The split of the given sessions of a log, renumbered in the given order.
    pub(crate) fn select(&self, sessions: &[usize]) -> Self {
        let last = [&self.train, &self.validation, &self.test].into_iter().flatten().max();
        let subsets = self.subsets(last.map_or(0, |&last| last + 1));
        let subset = |&session: &usize| subsets.get(session).copied().unwrap_or(Subset::Train);
        sessions.iter().map(subset).collect()
    }

    /// The subset of each of the sessions `0 .. sessions`; training for those that the split does
    /// not name.
    ///
    /// Panics if the split names a session beyond them.
    pub fn subsets(&self, sessions: usize) -> Vec<Subset> {
        let mut subsets = vec![Subset::Train; sessions];
        self.validation.iter().for_each(|&session| subsets[session] = Subset::Validation);
        self.test.iter().for_each(|&session| subsets[session] = Subset::Test);
        subsets
    }

    /// Checks that every session of a log is in exactly one subset.
    pub(crate) fn check(&self, sessions: usize) -> Result<()> {
        let mut seen = vec![false; sessions];
        for &session in self.train.iter().chain(&self.validation).chain(&self.test) {
            match seen.get_mut(session) {
                Some(seen) if !*seen => *seen = true,
                Some(_) => {
                    return Err(Error::Log(format!("the split names session {session} twice")));
                }
                None => {
                    return Err(Error::Log(format!(
                        "the split names session {session} of {sessions}"
                    )));
                }
            }
        }
        match seen.iter().position(|&seen| !seen) {
            Some(session) => Err(Error::Log(format!("the split leaves out session {session}"))),
            None => Ok(()),
        }
    }

    fn from_order(order: &[usize], fractions: Fractions) -> Result<Self> {
        Ok(Self::from_ranks(order, &Bounds::new(order.len(), fractions)?))
    }

    fn from_ranks(order: &[usize], bounds: &Bounds) -> Self {
        let mut split = Self::default();
        for (rank, &session) in order.iter().enumerate() {
            split.subset_mut(bounds.subset(rank)).push(session);
        }
        for subset in [&mut split.train, &mut split.validation, &mut split.test] {
            subset.sort_unstable();
        }
        split
    }

    fn subset_mut(&mut self, subset: Subset) -> &mut Vec<usize> {
        match subset {
            Subset::Train => &mut self.train,
            Subset::Validation => &mut self.validation,
            Subset::Test => &mut self.test,
        }
    }
}

/// The split of the sessions from 0 whose subsets are given in order.
impl FromIterator<Subset> for Split {
    fn from_iter<I: IntoIterator<Item = Subset>>(subsets: I) -> Self {
        let mut split = Self::default();
        for (session, subset) in subsets.into_iter().enumerate() {
            split.subset_mut(subset).push(session);
        }
        split
    }
}

/// Where training and validation end in an order of sessions or users.
struct Bounds {
    train: usize,
    validation: usize,
}

impl Bounds {
    fn new(count: usize, Fractions { train, validation }: Fractions) -> Result<Self> {
        if !(train >= 0.0 && validation >= 0.0 && train + validation <= 1.0 + 1e-9) {
            let found = format!("train {train} and validation {validation}");
            let problem = format!("{found}, expected numbers in [0, 1] that add up to at most 1");
            return Err(Setting::new("fractions", problem).into());
        }
        // The tolerance keeps 0.7 + 0.3 of 10 at 10.
        let end = |share: f64| ((count as f64 * share + 1e-6) as usize).min(count);
        Ok(Self { train: end(train), validation: end(train + validation) })
    }

    fn subset(&self, rank: usize) -> Subset {
        match rank {
            rank if rank < self.train => Subset::Train,
            rank if rank < self.validation => Subset::Validation,
            _ => Subset::Test,
        }
    }
}
