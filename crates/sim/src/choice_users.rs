//! Simulated users as GAN-CDQN assumes them, with a reward that is known: they show whether learned
//! users find it, and whether recommenders plan.

use foretaste_data::{Choice, ItemId, RecentClicks};
use foretaste_random::{Seed, Stream};
use foretaste_settings::Setting;
use rand::Rng;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

use crate::draw::rank;
use crate::{Environment, Responses, Result, Slates};

/// What users may do instead of choosing an item.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outside {
    /// Choose nothing and stay, or leave with this probability.
    Skip {
        /// Probability that a user who chose nothing leaves.
        leaving: f64,
    },
    /// Choose nothing and leave.
    Leave,
    /// Nothing: one item of every slate is chosen, and sessions end only where they are cut.
    Absent,
}

/// The reward that a click earns in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClickReward {
    /// 1.
    One,
    /// The user's own reward r(s, a).
    Utility,
}

/// Settings of [`ChoiceUsers`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChoiceUsersConfig {
    /// Number of hidden user types, all equally common. With 1, the clicks determine the user's
    /// state.
    pub types: usize,
    /// Number of items n.
    pub items: usize,
    /// Dimension d of the item features, drawn from N(0, 1)/√d.
    pub dims: usize,
    /// The position weights w_1 .. w_m, newest click first; their number is the memory m.
    pub position_weights: Vec<f64>,
    /// b: the reward of an item that the user neither likes nor dislikes.
    pub base: f64,
    /// Standard deviation of the entries of p_u, and about that of p_u·f_a.
    pub preference: f64,
    /// α: how much a user is drawn to what resembles the latest clicks.
    pub attraction: f64,
    /// β: how fast too much of it bores.
    pub boredom: f64,
    /// η: how sharply users choose by reward.
    pub eta: f64,
    /// What users may do instead of choosing an item.
    pub outside: Outside,
    /// The reward that a click earns in the log.
    pub click_reward: ClickReward,
    /// What features and preferences are drawn from.
    pub seed: u64,
}

impl Default for ChoiceUsersConfig {
    fn default() -> Self {
        Self {
            types: 1,
            items: 50,
            dims: 8,
            position_weights: vec![1.0, 0.7, 0.4],
            base: 0.0,
            preference: 1.0,
            attraction: 2.0,
            boredom: 1.5,
            eta: 1.0,
            outside: Outside::Skip { leaving: 0.2 },
            click_reward: ClickReward::One,
            seed: 0,
        }
    }
}

/// Users of the kind that Chen et al. (ICML 2019) assume, with a reward that is known.
///
/// The state of a user of type u is the position-weighted history x = Σ_{τ=1..m} w_τ f_{click t-τ}
/// (the paper's s^t = h(F W) with one column of weights and no nonlinearity). With g = max(0,
/// x·f_a),
///
/// r(s, a) = b + p_u·f_a + α g - β g²
///
/// so what resembles the latest clicks first pleases, most at g = α/2β, and bores beyond g = α/β.
/// The user chooses the a that maximizes η r(s, a) + ε, ε standard Gumbel, over the slate and,
/// unless it is absent, the outside option of reward 0: by Lemma 1, a draw from softmax(η r).
#[derive(Clone, Debug)]
pub struct ChoiceUsers {
    config: ChoiceUsersConfig,
    features: Vec<f32>,
    /// b + p_u·f_a, `[types, n]`.
    liking: Vec<f64>,
}

impl ChoiceUsers {
    /// Draws item features and preferences.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a count is 0 or a number is out of range.
    pub fn new(config: &ChoiceUsersConfig) -> Result<Self> {
        let mut stream = Seed::new(config.seed).derive("choice users").derive("features").stream(0);
        let scale = (config.dims as f64).sqrt();
        let normal = |stream: &mut Stream| stream.sample::<f64, _>(StandardNormal);
        let features =
            (0..config.items * config.dims).map(|_| (normal(&mut stream) / scale) as f32).collect();
        Self::with_features(config, features)
    }

