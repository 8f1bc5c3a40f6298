//! Algorithm 1 of IRecGAN on logs of simulated users: what the experiments on it have in common.

use std::sync::Arc;

use candle_core::Device;
use foretaste_data::{Catalogue, Log};
use foretaste_irecgan::{
    AgentPolicy, Buffer, IRecGan, IRecGanConfig, Ranking, Selection, max_trajectory_length,
};
use foretaste_lab::{Scale, Shared, Watch};
use foretaste_nn::AdamConfig;
use foretaste_random::Seed;
use foretaste_sim::{Mdp, MdpConfig};
use foretaste_user_model::behaviour::{BehaviourConfig, BehaviourUsers};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::Settings;
use crate::epochs::Row;
use crate::simulated::{K, Logging, World};
use crate::study_training::{Chosen, Training, held_out_users};

/// Runs of Algorithm 1, those that several cells need kept for them.
pub struct Studies {
    starts: Shared<Key, Start>,
    learned: Shared<Key, Learned>,
    device: Device,
}

/// Data set, study as JSON, and seed.
type Key = (String, String, u64);

/// A log, and how Algorithm 1 runs on it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Study {
    device: String,
    /// Who made the log.
    pub logging: Logging,
    /// Its sessions that are learned from.
    pub sessions: u64,
    /// Further sessions of the same policy, by whose likelihood line 3 stops.
    stopping: u64,
    /// Further sessions, to which the held-out users U' are fitted.
    judging: u64,
    /// Further sessions, by whose likelihood the fit of U' stops.
    stopping_of_judge: u64,
    /// Epochs of line 3 without a new best on the stopping sessions after which it ends.
    patience: u64,
    /// Simulated sessions by which U' judges a policy after an epoch.
    judged_by: u64,
    /// U, A, D and their training.
    pub networks: IRecGanConfig,
    /// What comes after lines 3 and 4.
    pub then: Then,
}

/// What comes after lines 3 and 4 of Algorithm 1.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// Nothing.
    Nothing,
    /// So many more epochs of lines 3 and 4 each, without a best epoch to go back to: the control
    /// that learns from the log alone with as many updates.
    MoreOfTheLog(u64),
    /// Lines 5 to 19.
    Algorithm,
}

/// Which epoch of the last part of a training is taken, for U and for A.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Epoch {
    /// The last.
    Last,
    /// That of the highest reward in the held-out users U': U by its most likely items, A by the
    /// slates that it draws.
    ByHeldOutUsers,
    /// That of the lowest loss on the stopping sessions.
    ByLikelihood,
}

/// What a run of Algorithm 1 leaves.
pub struct Learned {
    last: Acting,
    by_held_out_users: Acting,
    by_likelihood: Acting,
    /// Steps of generated trajectories at most.
    pub max_steps: usize,
    /// The losses of U.
    pub users: Vec<Row>,
    /// The losses of A, and what the generated trajectories were like.
    pub agent: Vec<Row>,
}

/// U and A at one time, as environment and policies.
pub struct Acting {
    /// U as users.
    pub users: BehaviourUsers,
    /// U, slates drawn in proportion to exp(V^c).
    pub users_drawn: Ranking,
    /// U, the k items that it finds most likely.
    pub users_top: Ranking,
    /// A, slates drawn from its policy.
    pub agent_drawn: AgentPolicy,
    /// A, its k most likely items.
    pub agent_top: AgentPolicy,
}

/// The sessions of a log by their use.
pub struct Sessions {
    /// To learn from.
    pub train: Log,
    /// By whose likelihood line 3 stops.
    pub stopping: Buffer,
    /// To which U' is fitted.
    pub judging: Log,
    /// By whose likelihood the fit of U' stops.
    pub stopping_of_judge: Log,
}

/// What lines 3 and 4 leave: the start of all that comes after.
struct Start {
    learned: Arc<Learned>,
    /// The checkpoint of the run.
    checkpoint: TempDir,
    judge: BehaviourUsers,
}

