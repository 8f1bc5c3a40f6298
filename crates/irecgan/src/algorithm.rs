//! IRecGAN's Algorithm 1, line by line: in which order U, A and D are trained, and on which
//! trajectories. The networks and their losses have modules and crates of their own.

use candle_core::Device;
use foretaste_data::{Choice, Entry, ItemId, Log, LogBuilder, Step};
use foretaste_disc::{Discriminator, DiscriminatorTrainer};
use foretaste_random::Seed;
use foretaste_settings::Setting;
use foretaste_train::check_finite;
use foretaste_user_model::behaviour::{BehaviourModel, BehaviourTrainer, BehaviourUsers};
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::agent::{Agent, AgentTrainer};
use crate::config::{Adversary, Endings, IRecGanConfig, Round};
use crate::generate::Simulation;
use crate::mixture::{Mixture, extract, mixture, restricted};
use crate::policy::{AgentPolicy, Selection};
use crate::{Buffer, Result};

/// IRecGAN's Algorithm 1: U, A and D, trained alone and then against each other.
///
/// All methods take the offline data as a log of
/// [`clicked_sessions`](foretaste_user_model::behaviour::clicked_sessions).
/// [`advance`](Self::advance) takes the next stage of the algorithm; after each the whole can be
/// [saved](Self::save), and a run that is resumed is one that was not stopped, bit for bit. Where
/// the log lacks the steps on which users left, `leaving` of the discriminator's settings is to be
/// off. Line 5 waits for D: where it takes no part, that stage does nothing.
///
/// | line | here |
/// |---|---|
/// | 1 | B^s and B^r belong to a stage, which fills them again |
/// | 2 | [`new`](Self::new) |
/// | 3 | [`pretrain_users`](Self::pretrain_users), once an epoch |
/// | 4 | [`pretrain_agent`](Self::pretrain_agent), once an epoch |
/// | 5, 6 | [`pretrain_discriminator`](Self::pretrain_discriminator) |
/// | 7 | [`advance`](Self::advance) |
/// | 8 to 19 | [`adversarial_epoch`](Self::adversarial_epoch) |
#[derive(Debug)]
pub struct IRecGan {
    pub(crate) config: IRecGanConfig,
    pub(crate) seed: Seed,
    pub(crate) users: BehaviourTrainer,
    pub(crate) agent: AgentTrainer,
    pub(crate) discriminator: DiscriminatorTrainer,
    pub(crate) curve: Vec<CurvePoint>,
}

/// A stage of the algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// An epoch of line 3.
    PretrainUsers,
    /// An epoch of line 4.
    PretrainAgent,
    /// Lines 5 and 6.
    PretrainDiscriminator,
    /// Lines 8 to 19.
    Adversarial,
}

/// What came of one stage: `None` where the stage has no such figure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// The stage.
    pub stage: Stage,
    /// Mean loss of U: the negative of Eq 3 or Eq 7 per step, in nats.
    pub users_loss: Option<f64>,
    /// Mean loss of A: the negative log-probability of a click times its return.
    pub agent_loss: Option<f64>,
    /// Mean loss of D: Eq 5, in nats; 2 ln 2 where D knows nothing.
    pub discriminator_loss: Option<f64>,
    /// Mean q_D over the steps of the generated trajectories.
    pub score: Option<f64>,
    /// Mean number of clicks of a generated trajectory.
    pub clicks: Option<f64>,
    /// Mean sum of the rewards of a generated trajectory.
    pub reward: Option<f64>,
}

/// The Euclidean norm of a gradient before clipping, mean over the batches of the last epoch of
/// each network; `None` before any.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GradientNorms {
    /// U's.
    pub users: Option<f64>,
    /// A's.
    pub agent: Option<f64>,
    /// D's.
    pub discriminator: Option<f64>,
}

impl CurvePoint {
    fn of(stage: Stage) -> Self {
        let none = None;
        Self {
            stage,
            users_loss: none,
            agent_loss: none,
            discriminator_loss: none,
            score: none,
            clicks: none,
            reward: none,
        }
    }

    fn describe(&mut self, generated: &Buffer) {
        let (trajectories, steps) =
            (generated.log.sessions() as f64, generated.scores.len() as f64);
        let sum = |value: fn(&foretaste_data::Step<'_>) -> f64| {
            generated
                .log
                .iter()
                .flat_map(|session| session.steps())
                .map(|step| value(&step))
                .sum::<f64>()
        };
        self.score =
            Some(generated.scores.iter().map(|&score| f64::from(score)).sum::<f64>() / steps);
        self.clicks =
            Some(sum(|step| f64::from(u8::from(step.choice.item().is_some()))) / trajectories);
        self.reward = Some(sum(|step| f64::from(step.reward)) / trajectories);
    }
}