    /// Draws preferences for items of the given features, `[n, d]` row-major.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a count is 0, a number is out of range, or the
    /// features are not n · d finite numbers.
    pub fn with_features(config: &ChoiceUsersConfig, features: Vec<f32>) -> Result<Self> {
        check(config, &features)?;
        let mut stream =
            Seed::new(config.seed).derive("choice users").derive("preferences").stream(0);
        let preferences: Vec<f64> = (0..config.types * config.dims)
            .map(|_| config.preference * stream.sample::<f64, _>(StandardNormal))
            .collect();
        let liking = preferences
            .chunks_exact(config.dims)
            .flat_map(|p| features.chunks_exact(config.dims).map(|f| config.base + dot(p, f)))
            .collect();
        Ok(Self { config: config.clone(), features, liking })
    }

    /// The settings.
    pub fn config(&self) -> &ChoiceUsersConfig {
        &self.config
    }

    /// Number of items n.
    pub fn items(&self) -> usize {
        self.config.items
    }

    /// The item features f_a, `[n, d]` row-major.
    pub fn features(&self) -> &[f32] {
        &self.features
    }

    /// r(s, a) of each item of `slate` for a user of the given type who clicked `history`, oldest
    /// first: `[k]`.
    pub fn utilities(&self, user_type: usize, history: &[ItemId], slate: &[ItemId]) -> Vec<f64> {
        let (mut x, mut utilities) = (Vec::new(), Vec::new());
        self.weigh(history.iter().rev(), &mut x);
        self.rewards(user_type, &x, slate, &mut utilities);
        utilities
    }

    /// The probability that such a user chooses each item of `slate`, then, unless the outside
    /// option is absent, that of choosing nothing: `[k + 1]` or `[k]`.
    pub fn choice_probabilities(
        &self,
        user_type: usize,
        history: &[ItemId],
        slate: &[ItemId],
    ) -> Vec<f64> {
        let mut weights = self.utilities(user_type, history, slate);
        let outside = self.exponentiate(&mut weights);
        if self.config.outside != Outside::Absent {
            weights.push(outside);
        }
        let sum: f64 = weights.iter().sum();
        weights.iter().map(|weight| weight / sum).collect()
    }

    /// The reward of clicking an item of utility `utility`.
    pub(crate) fn click_reward(&self, utility: f64) -> f64 {
        match self.config.click_reward {
            ClickReward::One => 1.0,
            ClickReward::Utility => utility,
        }
    }

    /// x = Σ_τ w_τ f_{click t-τ}, `[d]`, of clicks from the newest on.
    fn weigh<'a>(&self, newest_first: impl Iterator<Item = &'a ItemId>, x: &mut Vec<f64>) {
        x.clear();
        x.resize(self.config.dims, 0.0);
        for (weight, item) in self.config.position_weights.iter().zip(newest_first) {
            for (x, &f) in x.iter_mut().zip(self.feature(*item)) {
                *x += weight * f64::from(f);
            }
        }
    }

    fn rewards(&self, user_type: usize, x: &[f64], slate: &[ItemId], rewards: &mut Vec<f64>) {
        let liking = &self.liking[user_type * self.config.items..][..self.config.items];
        rewards.clear();
        rewards.extend(slate.iter().map(|item| {
            let g = dot(x, self.feature(*item)).max(0.0);
            liking[item.index()] + (self.config.attraction - self.config.boredom * g) * g
        }));
    }

    /// Turns rewards into e^(ηr), scaled by a common factor, and returns the outside option's
    /// weight on that scale.
    pub(crate) fn exponentiate(&self, rewards: &mut [f64]) -> f64 {
        let outside = if self.config.outside == Outside::Absent { f64::NEG_INFINITY } else { 0.0 };
        let eta = self.config.eta;
        let largest = rewards.iter().fold(outside, |largest, reward| largest.max(eta * reward));
        rewards.iter_mut().for_each(|reward| *reward = (eta * *reward - largest).exp());
        (outside - largest).exp()
    }

    /// The types of users who arrive.
    fn draw_types(&self, streams: &mut [Stream]) -> impl Iterator<Item = u32> {
        let types = self.config.types as u32;
        // A single type needs no draw.
        streams.iter_mut().map(move |stream| match types {
            1 => 0,
            types => stream.random_range(0..types),
        })
    }

    fn feature(&self, item: ItemId) -> &[f32] {
        &self.features[item.index() * self.config.dims..][..self.config.dims]
    }
}

