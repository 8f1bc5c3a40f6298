//! LinUCB, a contextual bandit with which GAN-CDQN is compared. It explores and learns online from
//! rewards alone, without networks and without planning.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor, WithDType};
use foretaste_data::{ItemId, RecentClicks};
use foretaste_nn::checkpoint::{Shapes, Weights};
use foretaste_random::{Seed, Stream};
use foretaste_settings::Setting;
use foretaste_sim::{Candidates, Environment, Policy, Responses, Sessions, Slates};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::argmax::top_items;
use crate::policy::{remembers_clicks, show};

const FEATURES: &str = "features";
const INVERSE: &str = "inverse";
const MOMENT: &str = "moment";
const THETA: &str = "theta";

/// Settings of [`LinUcb`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinUcbConfig {
    /// α: how many standard deviations of optimism.
    pub alpha: f64,
    /// The weight of the ridge penalty; 1 in the paper.
    pub ridge: f64,
    /// How many clicks back the context looks.
    pub history: usize,
}

impl Default for LinUcbConfig {
    fn default() -> Self {
        Self { alpha: 1.0, ridge: 1.0, history: 20 }
    }
}

/// LinUCB with disjoint linear models (Li et al. 2010, Algorithm 1).
///
/// The context x of a user is 1 and the mean features of the last clicks, zeros where there are
/// none. Each item a has a ridge regression of its reward on x, of which the slate holds the k
/// largest x·θ_a + α √(xᵀ A_a⁻¹ x). Every item of a slate is observed: the reward of the step for
/// the one that was clicked, 0 for the others.
#[derive(Clone, Debug)]
pub struct LinUcb {
    config: LinUcbConfig,
    k: usize,
    items: usize,
    /// `[K, d]`.
    features: Vec<f32>,
    dim: usize,
    /// A_a⁻¹ `[K, c, c]` with c = 1 + d.
    inverse: Vec<f64>,
    /// b_a `[K, c]`.
    moment: Vec<f64>,
    /// θ_a = A_a⁻¹ b_a `[K, c]`.
    theta: Vec<f64>,
}

impl LinUcb {
    /// Slates of `k` of `items` items with the given features, `[K, d]` row-major, d ≥ 0.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a setting is outside its range or the features
    /// are not K · d numbers.
    pub fn new(config: LinUcbConfig, k: usize, items: usize, features: &[f32]) -> Result<Self> {
        RecentClicks::check_window(config.history)?;
        let dim = features.len() / items.max(1);
        let fine = k > 0
            && k <= items
            && features.len() == items * dim
            && config.alpha >= 0.0
            && config.ridge > 0.0
            && features.iter().all(|value| value.is_finite());
        if !fine {
            let values = features.len();
            let expected = format!(
                "for slates of {k} of {items} items with {values} feature values: an alpha from 0, \
                 a ridge above 0, no more places than items, finite features of each"
            );
            return Err(Setting::of("LinUCB", &config, &expected).into());
        }
        let c = dim + 1;
        let mut inverse = vec![0.0; items * c * c];
        inverse
            .chunks_exact_mut(c * c)
            .for_each(|a| (0..c).for_each(|i| a[i * c + i] = 1.0 / config.ridge));
        let zeros = vec![0.0; items * c];
        Ok(Self {
            config,
            k,
            items,
            features: features.to_vec(),
            dim,
            inverse,
            moment: zeros.clone(),
            theta: zeros,
        })
    }

