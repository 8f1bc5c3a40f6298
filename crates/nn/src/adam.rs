//! The optimizer of all networks. It is our own because candle's steps on whole tables, while the
//! networks here use few rows of large item tables in each step.

mod update;

use std::collections::BTreeMap;

use candle_core::{Tensor, Var};
use serde::{Deserialize, Serialize};

use self::update::{Moments, Update};
use foretaste_settings::Setting;

use crate::checkpoint::Shapes;
use crate::{Error, Gradients, Params, Result};

/// Settings of [`Adam`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdamConfig {
    /// Step size; GAN-CDQN's released code uses 5e-4.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// The gradient of all parameters together is scaled down to this Euclidean norm, if it is
    /// larger.
    pub clip: Option<f64>,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self { learning_rate: 5e-4, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, clip: None }
    }
}

impl AdamConfig {
    fn check(&self) -> Result<()> {
        let unit = |beta: f64| (0.0..1.0).contains(&beta);
        let positive = |value: f64| value > 0.0 && value.is_finite();
        let fine = positive(self.learning_rate)
            && unit(self.beta1)
            && unit(self.beta2)
            && positive(self.epsilon)
            && self.clip.is_none_or(positive);
        if !fine {
            let expected = "positive numbers and betas in [0, 1)";
            return Err(Setting::of("Adam", self, expected).into());
        }
        Ok(())
    }
}

/// Adam (Kingma & Ba 2015, Algorithm 1), without weight decay, with global-norm clipping (Pascanu
/// et al. 2013, §3.2).
///
/// On the CPU a step is one pass over each gradient for the norm, and one over each parameter with
/// its moments and gradient, in place; a gradient that
/// [`softmax_cross_entropy`](crate::softmax_cross_entropy) leaves as a product of two factors is
/// formed piece by piece in that pass, and its norm comes from the factors. The bits of a result do
/// not depend on the number of threads. A parameter without a gradient is left as it is.
///
/// Of a table from which the loss used rows by [`lookup`](crate::lookup), a step on the CPU touches
/// those rows alone: entries and moments of the other rows stay as they are. Dense Adam would take
/// their gradient as zero, let their moments decay and move the entries by what is left of the
/// first. The two agree as long as every row is used in every step. The bias correction counts all
/// steps, also for a row that is used for the first time: as PyTorch's `SparseAdam`, which differs
/// in adding ε before it corrects the second moment, not after.
#[derive(Debug)]
pub struct Adam {
    config: AdamConfig,
    steps: u64,
    slots: BTreeMap<String, Slot>,
}

#[derive(Debug)]
struct Slot {
    var: Var,
    moments: Moments,
}

impl Adam {
    /// An optimizer of all parameters that exist now.
    ///
    /// # Errors
    /// [`Error::Setting`] if a setting is outside its range.
    pub fn new(params: &Params, config: AdamConfig) -> Result<Self> {
        config.check()?;
        let slots = params
            .iter()
            .map(|(name, var)| {
                let moments = Moments::new(&Tensor::zeros(
                    (2, var.elem_count()),
                    var.dtype(),
                    var.device(),
                )?)?;
                Ok((name.to_owned(), Slot { var: var.clone(), moments }))
            })
            .collect::<Result<_>>()?;
        Ok(Self { config, steps: 0, slots })
    }

    /// Changes the learning rate of the steps to come; the moments stay.
    ///
    /// # Errors
    /// [`Error::Setting`] if it is not a positive number; nothing is then changed.
    pub fn set_learning_rate(&mut self, learning_rate: f64) -> Result<()> {
        let config = AdamConfig { learning_rate, ..self.config };
        config.check()?;
        self.config = config;
        Ok(())
    }

