//! What holds for every log.

use foretaste_eval::counterfactual::*;
use foretaste_eval::{Error, Result};
use proptest::prelude::*;

use crate::population::{ITEMS, population};

/// Reward, logging and evaluation probability, q̂(x, a), q̂(x, π_e).
type Row = (f64, f64, f64, f64, f64);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row =
        (-2.0..3.0, 0.01..1.0, prop_oneof![1 => Just(0.0), 4 => 0.01..1.0], -1.0..2.0, -1.0..2.0);
    prop::collection::vec(row, 1..30)
}

fn column(rows: &[Row], of: impl Fn(&Row) -> f64) -> Vec<f64> {
    rows.iter().map(of).collect()
}

fn mean(value: Result<PolicyValue>) -> f64 {
    value.unwrap().estimate.mean
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9 * (1.0 + a.abs().max(b.abs()))
}

/// A number in [-1, 1] that depends on all of its arguments.
fn hash(seed: u64, items: &[usize], place: usize) -> f64 {
    let mixed = items.iter().fold(seed ^ place as u64, |hash, &item| {
        (hash.rotate_left(17) ^ (item as u64 + 1)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    });
    (mixed >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

proptest! {
    #[test]
    fn a_policy_evaluated_on_its_own_log_earned_the_mean_reward(rows in rows()) {
        let (reward, logging) = (column(&rows, |row| row.0), column(&rows, |row| row.1));
        let log = ActionLog::new(&reward, &logging, &logging).unwrap();
        let expected = reward.iter().sum::<f64>() / reward.len() as f64;
        prop_assert_eq!(mean(ips(&log)), expected);
        prop_assert_eq!(mean(snips(&log)), expected);
        let diagnostics = log.diagnostics().unwrap();
        prop_assert!(close(diagnostics.effective_sample_size, rows.len() as f64));
        let misses_one = |warning: &Warning| matches!(warning, Warning::MeanWeight { .. });
        prop_assert!(!diagnostics.warnings().iter().any(misses_one));
    }

    #[test]
    fn dr_without_a_model_is_ips_and_sndr_snips(rows in rows(), cap in 0.1..5.0) {
        let (reward, logging, evaluation) = (column(&rows, |r| r.0), column(&rows, |r| r.1), column(&rows, |r| r.2));
        let log = ActionLog::new(&reward, &logging, &evaluation).unwrap();
        let zeros = vec![0.0; rows.len()];
        let nothing = Predictions::new(&zeros, &zeros).unwrap();
        prop_assert_eq!(dr(&log, &nothing).unwrap(), ips(&log).unwrap());
        let clipped = clipped_ips(&log, cap).unwrap();
        prop_assert_eq!(clipped_dr(&log, &nothing, cap).unwrap(), clipped);
        prop_assert_eq!(sndr(&log, &nothing).ok(), snips(&log).ok());
    }

    #[test]
    fn dr_of_a_model_without_error_is_dm(rows in rows(), cap in 0.1..5.0) {
        let (reward, logging, evaluation) = (column(&rows, |r| r.0), column(&rows, |r| r.1), column(&rows, |r| r.2));
        let log = ActionLog::new(&reward, &logging, &evaluation).unwrap();
        let expected = column(&rows, |row| row.4);
        let perfect = Predictions::new(&reward, &expected).unwrap();
        prop_assert_eq!(mean(dr(&log, &perfect)), mean(dm(&perfect)));
        prop_assert_eq!(mean(clipped_dr(&log, &perfect, cap)), mean(dm(&perfect)));
        if evaluation.iter().any(|&p| p > 0.0) {
            prop_assert!(close(mean(sndr(&log, &perfect)), mean(dm(&perfect))));
        }
    }

    #[test]
    fn where_no_logged_action_is_evaluated_dr_is_dm_and_ratios_have_no_value(rows in rows()) {
        let (reward, logging) = (column(&rows, |row| row.0), column(&rows, |row| row.1));
        let log = ActionLog::new(&reward, &logging, &vec![0.0; rows.len()]).unwrap();
        let (logged, expected) = (column(&rows, |row| row.3), column(&rows, |row| row.4));
        let model = Predictions::new(&logged, &expected).unwrap();
        prop_assert_eq!(mean(dr(&log, &model)), mean(dm(&model)));
        let no_overlap = |value| matches!(value, Err(Error::NoOverlap { .. }));
        prop_assert!(no_overlap(snips(&log)));
        prop_assert!(no_overlap(sndr(&log, &model)));
        prop_assert_eq!(log.diagnostics().unwrap().warnings(), [Warning::NoOverlap]);
    }

    #[test]
    fn self_normalised_values_do_not_feel_a_factor_in_the_propensities(rows in rows(), factor in 0.01..1.0) {
        let (reward, logging, evaluation) = (column(&rows, |r| r.0), column(&rows, |r| r.1), column(&rows, |r| r.2));
        prop_assume!(evaluation.iter().any(|&p| p > 0.0));
        let (logged, expected) = (column(&rows, |row| row.3), column(&rows, |row| row.4));
        let model = Predictions::new(&logged, &expected).unwrap();
        let scaled = column(&rows, |row| factor * row.1);
        let (log, other) =
            (ActionLog::new(&reward, &logging, &evaluation).unwrap(), ActionLog::new(&reward, &scaled, &evaluation).unwrap());
        prop_assert!(close(mean(snips(&log)), mean(snips(&other))));
        prop_assert!(close(mean(sndr(&log, &model)), mean(sndr(&other, &model))));
        prop_assert!(close(mean(ips(&log)), factor * mean(ips(&other))));
    }

    #[test]
    fn snips_stays_within_the_rewards(rows in rows()) {
        let (reward, logging, evaluation) = (column(&rows, |r| r.0), column(&rows, |r| r.1), column(&rows, |r| r.2));
        prop_assume!(evaluation.iter().any(|&p| p > 0.0));
        let value = mean(snips(&ActionLog::new(&reward, &logging, &evaluation).unwrap()));
        let (low, high) = reward.iter().fold((f64::MAX, f64::MIN), |(low, high), &r| (low.min(r), high.max(r)));
        prop_assert!((low - 1e-9..=high + 1e-9).contains(&value), "{} not in [{}, {}]", value, low, high);
    }

    #[test]
    fn of_rewards_above_zero_a_higher_cap_keeps_more_and_no_cap_is_ips(rows in rows(), caps in prop::array::uniform2(0.01..9.0)) {
        let reward = column(&rows, |row| row.0.abs());
        let (logging, evaluation) = (column(&rows, |row| row.1), column(&rows, |row| row.2));
        let log = ActionLog::new(&reward, &logging, &evaluation).unwrap();
        let [low, high] = if caps[0] < caps[1] { caps } else { [caps[1], caps[0]] };
        prop_assert!(mean(clipped_ips(&log, low)) <= mean(clipped_ips(&log, high)) + 1e-12);
        prop_assert!(mean(clipped_ips(&log, high)) <= mean(ips(&log)) + 1e-12);
        prop_assert_eq!(clipped_ips(&log, f64::INFINITY).unwrap(), ips(&log).unwrap());
        let largest = log.weights().iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        prop_assert_eq!(clipped_ips(&log, largest).unwrap(), ips(&log).unwrap());
    }

    /// Expectation over every outcome (x, a) of one row, whose reward is its mean.
    #[test]
    fn ips_and_dr_are_unbiased_whatever_the_model(
        contexts in prop::collection::vec(prop::collection::vec((0.05..1.0, 0.0..1.0, -1.0..2.0, -1.0..2.0), 3), 1..4),
    ) {
        let (mut truth, mut by_ips, mut by_dr) = (0.0, 0.0, 0.0);
        for actions in &contexts {
            let logged: f64 = actions.iter().map(|action| action.0).sum();
            let evaluated = actions.iter().map(|action| action.1).sum::<f64>().max(1e-3);
            let expected: f64 = actions.iter().map(|action| action.1 / evaluated * action.3).sum();
            for (logging, evaluation, reward, q) in actions {
                let (logging, evaluation) = (logging / logged, evaluation / evaluated);
                let (reward, logging) = ([*reward], [logging]);
                let log = ActionLog::new(&reward, &logging, &[evaluation]).unwrap();
                truth += evaluation * reward[0];
                by_ips += logging[0] * mean(ips(&log));
                by_dr += logging[0] * mean(dr(&log, &Predictions::new(&[*q], &[expected]).unwrap()));
            }
        }
        prop_assert!(close(by_ips, truth), "{} {}", by_ips, truth);
        prop_assert!(close(by_dr, truth), "{} {}", by_dr, truth);
    }

    #[test]
    fn whole_slate_weights_are_right_for_any_users(population in population(1..=3), seed: u64) {
        let reward = |slate: &[usize], place: usize| hash(seed, slate, place);
        let columns = population.columns(reward);
        let log =
            SequentialSlates::new(&columns.lengths, &columns.reward, &columns.logging, &columns.evaluation).unwrap();
        prop_assert!(close(mean(sips(&log)), population.truth(reward)));
        prop_assert!(close(mean(snsips(&log)), population.truth(reward)));
        prop_assert!(close(log.diagnostics().unwrap().mean_weight.mean, 1.0));
    }

    #[test]
    fn prefix_weights_are_right_for_users_who_read_from_the_top(population in population(1..=3), seed: u64) {
        let reward = |slate: &[usize], place: usize| hash(seed, &slate[..=place], place);
        let columns = population.columns(reward);
        let log =
            SequentialSlates::new(&columns.lengths, &columns.reward, &columns.logging, &columns.evaluation).unwrap();
        let truth = population.truth(reward);
        prop_assert!(close(mean(rips(&log)), truth));
        prop_assert!(close(mean(snrips(&log)), truth));
        // Any model, right or wrong.
        let q = |prefix: &[usize]| hash(seed ^ 7, prefix, 0);
        let slates = columns.items.chunks_exact(population.k);
        let logged: Vec<f64> = slates.flat_map(|slate| (1..=slate.len()).map(|end| q(&slate[..end]))).collect();
        let expected = population.expected(q);
        prop_assert!(close(mean(cascade_dr(&log, &Predictions::new(&logged, &expected).unwrap())), truth));
    }

    #[test]
    fn place_weights_are_right_for_independent_places(population in population(1..=3), seed: u64) {
        let reward = |slate: &[usize], place: usize| hash(seed, &slate[place..=place], place);
        let columns = population.columns(reward);
        let (logging, evaluation) = (&columns.logging_marginal, &columns.evaluation_marginal);
        let log = MarginalSlates::new(&columns.lengths, &columns.reward, logging, evaluation).unwrap();
        prop_assert!(close(mean(iips(&log)), population.truth(reward)));
        prop_assert!(close(mean(sniips(&log)), population.truth(reward)));
        prop_assert!(close(log.diagnostics().unwrap().mean_weight.mean, 1.0));
    }

    #[test]
    fn position_based_weights_are_right_for_position_based_users(
        population in population(1..=3), p in prop::array::uniform3(0.05..1.0), attraction in prop::array::uniform4(0.0..1.0),
    ) {
        // One number for each of the items.
        let attraction: [f64; ITEMS] = attraction;
        let reward = |slate: &[usize], place: usize| p[place] * attraction[slate[place]];
        let (k, columns) = (population.k, population.columns(reward));
        let (logging, evaluation) = (&columns.logging_everywhere, &columns.evaluation_everywhere);
        let log = PositionSlates::new(k, &columns.reward, logging, evaluation).unwrap();
        let (truth, given) = (population.truth(reward), Examination::Given(&p[..k]));
        prop_assert!(close(mean(pbm(&log, given)), truth));
        prop_assert!(close(mean(snpbm(&log, given)), truth));
        prop_assert!(close(log.diagnostics(given).unwrap().mean_weight.mean, 1.0));
        // Where every shown item could stand at every place, the clicks tell the places apart.
        prop_assume!(attraction.iter().all(|&a| a > 0.01) && logging.iter().all(|&p| p > 0.0));
        let found = examination(&log).unwrap();
        prop_assert!(found.iter().zip(p).all(|(found, place)| close(*found, place / p[0])), "{:?} {:?}", found, p);
        prop_assert!(close(mean(pbm(&log, Examination::FromLog)), truth));
        prop_assert!(close(mean(snpbm(&log, Examination::FromLog)), truth));
    }

    #[test]
    fn all_forms_agree_on_slates_of_one_place(population in population(1..=1), seed: u64) {
        let columns = population.columns(|slate, place| hash(seed, slate, place));
        let (logging, evaluation) = (&columns.logging, &columns.evaluation);
        let sequential = SequentialSlates::new(&columns.lengths, &columns.reward, logging, evaluation).unwrap();
        let marginal = MarginalSlates::new(&columns.lengths, &columns.reward, logging, evaluation).unwrap();
        let actions = ActionLog::new(&columns.reward, logging, evaluation).unwrap();
        let position = PositionSlates::new(1, &columns.reward, logging, evaluation).unwrap();
        let plain = mean(ips(&actions));
        for value in [sips(&sequential), rips(&sequential), iips(&marginal), pbm(&position, Examination::Given(&[0.5]))] {
            prop_assert!(close(mean(value), plain));
        }
        let normalised = mean(snips(&actions));
        for value in
            [snsips(&sequential), snrips(&sequential), sniips(&marginal), snpbm(&position, Examination::Given(&[0.5]))]
        {
            prop_assert!(close(mean(value), normalised));
        }
    }
}
