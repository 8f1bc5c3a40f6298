//! A recommender in front of learned users. The two may number items differently, since each has
//! the items of the log that it learned from, so everything that passes between them is translated
//! here.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use foretaste_console::Interrupted;
use foretaste_data::{Catalogue, Choice, ItemId, Mapping};
use foretaste_random::Stream;
use foretaste_recommender::{Actor, Memory};
use foretaste_sim::{Environment, Error, Policy, Privileged, Responses, Result, Slates};

use crate::progress::Progress;

/// A recommender that plays against users who number its items otherwise: slates and answers are
/// translated by raw ids. It counts the sessions that have ended, and stops after Ctrl-C.
pub struct Player<'a> {
    actor: Actor<'a>,
    to_users: Mapping,
    from_users: Mapping,
    stop: &'a AtomicBool,
    ended: Mutex<Ended>,
}

struct Ended {
    sessions: u64,
    shown: Progress,
}

impl<'a> Player<'a> {
    /// Of `actor`, all of whose items are among those of the users.
    pub fn new(actor: Actor<'a>, users: &Catalogue, stop: &'a AtomicBool, shown: Progress) -> Self {
        let own = actor.recommender().catalogue();
        let (to_users, from_users) = (Mapping::new(own, users), Mapping::new(users, own));
        Self { actor, to_users, from_users, stop, ended: Mutex::new(Ended { sessions: 0, shown }) }
    }

    /// Takes the bar away; how many sessions have ended.
    pub fn end(self) -> u64 {
        let Ended { sessions, shown } =
            self.ended.into_inner().unwrap_or_else(PoisonError::into_inner);
        shown.end();
        sessions
    }
}

impl<E: Environment> Privileged<E> for Player<'_> {
    type Memory = Memory;

    fn begin(&self, rows: usize) -> Result<Memory> {
        self.actor.begin(rows)
    }

    fn recommend(
        &self,
        memory: &Memory,
        _state: &E::State,
        k: usize,
        streams: &mut [Stream],
        slates: &mut Slates,
    ) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::Model(Box::new(Interrupted)));
        }
        let mut own = Slates::default();
        self.actor.rank(memory, None, k, streams, &mut own)?;
        let propensities = match own.propensities() {
            Some(propensities) => propensities.to_vec(),
            None => {
                let propensities = self.actor.propensities(memory, None, &own)?;
                // What was drawn had some chance, however small.
                propensities.into_iter().map(|p| (p as f32).max(f32::MIN_POSITIVE)).collect()
            }
        };
        slates.clear(k);
        for (row, propensity) in propensities.chunks(k).enumerate() {
            slates.push(&translated(own.row(row), &self.to_users)?, Some(propensity));
        }
        Ok(())
    }

    fn observe(&self, memory: &mut Memory, slates: &Slates, responses: &Responses) -> Result<()> {
        let mut own = Slates::with_k(slates.k());
        for row in 0..slates.rows() {
            own.push(&translated(slates.row(row), &self.from_users)?, None);
        }
        let choice = |choice: &Choice| match *choice {
            Choice::Item(item) => Ok(Choice::Item(in_items_of(&self.from_users, item)?)),
            other => Ok(other),
        };
        let answers = Responses {
            choice: responses.choice.iter().map(choice).collect::<Result<_>>()?,
            ..responses.clone()
        };
        let ended = responses.ended.iter().filter(|&&ended| ended).count();
        let mut counted = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        counted.sessions += ended as u64;
        (0..ended).for_each(|_| counted.shown.advance("sessions"));
        drop(counted);
        self.actor.observe(memory, &own, &answers)
    }

    fn select(&self, memory: &Memory, rows: &[usize]) -> Result<Memory> {
        self.actor.select(memory, rows)
    }
}

fn translated(slate: &[ItemId], to: &Mapping) -> Result<Vec<ItemId>> {
    slate.iter().map(|&item| in_items_of(to, item)).collect()
}

fn in_items_of(to: &Mapping, item: ItemId) -> Result<ItemId> {
    let unknown = || {
        Error::Contract(format!("item {} is not known to both the policy and the users", item.0))
    };
    to.item(item).ok_or_else(unknown)
}