    /// Number of steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Takes one step down the gradients and returns their global norm before clipping.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if the sum of the squares of a gradient is not finite in the
    /// parameter's type: nothing is then changed.
    pub fn step(&mut self, gradients: &Gradients) -> Result<f64> {
        let mut used = Vec::new();
        let mut squares = 0.0;
        for slot in self.slots.values_mut() {
            if let Some(gradient) = gradients.stored(&slot.var) {
                squares += update::squares(gradient)?;
                used.push((slot, gradient));
            }
        }
        let norm = squares.sqrt();
        if !norm.is_finite() {
            return Err(Error::NotFinite { norm });
        }
        self.steps += 1;
        let update = Update::new(self.config, self.steps, norm);
        for (slot, gradient) in used {
            update.apply(&slot.var, &mut slot.moments, gradient)?;
        }
        Ok(norm)
    }

    /// The moments by parameter name, `[2, entries]` each, for a checkpoint; [`Adam::steps`]
    /// belongs to it.
    pub fn moments(&self) -> Result<BTreeMap<String, Tensor>> {
        self.slots.iter().map(|(name, slot)| Ok((name.clone(), slot.moments.read()?))).collect()
    }

    /// Puts back what [`Adam::moments`] and [`Adam::steps`] gave.
    ///
    /// # Errors
    /// [`Error::Setting`] if names, shapes or types differ, or if the steps are more than anyone
    /// takes; nothing is then changed.
    pub fn restore(&mut self, moments: &BTreeMap<String, Tensor>, steps: u64) -> Result<()> {
        self.check(&Shapes::of(moments), steps)?;
        let read = |(name, slot): (&String, &Slot)| {
            Moments::new(&moments[name].to_device(slot.var.device())?)
        };
        let read: Vec<Moments> = self.slots.iter().map(read).collect::<Result<_>>()?;
        for (slot, moments) in self.slots.values_mut().zip(read) {
            slot.moments = moments;
        }
        self.steps = steps;
        Ok(())
    }

