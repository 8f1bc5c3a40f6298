//! Users who read slates from the top, which gives their logs a position bias. What each slate
//! truly earns is known, so the intervals and the ranking of the program can be checked against it.

use foretaste_data::{Choice, ItemId};
use foretaste_random::{Seed, Stream};
use foretaste_settings::Setting;
use rand::Rng;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

use crate::{Environment, Responses, Result, Slates};

/// Settings of a [`Shop`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ShopConfig {
    /// Number of items n.
    pub items: usize,
    /// Number of tastes; every item is of one of them, and so is every visitor.
    pub tastes: usize,
    /// The probability that a visitor who looks at an item of median quality clicks it, unless it
    /// is of the visitor's taste.
    pub appeal: f64,
    /// Spread of the logarithm of the items' qualities.
    pub spread: f64,
    /// How many times as often an item of the visitor's taste is clicked.
    pub affinity: f64,
    /// The probability of looking at the next place, once the items above were looked at and not
    /// clicked: the position bias.
    pub patience: f64,
    /// The probability of leaving after a slate on which nothing was clicked.
    pub leaving: f64,
    /// What tastes and qualities are drawn from.
    pub seed: u64,
}

impl Default for ShopConfig {
    fn default() -> Self {
        Self {
            items: 2_000,
            tastes: 5,
            appeal: 0.0046,
            spread: 0.8,
            affinity: 6.0,
            patience: 0.8,
            leaving: 0.25,
            seed: 0,
        }
    }
}

/// A simulated shop: visitors with a hidden taste who read slates from the top, as in the cascade
/// model with abandonment (Chapelle & Zhang 2009 call the probability of reading on perseverance).
///
/// A visitor of taste u who looks at item i clicks it with probability a(u, i) = min(1/2, appeal ·
/// quality(i) · (affinity if i is of taste u)), and looks at the next place with probability
/// patience unless it was clicked. At most one item of a slate is clicked, and earns 1. The truth
/// is known: [`click_probability`](Self::click_probability).
#[derive(Clone, Debug, PartialEq)]
pub struct Shop {
    config: ShopConfig,
    /// Of each item.
    tastes: Vec<u32>,
    qualities: Vec<f64>,
}

/// The hidden taste of each visitor of a [`Shop`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShopState(pub Vec<u32>);

/// No item is clicked more often than this, once it is looked at.
const MOST: f64 = 0.5;

impl Shop {
    /// Draws the items: tastes uniformly, qualities as exp(spread · z), z standard normal.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a count is 0 or a number is out of range.
    pub fn new(config: &ShopConfig) -> Result<Self> {
        let ShopConfig { items, tastes, appeal, spread, affinity, patience, leaving, seed } =
            *config;
        let fail = |problem: String| Err(Setting::new("shop", problem).into());
        if items == 0 || tastes == 0 || items > ItemId::MAX_ITEMS || tastes > items {
            return fail(format!("{items} items of {tastes} tastes"));
        }
        let shares = [appeal, patience, leaving];
        if let Some(share) = shares.iter().find(|share| !(0.0..=1.0).contains(*share)) {
            return fail(format!("appeal, patience or leaving {share} is not in [0, 1]"));
        }
        if ![spread, affinity].iter().all(|number| number.is_finite() && *number >= 0.0) {
            return fail(format!(
                "spread {spread} or affinity {affinity} is not a number from 0 on"
            ));
        }
        let seed = Seed::new(seed).derive("shop");
        let mut stream = seed.derive("tastes").stream(0);
        let of_items = (0..items).map(|_| stream.random_range(0..tastes as u32)).collect();
        let mut stream = seed.derive("qualities").stream(0);
        let quality = |_| (spread * stream.sample::<f64, _>(StandardNormal)).exp();
        let qualities = (0..items).map(quality).collect();
        Ok(Self { config: *config, tastes: of_items, qualities })
    }

    /// The settings.
    pub fn config(&self) -> &ShopConfig {
        &self.config
    }

    /// The probability that a visitor of a taste who looks at an item clicks it.
    pub fn appeal(&self, taste: u32, item: ItemId) -> f64 {
        let of_taste = self.tastes[item.index()] == taste;
        let affinity = if of_taste { self.config.affinity } else { 1.0 };
        (self.config.appeal * self.qualities[item.index()] * affinity).min(MOST)
    }

    /// The mean of [`appeal`](Self::appeal) over all tastes, `[n]`: what a popularity of items goes
    /// by.
    pub fn popularity(&self) -> Vec<f64> {
        let tastes = self.config.tastes as u32;
        let mean = |item| {
            let sum: f64 = (0..tastes).map(|taste| self.appeal(taste, item)).sum();
            sum / f64::from(tastes)
        };
        (0..self.config.items as u32).map(|item| mean(ItemId(item))).collect()
    }

