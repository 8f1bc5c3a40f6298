//! The settings of user models and of their fits, with the values of GAN-CDQN's released code.
//! Those of a model are saved with it, and their ranges are checked here before anything is built.

use foretaste_data::{Choice, Log, RecentClicks};
use foretaste_nn::{Activation, AdamConfig};
use foretaste_settings::Setting;
use serde::{Deserialize, Serialize};

use crate::{Endings, Regulariser, Result, RewardHead};

/// Everything that fixes a [`UserModel`](crate::UserModel) but its parameters.
///
/// The defaults are those of GAN-CDQN's released code: one-hot item features, LSTM state of width
/// 20, head 64-64 with ELU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserModelConfig {
    /// Number of items in the catalogue.
    pub items: usize,
    /// The item features f_a.
    pub features: ItemFeatures,
    /// Numbers of the clicks before and a shown item that r_θ takes in addition to f_a.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Context>,
    /// The state encoder h.
    pub state: StateEncoder,
    /// Widths of the hidden layers of the reward network r_θ.
    pub head: Vec<usize>,
    /// σ between the layers of the reward network.
    pub activation: Activation,
    /// η: how sharply users prefer the larger reward.
    pub eta: f64,
    /// R: how users come from rewards to choices. Left out where it is Shannon's.
    #[serde(default, skip_serializing_if = "Regulariser::is_default")]
    pub regulariser: Regulariser,
    /// Whether users may choose nothing, and what they do then.
    pub outside: Outside,
    /// What the log shows of its users in addition to their choices. Nothing in a model that was
    /// not fitted: [`fit`](crate::fit) counts it in the training sessions,
    /// [`UserModel::learn_outcomes`](crate::UserModel::learn_outcomes) in any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcomes: Option<Outcomes>,
}

/// What a log shows of its users in addition to their choices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcomes {
    /// What a step pays, in the log's unit.
    pub rewards: RewardHead,
    /// After which steps sessions end.
    pub endings: Endings,
}

/// The item features f_a ∈ R^d.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemFeatures {
    /// The item's indicator vector: d is the number of items. Multiplied by looking up rows, never
    /// built.
    OneHot,
    /// A learned embedding.
    Learned {
        /// d.
        dim: usize,
    },
    /// The features of the catalogue, as they are.
    Given,
}

/// Numbers of the clicks before and a shown item that r_θ takes in addition to the item's features;
/// they are ours, not the paper's, whose baselines had them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Context {
    /// Those that the training sessions' counts give:
    /// [`CountContext`](foretaste_train::CountContext).
    Counts {
        /// Whether the item's place on the slate is one of them. Where slates were put together
        /// afterwards, their order may give the click away.
        place: bool,
    },
}

/// The state encoder s = h(f of the clicked items), GAN-CDQN §"Model Parameterization".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateEncoder {
    /// s = vec[σ(Fᵀ W + B)] over the last `history` clicked items, W `[history, columns]`, B
    /// `[d, columns]`.
    PositionWeights {
        /// m: how many clicks back the state looks.
        history: usize,
        /// n: how many weightings of the history stand side by side.
        columns: usize,
        /// Initial value of every entry of W.
        initial: f64,
        /// σ.
        activation: Activation,
        /// Whether B is learned; without it, and with the identity for σ, this is what the released
        /// code computes.
        bias: bool,
    },
    /// The output of an LSTM after the last click; zeros before the first. Training takes time and
    /// memory in proportion to a session's clicks.
    Lstm {
        /// Width of the state.
        hidden: usize,
        /// Number of stacked layers.
        layers: usize,
    },
}

/// The option that every slate has in addition to its items, with reward 0: choosing nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outside {
    /// There is no such option: a user chooses one of the items.
    Absent,
    /// The user chooses nothing, and leaves or stays for another slate.
    Nothing {
        /// Probability that a user who chose nothing leaves.
        leaving: f64,
    },
}

impl Outside {
    /// Choosing nothing as `log` shows it: absent if every step has a click; else the share of the
    /// steps without one on which the user left. That is 0 in a log that never saw a user leave;
    /// how its sessions end is then for [`Endings`] to say.
    pub fn observed(log: &Log) -> Self {
        let (mut skipped, mut left) = (0u64, 0u64);
        for step in log.iter().flat_map(|session| session.steps()) {
            match step.choice {
                Choice::Item(_) => {}
                Choice::Skip => skipped += 1,
                Choice::Leave => left += 1,
            }
        }
        match skipped + left {
            0 => Self::Absent,
            nothing => Self::Nothing { leaving: left as f64 / nothing as f64 },
        }
    }
}

