//! U, A and the baselines of IRecGAN's reranking on a log: every training, kept for the methods
//! that share it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::bail;
use candle_core::{Device, Tensor};
use foretaste_data::Log;
use foretaste_eval::Metric;
use foretaste_irecgan::{
    ActorCritic, Agent, AgentTrainer, AgentTraining, Buffer, Critic, IRecGan, IRecGanConfig,
    ImportanceSampling, unjudged,
};
use foretaste_lab::{Interrupted, Shared, Watch};
use foretaste_random::Seed;
use foretaste_user_model::behaviour::{BehaviourModel, BehaviourTrainer};
use serde::{Deserialize, Serialize};

use crate::learned::figures;
use crate::rerank_lists::{Ranker, Row};
use crate::rerank_logs::Sides;
use crate::studies::{generated, gradient_norms};

/// How everything is trained on one log.
#[derive(Clone, Serialize, Deserialize)]
pub struct Plan {
    /// Networks, rates, and the most epochs of each stage.
    pub networks: IRecGanConfig,
    /// How PGIS weighs clicks.
    pub sampling: ImportanceSampling,
    /// The share of validation clicks by which epochs are chosen: `precision@10`, or `precision@1`
    /// where no list is longer.
    pub metric: Metric,
    /// Epochs without a new best after which a stage stops.
    pub patience: u64,
}

/// The trainings of a run, by data set and seed.
pub struct Trainings {
    users: Shared<Key, Fitted<BehaviourTrainer>>,
    agents: Shared<Key, Fitted<AgentTrainer>>,
    critics: Shared<Key, Fitted<ActorCritic>>,
    adversarial: Shared<Key, Fitted<IRecGan>>,
    device: Device,
}

type Key = (String, u64);

/// The stage that learns β.
const BEHAVIOUR: &str = "behaviour";

/// One training of a data set under a seed, and where it is told of.
pub struct Task<'a> {
    /// Name of the data set.
    pub dataset: &'a str,
    /// Its sessions.
    pub sides: &'a Sides,
    /// How.
    pub plan: &'a Plan,
    /// The seed.
    pub seed: u64,
    /// Who watches.
    pub watch: &'a Watch,
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

/// What is trained epoch by epoch.
trait Learner {
    /// One epoch, drawn from `seed`: the loss of each ranker in training, and what else it is to be
    /// remembered by.
    fn epoch(&mut self, seed: Seed) -> anyhow::Result<(Vec<Option<f64>>, Row)>;

    /// The norms of the gradients of the last epoch, for those who watch.
    fn norms(&self) -> Vec<(String, f64)>;

    /// What it makes of lists.
    fn rankers(&self) -> Vec<Ranker<'_>>;
}

/// U by Eq 3.
struct OfUsers<'a>(BehaviourTrainer, &'a Log);

/// A by Eq 10, or by PGIS.
struct OfAgent<'a> {
    trainer: AgentTrainer,
    source: Sequences<'a>,
    /// For PGIS: log β of each step of the log, and what to make of it.
    logged: Option<(Vec<f32>, ImportanceSampling)>,
}

/// AC.
struct OfPair<'a>(ActorCritic, Sequences<'a>);

/// Lines 8 to 19 of Algorithm 1.
struct OfAll<'a>(IRecGan, &'a Log);

/// Where an agent gets the sequences of an epoch.
enum Sequences<'a> {
    /// The log.
    Logged(Buffer),
    /// The log, and sequences that U and the agent make for the epoch.
    Mixed(&'a IRecGanConfig, &'a BehaviourModel, &'a Log),
}

impl Sequences<'_> {
    fn of_epoch(&self, agent: &Agent, seed: Seed) -> anyhow::Result<Cow<'_, Buffer>> {
        Ok(match self {
            Self::Logged(buffer) => Cow::Borrowed(buffer),
            Self::Mixed(config, users, log) => {
                Cow::Owned(unjudged(config, users, agent, log, seed)?)
            }
        })
    }
}

impl Learner for OfUsers<'_> {
    fn epoch(&mut self, seed: Seed) -> anyhow::Result<(Vec<Option<f64>>, Row)> {
        Ok((vec![Some(self.0.epoch(self.1, None, seed)?)], Row::new()))
    }

    fn norms(&self) -> Vec<(String, f64)> {
        figures([("gradient_norm", self.0.gradient_norm())]).collect()
    }

    fn rankers(&self) -> Vec<Ranker<'_>> {
        vec![Ranker::Users(self.0.model())]
    }
}

