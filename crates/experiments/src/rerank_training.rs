//! U, A and the baselines of IRecGAN's reranking on a log: every training, kept for the methods
//! that share it.

use std::sync::Arc;

use candle_core::Device;
use foretaste_irecgan::{
    ActorCritic, Agent, AgentTrainer, AgentTraining, Buffer, Critic, IRecGan, ImportanceSampling,
};
use foretaste_lab::Shared;
use foretaste_random::Seed;
use foretaste_user_model::behaviour::{BehaviourModel, BehaviourTrainer};

use crate::epochs::{Row, joined};
use crate::rerank_learners::{Criterion, OfAgent, OfAll, OfPair, OfUsers, Sessions, Stage};
use crate::rerank_task::{Key, Task};

/// The trainings of a run, by data set and seed.
pub struct Trainings {
    users: Shared<Key, Fitted<BehaviourTrainer>>,
    agents: Shared<Key, Fitted<AgentTrainer>>,
    critics: Shared<Key, Fitted<ActorCritic>>,
    adversarial: Shared<Key, Fitted<IRecGan>>,
    device: Device,
}

/// A learner with the parameters of its best epoch, and the learning curve of each of its rankers.
pub struct Fitted<L> {
    /// The learner.
    pub learner: L,
    curves: Vec<Vec<Row>>,
}

impl<L> Fitted<L> {
    /// The learning curve of the first ranker, which is U if there are two.
    pub fn first(&self) -> Vec<Row> {
        self.curves[0].clone()
    }

    /// The learning curve of the last ranker, which is A if there are two.
    pub fn last(&self) -> Vec<Row> {
        self.curves[self.curves.len() - 1].clone()
    }
}

impl Trainings {
    /// None yet.
    pub fn new(kept: usize, device: Device) -> Self {
        Self {
            users: Shared::new(kept),
            agents: Shared::new(kept),
            critics: Shared::new(kept),
            adversarial: Shared::new(kept),
            device,
        }
    }

    /// U after line 3 of Algorithm 1: LSTM.
    pub fn users(&self, task: &Task<'_>) -> anyhow::Result<Arc<Fitted<BehaviourTrainer>>> {
        self.users.get(task.key(), || {
            let networks = &task.plan.networks;
            let seed = Seed::new(task.seed);
            let model = BehaviourModel::new(networks.users.clone(), seed, &self.device)?;
            let trainer = BehaviourTrainer::new(model, networks.users_training.clone())?;
            let mut learner = OfUsers { trainer, log: &task.logs.train };
            let curves = stage("line 3", networks.users_epochs).fit(&mut learner, task)?;
            Ok(Fitted { learner: learner.trainer, curves })
        })
    }

    /// A after line 4: PG.
    pub fn agent(&self, task: &Task<'_>) -> anyhow::Result<Arc<Fitted<AgentTrainer>>> {
        self.agents.get(task.key(), || {
            let networks = &task.plan.networks;
            let stage = stage("line 4", networks.agent_epochs);
            self.fit_agent(task, &networks.agent_training, stage, None)
        })
    }

    /// PGIS, β by maximum likelihood of the clicks.
    pub fn importance(&self, task: &Task<'_>) -> anyhow::Result<Fitted<AgentTrainer>> {
        let (training, epochs) =
            (&task.plan.networks.agent_training, task.plan.networks.agent_epochs);
        let likelihood = AgentTraining { discount: 0.0, lambda_r: 0.0, ..training.clone() };
        let criterion = Criterion::Likelihood(likelihood.clone());
        let of_behaviour = Stage { criterion, ..stage("behaviour", epochs) };
        let behaviour = self.fit_agent(task, &likelihood, of_behaviour, None)?;
        let log_beta = behaviour.learner.agent().click_log_probabilities(&task.logs.train)?;
        let logged = Some((log_beta, task.plan.sampling));
        self.fit_agent(task, training, stage("PGIS", epochs), logged)
    }

    fn fit_agent(
        &self,
        task: &Task<'_>,
        training: &AgentTraining,
        stage: Stage,
        logged: Option<(Vec<f32>, ImportanceSampling)>,
    ) -> anyhow::Result<Fitted<AgentTrainer>> {
        let agent =
            Agent::new(task.plan.networks.agent.clone(), Seed::new(task.seed), &self.device)?;
        let trainer = AgentTrainer::new(agent, training.clone())?;
        let mut learner = OfAgent { trainer, sessions: of_log(task), logged };
        let curves = stage.fit(&mut learner, task)?;
        Ok(Fitted { learner: learner.trainer, curves })
    }

