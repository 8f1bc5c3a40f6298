//! What methods make of users who are known: what is learned from a log of random slates earns more
//! from the users who made it than who knows nothing of them, or only what is popular.

use candle_core::Device;
use foretaste_data::{Catalogue, Dataset};
use foretaste_eval::interval::student_t;
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
