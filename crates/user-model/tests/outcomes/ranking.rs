//! Learned users of logs whose truth is known put policies in the true order, and give the figures
//! of the log's own policy back.

use foretaste_data::{Catalogue, ItemId, Log};
use foretaste_random::Seed;
use foretaste_sim::policies::{TopItems, UniformRandom};
use foretaste_sim::{
    Blind, ChoiceUsers, ChoiceUsersConfig, Environment, Outcome, Outside, Privileged, Rollout,
};
use foretaste_user_model::LearnedUsers;

use crate::shop::Shop;
use crate::{Means, fitted};

const ITEMS: usize = 12;
const K: usize = 3;
const LOGGED: u64 = 3_000;
const JUDGED: u64 = 4_000;

/// Users who skip and leave, and buy or do not: rewards are 0 or 1, and -0.5 where the user leaves.
/// What they buy is not what they like.
fn leavers() -> Shop {
    let sales = (0..ITEMS).map(|item| [0.9, 0.1, 0.5, 0.3][item % 4]).collect();
    let config =
        ChoiceUsersConfig { base: -0.7, outside: Outside::Skip { leaving: 0.6 }, ..calm() };
    Shop {
        users: ChoiceUsers::new(&config).unwrap(),
        sales,
        prices: vec![1.0; ITEMS],
        farewell: -0.5,
        hazard: 0.0,
    }
}

/// Users who always click, and whose sessions just end: every click is a sale, at a price that may
/// be a loss.
fn clickers() -> Shop {
    let prices = (0..ITEMS).map(|item| [3.0, -1.0, 0.25, 8.0][item % 4]).collect();
    let config = ChoiceUsersConfig { outside: Outside::Absent, ..calm() };
    Shop {
        users: ChoiceUsers::new(&config).unwrap(),
        sales: vec![1.0; ITEMS],
        prices,
        farewell: 0.0,
        hazard: 0.3,
    }
}

fn calm() -> ChoiceUsersConfig {
    ChoiceUsersConfig { items: ITEMS, attraction: 0.2, boredom: 0.2, ..Default::default() }
}

/// Five policies: random, the items clicked most in the log, and three fixed slates: those that
/// earn most and least a session by the truth, if the first step's probabilities are those of all,
/// and a good one, below a fifth of all.
struct Policies([(&'static str, Option<TopItems>); 5]);

impl Policies {
    fn new(shop: &Shop, log: &Log) -> Self {
        let mut clicks = vec![0.0; ITEMS];
        log.iter()
            .flat_map(|session| session.clicks())
            .for_each(|item| clicks[item.index()] += 1.0);
        let mut slates: Vec<[u32; K]> = Vec::new();
        for a in 0..ITEMS as u32 {
            (a + 1..ITEMS as u32)
                .for_each(|b| slates.extend((b + 1..ITEMS as u32).map(|c| [a, b, c])));
        }
        slates.sort_by(|one, other| {
            shop.value(one.map(ItemId)).total_cmp(&shop.value(other.map(ItemId)))
        });
        let slate = |slate: [u32; K]| {
            let shown = |item| f64::from(u8::from(slate.contains(&item)));
            Some(TopItems::new(&(0..ITEMS as u32).map(shown).collect::<Vec<_>>()))
        };
        Self([
            ("random", None),
            ("most clicked", Some(TopItems::new(&clicks))),
            ("good", slate(slates[slates.len() * 4 / 5])),
            ("best", slate(slates[slates.len() - 1])),
            ("worst", slate(slates[0])),
        ])
    }

    fn mean_rewards<E: Environment>(&self, users: &E, seed: u64) -> Vec<(f64, &'static str)> {
        let play = |(name, top): &(&'static str, Option<TopItems>)| {
            let reward = match top {
                Some(top) => mean_reward(users, &Blind(top), seed),
                None => mean_reward(users, &Blind(UniformRandom { items: ITEMS }), seed),
            };
            (reward, *name)
        };
        self.0.iter().map(play).collect()
    }
}

fn rollout(seed: u64, sessions: u64) -> Rollout {
    Rollout::new(Seed::new(seed), 0..sessions, K).max_steps(40)
}

fn mean_reward<E: Environment, P: Privileged<E>>(users: &E, policy: &P, seed: u64) -> f64 {
    let outcomes: Vec<Outcome> = rollout(seed, JUDGED).outcomes(users, policy).unwrap();
    outcomes.iter().map(|outcome| outcome.reward).sum::<f64>() / JUDGED as f64
}

/// The names of the policies, the one that earns most first.
fn ranked(mut rewards: Vec<(f64, &'static str)>) -> Vec<&'static str> {
    rewards.sort_by(|a, b| b.0.total_cmp(&a.0));
    rewards.into_iter().map(|(_, name)| name).collect()
}

/// The learned users' figures under the policy of the log are the log's: click rate within 0.02,
/// length and reward of a session within 7% and 10%. The standard errors of log and simulation
/// together are below 0.005, 2.3% and 3.9%, so that with other seeds chance exceeds a tolerance at
/// most once in 70 runs.
///
/// The policies' true rewards lie 8% of their range or more apart, five standard errors of their
/// 4,000 sessions at least.
fn check(shop: &Shop) {
    let random = Blind(UniformRandom { items: ITEMS });
    let log = rollout(10, LOGGED).run(shop, &random).unwrap();
    let users = LearnedUsers::new(fitted(&log, &Catalogue::numbered(ITEMS), 300)).unwrap();
    let (logged, learned) =
        (Means::of(&log), Means::of(&rollout(11, JUDGED).run(&users, &random).unwrap()));
    let context = format!("{logged:?} {learned:?}");
    assert!((learned.click_rate - logged.click_rate).abs() < 0.02, "{context}");
    assert!((learned.steps / logged.steps - 1.0).abs() < 0.07, "{context}");
    assert!((learned.reward / logged.reward - 1.0).abs() < 0.1, "{context}");

    let policies = Policies::new(shop, &log);
    let (truth, simulated) = (policies.mean_rewards(shop, 12), policies.mean_rewards(&users, 13));
    let mut sorted: Vec<f64> = truth.iter().map(|(reward, _)| *reward).collect();
    sorted.sort_by(f64::total_cmp);
    let range = sorted[4] - sorted[0];
    assert!(sorted.windows(2).all(|pair| pair[1] - pair[0] > 0.08 * range), "{truth:?}");
    assert_eq!(ranked(truth), ranked(simulated));
}

#[test]
fn policies_rank_as_by_the_truth_where_users_skip_and_leave() {
    check(&leavers());
}

#[test]
fn policies_rank_as_by_the_truth_where_users_always_click() {
    check(&clickers());
}
