//! Algorithm 1 of IRecGAN, watched epoch by epoch: U and A are judged after each by held-out
//! sessions and by users who were fitted to others.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use foretaste_data::Log;
use foretaste_irecgan::{AgentPolicy, CurvePoint, IRecGan, IRecGanConfig, Ranking, Selection};
use foretaste_lab::Watch;
use foretaste_nn::Params;
use foretaste_random::Seed;
use foretaste_sim::{Blind, Policy, Rollout};
use foretaste_train::{Candidates, Fit, FitConfig};
use foretaste_user_model::behaviour::{BehaviourModel, BehaviourTrainer, BehaviourUsers};

use crate::epochs::{self, NetworkPoint, Row, curves, generated};
use crate::learned::{figures, interruptible};
use crate::simulated::K;
use crate::studies::{Learned, Sessions};

/// Steps after which a session in U' is cut, as sessions are in the authors' code.
const STEPS: usize = 40;

/// A run of Algorithm 1.
pub struct Training<'a> {
    /// U, A and D.
    pub run: IRecGan,
    sessions: &'a Sessions,
    /// U'.
    judge: &'a BehaviourUsers,
    patience: u64,
    /// Simulated sessions by which U' judges.
    judged_by: u64,
    seed: Seed,
    watch: &'a Watch,
    chosen: Chosen,
    /// The learning curves of U and A so far.
    rows: [Vec<Row>; 2],
}

/// The best epochs of U and of A in the part of a training that was last.
#[derive(Default)]
pub struct Chosen {
    /// By reward in U'.
    pub by_held_out_users: Best,
    /// By the loss on the stopping sessions.
    pub by_likelihood: Best,
}

/// U and A at their best epochs.
#[derive(Default)]
pub struct Best {
    users: Kept,
    agent: Kept,
}

/// The lowest value so far, and the parameters that have it; none before the first.
#[derive(Default)]
struct Kept(Option<(f64, BTreeMap<String, Tensor>)>);

/// The figure of learning curves by which U' chooses.
const IN_HELD_OUT_USERS: &str = "reward_in_held_out_users";

impl<'a> Training<'a> {
    /// Of `run`, from where it is; `rows` are the learning curves of U and A that led there.
    pub fn new(
        run: IRecGan,
        rows: [Vec<Row>; 2],
        (sessions, judge): (&'a Sessions, &'a BehaviourUsers),
        (patience, judged_by): (u64, u64),
        seed: Seed,
        watch: &'a Watch,
    ) -> Self {
        let chosen = Chosen::default();
        Self { run, sessions, judge, patience, judged_by, seed, watch, chosen, rows }
    }

    /// Line 3: U, a model of users, keeps its best epoch by likelihood.
    pub fn line_3(&mut self) -> anyhow::Result<()> {
        let (watch, total) = (self.watch, self.run.config().users_epochs);
        let config = FitConfig {
            iterations: total,
            validate_every: 1,
            patience: Some(self.patience),
            candidates: Candidates::All,
        };
        let mut line = Line3 { training: self, loss: None };
        let fitted = foretaste_train::fit(&mut line, config, |progress| {
            watch.progress(progress.iteration, total);
            epochs::record(watch, &progress.point.unwrap_or_default());
            watch.control_flow()
        });
        self.rows[0] = curves(interruptible(fitted)?).into_iter().flatten().collect();
        Ok(())
    }

    /// Line 4: A.
    pub fn line_4(&mut self) -> anyhow::Result<()> {
        self.epochs(self.run.config().agent_epochs, |run, log| run.pretrain_agent(log))
    }

    /// As many more epochs of lines 3 and 4 each.
    pub fn more_of_the_log(&mut self, epochs: u64) -> anyhow::Result<()> {
        self.epochs(epochs, |run, log| {
            let users_loss = run.pretrain_users(log)?.users_loss;
            Ok(CurvePoint { users_loss, ..run.pretrain_agent(log)? })
        })
    }

    /// D, and the rounds of lines 8 to 19.
    pub fn lines_5_to_19(&mut self) -> anyhow::Result<()> {
        self.run.pretrain_discriminator(&self.sessions.train)?;
        self.epochs(self.run.config().epochs, |run, log| run.adversarial_epoch(log))
    }

    /// What came of it.
    pub fn end(self) -> anyhow::Result<Learned> {
        Learned::new(&self.run, &self.chosen, self.sessions, self.rows)
    }

    fn epochs(
        &mut self,
        count: u64,
        epoch: impl Fn(&mut IRecGan, &Log) -> foretaste_irecgan::Result<CurvePoint>,
    ) -> anyhow::Result<()> {
        self.chosen = Chosen::default();
        self.judge_users(None)?;
        self.judge_agent(None)?;
        for done in 0..count {
            self.watch.progress(done, count);
            if self.watch.interrupted() {
                anyhow::bail!(foretaste_lab::Interrupted);
            }
            let point = epoch(&mut self.run, &self.sessions.train)?;
            if point.users_loss.is_some() {
                self.judge_users(Some(&point))?;
            }
            self.judge_agent(Some(&point))?;
        }
        Ok(())
    }

