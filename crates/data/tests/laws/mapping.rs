//! A log in the items of another catalogue.

use foretaste_data::{Catalogue, Dataset, Error, ItemId, UnknownItems};
use proptest::prelude::*;

use crate::generate::any_dataset;

/// The slate and the choice of a step by raw ids, and the bits of its reward.
type RawStep = (Vec<String>, Option<String>, u32);

/// The steps of a data set, session by session.
fn steps(dataset: &Dataset) -> Vec<Vec<RawStep>> {
    let raw = |item: ItemId| dataset.catalogue.raw(item).to_owned();
    let session = |session: foretaste_data::Session<'_>| {
        let step = |step: foretaste_data::Step<'_>| {
            (
                step.slate.iter().map(|&item| raw(item)).collect(),
                step.choice.item().map(raw),
                step.reward.to_bits(),
            )
        };
        session.steps().map(step).collect()
    };
    dataset.log.iter().map(session).collect()
}

fn catalogue(names: &[String]) -> Catalogue {
    Catalogue::new(names.iter().map(String::as_str).collect())
}

proptest! {
    #[test]
    fn a_log_says_the_same_in_the_items_of_any_catalogue_that_knows_them(
        dataset in any_dataset(),
        order in Just((0..8).collect::<Vec<usize>>()).prop_shuffle(),
        more in proptest::collection::vec("[a-c]{2}", 0..3),
    ) {
        let names: Vec<String> = dataset.catalogue.names().iter().map(str::to_owned).collect();
        let order = order.iter().map(|&at| names[at].clone());
        let known = catalogue(&more.iter().cloned().chain(order).collect::<Vec<_>>());
        let (mapped, unknown) = dataset.clone().mapped_to(&known, UnknownItems::Refuse).unwrap();
        prop_assert_eq!(&mapped.catalogue, &known);
        prop_assert_eq!(steps(&mapped), steps(&dataset));
        prop_assert!(!unknown.any() && unknown.clicks.0 == 0);
        let (back, _) = mapped.mapped_to(&dataset.catalogue, UnknownItems::Refuse).unwrap();
        prop_assert_eq!(back, dataset);
    }

    #[test]
    fn steps_that_show_an_unknown_item_are_counted_and_refused_or_dropped(
        dataset in any_dataset(),
        keep in proptest::collection::vec(any::<bool>(), 8),
    ) {
        let names = dataset.catalogue.names().iter().zip(&keep).filter(|(_, keep)| **keep);
        let known = catalogue(&names.map(|(name, _)| name.to_owned()).collect::<Vec<_>>());
        let is_known = |(slate, ..): &RawStep| slate.iter().all(|raw| known.item(raw).is_some());
        let all = steps(&dataset);
        let kept = all.iter().map(|session| session.iter().filter(|step| is_known(step)).cloned().collect::<Vec<_>>());
        let kept: Vec<_> = kept.filter(|session| !session.is_empty()).collect();
        let dropped = all.iter().flatten().count() - kept.iter().flatten().count();

        let (mapped, unknown) = dataset.clone().mapped_to(&known, UnknownItems::DropSteps).unwrap();
        prop_assert_eq!(steps(&mapped), kept);
        prop_assert_eq!(unknown.slates, (dropped, all.iter().flatten().count()));
        let refused = dataset.mapped_to(&known, UnknownItems::Refuse);
        prop_assert_eq!(matches!(refused, Err(Error::Unknown { found, .. }) if found == unknown), dropped > 0);
    }
}

#[test]
fn unknown_items_are_shares_of_what_is_shown_and_chosen() {
    use foretaste_data::{Choice, LogBuilder, Step};
    let mut log = LogBuilder::default();
    for (slate, choice) in [
        ([0, 1], Choice::Item(ItemId(1))),
        ([2, 3], Choice::Item(ItemId(2))),
        ([3, 1], Choice::Skip),
    ] {
        let slate = slate.map(ItemId);
        log.push(Step::new(&slate, choice, 0.0)).unwrap();
    }
    log.end_session(None).unwrap();
    let shop = Dataset {
        name: "shop".into(),
        log: log.build(),
        catalogue: Catalogue::numbered(5),
        ..Dataset::default()
    };
    let known = catalogue(&["3".into(), "2".into(), "1".into()]);
    let message = shop.clone().mapped_to(&known, UnknownItems::Refuse).unwrap_err().to_string();
    let counts = "1 of 4 items (25.0%), 1 of 3 slates (33.3%) and 0 of 2 clicks (0.0%)";
    assert!(
        message.contains(counts) && message.contains("--unknown-items drop-steps"),
        "{message}"
    );
    let message = shop.mapped_to(&known, UnknownItems::AsUnknown).unwrap_err().to_string();
    assert!(message.contains("no entry for unknown items"), "{message}");
}
