//! The users of the experiments on recommenders: who trains them and who judges them.

use std::sync::Arc;

use anyhow::Context;
use candle_core::Device;
use foretaste_data::{Catalogue, Dataset, Split};
use foretaste_lab::{Scale, Shared, Watch};
use foretaste_random::Seed;
use foretaste_report::DataSet;
use foretaste_sim::policies::UniformRandom;
use foretaste_sim::{ChoiceUsers, ChoiceUsersConfig, ClickReward, Rollout};
use foretaste_user_model::level::{RANDOM_CLICK_RATE, SLATE};
use foretaste_user_model::{
    LearnedUsers, Outside, Pays, StateEncoder, TrainConfig, UserModel, UserModelConfig, fit,
};
use serde::{Deserialize, Serialize};

use crate::Settings;
use crate::assortment::{Assortment, Shoppers};
use crate::learned::{self, interruptible};
use crate::sources::{self, Source, Splitting};

/// Logs and their learned users.
pub struct Worlds {
    /// The logs, in a fixed order.
    pub all: Vec<World>,
    /// What is to be said of the logs that are not there.
    pub missing: Vec<String>,
    users: Shared<(String, u64), Users>,
    assortment: usize,
    device: Device,
}

/// A log, and its users where they are known.
pub struct World {
    /// The log.
    pub source: Source,
    /// The simulated users who made it.
    pub truth: Option<ChoiceUsers>,
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
    /// centred, of mean square 1.
    pub features: Vec<f32>,
}

/// How learned users are made.
#[derive(Clone, Serialize, Deserialize)]
pub struct UsersConfig {
    device: String,
    model: UserModelConfig,
    training: TrainConfig,
    /// What may be recommended: so many items, the most often shown to the training users.
    items: usize,
    /// Where no display of the log is without a click, which leaves the level of the rewards open:
    /// the rewards are moved by a constant, so that users without clicks click so many of the
    /// slates of [`SLATE`] random items ([`UserModel::set_level`]).
    random_click_rate: Option<f64>,
}

/// The log of simulated users, which is not the bundled one: those always click, which makes every
/// click rate 1.
const SIMULATED: &str = "choice-users";
const SIMULATED_ITEMS: usize = 60;
const SIMULATED_SESSIONS: u64 = 900;
/// The log whose users take longest to fit.
const LONG: &str = "ml-latest";
/// Fitted users in memory, some 50 MB a piece where catalogues are large.
const KEPT: usize = 32;

impl Worlds {
    /// The logs of the data folder, if one is given, and that of simulated users.
    pub fn read(settings: &Settings) -> anyhow::Result<Self> {
        let (mut sources, mut missing) = match settings.data_dir {
            Some(_) => sources::read(settings)?,
            None => Default::default(),
        };
        if settings.scale != Scale::Paper {
            let left = sources.extract_if(.., |source| source.dataset.name == LONG);
            missing
                .extend(left.map(|_| format!("NOT RUN below scale paper, for its time: {LONG}.")));
        }
        let mut all: Vec<World> =
            sources.into_iter().map(|source| World { source, truth: None }).collect();
        all.push(simulated()?);
        Ok(Self {
            all,
            missing,
            users: Shared::new(KEPT),
            assortment: assortment(settings.scale),
            device: settings.device.open()?,
        })
    }

    /// The world of this name.
    pub fn named(&self, name: &str) -> anyhow::Result<&World> {
        self.all
            .iter()
            .find(|world| world.source.dataset.name == name)
            .context("a data set of this run")
    }

    /// The learned users of one seed's split. The validation users say when to stop in both fits.
    pub fn users(
        &self,
        world: &World,
        config: &UsersConfig,
        seed: u64,
        watch: &Watch,
    ) -> anyhow::Result<Arc<Users>> {
        let make = || {
            let seed = Seed::new(seed);
            let split = world.source.split(Splitting::BySeed, seed)?;
            let test = Split { train: split.test.clone(), test: Vec::new(), ..split.clone() };
            let fit = |split, name| self.fit(&world.source, config, split, seed, name, watch);
            let Dataset { log, catalogue, .. } = &world.source.dataset;
            let assortment =
                Assortment::most_shown(log, &split.train, catalogue.len(), config.items);
            let (training, evaluation) =
                (fit(&split, "training users")?, fit(&test, "evaluation users")?);
            let features = standardised(
                assortment.rows(&training.item_vectors()?, config.features()),
                config.features(),
            );
            Ok(Users {
                training: assortment.shoppers(planned_in(training)?),
                evaluation: assortment.shoppers(planned_in(evaluation)?),
                assortment,
                features,
            })
        };
        self.users.get((world.source.dataset.name.clone(), seed), make)
    }