    /// The probability that a visitor of a taste clicks on a slate: what the slate earns.
    pub fn click_probability(&self, taste: u32, slate: &[ItemId]) -> f64 {
        let (mut clicked, mut looking) = (0.0, 1.0);
        for &item in slate {
            let appeal = self.appeal(taste, item);
            clicked += looking * appeal;
            looking *= (1.0 - appeal) * self.config.patience;
        }
        clicked
    }

    fn visitors<'a>(&self, streams: &'a mut [Stream]) -> impl Iterator<Item = u32> + use<'a> {
        let tastes = self.config.tastes as u32;
        streams.iter_mut().map(move |stream| stream.random_range(0..tastes))
    }
}

impl Environment for Shop {
    type State = ShopState;

    fn items(&self) -> usize {
        self.config.items
    }

    fn reset(&self, streams: &mut [Stream]) -> Result<ShopState> {
        Ok(ShopState(self.visitors(streams).collect()))
    }

    fn step(
        &self,
        state: &mut ShopState,
        slates: &Slates,
        streams: &mut [Stream],
        responses: &mut Responses,
    ) -> Result<()> {
        responses.clear();
        for (row, (&taste, stream)) in state.0.iter().zip(streams).enumerate() {
            let mut clicked = None;
            for &item in slates.row(row) {
                if stream.random::<f64>() < self.appeal(taste, item) {
                    clicked = Some(item);
                    break;
                }
                if stream.random::<f64>() >= self.config.patience {
                    break;
                }
            }
            match clicked {
                Some(item) => responses.push(Choice::Item(item), 1.0, false),
                None => {
                    let leaves = stream.random::<f64>() < self.config.leaving;
                    let choice = if leaves { Choice::Leave } else { Choice::Skip };
                    responses.push(choice, 0.0, leaves);
                }
            }
        }
        Ok(())
    }

    fn select(&self, state: &ShopState, rows: &[usize]) -> Result<ShopState> {
        Ok(ShopState(rows.iter().map(|&row| state.0[row]).collect()))
    }

    fn replace(&self, state: &mut ShopState, rows: &[usize], streams: &mut [Stream]) -> Result<()> {
        for (&row, taste) in rows.iter().zip(self.visitors(streams)) {
            state.0[row] = taste;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::policies::UniformRandom;
    use crate::{Blind, Rollout};

    use super::*;

    #[test]
    fn a_slate_is_clicked_as_often_as_its_probability_says() {
        let config = ShopConfig { items: 30, appeal: 0.05, ..ShopConfig::default() };
        let shop = Shop::new(&config).unwrap();
        let slate: Vec<ItemId> = [3, 14, 15, 9, 2, 6].map(ItemId).into();
        let mut streams = Seed::new(1).streams(0..40_000);
        let state = shop.reset(&mut streams).unwrap();
        let (mut slates, mut responses) = (Slates::with_k(6), Responses::default());
        streams.iter().for_each(|_| slates.push(&slate, None));
        shop.step(&mut state.clone(), &slates, &mut streams, &mut responses).unwrap();
        let expected: f64 =
            state.0.iter().map(|&taste| shop.click_probability(taste, &slate)).sum();
        let clicks = responses.reward.iter().map(|&reward| f64::from(reward)).sum::<f64>();
        // Four standard deviations of a sum of 40,000 clicks: a false alarm in 16,000.
        assert!((clicks - expected).abs() < 4.0 * expected.sqrt(), "{clicks}, {expected}");
    }

    #[test]
    fn what_a_slate_earns_is_the_sum_over_its_places() {
        let shop =
            Shop::new(&ShopConfig { items: 20, appeal: 0.1, ..ShopConfig::default() }).unwrap();
        let [a, b] = [ItemId(4), ItemId(7)];
        let (p, q) = (shop.appeal(2, a), shop.appeal(2, b));
        let both = p + 0.8 * (1.0 - p) * q;
        assert!((shop.click_probability(2, &[a, b]) - both).abs() < 1e-12);
    }

    #[test]
    fn visitors_leave_only_where_they_click_nothing() {
        let shop = Shop::new(&ShopConfig::default()).unwrap();
        let uniform = Blind(UniformRandom { items: shop.items() });
        let log = Rollout::new(Seed::new(2), 0..500, 6).run(&shop, &uniform).unwrap();
        for session in log.iter() {
            let last = session.len() - 1;
            let left = session
                .steps()
                .enumerate()
                .all(|(t, step)| (step.choice == Choice::Leave) == (t == last));
            assert!(
                left && session
                    .steps()
                    .all(|step| f32::from(step.choice.item().is_some()) == step.reward)
            );
        }
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        for config in [
            ShopConfig { items: 0, ..ShopConfig::default() },
            ShopConfig { tastes: 0, ..ShopConfig::default() },
            ShopConfig { patience: 1.1, ..ShopConfig::default() },
            ShopConfig { spread: f64::NAN, ..ShopConfig::default() },
        ] {
            assert!(Shop::new(&config).is_err(), "{config:?}");
        }
    }
}
