use foretaste_random::Seed;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::{Error, Log, Result, Session};

/// Which sessions are for training, validation and test: session numbers, rising, each session on
/// one side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Sessions that models are fitted to.
    pub train: Vec<usize>,
    /// Sessions that choose among models.
    pub validation: Vec<usize>,
    /// Sessions that judge the chosen model.
    pub test: Vec<usize>,
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
    /// Splits the users at random: all sessions of a user fall on the same side. A session without
    /// a user is a user of its own.
    ///
    /// # Errors
    /// [`Error::Log`] if no session names a user, [`Error::Setting`] if the fractions are no
    /// fractions.
    pub fn by_user(log: &Log, fractions: Fractions, seed: Seed) -> Result<Self> {
        if log.sessions() > 0 && log.sessions_with_users() == 0 {
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
        let sides = sides(users.len(), fractions)?;
        let mut order: Vec<usize> = (0..users.len()).collect();
        order.shuffle(&mut seed.derive("split by user").stream(0));
        let mut side_of_user = vec![Side::Test; users.len()];
        for (rank, &user) in order.iter().enumerate() {
            side_of_user[user] = sides.side(rank);
        }
        let side = |session: usize| match users.binary_search(&session_users[session]) {
            Ok(user) => side_of_user[user],
            Err(_) => Side::Test,
        };
        Ok(Self::from_sides(log.sessions(), side))
    }

    /// Splits the sessions at random.
    ///
    /// # Errors
    /// [`Error::Setting`] if the fractions are no fractions.
    pub fn by_session(log: &Log, fractions: Fractions, seed: Seed) -> Result<Self> {
        let mut order: Vec<usize> = (0..log.sessions()).collect();
        order.shuffle(&mut seed.derive("split by session").stream(0));
        Self::from_order(&order, fractions)
    }

    /// Splits the sessions at random into `folds` of one size, rounded down: the first `train` of
    /// them, the next `validation`, and for test the rest with the remainder.
    ///
    /// # Errors
    /// [`Error::Setting`] if there are fewer folds than asked for, or none.
    pub fn by_fold(
        log: &Log,
        folds: usize,
        train: usize,
        validation: usize,
        seed: Seed,
    ) -> Result<Self> {
        Self::of_folds(log.sessions(), folds, train, validation, seed)
    }

    /// The same for sessions that are no log yet.
    pub(crate) fn of_folds(
        sessions: usize,
        folds: usize,
        train: usize,
        validation: usize,
        seed: Seed,
    ) -> Result<Self> {
        let held_in =
            train.checked_add(validation).filter(|&held_in| folds > 0 && held_in <= folds);
        let Some(held_in) = held_in else {
            return Err(Error::Setting(format!(
                "{train} and {validation} folds for training and validation, of {folds}"
            )));
        };
        let size = sessions / folds;
        let mut order: Vec<usize> = (0..sessions).collect();
        order.shuffle(&mut seed.derive("split by fold").stream(0));
        Ok(Self::from_ranks(&order, &Sides { train: size * train, validation: size * held_in }))
    }

    /// Splits the sessions by start time: training has the earliest, test the latest. Sessions that
    /// start together keep the order of the log.
    ///
    /// # Errors
    /// [`Error::Log`] if a session has no times, [`Error::Setting`] if the fractions are no
    /// fractions.
    pub fn by_time(log: &Log, fractions: Fractions) -> Result<Self> {
        if log.sessions() > 0 && !log.has_timestamps() {
            let (timed, sessions) = (log.sessions_with_timestamps(), log.sessions());
            let problem = format!(
                "a split by time needs timestamps of all sessions, found those of {timed} of \
                 {sessions}"
            );
            return Err(Error::Log(problem));
        }
        let mut order: Vec<usize> = (0..log.sessions()).collect();
        order.sort_by_key(|&session| log.session(session).start());
        Self::from_order(&order, fractions)
    }

    /// Number of sessions on all sides.
    pub fn sessions(&self) -> usize {
        self.train.len() + self.validation.len() + self.test.len()
    }

    /// The split of the given sessions of a log, renumbered in the given order.
    pub(crate) fn select(&self, sessions: &[usize]) -> Self {
        let held: usize = [&self.train, &self.validation, &self.test]
            .into_iter()
            .flatten()
            .max()
            .map_or(0, |&last| last + 1);
        let mut sides = vec![Side::Train; held];
        self.validation.iter().for_each(|&session| sides[session] = Side::Validation);
        self.test.iter().for_each(|&session| sides[session] = Side::Test);
        Self::from_sides(sessions.len(), |place| {
            sides.get(sessions[place]).copied().unwrap_or(Side::Train)
        })
    }

    /// Checks that every session of a log stands on exactly one side.
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

    pub(crate) fn from_sides(sessions: usize, side: impl Fn(usize) -> Side) -> Self {
        let mut split = Self::default();
        for session in 0..sessions {
            split.side_mut(side(session)).push(session);
        }
        split
    }

    fn from_order(order: &[usize], fractions: Fractions) -> Result<Self> {
        Ok(Self::from_ranks(order, &sides(order.len(), fractions)?))
    }

    fn from_ranks(order: &[usize], sides: &Sides) -> Self {
        let mut split = Self::default();
        for (rank, &session) in order.iter().enumerate() {
            split.side_mut(sides.side(rank)).push(session);
        }
        for side in [&mut split.train, &mut split.validation, &mut split.test] {
            side.sort_unstable();
        }
        split
    }

    fn side_mut(&mut self, side: Side) -> &mut Vec<usize> {
        match side {
            Side::Train => &mut self.train,
            Side::Validation => &mut self.validation,
            Side::Test => &mut self.test,
        }
    }
}

/// A side of a split; the numbers are those of the GAN-CDQN files' `tr_val_tst`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Train = 0,
    Validation = 1,
    Test = 2,
}

struct Sides {
    train: usize,
    validation: usize,
}

impl Sides {
    fn side(&self, rank: usize) -> Side {
        match rank {
            rank if rank < self.train => Side::Train,
            rank if rank < self.validation => Side::Validation,
            _ => Side::Test,
        }
    }
}

fn sides(count: usize, Fractions { train, validation }: Fractions) -> Result<Sides> {
    if !(train >= 0.0 && validation >= 0.0 && train + validation <= 1.0 + 1e-9) {
        let found = format!("train {train} and validation {validation}");
        return Err(Error::Setting(format!(
            "fractions lie in [0, 1] and add up to at most 1, found {found}"
        )));
    }
    // The tolerance keeps 0.7 + 0.3 of 10 at 10.
    let end = |share: f64| ((count as f64 * share + 1e-6) as usize).min(count);
    Ok(Sides { train: end(train), validation: end(train + validation) })
}
