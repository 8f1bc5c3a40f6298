//! How a model of choices is asked for the scores of items alone, so that a greedy policy in it
//! ranks items and not the places at which they stand.

use foretaste_data::{Choice, Log, LogBuilder, Step};
use foretaste_eval::choice::{ChoiceModel, Prediction};

use crate::Error;

/// A model of choice that is asked for scores of items, for greed to rank: what the items of a
/// slate owe to their place on it is left out, and a model whose users always choose can be asked
/// of a slate without a choice. It speaks of scores alone.
#[derive(Clone, Copy, Debug)]
pub struct ByItem<M> {
    /// The model.
    pub model: M,
    /// How it is asked.
    pub asking: Asking,
}

/// How a model is asked for the scores of a slate's items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// Of each alone on a slate, at its first place, from which users may choose nothing.
    OneByOne,
    /// Of all together; where nothing is chosen, the first counts as chosen, so that such a slate
    /// must be the last of its session.
    Together,
}

impl<M: ChoiceModel> ChoiceModel for ByItem<M> {
    fn predict(&self, log: &Log, sessions: &[usize]) -> foretaste_eval::Result<Vec<Prediction>> {
        let (mut asked, mut slates) = (LogBuilder::default(), Vec::new());
        for &session in sessions {
            for step in log.session(session).steps() {
                slates.push((step.slate.len(), self.ask(&step, &mut asked).map_err(Error::from)?));
            }
            asked.end_session(None).map_err(Error::from)?;
        }
        let asked = asked.build();
        let all: Vec<usize> = (0..asked.sessions()).collect();
        let mut said = self.model.predict(&asked, &all)?.into_iter();
        let of_slate = |(items, steps): (usize, usize)| {
            let mut scores: Vec<f32> =
                said.by_ref().take(steps).flat_map(|slate| slate.scores).collect();
            // A click that follows the items it was chosen from.
            scores.truncate(items);
            Prediction { scores, log_given_choice: None, log_choice: None }
        };
        Ok(slates.into_iter().map(of_slate).collect())
    }
}

impl<M> ByItem<M> {
    /// Asks of a slate; in how many steps.
    fn ask(&self, step: &Step<'_>, log: &mut LogBuilder) -> foretaste_data::Result<usize> {
        if self.asking == Asking::Together {
            let chosen = match step.choice {
                Choice::Item(item) => Some(item),
                Choice::Skip | Choice::Leave => step.slate.first().copied(),
            };
            log.push(Step::new(step.slate, chosen.map_or(Choice::Skip, Choice::Item), 0.0))?;
            return Ok(1);
        }
        for item in step.slate {
            log.push(Step::new(std::slice::from_ref(item), Choice::Skip, 0.0))?;
        }
        if let Some(clicked) = step.choice.item() {
            log.push(Step::new(&[clicked], Choice::Item(clicked), 0.0))?;
        }
        Ok(step.slate.len() + usize::from(step.choice.item().is_some()))
    }
}

#[cfg(test)]
mod tests {
    use foretaste_data::ItemId;
    use foretaste_sim::{ChoiceUsers, ChoiceUsersConfig};

    use super::*;

    /// Known rewards, with a bonus for the first place.
    struct Truth(ChoiceUsers);

    impl ChoiceModel for Truth {
        fn predict(
            &self,
            log: &Log,
            sessions: &[usize],
        ) -> foretaste_eval::Result<Vec<Prediction>> {
            let mut said = Vec::new();
            for session in sessions.iter().map(|&session| log.session(session)) {
                let mut history = Vec::new();
                for step in session.steps() {
                    let scores = self.0.utilities(0, &history, step.slate).into_iter();
                    let at =
                        |(place, score): (usize, f64)| score as f32 + 10.0 / (1.0 + place as f32);
                    said.push(Prediction {
                        scores: scores.enumerate().map(at).collect(),
                        log_given_choice: None,
                        log_choice: None,
                    });
                    history.extend(step.choice.item());
                }
            }
            Ok(said)
        }
    }

    #[test]
    fn one_by_one_the_scores_follow_the_clicks_and_not_the_places() {
        let config = ChoiceUsersConfig { items: 5, ..ChoiceUsersConfig::default() };
        let truth = Truth(ChoiceUsers::new(&config).unwrap());
        let all = [0, 1, 2, 3, 4].map(ItemId);
        let mut log = LogBuilder::default();
        for choice in [Choice::Item(ItemId(3)), Choice::Skip, Choice::Item(ItemId(1)), Choice::Skip]
        {
            log.push(Step::new(&all, choice, 0.0)).unwrap();
        }
        log.end_session(None).unwrap();
        let log = log.build();
        let found = ByItem { model: &truth, asking: Asking::OneByOne }.predict(&log, &[0]).unwrap();
        let histories: [&[u32]; 4] = [&[], &[3], &[3], &[3, 1]];
        assert_eq!(found.len(), 4);
        for (slate, history) in found.iter().zip(histories) {
            let history: Vec<ItemId> = history.iter().copied().map(ItemId).collect();
            let expected = truth.0.utilities(0, &history, &all);
            let expected: Vec<f32> = expected.iter().map(|&score| score as f32 + 10.0).collect();
            assert_eq!(slate.scores, expected);
        }
        let together = ByItem { model: &truth, asking: Asking::Together };
        let scores = &together.predict(&log, &[0]).unwrap()[0].scores;
        assert_eq!(*scores, truth.predict(&log, &[0]).unwrap()[0].scores);
    }
}
