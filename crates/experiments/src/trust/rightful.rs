//! What may rightly be asked of learned users, by the truth.
//!
//! Written before the rule's thresholds were chosen. Of each verdict, given those before it:
//!
//! * *only simulate*: in the learned users, the policy that made the log has click rate, reward a
//!   slate and length of session within 5% of what it truly has.
//! * *rank policies*: of eight policies, the one that is best in the learned users truly earns
//!   within 2% of the best, and Kendall's τ over the pairs that truly differ by more than 2% is at
//!   least 0.8.
//! * *tune*: the slates that the learned users find most likely truly earn at least 98% of the best
//!   of the policies that need no users: the one that made the log, uniform, drawn by clicks, most
//!   clicked.

use foretaste_cascade_dqn::Greedy;
use foretaste_data::Log;
use foretaste_random::Seed;
use foretaste_sim::policies::{EpsilonGreedy, Popularity, TopItems, UniformRandom};
use foretaste_sim::{Blind, Environment, Outcome, Policy, Rollout};
use foretaste_train::counts::Counts;
use foretaste_user_model::LearnedUsers;
use foretaste_user_model::trust::{ByItem, Verdict, kendall, regret};
use rand::Rng;

use super::evidence::Learned;
use super::world::{Config, K, Logger};

/// What the truth says of learned users.
pub struct Truth {
    /// The largest of the relative errors of click rate, reward and length.
    pub rate_error: f64,
    /// Kendall's τ of the policies; none where all truly earn about the same.
    pub order: Option<f64>,
    /// What the policy that seems best truly loses, as a share of the best.
    pub regret: f64,
    /// What greed truly earns, over the best policy that needs no users.
    pub tuned: f64,
}

/// Rates may be off by so much.
const RATE_ERROR: f64 = 0.05;
/// Policies that differ by less, as a share of the larger, need no order, and may be taken for each
/// other.
const MARGIN: f64 = 0.02;
/// The least τ.
const ORDER: f64 = 0.8;
/// Sessions that are played together.
const CHUNK: usize = 128;

impl Truth {
    /// Plays policies in the true users, and in the learned ones.
    pub fn new<E: Environment>(
        config: &Config,
        users: &E,
        liking: &[f64],
        log: &Log,
        learned: &Learned,
        seed: Seed,
    ) -> anyhow::Result<Self> {
        let logger = config.logger(users.items(), liking, seed)?;
        let asked = Asked::new(users.items(), liking, log, learned, seed)?;
        let [in_learned, truly] = config.played.map(|sessions| {
            let rollout =
                Rollout::new(seed.derive("truth"), 0..sessions, K).max_steps(config.steps);
            rollout.chunk(CHUNK)
        });
        let here = logged(&logger, &learned.users, &truly)?;
        let there = logged(&logger, users, &truly)?;
        let error = |of: fn(&Rates) -> f64| (of(&here) / of(&there) - 1.0).abs();
        let rate_error = error(|rates| rates.clicks)
            .max(error(|rates| rates.reward))
            .max(error(|rates| rates.length));
        let (seem, earn) =
            (asked.rewards(&learned.users, &in_learned)?, asked.rewards(users, &truly)?);
        let without = earn[..Asked::NEED_NO_USERS].iter().copied().fold(there.session(), f64::max);
        Ok(Self {
            rate_error,
            order: kendall(&earn, &seem, MARGIN),
            regret: regret(&earn, &seem),
            tuned: earn[earn.len() - 1] / without,
        })
    }

    /// The largest verdict that is right with all before it.
    pub fn rightful(&self) -> Verdict {
        let simulate = self.rate_error <= RATE_ERROR;
        let rank = self.order.is_none_or(|order| order >= ORDER) && self.regret <= MARGIN;
        let tune = self.tuned >= 1.0 - MARGIN;
        match [simulate, rank, tune] {
            [true, true, true] => Verdict::Tune,
            [true, true, false] => Verdict::RankPolicies,
            [true, ..] => Verdict::OnlySimulate,
            _ => Verdict::Nothing,
        }
    }
}

/// Clicks and reward a slate, and slates a session.
struct Rates {
    clicks: f64,
    reward: f64,
    length: f64,
}

impl Rates {
    fn of(outcomes: &[Outcome]) -> Self {
        let sum = |of: &dyn Fn(&Outcome) -> f64| outcomes.iter().map(of).sum::<f64>();
        let steps = sum(&|outcome| f64::from(outcome.steps));
        Self {
            clicks: sum(&|outcome| f64::from(outcome.clicks)) / steps,
            reward: sum(&|outcome| outcome.reward) / steps,
            length: steps / outcomes.len() as f64,
        }
    }

