//! The environment's half of a simulation: sessions and their checks, for any source of slates. It
//! is apart from populations because a recommender that learns online is no `Policy`.

use foretaste_data::ItemId;
use foretaste_random::Stream;
use foretaste_settings::Setting;

use crate::{Environment, Error, Responses, Result, Slates};

/// Sessions of an environment that advance together, by any source of slates: what a
/// [`Population`](crate::Population) runs on, and a recommender that learns while it acts.
///
/// ```
/// use foretaste_data::ItemId;
/// use foretaste_random::Seed;
/// use foretaste_sim::{Mdp, MdpConfig, Sessions, Slates};
///
/// let mdp = Mdp::new(&MdpConfig::default())?;
/// let mut sessions = Sessions::open(&mdp, 2, Seed::new(1).streams(0..100))?;
/// let mut slates = Slates::default();
/// while sessions.rows() > 0 {
///     slates.clear(2);
///     (0..sessions.rows()).for_each(|_| slates.push(&[ItemId(3), ItemId(5)], None));
///     let clicks = sessions.show(&slates)?.choice.iter().filter(|choice| choice.item().is_some()).count();
///     sessions.drop_ended()?;
///     assert_eq!(sessions.rows(), clicks);
/// }
/// # Ok::<(), foretaste_sim::Error>(())
/// ```
pub struct Sessions<'a, E: Environment + ?Sized> {
    environment: &'a E,
    k: usize,
    state: E::State,
    streams: Vec<Stream>,
    responses: Responses,
}

impl<'a, E: Environment + ?Sized> Sessions<'a, E> {
    /// Opens a session per stream; each will be shown slates of `k` items.
    ///
    /// # Errors
    /// [`Error::Setting`] if `k` is 0 or exceeds the catalogue; what the environment returns.
    pub fn open(environment: &'a E, k: usize, mut streams: Vec<Stream>) -> Result<Self> {
        if k == 0 || k > environment.items() {
            return Err(Setting::new("k", format!("{k} of {} items", environment.items())).into());
        }
        let state = environment.reset(&mut streams)?;
        Ok(Self { environment, k, state, streams, responses: Responses::default() })
    }

    /// Number of sessions.
    pub fn rows(&self) -> usize {
        self.streams.len()
    }

    /// The users' state, one row per session.
    pub fn state(&self) -> &E::State {
        &self.state
    }

    /// Shows slate `i` to session `i` and takes the answers.
    ///
    /// # Errors
    /// [`Error::Contract`] if the slates or the environment's responses have the wrong shape or
    /// name an item out of range; what the environment returns. The sessions are of no further use
    /// then. That a slate's items are distinct is checked in debug builds.
    pub fn show(&mut self, slates: &Slates) -> Result<&Responses> {
        check_slates(slates, self.rows(), self.k, self.environment.items())?;
        self.environment.step(&mut self.state, slates, &mut self.streams, &mut self.responses)?;
        check_responses(&self.responses, self.rows())?;
        Ok(&self.responses)
    }

    /// The last answers.
    pub(crate) fn responses(&self) -> &Responses {
        &self.responses
    }

    /// Drops the sessions that the last slate ended. Returns the rows of the others, in their
    /// order, if it ended any.
    ///
    /// # Errors
    /// What the environment returns on copying rows.
    pub fn drop_ended(&mut self) -> Result<Option<Vec<usize>>> {
        let live: Vec<usize> = (0..self.rows()).filter(|&row| !self.responses.ended[row]).collect();
        if live.len() == self.rows() {
            return Ok(None);
        }
        self.keep(&live)?;
        Ok(Some(live))
    }

    /// Goes on with distinct `rows` alone, in this order; entry `i` names row `i` or a later one.
    pub(crate) fn keep(&mut self, rows: &[usize]) -> Result<()> {
        self.state = self.environment.select(&self.state, rows)?;
        for (to, &from) in rows.iter().enumerate().filter(|(to, from)| to != *from) {
            self.streams.swap(to, from);
        }
        self.streams.truncate(rows.len());
        Ok(())
    }

    /// Copies of `rows`, with a stream each.
    pub(crate) fn copies(&self, rows: &[usize], streams: Vec<Stream>) -> Result<Self> {
        let state = self.environment.select(&self.state, rows)?;
        let (environment, k) = (self.environment, self.k);
        Ok(Self { environment, k, state, streams, responses: Responses::default() })
    }
}

fn check_slates(slates: &Slates, rows: usize, k: usize, items: usize) -> Result<()> {
    if slates.k() != k || slates.rows() != rows {
        let found = format!("{} slates of {} items", slates.rows(), slates.k());
        return Err(Error::Contract(format!("the policy gave {found}, not {rows} of {k}")));
    }
    let largest = slates.items().iter().fold(0, |largest, item| largest.max(item.0)) as usize;
    if largest >= items {
        return Err(Error::Contract(format!(
            "the policy showed item {largest} of a catalogue of {items}"
        )));
    }
    debug_assert!((0..rows).all(|row| distinct(slates.row(row))), "a slate has an item twice");
    Ok(())
}

fn distinct(slate: &[ItemId]) -> bool {
    (1..slate.len()).all(|place| !slate[..place].contains(&slate[place]))
}

fn check_responses(responses: &Responses, rows: usize) -> Result<()> {
    let found = [responses.choice.len(), responses.reward.len(), responses.ended.len()];
    if found == [rows; 3] {
        return Ok(());
    }
    Err(Error::Contract(format!(
        "the environment gave {found:?} choices, rewards and ends for {rows} sessions"
    )))
}
