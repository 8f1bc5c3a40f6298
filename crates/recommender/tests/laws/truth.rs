//! What methods make of users who are known: what is learned from a log of random slates earns more
//! from the users who made it than who knows nothing of them, or only what is popular.

use candle_core::Device;
use foretaste_data::{Catalogue, Dataset, ItemId, Log, LogBuilder, Session, Step};
use foretaste_eval::interval::{paired_difference, student_t};
use foretaste_random::Seed;
use foretaste_recommender::{Effort, Job, Method, Recommender, TrainingLog};
use foretaste_sim::policies::UniformRandom;
use foretaste_sim::{Blind, ChoiceUsers, ChoiceUsersConfig, Outside, Rollout};

const ITEMS: usize = 30;
const K: usize = 4;
const STEPS: usize = 8;

/// Who like what resembles what they clicked, and some things more than others.
fn users() -> ChoiceUsers {
    let config = ChoiceUsersConfig {
        items: ITEMS,
        base: -3.0,
        preference: 1.0,
        attraction: 1.0,
        boredom: 0.0,
        position_weights: vec![1.0, 0.5],
        outside: Outside::Skip { leaving: 0.1 },
        ..ChoiceUsersConfig::default()
    };
    ChoiceUsers::new(&config).unwrap()
}

fn trained(method: &str, dataset: &Dataset) -> Recommender {
    let sessions: Vec<usize> = (0..dataset.log.sessions()).collect();
    let log = TrainingLog { dataset, sessions: &sessions, users: None };
    let method = Method::named(method).unwrap();
    let effort = Effort { epochs: Some(15), iterations: Some(40), ..Effort::default() };
    let settings = method.settings(&log, &effort).unwrap();
    let (device, origin, unfinished) = (&Device::Cpu, None, None);
    let job = Job { settings: &settings, seed: 2, device, origin, unfinished };
    let content = method.train(&log, &job, &mut ()).unwrap().content;
    Recommender::new(content, &dataset.catalogue, device).unwrap()
}

/// Clicks a session of 500 sessions, who are the same for every policy.
fn earned(policy: &Recommender, users: &ChoiceUsers) -> Vec<f64> {
    let rollout = Rollout::new(Seed::new(3), 0..500, K).max_steps(STEPS);
    let outcomes = rollout.outcomes(users, &Blind(policy)).unwrap();
    outcomes.iter().map(|outcome| outcome.reward).collect()
}

/// Every method is ahead by eighteen standard errors of the mean difference and more; the test asks
/// for five, which chance exceeds in one of three million seeds. The seeds are fixed.
#[test]
fn who_learned_of_users_earns_more_from_them_than_popularity_and_random() {
    let users = users();
    let random = Blind(UniformRandom { items: ITEMS });
    let log = Rollout::new(Seed::new(1), 0..600, K).max_steps(STEPS).run(&users, &random).unwrap();
    let catalogue = Catalogue::numbered(ITEMS);
    let dataset = Dataset { name: "known".into(), log, catalogue, ..Dataset::default() };
    let [popularity, uniform] =
        ["popularity", "random"].map(|method| earned(&trained(method, &dataset), &users));
    for method in ["greedy", "assortment", "cdqn", "gdqn", "linucb", "wide-deep", "trees"] {
        let own = earned(&trained(method, &dataset), &users);
        for (name, other) in [("popularity", &popularity), ("random", &uniform)] {
            let differences: Vec<f64> = own.iter().zip(other).map(|(a, b)| a - b).collect();
            let difference = student_t(&differences).unwrap();
            let standard_error = difference.half_width().unwrap() / 1.96;
            assert!(
                difference.mean > 5.0 * standard_error,
                "{method} less {name}: {difference}, standard error {standard_error}"
            );
        }
    }
}

/// What a click on an item pays, the same for all users.
fn price(item: ItemId) -> f32 {
    1.0 + 2.0 * (item.0 % 5) as f32
}

/// The same log where a click pays its price.
fn priced(log: &Log) -> Log {
    let mut priced = LogBuilder::default();
    for session in log.iter() {
        for step in session.steps() {
            let reward = step.choice.item().map_or(0.0, price);
            priced.push(Step { reward, ..step }).unwrap();
        }
        priced.end_session(None).unwrap();
    }
    priced.build()
}

/// Prices from 1 to 9 that have nothing to do with what is liked. The difference is 7.6 standard
/// errors; the test asks for five, as above.
#[test]
fn an_assortment_earns_more_than_what_is_liked_best_where_items_differ_in_price() {
    let users = users();
    let random = Blind(UniformRandom { items: ITEMS });
    let log = Rollout::new(Seed::new(1), 0..600, K).max_steps(STEPS).run(&users, &random).unwrap();
    let catalogue = Catalogue::numbered(ITEMS);
    let dataset =
        Dataset { name: "priced".into(), log: priced(&log), catalogue, ..Dataset::default() };
    let [paid, liked] = ["assortment", "greedy"].map(|method| -> Vec<f64> {
        let policy = trained(method, &dataset);
        let rollout = Rollout::new(Seed::new(3), 0..500, K).max_steps(STEPS);
        let log = priced(&rollout.run(&users, &Blind(&policy)).unwrap());
        let earned =
            |session: Session<'_>| session.steps().map(|step| f64::from(step.reward)).sum();
        log.iter().map(earned).collect()
    });
    let difference = paired_difference(&paid, &liked).unwrap();
    let standard_error = difference.half_width().unwrap() / 1.96;
    assert!(
        difference.mean > 5.0 * standard_error,
        "{difference}, standard error {standard_error}, of {:?}",
        student_t(&liked)
    );
}
