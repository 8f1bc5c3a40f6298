//! Recommenders that choose among some of the items of a catalogue.

use std::sync::Arc;

use foretaste_data::{Choice, ItemId, Log, LogBuilder, Step};
use foretaste_eval::choice::{ChoiceModel, Prediction};
use foretaste_random::Stream;
use foretaste_sim::{Environment, Responses, Result, Slates};

/// The items that may be recommended, known to recommenders by their place, in the order of the
/// catalogue.
#[derive(Clone)]
pub struct Assortment {
    items: Arc<[ItemId]>,
}

/// Users who are shown an assortment.
pub struct Shoppers<E> {
    /// The users, who know all items.
    pub users: E,
    /// What they are shown.
    pub assortment: Assortment,
}

/// A model of all items that is asked about those of an assortment, by their place.
pub struct Assorted<'a, M: ?Sized> {
    /// The model, which knows all items.
    pub model: &'a M,
    /// What it is asked about.
    pub assortment: &'a Assortment,
}

impl<M: ChoiceModel + ?Sized> ChoiceModel for Assorted<'_, M> {
    fn predict(&self, places: &Log, sessions: &[usize]) -> foretaste_eval::Result<Vec<Prediction>> {
        let items = self.assortment.log(places);
        let items = items.map_err(|reason| foretaste_eval::Error::Model(Box::new(reason)))?;
        self.model.predict(&items, sessions)
    }
}

impl Assortment {
    /// The items of a catalogue of `catalogue` that were shown most often in these sessions,
    /// `at_most` of them; equal ones in the order of the catalogue.
    pub fn most_shown(log: &Log, sessions: &[usize], catalogue: usize, at_most: usize) -> Self {
        let mut shown = vec![0u64; catalogue];
        for step in sessions.iter().flat_map(|&session| log.session(session).steps()) {
            step.slate.iter().for_each(|item| shown[item.index()] += 1);
        }
        let mut items: Vec<ItemId> = (0..catalogue as u32).map(ItemId).collect();
        items.sort_by_key(|item| std::cmp::Reverse(shown[item.index()]));
        items.truncate(at_most);
        items.sort_unstable();
        Self { items: items.into() }
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Users who are shown these items.
    pub fn shoppers<E>(&self, users: E) -> Shoppers<E> {
        Shoppers { users, assortment: self.clone() }
    }

    /// The rows of a table that has one for each item of the catalogue.
    pub fn rows(&self, table: &[f32], width: usize) -> Vec<f32> {
        self.items
            .iter()
            .flat_map(|item| &table[item.index() * width..][..width])
            .copied()
            .collect()
    }

    /// A log of places as one of items.
    pub fn log(&self, places: &Log) -> foretaste_data::Result<Log> {
        let mut log = LogBuilder::default();
        for session in places.iter() {
            for step in session.steps() {
                let slate: Vec<ItemId> = step.slate.iter().map(|&place| self.item(place)).collect();
                let choice =
                    step.choice.item().map_or(step.choice, |place| Choice::Item(self.item(place)));
                log.push(Step { slate: &slate, choice, ..step })?;
            }
            log.end_session(None)?;
        }
        Ok(log.build())
    }

    fn item(&self, place: ItemId) -> ItemId {
        self.items[place.index()]
    }
}

impl<E: Environment> Environment for Shoppers<E> {
    type State = E::State;

    fn items(&self) -> usize {
        self.assortment.len()
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
        let mut shown = Slates::with_k(slates.k());
        for row in 0..streams.len() {
            let slate: Vec<ItemId> =
                slates.row(row).iter().map(|&place| self.assortment.item(place)).collect();
            shown.push(&slate, None);
        }
        self.users.step(state, &shown, streams, responses)?;
        for (row, choice) in responses.choice.iter_mut().enumerate() {
            let place = choice
                .item()
                .and_then(|item| shown.row(row).iter().position(|&shown| shown == item));
            *choice = place.map_or(*choice, |place| Choice::Item(slates.row(row)[place]));
        }
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
    use foretaste_random::Seed;
    use foretaste_sim::policies::{TopItems, UniformRandom};
    use foretaste_sim::{Blind, ChoiceUsers, ChoiceUsersConfig, Rollout};

    use super::*;

    fn log_of(slates: &[&[u32]]) -> Log {
        let mut log = LogBuilder::default();
        for slate in slates {
            let slate: Vec<ItemId> = slate.iter().copied().map(ItemId).collect();
            let choice = Choice::Item(slate[0]);
            log.push(Step::new(&slate, choice, 0.5)).unwrap();
            log.end_session(None).unwrap();
        }
        log.build()
    }

    #[test]
    fn the_items_shown_most_often_are_kept_in_the_order_of_the_catalogue() {
        let log = log_of(&[&[4, 1], &[4, 2], &[1, 4], &[3, 0], &[0, 3]]);
        let assortment = Assortment::most_shown(&log, &[0, 1, 2], 5, 3);
        assert_eq!(*assortment.items, [1, 2, 4].map(ItemId));
        assert_eq!(assortment.rows(&[0.0, 1.0, 2.0, 3.0, 4.0], 1), [1.0, 2.0, 4.0]);
        assert_eq!(
            assortment.log(&log_of(&[&[2, 0], &[1, 2]])).unwrap(),
            log_of(&[&[4, 1], &[2, 4]])
        );
        assert_eq!(Assortment::most_shown(&log, &[0], 5, 9).len(), 5);
    }

    /// A fixed slate of the assortment is the same sessions as that slate of the catalogue, but for
    /// the names of the items.
    #[test]
    fn users_who_are_shown_an_assortment_choose_as_ever() {
        let users = |items| {
            ChoiceUsers::new(&ChoiceUsersConfig { items, ..ChoiceUsersConfig::default() }).unwrap()
        };
        let shown = log_of(&[&[7, 9, 2, 4]]);
        let assortment = Assortment::most_shown(&shown, &[0], 30, 4);
        let rollout = Rollout::new(Seed::new(1), 0..50, 3).max_steps(6);
        let scores = [2.0, 0.0, 1.0, 3.0];
        let mut of_items = [-1.0; 30];
        (0..4u32).for_each(|place| {
            of_items[assortment.item(ItemId(place)).index()] = scores[place as usize]
        });
        let shoppers = assortment.shoppers(users(30));
        let found = rollout.run(&shoppers, &Blind(TopItems::new(&scores))).unwrap();
        let expected = rollout.run(&users(30), &Blind(TopItems::new(&of_items))).unwrap();
        assert_eq!(assortment.log(&found).unwrap(), expected);
        assert_eq!(shoppers.items(), 4);
        assert!(rollout.run(&shoppers, &Blind(UniformRandom { items: 4 })).is_ok());
    }
}
