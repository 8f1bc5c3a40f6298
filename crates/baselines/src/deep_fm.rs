use candle_core::{D, Tensor};
use understudy_nn::{Activation, Init, Mlp, Scope};

use crate::fields::{Fields, PLACES};
use crate::{NetworkConfig, Result};

/// DeepFM (Guo et al. 2017): a factorisation machine and a network on the same embeddings; see
/// [`Architecture::DeepFm`](crate::Architecture::DeepFm).
#[derive(Debug)]
pub(crate) struct DeepFm {
    items: Field,
    clicks: Field,
    /// One row.
    length: Field,
    places: Option<Field>,
    deep: Mlp,
}

/// One field: a weight w `[values, 1]` and a latent vector v `[values, dim]` for each of its values.
#[derive(Debug)]
struct Field {
    weight: Tensor,
    vector: Tensor,
}

impl DeepFm {
    pub fn new(config: &NetworkConfig, items: usize, mut scope: Scope<'_>) -> Result<Self> {
        let mut field = |name: &str, values: usize| -> Result<Field> {
            let mut scope = scope.scope(name);
            let vector = scope.param("vector", (values, config.dim), Init::Normal { sd: config.initial })?;
            Ok(Field { weight: scope.param("weight", (values, 1), Init::Constant(0.0))?, vector })
        };
        let (candidates, clicks, length) = (field("items", items)?, field("clicks", items)?, field("length", 1)?);
        let places = config.place.then(|| field("places", PLACES)).transpose()?;
        let fields = 3 + usize::from(config.place);
        let widths: Vec<usize> =
            [fields * config.dim].into_iter().chain(config.hidden.iter().copied()).chain([1]).collect();
        let deep = Mlp::new(&widths, Activation::Elu, scope.scope("deep"))?;
        Ok(Self { items: candidates, clicks, length, places, deep })
    }

    /// The logit of every entry, `[entries]`.
    pub fn logits(&self, fields: &Fields) -> Result<Tensor> {
        let of_display = |table: &Tensor| -> Result<Tensor> { Ok(table.index_select(&fields.display_of_entry, 0)?) };
        let mean = |table: &Tensor| of_display(&fields.mean_of_history(table)?);
        let length = |table: &Tensor| of_display(&fields.length.matmul(table)?);
        let (items, clicks) = (&self.items, &self.clicks);
        let mut weights =
            vec![items.weight.index_select(&fields.items, 0)?, mean(&clicks.weight)?, length(&self.length.weight)?];
        let mut vectors =
            vec![items.vector.index_select(&fields.items, 0)?, mean(&clicks.vector)?, length(&self.length.vector)?];
        if let Some(places) = &self.places {
            weights.push(places.weight.index_select(&fields.places, 0)?);
            vectors.push(places.vector.index_select(&fields.places, 0)?);
        }
        let linear = Tensor::cat(&weights, 1)?.sum(1)?;
        // Σ_{i<j} ⟨v_i, v_j⟩ = ½ (|Σ v_i|² - Σ |v_i|²).
        let together = Tensor::stack(&vectors, 1)?;
        let squares = (together.sum(1)?.sqr()?.sum(D::Minus1)? - together.sqr()?.sum((1, 2))?)?;
        let deep = self.deep.forward(&Tensor::cat(&vectors, 1)?)?.squeeze(1)?;
        Ok(((linear + (squares * 0.5)?)? + deep)?)
    }
}