    /// Judges U as it is now, before any epoch or after one.
    fn judge_users(&mut self, point: Option<&CurvePoint>) -> anyhow::Result<()> {
        let users = self.run.users();
        let value = self.value(&Ranking::new(users, Selection::Top)?)?;
        let loss = users.mean_loss(&self.sessions.stopping.log)?;
        self.chosen.by_held_out_users.users.consider(-value, users.params())?;
        self.chosen.by_likelihood.users.consider(loss, users.params())?;
        let Some(point) = point else { return Ok(()) };
        let epoch = self.rows[0].len() as u64;
        let point = NetworkPoint::new("users", epoch, point.users_loss, loss)
            .with(figures([(IN_HELD_OUT_USERS, Some(value))]))
            .with_norms(figures([("gradient_norm", self.run.gradient_norms().users)]));
        epochs::record(self.watch, std::slice::from_ref(&point));
        self.rows[0].push(point.row);
        Ok(())
    }

    /// The same of A.
    fn judge_agent(&mut self, point: Option<&CurvePoint>) -> anyhow::Result<()> {
        let agent = self.run.agent();
        let value = self.value(&AgentPolicy::new(agent, Selection::Sampled)?)?;
        let training = &self.run.config().agent_training;
        let loss = agent.mean_loss(&self.sessions.stopping, training)?;
        self.chosen.by_held_out_users.agent.consider(-value, agent.params())?;
        self.chosen.by_likelihood.agent.consider(loss, agent.params())?;
        if point.is_none() && !self.rows[1].is_empty() {
            return Ok(());
        }
        let epoch = self.rows[1].len() as u64;
        let trained = point.and_then(|point| point.agent_loss);
        let point = NetworkPoint::new("agent", epoch, trained, loss)
            .with(figures([(IN_HELD_OUT_USERS, Some(value))]))
            .with(point.into_iter().flat_map(generated))
            .with_norms(figures([("gradient_norm", self.run.gradient_norms().agent)]));
        epochs::record(self.watch, std::slice::from_ref(&point));
        self.rows[1].push(point.row);
        Ok(())
    }

    /// Mean clicks of a session in U'.
    fn value<P: Policy>(&self, policy: P) -> anyhow::Result<f64> {
        let seed = self.seed.derive("held-out users");
        let rollout = Rollout::new(seed, 0..self.judged_by, K).max_steps(STEPS);
        let outcomes = rollout.outcomes(self.judge, &Blind(policy))?;
        let clicks: f64 = outcomes.iter().map(|outcome| f64::from(outcome.clicks)).sum();
        Ok(clicks / self.judged_by as f64)
    }
}

impl Best {
    /// Puts the parameters into the networks of a run.
    pub fn restore(&self, run: &IRecGan) -> anyhow::Result<()> {
        for (kept, params) in
            [(&self.users, run.users().params()), (&self.agent, run.agent().params())]
        {
            kept.0.iter().try_for_each(|(_, kept)| params.restore(kept))?;
        }
        Ok(())
    }
}

impl Kept {
    fn consider(&mut self, value: f64, params: &Params) -> anyhow::Result<()> {
        if self.0.as_ref().is_none_or(|(lowest, _)| value < *lowest) {
            self.0 = Some((value, params.snapshot()?));
        }
        Ok(())
    }
}

/// U', fitted by the settings of U to sessions that neither U nor A sees, and stopped by further
/// ones.
pub fn held_out_users(
    networks: &IRecGanConfig,
    sessions: &Sessions,
    seed: Seed,
    device: &Device,
    watch: &Watch,
) -> anyhow::Result<BehaviourUsers> {
    let seed = seed.derive("held-out users");
    let model = BehaviourModel::new(networks.users.clone(), seed, device)?;
    let mut trainer = BehaviourTrainer::new(model, networks.users_training.clone())?;
    let (judging, stopping) = (&sessions.judging, &sessions.stopping_of_judge);
    let fitted = trainer
        .fit(judging, stopping, networks.users_epochs.min(EPOCHS), seed, |_| watch.control_flow());
    interruptible(fitted)?;
    Ok(BehaviourUsers::new(trainer.model())?)
}

/// Epochs of U' at most.
const EPOCHS: u64 = 50;

/// Line 3.
struct Line3<'a, 'b> {
    training: &'a mut Training<'b>,
    /// Of the last epoch.
    loss: Option<f64>,
}

impl Fit for Line3<'_, '_> {
    type Point = Vec<NetworkPoint>;
    type Error = anyhow::Error;

    fn train(&mut self, _epoch: u64) -> anyhow::Result<()> {
        let Training { run, sessions, .. } = self.training;
        self.loss = run.pretrain_users(&sessions.train)?.users_loss;
        Ok(())
    }

    fn validate(&mut self, epoch: u64) -> anyhow::Result<Vec<NetworkPoint>> {
        let Training { run, sessions, .. } = self.training;
        let loss = run.users().mean_loss(&sessions.stopping.log)?;
        let point = NetworkPoint::new("users", epoch, self.loss, loss);
        let norm = figures([("gradient_norm", run.gradient_norms().users)]);
        Ok(vec![point.with_norms(norm)])
    }

    fn params(&self) -> Vec<&Params> {
        vec![self.training.run.users().params()]
    }

    fn losses(&self, networks: &Vec<NetworkPoint>) -> Vec<f64> {
        epochs::losses(networks)
    }
}
