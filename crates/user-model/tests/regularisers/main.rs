//! Laws of the regularizers: their closed forms, penalties and losses, in double precision.

use candle_core::{DType, Device, Tensor};
use foretaste_nn::{Init, Params, check_gradients};
use foretaste_random::Seed;
use foretaste_user_model::{Error, Regulariser};
use proptest::prelude::*;

fn regularisers() -> [Regulariser; 4] {
    [
        Regulariser::Shannon,
        Regulariser::Tsallis { alpha: 1.3 },
        Regulariser::Tsallis { alpha: 1.5 },
        Regulariser::L2,
    ]
}

fn row<T: candle_core::WithDType>(values: &[T]) -> Tensor {
    Tensor::new(values, &Device::Cpu).unwrap().unsqueeze(0).unwrap()
}

fn choice(regulariser: Regulariser, utilities: &[f64]) -> Vec<f64> {
    masked(regulariser, utilities, &vec![1; utilities.len()], false)
}

fn masked(regulariser: Regulariser, utilities: &[f64], mask: &[u8], outside: bool) -> Vec<f64> {
    regulariser
        .choice(&row(utilities), &row(mask), outside)
        .unwrap()
        .squeeze(0)
        .unwrap()
        .to_vec1()
        .unwrap()
}

fn loss(regulariser: Regulariser, utilities: &[f64], chosen: usize) -> f64 {
    let (mask, chosen) =
        (vec![1u8; utilities.len()], Tensor::new(&[chosen as u32], &Device::Cpu).unwrap());
    regulariser.loss(&row(utilities), &row(&mask), false, &chosen).unwrap().to_vec1().unwrap()[0]
}

/// ⟨φ, u⟩ - R(φ).
fn value(regulariser: Regulariser, utilities: &[f64], phi: &[f64]) -> f64 {
    let penalty: f64 = regulariser.penalty(&row(phi)).unwrap().to_vec1().unwrap()[0];
    utilities.iter().zip(phi).map(|(u, p)| u * p).sum::<f64>() - penalty
}

fn softmax(utilities: &[f64]) -> Vec<f64> {
    let largest = utilities.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = utilities.iter().map(|u| (u - largest).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

/// The point of the simplex that is nearest to `utilities`, out of the candidates that each support
/// gives.
fn projection(utilities: &[f64]) -> Vec<f64> {
    let n = utilities.len();
    let candidate = |support: u32| {
        let inside = |i: usize| support >> i & 1 == 1;
        let sum: f64 = (0..n).filter(|&i| inside(i)).map(|i| utilities[i]).sum();
        let threshold = (sum - 1.0) / f64::from(support.count_ones());
        (0..n).map(|i| if inside(i) { utilities[i] - threshold } else { 0.0 }).collect::<Vec<f64>>()
    };
    let distance =
        |phi: &Vec<f64>| phi.iter().zip(utilities).map(|(p, u)| (p - u).powi(2)).sum::<f64>();
    let candidates = (1u32..1 << n).map(candidate).filter(|phi| phi.iter().all(|&p| p >= 0.0));
    candidates.min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap()
}

/// α-entmax by halving the interval of its threshold (Blondel, Martins & Niculae 2020).
fn bisection(utilities: &[f64], alpha: f64) -> Vec<f64> {
    let largest = utilities.iter().copied().fold(f64::NEG_INFINITY, f64::max) * (alpha - 1.0);
    let at = |threshold: f64| {
        let weights = utilities
            .iter()
            .map(|u| ((alpha - 1.0) * u - threshold).max(0.0).powf(1.0 / (alpha - 1.0)));
        weights.collect::<Vec<f64>>()
    };
    let (mut low, mut high) = (largest - 1.0, largest);
    for _ in 0..80 {
        let middle = f64::midpoint(low, high);
        if at(middle).iter().sum::<f64>() < 1.0 { high = middle } else { low = middle }
    }
    at(low)
}

fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    let close = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < tolerance);
    assert!(close, "{found:?}, expected {expected:?}");
}

prop_compose! {
    /// Utilities of a slate, from nearly equal ones to far apart ones.
    fn utilities()(scale in 0.01f64..8.0, base in prop::collection::vec(-1f64..1.0, 1..8)) -> Vec<f64> {
        base.iter().map(|u| u * scale).collect()
    }
}

