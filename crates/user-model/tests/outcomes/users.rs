//! Pay and endings are what was asked for and what the log shows, and a model that saw no log has
//! none.

use candle_core::Device;
use foretaste_data::{Catalogue, Choice, ItemId, Log, LogBuilder, Step};
use foretaste_eval::choice::ChoiceModel;
use foretaste_random::Seed;
use foretaste_sim::policies::UniformRandom;
use foretaste_sim::{Blind, Rollout};
use foretaste_train::Network;
use foretaste_user_model::{
    Error, LearnedUsers, Outcomes, Outside, Pays, RewardHead, StateEncoder, UserModel,
    UserModelConfig,
};

use crate::fitted;

const ITEMS: usize = 6;

/// Sessions of one to five steps on all items; a click on item i earns i - 2, every third step is
/// without one and earns -0.25.
fn log() -> Log {
    let slate: Vec<ItemId> = (0..ITEMS as u32).map(ItemId).collect();
    let mut log = LogBuilder::default();
    for session in 0..60u32 {
        for t in 0..1 + session % 5 {
            let item = (session + t) % ITEMS as u32;
            let (choice, reward) = match (session / 5 + t) % 3 {
                0 => (Choice::Skip, -0.25),
                _ => (Choice::Item(ItemId(item)), item as f32 - 2.0),
            };
            log.push(Step::new(&slate, choice, reward)).unwrap();
        }
        log.end_session(None).unwrap();
    }
    log.build()
}

fn model(state: StateEncoder) -> UserModel {
    let config = UserModelConfig {
        state,
        outside: Outside::observed(&log()),
        ..UserModelConfig::new(ITEMS)
    };
    UserModel::new(config, &Catalogue::numbered(ITEMS), Seed::new(1), &Device::Cpu).unwrap()
}

fn learned(state: StateEncoder) -> UserModel {
    let mut model = model(state);
    model.learn_outcomes(&log(), &(0..60).collect::<Vec<_>>()).unwrap();
    model
}

fn play(users: &LearnedUsers) -> Log {
    let rollout = Rollout::new(Seed::new(5), 0..200, 3).max_steps(30).chunk(16);
    rollout.run(users, &Blind(UniformRandom { items: ITEMS })).unwrap()
}

#[test]
fn a_step_pays_what_was_asked_for_and_choices_do_not_depend_on_it() {
    let users =
        |pays| LearnedUsers::paying(learned(StateEncoder::position_weights()), pays).unwrap();
    let [reward, clicks, utility] =
        [Pays::Reward, Pays::Clicks, Pays::Utility].map(|pays| play(&users(pays)));
    assert_eq!(
        play(&LearnedUsers::new(learned(StateEncoder::position_weights())).unwrap()),
        reward
    );
    let all: Vec<usize> = (0..utility.sessions()).collect();
    let predictions = users(Pays::Utility).model().predict(&utility, &all).unwrap();
    let all_steps = utility.iter().flat_map(|session| session.steps());
    let slates: Vec<Vec<ItemId>> = all_steps.map(|step| step.slate.to_vec()).collect();
    let steps = |log: &Log| {
        let steps: Vec<_> = log
            .iter()
            .flat_map(|session| session.steps())
            .map(|step| (step.choice, step.reward))
            .collect();
        steps
    };
    let (clicks, utility) = (steps(&clicks), steps(&utility));
    for (at, (choice, reward)) in steps(&reward).into_iter().enumerate() {
        let expected = match choice {
            Choice::Item(item) => {
                let place = slates[at].iter().position(|shown| *shown == item).unwrap();
                (item.0 as f32 - 2.0, 1.0, predictions[at].scores[place])
            }
            _ => (-0.25, 0.0, 0.0),
        };
        assert_eq!((reward, clicks[at].1), (expected.0, expected.1));
        assert!((utility[at].1 - expected.2).abs() < 1e-4);
        assert_eq!((clicks[at].0, utility[at].0), (choice, choice));
    }
}

/// The log never sees a user leave, and no session is longer than five steps: mean length 3. In 200
/// sessions its standard error is 0.1.
#[test]
fn sessions_end_as_long_as_those_of_the_log_unless_they_are_to_end_by_choice_alone() {
    for state in [StateEncoder::position_weights(), StateEncoder::lstm()] {
        let users = LearnedUsers::new(learned(state)).unwrap();
        let played = play(&users);
        assert!(played.iter().all(|session| session.len() <= 5 && !session.left()));
        let mean = played.steps() as f64 / 200.0;
        assert!((mean - 3.0).abs() < 0.4, "{mean}");
        assert!(play(&users.leaving_by_choice_alone()).iter().all(|session| session.len() == 30));
    }
}

#[test]
fn a_model_that_saw_no_log_pays_no_reward_but_those_asked_for_by_name() {
    let new = |pays| LearnedUsers::paying(model(StateEncoder::lstm()), pays);
    let message = new(Pays::default()).unwrap_err().to_string();
    assert!(message.contains("has no rewards of its log; fit it"), "{message}");
    assert!(new(Pays::Clicks).is_ok() && new(Pays::Utility).is_ok());
}

#[test]
fn fitting_learns_the_outcomes_of_the_training_sessions_and_a_checkpoint_keeps_them() {
    let (log, catalogue, folder) =
        (log(), Catalogue::numbered(ITEMS), tempfile::tempdir().unwrap());
    let model = fitted(&log, &catalogue, 3);
    let Some(Outcomes { rewards, endings }) = model.config().outcomes.clone() else {
        panic!("no outcomes")
    };
    assert_eq!(
        (rewards.expected(Choice::Item(ItemId(5))), rewards.skip, endings.max_session_length),
        (3.0, -0.25, Some(5))
    );
    assert_eq!(endings.hazards.len(), 4);
    model.save(folder.path(), &catalogue, 3, 1, None).unwrap();
    let (loaded, _) = UserModel::load(folder.path(), &catalogue, &Device::Cpu).unwrap();
    assert_eq!(loaded.config(), model.config());
    assert_eq!(play(&LearnedUsers::new(loaded).unwrap()), play(&LearnedUsers::new(model).unwrap()));
}

#[test]
fn outcomes_that_do_not_fit_are_refused() {
    let refused = |rewards: RewardHead| {
        let outcomes = Outcomes { rewards, endings: foretaste_user_model::Endings::NONE };
        let config = UserModelConfig { outcomes: Some(outcomes), ..UserModelConfig::new(ITEMS) };
        match UserModel::new(config, &Catalogue::numbered(ITEMS), Seed::new(1), &Device::Cpu) {
            Err(Error::Setting(setting)) if setting.what == "outcomes" => setting.problem,
            other => panic!("{other:?}"),
        }
    };
    let head = RewardHead { click: 0.0, items: vec![], skip: 0.0, leave: 0.0 };
    assert!(
        refused(RewardHead { skip: f32::NAN, ..head.clone() })
            .contains("NaN, expected a finite number")
    );
    let problem = refused(RewardHead { items: vec![(6, 1.0)], ..head.clone() });
    assert!(problem.contains("item index 6, expected less than 6"), "{problem}");
    assert!(
        refused(RewardHead { items: vec![(2, 1.0), (1, 1.0)], ..head }).contains("out of order")
    );
}
