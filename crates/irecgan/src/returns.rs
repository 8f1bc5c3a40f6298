//! The return of each step (Eq 8 and 10) and the buffers of scored trajectories that it is computed
//! from. Scores of real sessions are 1 (§5.1), so all methods learn from the same kind of buffer.

use foretaste_data::{Entry, Log, LogBuilder, Step};

/// R^a_t = Σ_{t' ≥ t} γ^(t'-t) q_D(τ_0:t') (1 + λ_r r_t') of each step of one trajectory, Eq 10.
///
/// The score and the reward inside the sum are those of step t', as in the authors' code; the
/// printed formula names those of step t. With λ_r = 0 this is the return of Eq 8.
pub fn returns(scores: &[f32], rewards: &[f32], discount: f64, lambda_r: f64) -> Vec<f32> {
    let mut returns = vec![0.0; scores.len()];
    let mut after = 0.0;
    for ((slot, &score), &reward) in returns.iter_mut().zip(scores).zip(rewards).rev() {
        after = f64::from(score) * (1.0 + lambda_r * f64::from(reward)) + discount * after;
        *slot = after as f32;
    }
    returns
}

/// Trajectories with q_D of each of their steps: what U and A learn from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Buffer {
    /// The trajectories.
    pub log: Log,
    /// q_D(τ_0:t) of every step of the log, in order.
    pub scores: Vec<f32>,
}

impl Buffer {
    /// Sessions of real users, for which q_D = 1 (§5.1).
    pub fn real(log: Log) -> Self {
        let scores = vec![1.0; log.steps()];
        Self { log, scores }
    }

    /// The last `count` trajectories, or all if there are fewer.
    pub(crate) fn latest(self, count: usize) -> Self {
        let sessions = self.log.sessions();
        let log = self.log.slice(sessions.saturating_sub(count)..sessions).to_log();
        let scores = self.scores[self.scores.len() - log.steps()..].to_vec();
        Self { log, scores }
    }

    /// The trajectories of which at least one step counts.
    pub(crate) fn counted(self) -> Self {
        let (mut sessions, mut scores, mut end) = (Vec::new(), Vec::new(), 0);
        for (at, session) in self.log.iter().enumerate() {
            let start = end;
            end += session.len();
            if self.scores[start..end].iter().any(|&score| score != 0.0) {
                sessions.push(at);
                scores.extend_from_slice(&self.scores[start..end]);
            }
        }
        Self { log: self.log.select(&sessions), scores }
    }

    /// R^a_t of every step of the log, in order. A step without a click, such as END, adds nothing.
    pub fn returns(&self, discount: f64, lambda_r: f64) -> Vec<f32> {
        let (mut all, mut start) = (Vec::with_capacity(self.scores.len()), 0);
        for session in self.log.iter() {
            let rewards: Vec<f32> = session.steps().map(|step| step.reward).collect();
            let scores = session.steps().zip(&self.scores[start..]);
            let scores: Vec<f32> = scores
                .map(|(step, &score)| if step.choice.item().is_some() { score } else { 0.0 })
                .collect();
            all.extend(returns(&scores, &rewards, discount, lambda_r));
            start += session.len();
        }
        all
    }

    /// B = [self, other].
    ///
    /// # Errors
    /// [`Error::Log`](crate::Error::Log) if the two cannot stand in one log.
    pub fn join(mut self, other: &Self) -> crate::Result<Self> {
        self.log = join(&[&self.log, &other.log])?;
        self.scores.extend_from_slice(&other.scores);
        Ok(self)
    }
}

/// The sessions of some logs one after the other; users, times and propensities are left behind.
pub(crate) fn join(logs: &[&Log]) -> crate::Result<Log> {
    let mut builder = LogBuilder::default();
    for session in logs.iter().flat_map(|log| log.iter()) {
        for entry in session.entries() {
            match entry {
                Entry::Event(event) => builder.event(event),
                Entry::Step(_, step) => {
                    builder.push(Step::new(step.slate, step.choice, step.reward))?;
                }
            }
        }
        builder.end_session(None)?;
    }
    Ok(builder.build())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn returns_equal_the_double_sum_of_equation_10(
            steps in prop::collection::vec((0f32..1.0, -3f32..3.0), 0..12),
            discount in 0f64..1.0,
            lambda_r in 0f64..5.0,
        ) {
            let scores: Vec<f32> = steps.iter().map(|step| step.0).collect();
            let rewards: Vec<f32> = steps.iter().map(|step| step.1).collect();
            let found = returns(&scores, &rewards, discount, lambda_r);
            prop_assert_eq!(found.len(), steps.len());
            for (t, found) in found.iter().enumerate() {
                let mut expected = 0.0;
                for later in t..steps.len() {
                    let reward = 1.0 + lambda_r * f64::from(rewards[later]);
                    expected += discount.powi((later - t) as i32) * f64::from(scores[later]) * reward;
                }
                let error = (f64::from(*found) - expected).abs();
                prop_assert!(error < 1e-5 * expected.abs().max(1.0), "{found} {expected}");
            }
        }
    }
}
