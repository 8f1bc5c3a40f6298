//! The estimates of `foretaste judge` for policies and logs whose true values are known, by hand or
//! by simulation, and the refusal of what cannot be judged.

use std::collections::HashMap;

use candle_core::Device;
use foretaste_data::{
    Catalogue, Choice, Extras, Facts, ItemId, Log, LogBuilder, Mapping, PropensityKind, Step,
    UnknownItems,
};
use foretaste_eval::counterfactual::{Diagnostics, PolicyValue};
use foretaste_irecgan::{Agent, AgentConfig, Selection};
use foretaste_random::Seed;
use foretaste_recommender::{Acting, Content, Recommender};
use foretaste_sim::policies::UniformRandom;
use foretaste_sim::{Blind, Mdp, MdpConfig, Rollout};
use rand::Rng;

use super::columns::Columns;
use super::estimates::{Assume, Estimates};
use super::files::{Beside, Found};
use super::logged::{Items, Logged};
use super::propensities::EstimatedPropensities;
use super::reward_model::RewardModels;
use super::{files, learned};

const ITEMS: usize = 6;

fn recommender(content: Content, items: usize) -> Recommender {
    Recommender::new(content, &Catalogue::numbered(items), &Device::Cpu).unwrap()
}

fn agent() -> Recommender {
    let config = AgentConfig { embedding: 4, hidden: 8, ..AgentConfig::new(ITEMS) };
    let agent = Agent::new(config, Seed::new(1), &Device::Cpu).unwrap();
    recommender(Content::agent(&agent, Selection::Sampled).unwrap(), ITEMS)
}

fn top(scores: [f64; ITEMS]) -> Recommender {
    recommender(Content::top_items(scores.into()).unwrap(), ITEMS)
}

fn rollout(sessions: u64, k: usize, max_steps: usize) -> Rollout {
    Rollout::new(Seed::new(2), 0..sessions, k).max_steps(max_steps)
}

fn mdp() -> Mdp {
    Mdp::new(&MdpConfig { items: ITEMS, ..MdpConfig::default() }).unwrap()
}

fn name(session: usize) -> String {
    format!("s{session}")
}

fn columns<'a>(
    policy: &Recommender,
    log: &'a Log,
    items: usize,
    models: Option<RewardModels>,
) -> anyhow::Result<(Logged<'a>, Columns, RewardModels)> {
    let logged = Logged::new(log, None, name)?;
    let catalogue = Catalogue::numbered(items);
    let models = models.unwrap_or_else(|| RewardModels::fit(log, &Log::default(), items));
    let mapping = Mapping::new(&catalogue, policy.catalogue());
    let actor = policy.acting(Acting::default())?;
    let items = Items::new(&catalogue);
    let columns = learned::columns(&actor, &logged, &models, &mapping, &items, name, || {})?;
    Ok((logged, columns, models))
}

/// What is found of a policy on a log of so many items.
struct Judged {
    estimates: Estimates,
    columns: Columns,
    earned: f64,
}

impl Judged {
    fn new(policy: &Recommender, log: &Log, items: usize) -> Self {
        let (logged, columns, models) = columns(policy, log, items, None).unwrap();
        let estimates = Estimates::new(&logged, &columns, &models, 10.0).unwrap();
        Self { estimates, columns, earned: logged.mean() }
    }

    fn diagnostics(&self) -> Diagnostics {
        self.estimates.diagnostics(Assume::Nothing).clone().unwrap()
    }

    fn value(&self, name: &str) -> &PolicyValue {
        let named = |of: &&super::estimates::Estimated| of.name.split(',').next() == Some(name);
        &self.estimates.values.iter().find(named).unwrap().value
    }

    fn names(&self) -> Vec<&str> {
        self.estimates.values.iter().map(|of| of.name.as_str()).collect()
    }
}

