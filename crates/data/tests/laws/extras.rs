//! Several clicks, candidates, context, organic events and facts: kept by all that makes logs of
//! logs.

use foretaste_data::{
    Catalogue, Category, Choice, Context, Dataset, Event, EventKind, Extras, Facts, Features,
    ItemId, Log, LogBuilder, Part, PropensityKind, Session, Step, TimeUnit, UnknownItems,
};
use proptest::prelude::*;

fn items(ids: &[u32]) -> Vec<ItemId> {
    ids.iter().copied().map(ItemId).collect()
}

fn event(item: u32, kind: EventKind) -> Event {
    Event { item: ItemId(item), kind, after: 0, timestamp: Some(7) }
}

/// A log that holds everything.
pub fn rich() -> Dataset {
    let facts =
        Facts { time_unit: Some(TimeUnit::Milliseconds), propensity: PropensityKind::Marginal };
    let mut log = LogBuilder::new(facts);
    log.event(event(6, EventKind::View));
    let (slate, pool) = (items(&[0, 1, 2]), items(&[0, 1, 2, 5, 7]));
    let clicks = [(ItemId(2), 1.0), (ItemId(0), 0.5)];
    let step = Step::new(&slate, Choice::Item(ItemId(2)), 1.5);
    let context = [Category::new(0)];
    let extras = Extras { clicks: &clicks, candidates: &pool, context: &context };
    log.try_push_with(&step, &extras).unwrap();
    log.event(event(3, EventKind::Order));
    let step = Step::new(&slate, Choice::Skip, 0.0);
    let context = [Category::UNKNOWN, Category::new(1)];
    let extras = Extras { candidates: &pool, context: &context, ..Extras::default() };
    log.try_push_with(&step, &extras).unwrap();
    log.end_session(Some(1)).unwrap();
    log.push(Step::new(&items(&[3, 4]), Choice::Item(ItemId(4)), 1.0)).unwrap();
    log.end_session(None).unwrap();
    let context = |name: &str, values: &[&str]| Context {
        name: name.into(),
        values: values.iter().copied().collect(),
    };
    Dataset {
        log: log.build(),
        catalogue: Catalogue::numbered(8),
        users: ["ann", "bob"].into_iter().collect(),
        user_features: Some(Features::new(vec![0.5, 1.0, -2.0, 0.0], 2, 2, "user").unwrap()),
        contexts: vec![context("device", &["phone"]), context("query", &["hats", "red hats"])],
        ..Dataset::default()
    }
}

/// The known values of a step's context, by column.
fn context<'d>(dataset: &'d Dataset, session: Session<'d>, t: usize) -> Vec<(&'d str, &'d str)> {
    let columns = dataset.contexts.iter().zip(session.extras(t).context);
    columns.filter_map(|(column, &value)| Some((&*column.name, column.text(value)?))).collect()
}

#[test]
fn a_session_tells_what_it_holds() {
    let log = rich().log;
    let session = log.session(0);
    let events: Vec<_> =
        session.events().map(|event| (event.item.0, event.kind, event.after)).collect();
    assert_eq!(events, [(6, EventKind::View, 0), (3, EventKind::Order, 1)]);
    assert_eq!(session.extras(0).clicks, [(ItemId(2), 1.0), (ItemId(0), 0.5)]);
    assert_eq!(session.extras(1).clicks, []);
    assert_eq!(session.candidates(1), Some(&items(&[0, 1, 2, 5, 7])[..]));
    assert_eq!((log.session(1).candidates(0), log.session(1).events().count()), (None, 0));
    assert_eq!((log.several_clicks(), log.steps_with_candidates(), log.events()), ((1, 2), 2, 2));
    let dataset = rich();
    assert_eq!(context(&dataset, session, 0), [("device", "phone")]);
    assert_eq!(context(&dataset, session, 1), [("query", "red hats")]);
    assert_eq!(context(&dataset, log.session(1), 0), []);
    assert_eq!([0, 1, 2].map(|column| log.steps_with_context(column)), [1, 1, 0]);
}

