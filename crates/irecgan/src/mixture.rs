//! Lines 9 to 11 of Algorithm 1: generated trajectories and logged sessions at the ratio of λ₁. The
//! baselines PGU and ACU learn from the same mixture, without D.

use foretaste_data::Log;
use foretaste_random::Seed;
use foretaste_user_model::behaviour::BehaviourModel;
use rand::seq::SliceRandom;

use crate::algorithm::simulate;
use crate::support::Support;
use crate::{Agent, Buffer, IRecGanConfig, Result};

/// What the baselines PGU and ACU learn from in an epoch (§7.2): B = [B^s, B^r] of lines 9 and 11
/// of Algorithm 1 with q_D = 1 throughout, where U is as line 3 left it. The ratio is that of λ₁,
/// 1:10; with λ₁ = 0 it is the offline data alone.
///
/// # Errors
/// What the simulation returns.
pub fn unjudged(
    config: &IRecGanConfig,
    users: &BehaviourModel,
    agent: &Agent,
    offline: &Log,
    seed: Seed,
) -> Result<Buffer> {
    let generate = |count, seed| {
        let log =
            simulate(config, users, agent, offline, |simulation| simulation.generate(count, seed))?;
        restricted(config, offline, Buffer::real(log))
    };
    Ok(mixture(config, offline, seed, generate)?.both)
}

/// What an r-step learns from.
pub(crate) struct Mixture {
    /// B = [B^s, B^r].
    pub both: Buffer,
    /// The trajectories of B^s, which come first.
    pub generated: usize,
}

/// Lines 9 to 11: the m trajectories that `generate` makes, and offline sessions at the ratio of
/// λ₁.
pub(crate) fn mixture(
    config: &IRecGanConfig,
    offline: &Log,
    seed: Seed,
    generate: impl FnOnce(usize, Seed) -> Result<Buffer>,
) -> Result<Mixture> {
    let sessions = offline.sessions();
    let real = |count| Buffer::real(extract(offline, count, seed.derive("line 11")));
    let (m, extracted) = (config.generated(sessions), config.extracted(sessions));
    if m == 0 {
        return Ok(Mixture { both: real(extracted), generated: 0 });
    }
    let mut trajectories = generate(m, seed.derive("line 9"))?;
    if config.replace_unsupported {
        trajectories = trajectories.counted();
    }
    let generated = trajectories.log.sessions();
    let both = trajectories.join(&real(extracted + m - generated))?;
    Ok(Mixture { both, generated })
}

/// Generated trajectories, of which those slates alone count that the offline data support, where
/// the settings ask for it.
pub(crate) fn restricted(
    config: &IRecGanConfig,
    offline: &Log,
    mut generated: Buffer,
) -> Result<Buffer> {
    if let Some(least) = config.support {
        Support::new(offline).restrict(&mut generated, least);
    }
    Ok(generated)
}

/// `count` of the offline sessions: none a second time before each has been taken once.
pub(crate) fn extract(offline: &Log, count: usize, seed: Seed) -> Log {
    let mut order: Vec<usize> = (0..offline.sessions()).collect();
    order.shuffle(&mut seed.stream(0));
    let mut taken: Vec<usize> = order.into_iter().cycle().take(count).collect();
    taken.sort_unstable();
    offline.select(&taken)
}
