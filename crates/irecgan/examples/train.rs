//! IRecGAN's Algorithm 1 on a log of random slates: its stages, and what the agent that comes of it
//! earns, compared with random slates and with a policy that knows the users.
//!
//! `cargo run --release -p foretaste-irecgan --example train`

use candle_core::Device;
use foretaste_irecgan::{AgentPolicy, IRecGan, IRecGanConfig, Selection};
use foretaste_random::Seed;
use foretaste_sim::{Blind, Mdp, MdpConfig, Policy, Rollout, Transitions};
use foretaste_sim::{bounds::MdpBelief, policies::UniformRandom};
use foretaste_user_model::behaviour::clicked_sessions;

const ITEMS: usize = 20;
const K: usize = 4;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let transitions = Transitions::Dirichlet(0.1);
    let users =
        Mdp::new(&MdpConfig { items: ITEMS, states: 4, transitions, ..MdpConfig::default() })?;
    let random = UniformRandom { items: ITEMS };
    let log = Rollout::new(Seed::new(1), 0..1_000, K).run(&users, &Blind(random))?;
    println!("a log of {} sessions and {} random slates", log.sessions(), log.steps());

    let all: Vec<usize> = (0..log.sessions()).collect();
    let offline = clicked_sessions(&log, &all, ITEMS, Seed::new(2))?;
    let mut config = IRecGanConfig {
        users_epochs: 5,
        agent_epochs: 5,
        epochs: 3,
        ..IRecGanConfig::small(ITEMS, K)
    };
    (config.users.hidden, config.agent.hidden, config.discriminator.hidden) = (32, 32, 32);
    config.agent_training.optimiser.learning_rate = 2e-3;
    let mut algorithm = IRecGan::new(config, Seed::new(3), &Device::Cpu)?;
    println!("\nstage                   loss of users   of agent   of discriminator");
    while let Some(point) = algorithm.advance(&offline)? {
        let stage = format!("{:?}", point.stage);
        let text = |value: Option<f64>| value.map_or("–".into(), |value| format!("{value:.3}"));
        let losses = [point.users_loss, point.agent_loss, point.discriminator_loss].map(text);
        println!("{stage:<23} {:<15} {:<10} {}", losses[0], losses[1], losses[2]);
    }

    println!("\nclicks of a session, the same 5000 new users for each");
    show("agent, likeliest items", &users, &AgentPolicy::new(algorithm.agent(), Selection::Top)?)?;
    show("agent, drawn slates", &users, &AgentPolicy::new(algorithm.agent(), Selection::Sampled)?)?;
    show("random", &users, &random)?;
    show("belief: knows the users", &users, &MdpBelief::new(&users, K)?)?;
    Ok(())
}

fn show<P: Policy>(name: &str, users: &Mdp, policy: &P) -> foretaste_sim::Result<()> {
    let outcomes = Rollout::new(Seed::new(4), 0..5_000, K).outcomes(users, &Blind(policy))?;
    let clicks: f64 = outcomes.iter().map(|outcome| outcome.reward).sum();
    println!("{name:<23} {:.2}", clicks / outcomes.len() as f64);
    Ok(())
}
