//! From a case to all figures of a trust report, part by part. It only computes: the rule that
//! makes a verdict of the figures and the page that shows them are in other modules.

use std::ops::ControlFlow;

use anyhow::{Context, bail};
use foretaste_baselines::told_apart;
use foretaste_console::Interrupted;
use foretaste_data::{Log, Split};
use foretaste_eval::Estimate;
use foretaste_eval::choice::ChoiceModel;
use foretaste_random::Seed;
use foretaste_recommender::{Users, UsersEnvironment};
use foretaste_train::CountFeatures;
use foretaste_user_model::trust::{
    Arena, Calibration, Effort, Evidence, Group, Named, Pair, Replay, Value, by_history, by_place,
    dealt, numbers, shown,
};

use super::case::{Case, warn_of_alike};
use super::other::Other;
use super::{Known, known};
use crate::fit::compare::Comparison;
use crate::fit::settings::Settings;
use crate::fit::watch::Watch;
use crate::fit::{learn, simpler};

/// All that is found of users; of each part that is not known, why.
pub struct Report {
    /// Compared with simpler models, on held-out sessions.
    pub comparison: Known<Comparison>,
    pub chances: Known<Chances>,
    /// Held-out slates, replayed.
    pub replay: Known<Replay>,
    /// Slates of all sessions, replayed.
    pub all: Known<Replay>,
    /// The area under the ROC curve of simulated against real sessions, and that of two halves of
    /// the real ones.
    pub told_apart: Known<[Estimate; 2]>,
    pub halves: Known<Pair>,
    /// What policies earn in the users.
    pub values: Known<Vec<Value>>,
    /// The users, and a model of another form.
    pub forms: Known<Pair>,
    pub other: Other,
    pub evidence: Evidence,
}

/// Whether chances are shares.
pub struct Chances {
    pub all: Calibration,
    pub by_place: Vec<(usize, Group)>,
    pub by_history: Vec<(usize, Group)>,
}

/// Parts in addition to the fits.
const PARTS: u64 = 8;
/// Which of the two models of [`Report::forms`] is of the other form.
pub const OTHER_FORM: usize = 1;
/// Why there are no models of halves.
const NOT_LEARNED: &str = "the users did not learn from this log";

/// How much work it is.
pub fn units(case: &Case) -> u64 {
    let fits =
        case.settings.as_ref().map_or(0, |[own, other]| 2 * own.iterations() + other.iterations());
    simpler::points() + fits + PARTS
}

/// Examines users.
///
/// # Errors
/// [`Interrupted`] if the watch stopped it.
pub fn examine(case: &Case, watch: &mut Watch) -> anyhow::Result<Report> {
    warn_of_alike(case);
    let (log, held_out) = (&case.dataset.log, &case.held_out[..]);
    let comparison = known(compared(case, watch))?;
    let chances = known(case.users.predict(log, held_out).map_err(Into::into))?.map(|said| {
        let items = shown(log, held_out, &said);
        Chances {
            by_place: by_place(&items),
            by_history: by_history(&items),
            all: Calibration::new(items.iter().map(|item| (item.chance, item.clicked)).collect()),
        }
    });
    part(watch)?;
    let longest = held_out.iter().map(|&session| log.session(session).len()).max();
    let effort = Effort::new(case.max_steps.max(longest.unwrap_or(1)));
    let replay = Replay::new(&case.users, log, held_out, &effort, case.seed);
    let replay = known(replay.map_err(Into::into))?;
    part(watch)?;
    let sessions: Vec<usize> = (0..log.sessions()).collect();
    let all = Replay::new(&case.users, log, &sessions, &effort, case.seed.derive("all"));
    let all = known(all.map_err(Into::into))?;
    part(watch)?;
    let told = match &replay {
        Ok(replay) => known(told(case, replay))?,
        Err(why) => Err(why.clone()),
    };
    part(watch)?;

    let arena = match case.learned.is_empty() {
        true => Err(NOT_LEARNED.to_owned()),
        false => {
            let (items, size) = (case.dataset.catalogue.len(), (effort.played, case.max_steps));
            let arena = Arena::new(log, &case.learned, items, case.k, size, case.seed);
            known(arena.map_err(Into::into))?
        }
    };
    let values = match &arena {
        Ok(arena) => {
            let greedy = case.greedy(&case.users);
            known(arena.values(&case.users, &[("greedy", &greedy)]).map_err(Into::into))?
        }
        Err(why) => Err(why.clone()),
    };
    part(watch)?;
    let (halves, forms) = match (&arena, &case.settings) {
        (Ok(arena), Ok([own, other])) => {
            let halves = known(halves(case, own, arena, watch))?;
            part(watch)?;
            (halves, known(forms(case, other, arena, watch))?)
        }
        (Err(why), _) | (_, Err(why)) => (Err(why.clone()), Err(why.clone())),
    };
    part(watch)?;
    let other = Other::new(case)?;
    part(watch)?;

    let compared = all.as_ref().ok();
    let (found, other_form) = (halves.as_ref().ok(), forms.as_ref().ok());
    let evidence = Evidence {
        nll_gain: comparison.as_ref().ok().and_then(gained),
        uniform_gain: comparison.as_ref().ok().and_then(gained_on_uniform),
        click_rate_error: compared.and_then(|replay| replay.click_rate.relative_error()),
        reward_error: compared.and_then(|replay| replay.reward.relative_error()),
        length_error: compared.and_then(|replay| replay.length?.relative_error()),
        told_apart: told.as_ref().ok().map(|[told, _]| told.mean),
        halves_agree: found.and_then(|halves| Some(halves.agreement.correlation?.mean)),
        order: found.and_then(Pair::order),
        regret: found.map(Pair::regret),
        greed: found.map(Pair::greed),
        unseen: found.map(Pair::unseen),
        form_gain: other_form.and_then(|forms| Some(forms.nll_difference?.interval.ok()?.high)),
        form_order: other_form.and_then(|forms| forms.order_in(OTHER_FORM)),
        form_regret: other_form.map(|forms| forms.regret_in(OTHER_FORM)),
        form_greed: other_form.map(|forms| forms.greed_in(OTHER_FORM)),
        other_log: other.evidence(),
    };
    Ok(Report {
        comparison,
        chances,
        replay,
        all,
        told_apart: told,
        halves,
        forms,
        values,
        other,
        evidence,
    })
}

