//! Learned users of both kinds answer the same after they were saved and loaded, also from folders
//! of earlier versions.

use candle_core::Device;
use foretaste_eval::choice::{ChoiceModel, evaluate};
use foretaste_nn::checkpoint::{self, Description, MANIFEST};
use foretaste_random::Seed;
use foretaste_recommender::{Content, Model, Recommender, Users};
use foretaste_sim::policies::UniformRandom;
use foretaste_sim::{Blind, Environment, Rollout};
use foretaste_train::Network;
use foretaste_user_model::behaviour::BehaviourModel;
use tempfile::tempdir;

use crate::support::{ITEMS, K, behaviour, catalogue, shop, user_model};

fn gan() -> Model {
    let (mut model, shop) = (user_model(), shop(30));
    model.learn_outcomes(&shop.log, &(0..30).collect::<Vec<_>>()).unwrap();
    Model::Gan(Box::new(model))
}

#[test]
fn saved_and_loaded_users_choose_and_answer_the_same() {
    let (folder, shop) = (tempdir().unwrap(), shop(10));
    for model in [gan(), Model::Behaviour(behaviour())] {
        let users = Users::new(model, &catalogue());
        users.save(folder.path()).unwrap();
        let loaded = Users::load(folder.path(), &Device::Cpu).unwrap();
        assert_eq!((loaded.catalogue(), loaded.origin()), (users.catalogue(), users.origin()));
        let sessions = [0, 3, 7];
        let predict = |users: &Users| users.predict(&shop.log, &sessions).unwrap();
        assert_eq!(predict(&loaded), predict(&users));
        assert!(evaluate(&loaded, &shop.log, &sessions).unwrap().nll > Some(0.0));
        let play = |users: Users| {
            let users = users.into_environment().unwrap();
            assert_eq!(users.items(), ITEMS);
            let rollout = Rollout::new(Seed::new(5), 0..20, K).max_steps(5);
            rollout.run(&users, &Blind(UniformRandom { items: ITEMS })).unwrap()
        };
        assert_eq!(play(loaded), play(users));
    }
}

#[test]
fn user_models_that_were_saved_for_themselves_are_users() {
    let folder = tempdir().unwrap();
    behaviour().save(folder.path(), &catalogue(), 1, 1, None).unwrap();
    let users = Users::load(folder.path(), &Device::Cpu).unwrap();
    assert!(matches!(users.model(), Model::Behaviour(_)));
    user_model().save(folder.path(), &catalogue(), 1, 1, None).unwrap();
    let users = Users::load(folder.path(), &Device::Cpu).unwrap();
    assert!(matches!(users.model(), Model::Gan(_)));
    let refused = users.into_environment().unwrap_err().to_string();
    assert!(refused.contains("has no rewards of its log"), "{refused}");
}

/// Saved by a version that wrote no items.
#[test]
fn users_of_an_early_version_have_the_items_at_hand() {
    let (folder, model, items) = (tempdir().unwrap(), behaviour(), catalogue());
    let description = Description {
        manifest: MANIFEST,
        model: BehaviourModel::KIND,
        config: model.config(),
        vocabulary: &items.names().digest(),
        iteration: 1,
        seed: 1,
        files: &[],
    };
    let weights = model.parts().1.snapshot().unwrap();
    checkpoint::save(folder.path(), description, &weights, None).unwrap();
    let users = Users::load_knowing(folder.path(), &items, &Device::Cpu).unwrap();
    assert_eq!(users.catalogue(), &items);
    let refused = Users::load(folder.path(), &Device::Cpu).unwrap_err().to_string();
    assert!(refused.contains("an earlier version"), "{refused}");
}

#[test]
fn what_is_no_learned_users_is_refused() {
    let folder = tempdir().unwrap();
    let load = || Users::load(folder.path(), &Device::Cpu).unwrap_err().to_string();
    assert!(load().ends_with("contains no learned users"));
    crate::support::agent().save(folder.path(), &catalogue(), 1, 1, None).unwrap();
    let message = load();
    assert!(message.contains("gan-user-model/1, irecgan-behaviour/1"), "{message}");
}

#[test]
fn users_and_a_recommender_do_not_share_a_folder() {
    let folder = tempdir().unwrap();
    let content = Content::random().unwrap();
    let recommender = Recommender::new(content, &catalogue(), &Device::Cpu).unwrap();
    recommender.save(folder.path()).unwrap();
    let users = Users::new(Model::Behaviour(behaviour()), &catalogue());
    let refused = users.save(folder.path()).unwrap_err().to_string();
    assert!(refused.contains("contains recommender.json"), "{refused}");
    assert_eq!(Recommender::load(folder.path(), &Device::Cpu).unwrap().kind(), "random");
}