#[test]
fn the_callback_is_called_once_a_session() {
    let log = rollout(7, 1, 5).run(&mdp(), &Blind(UniformRandom { items: ITEMS })).unwrap();
    let (policy, mut calls) = (agent(), 0);
    let logged = Logged::new(&log, None, name).unwrap();
    let models = RewardModels::fit(&log, &Log::default(), ITEMS);
    let catalogue = Catalogue::numbered(ITEMS);
    let (mapping, items) = (Mapping::new(&catalogue, &catalogue), Items::new(&catalogue));
    let actor = policy.acting(Acting::default()).unwrap();
    learned::columns(&actor, &logged, &models, &mapping, &items, name, || calls += 1).unwrap();
    assert_eq!(calls, 7);
}

#[test]
fn a_recommenders_own_log_has_weights_of_one() {
    for k in [1, 2] {
        let log = rollout(200, k, 20).run(&mdp(), &Blind(&agent())).unwrap();
        let judged = Judged::new(&agent(), &log, ITEMS);
        let diagnostics = judged.diagnostics();
        assert!((diagnostics.largest_weight - 1.0).abs() < 1e-4, "{diagnostics:?}");
        let ips = judged.value("IPS").estimate.mean;
        assert!((ips - judged.earned).abs() < 1e-4 && diagnostics.warnings().is_empty());
    }
}

/// First slates, which all users see in the same state: six standard errors, seeds fixed. DM asks
/// only q̂, which knows what a slate of these users earns on average: it is left out.
#[test]
fn estimates_from_random_slates_are_near_what_the_recommender_earns() {
    for k in [1, 2] {
        let uniform = Blind(UniformRandom { items: ITEMS });
        let log = rollout(6_000, k, 1).run(&mdp(), &uniform).unwrap();
        let own = rollout(6_000, k, 1).outcomes(&mdp(), &Blind(&agent())).unwrap();
        let truth = own.iter().map(|outcome| outcome.reward).sum::<f64>() / own.len() as f64;
        let judged = Judged::new(&agent(), &log, ITEMS);
        assert_eq!(judged.names().len(), if k == 1 { 7 } else { 10 });
        for of in judged.estimates.values.iter().filter(|of| !of.name.starts_with("DM")) {
            let mean = of.value.estimate.mean;
            assert!((mean - truth).abs() < 6.0 * 0.0065, "{}: {mean}, {truth}", of.name);
        }
    }
}

/// Every slate pays 1, most of them without a choice: whatever is shown earns 1. The weights' noise
/// is SNIPS's and IPS's only, which average it away or show it in their error.
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
    let judged = Judged::new(&agent(), &log.build(), ITEMS);
    assert_eq!(judged.earned, 1.0);
    assert!(judged.names().iter().all(|name| name.ends_with("whole slates")));
    let left_out = &judged.estimates.left_out;
    let why = left_out.iter().find(|(name, _)| name.starts_with("SNRIPS")).unwrap();
    assert!(why.1.starts_with("266 of 400 slates"), "{why:?}");
    let weight = judged.diagnostics().mean_weight.mean;
    for of in &judged.estimates.values {
        let expected = if of.name.starts_with("IPS") { weight } else { 1.0 };
        assert!((of.value.estimate.mean - expected).abs() < 1e-9, "{}", of.name);
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
        let extras = Extras { candidates: &pool, ..Default::default() };
        log.try_push_with(&step.propensity(&[1.0 / 3.0]), &extras).unwrap();
        log.end_session(None).unwrap();
    }
    let judged = Judged::new(&uniform, &log.build(), ITEMS);
    assert!((judged.diagnostics().mean_weight.mean - 1.0).abs() < 1e-6);
    assert!((judged.value("IPS").estimate.mean - 1.0 / 3.0).abs() < 1e-6);
    assert_eq!(judged.columns.unseen.unwrap().places, 0.0);
}

#[test]
fn each_of_several_clicks_earns_at_its_own_place() {
    let slate = [4, 1, 2].map(ItemId);
    let clicks = [(slate[2], 0.1), (slate[0], 0.2)];
    let extras = Extras { clicks: &clicks, ..Default::default() };
    let mut log = LogBuilder::default();
    let step = Step::new(&slate, Choice::Item(slate[2]), 0.1 + 0.2);
    log.try_push_with(&step.propensity(&[1.0 / 6.0, 0.2, 0.25]), &extras).unwrap();
    log.end_session(None).unwrap();
    let log = log.build();
    let logged = Logged::new(&log, None, name).unwrap();
    assert_eq!(logged.by_place, [0.2_f32, 0.0, 0.1].map(f64::from));
    assert_eq!((logged.rewards_of_no_item(), logged.slates()), (0, 1));
}

