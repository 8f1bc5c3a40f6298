//! `cargo bench -p foretaste-sim`: the hot paths of a simulation, on one thread.

use divan::{Bencher, counter::ItemsCount};
use foretaste_random::Seed;
use foretaste_sim::bounds::{MdpBelief, MdpOracle};
use foretaste_sim::policies::{
    EpsilonGreedy, MaxReward, MixReward, Popularity, TopItems, UniformRandom,
};
use foretaste_sim::{
    Blind, ChoiceUsers, ChoiceUsersConfig, Environment, Mdp, MdpConfig, Privileged, Rollout,
};

const ITEMS: usize = 50;

fn main() {
    divan::main();
}

fn mdp() -> Mdp {
    Mdp::new(&MdpConfig::default()).unwrap()
}

/// Steps a second, the log kept.
fn rollout<E: Environment, P: Privileged<E>>(
    bencher: Bencher,
    environment: &E,
    policy: &P,
    sessions: u64,
) {
    let rollout = Rollout::new(Seed::new(1), 0..sessions, 10);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let run = || pool.install(|| rollout.run(environment, policy).unwrap());
    let steps = run().steps();
    bencher.counter(ItemsCount::new(steps)).bench_local(run);
}

#[divan::bench]
fn mdp_uniform(bencher: Bencher) {
    rollout(bencher, &mdp(), &Blind(UniformRandom { items: ITEMS }), 50_000);
}

#[divan::bench]
fn mdp_popularity(bencher: Bencher) {
    let weights = (1..=ITEMS).map(|rank| 1.0 / rank as f64).collect();
    rollout(bencher, &mdp(), &Blind(Popularity::new(weights).unwrap()), 50_000);
}

#[divan::bench]
fn mdp_epsilon_greedy(bencher: Bencher) {
    let scores: Vec<f64> = (0..ITEMS).map(|item| item as f64).collect();
    let policy = EpsilonGreedy::new(TopItems::new(&scores), 0.1, ITEMS).unwrap();
    rollout(bencher, &mdp(), &Blind(policy), 50_000);
}

#[divan::bench]
fn mdp_max(bencher: Bencher) {
    rollout(bencher, &mdp(), &MaxReward::new(&mdp()), 20_000);
}

#[divan::bench]
fn mdp_mix(bencher: Bencher) {
    rollout(bencher, &mdp(), &MixReward::new(&mdp()), 20_000);
}

#[divan::bench]
fn mdp_belief(bencher: Bencher) {
    rollout(bencher, &mdp(), &Blind(MdpBelief::new(&mdp(), 10).unwrap()), 500);
}

#[divan::bench]
fn solve_mdp_oracle(bencher: Bencher) {
    let mdp = mdp();
    bencher.bench_local(|| MdpOracle::new(&mdp, 10).unwrap());
}

#[divan::bench]
fn choice_users_uniform(bencher: Bencher) {
    let users = ChoiceUsers::new(&ChoiceUsersConfig::default()).unwrap();
    rollout(bencher, &users, &Blind(UniformRandom { items: ITEMS }), 20_000);
}
