//! A log beside a recommender, as columns that the estimators take.

#[cfg(test)]
mod tests;

use anyhow::Context;
use foretaste_data::{Choice, Extras, ItemId, Log, Mapping, PropensityKind, Session, Step};
use foretaste_eval::NoInterval;
use foretaste_eval::counterfactual::{
    Diagnostics, PolicyValue, Predictions, SequentialSlates, clipped_dr, clipped_ips, dm, dr, ips,
    rips, sndr, snips, snrips,
};
use foretaste_random::{Seed, Stream};
use foretaste_recommender::{Memory, Recommender};
use foretaste_sim::{Candidates, Policy, Responses, Slates};

use super::reward_model::RewardModel;

/// Slates drawn from the recommender for what q̂ expects of it.
const DRAWS: u64 = 64;

/// The judged slates, one after the other.
#[derive(Default)]
pub struct Rows {
    /// Number of places of each slate.
    lengths: Vec<usize>,
    /// The log's reward of each slate, whoever it is for.
    earned: Vec<f64>,
    /// The part of it that a place's item earned by being chosen, place by place.
    by_place: Vec<f64>,
    /// The logging policy's probability of each place, given the places before it.
    logging: Vec<f64>,
    /// The same of the recommender.
    evaluation: Vec<f64>,
    /// q̂ of each slate.
    logged: Vec<f64>,
    /// What q̂ expects of the recommender's slates, at the same time.
    expected: Vec<f64>,
    /// Whether the log's propensities are of whole slates: those of single places mean nothing.
    of_slates: bool,
}

/// What the estimators found.
pub struct Found {
    /// By name.
    pub values: Vec<(String, PolicyValue)>,
    /// What the weights say of the log.
    pub diagnostics: Diagnostics,
    /// Why estimators were left out.
    pub remarks: Vec<String>,
}

impl Rows {
    /// The slates of `judged`, whose items `mapping` finds among those of the recommender. It never
    /// shows an item that it does not know, and its history holds no click on one. q̂ of each
    /// session is fitted on `others` and the half of `judged` that the session does not belong to.
    /// `callback` is called after each session.
    ///
    /// # Errors
    /// Where the kind of recommender does not show slates of a length that the log holds, with the
    /// step and the session, which `name` names by its index in `judged`.
    pub fn new(
        policy: &Recommender,
        judged: &Log,
        others: &Log,
        mapping: &Mapping,
        name: impl Fn(usize) -> String,
        mut callback: impl FnMut(),
    ) -> anyhow::Result<Self> {
        let items = policy.catalogue().len();
        let half = |session: Session<'_>| session.index() % 2;
        let models = [0, 1].map(|own| {
            let sessions =
                others.iter().chain(judged.iter().filter(|session| half(*session) != own));
            RewardModel::fit(sessions, mapping, items)
        });
        let seed = Seed::new(0).derive("slates that q̂ is asked of");
        let of_slates = judged.facts().propensity == PropensityKind::Slate;
        let mut rows = Self { of_slates, ..Self::default() };
        for session in judged.iter() {
            let (model, index) = (&models[half(session)], session.index() as u64);
            let mut drawn = Drawn { policy, model, streams: seed.index(index).streams(0..DRAWS) };
            let mut memory = policy.begin(1)?;
            for (t, step) in session.steps().enumerate() {
                let extras = session.extras(t);
                rows.push(step, extras, &mut memory, &mut drawn, mapping).with_context(|| {
                    format!("session {}, step {t}, counted from 0", name(session.index()))
                })?;
            }
            callback();
        }
        Ok(rows)
    }

    /// Adds a step, which the recommender then remembers. Where its candidates are known, the
    /// recommender chooses among them only.
    fn push(
        &mut self,
        step: Step<'_>,
        extras: Extras<'_>,
        memory: &mut Memory,
        drawn: &mut Drawn<'_>,
        mapping: &Mapping,
    ) -> anyhow::Result<()> {
        let (policy, model) = (drawn.policy, drawn.model);
        let items = policy.catalogue().len();
        let propensity = step.propensity.context("it has no propensity")?;
        // The id behind the last is none of the recommender's items.
        let unknown = ItemId(items as u32);
        let ours = |&item: &ItemId| mapping.item(item).unwrap_or(unknown);
        let slate: Vec<ItemId> = step.slate.iter().map(ours).collect();
        let known: Vec<ItemId> = slate.iter().copied().filter(|&item| item != unknown).collect();
        let mut slates = Slates::with_k(slate.len());
        slates.push(&slate, None);
        let Extras { clicks, candidates } = extras;
        let pool: Option<Vec<ItemId>> = (!candidates.is_empty())
            .then(|| candidates.iter().filter_map(|&item| mapping.item(item)).collect());
        let most = pool.as_ref().map_or(items, Vec::len);
        let allowed = pool.map(Candidates::only);
        let allowed = allowed.as_ref();
        self.evaluation.extend(policy.propensities(memory, allowed, &slates)?);
        self.logging.extend(propensity.iter().map(|&propensity| f64::from(propensity)));
        // Of several clicks each earned its own.
        let paid = |item: &ItemId| match clicks {
            [] if step.choice == Choice::Item(*item) => f64::from(step.reward),
            [] => 0.0,
            _ => clicks
                .iter()
                .find(|(other, _)| other == item)
                .map_or(0.0, |(_, reward)| f64::from(*reward)),
        };
        let by_place: Vec<f64> = step.slate.iter().map(paid).collect();
        let (of_places, earned) = (by_place.iter().sum::<f64>(), f64::from(step.reward));
        // The log's sum is rounded to seven digits.
        let same = (of_places - earned).abs() <= 1e-6 * earned.abs();
        self.earned.push(if same { of_places } else { earned });
        self.by_place.extend(by_place);
        self.lengths.push(step.slate.len());
        self.logged.push(model.of_slate(&known));
        self.expected.push(drawn.expected(memory, allowed, step.slate.len().min(most))?);
        let choice = match step.choice {
            Choice::Item(item) => mapping.item(item).map_or(Choice::Skip, Choice::Item),
            other => other,
        };
        let mut responses = Responses::default();
        responses.push(choice, step.reward, false);
        Ok(policy.observe(memory, &slates, &responses)?)
    }

