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
    /// Epochs shown so far.
    done: u64,
    chosen: Chosen,
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

/// The parameters of U and A at their best epochs.
#[derive(Default)]
pub struct Best {
    users: Option<Kept>,
    agent: Option<Kept>,
}

struct Kept {
    value: f64,
    params: BTreeMap<String, Tensor>,
}

impl<'a> Training<'a> {
    /// Of `run`, from where it is.
    pub fn new(
        run: IRecGan,
        sessions: &'a Sessions,
        judge: &'a BehaviourUsers,
        patience: u64,
        judged_by: u64,
        seed: Seed,
        watch: &'a Watch,
    ) -> Self {
        let (chosen, rows) = (Chosen::default(), [Vec::new(), Vec::new()]);
        Self { run, sessions, judge, patience, judged_by, seed, watch, done: 0, chosen, rows }
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
        self.judge(None)?;
        for done in 0..count {
            self.watch.progress(done, count);
            if self.watch.interrupted() {
                anyhow::bail!(foretaste_lab::Interrupted);
            }
            let point = epoch(&mut self.run, &self.sessions.train)?;
            self.judge(Some(&point))?;
        }
        Ok(())
    }

    /// Judges U and A as they are now.
    fn judge(&mut self, point: Option<&CurvePoint>) -> anyhow::Result<()> {
        let run = &self.run;
        let of_users = Ranking::new(run.users(), Selection::Top)?;
        let of_agent = AgentPolicy::new(run.agent(), Selection::Sampled)?;
        let values = [self.value(&of_users)?, self.value(&of_agent)?];
        let users_loss = run.users().mean_loss(&self.sessions.stopping.log)?;
        let agent_loss =
            run.agent().mean_loss(&self.sessions.stopping, &run.config().agent_training)?;
        let params = [run.users().params(), run.agent().params()];
        self.chosen.by_held_out_users.consider(values.map(|value| -value), params)?;
        self.chosen.by_likelihood.consider([users_loss, agent_loss], params)?;

        let trained =
            [point.and_then(|point| point.users_loss), point.and_then(|point| point.agent_loss)];
        let norms = run.gradient_norms();
        let others = [Vec::new(), point.into_iter().flat_map(generated).collect()];
        let networks = [("users", users_loss, norms.users), ("agent", agent_loss, norms.agent)];
        let all = networks.into_iter().zip(values).zip(trained).zip(others).zip(&mut self.rows);
        for (((((part, loss, norm), value), trained), others), rows) in all {
            let point = NetworkPoint::new(part, self.done, trained, loss)
                .with(figures([("reward_in_held_out_users", Some(value))]))
                .with(others)
                .with_norms(figures([("gradient_norm", norm)]));
            epochs::record(self.watch, std::slice::from_ref(&point));
            rows.push(point.row);
        }
        self.done += 1;
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
    /// Keeps what is lower than before.
    fn consider(&mut self, values: [f64; 2], params: [&Params; 2]) -> anyhow::Result<()> {
        let kept = [&mut self.users, &mut self.agent];
        for ((kept, value), params) in kept.into_iter().zip(values).zip(params) {
            if kept.as_ref().is_none_or(|kept| value < kept.value) {
                *kept = Some(Kept { value, params: params.snapshot()? });
            }
        }
        Ok(())
    }

    /// Puts the parameters into the networks of a run.
    pub fn restore(&self, run: &IRecGan) -> anyhow::Result<()> {
        for (kept, params) in
            [(&self.users, run.users().params()), (&self.agent, run.agent().params())]
        {
            kept.iter().try_for_each(|kept| params.restore(&kept.params))?;
        }
        Ok(())
    }
}

/// U', fitted to the judging sessions by the settings of U.
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
    let (judging, stopping) = (&sessions.judging, &sessions.stopping.log);
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
        let point = NetworkPoint::new("line-3", epoch, self.loss, loss);
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