/// Sizes of the networks and lengths of the training by scale. The paper gives sizes and rates, not
/// epochs; below `paper` networks are small, and rates higher so that they need fewer epochs.
pub fn networks(scale: Scale) -> IRecGanConfig {
    let items = MdpConfig::default().items;
    let published = IRecGanConfig::new(items, K);
    // A click and its reward are one in these users: no class is rare.
    let published = IRecGanConfig {
        users: BehaviourConfig { purchase_weight: 1.0, ..published.users },
        ..published
    };
    let mut networks = IRecGanConfig {
        users_epochs: 100,
        agent_epochs: AGENT_EPOCHS,
        discriminator_epochs: 20,
        epochs: ROUNDS,
        ..published
    };
    let hidden = match scale {
        Scale::Smoke => 8,
        Scale::Quick | Scale::Decide => 64,
        Scale::Paper => {
            return IRecGanConfig { agent_epochs: 50, ..networks };
        }
    };
    (networks.users.hidden, networks.agent.hidden, networks.discriminator.hidden) =
        (hidden, hidden, hidden);
    let rate = |optimiser: AdamConfig| AdamConfig { learning_rate: 1e-3, ..optimiser };
    networks.users_training.optimiser = rate(networks.users_training.optimiser);
    networks.agent_training.optimiser = rate(networks.agent_training.optimiser);
    networks.discriminator_training.optimiser = rate(networks.discriminator_training.optimiser);
    if scale == Scale::Smoke {
        networks = IRecGanConfig {
            users_epochs: 2,
            agent_epochs: 2,
            discriminator_epochs: 1,
            epochs: 2,
            ..networks
        };
    }
    networks
}

/// Epochs of line 4.
const AGENT_EPOCHS: u64 = 30;
/// Rounds of lines 8 to 19.
pub const ROUNDS: u64 = 5;

impl Study {
    /// The studies of a scale that end after lines 3 and 4: every logging policy and size of log.
    pub fn all(settings: &Settings) -> Vec<Self> {
        let sizes: &[u64] = match settings.scale {
            Scale::Smoke => &[100],
            Scale::Quick | Scale::Decide => &[200, 1_000],
            Scale::Paper => &[200, 1_000, 10_000],
        };
        let smoke = settings.scale == Scale::Smoke;
        let study = |logging, sessions| Self {
            device: settings.device.to_string(),
            logging,
            sessions,
            stopping: sessions / 10,
            judging: sessions / 5,
            stopping_of_judge: sessions / 10,
            patience: if smoke { 1 } else { 5 },
            judged_by: if smoke { 20 } else { 500 },
            networks: networks(settings.scale),
            then: Then::Nothing,
        };
        Logging::ALL
            .into_iter()
            .flat_map(|logging| sizes.iter().map(move |&sessions| study(logging, sessions)))
            .collect()
    }

    /// The same log, with other networks and what comes after lines 3 and 4.
    pub fn with(&self, then: Then, change: impl FnOnce(&mut IRecGanConfig)) -> Self {
        let mut study = Self { then, ..self.clone() };
        change(&mut study.networks);
        study
    }

    /// The paper's name of it: random(200).
    pub fn setting(&self) -> String {
        format!("{}({})", self.logging.name(), self.sessions)
    }

    /// λ₁.
    pub fn lambda_1(&self) -> f64 {
        self.networks.lambda_1
    }

    /// What lines 3 and 4 of it are: two studies with the same start differ in what comes after.
    fn start(&self) -> Self {
        let published = IRecGanConfig::new(self.networks.users.items, self.networks.k);
        self.with(Then::Nothing, |networks| {
            *networks = IRecGanConfig {
                k: networks.k,
                users: networks.users.clone(),
                users_training: networks.users_training.clone(),
                agent: networks.agent.clone(),
                agent_training: networks.agent_training.clone(),
                discriminator: networks.discriminator.clone(),
                discriminator_training: networks.discriminator_training.clone(),
                users_epochs: networks.users_epochs,
                agent_epochs: networks.agent_epochs,
                endings: networks.endings,
                ..published
            };
        })
    }

    /// All sessions of its log, those to learn from first.
    fn log(&self, users: &Mdp, seed: Seed) -> anyhow::Result<Log> {
        let all = self.sessions + self.stopping + self.judging + self.stopping_of_judge;
        self.logging.in_users(users).log(users, all, seed)
    }

    /// The sessions that a recommender learns from which itself keeps some of them to stop by.
    pub fn learned_from(&self, users: &Mdp, seed: Seed) -> anyhow::Result<Log> {
        let count = (self.sessions + self.stopping) as usize;
        Ok(self.log(users, seed)?.slice(0..count).to_log())
    }

    /// The sessions of its log by their use.
    fn sessions(&self, users: &Mdp, seed: Seed) -> anyhow::Result<Sessions> {
        let Self { sessions, stopping, judging, stopping_of_judge, .. } = *self;
        let log = self.log(users, seed)?;
        let part =
            |from: u64, count: u64| log.slice(from as usize..(from + count) as usize).to_log();
        Ok(Sessions {
            train: part(0, sessions),
            stopping: Buffer::real(part(sessions, stopping)),
            judging: part(sessions + stopping, judging),
            stopping_of_judge: part(sessions + stopping + judging, stopping_of_judge),
        })
    }

