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

fn name(session: usize) -> String {
    format!("s{session}")
}

fn rows(log: &Log) -> Rows {
    Rows::new(&agent(), log, &Log::default(), &mapping(ITEMS), name, || {}).unwrap()
}

#[test]
fn the_callback_is_called_once_a_session() {
    let mdp = Mdp::new(&MdpConfig { items: ITEMS, ..MdpConfig::default() }).unwrap();
    let log = rollout(7, 1, 5).run(&mdp, &Blind(UniformRandom { items: ITEMS })).unwrap();
    let mut calls = 0;
    Rows::new(&agent(), &log, &Log::default(), &mapping(ITEMS), name, || calls += 1).unwrap();
    assert_eq!(calls, 7);
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
        let log = rollout(6_000, k, 1).run(&mdp, &Blind(UniformRandom { items: ITEMS })).unwrap();
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

/// Three of six items can be shown on each row, drawn alike, and item 0 or 3 is always clicked: the
/// recommender that draws alike among them has weights of one, and earns what the log says.
#[test]
fn a_recommender_is_judged_among_the_candidates_of_each_slate() {
    let uniform = recommender(Content::popularity(vec![1.0; ITEMS]).unwrap(), ITEMS);
    let mut log = LogBuilder::default();
    for session in 0..300_u32 {
        let pool = [0, 1, 2].map(|item| ItemId(item + 3 * (session % 2)));
        let slate = [pool[(session / 2) as usize % 3]];
        let clicked = slate[0].0 % 3 == 0;
        let choice = if clicked { Choice::Item(slate[0]) } else { Choice::Skip };
        let step = Step::new(&slate, choice, f32::from(u8::from(clicked)));
        let extras = foretaste_data::Extras { candidates: &pool, ..Default::default() };
        log.try_push_with(&step.propensity(&[1.0 / 3.0]), &extras).unwrap();
        log.end_session(None).unwrap();
    }
    let log = log.build();
    let rows = Rows::new(&uniform, &log, &Log::default(), &mapping(ITEMS), name, || ()).unwrap();
    let Found { values, diagnostics, .. } = rows.judge(10.0).unwrap();
    assert!((diagnostics.mean_weight.mean - 1.0).abs() < 1e-6, "{diagnostics:?}");
    let (_, ips) = &values[0];
    assert!((ips.estimate.mean - 1.0 / 3.0).abs() < 1e-6, "{ips:?}");
}

#[test]
fn each_of_several_clicks_earns_at_its_own_place() {
    let slate = [4, 1, 2].map(ItemId);
    let clicks = [(slate[2], 0.1), (slate[0], 0.2)];
    let extras = foretaste_data::Extras { clicks: &clicks, ..Default::default() };
    let mut log = LogBuilder::default();
    let step = Step::new(&slate, Choice::Item(slate[2]), 0.1 + 0.2);
    log.try_push_with(&step.propensity(&[1.0 / 6.0, 0.2, 0.25]), &extras).unwrap();
    log.end_session(None).unwrap();
    let rows = rows(&log.build());
    assert_eq!(rows.by_place, [0.2_f32, 0.0, 0.1].map(f64::from));
    assert_eq!((rows.rewards_of_no_item(), rows.slates()), (0, 1));
}

#[test]
fn propensities_of_whole_slates_leave_estimators_of_places_out() {
    let facts = foretaste_data::Facts { propensity: PropensityKind::Slate, ..Default::default() };
    let mut log = LogBuilder::new(facts);
    for session in 0..60_u32 {
        let slate = [session % 6, (session + 1) % 6].map(ItemId);
        let step = Step::new(&slate, Choice::Item(slate[1]), 1.0);
        log.push(step.propensity(&[1.0 / 30.0, 1.0])).unwrap();
        log.end_session(None).unwrap();
    }
    let Found { values, remarks, .. } = rows(&log.build()).judge(10.0).unwrap();
    assert!(values.iter().all(|(name, _)| name.ends_with("whole slates")));
    assert!(remarks[0].contains("of whole slates"), "{remarks:?}");
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
            drawn.expected(&memory, None, k).unwrap()
        };
        let found: Vec<f64> = (0..2_000).map(found).collect();
        let mean = found.iter().sum::<f64>() / 2_000.0;
        let sd = (found.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 1_999.0).sqrt();
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
        let expected = drawn.expected(&memory, None, 2).unwrap();
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
        let rows = Rows::new(&policy, &log, &Log::default(), &mapping(ITEMS), name, || {}).unwrap();
        rows.judge(10.0).unwrap()
    };
    let own = judge([1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!((own.values.len(), own.diagnostics.largest_weight), (7, 1.0));
    assert!(own.remarks.is_empty() && (own.values[1].1.estimate.mean - 1.5).abs() < 1e-9);
    let other = judge([0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    let names: Vec<&str> = other.values.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["DM"]);
    let left_out = "IPS; SNIPS; IPS clipped at 10; DR; DR clipped at 10; SNDR left out";
    assert!(other.remarks[0].starts_with("the log holds no slate"), "{:?}", other.remarks);
    assert!(other.remarks[0].ends_with(left_out), "{:?}", other.remarks);
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
    let rows =
        Rows::new(&agent(), &log, &Log::default(), &mapping(2 * ITEMS), name, || {}).unwrap();
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

/// Slates of one and of two items, whose second is never the recommender's.
#[test]
fn a_place_at_which_nothing_agrees_leaves_out_what_is_divided_by_its_weights() {
    let mut log = LogBuilder::default();
    let slates: [&[ItemId]; 2] = [&[ItemId(0)], &[ItemId(0), ItemId(2)]];
    for session in 0..200 {
        let slate = slates[session % 2];
        let propensity = &[0.5, 0.2][..slate.len()];
        log.push(Step::new(slate, Choice::Item(slate[0]), 1.0).propensity(propensity)).unwrap();
        log.end_session(None).unwrap();
    }
    let content = Content::top_items(vec![3.0, 2.0, 1.0, 0.0, 0.0, 0.0]).unwrap();
    let policy = recommender(content, ITEMS);
    let rows =
        Rows::new(&policy, &log.build(), &Log::default(), &mapping(ITEMS), name, || {}).unwrap();
    let Found { values, remarks, .. } = rows.judge(10.0).unwrap();
    assert_eq!(values.len(), 8);
    assert_eq!(
        remarks,
        ["no slate agrees with the recommender down to the last place of the longest, so that \
          nothing can be divided by the weights there: SNIPS, read from the top left out"]
    );
}

/// A slate of one item more than the recommender knows.
#[test]
fn a_slate_of_more_items_than_are_known_weighs_nothing() {
    let mut log = LogBuilder::default();
    let longer: Vec<ItemId> = (0..=ITEMS as u32).map(ItemId).collect();
    log.push(Step::new(&longer, Choice::Skip, 1.0).propensity(&[0.5; ITEMS + 1])).unwrap();
    log.end_session(None).unwrap();
    let log = log.build();
    let scores: Vec<f64> = (0..ITEMS).map(|item| -(item as f64)).collect();
    for content in [Content::top_items(scores), Content::random()] {
        let policy = recommender(content.unwrap(), ITEMS);
        let rows =
            Rows::new(&policy, &log, &Log::default(), &mapping(ITEMS + 1), name, || {}).unwrap();
        assert_eq!(rows.evaluation[ITEMS], 0.0, "{policy:?}");
        assert_eq!(rows.judge(10.0).unwrap().diagnostics.largest_weight, 0.0);
        if policy.kind() == "top-items" {
            assert_eq!(rows.evaluation[..ITEMS], [1.0; ITEMS]);
        }
    }
}

#[test]
fn what_cannot_be_judged_is_named() {
    let mut log = LogBuilder::default();
    for propensity in [Some(&[0.5][..]), None] {
        for _ in 0..2 {
            log.push(Step { propensity, ..Step::new(&[ItemId(0)], Choice::Skip, 1.0) }).unwrap();
        }
        log.end_session(None).unwrap();
    }
    let judged = Rows::new(&agent(), &log.build(), &Log::default(), &mapping(ITEMS), name, || {});
    let error = format!("{:#}", judged.err().unwrap());
    assert_eq!(error, "session s1, step 0, counted from 0: it has no propensity");
}
