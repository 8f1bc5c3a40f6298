//! q̂: what a slate earns, from the items on it.

use foretaste_data::{ItemId, Mapping, Session};

/// The mean reward of the slates that show an item, shrunk towards the mean of all by the weight of
/// one slate; a slate is expected to earn the mean over its items. Items are those of the
/// recommender; what it does not know is left out.
#[derive(Clone, Debug)]
pub struct RewardModel {
    /// Of each item.
    rewards: Vec<f64>,
    /// Of all slates.
    mean: f64,
}

impl RewardModel {
    /// Fitted on these sessions, whose items `mapping` finds among the `items` of the recommender.
    /// Of no sessions at all it expects nothing.
    pub fn fit<'a>(
        sessions: impl Iterator<Item = Session<'a>>,
        mapping: &Mapping,
        items: usize,
    ) -> Self {
        let (mut shown, mut earned) = (vec![0.0; items], vec![0.0; items]);
        let (mut slates, mut total) = (0.0, 0.0);
        for step in sessions.flat_map(Session::steps) {
            let reward = f64::from(step.reward);
            slates += 1.0;
            total += reward;
            for item in step.slate.iter().filter_map(|&item| mapping.item(item)) {
                shown[item.index()] += 1.0;
                earned[item.index()] += reward;
            }
        }
        let mean = if slates > 0.0 { total / slates } else { 0.0 };
        let rewards = shown
            .iter()
            .zip(earned)
            .map(|(shown, earned)| (earned + mean) / (shown + 1.0))
            .collect();
        Self { rewards, mean }
    }

    /// q̂ of a slate of these items; of none that is known, the mean of all slates.
    pub fn of_slate(&self, slate: &[ItemId]) -> f64 {
        match slate.len() {
            0 => self.mean,
            items => slate.iter().map(|&item| self.of(item)).sum::<f64>() / items as f64,
        }
    }

    /// q̂ of an item on its own.
    pub fn of(&self, item: ItemId) -> f64 {
        self.rewards[item.index()]
    }
}

#[cfg(test)]
mod tests {
    use foretaste_data::{Catalogue, Choice, Log, LogBuilder, Step};

    use super::*;

    fn log() -> Log {
        let mut log = LogBuilder::default();
        for (slate, choice, reward) in
            [([0, 1], Choice::Skip, 2.0), ([1, 2], Choice::Item(ItemId(2)), -1.0)]
        {
            let slate = slate.map(ItemId);
            log.push(Step::new(&slate, choice, reward)).unwrap();
            log.end_session(None).unwrap();
        }
        log.build()
    }

    /// By hand: the mean is 1/2; item 0 (2 + ½) / 2, item 1 (2 - 1 + ½) / 3, item 2 (-1 + ½) / 2,
    /// item 3 ½.
    #[test]
    fn a_slate_earns_the_mean_of_its_items_whatever_was_chosen() {
        let mapping = Mapping::new(&Catalogue::numbered(4), &Catalogue::numbered(4));
        let model = RewardModel::fit(log().iter(), &mapping, 4);
        let found = [0, 1, 2, 3].map(|item| model.of(ItemId(item)));
        assert_eq!(found, [1.25, 0.5, -0.25, 0.5]);
        assert_eq!(model.of_slate(&[ItemId(0), ItemId(2), ItemId(3)]), 0.5);
        assert_eq!(model.of_slate(&[]), 0.5);
        assert_eq!(RewardModel::fit(log().iter().take(0), &mapping, 1).of(ItemId(0)), 0.0);
    }
}