impl Outside {
    /// As [`observed`](Self::observed) in these sessions of a log; it is an option wherever the log
    /// has it.
    pub fn observed_in(log: &Log, sessions: &[usize]) -> Self {
        match (Self::observed(log), Self::observed(&log.select(sessions))) {
            (Self::Absent, _) => Self::Absent,
            (_, Self::Absent) => Self::Nothing { leaving: 0.0 },
            (_, observed) => observed,
        }
    }
}

impl StateEncoder {
    /// The position weights of the paper (σ = ELU, B learned) at the released sizes: m = 20, n = 4,
    /// W starting at 1e-4.
    pub fn position_weights() -> Self {
        Self::PositionWeights {
            history: 20,
            columns: 4,
            initial: 1e-4,
            activation: Activation::Elu,
            bias: true,
        }
    }

    /// The LSTM of the released code: one layer of width 20.
    pub fn lstm() -> Self {
        Self::Lstm { hidden: 20, layers: 1 }
    }
}

impl UserModelConfig {
    /// The published model for `items` items: one-hot features, LSTM state, η = 1, Shannon's
    /// entropy, "no click" on every slate.
    pub fn new(items: usize) -> Self {
        Self {
            items,
            features: ItemFeatures::OneHot,
            context: None,
            state: StateEncoder::lstm(),
            head: vec![64, 64],
            activation: Activation::Elu,
            eta: 1.0,
            regulariser: Regulariser::Shannon,
            outside: Outside::Nothing { leaving: 0.0 },
            outcomes: None,
        }
    }

    /// The φ_α of the min-max for such a model: a network of the same form under softmax, with the
    /// hidden layers 256-32 of the released code.
    pub fn generator(&self) -> Self {
        Self { head: vec![256, 32], regulariser: Regulariser::Shannon, ..self.clone() }
    }

    /// The same users in another form, to find out what follows from the form alone: the state
    /// encoder of the other kind, at its published size, and items by the counts of the log and,
    /// where the catalogue has `features`, by these.
    pub fn other_form(&self, features: bool) -> Self {
        let state = match self.state {
            StateEncoder::PositionWeights { .. } => StateEncoder::lstm(),
            StateEncoder::Lstm { .. } => StateEncoder::position_weights(),
        };
        let features = if features { ItemFeatures::Given } else { ItemFeatures::OneHot };
        let context = Some(Context::Counts { place: false });
        Self { features, context, state, outcomes: None, ..self.clone() }
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.items == 0 {
            return Err(Setting::new("items", "0, expected at least 1").into());
        }
        if self.head.is_empty() || self.head.contains(&0) {
            let problem = format!("{:?}, expected layers of at least 1", self.head);
            return Err(Setting::new("head", problem).into());
        }
        if !(self.eta > 0.0 && self.eta.is_finite()) {
            return Err(
                Setting::new("eta", format!("{}, expected a positive number", self.eta)).into()
            );
        }
        if self.features == (ItemFeatures::Learned { dim: 0 }) {
            let problem = "a learned embedding of width 0, expected at least 1";
            return Err(Setting::new("features", problem).into());
        }
        if let Outside::Nothing { leaving } = self.outside
            && !(0.0..=1.0).contains(&leaving)
        {
            let problem = format!("leaving with probability {leaving}");
            return Err(Setting::new("outside option", problem).into());
        }
        if let Some(Outcomes { rewards, endings }) = &self.outcomes
            && let Some(problem) = rewards.problem(self.items).or_else(|| endings.problem())
        {
            return Err(Setting::new("outcomes", problem).into());
        }
        self.regulariser.check()?;
        match self.state {
            StateEncoder::PositionWeights { history: 0, .. }
            | StateEncoder::PositionWeights { columns: 0, .. } => {
                let problem = "history and columns must be at least 1";
                Err(Setting::new("position weights", problem).into())
            }
            StateEncoder::PositionWeights { history, .. } => {
                Ok(RecentClicks::check_window(history)?)
            }
            StateEncoder::Lstm { hidden: 0, .. } | StateEncoder::Lstm { layers: 0, .. } => {
                Err(Setting::new("LSTM", "hidden and layers must be at least 1").into())
            }
            _ => Ok(()),
        }
    }
}

