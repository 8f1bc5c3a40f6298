//! q̂: what slates and items earn, by the log or by a user's own model.

use foretaste_data::{ItemId, Log, Session};

use super::logged::paid;

/// A model of the rewards, in the items of the log and of the files with it.
#[derive(Clone, Debug)]
pub struct RewardModel {
    /// What an item stands for in a slate.
    of_slate: Shrunk,
    /// What an item earns by itself.
    of_item: Shrunk,
    /// Whether a slate earns the sum of its items, not their mean.
    sums: bool,
}

/// Means by item, shrunk towards the mean of all by the weight of one.
#[derive(Clone, Debug, Default)]
struct Shrunk {
    of: Vec<f64>,
    mean: f64,
}

impl Shrunk {
    fn new(counts: &[f64], sums: &[f64], all: f64, total: f64) -> Self {
        let mean = if all > 0.0 { total / all } else { 0.0 };
        let shrunk = |(count, sum): (&f64, &f64)| (sum + mean) / (count + 1.0);
        Self { of: counts.iter().zip(sums).map(shrunk).collect(), mean }
    }

    /// The mean of all, for an item of which nothing is known.
    fn of(&self, item: ItemId) -> f64 {
        self.of.get(item.index()).copied().unwrap_or(self.mean)
    }
}

impl RewardModel {
    /// Fitted on these sessions, of so many items: a slate earns the mean over its items of the
    /// mean reward of the slates that show them, and an item the mean that it earned where it
    /// stood. Of no sessions at all it expects nothing.
    pub fn fit<'a>(sessions: impl Iterator<Item = Session<'a>>, items: usize) -> Self {
        let mut shown = vec![0.0; items];
        let (mut earned, mut own) = (shown.clone(), shown.clone());
        let (mut slates, mut total, mut places, mut of_places) = (0.0, 0.0, 0.0, 0.0);
        for session in sessions {
            for (t, step) in session.steps().enumerate() {
                let reward = f64::from(step.reward);
                slates += 1.0;
                total += reward;
                for (item, paid) in step.slate.iter().zip(paid(step, session.extras(t))) {
                    shown[item.index()] += 1.0;
                    earned[item.index()] += reward;
                    own[item.index()] += paid;
                    places += 1.0;
                    of_places += paid;
                }
            }
        }
        Self {
            of_slate: Shrunk::new(&shown, &earned, slates, total),
            of_item: Shrunk::new(&shown, &own, places, of_places),
            sums: false,
        }
    }

    /// Somebody's own, of every item: a slate earns the sum of its items.
    pub fn given(rewards: Vec<f64>) -> Self {
        let rewards = Shrunk { of: rewards, mean: 0.0 };
        Self { of_slate: rewards.clone(), of_item: rewards, sums: true }
    }

    /// q̂ of a slate of these items; of none, the mean of all slates.
    pub fn of_slate(&self, slate: &[ItemId]) -> f64 {
        let total: f64 = slate.iter().map(|&item| self.of_slate.of(item)).sum();
        match slate.len() {
            0 => self.of_slate.mean,
            _ if self.sums => total,
            items => total / items as f64,
        }
    }

    /// What an item adds to q̂ of a slate of so many: [`of_slate`](Self::of_slate) is their sum.
    pub fn share(&self, item: ItemId, places: usize) -> f64 {
        let of_slate = self.of_slate.of(item);
        if self.sums { of_slate } else { of_slate / places as f64 }
    }

    /// What an item earns by itself.
    pub fn of_item(&self, item: ItemId) -> f64 {
        self.of_item.of(item)
    }
}

/// Something for each half of the judged sessions.
pub struct Halves<T>([T; 2]);

impl<T> Halves<T> {
    /// What `make` makes for each: it gets which sessions, by the rest of their index by 2, are
    /// its own, and must not learn from these.
    pub fn make(make: impl FnMut(usize) -> T) -> Self {
        Self([0, 1].map(make))
    }

    /// That of a session, by its index among the judged.
    pub fn of(&self, session: usize) -> &T {
        &self.0[session % 2]
    }

    /// What `make` makes of each.
    pub fn each<U>(&self, make: impl Fn(&T) -> U) -> Halves<U> {
        Halves([make(&self.0[0]), make(&self.0[1])])
    }
}

/// q̂ of each judged session, which its model has not seen.
pub type RewardModels = Halves<RewardModel>;

impl RewardModels {
    /// A session's model is fitted on `others` and on the half of `judged` that it does not belong
    /// to.
    pub fn fit(judged: &Log, others: &Log, items: usize) -> Self {
        Self::make(|own| {
            let half = judged.iter().filter(|session| session.index() % 2 != own);
            RewardModel::fit(others.iter().chain(half), items)
        })
    }

    /// Somebody's own, the same for all.
    pub fn given(rewards: Vec<f64>) -> Self {
        let model = RewardModel::given(rewards);
        Self([model.clone(), model])
    }

    /// Whether it is a user's own, which says nothing of items that it does not name.
    pub fn is_given(&self) -> bool {
        self.0[0].sums
    }
}

#[cfg(test)]
mod tests {
    use foretaste_data::{Choice, LogBuilder, Step};

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
    /// item 3 ½. Of the four places one earned -1 by being chosen: the mean is -1/4.
    #[test]
    fn a_slate_earns_the_mean_of_its_items_whatever_was_chosen() {
        let model = RewardModel::fit(log().iter(), 4);
        let found = [0, 1, 2, 3].map(|item| model.of_slate(&[ItemId(item)]));
        assert_eq!(found, [1.25, 0.5, -0.25, 0.5]);
        assert_eq!(model.of_slate(&[ItemId(0), ItemId(2), ItemId(3)]), 0.5);
        assert_eq!((model.of_slate(&[]), model.of_slate(&[ItemId(9)])), (0.5, 0.5));
        let found = [0, 2, 3, 9].map(|item| model.of_item(ItemId(item)));
        assert_eq!(found, [-0.125, -0.625, -0.25, -0.25]);
        assert_eq!(RewardModel::fit(log().iter().take(0), 1).of_slate(&[ItemId(0)]), 0.0);
    }

    #[test]
    fn a_given_model_is_of_items_that_a_slate_adds_up() {
        let model = RewardModel::given(vec![0.25, -1.0]);
        let slate = [ItemId(0), ItemId(1)];
        assert_eq!((model.of_slate(&slate), model.of_item(slate[1])), (-0.75, -1.0));
        assert_eq!(slate.iter().map(|&item| model.share(item, 2)).sum::<f64>(), -0.75);
    }
}
