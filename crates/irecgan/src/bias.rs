//! The biases of the value that IRecGAN learns from, where the users are known (§6).

use foretaste_data::{Choice, ItemId, Log, Step};
use foretaste_settings::Setting;
use foretaste_sim::{Blind, Mdp, Policy, Rollout};
use foretaste_user_model::behaviour::{BehaviourUsers, Rewards};

use crate::{AgentPolicy, Result, Selection};

/// Where generated trajectories come from, in addition to the agent.
#[derive(Clone, Copy)]
pub struct Generated<'a> {
    /// U.
    pub users: &'a BehaviourUsers,
    /// Steps of a trajectory at most, on the last of which the user leaves; see
    /// [`max_trajectory_length`](crate::max_trajectory_length).
    pub max_steps: usize,
}

/// The policy that made the offline data, in the users of an [`Mdp`].
#[derive(Clone, Copy)]
pub struct Logged<'a> {
    /// The probability that it shows the items of a slate, in any order, to a user in a state.
    pub slate_probability: &'a (dyn Fn(usize, &[ItemId]) -> f64 + Sync),
    /// The expected sum of rewards of its sessions.
    pub value: f64,
}

/// The value estimate of Eq 12 under the optimal discriminator, and the three terms by which it is
/// off.
///
/// All expectations are over sessions of π, the agent in the true users. A history τ_0:t ends with
/// the slate a_t; the reward of a step is its expectation given the history, r_t in the true users,
/// in which every click pays, and r̂_t in U; Δ_t = r̂_t - r_t. P_π, P_g and P_data are computed
/// exactly for each session: the true users' by filtering their hidden state, slates as sets; P_g
/// is 0 from the slate on which every generated trajectory ends, of which no reward can come.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Biases {
    /// V^π: the expected sum of rewards of a session.
    pub value: f64,
    /// Mean |Δ_t| over the steps of π.
    pub delta: f64,
    /// What P_g lacks of P_π: the mean over the steps of π of max(0, 1 - P_g / P_π), from 0 to 1; 0
    /// where P_g is nowhere below P_π.
    pub delta_1: f64,
    /// The same of P_data, and δ₂.
    pub delta_2: f64,
    /// The share of V^π that is earned where P_data > 0.
    pub reached: f64,
    /// Σ_t E_π[w_t Δ_t], w_t = λ₁ / (2 - (δ₁ + δ₂)).
    pub from_delta: f64,
    /// Σ_t E_data[λ₂ δ₂ r_t] as λ₂ (V^data - V^π), which it is where the data reach all that π does
    /// and their slates tell nothing of the state; elsewhere it is taken as that too, so that the
    /// three terms are always the whole bias.
    pub from_data: f64,
    /// -Σ_t E_π[(λ₁ - w_t) r_t].
    pub from_weights: f64,
}

