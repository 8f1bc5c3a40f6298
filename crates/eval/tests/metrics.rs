//! Laws of the metrics.

use foretaste_eval::Error;
use foretaste_eval::metrics::{
    coverage_at, ctr, cumulative_reward, mean_nll, precision_at, rank_correlation,
};
use proptest::prelude::*;

/// Scores with many ties, and a chosen position.
fn scored() -> impl Strategy<Value = (Vec<f32>, usize)> {
    (1_usize..12).prop_flat_map(|items| {
        let score = prop_oneof![(-2_i8..3).prop_map(f32::from), -1e3_f32..1e3];
        (proptest::collection::vec(score, items), 0..items)
    })
}

/// Relevance of some items, and a slate of distinct ones.
fn slate() -> impl Strategy<Value = (Vec<f32>, Vec<usize>)> {
    (1_usize..12).prop_flat_map(|items| {
        let relevance = prop_oneof![(0_u8..4).prop_map(f32::from), 0_f32..1.0];
        let slate = proptest::sample::subsequence((0..items).collect::<Vec<_>>(), 0..=items);
        (proptest::collection::vec(relevance, items), slate.prop_shuffle())
    })
}

fn precision(r: usize, (scores, chosen): &(Vec<f32>, usize)) -> f64 {
    precision_at(r, [(&scores[..], *chosen)]).unwrap()
}

/// A permutation of `n` places: `order[new] = old`.
fn order(n: usize, keys: &[u32]) -> Vec<usize> {
    let mut order: Vec<_> = (0..n).collect();
    order.sort_by_key(|&i| keys[i]);
    order
}

proptest! {
    #[test]
    fn precision_is_a_share_that_never_falls_with_r(scored in scored()) {
        let by_r: Vec<_> = (1..=scored.0.len()).map(|r| precision(r, &scored)).collect();
        prop_assert!(by_r.iter().all(|share| (0.0..=1.0).contains(share)), "{by_r:?}");
        prop_assert!(by_r.is_sorted(), "{by_r:?}");
        prop_assert_eq!(by_r[by_r.len() - 1], 1.0);
    }

    #[test]
    fn the_credits_of_all_items_of_a_slate_add_up_to_r((scores, _) in scored(), r in 1_usize..12) {
        let r = r.min(scores.len());
        let sum: f64 = (0..scores.len()).map(|chosen| precision(r, &(scores.clone(), chosen))).sum();
        prop_assert!((sum - r as f64).abs() < 1e-9, "{sum}");
    }

    #[test]
    fn precision_does_not_depend_on_the_order_of_items(
        (scores, chosen) in scored(), keys in proptest::array::uniform12(any::<u32>()), r in 1_usize..12,
    ) {
        let order = order(scores.len(), &keys);
        let moved: Vec<_> = order.iter().map(|&old| scores[old]).collect();
        let place = order.iter().position(|&old| old == chosen).unwrap();
        prop_assert_eq!(precision(r, &(moved, place)), precision(r, &(scores, chosen)));
    }

    #[test]
    fn a_constant_model_gets_r_of_n(items in 1_usize..40, chosen in 0_usize..40, r in 1_usize..40, score in -9_f32..9.0) {
        let share = precision(r, &(vec![score; items], chosen % items));
        prop_assert!((share - (r as f64 / items as f64).min(1.0)).abs() < 1e-12);
    }

    #[test]
    fn hits_among_the_r_most_relevant_never_fall_with_r((relevance, slate) in slate()) {
        let shares: Vec<_> = (1..=relevance.len()).map(|r| coverage_at(r, &relevance, &slate).unwrap()).collect();
        prop_assert!(shares.iter().all(|share| (0.0..=1.0 + 1e-12).contains(share)), "{shares:?}");
        let hits: Vec<_> = shares.iter().zip(1_u32..).map(|(share, r)| share * f64::from(r)).collect();
        prop_assert!(hits.windows(2).all(|pair| pair[0] <= pair[1] + 1e-9), "{hits:?}");
        prop_assert!((hits[hits.len() - 1] - slate.len() as f64).abs() < 1e-9);
    }

    #[test]
    fn a_longer_slate_covers_no_less((relevance, slate) in slate(), r in 1_usize..12) {
        let r = r.min(relevance.len());
        let by_length: Vec<_> = (0..=slate.len()).map(|k| coverage_at(r, &relevance, &slate[..k]).unwrap()).collect();
        prop_assert!(by_length.is_sorted(), "{by_length:?}");
    }

    #[test]
    fn coverage_does_not_depend_on_the_numbering_of_items(
        (relevance, slate) in slate(), keys in proptest::array::uniform12(any::<u32>()), r in 1_usize..12,
    ) {
        let r = r.min(relevance.len());
        let order = order(relevance.len(), &keys);
        let moved: Vec<_> = order.iter().map(|&old| relevance[old]).collect();
        let renamed: Vec<_> = slate.iter().map(|item| order.iter().position(|old| old == item).unwrap()).collect();
        let (one, other) = (coverage_at(r, &moved, &renamed).unwrap(), coverage_at(r, &relevance, &slate).unwrap());
        prop_assert!((one - other).abs() < 1e-12, "{one} {other}");
    }

    #[test]
    fn showing_the_r_most_relevant_items_covers_them_all((relevance, _) in slate(), r in 1_usize..12) {
        let mut best: Vec<_> = (0..relevance.len()).collect();
        best.sort_by(|&a, &b| relevance[b].total_cmp(&relevance[a]));
        let distinct = best.windows(2).all(|pair| relevance[pair[0]] > relevance[pair[1]]);
        let r = r.min(relevance.len());
        let share = coverage_at(r, &relevance, &best[..r]).unwrap();
        prop_assert!(share <= 1.0 + 1e-12);
        prop_assert!(!distinct || share == 1.0, "{share}");
    }

    #[test]
    fn click_rate_and_cumulative_reward_agree_where_a_click_pays_one(
        sessions in proptest::collection::vec(proptest::collection::vec(any::<bool>(), 1..9), 1..9),
    ) {
        let rewards: Vec<Vec<f32>> =
            sessions.iter().map(|clicks| clicks.iter().map(|&clicked| f32::from(u8::from(clicked))).collect()).collect();
        let slates: usize = sessions.iter().map(Vec::len).sum();
        let clicks = sessions.iter().flatten().filter(|clicked| **clicked).count();
        let rate = ctr(sessions.iter().flatten().copied()).unwrap();
        let reward = cumulative_reward(rewards.iter().map(Vec::as_slice)).unwrap();
        prop_assert!((rate * slates as f64 - clicks as f64).abs() < 1e-9, "{rate}");
        prop_assert!((reward * sessions.len() as f64 - clicks as f64).abs() < 1e-9, "{reward}");
    }
}

