//! What IRecGAN's reranking on a log trains: a stage goes on until its patience ends, and every
//! ranker is then the one of its best epoch.

use std::borrow::Cow;

use foretaste_data::Log;
use foretaste_irecgan::{
    ActorCritic, Agent, AgentTrainer, AgentTraining, Buffer, IRecGan, IRecGanConfig,
    ImportanceSampling, unjudged,
};
use foretaste_nn::Params;
use foretaste_random::Seed;
use foretaste_train::{Candidates, Fit, FitConfig};
use foretaste_user_model::behaviour::{BehaviourModel, BehaviourTrainer};

use crate::epochs::{self, NetworkPoint, Row, generated, gradient_norms};
use crate::learned::{figures, interruptible};
use crate::rerank_lists::Ranker;
use crate::rerank_task::Task;

/// What is trained epoch by epoch.
pub trait Learner {
    /// One epoch, drawn from `seed`.
    fn epoch(&mut self, seed: Seed) -> anyhow::Result<Epoch>;

    /// The norms of the gradients of the last epoch, for those who watch.
    fn norms(&self) -> Vec<(String, f64)>;

    /// What it makes of lists.
    fn rankers(&self) -> Vec<Ranker<'_>>;
}

/// What an epoch of training leaves.
pub struct Epoch {
    /// The loss of each ranker in training.
    losses: Vec<Option<f64>>,
    /// What else its learning curves hold.
    others: Row,
}

/// A part of a training.
pub struct Stage {
    pub name: &'static str,
    pub epochs: u64,
    pub criterion: Criterion,
}

/// What is to be low on the validation sessions.
pub enum Criterion {
    /// The clicks that are not among the best of their lists. Likelihood would not do: all overfit
    /// it within an epoch or two, long before their order of a list is at its best.
    Misses,
    /// Of a policy that is to be known as it is: -log π of the clicks among all items.
    Likelihood(AgentTraining),
}

impl Stage {
    /// Trains until the patience ends, and puts every ranker back to its best epoch. Who is not
    /// trained is no candidate. Returns the learning curve of each ranker.
    pub fn fit<L: Learner>(
        &self,
        learner: &mut L,
        task: &Task<'_>,
    ) -> anyhow::Result<Vec<Vec<Row>>> {
        let config = FitConfig {
            iterations: self.epochs,
            validate_every: 1,
            patience: Some(task.plan.patience),
            candidates: Candidates::Trained,
        };
        let mut training = Training { stage: self, task, learner, last: None };
        let fitted = foretaste_train::fit(&mut training, config, |progress| {
            task.watch.progress(progress.iteration, self.epochs);
            epochs::record(task.watch, &progress.point.unwrap_or_default());
            task.watch.control_flow()
        });
        Ok(epochs::curves(interruptible(fitted)?))
    }

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
                Ok(agent.mean_loss(&Buffer::real(task.logs.validation.clone()), training)?)
            }
            _ => Ok(1.0 - figures[task.plan.metric.name()]),
        }
    }
}

/// A learner in a stage of its training.
struct Training<'a, L> {
    stage: &'a Stage,
    task: &'a Task<'a>,
    learner: &'a mut L,
    last: Option<Epoch>,
}

impl<L: Learner> Fit for Training<'_, L> {
    type Point = Vec<NetworkPoint>;
    type Error = anyhow::Error;

    fn train(&mut self, epoch: u64) -> anyhow::Result<()> {
        let seed = Seed::new(self.task.seed).derive(self.stage.name).index(epoch);
        self.last = Some(self.learner.epoch(seed)?);
        Ok(())
    }

    fn validate(&mut self, epoch: u64) -> anyhow::Result<Vec<NetworkPoint>> {
        let mut points = Vec::new();
        for (at, ranker) in self.learner.rankers().into_iter().enumerate() {
            let figures = ranker.validate(&self.task.logs.validation)?;
            let loss = self.stage.criterion.loss(ranker, &figures, self.task)?;
            let train_loss = self.last.as_ref().and_then(|last| last.losses[at]);
            let point = NetworkPoint::new(self.stage.part(ranker), epoch, train_loss, loss);
            points.push(point.with(figures));
        }
        let Some(last) = &self.last else { return Ok(points) };
        let complete =
            |point: NetworkPoint| point.with(last.others.clone()).with_norms(self.learner.norms());
        Ok(points.into_iter().map(complete).collect())
    }

    fn params(&self) -> Vec<&Params> {
        self.learner.rankers().into_iter().map(Ranker::params).collect()
    }

    fn losses(&self, networks: &Vec<NetworkPoint>) -> Vec<f64> {
        epochs::losses(networks)
    }
}