impl Biases {
    /// Estimates them over the sessions of a rollout of `agent`, which draws its slates, in `mdp`;
    /// `lambda_1` is the share of generated trajectories.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the agent does not draw its slates, λ₁ is not
    /// in [0, 1], a slate has more than 16 items, whose subsets are too many, or there is no
    /// session; if the rewards of U are no purchases; what the networks return.
    pub fn estimate(
        mdp: &Mdp,
        agent: &AgentPolicy,
        generated: Generated<'_>,
        logged: Logged<'_>,
        lambda_1: f64,
        rollout: &Rollout,
    ) -> Result<Self> {
        const LARGEST_SLATE: usize = 16;
        if !(0.0..=1.0).contains(&lambda_1)
            || rollout.k() > LARGEST_SLATE
            || rollout.sessions().is_empty()
        {
            let (k, sessions) = (rollout.k(), rollout.sessions());
            let problem = format!("λ₁ {lambda_1}, slates of {k}, sessions {sessions:?}");
            let problem = problem + ": expected [0, 1], at most 16, at least one";
            return Err(Setting::new("biases", problem).into());
        }
        if agent.selection() != Selection::Sampled {
            let problem = "shows its likeliest items, expected one that draws";
            return Err(Setting::new("agent", problem).into());
        }
        if generated.users.rewards() != Rewards::Purchases {
            return Err(Setting::new("users", "pay amounts, expected purchases").into());
        }
        let log = rollout.run(mdp, &Blind(agent))?;
        let mut sums = Self::default();
        let moments = moments(&log, mdp, agent, generated, logged)?;
        for moment in &moments {
            let weight = lambda_1
                / ((moment.pi - moment.generated).exp() + (moment.pi - moment.logged).exp());
            let delta = moment.expected - moment.reward;
            sums.value += moment.reward;
            sums.delta += delta.abs();
            sums.delta_1 += (1.0 - (moment.generated - moment.pi).exp()).max(0.0);
            sums.delta_2 += (1.0 - (moment.logged - moment.pi).exp()).max(0.0);
            sums.reached += if moment.logged > f64::NEG_INFINITY { moment.reward } else { 0.0 };
            sums.from_delta += weight * delta;
            sums.from_weights -= (lambda_1 - weight) * moment.reward;
        }
        let (steps, sessions) = (moments.len() as f64, log.sessions() as f64);
        let value = sums.value / sessions;
        Ok(Self {
            value,
            delta: sums.delta / steps,
            delta_1: sums.delta_1 / steps,
            delta_2: sums.delta_2 / steps,
            reached: sums.reached / sums.value,
            from_delta: sums.from_delta / sessions,
            from_data: (1.0 - lambda_1) * (logged.value - value),
            from_weights: sums.from_weights / sessions,
        })
    }

    /// By how much Eq 12 is off in all.
    pub fn total(&self) -> f64 {
        self.from_delta + self.from_data + self.from_weights
    }
}

/// One step of a session, up to its slate.
struct Moment {
    /// log P_π(τ_0:t).
    pi: f64,
    /// log P_g(τ_0:t).
    generated: f64,
    /// log P_data(τ_0:t), -∞ where the log's policy never goes.
    logged: f64,
    /// r_t.
    reward: f64,
    /// r̂_t.
    expected: f64,
}

/// A session on its way.
struct Filter {
    /// Σ log p of clicks in the true users, in U, and of slates by the agent.
    clicks: f64,
    users_clicks: f64,
    slates: f64,
    /// log P_data of what is behind.
    logged: f64,
    /// The true users' state given clicks and slates, where slates tell nothing of it.
    state: Vec<f64>,
    /// The same where the log's policy chose the slates, which may see the state.
    logged_state: Vec<f64>,
}

/// The steps of all sessions, those of equal number in a session together.
fn moments(
    log: &Log,
    mdp: &Mdp,
    agent: &AgentPolicy,
    Generated { users, max_steps }: Generated<'_>,
    logged: Logged<'_>,
) -> Result<Vec<Moment>> {
    let sessions: Vec<Vec<Step<'_>>> =
        log.iter().map(|session| session.steps().collect()).collect();
    let (mut memory, mut state) = (agent.begin(sessions.len())?, users.begin(sessions.len())?);
    let mut rows: Vec<usize> = (0..sessions.len()).collect();
    let start: Vec<f64> = (0..mdp.states()).map(|state| f64::from(u8::from(state == 0))).collect();
    let begun = || Filter {
        clicks: 0.0,
        users_clicks: 0.0,
        slates: 0.0,
        logged: 0.0,
        state: start.clone(),
        logged_state: start.clone(),
    };
    let mut filters: Vec<Filter> = sessions.iter().map(|_| begun()).collect();
    let mut moments = Vec::with_capacity(log.steps());
    for t in 0.. {
        if t + 1 == max_steps {
            filters.iter_mut().for_each(|filter| filter.users_clicks = f64::NEG_INFINITY);
        }
        let present: Vec<usize> =
            (0..rows.len()).filter(|&entry| sessions[rows[entry]].len() > t).collect();
        rows = present.iter().map(|&entry| rows[entry]).collect();
        if rows.is_empty() {
            break;
        }
        memory = Policy::select(agent, &memory, &present)?;
        state = users.select(&state, &present)?;
        let steps: Vec<&Step<'_>> = rows.iter().map(|&row| &sessions[row][t]).collect();
        let probabilities = agent.probabilities(&memory)?;
        let slates: Vec<&[ItemId]> = steps.iter().map(|step| step.slate).collect();
        let answers = users.expectations(&state, &slates)?;
        for (entry, (step, answer)) in steps.iter().zip(&answers).enumerate() {
            let agent = set_probability(&probabilities[entry], step.slate);
            filters[rows[entry]].take(mdp, step, agent.ln(), answer, logged, &mut moments);
        }
        let choices: Vec<Choice> = steps.iter().map(|step| step.choice).collect();
        users.observe(&mut state, &choices)?;
        agent.observe_choices(&mut memory, &choices)?;
    }
    Ok(moments)
}

