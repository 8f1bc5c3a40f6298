//! Algorithm 1 on a log, with validation: after line 3 U is the one of its best epoch.
//!
//! A is the one of its last epoch: its likelihood on a log is highest where it imitates the policy
//! that made the log, which says nothing of what it would earn.

use std::path::Path;

use foretaste_data::{Catalogue, Provenance};
use foretaste_irecgan::{Error as Failed, IRecGan, IRecGanConfig, Selection, Stage};
use foretaste_nn::Params;
use foretaste_random::Seed;
use foretaste_train::run::{self, Resumed};
use foretaste_train::{Fit, Fitting};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::training::{
    Effort, HeldOut, Job, Progress, Trained, TrainingLog, Watch, by_epochs, check_kept,
};
use crate::{Content, Error, Result};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    algorithm: IRecGanConfig,
    /// Of so many sessions one is kept to validate U by.
    one_validates_of: usize,
    /// Line 3 ends after so many epochs without a new best of U.
    patience: u64,
    /// As [`Effort::first_click_given`].
    first_click_given: bool,
}

/// The published settings, in the size that was asked for; the validation is ours.
pub(super) fn settings(log: &TrainingLog<'_>, effort: &Effort) -> Result<Value> {
    let items = log.dataset.catalogue.len();
    let shown = log.steps().filter(|step| step.choice != foretaste_data::Choice::Skip);
    let widest = shown.map(|step| step.slate.len()).max().unwrap_or(1);
    let mut algorithm = IRecGanConfig::new(items, widest.min(items));
    let (hidden, epochs) = (effort.hidden.unwrap_or(64), effort.epochs.unwrap_or(10));
    (algorithm.users.hidden, algorithm.agent.hidden, algorithm.discriminator.hidden) =
        (hidden, hidden, hidden);
    (algorithm.users_epochs, algorithm.agent_epochs, algorithm.epochs) =
        (epochs, epochs, effort.adversarial.unwrap_or(5));
    algorithm.users.rewards = log.rewards();
    algorithm.discriminator.leaving = log.dataset.log.iter().any(|session| session.left());
    let (one_validates_of, first_click_given) = (HeldOut::ONE_OF, effort.first_click_given);
    let settings = Settings { algorithm, one_validates_of, patience: 5, first_click_given };
    serde_json::to_value(settings).map_err(|reason| Error::setting("settings", reason))
}

/// Algorithm 1.
pub(super) fn train(
    log: &TrainingLog<'_>,
    job: &Job<'_>,
    watch: &mut dyn Watch,
) -> Result<Trained> {
    let Settings { algorithm, one_validates_of, patience, first_click_given } = job.settings()?;
    let (catalogue, seed) = (&log.dataset.catalogue, Seed::new(job.seed));
    let sessions = log.clicked("IRecGAN", first_click_given, seed, watch)?;
    let sessions = HeldOut::of(&sessions, one_validates_of, seed)?;
    let mut training = match job.unfinished {
        None => {
            let networks = IRecGan::new(algorithm, seed, job.device)?;
            Validated::start(networks, &sessions, patience)?
        }
        Some(place) => {
            let kept = Validated::resume(place, &sessions, catalogue, seed, job)?;
            check_kept(kept.networks.config(), &algorithm)?;
            kept
        }
    };
    let mut stage = "";
    loop {
        let provenance = Provenance { catalogue, origin: job.origin };
        let save = |place: &Path| training.save(place, provenance, seed);
        let progress =
            Progress { done: training.done(), total: training.total(), stage, save: &save };
        if watch.progress(progress).is_break() {
            return Err(Error::Interrupted);
        }
        match training.advance()? {
            Some(done) => stage = name(done),
            None => break,
        }
    }
    let (agent, stages) = (training.networks.agent(), training.done());
    let content = Content::agent(agent, Selection::Sampled)?.after(stages);
    Ok(Trained::from_log(content, sessions.sessions()))
}

fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::PretrainUsers => "user model",
        Stage::PretrainAgent => "agent",
        Stage::PretrainDiscriminator => "discriminator",
        Stage::Adversarial => "adversarial",
    }
}

/// Algorithm 1 on its way.
struct Validated<'a> {
    networks: IRecGan,
    sessions: &'a HeldOut,
    /// Until U is put back to its best epoch.
    line_3: Option<Fitting<f64>>,
}

/// What is kept of an unfinished training in addition to [`NETWORKS`] and [`LINE_3`].
#[derive(Serialize, Deserialize)]
struct Unfinished {
    /// Whether U is still to be put back to its best epoch.
    in_line_3: bool,
}

/// The run of Algorithm 1.
const NETWORKS: &str = "networks";
/// How far the fit of U is, and its best parameters so far.
const LINE_3: &str = "line-3";

impl<'a> Validated<'a> {
    fn start(mut networks: IRecGan, sessions: &'a HeldOut, patience: u64) -> Result<Self> {
        let config = by_epochs(networks.config().users_epochs, Some(patience));
        let line_3 = Fitting::start(&mut Users { networks: &mut networks, sessions }, config)?;
        Ok(Self { networks, sessions, line_3: Some(line_3) })
    }

    /// What [`save`](Self::save) wrote.
    fn resume(
        place: &Path,
        sessions: &'a HeldOut,
        catalogue: &Catalogue,
        seed: Seed,
        job: &Job<'_>,
    ) -> Result<Self> {
        let Resumed { state: Unfinished { in_line_3 }, folder } = run::resume(place, seed)?;
        let mut networks = IRecGan::resume(&folder.join(NETWORKS), catalogue, seed, job.device)?;
        let users = Users { networks: &mut networks, sessions };
        let line_3 = in_line_3.then(|| Fitting::load(&folder.join(LINE_3), &users)).transpose()?;
        Ok(Self { networks, sessions, line_3 })
    }