    /// Whether [`restore`](Self::restore) would take moments of these types and shapes.
    ///
    /// # Errors
    /// As [`restore`](Self::restore).
    pub fn check(&self, moments: &Shapes, steps: u64) -> Result<()> {
        const MOST: u64 = 1 << 53;
        if steps > MOST {
            return Err(Setting::new("Adam", format!("{steps} steps, at most {MOST}")).into());
        }
        let fits = |(name, slot): (&String, &Slot)| {
            let expected = (slot.var.dtype(), &[2, slot.var.elem_count()][..]);
            moments.get(name) == Some(expected)
        };
        if moments.names().count() != self.slots.len() || !self.slots.iter().all(fits) {
            let found = moments.names().collect::<Vec<_>>().join(", ");
            let expected = self.slots.keys().cloned().collect::<Vec<_>>().join(", ");
            let problem =
                format!("moments of [{found}], expected [{expected}] with [2, entries] each");
            return Err(Setting::new("Adam", problem).into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Init, backward, lookup};
    use candle_core::{DType, Device};
    use foretaste_random::Seed;

    fn problem(dtype: DType) -> (Params, Tensor) {
        let mut params = Params::new(Seed::new(8), dtype, &Device::Cpu);
        let x = params.scope("m").param("x", (2, 3), Init::Normal { sd: 1.0 }).unwrap();
        (params, x)
    }

    fn loss(x: &Tensor) -> Tensor {
        (x.sqr().unwrap().sqr().unwrap().sum_all().unwrap() + (x * 3.0).unwrap().sum_all().unwrap())
            .unwrap()
    }

    /// Algorithm 1 of the paper, line by line.
    fn reference(start: &[f64], steps: i32, config: AdamConfig) -> Vec<f64> {
        let (mut x, mut m, mut v) =
            (start.to_vec(), vec![0.0; start.len()], vec![0.0; start.len()]);
        for t in 1..=steps {
            let g: Vec<f64> = x.iter().map(|x| 4.0 * x.powi(3) + 3.0).collect();
            let norm = g.iter().map(|g| g * g).sum::<f64>().sqrt();
            let scale = config.clip.map_or(1.0, |clip| if norm > clip { clip / norm } else { 1.0 });
            for i in 0..x.len() {
                m[i] = config.beta1 * m[i] + (1.0 - config.beta1) * g[i] * scale;
                v[i] = config.beta2 * v[i] + (1.0 - config.beta2) * (g[i] * scale).powi(2);
                let (mh, vh) =
                    (m[i] / (1.0 - config.beta1.powi(t)), v[i] / (1.0 - config.beta2.powi(t)));
                x[i] -= config.learning_rate * mh / (vh.sqrt() + config.epsilon);
            }
        }
        x
    }

    #[test]
    fn steps_follow_the_published_algorithm() {
        for clip in [None, Some(0.5)] {
            let config = AdamConfig { learning_rate: 0.05, clip, ..AdamConfig::default() };
            let (params, x) = problem(DType::F64);
            let start = x.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            let mut adam = Adam::new(&params, config).unwrap();
            for _ in 0..20 {
                adam.step(&backward(&loss(&x)).unwrap()).unwrap();
            }
            let found = x.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            for (found, expected) in found.iter().zip(reference(&start, 20, config)) {
                assert!((found - expected).abs() < 1e-12, "{found} {expected}");
            }
        }
    }

    #[test]
    fn a_restored_optimiser_goes_on_bit_for_bit() {
        let (params, x) = problem(DType::F32);
        let config = AdamConfig { learning_rate: 0.01, ..AdamConfig::default() };
        let mut adam = Adam::new(&params, config).unwrap();
        let step = |adam: &mut Adam| adam.step(&backward(&loss(&x)).unwrap()).unwrap();
        for _ in 0..5 {
            step(&mut adam);
        }
        let saved = (params.snapshot().unwrap(), adam.moments().unwrap(), adam.steps());
        for _ in 0..5 {
            step(&mut adam);
        }
        let straight = x.to_vec2::<f32>().unwrap();
        params.restore(&saved.0).unwrap();
        let mut resumed = Adam::new(&params, config).unwrap();
        resumed.restore(&saved.1, saved.2).unwrap();
        for _ in 0..5 {
            step(&mut resumed);
        }
        assert_eq!(x.to_vec2::<f32>().unwrap(), straight);
    }

    #[test]
    fn a_change_of_the_learning_rate_is_a_restored_optimiser_with_another_one() {
        let run = |rebuild: bool| {
            let (params, x) = problem(DType::F32);
            let config = AdamConfig { learning_rate: 0.01, ..AdamConfig::default() };
            let mut adam = Adam::new(&params, config).unwrap();
            let step = |adam: &mut Adam| adam.step(&backward(&loss(&x)).unwrap()).unwrap();
            step(&mut adam);
            if rebuild {
                let (moments, steps) = (adam.moments().unwrap(), adam.steps());
                let config = AdamConfig { learning_rate: 0.002, ..config };
                adam = Adam::new(&params, config).unwrap();
                adam.restore(&moments, steps).unwrap();
            } else {
                adam.set_learning_rate(0.002).unwrap();
            }
            step(&mut adam);
            x.to_vec2::<f32>().unwrap()
        };
        assert_eq!(run(true), run(false));
    }

    #[test]
    fn a_gradient_that_is_not_finite_changes_nothing() {
        let (params, x) = problem(DType::F32);
        let before = x.to_vec2::<f32>().unwrap();
        let mut adam = Adam::new(&params, AdamConfig::default()).unwrap();
        let bad = x.sub(&x).unwrap().log().unwrap().sum_all().unwrap();
        assert!(
            adam.step(&backward(&bad).unwrap())
                .is_err_and(|reason| matches!(reason, Error::NotFinite { .. }))
        );
        assert_eq!((x.to_vec2::<f32>().unwrap(), adam.steps()), (before, 0));
    }

    /// A table `[40, 3]` after 5 steps on losses of the rows that `ids` gives for each step, and
    /// its moments.
    fn table(rows_alone: bool, ids: impl Fn(u32) -> Vec<u32>) -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
        let mut params = Params::new(Seed::new(8), DType::F32, &Device::Cpu);
        let table = params.scope("m").param("x", (40, 3), Init::Normal { sd: 1.0 }).unwrap();
        let config = AdamConfig { learning_rate: 0.05, clip: Some(1.0), ..AdamConfig::default() };
        let mut adam = Adam::new(&params, config).unwrap();
        for step in 0..5 {
            let ids = ids(step);
            let rows = match rows_alone {
                true => lookup(&table, &ids).unwrap(),
                false => table.index_select(&Tensor::new(ids, &Device::Cpu).unwrap(), 0).unwrap(),
            };
            adam.step(&backward(&rows.sqr().unwrap().sqr().unwrap().sum_all().unwrap()).unwrap())
                .unwrap();
        }
        let moments = adam.moments().unwrap().remove("m.x").unwrap();
        (table.to_vec2().unwrap(), moments.to_vec2().unwrap())
    }

    #[test]
    fn steps_on_rows_equal_dense_ones_bit_for_bit_if_every_row_is_always_used() {
        let ids = |step| (0..40).map(|i| (7 * i + step) % 40).chain([3, 3, step]).collect();
        assert_eq!(table(true, ids), table(false, ids));
    }

    #[test]
    fn rows_that_are_not_used_stay_as_they_are() {
        let start = table(true, |_| vec![]).0;
        let (entries, moments) = table(true, |step| vec![5, 9 + step, 5]);
        for row in 0..40 {
            let used = row == 5 || (9..14).contains(&row);
            assert_eq!(entries[row] != start[row], used, "{row}");
            let moved = moments
                .iter()
                .any(|moments| moments[3 * row..3 * row + 3].iter().any(|m| *m != 0.0));
            assert_eq!(moved, used, "{row}");
        }
    }

    /// 300,003 entries are enough to be shared out among threads.
    #[test]
    fn steps_do_not_depend_on_threads() {
        let steps = |threads| {
            let mut params = Params::new(Seed::new(8), DType::F32, &Device::Cpu);
            let x = params.scope("m").param("x", (3, 100_001), Init::Normal { sd: 1.0 }).unwrap();
            let mut adam =
                Adam::new(&params, AdamConfig { clip: Some(0.1), ..AdamConfig::default() })
                    .unwrap();
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let norms: Vec<f64> = (0..3)
                .map(|_| pool.install(|| adam.step(&backward(&loss(&x)).unwrap()).unwrap()))
                .collect();
            (
                norms,
                x.to_vec2::<f32>().unwrap(),
                adam.moments().unwrap()["m.x"].to_vec2::<f32>().unwrap(),
            )
        };
        assert_eq!(steps(1), steps(3));
    }

    #[test]
    fn the_norm_is_that_of_all_gradients_and_counts_repeated_rows_once_summed() {
        let mut params = Params::new(Seed::new(8), DType::F64, &Device::Cpu);
        let table = params.scope("a").param("table", (4, 1), Init::Constant(1.0)).unwrap();
        let other = params.scope("b").param("other", 2, Init::Constant(1.0)).unwrap();
        let mut adam = Adam::new(&params, AdamConfig::default()).unwrap();
        let rows = lookup(&table, &[2, 0, 2]).unwrap().sum_all().unwrap();
        let loss = (rows + (other * 2.0).unwrap().sum_all().unwrap()).unwrap();
        // (1, 2) in the table, (2, 2) in the other.
        assert_eq!(adam.step(&backward(&loss).unwrap()).unwrap(), 13f64.sqrt());
    }

    #[test]
    fn settings_are_checked() {
        let (params, _) = problem(DType::F32);
        for config in [
            AdamConfig { learning_rate: 0.0, ..AdamConfig::default() },
            AdamConfig { beta1: 1.0, ..AdamConfig::default() },
            AdamConfig { clip: Some(f64::NAN), ..AdamConfig::default() },
        ] {
            assert!(Adam::new(&params, config).is_err());
        }
        let mut adam = Adam::new(&params, AdamConfig::default()).unwrap();
        assert!(adam.set_learning_rate(f64::NAN).is_err() && adam.set_learning_rate(0.0).is_err());
        assert_eq!(adam.config, AdamConfig::default());
    }
}