/// One more part is done.
fn part(watch: &mut Watch) -> anyhow::Result<()> {
    match watch.advance("parts") {
        ControlFlow::Break(()) => bail!(Interrupted),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// The sessions that were learned from, of which a third says when to stop.
fn split(case: &Case, sessions: &[usize], what: &str) -> anyhow::Result<Split> {
    let log = &case.dataset.log;
    let mut thirds = dealt(log, sessions, 3, case.seed.derive(what));
    let validation = thirds.pop().unwrap_or_default();
    let mut train = thirds.concat();
    train.sort_unstable();
    let clicks = |sessions: &[usize]| {
        sessions.iter().any(|&session| log.session(session).clicks().next().is_some())
    };
    if !clicks(&train) || !clicks(&validation) {
        bail!("{} sessions are too few: a third of them contains no click", sessions.len());
    }
    Ok(Split { train, validation, test: Vec::new() })
}

fn compared(case: &Case, watch: &mut Watch) -> anyhow::Result<Comparison> {
    if case.learned.is_empty() {
        watch.leave_out(simpler::points());
        bail!(NOT_LEARNED);
    }
    let split = split(case, &case.learned, "simpler models").inspect_err(|_| {
        watch.leave_out(simpler::points());
    })?;
    let rivals = simpler::fit(&case.dataset, &split, case.seed, watch)?;
    Comparison::new(&case.users, case.name, &rivals, &case.dataset.log, &case.held_out)
}

/// The least that a simpler model has lost, on average.
fn gained(comparison: &Comparison) -> Option<f64> {
    comparison.others.iter().map(|beside| beside.difference.mean).min_by(f64::total_cmp)
}

/// The least that uniform choice, the first of the simpler models, has lost.
fn gained_on_uniform(comparison: &Comparison) -> Option<f64> {
    Some(comparison.others.first()?.difference.interval.ok()?.low)
}

fn told(case: &Case, replay: &Replay) -> anyhow::Result<[Estimate; 2]> {
    let log = &case.dataset.log;
    let counted = if case.learned.is_empty() { &replay.sessions } else { &case.learned };
    let counts = CountFeatures::counted(log, counted, case.dataset.catalogue.len())?;
    let of = |log: &Log, sessions: &[usize]| -> Vec<Vec<f64>> {
        sessions.iter().map(|&session| numbers(log.session(session), &counts)).collect()
    };
    let simulated: Vec<usize> = (0..replay.simulated.sessions()).collect();
    let seed = case.seed.derive("told apart");
    let told = told_apart(&of(&replay.simulated, &simulated), &of(log, &replay.sessions), seed)?;
    let halves = dealt(log, &replay.sessions, 2, seed);
    Ok([told, told_apart(&of(log, &halves[0]), &of(log, &halves[1]), seed)?])
}

/// Users fitted to these sessions.
fn fitted(
    case: &Case,
    settings: &Settings,
    sessions: &[usize],
    seed: Seed,
    watch: &mut Watch,
) -> anyhow::Result<UsersEnvironment> {
    let mut left = settings.iterations();
    // The first call comes before any iteration.
    let mut begun = false;
    let callback = || match std::mem::replace(&mut begun, true) {
        false => ControlFlow::Continue(()),
        true => {
            left = left.saturating_sub(1);
            watch.advance("steps of training")
        }
    };
    let split = split(case, sessions, "fits")?;
    let fitted = learn::fit(settings, &case.dataset, &split, seed, &case.device, callback);
    watch.leave_out(left);
    let (model, _) = learn::unless_diverged(fitted)?
        .with_context(|| format!("the training on {} sessions diverged", sessions.len()))?;
    Ok(Users::new(model, &case.dataset.catalogue).into_environment()?)
}

fn halves(
    case: &Case,
    settings: &Settings,
    arena: &Arena,
    watch: &mut Watch,
) -> anyhow::Result<Pair> {
    let seed = case.seed.derive("halves");
    let sessions = dealt(&case.dataset.log, &case.learned, 2, seed);
    let first = fitted(case, settings, &sessions[0], seed.index(0), watch)?;
    let second = fitted(case, settings, &sessions[1], seed.index(1), watch)?;
    pair(case, arena, [("the first half", &first), ("the second half", &second)])
}

/// The users, and a model of another form of the sessions that they learned from.
fn forms(
    case: &Case,
    settings: &Settings,
    arena: &Arena,
    watch: &mut Watch,
) -> anyhow::Result<Pair> {
    let seed = case.seed.derive("other form");
    let other = fitted(case, settings, &case.learned, seed, watch)?;
    pair(case, arena, [("the users", &case.users), ("the other form", &other)])
}

fn pair(
    case: &Case,
    arena: &Arena,
    models: [(&str, &UsersEnvironment); 2],
) -> anyhow::Result<Pair> {
    let greedy = models.map(|(name, users)| (format!("greedy in {name}"), case.greedy(users)));
    let named = |at: usize| {
        let ((name, policy), (_, users)) = (&greedy[at], models[at]);
        Named { greedy: name, users, policy }
    };
    Ok(Pair::new([named(0), named(1)], &case.dataset.log, &case.held_out, arena)?)
}
