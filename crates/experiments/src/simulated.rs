//! The simulated users of IRecGAN §7.1: who they are, what logs they leave, and how recommenders
//! fare with them.

use anyhow::{Context, bail};
use foretaste_data::{ItemId, Log};
use foretaste_eval::Metric;
use foretaste_eval::metrics::coverage_at;
use foretaste_lab::{Interrupted, Watch};
use foretaste_random::Seed;
use foretaste_report::{DataSet, Figures};
use foretaste_sim::policies::{MaxReward, MixReward, UniformRandom};
use foretaste_sim::{Blind, Mdp, MdpConfig, Population, Privileged, Rollout, Transitions};
use foretaste_user_model::behaviour::clicked_sessions;
use serde::{Deserialize, Serialize};

/// Items on a slate.
pub const K: usize = 10;
/// coverage@1 to coverage@10.
const RANKS: usize = 10;

/// Simulated users, a different MDP for every seed.
#[derive(Clone, Copy)]
pub struct World {
    /// The name as a data set.
    pub name: &'static str,
    /// How a click moves the user's state.
    pub transitions: Transitions,
}

/// The paper's users, whose next state hardly depends on the click, and others, for which it does.
pub const WORLDS: [World; 2] = [
    World { name: "mdp", transitions: Transitions::SoftmaxUniform },
    World { name: "mdp-dirichlet", transitions: Transitions::Dirichlet(0.1) },
];

/// All users as data sets: another MDP for every seed, as in the paper.
pub fn data_sets() -> Vec<DataSet> {
    WORLDS
        .map(|world| DataSet {
            name: world.name.into(),
            test_per_train: 0.0,
            caveat: String::new(),
        })
        .into()
}

/// Who made a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Logging {
    /// π_random.
    Random,
    /// π_max.
    Max,
    /// π_mix.
    Mix,
}

/// Who made a log, in certain users.
pub enum LoggingPolicy {
    /// π_random.
    Random(UniformRandom),
    /// π_max.
    Max(MaxReward),
    /// π_mix.
    Mix(MixReward),
}

/// What came of some sessions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Played {
    /// Mean number of clicks of a session: the cumulative reward.
    pub reward: f64,
    /// The same over the sessions that have a click.
    pub reward_if_clicked: f64,
    /// coverage@1 to coverage@10, mean over all steps.
    pub coverage: [f64; RANKS],
}

impl World {
    /// The world of a data set's name.
    pub fn named(name: &str) -> anyhow::Result<&'static Self> {
        let world = WORLDS.iter().find(|world| world.name == name);
        world.with_context(|| format!("there are no simulated users `{name}`"))
    }

    /// Its users under one seed: 10 states, 50 items.
    pub fn users(&self, seed: u64) -> anyhow::Result<Mdp> {
        Ok(Mdp::new(&MdpConfig { transitions: self.transitions, seed, ..MdpConfig::default() })?)
    }
}

impl Logging {
    /// All of the paper's.
    pub const ALL: [Self; 3] = [Self::Random, Self::Max, Self::Mix];

    /// The name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Max => "max",
            Self::Mix => "mix",
        }
    }

    /// The policy for some users.
    pub fn in_users(self, users: &Mdp) -> LoggingPolicy {
        match self {
            Self::Random => LoggingPolicy::Random(UniformRandom { items: users.items() }),
            Self::Max => LoggingPolicy::Max(MaxReward::new(users)),
            Self::Mix => LoggingPolicy::Mix(MixReward::new(users)),
        }
    }
}

impl LoggingPolicy {
    /// `sessions` of its sessions as sequences τ.
    pub fn log(&self, users: &Mdp, sessions: u64, seed: Seed) -> anyhow::Result<Log> {
        let rollout = Rollout::new(seed.derive("log"), 0..sessions, K);
        let log = match self {
            Self::Random(policy) => rollout.run(users, &Blind(policy))?,
            Self::Max(policy) => rollout.run(users, policy)?,
            Self::Mix(policy) => rollout.run(users, policy)?,
        };
        let all: Vec<usize> = (0..log.sessions()).collect();
        Ok(clicked_sessions(&log, &all, users.items(), seed.derive("sequences"))?)
    }