#[test]
fn a_selection_keeps_what_its_sessions_hold() {
    let dataset = rich();
    let back = dataset.select(&[1, 0]).unwrap().select(&[1, 0]).unwrap();
    assert_eq!(back.log, dataset.log);
    let second = dataset.select(&[1]).unwrap().log;
    assert_eq!(dataset.log.slice(0..2).to_log(), dataset.log);
    let selected = dataset.select(&[1, 0]).unwrap();
    assert_eq!(context(&selected, selected.log.session(1), 1), [("query", "red hats")]);
    assert_eq!(selected.user_features, dataset.user_features);
    assert_eq!(
        (second.events(), second.several_clicks(), second.facts()),
        (0, (0, 0), dataset.log.facts())
    );
}

#[test]
fn a_mapped_log_keeps_what_the_other_catalogue_knows() {
    let to = Catalogue::new(["7", "4", "3", "2", "1", "0"].into_iter().collect());
    let (mapped, _) = rich().mapped_to(&to, UnknownItems::Refuse).unwrap();
    let session = mapped.log.session(0);
    let raw = |item: ItemId| mapped.catalogue.raw(item).to_owned();
    let clicks: Vec<_> = session.extras(0).clicks.iter().map(|(item, _)| raw(*item)).collect();
    assert_eq!(clicks, ["2", "0"]);
    let pool: Vec<_> = session.candidates(0).unwrap().iter().map(|&item| raw(item)).collect();
    assert_eq!(pool, ["0", "1", "2", "7"]);
    let events: Vec<_> = session.events().map(|event| (raw(event.item), event.after)).collect();
    assert_eq!(events, [("3".to_owned(), 1)]);
    assert_eq!(mapped.log.facts(), rich().log.facts());
    assert_eq!(context(&mapped, session, 0), [("device", "phone")]);
    let dataset = rich();
    let each = Dataset { log: dataset.log.each_click(), ..dataset };
    let of_steps: Vec<_> = (0..3).map(|t| context(&each, each.log.session(0), t)).collect();
    assert_eq!(of_steps, [[("device", "phone")]; 3]);
}

#[test]
fn parts_beside_slates_can_be_left_out() {
    let beside = [Part::Clicks, Part::Candidates, Part::Events, Part::Context, Part::UserFeatures];
    for part in beside {
        let dataset = rich();
        assert!(dataset.has(part));
        let without = dataset.without(part);
        assert!(!without.has(part), "{}", part.name());
        for other in beside.into_iter().filter(|other| *other != part) {
            assert!(without.has(other), "{} went with {}", other.name(), part.name());
        }
    }
    assert!(!rich().without(Part::Users).has(Part::UserFeatures));
    assert_eq!(rich().without(Part::Context).log.session(0).extras(0).context, []);
}

#[test]
fn clicks_and_candidates_that_do_not_fit_their_slate_are_refused() {
    let slate = items(&[0, 1, 2]);
    let step = Step::new(&slate, Choice::Item(ItemId(0)), 1.0);
    let refused = |clicks: &[(u32, f32)], candidates: &[u32]| {
        let clicks: Vec<_> = clicks.iter().map(|&(item, reward)| (ItemId(item), reward)).collect();
        let candidates = items(candidates);
        let extras = Extras { clicks: &clicks, candidates: &candidates, ..Extras::default() };
        let mut log = LogBuilder::default();
        log.try_push_with(&step, &extras).unwrap_err().to_string()
    };
    assert!(refused(&[(0, 1.0)], &[]).contains("several clicks"));
    assert!(refused(&[(1, 1.0), (0, 1.0)], &[]).contains("the choice first"));
    assert!(refused(&[(0, 1.0), (4, 1.0)], &[]).contains("click 2 of 2"));
    assert!(refused(&[(0, 1.0), (0, 1.0)], &[]).contains("every item once"));
    assert!(refused(&[(0, 1.0), (1, f32::NAN)], &[]).contains("NaN"));
    assert!(refused(&[], &[0, 1]).contains("not that at place 3"));
    assert!(refused(&[], &[0, 1, 2, 1]).contains("one twice"));
}

