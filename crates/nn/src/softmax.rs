//! The softmax over all items of a catalogue, which is most of what an agent's slates cost (IRecGAN
//! Eq 4). This module defines the result, composed of candle's operations; the CPU has its own
//! code.

mod frozen;
mod fused;

use candle_core::{DType, Device, Tensor};

pub use self::frozen::{BlockSum, FrozenSoftmax, Logits, LogitsRow};

use foretaste_settings::Setting;

use crate::Result;

/// The cross-entropy -log φ of one target a row, φ the softmax over all items of
/// `hidden weight + bias`: `[rows]`.
///
/// `hidden [rows, width]`, `weight [width, items]`, `bias [items]`, and for each row the target's
/// index. The negative of the result is the log-probability that a policy chooses that item
/// (IRecGAN Eq 4): times a return and summed it is what REINFORCE descends (Eq 8).
///
/// On the CPU this is one operation, in f32 and f64. It keeps one buffer `[rows, items]`, which
/// first holds the logits and then their gradient; the softmax is shifted by each row's largest
/// logit, so that it stays finite. Results do not depend on the number of threads, nor a row's on
/// the other rows. A backward pass can be taken once per call.
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) if sizes do not fit or a target is not below the
/// number of items.
pub fn softmax_cross_entropy(
    hidden: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    targets: &[u32],
) -> Result<Tensor> {
    check(hidden, weight, bias, targets)?;
    match (hidden.device(), hidden.dtype()) {
        (Device::Cpu, DType::F32) => fused::cross_entropy::<f32>(hidden, weight, bias, targets),
        (Device::Cpu, DType::F64) => fused::cross_entropy::<f64>(hidden, weight, bias, targets),
        _ => composed(hidden, weight, bias, targets),
    }
}

/// `hidden [rows, width] weight [width, items] + bias [items]`: what
/// [`gumbel_top_k`](crate::gumbel_top_k) draws from, row by row.
pub fn softmax_logits(hidden: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    Ok(hidden.matmul(weight)?.broadcast_add(bias)?)
}

fn composed(hidden: &Tensor, weight: &Tensor, bias: &Tensor, targets: &[u32]) -> Result<Tensor> {
    let logits = softmax_logits(hidden, weight, bias)?;
    let targets = Tensor::new(targets, logits.device())?.unsqueeze(1)?;
    Ok(logits.log_sum_exp(1)?.sub(&logits.gather(&targets, 1)?.squeeze(1)?)?)
}

