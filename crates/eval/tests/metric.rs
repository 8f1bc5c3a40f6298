//! Laws of the names of metrics.

use std::collections::BTreeSet;

use foretaste_eval::{Direction, Metric};
use proptest::prelude::*;

#[test]
fn metrics_are_ordered_by_name_and_no_two_share_one() {
    let names: Vec<_> = Metric::ALL.iter().map(|metric| metric.name()).collect();
    let sorted: BTreeSet<_> = names.iter().copied().collect();
    assert_eq!(names, sorted.into_iter().collect::<Vec<_>>());
    let by_order: BTreeSet<_> = Metric::ALL.iter().rev().copied().collect();
    assert_eq!(by_order.into_iter().collect::<Vec<_>>(), Metric::ALL);
}

#[test]
fn a_metric_is_read_and_stored_by_its_name() {
    for &metric in Metric::ALL {
        assert_eq!(metric.name().parse(), Ok(metric));
        assert_eq!(serde_json::to_string(&metric).unwrap(), format!("\"{}\"", metric.name()));
        assert_eq!(serde_json::from_str::<Metric>(&format!("\"{metric}\"")).unwrap(), metric);
        assert!(metric.description().ends_with('.') && !metric.unit().is_empty(), "{metric}");
    }
}

#[test]
fn coverage_at_a_rank_is_named_by_its_rank() {
    for (rank, (drawn, top)) in
        (1..).zip(Metric::COVERAGE_AT.into_iter().zip(Metric::COVERAGE_AT_TOP))
    {
        assert_eq!(
            [drawn.name(), top.name()],
            [format!("coverage_{rank}"), format!("coverage_{rank}_top")]
        );
    }
}

#[test]
fn an_unknown_name_is_answered_with_the_closest() {
    let unknown = "precison@1".parse::<Metric>().unwrap_err();
    assert_eq!(unknown.nearest[0], "precision@1");
    let text = "there is no metric `precison@1`; the closest are `precision@1`, `precision@10`, `precision@2`";
    assert_eq!(unknown.to_string(), text);
    assert_eq!("Delta".parse::<Metric>().unwrap_err().nearest[0], "delta");
    assert_eq!("gian_top".parse::<Metric>().unwrap_err().nearest[0], "gain_top");
}

#[test]
fn likelihoods_are_to_be_small_and_rewards_large() {
    let better =
        [Metric::Nll, Metric::Reward, Metric::Delta, Metric::GridPoint].map(Metric::better);
    assert_eq!(
        better,
        [Direction::Smaller, Direction::Larger, Direction::Smaller, Direction::Neither]
    );
}

#[test]
fn a_name_of_others_is_one_metric_however_often_it_is_met() {
    let theirs = Metric::of_anyone("HR@20");
    assert_eq!(theirs, Metric::of_anyone(&String::from("HR@20")));
    assert_ne!(theirs, Metric::of_anyone("HR@21"));
    assert_eq!((theirs.name(), theirs.better()), ("HR@20", Direction::Unknown));
    assert_eq!(Metric::of_anyone("nll"), Metric::Nll);
    assert!(serde_json::to_string(&theirs).is_err());
}

proptest! {
    /// A name with one letter more is nearest to itself, or to another that is one letter away.
    #[test]
    fn one_slip_of_the_pen_is_undone(at in 0..Metric::ALL.len(), place in 0_usize..40, letter in "[a-z]") {
        let name = Metric::ALL[at].name();
        let mut slip = name.to_owned();
        slip.insert_str(place % (name.len() + 1), &letter);
        prop_assume!(slip.parse::<Metric>().is_err());
        prop_assert!(slip.parse::<Metric>().unwrap_err().nearest.contains(&name), "{}", slip);
    }
}