    /// What was learned, in tensors by name ([`tensors`](Self::tensors)), as a policy again.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a setting is outside its range, or a tensor is
    /// missing, of another shape or type, which is found before it is read, or not finite.
    pub fn from_tensors(
        config: LinUcbConfig,
        k: usize,
        items: usize,
        weights: &Weights,
    ) -> Result<Self> {
        let shapes = weights.shapes();
        let given = shapes.get(FEATURES).is_some();
        let features = if given { count::<f32>(shapes, FEATURES)? } else { 0 };
        // It is there in full size before memory is taken for another.
        let c = features / items.max(1) + 1;
        let vector = items.checked_mul(c);
        let matrix = vector.and_then(|vector| vector.checked_mul(c));
        for (name, expected) in [(INVERSE, matrix), (MOMENT, vector), (THETA, vector)] {
            let found = count::<f64>(shapes, name)?;
            if expected != Some(found) {
                let expected = expected.map_or_else(|| "fewer".to_owned(), |c| c.to_string());
                let problem = format!("{name} has {found} entries, expected {expected}");
                return Err(Setting::new("LinUCB", problem).into());
            }
        }
        let tensors = weights.tensors()?;
        let features = if given { entries(&tensors[FEATURES], FEATURES)? } else { Vec::new() };
        let numbers = |name| entries(&tensors[name], name);
        Ok(Self {
            inverse: numbers(INVERSE)?,
            moment: numbers(MOMENT)?,
            theta: numbers(THETA)?,
            ..Self::new(config, k, items, &features)?
        })
    }

    /// What was learned: `inverse [K, c, c]`, `moment [K, c]` and `theta [K, c]`, and the
    /// `features [K, d]` where there are any.
    ///
    /// # Errors
    /// An error of the network if a tensor cannot be made.
    pub fn tensors(&self) -> Result<BTreeMap<String, Tensor>> {
        let (items, c, cpu) = (self.items, self.dim + 1, &Device::Cpu);
        let mut tensors = BTreeMap::from([
            (INVERSE.to_owned(), Tensor::from_slice(&self.inverse, (items, c, c), cpu)?),
            (MOMENT.to_owned(), Tensor::from_slice(&self.moment, (items, c), cpu)?),
            (THETA.to_owned(), Tensor::from_slice(&self.theta, (items, c), cpu)?),
        ]);
        if self.dim > 0 {
            let features = Tensor::from_slice(&self.features, (items, self.dim), cpu)?;
            tensors.insert(FEATURES.to_owned(), features);
        }
        Ok(tensors)
    }

    /// The settings.
    pub fn config(&self) -> LinUcbConfig {
        self.config
    }

    /// k: items on a slate.
    pub fn k(&self) -> usize {
        self.k
    }

    /// K: number of items in the catalogue.
    pub fn items(&self) -> usize {
        self.items
    }

    /// Learns from `users` sessions of at most `steps` steps in which it acts, all users of a step
    /// at once. Returns the mean sum of rewards per user.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the catalogues differ in size; what the
    /// environment returns.
    pub fn learn<E: Environment + ?Sized>(
        &mut self,
        environment: &E,
        users: usize,
        steps: usize,
        seed: Seed,
    ) -> Result<f64> {
        if environment.items() != self.items {
            let problem =
                format!("the environment has {}, the policy {}", environment.items(), self.items);
            return Err(Setting::new("items", problem).into());
        }
        let mut sessions = Sessions::open(environment, self.k, seed.streams(0..users as u64))?;
        let (mut clicks, mut slates) =
            (RecentClicks::new(users, self.config.history), Slates::default());
        let mut earned = 0.0;
        for _ in 0..steps {
            if sessions.rows() == 0 {
                break;
            }
            self.show(&clicks, None, &mut slates)?;
            let responses = sessions.show(&slates)?;
            self.learn_from(&clicks, &slates, responses);
            earned += responses.reward.iter().map(|&reward| f64::from(reward)).sum::<f64>();
            clicks.observe(&responses.choice);
            if let Some(live) = sessions.drop_ended()? {
                clicks = clicks.select(&live);
            }
        }
        Ok(earned / users as f64)
    }

    fn learn_from(&mut self, clicks: &RecentClicks, slates: &Slates, responses: &Responses) {
        for (row, choice) in responses.choice.iter().enumerate() {
            let x = self.context(clicks, row);
            for item in slates.row(row) {
                let reward = if choice.item() == Some(*item) {
                    f64::from(responses.reward[row])
                } else {
                    0.0
                };
                self.update(item.index(), &x, reward);
            }
        }
    }

