use understudy_data::{Catalogue, ItemId, Log};
use understudy_random::Seed;
use understudy_sim::policies::{TopItems, UniformRandom};
use understudy_sim::{ChoiceUsers, ChoiceUsersConfig, Environment, Outcome, Outside, Policy, Rollout};
use understudy_user_model::LearnedUsers;

use crate::shop::Shop;
use crate::{Means, fitted};

const ITEMS: usize = 12;
const K: usize = 3;
const LOGGED: u64 = 3_000;
const JUDGED: u64 = 4_000;

/// Users who skip and leave, and buy or do not: rewards are 0 or 1, and -0.5 where the user leaves.
fn leavers() -> Shop {
    // What is bought is not what is liked.
    let sales = (0..ITEMS).map(|item| [0.9, 0.1, 0.5, 0.3][item % 4]).collect();
    shop(Outside::Skip { leaving: 0.3 }, sales, vec![1.0; ITEMS], -0.5, 0.0)
}

/// Users who always click, and whose sessions just end: every click is a sale, at a price.
fn clickers() -> Shop {
    let prices = (0..ITEMS).map(|item| [3.0, -1.0, 0.25, 8.0][item % 4]).collect();
    shop(Outside::Absent, vec![1.0; ITEMS], prices, 0.0, 0.3)
}

fn shop(outside: Outside, sales: Vec<f64>, prices: Vec<f64>, farewell: f32, hazard: f64) -> Shop {
    let config = ChoiceUsersConfig { items: ITEMS, attraction: 0.2, boredom: 0.2, outside, ..Default::default() };
    Shop { users: ChoiceUsers::new(&config).unwrap(), sales, prices, farewell, hazard }
}

/// Five policies: random, the items clicked most in the log, those that earn most a click, those that earn most a slate by the
/// truth, and those that earn least.
struct Policies([(&'static str, Option<TopItems>); 5]);

impl Policies {
    fn new(shop: &Shop, log: &Log) -> Self {
        let mut clicks = vec![0.0; ITEMS];
        log.iter().flat_map(|session| session.clicks()).for_each(|item| clicks[item.index()] += 1.0);
        let all: Vec<ItemId> = (0..ITEMS as u32).map(ItemId).collect();
        let (worth, utilities) = (shop.worth(), shop.users.utilities(0, &[], &all));
        // As if each item stood alone beside two of utility 0 and nothing.
        let earned = worth.iter().zip(&utilities).map(|(worth, utility)| {
            let weight = utility.exp();
            worth * weight / (weight + 3.0)
        });
        let earned: Vec<f64> = earned.collect();
        let least: Vec<f64> = earned.iter().map(|earned| -earned).collect();
        let top = |scores: &[f64]| Some(TopItems::new(scores));
        Self([
            ("random", None),
            ("most clicked", top(&clicks)),
            ("dearest", top(&worth)),
            ("best", top(&earned)),
            ("worst", top(&least)),
        ])
    }

    fn mean_rewards<E: Environment>(&self, users: &E, seed: u64) -> Vec<(f64, &'static str)> {
        let play = |(name, top): &(&'static str, Option<TopItems>)| {
            let reward = match top {
                Some(top) => mean_reward(users, top, seed),
                None => mean_reward(users, &UniformRandom { items: ITEMS }, seed),
            };
            (reward, *name)
        };
        self.0.iter().map(play).collect()
    }
}

fn rollout(seed: u64, sessions: u64) -> Rollout {
    Rollout { max_steps: 40, ..Rollout::new(Seed::new(seed), 0..sessions, K) }
}

fn mean_reward<E: Environment, P: Policy<E>>(users: &E, policy: &P, seed: u64) -> f64 {
    let outcomes: Vec<Outcome> = rollout(seed, JUDGED).outcomes(users, policy).unwrap();
    outcomes.iter().map(|outcome| outcome.reward).sum::<f64>() / JUDGED as f64
}

/// The names of the policies, the one that earns most first.
fn ranked(mut rewards: Vec<(f64, &'static str)>) -> Vec<&'static str> {
    rewards.sort_by(|a, b| b.0.total_cmp(&a.0));
    rewards.into_iter().map(|(_, name)| name).collect()
}

fn check(shop: &Shop) {
    let log = rollout(10, LOGGED).run(shop, &UniformRandom { items: ITEMS }).unwrap();
    let users = LearnedUsers::new(fitted(&log, &Catalogue::numbered(ITEMS), 300)).unwrap();
    let played = rollout(11, JUDGED).run(&users, &UniformRandom { items: ITEMS }).unwrap();
    let (logged, learned) = (Means::of(&log), Means::of(&played));
    let policies = Policies::new(shop, &log);
    let (truth, simulated) = (policies.mean_rewards(shop, 12), policies.mean_rewards(&users, 13));
    println!("{logged:?} {learned:?}\n{truth:?}\n{simulated:?}");
}

#[test]
fn policies_rank_as_by_the_truth_where_users_skip_and_leave() {
    check(&leavers());
}

#[test]
fn policies_rank_as_by_the_truth_where_users_always_click() {
    check(&clickers());
}
