//! Wide & deep (Cheng et al. 2016, §3) as a function from sparse fields to logits, which the tests
//! compare with the formulas; training and losses are in the parent module.

use candle_core::Tensor;
use foretaste_nn::{Init, Scope, lookup};

use super::NetworkConfig;
use super::deep::Deep;
use super::fields::{Fields, PLACES};
use crate::Result;

/// Wide & deep (Cheng et al. 2016): a linear model of crossed features plus a network on
/// embeddings; see [`Architecture::WideDeep`](crate::Architecture::WideDeep).
#[derive(Debug)]
pub(crate) struct WideDeep {
    wide_items: Tensor,
    wide_pairs: Tensor,
    wide_places: Option<Tensor>,
    items: Tensor,
    clicks: Tensor,
    places: Option<Tensor>,
    deep: Deep,
}

impl WideDeep {
    pub fn new(config: &NetworkConfig, items: usize, mut scope: Scope<'_>) -> Result<Self> {
        let (zero, embedding) = (Init::Constant(0.0), Init::Normal { sd: config.initial });
        let dim = config.dim;
        let places = if config.place { dim } else { 0 };
        let inputs = 2 * dim + 1 + places + config.context_width();
        Ok(Self {
            wide_items: scope.param("wide.items", (items, 1), zero)?,
            wide_pairs: scope.param("wide.pairs", (config.buckets as usize, 1), zero)?,
            wide_places: config
                .place
                .then(|| scope.param("wide.places", (PLACES, 1), zero))
                .transpose()?,
            items: scope.param("items", (items, dim), embedding)?,
            clicks: scope.param("clicks", (items, dim), embedding)?,
            places: config
                .place
                .then(|| scope.param("places", (PLACES, dim), embedding))
                .transpose()?,
            deep: Deep::new(inputs, &config.hidden, scope.scope("deep"))?,
        })
    }

    /// The logit of every entry, `[entries]`.
    pub fn logits(&self, fields: &Fields) -> Result<Tensor> {
        let mut wide =
            fields.add_pairs(lookup(&self.wide_items, &fields.items)?, &self.wide_pairs)?;
        let state = Tensor::cat(&[&fields.mean_of_history(&self.clicks)?, &fields.length], 1)?;
        let mut inputs = lookup(&self.items, &fields.items)?;
        if let (Some(weights), Some(embeddings)) = (&self.wide_places, &self.places) {
            wide = (wide + lookup(weights, &fields.places)?)?;
            inputs = Tensor::cat(&[inputs, lookup(embeddings, &fields.places)?], 1)?;
        }
        if let Some(context) = &fields.context {
            inputs = Tensor::cat(&[&inputs, context], 1)?;
        }
        Ok((wide + self.deep.forward(&inputs, &state, &fields.slate_of_entry)?)?.squeeze(1)?)
    }
}
