//! The two baselines that only count: clicks of each item, and clicks at each place of a slate.
//! They know nothing about the session, so they show what a model gains from the clicks before a
//! slate.

use std::collections::BTreeMap;

use foretaste_random::Seed;
use foretaste_settings::Setting;
use serde::{Deserialize, Serialize};

use crate::counts::counts;
use crate::grid::{Configured, Grid, cross};
use crate::training::Callback;
use crate::{ClickModel, Data, Impressions, Likelihood, Result};

/// Popularity: an item is clicked in proportion to how often it was clicked in training.
///
/// Its weight is w = n + a from its n clicks, or, per slate, the smoothed rate w = (n + a c) / (m +
/// a) of its n clicks on m slates, c the rate of all items. The likelihood is
/// [`Likelihood::Derived`]: the probability of a click is w over the sum of w in the slate
/// (Luce's choice axiom), the score its logarithm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PopularityConfig {
    /// Whether clicks are counted per slate that showed the item.
    #[serde(rename = "per_display")]
    pub per_slate: bool,
    /// a, more than 0.
    pub smoothing: f64,
}

/// The place alone: the probability of a click on place k of n is its smoothed share (m_k + a / n)
/// / (m + a) of the m training slates of n items with a click.
///
/// Where this model knows more than chance, the order of the slates tells something: of how users
/// look at them or, in a log whose slates were put together afterwards, of how they were put
/// together. The likelihood is [`Likelihood::Fitted`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PositionConfig {
    /// a, more than 0.
    pub smoothing: f64,
}

/// Popularity's settings.
pub(crate) const COUNTS: Grid<PopularityConfig> = Grid {
    points: || {
        cross(&[false, true], &[1.0, 10.0, 100.0])
            .into_iter()
            .map(|(per_slate, smoothing)| PopularityConfig { per_slate, smoothing })
            .collect()
    },
    is_coarse: |config| config.smoothing <= 10.0,
};

/// The place's settings.
pub(crate) const PLACES: Grid<PositionConfig> = Grid {
    points: || [1.0, 10.0, 100.0].map(|smoothing| PositionConfig { smoothing }).to_vec(),
    is_coarse: |_| true,
};

impl Configured for PopularityConfig {
    fn fit(
        &self,
        data: &Data<'_>,
        _seed: Seed,
        _callback: Callback<'_>,
    ) -> Result<Box<dyn ClickModel>> {
        Ok(Box::new(Popularity::fit(self, data)?))
    }
}

impl Configured for PositionConfig {
    fn fit(
        &self,
        data: &Data<'_>,
        _seed: Seed,
        _callback: Callback<'_>,
    ) -> Result<Box<dyn ClickModel>> {
        Ok(Box::new(Position::fit(self, data)?))
    }
}

#[derive(Debug)]
pub(crate) struct Popularity {
    log_weight: Vec<f32>,
}

#[derive(Debug)]
pub(crate) struct Position {
    /// Log-probability of each place, by the size of the slate.
    log_probability: BTreeMap<usize, Vec<f32>>,
}

impl Popularity {
    pub fn fit(config: &PopularityConfig, data: &Data<'_>) -> Result<Self> {
        check(config.smoothing)?;
        let counts = counts(&data.training(), data.items)?;
        let weight = |(&clicks, &shown): (&u32, &u32)| {
            let (clicks, shown, a) = (f64::from(clicks), f64::from(shown), config.smoothing);
            if config.per_slate { (clicks + a * counts.rate) / (shown + a) } else { clicks + a }
        };
        let log_weight =
            counts.clicks.iter().zip(&counts.shown).map(|pair| weight(pair).ln() as f32).collect();
        Ok(Self { log_weight })
    }
}

impl ClickModel for Popularity {
    fn scores(&self, impressions: &Impressions<'_>) -> Result<Vec<Vec<f32>>> {
        impressions.check(self.log_weight.len())?;
        let score = |slate: &[foretaste_data::ItemId]| {
            slate.iter().map(|item| self.log_weight[item.index()]).collect()
        };
        Ok(impressions.slates().map(|(slate, _)| score(slate)).collect())
    }

    fn likelihood(&self) -> Likelihood {
        Likelihood::Derived
    }
}

impl Position {
    pub fn fit(config: &PositionConfig, data: &Data<'_>) -> Result<Self> {
        check(config.smoothing)?;
        let mut clicks: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        for (slate, clicked) in data.training().slates() {
            if let Some(place) = clicked {
                clicks.entry(slate.len()).or_insert_with(|| vec![0.0; slate.len()])[place] += 1.0;
            }
        }
        let share = |clicks: &Vec<f64>| {
            let (a, total, n) = (config.smoothing, clicks.iter().sum::<f64>(), clicks.len() as f64);
            clicks.iter().map(|count| ((count + a / n) / (total + a)).ln() as f32).collect()
        };
        Ok(Self {
            log_probability: clicks.iter().map(|(&size, clicks)| (size, share(clicks))).collect(),
        })
    }
}

impl ClickModel for Position {
    fn scores(&self, impressions: &Impressions<'_>) -> Result<Vec<Vec<f32>>> {
        let score = |size: usize| {
            self.log_probability.get(&size).cloned().unwrap_or_else(|| vec![0.0; size])
        };
        Ok(impressions.slates().map(|(slate, _)| score(slate.len())).collect())
    }

    fn likelihood(&self) -> Likelihood {
        Likelihood::Fitted
    }
}

fn check(smoothing: f64) -> Result<()> {
    if smoothing > 0.0 && smoothing.is_finite() {
        return Ok(());
    }
    Err(Setting::new("smoothing", format!("{smoothing}, expected a positive number")).into())
}
