//! Every policy shows the slates that its definition names, which models with known answers
//! determine, and only candidates; trained policies learn from the reward that was asked for.

use std::ops::ControlFlow;

use candle_core::Device;
use foretaste_baselines::{
    Data, Impressions, Loss, NetworkConfig, Settings, Training, select_among,
};
use foretaste_cascade_dqn::anchor::Anchor;
use foretaste_cascade_dqn::{
    Architecture, Epsilon, Greedy, LinUcb, LinUcbConfig, QConfig, QNetworks, QPolicy, Reward,
    Storage, TrainConfig, Trainer,
};
use foretaste_data::{
    Catalogue, Choice, Fractions, ItemId, Log, LogBuilder, RecentClicks, Split, Step,
};
use foretaste_eval::choice::{ChoiceModel, Prediction};
use foretaste_random::Seed;
use foretaste_sim::{
    Blind, Candidates, ChoiceUsers, ChoiceUsersConfig, Outside, Policy, Rollout, Slates,
    policies::UniformRandom,
};
use foretaste_user_model::{LearnedUsers, Pays, UserModel, UserModelConfig};

const ITEMS: usize = 20;
const K: usize = 3;

fn users() -> ChoiceUsers {
    ChoiceUsers::new(&ChoiceUsersConfig {
        items: ITEMS,
        attraction: 0.0,
        boredom: 0.0,
        ..ChoiceUsersConfig::default()
    })
    .unwrap()
}

/// r(s, a) itself.
pub struct Truth<'a>(&'a ChoiceUsers);

impl ChoiceModel for Truth<'_> {
    fn predict(&self, log: &Log, sessions: &[usize]) -> foretaste_eval::Result<Vec<Prediction>> {
        let mut predictions = Vec::new();
        for &session in sessions {
            let mut history = Vec::new();
            for step in log.session(session).steps() {
                let utilities = self.0.utilities(0, &history, step.slate);
                let scores = utilities.iter().map(|&utility| utility as f32).collect();
                predictions.push(Prediction { scores, log_given_choice: None, log_choice: None });
                history.extend(step.choice.item());
            }
        }
        Ok(predictions)
    }
}

/// Greedy on r(s, a) itself.
pub fn greedy_on_the_truth(users: &ChoiceUsers) -> Greedy<Truth<'_>> {
    Greedy::new(Truth(users), users.items(), users.config().position_weights.len())
}

/// The slate that `policy` shows to a user of these clicks, oldest first.
fn slate(policy: &impl Policy<Memory = RecentClicks>, history: &[u32]) -> Vec<ItemId> {
    let mut memory = policy.begin(1).unwrap();
    history.iter().for_each(|&item| memory.push(0, ItemId(item)));
    let mut slates = Slates::with_k(K);
    policy.rank(&memory, None, K, &mut Seed::new(0).streams(0..1), &mut slates).unwrap();
    assert_eq!(slates.propensity(0).unwrap(), [1.0; K]);
    slates.row(0).to_vec()
}

/// The best of the scores of all items.
fn best(scores: &[f32]) -> Vec<ItemId> {
    let mut items: Vec<ItemId> = (0..scores.len() as u32).map(ItemId).collect();
    items.sort_by(|a, b| scores[b.index()].total_cmp(&scores[a.index()]).then(a.cmp(b)));
    items.truncate(K);
    items
}

/// A log of one user with these clicks, each made on a slate of two, who is then shown everything.
fn log_of(history: &[u32]) -> Log {
    let mut builder = LogBuilder::default();
    let mut push = |slate: &[ItemId], choice| {
        builder.push(Step::new(slate, choice, 0.0)).unwrap();
    };
    for &item in history {
        push(&[ItemId(item), ItemId((item + 1) % ITEMS as u32)], Choice::Item(ItemId(item)));
    }
    push(&(0..ITEMS as u32).map(ItemId).collect::<Vec<_>>(), Choice::Skip);
    builder.end_session(None).unwrap();
    builder.build()
}

#[test]
fn greedy_shows_the_items_of_the_largest_reward() {
    let users =
        ChoiceUsers::new(&ChoiceUsersConfig { items: ITEMS, ..ChoiceUsersConfig::default() })
            .unwrap();
    let all: Vec<ItemId> = (0..ITEMS as u32).map(ItemId).collect();
    for history in [&[][..], &[3], &[3, 9, 3, 12]] {
        let clicked: Vec<ItemId> = history.iter().map(|&item| ItemId(item)).collect();
        let rewards: Vec<f32> =
            users.utilities(0, &clicked, &all).iter().map(|&reward| reward as f32).collect();
        assert_eq!(slate(&greedy_on_the_truth(&users), history), best(&rewards));
    }
}