    /// Reward of a session.
    fn session(&self) -> f64 {
        self.reward * self.length
    }
}

/// What the policy that made the log does.
fn logged<E: Environment>(logger: &Logger, users: &E, rollout: &Rollout) -> anyhow::Result<Rates> {
    Ok(Rates::of(&match logger {
        Logger::Uniform(policy) => rollout.outcomes(users, &Blind(policy))?,
        Logger::Popularity(policy) => rollout.outcomes(users, &Blind(policy))?,
    }))
}

/// The policies that are to be ranked.
struct Asked<'a> {
    uniform: UniformRandom,
    drawn: Popularity,
    popular: TopItems,
    half: EpsilonGreedy<TopItems>,
    likeliest: TopItems,
    fixed: [TopItems; 2],
    greedy: Greedy<ByItem<&'a LearnedUsers>>,
}

impl<'a> Asked<'a> {
    /// So many of them, the first, need no users.
    const NEED_NO_USERS: usize = 3;

    fn new(
        items: usize,
        liking: &[f64],
        log: &Log,
        learned: &'a Learned,
        seed: Seed,
    ) -> anyhow::Result<Self> {
        let sessions = learned.sessions();
        let steps = sessions.iter().flat_map(|&session| log.session(session).steps());
        let counts = Counts::new(
            steps.map(|step| {
                let clicked = step.choice.item();
                (step.slate, step.slate.iter().position(|item| Some(*item) == clicked))
            }),
            items,
        )?;
        let number = |count: &u32| f64::from(*count);
        let rate = |(clicks, shown): (&u32, &u32)| {
            (number(clicks) + 10.0 * counts.rate) / (number(shown) + 10.0)
        };
        let rates: Vec<f64> = counts.clicks.iter().zip(&counts.shown).map(rate).collect();
        let popular = TopItems::new(&rates);
        let mut stream = seed.derive("fixed slates of the truth").stream(0);
        let mut fixed = || {
            let scores: Vec<f64> = (0..items).map(|_| stream.random()).collect();
            TopItems::new(&scores)
        };
        Ok(Self {
            uniform: UniformRandom { items },
            drawn: Popularity::new(
                counts.clicks.iter().map(|count| number(count) + 1.0).collect(),
            )?,
            half: EpsilonGreedy::new(popular.clone(), 0.5, items)?,
            popular,
            likeliest: TopItems::new(liking),
            fixed: [fixed(), fixed()],
            greedy: learned.greedy(&learned.users),
        })
    }

    /// What a session of each earns: uniform, drawn by clicks, most clicked, half of that uniform,
    /// what users like before any click, two slates that are the same for all users, greed in the
    /// learned users.
    fn rewards<E: Environment>(&self, users: &E, rollout: &Rollout) -> anyhow::Result<Vec<f64>> {
        Ok(vec![
            earned(users, &self.uniform, rollout)?,
            earned(users, &self.drawn, rollout)?,
            earned(users, &self.popular, rollout)?,
            earned(users, &self.half, rollout)?,
            earned(users, &self.likeliest, rollout)?,
            earned(users, &self.fixed[0], rollout)?,
            earned(users, &self.fixed[1], rollout)?,
            earned(users, &self.greedy, rollout)?,
        ])
    }
}

fn earned<E: Environment, P: Policy>(
    users: &E,
    policy: &P,
    rollout: &Rollout,
) -> anyhow::Result<f64> {
    Ok(Rates::of(&rollout.outcomes(users, &Blind(policy))?).session())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_verdict_needs_those_before_it() {
        let truth = |rate_error, order, regret, tuned| {
            Truth { rate_error, order: Some(order), regret, tuned }.rightful()
        };
        assert_eq!(truth(0.01, 0.9, 0.01, 1.1), Verdict::Tune);
        assert_eq!(truth(0.01, 0.9, 0.01, 0.9), Verdict::RankPolicies);
        assert_eq!(truth(0.01, 0.7, 0.01, 1.1), Verdict::OnlySimulate);
        assert_eq!(truth(0.01, 0.9, 0.05, 1.1), Verdict::OnlySimulate);
        assert_eq!(truth(0.06, 0.9, 0.01, 1.1), Verdict::Nothing);
    }
}