fn check(hidden: &Tensor, weight: &Tensor, bias: &Tensor, targets: &[u32]) -> Result<()> {
    let dims = (hidden.dims(), weight.dims(), bias.dims());
    let fits = match dims {
        (&[rows, width], &[inner, items], &[outer]) => {
            width == inner && items == outer && rows * width * items > 0
        }
        _ => false,
    };
    let problem = if !fits {
        format!(
            "hidden {:?}, weight {:?}, bias {:?}, expected [rows, width], [width, items], [items]",
            dims.0, dims.1, dims.2
        )
    } else if targets.len() != dims.0[0] {
        format!("{} targets, expected one for each of {} rows", targets.len(), dims.0[0])
    } else if let Some(row) = targets.iter().position(|&target| target as usize >= dims.2[0]) {
        format!("the target of row {row} is {}, expected less than {}", targets[row], dims.2[0])
    } else {
        return Ok(());
    };
    Err(Setting::new("softmax", problem).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Adam, AdamConfig, Gradients, Init, Params, backward, check_gradients};
    use foretaste_random::Seed;
    use rand::Rng;

    struct Case {
        params: Params,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor,
        targets: Vec<u32>,
    }

    impl Case {
        fn new(rows: usize, width: usize, items: usize, dtype: DType) -> Self {
            let mut params = Params::new(Seed::new(7), dtype, &Device::Cpu);
            let mut scope = params.scope("softmax");
            let mut param =
                |name, shape: &[usize]| scope.param(name, shape, Init::Normal { sd: 1.0 }).unwrap();
            let (hidden, weight) =
                (param("hidden", &[rows, width]), param("weight", &[width, items]));
            let bias = param("bias", &[items]);
            let mut stream = Seed::new(8).stream(0);
            let targets = (0..rows).map(|_| stream.random_range(0..items as u32)).collect();
            Self { params, hidden, weight, bias, targets }
        }

        fn losses(&self) -> Result<Tensor> {
            softmax_cross_entropy(&self.hidden, &self.weight, &self.bias, &self.targets)
        }

        /// The losses, and the gradients of their weighted sum in hidden, weight and bias.
        fn all(&self, losses: &Tensor) -> [Vec<f64>; 4] {
            let gradients = backward(&weighted(losses).unwrap()).unwrap();
            let gradient = |tensor| values(&gradients.get(tensor).unwrap().unwrap());
            [values(losses), gradient(&self.hidden), gradient(&self.weight), gradient(&self.bias)]
        }
    }

    /// Losses times returns of both signs; the second row does not count.
    fn weighted(losses: &Tensor) -> Result<Tensor> {
        let returns: Vec<f64> = (0..losses.elem_count()).map(|row| row as f64 - 1.0).collect();
        Ok((Tensor::new(returns, &Device::Cpu)?.to_dtype(losses.dtype())? * losses)?.sum_all()?)
    }

    fn values(tensor: &Tensor) -> Vec<f64> {
        tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap()
    }

    #[test]
    fn gradients_match_finite_differences() {
        for (rows, width, items) in [(4, 3, 37), (1, 2, 5), (35, 1, 1)] {
            let case = Case::new(rows, width, items, DType::F64);
            check_gradients(&case.params, || weighted(&case.losses()?));
        }
    }

    /// Over several shares and blocks, the last of each not full.
    #[test]
    fn losses_and_gradients_equal_those_composed_from_candles_operations() {
        for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 2e-5)] {
            let case = Case::new(37, 9, 2345, dtype);
            let composed = composed(&case.hidden, &case.weight, &case.bias, &case.targets).unwrap();
            for (found, expected) in
                case.all(&case.losses().unwrap()).iter().zip(case.all(&composed))
            {
                assert_eq!(found.len(), expected.len());
                for (found, expected) in found.iter().zip(expected) {
                    assert!(
                        (found - expected).abs() < tolerance * expected.abs().max(1.0),
                        "{found} {expected}"
                    );
                }
            }
        }
    }

    /// Of 140 inputs and 2,345 items: over several chunks and shares, the last of each not full. 37
    /// rows are few, 141 are not.
    #[test]
    fn steps_by_factors_equal_those_by_the_gradient_bit_for_bit() {
        for rows in [37, 141] {
            let step = |gradients: fn(&Tensor) -> Gradients, threads| {
                let case = Case::new(rows, 140, 2345, DType::F32);
                let mut adam = Adam::new(&case.params, AdamConfig::default()).unwrap();
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let norm = pool.install(|| {
                    let loss = weighted(&case.losses().unwrap()).unwrap();
                    adam.step(&gradients(&loss)).unwrap()
                });
                let moments = adam
                    .moments()
                    .unwrap()
                    .into_values()
                    .map(|moments| values(&moments))
                    .collect::<Vec<_>>();
                (norm, values(&case.weight), values(&case.bias), moments)
            };
            let factors = step(|loss| backward(loss).unwrap(), 1);
            // candle's own pass wants the gradient itself.
            let candles = |loss: &Tensor| {
                let mut gradients = Gradients::default();
                gradients.add_all(&loss.backward().unwrap()).unwrap();
                gradients
            };
            let whole = step(candles, 1);
            assert!((factors.0 / whole.0 - 1.0).abs() < 1e-5, "{} {}", factors.0, whole.0);
            assert_eq!((&factors.1, &factors.2, &factors.3), (&whole.1, &whole.2, &whole.3));
            assert_eq!(step(|loss| backward(loss).unwrap(), 3), factors);
        }
    }

    #[test]
    fn a_weight_that_is_used_twice_gets_the_sum_of_both_gradients() {
        let case = Case::new(3, 9, 70, DType::F64);
        let (h, w, b) = (&case.hidden, &case.weight, &case.bias);
        let half = |rows: std::ops::Range<usize>| {
            let part = h.narrow(0, rows.start, rows.len()).unwrap();
            softmax_cross_entropy(&part, w, b, &case.targets[rows]).unwrap().sum_all().unwrap()
        };
        let gradients = |loss: Tensor| {
            let gradients = backward(&loss).unwrap();
            [h, w, b].map(|tensor| values(&gradients.get(tensor).unwrap().unwrap()))
        };
        let parts = gradients((half(0..1) + half(1..3)).unwrap());
        for (parts, whole) in parts.iter().zip(gradients(case.losses().unwrap().sum_all().unwrap()))
        {
            assert!(
                parts.iter().zip(&whole).all(|(a, b)| (a - b).abs() < 1e-12),
                "{parts:?} {whole:?}"
            );
        }
    }

    #[test]
    fn only_what_is_tracked_gets_a_gradient() {
        let case = Case::new(3, 4, 70, DType::F64);
        let [_, hidden, weight, bias] = case.all(&case.losses().unwrap());
        let arguments = [&case.hidden, &case.weight, &case.bias];
        for (tracked, expected) in [hidden, weight, bias].iter().enumerate() {
            let [h, w, b] = std::array::from_fn(|i| match i == tracked {
                true => arguments[i].clone(),
                false => arguments[i].detach(),
            });
            let losses = softmax_cross_entropy(&h, &w, &b, &case.targets).unwrap();
            let gradients = backward(&weighted(&losses).unwrap()).unwrap();
            for (i, argument) in arguments.iter().enumerate() {
                let found = gradients.get(argument).unwrap().map(|gradient| values(&gradient));
                assert_eq!(found.as_ref(), (i == tracked).then_some(expected));
            }
        }
    }

    #[test]
    fn huge_logits_stay_finite() {
        let case = Case::new(2, 1, 300, DType::F32);
        case.params
            .get("softmax.bias")
            .unwrap()
            .set(&Tensor::zeros(300, DType::F32, &Device::Cpu).unwrap())
            .unwrap();
        let mut slopes = vec![0f32; 300];
        (slopes[7], slopes[280]) = (1e30, -1e30);
        let weight = Tensor::from_vec(slopes, (1, 300), &Device::Cpu).unwrap();
        let hidden = Tensor::new(&[[1f32], [-1.0]], &Device::Cpu).unwrap();
        let losses = softmax_cross_entropy(&hidden, &weight, &case.bias, &[7, 7]).unwrap();
        assert_eq!(losses.to_vec1::<f32>().unwrap(), [0.0, 2e30]);
        let gradients = backward(&losses.sum_all().unwrap()).unwrap();
        let gradient = values(&gradients.get(&case.bias).unwrap().unwrap());
        assert_eq!((gradient[7], gradient[280]), (-1.0, 1.0));
        assert!(gradient.iter().enumerate().all(|(i, g)| [7, 280].contains(&i) || g.abs() < 1e-30));
    }

    #[test]
    fn a_logit_that_is_not_a_number_shows() {
        let case = Case::new(2, 1, 300, DType::F32);
        let hidden = Tensor::new(&[[f32::NAN], [0.0]], &Device::Cpu).unwrap();
        let losses =
            softmax_cross_entropy(&hidden, &case.weight, &case.bias, &case.targets).unwrap();
        let losses = losses.to_vec1::<f32>().unwrap();
        assert!(losses[0].is_nan() && losses[1].is_finite(), "{losses:?}");
    }

    /// 20 x 30 x 3,000 is large enough to be shared out among threads.
    #[test]
    fn results_depend_on_neither_threads_nor_other_rows() {
        let case = Case::new(20, 30, 3000, DType::F32);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| case.all(&case.losses().unwrap()))
        };
        let whole = run(1);
        assert_eq!(run(3), whole);
        let part = case.hidden.narrow(0, 5, 2).unwrap();
        let part =
            softmax_cross_entropy(&part, &case.weight, &case.bias, &case.targets[5..7]).unwrap();
        assert_eq!(values(&part), whole[0][5..7]);
    }

    #[test]
    fn sizes_and_targets_are_checked() {
        let case = Case::new(2, 3, 4, DType::F32);
        let (h, w, b) = (&case.hidden, &case.weight, &case.bias);
        let message = |result: Result<Tensor>| result.unwrap_err().to_string();
        assert_eq!(
            message(softmax_cross_entropy(h, w, b, &[3, 4])),
            "softmax: the target of row 1 is 4, expected less than 4"
        );
        assert!(message(softmax_cross_entropy(h, w, b, &[3])).contains("1 targets"));
        assert!(
            message(softmax_cross_entropy(h, &w.t().unwrap(), b, &[3, 3]))
                .contains("weight [4, 3]")
        );
        assert!(
            message(softmax_cross_entropy(&h.narrow(0, 0, 0).unwrap(), w, b, &[]))
                .contains("hidden [0, 3]")
        );
    }

    #[test]
    fn a_second_backward_pass_says_what_to_do() {
        let case = Case::new(2, 3, 4, DType::F32);
        let loss = weighted(&case.losses().unwrap()).unwrap();
        backward(&loss).unwrap();
        assert!(backward(&loss).unwrap_err().to_string().contains("run it forward again"));
    }
}
