//! A log beside a recommender, as columns that the estimators take.

use anyhow::Context;
use foretaste_data::{Choice, ItemId, Log, Mapping, Session};
use foretaste_eval::counterfactual::{
    Diagnostics, PolicyValue, Predictions, SequentialSlates, clipped_dr, clipped_ips, dm, dr, ips,
    rips, sndr, snips, snrips,
};
use foretaste_irecgan::AgentPolicy;
use foretaste_random::{Seed, Stream};
use foretaste_sim::Policy;
use rand::Rng;

use super::reward_model::RewardModel;

/// Slates drawn from the recommender for what q̂ expects of it, where slates hold more than one
/// item.
const DRAWS: usize = 16;
/// With less probability left than this, differences tell nothing of it.
const NEARLY_NONE: f64 = 1e-6;

/// The judged slates, one after the other.
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
    /// The slates of `judged`, whose items `mapping` finds among the `items` of the recommender. It
    /// never shows an item that it does not know, and its history holds no click on one. q̂ of each
    /// session is fitted on `others` and the half of `judged` that the session does not belong to.
    pub fn new(
        policy: &AgentPolicy,
        judged: &Log,
        others: &Log,
        mapping: &Mapping,
        items: usize,
    ) -> anyhow::Result<Self> {
        let half = |session: Session<'_>| session.index() % 2;
        let models = [0, 1].map(|own| {
            let sessions =
                others.iter().chain(judged.iter().filter(|session| half(*session) != own));
            RewardModel::fit(sessions, mapping, items)
        });
        let seed = Seed::new(0).derive("slates that q̂ is asked of");
        let mut rows = Self {
            lengths: vec![],
            earned: vec![],
            by_place: vec![],
            logging: vec![],
            evaluation: vec![],
            logged: vec![],
            expected: vec![],
        };
        for session in judged.iter() {
            let (model, mut stream) = (&models[half(session)], seed.stream(session.index() as u64));
            let mut memory = policy.begin(1)?;
            for step in session.steps() {
                let propensity = step.propensity.context("a step has no propensity")?;
                let probabilities = policy.probabilities(&memory)?.remove(0);
                let (mut left, mut known) = (1.0, Vec::with_capacity(step.slate.len()));
                for (&item, &propensity) in step.slate.iter().zip(propensity) {
                    let ours = mapping.item(item);
                    known.extend(ours);
                    let probability = ours.map_or(0.0, |item| probabilities[item.index()]);
                    let chosen = step.choice == Choice::Item(item);
                    rows.by_place.push(if chosen { f64::from(step.reward) } else { 0.0 });
                    rows.logging.push(f64::from(propensity));
                    rows.evaluation.push((probability / left).clamp(0.0, 1.0));
                    left = (left - probability).max(f64::MIN_POSITIVE);
                }
                rows.lengths.push(step.slate.len());
                rows.earned.push(f64::from(step.reward));
                rows.logged.push(model.of_slate(&known));
                rows.expected.push(expected(model, &probabilities, step.slate.len(), &mut stream));
                let choice = match step.choice {
                    Choice::Item(item) => mapping.item(item).map_or(Choice::Skip, Choice::Item),
                    other => other,
                };
                policy.observe_choices(&mut memory, &[choice])?;
            }
        }
        Ok(rows)
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
        let mut values = vec![
            (whole("IPS"), ips(&slates)?),
            (whole("SNIPS"), snips(&slates)?),
            (whole(&format!("IPS clipped at {cap}")), clipped_ips(&slates, cap)?),
            (whole("DM"), dm(&model)?),
            (whole("DR"), dr(&slates, &model)?),
            (whole(&format!("DR clipped at {cap}")), clipped_dr(&slates, &model, cap)?),
            (whole("SNDR"), sndr(&slates, &model)?),
        ];
        let mut remarks = Vec::new();
        match self.rewards_of_no_item() {
            _ if single => {}
            0 => {
                values.push(("IPS, read from the top".into(), rips(&places)?));
                values.push(("SNIPS, read from the top".into(), snrips(&places)?));
            }
            slates => remarks.push(format!(
                "{slates} of {} slates earned a reward though nothing was chosen: no place earned it, so the estimators that \
                 weigh each place by itself (IPS and SNIPS, read from the top) are left out",
                self.slates()
            )),
        }
        Ok(Found { values, diagnostics: slates.diagnostics()?, remarks })
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

/// What `model` expects of `k` items drawn one after the other by `probabilities`, each once: exact
/// for one item, the mean over [`DRAWS`] slates for more. Given the items before it, a place's
/// expectation is exact.
fn expected(model: &RewardModel, probabilities: &[f64], k: usize, stream: &mut Stream) -> f64 {
    let value = |item: usize| probabilities[item] * model.of(ItemId(item as u32));
    let k = k.min(probabilities.len());
    let of_one: f64 = (0..probabilities.len()).map(value).sum();
    if k == 1 {
        return of_one;
    }
    let cumulative: Vec<f64> = probabilities
        .iter()
        .scan(0.0, |sum, p| {
            *sum += p;
            Some(*sum)
        })
        .collect();
    let mut total = 0.0;
    for _ in 0..DRAWS {
        let (mut rest, mut left, mut drawn) = (of_one, 1.0, Vec::with_capacity(k));
        for place in 0..k {
            if left < NEARLY_NONE {
                // Differences of nearly equal numbers: sum up what is left instead.
                let others = || (0..probabilities.len()).filter(|item| !drawn.contains(item));
                rest = others().map(value).sum();
                left = others().map(|item| probabilities[item]).sum::<f64>().max(f64::MIN_POSITIVE);
            }
            total += rest / left;
            if place + 1 < k {
                let item = draw(probabilities, &cumulative, &drawn, stream);
                drawn.push(item);
                rest -= value(item);
                left -= probabilities[item];
            }
        }
    }
    total / (DRAWS * k) as f64
}

/// An item by `probabilities` that is not yet `drawn`.
fn draw(probabilities: &[f64], cumulative: &[f64], drawn: &[usize], stream: &mut Stream) -> usize {
    /// So many tries find an item unless the drawn ones hold nearly all of the probability.
    const TRIES: usize = 20;
    let all = cumulative[cumulative.len() - 1];
    for _ in 0..TRIES {
        let point = stream.random::<f64>() * all;
        let item = cumulative.partition_point(|&sum| sum <= point).min(cumulative.len() - 1);
        if !drawn.contains(&item) {
            return item;
        }
    }
    let left = || (0..probabilities.len()).filter(|item| !drawn.contains(item));
    let mut point = stream.random::<f64>() * left().map(|item| probabilities[item]).sum::<f64>();
    let passed = left().find(|&item| {
        point -= probabilities[item];
        point < 0.0
    });
    passed.or_else(|| left().next_back()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use foretaste_data::{Catalogue, LogBuilder, Step};
    use foretaste_irecgan::{Agent, AgentConfig, Selection};
    use foretaste_sim::policies::UniformRandom;
    use foretaste_sim::{Blind, Mdp, MdpConfig, Rollout};

    use super::*;

    const ITEMS: usize = 6;

    fn agent() -> AgentPolicy {
        let config = AgentConfig { embedding: 4, hidden: 8, ..AgentConfig::new(ITEMS) };
        AgentPolicy::new(
            &Agent::new(config, Seed::new(1), &Device::Cpu).unwrap(),
            Selection::Sampled,
        )
        .unwrap()
    }

    fn rollout(sessions: u64, k: usize, max_steps: usize) -> Rollout {
        Rollout::new(Seed::new(2), 0..sessions, k).max_steps(max_steps)
    }

    fn mapping(items: usize) -> Mapping {
        Mapping::new(&Catalogue::numbered(items), &Catalogue::numbered(ITEMS))
    }

    fn rows(log: &Log) -> Rows {
        Rows::new(&agent(), log, &Log::default(), &mapping(ITEMS), ITEMS).unwrap()
    }

    #[test]
    fn a_recommenders_own_log_has_weights_of_one() {
        let mdp = Mdp::new(&MdpConfig { items: ITEMS, ..MdpConfig::default() }).unwrap();
        for k in [1, 2] {
            let rows = rows(&rollout(200, k, 20).run(&mdp, &Blind(agent())).unwrap());
            let Found { values, diagnostics, .. } = rows.judge(10.0).unwrap();
            assert!((diagnostics.largest_weight - 1.0).abs() < 1e-4, "{diagnostics:?}");
            assert!(
                (values[0].1.estimate.mean - rows.earned()).abs() < 1e-4
                    && diagnostics.warnings().is_empty()
            );
        }
    }

    /// First slates, which all users see in the same state: six standard errors, seeds fixed. DM
    /// asks only q̂, which knows what a slate of these users earns on average: it is left out.
    #[test]
    fn estimates_from_random_slates_are_near_what_the_recommender_earns() {
        let mdp = Mdp::new(&MdpConfig { items: ITEMS, ..MdpConfig::default() }).unwrap();
        for k in [1, 2] {
            let log =
                rollout(6_000, k, 1).run(&mdp, &Blind(UniformRandom { items: ITEMS })).unwrap();
            let own = rollout(6_000, k, 1).outcomes(&mdp, &Blind(agent())).unwrap();
            let truth = own.iter().map(|outcome| outcome.reward).sum::<f64>() / own.len() as f64;
            let Found { values, remarks, .. } = rows(&log).judge(10.0).unwrap();
            assert_eq!((values.len(), remarks.len()), (5 + 2 * k, 0));
            for (name, value) in values.into_iter().filter(|(name, _)| !name.starts_with("DM")) {
                assert!(
                    (value.estimate.mean - truth).abs() < 6.0 * 0.0065,
                    "{name}: {value:?}, {truth}"
                );
            }
        }
    }

    /// Every slate pays 1, most of them without a choice: whatever is shown earns 1. The weights'
    /// noise is SNIPS's and IPS's only, which average it away or show it in their error.
    #[test]
    fn a_reward_without_a_choice_counts_and_is_no_places() {
        let mut log = LogBuilder::default();
        let propensity = [1.0 / 6.0, 1.0 / 5.0];
        for session in 0..400 {
            let slate = [session % 6, (session + 1) % 6].map(ItemId);
            let choice = if session % 3 == 0 { Choice::Item(slate[1]) } else { Choice::Skip };
            log.push(Step::new(&slate, choice, 1.0).propensity(&propensity)).unwrap();
            log.end_session(None).unwrap();
        }
        let rows = rows(&log.build());
        assert_eq!(rows.earned(), 1.0);
        let Found { values, remarks, diagnostics } = rows.judge(10.0).unwrap();
        let names: Vec<&str> = values.iter().map(|(name, _)| name.as_str()).collect();
        assert!(names.iter().all(|name| name.ends_with("whole slates")), "{names:?}");
        assert!(remarks[0].starts_with("266 of 400 slates"), "{remarks:?}");
        for (name, value) in &values {
            let expected = if name.starts_with("IPS") { diagnostics.mean_weight.mean } else { 1.0 };
            assert!((value.estimate.mean - expected).abs() < 1e-9, "{name}: {value:?}");
        }
    }

    /// Slates of two against all ordered pairs of four items, by hand; slates of all four have one
    /// mean, however unlikely the last items are. Five standard errors over 2,000 expectations: one
    /// false alarm in two million; the seed is fixed.
    #[test]
    fn expectations_of_drawn_slates_are_those_of_all_slates() {
        let probabilities = [0.5, 0.3, 0.15, 0.05];
        let mut log = LogBuilder::default();
        for (item, reward) in [(0, 3.0), (1, 7.0), (2, -2.0), (3, 40.0)] {
            let slate = [ItemId(item)];
            log.push(Step::new(&slate, Choice::Skip, reward)).unwrap();
            log.end_session(None).unwrap();
        }
        let model = RewardModel::fit(log.build().iter(), &mapping(4), 4);
        let mut of_pairs = 0.0;
        for first in 0..4 {
            for second in (0..4).filter(|&second| second != first) {
                let p = probabilities[first] * probabilities[second] / (1.0 - probabilities[first]);
                of_pairs += p * model.of_slate(&[ItemId(first as u32), ItemId(second as u32)]);
            }
        }
        let of_all = model.of_slate(&[0, 1, 2, 3].map(ItemId));
        for (k, exact) in [(2, of_pairs), (4, of_all)] {
            let found = |n| expected(&model, &probabilities, k, &mut Seed::new(3).stream(n));
            let found: Vec<f64> = (0..2_000).map(found).collect();
            let mean = found.iter().sum::<f64>() / 2_000.0;
            let sd =
                (found.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 1_999.0).sqrt();
            assert!(
                (mean - exact).abs() < 5.0 * sd / 2_000f64.sqrt(),
                "{k}: {mean}, {exact}, {sd}"
            );
        }
        let certain = expected(&model, &[1.0, 0.0, 0.0, 0.0], 4, &mut Seed::new(3).stream(0));
        assert!(certain.is_finite(), "{certain}");
    }

    /// A uniform log of twice the items that the recommender knows, which earns 1 a slate of these
    /// and 0 of the others: what it does not know it never shows, and all slates count. Six
    /// standard errors of IPS, seeds fixed.
    #[test]
    fn slates_of_unknown_items_weigh_nothing_and_are_counted() {
        let mut log = LogBuilder::default();
        let mut stream = Seed::new(4).stream(0);
        for _ in 0..4_000 {
            let item = ItemId(stream.random_range(0..2 * ITEMS as u32));
            let reward = if item.index() < ITEMS { 1.0 } else { 0.0 };
            let propensity = Some(&[1.0 / (2 * ITEMS) as f32][..]);
            log.push(Step { propensity, ..Step::new(&[item], Choice::Skip, reward) }).unwrap();
            log.end_session(None).unwrap();
        }
        let log = log.build();
        let rows = Rows::new(&agent(), &log, &Log::default(), &mapping(2 * ITEMS), ITEMS).unwrap();
        assert!((rows.earned() - 0.5).abs() < 0.05);
        let Found { values, diagnostics, .. } = rows.judge(10.0).unwrap();
        let (name, value) = &values[0];
        let error = value.standard_error.unwrap();
        assert!(
            name == "IPS" && (value.estimate.mean - 1.0).abs() < 6.0 * error && error < 0.05,
            "{value:?}"
        );
        assert!((diagnostics.mean_weight.mean - 1.0).abs() < 0.1, "{diagnostics:?}");
    }
}