    fn save(&self, place: &Path, provenance: Provenance<'_>, seed: Seed) -> Result<()> {
        run::save(place, seed, |place| {
            self.networks.save(&place.join(NETWORKS), provenance)?;
            if let Some(line_3) = &self.line_3 {
                line_3.save(&place.join(LINE_3))?;
            }
            Ok(Unfinished { in_line_3: self.line_3.is_some() })
        })
    }

    /// The next stage of Algorithm 1; `None` if all are done.
    fn advance(&mut self) -> Result<Option<Stage>> {
        let Self { networks, sessions, line_3 } = self;
        if let Some(mut fitting) = line_3.take() {
            let mut users = Users { networks: &mut *networks, sessions };
            if fitting.advance(&mut users)?.is_some() {
                *line_3 = Some(fitting);
                return Ok(Some(Stage::PretrainUsers));
            }
            fitting.finish(&users)?;
        }
        let (agent, adversarial) = (networks.config().agent_epochs, networks.config().epochs);
        let train = &sessions.train;
        let point = match networks.curve().len() as u64 - of_users(networks) {
            after if after < agent => networks.pretrain_agent(train)?,
            after if after == agent => networks.pretrain_discriminator(train)?,
            after if after <= agent + adversarial => networks.adversarial_epoch(train)?,
            _ => return Ok(None),
        };
        Ok(Some(point.stage))
    }

    /// Stages done.
    fn done(&self) -> u64 {
        self.networks.curve().len() as u64
    }

    /// Of so many; line 3 may turn out to be shorter.
    fn total(&self) -> u64 {
        let config = self.networks.config();
        let users = match &self.line_3 {
            Some(fitting) if !fitting.is_over() => config.users_epochs,
            _ => of_users(&self.networks),
        };
        users + config.agent_epochs + 1 + config.epochs
    }
}

/// Epochs of line 3 done.
fn of_users(networks: &IRecGan) -> u64 {
    let stages = networks.curve().iter().map(|point| point.stage);
    stages.filter(|&stage| stage == Stage::PretrainUsers).count() as u64
}

/// U in line 3. A point is its mean loss on the sessions that are held out, in nats a step.
struct Users<'a> {
    networks: &'a mut IRecGan,
    sessions: &'a HeldOut,
}

impl Fit for Users<'_> {
    type Point = f64;
    type Error = Failed;

    fn train(&mut self, _epoch: u64) -> std::result::Result<(), Failed> {
        self.networks.pretrain_users(&self.sessions.train)?;
        Ok(())
    }

    fn validate(&mut self, _epoch: u64) -> std::result::Result<f64, Failed> {
        Ok(self.networks.users().mean_loss(&self.sessions.validation)?)
    }

    fn params(&self) -> Vec<&Params> {
        vec![self.networks.users().params()]
    }

    fn losses(&self, loss: &f64) -> Vec<f64> {
        vec![*loss]
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use foretaste_sim::policies::UniformRandom;
    use foretaste_sim::{Blind, Mdp, MdpConfig, Rollout};
    use foretaste_user_model::behaviour::clicked_sessions;

    use super::*;

    /// Sixty sessions, of which every other validates.
    fn sessions() -> HeldOut {
        let mdp = Mdp::new(&MdpConfig { items: 20, ..MdpConfig::default() }).unwrap();
        let random = Blind(UniformRandom { items: 20 });
        let log = Rollout::new(Seed::new(1), 0..60, 4).max_steps(6).run(&mdp, &random).unwrap();
        let all: Vec<usize> = (0..60).collect();
        let log = clicked_sessions(&log, &all, 20, Seed::new(2)).unwrap();
        HeldOut::of(&log, 2, Seed::new(3)).unwrap()
    }

    /// Of a size that learns thirty sessions by heart.
    fn networks(users_epochs: u64) -> IRecGan {
        let mut config = IRecGanConfig::new(20, 4);
        (config.users.hidden, config.agent.hidden, config.discriminator.hidden) = (16, 4, 4);
        config.users_training.optimiser.learning_rate = 0.02;
        (config.users_epochs, config.agent_epochs, config.epochs) = (users_epochs, 1, 0);
        IRecGan::new(config, Seed::new(4), &Device::Cpu).unwrap()
    }

    #[test]
    fn after_line_3_u_is_the_one_of_its_best_epoch() {
        let (sessions, patience) = (sessions(), 3);
        let mut training = Validated::start(networks(200), &sessions, patience).unwrap();
        let mut losses = Vec::new();
        while let Some(fitting) = &training.line_3 {
            losses = fitting.curve().to_vec();
            training.advance().unwrap();
        }
        let best = (0..losses.len()).min_by(|&a, &b| losses[a].total_cmp(&losses[b])).unwrap();
        let epochs = losses.len() - 1;
        assert!(best > 0 && epochs < 200, "{losses:?}");
        assert_eq!(epochs - best, patience as usize, "{losses:?}");
        let after = training.networks.users().mean_loss(&sessions.validation).unwrap();
        assert_eq!(after, losses[best]);
        assert_eq!((training.done(), training.total()), (epochs as u64 + 1, epochs as u64 + 2));
    }
}
