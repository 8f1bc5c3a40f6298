//! Simulates the users of IRecGAN §7.1 and those of GAN-CDQN, keeps a log of random slates, and
//! compares what knowing more about the users earns.
//!
//! `cargo run --release -p foretaste-sim --example simulate -- [SESSIONS]` (default 200 a policy)

use foretaste_random::Seed;
use foretaste_sim::bounds::{
    ChoiceBelief, ChoiceOracle, MdpBelief, MdpOracle, expected_length, expected_length_of_slates,
};
use foretaste_sim::policies::{MaxReward, MixReward, UniformRandom};
use foretaste_sim::{
    Blind, ChoiceUsers, ChoiceUsersConfig, Environment, Mdp, MdpConfig, Privileged, Result,
    Rollout, Transitions,
};

const K: usize = 10;

fn main() -> Result<()> {
    let sessions =
        std::env::args().nth(1).map_or(200, |count| count.parse().expect("a number of sessions"));
    println!(
        "Mean reward of a session (here its clicks) over {sessions} sessions, with the 95% interval of the mean."
    );
    for transitions in
        [Transitions::SoftmaxUniform, Transitions::Dirichlet(1.0), Transitions::Dirichlet(0.1)]
    {
        let mdp = Mdp::new(&MdpConfig { transitions, ..Default::default() })?;
        println!(
            "\nMdp, {} states, {} items, slates of {K}, {transitions:?}",
            mdp.states(),
            mdp.items()
        );
        simulate(&mdp, sessions)?;
    }
    let config =
        ChoiceUsersConfig { types: 4, position_weights: vec![1.0, 0.7], ..Default::default() };
    let users = ChoiceUsers::new(&config)?;
    println!(
        "\nChoiceUsers, 4 types, {} items, slates of {K}, sessions of at most {HORIZON} steps",
        users.items()
    );
    choose(&users, sessions)
}

fn simulate(mdp: &Mdp, sessions: u64) -> Result<()> {
    let random = Blind(UniformRandom { items: mdp.items() });
    let log = Rollout::new(Seed::new(1), 0..sessions, K).run(mdp, &random)?;
    let length = log.steps() as f64 / log.sessions() as f64;
    println!(
        "  a log of random slates: {} steps, {length:.3} a session; {:.3} are expected",
        log.steps(),
        expected_length(mdp, K)?
    );
    let rollout = Rollout::new(Seed::new(2), 0..sessions, K).max_steps(NEVER_CUT);
    let oracle = MdpOracle::new(mdp, K)?;
    show("random", mdp, &random, &rollout)?;
    show("mix", mdp, &MixReward::new(mdp), &rollout)?;
    show("max", mdp, &MaxReward::new(mdp), &rollout)?;
    show("belief", mdp, &Blind(MdpBelief::new(mdp, K)?), &rollout)?;
    show("oracle", mdp, &oracle, &rollout)?;
    let length = expected_length_of_slates(mdp, oracle.slates())?;
    println!(
        "  oracle, exactly {:>8.3}: of {length:.3} steps a session all but the last are clicks",
        oracle.value()
    );
    Ok(())
}

fn choose(users: &ChoiceUsers, sessions: u64) -> Result<()> {
    let rollout = Rollout::new(Seed::new(2), 0..sessions, K).max_steps(HORIZON);
    let oracle = ChoiceOracle::new(users, K, HORIZON)?;
    show("random", users, &Blind(UniformRandom { items: users.items() }), &rollout)?;
    show("belief", users, &Blind(ChoiceBelief::new(oracle.clone())), &rollout)?;
    show("oracle", users, &oracle, &rollout)?;
    println!("  oracle, exactly {:>8.3}", oracle.value());
    Ok(())
}

const NEVER_CUT: usize = 100_000;
const HORIZON: usize = 20;

/// Prints the mean reward of a session with its 95% interval.
fn show<E: Environment, P: Privileged<E>>(
    name: &str,
    users: &E,
    policy: &P,
    rollout: &Rollout,
) -> Result<()> {
    let rewards: Vec<f64> =
        rollout.outcomes(users, policy)?.iter().map(|outcome| outcome.reward).collect();
    let n = rewards.len() as f64;
    let mean = rewards.iter().sum::<f64>() / n;
    let variance = rewards.iter().map(|reward| (reward - mean).powi(2)).sum::<f64>() / (n - 1.0);
    println!("  {name:<14} {mean:>9.3} ± {:.3}", 1.96 * (variance / n).sqrt());
    Ok(())
}
