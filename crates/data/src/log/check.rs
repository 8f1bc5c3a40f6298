//! The invariants of a log that was read from a file of ours. They are those of the builder,
//! checked on whole columns because a file can have been damaged or forged.

use std::borrow::Cow;

use super::builder::check_extras;
use super::columns::{check_length, check_offsets};
use super::{Choice, Log, NO_USER};
use crate::{Error, Result};

impl Log {
    /// Checks every invariant of a log that did not come from a [`LogBuilder`](super::LogBuilder),
    /// so that a log read from a file cannot panic later: `items`, `users` and `categories` bound
    /// the ids, `name` is a session's.
    pub(crate) fn check<'n>(
        &self,
        items: usize,
        users: Option<usize>,
        categories: &[usize],
        name: impl Fn(usize) -> Cow<'n, str>,
    ) -> Result<()> {
        check_offsets("session", &self.session_offsets, self.chosen.len())?;
        check_offsets("slate", &self.slate_offsets, self.shown.len())?;
        check_length("slate offset", self.slate_offsets.len(), self.steps() + 1)?;
        check_length("reward", self.reward.len(), self.steps())?;
        self.propensity
            .iter()
            .try_for_each(|column| check_length("propensity", column.len(), self.impressions()))?;
        self.timestamp
            .iter()
            .try_for_each(|column| check_length("timestamp", column.len(), self.steps()))?;
        self.rest
            .user
            .iter()
            .try_for_each(|column| check_length("user", column.len(), self.sessions()))?;
        let fits = [
            ("clicks", self.rest.clicks.as_ref().is_none_or(|clicks| clicks.fits(self.steps()))),
            (
                "candidates",
                self.rest.candidates.as_ref().is_none_or(|sets| sets.fits(self.steps(), items)),
            ),
            (
                "events",
                self.rest.events.as_ref().is_none_or(|events| events.fits(self.sessions(), items)),
            ),
            (
                "categories of the context",
                self.rest.context.as_ref().is_none_or(|known| known.fits(self.steps(), categories)),
            ),
        ];
        if let Some((what, _)) = fits.iter().find(|(_, fits)| !fits) {
            return Err(Error::Log(format!("the {what} do not fit the steps")));
        }
        if let Some(item) = self.shown.iter().find(|item| item.index() >= items) {
            return Err(Error::Log(format!("item number {} of a catalogue of {items}", item.0)));
        }
        if let (Some(column), Some(users)) = (&self.rest.user, users)
            && let Some(user) =
                column.iter().find(|&&user| user != NO_USER && user as usize >= users)
        {
            return Err(Error::Log(format!("user number {user} of {users} users")));
        }
        self.iter().try_for_each(|session| {
            let last = session.len() - 1;
            let mut seen = Vec::new();
            let first = session.step(0);
            session.steps().enumerate().try_for_each(|(t, step)| {
                let fail = |problem: &str| {
                    Err(Error::Log(format!(
                        "session {:?}, step {t}: {problem}",
                        name(session.index())
                    )))
                };
                seen.clear();
                seen.extend_from_slice(step.slate);
                seen.sort_unstable();
                if seen.windows(2).any(|pair| pair[0] == pair[1]) {
                    return fail("an item is on the slate twice");
                }
                if step.choice.item().is_some_and(|item| !step.slate.contains(&item)) {
                    return fail("the chosen item is not on the slate");
                }
                if step.choice == Choice::Leave && t != last {
                    return fail("a step follows the one on which the user left");
                }
                if !step.reward.is_finite() {
                    return fail("the reward is not finite");
                }
                if step
                    .propensity
                    .is_some_and(|column| column.iter().any(|&p| !(p > 0.0 && p <= 1.0)))
                {
                    return fail("a propensity is not in (0, 1]");
                }
                if let Err(fault) = check_extras(&step, &session.extras(t)) {
                    return fail(&fault.to_string());
                }
                if step.propensity.is_some() != first.propensity.is_some() {
                    return fail("the session has propensities on some steps and on others none");
                }
                if step.timestamp.is_some() != first.timestamp.is_some() {
                    return fail("the session has times on some steps and on others none");
                }
                Ok(())
            })
        })
    }
}