impl Learner for OfAgent<'_> {
    fn epoch(&mut self, seed: Seed) -> anyhow::Result<(Vec<Option<f64>>, Row)> {
        let buffer = self.source.of_epoch(self.trainer.agent(), seed.derive("sequences"))?;
        let loss = match &self.logged {
            Some((log_beta, sampling)) => {
                self.trainer.importance_epoch(&buffer, log_beta, *sampling, seed)?
            }
            None => self.trainer.epoch(&buffer, seed)?,
        };
        Ok((vec![Some(loss)], Row::new()))
    }

    fn norms(&self) -> Vec<(String, f64)> {
        figures([("gradient_norm", self.trainer.gradient_norm())]).collect()
    }

    fn rankers(&self) -> Vec<Ranker<'_>> {
        vec![Ranker::Agent(self.trainer.agent())]
    }
}

impl Learner for OfPair<'_> {
    fn epoch(&mut self, seed: Seed) -> anyhow::Result<(Vec<Option<f64>>, Row)> {
        let buffer = self.1.of_epoch(self.0.actor().agent(), seed.derive("sequences"))?;
        let (of_actor, of_critic) = self.0.epoch(&buffer, seed)?;
        Ok((vec![Some(of_actor)], Row::from([("critic_loss".to_owned(), of_critic)])))
    }

    fn norms(&self) -> Vec<(String, f64)> {
        figures([("gradient_norm", self.0.actor().gradient_norm())]).collect()
    }

    fn rankers(&self) -> Vec<Ranker<'_>> {
        vec![Ranker::Agent(self.0.actor().agent())]
    }
}

impl Learner for OfAll<'_> {
    fn epoch(&mut self, _: Seed) -> anyhow::Result<(Vec<Option<f64>>, Row)> {
        let point = self.0.adversarial_epoch(self.1)?;
        Ok((vec![point.users_loss, point.agent_loss], generated(&point).collect()))
    }

    fn norms(&self) -> Vec<(String, f64)> {
        gradient_norms(&self.0).collect()
    }

    fn rankers(&self) -> Vec<Ranker<'_>> {
        vec![Ranker::Users(self.0.users()), Ranker::Agent(self.0.agent())]
    }
}

/// The parameters of the epoch with the lowest loss on the validation sessions.
struct Best {
    lowest: f64,
    params: BTreeMap<String, Tensor>,
}

/// A part of a training.
struct Stage {
    name: &'static str,
    epochs: u64,
    criterion: Criterion,
}

/// What is to be low on the validation sessions.
enum Criterion {
    /// The clicks that are not among the best of their lists. Likelihood would not do: all overfit
    /// it within an epoch or two, long before their order of a list is at its best.
    Misses,
    /// Of a policy that is to be known as it is: -log π of the clicks among all items.
    Likelihood(AgentTraining),
}

impl Stage {
    /// What a ranker's training is called where it is watched: `line-3/users`.
    fn part(&self, ranker: Ranker<'_>) -> String {
        let network = match ranker {
            Ranker::Users(_) => "users",
            Ranker::Agent(_) => "agent",
        };
        format!("{}/{network}", self.name.replace(' ', "-"))
    }
}

impl Criterion {
    fn loss(&self, ranker: Ranker<'_>, figures: &Row, task: &Task<'_>) -> anyhow::Result<f64> {
        match (self, ranker) {
            (Self::Likelihood(training), Ranker::Agent(agent)) => {
                Ok(agent.mean_loss(&Buffer::real(task.sides.validation.clone()), training)?)
            }
            _ => Ok(1.0 - figures[task.plan.metric.name()]),
        }
    }
}

