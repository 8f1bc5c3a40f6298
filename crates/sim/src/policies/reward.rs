//! The logging policies π_max and π_mix of IRecGAN §7.1, which know the true reward in the user's
//! present state and are therefore privileged.

use foretaste_data::ItemId;
use foretaste_random::Stream;
use foretaste_settings::Setting;
use rand::Rng;

use super::{check_k, subsets, top_k};
use crate::draw::Subsets;
use crate::memory::without_memory;
use crate::{Mdp, MdpState, Privileged, Result, Slates};

/// π_max (IRecGAN §7.1): the k items of the highest true reward in the user's present state, best
/// first. Deterministic given the state: propensity 1.
#[derive(Clone, Debug)]
pub struct MaxReward {
    ranking: Vec<Vec<ItemId>>,
}

impl MaxReward {
    /// For the users of `mdp`, whose states it sees.
    pub fn new(mdp: &Mdp) -> Self {
        Self {
            ranking: (0..mdp.states())
                .map(|state| top_k(mdp.rewards(state), mdp.items()))
                .collect(),
        }
    }

    /// The probability that it shows these items, in any order, to a user in `state`.
    pub fn slate_probability(&self, state: usize, slate: &[ItemId]) -> f64 {
        within(slate, &self.ranking[state][..slate.len()])
    }
}

impl Privileged<Mdp> for MaxReward {
    type Memory = ();

    fn recommend(
        &self,
        _memory: &(),
        state: &MdpState,
        k: usize,
        _streams: &mut [Stream],
        slates: &mut Slates,
    ) -> Result<()> {
        slates.clear(k);
        for &state in &state.0 {
            let ranking = &self.ranking[state as usize];
            check_k(k, ranking.len())?;
            slates.push_certain(&ranking[..k]);
        }
        Ok(())
    }

    without_memory!();
}

/// π_mix (IRecGAN §7.1): at every step a fair coin decides between the k items of the highest true
/// reward in the user's present state and k items drawn uniformly, without replacement, from the
/// ranks n/5 to n/2 (the "top 20%-50%").
///
/// The paper's sentence ("randomly selects k items with either ... or ...") also admits a coin per
/// place; one coin per slate is what the authors' program tosses.
#[derive(Clone, Debug)]
pub struct MixReward {
    best: MaxReward,
}

impl MixReward {
    /// For the users of `mdp`, whose states it sees.
    pub fn new(mdp: &Mdp) -> Self {
        Self { best: MaxReward::new(mdp) }
    }

    /// The probability that it shows these items, in any order, to a user in `state`.
    pub fn slate_probability(&self, state: usize, slate: &[ItemId]) -> f64 {
        let ranking = &self.best.ranking[state];
        let (first, last) = band(ranking.len());
        f64::midpoint(
            self.best.slate_probability(state, slate),
            within(slate, &ranking[first..last]),
        )
    }
}

impl Privileged<Mdp> for MixReward {
    type Memory = ();

    fn recommend(
        &self,
        _memory: &(),
        state: &MdpState,
        k: usize,
        streams: &mut [Stream],
        slates: &mut Slates,
    ) -> Result<()> {
        let items = self.best.ranking.first().map_or(0, Vec::len);
        check_k(k, items)?;
        let (first, last) = band(items);
        if k > last - first {
            let problem =
                format!("{k} is more than the {} items ranked {first} to {last}", last - first);
            return Err(Setting::new("k", problem).into());
        }
        slates.clear(k);
        let mut subsets = Subsets::new(last - first, k);
        let (mut slate, mut propensity) = (vec![ItemId(0); k], vec![0.0; k]);
        for (&state, stream) in state.0.iter().zip(streams) {
            let ranking = &self.best.ranking[state as usize];
            if stream.random_bool(0.5) {
                slate.copy_from_slice(&ranking[..k]);
            } else {
                subsets.draw(stream, &mut slate);
                slate.iter_mut().for_each(|rank| *rank = ranking[first + rank.index()]);
            }
            place_propensities(&slate, &ranking[..k], &ranking[first..last], &mut propensity);
            slates.push(&slate, Some(&propensity));
        }
        Ok(())
    }

    without_memory!();
}

/// The ranks of the "top 20%-50%".
fn band(items: usize) -> (usize, usize) {
    (items / 5, items / 2)
}

/// The probability of a slate, as a set, that is drawn uniformly from some items.
fn within(slate: &[ItemId], items: &[ItemId]) -> f64 {
    match slate.iter().all(|item| items.contains(item)) {
        true => 1.0 / subsets(items.len(), slate.len()),
        false => 0.0,
    }
}

/// P(place | places before), with the coin summed out: the ranges overlap where k > n/5.
fn place_propensities(slate: &[ItemId], best: &[ItemId], band: &[ItemId], propensity: &mut [f32]) {
    let (mut by_best, mut by_band) = (0.5, 0.5);
    for (place, item) in slate.iter().enumerate() {
        let before: f64 = by_best + by_band;
        by_best *= f64::from(u8::from(best[place] == *item));
        by_band *= f64::from(u8::from(band.contains(item))) / (band.len() - place) as f64;
        propensity[place] = ((by_best + by_band) / before) as f32;
    }
}