proptest! {
    #[test]
    fn every_step_keeps_its_context_whichever_steps_know_which_columns(
        given in proptest::collection::vec(
            proptest::collection::vec(proptest::option::of(0..3_u32), 0..4), 1..9),
        kept in proptest::collection::vec(any::<bool>(), 9),
    ) {
        let (mut log, mut expected) = (LogBuilder::default(), Vec::new());
        for (values, kept) in given.iter().zip(kept) {
            let context: Vec<Category> =
                values.iter().map(|value| value.map_or(Category::UNKNOWN, Category::new)).collect();
            let extras = Extras { context: &context, ..Extras::default() };
            log.try_push_with(&Step::new(&items(&[0]), Choice::Skip, 0.0), &extras).unwrap();
            if kept {
                log.end_session(None).unwrap();
                expected.push(values);
            } else {
                log.abandon_session();
            }
        }
        let log = log.build();
        for (session, values) in log.iter().zip(&expected) {
            let found = session.extras(0).context;
            for column in 0..4 {
                let found = found.get(column).and_then(|value| value.number());
                prop_assert_eq!(found, values.get(column).copied().flatten());
            }
        }
        for column in 0..4 {
            let known = expected.iter().filter(|values| values.get(column).is_some_and(Option::is_some));
            prop_assert_eq!(log.steps_with_context(column), known.count());
        }
    }
}

/// Drawing without replacement in proportion to weights, until what stands for nothing is drawn:
/// the log-likelihood of these clicks in this order.
fn without_replacement(slate: &[usize], clicks: &[usize], weight: &[f64], nothing: f64) -> f64 {
    let mut left: f64 = slate.iter().map(|&item| weight[item]).sum();
    let mut sum = 0.0;
    for &click in clicks {
        sum += (weight[click] / (left + nothing)).ln();
        left -= weight[click];
    }
    match clicks.len() == slate.len() {
        true => sum,
        false => sum + (nothing / (left + nothing)).ln(),
    }
}

/// The log-likelihood of the choices of a log under the same weights.
fn of_choices(log: &Log, weight: &[f64], nothing: f64) -> f64 {
    let steps = log.iter().flat_map(|session| session.steps());
    steps
        .map(|step| {
            let all: f64 = step.slate.iter().map(|item| weight[item.index()]).sum();
            let chosen = step.choice.item().map_or(nothing, |item| weight[item.index()]);
            (chosen / (all + nothing)).ln()
        })
        .sum()
}

proptest! {
    #[test]
    fn each_click_has_the_likelihood_of_choice_without_replacement(
        slate in proptest::sample::subsequence((0..6_usize).collect::<Vec<_>>(), 1..=6).prop_shuffle(),
        count in 0..=6_usize,
        weight in proptest::collection::vec(0.1..5.0_f64, 6),
        nothing in 0.1..5.0_f64,
    ) {
        let clicks: Vec<usize> = slate.iter().rev().copied().take(count).collect();
        let shown: Vec<ItemId> = slate.iter().map(|&item| ItemId(item as u32)).collect();
        let own: Vec<(ItemId, f32)> =
            clicks.iter().map(|&item| (ItemId(item as u32), item as f32)).collect();
        let reward: f32 = own.iter().map(|(_, reward)| reward).sum();
        let choice = own.first().map_or(Choice::Skip, |(item, _)| Choice::Item(*item));
        let several = if own.len() > 1 { &own[..] } else { &[] };
        let mut log = LogBuilder::default();
        let extras = Extras { clicks: several, ..Extras::default() };
        log.try_push_with(&Step::new(&shown, choice, reward), &extras).unwrap();
        log.end_session(None).unwrap();
        let each = log.build().each_click();
        let expected = without_replacement(&slate, &clicks, &weight, nothing);
        let found = of_choices(&each, &weight, nothing);
        prop_assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        let rewards: f32 = each.session(0).steps().map(|step| step.reward).sum();
        prop_assert!((rewards - reward).abs() < 1e-4);
        let items: Vec<usize> = each.session(0).clicks().map(ItemId::index).collect();
        prop_assert_eq!(items, clicks);
    }
}
