//! What is found of learned users, without the truth.

use candle_core::Device;
use foretaste_baselines::{Data, ModelKind, select_among, told_apart};
use foretaste_cascade_dqn::Greedy;
use foretaste_data::{Catalogue, Fractions, Log, Split};
use foretaste_eval::choice::{ChoiceModel, Clicks};
use foretaste_lab::Watch;
use foretaste_random::Seed;
use foretaste_train::CountFeatures;
use foretaste_user_model::trust::{
    Arena, Asking, ByItem, Evidence, Named, Pair, Replay, dealt, numbers,
};
use foretaste_user_model::{LearnedUsers, Outside, TrainConfig, UserModel, UserModelConfig, fit};

use super::world::{Config, K};
use crate::learned::{grid_callback, interruptible};

/// Users that were learned from a log, and what they are compared with.
pub struct Learned {
    pub users: LearnedUsers,
    /// Learned from halves of the sessions.
    halves: [LearnedUsers; 2],
    /// Of another form, learned from the same sessions.
    other_form: LearnedUsers,
    split: Split,
    items: usize,
}

/// Clicks that greed looks back.
const HISTORY: usize = 20;
/// What greedy policies of two models are called.
const GREEDY: [&str; 2] = ["greedy in the first", "greedy in the second"];
/// Which of the two models is of the other form.
const OTHER_FORM: usize = 1;
/// Models that users are to beat.
const SIMPLER: [ModelKind; 3] = [ModelKind::Position, ModelKind::Popularity, ModelKind::Trees];

impl Learned {
    /// Fits all.
    pub fn new(
        config: &Config,
        log: &Log,
        features: Option<(Vec<f32>, usize)>,
        seed: Seed,
        device: &Device,
        watch: &Watch,
    ) -> anyhow::Result<Self> {
        let outside = Outside::observed(log);
        let model = config.model(outside);
        let items = model.items;
        let other = model.other_form(features.is_some());
        let catalogue = Catalogue::numbered(items);
        let catalogue = match features {
            Some((features, dims)) => catalogue.with_features(features, dims)?,
            None => catalogue,
        };
        type Form<'a> = (&'a UserModelConfig, &'a TrainConfig);
        let fitted = |(model, training): Form<'_>,
                      split: &Split,
                      seed: Seed|
         -> anyhow::Result<LearnedUsers> {
            let mut users = UserModel::new(model.clone(), &catalogue, seed, device)?;
            let (seed, callback) = (seed.derive("training"), |_| watch.control_flow());
            interruptible(fit(&mut users, log, split, training, seed, callback))?;
            Ok(LearnedUsers::new(users)?)
        };
        let split = Split::by_session(log, Fractions::default(), seed.derive("split"))?;
        let own = (&model, &config.training);
        let users = fitted(own, &split, seed)?;
        let other_form = fitted((&other, &config.whole), &split, seed.derive("other form"))?;
        let learned = [&split.train[..], &split.validation].concat();
        let half = |sessions: &[usize], half: u64| -> anyhow::Result<LearnedUsers> {
            let seed = seed.derive("halves").index(half);
            let mut thirds = dealt(log, sessions, 3, seed);
            let validation = thirds.pop().unwrap_or_default();
            let split = Split { train: thirds.concat(), validation, test: Vec::new() };
            fitted(own, &split, seed)
        };
        let sessions = dealt(log, &learned, 2, seed.derive("halves"));
        let halves = [half(&sessions[0], 0)?, half(&sessions[1], 1)?];
        Ok(Self { users, halves, other_form, split, items })
    }

    /// The k items that these users find most likely.
    pub fn greedy<'a>(&self, users: &'a LearnedUsers) -> Greedy<ByItem<&'a LearnedUsers>> {
        // None of these models looks at places.
        let asking = Asking::Together;
        Greedy::new(ByItem { model: users, asking }, self.items, HISTORY)
    }

    /// The sessions that were learned from.
    pub fn sessions(&self) -> Vec<usize> {
        [&self.split.train[..], &self.split.validation].concat()
    }
}

