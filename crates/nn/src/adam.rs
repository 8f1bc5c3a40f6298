use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, InplaceOp2, Layout, Tensor, Var, WithDType};
use serde::{Deserialize, Serialize};

use crate::{Error, Params, Result, scalar};

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
    /// The gradient of all parameters together is scaled down to this Euclidean norm, if it is larger.
    pub clip: Option<f64>,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self { learning_rate: 5e-4, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, clip: None }
    }
}

/// Adam (Kingma & Ba 2015, Algorithm 1), without weight decay, with global-norm clipping (Pascanu et al. 2013, §3.2).
///
/// On the CPU a step is one pass over each moment buffer and one over each parameter, in place. A parameter without a
/// gradient is left as it is.
#[derive(Debug)]
pub struct Adam {
    config: AdamConfig,
    steps: u64,
    slots: BTreeMap<String, Slot>,
}

#[derive(Debug)]
struct Slot {
    var: Var,
    /// First moments, then second moments: `[2, entries]`.
    moments: Var,
}

impl Adam {
    /// An optimiser of all parameters that exist now.
    ///
    /// # Errors
    /// [`Error::Setting`] if a setting is outside its range.
    pub fn new(params: &Params, config: AdamConfig) -> Result<Self> {
        let unit = |beta: f64| (0.0..1.0).contains(&beta);
        let positive = |value: f64| value > 0.0 && value.is_finite();
        let fine = positive(config.learning_rate)
            && unit(config.beta1)
            && unit(config.beta2)
            && positive(config.epsilon)
            && config.clip.is_none_or(positive);
        if !fine {
            let problem = format!("{config:?}: expected positive numbers and betas in [0, 1)");
            return Err(Error::Setting { what: "Adam", problem });
        }
        let slots = params
            .iter()
            .map(|(name, var)| {
                let moments = Var::zeros((2, var.elem_count()), var.dtype(), var.device())?;
                Ok((name.to_owned(), Slot { var: var.clone(), moments }))
            })
            .collect::<Result<_>>()?;
        Ok(Self { config, steps: 0, slots })
    }

    /// Number of steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Takes one step down the gradients and returns their global norm before clipping.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if the norm is not finite in single precision: the parameters are then as they were.
    pub fn step(&mut self, gradients: &GradStore) -> Result<f64> {
        let mut norm = 0.0;
        for slot in self.slots.values() {
            if let Some(gradient) = gradients.get(&slot.var) {
                norm += scalar(&gradient.sqr()?.sum_all()?)?;
            }
        }
        let norm = norm.sqrt();
        if !norm.is_finite() {
            return Err(Error::NotFinite { norm });
        }
        self.steps += 1;
        let exponent = i32::try_from(self.steps).unwrap_or(i32::MAX);
        let update = Update {
            scale: self.config.clip.map_or(1.0, |clip| (clip / norm).min(1.0)),
            root_correction: (1.0 - self.config.beta2.powi(exponent)).sqrt(),
            step_size: self.config.learning_rate / (1.0 - self.config.beta1.powi(exponent)),
            config: self.config,
        };
        for slot in self.slots.values() {
            if let Some(gradient) = gradients.get(&slot.var) {
                update.apply(slot, gradient)?;
            }
        }
        Ok(norm)
    }

    /// The moments by parameter name, `[2, entries]` each, for a checkpoint; [`Adam::steps`] belongs to it.
    pub fn moments(&self) -> Result<BTreeMap<String, Tensor>> {
        self.slots.iter().map(|(name, slot)| Ok((name.clone(), slot.moments.as_tensor().detach().copy()?))).collect()
    }

    /// Puts back what [`Adam::moments`] and [`Adam::steps`] gave.
    ///
    /// # Errors
    /// [`Error::Setting`] if names or shapes differ; nothing is then changed.
    pub fn restore(&mut self, moments: &BTreeMap<String, Tensor>, steps: u64) -> Result<()> {
        let fits =
            |(name, slot): (&String, &Slot)| moments.get(name).is_some_and(|m| m.shape() == slot.moments.shape());
        if moments.len() != self.slots.len() || !self.slots.iter().all(fits) {
            let names = |keys: Vec<&String>| keys.into_iter().cloned().collect::<Vec<_>>().join(", ");
            let (found, expected) = (names(moments.keys().collect()), names(self.slots.keys().collect()));
            let problem = format!("moments of [{found}], expected [{expected}] with [2, entries] each");
            return Err(Error::Setting { what: "Adam", problem });
        }
        for (name, slot) in &self.slots {
            slot.moments.set(&moments[name])?;
        }
        self.steps = steps;
        Ok(())
    }
}

/// One step: m ← β₁m + (1-β₁)g, v ← β₂v + (1-β₂)g², θ ← θ - step · m / (√v / √(1-β₂ᵗ) + ε).
struct Update {
    config: AdamConfig,
    scale: f64,
    root_correction: f64,
    step_size: f64,
}

impl Update {
    fn apply(&self, slot: &Slot, gradient: &Tensor) -> Result<()> {
        if slot.var.device().is_cpu() {
            slot.moments.inplace_op2(&gradient.contiguous()?, &UpdateMoments(self))?;
            slot.var.inplace_op2(&slot.moments, &UpdateParameter(self))?;
            return Ok(());
        }
        let AdamConfig { beta1, beta2, epsilon, .. } = self.config;
        let g = (gradient.flatten_all()? * self.scale)?;
        let m = ((slot.moments.get(0)? * beta1)? + (&g * (1.0 - beta1))?)?;
        let v = ((slot.moments.get(1)? * beta2)? + (g.sqr()? * (1.0 - beta2))?)?;
        let step = ((&m / ((v.sqrt()? / self.root_correction)? + epsilon)?)? * self.step_size)?;
        slot.var.set(&slot.var.sub(&step.reshape(slot.var.shape())?)?)?;
        slot.moments.set(&Tensor::stack(&[m, v], 0)?)?;
        Ok(())
    }
}