proptest! {
    #[test]
    fn choices_lie_on_the_simplex_and_leave_masked_places_alone(
        entries in prop::collection::vec((-200f64..200.0, prop::bool::weighted(0.7)), 1..8),
        outside: bool,
        other in -1e3f64..1e3,
    ) {
        let values: Vec<f64> = entries.iter().map(|entry| entry.0).collect();
        let mut mask: Vec<u8> = entries.iter().map(|entry| entry.1.into()).collect();
        mask[0] = 1;
        let changed: Vec<f64> = values.iter().zip(&mask).map(|(&u, &m)| if m == 1 { u } else { other }).collect();
        for regulariser in regularisers() {
            let phi = masked(regulariser, &values, &mask, outside);
            prop_assert_eq!(phi.len(), values.len() + usize::from(outside));
            prop_assert!((phi.iter().sum::<f64>() - 1.0).abs() < 1e-9 && phi.iter().all(|&p| p >= 0.0), "{:?}", phi);
            prop_assert!(phi.iter().zip(&mask).all(|(&p, &m)| m == 1 || p == 0.0));
            prop_assert_eq!(&phi, &masked(regulariser, &changed, &mask, outside));
            // The options that there are, as a row of their own.
            let mut compact: Vec<f64> = values.iter().zip(&mask).filter(|(_, m)| **m == 1).map(|(&u, _)| u).collect();
            compact.extend(outside.then_some(0.0));
            let kept: Vec<f64> = phi.iter().enumerate().filter(|(i, _)| mask.get(*i) != Some(&0)).map(|(_, &p)| p).collect();
            assert_close(&kept, &choice(regulariser, &compact), 1e-12);
        }
    }

    #[test]
    fn sparsemax_is_the_projection_on_the_simplex(utilities in utilities()) {
        assert_close(&choice(Regulariser::L2, &utilities), &projection(&utilities), 1e-12);
    }

    #[test]
    fn entmax_agrees_with_bisection(utilities in utilities(), alpha in 1.05f64..2.0) {
        assert_close(&choice(Regulariser::Tsallis { alpha }, &utilities), &bisection(&utilities, alpha), 1e-10);
    }

    /// Near α = 1 it differs from softmax in proportion to α - 1 and the square of the utilities,
    /// here at most 1e-4 · 8².
    #[test]
    fn entmax_goes_from_softmax_to_sparsemax(utilities in utilities()) {
        assert_close(&choice(Regulariser::Tsallis { alpha: 1.0001 }, &utilities), &softmax(&utilities), 6e-3);
        assert_close(&choice(Regulariser::Tsallis { alpha: 1.0 + 1e-9 }, &utilities), &softmax(&utilities), 1e-7);
        let two = choice(Regulariser::Tsallis { alpha: 2.0 }, &utilities);
        prop_assert_eq!(two, choice(Regulariser::L2, &utilities));
        assert_close(&choice(Regulariser::Shannon, &utilities), &softmax(&utilities), 1e-12);
    }

    #[test]
    fn a_larger_utility_never_has_the_smaller_probability(utilities in utilities(), raised in 0usize..8, by in 0f64..4.0) {
        for regulariser in regularisers() {
            let phi = choice(regulariser, &utilities);
            for (i, j) in (0..phi.len()).flat_map(|i| (0..phi.len()).map(move |j| (i, j))) {
                prop_assert!(utilities[i] < utilities[j] || phi[i] >= phi[j]);
            }
            let raised = raised % utilities.len();
            let mut more = utilities.clone();
            more[raised] += by;
            prop_assert!(choice(regulariser, &more)[raised] >= phi[raised] - 1e-12);
        }
    }

    #[test]
    fn no_distribution_gains_more_than_the_choice(
        utilities in utilities(),
        other in prop::collection::vec(-6f64..6.0, 8),
        mix in 0f64..1.0,
    ) {
        let other = softmax(&other[..utilities.len()]);
        for regulariser in regularisers() {
            let phi = choice(regulariser, &utilities);
            let near: Vec<f64> = phi.iter().zip(&other).map(|(p, q)| (1.0 - mix) * p + mix * q).collect();
            let best = value(regulariser, &utilities, &phi);
            prop_assert!(best >= value(regulariser, &utilities, &other) - 1e-9);
            prop_assert!(best >= value(regulariser, &utilities, &near) - 1e-9);
        }
    }

    /// The loss is at least ½ ‖φ* - y‖², since R is strongly convex.
    #[test]
    fn losses_are_never_negative_and_vanish_with_doubt(utilities in utilities(), chosen in 0usize..8) {
        let chosen = chosen % utilities.len();
        for regulariser in regularisers() {
            let (loss, phi) = (loss(regulariser, &utilities, chosen), choice(regulariser, &utilities));
            let rest: f64 = (0..phi.len()).filter(|&i| i != chosen).map(|i| phi[i].powi(2)).sum();
            prop_assert!(loss >= 0.5 * (rest + (1.0 - phi[chosen]).powi(2)) - 1e-12, "{} {:?}", loss, phi);
            prop_assert!(phi[chosen] < 1.0 || loss < 1e-12, "{} {:?}", loss, phi);
        }
    }

    /// ½ Σ over the support of (u² - τ²) + ½ - u_y, with φ = u - τ there (Martins & Astudillo 2016,
    /// §3).
    #[test]
    fn the_loss_of_l2_is_the_sparsemax_loss(utilities in utilities(), chosen in 0usize..8) {
        let chosen = chosen % utilities.len();
        let phi = projection(&utilities);
        let top = (0..phi.len()).max_by(|&a, &b| phi[a].total_cmp(&phi[b])).unwrap();
        let threshold = utilities[top] - phi[top];
        let support = (0..phi.len()).filter(|&i| phi[i] > 0.0);
        let sum: f64 = support.map(|i| utilities[i].powi(2) - threshold.powi(2)).sum();
        let expected = 0.5 * sum + 0.5 - utilities[chosen];
        prop_assert!((loss(Regulariser::L2, &utilities, chosen) - expected).abs() < 1e-10);
    }

    #[test]
    fn the_loss_of_shannon_is_the_negative_log_likelihood(utilities in utilities(), chosen in 0usize..8) {
        let chosen = chosen % utilities.len();
        let expected = -softmax(&utilities)[chosen].ln();
        prop_assert!((loss(Regulariser::Shannon, &utilities, chosen) - expected).abs() < 1e-10);
    }

    #[test]
    fn tsallis_penalties_go_from_shannon_to_l2(utilities in utilities()) {
        let phi = softmax(&utilities);
        let penalty = |regulariser: Regulariser| -value(regulariser, &vec![0.0; phi.len()], &phi);
        let [near_shannon, near_l2] = [1.0001, 2.0].map(|alpha| penalty(Regulariser::Tsallis { alpha }));
        prop_assert!((near_shannon - penalty(Regulariser::Shannon)).abs() < 1e-3);
        prop_assert!((near_l2 - penalty(Regulariser::L2) + 0.5).abs() < 1e-12);
    }
}

