//! SlateQ against an exact solution: in a small world whose states can be enumerated, what slates
//! earn is computed, not sampled.

use foretaste_cascade_dqn::{
    Architecture, Epsilon, ItemFeatures, QConfig, QNetworks, SlateQ, StateEncoder, Storage,
    TrainConfig, Trainer,
};
use foretaste_data::{ItemId, RecentClicks};
use foretaste_nn::AdamConfig;
use foretaste_random::Seed;
use foretaste_sim::bounds::{Appeal, ChoiceGreedy, ChoiceOracle, ShortMemory, best_slate};
use foretaste_sim::{ChoiceUsers, ChoiceUsersConfig, ClickReward, Policy, Slates};

const ITEMS: usize = 6;
const K: usize = 2;
const STEPS: usize = 10;

/// Users who remember one click, stay after four of five steps without one, and pay r.
fn users(base: f64, preference: f64, seed: u64) -> ChoiceUsers {
    ChoiceUsers::new(&ChoiceUsersConfig {
        items: ITEMS,
        dims: 3,
        position_weights: vec![1.0],
        base,
        preference,
        boredom: 3.0,
        click_reward: ClickReward::Utility,
        seed,
        ..ChoiceUsersConfig::default()
    })
    .unwrap()
}

fn start(users: &ChoiceUsers, discount: f64) -> Trainer<SlateQ<ChoiceUsers>> {
    let networks = QConfig {
        architecture: Architecture::Greedy,
        features: ItemFeatures::Learned { dim: ITEMS },
        state: StateEncoder::PositionWeights { history: 1, columns: 1 },
        ..QConfig::new(ITEMS, K)
    };
    let config = TrainConfig {
        optimiser: AdamConfig { learning_rate: 3e-3, ..TrainConfig::default().optimiser },
        users: 32,
        steps: STEPS,
        epsilon: Epsilon { start: 1.0, end: 0.3, decay: 50 },
        discount,
        ..TrainConfig::default()
    };
    let networks = QNetworks::new(networks, None, Seed::new(1)).unwrap();
    Trainer::slate_q(networks, users.clone(), config, Seed::new(2)).unwrap()
}

fn trained(users: &ChoiceUsers, discount: f64, iterations: usize) -> Trainer<SlateQ<ChoiceUsers>> {
    let mut trainer = start(users, discount);
    for _ in 0..iterations {
        trainer.iterate(users).unwrap();
    }
    trainer
}

/// The slate that `policy` shows after no click, and after a click on each item.
fn slates(policy: &impl Policy<Memory = RecentClicks>) -> Vec<Vec<ItemId>> {
    let mut clicks = policy.begin(1 + ITEMS).unwrap();
    (0..ITEMS).for_each(|item| clicks.push(1 + item, ItemId(item as u32)));
    let (mut slates, mut streams) = (Slates::default(), Seed::new(0).streams(0..7));
    policy.rank(&clicks, None, K, &mut streams, &mut slates).unwrap();
    let slate = |row| {
        let mut slate = slates.row(row).to_vec();
        slate.sort_unstable();
        slate
    };
    (0..1 + ITEMS).map(slate).collect()
}

fn history(state: usize) -> Vec<ItemId> {
    if state == 0 { Vec::new() } else { vec![ItemId(state as u32 - 1)] }
}

/// What these slates earn in a session, by recursion over the steps to go.
fn earned(users: &ChoiceUsers, slates: &[Vec<ItemId>]) -> f64 {
    let mut later = vec![0.0; slates.len()];
    for _ in 0..STEPS {
        let now = |(state, slate): (usize, &Vec<ItemId>)| {
            let history = history(state);
            let chances = users.choice_probabilities(0, &history, slate);
            let rewards = users.utilities(0, &history, slate);
            let of_item = |at: usize| chances[at] * (rewards[at] + later[1 + slate[at].index()]);
            (0..K).map(of_item).sum::<f64>() + chances[K] * users.staying() * later[state]
        };
        later = slates.iter().enumerate().map(now).collect();
    }
    later[0]
}

/// Not by sampling: what the slates earn is computed.
#[test]
fn slate_q_earns_98_percent_of_the_optimum_and_greedy_does_not() {
    let users = users(0.0, 2.0, 4);
    let optimum = ChoiceOracle::new(&users, K, STEPS).unwrap().value();
    let policy = trained(&users, 0.95, 300).policy(Storage::Single).unwrap();
    let planned = earned(&users, &slates(&policy));
    assert!(planned >= 0.98 * optimum && planned < optimum + 1e-9, "{planned} of {optimum}");
    let greedy = earned(&users, &slates(&ChoiceGreedy::new(users.clone()).unwrap()));
    assert!(greedy < 0.95 * optimum, "{greedy} of {optimum}");
}

/// Where rewards lie close together, the slate of the largest rewards is the one that pays most at
/// once, as the test makes sure.
#[test]
fn without_a_future_slate_q_shows_the_slate_that_pays_most_at_once() {
    let users = users(1.0, 0.5, 5);
    let greedy = slates(&ChoiceGreedy::new(users.clone()).unwrap());
    for (state, slate) in greedy.iter().enumerate() {
        let Appeal { weights, nothing, rewards } = users.appeal(0, &history(state));
        let mut myopic = best_slate(&weights, &rewards, nothing, K).items;
        myopic.sort_unstable();
        assert_eq!(*slate, myopic);
    }
    assert_eq!(slates(&trained(&users, 0.0, 150).policy(Storage::Single).unwrap()), greedy);
}

#[test]
fn slate_q_learns_the_same_bits_on_any_number_of_threads() {
    let parameters = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let trainer = pool.install(|| trained(&users(0.0, 2.0, 4), 0.9, 12));
        assert!(trainer.updates() > 10);
        let values = trainer.networks().params().snapshot().unwrap().into_values();
        let bits = |value: f32| value.to_bits();
        values
            .flat_map(|tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap())
            .map(bits)
            .collect::<Vec<u32>>()
    };
    assert_eq!(parameters(1), parameters(2));
}