/// The type and the latest clicks of each session of [`ChoiceUsers`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChoiceState {
    types: Vec<u32>,
    recent: RecentClicks,
}

impl ChoiceState {
    /// The hidden type of the user at `row`.
    pub fn user_type(&self, row: usize) -> usize {
        self.types[row] as usize
    }

    /// The clicks that the user at `row` remembers, newest first; at most m.
    pub fn recent(&self, row: usize) -> &[ItemId] {
        self.recent.row(row)
    }
}

impl Environment for ChoiceUsers {
    type State = ChoiceState;

    fn items(&self) -> usize {
        self.config.items
    }

    fn reset(&self, streams: &mut [Stream]) -> Result<ChoiceState> {
        let recent = RecentClicks::new(streams.len(), self.config.position_weights.len());
        Ok(ChoiceState { types: self.draw_types(streams).collect(), recent })
    }

    fn step(
        &self,
        state: &mut ChoiceState,
        slates: &Slates,
        streams: &mut [Stream],
        responses: &mut Responses,
    ) -> Result<()> {
        responses.clear();
        let (mut x, mut utilities) = (Vec::new(), Vec::new());
        let mut sums = vec![0.0; slates.k()];
        for (row, stream) in streams.iter_mut().enumerate() {
            let slate = slates.row(row);
            self.weigh(state.recent(row).iter(), &mut x);
            self.rewards(state.user_type(row), &x, slate, &mut utilities);
            sums.clone_from(&utilities);
            let outside = self.exponentiate(&mut sums);
            let mut sum = 0.0;
            for running in &mut sums {
                sum += *running;
                *running = sum;
            }
            let point = stream.random::<f64>() * (sum + outside);
            if point < sum || self.config.outside == Outside::Absent {
                let place = rank(&sums, point);
                state.recent.push(row, slate[place]);
                let reward = self.click_reward(utilities[place]) as f32;
                responses.push(Choice::Item(slate[place]), reward, false);
                continue;
            }
            let leaves = match self.config.outside {
                Outside::Skip { leaving } => stream.random_bool(leaving),
                Outside::Leave | Outside::Absent => true,
            };
            responses.push(if leaves { Choice::Leave } else { Choice::Skip }, 0.0, leaves);
        }
        Ok(())
    }

    fn select(&self, state: &ChoiceState, rows: &[usize]) -> Result<ChoiceState> {
        let types = rows.iter().map(|&row| state.types[row]).collect();
        Ok(ChoiceState { types, recent: state.recent.select(rows) })
    }

    fn replace(
        &self,
        state: &mut ChoiceState,
        rows: &[usize],
        streams: &mut [Stream],
    ) -> Result<()> {
        for (&row, user_type) in rows.iter().zip(self.draw_types(streams)) {
            state.types[row] = user_type;
            state.recent.clear(row);
        }
        Ok(())
    }
}

fn dot(a: &[f64], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, &b)| a * f64::from(b)).sum()
}

fn check(config: &ChoiceUsersConfig, features: &[f32]) -> Result<()> {
    let fail = |problem: String| Err(Setting::new("choice users", problem).into());
    let ChoiceUsersConfig { types, items, dims, .. } = *config;
    if types == 0 || items == 0 || dims == 0 || items > ItemId::MAX_ITEMS {
        return fail(format!("{types} types, {items} items, {dims} dimensions"));
    }
    if features.len() != items * dims || features.iter().any(|f| !f.is_finite()) {
        return fail(format!("{} features, not {items} x {dims} finite numbers", features.len()));
    }
    let scalars = [config.base, config.preference, config.attraction, config.boredom, config.eta];
    if scalars.iter().chain(&config.position_weights).any(|x| !x.is_finite()) || config.eta < 0.0 {
        return fail("a coefficient is not finite, or η is negative".into());
    }
    match config.outside {
        Outside::Skip { leaving } if !(0.0..=1.0).contains(&leaving) => {
            fail(format!("probability {leaving} of leaving is not in [0, 1]"))
        }
        _ => Ok(()),
    }
}