#[test]
fn an_alpha_out_of_range_is_refused() {
    for alpha in [0.5, 1.0, 2.1, f64::NAN] {
        let refused =
            Regulariser::Tsallis { alpha }.choice(&row(&[0.0, 1.0]), &row(&[1u8, 1]), false);
        assert!(matches!(refused, Err(Error::Setting(setting)) if setting.what == "regulariser"));
    }
}

#[test]
fn gradients_match_finite_differences() {
    let mask = Tensor::new(&[[1u8, 1, 1, 1], [1, 0, 0, 1], [0, 1, 1, 0]], &Device::Cpu).unwrap();
    for (regulariser, outside) in regularisers().into_iter().flat_map(|r| [(r, true), (r, false)]) {
        let mut params = Params::new(Seed::new(2), DType::F64, &Device::Cpu);
        let utilities = params.scope("u").param("u", (3, 4), Init::Normal { sd: 0.7 }).unwrap();
        let phi = regulariser.choice(&utilities, &mask, outside).unwrap();
        let weight = Tensor::arange(0f64, phi.elem_count() as f64, &Device::Cpu)
            .unwrap()
            .reshape(phi.shape())
            .unwrap();
        let weight = weight.sin().unwrap();
        check_gradients(&params, || {
            let phi = regulariser.choice(&utilities, &mask, outside).unwrap();
            let penalty = regulariser.penalty(&phi).unwrap().sum_all()?;
            Ok(((phi * &weight)?.sum_all()? + penalty)?)
        });
        let chosen = Tensor::new(&[if outside { 4u32 } else { 1 }, 3, 1], &Device::Cpu).unwrap();
        check_gradients(&params, || {
            Ok(regulariser.loss(&utilities, &mask, outside, &chosen).unwrap().sum_all()?)
        });
    }
}

/// Rows enough for several threads, single precision: each row as it is alone, in double precision.
#[test]
fn rows_do_not_depend_on_each_other() {
    let (rows, places) = (700, 9);
    let values: Vec<f32> =
        (0..rows * places).map(|i| ((i * i) as f32 * 0.37).sin() * 2.0).collect();
    let utilities =
        Tensor::new(values.as_slice(), &Device::Cpu).unwrap().reshape((rows, places)).unwrap();
    let mask = Tensor::ones((rows, places), DType::U8, &Device::Cpu).unwrap();
    for regulariser in regularisers() {
        let phi = regulariser.choice(&utilities, &mask, false).unwrap().to_vec2::<f32>().unwrap();
        for (phi, values) in phi.iter().zip(values.chunks(places)) {
            let [phi, values] = [phi.as_slice(), values]
                .map(|row| row.iter().map(|&x| x.into()).collect::<Vec<f64>>());
            assert_close(&phi, &choice(regulariser, &values), 1e-6);
        }
    }
}

#[test]
fn what_is_not_a_number_stays_so() {
    for regulariser in regularisers() {
        for bad in [f64::NAN, f64::INFINITY] {
            assert!(choice(regulariser, &[0.0, bad, 1.0]).iter().any(|phi| phi.is_nan()));
            assert!(loss(regulariser, &[0.0, bad, 1.0], 0).is_nan());
        }
    }
}
