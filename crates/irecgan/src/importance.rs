//! The baseline PGIS of IRecGAN §7.2: does it help to correct a policy gradient for the policy that
//! made the log? It shares the agent's training and changes only the weight of each click.

use foretaste_random::Seed;
use foretaste_settings::Setting;
use foretaste_train::PerStep;
use serde::{Deserialize, Serialize};

use crate::agent::{AgentTrainer, ClickLosses};
use crate::{Buffer, Result};

/// How PGIS weighs a click: by min(π / β, c), and by λ_K if slates are corrected for (Chen et al.,
/// WSDM 2019, Eq 8 and Eq 7).
///
/// π / β is the first-order correction of their Eq 3, of the present step alone. π is that of the
/// batch, β the policy that made the log; both are constants in the gradient.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportanceSampling {
    /// c: the largest weight. 10 is ours.
    pub cap: f64,
    /// K of λ_K = K (1 - π)^(K - 1), for slates of K items drawn from π. Off by default: IRecGAN's
    /// paper speaks of importance sampling only.
    pub top_k: Option<u32>,
}

impl Default for ImportanceSampling {
    fn default() -> Self {
        Self { cap: 10.0, top_k: None }
    }
}

impl ImportanceSampling {
    fn weight(&self, log_pi: f32, log_beta: f32) -> f64 {
        let (log_pi, log_beta) = (f64::from(log_pi), f64::from(log_beta));
        let of_slates =
            self.top_k.map_or(1.0, |k| f64::from(k) * (1.0 - log_pi.exp()).powi(k as i32 - 1));
        (log_pi - log_beta).exp().min(self.cap) * of_slates
    }
}

impl AgentTrainer {
    /// One pass as [`epoch`](Self::epoch), with each click's gradient weighed for the policy that
    /// logged it: the baseline PGIS (§7.2).
    ///
    /// `log_beta` holds log β(c_t | s_t) of every step of the log, in order. A β that is estimated
    /// is an [`Agent`](crate::Agent) of its own, trained with γ = λ_r = 0, which is maximum
    /// likelihood of the logged clicks:
    /// [`click_log_probabilities`](crate::Agent::click_log_probabilities) has them.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if there is not one log β a step or a setting is
    /// outside its range; [`Error::Training`](crate::Error::Training) if a loss or a gradient is
    /// not finite.
    pub fn importance_epoch(
        &mut self,
        buffer: &Buffer,
        log_beta: &[f32],
        sampling: ImportanceSampling,
        seed: Seed,
    ) -> Result<f64> {
        if log_beta.len() != buffer.log.steps() {
            let problem = format!(
                "{} values, expected one for each of {} steps",
                log_beta.len(),
                buffer.log.steps()
            );
            return Err(Setting::new("log β", problem).into());
        }
        if sampling.cap.is_nan() || sampling.cap <= 0.0 || sampling.top_k == Some(0) {
            let found = (sampling.cap, sampling.top_k);
            let expected = "a cap and a K above 0";
            return Err(Setting::of("importance sampling", &found, expected).into());
        }
        let log_beta = PerStep::new(&buffer.log, log_beta);
        self.epoch_by(buffer, seed, |agent, batch, chosen, returns| {
            let clicks = agent.click_losses(batch)?;
            let credit = credit(&clicks, returns, &log_beta.pad(chosen, batch), sampling)?;
            clicks.weighed(credit)
        })
    }
}

/// The weighed return of each click.
pub(crate) fn credit(
    clicks: &ClickLosses,
    returns: &[f32],
    log_beta: &[f32],
    sampling: ImportanceSampling,
) -> Result<Vec<f32>> {
    let logged = clicks.of_cells(returns).into_iter().zip(clicks.of_cells(log_beta));
    let weighed = clicks.log_probabilities()?.into_iter().zip(logged);
    Ok(weighed.map(|(pi, (r, beta))| (f64::from(r) * sampling.weight(pi, beta)) as f32).collect())
}
