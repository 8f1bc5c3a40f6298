//! Every kind of recommender is saved and loaded without a change, shows only what it may show, and
//! knows the propensities of its slates.

use candle_core::Device;
use foretaste_data::{Catalogue, ItemId};
use foretaste_irecgan::{AgentPolicy, Selection};
use foretaste_random::Seed;
use foretaste_recommender::{Content, Recommender};
use foretaste_sim::{Blind, Candidates, Mdp, MdpConfig, Policy, Rollout, Slates};
use foretaste_train::Network;
use proptest::prelude::*;
use tempfile::tempdir;

use crate::support::{
    ITEMS, K, agent, behaviour, catalogue, memory, q_networks, recommenders, slates,
};

#[test]
fn a_saved_and_loaded_recommender_ranks_the_same_bit_for_bit() {
    let folder = tempdir().unwrap();
    for policy in recommenders() {
        policy.save(folder.path()).unwrap();
        let loaded = Recommender::load(folder.path(), &Device::Cpu).unwrap();
        let said = |policy: &Recommender| {
            let memory = memory(policy);
            let all = slates(policy, &memory, None).unwrap();
            let among = Candidates::only([0, 3, 4, 6].map(ItemId).into());
            let some = slates(policy, &memory, Some(&among)).unwrap();
            let propensities = policy.propensities(&memory, None, &all).unwrap();
            (all, some, propensities)
        };
        assert_eq!(said(&loaded), said(&policy), "{policy:?}");
        assert_eq!(
            (loaded.kind(), loaded.settings(), loaded.catalogue(), loaded.origin()),
            (policy.kind(), policy.settings(), policy.catalogue(), policy.origin())
        );
        assert!(policy.origin().is_some());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn nothing_is_shown_that_is_not_allowed(
        sets in prop::collection::vec(prop::collection::vec(0..ITEMS as u32, 0..10), 3),
        without in prop::collection::vec(0..ITEMS as u32, 0..3),
    ) {
        let sets = sets.iter().map(|set| set.iter().copied().map(ItemId).collect()).collect();
        let allowed = Candidates::only_by_row(sets);
        let allowed = allowed.without(without.iter().copied().map(ItemId).collect());
        let enough = (0..3).all(|row| allowed.of_row(row, ITEMS).len() >= K);
        for policy in recommenders() {
            match slates(&policy, &memory(&policy), Some(&allowed)) {
                Err(_) => prop_assert!(!enough, "{policy:?}"),
                Ok(shown) => {
                    prop_assert!(enough && shown.rows() == 3, "{policy:?}");
                    for row in 0..3 {
                        let slate = shown.row(row);
                        prop_assert!(slate.iter().all(|&item| allowed.admits(row, item)));
                        prop_assert!((1..K).all(|at| !slate[..at].contains(&slate[at])));
                    }
                }
            }
        }
    }
}

#[test]
fn propensities_are_those_of_the_slates_that_are_shown() {
    for policy in recommenders() {
        let memory = memory(&policy);
        for allowed in [None, Some(Candidates::only([1, 2, 4, 5, 7].map(ItemId).into()))] {
            let shown = slates(&policy, &memory, allowed.as_ref()).unwrap();
            let said = policy.propensities(&memory, allowed.as_ref(), &shown).unwrap();
            let logged = shown.propensities().unwrap();
            assert_eq!(said.len(), logged.len());
            for (said, &logged) in said.iter().zip(logged) {
                assert!((said - f64::from(logged)).abs() < 1e-5, "{policy:?}: {said}, {logged}");
            }
        }
    }
}

/// Of all slates whose first two places are fixed, by what stands at the third.
#[test]
fn propensities_of_a_place_sum_to_one_and_an_unknown_item_has_none() {
    for policy in recommenders() {
        let memory = policy.select(&memory(&policy), &[1; ITEMS + 1]).unwrap();
        let first = slates(&policy, &crate::support::memory(&policy), None).unwrap();
        let before = &first.row(1)[..2];
        let mut all = Slates::with_k(K);
        for last in 0..=ITEMS as u32 {
            all.push(&[before[0], before[1], ItemId(last)], None);
        }
        let said = policy.propensities(&memory, None, &all).unwrap();
        let of_last = |item: usize| said[item * K + 2];
        let others = (0..ITEMS).filter(|&item| !before.contains(&ItemId(item as u32)));
        let sum: f64 = others.map(of_last).sum();
        assert!((sum - 1.0).abs() < 1e-6 && of_last(ITEMS) == 0.0, "{policy:?}: {sum}, {said:?}");
    }
}

/// By the whole catalogue, and by as many items as a slate of [`K`] takes or fewer.
#[test]
fn a_slate_longer_than_what_may_be_shown_has_no_propensity_where_items_lack() {
    for policy in recommenders() {
        let memory = memory(&policy);
        let (streams, mut shown) = (|| Seed::new(6).streams(0..3), Slates::default());
        if policy.rank(&memory, None, ITEMS, &mut streams(), &mut shown).is_ok() {
            let mut longer = Slates::with_k(ITEMS + 1);
            (0..3).for_each(|row| {
                longer.push(&[shown.row(row), &[ItemId(ITEMS as u32)]].concat(), None);
            });
            let said = policy.propensities(&memory, None, &longer).unwrap();
            let expected = policy.propensities(&memory, None, &shown).unwrap();
            for (said, expected) in said.chunks(ITEMS + 1).zip(expected.chunks(ITEMS)) {
                assert_eq!((&said[..ITEMS], said[ITEMS]), (expected, 0.0), "{policy:?}");
            }
        }
        if policy.rank(&memory, None, 2, &mut streams(), &mut shown).is_ok() {
            let sets = [vec![], vec![4, 1], vec![0, 3, 6]];
            let sets = sets.map(|set| set.into_iter().map(ItemId).collect::<Vec<_>>());
            let allowed = Candidates::only_by_row(sets.into());
            let two = Candidates::only([1, 4].map(ItemId).into());
            policy.rank(&memory, Some(&two), 2, &mut streams(), &mut shown).unwrap();
            let mut longer = Slates::with_k(K);
            (0..3).for_each(|row| longer.push(&[shown.row(row), &[ItemId(7)]].concat(), None));
            let said = policy.propensities(&memory, Some(&allowed), &longer).unwrap();
            let of_two = policy.propensities(&memory, Some(&two), &shown).unwrap();
            assert_eq!(said[..K], [0.0; K], "{policy:?}");
            assert_eq!(said[K..2 * K], [of_two[2], of_two[3], 0.0], "{policy:?}");
            assert_eq!(said[2 * K..], [0.0; K], "{policy:?}");
        }
    }
}

#[test]
fn networks_that_were_saved_for_themselves_are_recommenders() {
    let (folder, items) = (tempdir().unwrap(), catalogue());
    let place = |name: &str| folder.path().join(name);
    agent().save(&place("agent"), &items, 3, 1, None).unwrap();
    behaviour().save(&place("users"), &items, 3, 1, None).unwrap();
    q_networks(true).save(&place("networks"), &items, 3, 1, None).unwrap();
    let contents = [
        ("agent", Content::agent(&agent(), Selection::Sampled)),
        ("users", Content::ranking(&behaviour())),
        ("networks", Content::q_networks(&q_networks(true))),
    ];
    for (name, content) in contents {
        let expected = Recommender::new(content.unwrap(), &items, &Device::Cpu).unwrap();
        let loaded = Recommender::load(&place(name), &Device::Cpu).unwrap();
        assert_eq!((loaded.kind(), loaded.catalogue()), (expected.kind(), &items));
        let shown = |policy| slates(policy, &memory(policy), None).unwrap();
        assert_eq!(shown(&loaded), shown(&expected), "{name}");
    }
}

#[test]
fn a_recommender_plays_as_its_policy() {
    let mdp = Mdp::new(&MdpConfig { items: ITEMS, ..MdpConfig::default() }).unwrap();
    let content = Content::agent(&agent(), Selection::Sampled).unwrap();
    let policy = Recommender::new(content, &catalogue(), &Device::Cpu).unwrap();
    let rollout = Rollout::new(Seed::new(1), 0..40, K).max_steps(5);
    let own = AgentPolicy::new(&agent(), Selection::Sampled).unwrap();
    let [by_recommender, by_policy] =
        [rollout.run(&mdp, &Blind(&policy)), rollout.run(&mdp, &Blind(&own))].map(Result::unwrap);
    assert_eq!(by_recommender, by_policy);
}

#[test]
fn a_slate_for_a_history_is_that_of_a_session_with_these_clicks() {
    let stream = || Seed::new(6).stream(1);
    for policy in recommenders() {
        let expected = slates(&policy, &memory(&policy), None).unwrap();
        let clicked = [2, 5].map(ItemId);
        let slate = policy.recommend(&clicked, None, K, stream()).unwrap();
        assert_eq!(slate, expected.row(1), "{policy:?}");
        let names: Vec<&str> = slate.iter().map(|&item| policy.catalogue().raw(item)).collect();
        let clicked = ["item 2", "unknown", "item 5"];
        assert_eq!(policy.recommend_raw(&clicked, None, K, stream()).unwrap(), names);
        let allowed = ["item 1", "unknown", "item 4", "item 6"];
        let slate = policy.recommend_raw(&clicked, Some(&allowed), K, stream()).unwrap();
        assert!(slate.iter().all(|name| allowed.contains(name)), "{policy:?}: {slate:?}");
        assert!(policy.recommend(&[ItemId(ITEMS as u32)], None, K, stream()).is_err());
    }
}

#[test]
fn a_slate_of_no_items_is_refused() {
    for policy in recommenders() {
        let refused = policy.recommend(&[], None, 0, Seed::new(6).stream(0)).unwrap_err();
        assert_eq!(refused.to_string(), "k: 0, expected at least 1", "{policy:?}");
        let (mut streams, mut shown) = (Seed::new(6).streams(0..3), Slates::default());
        assert!(policy.rank(&memory(&policy), None, 0, &mut streams, &mut shown).is_err());
    }
}

#[test]
fn a_memory_belongs_to_its_policy() {
    let policies = recommenders();
    let of_kind = |kind| policies.iter().find(|policy| policy.kind() == kind).unwrap();
    let (drawn, popularity) = (of_kind("irecgan"), of_kind("popularity"));
    let mut memory = popularity.begin(3).unwrap();
    let refused = slates(drawn, &memory, None).unwrap_err().to_string();
    assert!(refused.contains("another policy's"), "{refused}");
    assert!(drawn.select(&memory, &[0]).is_err());
    assert!(drawn.observe(&mut memory, &Slates::with_k(K), &Default::default()).is_err());
}

#[test]
fn content_of_other_items_is_refused() {
    for items in [ITEMS - 1, ITEMS + 1] {
        let features = vec![0.5; 2 * items];
        let other = Catalogue::numbered(items).with_features(features, 2).unwrap();
        for content in crate::support::contents() {
            let is_of_any_items = Recommender::new(content.clone(), &other, &Device::Cpu).is_ok();
            let kind = format!("{content:?}");
            assert_eq!(is_of_any_items, kind.contains("\"random\""), "{kind}");
        }
    }
}
