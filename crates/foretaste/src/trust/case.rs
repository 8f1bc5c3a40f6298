//! What a trust report is about: the users, the logs in their items, and which sessions they did
//! not learn from. Everything that later modules may judge by is decided here, before any figure.

use std::path::Path;

use anyhow::bail;
use candle_core::Device;
use foretaste_cascade_dqn::Greedy;
use foretaste_console::terminal::eprint_line;
use foretaste_data::{Dataset, UnknownItems};
use foretaste_random::Seed;
use foretaste_recommender::{Model, Users, UsersEnvironment};
use foretaste_user_model::trust::{Asking, ByItem};
use foretaste_user_model::{Context as ItemContext, Outside, RewardHead, StateEncoder};

use super::{Args, Known};
use crate::fit::settings::{Kind, Settings};
use crate::log::read_as_it_is;
use crate::saved;
use crate::users::{SETTINGS, check_known, longest_session, usual_slate};

/// Users, and the log that they are judged by.
pub struct Case {
    pub users: UsersEnvironment,
    /// What they are called.
    pub name: &'static str,
    asking: Asking,
    /// What a click pays, where the users know it.
    pub rewards: Option<RewardHead>,
    /// The log, in the items of the users.
    pub dataset: Dataset,
    /// Its sessions that the users learned from, rising.
    pub learned: Vec<usize>,
    /// The others.
    pub held_out: Vec<usize>,
    /// Others that show and choose the same as a session that was learned from.
    pub alike: usize,
    /// What the users were fitted with, and what a model of another form is fitted with.
    pub settings: Known<[Settings; 2]>,
    /// The log of another policy, in the items of the users, and its sessions that the users did
    /// not learn from.
    pub against: Option<(Dataset, Vec<usize>)>,
    /// Items on the slates of policies.
    pub k: usize,
    /// Steps after which sessions of policies are cut.
    pub max_steps: usize,
    pub seed: Seed,
    pub device: Device,
}

/// Clicks that greed looks back.
const HISTORY: usize = 20;

impl Case {
    /// Reads the users and the logs.
    ///
    /// # Errors
    /// Where they cannot be read or do not fit each other, or no session is left to judge by.
    pub fn read(args: &Args, quiet: bool) -> anyhow::Result<Self> {
        let device = args.device.resolve()?.open()?;
        let users = saved::users(&args.users, &device)?;
        let Some(origin) = users.origin().cloned() else {
            bail!(
                "{} has no list of the sessions that it learned from, so no sessions can judge it; \
                 fit users with `foretaste fit`",
                args.users.display()
            );
        };
        let dataset = read(&args.log, &users, quiet)?;
        let overlap = origin.overlap(&dataset);
        let of = |seen: bool| -> Vec<usize> {
            (0..overlap.seen.len()).filter(|&session| overlap.seen[session] == seen).collect()
        };
        let (learned, held_out) = (of(true), of(false));
        let shown = args.log.display();
        if held_out.is_empty() {
            bail!(
                "the users learned from all {} sessions of {shown}, so none is left to judge them \
                 by; fit them to fewer sessions (`foretaste fit --percent`), or name a log with \
                 more",
                learned.len()
            );
        }
        let clicks = |&session: &usize| dataset.log.session(session).clicks().next().is_some();
        if !held_out.iter().any(clicks) {
            bail!(
                "no item is chosen in the {} sessions of {shown} that the users did not learn \
                 from, so these cannot judge; name a log with more sessions",
                held_out.len()
            );
        }
        let against = args.against.as_deref().map(|path| -> anyhow::Result<_> {
            let other = read(path, &users, quiet)?;
            let seen = origin.overlap(&other).seen;
            let sessions: Vec<usize> = (0..seen.len()).filter(|&session| !seen[session]).collect();
            if sessions.is_empty() {
                bail!(
                    "the users learned from all sessions of {}, so it is not a log of another \
                     policy; name another log with --against, or leave it out",
                    path.display()
                );
            }
            Ok((other, sessions))
        });
        let settings = origin.settings.get(SETTINGS).cloned();
        let settings =
            match settings.map(serde_json::from_value::<Settings>) {
                Some(Ok(own)) => {
                    let other = own.other_form(&dataset, &learned);
                    Ok([own, other])
                }
                _ => Err("the users have no record of the settings that they were fitted with"
                    .to_owned()),
            };
        let usual = dataset.log.session(0).step(0).slate.len();
        let (name, asking) = kind(&users);
        let rewards = match users.model() {
            Model::Gan(model) => model.config().outcomes.as_ref(),
            // What they pay for an item depends on their state.
            Model::Behaviour(_) => None,
        };
        let rewards = rewards.map(|outcomes| outcomes.rewards.clone());
        Ok(Self {
            k: args.k.or_else(|| usual_slate(&users)).unwrap_or(usual),
            max_steps: longest_session(&users),
            against: against.transpose()?,
            seed: Seed::new(args.seed).derive("trust"),
            users: users.into_environment()?,
            alike: overlap.alike,
            name,
            asking,
            rewards,
            dataset,
            learned,
            held_out,
            settings,
            device,
        })
    }

    /// Who shows what these users find most likely.
    pub fn greedy<'a>(&self, users: &'a UsersEnvironment) -> Greedy<ByItem<&'a UsersEnvironment>> {
        let items = self.dataset.catalogue.len();
        Greedy::new(ByItem { model: users, asking: self.asking }, items, HISTORY)
    }
}

/// A log in the items of the users.
fn read(path: &Path, users: &Users, quiet: bool) -> anyhow::Result<Dataset> {
    let dataset = read_as_it_is(path, quiet)?;
    if dataset.log.steps() == 0 {
        bail!("{} contains no slate", path.display());
    }
    check_known(&dataset.catalogue, users.catalogue(), &format!("the log {}", path.display()))?;
    Ok(dataset.mapped_to(users.catalogue(), UnknownItems::Refuse)?.0)
}

/// What users of this kind are called, and how they are asked for scores.
fn kind(users: &Users) -> (&'static str, Asking) {
    match users.model() {
        Model::Behaviour(_) => (Kind::Irecgan.name(), Asking::Together),
        Model::Gan(model) => {
            let kind = match model.config().state {
                StateEncoder::PositionWeights { .. } => Kind::Pw,
                StateEncoder::Lstm { .. } => Kind::Lstm,
            };
            let config = model.config();
            // Only a user who may choose nothing can be asked of a single item.
            let by_place = config.context == Some(ItemContext::Counts { place: true });
            let asking = match config.outside {
                Outside::Nothing { .. } if by_place => Asking::OneByOne,
                _ => Asking::Together,
            };
            (kind.name(), asking)
        }
    }
}

/// Says on the standard error that sessions may be known to the users under other names.
pub fn warn_of_alike(case: &Case) {
    if case.alike > 0 {
        eprint_line(format_args!(
            "warning: {} sessions have the same slates and choices as one that was learned from, \
             under another id; if they are the same sessions, the figures are too good",
            case.alike
        ));
    }
}