    fn key(&self, world: &World, seed: u64) -> anyhow::Result<Key> {
        Ok((world.name.into(), serde_json::to_string(self)?, seed))
    }
}

impl Studies {
    /// On the device of the settings.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        // Methods of a study follow each other, and need the runs of all seeds. At the published
        // size a run leaves networks of 200 MB.
        let kept =
            if settings.scale == Scale::Paper { settings.seeds(0) as usize + 1 } else { 256 };
        let (starts, learned) = (Shared::new(kept), Shared::new(kept));
        Ok(Self { starts, learned, device: settings.device.open()? })
    }

    /// What Algorithm 1 leaves on the log of a study.
    pub fn learned(
        &self,
        world: &World,
        study: &Study,
        seed: u64,
        watch: &Watch,
    ) -> anyhow::Result<Arc<Learned>> {
        let start = self.start(world, study, seed, watch)?;
        if study.then == Then::Nothing {
            return Ok(Arc::clone(&start.learned));
        }
        self.learned.get(study.key(world, seed)?, || {
            let (users, of_seed) = (world.users(seed)?, Seed::new(seed));
            let sessions = study.sessions(&users, of_seed)?;
            let catalogue = Catalogue::numbered(users.items());
            let run = IRecGan::resume(start.checkpoint.path(), &catalogue, of_seed, &self.device)?
                .going_on_by(study.networks.clone())?;
            let rows = [start.learned.users.clone(), start.learned.agent.clone()];
            let mut training = study.training(run, rows, (&sessions, &start.judge), of_seed, watch);
            match study.then {
                Then::MoreOfTheLog(epochs) => training.more_of_the_log(epochs)?,
                Then::Algorithm | Then::Nothing => training.lines_5_to_19()?,
            }
            training.end()
        })
    }

    fn start(
        &self,
        world: &World,
        study: &Study,
        seed: u64,
        watch: &Watch,
    ) -> anyhow::Result<Arc<Start>> {
        let study = study.start();
        self.starts.get(study.key(world, seed)?, || {
            let (users, seed) = (world.users(seed)?, Seed::new(seed));
            let sessions = study.sessions(&users, seed)?;
            let judge = held_out_users(&study.networks, &sessions, seed, &self.device, watch)?;
            let run = IRecGan::new(study.networks.clone(), seed, &self.device)?;
            let rows = Default::default();
            let mut training = study.training(run, rows, (&sessions, &judge), seed, watch);
            training.line_3()?;
            training.line_4()?;
            let checkpoint = TempDir::new()?;
            training.run.save(checkpoint.path(), &Catalogue::numbered(users.items()))?;
            Ok(Start { learned: Arc::new(training.end()?), checkpoint, judge })
        })
    }
}

impl Study {
    fn training<'a>(
        &self,
        run: IRecGan,
        rows: [Vec<Row>; 2],
        data: (&'a Sessions, &'a BehaviourUsers),
        seed: Seed,
        watch: &'a Watch,
    ) -> Training<'a> {
        Training::new(run, rows, data, (self.patience, self.judged_by), seed, watch)
    }
}

impl Learned {
    /// What comes of a training whose last epoch the networks of `run` hold.
    pub fn new(
        run: &IRecGan,
        chosen: &Chosen,
        sessions: &Sessions,
        [users, agent]: [Vec<Row>; 2],
    ) -> anyhow::Result<Self> {
        let last = Acting::new(run)?;
        chosen.by_held_out_users.restore(run)?;
        let by_held_out_users = Acting::new(run)?;
        chosen.by_likelihood.restore(run)?;
        let by_likelihood = Acting::new(run)?;
        let max_steps = max_trajectory_length(&sessions.train)?;
        Ok(Self { last, by_held_out_users, by_likelihood, max_steps, users, agent })
    }

    /// U and A of an epoch.
    pub fn of(&self, epoch: Epoch) -> &Acting {
        match epoch {
            Epoch::Last => &self.last,
            Epoch::ByHeldOutUsers => &self.by_held_out_users,
            Epoch::ByLikelihood => &self.by_likelihood,
        }
    }
}

impl Acting {
    fn new(run: &IRecGan) -> anyhow::Result<Self> {
        Ok(Self {
            users: BehaviourUsers::new(run.users())?,
            users_drawn: Ranking::new(run.users(), Selection::Sampled)?,
            users_top: Ranking::new(run.users(), Selection::Top)?,
            agent_drawn: AgentPolicy::new(run.agent(), Selection::Sampled)?,
            agent_top: AgentPolicy::new(run.agent(), Selection::Top)?,
        })
    }
}
