use foretaste_data::ItemId;

use crate::counts::{CoClicks, Counts};
use crate::impressions::Impression;
use crate::{Impressions, Result};

/// Strength, in showings, of the prior that draws the click rate of rarely shown items to that of
/// all.
const PRIOR: f64 = 10.0;

/// Number of features, the place last.
pub(crate) const FEATURES: usize = 11;

/// What boosted trees see of a shown item; see [`TreesConfig`](crate::TreesConfig) for the list.
#[derive(Debug)]
pub(crate) struct Features {
    counts: Counts,
    co_clicks: CoClicks,
}

impl Features {
    /// Features whose counts come from these slates.
    pub fn new(counted: &Impressions<'_>, items: usize) -> Result<Self> {
        Ok(Self { counts: Counts::new(counted, items)?, co_clicks: CoClicks::new(counted, items)? })
    }

    /// Number of items that the features know.
    pub fn items(&self) -> usize {
        self.counts.clicks.len()
    }

    /// The features of every item of the slates of the given numbers, which rise.
    pub fn rows(&self, impressions: &Impressions<'_>, wanted: &[usize]) -> Vec<[f64; FEATURES]> {
        // Sum and largest of the similarities of every item to the history, kept up to date from
        // slate to slate.
        let mut similar = vec![(0.0, 0f64); self.items()];
        let mut previous: Option<&Impression<'_>> = None;
        let mut rows = Vec::new();
        for impression in wanted.iter().map(|&index| impressions.get(index)) {
            if previous.is_some_and(|previous| previous.session != impression.session) {
                similar.fill((0.0, 0.0));
                previous = None;
            }
            for click in impressions.new_clicks(previous, impression) {
                for (item, similarity) in self.co_clicks.cosines(click.0, 0.0) {
                    let (sum, largest) = &mut similar[item as usize];
                    *sum += similarity;
                    *largest = largest.max(similarity);
                }
            }
            previous = Some(impression);
            self.of_impression(impression, impressions.history(impression), &similar, &mut rows);
        }
        rows
    }

    fn of_impression(
        &self,
        impression: &Impression<'_>,
        history: &[ItemId],
        similar: &[(f64, f64)],
        rows: &mut Vec<[f64; FEATURES]>,
    ) {
        let rates: f64 = impression.slate.iter().map(|item| self.rate(item.index())).sum();
        for (place, item) in impression.slate.iter().enumerate() {
            let (sum, largest) = similar[item.index()];
            let rate = self.rate(item.index());
            rows.push([
                f64::from(self.counts.clicks[item.index()]).ln_1p(),
                f64::from(self.counts.shown[item.index()]).ln_1p(),
                rate,
                rate / rates,
                sum,
                largest,
                history.last().map_or(0.0, |last| self.co_clicks.cosine(item.0, last.0)),
                history.iter().filter(|&clicked| clicked == item).count() as f64,
                history.len() as f64,
                impression.slate.len() as f64,
                place as f64,
            ]);
        }
    }

    fn rate(&self, item: usize) -> f64 {
        (f64::from(self.counts.clicks[item]) + PRIOR * self.counts.rate)
            / (f64::from(self.counts.shown[item]) + PRIOR)
    }
}
