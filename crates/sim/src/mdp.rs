//! The simulated users of IRecGAN §7.1, with the authors' choice of transitions and one in which
//! planning matters.

use foretaste_data::{Choice, ItemId};
use foretaste_random::{Seed, Stream};
use foretaste_settings::Setting;
use rand::Rng;
use rand_distr::{Distribution, Gamma};
use serde::{Deserialize, Serialize};

use crate::draw::{accumulate, proportional, rank};
use crate::{Environment, Responses, Result, Slates};

/// How the rows P(·|s, i) of an [`Mdp`] are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Transitions {
    /// The softmax of U\[0,1\] draws, as in the IRecGAN authors' code: rows are nearly uniform, the
    /// state hardly persists, and looking ahead gains little.
    SoftmaxUniform,
    /// Dirichlet with every concentration equal to this; below 1 each item leads to few states, so
    /// planning matters.
    Dirichlet(f64),
}

/// The synthetic environment of IRecGAN §7.1; the defaults are the paper's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MdpConfig {
    /// Number of hidden states m.
    pub states: usize,
    /// Number of items n.
    pub items: usize,
    /// How the transition probabilities are drawn.
    pub transitions: Transitions,
    /// What rewards and transitions are drawn from.
    pub seed: u64,
}

impl Default for MdpConfig {
    fn default() -> Self {
        Self { states: 10, items: 50, transitions: Transitions::SoftmaxUniform, seed: 0 }
    }
}

/// The MDP of IRecGAN §7.1: m hidden states, n items, a reward r(s, i) per state and item.
///
/// Shown a slate A in state s, the user considers one item i of it, drawn with probability r(s, i)
/// / Σ_{j∈A} r(s, j), and takes it with probability r(s, i). On success the step is a click with
/// reward 1 and the next state is drawn from P(·|s, i); on failure the user leaves, with reward 0.
/// Sessions begin in state 0. A slate whose rewards are all 0 makes the user leave.
#[derive(Clone, Debug, PartialEq)]
pub struct Mdp {
    states: usize,
    items: usize,
    rewards: Vec<f64>,
    transitions: Vec<f64>,
    cumulative: Vec<f64>,
}

impl Mdp {
    /// Draws r(s, i) from U\[0,1\] and the transitions as configured.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if there is no state or no item, or if the
    /// Dirichlet's concentration is not positive.
    pub fn new(config: &MdpConfig) -> Result<Self> {
        let seed = Seed::new(config.seed).derive("mdp");
        let mut stream = seed.derive("rewards").stream(0);
        let rewards = (0..config.states * config.items).map(|_| stream.random()).collect();
        let mut stream = seed.derive("transitions").stream(0);
        let mut transitions = vec![0.0; config.states * config.items * config.states];
        for row in transitions.chunks_exact_mut(config.states.max(1)) {
            config.transitions.fill_logits(row, &mut stream)?;
            softmax(row);
        }
        Self::from_parts(config.states, config.items, rewards, transitions)
    }

    /// The MDP with the given rewards r(s, i), `[m, n]`, and transitions P(s'|s, i), `[m, n, m]`,
    /// both row-major.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a length is wrong, a reward is not in \[0, 1\],
    /// or a row of transitions is not a distribution.
    pub fn from_parts(
        states: usize,
        items: usize,
        rewards: Vec<f64>,
        transitions: Vec<f64>,
    ) -> Result<Self> {
        if states == 0 || items == 0 || items > ItemId::MAX_ITEMS {
            return Err(Setting::new("mdp", format!("{states} states and {items} items")).into());
        }
        let (cells, entries) = (states * items, states * items * states);
        if rewards.len() != cells || transitions.len() != entries {
            let problem = format!(
                "{} rewards and {} transitions, not {cells} and {entries}",
                rewards.len(),
                transitions.len()
            );
            return Err(Setting::new("mdp", problem).into());
        }
        if let Some(reward) = rewards.iter().find(|reward| !(0.0..=1.0).contains(*reward)) {
            return Err(Setting::new("mdp rewards", format!("{reward} is not in [0, 1]")).into());
        }
        for (index, row) in transitions.chunks_exact(states).enumerate() {
            let sum: f64 = row.iter().sum();
            if row.iter().any(|&p| p.is_nan() || p < 0.0) || (sum - 1.0).abs() > 1e-6 {
                let problem =
                    format!("row (state {}, item {}) sums to {sum}", index / items, index % items);
                return Err(Setting::new("mdp transitions", problem).into());
            }
        }
        let mut cumulative = transitions.clone();
        cumulative.chunks_exact_mut(states).for_each(accumulate);
        Ok(Self { states, items, rewards, transitions, cumulative })
    }

    /// Number of hidden states m.
    pub fn states(&self) -> usize {
        self.states
    }

    /// Number of items n.
    pub fn items(&self) -> usize {
        self.items
    }