/// How a model is fitted. The defaults are those of GAN-CDQN's released code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// The optimizer: Adam, 5e-4.
    pub optimiser: AdamConfig,
    /// Sessions in a batch (in the paper's data a session is a user).
    pub batch: usize,
    /// Updates at most.
    pub iterations: u64,
    /// Updates between two validations.
    pub validate_every: u64,
    /// Stop after this many validations in a row without a new best; `None` runs all iterations.
    pub patience: Option<u64>,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            optimiser: AdamConfig::default(),
            batch: 50,
            iterations: 2_000,
            validate_every: 10,
            patience: None,
        }
    }
}

impl TrainConfig {
    /// Validations without a new best after which a fit to a log of one's own ends.
    pub const USUAL_PATIENCE: u64 = 20;
    /// Updates that a fit may take at least, unless so many epochs are asked for.
    const UPDATES: u64 = 2_000;
    /// Epochs that a fit may take at least.
    const EPOCHS: u64 = 10;
    /// Sessions of a batch at most, and about how many slates it holds where sessions are long.
    const BATCH: (usize, f64) = (50, 500.0);

    /// For a fit to these sessions of a log of one's own, with so many epochs at most, or
    /// [`usual_epochs`](Self::usual_epochs).
    pub fn for_sessions(
        log: &Log,
        train: &[usize],
        learning_rate: f64,
        epochs: Option<u64>,
    ) -> Self {
        let slates: usize = train.iter().map(|&session| log.session(session).len()).sum();
        let fitting = Self::BATCH.1 * train.len() as f64 / slates.max(1) as f64;
        let batch = (fitting as usize).clamp(1, Self::BATCH.0);
        let (epoch, published) = (train.len().div_ceil(batch) as u64, Self::default());
        Self {
            optimiser: AdamConfig { learning_rate, ..published.optimiser },
            batch,
            iterations: epochs.unwrap_or_else(|| Self::usual_epochs(epoch)) * epoch,
            // Validations are to cost no more than the training.
            validate_every: published.validate_every.max(epoch / 4),
            patience: Some(Self::USUAL_PATIENCE),
        }
    }

    /// As many epochs of so many updates as make 2,000 of them, and at least 10.
    pub fn usual_epochs(updates: u64) -> u64 {
        Self::EPOCHS.max(Self::UPDATES.div_ceil(updates.max(1)))
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.batch == 0
            || self.validate_every == 0
            || self.iterations == 0
            || self.patience == Some(0)
        {
            let expected = "batch, iterations, validate_every and patience of at least 1";
            return Err(Setting::of("training", self, expected).into());
        }
        Ok(())
    }
}

/// How the min-max is trained: in each iteration, on one batch, `inner` updates of φ_α and then one
/// of r_θ. The batch is the released code's; γ₁, `inner` and `warm_up` are ours: with γ₁ = γ₂ the
/// generator of 256-32 never catches up with the rewards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdversarialConfig {
    /// The optimizer of φ_α: γ₁ is its learning rate.
    pub generator: AdamConfig,
    /// Updates of φ_α before each update of r_θ, on the same batch.
    pub inner: u64,
    /// Updates of φ_α alone before the first iteration, which fit it to the rewards that training
    /// starts from.
    pub warm_up: u64,
    /// The rest: γ₂ is the optimizer's learning rate, iterations are updates of r_θ.
    pub reward: TrainConfig,
}

impl Default for AdversarialConfig {
    fn default() -> Self {
        let reward = TrainConfig { batch: 100, ..TrainConfig::default() };
        let generator = AdamConfig { learning_rate: 3e-3, ..AdamConfig::default() };
        Self { generator, inner: 5, warm_up: 300, reward }
    }
}

impl AdversarialConfig {
    pub(crate) fn check(&self) -> Result<()> {
        if self.inner == 0 {
            let problem = "0, expected at least 1 update of the generator per iteration";
            return Err(Setting::new("inner", problem).into());
        }
        self.reward.check()
    }
}
