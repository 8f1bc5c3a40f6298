//! A log beside a recommender, as columns that the estimators take.

use anyhow::Context;
use foretaste_data::{Choice, ItemId, Log, Mapping, Session};
use foretaste_eval::counterfactual::{
    Diagnostics, PolicyValue, Predictions, SequentialSlates, clipped_dr, clipped_ips, dm, dr, ips,
    rips, sndr, snips, snrips,
};
use foretaste_random::{Seed, Stream};
use foretaste_recommender::{Memory, Recommender};
use foretaste_sim::{Policy, Responses, Slates};

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
    ///
    /// # Errors
    /// Where the recommender cannot show slates of a length that the log holds.
    pub fn new(
        policy: &Recommender,
        judged: &Log,
        others: &Log,
        mapping: &Mapping,
    ) -> anyhow::Result<Self> {
        let items = policy.catalogue().len();
        let half = |session: Session<'_>| session.index() % 2;
        let models = [0, 1].map(|own| {
            let sessions =
                others.iter().chain(judged.iter().filter(|session| half(*session) != own));
            RewardModel::fit(sessions, mapping, items)
        });
        let seed = Seed::new(0).derive("slates that q̂ is asked of");
        let mut rows = Self::default();
        let (mut slates, mut responses) = (Slates::default(), Responses::default());
        for session in judged.iter() {
            let (model, index) = (&models[half(session)], session.index() as u64);
            let mut drawn = Drawn { policy, model, streams: seed.index(index).streams(0..DRAWS) };
            let mut memory = policy.begin(1)?;
            for step in session.steps() {
                let propensity = step.propensity.context("a step has no propensity")?;
                // The id behind the last is none of the recommender's items.
                let unknown = ItemId(items as u32);
                let ours = |&item: &ItemId| mapping.item(item).unwrap_or(unknown);
                let slate: Vec<ItemId> = step.slate.iter().map(ours).collect();
                let known: Vec<ItemId> =
                    slate.iter().copied().filter(|&item| item != unknown).collect();
                slates.clear(slate.len());
                slates.push(&slate, None);
                rows.evaluation.extend(policy.propensities(&memory, None, &slates)?);
                rows.logging.extend(propensity.iter().map(|&propensity| f64::from(propensity)));
                let earned = |item: &ItemId| step.choice == Choice::Item(*item);
                let paid = |item: &ItemId| if earned(item) { f64::from(step.reward) } else { 0.0 };
                rows.by_place.extend(step.slate.iter().map(paid));
                rows.lengths.push(step.slate.len());
                rows.earned.push(f64::from(step.reward));
                rows.logged.push(model.of_slate(&known));
                rows.expected.push(drawn.expected(&memory, step.slate.len().min(items))?);
                let choice = match step.choice {
                    Choice::Item(item) => mapping.item(item).map_or(Choice::Skip, Choice::Item),
                    other => other,
                };
                responses.clear();
                responses.push(choice, step.reward, false);
                policy.observe(&mut memory, &slates, &responses)?;
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
        let mut values = Vec::new();
        let mut without_overlap = Vec::new();
        let mut add = |name: String, value: foretaste_eval::Result<PolicyValue>| match value {
            Err(foretaste_eval::Error::NoOverlap { .. }) => {
                without_overlap.push(name);
                Ok(())
            }
            value => value.map(|value| values.push((name, value))),
        };
        add(whole("IPS"), ips(&slates))?;
        add(whole("SNIPS"), snips(&slates))?;
        add(whole(&format!("IPS clipped at {cap}")), clipped_ips(&slates, cap))?;
        add(whole("DM"), dm(&model))?;
        add(whole("DR"), dr(&slates, &model))?;
        add(whole(&format!("DR clipped at {cap}")), clipped_dr(&slates, &model, cap))?;
        add(whole("SNDR"), sndr(&slates, &model))?;
        let mut remarks = Vec::new();
        match self.rewards_of_no_item() {
            _ if single => {}
            0 => {
                add("IPS, read from the top".into(), rips(&places))?;
                add("SNIPS, read from the top".into(), snrips(&places))?;
            }
            slates => remarks.push(format!(
                "{slates} of {} slates earned a reward though nothing was chosen: no place earned it, so the estimators that \
                 weigh each place by itself (IPS and SNIPS, read from the top) are left out",
                self.slates()
            )),
        }
        if !without_overlap.is_empty() {
            remarks.push(format!(
                "the log holds no slate that the recommender would show, so that nothing can be \
                 divided by the weights: {} left out",
                without_overlap.join("; ")
            ));
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

/// Slates that a recommender would show in a session.
struct Drawn<'a> {
    policy: &'a Recommender,
    model: &'a RewardModel,
    streams: Vec<Stream>,
}

impl Drawn<'_> {
    /// What q̂ expects of a slate of `k` items: the mean over the slates that are drawn, of which
    /// one is enough where it is certain.
    fn expected(&mut self, memory: &Memory, k: usize) -> anyhow::Result<f64> {
        let memory = self.policy.select(memory, &vec![0; self.streams.len()])?;
        let mut slates = Slates::default();
        self.policy.rank(&memory, None, k, &mut self.streams, &mut slates)?;
        let rows = slates.rows();
        let certain = slates.propensities().is_some_and(|all| all.iter().all(|&p| p == 1.0));
        if certain {
            self.streams.truncate(1);
        }
        let total: f64 = (0..rows).map(|row| self.model.of_slate(slates.row(row))).sum();
        Ok(total / rows as f64)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use foretaste_data::{Catalogue, LogBuilder, Step};
    use foretaste_irecgan::{Agent, AgentConfig, Selection};
    use foretaste_recommender::Content;
    use foretaste_sim::policies::UniformRandom;
    use foretaste_sim::{Blind, Mdp, MdpConfig, Rollout};
    use rand::Rng;

    use super::*;

    const ITEMS: usize = 6;

    fn recommender(content: Content, items: usize) -> Recommender {
        Recommender::new(content, &Catalogue::numbered(items), &Device::Cpu).unwrap()
    }

    fn agent() -> Recommender {
        let config = AgentConfig { embedding: 4, hidden: 8, ..AgentConfig::new(ITEMS) };
        let agent = Agent::new(config, Seed::new(1), &Device::Cpu).unwrap();
        recommender(Content::agent(&agent, Selection::Sampled).unwrap(), ITEMS)
    }

    fn rollout(sessions: u64, k: usize, max_steps: usize) -> Rollout {
        Rollout::new(Seed::new(2), 0..sessions, k).max_steps(max_steps)
    }

    fn mapping(items: usize) -> Mapping {
        Mapping::new(&Catalogue::numbered(items), &Catalogue::numbered(ITEMS))
    }

    fn rows(log: &Log) -> Rows {
        Rows::new(&agent(), log, &Log::default(), &mapping(ITEMS)).unwrap()
    }

    #[test]
    fn a_recommenders_own_log_has_weights_of_one() {
        let mdp = Mdp::new(&MdpConfig { items: ITEMS, ..MdpConfig::default() }).unwrap();
        for k in [1, 2] {
            let rows = rows(&rollout(200, k, 20).run(&mdp, &Blind(&agent())).unwrap());
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
            let own = rollout(6_000, k, 1).outcomes(&mdp, &Blind(&agent())).unwrap();
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
    /// mean. Five standard errors over 2,000 expectations: one false alarm in two million; the seed
    /// is fixed.
    #[test]
    fn expectations_of_drawn_slates_are_those_of_all_slates() {
        let probabilities = [0.5, 0.3, 0.15, 0.05];
        let model = model_of_four();
        let mut of_pairs = 0.0;
        for first in 0..4 {
            for second in (0..4).filter(|&second| second != first) {
                let p = probabilities[first] * probabilities[second] / (1.0 - probabilities[first]);
                of_pairs += p * model.of_slate(&[ItemId(first as u32), ItemId(second as u32)]);
            }
        }
        let of_all = model.of_slate(&[0, 1, 2, 3].map(ItemId));
        let policy = recommender(Content::popularity(probabilities.into()).unwrap(), 4);
        let memory = policy.begin(1).unwrap();
        for (k, exact) in [(2, of_pairs), (4, of_all)] {
            let found = |n| {
                let streams = Seed::new(3).index(n).streams(0..DRAWS);
                let mut drawn = Drawn { policy: &policy, model: &model, streams };
                drawn.expected(&memory, k).unwrap()
            };
            let found: Vec<f64> = (0..2_000).map(found).collect();
            let mean = found.iter().sum::<f64>() / 2_000.0;
            let sd =
                (found.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 1_999.0).sqrt();
            assert!(
                (mean - exact).abs() <= 5.0 * sd / 2_000f64.sqrt() + 1e-12,
                "{k}: {mean}, {exact}, {sd}"
            );
        }
    }

    /// The mean reward of items 0 to 3 differs.
    fn model_of_four() -> RewardModel {
        let mut log = LogBuilder::default();
        for (item, reward) in [(0, 3.0), (1, 7.0), (2, -2.0), (3, 40.0)] {
            let slate = [ItemId(item)];
            log.push(Step::new(&slate, Choice::Skip, reward)).unwrap();
            log.end_session(None).unwrap();
        }
        let items = Catalogue::numbered(4);
        RewardModel::fit(log.build().iter(), &Mapping::new(&items, &items), 4)
    }

    #[test]
    fn a_certain_slate_is_expected_exactly_and_asked_for_once() {
        let model = model_of_four();
        let policy = recommender(Content::top_items(vec![0.5, 2.0, 1.0, -1.0]).unwrap(), 4);
        let streams = Seed::new(3).streams(0..DRAWS);
        let mut drawn = Drawn { policy: &policy, model: &model, streams };
        let memory = policy.begin(1).unwrap();
        for _ in 0..2 {
            let expected = drawn.expected(&memory, 2).unwrap();
            assert!((expected - model.of_slate(&[ItemId(1), ItemId(2)])).abs() < 1e-12);
            assert_eq!(drawn.streams.len(), 1);
        }
    }

    /// A log of slates of item 0: who would always show item 1 is nowhere in it, who would always
    /// show item 0 is the log's own policy.
    #[test]
    fn a_recommender_that_draws_nothing_has_weights_of_none_and_one() {
        let mut log = LogBuilder::default();
        for session in 0..200 {
            let (slate, reward) = ([ItemId(0)], (session % 4) as f32);
            log.push(Step::new(&slate, Choice::Skip, reward).propensity(&[1.0])).unwrap();
            log.end_session(None).unwrap();
        }
        let log = log.build();
        let judge = |scores: [f64; ITEMS]| {
            let policy = recommender(Content::top_items(scores.into()).unwrap(), ITEMS);
            let rows = Rows::new(&policy, &log, &Log::default(), &mapping(ITEMS)).unwrap();
            rows.judge(10.0).unwrap()
        };
        let own = judge([1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!((own.values.len(), own.diagnostics.largest_weight), (7, 1.0));
        assert!(own.remarks.is_empty() && (own.values[1].1.estimate.mean - 1.5).abs() < 1e-9);
        let other = judge([0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        let names: Vec<&str> = other.values.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["IPS", "IPS clipped at 10", "DM", "DR", "DR clipped at 10"]);
        assert!(other.remarks[0].ends_with("SNIPS; SNDR left out"), "{:?}", other.remarks);
        assert!(!other.diagnostics.warnings().is_empty());
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
        let rows = Rows::new(&agent(), &log, &Log::default(), &mapping(2 * ITEMS)).unwrap();
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
