//! The settings that are tried, of which the validation sessions choose.

use std::fmt;

use clap::error::ErrorKind;
use foretaste_data::{Dataset, Split};
use foretaste_nn::AdamConfig;
use foretaste_recommender::TrainingLog;
use foretaste_user_model::behaviour::{BehaviourConfig, BehaviourTraining};
use foretaste_user_model::{
    Context, ItemFeatures, Outside, StateEncoder, TrainConfig, UserModelConfig,
};
use serde::{Deserialize, Serialize};

/// How users are modeled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// GAN-CDQN's users, with a memory of clicks as position weights.
    #[default]
    Pw,
    /// GAN-CDQN's users, with a memory of clicks as the state of an LSTM.
    Lstm,
    /// IRecGAN's users, who leave when they click nothing.
    Irecgan,
}

/// What was asked for.
pub struct Asked {
    pub kind: Kind,
    /// Whether items may be known by more than their identity.
    pub features: bool,
    /// Whether the place on the slate is among what is known of an item.
    pub place: bool,
    pub epochs: Option<u64>,
}

/// A point of the grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settings {
    /// GAN-CDQN's.
    Gan { model: Box<UserModelConfig>, training: TrainConfig },
    /// IRecGAN's.
    Behaviour { model: BehaviourConfig, training: BehaviourTraining, epochs: u64, patience: u64 },
}

/// The learning rates that are tried: the published one and four times it.
const LEARNING_RATES: [f64; 2] = [5e-4, 2e-3];

impl Kind {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pw => "GAN-PW",
            Self::Lstm => "GAN-LSTM",
            Self::Irecgan => "IRecGAN's U",
        }
    }

    /// Whether they can know items by more than their identity.
    pub fn takes_features(self) -> bool {
        self != Self::Irecgan
    }

    /// Refuses options that make no difference.
    pub fn check(self, no_features: bool, no_place: bool) {
        let given = [("--no-features", no_features), ("--no-place", no_place)];
        let problem = match given.into_iter().find(|(_, given)| *given) {
            Some((name, _)) if !self.takes_features() => {
                format!("{name} has no effect with --model irecgan; leave it out")
            }
            _ if no_features && no_place => {
                "--no-place has no effect with --no-features; leave it out".to_owned()
            }
            _ => return,
        };
        clap::Command::new("foretaste fit").error(ErrorKind::ArgumentConflict, problem).exit();
    }
}

impl Asked {
    /// What is tried for a log that is split so: learning rates, with context features and without,
    /// and with the features of the items where the catalogue has them.
    pub fn grid(&self, dataset: &Dataset, split: &Split) -> Vec<Settings> {
        let (log, items) = (&dataset.log, dataset.catalogue.len());
        let state = match self.kind {
            Kind::Pw => StateEncoder::position_weights(),
            Kind::Lstm => StateEncoder::lstm(),
            Kind::Irecgan => {
                return LEARNING_RATES.map(|rate| self.behaviour(dataset, split, rate)).into();
            }
        };
        let counts = self.features.then_some(Some(Context::Counts { place: self.place }));
        let given = self.features && dataset.catalogue.features().is_some();
        let given = given.then_some(ItemFeatures::Given);
        let outside = Outside::observed_in(log, &split.train);
        let mut grid = Vec::new();
        for context in counts.into_iter().chain([None]) {
            for features in [ItemFeatures::OneHot].into_iter().chain(given) {
                for rate in LEARNING_RATES {
                    let published = UserModelConfig::new(items);
                    let state = state.clone();
                    let model = UserModelConfig { features, context, state, outside, ..published };
                    let training = TrainConfig::for_sessions(log, &split.train, rate, self.epochs);
                    grid.push(Settings::Gan { model: Box::new(model), training });
                }
            }
        }
        grid
    }

    fn behaviour(&self, dataset: &Dataset, split: &Split, learning_rate: f64) -> Settings {
        let published = BehaviourTraining::default();
        let updates = split.train.len().div_ceil(published.batch) as u64;
        let epochs = self.epochs.unwrap_or_else(|| TrainConfig::usual_epochs(updates));
        let optimiser = AdamConfig { learning_rate, ..published.optimiser };
        let training = BehaviourTraining { optimiser, ..published };
        // What is learned must fit the rewards of the sessions that choose, too.
        let learned = [&split.train[..], &split.validation].concat();
        let log = TrainingLog { dataset, sessions: &learned, users: None };
        let model = BehaviourConfig {
            rewards: log.rewards(),
            reward_unit: log.unit_of_rewards(),
            ..BehaviourConfig::small(dataset.catalogue.len())
        };
        Settings::Behaviour { model, training, epochs, patience: TrainConfig::USUAL_PATIENCE }
    }
}

impl Settings {
    /// Those of a model of another form of the same users, for all sessions of `learned`.
    pub fn other_form(&self, dataset: &Dataset, learned: &[usize]) -> Self {
        let (log, catalogue) = (&dataset.log, &dataset.catalogue);
        let outside = Outside::observed_in(log, learned);
        let model = match self {
            Self::Gan { model, .. } => UserModelConfig { outside, ..(**model).clone() },
            // Theirs is an LSTM, too.
            Self::Behaviour { .. } => {
                UserModelConfig { outside, ..UserModelConfig::new(catalogue.len()) }
            }
        };
        let model = Box::new(model.other_form(catalogue.features().is_some()));
        let [_, rate] = LEARNING_RATES;
        Self::Gan { model, training: TrainConfig::for_sessions(log, learned, rate, None) }
    }

    /// Iterations at most: updates, or epochs.
    pub fn iterations(&self) -> u64 {
        match self {
            Self::Gan { training, .. } => training.iterations,
            Self::Behaviour { epochs, .. } => *epochs,
        }
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Behaviour { training, .. } => {
                write!(f, "learning rate {}", training.optimiser.learning_rate)
            }
            Self::Gan { model, training } => {
                let context = match model.context {
                    Some(Context::Counts { place: true }) => "with context features and the place",
                    Some(Context::Counts { place: false }) => "with context features",
                    None => "without context features",
                };
                let given = match model.features {
                    ItemFeatures::Given => ", items by the catalogue's features",
                    _ => "",
                };
                write!(f, "learning rate {}, {context}{given}", training.optimiser.learning_rate)
            }
        }
    }
}
