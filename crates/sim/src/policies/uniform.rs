use foretaste_random::Stream;

use super::{check_k, subsets};
use crate::draw::Subsets;
use crate::{Environment, Policy, Responses, Result, Slates};

/// π_random (IRecGAN §7.1): every ordered slate of k distinct items below `items` with the same
/// probability.
#[derive(Clone, Copy, Debug)]
pub struct UniformRandom {
    /// Size of the catalogue n.
    pub items: usize,
}

impl UniformRandom {
    /// The probability that it shows `k` given items, in any order.
    pub fn slate_probability(&self, k: usize) -> f64 {
        1.0 / subsets(self.items, k)
    }
}

impl<E: Environment + ?Sized> Policy<E> for UniformRandom {
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
        check_k(k, self.items)?;
        slates.clear(k);
        let mut subsets = Subsets::new(self.items, k);
        let propensity: Vec<f32> = (0..k).map(|place| 1.0 / (self.items - place) as f32).collect();
        for stream in streams {
            slates.push_with(Some(&propensity), |slate| subsets.draw(stream, slate));
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