#[test]
fn greedy_on_wide_and_deep_shows_the_items_of_the_largest_scores() {
    let users = users();
    let rollout = Rollout::new(Seed::new(1), 0..60, K).max_steps(4);
    let log = rollout.run(&users, &Blind(UniformRandom { items: ITEMS })).unwrap();
    let split = Split::by_session(&log, Fractions::default(), Seed::new(2)).unwrap();
    let data = Data::new(&log, ITEMS, &split);
    for loss in [Loss::Logistic, Loss::Competitive] {
        let training = Training { iterations: 20, ..Training::default() };
        let settings =
            Settings::Network(NetworkConfig { loss, training, ..NetworkConfig::default() });
        let model = select_among(&[settings], &data, Seed::new(3), |_| ControlFlow::Continue(()))
            .unwrap()
            .model;
        let policy = Greedy::new(&*model, ITEMS, 5);
        for history in [&[][..], &[3, 9, 3, 12]] {
            let expected = model.scores(&Impressions::new(&log_of(history), &[0])).unwrap();
            assert_eq!(slate(&policy, history), best(expected.last().unwrap()));
        }
    }
}

#[test]
fn greedy_on_a_user_model_shows_the_items_of_the_largest_reward() {
    let catalogue = Catalogue::numbered(ITEMS);
    let model = UserModel::new(UserModelConfig::new(ITEMS), &catalogue, Seed::new(3), &Device::Cpu)
        .unwrap();
    for history in [&[][..], &[3, 9, 3, 12]] {
        let expected = model.predict(&log_of(history), &[0]).unwrap().pop().unwrap().scores;
        assert_eq!(slate(&Greedy::new(&model, ITEMS, 5), history), best(&expected));
    }
}

/// Three users are shown candidates alone, and what they would be shown anyway where all items are
/// candidates.
fn candidates_are_honoured(policy: &impl Policy<Memory = RecentClicks>) {
    let mut memory = policy.begin(3).unwrap();
    [(1, 3), (2, 9), (2, 5)].iter().for_each(|&(row, item)| memory.push(row, ItemId(item)));
    let show = |allowed: Option<&Candidates>| {
        let (mut slates, mut streams) = (Slates::default(), Seed::new(0).streams(0..3));
        policy.rank(&memory, allowed, K, &mut streams, &mut slates).map(|()| slates)
    };
    let all: Vec<ItemId> = (0..ITEMS as u32).map(ItemId).collect();
    let of_row = |row| all.iter().copied().filter(|item| item.0 % 3 == row).collect();
    let sets: Vec<Vec<ItemId>> = (0..3).map(of_row).collect();
    let slates = show(Some(&Candidates::only_by_row(sets.clone()))).unwrap();
    for (row, set) in sets.iter().enumerate() {
        let mut slate = slates.row(row).to_vec();
        slate.sort_unstable();
        slate.dedup();
        assert!(slate.len() == K && slate.iter().all(|item| set.contains(item)), "{slate:?}");
    }
    let unrestricted = show(None).unwrap();
    let best: Vec<Vec<ItemId>> = (0..3).map(|row| unrestricted.row(row).to_vec()).collect();
    let others = show(Some(&Candidates::default().without_by_row(best.clone()))).unwrap();
    for (row, best) in best.iter().enumerate() {
        assert!(others.row(row).iter().all(|item| !best.contains(item)));
    }
    for everything in [Candidates::default(), Candidates::only(all)] {
        assert_eq!(show(Some(&everything)).unwrap(), unrestricted);
    }
    assert!(show(Some(&Candidates::only(vec![ItemId(0)]))).is_err());
    assert!(show(Some(&Candidates::only_by_row(sets[..2].to_vec()))).is_err());
}

#[test]
fn no_item_is_shown_that_is_not_a_candidate() {
    let users = users();
    candidates_are_honoured(&greedy_on_the_truth(&users));
    let mut lin_ucb = LinUcb::new(LinUcbConfig::default(), K, ITEMS, users.features()).unwrap();
    lin_ucb.learn(&users, 20, 5, Seed::new(5)).unwrap();
    candidates_are_honoured(&lin_ucb);
    for architecture in [Architecture::Cascade, Architecture::Greedy] {
        let config = QConfig { architecture, ..QConfig::new(ITEMS, K) };
        let networks = QNetworks::new(config, None, Seed::new(1)).unwrap();
        candidates_are_honoured(&QPolicy::new(&networks, Storage::Single).unwrap());
    }
    let config = QConfig { architecture: Architecture::Greedy, ..QConfig::new(ITEMS, K) };
    let networks = QNetworks::new(config, None, Seed::new(1)).unwrap();
    let training = TrainConfig::default();
    let slate_q = Trainer::slate_q(networks, users, training, Seed::new(2)).unwrap();
    candidates_are_honoured(&slate_q.policy(Storage::Single).unwrap());
}

/// A model with given answers for every slate.
struct Says(Vec<f32>);

impl ChoiceModel for Says {
    fn predict(&self, log: &Log, _: &[usize]) -> foretaste_eval::Result<Vec<Prediction>> {
        let says = Prediction { scores: self.0.clone(), log_given_choice: None, log_choice: None };
        Ok(vec![says; log.steps()])
    }
}

