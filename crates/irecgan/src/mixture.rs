use foretaste_data::Log;
use foretaste_random::Seed;
use foretaste_user_model::behaviour::BehaviourModel;

use crate::algorithm::{extract, simulate};
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
    let m = config.generated(offline.sessions());
    let real = Buffer::real(extract(
        offline,
        config.extracted(offline.sessions()),
        seed.derive("line 11"),
    ));
    if m == 0 {
        return Ok(real);
    }
    let generated = simulate(config, users, agent, offline, |simulation| {
        simulation.generate(m, seed.derive("line 9"))
    })?;
    Buffer::real(generated).join(&real)
}
