//! Learned users: how they are made, and those that were made.

use std::sync::Arc;

use candle_core::Device;
use foretaste_data::{Choice, Dataset, ItemId, LogBuilder, Split, Step};
use foretaste_eval::choice::ChoiceModel;
use foretaste_eval::metrics;
use foretaste_lab::{Scale, Shared, Watch};
use foretaste_random::Seed;
use foretaste_user_model::level::RANDOM_CLICK_RATE;
use foretaste_user_model::{
    LearnedUsers, Outside, Pays, StateEncoder, TrainConfig, UserModel, UserModelConfig, fit,
};
use serde::{Deserialize, Serialize};

use crate::Settings;
use crate::assortment::{Assortment, Shoppers};
use crate::learned::{self, interruptible};
use crate::sources::{Source, Splitting};

/// How learned users are made.
#[derive(Clone, Serialize, Deserialize)]
pub struct UsersConfig {
    device: String,
    model: UserModelConfig,
    training: TrainConfig,
    /// What may be recommended: so many items, the most often shown to the training users.
    items: usize,
    /// Where every slate of the log has a click, which leaves the level of the rewards open:
    /// the rewards are moved by a constant, so that users without clicks click so many of the
    /// slates of [`SLATE`](foretaste_user_model::level::SLATE) random items
    /// ([`UserModel::set_level`]).
    random_click_rate: Option<f64>,
}

/// Learned users who are shown what may be recommended.
pub type Simulator = Shoppers<LearnedUsers>;

/// The learned users of one split.
pub struct Users {
    /// What may be recommended.
    pub assortment: Assortment,
    /// Those that recommenders are trained in, fitted on the training users.
    pub training: Simulator,
    /// Those that judge them, fitted on the test users.
    pub evaluation: Simulator,
    /// What the training users' model knows of each item that may be recommended, `[items, d]`:
    /// centered, of mean square 1.
    pub features: Vec<f32>,
    /// How far both models order the items alike: Spearman's correlation of their rewards, before
    /// any click and after one, mean over clicks.
    pub transfer: f64,
}

/// The users who were learned in this run, by log and seed.
pub struct FittedUsers {
    kept: Shared<(String, u64), Users>,
    device: Device,
}

/// Fitted users in memory, some 50 MB a piece where catalogues are large.
const KEPT: usize = 32;

impl UsersConfig {
    /// Those of a log.
    pub fn new(source: &Source, settings: &Settings) -> Self {
        let Dataset { log, catalogue, .. } = &source.dataset;
        let always =
            log.iter().all(|session| session.steps().all(|step| step.choice.item().is_some()));
        let items = catalogue.len();
        Self {
            device: settings.device.to_string(),
            model: UserModelConfig {
                state: StateEncoder::position_weights(),
                // "Nothing" stands on every slate in GAN-CDQN; where the log never shows it, the
                // level rule says how often it is chosen.
                outside: match Outside::observed(log) {
                    Outside::Absent => Outside::Nothing { leaving: 0.0 },
                    outside => outside,
                },
                ..UserModelConfig::new(items)
            },
            training: learned::training(source, settings.scale),
            items: most_items(settings.scale).map_or(items, |most| items.min(most)),
            random_click_rate: always.then_some(RANDOM_CLICK_RATE),
        }
    }

    /// How many items may be recommended.
    pub fn items(&self) -> usize {
        self.items
    }

    /// d: how much the model knows of an item.
    pub fn features(&self) -> usize {
        self.model.head[0]
    }
}

/// The most items that may be recommended; at the papers' scale all of them may.
pub fn most_items(scale: Scale) -> Option<usize> {
    (scale != Scale::Paper).then_some(200)
}

impl FittedUsers {
    /// No users yet.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        Ok(Self { kept: Shared::new(KEPT), device: settings.device.open()? })
    }

    /// The learned users of one seed's split of a log.
    pub fn get(
        &self,
        source: &Source,
        config: &UsersConfig,
        seed: u64,
        watch: &Watch,
    ) -> anyhow::Result<Arc<Users>> {
        let (device, name) = (&self.device, source.dataset.name.clone());
        let fitting = Fitting { source, config, device, seed: Seed::new(seed), watch };
        self.kept.get((name, seed), || fitting.users())
    }
}

/// What the fits of one split have in common.
struct Fitting<'a> {
    source: &'a Source,
    config: &'a UsersConfig,
    device: &'a Device,
    seed: Seed,
    watch: &'a Watch,
}