    fn fit(
        &self,
        source: &Source,
        UsersConfig { model, training, random_click_rate, .. }: &UsersConfig,
        split: &Split,
        seed: Seed,
        name: &str,
        watch: &Watch,
    ) -> anyhow::Result<UserModel> {
        let (dataset, seed) = (&source.dataset, seed.derive(name));
        let mut model = UserModel::new(model.clone(), &dataset.catalogue, seed, &self.device)?;
        let told = learned::told(watch, training.iterations, name, "nll");
        interruptible(fit(
            &mut model,
            &dataset.log,
            split,
            training,
            seed.derive("training"),
            told,
        ))?;
        if let Some(rate) = random_click_rate {
            model.set_level(*rate)?;
        }
        Ok(model)
    }

    /// The logs as data sets of a report.
    pub fn data_sets(&self) -> Vec<DataSet> {
        self.all.iter().map(|world| world.source.data_set()).collect()
    }

    /// What is to be said of the logs.
    pub fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> =
            self.all.iter().map(|world| world.source.note()).chain(self.missing.clone()).collect();
        notes.push(format!(
            "Learned users are GAN-PW under Shannon's entropy. Recommenders are trained in a model of the training users and judged in one of the \
             test users (50 / 25 / 25, drawn anew for every seed); the validation users say when to stop in both fits. {SIMULATED}: \
             {SIMULATED_SESSIONS} sessions of users whose reward is known, with slates of 5 of {SIMULATED_ITEMS} items at random."
        ));
        notes.push(format!(
            "Where no display of a log is without a click, the level of r_θ is not identified, and click rates as fitted are near 1. Rewards \
             are then moved by a constant, in both models, so that users without clicks click {:.0}% of the slates of {SLATE} random items: \
             an ordinary item is then worth as much as none.",
            100.0 * RANDOM_CLICK_RATE
        ));
        if self.assortment < usize::MAX {
            notes.push(format!(
                "All policies choose among the {} items that were shown most often to the \
                 training users.",
                self.assortment
            ));
        }
        notes
    }
}

impl World {
    /// How its learned users are made.
    pub fn users(&self, settings: &Settings) -> UsersConfig {
        let log = &self.source.dataset.log;
        let always =
            log.iter().all(|session| session.steps().all(|step| step.choice.item().is_some()));
        let items = self.source.dataset.catalogue.len();
        UsersConfig {
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
            training: learned::training(&self.source, settings.scale),
            items: items.min(assortment(settings.scale)),
            random_click_rate: always.then_some(RANDOM_CLICK_RATE),
        }
    }
}

/// How many items may be recommended: at the papers' scale all of them.
fn assortment(scale: Scale) -> usize {
    if scale == Scale::Paper { usize::MAX } else { 200 }
}

impl UsersConfig {
    /// How many items may be recommended.
    pub fn items(&self) -> usize {
        self.items
    }

    /// d: how much the model knows of an item.
    pub fn features(&self) -> usize {
        self.model.head[0]
    }
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

/// Users who like, tire and leave, small enough for their optimum to be computed.
fn simulated() -> anyhow::Result<World> {
    let users = ChoiceUsers::new(&ChoiceUsersConfig {
        items: SIMULATED_ITEMS,
        position_weights: vec![1.0, 0.7],
        click_reward: ClickReward::Utility,
        seed: 1,
        ..ChoiceUsersConfig::default()
    })?;
    let seed = Seed::new(1).derive("log of choice users");
    let rollout = Rollout { max_steps: 10, ..Rollout::new(seed, 0..SIMULATED_SESSIONS, 5) };
    let log = rollout.run(&users, &UniformRandom { items: SIMULATED_ITEMS })?;
    let catalogue = Catalogue::numbered(SIMULATED_ITEMS);
    let dataset = Dataset { name: SIMULATED.into(), log, catalogue, ..Dataset::default() };
    Ok(World { source: Source::simulated(dataset), truth: Some(users) })
}

/// GAN-CDQN's users: they pay r_θ, and leave on steps without a click alone.
fn planned_in(model: UserModel) -> anyhow::Result<LearnedUsers> {
    Ok(LearnedUsers::paying(model, Pays::Utility)?.leaving_by_choice_alone())
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