#[test]
fn what_a_model_gets_wrong_is_said() {
    let users = users();
    let rollout = Rollout::new(Seed::new(1), 0..2, K);
    let message = |scores: Vec<f32>| {
        let policy = Blind(Greedy::new(Says(scores), ITEMS, 2));
        rollout.run(&users, &policy).unwrap_err().to_string()
    };
    assert!(message(vec![0.0; 3]).contains("3 for a slate of 20 items"));
    assert!(message(vec![f32::NAN; ITEMS]).contains("0 of 20 scores are numbers"));
}

fn training(reward: Reward) -> TrainConfig {
    TrainConfig {
        users: 8,
        steps: 4,
        warm_up: 16,
        batch: 16,
        epsilon: Epsilon::constant(0.5),
        reward,
        ..TrainConfig::default()
    }
}

/// The targets of a discount of 0 are the rewards: between -1 and 1 under the click reward, the
/// environment's otherwise.
#[test]
fn the_reward_that_is_learned_from_is_the_one_asked_for() {
    let config = ChoiceUsersConfig {
        items: ITEMS,
        outside: Outside::Leave,
        base: -20.0,
        ..ChoiceUsersConfig::default()
    };
    // No user clicks, and every user leaves: the reward is 0, or -1 for no click.
    let users = ChoiceUsers::new(&config).unwrap();
    for (reward, expected) in [(Reward::Environment, 0.0), (Reward::Click, -1.0)] {
        let networks = QNetworks::new(QConfig::new(ITEMS, K), None, Seed::new(1)).unwrap();
        let mut trainer = Trainer::new(networks, training(reward), Seed::new(2)).unwrap();
        let points: Vec<_> = (0..4).map(|_| trainer.iterate(&users).unwrap()).collect();
        assert_eq!(points[3].target, Some(expected));
        assert!(points.iter().all(|point| point.gradient_norm.is_some() == point.loss.is_some()));
        assert!(points[3].gradient_norm > Some(0.0));
        assert_eq!((points[3].click_rate, points[3].steps, points[3].reward), (0.0, 1.0, 0.0));
    }
}

#[test]
fn learned_users_train_cascades_and_single_networks() {
    let model = UserModel::new(
        UserModelConfig::new(ITEMS),
        &Catalogue::numbered(ITEMS),
        Seed::new(3),
        &Device::Cpu,
    )
    .unwrap();
    let learned = LearnedUsers::paying(model, Pays::Utility).unwrap();
    for architecture in [Architecture::Cascade, Architecture::Greedy] {
        let config = QConfig { architecture, ..QConfig::new(ITEMS, K) };
        let networks = QNetworks::new(config, None, Seed::new(1)).unwrap();
        let mut trainer =
            Trainer::new(networks, training(Reward::Environment), Seed::new(2)).unwrap();
        for _ in 0..3 {
            trainer.iterate(&learned).unwrap();
        }
        assert_eq!(
            trainer.updates(),
            11,
            "two steps fill the memory's 16, then one update for each"
        );
        let policy = Blind(QPolicy::new(trainer.networks(), Storage::Half).unwrap());
        let rollout = Rollout::new(Seed::new(4), 0..5, K).max_steps(3);
        assert_eq!(rollout.run(&learned, &policy).unwrap().sessions(), 5);
        let message =
            Rollout::new(Seed::new(4), 0..5, 2).run(&learned, &policy).unwrap_err().to_string();
        assert!(message.contains("trained for slates of 3"), "{message}");
        let message = trainer.iterate(Anchor::new().unwrap().users()).unwrap_err().to_string();
        assert!(message.contains("the environment has 18, the networks 20"), "{message}");
    }
}

/// Users whose tastes never change: after learning, LinUCB's clicks come within 10% of those of the
/// best slate and are above those of random slates, each by many standard errors of 2,000 sessions;
/// the seeds are fixed.
#[test]
fn lin_ucb_learns_what_users_like() {
    let users = users();
    let mut policy = LinUcb::new(LinUcbConfig::default(), K, ITEMS, users.features()).unwrap();
    for iteration in 0..30 {
        policy.learn(&users, 50, 5, Seed::new(5).index(iteration)).unwrap();
    }
    let rollout = Rollout::new(Seed::new(6), 0..2_000, K).max_steps(5);
    let rate = |outcomes: Vec<foretaste_sim::Outcome>| {
        let sum =
            |count: fn(&foretaste_sim::Outcome) -> u32| outcomes.iter().map(count).sum::<u32>();
        f64::from(sum(|outcome| outcome.clicks)) / f64::from(sum(|outcome| outcome.steps))
    };
    let learned = rate(rollout.outcomes(&users, &Blind(&policy)).unwrap());
    let best = rate(rollout.outcomes(&users, &Blind(greedy_on_the_truth(&users))).unwrap());
    let random = rate(rollout.outcomes(&users, &Blind(UniformRandom { items: ITEMS })).unwrap());
    assert!(
        learned > 0.9 * best && learned > random + 0.1,
        "random {random}, learned {learned}, best {best}"
    );
}
