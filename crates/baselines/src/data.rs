//! What a fit may see. `Data` names the training and validation sessions of a log and no others, so
//! neither a model nor a choice among models uses the test sessions.

use foretaste_data::{Log, Split};
use foretaste_random::Seed;

use crate::Impressions;

/// What a model is fitted to and chosen by. The test sessions are not in it.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a> {
    /// The log.
    pub log: &'a Log,
    /// Number of items of the catalogue.
    pub items: usize,
    /// The training sessions.
    pub train: &'a [usize],
    /// The validation sessions.
    pub validation: &'a [usize],
}

impl<'a> Data<'a> {
    /// The training and validation sessions of `split`.
    pub fn new(log: &'a Log, items: usize, split: &'a Split) -> Self {
        Self { log, items, train: &split.train, validation: &split.validation }
    }

    pub(crate) fn training(&self) -> Impressions<'a> {
        Impressions::new(self.log, self.train)
    }

    pub(crate) fn validation(&self) -> Impressions<'a> {
        Impressions::new(self.log, self.validation)
    }

    /// The slates with a click of the validation sessions, or a sample of them that shows about
    /// `items` items.
    pub(crate) fn validation_sample(&self, items: usize, seed: Seed) -> Impressions<'a> {
        let impressions = self.validation();
        let clicked = impressions.with_click();
        let impressions = impressions.pick(&clicked);
        let sampled = sample_shown(&impressions, items, seed.derive("validation sample"));
        impressions.pick(&sampled)
    }
}

/// Slates, rising, that show about `items` items, drawn from `seed`; all of them if they show no
/// more.
pub(crate) fn sample_shown(impressions: &Impressions<'_>, items: usize, seed: Seed) -> Vec<usize> {
    let shown: usize = impressions.slates().map(|(slate, _)| slate.len()).sum();
    let wanted = (items as f64 / shown as f64 * impressions.len() as f64) as usize;
    sample(impressions.len(), wanted.max(1), seed)
}

/// `wanted` of `count` numbers from 0, drawn without replacement from `seed`, rising; all of them
/// if there are no more.
pub(crate) fn sample(count: usize, wanted: usize, seed: Seed) -> Vec<usize> {
    if wanted >= count {
        return (0..count).collect();
    }
    let mut drawn =
        rand::seq::index::sample(&mut seed.derive("sample").stream(0), count, wanted).into_vec();
    drawn.sort_unstable();
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::small;

    #[test]
    fn impressions_are_sampled_down_to_about_the_items_asked_for() {
        let small = small();
        let impressions = Impressions::new(&small, &[0, 1, 2]);
        assert_eq!(sample_shown(&impressions, 1_000, Seed::new(1)), (0..10).collect::<Vec<_>>());
        assert_eq!(sample_shown(&impressions, 12, Seed::new(1)).len(), 5);
        assert_eq!(sample_shown(&impressions, 1, Seed::new(1)).len(), 1);
    }

    #[test]
    fn a_validation_sample_holds_clicks_with_all_that_came_before() {
        let small = small();
        let data = Data { log: &small, items: 6, train: &[], validation: &[0, 1, 2] };
        let all = data.validation();
        let whole = data.validation_sample(1_000, Seed::new(1));
        assert_eq!(whole.len(), 8);
        let part = data.validation_sample(6, Seed::new(1));
        assert_eq!(part.len(), 2);
        for impression in part.iter() {
            let same = |other: &&crate::impressions::Impression<'_>| {
                std::ptr::eq(other.slate, impression.slate)
            };
            let original = all.iter().find(same).unwrap();
            assert!(impression.clicked.is_some() && impression.clicked == original.clicked);
            assert_eq!(part.history(impression), all.history(original));
        }
        let ranges = part.of_sessions();
        assert_eq!(ranges.len(), 3);
        for (session, range) in ranges.into_iter().enumerate() {
            assert!(range.into_iter().all(|index| part.get(index).session == session));
        }
    }
}