/// The figures that the rule reads.
pub fn evidence(
    config: &Config,
    log: &Log,
    learned: &Learned,
    seed: Seed,
    watch: &Watch,
) -> anyhow::Result<Evidence> {
    let (users, held_out) = (&learned.users, &learned.split.test);
    let (sessions, effort) = (learned.sessions(), config.effort());
    let seed = seed.derive("evidence");
    let replay = Replay::new(users, log, held_out, &effort, seed)?;
    let counts = CountFeatures::counted(log, &sessions, learned.items)?;
    let of = |log: &Log, sessions: &[usize]| -> Vec<Vec<f64>> {
        sessions.iter().map(|&session| numbers(log.session(session), &counts)).collect()
    };
    let all: Vec<usize> = (0..log.sessions()).collect();
    let all = Replay::new(users, log, &all, &effort, seed.derive("all"))?;
    let simulated: Vec<usize> = (0..replay.simulated.sessions()).collect();
    let real = of(log, &replay.sessions);
    let told = told_apart(&of(&replay.simulated, &simulated), &real, seed).ok();

    let arena =
        Arena::new(log, &sessions, learned.items, K, (effort.played, effort.max_steps), seed)?;
    let pair = |models: [&LearnedUsers; 2]| {
        let greedy = models.map(|users| learned.greedy(users));
        let named =
            |at: usize| Named { greedy: GREEDY[at], users: models[at], policy: &greedy[at] };
        Pair::new([named(0), named(1)], log, held_out, &arena)
    };
    let [first, second] = &learned.halves;
    let (halves, forms) = (pair([first, second])?, pair([users, &learned.other_form])?);
    let gains = gains(log, learned, seed, watch)?;
    Ok(Evidence {
        nll_gain: gains.map(|[gain, _]| gain),
        uniform_gain: gains.map(|[_, gain]| gain),
        click_rate_error: all.click_rate.relative_error(),
        reward_error: all.reward.relative_error(),
        length_error: all.length.and_then(|length| length.relative_error()),
        told_apart: told.map(|told| told.mean),
        halves_agree: halves.agreement.correlation.map(|correlation| correlation.mean),
        order: halves.order(),
        regret: Some(halves.regret()),
        greed: Some(halves.greed()),
        unseen: Some(halves.unseen()),
        form_gain: forms.nll_difference.and_then(|gain| Some(gain.interval.ok()?.high)),
        form_order: forms.order_in(OTHER_FORM),
        form_regret: Some(forms.regret_in(OTHER_FORM)),
        form_greed: Some(forms.greed_in(OTHER_FORM)),
        other_log: None,
    })
}

/// NLL given a click of the best simpler model less that of the users, and the least that uniform
/// choice has lost.
fn gains(
    log: &Log,
    learned: &Learned,
    seed: Seed,
    watch: &Watch,
) -> anyhow::Result<Option<[f64; 2]>> {
    let held_out = &learned.split.test;
    let clicks = Clicks::new(log, held_out);
    let Some(own) = clicks.losses(&learned.users.predict(log, held_out)?) else { return Ok(None) };
    if own.is_empty() {
        return Ok(None);
    }
    let uniform = clicks.difference(&vec![(K as f64).ln(); own.len()], &own)?;
    let Ok(interval) = uniform.interval else { return Ok(None) };
    let mut least = uniform.mean;
    let data = Data::new(log, learned.items, &learned.split);
    for kind in SIMPLER {
        let seed = seed.derive(kind.name());
        let selected = select_among(&kind.coarse_grid(), &data, seed, grid_callback(watch));
        let model = interruptible(selected)?.model;
        if let Some(losses) = clicks.losses(&model.predict(log, held_out)?) {
            least = least.min(clicks.difference(&losses, &own)?.mean);
        }
    }
    Ok(Some([least, interval.low]))
}
