//! The log of simulated users whose reward is known.
//!
//! It is not the bundled one: the users of that one always click, which makes every click rate 1.

use foretaste_data::{Catalogue, Dataset};
use foretaste_random::Seed;
use foretaste_sim::policies::UniformRandom;
use foretaste_sim::{Blind, ChoiceUsers, ChoiceUsersConfig, ClickReward, Rollout};

use crate::sources::Source;

/// The name of the log.
pub const NAME: &str = "choice-users";
/// Items of the catalogue.
pub const ITEMS: usize = 60;
/// Sessions of the log.
pub const SESSIONS: u64 = 900;

/// Sessions with slates at random, and the users who chose in them: they like, tire and leave, and
/// their items are few enough for their optimum to be computed.
pub fn log_and_users() -> anyhow::Result<(Source, ChoiceUsers)> {
    let users = ChoiceUsers::new(&ChoiceUsersConfig {
        items: ITEMS,
        position_weights: vec![1.0, 0.7],
        click_reward: ClickReward::Utility,
        seed: 1,
        ..ChoiceUsersConfig::default()
    })?;
    let seed = Seed::new(1).derive("log of choice users");
    let rollout = Rollout::new(seed, 0..SESSIONS, 5).max_steps(10);
    let log = rollout.run(&users, &Blind(UniformRandom { items: ITEMS }))?;
    let catalogue = Catalogue::numbered(ITEMS);
    let dataset = Dataset { name: NAME.into(), log, catalogue, ..Dataset::default() };
    Ok((Source::simulated(dataset), users))
}