    /// x, `[c]`.
    fn context(&self, clicks: &RecentClicks, row: usize) -> Vec<f64> {
        let mut x = vec![0.0; self.dim + 1];
        x[0] = 1.0;
        let clicked = clicks.row(row);
        let share = 1.0 / clicked.len().max(1) as f64;
        for item in clicked {
            let features = &self.features[item.index() * self.dim..][..self.dim];
            x[1..].iter_mut().zip(features).for_each(|(x, f)| *x += share * f64::from(*f));
        }
        x
    }

    /// The upper confidence bound of every item, a row for each of the memories.
    pub fn scores(&self, clicks: &RecentClicks) -> Vec<Vec<f64>> {
        let row = |row: usize| {
            let x = self.context(clicks, row);
            // In single precision, as slates go by them.
            (0..self.items).map(|item| f64::from(self.bound(item, &x) as f32)).collect()
        };
        (0..clicks.rows()).map(row).collect()
    }

    /// x·θ_a + α √(xᵀ A_a⁻¹ x).
    fn bound(&self, item: usize, x: &[f64]) -> f64 {
        let c = x.len();
        let inverse = &self.inverse[item * c * c..][..c * c];
        let spread: f64 = inverse.chunks_exact(c).zip(x).map(|(row, x_i)| x_i * dot(row, x)).sum();
        dot(&self.theta[item * c..][..c], x) + self.config.alpha * spread.max(0.0).sqrt()
    }

    fn show(
        &self,
        clicks: &RecentClicks,
        allowed: Option<&Candidates>,
        slates: &mut Slates,
    ) -> Result<()> {
        let slate = |row: usize| {
            let x = self.context(clicks, row);
            let items = (0..self.items as u32).map(ItemId);
            let admitted =
                items.filter(|&item| allowed.is_none_or(|allowed| allowed.admits(row, item)));
            top_items(admitted.map(|item| (item, self.bound(item.index(), &x) as f32)), self.k)
        };
        let items = (0..clicks.rows()).into_par_iter().map(slate).collect::<Result<Vec<_>>>()?;
        show(&items.concat(), self.k, slates);
        Ok(())
    }

    /// A_a += x xᵀ by the formula of Sherman and Morrison, b_a += r x.
    fn update(&mut self, item: usize, x: &[f64], reward: f64) {
        let c = x.len();
        let inverse = &mut self.inverse[item * c * c..][..c * c];
        let ax: Vec<f64> = inverse.chunks_exact(c).map(|row| dot(row, x)).collect();
        let scale = 1.0 / (1.0 + dot(&ax, x));
        for (row, a) in inverse.chunks_exact_mut(c).zip(&ax) {
            row.iter_mut().zip(&ax).for_each(|(entry, b)| *entry -= scale * a * b);
        }
        let moment = &mut self.moment[item * c..][..c];
        moment.iter_mut().zip(x).for_each(|(b, x)| *b += reward * x);
        let theta = inverse.chunks_exact(c).map(|row| dot(row, moment));
        self.theta[item * c..][..c].iter_mut().zip(theta).for_each(|(old, new)| *old = new);
    }
}

/// What was learned so far; sessions that it acts in as a policy teach it nothing.
impl Policy for LinUcb {
    type Memory = RecentClicks;

    fn begin(&self, rows: usize) -> foretaste_sim::Result<RecentClicks> {
        Ok(RecentClicks::new(rows, self.config.history))
    }

    fn rank(
        &self,
        clicks: &RecentClicks,
        allowed: Option<&Candidates>,
        k: usize,
        _streams: &mut [Stream],
        slates: &mut Slates,
    ) -> foretaste_sim::Result<()> {
        if k != self.k {
            return Err(
                Setting::new("k", format!("{k}, but LinUCB shows slates of {}", self.k)).into()
            );
        }
        if let Some(allowed) = allowed {
            allowed.check(clicks.rows(), self.items)?;
        }
        Ok(self.show(clicks, allowed, slates)?)
    }

    remembers_clicks!();
}

