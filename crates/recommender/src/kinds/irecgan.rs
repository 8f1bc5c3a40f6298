//! IRecGAN's agent, as it draws its slates and by its likeliest items.

use candle_core::Device;
use foretaste_data::{Catalogue, Provenance};
use foretaste_irecgan::{Agent, AgentPolicy, IRecGan, IRecGanConfig, Selection, Stage};
use foretaste_random::Seed;
use foretaste_train::Network;
use serde_json::Value;

use super::Kind;
use crate::content::check_items;
use crate::training::{Effort, Job, Progress, Trained, Training, TrainingLog, Watch};
use crate::{Content, DynPolicy, Erased, Error, Result};

pub(super) const DRAWN: Kind = Kind {
    name: "irecgan",
    model: "irecgan/1",
    networks: &[Agent::KIND],
    build: |content, catalogue, device| build(content, catalogue, device, Selection::Sampled),
    training: Some(Training {
        about: "IRecGAN's agent, which draws its slates",
        takes: &["epochs", "adversarial", "hidden"],
        learns: true,
        settings,
        train,
    }),
};

pub(super) const TOP: Kind = Kind {
    name: "irecgan-top",
    model: "irecgan-top/1",
    networks: &[],
    build: |content, catalogue, device| build(content, catalogue, device, Selection::Top),
    training: None,
};

impl Content {
    /// IRecGAN's agent: slates that it draws, or its likeliest items.
    pub fn agent(agent: &Agent, selection: Selection) -> Result<Self> {
        let kind = match selection {
            Selection::Sampled => &DRAWN,
            Selection::Top => &TOP,
        };
        Self::of(kind.name, agent)
    }
}

fn build(
    content: &Content,
    catalogue: &Catalogue,
    device: &Device,
    selection: Selection,
) -> Result<Box<dyn DynPolicy>> {
    let agent: Agent = content.network(catalogue, device)?;
    check_items(agent.config().items, catalogue)?;
    Ok(Box::new(Erased::drawn(AgentPolicy::new(&agent, selection)?)))
}

/// The published settings, in the size that was asked for.
fn settings(log: &TrainingLog<'_>, effort: &Effort) -> Result<Value> {
    let items = log.dataset.catalogue.len();
    let shown = log.steps().filter(|step| step.choice != foretaste_data::Choice::Skip);
    let widest = shown.map(|step| step.slate.len()).max().unwrap_or(1);
    let mut config = IRecGanConfig::new(items, widest.min(items));
    (config.users.hidden, config.agent.hidden, config.discriminator.hidden) =
        (effort.hidden, effort.hidden, effort.hidden);
    (config.users_epochs, config.agent_epochs, config.epochs) =
        (effort.epochs, effort.epochs, effort.adversarial);
    config.discriminator.leaving = log.dataset.log.iter().any(|session| session.left());
    serde_json::to_value(config).map_err(|reason| Error::setting("settings", reason))
}

/// Algorithm 1.
fn train(log: &TrainingLog<'_>, job: &Job<'_>, watch: &mut dyn Watch) -> Result<Trained> {
    let (catalogue, seed) = (&log.dataset.catalogue, Seed::new(job.seed));
    let offline = log.clicked("IRecGAN", seed, watch)?;
    if offline.sessions() == 0 {
        return Err(Error::setting("log", "no session with a click among those to learn from"));
    }
    let config: IRecGanConfig = job.settings()?;
    let total = config.users_epochs + config.agent_epochs + 1 + config.epochs;
    let mut run = match job.unfinished {
        Some(place) => IRecGan::resume(place, catalogue, seed, job.device)?,
        None => IRecGan::new(config, seed, job.device)?,
    };
    let mut stage = "";
    loop {
        let done = run.curve().len() as u64;
        let save = |place: &std::path::Path| {
            Ok(run.save(place, Provenance { catalogue, origin: job.origin })?)
        };
        let progress = Progress { done, total, stage, save: Some(&save) };
        if watch.progress(progress).is_break() {
            return Err(Error::Interrupted);
        }
        match run.advance(&offline)? {
            Some(point) => stage = name(point.stage),
            None => break,
        }
    }
    let content = Content::agent(run.agent(), Selection::Sampled)?.after(run.curve().len() as u64);
    Ok(Trained { content, sessions: offline.sessions() })
}

fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::PretrainUsers => "user model",
        Stage::PretrainAgent => "agent",
        Stage::PretrainDiscriminator => "discriminator",
        Stage::Adversarial => "adversarial",
    }
}
