//! How users come from rewards to choices (GAN-CDQN, section "User Behavior As Reward
//! Maximization"), for each regularizer in closed form, with the Fenchel-Young loss by which
//! rewards are fitted to it.

use candle_core::{D, Tensor};
use foretaste_nn::masked_log_softmax;
use foretaste_settings::Setting;
use serde::{Deserialize, Serialize};

use crate::Result;

mod entmax;

use entmax::entmax;

/// The convex regularizer R of GAN-CDQN's users, who choose by `φ* = argmax E_φ[r] - R(φ) / η` over
/// the distributions φ on a slate (§"User Behavior As Reward Maximization"), that is argmax ⟨φ,
/// u⟩ - R(φ) for the utilities u = η r.
///
/// A slate is a row of `utilities [rows, places]` with `mask [rows, places]` (u8, 1 = on the
/// slate) and, where there is an outside option, choosing nothing at utility 0. The options of a
/// row are its places and then, in a column of its own, the outside option; places that are masked
/// out have probability 0. A row needs an option.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Regulariser {
    /// R = Σ φ log φ, the negative Shannon entropy: φ* = softmax(u) (Lemma 1), never 0.
    #[default]
    Shannon,
    /// R = ½ ‖φ‖²: φ* = sparsemax(u), the Euclidean projection of u on the simplex (Martins &
    /// Astudillo 2016, Eq 1).
    L2,
    /// R = (Σ φ^α - 1) / (α (α - 1)), the negative Tsallis entropy: φ* = α-entmax(u) (Peters,
    /// Niculae & Martins 2019, §3), sparser as α grows from Shannon's 1 to 2, where R is that of
    /// [`Regulariser::L2`] less ½.
    Tsallis {
        /// α, above 1 and at most 2. Near 1 rounding costs R (though not φ*) precision in
        /// proportion to 1 / (α - 1).
        alpha: f64,
    },
}

impl Regulariser {
    /// φ* of each row in closed form, `[rows, options]`.
    ///
    /// It has an exact gradient. Softmax is composed of candle's operations; the others are
    /// computed on the CPU, in double precision and rows in parallel, so utilities that lie on
    /// another device are copied there and back. A row with an option whose utility is NaN or plus
    /// infinity gives NaN.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if α is outside its range.
    pub fn choice(self, utilities: &Tensor, mask: &Tensor, outside: bool) -> Result<Tensor> {
        self.check()?;
        let alpha = match self {
            Self::Shannon => {
                let (log_phi, log_outside) = masked_log_softmax(utilities, mask, outside)?;
                let phi = log_phi.exp()?;
                let phi = mask.where_cond(&phi, &phi.zeros_like()?)?;
                let outside = outside.then(|| log_outside.exp()?.unsqueeze(1)).transpose()?;
                return with_outside(phi, outside);
            }
            Self::L2 => 2.0,
            Self::Tsallis { alpha } => alpha,
        };
        entmax(&options(utilities, mask, outside, f32::NEG_INFINITY)?, alpha)
    }

    /// R of each row of `phi [rows, options]`, `[rows]`.
    pub fn penalty(self, phi: &Tensor) -> Result<Tensor> {
        let penalty = match self {
            // 0 log 0 = 0.
            Self::Shannon => {
                (phi * phi.maximum(f64::from(f32::MIN_POSITIVE))?.log()?)?.sum(D::Minus1)?
            }
            Self::L2 => (phi.sqr()?.sum(D::Minus1)? * 0.5)?,
            Self::Tsallis { alpha } => {
                ((phi.powf(alpha)?.sum(D::Minus1)? - 1.0)? / (alpha * (alpha - 1.0)))?
            }
        };
        Ok(penalty)
    }

    /// R of a choice that is certain.
    pub(crate) fn penalty_of_certainty(self) -> f64 {
        match self {
            Self::Shannon | Self::Tsallis { .. } => 0.0,
            Self::L2 => 0.5,
        }
    }

    /// The Fenchel-Young loss L(u; y) = R*(u) + R(y) - u_y of each row, `[rows]`, where y is the
    /// option `chosen [rows]` (u32) and R*(u) = max ⟨φ, u⟩ - R(φ) (Blondel, Martins & Niculae 2020,
    /// Definition 2).
    ///
    /// It is never negative, is 0 where φ* gives all to y, and its gradient is φ* - y. Under
    /// Shannon it is -log φ*_y.
    ///
    /// # Errors
    /// As [`Regulariser::choice`].
    pub fn loss(
        self,
        utilities: &Tensor,
        mask: &Tensor,
        outside: bool,
        chosen: &Tensor,
    ) -> Result<Tensor> {
        let chosen = chosen.unsqueeze(1)?;
        if self == Self::Shannon {
            let (log_phi, log_outside) = masked_log_softmax(utilities, mask, outside)?;
            let outside = outside.then(|| log_outside.unsqueeze(1)).transpose()?;
            return Ok(with_outside(log_phi, outside)?.gather(&chosen, 1)?.squeeze(1)?.neg()?);
        }
        let options = options(utilities, mask, outside, 0.0)?;
        // φ* maximizes, so the gradient of the maximum is that of what is maximized with φ* held
        // fixed (Danskin).
        let phi = self.choice(&utilities.detach(), mask, outside)?;
        let gain = options.broadcast_sub(&options.gather(&chosen, 1)?)?;
        Ok((((&phi * gain)?.sum(D::Minus1)? - self.penalty(&phi)?)? + self.penalty_of_certainty())?)
    }

    /// (log φ* of the places `[rows, places]`, log φ* of the outside option `[rows]`), minus
    /// infinity where φ* is 0; without the outside option the latter is 0. What stands at masked
    /// places is not meant to be read.
    pub(crate) fn log_choice(
        self,
        utilities: &Tensor,
        mask: &Tensor,
        outside: bool,
    ) -> Result<(Tensor, Tensor)> {
        if self == Self::Shannon {
            return Ok(masked_log_softmax(utilities, mask, outside)?);
        }
        let log_phi = self.choice(utilities, mask, outside)?.log()?;
        let (rows, places) = mask.dims2()?;
        let log_outside = match outside {
            true => log_phi.narrow(1, places, 1)?.squeeze(1)?,
            false => Tensor::zeros(rows, log_phi.dtype(), log_phi.device())?,
        };
        Ok((log_phi.narrow(1, 0, places)?, log_outside))
    }

    pub(crate) fn check(self) -> Result<()> {
        match self {
            Self::Tsallis { alpha } if !(alpha > 1.0 && alpha <= 2.0) => Err(Setting::new(
                "regulariser",
                format!("Tsallis with α = {alpha}, expected above 1 and at most 2"),
            )
            .into()),
            _ => Ok(()),
        }
    }

    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Places `[rows, places]` and the column of the outside option, if there is one.
fn with_outside(places: Tensor, outside: Option<Tensor>) -> Result<Tensor> {
    Ok(match outside {
        Some(outside) => Tensor::cat(&[places, outside], 1)?,
        None => places,
    })
}

/// The utilities of all options, `fill` at masked places.
fn options(utilities: &Tensor, mask: &Tensor, outside: bool, fill: f32) -> Result<Tensor> {
    let fill = Tensor::new(fill, utilities.device())?.to_dtype(utilities.dtype())?;
    let places = mask.where_cond(utilities, &fill.broadcast_as(utilities.shape())?)?;
    let nothing = outside.then(|| places.narrow(1, 0, 1)?.zeros_like()).transpose()?;
    with_outside(places, nothing)
}