#[test]
fn a_model_that_knows_nothing_scores_the_logarithm_of_the_choices() {
    let slate = 9.0_f64;
    let nll = mean_nll(&[-(slate + 1.0).ln(); 30]).unwrap();
    assert!((nll - 10_f64.ln()).abs() < 1e-12);
}

#[test]
fn hand_computed_values() {
    assert_eq!(mean_nll(&[-1.0, -3.0]).unwrap(), 2.0);
    // Best alone, then two that tie for the places 2 and 3.
    assert_eq!(precision(2, &(vec![5.0, 1.0, 1.0, 0.0], 1)), 0.5);
    // The two best are items 3 and 0; the slate holds one of them.
    assert_eq!(coverage_at(2, &[0.8, 0.1, 0.2, 0.9], &[1, 3]).unwrap(), 0.5);
    // Items 1 and 2 tie for the second place.
    assert_eq!(coverage_at(2, &[0.8, 0.5, 0.5, 0.1], &[1, 3]).unwrap(), 0.25);
    assert_eq!(cumulative_reward([&[1.0, 2.0][..], &[], &[3.0]]).unwrap(), 2.0);
}

#[test]
fn what_has_no_value_is_an_error() {
    assert!(matches!(mean_nll(&[]), Err(Error::Empty { .. })));
    assert!(matches!(mean_nll(&[-1.0, f64::NEG_INFINITY]), Err(Error::NotFinite { index: 1, .. })));
    assert!(matches!(precision_at(1, []), Err(Error::Empty { .. })));
    assert!(matches!(precision_at(0, [(&[1.0][..], 0)]), Err(Error::Rank { .. })));
    assert!(matches!(
        precision_at(1, [(&[1.0][..], 1)]),
        Err(Error::OutOfRange { item: 1, items: 1, .. })
    ));
    assert!(matches!(
        precision_at(1, [(&[1.0, f32::NAN][..], 0)]),
        Err(Error::NotFinite { index: 1, .. })
    ));
    assert!(matches!(coverage_at(3, &[1.0, 2.0], &[0]), Err(Error::Rank { k: 3, items: 2, .. })));
    assert!(matches!(coverage_at(1, &[1.0, 2.0], &[2]), Err(Error::OutOfRange { item: 2, .. })));
    assert!(matches!(
        coverage_at(1, &[1.0, f32::NAN], &[0]),
        Err(Error::NotFinite { index: 1, .. })
    ));
    assert!(matches!(cumulative_reward([&[f32::INFINITY][..]]), Err(Error::NotFinite { .. })));
    assert!(matches!(ctr([]), Err(Error::Empty { .. })));
}

/// By hand: centered ranks -1.5, 0, 0, 1.5 and -0.5, -1.5, 0.5, 1.5; 3 / √(4.5 · 5).
#[test]
fn numbers_that_are_equal_share_the_mean_of_their_ranks() {
    let found = rank_correlation(&[1.0, 2.0, 2.0, 7.0], &[5.0, -1.0, 6.0, 9.0]).unwrap();
    assert!((found - 3.0 / 22.5f64.sqrt()).abs() < 1e-12, "{found}");
}

#[test]
fn an_order_correlates_with_itself_whatever_the_scale() {
    let values: [f64; 5] = [3.0, -1.0, 0.5, 10.0, 2.0];
    let exponentials = values.map(f64::exp);
    assert!((rank_correlation(&values, &exponentials).unwrap() - 1.0).abs() < 1e-12);
    let opposite = values.map(|value| -value);
    assert!((rank_correlation(&values, &opposite).unwrap() + 1.0).abs() < 1e-12);
    assert!(matches!(rank_correlation(&values, &[1.0; 5]), Err(Error::NotPositive { .. })));
    assert!(matches!(rank_correlation(&values, &values[1..]), Err(Error::Lengths { .. })));
    assert!(matches!(
        rank_correlation(&[f64::NAN, 1.0], &[0.0, 1.0]),
        Err(Error::NotFinite { .. })
    ));
}
