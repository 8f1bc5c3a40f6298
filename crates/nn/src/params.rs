//! The parameters of a model by name. Values are drawn by seed and name, so adding a layer does not
//! change the others, and names identify parameters in checkpoints and optimizers.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Shape, Tensor, Var};
use foretaste_random::Seed;
use foretaste_settings::Setting;
use rand_distr::{Distribution, StandardNormal, Uniform};

use crate::checkpoint::Shapes;
use crate::{Result, scalar};

/// How a parameter is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Every entry the same.
    Constant(f64),
    /// U[-bound, bound].
    Uniform {
        /// The largest magnitude.
        bound: f64,
    },
    /// N(0, sd²).
    Normal {
        /// The standard deviation.
        sd: f64,
    },
}

impl Init {
    /// Glorot's uniform initialization for a layer of `inputs` inputs and `outputs` outputs: bound
    /// √(6 / (inputs + outputs)) (Glorot & Bengio 2010, Eq 16).
    pub fn glorot(inputs: usize, outputs: usize) -> Self {
        Self::Uniform { bound: (6.0 / (inputs + outputs) as f64).sqrt() }
    }
}

/// What the name of a tensor starts with that is saved with the parameters and not trained, such
/// as counts of a log.
pub const TABLE: &str = "table.";

/// The trainable parameters of a model by name, on one device and of one type.
///
/// A parameter's initial values depend on the seed and its own name alone, not on the order of
/// creation.
#[derive(Debug)]
pub struct Params {
    vars: BTreeMap<String, Var>,
    seed: Seed,
    dtype: DType,
    device: Device,
    /// Entries that may still be made.
    left: usize,
}

impl Params {
    /// No parameters yet. `dtype` is `F32`, or `F64` for gradient checks.
    pub fn new(seed: Seed, dtype: DType, device: &Device) -> Self {
        Self { vars: BTreeMap::new(), seed, dtype, device: device.clone(), left: usize::MAX }
    }

    /// The same, that take no more than so many entries in all from here on: a parameter beyond
    /// them is refused before memory is taken for it.
    #[must_use]
    pub fn at_most(self, entries: usize) -> Self {
        Self { left: entries, ..self }
    }

    /// The same, none of which is made yet, on another device.
    #[must_use]
    pub fn on(self, device: &Device) -> Self {
        Self { device: device.clone(), ..self }
    }

    /// A scope in which every name starts with `prefix` and a dot.
    pub fn scope(&mut self, prefix: &str) -> Scope<'_> {
        Scope { params: self, prefix: prefix.to_owned() }
    }

    /// The scope of names without a prefix.
    pub fn root(&mut self) -> Scope<'_> {
        Scope { params: self, prefix: String::new() }
    }

    /// The parameters in name order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Var)> {
        self.vars.iter().map(|(name, var)| (name.as_str(), var))
    }

    /// The parameter of this name.
    pub fn get(&self, name: &str) -> Option<&Var> {
        self.vars.get(name)
    }

    /// The device on which the parameters are.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The type of the parameters.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// A copy of the current values, in name order.
    pub fn snapshot(&self) -> Result<BTreeMap<String, Tensor>> {
        self.vars
            .iter()
            .map(|(name, var)| Ok((name.clone(), var.as_tensor().detach().copy()?)))
            .collect()
    }

    /// The name of a parameter that holds a number that is not finite, if there is one.
    ///
    /// # Errors
    /// An error of the network if the device fails.
    pub fn not_finite(&self) -> Result<Option<&str>> {
        for (name, var) in &self.vars {
            // 0 times a number is 0, unless it is infinite or none.
            if scalar(&var.as_tensor().detach().affine(0.0, 0.0)?.sum_all()?)? != 0.0 {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Puts back values taken by [`Params::snapshot`] or read from a checkpoint.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) naming every parameter that is missing, unknown,
    /// or of another shape or type; nothing is then changed. What is a [`TABLE`] is no parameter.
    pub fn restore(&self, values: &BTreeMap<String, Tensor>) -> Result<()> {
        self.check(&Shapes::of(values))?;
        for (name, var) in &self.vars {
            var.set(&values[name].to_device(&self.device)?)?;
        }
        Ok(())
    }

    /// Whether [`restore`](Self::restore) would take values of these types and shapes.
    ///
    /// # Errors
    /// As [`restore`](Self::restore).
    pub fn check(&self, values: &Shapes) -> Result<()> {
        match self.differences(values) {
            problems if problems.is_empty() => Ok(()),
            problems => Err(Setting::new("parameters", problems.join("; ")).into()),
        }
    }

    fn differences(&self, values: &Shapes) -> Vec<String> {
        let mut problems = Vec::new();
        for (name, var) in &self.vars {
            match values.get(name) {
                None => problems.push(format!("{name} is missing")),
                Some((_, dims)) if dims != var.dims() => {
                    problems.push(format!("{name} has shape {dims:?}, expected {:?}", var.dims()));
                }
                Some((dtype, _)) if dtype != var.dtype() => {
                    problems.push(format!("{name} is {dtype:?}, expected {:?}", var.dtype()));
                }
                Some(_) => {}
            }
        }
        let unknown = values
            .names()
            .filter(|name| !self.vars.contains_key(*name) && !name.starts_with(TABLE));
        problems.extend(unknown.map(|name| format!("{name} is not a parameter of this model")));
        problems
    }
}

/// A place in the name tree of [`Params`], where a layer creates its parameters.
#[derive(Debug)]
pub struct Scope<'a> {
    params: &'a mut Params,
    prefix: String,
}

