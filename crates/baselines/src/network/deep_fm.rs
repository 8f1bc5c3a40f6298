//! DeepFM (Guo et al. 2017, Eq 1-4) as a function from sparse fields to logits, which the tests
//! compare with the formulas; training and losses are in the parent module.

use candle_core::{D, Tensor};
use foretaste_nn::{Init, Scope, lookup};

use super::NetworkConfig;
use super::deep::Deep;
use super::fields::{Fields, PLACES};
use crate::Result;

/// DeepFM (Guo et al. 2017): a factorization machine and a network on the same embeddings; see
/// [`Architecture::DeepFm`](crate::Architecture::DeepFm).
#[derive(Debug)]
pub(crate) struct DeepFm {
    items: Field,
    clicks: Field,
    /// One row.
    length: Field,
    places: Option<Field>,
    deep: Deep,
}

/// One field: a weight w `[values, 1]` and a latent vector v `[values, dim]` for each of its
/// values.
#[derive(Debug)]
struct Field {
    weight: Tensor,
    vector: Tensor,
}

impl DeepFm {
    pub fn new(config: &NetworkConfig, items: usize, mut scope: Scope<'_>) -> Result<Self> {
        let mut field = |name: &str, values: usize| -> Result<Field> {
            let mut scope = scope.scope(name);
            let vector =
                scope.param("vector", (values, config.dim), Init::Normal { sd: config.initial })?;
            Ok(Field { weight: scope.param("weight", (values, 1), Init::Constant(0.0))?, vector })
        };
        let (candidates, clicks, length) =
            (field("items", items)?, field("clicks", items)?, field("length", 1)?);
        let places = config.place.then(|| field("places", PLACES)).transpose()?;
        let inputs = (3 + usize::from(config.place)) * config.dim + config.context_width();
        let deep = Deep::new(inputs, &config.hidden, scope.scope("deep"))?;
        Ok(Self { items: candidates, clicks, length, places, deep })
    }

    /// The logit of every entry, `[entries]`.
    pub fn logits(&self, fields: &Fields) -> Result<Tensor> {
        // What the entries of a slate share is computed once for it.
        let mean = |table: &Tensor| fields.mean_of_history(table);
        let (clicks, length) =
            (mean(&self.clicks.vector)?, fields.length.matmul(&self.length.vector)?);
        let weights = (mean(&self.clicks.weight)? + fields.length.matmul(&self.length.weight)?)?;
        let of_impression = (weights + dot(&clicks, &length)?)?;
        let state = Tensor::cat(&[&clicks, &length], 1)?;
        let sum = (clicks + length)?.index_select(&fields.slate_of_entry, 0)?;

        let mut inputs = lookup(&self.items.vector, &fields.items)?;
        let mut linear = (lookup(&self.items.weight, &fields.items)? + dot(&inputs, &sum)?)?;
        linear = (linear + of_impression.index_select(&fields.slate_of_entry, 0)?)?;
        if let Some(places) = &self.places {
            let vectors = lookup(&places.vector, &fields.places)?;
            linear = ((linear + lookup(&places.weight, &fields.places)?)?
                + dot(&vectors, &(sum + &inputs)?)?)?;
            inputs = Tensor::cat(&[inputs, vectors], 1)?;
        }
        if let Some(context) = &fields.context {
            inputs = Tensor::cat(&[&inputs, context], 1)?;
        }
        Ok((linear + self.deep.forward(&inputs, &state, &fields.slate_of_entry)?)?.squeeze(1)?)
    }
}

/// The inner products of the rows of two tensors `[rows, width]`: `[rows, 1]`.
fn dot(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    Ok((a * b)?.sum_keepdim(D::Minus1)?)
}
