use understudy_data::ItemId;
use understudy_random::Stream;

use super::check_k;
use crate::draw::{accumulate, proportional};
use crate::{Environment, Error, Policy, Responses, Result, Slates};

/// Items drawn one after the other, without replacement, in proportion to fixed weights (Plackett-Luce).
#[derive(Clone, Debug)]
pub struct Popularity {
    weights: Vec<f64>,
    cumulative: Vec<f64>,
    positive: usize,
}

impl Popularity {
    /// From one weight per item, in any unit: say, its number of clicks. Items of weight 0 are never shown.
    ///
    /// # Errors
    /// [`Error::Setting`] if a weight is negative or not finite.
    pub fn new(weights: Vec<f64>) -> Result<Self> {
        if let Some(weight) = weights.iter().find(|weight| !weight.is_finite() || **weight < 0.0) {
            return Err(Error::setting("popularity", format!("weight {weight} is negative or not finite")));
        }
        let mut cumulative = weights.clone();
        accumulate(&mut cumulative);
        let positive = weights.iter().filter(|&&weight| weight > 0.0).count();
        Ok(Self { weights, cumulative, positive })
    }

    /// The next item of a slate. Drawing again while the item is on the slate is drawing from what remains; when few are
    /// left, walking over them is sure to end.
    fn next(&self, slate: &[ItemId], stream: &mut Stream, remaining: &mut Vec<f64>) -> Option<ItemId> {
        const ATTEMPTS: usize = 8;
        for _ in 0..ATTEMPTS {
            let item = ItemId(proportional(&self.cumulative, stream)? as u32);
            if !slate.contains(&item) {
                return Some(item);
            }
        }
        remaining.clone_from(&self.weights);
        slate.iter().for_each(|item| remaining[item.index()] = 0.0);
        accumulate(remaining);
        proportional(remaining, stream).map(|item| ItemId(item as u32))
    }
}

impl<E: Environment + ?Sized> Policy<E> for Popularity {
    type Memory = ();

    fn begin(&self, _rows: usize) -> Result<()> {
        Ok(())
    }

    fn recommend(
        &self,
        _memory: &(),
        _state: &E::State,
        k: usize,
        streams: &mut [Stream],
        slates: &mut Slates,
    ) -> Result<()> {
        check_k(k, self.positive)?;
        slates.clear(k);
        let total = self.cumulative.last().copied().unwrap_or(0.0);
        let (mut slate, mut propensity, mut remaining) = (Vec::new(), Vec::new(), Vec::new());
        for stream in streams {
            slate.clear();
            propensity.clear();
            let mut left = total;
            for _ in 0..k {
                let item = self.next(&slate, stream, &mut remaining);
                let item = item.ok_or_else(|| Error::Contract("no item of positive weight is left".into()))?;
                slate.push(item);
                let weight = self.weights[item.index()];
                propensity.push((weight / left).min(1.0) as f32);
                left -= weight;
            }
            slates.push(&slate, Some(&propensity));
        }
        Ok(())
    }

    fn observe(&self, _memory: &mut (), _slates: &Slates, _responses: &Responses) -> Result<()> {
        Ok(())
    }

    fn select(&self, _memory: &(), _rows: &[usize]) -> Result<()> {
        Ok(())
    }
}