impl IRecGan {
    /// Line 2: U, A and D with random parameters.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a setting is outside its range.
    pub fn new(config: IRecGanConfig, seed: Seed, device: &Device) -> Result<Self> {
        config.check()?;
        let users = BehaviourModel::new(config.users.clone(), seed, device)?;
        let agent = Agent::new(config.agent.clone(), seed, device)?;
        let discriminator = Discriminator::new(config.discriminator.clone(), seed, device)?;
        Ok(Self {
            users: BehaviourTrainer::new(users, config.users_training.clone())?,
            agent: AgentTrainer::new(agent, config.agent_training.clone())?,
            discriminator: DiscriminatorTrainer::new(
                discriminator,
                config.discriminator_training.clone(),
            )?,
            config,
            seed,
            curve: Vec::new(),
        })
    }

    /// The same run, which goes on by other settings of lines 5 to 19: with other λ₁, rounds,
    /// epochs or use of D.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the networks or their training differ, or a
    /// setting is outside its range.
    pub fn going_on_by(self, config: IRecGanConfig) -> Result<Self> {
        config.check()?;
        let of_networks = |config: &IRecGanConfig| {
            let IRecGanConfig { users, users_training, agent, agent_training, .. } = config.clone();
            let IRecGanConfig { discriminator, discriminator_training, .. } = config.clone();
            (users, users_training, agent, agent_training, discriminator, discriminator_training)
        };
        if of_networks(&config) != of_networks(&self.config) {
            let problem = "networks or their training differ from those that the run began with";
            return Err(Setting::new("settings", problem).into());
        }
        Ok(Self { config, ..self })
    }

    /// The settings.
    pub fn config(&self) -> &IRecGanConfig {
        &self.config
    }

    /// U: after line 3 it is the baseline LSTM, after line 7 LSTMD, as a
    /// [`Ranking`](crate::Ranking).
    pub fn users(&self) -> &BehaviourModel {
        self.users.model()
    }

    /// A: after line 4 it is the baseline PG, after line 7 IRecGAN, as an [`AgentPolicy`].
    pub fn agent(&self) -> &Agent {
        self.agent.agent()
    }

    /// D.
    pub fn discriminator(&self) -> &Discriminator {
        self.discriminator.model()
    }

    /// The norms of the last gradients. They are not part of what is [saved](Self::save).
    pub fn gradient_norms(&self) -> GradientNorms {
        GradientNorms {
            users: self.users.gradient_norm(),
            agent: self.agent.gradient_norm(),
            discriminator: self.discriminator.gradient_norm(),
        }
    }

    /// Every stage done, in order.
    pub fn curve(&self) -> &[CurvePoint] {
        &self.curve
    }

    /// The next stage of Algorithm 1 on `offline`, the same at every call; `None` if all are done.
    ///
    /// # Errors
    /// As the stages.
    pub fn advance(&mut self, offline: &Log) -> Result<Option<CurvePoint>> {
        let config = &self.config;
        let (users, agent) = (config.users_epochs, config.users_epochs + config.agent_epochs);
        let done = self.curve.len() as u64;
        let point = match done {
            _ if done < users => self.pretrain_users(offline)?,
            _ if done < agent => self.pretrain_agent(offline)?,
            _ if done == agent => self.pretrain_discriminator(offline)?,
            _ if done <= agent + config.epochs => self.adversarial_epoch(offline)?,
            _ => return Ok(None),
        };
        let networks =
            [self.users().params(), self.agent().params(), self.discriminator().params()];
        networks.into_iter().try_for_each(|params| check_finite(params, done + 1))?;
        Ok(Some(point))
    }

    /// An epoch of line 3: U towards the likelihood of the offline data, Eq 3.
    pub fn pretrain_users(&mut self, offline: &Log) -> Result<CurvePoint> {
        let users_loss = Some(self.users_epoch(offline, None, self.draws("line 3"))?);
        Ok(self.record(CurvePoint { users_loss, ..CurvePoint::of(Stage::PretrainUsers) }))
    }

    /// An epoch of line 4: A by the policy gradient of Eq 10 on the offline data alone, where q_D =
    /// 1.
    pub fn pretrain_agent(&mut self, offline: &Log) -> Result<CurvePoint> {
        let agent_loss =
            Some(self.agent.epoch(&Buffer::real(offline.clone()), self.draws("line 4"))?);
        Ok(self.record(CurvePoint { agent_loss, ..CurvePoint::of(Stage::PretrainAgent) }))
    }

