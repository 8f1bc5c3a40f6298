//! Users whose clicks are counted.

use std::sync::{Mutex, PoisonError};

use foretaste_lab::{Interrupted, Watch};
use foretaste_random::Stream;
use foretaste_sim::{Environment, Error, Responses, Result, Slates};

/// Users as they are, who show how far they are and the click rate of every step, and keep it.
pub struct Counted<'a, E> {
    users: &'a E,
    part: &'a str,
    watch: &'a Watch,
    expected: u64,
    click_rates: Mutex<Vec<f64>>,
}

impl<'a, E> Counted<'a, E> {
    /// `part` is the part of the cell that they meet, and `expected` the number of steps that will
    /// be taken, for those who watch.
    pub fn new(users: &'a E, part: &'a str, watch: &'a Watch, expected: u64) -> Self {
        Self { users, part, watch, expected, click_rates: Mutex::default() }
    }

    /// Clicks per slate of every step, in order.
    pub fn click_rates(&self) -> Vec<f64> {
        self.click_rates.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<E: Environment> Environment for Counted<'_, E> {
    type State = E::State;

    fn items(&self) -> usize {
        self.users.items()
    }

    fn reset(&self, streams: &mut [Stream]) -> Result<E::State> {
        self.users.reset(streams)
    }

    fn step(
        &self,
        state: &mut E::State,
        slates: &Slates,
        streams: &mut [Stream],
        responses: &mut Responses,
    ) -> Result<()> {
        if self.watch.interrupted() {
            return Err(Error::Model(Box::new(Interrupted)));
        }
        self.users.step(state, slates, streams, responses)?;
        let clicks = responses.choice.iter().filter(|choice| choice.item().is_some()).count();
        let mut rates = self.click_rates.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = clicks as f64 / responses.choice.len() as f64;
        rates.push(rate);
        self.watch.record(self.part, rates.len() as u64, [("click_rate".to_owned(), rate)]);
        self.watch.progress(rates.len() as u64, self.expected);
        Ok(())
    }

    fn select(&self, state: &E::State, rows: &[usize]) -> Result<E::State> {
        self.users.select(state, rows)
    }

    fn replace(&self, state: &mut E::State, rows: &[usize], streams: &mut [Stream]) -> Result<()> {
        self.users.replace(state, rows, streams)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use foretaste_random::Seed;
    use foretaste_sim::policies::UniformRandom;
    use foretaste_sim::{Blind, ChoiceUsers, ChoiceUsersConfig, Rollout};

    use super::*;

    #[test]
    fn clicks_are_those_of_the_users_and_a_stop_ends_the_steps() {
        let users = ChoiceUsers::new(&ChoiceUsersConfig::default()).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let watch = Watch::hidden(Arc::clone(&stop));
        let counted = Counted::new(&users, "", &watch, 3);
        let policy = Blind(UniformRandom { items: 50 });
        let rollout = Rollout::new(Seed::new(1), 0..40, 3).max_steps(3);
        let log = rollout.run(&counted, &policy).unwrap();
        assert_eq!(log, rollout.run(&users, &policy).unwrap());
        let step = |at: usize| log.iter().filter_map(move |session| session.steps().nth(at));
        let rate = |at: usize| {
            step(at).filter(|step| step.choice.item().is_some()).count() as f64
                / step(at).count() as f64
        };
        assert_eq!(counted.click_rates(), [rate(0), rate(1), rate(2)]);
        stop.store(true, Ordering::Relaxed);
        assert!(rollout.run(&counted, &policy).is_err());
    }
}