/// How many entries the tensor of this name has, whose type must be T.
fn count<T: WithDType>(shapes: &Shapes, name: &str) -> Result<usize> {
    let problem = match shapes.get(name) {
        Some((dtype, dims)) if dtype == T::DTYPE => {
            return Ok(dims.iter().copied().fold(1, usize::saturating_mul));
        }
        Some((dtype, _)) => {
            format!("{name} is {}, expected {}", dtype.as_str(), T::DTYPE.as_str())
        }
        None => format!("{name} is missing"),
    };
    Err(Setting::new("LinUCB", problem).into())
}

/// The entries of a tensor, which must be finite.
fn entries<T: WithDType>(tensor: &Tensor, name: &str) -> Result<Vec<T>> {
    let entries: Vec<T> = tensor.flatten_all()?.to_vec1()?;
    match entries.iter().all(|entry| entry.to_f64().is_finite()) {
        true => Ok(entries),
        false => {
            let problem = format!("{name} holds a number that is not finite");
            Err(Setting::new("LinUCB", problem).into())
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use foretaste_data::Choice;
    use rand::Rng;

    /// A million features of one item ask for an inverse of 10^12 entries.
    #[test]
    fn features_alone_decide_no_size() {
        let features = Tensor::zeros((1, 1_000_000), candle_core::DType::F32, &Device::Cpu);
        let tensors = LinUcb::new(LinUcbConfig::default(), 1, 1, &[0.5]).unwrap().tensors();
        let mut tensors = tensors.unwrap();
        tensors.insert(FEATURES.into(), features.unwrap());
        let weights = tensors.into();
        let refused = LinUcb::from_tensors(LinUcbConfig::default(), 1, 1, &weights).unwrap_err();
        assert!(refused.to_string().contains("inverse has 4 entries"), "{refused}");
    }

    /// θ and the width against the normal equations, solved by elimination.
    #[test]
    fn bounds_are_those_of_ridge_regression() {
        let config = LinUcbConfig { alpha: 0.7, ridge: 2.0, history: 3 };
        let features = [0.5, -1.0, 1.5, 0.25, -0.75, 1.0];
        let mut policy = LinUcb::new(config, 1, 3, &features).unwrap();
        let mut stream = Seed::new(2).stream(0);
        let mut a = [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0]];
        let mut b = [0.0; 3];
        for _ in 0..12 {
            let mut clicks = RecentClicks::new(1, 3);
            (0..stream.random_range(0..5))
                .for_each(|_| clicks.push(0, ItemId(stream.random_range(0..3))));
            let mut x = [1.0, 0.0, 0.0];
            for item in clicks.row(0) {
                (0..2).for_each(|i| {
                    x[1 + i] +=
                        f64::from(features[2 * item.index() + i]) / clicks.row(0).len() as f64
                });
            }
            let reward: f32 = stream.random_range(-1.0..1.0);
            let mut slates = Slates::with_k(1);
            slates.push(&[ItemId(1)], None);
            let mut responses = Responses::default();
            let clicked = stream.random_bool(0.7);
            responses.push(
                if clicked { Choice::Item(ItemId(1)) } else { Choice::Skip },
                reward,
                false,
            );
            policy.learn_from(&clicks, &slates, &responses);
            for i in 0..3 {
                (0..3).for_each(|j| a[i][j] += x[i] * x[j]);
                b[i] += if clicked { f64::from(reward) * x[i] } else { 0.0 };
            }
        }
        let x = [1.0, 0.3, -0.8];
        let expected = dot(&solve(a, b), &x) + 0.7 * dot(&solve(a, x), &x).sqrt();
        assert!((policy.bound(1, &x) - expected).abs() < 1e-12);
        assert!((policy.bound(0, &x) - 0.7 * (dot(&x, &x) / 2.0).sqrt()).abs() < 1e-12);
    }

    fn solve(mut a: [[f64; 3]; 3], mut b: [f64; 3]) -> [f64; 3] {
        for pivot in 0..3 {
            for row in (0..3).filter(|row| *row != pivot) {
                let factor = a[row][pivot] / a[pivot][pivot];
                (0..3).for_each(|column| a[row][column] -= factor * a[pivot][column]);
                b[row] -= factor * b[pivot];
            }
        }
        [0, 1, 2].map(|i| b[i] / a[i][i])
    }
}