    /// r(s, i).
    pub fn reward(&self, state: usize, item: ItemId) -> f64 {
        self.rewards[state * self.items + item.index()]
    }

    /// r(s, ·), `[n]`.
    pub fn rewards(&self, state: usize) -> &[f64] {
        &self.rewards[state * self.items..(state + 1) * self.items]
    }

    /// P(·|s, i), `[m]`.
    pub fn transition(&self, state: usize, item: ItemId) -> &[f64] {
        &self.transitions[self.row(state, item)]
    }

    /// The probability that a user in `state` clicks `item` of a slate: r(s, i)² / Σ_{j∈A} r(s, j).
    pub fn click_probability(&self, state: usize, slate: &[ItemId], item: ItemId) -> f64 {
        let sum: f64 = slate.iter().map(|shown| self.reward(state, *shown)).sum();
        let reward = self.reward(state, item);
        if reward > 0.0 { reward * reward / sum } else { 0.0 }
    }

    /// Moves a distribution over the states, `[m]`, on by a click on `item` of a slate, as Bayes'
    /// rule has it; returns the probability of the click. If that is 0, so is all that is left in
    /// the distribution.
    pub fn filter(&self, belief: &mut [f64], slate: &[ItemId], item: ItemId) -> f64 {
        let mut next = vec![0.0; belief.len()];
        for (state, &probability) in
            belief.iter().enumerate().filter(|(_, probability)| **probability > 0.0)
        {
            let evidence = probability * self.click_probability(state, slate, item);
            next.iter_mut()
                .zip(self.transition(state, item))
                .for_each(|(next, p)| *next += evidence * p);
        }
        let evidence: f64 = next.iter().sum();
        let scale = if evidence > 0.0 { evidence } else { 1.0 };
        belief.iter_mut().zip(next).for_each(|(belief, next)| *belief = next / scale);
        evidence
    }

    fn row(&self, state: usize, item: ItemId) -> std::ops::Range<usize> {
        let first = (state * self.items + item.index()) * self.states;
        first..first + self.states
    }
}

/// The hidden state of each session of an [`Mdp`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MdpState(pub Vec<u32>);

impl Environment for Mdp {
    type State = MdpState;

    fn items(&self) -> usize {
        self.items
    }

    fn reset(&self, streams: &mut [Stream]) -> Result<MdpState> {
        Ok(MdpState(vec![0; streams.len()]))
    }

    fn step(
        &self,
        state: &mut MdpState,
        slates: &Slates,
        streams: &mut [Stream],
        responses: &mut Responses,
    ) -> Result<()> {
        responses.clear();
        let mut sums = vec![0.0; slates.k()];
        for (row, (state, stream)) in state.0.iter_mut().zip(streams).enumerate() {
            let slate = slates.row(row);
            let rewards = self.rewards(*state as usize);
            let mut sum = 0.0;
            for (running, item) in sums.iter_mut().zip(slate) {
                sum += rewards[item.index()];
                *running = sum;
            }
            let candidate = proportional(&sums, stream).map(|place| slate[place]);
            match candidate.filter(|item| stream.random::<f64>() < rewards[item.index()]) {
                Some(item) => {
                    let next =
                        rank(&self.cumulative[self.row(*state as usize, item)], stream.random());
                    *state = next as u32;
                    responses.push(Choice::Item(item), 1.0, false);
                }
                None => responses.push(Choice::Leave, 0.0, true),
            }
        }
        Ok(())
    }

    fn select(&self, state: &MdpState, rows: &[usize]) -> Result<MdpState> {
        Ok(MdpState(rows.iter().map(|&row| state.0[row]).collect()))
    }

    fn replace(&self, state: &mut MdpState, rows: &[usize], _: &mut [Stream]) -> Result<()> {
        rows.iter().for_each(|&row| state.0[row] = 0);
        Ok(())
    }
}

impl Transitions {
    fn fill_logits(self, row: &mut [f64], stream: &mut Stream) -> Result<()> {
        match self {
            Self::SoftmaxUniform => row.fill_with(|| stream.random()),
            Self::Dirichlet(alpha) => {
                // Gamma(α) = Gamma(α + 1) · U^(1/α), in logarithms: small concentrations underflow
                // otherwise.
                let boosted =
                    Gamma::new(alpha + 1.0, 1.0).ok().filter(|_| alpha > 0.0 && alpha.is_finite());
                let boosted = boosted.ok_or_else(|| {
                    Setting::new(
                        "mdp transitions",
                        format!("concentration {alpha} is not positive"),
                    )
                })?;
                row.fill_with(|| {
                    boosted.sample(stream).ln() + (1.0 - stream.random::<f64>()).ln() / alpha
                });
            }
        }
        Ok(())
    }
}

fn softmax(logits: &mut [f64]) {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    logits.iter_mut().for_each(|logit| *logit = (*logit - largest).exp());
    let sum: f64 = logits.iter().sum();
    logits.iter_mut().for_each(|weight| *weight /= sum);
}