    /// Number of slates.
    pub fn slates(&self) -> usize {
        self.lengths.len()
    }

    /// Mean reward of a slate in the log.
    pub fn earned(&self) -> f64 {
        self.earned.iter().sum::<f64>() / self.earned.len() as f64
    }

    /// What the recommender would have earned, by every estimator that the log supports; weights
    /// are clipped at `cap` in those that clip.
    pub fn judge(&self, cap: f64) -> anyhow::Result<Found> {
        let places =
            SequentialSlates::new(&self.lengths, &self.by_place, &self.logging, &self.evaluation)?;
        let (slates, model) =
            (places.whole(&self.earned)?, Predictions::new(&self.logged, &self.expected)?);
        let single = self.lengths.iter().all(|&length| length == 1);
        let whole =
            |name: &str| if single { name.to_owned() } else { format!("{name}, whole slates") };
        let diagnostics = slates.diagnostics()?;
        let mut found = vec![
            (whole("IPS"), ips(&slates)),
            (whole("SNIPS"), snips(&slates)),
            (whole(&format!("IPS clipped at {cap}")), clipped_ips(&slates, cap)),
            (whole("DM"), dm(&model)),
            (whole("DR"), dr(&slates, &model)),
            (whole(&format!("DR clipped at {cap}")), clipped_dr(&slates, &model, cap)),
            (whole("SNDR"), sndr(&slates, &model)),
        ];
        let mut remarks = Vec::new();
        match self.rewards_of_no_item() {
            _ if single => {}
            _ if self.of_slates => remarks.push(
                "the log's propensities are of whole slates: the estimators that need those of \
                 each place (IPS and SNIPS, read from the top) are left out"
                    .into(),
            ),
            0 => found.extend([
                ("IPS, read from the top".into(), rips(&places)),
                ("SNIPS, read from the top".into(), snrips(&places)),
            ]),
            slates => remarks.push(format!(
                "{slates} of {} slates earned a reward though nothing was chosen: no place earned \
                 it, so the estimators that weigh each place by itself (IPS and SNIPS, read from \
                 the top) are left out",
                self.slates()
            )),
        }
        let is_shown = diagnostics.largest_weight > 0.0;
        let (mut values, mut left_out) = (Vec::new(), Vec::new());
        for (name, value) in found {
            match value {
                Err(foretaste_eval::Error::NoOverlap { .. }) => left_out.push(name),
                value => {
                    let value = value?;
                    // Only DM takes no weights.
                    match is_shown || value.standard_error == Err(NoInterval::ModelError) {
                        true => values.push((name, value)),
                        false => left_out.push(name),
                    }
                }
            }
        }
        if !left_out.is_empty() {
            let reason = match is_shown {
                true => {
                    "no slate agrees with the recommender down to the last place of the longest, \
                     so that nothing can be divided by the weights there"
                }
                false => {
                    "the log holds no slate that the recommender would show, so that nothing can \
                     be said by weights"
                }
            };
            remarks.push(format!("{reason}: {} left out", left_out.join("; ")));
        }
        Ok(Found { values, diagnostics, remarks })
    }

    /// Slates whose reward is no item's.
    fn rewards_of_no_item(&self) -> usize {
        let mut first = 0;
        let paid = |(&length, &earned): (&usize, &f64)| {
            let places = &self.by_place[first..first + length];
            first += length;
            places.iter().sum::<f64>() != earned
        };
        self.lengths.iter().zip(&self.earned).map(paid).filter(|&paid| paid).count()
    }
}

/// Slates that a recommender would show in a session.
struct Drawn<'a> {
    policy: &'a Recommender,
    model: &'a RewardModel,
    streams: Vec<Stream>,
}

impl Drawn<'_> {
    /// What q̂ expects of a slate of `k` items: the mean over the slates that are drawn, of which
    /// one is enough where it is certain.
    fn expected(
        &mut self,
        memory: &Memory,
        allowed: Option<&Candidates>,
        k: usize,
    ) -> anyhow::Result<f64> {
        if k == 0 {
            return Ok(self.model.of_slate(&[]));
        }
        let memory = self.policy.select(memory, &vec![0; self.streams.len()])?;
        let mut slates = Slates::default();
        self.policy.rank(&memory, allowed, k, &mut self.streams, &mut slates)?;
        let rows = slates.rows();
        let certain = slates.propensities().is_some_and(|all| all.iter().all(|&p| p == 1.0));
        // What is certain among few candidates may not be so among others.
        if certain && allowed.is_none() {
            self.streams.truncate(1);
        }
        let total: f64 = (0..rows).map(|row| self.model.of_slate(slates.row(row))).sum();
        Ok(total / rows as f64)
    }
}