    /// Mean reward of a session.
    pub fn value(&self, users: &Mdp, sessions: u64, seed: Seed) -> anyhow::Result<f64> {
        let rollout = Rollout::new(seed.derive("value"), 0..sessions, K);
        let outcomes = match self {
            Self::Random(policy) => rollout.outcomes(users, &Blind(policy))?,
            Self::Max(policy) => rollout.outcomes(users, policy)?,
            Self::Mix(policy) => rollout.outcomes(users, policy)?,
        };
        Ok(outcomes.iter().map(|outcome| outcome.reward).sum::<f64>() / sessions as f64)
    }

    /// The probability that it shows these items, in any order, to a user in a state.
    pub fn slate_probability(&self, state: usize, slate: &[ItemId]) -> f64 {
        match self {
            Self::Random(policy) => policy.slate_probability(slate.len()),
            Self::Max(policy) => policy.slate_probability(state, slate),
            Self::Mix(policy) => policy.slate_probability(state, slate),
        }
    }
}

/// How the slates of a policy come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slates {
    /// Drawn.
    Drawn,
    /// The k most likely items.
    Top,
}

impl Played {
    /// `sessions` sessions of a policy, with the same users for all policies.
    pub fn of<P: Privileged<Mdp>>(
        policy: &P,
        users: &Mdp,
        sessions: u64,
        seed: Seed,
        watch: &Watch,
    ) -> anyhow::Result<Self> {
        let relevance = |state| users.rewards(state).iter().map(|&reward| reward as f32).collect();
        let relevance: Vec<Vec<f32>> = (0..users.states()).map(relevance).collect();
        let mut population =
            Population::begin(users, policy, K, seed.derive("judging"), 0..sessions)?;
        let (mut steps, mut coverage) = (0, [0.0; RANKS]);
        let mut clicks = vec![0; sessions as usize];
        while !population.rows().is_empty() {
            if watch.interrupted() {
                bail!(Interrupted);
            }
            let states = population.state().clone();
            let moment = population.step()?;
            for (entry, &state) in states.0.iter().enumerate() {
                let slate: Vec<usize> =
                    moment.slates.row(entry).iter().map(|item| item.index()).collect();
                for (r, sum) in (1..).zip(&mut coverage) {
                    *sum += coverage_at(r, &relevance[state as usize], &slate)?;
                }
            }
            steps += states.0.len();
            for (choice, &row) in moment.responses.choice.iter().zip(moment.rows) {
                clicks[row] += u32::from(choice.item().is_some());
            }
        }
        let clicked = clicks.iter().filter(|clicks| **clicks > 0).count();
        let sum = f64::from(clicks.iter().sum::<u32>());
        Ok(Self {
            reward: sum / sessions as f64,
            reward_if_clicked: sum / clicked.max(1) as f64,
            coverage: coverage.map(|sum| sum / steps as f64),
        })
    }

    /// The mean of coverage@1 to coverage@10.
    fn mean_coverage(&self) -> f64 {
        self.coverage.iter().sum::<f64>() / RANKS as f64
    }

    /// All figures, named after how the slates came about.
    pub fn figures(&self, slates: Slates) -> Figures {
        let ([reward, if_clicked, coverage], by_rank) = match slates {
            Slates::Drawn => {
                ([Metric::Reward, Metric::RewardIfClicked, Metric::Coverage], Metric::COVERAGE_AT)
            }
            Slates::Top => (
                [Metric::RewardTop, Metric::RewardIfClickedTop, Metric::CoverageTop],
                Metric::COVERAGE_AT_TOP,
            ),
        };
        let means = [
            (reward, self.reward),
            (if_clicked, self.reward_if_clicked),
            (coverage, self.mean_coverage()),
        ];
        means.into_iter().chain(by_rank.into_iter().zip(self.coverage)).collect()
    }
}