impl Fitting<'_> {
    /// Both kinds of users. The validation users say when to stop in both fits.
    fn users(&self) -> anyhow::Result<Users> {
        let Dataset { log, catalogue, .. } = &self.source.dataset;
        let split = self.source.split(Splitting::BySeed, self.seed)?;
        let test = Split { train: split.test.clone(), test: Vec::new(), ..split.clone() };
        let training = self.fit(&split, "training users")?;
        let evaluation = self.fit(&test, "evaluation users")?;

        let width = self.config.features();
        let assortment =
            Assortment::most_shown(log, &split.train, catalogue.len(), self.config.items);
        let features = standardised(assortment.rows(&training.item_vectors()?, width), width);
        let transfer = transfer(&training, &evaluation, &assortment)?;
        Ok(Users {
            training: assortment.shoppers(planned_in(training)?),
            evaluation: assortment.shoppers(planned_in(evaluation)?),
            assortment,
            features,
            transfer,
        })
    }

    /// A model of the training users of this split.
    fn fit(&self, split: &Split, name: &str) -> anyhow::Result<UserModel> {
        let UsersConfig { model, training, random_click_rate, .. } = self.config;
        let (dataset, seed) = (&self.source.dataset, self.seed.derive(name));
        let mut model = UserModel::new(model.clone(), &dataset.catalogue, seed, self.device)?;
        let callback = learned::callback(self.watch, training.iterations, name, "nll");
        let seed = seed.derive("training");
        interruptible(fit(&mut model, &dataset.log, split, training, seed, callback))?;
        if let Some(rate) = random_click_rate {
            model.set_level(*rate)?;
        }
        Ok(model)
    }
}

/// Clicks after which two models are compared.
const CLICKS: usize = 20;

/// [`Users::transfer`].
fn transfer(a: &UserModel, b: &UserModel, assortment: &Assortment) -> anyhow::Result<f64> {
    let all: Vec<ItemId> = (0..assortment.len() as u32).map(ItemId).collect();
    let clicks = all.iter().step_by(all.len().div_ceil(CLICKS).max(1));
    let mut log = LogBuilder::default();
    for click in [None].into_iter().chain(clicks.map(Some)) {
        if let Some(&click) = click {
            log.push(Step::new(&[click], Choice::Item(click), 0.0))?;
        }
        log.push(Step::new(&all, Choice::Skip, 0.0))?;
        log.end_session(None)?;
    }
    let log = assortment.log(&log.build())?;
    let sessions: Vec<usize> = (0..log.sessions()).collect();
    let rewards = |model: &UserModel| -> anyhow::Result<Vec<Vec<f64>>> {
        let predicted = model.predict(&log, &sessions)?.into_iter();
        let of_all = predicted.filter(|slate| slate.scores.len() == all.len());
        Ok(of_all.map(|slate| slate.scores.into_iter().map(f64::from).collect()).collect())
    };
    let (a, b) = (rewards(a)?, rewards(b)?);
    let correlations = a.iter().zip(&b).map(|(a, b)| Ok(metrics::rank_correlation(a, b)?));
    let correlations = correlations.collect::<anyhow::Result<Vec<f64>>>()?;
    Ok(correlations.iter().sum::<f64>() / correlations.len() as f64)
}

/// GAN-CDQN's users: they pay r_θ, and leave on steps without a click alone.
pub fn planned_in(model: UserModel) -> anyhow::Result<LearnedUsers> {
    Ok(LearnedUsers::paying(model, Pays::Utility)?.leaving_by_choice_alone())
}

/// Each column less its mean, and all of them in units of their root mean square.
fn standardised(mut table: Vec<f32>, width: usize) -> Vec<f32> {
    let rows = (table.len() / width) as f32;
    for column in 0..width {
        let mean = table.iter().skip(column).step_by(width).sum::<f32>() / rows;
        table.iter_mut().skip(column).step_by(width).for_each(|entry| *entry -= mean);
    }
    let square = table.iter().map(|entry| entry * entry).sum::<f32>() / table.len() as f32;
    let unit = square.sqrt().max(f32::MIN_POSITIVE);
    table.iter_mut().for_each(|entry| *entry /= unit);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_centred_and_of_mean_square_1() {
        let table = standardised(vec![1.0, 10.0, 3.0, 10.0, 5.0, 10.0], 2);
        let unit = (8.0f32 / 6.0).sqrt();
        assert_eq!(table, [-2.0 / unit, 0.0, 0.0, 0.0, 2.0 / unit, 0.0]);
    }
}