    /// AC.
    pub fn actor_critic(&self, task: &Task<'_>) -> anyhow::Result<Arc<Fitted<ActorCritic>>> {
        self.critics.get(task.key(), || {
            let networks = &task.plan.networks;
            let seed = Seed::new(task.seed);
            let agent = Agent::new(networks.agent.clone(), seed, &self.device)?;
            let critic = Critic::new(networks.agent.clone(), seed, &self.device)?;
            let actor = AgentTrainer::new(agent, networks.agent_training.clone())?;
            let pair = ActorCritic::new(actor, critic)?;
            let mut learner = OfPair { pair, sessions: of_log(task) };
            let curves = stage("AC", networks.agent_epochs).fit(&mut learner, task)?;
            Ok(Fitted { learner: learner.pair, curves })
        })
    }

    /// PGU: PG goes on with generated sessions.
    pub fn agent_with_users(&self, task: &Task<'_>) -> anyhow::Result<Fitted<AgentTrainer>> {
        let (users, agent) = (self.users(task)?, self.agent(task)?);
        let networks = &task.plan.networks;
        let trainer =
            AgentTrainer::new(self.copy(&agent.learner, task)?, networks.agent_training.clone())?;
        let sessions = Sessions::Mixed(networks, users.learner.model(), &task.logs.train);
        let mut learner = OfAgent { trainer, sessions, logged: None };
        let curves = stage("PGU", networks.epochs).fit(&mut learner, task)?;
        Ok(Fitted { learner: learner.trainer, curves: joined(&[agent.last()], curves) })
    }

    /// ACU: AC goes on with generated sessions.
    pub fn actor_critic_with_users(&self, task: &Task<'_>) -> anyhow::Result<Fitted<ActorCritic>> {
        let (users, pair) = (self.users(task)?, self.actor_critic(task)?);
        let networks = &task.plan.networks;
        let actor = self.copy(pair.learner.actor(), task)?;
        let actor = AgentTrainer::new(actor, networks.agent_training.clone())?;
        let critic = Critic::new(networks.agent.clone(), Seed::new(task.seed), &self.device)?;
        critic.params().restore(&pair.learner.critic().params().snapshot()?)?;
        let sessions = Sessions::Mixed(networks, users.learner.model(), &task.logs.train);
        let mut learner = OfPair { pair: ActorCritic::new(actor, critic)?, sessions };
        let curves = stage("ACU", networks.epochs).fit(&mut learner, task)?;
        Ok(Fitted { learner: learner.pair, curves: joined(&[pair.last()], curves) })
    }

    /// U and A after all of Algorithm 1: LSTMD and IRecGAN.
    pub fn adversarial(&self, task: &Task<'_>) -> anyhow::Result<Arc<Fitted<IRecGan>>> {
        self.adversarial.get(task.key(), || {
            let (users, agent) = (self.users(task)?, self.agent(task)?);
            let (networks, log) = (&task.plan.networks, &task.logs.train);
            let mut run = IRecGan::new(networks.clone(), Seed::new(task.seed), &self.device)?;
            run.users().params().restore(&users.learner.model().params().snapshot()?)?;
            run.agent().params().restore(&agent.learner.agent().params().snapshot()?)?;
            run.pretrain_discriminator(log)?;
            let mut learner = OfAll { run, log };
            let curves = stage("adversarial", networks.epochs).fit(&mut learner, task)?;
            let curves = joined(&[users.first(), agent.last()], curves);
            Ok(Fitted { learner: learner.run, curves })
        })
    }

    fn copy(&self, of: &AgentTrainer, task: &Task<'_>) -> anyhow::Result<Agent> {
        let agent = Agent::new(of.agent().config().clone(), Seed::new(task.seed), &self.device)?;
        agent.params().restore(&of.agent().params().snapshot()?)?;
        Ok(agent)
    }
}

/// A stage that is judged by the order of lists.
fn stage(name: &'static str, epochs: u64) -> Stage {
    Stage { name, epochs, criterion: Criterion::Misses }
}

/// The log as it is, to learn from.
fn of_log(task: &Task<'_>) -> Sessions<'static> {
    Sessions::Logged(Buffer::real(task.logs.train.clone()))
}