/// 60 slates of two, with propensities of this kind.
fn of_kind(propensity: PropensityKind, numbers: [f32; 2]) -> Log {
    let mut log = LogBuilder::new(Facts { propensity, ..Default::default() });
    for session in 0..60_u32 {
        let slate = [session % 6, (session + 1) % 6].map(ItemId);
        let step = Step::new(&slate, Choice::Item(slate[1]), 1.0);
        log.push(step.propensity(&numbers)).unwrap();
        log.end_session(None).unwrap();
    }
    log.build()
}

#[test]
fn propensities_of_whole_slates_leave_estimators_of_places_out() {
    let judged = Judged::new(&agent(), &of_kind(PropensityKind::Slate, [1.0 / 30.0, 1.0]), ITEMS);
    assert!(judged.names().iter().all(|name| name.ends_with("whole slates")));
    let left_out = &judged.estimates.left_out;
    let why = &left_out.iter().find(|(name, _)| name.starts_with("RIPS")).unwrap().1;
    assert!(why.contains("of whole slates"), "{why}");
}

/// A policy that shows the log's first slate has weight 6 at both of its places where that was
/// shown, and at one where another slate has the item there.
#[test]
fn propensities_of_places_alone_leave_estimators_of_slates_out() {
    let log = of_kind(PropensityKind::Marginal, [1.0 / 6.0; 2]);
    let judged = Judged::new(&top([3.0, 2.0, 1.0, 0.0, 0.0, 0.0]), &log, ITEMS);
    let names = ["DM, whole slates", "IIPS, places alone", "SNIIPS, places alone"];
    assert_eq!(judged.names(), names);
    assert!((judged.value("IIPS").estimate.mean - 1.0).abs() < 1e-6);
    let deciding = judged.estimates.deciding(Assume::Nothing).err().unwrap();
    assert!(deciding.contains("marginal"), "{deciding}");
    assert!(judged.estimates.deciding(Assume::PlacesAlone).is_ok());
    let uniform = Judged::new(&recommender(Content::random().unwrap(), ITEMS), &log, ITEMS);
    assert!((uniform.value("SNIIPS").estimate.mean - 1.0).abs() < 1e-9);
    assert!((uniform.value("IIPS").estimate.mean - 1.0).abs() < 1e-6);
    let drawn = Judged::new(&agent(), &log, ITEMS);
    assert_eq!(drawn.names(), ["DM, whole slates"]);
}

/// Slates of two against all ordered pairs of four items, by hand; slates of all four have one
/// mean. Five standard errors over 2,000 expectations: one false alarm in two million; the seed is
/// fixed.
#[test]
fn expectations_of_drawn_slates_are_those_of_all_slates() {
    let (probabilities, values) = ([0.5, 0.3, 0.15, 0.05], vec![3.0, 7.0, -2.0, 40.0]);
    let mut of_pairs = 0.0;
    for first in 0..4 {
        for second in (0..4).filter(|&second| second != first) {
            let p = probabilities[first] * probabilities[second] / (1.0 - probabilities[first]);
            of_pairs += p * (values[first] + values[second]);
        }
    }
    let policy = recommender(Content::popularity(probabilities.into()).unwrap(), 4);
    for (k, exact) in [(2, of_pairs), (4, values.iter().sum())] {
        let mut log = LogBuilder::default();
        let slate: Vec<ItemId> = (0..k).map(ItemId).collect();
        for _ in 0..2_000 {
            let step = Step::new(&slate, Choice::Skip, 0.0);
            log.push(step.propensity(&vec![0.25; k as usize])).unwrap();
            log.end_session(None).unwrap();
        }
        let log = log.build();
        let models = RewardModels::given(values.clone());
        let (_, columns, _) = columns(&policy, &log, 4, Some(models)).unwrap();
        let found = columns.expected.unwrap();
        let mean = found.iter().sum::<f64>() / 2_000.0;
        let sd = (found.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 1_999.0).sqrt();
        assert!(
            (mean - exact).abs() <= 5.0 * sd / 2_000f64.sqrt() + 1e-12,
            "{k}: {mean}, {exact}, {sd}"
        );
        // At the second place, after item 0, by hand.
        let ahead = columns.ahead.unwrap()[1];
        let by_hand = (0.3 * 7.0 - 0.15 * 2.0 + 0.05 * 40.0) / 0.5;
        assert!((ahead - by_hand).abs() < 1e-12, "{ahead}, {by_hand}");
    }
}