impl Filter {
    fn take(
        &mut self,
        mdp: &Mdp,
        step: &Step<'_>,
        slate: f64,
        answer: &[(f64, f64)],
        logged: Logged<'_>,
        moments: &mut Vec<Moment>,
    ) {
        self.slates += slate;
        for (state, probability) in self.logged_state.iter_mut().enumerate() {
            *probability *= (logged.slate_probability)(state, step.slate);
        }
        self.logged += normalise(&mut self.logged_state);
        let click = |item: &ItemId| {
            let in_state =
                |(state, p): (usize, &f64)| p * mdp.click_probability(state, step.slate, *item);
            self.state.iter().enumerate().map(in_state).sum::<f64>()
        };
        moments.push(Moment {
            pi: self.clicks + self.slates,
            generated: self.users_clicks + self.slates,
            logged: self.logged,
            reward: step.slate.iter().map(click).sum(),
            expected: answer.iter().map(|(click, bought)| click * bought).sum(),
        });
        let clicked =
            step.choice.item().and_then(|item| step.slate.iter().position(|shown| *shown == item));
        if let Some(place) = clicked {
            let (click, bought) = answer[place];
            let paid = step.reward > 0.0;
            self.users_clicks += (click * if paid { bought } else { 1.0 - bought }).ln();
            // Every click pays in the true users.
            let possible = if paid { 0.0 } else { f64::NEG_INFINITY };
            self.clicks +=
                mdp.filter(&mut self.state, step.slate, step.slate[place]).ln() + possible;
            self.logged +=
                mdp.filter(&mut self.logged_state, step.slate, step.slate[place]).ln() + possible;
        }
    }
}

/// Scales to a sum of 1, unless all are 0; returns the logarithm of the sum before.
fn normalise(values: &mut [f64]) -> f64 {
    let sum: f64 = values.iter().sum();
    if sum > 0.0 {
        values.iter_mut().for_each(|value| *value /= sum);
    }
    sum.ln()
}

