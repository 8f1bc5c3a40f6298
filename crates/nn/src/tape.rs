//! Operations with a backward pass of their own, on candle's tape.
//!
//! candle writes down which operations led to a tensor, and walks back over them from a loss to its
//! parameters: this is its tape. Two things are missing there, and added here: operations of more
//! than three arguments, and gradients that are handed over as they are, rather than added to a
//! dense tensor of zeros.
//!
//! # What is on the tape
//!
//! [`record`] puts a result on the tape by nodes of two kinds ([`node`]): a link for each argument
//! that is tracked, one chained to the other, and at the end of the chain the outcome, whose value
//! is the result.
//!
//! ```text
//! argument   argument       argument
//!    │          │              │
//!  link ──────link── · · · ──link ── outcome
//! ```
//!
//! # A backward pass
//!
//! 1. [`backward()`] opens a collection of the parameters' gradients for its thread, and lets
//!    candle walk back from the loss.
//! 2. candle comes to the outcome and gives it the gradient of the result. The operation's
//!    [`Backward`] computes the gradients of all arguments from it at once, each in the form that
//!    suits it ([`Gradient`]). They are left in slots, one for each link.
//! 3. candle comes to the links, the last first. A link takes its gradient out of its slot. If the
//!    argument is a parameter, the gradient is added to the open collection and candle is given
//!    none. If other operations led to the argument, candle is given a dense gradient and walks on.
//! 4. candle has reached the parameters. What it collected itself, for those that its own
//!    operations use, is added to the collection, which [`backward()`] closes and returns as
//!    [`Gradients`].

mod backward;
mod computed;
mod gradient;
mod node;

use candle_core::Tensor;

pub use self::backward::{Gradients, backward};
pub(crate) use self::computed::Computed;
pub(crate) use self::gradient::{Gradient, RowGradient};
use self::node::{Link, Outcome, Slot};
use crate::{Result, lock};

/// What an operation does in the backward pass.
pub(crate) trait Backward: Send + Sync + 'static {
    /// For messages.
    fn name(&self) -> &'static str;

    /// The gradients of the arguments, in their order, from that of the result; nothing for those
    /// that are not tracked.
    fn backward(&self, gradient: &Tensor) -> candle_core::Result<Vec<Option<Gradient>>>;
}

/// Puts `result`, which was computed from `arguments`, on candle's tape. `backward` is asked once
/// per backward pass.
pub(crate) fn record(
    result: Computed,
    arguments: &[&Tensor],
    backward: impl Backward,
) -> Result<Tensor> {
    let slots: Vec<Slot> = arguments.iter().map(|_| Slot::default()).collect();
    let Some(chain) = chain(arguments, &slots)? else { return Ok(result.into_tensor()?) };
    Ok(attach(&chain, backward.name(), result, move |gradient| {
        for (slot, gradient) in slots.iter().zip(backward.backward(gradient)?) {
            *lock(slot) = gradient;
        }
        Ok(())
    })?)
}

/// Puts `result` on candle's tape as an operation on `argument`, which gets zeros for a gradient.
/// `learn` is given the gradient of the result.
pub(crate) fn attach(
    argument: &Tensor,
    name: &'static str,
    result: Computed,
    learn: impl Fn(&Tensor) -> candle_core::Result<()> + Send + Sync + 'static,
) -> candle_core::Result<Tensor> {
    argument.apply_op1(Outcome::new(name, result, learn))
}

/// The last link of the arguments that are tracked, if any is.
fn chain(arguments: &[&Tensor], slots: &[Slot]) -> candle_core::Result<Option<Tensor>> {
    let mut chain: Option<Tensor> = None;
    for (argument, slot) in arguments.iter().zip(slots) {
        if argument.track_op() {
            let link = Link { slot: slot.clone() };
            chain = Some(match chain {
                None => argument.apply_op1(link)?,
                Some(chain) => chain.apply_op2(argument, link)?,
            });
        }
    }
    Ok(chain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Init, Params, check_gradients};
    use candle_core::{CpuStorage, DType, Device};
    use foretaste_random::Seed;

    /// a b + c, elementwise.
    struct Fused(Tensor, Tensor);

    impl Backward for Fused {
        fn name(&self) -> &'static str {
            "fused"
        }

        fn backward(&self, gradient: &Tensor) -> candle_core::Result<Vec<Option<Gradient>>> {
            let gradients = [(gradient * &self.1)?, (gradient * &self.0)?, gradient.clone()];
            Ok(gradients.into_iter().map(|gradient| Some(Gradient::Dense(gradient))).collect())
        }
    }

    fn fused(a: &Tensor, b: &Tensor, c: &Tensor) -> Tensor {
        let values = ((a.detach() * b.detach()).unwrap() + c.detach()).unwrap();
        let values = CpuStorage::F64(values.to_vec1().unwrap());
        record(Computed::Host(values, a.shape().clone()), &[a, b, c], Fused(a.detach(), b.detach()))
            .unwrap()
    }

    fn params() -> (Params, [Tensor; 3]) {
        let mut params = Params::new(Seed::new(1), DType::F64, &Device::Cpu);
        let tensors = ["a", "b", "c"]
            .map(|name| params.scope("t").param(name, 4, Init::Normal { sd: 1.0 }).unwrap());
        (params, tensors)
    }

    #[test]
    fn recorded_operations_pass_gradients_through_parameters_and_other_operations() {
        let (params, [a, b, c]) = params();
        let constant = Tensor::new(&[1f64, 2.0, 3.0, 4.0], &Device::Cpu).unwrap();
        check_gradients(&params, || {
            // a is used twice, b on its own and behind an operation, a constant once.
            let once = fused(&a, &b.sqr()?, &constant);
            Ok((fused(&once, &a, &c).sqr()?.sum_all()? + (&b * 3.0)?.sum_all()?)?)
        });
    }

    #[test]
    fn backward_agrees_with_candles_own() {
        let (params, [a, b, c]) = params();
        let loss = fused(&a, &b, &fused(&c, &a, &b)).sqr().unwrap().sum_all().unwrap();
        let ours = backward(&loss).unwrap();
        let candles = loss.backward().unwrap();
        for (name, var) in params.iter() {
            let ours = ours.get(var).unwrap().unwrap().to_vec1::<f64>().unwrap();
            assert_eq!(ours, candles.get(var).unwrap().to_vec1::<f64>().unwrap(), "{name}");
        }
        let constant = Tensor::zeros(1, DType::F64, &Device::Cpu).unwrap();
        assert!(ours.get(&constant).unwrap().is_none());
    }
}