impl Task<'_> {
    fn key(&self) -> Key {
        (self.dataset.to_owned(), self.seed)
    }

    /// Trains until the patience ends, and puts every ranker back to its best epoch.
    fn fit<L: Learner>(&self, mut learner: L, stage: &Stage) -> anyhow::Result<(L, Vec<Vec<Row>>)> {
        let seed = Seed::new(self.seed).derive(stage.name);
        let count = learner.rankers().len();
        let mut curves = vec![Vec::new(); count];
        let mut best: Vec<Option<Best>> = (0..count).map(|_| None).collect();
        let mut since = 0;
        for epoch in 0..=stage.epochs {
            self.watch.progress(epoch, stage.epochs);
            if self.watch.interrupted() {
                bail!(Interrupted);
            }
            let (losses, others) = match epoch {
                0 => (vec![None; count], Row::new()),
                _ => learner.epoch(seed.index(epoch))?,
            };
            let norms = if epoch > 0 { learner.norms() } else { Vec::new() };
            since += u64::from(epoch > 0);
            for (at, ranker) in learner.rankers().into_iter().enumerate() {
                let mut row = ranker.validate(&self.sides.validation)?;
                let validation = stage.criterion.loss(ranker, &row, self)?;
                let told = [("iteration", Some(epoch as f64)), ("train_loss", losses[at])];
                row.extend(
                    told.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))),
                );
                row.insert("validation_loss".to_owned(), validation);
                row.extend(others.clone());
                self.watch.record(
                    &stage.part(ranker),
                    epoch,
                    row.clone().into_iter().chain(norms.clone()),
                );
                curves[at].push(row);
                // Who is not trained is no candidate.
                let better =
                    epoch > 0 && best[at].as_ref().is_none_or(|best| validation < best.lowest);
                if better {
                    since = 0;
                    best[at] =
                        Some(Best { lowest: validation, params: ranker.params().snapshot()? });
                }
            }
            if since >= self.plan.patience {
                break;
            }
        }
        for (ranker, best) in learner.rankers().into_iter().zip(&best) {
            if let Some(best) = best {
                ranker.params().restore(&best.params)?;
            }
        }
        Ok((learner, curves))
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
            let model =
                BehaviourModel::new(networks.users.clone(), Seed::new(task.seed), &self.device)?;
            let trainer = BehaviourTrainer::new(model, networks.users_training.clone())?;
            let stage = Stage {
                name: "line 3",
                epochs: networks.users_epochs,
                criterion: Criterion::Misses,
            };
            let (fitted, curves) = task.fit(OfUsers(trainer, &task.sides.train), &stage)?;
            Ok(Fitted { learner: fitted.0, curves })
        })
    }

    /// A after line 4: PG.
    pub fn agent(&self, task: &Task<'_>) -> anyhow::Result<Arc<Fitted<AgentTrainer>>> {
        let training = &task.plan.networks.agent_training;
        self.agents.get(task.key(), || self.fit_agent(task, training, "line 4", None))
    }

    /// PGIS, β by maximum likelihood of the clicks.
    pub fn importance(&self, task: &Task<'_>) -> anyhow::Result<Fitted<AgentTrainer>> {
        let training = &task.plan.networks.agent_training;
        let likelihood = AgentTraining { discount: 0.0, lambda_r: 0.0, ..training.clone() };
        let behaviour = self.fit_agent(task, &likelihood, BEHAVIOUR, None)?;
        let log_beta = behaviour.learner.agent().click_log_probabilities(&task.sides.train)?;
        self.fit_agent(task, training, "PGIS", Some((log_beta, task.plan.sampling)))
    }

    fn fit_agent(
        &self,
        task: &Task<'_>,
        training: &AgentTraining,
        name: &'static str,
        logged: Option<(Vec<f32>, ImportanceSampling)>,
    ) -> anyhow::Result<Fitted<AgentTrainer>> {
        let networks = &task.plan.networks;
        let agent = Agent::new(networks.agent.clone(), Seed::new(task.seed), &self.device)?;
        let trainer = AgentTrainer::new(agent, training.clone())?;
        let source = Sequences::Logged(Buffer::real(task.sides.train.clone()));
        let criterion = if name == BEHAVIOUR {
            Criterion::Likelihood(training.clone())
        } else {
            Criterion::Misses
        };
        let stage = Stage { name, epochs: networks.agent_epochs, criterion };
        let (fitted, curves) = task.fit(OfAgent { trainer, source, logged }, &stage)?;
        Ok(Fitted { learner: fitted.trainer, curves })
    }

    /// AC.
    pub fn actor_critic(&self, task: &Task<'_>) -> anyhow::Result<Arc<Fitted<ActorCritic>>> {
        self.critics.get(task.key(), || {
            let networks = &task.plan.networks;
            let seed = Seed::new(task.seed);
            let agent = Agent::new(networks.agent.clone(), seed, &self.device)?;
            let critic = Critic::new(networks.agent.clone(), seed, &self.device)?;
            let pair = ActorCritic::new(
                AgentTrainer::new(agent, networks.agent_training.clone())?,
                critic,
            )?;
            let source = Sequences::Logged(Buffer::real(task.sides.train.clone()));
            let stage =
                Stage { name: "AC", epochs: networks.agent_epochs, criterion: Criterion::Misses };
            let (fitted, curves) = task.fit(OfPair(pair, source), &stage)?;
            Ok(Fitted { learner: fitted.0, curves })
        })
    }

    /// PGU: PG goes on with generated sequences.
    pub fn agent_with_users(&self, task: &Task<'_>) -> anyhow::Result<Fitted<AgentTrainer>> {
        let (users, agent) = (self.users(task)?, self.agent(task)?);
        let networks = &task.plan.networks;
        let trainer =
            AgentTrainer::new(self.copy(&agent.learner, task)?, networks.agent_training.clone())?;
        let source = Sequences::Mixed(networks, users.learner.model(), &task.sides.train);
        let (fitted, curves) =
            task.fit(OfAgent { trainer, source, logged: None }, &going_on("PGU", networks))?;
        Ok(Fitted { learner: fitted.trainer, curves: joined(&[agent.last()], curves) })
    }

    /// ACU: AC goes on with generated sequences.
    pub fn actor_critic_with_users(&self, task: &Task<'_>) -> anyhow::Result<Fitted<ActorCritic>> {
        let (users, pair) = (self.users(task)?, self.actor_critic(task)?);
        let networks = &task.plan.networks;
        let actor = AgentTrainer::new(
            self.copy(pair.learner.actor(), task)?,
            networks.agent_training.clone(),
        )?;
        let critic = Critic::new(networks.agent.clone(), Seed::new(task.seed), &self.device)?;
        critic.params().restore(&pair.learner.critic().params().snapshot()?)?;
        let source = Sequences::Mixed(networks, users.learner.model(), &task.sides.train);
        let (fitted, curves) =
            task.fit(OfPair(ActorCritic::new(actor, critic)?, source), &going_on("ACU", networks))?;
        Ok(Fitted { learner: fitted.0, curves: joined(&[pair.last()], curves) })
    }

    /// U and A after all of Algorithm 1: LSTMD and IRecGAN.
    pub fn adversarial(&self, task: &Task<'_>) -> anyhow::Result<Arc<Fitted<IRecGan>>> {
        self.adversarial.get(task.key(), || {
            let (users, agent) = (self.users(task)?, self.agent(task)?);
            let networks = &task.plan.networks;
            let mut run = IRecGan::new(networks.clone(), Seed::new(task.seed), &self.device)?;
            run.users().params().restore(&users.learner.model().params().snapshot()?)?;
            run.agent().params().restore(&agent.learner.agent().params().snapshot()?)?;
            run.pretrain_discriminator(&task.sides.train)?;
            let (fitted, curves) =
                task.fit(OfAll(run, &task.sides.train), &going_on("adversarial", networks))?;
            Ok(Fitted { learner: fitted.0, curves: joined(&[users.first(), agent.last()], curves) })
        })
    }

    fn copy(&self, of: &AgentTrainer, task: &Task<'_>) -> anyhow::Result<Agent> {
        let agent = Agent::new(of.agent().config().clone(), Seed::new(task.seed), &self.device)?;
        agent.params().restore(&of.agent().params().snapshot()?)?;
        Ok(agent)
    }
}