/// The probability that drawing without replacement in proportion to `probabilities` takes the
/// items of `slate` first, in any order: summed over the subsets of the slate, 2^k of them.
fn set_probability(probabilities: &[f64], slate: &[ItemId]) -> f64 {
    let inside: Vec<f64> = slate.iter().map(|item| probabilities[item.index()]).collect();
    let outside: f64 = probabilities
        .iter()
        .enumerate()
        .filter(|(item, _)| !slate.contains(&ItemId(*item as u32)))
        .map(|(_, probability)| probability)
        .sum();
    // reached[subset]: the probability that the first draws are those of the subset.
    let mut reached = vec![0.0; 1 << slate.len()];
    reached[0] = 1.0;
    for subset in 0..reached.len() {
        let missing = (0..slate.len()).filter(|place| subset & (1 << place) == 0);
        let left: f64 = outside + missing.clone().map(|place| inside[place]).sum::<f64>();
        for place in missing {
            reached[subset | (1 << place)] += reached[subset] * inside[place] / left;
        }
    }
    reached[reached.len() - 1]
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use foretaste_random::Seed;
    use foretaste_sim::{MdpConfig, policies::UniformRandom};
    use foretaste_user_model::behaviour::{BehaviourConfig, BehaviourModel};
    use proptest::prelude::*;

    use super::*;
    use crate::{Agent, AgentConfig, Simulation};

    proptest! {
        #[test]
        fn sets_have_the_probability_of_their_orders(weights in prop::collection::vec(0.01f64..1.0, 4..7)) {
            let sum: f64 = weights.iter().sum();
            let p: Vec<f64> = weights.iter().map(|weight| weight / sum).collect();
            let mut all = 0.0;
            for (a, b, c) in (0..p.len()).flat_map(|a| (0..a).flat_map(move |b| (0..b).map(move |c| (a, b, c)))) {
                let order = |x: usize, y: usize, z: usize| p[x] * p[y] / (1.0 - p[x]) * p[z] / (1.0 - p[x] - p[y]);
                let orders = [order(a, b, c), order(a, c, b), order(b, a, c), order(b, c, a), order(c, a, b), order(c, b, a)];
                let found = set_probability(&p, &[a, b, c].map(|item| ItemId(item as u32)));
                prop_assert!((found - orders.iter().sum::<f64>()).abs() < 1e-12);
                all += found;
            }
            prop_assert!((all - 1.0).abs() < 1e-9);
        }
    }

    /// Eq 12 itself, over trajectories of g: λ₁ Σ E_g[D* r̂] + λ₂ V^data, D* = P_data / (P_data +
    /// P_g). Four standard errors of the mean over 4,000 sessions on either side; the seeds are
    /// fixed.
    #[test]
    fn the_terms_add_up_to_the_bias_of_equation_12() {
        let (items, k, lambda_1, sessions) = (6, 2, 0.4, 4_000);
        let mdp = Mdp::new(&MdpConfig { states: 3, items, ..MdpConfig::default() }).unwrap();
        let config = AgentConfig { embedding: 3, hidden: 4, ..AgentConfig::new(items) };
        let agent = Agent::new(config, Seed::new(1), &Device::Cpu).unwrap();
        crate::tests::sharpen(agent.params(), 4.0);
        let agent = AgentPolicy::new(&agent, Selection::Sampled).unwrap();
        let config = BehaviourConfig { embedding: 3, hidden: 4, ..BehaviourConfig::new(items) };
        let model = BehaviourModel::new(config, Seed::new(2), &Device::Cpu).unwrap();
        crate::tests::sharpen(model.params(), 2.0);
        let users = BehaviourUsers::new(&model).unwrap();
        let uniform = |_: usize, _: &[ItemId]| 1.0 / 15.0;
        let outcomes = Rollout::new(Seed::new(3), 0..sessions, k)
            .outcomes(&mdp, &Blind(UniformRandom { items }))
            .unwrap();
        let value = outcomes.iter().map(|outcome| outcome.reward).sum::<f64>() / sessions as f64;
        let logged = Logged { slate_probability: &uniform, value };

        let (rollout, max_steps) = (Rollout::new(Seed::new(4), 0..sessions, k), 3);
        let source = Generated { users: &users, max_steps };
        let biases = Biases::estimate(&mdp, &agent, source, logged, lambda_1, &rollout).unwrap();
        let simulation =
            Simulation { users: &users, agent: &agent, k, max_steps, chunk: 256, openings: &[] };
        let generated = simulation.generate(sessions as usize, Seed::new(5)).unwrap();
        let scaled =
            |moment: &Moment| moment.expected / (1.0 + (moment.generated - moment.logged).exp());
        let moments = moments(&generated, &mdp, &agent, source, logged).unwrap();
        let possible = moments.iter().filter(|moment| moment.generated > f64::NEG_INFINITY);
        let estimate = lambda_1 * possible.map(scaled).sum::<f64>() / sessions as f64
            + (1.0 - lambda_1) * value;
        let found = biases.value + biases.total();
        assert!((found - estimate).abs() < 0.05, "{found} {estimate} {biases:?}");
        // Neither U nor the data are what π meets, and every term is there to be seen.
        assert!(
            biases.delta > 0.05 && biases.delta_1 > 0.05 && biases.delta_2 > 0.05,
            "{biases:?}"
        );
        assert!(biases.from_delta.abs() > 0.005 && biases.from_weights.abs() > 0.02, "{biases:?}");
        assert_eq!(biases.reached, 1.0);
    }
}
