use candle_core::Tensor;
use understudy_nn::{Activation, Init, Mlp, Scope};

use crate::fields::{Fields, PLACES};
use crate::{NetworkConfig, Result};

/// Wide & deep (Cheng et al. 2016): a linear model of crossed features plus a network on embeddings; see
/// [`Architecture::WideDeep`](crate::Architecture::WideDeep).
#[derive(Debug)]
pub(crate) struct WideDeep {
    wide_items: Tensor,
    wide_pairs: Tensor,
    wide_places: Option<Tensor>,
    items: Tensor,
    clicks: Tensor,
    places: Option<Tensor>,
    deep: Mlp,
}

impl WideDeep {
    pub fn new(config: &NetworkConfig, items: usize, mut scope: Scope<'_>) -> Result<Self> {
        let (zero, embedding) = (Init::Constant(0.0), Init::Normal { sd: config.initial });
        let dim = config.dim;
        let inputs = 2 * dim + 1 + if config.place { dim } else { 0 };
        let widths: Vec<usize> = [inputs].into_iter().chain(config.hidden.iter().copied()).chain([1]).collect();
        Ok(Self {
            wide_items: scope.param("wide.items", (items, 1), zero)?,
            wide_pairs: scope.param("wide.pairs", (config.buckets as usize, 1), zero)?,
            wide_places: config.place.then(|| scope.param("wide.places", (PLACES, 1), zero)).transpose()?,
            items: scope.param("items", (items, dim), embedding)?,
            clicks: scope.param("clicks", (items, dim), embedding)?,
            places: config.place.then(|| scope.param("places", (PLACES, dim), embedding)).transpose()?,
            deep: Mlp::new(&widths, Activation::Elu, scope.scope("deep"))?,
        })
    }

    /// The logit of every entry, `[entries]`.
    pub fn logits(&self, fields: &Fields) -> Result<Tensor> {
        let mut wide = fields.add_pairs(self.wide_items.index_select(&fields.items, 0)?, &self.wide_pairs)?;
        let state = Tensor::cat(&[&fields.mean_of_history(&self.clicks)?, &fields.length], 1)?;
        let mut inputs =
            vec![self.items.index_select(&fields.items, 0)?, state.index_select(&fields.display_of_entry, 0)?];
        if let (Some(weights), Some(embeddings)) = (&self.wide_places, &self.places) {
            wide = (wide + weights.index_select(&fields.places, 0)?)?;
            inputs.push(embeddings.index_select(&fields.places, 0)?);
        }
        let deep = self.deep.forward(&Tensor::cat(&inputs, 1)?)?;
        Ok((wide + deep)?.squeeze(1)?)
    }
}