/// A stage that goes on where another ended, and so is not that one again.
fn going_on(name: &'static str, networks: &IRecGanConfig) -> Stage {
    Stage { name, epochs: networks.epochs, criterion: Criterion::Misses }
}

/// Curves after those of the stage before, numbered on.
fn joined(before: &[Vec<Row>], after: Vec<Vec<Row>>) -> Vec<Vec<Row>> {
    let join = |(before, after): (&Vec<Row>, Vec<Row>)| {
        let mut rows = before.clone();
        for (mut row, at) in after.into_iter().skip(1).zip(before.len()..) {
            row.insert("iteration".to_owned(), at as f64);
            rows.push(row);
        }
        rows
    };
    before.iter().zip(after).map(join).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_goes_on_where_the_one_before_ended() {
        let rows = |count: usize| -> Vec<Row> {
            (0..count)
                .map(|at| {
                    Row::from([("iteration".to_owned(), at as f64), ("x".to_owned(), count as f64)])
                })
                .collect()
        };
        let found = joined(&[rows(3)], vec![rows(2)]).remove(0);
        let expected: Vec<(f64, f64)> = vec![(0.0, 3.0), (1.0, 3.0), (2.0, 3.0), (3.0, 2.0)];
        assert_eq!(
            found.iter().map(|row| (row["iteration"], row["x"])).collect::<Vec<_>>(),
            expected
        );
    }
}
