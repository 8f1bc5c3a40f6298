//! The best slate in learned users is the best of all slates, by going through all of them.

use candle_core::Device;
use foretaste_data::{Choice, ItemId, LogBuilder, Step};
use foretaste_eval::choice::ChoiceModel;
use foretaste_recommender::{Content, Recommender};
use foretaste_user_model::{Outside, Regulariser, UserModel};

use crate::support::{ITEMS, K, catalogue, fitted_users, memory, slates, user_model};

/// What a user with these clicks pays in expectation for a slate, by what the model predicts.
fn paid(users: &UserModel, clicks: &[u32], slate: &[ItemId]) -> f64 {
    let mut log = LogBuilder::default();
    for &item in clicks {
        log.push(Step::new(&[ItemId(item)], Choice::Item(ItemId(item)), 0.0)).unwrap();
    }
    log.push(Step::new(slate, Choice::Item(slate[0]), 0.0)).unwrap();
    log.end_session(None).unwrap();
    let predictions = users.predict(&log.build(), &[0]).unwrap();
    let chances = predictions.last().unwrap().log_choice.clone().unwrap();
    let rewards = &users.config().outcomes.as_ref().unwrap().rewards;
    let Outside::Nothing { leaving } = users.config().outside else { panic!("they skip") };
    let expected = |choice| f64::from(rewards.expected(choice));
    let nothing = leaving * expected(Choice::Leave) + (1.0 - leaving) * expected(Choice::Skip);
    let items = slate.iter().map(|&item| expected(Choice::Item(item)));
    items.chain([nothing]).zip(chances).map(|(pays, chance)| pays * chance.exp()).sum()
}

/// Of all 56 slates of three of eight items.
#[test]
fn no_slate_pays_more_in_the_users_that_it_is_made_of() {
    let users = fitted_users();
    let content = Content::assortment(&users, 5).unwrap();
    let policy = Recommender::new(content, &catalogue(), &Device::Cpu).unwrap();
    let users = users.with_places_alike();
    let shown = slates(&policy, &memory(&policy), None).unwrap();
    for (row, clicks) in [&[][..], &[2, 5], &[7]].into_iter().enumerate() {
        let sets = (0u32..1 << ITEMS).filter(|set| set.count_ones() as usize == K);
        let slate = |set: u32| -> Vec<ItemId> {
            (0..ITEMS as u32).filter(|item| set >> item & 1 == 1).map(ItemId).collect()
        };
        let values: Vec<f64> = sets.map(|set| paid(&users, clicks, &slate(set))).collect();
        let best = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let found = paid(&users, clicks, shown.row(row));
        assert!((found - best).abs() < 1e-4 * best.abs().max(1.0), "{found} of {best}");
        assert!(values.iter().any(|value| best - value > 1e-2), "all slates are alike: {best}");
    }
}

#[test]
fn users_whose_best_slate_is_not_known_are_refused() {
    let refused = Content::assortment(&user_model(), 5).unwrap_err().to_string();
    assert!(refused.contains("no model of the rewards of their log"), "{refused}");
    let mut config = fitted_users().config().clone();
    config.regulariser = Regulariser::L2;
    let users = UserModel::new(config, &catalogue(), foretaste_random::Seed::new(1), &Device::Cpu);
    let refused = Content::assortment(&users.unwrap(), 5).unwrap_err().to_string();
    assert!(refused.contains("multinomial logit"), "{refused}");
}