    /// Lines 5 and 6: m generated and m offline sessions, and D by Eq 5 on both.
    pub fn pretrain_discriminator(&mut self, offline: &Log) -> Result<CurvePoint> {
        let discriminator_loss =
            self.d_step(offline, self.draws("line 5"), self.config.discriminator_epochs)?;
        Ok(self.record(CurvePoint {
            discriminator_loss,
            ..CurvePoint::of(Stage::PretrainDiscriminator)
        }))
    }

    /// Lines 8 to 19: the r-steps of U and A, and the d-steps of D. With λ₁ = 0 nothing is
    /// generated, and D has nothing to learn.
    pub fn adversarial_epoch(&mut self, offline: &Log) -> Result<CurvePoint> {
        let mut point = CurvePoint::of(Stage::Adversarial);
        match self.config.round {
            Round::Printed => {
                for r in 0..self.config.r_steps {
                    self.r_step(offline, self.draws("line 8").index(r), &mut point)?;
                }
                for d in 0..self.config.d_steps {
                    let seed = self.draws("line 15").index(d);
                    point.discriminator_loss = self.d_step(offline, seed, self.config.d_epochs)?;
                }
            }
            Round::Authors => self.authors_round(offline, self.draws("round"), &mut point)?,
        }
        Ok(self.record(point))
    }

    fn r_step(&mut self, offline: &Log, seed: Seed, point: &mut CurvePoint) -> Result<()> {
        let Mixture { both, generated } = mixture(&self.config, offline, seed, |count, seed| {
            self.generate(offline, count, seed, point)
        })?;
        if self.config.adversary == Adversary::Full {
            let weights = self.weights_of_users(&both, generated, offline)?;
            let seed = seed.derive("line 12");
            point.users_loss = Some(self.users_epoch(&both.log, Some(&weights), seed)?);
        }
        point.agent_loss = Some(self.agent.epoch(&both, seed.derive("line 13"))?);
        Ok(())
    }

    /// Lines 9 and 10: `count` trajectories with their scores.
    fn generate(
        &self,
        offline: &Log,
        count: usize,
        seed: Seed,
        point: &mut CurvePoint,
    ) -> Result<Buffer> {
        let generated = match self.config.adversary {
            Adversary::Full | Adversary::ScoresForAgent => {
                let discriminator = self.discriminator.model().freeze()?;
                self.simulate(offline, |simulation| {
                    simulation.generate_scored(count, seed, &discriminator, self.config.branches)
                })?
            }
            Adversary::None => {
                Buffer::real(self.simulate(offline, |simulation| simulation.generate(count, seed))?)
            }
        };
        point.describe(&generated);
        restricted(&self.config, offline, generated)
    }

    /// Lines 16 to 18, or 5 and 6.
    fn d_step(&mut self, offline: &Log, seed: Seed, epochs: u64) -> Result<Option<f64>> {
        let m = self.config.judged(offline.sessions());
        if m == 0 {
            return Ok(None);
        }
        let generated =
            self.simulate(offline, |simulation| simulation.generate(m, seed.derive("line 16")))?;
        let real = extract(offline, m, seed.derive("line 17"));
        let mut loss = None;
        for epoch in 0..epochs {
            let seed = seed.derive("line 18").index(epoch);
            loss = Some(self.discriminator.epoch(&real, &generated, seed)?);
        }
        Ok(loss)
    }

    /// [`Round::Authors`].
    fn authors_round(&mut self, offline: &Log, seed: Seed, point: &mut CurvePoint) -> Result<()> {
        const EPOCHS: u64 = 3;
        const SHARES: usize = 6;
        let size = self.config.generated(offline.sessions());
        let real = Buffer::real(offline.clone());
        let mut pool = Buffer::default();
        for update in 0..EPOCHS {
            for epoch in 0..EPOCHS {
                let seed = seed.derive("agent").index(update * EPOCHS + epoch);
                if size > 0 {
                    let count = size.div_ceil(SHARES);
                    let generated = self.generate(offline, count, seed.derive("pool"), point)?;
                    pool = pool.join(&generated)?.latest(size);
                }
                let both = pool.clone().join(&real)?;
                point.agent_loss = Some(self.agent.epoch(&both, seed)?);
            }
            if self.config.adversary == Adversary::Full {
                let seed = seed.derive("users").index(update);
                if size > 0 {
                    let weights = self.weights_of_users(&pool, pool.log.sessions(), offline)?;
                    self.users_epoch(&pool.log, Some(&weights), seed.derive("pool"))?;
                }
                point.users_loss = Some(self.users_epoch(offline, None, seed)?);
            }
        }
        for epoch in 0..EPOCHS {
            if self.config.adversary != Adversary::None && size > 0 {
                let seed = seed.derive("discriminator").index(epoch);
                point.discriminator_loss =
                    Some(self.discriminator.epoch(offline, &pool.log, seed)?);
            }
        }
        Ok(())
    }