/// A log of slates of item 0: who would always show item 1 is nowhere in it, who would always show
/// item 0 is the log's own policy.
#[test]
fn a_recommender_that_draws_nothing_has_weights_of_none_and_one() {
    let mut log = LogBuilder::default();
    for session in 0..200 {
        let (slate, reward) = ([ItemId(0)], (session % 4) as f32);
        log.push(Step::new(&slate, Choice::Skip, reward).propensity(&[1.0])).unwrap();
        log.end_session(None).unwrap();
    }
    let log = log.build();
    let own = Judged::new(&top([1.0, 0.0, 0.0, 0.0, 0.0, 0.0]), &log, ITEMS);
    assert_eq!((own.names().len(), own.diagnostics().largest_weight), (7, 1.0));
    assert!((own.value("SNIPS").estimate.mean - 1.5).abs() < 1e-9);
    let other = Judged::new(&top([0.0, 1.0, 0.0, 0.0, 0.0, 0.0]), &log, ITEMS);
    assert_eq!(other.names(), ["IPS", "IPS clipped at 10", "DM", "DR", "DR clipped at 10"]);
    assert!(other.estimates.values.iter().all(|of| of.mark.is_some() || of.name == "DM"));
    let undefined = |(name, why): &&(String, String)| {
        why.starts_with("undefined") && ["SNIPS", "SNDR"].contains(&name.as_str())
    };
    assert_eq!(other.estimates.left_out.iter().filter(undefined).count(), 2);
    assert!(!other.diagnostics().warnings().is_empty());
    assert_eq!(other.value("DR").estimate.mean, other.value("DM").estimate.mean);
    assert_eq!(other.columns.unseen.unwrap().slates, Some(1.0));
}

/// A uniform log of twice the items that the recommender knows, which earns 1 a slate of these and
/// 0 of the others: what it does not know it never shows, and all slates count. Six standard errors
/// of IPS, seeds fixed.
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
    let judged = Judged::new(&agent(), &log.build(), 2 * ITEMS);
    assert!((judged.earned - 0.5).abs() < 0.05);
    let value = judged.value("IPS");
    let error = value.standard_error.unwrap();
    assert!((value.estimate.mean - 1.0).abs() < 6.0 * error && error < 0.05, "{value:?}");
    assert!((judged.diagnostics().mean_weight.mean - 1.0).abs() < 0.1);
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
    let judged = Judged::new(&top([3.0, 2.0, 1.0, 0.0, 0.0, 0.0]), &log.build(), ITEMS);
    assert_eq!(judged.names().len(), 9);
    let why = judged.estimates.left_out.iter().find(|(name, _)| name.starts_with("SNRIPS"));
    assert!(why.unwrap().1.starts_with("undefined (0/0)"), "{why:?}");
}

