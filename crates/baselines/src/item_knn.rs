//! The baseline IKNN of GAN-CDQN's experiment A: do items that are clicked in the same sessions
//! predict the next click?

use foretaste_random::Seed;
use foretaste_settings::Setting;
use serde::{Deserialize, Serialize};

use crate::counts::{co_clicks, ranks};
use crate::grid::{Configured, Grid, cross};
use crate::impressions::Impression;
use crate::training::Callback;
use crate::{ClickModel, Data, Impressions, Likelihood, Result};

/// IKNN: item-based nearest neighbors (Sarwar et al. 2001).
///
/// Two items are as similar as the cosine of their vectors of training sessions (§3.1.1): with n_i
/// sessions that clicked item i and n_ij that clicked both, s_ij = n_ij / √((n_i + λ)(n_j + λ)). λ
/// keeps rare items from being similar by chance, as in the item-kNN that Hidasi et al. 2016 (§4)
/// compare with. For clicks without ratings the score of an item is the sum of its similarities to
/// the distinct clicks before, over its k nearest neighbors (Deshpande & Karypis 2004). An item is
/// no neighbor of itself. [`Likelihood::Absent`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemKnnConfig {
    /// k, at least 1.
    pub neighbours: usize,
    /// λ, from 0.
    pub regularisation: f64,
    /// Whether training clicks rank items of equal score, as all items are before a session's first
    /// click. The papers leave such items alike.
    pub popularity_breaks_ties: bool,
}

/// IKNN's settings.
pub(crate) const GRID: Grid<ItemKnnConfig> = Grid {
    points: || {
        cross(&[20, 200], &cross(&[0.0, 20.0], &[false, true]))
            .into_iter()
            .map(|(neighbours, (regularisation, popularity_breaks_ties))| ItemKnnConfig {
                neighbours,
                regularisation,
                popularity_breaks_ties,
            })
            .collect()
    },
    is_coarse: |config| config.popularity_breaks_ties,
};

impl Configured for ItemKnnConfig {
    fn fit(
        &self,
        data: &Data<'_>,
        _seed: Seed,
        _callback: Callback<'_>,
    ) -> Result<Box<dyn ClickModel>> {
        Ok(Box::new(ItemKnn::fit(self, data)?))
    }
}

#[derive(Debug)]
pub(crate) struct ItemKnn {
    /// For each item those of which it is one of the k nearest neighbors, with the similarity.
    neighbour_of: Vec<Vec<(u32, f64)>>,
    /// Sessions that clicked each item, where they break ties.
    popularity: Option<Vec<u32>>,
}

impl ItemKnn {
    pub fn fit(config: &ItemKnnConfig, data: &Data<'_>) -> Result<Self> {
        if config.neighbours == 0
            || !(config.regularisation >= 0.0 && config.regularisation.is_finite())
        {
            let expected = "at least 1 neighbor and a regularization from 0";
            return Err(Setting::of("item kNN", config, expected).into());
        }
        let co_clicks = co_clicks(&data.training(), data.items)?;
        let mut neighbour_of = vec![Vec::new(); data.items];
        for item in 0..data.items as u32 {
            let mut nearest: Vec<(u32, f64)> =
                co_clicks.cosines(item, config.regularisation).collect();
            nearest.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            for &(other, similarity) in nearest.iter().take(config.neighbours) {
                neighbour_of[other as usize].push((item, similarity));
            }
        }
        let popularity = config.popularity_breaks_ties.then_some(co_clicks.sessions);
        Ok(Self { neighbour_of, popularity })
    }
}

impl ClickModel for ItemKnn {
    fn scores(&self, impressions: &Impressions<'_>) -> Result<Vec<Vec<f32>>> {
        impressions.check(self.neighbour_of.len())?;
        // The score of every item, kept up to date from slate to slate.
        let mut sums = vec![0.0; self.neighbour_of.len()];
        let mut previous: Option<&Impression<'_>> = None;
        let mut scores = Vec::with_capacity(impressions.len());
        for impression in impressions.iter() {
            if previous.is_some_and(|previous| previous.session != impression.session) {
                sums.fill(0.0);
                previous = None;
            }
            for click in impressions.new_clicks(previous, impression) {
                for &(item, similarity) in &self.neighbour_of[click.index()] {
                    sums[item as usize] += similarity;
                }
            }
            previous = Some(impression);
            let sums: Vec<f64> = impression.slate.iter().map(|item| sums[item.index()]).collect();
            scores.push(match &self.popularity {
                Some(popularity) => {
                    ranks(&sums, |place| popularity[impression.slate[place].index()])
                }
                None => sums.into_iter().map(|sum| sum as f32).collect(),
            });
        }
        Ok(scores)
    }

    fn likelihood(&self) -> Likelihood {
        Likelihood::Absent
    }
}