    /// The weights of Eq 7 of the steps of trajectories, of which the first `generated` are ours.
    /// The last step of one of full length does not count: every user leaves on it, even those who
    /// would have stayed. On the authors' random slates it does, as in their code.
    fn weights_of_users(&self, both: &Buffer, generated: usize, offline: &Log) -> Result<Vec<f32>> {
        let mut weights = both.scores.clone();
        if self.config.endings == Endings::Random {
            return Ok(weights);
        }
        let (longest, mut end) = (max_trajectory_length(offline)?, 0);
        for session in both.log.iter().take(generated) {
            end += session.len();
            if session.len() == longest {
                weights[end - 1] = 0.0;
            }
        }
        Ok(weights)
    }

    /// An epoch of U, on the slates with END that it is to see.
    fn users_epoch(&mut self, log: &Log, weights: Option<&[f32]>, seed: Seed) -> Result<f64> {
        let random;
        let log = match self.config.endings {
            Endings::Logged => log,
            Endings::Random => {
                random = with_random_endings(log, self.config.users.items, seed.derive("endings"))?;
                &random
            }
        };
        Ok(self.users.epoch(log, weights, seed)?)
    }

    fn simulate<T>(
        &self,
        offline: &Log,
        run: impl FnOnce(Simulation<'_>) -> Result<T>,
    ) -> Result<T> {
        simulate(&self.config, self.users.model(), self.agent.agent(), offline, run)
    }

    /// The seed of one kind of draws of the present stage.
    fn draws(&self, kind: &str) -> Seed {
        self.seed.derive("algorithm 1").index(self.curve.len() as u64).derive(kind)
    }

    fn record(&mut self, point: CurvePoint) -> CurvePoint {
        self.curve.push(point);
        point
    }
}

/// U and A as they are now, in interaction.
pub(crate) fn simulate<T>(
    config: &IRecGanConfig,
    users: &BehaviourModel,
    agent: &Agent,
    offline: &Log,
    run: impl FnOnce(Simulation<'_>) -> Result<T>,
) -> Result<T> {
    let (users, agent) =
        (BehaviourUsers::new(users)?, AgentPolicy::new(agent, Selection::Sampled)?);
    let &IRecGanConfig { k, chunk, .. } = config;
    let (max_steps, openings) = (max_trajectory_length(offline)?, openings(offline));
    run(Simulation { users: &users, agent: &agent, k, max_steps, chunk, openings: &openings })
}

/// What each session clicked before its first slate; nothing where no session did.
fn openings(log: &Log) -> Vec<Vec<ItemId>> {
    if log.events() == 0 {
        return Vec::new();
    }
    let before = |session: foretaste_data::Session<'_>| {
        session.events().take_while(|event| event.after == 0).map(|event| event.item).collect()
    };
    log.iter().map(before).collect()
}

/// The same sessions, but that users leave on slates of random items, 15 to 99 of them or all that
/// there are; session `i` draws from stream `i` of `seed`.
fn with_random_endings(log: &Log, items: usize, seed: Seed) -> Result<Log> {
    let mut builder = LogBuilder::default();
    for (session, index) in log.iter().zip(0..) {
        for entry in session.entries() {
            let step = match entry {
                Entry::Event(event) => {
                    builder.event(event);
                    continue;
                }
                Entry::Step(_, step) => step,
            };
            if step.choice != Choice::Leave {
                builder.push(Step::new(step.slate, step.choice, step.reward))?;
                continue;
            }
            let mut stream = seed.stream(index);
            let places = stream.random_range(15..100).min(items);
            let slate = rand::seq::index::sample(&mut stream, items, places);
            let slate: Vec<ItemId> = slate.into_iter().map(|item| ItemId(item as u32)).collect();
            builder.push(Step::new(&slate, step.choice, step.reward))?;
        }
        builder.end_session(None)?;
    }
    Ok(builder.build())
}

/// Steps of a generated trajectory at most, the one with END among them: twice the mean length of
/// the sessions that have a click, rounded down before it is doubled. As in the authors' code, the
/// item that a session begins with counts in its length, and sessions without a click do not count.
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) if there is no session with a click.
pub fn max_trajectory_length(offline: &Log) -> Result<usize> {
    let lengths = offline.iter().map(|session| session.clicks().count());
    let lengths: Vec<usize> =
        lengths.filter(|clicks| *clicks > 0).map(|clicks| 1 + clicks).collect();
    match lengths.len() {
        0 => Err(Setting::new("offline data", "no session with a click").into()),
        sessions => Ok(2 * (lengths.iter().sum::<usize>() / sessions)),
    }
}
