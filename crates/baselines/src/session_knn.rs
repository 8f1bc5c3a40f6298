//! The baseline SCKNNC of GAN-CDQN's experiment A: do past sessions with the same clicks predict
//! the next click?

use foretaste_data::ItemId;
use foretaste_random::Seed;
use foretaste_settings::Setting;
use foretaste_train::counts::distinct;
use serde::{Deserialize, Serialize};

use crate::counts::ranks;
use crate::grid::{Configured, Grid, cross};
use crate::impressions::Impression;
use crate::training::Callback;
use crate::{ClickModel, Data, Impressions, Likelihood, Result};

/// SCKNNC: session-based nearest neighbors on the cosine (Jannach & Ludewig 2017, "When recurrent
/// neural networks meet the neighborhood").
///
/// A training session n is as similar to the clicks S before a slate as the cosine of the two
/// sets of items,
/// |S ∩ n| / √(|S| |n|). The score of an item is the sum of the similarities of those of the k nearest sessions that
/// clicked it; of sessions that tie for the last place the earlier in the log is taken, and
/// sessions without a common item are no neighbors. [`Likelihood::Absent`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionKnnConfig {
    /// k, at least 1.
    pub neighbours: usize,
    /// Whether training clicks rank items of equal score, as all items are before a session's first
    /// click. The paper leaves such items alike.
    pub popularity_breaks_ties: bool,
}

/// SCKNNC's settings.
pub(crate) const GRID: Grid<SessionKnnConfig> = Grid {
    points: || {
        cross(&[10, 50, 100, 500], &[false, true])
            .into_iter()
            .map(|(neighbours, popularity_breaks_ties)| SessionKnnConfig {
                neighbours,
                popularity_breaks_ties,
            })
            .collect()
    },
    is_coarse: |config| config.popularity_breaks_ties,
};

impl Configured for SessionKnnConfig {
    fn fit(
        &self,
        data: &Data<'_>,
        _seed: Seed,
        _callback: Callback<'_>,
    ) -> Result<Box<dyn ClickModel>> {
        Ok(Box::new(SessionKnn::fit(self, data)?))
    }
}

#[derive(Debug)]
pub(crate) struct SessionKnn {
    config: SessionKnnConfig,
    /// The items clicked in each training session, each once, rising.
    of_session: Vec<Vec<u32>>,
    /// The training sessions in which each item was clicked, rising.
    of_item: Vec<Vec<u32>>,
}

impl SessionKnn {
    pub fn fit(config: &SessionKnnConfig, data: &Data<'_>) -> Result<Self> {
        if config.neighbours == 0 {
            return Err(Setting::new("session kNN", "0 neighbors, expected at least 1").into());
        }
        let training = data.training();
        training.check(data.items)?;
        let clicks = training.clicks().iter();
        let of_session: Vec<_> = clicks.map(|clicks| distinct(clicks)).collect();
        let mut of_item = vec![Vec::new(); data.items];
        for (session, clicked) in of_session.iter().enumerate() {
            clicked.iter().for_each(|&item| of_item[item as usize].push(session as u32));
        }
        Ok(Self { config: config.clone(), of_session, of_item })
    }

    /// The similarity of every training session, 0 where it is no neighbor.
    fn neighbours(&self, common: &[u32], clicked: usize) -> Vec<f64> {
        let size = |session: usize| self.of_session[session].len();
        let similarity = |(session, &common): (usize, &u32)| {
            (common > 0)
                .then(|| (f64::from(common) / ((clicked * size(session)) as f64).sqrt(), session))
        };
        let mut nearest: Vec<(f64, usize)> =
            common.iter().enumerate().filter_map(similarity).collect();
        let k = self.config.neighbours;
        if k < nearest.len() {
            nearest.select_nth_unstable_by(k - 1, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            nearest.truncate(k);
        }
        let mut similarities = vec![0.0; common.len()];
        for (similarity, session) in nearest {
            similarities[session] = similarity;
        }
        similarities
    }

    fn score(&self, impression: &Impression<'_>, similarities: &[f64]) -> Vec<f32> {
        let of_item = &self.of_item;
        let score = |item: &ItemId| {
            of_item[item.index()].iter().map(|&session| similarities[session as usize]).sum()
        };
        let scores: Vec<f64> = impression.slate.iter().map(score).collect();
        if self.config.popularity_breaks_ties {
            return ranks(&scores, |place| of_item[impression.slate[place].index()].len() as u32);
        }
        scores.into_iter().map(|score| score as f32).collect()
    }
}

impl ClickModel for SessionKnn {
    fn scores(&self, impressions: &Impressions<'_>) -> Result<Vec<Vec<f32>>> {
        impressions.check(self.of_item.len())?;
        // Items in common with each training session, kept up to date from slate to slate.
        let (mut common, mut distinct) = (vec![0; self.of_session.len()], 0);
        let mut previous: Option<&Impression<'_>> = None;
        let mut scores = Vec::with_capacity(impressions.len());
        for impression in impressions.iter() {
            if previous.is_some_and(|previous| previous.session != impression.session) {
                common.fill(0);
                (previous, distinct) = (None, 0);
            }
            for click in impressions.new_clicks(previous, impression) {
                distinct += 1;
                for &session in &self.of_item[click.index()] {
                    common[session as usize] += 1;
                }
            }
            previous = Some(impression);
            scores.push(self.score(impression, &self.neighbours(&common, distinct)));
        }
        Ok(scores)
    }

    fn likelihood(&self) -> Likelihood {
        Likelihood::Absent
    }
}