struct UpdateMoments<'a>(&'a Update);
struct UpdateParameter<'a>(&'a Update);

impl InplaceOp2 for UpdateMoments<'_> {
    fn name(&self) -> &'static str {
        "adam-moments"
    }

    fn cpu_fwd(
        &self,
        moments: &mut CpuStorage,
        _: &Layout,
        gradient: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<()> {
        fn run<T: Real>(update: &Update, moments: &mut [T], gradient: &[T]) {
            let [beta1, beta2, scale] = [update.config.beta1, update.config.beta2, update.scale].map(T::from_f64);
            let (rest1, rest2) = (T::from_f64(1.0 - update.config.beta1), T::from_f64(1.0 - update.config.beta2));
            let (first, second) = moments.split_at_mut(gradient.len());
            for ((m, v), g) in first.iter_mut().zip(second).zip(gradient) {
                let g = *g * scale;
                *m = beta1 * *m + rest1 * g;
                *v = beta2 * *v + rest2 * g * g;
            }
        }
        match (moments, gradient) {
            (CpuStorage::F32(moments), CpuStorage::F32(gradient)) => run(self.0, moments, window(gradient, layout)),
            (CpuStorage::F64(moments), CpuStorage::F64(gradient)) => run(self.0, moments, window(gradient, layout)),
            _ => candle_core::bail!("Adam runs on f32 and f64"),
        }
        Ok(())
    }
}

impl InplaceOp2 for UpdateParameter<'_> {
    fn name(&self) -> &'static str {
        "adam-parameter"
    }

    fn cpu_fwd(
        &self,
        parameter: &mut CpuStorage,
        layout: &Layout,
        moments: &CpuStorage,
        _: &Layout,
    ) -> candle_core::Result<()> {
        fn run<T: Real>(update: &Update, parameter: &mut [T], moments: &[T]) {
            let [epsilon, step, inverse_root] =
                [update.config.epsilon, update.step_size, 1.0 / update.root_correction].map(T::from_f64);
            let (first, second) = moments.split_at(parameter.len());
            for ((p, m), v) in parameter.iter_mut().zip(first).zip(second) {
                *p -= step * *m / (v.root() * inverse_root + epsilon);
            }
        }
        if layout.start_offset() != 0 || !layout.is_contiguous() {
            candle_core::bail!("a parameter owns its whole buffer");
        }
        match (parameter, moments) {
            (CpuStorage::F32(parameter), CpuStorage::F32(moments)) => run(self.0, parameter, moments),
            (CpuStorage::F64(parameter), CpuStorage::F64(moments)) => run(self.0, parameter, moments),
            _ => candle_core::bail!("Adam runs on f32 and f64"),
        }
        Ok(())
    }
}

fn window<'a, T: WithDType>(values: &'a [T], layout: &Layout) -> &'a [T] {
    &values[layout.start_offset()..layout.start_offset() + layout.shape().elem_count()]
}

trait Real: WithDType {
    fn root(self) -> Self;
}

impl Real for f32 {
    fn root(self) -> Self {
        self.sqrt()
    }
}

impl Real for f64 {
    fn root(self) -> Self {
        self.sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Init;
    use candle_core::{DType, Device};
    use understudy_random::Seed;

    fn problem(dtype: DType) -> (Params, Tensor) {
        let mut params = Params::new(Seed::new(8), dtype, &Device::Cpu);
        let x = params.scope("m").param("x", (2, 3), Init::Normal { sd: 1.0 }).unwrap();
        (params, x)
    }

    fn loss(x: &Tensor) -> Tensor {
        (x.sqr().unwrap().sqr().unwrap().sum_all().unwrap() + (x * 3.0).unwrap().sum_all().unwrap()).unwrap()
    }

    /// Algorithm 1 of the paper, line by line.
    fn reference(start: &[f64], steps: i32, config: AdamConfig) -> Vec<f64> {
        let (mut x, mut m, mut v) = (start.to_vec(), vec![0.0; start.len()], vec![0.0; start.len()]);
        for t in 1..=steps {
            let g: Vec<f64> = x.iter().map(|x| 4.0 * x.powi(3) + 3.0).collect();
            let norm = g.iter().map(|g| g * g).sum::<f64>().sqrt();
            let scale = config.clip.map_or(1.0, |clip| if norm > clip { clip / norm } else { 1.0 });
            for i in 0..x.len() {
                m[i] = config.beta1 * m[i] + (1.0 - config.beta1) * g[i] * scale;
                v[i] = config.beta2 * v[i] + (1.0 - config.beta2) * (g[i] * scale).powi(2);
                let (mh, vh) = (m[i] / (1.0 - config.beta1.powi(t)), v[i] / (1.0 - config.beta2.powi(t)));
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
                adam.step(&loss(&x).backward().unwrap()).unwrap();
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
        let step = |adam: &mut Adam| adam.step(&loss(&x).backward().unwrap()).unwrap();
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
    fn a_gradient_that_is_not_finite_changes_nothing() {
        let (params, x) = problem(DType::F32);
        let before = x.to_vec2::<f32>().unwrap();
        let mut adam = Adam::new(&params, AdamConfig::default()).unwrap();
        let bad = x.sub(&x).unwrap().log().unwrap().sum_all().unwrap();
        assert!(adam.step(&bad.backward().unwrap()).is_err_and(|reason| matches!(reason, Error::NotFinite { .. })));
        assert_eq!((x.to_vec2::<f32>().unwrap(), adam.steps()), (before, 0));
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
    }
}