/// U by Eq 3.
pub struct OfUsers<'a> {
    pub trainer: BehaviourTrainer,
    pub log: &'a Log,
}

/// A by Eq 10, or by PGIS.
pub struct OfAgent<'a> {
    pub trainer: AgentTrainer,
    pub sessions: Sessions<'a>,
    /// For PGIS: log β of each step of the log, and what to make of it.
    pub logged: Option<(Vec<f32>, ImportanceSampling)>,
}

/// AC.
pub struct OfPair<'a> {
    pub pair: ActorCritic,
    pub sessions: Sessions<'a>,
}

/// Lines 8 to 19 of Algorithm 1.
pub struct OfAll<'a> {
    pub run: IRecGan,
    pub log: &'a Log,
}

/// Where an agent gets the sessions of an epoch.
pub enum Sessions<'a> {
    /// The log.
    Logged(Buffer),
    /// The log, and sessions that U and the agent make for the epoch.
    Mixed(&'a IRecGanConfig, &'a BehaviourModel, &'a Log),
}

impl Sessions<'_> {
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
    fn epoch(&mut self, seed: Seed) -> anyhow::Result<Epoch> {
        let loss = self.trainer.epoch(self.log, None, seed)?;
        Ok(Epoch { losses: vec![Some(loss)], others: Row::new() })
    }

    fn norms(&self) -> Vec<(String, f64)> {
        figures([("gradient_norm", self.trainer.gradient_norm())]).collect()
    }

    fn rankers(&self) -> Vec<Ranker<'_>> {
        vec![Ranker::Users(self.trainer.model())]
    }
}

impl Learner for OfAgent<'_> {
    fn epoch(&mut self, seed: Seed) -> anyhow::Result<Epoch> {
        let buffer = self.sessions.of_epoch(self.trainer.agent(), seed.derive("sequences"))?;
        let loss = match &self.logged {
            Some((log_beta, sampling)) => {
                self.trainer.importance_epoch(&buffer, log_beta, *sampling, seed)?
            }
            None => self.trainer.epoch(&buffer, seed)?,
        };
        Ok(Epoch { losses: vec![Some(loss)], others: Row::new() })
    }

    fn norms(&self) -> Vec<(String, f64)> {
        figures([("gradient_norm", self.trainer.gradient_norm())]).collect()
    }

    fn rankers(&self) -> Vec<Ranker<'_>> {
        vec![Ranker::Agent(self.trainer.agent())]
    }
}

impl Learner for OfPair<'_> {
    fn epoch(&mut self, seed: Seed) -> anyhow::Result<Epoch> {
        let actor = self.pair.actor().agent();
        let buffer = self.sessions.of_epoch(actor, seed.derive("sequences"))?;
        let (of_actor, of_critic) = self.pair.epoch(&buffer, seed)?;
        let others = Row::from([("critic_loss".to_owned(), of_critic)]);
        Ok(Epoch { losses: vec![Some(of_actor)], others })
    }

    fn norms(&self) -> Vec<(String, f64)> {
        figures([("gradient_norm", self.pair.actor().gradient_norm())]).collect()
    }

    fn rankers(&self) -> Vec<Ranker<'_>> {
        vec![Ranker::Agent(self.pair.actor().agent())]
    }
}

impl Learner for OfAll<'_> {
    /// Draws from the seed of the run.
    fn epoch(&mut self, _: Seed) -> anyhow::Result<Epoch> {
        let point = self.run.adversarial_epoch(self.log)?;
        let losses = vec![point.users_loss, point.agent_loss];
        Ok(Epoch { losses, others: generated(&point).collect() })
    }

    fn norms(&self) -> Vec<(String, f64)> {
        gradient_norms(&self.run).collect()
    }

    fn rankers(&self) -> Vec<Ranker<'_>> {
        vec![Ranker::Users(self.run.users()), Ranker::Agent(self.run.agent())]
    }
}