/// A slate of one item more than the recommender knows.
#[test]
fn a_slate_of_more_items_than_are_known_weighs_nothing() {
    let mut log = LogBuilder::default();
    let longer: Vec<ItemId> = (0..=ITEMS as u32).map(ItemId).collect();
    log.push(Step::new(&longer, Choice::Skip, 1.0).propensity(&[0.5; ITEMS + 1])).unwrap();
    log.end_session(None).unwrap();
    let log = log.build();
    let scores = std::array::from_fn(|item| -(item as f64));
    for policy in [top(scores), recommender(Content::random().unwrap(), ITEMS)] {
        let judged = Judged::new(&policy, &log, ITEMS + 1);
        let given = judged.columns.given.as_ref().unwrap();
        assert_eq!(given[ITEMS], 0.0, "{policy:?}");
        assert_eq!(judged.diagnostics().largest_weight, 0.0);
        if policy.kind() == "top-items" {
            assert_eq!(given[..ITEMS], [1.0; ITEMS]);
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
    let log = log.build();
    let error = format!("{:#}", Logged::new(&log, None, name).err().unwrap());
    assert_eq!(error, "session s1, step 0 (counted from 0) has no propensity");
}

/// Slates of two of three items; every policy file below says the same of the same policy.
fn pairs() -> Log {
    let mut log = LogBuilder::default();
    let mut stream = Seed::new(8).stream(0);
    for session in 0..120_u32 {
        for _ in 0..1 + session % 2 {
            let first = stream.random_range(0..3);
            let slate = [first, (first + 1 + stream.random_range(0..2)) % 3].map(ItemId);
            let clicked = stream.random_range(0..3);
            let choice = slate.get(clicked).map_or(Choice::Skip, |&item| Choice::Item(item));
            let reward = f32::from(u8::from(choice != Choice::Skip));
            log.push(Step::new(&slate, choice, reward).propensity(&[1.0 / 3.0, 0.5])).unwrap();
        }
        log.end_session(None).unwrap();
    }
    log.build()
}

/// Of a file of this text, with a log of three items.
fn of_file(log: &Log, text: &str) -> anyhow::Result<(Columns, Estimates)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.csv");
    std::fs::write(&path, text).unwrap();
    let logged = Logged::new(log, None, name).unwrap();
    let mut items = Items::new(&Catalogue::numbered(3));
    let models = RewardModels::fit(log, &Log::default(), 3);
    let sessions: HashMap<String, Option<usize>> =
        (0..log.sessions()).map(|session| (name(session), Some(session))).collect();
    let found = Found::read(&path, &mut items, UnknownItems::Refuse)?;
    let beside = Beside { logged: &logged, models: &models, sessions: &sessions };
    let columns = found.columns(&beside, &items)?;
    let estimates = Estimates::new(&logged, &columns, &models, 10.0)?;
    Ok((columns, estimates))
}

/// Item 0 first and item 1 behind it, as a table, as slates, and as the recommender that does so.
#[test]
fn a_policy_is_worth_the_same_in_every_file_and_as_a_recommender() {
    let log = pairs();
    let (mut slates, mut logged) =
        ("session,step,slate\n".to_owned(), "session,step,policy\n".to_owned());
    for session in log.iter() {
        for (t, step) in session.steps().enumerate() {
            slates += &format!("{},{t},0 1\n", name(session.index()));
            let agrees = [step.slate[0].0 == 0, step.slate[1].0 == 1];
            let [first, second] = [agrees[0], agrees[0] && agrees[1]].map(u8::from);
            logged += &format!("{},{},{first} {second}\n", name(session.index()), 10 * t + 3);
        }
    }
    let table = "place,before,item,prob\n0,,0,1\n1,0,1,1\n";
    let policy = recommender(Content::top_items(vec![2.0, 1.0, 0.0]).unwrap(), 3);
    let ours = Judged::new(&policy, &log, 3);
    let of_name = |estimates: &Estimates, name: &str| {
        let found = estimates.values.iter().find(|of| of.name.starts_with(name));
        found.map(|of| of.value.estimate.mean)
    };
    let names = ["IPS,", "SNIPS", "DM", "DR,", "SNDR", "RIPS", "SNRIPS", "cascade-DR"];
    for (text, all) in [(table, true), (&slates, true), (&logged, false)] {
        let (columns, estimates) = of_file(&log, text).unwrap();
        assert_eq!(columns.given, ours.columns.given);
        for name in names {
            let [found, expected] = [&estimates, &ours.estimates].map(|of| of_name(of, name));
            match found {
                Some(found) => assert!((found - expected.unwrap()).abs() < 1e-9, "{name}: {text}"),
                None => assert!(!all && (name.contains('D') || name.contains("DR")), "{name}"),
            }
        }
        if all {
            let (unseen, own) = (columns.unseen.unwrap(), ours.columns.unseen.clone().unwrap());
            assert_eq!((unseen.places, unseen.slates), (own.places, own.slates));
        }
    }
}

/// By marginals of uniform slates and of a policy that has item 0 first three times in four, and
/// then any; by hand.
#[test]
fn marginals_give_the_estimators_of_places_and_what_a_model_expects() {
    let log = pairs();
    let text = "place,item,policy,logging\n0,0,0.75,0.33333333\n0,1,0.125,0.33333333\n\
                0,2,0.125,0.33333333\n1,0,0.125,0.33333333\n1,1,0.4375,0.33333333\n\
                1,2,0.4375,0.33333333\n";
    let (columns, estimates) = of_file(&log, text).unwrap();
    let policy = [[0.75, 0.125, 0.125], [0.125, 0.4375, 0.4375]];
    let mut total = 0.0;
    for step in log.iter().flat_map(|session| session.steps()) {
        for (place, &item) in step.slate.iter().enumerate() {
            let paid = if step.choice == Choice::Item(item) { step.reward } else { 0.0 };
            total += f64::from(paid) * policy[place][item.index()] / 0.33333333;
        }
    }
    let mean = |name: &str| {
        let named = estimates.values.iter().find(|of| of.name.starts_with(name)).unwrap();
        (named.value.estimate.mean, named.by_place.clone())
    };
    let (iips, by_place) = mean("IIPS");
    assert!((iips - total / log.steps() as f64).abs() < 1e-9, "{iips}");
    assert!((by_place.unwrap().iter().sum::<f64>() - iips).abs() < 1e-9);
    let names: Vec<&str> = estimates.values.iter().map(|of| of.name.as_str()).collect();
    let expected = [
        "DM, whole slates",
        "IIPS, places alone",
        "SNIIPS, places alone",
        "PBM, examined places",
        "SNPBM, examined places",
    ];
    assert_eq!(names, expected);
    assert!(columns.given.is_err() && columns.ahead.is_err());
    assert_eq!(columns.unseen.unwrap().places, 0.0);
}

#[test]
fn files_of_other_slates_items_or_sessions_are_refused() {
    let log = pairs();
    let all = |value: &str| -> String {
        let step = |session: usize, t| format!("{},{t},{value}\n", name(session));
        let rows = log.iter().flat_map(|of| (0..of.len()).map(move |t| step(of.index(), t)));
        rows.collect()
    };
    let cut = |text: String, line: usize| -> String {
        text.lines()
            .enumerate()
            .filter(|(at, _)| *at != line)
            .map(|(_, row)| format!("{row}\n"))
            .collect()
    };
    for (text, message) in [
        (
            format!("session,step,slate\n{}", all("0 3")),
            "policy.csv:2: slate: expected an item that the log or the reward model knows, found \"3\"",
        ),
        (
            format!("session,step,slate\n{}", all("0")),
            "policy.csv:2: row: expected a value for each place of the slate, found 1, where the log's slate has 2",
        ),
        (
            format!("session,step,policy\n{}x,0,1 1\n", all("1 1")),
            "session: expected a session of the log, found \"x\"",
        ),
        (
            format!("session,step,policy\n{}", cut(all("1 1"), 0)),
            "session: the file has no row of \"s0\"",
        ),
        (
            format!("session,step,policy\n{}", cut(all("1 1"), 2)),
            "step: session \"s1\" has 2 slates in the log and 1 rows, of steps 0",
        ),
        (
            "place,before,item,prob\n0,,0,1\n".into(),
            "has no rows of place 1 after \"0\", which the policy can reach, and slates of the log have 2 places",
        ),
        (
            "place,item,policy,logging\n0,0,1,1\n".into(),
            "has 1 places, and slates of the log have 2",
        ),
        (
            "place,item,policy,logging\n0,0,1,1\n1,1,1,1\n".into(),
            "is at place 0 of a slate of the log, where according to the file it never is",
        ),
    ] {
        let error = format!("{:#}", of_file(&log, &text).err().unwrap());
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn a_reward_model_has_every_item_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.csv");
    std::fs::write(&path, "item,expected_reward\n0,1\n2,3\n").unwrap();
    let mut items = Items::new(&Catalogue::numbered(3));
    let error = files::reward_model(&path, &mut items).err().unwrap().to_string();
    assert!(error.contains("no row of \"1\", which is in the log"), "{error}");
    std::fs::write(&path, "item,expected_reward\n0,1\n2,3\n1,2\nnew,9\n").unwrap();
    let models = files::reward_model(&path, &mut items).unwrap();
    assert_eq!(models.of(0).of_item(items.get("new").unwrap()), 9.0);
}

/// Slates of three of eight items, drawn by popularity (and by the last click where `looks`); a
/// slate earns more the more of items 0 and 1 it holds.
fn by_popularity(looks: bool) -> Log {
    let weights = [8.0, 5.0, 4.0, 3.0, 3.0, 2.0, 2.0, 1.0];
    let mut log = LogBuilder::default();
    for session in 0..3_000 {
        let (mut stream, mut last) = (Seed::new(6).stream(session), None::<ItemId>);
        for _ in 0..2 {
            let (mut left, mut slate, mut propensity) = (weights, Vec::new(), Vec::new());
            if let Some(last) = last.filter(|_| looks) {
                left[(last.index() + 1) % 8] += 40.0;
            }
            for _ in 0..3 {
                let mut point = stream.random::<f64>() * left.iter().sum::<f64>();
                let drawn = (0..8).find(|&item| {
                    point -= left[item];
                    point < 0.0
                });
                let drawn = drawn.unwrap_or(7);
                propensity.push((left[drawn] / left.iter().sum::<f64>()) as f32);
                left[drawn] = 0.0;
                slate.push(ItemId(drawn as u32));
            }
            let best = slate.iter().filter(|item| item.0 < 2).count() as f64;
            let clicked = stream.random::<f64>() < 0.1 + 0.3 * best;
            let choice = if clicked { Choice::Item(slate[0]) } else { Choice::Skip };
            let reward = f32::from(u8::from(clicked));
            log.push(Step::new(&slate, choice, reward).propensity(&propensity)).unwrap();
            last = choice.item().or(last);
        }
        log.end_session(None).unwrap();
    }
    log.build()
}

/// Against the true propensities: for uniform slates both estimates lie within four standard errors
/// of the truth, which is by hand: 0.1 + 0.3 · 3 · 2 / 8. All places have the true propensities
/// within a third (counts of some 100 are off by a tenth, as one standard error). Seeds are fixed.
#[test]
fn estimated_propensities_are_near_the_true_ones_of_a_policy_that_looks_at_nothing() {
    let log = by_popularity(false);
    let estimated = EstimatedPropensities::new(&log, &Log::default(), 8).unwrap();
    assert_eq!(estimated.against(), Vec::<String>::new());
    assert!(estimated.notes()[0].starts_with("THE PROPENSITIES ARE ESTIMATED"));
    let logged = Logged::new(&log, None, name).unwrap();
    for (estimated, truth) in estimated.of_places.iter().zip(&logged.logging) {
        assert!((estimated / truth - 1.0).abs() < 0.33, "{estimated}, {truth}");
    }
    let uniform = recommender(Content::random().unwrap(), 8);
    let (_, columns, models) = columns(&uniform, &log, 8, None).unwrap();
    for propensities in [None, Some(&estimated.of_places[..])] {
        let logged = Logged::new(&log, propensities, name).unwrap();
        let estimates = Estimates::new(&logged, &columns, &models, 10.0).unwrap();
        let snips = &estimates.deciding(Assume::Nothing).unwrap().value;
        let (mean, error) = (snips.estimate.mean, snips.standard_error.unwrap());
        assert!((mean - 0.325).abs() < 4.0 * error && error < 0.03, "{mean}, {error}");
    }
}

#[test]
fn a_policy_that_looks_at_clicks_is_found_out() {
    let estimated = EstimatedPropensities::new(&by_popularity(true), &Log::default(), 8).unwrap();
    let against = estimated.against();
    assert!(against.iter().any(|why| why.contains("took clicks into account")), "{against:?}");
}