impl Scope<'_> {
    /// The scope one level down.
    pub fn scope(&mut self, name: &str) -> Scope<'_> {
        Scope { prefix: self.name(name), params: self.params }
    }

    /// The device on which parameters are created.
    pub fn device(&self) -> &Device {
        &self.params.device
    }

    /// The type of the parameters.
    pub fn dtype(&self) -> DType {
        self.params.dtype
    }

    /// Creates a parameter.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the name is taken, or the parameter has more
    /// entries than may still be made ([`Params::at_most`]).
    pub fn param(&mut self, name: &str, shape: impl Into<Shape>, init: Init) -> Result<Tensor> {
        let name = self.name(name);
        if self.params.vars.contains_key(&name) {
            return Err(Setting::new("parameter name", format!("{name} is taken")).into());
        }
        let shape = shape.into();
        let entries = shape.dims().iter().try_fold(1usize, |all, &dim| all.checked_mul(dim));
        let left = entries.and_then(|entries| self.params.left.checked_sub(entries));
        self.params.left = left.ok_or_else(|| {
            let (dims, left) = (shape.dims(), self.params.left);
            Setting::new(
                "parameters",
                format!(
                    "{name} is to have shape {dims:?}, but no more than {left} entries are left"
                ),
            )
        })?;
        let mut stream = self.params.seed.derive(&name).stream(0);
        let mut values = vec![0f64; shape.elem_count()];
        match init {
            Init::Constant(value) => values.fill(value),
            Init::Uniform { bound } => {
                let law = Uniform::new_inclusive(-bound, bound)
                    .map_err(|reason| Setting::new("initialization", reason.to_string()))?;
                values.fill_with(|| law.sample(&mut stream));
            }
            Init::Normal { sd } => {
                values.fill_with(|| sd * Distribution::<f64>::sample(&StandardNormal, &mut stream))
            }
        }
        let var = Var::from_tensor(
            &Tensor::from_vec(values, shape, &Device::Cpu)?
                .to_dtype(self.params.dtype)?
                .to_device(&self.params.device)?,
        )?;
        let tensor = var.as_tensor().clone();
        self.params.vars.insert(name, var);
        Ok(tensor)
    }

    fn name(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}.{name}", self.prefix) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params() -> Params {
        Params::new(Seed::new(3), DType::F32, &Device::Cpu)
    }

    #[test]
    fn initial_values_do_not_depend_on_the_order_of_creation() {
        let uniform = Init::Uniform { bound: 1.0 };
        let (mut one, mut two) = (params(), params());
        let a = one.scope("x").param("a", 5, uniform).unwrap();
        one.scope("x").param("b", 5, uniform).unwrap();
        let b = two.scope("x").param("b", 5, uniform).unwrap();
        let same = two.scope("x").param("a", 5, uniform).unwrap();
        assert_eq!(a.to_vec1::<f32>().unwrap(), same.to_vec1::<f32>().unwrap());
        assert_ne!(a.to_vec1::<f32>().unwrap(), b.to_vec1::<f32>().unwrap());
    }

    #[test]
    fn names_under_the_root_have_no_prefix() {
        let (mut one, mut two) = (params(), params());
        let uniform = Init::Uniform { bound: 1.0 };
        let under_root = one.root().scope("x").param("a", 5, uniform).unwrap();
        let same = two.scope("x").param("a", 5, uniform).unwrap();
        assert_eq!(under_root.to_vec1::<f32>().unwrap(), same.to_vec1::<f32>().unwrap());
        one.root().param("b", 1, uniform).unwrap();
        assert_eq!(one.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["b", "x.a"]);
    }

    /// 10,000 draws: the mean lies within 5 standard errors of 0 and the deviation within 5 of its
    /// own; the seed is fixed.
    #[test]
    fn draws_follow_their_law() {
        for (init, sd) in
            [(Init::Uniform { bound: 0.3 }, 0.3 / 3f64.sqrt()), (Init::Normal { sd: 2.0 }, 2.0)]
        {
            let values =
                params().scope("x").param("a", 10_000, init).unwrap().to_vec1::<f32>().unwrap();
            let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / 1e4;
            let found =
                (values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / 1e4).sqrt();
            assert!(
                mean.abs() < 5.0 * sd / 100.0 && (found / sd - 1.0).abs() < 0.04,
                "{init:?}: {mean} {found}"
            );
        }
    }

    #[test]
    fn restoring_names_what_differs_and_changes_nothing() {
        let mut params = params();
        params.scope("m").param("a", (2, 2), Init::Constant(1.0)).unwrap();
        params.scope("m").param("b", 3, Init::Constant(1.0)).unwrap();
        let mut values = params.snapshot().unwrap();
        values.insert("m.a".into(), Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap());
        values.insert("m.c".into(), Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap());
        values.remove("m.b");
        let message = params.restore(&values).unwrap_err().to_string();
        for part in
            ["m.a has shape [2, 3], expected [2, 2]", "m.b is missing", "m.c is not a parameter"]
        {
            assert!(message.contains(part), "{message}");
        }
        assert_eq!(params.get("m.a").unwrap().to_vec2::<f32>().unwrap(), vec![vec![1.0; 2]; 2]);
    }

    #[test]
    fn a_parameter_that_is_not_finite_is_named() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut params = params();
            params.scope("m").param("a", (2, 2), Init::Constant(3e38)).unwrap();
            params.scope("m").param("b", 3, Init::Constant(-3e38)).unwrap();
            assert_eq!(params.not_finite().unwrap(), None);
            let values = Tensor::new(&[0.0, 1.0, bad], &Device::Cpu).unwrap();
            params.get("m.b").unwrap().set(&values).unwrap();
            assert_eq!(params.not_finite().unwrap(), Some("m.b"));
        }
    }

    #[test]
    fn no_more_entries_are_made_than_are_allowed() {
        let mut params = params().at_most(10);
        params.scope("m").param("a", (2, 3), Init::Constant(1.0)).unwrap();
        for shape in [vec![5], vec![1 << 40], vec![1 << 40, 1 << 40]] {
            let refused = params.scope("m").param("b", shape, Init::Constant(1.0)).unwrap_err();
            assert!(refused.to_string().contains("no more than 4 entries are left"), "{refused}");
        }
        params.scope("m").param("b", 4, Init::Constant(1.0)).unwrap();
        assert!(params.scope("m").param("c", 1, Init::Constant(1.0)).is_err());
    }

    #[test]
    fn a_name_is_taken_once() {
        let mut params = params();
        params.scope("m").param("a", 1, Init::Constant(0.0)).unwrap();
        assert!(params.scope("m").param("a", 1, Init::Constant(0.0)).is_err());
    }
}
