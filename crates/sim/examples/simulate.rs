//! Simulates the users of IRecGAN §7.1 and those of GAN-CDQN, and compares what knowing more about
//! them earns: the mean reward of a session with its 95% interval.
//!
//! `cargo run --release -p foretaste-sim --example simulate -- [SESSIONS]` (default 200 a policy)

use foretaste_random::Seed;
use foretaste_sim::bounds::*;
use foretaste_sim::policies::{MaxReward, MixReward, UniformRandom};
use foretaste_sim::*;
use statrs::statistics::Statistics;

const K: usize = 10;
const HORIZON: usize = 20;

fn main() -> Result<()> {
    let sessions = std::env::args().nth(1).map_or(200, |count| count.parse().expect("a number"));
    let [one, tenth] = [1.0, 0.1].map(Transitions::Dirichlet);
    for transitions in [Transitions::SoftmaxUniform, one, tenth] {
        let mdp = Mdp::new(&MdpConfig { transitions, ..Default::default() })?;
        println!("\nMdp, slates of {K} of {} items, {transitions:?}", mdp.items());
        let random = Blind(UniformRandom { items: mdp.items() });
        let log = Rollout::new(Seed::new(1), 0..sessions, K).run(&mdp, &random)?;
        let length = log.steps() as f64 / log.sessions() as f64;
        let expected = expected_length(&mdp, K)?;
        println!("  {length:.3} steps a session of random slates; {expected:.3} are expected");
        let rollout = Rollout::new(Seed::new(2), 0..sessions, K).max_steps(100_000);
        let oracle = MdpOracle::new(&mdp, K)?;
        show("random", &mdp, &random, &rollout)?;
        show("mix", &mdp, &MixReward::new(&mdp), &rollout)?;
        show("max", &mdp, &MaxReward::new(&mdp), &rollout)?;
        show("belief", &mdp, &Blind(MdpBelief::new(&mdp, K)?), &rollout)?;
        show("oracle", &mdp, &oracle, &rollout)?;
        println!("  oracle, exactly {:>8.3}", oracle.value());
    }

    let (types, position_weights) = (4, vec![1.0, 0.7]);
    let users =
        ChoiceUsers::new(&ChoiceUsersConfig { types, position_weights, ..Default::default() })?;
    println!("\nChoiceUsers, 4 types, slates of {K} of {} items, {HORIZON} steps", users.items());
    let rollout = Rollout::new(Seed::new(2), 0..sessions, K).max_steps(HORIZON);
    let oracle = ChoiceOracle::new(&users, K, HORIZON)?;
    show("random", &users, &Blind(UniformRandom { items: users.items() }), &rollout)?;
    show("belief", &users, &Blind(ChoiceBelief::new(oracle.clone())), &rollout)?;
    show("oracle", &users, &oracle, &rollout)?;
    println!("  oracle, exactly {:>8.3}", oracle.value());
    Ok(())
}

fn show<E: Environment, P: Privileged<E>>(
    name: &str,
    users: &E,
    policy: &P,
    rollout: &Rollout,
) -> Result<()> {
    let outcomes = rollout.outcomes(users, policy)?;
    let rewards: Vec<f64> = outcomes.iter().map(|outcome| outcome.reward).collect();
    let error = (&rewards).std_dev() / (rewards.len() as f64).sqrt();
    println!("  {name:<14} {:>9.3} ± {:.3}", (&rewards).mean(), 1.96 * error);
    Ok(())
}
